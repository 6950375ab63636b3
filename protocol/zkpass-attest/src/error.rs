//! Why evidence is refused.

use thiserror::Error;

use crate::{Platform, nitro::NitroError, sev_snp::SevSnpError, tdx::TdxError};

/// Why evidence is refused, one cause each.
///
/// What every platform checks is here; what only one has is in its own enum.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The relying party's policy has ended.
    #[error("the policy has expired")]
    PolicyExpired,
    /// The policy has no measurement for this platform.
    #[error("the policy has no measurement for {0}")]
    NoMeasurement(Platform),
    /// The measurement is none of the policy's.
    #[error("the measurement is not one that the policy accepts")]
    WrongMeasurement,
    /// It is, but the policy's entry has ended.
    #[error("the policy accepts the measurement `{name}` no longer")]
    MeasurementExpired {
        /// The name of the entry.
        name: String,
    },
    /// The measurement is all zero.
    #[error("the measurement is all zero")]
    ZeroMeasurement,
    /// The enclave runs in debug mode: its memory is open to its host.
    #[error("the enclave runs in debug mode")]
    DebugMode,
    /// The evidence does not carry the expected data, or carries none.
    #[error("the evidence is not bound to the expected data")]
    WrongBinding,
    /// The evidence does not carry the expected nonce, or carries none.
    #[error("the evidence does not carry the expected nonce")]
    WrongNonce,
    /// The platform's evidence has no field for a nonce.
    #[error("evidence of {0} has no nonce of its own; put it into the bound data")]
    NonceNotSupported(Platform),
    /// What only a Nitro document has.
    #[error(transparent)]
    Nitro(#[from] NitroError),
    /// What only SEV-SNP evidence has.
    #[error(transparent)]
    SevSnp(#[from] SevSnpError),
    /// What only TDX evidence has.
    #[error(transparent)]
    Tdx(#[from] TdxError),
}

impl EvidenceError {
    /// The stable code, kebab-case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PolicyExpired => "policy-expired",
            Self::NoMeasurement(_) => "no-measurement-for-platform",
            Self::WrongMeasurement => "wrong-measurement",
            Self::MeasurementExpired { .. } => "measurement-expired",
            Self::ZeroMeasurement => "zero-measurement",
            Self::DebugMode => "debug-mode",
            Self::WrongBinding => "wrong-binding",
            Self::WrongNonce => "wrong-nonce",
            Self::NonceNotSupported(_) => "nonce-not-supported",
            Self::Nitro(error) => error.code(),
            Self::SevSnp(error) => error.code(),
            Self::Tdx(error) => error.code(),
        }
    }
}
