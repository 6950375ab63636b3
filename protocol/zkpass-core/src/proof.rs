//! The zkPass proof token: a statement, its zero-knowledge proof and what the
//! enclave says about both.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    code::Code,
    dvr::Dvr,
    encoding::{base64url_bytes, hex_digest},
    json,
    jws::{self, Compact, Header, TokenError},
    keys::{IssuerKey, PublicKey, SigningKey},
    limits::{MAX_PROOF_BYTES, MAX_PROOF_TOKEN_BYTES},
    statement::{Statement, StatementError},
};

/// `typ` of a proof token.
pub const PROOF_TYPE: &str = "zkpass-proof+jwt";

/// The claims of a proof token.
///
/// Soundness rests on `zkproof` and `statement`; the members that repeat the
/// statement or the DVR are for people and existing clients, and the verifier
/// checks that they agree.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofClaims {
    /// The zero-knowledge proof.
    #[serde(with = "base64url_bytes")]
    pub zkproof: Vec<u8>,
    /// What it proves.
    pub statement: Statement,
    /// Title of the DVR.
    pub dvr_title: String,
    /// Id of the DVR.
    pub dvr_id: String,
    /// Digest of the DVR.
    #[serde(with = "hex_digest")]
    pub dvr_digest: [u8; 32],
    /// The issuers' keys by tag.
    pub user_data_verifying_keys: BTreeMap<String, PublicKey>,
    /// The verifier's key, as the DVR names it.
    pub dvr_verifying_key: Option<IssuerKey>,
    /// When the proof was made, in Unix seconds by the enclave's clock.
    pub time_stamp: i64,
    /// Name of the proof system.
    pub proof_system: String,
    /// Digest of the circuits.
    #[serde(with = "hex_digest")]
    pub circuit_digest: [u8; 32],
    /// Digest of the enclave's evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

impl ProofClaims {
    /// Puts a proof and its statement together with what they repeat.
    pub fn new(dvr: &Dvr, statement: Statement, zkproof: Vec<u8>, time_stamp: i64) -> Self {
        Self {
            zkproof,
            dvr_title: dvr.dvr_title.clone(),
            dvr_id: dvr.dvr_id.clone(),
            dvr_digest: statement.dvr_digest,
            user_data_verifying_keys: issuer_keys(&statement),
            dvr_verifying_key: dvr.dvr_verifying_key.clone(),
            time_stamp,
            proof_system: statement.proof_system.clone(),
            circuit_digest: statement.circuit_digest,
            evidence: None,
            statement,
        }
    }

    /// Whether every member that repeats the statement or the DVR agrees with it.
    pub fn agree_with(&self, dvr: &Dvr) -> bool {
        let expected = Self {
            evidence: self.evidence.clone(),
            ..Self::new(dvr, self.statement.clone(), Vec::new(), self.time_stamp)
        };
        Self {
            zkproof: Vec::new(),
            ..self.clone()
        } == expected
    }
}

fn issuer_keys(statement: &Statement) -> BTreeMap<String, PublicKey> {
    statement
        .tokens
        .iter()
        .map(|token| (token.tag.clone(), token.issuer_key))
        .collect()
}

/// Shows the statement (without values) and the size of the proof.
impl fmt::Debug for ProofClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofClaims")
            .field("proof_bytes", &self.zkproof.len())
            .field("statement", &self.statement)
            .field("time_stamp", &self.time_stamp)
            .finish_non_exhaustive()
    }
}

/// Why a text is not a proof token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProofTokenError {
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The statement is refused.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The proof is too long.
    #[error("proof exceeds {MAX_PROOF_BYTES} bytes")]
    ProofTooLarge,
}

impl ProofTokenError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Token(TokenError::TooLarge { .. }) | Self::ProofTooLarge => Code::ProofTooLarge,
            Self::Token(TokenError::BadPayload(_)) | Self::Statement(_) => Code::ProofMalformed,
            Self::Token(error) => error.code(),
        }
    }
}

/// A proof token whose form is checked, and nothing else.
#[derive(Clone, Debug)]
pub struct ProofToken {
    compact: Compact,
    claims: ProofClaims,
}

impl ProofToken {
    /// Reads a token. Nothing in it is verified yet.
    pub fn parse(text: &str) -> Result<Self, ProofTokenError> {
        let compact = Compact::parse_within(text, MAX_PROOF_TOKEN_BYTES)?;
        if compact.header().typ.as_deref() != Some(PROOF_TYPE) {
            let expected = PROOF_TYPE;
            return Err(TokenError::WrongType { expected }.into());
        }
        let claims: ProofClaims =
            json::decode(compact.payload_text()?).map_err(TokenError::decode)?;
        claims.statement.validate()?;
        if claims.zkproof.len() > MAX_PROOF_BYTES {
            return Err(ProofTokenError::ProofTooLarge);
        }
        Ok(Self { compact, claims })
    }

    /// Signs claims; the `kid` is the thumbprint of the key.
    pub fn sign(claims: &ProofClaims, key: &SigningKey) -> Result<String, ProofTokenError> {
        claims.statement.validate()?;
        if claims.zkproof.len() > MAX_PROOF_BYTES {
            return Err(ProofTokenError::ProofTooLarge);
        }
        let payload = serde_json::to_string(claims)
            .map_err(|error| TokenError::BadPayload(error.to_string()))?;
        let kid = key.public().thumbprint();
        let header = Header::new(PROOF_TYPE, Some(&kid));
        Ok(jws::sign(&header, payload.as_bytes(), key))
    }

    /// The protected header.
    pub fn header(&self) -> &Header {
        self.compact.header()
    }

    /// The claims, unverified.
    pub fn claims(&self) -> &ProofClaims {
        &self.claims
    }

    /// Takes the claims out, unverified.
    pub fn into_claims(self) -> ProofClaims {
        self.claims
    }

    /// Checks the signature.
    pub fn verify(&self, key: &PublicKey) -> Result<(), TokenError> {
        self.compact.verify(key)
    }
}

#[cfg(test)]
mod tests;
