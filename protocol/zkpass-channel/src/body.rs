//! What travels inside: the request and the answer, as strict JSON.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::{Zeroize, Zeroizing};
use zkpass_core::{
    code::Code,
    json::{self, DecodeError},
    limits::{MAX_DOCUMENTS, MAX_DVR_TOKEN_BYTES, MAX_TAG_BYTES, MAX_TOKEN_BYTES},
};

/// The longest idempotency id; a UUID has 36 characters.
const MAX_IDEMPOTENCY_ID_BYTES: usize = 64;

/// What a holder asks of an enclave.
///
/// The strings are wiped when the value is dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedRequestBody {
    /// User data tokens (compact JWS) by the tag the DVR gives them.
    pub tokens: BTreeMap<String, String>,
    /// The DVR token (compact JWS) of the verifier.
    pub dvr_token: String,
    /// Chosen by the client, the same for each repetition of one request, echoed in the answer.
    pub idempotency_id: String,
    /// The form in which the proof is wanted.
    pub response_format: ResponseFormat,
}

/// The forms in which an enclave hands out a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseFormat {
    /// A compact JWS of type `zkpass-proof+jwt`.
    #[serde(rename = "zkpass-proof+jwt")]
    ProofToken,
}

/// What an enclave answers once a request is open.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SealedAnswerBody {
    /// The question is answered.
    Proved {
        /// The proof in the form the request asked for.
        proof: String,
        /// The id of the request.
        idempotency_id: String,
    },
    /// There is no proof, and this is why.
    Refused(Refusal),
}

/// Why an enclave made no proof; holds names out of the question, never data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// JSON pointer into the query, where the cause has a place there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// One sentence for a person.
    pub message: String,
}

/// Why an opened body is not a request or not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The padding is not what this protocol writes.
    #[error("the padding is malformed")]
    Padding,
    /// The body is not UTF-8.
    #[error("the body is not text")]
    NotText,
    /// The body is not strict JSON: syntax, a repeated key, trailing bytes.
    #[error("the body is not strict JSON")]
    NotJson,
    /// A member is missing, unknown, or has the wrong type.
    #[error("the body has missing, unknown or mistyped members")]
    WrongMembers,
    /// There is no token, or there are more than a DVR can name.
    #[error("a request holds 1 to {MAX_DOCUMENTS} tokens")]
    TokenCount,
    /// A user data token is too long.
    #[error("a token has more than {MAX_TOKEN_BYTES} bytes")]
    TokenTooLong,
    /// The DVR token is too long.
    #[error("the DVR token has more than {MAX_DVR_TOKEN_BYTES} bytes")]
    DvrTokenTooLong,
    /// A tag is too long.
    #[error("a tag has more than {MAX_TAG_BYTES} bytes")]
    TagTooLong,
    /// The idempotency id is too long.
    #[error("the idempotency id has more than {MAX_IDEMPOTENCY_ID_BYTES} bytes")]
    IdempotencyIdTooLong,
}

impl BodyError {
    /// The stable code of this error.
    pub fn code(&self) -> Code {
        match self {
            Self::TokenTooLong => Code::TokenTooLarge,
            Self::DvrTokenTooLong => Code::DvrTooLarge,
            _ => Code::InvalidRequest,
        }
    }
}

impl SealedRequestBody {
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let names: usize = self
            .tokens
            .iter()
            .map(|(tag, token)| tag.len() + token.len() + 8)
            .sum();
        encode(
            self,
            names + self.dvr_token.len() + self.idempotency_id.len(),
        )
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BodyError> {
        let body: Self = decode(bytes)?;
        body.check().map(|()| body)
    }

    /// Whether an enclave will read this body.
    pub(crate) fn check(&self) -> Result<(), BodyError> {
        if self.tokens.is_empty() || self.tokens.len() > MAX_DOCUMENTS {
            return Err(BodyError::TokenCount);
        }
        if self.tokens.keys().any(|tag| tag.len() > MAX_TAG_BYTES) {
            return Err(BodyError::TagTooLong);
        }
        // As many tokens as allowed, each within its limit, are within the limit on their sum.
        if self
            .tokens
            .values()
            .any(|token| token.len() > MAX_TOKEN_BYTES)
        {
            return Err(BodyError::TokenTooLong);
        }
        if self.dvr_token.len() > MAX_DVR_TOKEN_BYTES {
            return Err(BodyError::DvrTokenTooLong);
        }
        if self.idempotency_id.len() > MAX_IDEMPOTENCY_ID_BYTES {
            return Err(BodyError::IdempotencyIdTooLong);
        }
        Ok(())
    }
}

impl Drop for SealedRequestBody {
    fn drop(&mut self) {
        self.tokens.values_mut().for_each(Zeroize::zeroize);
        self.dvr_token.zeroize();
    }
}

impl fmt::Debug for SealedRequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedRequestBody")
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

impl SealedAnswerBody {
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let expected = match self {
            Self::Proved { proof, .. } => proof.len(),
            Self::Refused(_) => 0,
        };
        encode(self, expected)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BodyError> {
        decode(bytes)
    }
}

impl fmt::Debug for SealedAnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proved { .. } => f.write_str("Proved(..)"),
            Self::Refused(refusal) => f.debug_tuple("Refused").field(refusal).finish(),
        }
    }
}

/// Encodes into one buffer that need not grow, so that no copy of it stays behind.
fn encode(value: &impl Serialize, strings: usize) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut out = Zeroizing::new(Vec::with_capacity(strings + 1024));
    serde_json::to_writer(&mut *out, value)?;
    Ok(out)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    let text = std::str::from_utf8(bytes).map_err(|_| BodyError::NotText)?;
    json::decode(text).map_err(|error| match error {
        DecodeError::Json(_) => BodyError::NotJson,
        DecodeError::Form(_) => BodyError::WrongMembers,
    })
}
