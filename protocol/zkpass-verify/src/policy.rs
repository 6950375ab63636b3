//! What a relying party accepts, and the verification by it.

use std::collections::BTreeMap;

use zkpass_circuit::{KeyCache, Shape};
use zkpass_core::{
    date::Date,
    dvr::Dvr,
    jws::Header,
    keys::{KeyError, PublicKey},
    proof::{ProofClaims, ProofToken},
    statement::Statement,
};
use zkpass_query::ast::Program;

use crate::{Claims, VerifyError};

/// How far clocks may differ unless the policy says otherwise.
pub const DEFAULT_MAX_SKEW_SECONDS: u32 = 60;

/// What a relying party accepts. There is no default: it must say what it
/// asked, whom it trusts, and how to treat the enclave signature.
#[derive(Clone, Debug)]
pub struct Policy {
    dvr: Dvr,
    issuer_keys: BTreeMap<String, PublicKey>,
    enclave: Option<EnclaveSignature>,
    nonce: Option<String>,
    audience: Option<String>,
    earliest: Option<Date>,
    latest: Option<Date>,
    max_skew: u32,
    time_stamp_ttl: Option<u64>,
    proof_systems: Vec<(String, u32)>,
}

#[derive(Clone, Debug)]
enum EnclaveSignature {
    Ignored,
    OneOf(Vec<PublicKey>),
}

impl Policy {
    /// A policy for answers to `dvr` about documents signed by these keys, one
    /// per tag. The keys are those the relying party itself trusts, not what
    /// it read in the DVR or the proof.
    ///
    /// One of [`Policy::expect_enclave_keys`] and
    /// [`Policy::ignore_enclave_signature`] must follow.
    pub fn new(dvr: Dvr, issuer_keys: BTreeMap<String, PublicKey>) -> Self {
        Self {
            dvr,
            issuer_keys,
            enclave: None,
            nonce: None,
            audience: None,
            earliest: None,
            latest: None,
            max_skew: DEFAULT_MAX_SKEW_SECONDS,
            time_stamp_ttl: None,
            proof_systems: vec![(zkpass_circuit::PROOF_SYSTEM.into(), zkpass_circuit::VERSION)],
        }
    }

    /// Requires the signature of one of these enclaves.
    pub fn expect_enclave_keys(mut self, keys: Vec<PublicKey>) -> Self {
        self.enclave = Some(EnclaveSignature::OneOf(keys));
        self
    }

    /// Accepts a proof whoever signed the token. The answer is proven all the
    /// same; only the time stamp is then nobody's word.
    pub fn ignore_enclave_signature(mut self) -> Self {
        self.enclave = Some(EnclaveSignature::Ignored);
        self
    }

    /// Requires this nonce, beyond that it must be the DVR's.
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Requires this audience, beyond that it must be the DVR's.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Refuses reference dates before this one. Without it, and without
    /// `max_age_days` in the DVR, any past date is accepted: look at
    /// [`Claims::as_of`].
    pub fn as_of_not_before(mut self, earliest: Date) -> Self {
        self.earliest = Some(earliest);
        self
    }

    /// Refuses reference dates after this one. Without it the last one
    /// accepted is today.
    pub fn as_of_not_after(mut self, latest: Date) -> Self {
        self.latest = Some(latest);
        self
    }

    /// How many seconds clocks may differ.
    pub fn max_skew(mut self, seconds: u32) -> Self {
        self.max_skew = seconds;
        self
    }

    /// Refuses proofs whose time stamp is older than this.
    pub fn time_stamp_ttl(mut self, seconds: u64) -> Self {
        self.time_stamp_ttl = Some(seconds);
        self
    }

    /// Accepts only these proof systems and versions, of those that this
    /// library can verify.
    pub fn proof_systems(mut self, allowed: Vec<(String, u32)>) -> Self {
        self.proof_systems = allowed;
        self
    }

