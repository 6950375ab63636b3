//! What an enclave proves of itself before it gets data, and the record of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zkpass_attest::{Binding, Evidence};
pub use zkpass_attest::{Claims, EvidenceError, Platform, Policy, PolicyError};
use zkpass_channel::PublicKey;
use zkpass_core::api::{EnclaveInfo, EnclaveOffer};
use zkpass_core::code::Code;
use zkpass_core::encoding::from_base64url;
use zkpass_core::evidence::{self, EvidenceDocument, Nonce};
use zkpass_core::json;

use crate::shown::Shown;

/// Largest record in bytes: the collateral of a TDX quote takes about 30 KiB,
/// and base64url adds a third.
pub const MAX_RECORD_BYTES: usize = 512 * 1024;

/// Why an enclave is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnclaveError {
    /// The enclave offers no evidence.
    #[error("the enclave is of the kind `{}` and offers no evidence of what it runs", Shown(.kind))]
    NoEvidence {
        /// What it calls itself.
        kind: String,
    },
    /// The evidence is of a platform that this version does not know.
    #[error("the enclave offers evidence of the unknown platform `{}`", Shown(.platform))]
    UnknownPlatform {
        /// What it says.
        platform: String,
    },
    /// The evidence answers another question: it may be old.
    #[error("the enclave's evidence is not for the nonce that it was asked with")]
    StaleEvidence,
    /// The evidence is refused by the policy.
    #[error("the enclave's evidence is refused: {0}")]
    Evidence(#[from] EvidenceError),
    /// The enclave announces another measurement than its evidence shows.
    #[error("the enclave announces another measurement than its evidence shows")]
    WrongMeasurementId,
    /// Its announcement is not signed by its own identity key.
    #[error("the enclave's announcement is not signed by its identity key")]
    BadSignature,
    /// Its id is not that of its identity key.
    #[error("the enclave's id does not belong to its identity key")]
    WrongId,
    /// Its HPKE key is malformed.
    #[error("the enclave's HPKE key is malformed")]
    BadKey,
    /// Its HPKE key is not valid at the time of this machine.
    #[error("the enclave's HPKE key is not valid now; is this machine's clock right")]
    NotValidNow,
}

impl EnclaveError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotValidNow => Code::ReAttest,
            _ => Code::UnattestedEnclave,
        }
    }

    /// The stable name of the cause, finer than the code.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::NoEvidence { .. } => "no-evidence",
            Self::UnknownPlatform { .. } => "unknown-platform",
            Self::StaleEvidence => "stale-evidence",
            Self::Evidence(error) => error.code(),
            Self::WrongMeasurementId => "wrong-measurement-id",
            Self::BadSignature => "bad-announcement-signature",
            Self::WrongId => "wrong-enclave-id",
            Self::BadKey => "bad-enclave-key",
            Self::NotValidNow => "enclave-key-not-valid-now",
        }
    }
}

/// An enclave that was accepted: evidence, policy, keys and times agree.
#[derive(Clone)]
pub(crate) struct Accepted {
    pub(crate) key: PublicKey,
    pub(crate) record: Record,
    /// The last second at which it may be used without new evidence.
    pub(crate) usable_until: i64,
}

impl Accepted {
    pub(crate) fn info(&self) -> &EnclaveInfo {
        &self.record.enclave
    }
}

/// Accepts an offer that answers `nonce`, by a policy, at the Unix time `now`.
pub(crate) fn accept(
    offer: EnclaveOffer,
    policy: &Policy,
    nonce: &Nonce,
    now: i64,
) -> Result<Accepted, EnclaveError> {
    let EnclaveOffer { info, evidence } = offer;
    let Some(evidence) = evidence else {
        return Err(EnclaveError::NoEvidence { kind: info.kind });
    };
    if evidence.nonce != nonce {
        return Err(EnclaveError::StaleEvidence);
    }
    let record = Record {
        version: VERSION,
        verified_at: now,
        enclave: info,
        evidence,
    };
    let claims = record.verify(policy, now)?;
    let info = &record.enclave;
    if !(info.not_before..=info.not_after).contains(&now) {
        return Err(EnclaveError::NotValidNow);
    }
    let key = from_base64url(&info.hpke_public_key)
        .and_then(|bytes| PublicKey::from_bytes(&bytes).ok())
        .ok_or(EnclaveError::BadKey)?;
    Ok(Accepted {
        key,
        usable_until: info.not_after.min(claims.valid_until()),
        record,
    })
}

