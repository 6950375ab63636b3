//! Requests of existing clients to a real enclave process.

mod common;

use std::collections::BTreeMap;

use common::{CANARY, Client, Enclave, QUERY, dvr, honest, now, request, wait_until};
use getrandom::SysRng;
use zkpass_channel::{SealedRequestBody, jwe, rand_core::UnwrapErr};
use zkpass_circuit::{Keys, Shape};
use zkpass_core::{
    code::Code,
    dvr::Dvr,
    encoding::{base64url, from_base64url},
    frame::Message,
    keys::{PublicKey, SigningKey},
    limits::{MAX_DVR_JWE_BYTES, MAX_USER_DATA_JWE_BYTES},
    proof::ProofToken,
    user_data::{Profile, sign_user_data},
};

/// User data and DVR, encrypted.
type Pair = (String, String);

fn encrypted_to(key: &PublicKey, body: &SealedRequestBody) -> Pair {
    jwe::seal_request(&body.tokens, &body.dvr_token, key, &mut UnwrapErr(SysRng)).unwrap()
}

fn message((user_data, dvr): &Pair) -> Message {
    Message::ProveJwe {
        deadline_ms: 600_000,
        user_data: user_data.clone(),
        dvr: dvr.clone(),
    }
}

fn failed(code: Code) -> Message {
    Message::Failed { code }
}

fn rejected() -> Message {
    failed(Code::SealedRequestRejected)
}

#[test]
fn an_honest_request_gives_a_proof_once() {
    let enclave = Enclave::start(&[]);
    let mut client = enclave.connect();
    // A key of its own, which the identity key vouches for.
    assert_ne!(client.info.encryption_key, client.info.identity_key);
    assert!(client.info.is_signed());
    let pair = encrypted_to(&client.info.encryption_key, &honest());
    let answer = client.ask(message(&pair));
    let Message::Proof { token } = answer else {
        panic!("no proof but {answer:?}");
    };

    let token = ProofToken::parse(&token).unwrap();
    token.verify(&client.info.identity_key).unwrap();
    let claims = token.claims();
    let dvr = dvr(QUERY);
    assert!(claims.agree_with(&dvr));
    let output = serde_json::Value::Object(claims.statement.output_json());
    assert_eq!(output, serde_json::json!({"rich": true, "name": CANARY}));
    let program = zkpass_query::compile(&dvr.query, &dvr.tags()).unwrap();
    let keys = Keys::derive(&program, &Shape::of_statement(&claims.statement)).unwrap();
    zkpass_circuit::verify(&keys, &program, &claims.statement, &claims.zkproof).unwrap();

    // Not again, not elsewhere, and not under another question.
    assert_eq!(client.ask(message(&pair)), rejected());
    assert_eq!(enclave.connect().ask(message(&pair)), rejected());
    let (_, other_dvr) = encrypted_to(&client.info.encryption_key, &honest());
    assert_eq!(client.ask(message(&(pair.0, other_dvr))), rejected());

    let log = enclave.log();
    assert!(log.contains("answered in"), "{log}");
    assert!(!log.contains(CANARY), "{log}");
}

