//! The statement: everything public that a proof says.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    date::Date,
    encoding::{Canonical, hex_digest},
    json::{self, DecodeError},
    keys::PublicKey,
    limits::{
        MAX_DOCUMENTS, MAX_HEADER_BYTES, MAX_SCRIPT_BYTES, MAX_STATEMENTS, MAX_STRING_BYTES,
        MAX_TAG_BYTES, MAX_TEXT_BYTES,
    },
    user_data::Profile,
};

/// Domain tag of [`Statement::canonical_bytes`].
pub const STATEMENT_DOMAIN: &str = "zkpass/statement/v1";

/// The public part of a proof.
///
/// The JSON form refuses unknown members and whatever breaks
/// [`Statement::validate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Name of the proof system, `vega`.
    pub proof_system: String,
    /// Version of the relation that is proven.
    pub version: u32,
    /// Digest of the verifier key of the circuits.
    #[serde(with = "hex_digest")]
    pub circuit_digest: [u8; 32],
    /// Digest of the DVR that is answered.
    #[serde(with = "hex_digest")]
    pub dvr_digest: [u8; 32],
    /// One entry per document, sorted by tag.
    pub tokens: Vec<TokenStatement>,
    /// The reference date of the query.
    pub as_of: Date,
    /// Nonce of the DVR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Audience of the DVR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The answer, in the order of the program's outputs.
    pub output: Vec<OutputEntry>,
}

/// What is public about one document.
///
/// `Debug` does not show the header, which the issuer wrote.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenStatement {
    /// Tag in the DVR; empty for a single document.
    pub tag: String,
    /// Where the data stands in the payload.
    pub profile: Profile,
    /// The key that signed the token.
    pub issuer_key: PublicKey,
    /// The protected header in base64url, as it stands in the token.
    pub header: String,
    /// Number of SHA-256 blocks of the bucket that holds the token.
    pub blocks: u16,
}

/// One value of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputEntry {
    /// Its name in the query.
    pub name: String,
    /// The value.
    pub value: OutputValue,
}

/// A scalar. `Debug` shows the type only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OutputValue {
    /// A signed 64-bit integer.
    Integer(i64),
    /// A UTF-8 string.
    String(String),
    /// A boolean.
    Boolean(bool),
}

