//! Requests to a real enclave process: one honest, many not.

mod common;

use common::{CANARY, Enclave, QUERY, dvr, honest, now, request, seal_to};
use zkpass_channel::{SealedAnswerBody, SealedRequestBody};
use zkpass_circuit::{Keys, Shape};
use zkpass_core::{
    code::Code,
    dvr::{Dvr, DvrToken},
    frame::Message,
    keys::SigningKey,
    proof::ProofToken,
    user_data::{Profile, sign_user_data},
};

#[test]
fn an_honest_request_is_proved_and_signed() {
    let enclave = Enclave::start(&[]);
    let mut client = enclave.connect();
    let answer = client.prove(&honest());
    let SealedAnswerBody::Proved {
        proof,
        idempotency_id,
    } = answer
    else {
        panic!("{answer:?}");
    };
    assert_eq!(idempotency_id, "id-1");

    let token = ProofToken::parse(&proof).unwrap();
    token.verify(&client.info.identity_key).unwrap();
    let claims = token.claims();
    let dvr = dvr(QUERY);
    assert!(claims.agree_with(&dvr));
    assert!((now() - claims.time_stamp) < 600);
    assert_eq!(claims.statement.dvr_digest, dvr.digest());
    assert_eq!(claims.statement.nonce.as_deref(), Some("n-1"));
    let output = serde_json::Value::Object(claims.statement.output_json());
    assert_eq!(output, serde_json::json!({"rich": true, "name": CANARY}));

    let program = zkpass_query::compile(&dvr.query, &dvr.tags()).unwrap();
    let keys = Keys::derive(&program, &Shape::of_statement(&claims.statement)).unwrap();
    zkpass_circuit::verify(&keys, &program, &claims.statement, &claims.zkproof).unwrap();

    let log = enclave.log();
    assert!(log.contains("answered in"), "{log}");
    assert!(!log.contains(CANARY), "{log}");
}

/// One request that opens and must be refused: what is wrong, and code and pointer of the answer.
fn refused(body: &SealedRequestBody) -> (Code, Option<String>) {
    let enclave = Enclave::start(&[]);
    let refusal = enclave.connect().refusal(body);
    let log = enclave.log();
    for text in [&log, &refusal.message] {
        assert!(!text.contains(CANARY), "{text}");
    }
    // The operator reads the log: why it was refused is for the holder only.
    assert!(log.contains("answered in"), "{log}");
    assert!(!log.contains(refusal.code.as_str()), "{log}");
    (refusal.code, refusal.pointer)
}

fn with_token(token: String) -> SealedRequestBody {
    let mut body = honest();
    body.tokens.insert(String::new(), token);
    body
}

fn with_dvr(change: impl FnOnce(&mut Dvr)) -> SealedRequestBody {
    let mut changed = dvr(QUERY);
    change(&mut changed);
    request(&changed)
}

#[test]
fn a_token_of_another_issuer_is_refused() {
    let other = SigningKey::from_bytes(&[9; 32]).unwrap();
    let token = sign_user_data(&common::data(), Profile::Zkpass, &other, None).unwrap();
    assert_eq!(refused(&with_token(token)).0, Code::TokenBadSignature);
}

#[test]
fn an_altered_token_signature_is_refused() {
    let token = common::token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let altered = format!("{signed}.{first}{}", &signature[1..]);
    assert_eq!(refused(&with_token(altered)).0, Code::TokenBadSignature);
}

#[test]
fn tokens_must_be_those_of_the_dvr() {
    let mut body = honest();
    let token = body.tokens.remove("").unwrap();
    body.tokens.insert("bank".to_owned(), token);
    assert_eq!(refused(&body).0, Code::UnexpectedToken);
}

#[test]
fn an_expired_dvr_is_refused() {
    let body = with_dvr(|dvr| dvr.expires_at = Some(now() - 1));
    assert_eq!(refused(&body).0, Code::DvrExpired);
}

#[test]
fn a_dvr_of_another_signer_is_refused() {
    let other = SigningKey::from_bytes(&[9; 32]).unwrap();
    let mut body = honest();
    body.dvr_token = DvrToken::sign(&dvr(QUERY), &other, None).unwrap();
    assert_eq!(refused(&body).0, Code::TokenBadSignature);
}

