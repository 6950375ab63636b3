//! The native HTTP API under `/v1`: paths, headers and messages.
//!
//! Byte strings travel as unpadded base64url.

use serde::{Deserialize, Serialize};

use crate::{
    code::Code,
    encoding::{Canonical, base64url, from_base64url},
    evidence::EvidenceDocument,
    keys::{PublicKey, SigningKey},
};

/// Lists the enclaves; with `?nonce=` (32 bytes, base64url) they attest to it.
pub const ENCLAVES_PATH: &str = "/v1/enclaves";
/// Takes sealed requests.
pub const PROOFS_PATH: &str = "/v1/proofs";
/// Says that the process runs.
pub const LIVEZ_PATH: &str = "/livez";
/// Says that the service can take requests.
pub const READYZ_PATH: &str = "/readyz";

/// Makes a repeated request join the first one.
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
/// `wait=N` asks the service to answer within N seconds if it can (RFC 7240).
pub const PREFER_HEADER: &str = "prefer";
/// Echoes the preference that was honoured (RFC 7240 section 3).
pub const PREFERENCE_APPLIED_HEADER: &str = "preference-applied";
/// Seconds to wait before asking again.
pub const RETRY_AFTER_HEADER: &str = "retry-after";
/// Where a job can be asked for.
pub const LOCATION_HEADER: &str = "location";

/// Media type of [`Problem`] (RFC 9457 section 3).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// What an enclave calls itself that has nothing to attest with.
pub const UNATTESTED_DEVELOPMENT: &str = "unattested-development";

/// Path of one job.
pub fn proof_path(id: &str) -> String {
    format!("{PROOFS_PATH}/{id}")
}

/// Answer of `GET /v1/enclaves`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnclavesResponse {
    /// The enclaves that are ready.
    pub enclaves: Vec<EnclaveOffer>,
}

/// An enclave, and its evidence when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnclaveOffer {
    /// What it says of itself.
    #[serde(flatten)]
    pub info: EnclaveInfo,
    /// Evidence for the nonce of the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceDocument>,
}

/// An enclave and the key to seal requests to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnclaveInfo {
    /// Id of the enclave.
    pub enclave_id: String,
    /// What kind of evidence it offers: `nitro`, `sev-snp`, `tdx`, or
    /// [`UNATTESTED_DEVELOPMENT`] for none.
    pub kind: String,
    /// `KIND:HEX` of its launch measurement (PCR0, MEASUREMENT, MRTD); the
    /// kind alone when there is none. A request is sealed to it.
    pub measurement_id: String,
    /// Id of the HPKE key.
    pub key_id: String,
    /// The HPKE key (X-Wing), base64url.
    pub hpke_public_key: String,
    /// The key that signs this and the proofs of this enclave; evidence is bound to it.
    pub identity_key: PublicKey,
    /// The key for requests in JWE (ECDH-ES), on the path for existing clients.
    pub encryption_key: PublicKey,
    /// Unix time in seconds from which the HPKE key is good.
    pub not_before: i64,
    /// Unix time in seconds until which it is.
    pub not_after: i64,
    /// ES256 signature of [`EnclaveInfo::signed_bytes`] under `identity_key`, base64url.
    pub signature: String,
}

impl EnclaveInfo {
    /// The bytes that are signed: every other member, in the encoding of
    /// [`Statement::canonical_bytes`](crate::statement::Statement::canonical_bytes)
    /// (texts, times as `i64`, keys as x and y) after the domain tag
    /// `zkpass/enclave-info/v2`.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut out = Canonical::new("zkpass/enclave-info/v2");
        for text in [
            &self.enclave_id,
            &self.kind,
            &self.measurement_id,
            &self.key_id,
            &self.hpke_public_key,
        ] {
            out.text(text);
        }
        for key in [&self.identity_key, &self.encryption_key] {
            let (x, y) = key.coordinates();
            out.fixed(&x);
            out.fixed(&y);
        }
        out.fixed(&self.not_before.to_be_bytes());
        out.fixed(&self.not_after.to_be_bytes());
        out.finish()
    }

    /// The same, with the identity key and signature of `key`.
    pub fn signed_by(mut self, key: &SigningKey) -> Self {
        self.identity_key = key.public();
        self.signature = base64url(&key.sign(&self.signed_bytes()));
        self
    }

    /// Whether the identity key has signed all members.
    pub fn is_signed(&self) -> bool {
        from_base64url(&self.signature)
            .and_then(|bytes| bytes.try_into().ok())
            .is_some_and(|signature| self.identity_key.verifies(&self.signed_bytes(), &signature))
    }
}

