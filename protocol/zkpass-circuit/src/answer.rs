//! From a DVR and signed tokens to a statement and its proof: what an enclave
//! does, and a holder who proves locally.
//!
//! Everything that can be wrong with the request or the data is found before the
//! first costly step.

use crate::gadgets::ecdsa::SignatureWitness;
use crate::keys::{self, CircuitError, KeyCache, ProveError};
use crate::plan::bucket_for;
use crate::witness::{SignedToken, Witness};
use crate::{PROOF_SYSTEM, Shape, VERSION};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zkpass_core::code::Code;
use zkpass_core::date::Date;
use zkpass_core::dvr::{Dvr, DvrError};
use zkpass_core::jws::{Compact, TokenError};
use zkpass_core::keys::KeyError;
use zkpass_core::limits::MAX_TOTAL_TOKEN_BYTES;
use zkpass_core::statement::{Statement, TokenStatement};
use zkpass_core::user_data::data_root;
use zkpass_query::{EvalError, QueryError};

/// What is asked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The question. Its signature and expiry are the caller's to check.
    pub dvr: &'a Dvr,
    /// User data tokens (compact JWS) by tag.
    pub tokens: &'a BTreeMap<String, String>,
    /// The date for ages and day differences; part of the statement.
    pub as_of: Date,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("dvr_id", &self.dvr.dvr_id)
            .field("as_of", &self.as_of)
            .finish_non_exhaustive()
    }
}

/// A statement and its proof.
pub struct Answer {
    /// What is proven.
    pub statement: Statement,
    /// The proof in the proof system's serialisation.
    pub proof: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("proof_bytes", &self.proof.len())
            .finish_non_exhaustive()
    }
}

/// Where the work stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the DVR and the tokens, checking signatures.
    Checking,
    /// Evaluating the query.
    Evaluating,
    /// Deriving the circuit's keys, or finding them in the cache.
    DerivingKeys,
    /// Computing the witness and committing to it.
    Preparing,
    /// Making the proof.
    Proving,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The DVR breaks a rule.
    #[error(transparent)]
    Dvr(#[from] DvrError),
    /// The query is not one that can be proven.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No token for this tag of the DVR.
    #[error("no token is given for `{0}`")]
    MissingToken(String),
    /// A token for a tag that the DVR does not have.
    #[error("a token is given for `{0}`, which the DVR does not ask for")]
    UnexpectedToken(String),
    /// The tokens are too large together.
    #[error("the tokens are larger than {MAX_TOTAL_TOKEN_BYTES} bytes together")]
    TokensTooLarge,
    /// A token is refused or its signature does not verify.
    #[error("token for `{tag}`: {error}")]
    Token {
        /// The token's tag.
        tag: String,
        /// The cause.
        error: TokenError,
    },
    /// The DVR does not hold the issuer's key itself.
    #[error("issuer key for `{tag}`: {error}")]
    IssuerKey {
        /// The token's tag.
        tag: String,
        /// The cause.
        error: KeyError,
    },
    /// The data does not answer the query.
    #[error(transparent)]
    Data(#[from] EvalError),
    /// No circuit of this size is supported.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The proof system failed.
    #[error("the proof system could not make the proof")]
    ProvingFailed,
    /// The observer asked to stop.
    #[error("proving was cancelled")]
    Cancelled,
}

impl AnswerError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Dvr(e) => e.code(),
            Self::Query(e) => e.code(),
            Self::MissingToken(_) => Code::MissingToken,
            Self::UnexpectedToken(_) => Code::UnexpectedToken,
            Self::TokensTooLarge => Code::TokensTooLarge,
            Self::Token { error, .. } => error.code(),
            Self::IssuerKey { error, .. } => error.code(),
            Self::Data(e) => e.code(),
            Self::Circuit(_) => Code::QueryTooLarge,
            Self::ProvingFailed => Code::Internal,
            Self::Cancelled => Code::Cancelled,
        }
    }

    /// JSON pointer (RFC 6901) into the query, where the cause has a place there.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Query(e) => Some(e.pointer()),
            Self::Data(e) => Some(e.pointer()),
            _ => None,
        }
    }
}

