//! One opened request, from the DVR token to the signed proof.

use std::ops::ControlFlow;

use zkpass_channel::{Refusal, ResponseFormat, SealedRequestBody};
use zkpass_circuit::{
    KeyCache,
    answer::{AnswerError, Request, answer},
};
use zkpass_core::{
    code::Code,
    date::Date,
    dvr::{Dvr, DvrToken, DvrTokenError},
    jws::TokenError,
    keys::{IssuerKey, KeyError},
    proof::ProofClaims,
};

use crate::{identity::Identity, provers::Stop};

/// Why a request gets no proof.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("DVR token: {0}")]
    DvrToken(#[from] DvrTokenError),
    #[error("the verifier's key in the DVR: {0}")]
    DvrKey(KeyError),
    #[error("DVR token: {0}")]
    DvrSignature(TokenError),
    #[error("the DVR has expired")]
    DvrExpired,
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("{}", Code::Internal.meaning())]
    Internal,
}

/// Checks the DVR, answers it, and signs the proof.
///
/// `now` is in Unix seconds; its day in UTC is the reference date of the proof.
pub(crate) fn run(
    body: &SealedRequestBody,
    identity: &Identity,
    keys: &KeyCache,
    now: i64,
    stop: &Stop,
) -> Result<String, JobError> {
    let dvr = checked_dvr(&body.dvr_token, now)?;
    let request = Request {
        dvr: &dvr,
        tokens: &body.tokens,
        as_of: Date::from_unix_seconds(now).ok_or(JobError::Internal)?,
    };
    let answer = answer(&request, keys, &mut |_| match stop.is_set() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })?;
    let claims = ProofClaims::new(&dvr, answer.statement, answer.proof, now);
    match body.response_format {
        ResponseFormat::ProofToken => identity.sign(&claims).map_err(|_| JobError::Internal),
    }
}

/// Reads the DVR token; its signature is checked when it says with which key.
///
/// A key in a key set is left to the relying party, who compares the DVR with
/// its own: an enclave fetches nothing.
fn checked_dvr(token: &str, now: i64) -> Result<Dvr, JobError> {
    let token = DvrToken::parse(token)?;
    if let Some(key @ IssuerKey::PublicKey(_)) = &token.dvr().dvr_verifying_key {
        let key = key.public_key().map_err(JobError::DvrKey)?;
        token.verify(&key).map_err(JobError::DvrSignature)?;
    }
    // Like `exp` of RFC 7519, section 4.1.4: not at that second or after it.
    if token.dvr().expires_at.is_some_and(|expiry| now >= expiry) {
        return Err(JobError::DvrExpired);
    }
    Ok(token.into_dvr())
}

impl JobError {
    fn code(&self) -> Code {
        match self {
            Self::DvrToken(error) => error.code(),
            Self::DvrKey(error) => error.code(),
            Self::DvrSignature(error) => error.code(),
            Self::DvrExpired => Code::DvrExpired,
            Self::Answer(error) => error.code(),
            Self::Internal => Code::Internal,
        }
    }
}

impl From<JobError> for Refusal {
    fn from(error: JobError) -> Self {
        let pointer = match &error {
            JobError::Answer(error) => error.pointer().map(str::to_owned),
            _ => None,
        };
        Self {
            code: error.code(),
            pointer,
            message: error.to_string(),
        }
    }
}
