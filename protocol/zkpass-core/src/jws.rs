//! Compact JWS with ES256 (RFC 7515, RFC 7518 section 3.4), strictly.
//!
//! A protected header may hold `alg`, `typ`, `kid`, `jku` and `cty`, all
//! strings; `alg` is `ES256`. Base64url has no padding and one spelling.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    code::Code,
    encoding::{base64url, from_base64url},
    json::{self, DecodeError, JsonError, Value},
    keys::{PublicKey, SigningKey},
    limits::{MAX_HEADER_BYTES, MAX_TOKEN_BYTES},
};

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The protected header.
    Header,
    /// The payload.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// Why a text is not an acceptable token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    /// The token is too long.
    #[error("token exceeds {limit} bytes")]
    TooLarge {
        /// The limit that applies.
        limit: usize,
    },
    /// The header is too long.
    #[error("token header exceeds {MAX_HEADER_BYTES} characters")]
    HeaderTooLarge,
    /// Not three parts.
    #[error("a compact token has three parts, this one has {count}")]
    WrongSegmentCount {
        /// How many there are.
        count: usize,
    },
    /// Not canonical base64url without padding.
    #[error("token {part} is not canonical base64url without padding")]
    BadBase64 {
        /// Where.
        part: Part,
    },
    /// The signature is not r and s of 32 bytes each.
    #[error("token signature is not 64 bytes")]
    BadSignatureLength,
    /// A part is not UTF-8.
    #[error("token {part} is not UTF-8")]
    NotUtf8 {
        /// Where.
        part: Part,
    },
    /// A part is not JSON.
    #[error("token {part} is not JSON: {error}")]
    NotJson {
        /// Where.
        part: Part,
        /// Why.
        error: JsonError,
    },
    /// A member name stands twice in one object.
    #[error("token {part} has a duplicate member name at byte {offset}")]
    DuplicateKey {
        /// Where.
        part: Part,
        /// Byte offset in the decoded part.
        offset: usize,
    },
    /// Something follows the JSON value of a part.
    #[error("token {part} has trailing bytes at byte {offset}")]
    TrailingBytes {
        /// Where.
        part: Part,
        /// Byte offset in the decoded part.
        offset: usize,
    },
    /// The header is not an object.
    #[error("token header is not a JSON object")]
    HeaderNotAnObject,
    /// A header member that is not in the list.
    #[error("token header member `{name}` is not allowed")]
    UnknownHeaderMember {
        /// Its name.
        name: String,
    },
    /// `crit`: extensions are not supported (RFC 7515 section 4.1.11).
    #[error("token header has `crit`; no critical extension is supported")]
    CriticalHeader,
    /// `b64`: the unencoded payload of RFC 7797 is not supported.
    #[error("token header has `b64`; unencoded payloads are not supported")]
    UnencodedPayload,
    /// A header member that is not a string.
    #[error("token header member `{name}` is not a string")]
    HeaderMemberNotString {
        /// Its name.
        name: String,
    },
    /// No `alg`.
    #[error("token header has no `alg`")]
    MissingAlgorithm,
    /// Another `alg` than ES256.
    #[error("token algorithm is not `ES256`")]
    WrongAlgorithm,
    /// Another `typ` than this kind of token has.
    #[error("token type is not `{expected}`")]
    WrongType {
        /// What it should be.
        expected: &'static str,
    },
    /// The signature does not verify under the key.
    #[error("token signature does not verify")]
    BadSignature,
    /// The payload is JSON, but not of the form this kind of token has.
    #[error("token payload has the wrong form: {0}")]
    BadPayload(String),
    /// The payload of user data is not an object with the root of its profile.
    #[error("token payload is not an object with the data of its profile")]
    MissingData,
}

impl TokenError {
    /// Puts an error of the JSON parser in its place.
    pub fn json(part: Part, error: JsonError) -> Self {
        match error {
            JsonError::DuplicateKey { offset } => Self::DuplicateKey { part, offset },
            JsonError::TrailingBytes { offset } => Self::TrailingBytes { part, offset },
            error => Self::NotJson { part, error },
        }
    }

    pub(crate) fn decode(error: DecodeError) -> Self {
        match error {
            DecodeError::Json(error) => Self::json(Part::Payload, error),
            DecodeError::Form(message) => Self::BadPayload(message),
        }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } | Self::HeaderTooLarge => Code::TokenTooLarge,
            Self::WrongSegmentCount { .. }
            | Self::BadBase64 { .. }
            | Self::BadSignatureLength
            | Self::NotUtf8 { .. }
            | Self::NotJson { .. }
            | Self::HeaderNotAnObject
            | Self::HeaderMemberNotString { .. } => Code::TokenMalformed,
            Self::DuplicateKey { .. } => Code::TokenDuplicateKey,
            Self::TrailingBytes { .. } => Code::TokenTrailingBytes,
            Self::UnknownHeaderMember { .. } => Code::TokenUnknownHeader,
            Self::CriticalHeader => Code::TokenCriticalHeader,
            Self::UnencodedPayload => Code::TokenUnencodedPayload,
            Self::MissingAlgorithm | Self::WrongAlgorithm => Code::TokenWrongAlgorithm,
            Self::WrongType { .. } => Code::TokenWrongType,
            Self::BadSignature => Code::TokenBadSignature,
            Self::BadPayload(_) | Self::MissingData => Code::TokenBadPayload,
        }
    }
}

/// A protected header. `alg` is always `ES256` and has no field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Media type of the token.
    pub typ: Option<String>,
    /// Key id.
    pub kid: Option<String>,
    /// URL of the key set.
    pub jku: Option<String>,
    /// Media type of the payload.
    pub cty: Option<String>,
}