/// Body of `POST /v1/proofs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofRequest {
    /// The enclave whose key the request is sealed to.
    pub enclave_id: String,
    /// That key.
    pub key_id: String,
    /// The sealed request, base64url.
    pub sealed: String,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResponse {
    /// Its id.
    pub id: String,
    /// Its state.
    pub status: JobStatus,
    /// The sealed answer, base64url, when done. Only the holder can tell
    /// whether it holds a proof or an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_answer: Option<String>,
    /// Why it failed, when failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Waits for an enclave.
    Queued,
    /// An enclave works on it.
    Running,
    /// The enclave answered.
    Done,
    /// It ended without an answer.
    Failed,
}

impl JobStatus {
    /// Whether the state will not change.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// A problem document (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Identifies the kind of problem.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// What it means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: Code,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// More for people; never user data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request or job concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Problem {
    /// The problem document of a code.
    pub fn new(code: Code) -> Self {
        Self {
            type_uri: format!("urn:zkpass:problem:{code}"),
            title: code.meaning().into(),
            status: code.http_status(),
            code,
            retryable: code.retryable(),
            detail: None,
            instance: None,
        }
    }

    /// The same, with a detail.
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    /// The same, with the request or job concerned.
    pub fn with_instance(self, instance: impl Into<String>) -> Self {
        Self {
            instance: Some(instance.into()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> EnclaveInfo {
        let key = SigningKey::from_bytes(&[5; 32]).unwrap();
        EnclaveInfo {
            enclave_id: "e-1".into(),
            kind: UNATTESTED_DEVELOPMENT.into(),
            measurement_id: UNATTESTED_DEVELOPMENT.into(),
            key_id: "k-1".into(),
            hpke_public_key: "AAEC".into(),
            identity_key: key.public(),
            encryption_key: key.public(),
            not_before: 1,
            not_after: 2,
            signature: String::new(),
        }
        .signed_by(&key)
    }

    #[test]
    fn a_change_of_any_member_breaks_the_signature() {
        let other = SigningKey::from_bytes(&[6; 32]).unwrap().public();
        let changes: [fn(&mut EnclaveInfo, PublicKey); 10] = [
            |info, _| info.enclave_id.push('x'),
            |info, _| info.kind.push('x'),
            |info, _| info.measurement_id.push('x'),
            |info, other| info.encryption_key = other,
            |info, _| info.key_id.push('x'),
            |info, _| info.hpke_public_key.push('A'),
            |info, other| info.identity_key = other,
            |info, _| info.not_before += 1,
            |info, _| info.not_after += 1,
            |info, _| info.signature.truncate(80),
        ];
        assert!(info().is_signed());
        for (index, change) in changes.iter().enumerate() {
            let mut changed = info();
            change(&mut changed, other);
            assert!(!changed.is_signed(), "change {index}");
        }
    }

    #[test]
    fn neighbouring_members_cannot_trade_bytes() {
        let mut changed = info();
        changed.enclave_id = "e-1u".into();
        changed.kind = changed.kind.trim_start_matches('u').into();
        assert_ne!(changed.signed_bytes(), info().signed_bytes());
        assert!(!changed.is_signed());
    }

    #[test]
    fn problem_documents_follow_the_code() {
        let problem = Problem::new(Code::QueueFull).with_detail("limit `max_jobs` is 8");
        let json = serde_json::to_string(&problem).unwrap();
        assert_eq!(
            json,
            r#"{"type":"urn:zkpass:problem:queue-full","title":"too many requests are waiting","status":503,"code":"queue-full","retryable":true,"detail":"limit `max_jobs` is 8"}"#
        );
        assert_eq!(serde_json::from_str::<Problem>(&json).unwrap(), problem);
    }

    #[test]
    fn messages_have_a_fixed_form() {
        let job = JobResponse {
            id: "j".into(),
            status: JobStatus::Queued,
            sealed_answer: None,
            problem: None,
        };
        let json = serde_json::to_string(&job).unwrap();
        assert_eq!(json, r#"{"id":"j","status":"queued"}"#);
        assert_eq!(proof_path("j"), "/v1/proofs/j");
        let request = r#"{"enclave_id":"e","key_id":"k","sealed":"AA"}"#;
        let read: ProofRequest = serde_json::from_str(request).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), request);
        let extra = r#"{"enclave_id":"e","key_id":"k","sealed":"AA","x":1}"#;
        assert!(serde_json::from_str::<ProofRequest>(extra).is_err());
    }
}
