//! Which enclave gets the data, and sealing to it.

use std::sync::{Arc, Mutex, PoisonError};

use zkpass_channel::{AnswerOpener, Binding, ResponseFormat, SealedRequestBody};
use zkpass_core::api::{EnclaveInfo, EnclaveOffer, ProofRequest};
use zkpass_core::encoding::base64url;
use zkpass_core::evidence::{NONCE_BYTES, Nonce};

use super::error::{NO_RANDOMNESS, ProveError, RemoteError};
use super::request::Checked;
use super::system_rng;
use crate::attestation::{Accepted, Policy, Record, accept};
use crate::keys::random_id;

/// A fresh nonce for one question for evidence.
pub(crate) fn fresh_nonce() -> Result<Nonce, ProveError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| NO_RANDOMNESS)?;
    Ok(nonce)
}

/// Accepts what can be accepted of the offers that answer `nonce`.
///
/// One good enclave is enough; without any the first refusal is the error.
pub(crate) fn accept_all(
    offers: Vec<EnclaveOffer>,
    policy: &Policy,
    nonce: &Nonce,
    now: i64,
) -> Result<Vec<Accepted>, ProveError> {
    let mut accepted = Vec::new();
    let mut first_error = None;
    for offer in offers {
        match accept(offer, policy, nonce, now) {
            Ok(enclave) => accepted.push(enclave),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        Some(error) if accepted.is_empty() => Err(error.into()),
        None if accepted.is_empty() => Err(RemoteError::NoEnclave.into()),
        _ => Ok(accepted),
    }
}

/// The enclaves that were accepted, until their keys or their evidence end.
///
/// Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Cache(Arc<Mutex<Vec<Accepted>>>);

impl Cache {
    /// Chooses at random among the enclaves that are good now, so that the
    /// operator cannot steer a holder to one of them.
    pub(crate) fn choose(&self, now: i64) -> Result<Option<Accepted>, ProveError> {
        let mut accepted = self.lock();
        accepted.retain(|enclave| now <= enclave.usable_until);
        match accepted.len() {
            0 => Ok(None),
            count => Ok(accepted.get(random_below(count)?).cloned()),
        }
    }

    pub(crate) fn fill(&self, accepted: Vec<Accepted>) {
        *self.lock() = accepted;
    }

    /// Forgets everything: the service's enclaves are not what they were.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Accepted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sealed request, and what is needed to open its answer.
pub(crate) struct Sealed {
    pub(super) body: ProofRequest,
    pub(super) record: Record,
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
        let info = self.info();
        let binding = Binding {
            key_id: &info.key_id,
            measurement_id: &info.measurement_id,
        };
        let (sealed, opener) = zkpass_channel::seal(&body, &self.key, &binding, &mut system_rng())?;
        Ok(Sealed {
            body: ProofRequest {
                enclave_id: info.enclave_id.clone(),
                key_id: info.key_id.clone(),
                sealed: base64url(&sealed),
            },
            record: self.record,
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

    pub(super) fn enclave(&self) -> &EnclaveInfo {
        &self.record.enclave
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
