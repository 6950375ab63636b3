//! Why a proof is not accepted.

use thiserror::Error;
use zkpass_circuit::{CircuitError, ProofError};
use zkpass_core::{code::Code, date::Date, dvr::DvrError, jws::TokenError, proof::ProofTokenError};
use zkpass_query::QueryError;

/// Why a proof is not accepted. The relying party has to act on the first
/// group; everything after it is the fault of the proof.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VerifyError {
    /// The policy neither names enclave keys nor ignores the enclave signature.
    #[error("the policy must name enclave keys or ignore the enclave signature")]
    EnclaveUndecided,
    /// The time of verification is outside the years 1 to 9999.
    #[error("the time of verification is not in the years 1 to 9999")]
    ClockOutOfRange,
    /// The DVR of the policy breaks a rule.
    #[error(transparent)]
    Dvr(#[from] DvrError),
    /// The query of the DVR does not compile.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The policy trusts no key for a tag of the DVR.
    #[error("the policy has no issuer key for tag `{tag}`")]
    MissingIssuerKey {
        /// The tag.
        tag: String,
    },
    /// The policy has a key for a tag that the DVR does not have.
    #[error("the policy has an issuer key for `{tag}`, which is no tag of the DVR")]
    UnknownTag {
        /// The tag.
        tag: String,
    },
    /// The DVR names another key than the policy trusts.
    #[error("the DVR names another issuer key for tag `{tag}` than the policy trusts")]
    DvrKeyNotTrusted {
        /// The tag.
        tag: String,
    },

    /// The token does not parse.
    #[error(transparent)]
    Malformed(#[from] ProofTokenError),
    /// The proof system is not allowed, or not the one the DVR asks for.
    #[error("the proof system is not accepted")]
    UnsupportedProofSystem,
    /// The version of the proof system is not allowed.
    #[error("version {version} of the proof system is not accepted")]
    UnsupportedVersion {
        /// The version.
        version: u32,
    },
    /// The statement has other tags than the DVR.
    #[error("the statement is not about the documents of the DVR")]
    WrongDocuments,
    /// A document has another profile than the DVR asks for.
    #[error("the document of tag `{tag}` has another profile than the DVR asks for")]
    WrongProfile {
        /// The tag.
        tag: String,
    },
    /// The proof answers another DVR.
    #[error("the proof answers another DVR")]
    DvrDigestMismatch,
    /// A document was signed by another key than the trusted one.
    #[error("the document of tag `{tag}` was not signed by the trusted issuer key")]
    IssuerKeyMismatch {
        /// The tag.
        tag: String,
    },
    /// A document's protected header breaks the header rules.
    #[error("header of tag `{tag}`: {error}")]
    HeaderRefused {
        /// The tag.
        tag: String,
        /// The rule.
        error: TokenError,
    },
    /// The nonce is not that of the request.
    #[error("the nonce is not the one that was asked for")]
    NonceMismatch,
    /// The audience is not that of the request.
    #[error("the proof is for another audience")]
    AudienceMismatch,
    /// The reference date is too early.
    #[error("the reference date {as_of} is before {earliest}")]
    AsOfTooEarly {
        /// The reference date.
        as_of: Date,
        /// The first date that is accepted.
        earliest: Date,
    },
    /// The reference date is too late.
    #[error("the reference date {as_of} is after {latest}")]
    AsOfTooLate {
        /// The reference date.
        as_of: Date,
        /// The last date that is accepted.
        latest: Date,
    },
    /// The time stamp lies in the future.
    #[error("the proof is dated in the future")]
    TimeStampInFuture,
    /// The time stamp is older than allowed.
    #[error("the proof is older than {ttl_seconds} seconds")]
    TimeStampExpired {
        /// How old it may be.
        ttl_seconds: u64,
    },
    /// The DVR has expired.
    #[error("the DVR has expired")]
    DvrExpired,
    /// A claim beside the statement contradicts it or the DVR.
    #[error("a claim beside the statement contradicts it or the DVR")]
    ClaimsMismatch,
    /// No accepted enclave signed the token.
    #[error("no accepted enclave signed the proof")]
    EnclaveSignatureInvalid,
    /// The shape of the statement has no circuit.
    #[error("the statement has a shape without circuit: {0}")]
    NoCircuit(CircuitError),
    /// The circuit is another one than the statement says.
    #[error("the circuit is not the one the DVR leads to")]
    CircuitDigestMismatch,
    /// The zero-knowledge proof is no proof in the form of the proof system.
    #[error("the zero-knowledge proof is malformed")]
    ProofMalformed,
    /// The zero-knowledge proof does not verify.
    #[error("the zero-knowledge proof does not verify")]
    ProofInvalid,
    /// The statement says things that its circuit cannot express.
    #[error("the statement does not fit its circuit")]
    WrongShape,
    /// A public value in the proof is not that of the statement.
    #[error("a public value of the proof is not that of the statement")]
    PublicValueMismatch,
}

impl VerifyError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::EnclaveUndecided => Code::EnclavePolicyMissing,
            Self::ClockOutOfRange => Code::InvalidRequest,
            Self::Dvr(error) => error.code(),
            Self::Query(error) => error.code(),
            Self::MissingIssuerKey { .. }
            | Self::UnknownTag { .. }
            | Self::DvrKeyNotTrusted { .. }
            | Self::IssuerKeyMismatch { .. } => Code::IssuerKeyMismatch,
            Self::Malformed(error) => error.code(),
            Self::UnsupportedProofSystem => Code::UnsupportedProofSystem,
            Self::UnsupportedVersion { .. } => Code::UnsupportedVersion,
            Self::WrongDocuments
            | Self::WrongProfile { .. }
            | Self::NoCircuit(_)
            | Self::WrongShape => Code::WrongShape,
            Self::DvrDigestMismatch => Code::DvrDigestMismatch,
            Self::HeaderRefused { .. } => Code::HeaderRefused,
            Self::NonceMismatch => Code::NonceMismatch,
            Self::AudienceMismatch => Code::AudienceMismatch,
            Self::AsOfTooEarly { .. } | Self::AsOfTooLate { .. } => Code::AsOfOutOfBounds,
            Self::TimeStampInFuture => Code::TimeStampInFuture,
            Self::TimeStampExpired { .. } => Code::TimeStampExpired,
            Self::DvrExpired => Code::DvrExpired,
            Self::ClaimsMismatch => Code::ClaimsMismatch,
            Self::EnclaveSignatureInvalid => Code::EnclaveSignatureInvalid,
            Self::CircuitDigestMismatch => Code::CircuitDigestMismatch,
            Self::ProofMalformed => Code::ProofMalformed,
            Self::ProofInvalid => Code::ProofInvalid,
            Self::PublicValueMismatch => Code::PublicValueMismatch,
        }
    }
}

impl From<ProofError> for VerifyError {
    fn from(error: ProofError) -> Self {
        match error {
            // The token parser has refused longer ones already.
            ProofError::TooLarge | ProofError::Malformed => Self::ProofMalformed,
            ProofError::WrongShape => Self::WrongShape,
            ProofError::Invalid => Self::ProofInvalid,
            ProofError::PublicValueMismatch => Self::PublicValueMismatch,
        }
    }
}
