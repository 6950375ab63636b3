//! Nothing of a request survives it in the memory of the enclave.
//!
//! Reads `/proc/PID/mem` of a process that refuses inspection, which only root
//! may: as another user they are left out.

mod common;
mod scanner;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use common::{Client, Enclave, issuer, verifier, wait_until};
use scanner::{Pieces, random};
use serde_json::json;
use zkpass_channel::{ResponseFormat, SealedAnswerBody, SealedRequestBody};
use zkpass_core::{
    dvr::{Dvr, DvrToken},
    encoding::from_base64url,
    frame::Message,
    keys::SigningKey,
    user_data::{Profile, sign_user_data},
};

/// Texts of one request that occur nowhere else, made anew for each test run.
struct Canaries {
    name: String,
    note: String,
    number: String,
    title: String,
    id: String,
    nonce: String,
    idempotency_id: String,
}

impl Canaries {
    fn new() -> Self {
        let mut number = String::from("7");
        number.extend(random().bytes().map(|byte| char::from(b'0' + byte % 10)));
        Self {
            name: random(),
            note: random(),
            number: number[..18].to_owned(),
            title: random(),
            id: random(),
            nonce: random(),
            idempotency_id: random(),
        }
    }

    fn data(&self) -> String {
        format!(
            r#"{{"name":"{}","_name_zkpass_public_":true,"balance":2500,"number":{},"note":"{}"}}"#,
            self.name, self.number, self.note
        )
    }

    fn dvr(&self) -> Dvr {
        let dvr = json!({
            "zkvm": "vega",
            "dvr_title": self.title,
            "dvr_id": self.id,
            "query_engine_ver": "1.0",
            "query_method_ver": "1.0",
            "query": QUERY,
            "user_data_requests": {
                "": {"user_data_verifying_key": {"PublicKey": issuer().public().to_jwk()}}
            },
            "dvr_verifying_key": {"PublicKey": verifier().public().to_jwk()},
            "nonce": self.nonce,
        });
        Dvr::from_json(&dvr.to_string()).unwrap()
    }

    fn request(&self) -> SealedRequestBody {
        let token = sign_user_data(&self.data(), Profile::Zkpass, &issuer(), None).unwrap();
        SealedRequestBody {
            tokens: [(String::new(), token)].into(),
            dvr_token: DvrToken::sign(&self.dvr(), &verifier(), None).unwrap(),
            idempotency_id: self.idempotency_id.clone(),
            response_format: ResponseFormat::ProofToken,
        }
    }

    /// The canaries, and what the tokens of the request add: their signatures.
    fn needles(&self, request: &SealedRequestBody) -> Vec<Vec<u8>> {
        let mut needles: Vec<Vec<u8>> = [
            &self.name,
            &self.note,
            &self.number,
            &self.title,
            &self.id,
            &self.nonce,
            &self.idempotency_id,
        ]
        .map(|text| text.clone().into_bytes())
        .into();
        for token in request.tokens.values().chain([&request.dvr_token]) {
            // Some requests hold something else where a token should be.
            let signature = token.rsplit('.').next().unwrap_or_default();
            if let Some(bytes) = from_base64url(signature) {
                needles.push(signature.as_bytes().to_vec());
                needles.push(bytes);
            }
        }
        needles
    }
}

/// Asks whether the number is large, and shows the name.
const QUERY: &str = r#"[
    {"assign": {"rich": {">=": [{"dvar": "balance"}, 1000]}}},
    {"assign": {"other": {"!=": [{"dvar": "note"}, "x"]}}},
    {"assign": {"large": {">=": [{"dvar": "number"}, 1000]}}},
    {"output": {"rich": {"lvar": "rich"}}},
    {"output": {"other": {"lvar": "other"}}},
    {"output": {"large": {"lvar": "large"}}},
    {"output": {"name": {"dvar": "name"}}}
]"#;

/// Looks again for a moment: an answer travels while its sender still tidies up.
fn assert_forgotten(enclave: &Enclave, pieces: &Pieces, what: &str) {
    let begin = Instant::now();
    loop {
        let found = pieces.in_memory_of(enclave.process.id());
        if found.is_empty() {
            return;
        }
        let few: Vec<&String> = found.iter().take(12).collect();
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "{what}: {} pieces are left: {few:#?}",
            found.len()
        );
    }
}

