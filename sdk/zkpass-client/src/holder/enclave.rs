//! Which enclave gets the data, and sealing to it.

use thiserror::Error;
use zkpass_channel::{AnswerOpener, Binding, PublicKey, ResponseFormat, SealedRequestBody};
use zkpass_core::api::{EnclaveInfo, ProofRequest, UNATTESTED_DEVELOPMENT};
use zkpass_core::code::Code;
use zkpass_core::encoding::{base64url, from_base64url};

use super::error::{NO_RANDOMNESS, ProveError, RemoteError};
use super::request::Checked;
use super::system_rng;
use crate::danger::AcceptUnattestedDevelopment;
use crate::keys::random_id;

/// Why no enclave of a service is acceptable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EnclaveError {
    /// The enclave offers no evidence that is accepted.
    #[error(
        "the enclave is of the kind `{kind}` and shows no accepted evidence of what it runs; \
         accepting it takes an explicit call in `danger`"
    )]
    Unattested {
        /// What it calls itself.
        kind: String,
    },
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
}

/// An enclave that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    info: EnclaveInfo,
    key: PublicKey,
}

/// Chooses at random among the acceptable enclaves, so that the operator
/// cannot steer a holder to one of them.
pub(crate) fn choose(
    offered: Vec<EnclaveInfo>,
    unattested: Option<AcceptUnattestedDevelopment>,
    now: i64,
) -> Result<Accepted, ProveError> {
    let mut accepted = Vec::new();
    let mut first_error = None;
    for info in offered {
        match accept(info, unattested, now) {
            Ok(enclave) => accepted.push(enclave),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    if accepted.is_empty() {
        return Err(match first_error {
            Some(error) => error.into(),
            None => RemoteError::NoEnclave.into(),
        });
    }
    let index = random_below(accepted.len())?;
    Ok(accepted.swap_remove(index))
}

fn accept(
    info: EnclaveInfo,
    unattested: Option<AcceptUnattestedDevelopment>,
    now: i64,
) -> Result<Accepted, EnclaveError> {
    // No kind of evidence is known yet: whoever shows some is refused too.
    if info.kind != UNATTESTED_DEVELOPMENT || unattested.is_none() {
        return Err(EnclaveError::Unattested { kind: info.kind });
    }
    if !info.is_signed() {
        return Err(EnclaveError::BadSignature);
    }
    if info.enclave_id != info.identity_key.thumbprint() {
        return Err(EnclaveError::WrongId);
    }
    if !(info.not_before..=info.not_after).contains(&now) {
        return Err(EnclaveError::NotValidNow);
    }
    let key = from_base64url(&info.hpke_public_key)
        .and_then(|bytes| PublicKey::from_bytes(&bytes).ok())
        .ok_or(EnclaveError::BadKey)?;
    Ok(Accepted { info, key })
}

/// A sealed request, and what is needed to open its answer.
pub(crate) struct Sealed {
    pub(super) body: ProofRequest,
    pub(super) enclave: EnclaveInfo,
    pub(super) opener: AnswerOpener,
    pub(super) idempotency_id: String,
    bytes: usize,
}

impl Accepted {
    /// Seals the request to this enclave and to nobody else.
    pub(crate) fn seal(self, request: &Checked<'_>) -> Result<Sealed, ProveError> {
        let body = SealedRequestBody {
            tokens: request.tokens.0.clone(),
            dvr_token: request.dvr_token.to_owned(),
            idempotency_id: random_id().map_err(|_| NO_RANDOMNESS)?,
            response_format: ResponseFormat::ProofToken,
        };
        let binding = Binding {
            key_id: &self.info.key_id,
            // Until there is evidence, the kind stands for the measurement.
            measurement_id: &self.info.kind,
        };
        let (sealed, opener) = zkpass_channel::seal(&body, &self.key, &binding, &mut system_rng())?;
        Ok(Sealed {
            body: ProofRequest {
                enclave_id: self.info.enclave_id.clone(),
                key_id: self.info.key_id.clone(),
                sealed: base64url(&sealed),
            },
            enclave: self.info,
            opener,
            idempotency_id: body.idempotency_id.clone(),
            bytes: sealed.len(),
        })
    }
}

impl Sealed {
    /// Bytes of the sealed request, which is all that the service learns.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A number below `count`. The remainder favours small numbers by less than
/// one in 2^50 for any number of enclaves there is.
fn random_below(count: usize) -> Result<usize, ProveError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| NO_RANDOMNESS)?;
    let number = u64::from_le_bytes(bytes) % (count.max(1) as u64);
    Ok(usize::try_from(number).unwrap_or_default())
}
