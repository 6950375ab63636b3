//! What a verifier does: write a question, sign it, and check the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;
use zkpass_circuit::KeyCache;
use zkpass_core::code::Code;
use zkpass_core::dvr::{Dvr, DvrError, DvrToken, DvrTokenError, PROOF_SYSTEM, UserDataRequest};
use zkpass_core::keys::{IssuerKey, SigningKey};
use zkpass_core::user_data::Profile;
use zkpass_query::ast::Program;
use zkpass_query::{LeakageReport, QueryError};
pub use zkpass_verify::{Claims, Policy, VerifyError};

use crate::clock::unix_seconds;
use crate::keys::{NoRandomness, random_id};

/// Version of the query language that this crate writes into requests.
const QUERY_VERSION: &str = "1.0.0";

/// Puts a data verification request together.
#[derive(Debug, Clone)]
pub struct DvrBuilder {
    dvr: Dvr,
}

impl DvrBuilder {
    /// Starts from a query script; the request gets a random id.
    pub fn new(query: impl Into<String>) -> Result<Self, NoRandomness> {
        Ok(Self {
            dvr: Dvr {
                zkvm: PROOF_SYSTEM.to_owned(),
                dvr_title: String::new(),
                dvr_id: random_id()?,
                query_engine_ver: QUERY_VERSION.to_owned(),
                query_method_ver: QUERY_VERSION.to_owned(),
                query: query.into(),
                user_data_requests: BTreeMap::new(),
                dvr_verifying_key: None,
                nonce: None,
                audience: None,
                expires_at: None,
                max_age_days: None,
                holder_binding: None,
            },
        })
    }

    /// Asks for the only document, signed by this issuer.
    pub fn document(self, issuer_key: IssuerKey, profile: Profile) -> Self {
        self.tagged_document("", issuer_key, profile)
    }

    /// Asks for one of several documents; paths in the query start with the tag.
    pub fn tagged_document(
        mut self,
        tag: impl Into<String>,
        issuer_key: IssuerKey,
        profile: Profile,
    ) -> Self {
        let request = UserDataRequest {
            user_data_url: None,
            user_data_verifying_key: issuer_key,
            profile,
        };
        self.dvr.user_data_requests.insert(tag.into(), request);
        self
    }

    /// Replaces the random id.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.dvr.dvr_id = id.into();
        self
    }

    /// Sets the title that is shown to the holder.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.dvr.dvr_title = title.into();
        self
    }

    /// Sets the nonce, which makes an answer to this request only this one's.
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.dvr.nonce = Some(nonce.into());
        self
    }

    /// Says who may rely on the answer.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.dvr.audience = Some(audience.into());
        self
    }

    /// Sets the end of the request's life, in seconds since 1970.
    pub fn expires_at(mut self, unix_seconds: i64) -> Self {
        self.dvr.expires_at = Some(unix_seconds);
        self
    }

    /// Limits how many days before its verification an answer's date may lie.
    pub fn max_age_days(mut self, days: u32) -> Self {
        self.dvr.max_age_days = Some(days);
        self
    }

    /// Names the key under which the signed request verifies.
    pub fn verifying_key(mut self, key: IssuerKey) -> Self {
        self.dvr.dvr_verifying_key = Some(key);
        self
    }

    /// Checks the request as a whole.
    pub fn build(self) -> Result<Question, QuestionError> {
        Question::new(self.dvr)
    }
}

/// A request that was checked: it can be signed, answered and proven.
#[derive(Debug, Clone)]
pub struct Question {
    dvr: Dvr,
    program: Program,
    leakage: LeakageReport,
}

impl Question {
    /// Checks a request: its form, and that its query compiles for its tags.
    pub fn new(dvr: Dvr) -> Result<Self, QuestionError> {
        dvr.validate()?;
        let (program, leakage) = check(&dvr.query, &dvr.tags())?;
        Ok(Self {
            dvr,
            program,
            leakage,
        })
    }

    /// The request.
    pub fn dvr(&self) -> &Dvr {
        &self.dvr
    }

    /// The checked query.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What answers can reveal about the data.
    pub fn leakage(&self) -> &LeakageReport {
        &self.leakage
    }