impl Header {
    /// A header with a `typ` and perhaps a `kid`.
    pub fn new(typ: &str, kid: Option<&str>) -> Self {
        Self {
            typ: Some(typ.into()),
            kid: kid.map(Into::into),
            ..Self::default()
        }
    }

    /// Reads a protected header as it stands in a token, by the strict rules.
    pub fn from_base64url(text: &str) -> Result<Self, TokenError> {
        let part = Part::Header;
        if text.len() > MAX_HEADER_BYTES {
            return Err(TokenError::HeaderTooLarge);
        }
        let bytes = from_base64url(text).ok_or(TokenError::BadBase64 { part })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| TokenError::NotUtf8 { part })?;
        let value = json::parse(text).map_err(|error| TokenError::json(part, error))?;
        Self::from_members(&value)
    }

    fn from_members(value: &Value<'_>) -> Result<Self, TokenError> {
        let members = value.as_object().ok_or(TokenError::HeaderNotAnObject)?;
        let mut header = Self::default();
        let mut algorithm = None;
        for (name, value) in members {
            let name = name.decode();
            let slot = match &*name {
                "alg" => &mut algorithm,
                "typ" => &mut header.typ,
                "kid" => &mut header.kid,
                "jku" => &mut header.jku,
                "cty" => &mut header.cty,
                "crit" => return Err(TokenError::CriticalHeader),
                "b64" => return Err(TokenError::UnencodedPayload),
                _ => return Err(TokenError::UnknownHeaderMember { name: name.into() }),
            };
            let Some(text) = value.as_string() else {
                return Err(TokenError::HeaderMemberNotString { name: name.into() });
            };
            *slot = Some(text.decode().into_owned());
        }
        match algorithm.as_deref() {
            Some("ES256") => Ok(header),
            Some(_) => Err(TokenError::WrongAlgorithm),
            None => Err(TokenError::MissingAlgorithm),
        }
    }

    /// The header as it stands in a token: members in fixed order, no white space.
    pub fn to_base64url(&self) -> String {
        let mut json = String::from(r#"{"alg":"ES256""#);
        for (name, value) in [
            ("typ", &self.typ),
            ("kid", &self.kid),
            ("jku", &self.jku),
            ("cty", &self.cty),
        ] {
            if let Some(value) = value {
                json.push(',');
                json::write_string(&mut json, name);
                json.push(':');
                json::write_string(&mut json, value);
            }
        }
        json.push('}');
        base64url(json.as_bytes())
    }
}

/// A token whose form is checked; its signature is not, until [`Compact::verify`].
///
/// Its memory is cleared on drop and `Debug` shows the header only.
#[derive(Clone)]
pub struct Compact {
    text: Zeroizing<String>,
    header: Header,
    header_end: usize,
    payload_end: usize,
    payload: Zeroizing<Vec<u8>>,
    signature: [u8; 64],
}

impl Compact {
    /// Reads a user data token: at most `MAX_TOKEN_BYTES`.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        Self::parse_within(text, MAX_TOKEN_BYTES)
    }

    /// Reads a token of at most `limit` bytes.
    pub fn parse_within(text: &str, limit: usize) -> Result<Self, TokenError> {
        if text.len() > limit {
            return Err(TokenError::TooLarge { limit });
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let count = text.split('.').count();
            return Err(TokenError::WrongSegmentCount { count });
        };
        let bytes = |text, part| from_base64url(text).ok_or(TokenError::BadBase64 { part });
        Ok(Self {
            header: Header::from_base64url(header)?,
            header_end: header.len(),
            payload_end: header.len() + 1 + payload.len(),
            payload: Zeroizing::new(bytes(payload, Part::Payload)?),
            signature: bytes(signature, Part::Signature)?
                .try_into()
                .map_err(|_| TokenError::BadSignatureLength)?,
            text: Zeroizing::new(text.into()),
        })
    }

    /// The whole token.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The protected header as it stands in the token.
    pub fn header_b64(&self) -> &str {
        self.text.get(..self.header_end).unwrap_or_default()
    }

    /// The payload as it stands in the token.
    pub fn payload_b64(&self) -> &str {
        self.text
            .get(self.header_end + 1..self.payload_end)
            .unwrap_or_default()
    }

    /// The text that is signed: header, dot, payload.
    pub fn signing_input(&self) -> &str {
        self.text.get(..self.payload_end).unwrap_or_default()
    }

    /// The protected header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload, decoded.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload as text.
    pub fn payload_text(&self) -> Result<&str, TokenError> {
        let part = Part::Payload;
        std::str::from_utf8(&self.payload).map_err(|_| TokenError::NotUtf8 { part })
    }

    /// The payload as strict JSON.
    pub fn payload_json(&self) -> Result<Value<'_>, TokenError> {
        json::parse(self.payload_text()?).map_err(|error| TokenError::json(Part::Payload, error))
    }

    /// The signature: r and s, big-endian.
    pub fn signature(&self) -> [u8; 64] {
        self.signature
    }

    /// Checks the signature.
    pub fn verify(&self, key: &PublicKey) -> Result<(), TokenError> {
        match key.verifies(self.signing_input().as_bytes(), &self.signature) {
            true => Ok(()),
            false => Err(TokenError::BadSignature),
        }
    }
}

impl fmt::Debug for Compact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compact")
            .field("header", &self.header)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// Makes a token, with the deterministic signature of RFC 6979.
pub fn sign(header: &Header, payload: &[u8], key: &SigningKey) -> String {
    let mut token = header.to_base64url();
    token.push('.');
    token.push_str(&base64url(payload));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&base64url(&signature));
    token
}

#[cfg(test)]
mod tests;