#[test]
fn a_dvr_token_that_is_none_is_refused() {
    let mut body = honest();
    body.dvr_token = "a.b".to_owned();
    assert_eq!(refused(&body).0, Code::TokenMalformed);
}

#[test]
fn data_errors_come_back_sealed_with_their_place() {
    let query =
        |path: &str| format!(r#"[{{"output": {{"x": {{"==": [{{"dvar": "{path}"}}, 1]}}}}}}]"#);
    for (path, code) in [
        ("absent", Code::MissingField),
        ("name", Code::WrongType),
        ("rate", Code::NotAnInteger),
    ] {
        let (refusal, pointer) = refused(&request(&dvr(&query(path))));
        assert_eq!(refusal, code, "{path}");
        let place = pointer.unwrap();
        assert!(place.starts_with("/0/output/x"), "{place}");
    }
    let secret = r#"[{"output": {"x": {"dvar": "note"}}}]"#;
    assert_eq!(refused(&request(&dvr(secret))).0, Code::NotPublic);
}

#[test]
fn a_request_that_does_not_open_gets_the_uniform_error() {
    let enclave = Enclave::start(&[]);
    let other = Enclave::start(&[]);
    let mut client = enclave.connect();
    let sealed = client.seal(&honest()).0;
    let truncated = sealed[..sealed.len() - 1].to_vec();
    let shorter = sealed[..sealed.len() - 1024].to_vec();
    let mut altered = sealed.clone();
    altered[2000] ^= 1;
    // Announced under the key id of this enclave, but sealed to another one.
    let stranger = seal_to(&other.connect().info, &honest()).0;
    for (what, bytes) in [
        ("truncated", truncated),
        ("shorter by a step", shorter),
        ("altered", altered),
        ("sealed to another key", stranger),
        ("empty", Vec::new()),
    ] {
        let message = client.prove_message(bytes);
        let answer = client.ask(message);
        let code = Code::SealedRequestRejected;
        assert_eq!(answer, Message::Failed { code }, "{what}");
    }
}

#[test]
fn a_replayed_request_gets_the_uniform_error() {
    let enclave = Enclave::start(&[]);
    let mut client = enclave.connect();
    let (sealed, opener) = client.seal(&with_dvr(|dvr| dvr.expires_at = Some(1)));
    let message = client.prove_message(sealed);
    let Message::Answer { sealed } = client.ask(message.clone()) else {
        panic!("no answer");
    };
    assert!(opener.open(&sealed).is_ok());
    let code = Code::SealedRequestRejected;
    assert_eq!(client.ask(message.clone()), Message::Failed { code });
    // Nor over another connection.
    assert_eq!(enclave.connect().ask(message), Message::Failed { code });
}

#[test]
fn a_key_that_is_not_alive_asks_for_new_attestation() {
    let enclave = Enclave::start(&[]);
    let mut client = enclave.connect();
    let sealed = client.seal(&honest()).0;
    let answer = client.ask(Message::Prove {
        deadline_ms: 1000,
        key_id: "another".to_owned(),
        sealed,
    });
    let code = Code::ReAttest;
    assert_eq!(answer, Message::Failed { code });
}

#[test]
fn a_request_for_another_measurement_is_rejected() {
    let enclave = Enclave::start(&[]);
    let mut client = enclave.connect();
    let key = zkpass_core::encoding::from_base64url(&client.info.hpke_public_key).unwrap();
    let binding = zkpass_channel::Binding {
        key_id: &client.info.key_id,
        measurement_id: "a measured build",
    };
    let key = zkpass_channel::PublicKey::from_bytes(&key).unwrap();
    let mut rng = zkpass_channel::rand_core::UnwrapErr(getrandom::SysRng);
    let sealed = zkpass_channel::seal(&honest(), &key, &binding, &mut rng)
        .unwrap()
        .0;
    let message = client.prove_message(sealed);
    let code = Code::SealedRequestRejected;
    assert_eq!(client.ask(message), Message::Failed { code });
}

#[test]
fn the_verifier_may_leave_its_key_out() {
    let body = with_dvr(|dvr| {
        dvr.dvr_verifying_key = None;
        dvr.expires_at = Some(1);
    });
    // It gets as far as the expiry.
    assert_eq!(refused(&body).0, Code::DvrExpired);
}