fn signal(enclave: &Enclave, signal: &str) {
    let process_id = enclave.process.id().to_string();
    let kill = Command::new("kill").args([signal, &process_id]).status();
    assert!(kill.unwrap().success());
}

fn send(client: &mut Client, body: &SealedRequestBody) -> (u64, zkpass_channel::AnswerOpener) {
    let (sealed, opener) = client.seal(body);
    let message = client.prove_message(sealed);
    (client.send(message), opener)
}

#[test]
fn a_proved_request_is_there_while_it_runs_and_gone_after() {
    if !scanner::may_inspect() {
        return;
    }
    let enclave = Enclave::start(&["--threads", "2"]);
    let mut client = enclave.connect();
    // Twice, so that the second finds circuit keys in the cache.
    for _ in 0..2 {
        let canaries = Canaries::new();
        let body = canaries.request();
        let pieces = Pieces::of(&canaries.needles(&body));
        let (id, opener) = send(&mut client, &body);
        // The control: the scanner does see it.
        wait_until(|| client.running() == 1);
        signal(&enclave, "-STOP");
        let found = pieces.in_memory_of(enclave.process.id());
        signal(&enclave, "-CONT");
        assert!(!found.is_empty(), "the scanner sees nothing");
        let Message::Answer { sealed } = client.answer_to(id) else {
            panic!("no answer");
        };
        let answer = opener.open(&sealed).unwrap();
        assert!(
            matches!(answer, SealedAnswerBody::Proved { .. }),
            "{answer:?}"
        );
        assert_forgotten(&enclave, &pieces, "a proved request");
    }
}

#[test]
fn a_cancelled_request_is_gone() {
    if !scanner::may_inspect() {
        return;
    }
    let enclave = Enclave::start(&["--threads", "2"]);
    let mut client = enclave.connect();
    let canaries = Canaries::new();
    let body = canaries.request();
    let pieces = Pieces::of(&canaries.needles(&body));
    let (id, _) = send(&mut client, &body);
    wait_until(|| client.running() == 1);
    client.send_as(id, Message::Cancel);
    client.answer_to(id);
    wait_until(|| client.running() == 0);
    assert_forgotten(&enclave, &pieces, "a cancelled request");

    // And one whose connection ends.
    send(&mut client, &body);
    wait_until(|| client.running() == 1);
    drop(client);
    let mut client = enclave.connect();
    wait_until(|| client.running() == 0);
    assert_forgotten(&enclave, &pieces, "an abandoned request");
}

#[test]
fn refused_requests_are_gone() {
    if !scanner::may_inspect() {
        return;
    }
    let enclave = Enclave::start(&["--threads", "2"]);
    let mut client = enclave.connect();
    let stranger = SigningKey::from_bytes(&[9; 32]).unwrap();
    let canaries = Canaries::new();
    let issuer = issuer();
    let sign = |data: &str, key| sign_user_data(data, Profile::Zkpass, key, None);
    let with = |change: &dyn Fn(&mut SealedRequestBody)| {
        let mut body = canaries.request();
        change(&mut body);
        body
    };
    let token = |token: String| with(&|body| body.tokens = [(String::new(), token.clone())].into());
    let cases = [
        (
            "a foreign signature",
            token(sign(&canaries.data(), &stranger).unwrap()),
        ),
        (
            "an altered token",
            token(canaries.request().tokens[""].replacen('e', "f", 3)),
        ),
        ("no token", token(canaries.data())),
        (
            "a wrong tag",
            with(&|body| {
                let token = body.tokens.remove("").unwrap();
                body.tokens.insert(canaries.note.clone(), token);
            }),
        ),
        (
            "no DVR token",
            with(&|body| body.dvr_token = serde_json::to_string(&canaries.dvr()).unwrap()),
        ),
        (
            "a foreign DVR signature",
            with(&|body| {
                body.dvr_token = DvrToken::sign(&canaries.dvr(), &stranger, None).unwrap();
            }),
        ),
        ("a missing field", {
            let data = canaries.data().replace("\"balance\"", "\"balances\"");
            token(sign(&data, &issuer).unwrap())
        }),
        ("a wrong type", {
            let data = canaries.data().replace("2500", "\"2500\"");
            token(sign(&data, &issuer).unwrap())
        }),
    ];
    for (what, body) in cases {
        client.refusal(&body);
        let pieces = Pieces::of(&canaries.needles(&body));
        assert_forgotten(&enclave, &pieces, what);
    }
}