    /// Signs the request; the token is a compact JWS for holders.
    pub fn sign(&self, key: &SigningKey, kid: Option<&str>) -> Result<String, DvrTokenError> {
        DvrToken::sign(&self.dvr, key, kid)
    }
}

/// Checks a query and reports what its answers can reveal.
pub fn check(query: &str, tags: &[&str]) -> Result<(Program, LeakageReport), QueryError> {
    let program = zkpass_query::compile(query, tags)?;
    let leakage = zkpass_query::leakage(&program);
    Ok((program, leakage))
}

/// Why a request is not a good question.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuestionError {
    /// A field of the request breaks a rule.
    #[error(transparent)]
    Dvr(#[from] DvrError),
    /// The query does not compile.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl QuestionError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Dvr(error) => error.code(),
            Self::Query(error) => error.code(),
        }
    }
}

/// Verifies proofs on a thread of its own, so that others are not held up.
///
/// Circuits are derived once and kept: clones share them.
#[derive(Clone)]
pub struct Verifier {
    cache: Arc<KeyCache>,
}

impl Verifier {
    /// A verifier that keeps the circuits of this many different questions.
    pub fn new(circuits: usize) -> Self {
        Self::with_cache(Arc::new(KeyCache::new(circuits)))
    }

    /// A verifier that shares a cache, for example with local proving.
    pub fn with_cache(cache: Arc<KeyCache>) -> Self {
        Self { cache }
    }

    /// Verifies a proof by a policy, at the present time.
    pub async fn verify(&self, policy: Policy, proof: String) -> Result<Claims, VerifyTaskError> {
        let cache = Arc::clone(&self.cache);
        let now = unix_seconds();
        let verified = tokio::task::spawn_blocking(move || policy.verify(&proof, now, &cache));
        Ok(verified.await.map_err(|_| VerifyTaskError::Ended)??)
    }
}

/// Why an asynchronous verification gave no claims.
#[derive(Debug, Error)]
pub enum VerifyTaskError {
    /// The proof is not accepted.
    #[error(transparent)]
    Refused(#[from] VerifyError),
    /// The runtime shut down, or verification panicked.
    #[error("verification did not run to its end")]
    Ended,
}

impl VerifyTaskError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(error) => error.code(),
            Self::Ended => Code::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    const QUERY: &str = r#"[{"output":{"adult":{">=":[{"dvar":"age"},18]}}}]"#;

    fn builder(query: &str) -> DvrBuilder {
        let issuer = keys::generate().unwrap().public();
        DvrBuilder::new(query)
            .unwrap()
            .document(issuer.into(), Profile::Zkpass)
    }

    #[test]
    fn a_question_is_built_checked_and_signed() {
        let key = keys::generate().unwrap();
        let question = builder(QUERY)
            .title("Age")
            .nonce("n")
            .audience("shop")
            .expires_at(1)
            .max_age_days(2)
            .verifying_key(key.public().into())
            .build()
            .unwrap();
        assert_eq!(question.leakage().worst_case_bits, 1);
        assert_eq!(question.program().outputs, ["adult"]);
        let token = DvrToken::parse(&question.sign(&key, Some("k")).unwrap()).unwrap();
        token.verify(&key.public()).unwrap();
        assert_eq!(token.dvr(), question.dvr());
        assert_eq!(token.dvr().dvr_id.len(), 32);
    }

    #[test]
    fn bad_questions_are_refused() {
        let code = |builder: DvrBuilder| builder.build().unwrap_err().code();
        assert_eq!(code(builder("{}")), Code::NotAnArray);
        assert_eq!(code(DvrBuilder::new(QUERY).unwrap()), Code::DvrTags);
        let issuer = keys::generate().unwrap().public();
        let two = builder(QUERY).tagged_document("bank", issuer.into(), Profile::Jwt);
        assert_eq!(code(two), Code::DvrTags);
        assert_eq!(
            check(QUERY, &["bank", "shop"]).unwrap_err().code(),
            Code::UnknownTag
        );
    }

    #[tokio::test]
    async fn refusals_keep_their_code() {
        let question = builder(QUERY).build().unwrap();
        let policy = Policy::new(question.dvr().clone(), BTreeMap::new());
        let verified = Verifier::new(1).verify(policy, "x".into()).await;
        assert_eq!(verified.unwrap_err().code(), Code::EnclavePolicyMissing);
    }
}
