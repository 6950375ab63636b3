//! What all connections share, and the life of one request.

use std::{
    future::Future,
    io,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use getrandom::SysRng;
use rayon::ThreadPoolBuildError;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::Instant,
};
use zkpass_channel::{
    Refusal, SealedAnswerBody, SealedRequestBody,
    rand_core::{CryptoRng, UnwrapErr},
};
use zkpass_circuit::KeyCache;
use zkpass_core::{
    api::{EnclaveInfo, EnclaveOffer, UNATTESTED_DEVELOPMENT},
    code::Code,
    evidence::Nonce,
    frame::Message,
};

use crate::{
    args::Options,
    compatible::JweKey,
    events::{Event, log},
    evidence::{Attester, EvidenceSource},
    hardening::{locked::LockError, scrub::ScrubOnDrop},
    identity::Identity,
    job,
    key_ring::KeyRing,
    provers::Provers,
    publication::{Unpublished, publish},
};

/// Circuit keys take tens of megabytes each; a service asks few different questions at a time.
const CACHED_CIRCUITS: usize = 8;

/// The state of the process.
#[derive(Debug)]
pub(crate) struct Enclave {
    identity: Identity,
    attester: Option<Attester>,
    ring: Mutex<KeyRing>,
    jwe_key: Mutex<JweKey>,
    info: watch::Sender<EnclaveInfo>,
    circuits: KeyCache,
    provers: Provers,
    max_requests: NonZero<usize>,
    places: Arc<Semaphore>,
    max_deadline: Duration,
}