/// Evidence as it was accepted, kept for audits: whoever has the policy can
/// verify it again, offline, for the time at which it was accepted.
///
/// It holds nothing of the holder's data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// Unix time in seconds at which the client accepted the evidence.
    pub verified_at: i64,
    /// What the enclave announced.
    pub enclave: EnclaveInfo,
    /// The evidence, bound to the enclave's identity key and the client's nonce.
    pub evidence: EvidenceDocument,
}

/// Version of the form of [`Record`].
const VERSION: u32 = 1;

/// Why a text is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// It is too large.
    #[error("a record of evidence has at most {MAX_RECORD_BYTES} bytes")]
    TooLarge,
    /// It is not strict JSON with exactly the members of a record.
    #[error("this is not a record of evidence")]
    Malformed,
    /// It has another version.
    #[error("version {0} of records is not supported; this is version {VERSION}")]
    UnsupportedVersion(u32),
}

impl Record {
    /// A record of an offer, unverified; `None` without evidence.
    pub fn of_offer(offer: EnclaveOffer, at: i64) -> Option<Self> {
        Some(Self {
            version: VERSION,
            verified_at: at,
            enclave: offer.info,
            evidence: offer.evidence?,
        })
    }

    /// Reads a record.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        if text.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLarge);
        }
        let record: Self = json::decode(text).map_err(|_| RecordError::Malformed)?;
        match record.version {
            VERSION => Ok(record),
            other => Err(RecordError::UnsupportedVersion(other)),
        }
    }

    /// Writes it.
    pub fn to_json(&self) -> String {
        // A record holds nothing that has no JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The evidence in the form that verifiers take.
    pub fn evidence(&self) -> Result<Evidence<'_>, EnclaveError> {
        let EvidenceDocument {
            platform,
            document,
            endorsements,
            ..
        } = &self.evidence;
        let known = platform
            .parse()
            .map_err(|_| EnclaveError::UnknownPlatform {
                platform: platform.clone(),
            })?;
        Ok(match known {
            Platform::Nitro => Evidence::Nitro { document },
            Platform::SevSnp => Evidence::SevSnp {
                report: document,
                endorsements,
            },
            Platform::Tdx => Evidence::Tdx {
                quote: document,
                collateral: endorsements,
            },
        })
    }

    /// Verifies evidence and announcement by a policy for the Unix time `now`:
    /// the evidence is bound to nonce and identity key, that key is the
    /// enclave's id and signed the announcement, and the announced measurement
    /// is the one shown.
    pub fn verify(&self, policy: &Policy, now: i64) -> Result<Claims, EnclaveError> {
        let info = &self.enclave;
        let evidence = self.evidence()?;
        let nonce: &Nonce = self
            .evidence
            .nonce
            .as_slice()
            .try_into()
            .map_err(|_| EnclaveError::StaleEvidence)?;
        let bound = evidence::binding(nonce, &info.identity_key);
        let mut binding = Binding::to(&bound);
        if evidence.platform() == Platform::Nitro {
            binding = binding.with_nonce(nonce);
        }
        let claims = zkpass_attest::verify(&evidence, policy, &binding, now)?;
        if !info.is_signed() {
            return Err(EnclaveError::BadSignature);
        }
        if info.enclave_id != info.identity_key.thumbprint() {
            return Err(EnclaveError::WrongId);
        }
        if info.measurement_id != claims.measurement_id()
            || info.kind != evidence.platform().as_str()
        {
            return Err(EnclaveError::WrongMeasurementId);
        }
        Ok(claims)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("enclave_id", &self.enclave.enclave_id)
            .field("measurement_id", &self.enclave.measurement_id)
            .field("verified_at", &self.verified_at)
            .finish_non_exhaustive()
    }
}
