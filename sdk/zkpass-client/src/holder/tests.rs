use std::collections::BTreeMap;

use zkpass_channel::{Binding, Refusal, SealedAnswerBody};
use zkpass_core::api::{EnclaveInfo, EnclaveOffer};
use zkpass_core::code::Code;
use zkpass_core::dvr::Dvr;
use zkpass_core::encoding::{base64url, from_base64url};
use zkpass_core::evidence::Nonce;
use zkpass_core::jws::Compact;
use zkpass_core::keys::SigningKey;
use zkpass_core::proof::{ProofClaims, ProofToken};
use zkpass_core::statement::{Statement, TokenStatement};
use zkpass_core::user_data::Profile;

use super::answer::Mismatch;
use super::enclave::{Cache, accept_all};
use super::error::{ProveError, RemoteError};
use super::request::Request;
use super::{EnclaveError, system_rng};
use crate::attestation::{MAX_RECORD_BYTES, Record, RecordError, accept};
use crate::clock::{today, unix_seconds};
use crate::issuer::Issuer;
use crate::keys;
use crate::verifier::DvrBuilder;

use self::tee::Tee;

#[path = "../../tests/tee/mod.rs"]
mod tee;

const QUERY: &str = r#"[{"output":{"adult":{">=":[{"dvar":"age"},18]}}}]"#;
const NOW: i64 = 1_800_000_000;

/// A question, its answerer's data, and the keys behind both.
struct Scene {
    issuer: Issuer,
    verifier: SigningKey,
    dvr: Dvr,
    tokens: BTreeMap<String, String>,
}