/// Why a statement is not well-formed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StatementError {
    /// Not strict JSON, or not of the form of a statement.
    #[error("statement is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// No document or too many.
    #[error("statement must have 1 to {MAX_DOCUMENTS} tokens")]
    TokenCount,
    /// Tags are not distinct and sorted.
    #[error("tokens are not sorted by distinct tags")]
    TokenOrder,
    /// More outputs than a script can have.
    #[error("statement has more than {MAX_STATEMENTS} outputs")]
    TooManyOutputs,
    /// An output name stands twice.
    #[error("an output name stands twice")]
    DuplicateOutput,
    /// A text exceeds its limit.
    #[error("statement member `{member}` exceeds {limit} bytes")]
    TooLong {
        /// Which.
        member: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl Statement {
    /// Reads the JSON form.
    pub fn from_json(text: &str) -> Result<Self, StatementError> {
        let statement: Self = json::decode(text)?;
        statement.validate()?;
        Ok(statement)
    }

    /// Checks what the types do not say: order, distinctness and limits.
    pub fn validate(&self) -> Result<(), StatementError> {
        if !(1..=MAX_DOCUMENTS).contains(&self.tokens.len()) {
            return Err(StatementError::TokenCount);
        }
        if !self
            .tokens
            .is_sorted_by(|before, after| before.tag < after.tag)
        {
            return Err(StatementError::TokenOrder);
        }
        if self.output.len() > MAX_STATEMENTS {
            return Err(StatementError::TooManyOutputs);
        }
        let mut names: Vec<&str> = self.output.iter().map(|entry| &*entry.name).collect();
        names.sort_unstable();
        if !names.is_sorted_by(|before, after| before < after) {
            return Err(StatementError::DuplicateOutput);
        }
        self.check_lengths()
    }

    fn check_lengths(&self) -> Result<(), StatementError> {
        let within = |member, text: &str, limit| match text.len() <= limit {
            true => Ok(()),
            false => Err(StatementError::TooLong { member, limit }),
        };
        within("proof_system", &self.proof_system, MAX_TEXT_BYTES)?;
        within(
            "nonce",
            self.nonce.as_deref().unwrap_or_default(),
            MAX_TEXT_BYTES,
        )?;
        within(
            "audience",
            self.audience.as_deref().unwrap_or_default(),
            MAX_TEXT_BYTES,
        )?;
        for token in &self.tokens {
            within("tag", &token.tag, MAX_TAG_BYTES)?;
            within("header", &token.header, MAX_HEADER_BYTES)?;
        }
        for entry in &self.output {
            // A name stands in the script, which bounds it.
            within("name", &entry.name, MAX_SCRIPT_BYTES)?;
            if let OutputValue::String(text) = &entry.value {
                within("value", text, MAX_STRING_BYTES)?;
            }
        }
        Ok(())
    }

    /// The one encoding that proofs and digests use.
    ///
    /// Integers are big-endian. `text` is a `u32` length and UTF-8 bytes;
    /// `option` is a byte 0, or a byte 1 and the value; `list` is a `u32`
    /// count and the items.
    ///
    /// ```text
    /// text   "zkpass/statement/v1"
    /// text   proof_system
    /// u32    version
    /// [32]   circuit_digest
    /// [32]   dvr_digest
    /// list   tokens: text tag, text profile, [64] issuer key x and y, text header, u16 blocks
    /// u16 u8 u8   as_of: year, month, day
    /// option text  nonce
    /// option text  audience
    /// list   output: text name, then u8 0 and i64 | u8 1 and text | u8 2 and u8 (0 or 1)
    /// ```
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut out = Canonical::new(STATEMENT_DOMAIN);
        out.text(&self.proof_system);
        out.fixed(&self.version.to_be_bytes());
        out.fixed(&self.circuit_digest);
        out.fixed(&self.dvr_digest);
        out.count(self.tokens.len());
        for token in &self.tokens {
            let (x, y) = token.issuer_key.coordinates();
            out.text(&token.tag);
            out.text(token.profile.as_str());
            out.fixed(&x);
            out.fixed(&y);
            out.text(&token.header);
            out.fixed(&token.blocks.to_be_bytes());
        }
        out.fixed(&self.as_of.year().to_be_bytes());
        out.fixed(&[self.as_of.month(), self.as_of.day()]);
        out.option_text(self.nonce.as_deref());
        out.option_text(self.audience.as_deref());
        out.count(self.output.len());
        for entry in &self.output {
            out.text(&entry.name);
            match &entry.value {
                OutputValue::Integer(value) => {
                    out.fixed(&[0]);
                    out.fixed(&value.to_be_bytes());
                }
                OutputValue::String(value) => {
                    out.fixed(&[1]);
                    out.text(value);
                }
                OutputValue::Boolean(value) => out.fixed(&[2, u8::from(*value)]),
            }
        }
        out.finish()
    }

    /// SHA-256 of the canonical bytes.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.canonical_bytes()).into()
    }

    /// The answer as a JSON object, in order.
    pub fn output_json(&self) -> serde_json::Map<String, serde_json::Value> {
        output_json(&self.output)
    }
}

/// An answer as a JSON object, in order.
pub fn output_json(output: &[OutputEntry]) -> serde_json::Map<String, serde_json::Value> {
    output
        .iter()
        .map(|entry| (entry.name.clone(), entry.value.to_json()))
        .collect()
}

impl OutputValue {
    /// The value as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Integer(value) => (*value).into(),
            Self::String(value) => value.clone().into(),
            Self::Boolean(value) => (*value).into(),
        }
    }
}

impl fmt::Debug for OutputValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer(_) => "Integer(..)",
            Self::String(_) => "String(..)",
            Self::Boolean(_) => "Boolean(..)",
        })
    }
}

impl fmt::Debug for TokenStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenStatement")
            .field("tag", &self.tag)
            .field("profile", &self.profile)
            .field("issuer_key", &self.issuer_key)
            .field("header_bytes", &self.header.len())
            .field("blocks", &self.blocks)
            .finish()
    }
}

#[cfg(test)]
mod tests;
