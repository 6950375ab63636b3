//! A strict RFC 8259 parser that keeps numbers and strings as written.
//!
//! Signed data must have one reading, so duplicate member names (compared
//! after decoding escapes) and anything after the value are refused. Numbers
//! stay text: no value passes through floating point.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::limits::MAX_JSON_DEPTH;

/// A JSON value that borrows from its text.
///
/// `Debug` shows kinds and sizes only: values are user data.
#[derive(Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// A number token as written.
    Number(&'a str),
    /// A string token as written.
    String(RawString<'a>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object; members in the order of the text, names distinct.
    Object(Vec<(RawString<'a>, Value<'a>)>),
}

/// The text between the quotes of a valid string token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawString<'a> {
    raw: &'a str,
}

/// Why a text is not one JSON value. Offsets are bytes from its start.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JsonError {
    /// The text ends inside a value.
    #[error("text ends inside a value at byte {offset}")]
    UnexpectedEnd {
        /// Where.
        offset: usize,
    },
    /// A character that cannot stand here.
    #[error("unexpected character at byte {offset}")]
    UnexpectedCharacter {
        /// Where.
        offset: usize,
    },
    /// A number that RFC 8259 section 6 does not allow.
    #[error("malformed number at byte {offset}")]
    BadNumber {
        /// Start of the number.
        offset: usize,
    },
    /// An escape that RFC 8259 section 7 does not know.
    #[error("malformed escape at byte {offset}")]
    BadEscape {
        /// The backslash.
        offset: usize,
    },
    /// Half of a surrogate pair.
    #[error("unpaired surrogate at byte {offset}")]
    UnpairedSurrogate {
        /// The backslash.
        offset: usize,
    },
    /// An unescaped control character in a string.
    #[error("control character in a string at byte {offset}")]
    ControlCharacter {
        /// Where.
        offset: usize,
    },
    /// A member name that stands in the object already.
    #[error("duplicate member name at byte {offset}")]
    DuplicateKey {
        /// The second one's opening quote.
        offset: usize,
    },
    /// Something follows the value.
    #[error("trailing bytes after the value at byte {offset}")]
    TrailingBytes {
        /// The first of them.
        offset: usize,
    },
    /// Nested deeper than `MAX_JSON_DEPTH`.
    #[error("nested deeper than {MAX_JSON_DEPTH} levels at byte {offset}")]
    TooDeep {
        /// The bracket that is too much.
        offset: usize,
    },
}

/// Why a text is not the protocol message wanted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON of another form: a member unknown, absent or of another type.
    #[error("{0}")]
    Form(String),
}

/// Parses one JSON value that fills the whole text.
pub fn parse(text: &str) -> Result<Value<'_>, JsonError> {
    let mut parser = Parser { text, offset: 0 };
    let value = parser.value(0)?;
    parser.skip_whitespace();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(JsonError::TrailingBytes {
            offset: parser.offset,
        }),
    }
}

/// Reads a protocol message (not user data) after the strict parser has seen it.
pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    parse(text)?;
    serde_json::from_str(text).map_err(|error| DecodeError::Form(describe(&error)))
}

/// Serde's messages quote values; only those that quote names are kept.
fn describe(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let about_names = [
        "unknown field",
        "missing field",
        "duplicate field",
        "unknown variant",
    ];
    if about_names.iter().any(|start| message.starts_with(start)) {
        message.chars().take(200).collect()
    } else {
        format!(
            "wrong type or value at line {} column {}",
            error.line(),
            error.column()
        )
    }
}

/// Appends `text` as a JSON string: `"`, `\` and control characters are
/// escaped (short forms where JSON has them, else `\u00xx` in lower case),
/// nothing else is.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < '\u{20}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

impl<'a> Value<'a> {
    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&[(RawString<'a>, Value<'a>)]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The string token, if this is a string.
    pub fn as_string(&self) -> Option<RawString<'a>> {
        match self {
            Self::String(string) => Some(*string),
            _ => None,
        }
    }

    /// The member whose decoded name is `name`, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.as_object()?
            .iter()
            .find(|(member, _)| member.decode() == name)
            .map(|(_, value)| value)
    }

    /// The kind of value in one word, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The same value without white space; every token stays as written.
    pub fn to_compact(&self) -> String {
        let mut out = String::new();
        self.write_compact(&mut out);
        out
    }

    fn write_compact(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(true) => out.push_str("true"),
            Self::Boolean(false) => out.push_str("false"),
            Self::Number(token) => out.push_str(token),
            Self::String(string) => string.write(out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_compact(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    name.write(out);
                    out.push(':');
                    value.write_compact(out);
                }
                out.push('}');
            }
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(items) => write!(f, "array of {}", items.len()),
            Self::Object(members) => write!(f, "object of {}", members.len()),
            _ => f.write_str(self.kind()),
        }
    }
}

impl<'a> RawString<'a> {
    /// The text as written, escapes included.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// Whether the text holds a backslash.
    pub fn has_escape(self) -> bool {
        self.raw.contains('\\')
    }

    /// The string that is meant.
    pub fn decode(self) -> Cow<'a, str> {
        if !self.has_escape() {
            return Cow::Borrowed(self.raw);
        }
        let mut out = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            out.push_str(plain);
            match decode_escape(escape) {
                Ok((character, length)) => {
                    out.push(character);
                    rest = escape.get(length..).unwrap_or_default();
                }
                // Unreachable: the parser made this value and refuses others.
                Err(_) => rest = escape,
            }
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    fn write(self, out: &mut String) {
        out.push('"');
        out.push_str(self.raw);
        out.push('"');
    }
}