#[test]
fn what_does_not_open_and_what_cannot_be_proved_look_alike() {
    let enclave = Enclave::start(&[]);
    let other = Enclave::start(&[]).connect().info.encryption_key;
    let mut client = enclave.connect();
    let key = client.info.encryption_key;
    let pair = |body: &SealedRequestBody| encrypted_to(&key, body);
    let (user_data, dvr_jwe) = pair(&honest());
    let claims = |text: &str| {
        jwe::seal(
            text.as_bytes(),
            MAX_USER_DATA_JWE_BYTES,
            &key,
            &mut UnwrapErr(SysRng),
        )
        .unwrap()
    };

    let unopened: [(&str, Pair); 9] = [
        ("for another enclave", encrypted_to(&other, &honest())),
        ("tampered", (tampered(&user_data), dvr_jwe.clone())),
        ("tampered DVR", (user_data.clone(), tampered(&dvr_jwe))),
        (
            "unknown algorithm",
            (other_algorithm(&user_data), dvr_jwe.clone()),
        ),
        ("exchanged", (dvr_jwe.clone(), user_data.clone())),
        ("no claims", (claims("{}"), dvr_jwe.clone())),
        (
            "an object in place of its text",
            (claims(r#"{"data":{"":"a.b.c"}}"#), dvr_jwe.clone()),
        ),
        ("empty", (String::new(), String::new())),
        (
            "as long as may be",
            (
                "x".repeat(MAX_USER_DATA_JWE_BYTES),
                "x".repeat(MAX_DVR_JWE_BYTES),
            ),
        ),
    ];
    let with_dvr = |change: &dyn Fn(&mut Dvr)| {
        let mut changed = dvr(QUERY);
        change(&mut changed);
        pair(&request(&changed))
    };
    let with_token = |token: String| {
        let mut body = honest();
        body.tokens = BTreeMap::from([(String::new(), token)]);
        pair(&body)
    };
    let stranger = SigningKey::from_bytes(&[9; 32]).unwrap();
    let unproved: [(&str, Pair); 6] = [
        ("expired", with_dvr(&|dvr| dvr.expires_at = Some(now() - 1))),
        (
            "a field that is absent",
            pair(&request(&dvr(
                r#"[{"output": {"x": {"==": [{"dvar": "absent"}, 1]}}}]"#,
            ))),
        ),
        (
            "a field that is not public",
            pair(&request(&dvr(r#"[{"output": {"x": {"dvar": "note"}}}]"#))),
        ),
        (
            "another issuer",
            with_token(sign_user_data(&common::data(), Profile::Zkpass, &stranger, None).unwrap()),
        ),
        ("a token that is none", with_token(CANARY.to_owned())),
        ("a DVR that is none", {
            let mut body = honest();
            body.dvr_token = CANARY.to_owned();
            pair(&body)
        }),
    ];
    for (what, pair) in unopened.iter().chain(&unproved) {
        assert_eq!(client.ask(message(pair)), rejected(), "{what}");
    }

    // The operator reads the log too: one line for each, all alike.
    let log = enclave.log();
    let answered = log.matches("request answered in").count();
    assert_eq!(answered, unopened.len() + unproved.len(), "{log}");
    assert!(!log.contains("rejected"), "{log}");
    assert!(!log.contains(CANARY), "{log}");
}

fn tampered(jwe: &str) -> String {
    let (rest, tag) = jwe.rsplit_once('.').unwrap();
    let mut tag = from_base64url(tag).unwrap();
    tag[0] ^= 1;
    format!("{rest}.{}", base64url(&tag))
}

fn other_algorithm(jwe: &str) -> String {
    let (header, rest) = jwe.split_once('.').unwrap();
    let header = String::from_utf8(from_base64url(header).unwrap()).unwrap();
    let other = header.replace("ECDH-ES", "ECDH-ES+A256KW");
    assert_ne!(other, header);
    format!("{}.{rest}", base64url(other.as_bytes()))
}

fn start_long_job(client: &mut Client) -> u64 {
    let pair = encrypted_to(&client.info.encryption_key, &honest());
    let id = client.send(message(&pair));
    wait_until(|| client.running() == 1);
    id
}

#[test]
fn cancellation_deadlines_and_places_are_as_for_sealed_requests() {
    let enclave = Enclave::start(&["--max-requests", "1"]);
    let mut client = enclave.connect();
    let id = start_long_job(&mut client);
    let pair = encrypted_to(&client.info.encryption_key, &honest());
    assert_eq!(client.ask(message(&pair)), failed(Code::QueueFull));
    client.send_as(id, Message::Cancel);
    assert_eq!(client.answer_to(id), failed(Code::Cancelled));

    // It was not opened, so it is not a replay when it comes again.
    let (user_data, dvr) = pair;
    let answer = client.ask(Message::ProveJwe {
        deadline_ms: 50,
        user_data,
        dvr,
    });
    assert_eq!(answer, failed(Code::DeadlineExceeded));
    wait_until(|| client.running() == 0);

    // An id that is in use ends the connection.
    let id = start_long_job(&mut client);
    let pair = encrypted_to(&client.info.encryption_key, &honest());
    client.send_as(id, message(&pair));
    assert!(client.receive().is_none());
}