    /// Verifies a proof token at the Unix time `now`. The steps are listed in
    /// the documentation of this crate.
    ///
    /// To verify an archived proof again, give the time at which it was
    /// received.
    pub fn verify(&self, proof: &str, now: i64, cache: &KeyCache) -> Result<Claims, VerifyError> {
        let today = Date::from_unix_seconds(now).ok_or(VerifyError::ClockOutOfRange)?;
        let program = self.check_policy()?;

        let token = ProofToken::parse(proof)?;
        let claims = token.claims();
        let statement = &claims.statement;
        self.check_proof_system(statement)?;
        self.check_documents(statement)?;
        if statement.dvr_digest != self.dvr.digest() {
            return Err(VerifyError::DvrDigestMismatch);
        }
        self.check_issuer_keys(statement)?;
        check_headers(statement)?;
        self.check_nonce_and_audience(statement)?;
        self.check_as_of(statement.as_of, now, today)?;
        self.check_time_stamp(claims.time_stamp, now)?;
        if self.dvr.expires_at.is_some_and(|expiry| now >= expiry) {
            return Err(VerifyError::DvrExpired);
        }
        if !claims.agree_with(&self.dvr) {
            return Err(VerifyError::ClaimsMismatch);
        }
        let enclave = self.check_enclave_signature(&token)?;
        check_proof(&program, claims, cache)?;

        let ProofClaims {
            statement,
            time_stamp,
            ..
        } = token.into_claims();
        Ok(Claims::new(statement, &self.dvr, time_stamp, enclave))
    }

    fn check_policy(&self) -> Result<Program, VerifyError> {
        if self.enclave.is_none() {
            return Err(VerifyError::EnclaveUndecided);
        }
        self.dvr.validate()?;
        let requests = &self.dvr.user_data_requests;
        if let Some(tag) = self
            .issuer_keys
            .keys()
            .find(|tag| !requests.contains_key(*tag))
        {
            return Err(VerifyError::UnknownTag { tag: tag.clone() });
        }
        for (tag, request) in requests {
            let tag = || tag.clone();
            let Some(trusted) = self.issuer_keys.get(&tag()) else {
                return Err(VerifyError::MissingIssuerKey { tag: tag() });
            };
            match request.user_data_verifying_key.public_key() {
                Ok(named) if named == *trusted => {}
                // The policy says to which key the key set led.
                Err(KeyError::KeysetUnresolved) => {}
                _ => return Err(VerifyError::DvrKeyNotTrusted { tag: tag() }),
            }
        }
        Ok(zkpass_query::compile(&self.dvr.query, &self.dvr.tags())?)
    }

    fn check_proof_system(&self, statement: &Statement) -> Result<(), VerifyError> {
        let name = &*statement.proof_system;
        let mut versions = self
            .proof_systems
            .iter()
            .filter(|(allowed, _)| allowed == name);
        if name != zkpass_circuit::PROOF_SYSTEM
            || name != self.dvr.zkvm
            || versions.clone().next().is_none()
        {
            return Err(VerifyError::UnsupportedProofSystem);
        }
        let version = statement.version;
        if version != zkpass_circuit::VERSION || !versions.any(|(_, allowed)| *allowed == version) {
            return Err(VerifyError::UnsupportedVersion { version });
        }
        Ok(())
    }

    /// Tags and profiles select the circuit, so they must be the DVR's.
    fn check_documents(&self, statement: &Statement) -> Result<(), VerifyError> {
        let requests = &self.dvr.user_data_requests;
        let tags = statement.tokens.iter().map(|token| &token.tag);
        if !tags.eq(requests.keys()) {
            return Err(VerifyError::WrongDocuments);
        }
        for (token, request) in statement.tokens.iter().zip(requests.values()) {
            if token.profile != request.profile {
                let tag = token.tag.clone();
                return Err(VerifyError::WrongProfile { tag });
            }
        }
        Ok(())
    }