impl fmt::Debug for RawString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "string of {} bytes", self.raw.len())
    }
}

struct Parser<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.offset += 1;
        }
    }

    /// The next byte after white space, not consumed.
    fn next_token(&mut self) -> Result<u8, JsonError> {
        self.skip_whitespace();
        self.peek().ok_or(JsonError::UnexpectedEnd {
            offset: self.offset,
        })
    }

    fn unexpected(&self) -> JsonError {
        let offset = self.offset;
        match self.peek() {
            None => JsonError::UnexpectedEnd { offset },
            Some(_) => JsonError::UnexpectedCharacter { offset },
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.next_token()? != byte {
            return Err(self.unexpected());
        }
        self.offset += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        match self.next_token()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Value::String),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Value::Boolean(true)),
            b'f' => self.word("false", Value::Boolean(false)),
            b'n' => self.word("null", Value::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        for byte in word.bytes() {
            if self.peek() != Some(byte) {
                return Err(self.unexpected());
            }
            self.offset += 1;
        }
        Ok(value)
    }

    /// Consumes an opening bracket.
    fn open(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= MAX_JSON_DEPTH {
            return Err(JsonError::TooDeep {
                offset: self.offset,
            });
        }
        self.offset += 1;
        Ok(())
    }

    /// Consumes a comma (`true`) or the closing bracket (`false`).
    fn more(&mut self, close: u8) -> Result<bool, JsonError> {
        let byte = self.next_token()?;
        if byte != b',' && byte != close {
            return Err(self.unexpected());
        }
        self.offset += 1;
        Ok(byte == b',')
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.open(depth)?;
        let mut items = Vec::new();
        if self.next_token()? == b']' {
            self.offset += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.more(b']')? {
                return Ok(Value::Array(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.open(depth)?;
        let mut members = Vec::new();
        let mut names = BTreeSet::new();
        if self.next_token()? == b'}' {
            self.offset += 1;
            return Ok(Value::Object(members));
        }
        loop {
            if self.next_token()? != b'"' {
                return Err(self.unexpected());
            }
            let offset = self.offset;
            let name = self.string()?;
            if !names.insert(name.decode()) {
                return Err(JsonError::DuplicateKey { offset });
            }
            self.expect(b':')?;
            members.push((name, self.value(depth + 1)?));
            if !self.more(b'}')? {
                return Ok(Value::Object(members));
            }
        }
    }

    /// Consumes a string token; the opening quote is next.
    fn string(&mut self) -> Result<RawString<'a>, JsonError> {
        self.offset += 1;
        let start = self.offset;
        loop {
            let offset = self.offset;
            match self.peek() {
                None => return Err(JsonError::UnexpectedEnd { offset }),
                Some(b'"') => {
                    let raw = self.text.get(start..offset).unwrap_or_default();
                    self.offset += 1;
                    return Ok(RawString { raw });
                }
                Some(b'\\') => {
                    let escape = self.text.get(offset + 1..).unwrap_or_default();
                    let (_, length) = decode_escape(escape).map_err(|fault| match fault {
                        EscapeFault::Malformed => JsonError::BadEscape { offset },
                        EscapeFault::Surrogate => JsonError::UnpairedSurrogate { offset },
                    })?;
                    self.offset += 1 + length;
                }
                Some(0..=0x1f) => return Err(JsonError::ControlCharacter { offset }),
                Some(_) => self.offset += 1,
            }
        }
    }

    fn number(&mut self) -> Result<Value<'a>, JsonError> {
        let start = self.offset;
        let bad = JsonError::BadNumber { offset: start };
        if self.peek() == Some(b'-') {
            self.offset += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let integer_digits = self.digits();
        if integer_digits == 0 || leading_zero && integer_digits > 1 {
            return Err(bad);
        }
        if self.peek() == Some(b'.') {
            self.offset += 1;
            if self.digits() == 0 {
                return Err(bad);
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.offset += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.offset += 1;
            }
            if self.digits() == 0 {
                return Err(bad);
            }
        }
        self.text
            .get(start..self.offset)
            .map(Value::Number)
            .ok_or(bad)
    }

    fn digits(&mut self) -> usize {
        let start = self.offset;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.offset += 1;
        }
        self.offset - start
    }
}

enum EscapeFault {
    Malformed,
    Surrogate,
}

/// Reads an escape whose backslash is already consumed: the character and the
/// number of bytes read.
fn decode_escape(text: &str) -> Result<(char, usize), EscapeFault> {
    let simple = match text.bytes().next() {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return decode_unicode_escape(text),
        _ => return Err(EscapeFault::Malformed),
    };
    Ok((simple, 1))
}

/// Reads `uXXXX` or `uXXXX\uXXXX` (RFC 8259 section 7).
fn decode_unicode_escape(text: &str) -> Result<(char, usize), EscapeFault> {
    let first = hex_unit(text).ok_or(EscapeFault::Malformed)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 5));
    }
    let second = text
        .get(5..)
        .and_then(|rest| rest.strip_prefix('\\'))
        .and_then(hex_unit)
        .ok_or(EscapeFault::Surrogate)?;
    if first > 0xdbff || !(0xdc00..=0xdfff).contains(&second) {
        return Err(EscapeFault::Surrogate);
    }
    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    let character = char::from_u32(code).ok_or(EscapeFault::Surrogate)?;
    Ok((character, 11))
}

/// The value of `uXXXX` at the start of the text.
fn hex_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    // `from_str_radix` alone would accept a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests;
