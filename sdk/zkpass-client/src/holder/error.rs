//! Everything that can stand between a request and its proof.

use std::time::Duration;

use thiserror::Error;
use zkpass_channel::{OpenAnswerError, Refusal, SealError};
use zkpass_circuit::answer::AnswerError;
use zkpass_core::api::Problem;
use zkpass_core::code::Code;
use zkpass_core::proof::ProofTokenError;

use super::BuildError;
use super::answer::Mismatch;
use super::request::RequestError;
use crate::attestation::EnclaveError;
use crate::http::HttpError;
use crate::shown::Shown;

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProveError {
    /// The client could not be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The request cannot be answered; nothing was sent.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// No enclave is acceptable; nothing was sent.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// The request could not be sealed; nothing was sent.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The service, or the way to it, failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The enclave opened the request and refuses it.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// What came back is not an answer of the enclave to this request.
    #[error(transparent)]
    Answer(#[from] OpenAnswerError),
    /// The answer holds something else than a proof token.
    #[error("the answer is not a proof: {0}")]
    NotAProof(#[from] ProofTokenError),
    /// The proof does not answer this request.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// Proving on this machine failed.
    #[error(transparent)]
    Local(#[from] AnswerError),
    /// The system lacks what proving on this machine needs.
    #[error("{0}")]
    System(&'static str),
}

impl ProveError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Request(error) => error.code(),
            Self::Enclave(error) => error.code(),
            Self::Seal(SealError::Body(error)) => error.code(),
            Self::Seal(SealError::TooLong) => Code::TokensTooLarge,
            Self::Remote(error) => error.code(),
            Self::Refused(refusal) => refusal.code,
            Self::NotAProof(error) => error.code(),
            Self::Mismatch(error) => error.code(),
            Self::Local(error) => error.code(),
            Self::Build(_) => Code::InvalidRequest,
            Self::Seal(_) | Self::Answer(_) | Self::System(_) => Code::Internal,
        }
    }

    /// JSON pointer into the query, where the cause has a place there.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Request(error) => error.pointer(),
            Self::Refused(refusal) => refusal.pointer.as_deref(),
            Self::Local(error) => error.pointer(),
            _ => None,
        }
    }
}

pub(crate) const NO_RANDOMNESS: ProveError =
    ProveError::System("the operating system gave no randomness");

/// What went wrong between the holder and the enclave.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The service could not be reached, or the connection broke.
    #[error("the service could not be reached")]
    Transport(#[source] reqwest::Error),
    /// The service refused the request, or the job failed.
    #[error("{}", describe(.problem))]
    Problem {
        /// What the service says.
        problem: Box<Problem>,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// Somebody on the way answered in place of the service.
    #[error("HTTP status {status} without a problem document")]
    Status {
        /// The status.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The response has not the form of the API.
    #[error("the service sent a malformed response")]
    Malformed,
    /// The response is larger than any honest one.
    #[error("the response is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The service has no enclave that is ready.
    #[error("the service has no enclave that is ready")]
    NoEnclave,
    /// The service no longer knows the job.
    #[error("the service has lost the job")]
    JobLost,
    /// The caller's deadline has passed.
    #[error("no proof within {} s", .0.as_secs_f32())]
    Deadline(Duration),
}

impl RemoteError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Problem { problem, .. } => problem.code,
            Self::Transport(_) | Self::Status { .. } | Self::NoEnclave => Code::EnclaveUnavailable,
            Self::JobLost => Code::EnclaveLost,
            Self::Deadline(_) => Code::DeadlineExceeded,
            Self::Malformed | Self::TooLarge { .. } => Code::Internal,
        }
    }

    /// Whether a new attempt, sealed anew, may succeed.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Problem { problem, .. } => problem.retryable || problem.code == Code::ReAttest,
            Self::Transport(error) => !error.is_builder(),
            // What proxies say while a service behind them restarts.
            Self::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::NoEnclave | Self::JobLost => true,
            Self::Malformed | Self::TooLarge { .. } | Self::Deadline(_) => false,
        }
    }

    /// How long the other side asks to wait before a new attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<HttpError> for RemoteError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Transport(error) => Self::Transport(error),
            HttpError::Problem {
                problem,
                retry_after,
            } => Self::Problem {
                problem,
                retry_after,
            },
            HttpError::Status {
                status,
                retry_after,
            } => Self::Status {
                status,
                retry_after,
            },
            HttpError::Malformed => Self::Malformed,
            HttpError::TooLarge { limit } => Self::TooLarge { limit },
        }
    }
}

fn describe(problem: &Problem) -> String {
    // The title comes from our own list, not from the network.
    let title = problem.code.meaning();
    match &problem.detail {
        Some(detail) => format!("{title} ({})", Shown(detail)),
        None => title.to_owned(),
    }
}