impl From<ProveError> for AnswerError {
    fn from(e: ProveError) -> Self {
        match e {
            ProveError::Cancelled => AnswerError::Cancelled,
            ProveError::WrongShape | ProveError::Failed => AnswerError::ProvingFailed,
        }
    }
}

/// Checks the tokens, evaluates the query and proves the result. The observer
/// hears of each phase before it begins and can stop the work there.
pub fn answer(
    request: &Request<'_>,
    cache: &KeyCache,
    observer: &mut dyn FnMut(Phase) -> ControlFlow<()>,
) -> Result<Answer, AnswerError> {
    let mut enter = |phase| match observer(phase) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(AnswerError::Cancelled),
    };
    enter(Phase::Checking)?;
    let dvr = request.dvr;
    dvr.validate()?;
    let program = zkpass_query::compile(&dvr.query, &dvr.tags())?;
    if let Some(tag) = request
        .tokens
        .keys()
        .find(|t| !dvr.user_data_requests.contains_key(*t))
    {
        return Err(AnswerError::UnexpectedToken(tag.clone()));
    }
    if request.tokens.values().map(String::len).sum::<usize>() > MAX_TOTAL_TOKEN_BYTES {
        return Err(AnswerError::TokensTooLarge);
    }
    let mut parsed = vec![];
    let mut statements = vec![];
    let mut signed = vec![];
    for (tag, wanted) in &dvr.user_data_requests {
        let refuse = |error: TokenError| AnswerError::Token {
            tag: tag.clone(),
            error,
        };
        let text = request
            .tokens
            .get(tag)
            .ok_or_else(|| AnswerError::MissingToken(tag.clone()))?;
        let token = Compact::parse(text).map_err(refuse)?;
        let key = wanted.user_data_verifying_key.public_key();
        let issuer_key = key.map_err(|error| AnswerError::IssuerKey {
            tag: tag.clone(),
            error,
        })?;
        token.verify(&issuer_key).map_err(refuse)?;
        let input = token.signing_input().as_bytes().to_vec();
        let blocks = bucket_for(input.len()).ok_or(AnswerError::TokensTooLarge)?;
        let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&input).into();
        let signature =
            SignatureWitness::new(&issuer_key.coordinates(), &digest, &token.signature())
                .ok_or_else(|| refuse(TokenError::BadSignature))?;
        statements.push(TokenStatement {
            tag: tag.clone(),
            profile: wanted.profile,
            issuer_key,
            header: token.header_b64().to_owned(),
            blocks,
        });
        signed.push(SignedToken {
            signing_input: input,
            signature,
        });
        parsed.push((tag.clone(), wanted.profile, token));
    }

    enter(Phase::Evaluating)?;
    let mut payloads = vec![];
    for (tag, profile, token) in &parsed {
        let payload = token.payload_json().map_err(|error| AnswerError::Token {
            tag: tag.clone(),
            error,
        })?;
        payloads.push((tag, *profile, payload));
    }
    let mut documents = zkpass_query::Documents::new();
    for (tag, profile, payload) in &payloads {
        let root = data_root(payload, *profile).ok_or_else(|| AnswerError::Token {
            tag: (*tag).clone(),
            error: TokenError::MissingData,
        })?;
        documents.insert((*tag).clone(), root);
    }
    let output = zkpass_query::evaluate(&program, &documents, request.as_of)?;

    enter(Phase::DerivingKeys)?;
    let mut statement = Statement {
        proof_system: PROOF_SYSTEM.to_owned(),
        version: VERSION,
        circuit_digest: [0; 32],
        dvr_digest: dvr.digest(),
        tokens: statements,
        as_of: request.as_of,
        nonce: dvr.nonce.clone(),
        audience: dvr.audience.clone(),
        output,
    };
    let keys = cache.get(&program, &Shape::of_statement(&statement))?;
    statement.circuit_digest = keys.circuit_digest();

    enter(Phase::Preparing)?;
    let witness = Witness::new(keys.plan(), &program, signed, request.as_of);
    let prepared = keys::prepare(&keys, &statement, witness)?;
    enter(Phase::Proving)?;
    let proof = prepared.prove()?;
    Ok(Answer { statement, proof })
}