    fn check_issuer_keys(&self, statement: &Statement) -> Result<(), VerifyError> {
        for token in &statement.tokens {
            if self.issuer_keys.get(&token.tag) != Some(&token.issuer_key) {
                let tag = token.tag.clone();
                return Err(VerifyError::IssuerKeyMismatch { tag });
            }
        }
        Ok(())
    }

    fn check_nonce_and_audience(&self, statement: &Statement) -> Result<(), VerifyError> {
        let agree = |stated: &Option<String>, asked: &Option<String>, wanted: &Option<String>| {
            stated == asked && (wanted.is_none() || stated == wanted)
        };
        if !agree(&statement.nonce, &self.dvr.nonce, &self.nonce) {
            return Err(VerifyError::NonceMismatch);
        }
        if !agree(&statement.audience, &self.dvr.audience, &self.audience) {
            return Err(VerifyError::AudienceMismatch);
        }
        Ok(())
    }

    fn check_as_of(&self, as_of: Date, now: i64, today: Date) -> Result<(), VerifyError> {
        // An enclave whose clock runs ahead may have reached tomorrow.
        let latest = self
            .latest
            .or_else(|| Date::from_unix_seconds(now.saturating_add(self.max_skew.into())));
        if let Some(latest) = latest
            && as_of > latest
        {
            return Err(VerifyError::AsOfTooLate { as_of, latest });
        }
        let oldest = self.dvr.max_age_days.map(|days| {
            let number = today.day_number().saturating_sub(days.into());
            Date::from_day_number(number.max(1)).unwrap_or(today)
        });
        if let Some(earliest) = oldest.max(self.earliest)
            && as_of < earliest
        {
            return Err(VerifyError::AsOfTooEarly { as_of, earliest });
        }
        Ok(())
    }

    fn check_time_stamp(&self, time_stamp: i64, now: i64) -> Result<(), VerifyError> {
        let age = now.saturating_sub(time_stamp);
        if age < -i64::from(self.max_skew) {
            return Err(VerifyError::TimeStampInFuture);
        }
        match self.time_stamp_ttl {
            Some(ttl_seconds) if u64::try_from(age).is_ok_and(|age| age > ttl_seconds) => {
                Err(VerifyError::TimeStampExpired { ttl_seconds })
            }
            _ => Ok(()),
        }
    }

    fn check_enclave_signature(
        &self,
        token: &ProofToken,
    ) -> Result<Option<PublicKey>, VerifyError> {
        match &self.enclave {
            None => Err(VerifyError::EnclaveUndecided),
            Some(EnclaveSignature::Ignored) => Ok(None),
            Some(EnclaveSignature::OneOf(keys)) => keys
                .iter()
                .find(|key| token.verify(key).is_ok())
                .map(|key| Some(*key))
                .ok_or(VerifyError::EnclaveSignatureInvalid),
        }
    }
}

/// The issuer signed this header; the rules decide how it is read.
fn check_headers(statement: &Statement) -> Result<(), VerifyError> {
    for token in &statement.tokens {
        Header::from_base64url(&token.header).map_err(|error| VerifyError::HeaderRefused {
            tag: token.tag.clone(),
            error,
        })?;
    }
    Ok(())
}

/// The costly steps: derives the circuit and verifies the proof with it.
fn check_proof(
    program: &Program,
    claims: &ProofClaims,
    cache: &KeyCache,
) -> Result<(), VerifyError> {
    let statement = &claims.statement;
    let keys = cache
        .get(program, &Shape::of_statement(statement))
        .map_err(VerifyError::NoCircuit)?;
    if keys.circuit_digest() != statement.circuit_digest {
        return Err(VerifyError::CircuitDigestMismatch);
    }
    // The proof first, then every public value in it against the statement.
    Ok(zkpass_circuit::verify(
        &keys,
        program,
        statement,
        &claims.zkproof,
    )?)
}