impl Scene {
    fn new() -> Self {
        let issuer = Issuer::new(keys::generate().unwrap());
        let verifier = keys::generate().unwrap();
        let question = DvrBuilder::new(QUERY)
            .unwrap()
            .document(issuer.public_key().into(), Profile::Zkpass)
            .verifying_key(verifier.public().into())
            .nonce("n-1")
            .audience("shop")
            .expires_at(NOW + 10)
            .build()
            .unwrap();
        let token = issuer.sign(r#"{"age":30}"#, Profile::Zkpass).unwrap();
        Self {
            issuer,
            verifier,
            dvr: question.dvr().clone(),
            tokens: BTreeMap::from([(String::new(), token)]),
        }
    }

    fn request(&self) -> Request {
        Request::new(self.sign(), self.tokens.clone())
    }

    /// Signs the DVR as it is, valid or not.
    fn sign(&self) -> String {
        let header = zkpass_core::jws::Header::new("JWT", None);
        let payload = serde_json::json!({ "data": self.dvr }).to_string();
        zkpass_core::jws::sign(&header, payload.as_bytes(), &self.verifier)
    }

    fn code(&self) -> Option<Code> {
        self.request().check(NOW).err().map(|error| error.code())
    }
}

#[test]
fn a_good_request_passes() {
    let scene = Scene::new();
    assert_eq!(scene.code(), None);
    let request = scene.request().from_verifier(scene.verifier.public());
    assert!(request.check(NOW).is_ok());
    assert!(!format!("{request:?}").contains("ey"));
}

#[test]
fn what_cannot_be_answered_is_not_sent() {
    type Change = fn(&mut Scene);
    let cases: &[(Change, Code)] = &[
        (|scene| scene.dvr.expires_at = Some(NOW), Code::DvrExpired),
        (
            |scene| scene.dvr.zkvm = "r0".into(),
            Code::UnsupportedProofSystem,
        ),
        (|scene| scene.dvr.query = "{}".into(), Code::NotAnArray),
        (
            |scene| scene.verifier = keys::generate().unwrap(),
            Code::TokenBadSignature,
        ),
        (
            |scene| {
                let other = keys::generate().unwrap().public();
                let request = scene.dvr.user_data_requests.get_mut("").unwrap();
                request.user_data_verifying_key = other.into();
            },
            Code::TokenBadSignature,
        ),
        (|scene| scene.tokens.clear(), Code::MissingToken),
        (
            |scene| {
                let token = scene.tokens[""].clone();
                scene.tokens.insert("bank".into(), token);
            },
            Code::UnexpectedToken,
        ),
        (
            |scene| {
                let token = "x".repeat(4097);
                scene.tokens.insert(String::new(), token);
            },
            Code::TokenTooLarge,
        ),
        (
            |scene| {
                let token = "x".repeat(4 * 4096 + 1);
                scene.tokens.insert(String::new(), token);
            },
            Code::TokensTooLarge,
        ),
        (
            |scene| {
                let altered = scene.tokens[""].replace('.', "A.");
                scene.tokens.insert(String::new(), altered);
            },
            Code::TokenMalformed,
        ),
    ];
    for (index, (change, code)) in cases.iter().enumerate() {
        let mut scene = Scene::new();
        change(&mut scene);
        assert_eq!(scene.code(), Some(*code), "case {index}");
    }
}

#[test]
fn a_question_of_somebody_else_is_refused() {
    let scene = Scene::new();
    let other = keys::generate().unwrap().public();
    let error = scene.request().from_verifier(other).check(NOW).err();
    assert_eq!(
        error.map(|error| error.code()),
        Some(Code::TokenBadSignature)
    );
}

const NONCE: Nonce = [3; 32];

#[test]
fn enclaves_that_are_not_acceptable_are_refused() {
    let tee = Tee::new();
    let now = unix_seconds();
    let refused = |offer: EnclaveOffer| match accept(offer, &tee.policy(), &NONCE, now) {
        Err(error) => error,
        Ok(_) => panic!("it was accepted"),
    };
    assert!(accept(tee.offer(&NONCE), &tee.policy(), &NONCE, now).is_ok());

    let mut silent = tee.offer(&NONCE);
    silent.evidence = None;
    let kind = "nitro".to_owned();
    assert_eq!(refused(silent), EnclaveError::NoEvidence { kind });
    assert_eq!(refused(tee.offer(&[4; 32])), EnclaveError::StaleEvidence);
    // Old evidence under the new nonce: the binding gives it away.
    let mut relabelled = tee.offer(&[4; 32]);
    relabelled.evidence.as_mut().unwrap().nonce = NONCE.to_vec();
    assert_eq!(refused(relabelled).cause(), "wrong-binding");
    let mut other_platform = tee.offer(&NONCE);
    other_platform.evidence.as_mut().unwrap().platform = "sgx".into();
    assert_eq!(refused(other_platform).cause(), "unknown-platform");
    let mut unbound = tee.offer(&NONCE);
    unbound.evidence = Some(tee.evidence(&NONCE, &[0; 64]));
    assert_eq!(refused(unbound).cause(), "wrong-binding");
    // The evidence of this enclave under the keys of another one.
    let mut borrowed = Tee::new().offer(&NONCE);
    borrowed.evidence = tee.offer(&NONCE).evidence;
    assert_eq!(refused(borrowed).cause(), "wrong-binding");
    let mut forged = tee.offer(&NONCE);
    forged.info.not_after += 1;
    assert_eq!(refused(forged), EnclaveError::BadSignature);
}

/// One change of an enclave, with evidence that is right for what it announces.
#[test]
fn announcements_that_evidence_does_not_cover_are_refused() {
    let now = unix_seconds();
    type Change = fn(&mut EnclaveInfo);
    let cases: &[(Change, EnclaveError)] = &[
        (
            |info| info.enclave_id = "other".into(),
            EnclaveError::WrongId,
        ),
        (
            |info| info.measurement_id = "nitro:00".into(),
            EnclaveError::WrongMeasurementId,
        ),
        (
            |info| info.kind = "tdx".into(),
            EnclaveError::WrongMeasurementId,
        ),
        (|info| info.not_after = 1, EnclaveError::NotValidNow),
        (|info| info.not_before = i64::MAX, EnclaveError::NotValidNow),
        (
            |info| info.hpke_public_key = "AAAA".into(),
            EnclaveError::BadKey,
        ),
    ];
    for (change, expected) in cases {
        let tee = Tee::new().announcing(change);
        let error = accept(tee.offer(&NONCE), &tee.policy(), &NONCE, now).err();
        assert_eq!(error.as_ref(), Some(expected));
    }
    let mut tee = Tee::new();
    tee.pcr = [8; 48];
    let error = accept(tee.offer(&NONCE), &tee.policy(), &NONCE, now).err();
    assert_eq!(error.unwrap().cause(), "wrong-measurement");
}

#[test]
fn one_good_enclave_is_enough_and_is_kept_until_its_key_ends() {
    let tee = Tee::new();
    let now = unix_seconds();
    let policy = tee.policy();
    let none = accept_all(Vec::new(), &policy, &NONCE, now).err();
    assert!(matches!(
        none,
        Some(ProveError::Remote(RemoteError::NoEnclave))
    ));
    let offers = vec![Tee::new().offer(&NONCE), tee.offer(&NONCE)];
    let accepted = accept_all(offers, &policy, &NONCE, now).unwrap();
    assert_eq!(accepted.len(), 1);
    let strangers = vec![Tee::new().offer(&NONCE)];
    assert!(matches!(
        accept_all(strangers, &policy, &NONCE, now),
        Err(ProveError::Enclave(EnclaveError::Evidence(_)))
    ));

    let cache = Cache::default();
    cache.fill(accepted);
    let end = tee.info.not_after;
    assert!(cache.choose(now).unwrap().is_some());
    assert!(cache.choose(end).unwrap().is_some());
    assert!(cache.choose(end + 1).unwrap().is_none());
}

#[test]
fn records_are_verified_again_later() {
    let tee = Tee::new();
    let now = unix_seconds();
    let policy = tee.policy();
    let kept = accept(tee.offer(&NONCE), &policy, &NONCE, now).unwrap();
    let text = kept.record.to_json();
    let record = Record::from_json(&text).unwrap();
    assert_eq!(record, kept.record);
    assert!(record.verify(&policy, now).is_ok());
    // The chain has ended by then.
    assert!(record.verify(&policy, now + 100_000).is_err());
    assert!(record.verify(&Tee::new().policy(), now).is_err());

    assert_eq!(Record::from_json("{}"), Err(RecordError::Malformed));
    assert_eq!(
        Record::from_json(&text.replace("\"version\":1", "\"version\":2")),
        Err(RecordError::UnsupportedVersion(2))
    );
    assert_eq!(
        Record::from_json(&" ".repeat(MAX_RECORD_BYTES + 1)),
        Err(RecordError::TooLarge)
    );
}

/// Seals a request, lets `reply` answer it inside the enclave, and opens that.
fn exchange(
    reply: impl FnOnce(&Scene, &Tee, String) -> SealedAnswerBody,
) -> Result<super::Proof, ProveError> {
    let scene = Scene::new();
    let tee = Tee::new();
    let request = scene.request();
    let checked = request.check(NOW).unwrap();
    let chosen = accept(tee.offer(&NONCE), &tee.policy(), &NONCE, unix_seconds()).unwrap();
    let sealed = chosen.seal(&checked).unwrap();

    let bytes = from_base64url(&sealed.body.sealed).unwrap();
    assert_eq!(bytes.len(), sealed.bytes());
    let binding = Binding {
        key_id: "k-1",
        measurement_id: &tee.info.measurement_id,
    };
    let opened = zkpass_channel::open(&bytes, &tee.private, &binding).unwrap();
    let body = opened.body.unwrap();
    assert_eq!(body.tokens, scene.tokens);
    let reply = reply(&scene, &tee, body.idempotency_id.clone());
    let answer = opened.answer.seal(&reply, &mut system_rng()).unwrap();
    sealed.open(&base64url(&answer), &checked)
}

fn claims(scene: &Scene) -> ProofClaims {
    let token = Compact::parse(&scene.tokens[""]).unwrap();
    let statement = Statement {
        proof_system: "vega".into(),
        version: 1,
        circuit_digest: [1; 32],
        dvr_digest: scene.dvr.digest(),
        tokens: vec![TokenStatement {
            tag: String::new(),
            profile: Profile::Zkpass,
            issuer_key: scene.issuer.public_key(),
            header: token.header_b64().into(),
            blocks: 8,
        }],
        as_of: today().unwrap(),
        nonce: scene.dvr.nonce.clone(),
        audience: scene.dvr.audience.clone(),
        output: Vec::new(),
    };
    ProofClaims::new(&scene.dvr, statement, vec![1, 2, 3], unix_seconds())
}

#[test]
fn a_fitting_answer_is_handed_out() {
    let proof = exchange(|scene, tee, idempotency_id| SealedAnswerBody::Proved {
        proof: ProofToken::sign(&claims(scene), &tee.identity).unwrap(),
        idempotency_id,
    })
    .unwrap();
    assert_eq!(proof.statement().nonce.as_deref(), Some("n-1"));
    let record = proof.attestation().unwrap();
    assert_eq!(record.enclave.kind, "nitro");
    assert!(ProofToken::parse(proof.token()).is_ok());
}

#[test]
fn a_refusal_carries_code_and_pointer() {
    let error = exchange(|_, _, _| {
        SealedAnswerBody::Refused(Refusal {
            code: Code::MissingField,
            pointer: Some("/0/output".into()),
            message: "no `age`".into(),
        })
    })
    .unwrap_err();
    assert_eq!(error.code(), Code::MissingField);
    assert_eq!(error.pointer(), Some("/0/output"));
    assert_eq!(error.to_string(), "no `age`");
}

#[test]
fn an_answer_that_does_not_fit_is_not_handed_out() {
    type Change = fn(&mut ProofClaims);
    let cases: &[(Change, Mismatch)] = &[
        (|claims| claims.statement.dvr_digest[0] ^= 1, Mismatch::Dvr),
        (
            |claims| claims.statement.proof_system = "x".into(),
            Mismatch::Dvr,
        ),
        (|claims| claims.statement.nonce = None, Mismatch::Nonce),
        (
            |claims| claims.statement.audience = Some("y".into()),
            Mismatch::Audience,
        ),
        (
            |claims| claims.statement.tokens[0].tag = "x".into(),
            Mismatch::Documents,
        ),
        (
            |claims| claims.statement.tokens[0].profile = Profile::Jwt,
            Mismatch::Documents,
        ),
        (
            |claims| claims.statement.tokens[0].header.push('A'),
            Mismatch::Documents,
        ),
        (
            |claims| {
                let other = keys::generate().unwrap().public();
                claims.statement.tokens[0].issuer_key = other;
            },
            Mismatch::Documents,
        ),
        (
            |claims| {
                let day = claims.statement.as_of.day_number() - 2;
                let day = zkpass_core::date::Date::from_day_number(day).unwrap();
                claims.statement.as_of = day;
            },
            Mismatch::Date,
        ),
        (|claims| claims.dvr_title.push('x'), Mismatch::Claims),
    ];
    for (index, (change, expected)) in cases.iter().enumerate() {
        let error = exchange(|scene, tee, idempotency_id| {
            let mut claims = claims(scene);
            change(&mut claims);
            SealedAnswerBody::Proved {
                proof: ProofToken::sign(&claims, &tee.identity).unwrap(),
                idempotency_id,
            }
        })
        .unwrap_err();
        match error {
            ProveError::Mismatch(mismatch) => assert_eq!(mismatch, *expected, "case {index}"),
            other => panic!("case {index}: {other:?}"),
        }
    }
}

#[test]
fn an_answer_of_another_enclave_or_request_is_not_handed_out() {
    let error = exchange(|scene, _, idempotency_id| SealedAnswerBody::Proved {
        proof: ProofToken::sign(&claims(scene), &keys::generate().unwrap()).unwrap(),
        idempotency_id,
    });
    assert!(matches!(
        error,
        Err(ProveError::Mismatch(Mismatch::Signature))
    ));
    let error = exchange(|scene, tee, _| SealedAnswerBody::Proved {
        proof: ProofToken::sign(&claims(scene), &tee.identity).unwrap(),
        idempotency_id: "other".into(),
    });
    assert!(matches!(
        error,
        Err(ProveError::Mismatch(Mismatch::Request))
    ));
    let error = exchange(|_, _, idempotency_id| SealedAnswerBody::Proved {
        proof: "a.b.c".into(),
        idempotency_id,
    });
    assert!(matches!(error, Err(ProveError::NotAProof(_))));
}
