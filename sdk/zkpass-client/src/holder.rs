//! What a data holder does: answer a question with a proof.
//!
//! [`Holder::prove`] seals the user data to an enclave behind a service;
//! [`prove_locally`] proves on this machine. Both check the question and the
//! data first, and hand out a proof only if it answers what was asked.

mod answer;
mod enclave;
mod error;
mod local;
mod request;
mod service;
#[cfg(test)]
mod tests;

use std::time::Duration;

use thiserror::Error;
use tokio::time::{sleep, timeout};
use zkpass_channel::rand_core::{CryptoRng, UnwrapErr};
use zkpass_circuit::answer::Phase;
use zkpass_core::api::EnclaveOffer;
use zkpass_core::code::Code;

pub use crate::attestation::EnclaveError;
pub use answer::{Mismatch, Proof};
pub use error::{ProveError, RemoteError};
pub use local::prove_locally;
pub use request::{Request, RequestError};
pub use zkpass_channel::Refusal;

use crate::attestation::{Accepted, Policy};
use crate::clock::unix_seconds;
use crate::http::{Http, HttpError};
use request::Checked;

/// The first pause before a new attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause, whatever a service asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where the work stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The service is asked for its enclaves and their evidence.
    FindingEnclave,
    /// An enclave was accepted, now or for an earlier request.
    Attested {
        /// Its announced and verified measurement, `PLATFORM:HEX`.
        measurement_id: String,
    },
    /// The request, this many bytes when sealed, is on its way to an enclave.
    Sending {
        /// Bytes of the sealed request.
        sealed_bytes: usize,
    },
    /// The service has the request and waits for the enclave.
    Queued,
    /// The enclave works on the request.
    Running,
    /// An attempt failed; the next one comes after a pause.
    Retrying {
        /// What happened.
        code: Code,
        /// The pause.
        pause: Duration,
    },
    /// An answer came and is checked.
    CheckingAnswer,
    /// Where local proving stands.
    Local(Phase),
}

/// Proves through a service. Clones share the enclaves that were accepted.
#[derive(Clone)]
pub struct Holder {
    http: Http,
    settings: Settings,
    accepted: enclave::Cache,
}

#[derive(Debug, Clone)]
struct Settings {
    policy: Policy,
    deadline: Duration,
    max_attempts: u32,
}

/// Settings of a [`Holder`].
#[derive(Debug, Clone)]
pub struct HolderBuilder {
    url: String,
    settings: Settings,
}

/// Why a holder could not be built; the caller has to act.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The address is not one of a service.
    #[error("`{url}` is not the http or https address of a service")]
    BadUrl {
        /// The address.
        url: String,
    },
    /// The system has no certificates by which to trust the service.
    #[error("no certificates to trust were found on this system")]
    NoCertificates,
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Http(#[source] reqwest::Error),
}

impl HolderBuilder {
    /// How long one proof may take, retries included; two minutes unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// How often a request is sent at most; five times unless set, at least once.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts.max(1);
        self
    }

    /// Makes the holder.
    pub fn build(self) -> Result<Holder, BuildError> {
        Ok(Holder {
            http: Http::new(&self.url)?,
            settings: self.settings,
            accepted: enclave::Cache::default(),
        })
    }
}

impl Holder {
    /// Begins with the address of a service, such as `https://host/path`, and
    /// the policy that says which enclaves may see the data.
    ///
    /// The data is sealed to an enclave and safe from the service and the
    /// network with plain http too; https hides when and from where one asks.
    pub fn builder(url: impl Into<String>, policy: Policy) -> HolderBuilder {
        HolderBuilder {
            url: url.into(),
            settings: Settings {
                policy,
                deadline: Duration::from_secs(120),
                max_attempts: 5,
            },
        }
    }

    /// Gets a proof that answers the request.
    ///
    /// Nothing is sent before the request is checked and an enclave accepted:
    /// its evidence, fresh and bound to its keys, must satisfy the policy.
    /// Dropping the future cancels the work.
    pub async fn prove(&self, request: &Request) -> Result<Proof, ProveError> {
        self.prove_with_progress(request, |_| {}).await
    }

    /// The same, telling where the work stands.
    pub async fn prove_with_progress(
        &self,
        request: &Request,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Proof, ProveError> {
        let checked = request.check(unix_seconds())?;
        let attempts = self.attempts(&checked, &mut progress);
        match timeout(self.settings.deadline, attempts).await {
            Ok(result) => result,
            Err(_) => Err(RemoteError::Deadline(self.settings.deadline).into()),
        }
    }

    async fn attempts(
        &self,
        request: &Checked<'_>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Proof, ProveError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(request, progress).await {
                Ok(proof) => return Ok(proof),
                Err(error) => error,
            };
            let retry = matches!(&error, ProveError::Remote(error) if error.may_pass());
            if !retry || attempt >= self.settings.max_attempts {
                return Err(error);
            }
            let asked = match &error {
                ProveError::Remote(error) => error.retry_after(),
                _ => None,
            };
            let wait = asked.unwrap_or_default().max(pause).min(LONGEST_PAUSE);
            progress(Progress::Retrying {
                code: error.code(),
                pause: wait,
            });
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }

    /// One request to one enclave, sealed anew: an enclave opens a request once.
    async fn attempt(
        &self,
        request: &Checked<'_>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Proof, ProveError> {
        let enclave = self.enclave(progress).await?;
        progress(Progress::Attested {
            measurement_id: enclave.info().measurement_id.clone(),
        });
        let sealed = enclave.seal(request)?;
        progress(Progress::Sending {
            sealed_bytes: sealed.bytes(),
        });
        let answer = match service::exchange(&self.http, &sealed, progress).await {
            Ok(answer) => answer,
            Err(error) => {
                // A queue is full for a while; after anything else the enclave
                // may have lost its keys or its life.
                if !matches!(error.code(), Code::QueueFull | Code::RateLimited) {
                    self.accepted.clear();
                }
                return Err(error.into());
            }
        };
        progress(Progress::CheckingAnswer);
        sealed.open(&answer, request)
    }

    /// An enclave that was accepted, from an earlier request if its keys still live.
    async fn enclave(
        &self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Accepted, ProveError> {
        if let Some(enclave) = self.accepted.choose(unix_seconds())? {
            return Ok(enclave);
        }
        progress(Progress::FindingEnclave);
        let nonce = enclave::fresh_nonce()?;
        let offers = self.http.enclaves(&nonce).await?;
        let now = unix_seconds();
        let accepted = enclave::accept_all(offers, &self.settings.policy, &nonce, now)?;
        self.accepted.fill(accepted);
        let chosen = self.accepted.choose(now)?;
        chosen.ok_or_else(|| EnclaveError::NotValidNow.into())
    }
}

/// The enclaves that a service offers, with evidence for a fresh nonce, **unchecked**.
pub async fn enclaves(url: &str) -> Result<Vec<EnclaveOffer>, ProveError> {
    let http = Http::new(url)?;
    let nonce = enclave::fresh_nonce()?;
    Ok(http.enclaves(&nonce).await?)
}

impl From<HttpError> for ProveError {
    fn from(error: HttpError) -> Self {
        Self::Remote(error.into())
    }
}

/// The randomness of the operating system. It does not fail where keys could
/// be made at all; if it did, nothing may be sealed.
fn system_rng() -> impl CryptoRng {
    UnwrapErr(getrandom::SysRng)
}