/// Why an enclave could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewError {
    #[error(transparent)]
    Provers(#[from] ThreadPoolBuildError),
    #[error(transparent)]
    Attester(#[from] io::Error),
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// A sealed request as it came in a frame.
pub(crate) struct SealedRequest {
    pub(crate) key_id: String,
    pub(crate) sealed: Vec<u8>,
    /// When it came.
    pub(crate) accepted: Instant,
    /// How long somebody waits for the answer.
    pub(crate) patience: Duration,
    /// Held until the answer leaves.
    pub(crate) place: OwnedSemaphorePermit,
}

impl Enclave {
    pub(crate) fn new(
        options: &Options,
        source: Option<Box<dyn EvidenceSource>>,
    ) -> Result<Self, NewError> {
        let mut rng = system_rng();
        let attester = source.map(Attester::start).transpose()?;
        let (kind, measurement_id) = attester.as_ref().map_or(
            (UNATTESTED_DEVELOPMENT, UNATTESTED_DEVELOPMENT),
            |attester| (attester.platform().name(), attester.measurement_id()),
        );
        let identity = Identity::generate(kind, measurement_id, &mut rng)?;
        let lifetime = i64::try_from(options.key_lifetime.as_secs()).unwrap_or(i64::MAX);
        let (ring, first) = KeyRing::new(measurement_id, lifetime, unix_seconds(), &mut rng)?;
        let jwe_key = JweKey::generate(&mut rng)?;
        Ok(Self {
            info: watch::Sender::new(identity.introduce(&first, jwe_key.public_key())),
            identity,
            attester,
            ring: Mutex::new(ring),
            jwe_key: Mutex::new(jwe_key),
            circuits: KeyCache::new(CACHED_CIRCUITS),
            provers: Provers::new(options.provers, options.threads)?,
            max_requests: options.max_requests,
            places: Arc::new(Semaphore::new(options.max_requests.get())),
            max_deadline: options.max_deadline,
        })
    }

    /// What clients are told, and a way to wait for changes.
    pub(crate) fn info(&self) -> watch::Receiver<EnclaveInfo> {
        self.info.subscribe()
    }

    /// Announces a new HPKE key when it is time.
    pub(crate) fn turn_keys(&self) {
        let fresh = self.ring().turn(unix_seconds(), &mut system_rng());
        match fresh {
            Ok(Some(announcement)) => {
                log(Event::KeyChanged {
                    key_id: &announcement.key_id,
                });
                let encryption_key = {
                    let mut jwe_key = self.jwe_key();
                    if jwe_key.renew(&mut system_rng()).is_err() {
                        log(Event::NoLockedMemory);
                    }
                    jwe_key.public_key()
                };
                self.info
                    .send_replace(self.identity.introduce(&announcement, encryption_key));
            }
            Ok(None) => {}
            // The old key serves until it dies, and the next tick tries again.
            Err(_) => log(Event::NoLockedMemory),
        }
    }

    /// Answers a question for evidence.
    pub(crate) async fn attest(self: Arc<Self>, nonce: Nonce) -> Message {
        let evidence = match &self.attester {
            Some(attester) => attester.evidence(nonce, self.identity.public_key()).await,
            None => None,
        };
        let Some(evidence) = evidence else {
            let code = Code::EvidenceUnavailable;
            return Message::Failed { code };
        };
        let info = self.info.borrow().clone();
        let offer = Box::new(EnclaveOffer {
            info,
            evidence: Some(evidence),
        });
        Message::Attested { offer }
    }

    /// A place for one more request, if there is one.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Counts requests until their answers leave. When a prover becomes free
    /// is not told: that would be a way around the boundaries of `publication`.
    pub(crate) fn health(&self) -> Message {
        let accepted = self.max_requests.get() - self.places.available_permits();
        let running = accepted.min(self.provers.places());
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Message::Healthy {
            waiting: count(accepted.saturating_sub(running)),
            running: count(running),
        }
    }

    /// Opens a request and answers it; ends early when told through `cancel`.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: SealedRequest,
        cancel: oneshot::Receiver<()>,
    ) -> Message {
        // Declared first, so that it comes last.
        let _scrub = ScrubOnDrop;
        let opened = self
            .ring()
            .open(&request.key_id, &request.sealed, unix_seconds());
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                log(Event::Rejected(error.code()));
                return Message::Failed { code: error.code() };
            }
        };

        let work = async {
            match opened.body {
                Err(error) => SealedAnswerBody::Refused(Refusal {
                    code: error.code(),
                    pointer: None,
                    message: error.to_string(),
                }),
                Ok(body) => self.answer(body).await,
            }
        };
        let answer = self
            .published(request.accepted, request.patience, cancel, work)
            .await;
        drop(request.place);
        match opened.answer.seal(&answer, &mut system_rng()) {
            Ok(sealed) => Message::Answer { sealed },
            Err(_) => Message::Failed {
                code: Code::Internal,
            },
        }
    }

    /// What comes of some work in the time allowed, when it may be known.
    pub(crate) async fn published(
        &self,
        accepted: Instant,
        patience: Duration,
        cancel: oneshot::Receiver<()>,
        work: impl Future<Output = SealedAnswerBody>,
    ) -> SealedAnswerBody {
        let patience = patience.min(self.max_deadline);
        let answer = match publish(accepted, patience, cancel, work).await {
            Ok(answer) => answer,
            Err(Unpublished::Cancelled) => refused(Code::Cancelled),
            Err(Unpublished::DeadlineExceeded) => refused(Code::DeadlineExceeded),
        };
        log(Event::Answered(accepted.elapsed()));
        if matches!(&answer, SealedAnswerBody::Refused(refusal) if refusal.code == Code::Internal) {
            log(Event::InternalFailure);
        }
        answer
    }

    pub(crate) async fn answer(self: &Arc<Self>, body: SealedRequestBody) -> SealedAnswerBody {
        let enclave = Arc::clone(self);
        let idempotency_id = body.idempotency_id.clone();
        let outcome = self
            .provers
            .run(move |stop| {
                let now = unix_seconds();
                job::run(&body, &enclave.identity, &enclave.circuits, now, stop)
            })
            .await;
        match outcome {
            Ok(Ok(proof)) => SealedAnswerBody::Proved {
                proof,
                idempotency_id,
            },
            Ok(Err(error)) => SealedAnswerBody::Refused(error.into()),
            Err(_) => refused(Code::Internal),
        }
    }

    pub(crate) fn jwe_key(&self) -> MutexGuard<'_, JweKey> {
        self.jwe_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, KeyRing> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn refused(code: Code) -> SealedAnswerBody {
    SealedAnswerBody::Refused(Refusal {
        code,
        pointer: None,
        message: code.meaning().to_owned(),
    })
}

/// The randomness of the operating system; an enclave without it must not run.
fn system_rng() -> impl CryptoRng {
    UnwrapErr(SysRng)
}

fn unix_seconds() -> i64 {
    // A clock before 1970 makes no key and no proof that anybody accepts.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
