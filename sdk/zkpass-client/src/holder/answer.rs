//! Opening the answer, and checking that it answers what was asked.

use std::fmt;

use thiserror::Error;
use zkpass_channel::SealedAnswerBody;
use zkpass_core::code::Code;
use zkpass_core::encoding::from_base64url;
use zkpass_core::keys::KeyError;
use zkpass_core::proof::{ProofClaims, ProofToken};
use zkpass_core::statement::Statement;

use super::enclave::Sealed;
use super::error::{ProveError, RemoteError};
use super::request::Checked;
use crate::attestation::Record;
use crate::clock::today;

/// How far the enclave's date may be from ours: the two sides of midnight.
const MAX_DAYS_APART: u64 = 1;

/// A proof that answers the request it was made for.
///
/// Whoever relies on it verifies it; the holder has checked what it says, not
/// the mathematics.
#[derive(Clone)]
pub struct Proof {
    token: String,
    claims: ProofClaims,
    attestation: Option<Record>,
}

impl Proof {
    /// The proof as a compact JWS, to be sent to the verifier.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Takes the compact JWS out.
    pub fn into_token(self) -> String {
        self.token
    }

    /// What the proof says and shows.
    pub fn statement(&self) -> &Statement {
        &self.claims.statement
    }

    /// The evidence on which the enclave that made it was accepted; `None` for
    /// a proof made on this machine. Keep it with the proof for later audits.
    pub fn attestation(&self) -> Option<&Record> {
        self.attestation.as_ref()
    }

    /// All claims of the token.
    pub fn claims(&self) -> &ProofClaims {
        &self.claims
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("token_bytes", &self.token.len())
            .finish_non_exhaustive()
    }
}

/// In what a proof differs from the request it should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// The enclave answered another request of this holder.
    #[error("the answer belongs to another request")]
    Request,
    /// The proof token is not signed by the enclave that was asked.
    #[error("the proof is not signed by the enclave that was asked")]
    Signature,
    /// It answers another question.
    #[error("the proof answers another DVR")]
    Dvr,
    /// It has another nonce.
    #[error("the proof has another nonce")]
    Nonce,
    /// It is for another audience.
    #[error("the proof is for another audience")]
    Audience,
    /// It is about other documents.
    #[error("the proof is about other documents")]
    Documents,
    /// It is about another day.
    #[error("the proof is about another day")]
    Date,
    /// It contradicts itself.
    #[error("the claims of the proof contradict its statement")]
    Claims,
}

impl Mismatch {
    /// The stable code.
    pub fn code(self) -> Code {
        match self {
            Self::Request | Self::Dvr => Code::DvrDigestMismatch,
            Self::Signature => Code::EnclaveSignatureInvalid,
            Self::Nonce => Code::NonceMismatch,
            Self::Audience => Code::AudienceMismatch,
            Self::Documents => Code::WrongShape,
            Self::Date => Code::AsOfOutOfBounds,
            Self::Claims => Code::ClaimsMismatch,
        }
    }
}

impl Sealed {
    /// Opens the enclave's answer and checks that it fits the request.
    pub(crate) fn open(&self, answer: &str, request: &Checked<'_>) -> Result<Proof, ProveError> {
        let answer = from_base64url(answer).ok_or(RemoteError::Malformed)?;
        let (token, idempotency_id) = match self.opener.open(&answer)? {
            SealedAnswerBody::Proved {
                proof,
                idempotency_id,
            } => (proof, idempotency_id),
            SealedAnswerBody::Refused(refusal) => return Err(ProveError::Refused(refusal)),
        };
        if idempotency_id != self.idempotency_id {
            return Err(Mismatch::Request.into());
        }
        let parsed = ProofToken::parse(&token)?;
        if parsed.verify(&self.enclave().identity_key).is_err() {
            return Err(Mismatch::Signature.into());
        }
        let claims = parsed.into_claims();
        check(&claims, request)?;
        Ok(Proof {
            token,
            claims,
            attestation: Some(self.record.clone()),
        })
    }
}

/// A proof made on this machine, checked in the same way.
pub(crate) fn accept(token: String, request: &Checked<'_>) -> Result<Proof, ProveError> {
    let claims = ProofToken::parse(&token)?.into_claims();
    check_question(&claims, request)?;
    Ok(Proof {
        token,
        claims,
        attestation: None,
    })
}

fn check(claims: &ProofClaims, request: &Checked<'_>) -> Result<(), Mismatch> {
    check_question(claims, request)?;
    let stated = claims.statement.as_of.day_number();
    let near = |today: i64| today.abs_diff(stated) <= MAX_DAYS_APART;
    match today() {
        Some(today) if near(today.day_number()) => Ok(()),
        _ => Err(Mismatch::Date),
    }
}

fn check_question(claims: &ProofClaims, request: &Checked<'_>) -> Result<(), Mismatch> {
    let statement = &claims.statement;
    let dvr = &request.dvr;
    if statement.dvr_digest != dvr.digest() || statement.proof_system != dvr.zkvm {
        return Err(Mismatch::Dvr);
    }
    if statement.nonce != dvr.nonce {
        return Err(Mismatch::Nonce);
    }
    if statement.audience != dvr.audience {
        return Err(Mismatch::Audience);
    }
    let stated = statement.tokens.iter().map(|token| {
        let key = Ok::<_, KeyError>(token.issuer_key);
        (&token.tag, token.profile, key, Some(&token.header))
    });
    let asked = dvr.user_data_requests.iter().map(|(tag, wanted)| {
        let key = wanted.user_data_verifying_key.public_key();
        (tag, wanted.profile, key, request.headers.get(tag))
    });
    if !stated.eq(asked) {
        return Err(Mismatch::Documents);
    }
    match claims.agree_with(dvr) {
        true => Ok(()),
        false => Err(Mismatch::Claims),
    }
}
