//! Real proofs, end to end within the crate.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use zkpass_circuit::answer::{Answer, Request, answer};
use zkpass_circuit::{KeyCache, ProofError, Shape, verify};
use zkpass_core::date::Date;
use zkpass_core::dvr::Dvr;
use zkpass_core::keys::SigningKey;
use zkpass_core::statement::OutputValue;
use zkpass_core::user_data::{Profile, sign_user_data};

const QUERY: &str = r#"[
  {"output": {"adult": {">=": [{"get_age": [{"dvar": "date_of_birth"}, "YYYY-MM-DD"]}, 18]}}},
  {"if": {"condition": {"==": [{"dvar": "city"}, "Jakarta"]},
          "then": [{"output": {"first_name": {"dvar": "first_name"}}}]}}
]"#;
const DATA: &str = r#"{"first_name":"Dewi","_first_name_zkpass_public_":true,"date_of_birth":"1990-05-17","city":"Jakarta"}"#;

fn cache() -> &'static KeyCache {
    static CACHE: OnceLock<KeyCache> = OnceLock::new();
    CACHE.get_or_init(|| KeyCache::new(4))
}

fn issuer() -> SigningKey {
    SigningKey::from_bytes(&[3; 32]).unwrap()
}

fn dvr() -> Dvr {
    let query = serde_json::to_string(QUERY).unwrap();
    let jwk = serde_json::to_string(&issuer().public().to_jwk()).unwrap();
    Dvr::from_json(&format!(
        r#"{{"zkvm":"vega","dvr_title":"t","dvr_id":"i","query_engine_ver":"1","query_method_ver":"1",
            "query":{query},"user_data_requests":{{"":{{"user_data_url":"https://bank.example","user_data_verifying_key":{{"PublicKey":{jwk}}}}}}},
            "dvr_verifying_key":null,"nonce":"n-1"}}"#
    ))
    .unwrap()
}

fn prove(data: &str) -> Answer {
    let token = sign_user_data(data, Profile::Zkpass, &issuer(), None).unwrap();
    let tokens = BTreeMap::from([(String::new(), token)]);
    let request = Request {
        dvr: &dvr(),
        tokens: &tokens,
        as_of: Date::new(2026, 3, 1).unwrap(),
    };
    answer(&request, cache(), &mut |_| ControlFlow::Continue(())).unwrap()
}

fn check(a: &Answer, proof: &[u8]) -> Result<(), ProofError> {
    let program = zkpass_query::compile(QUERY, &[""]).unwrap();
    let keys = cache()
        .get(&program, &Shape::of_statement(&a.statement))
        .unwrap();
    verify(&keys, &program, &a.statement, proof)
}

#[test]
fn a_proof_verifies_and_nothing_near_it_does() {
    let honest = prove(DATA);
    let names: Vec<_> = honest
        .statement
        .output
        .iter()
        .map(|o| o.name.as_str())
        .collect();
    assert_eq!(names, ["adult", "first_name"]);
    assert_eq!(
        honest.statement.output[1].value,
        OutputValue::String("Dewi".into())
    );
    check(&honest, &honest.proof).unwrap();
    assert!(
        honest.proof.len() <= 120 * 1024,
        "{} bytes",
        honest.proof.len()
    );

    // A byte of the proof, here and there.
    for i in (0..honest.proof.len()).step_by(honest.proof.len() / 40) {
        let mut bad = honest.proof.clone();
        bad[i] ^= 1;
        assert!(check(&honest, &bad).is_err(), "byte {i}");
    }
    let cut = &honest.proof[..honest.proof.len() - 1];
    assert_eq!(check(&honest, cut), Err(ProofError::Malformed));
    let mut longer = honest.proof.clone();
    longer.push(0);
    assert_eq!(check(&honest, &longer), Err(ProofError::Malformed));
    assert!(check(&honest, &[]).is_err());

    // Zero knowledge: a second proof of the statement differs, and a proof of
    // other data with the same statement has the same size and no trace of it.
    let again = prove(DATA);
    assert_eq!(again.statement, honest.statement);
    assert_ne!(again.proof, honest.proof);
    let other = prove(&DATA.replace("1990-05-17", "1971-11-30"));
    assert_eq!(other.statement, honest.statement);
    assert_eq!(other.proof.len(), honest.proof.len());
    check(&honest, &other.proof).unwrap();
    for secret in [b"1971-11-30".as_slice(), b"date_of_birth", b"Jakarta"] {
        assert!(!other.proof.windows(secret.len()).any(|w| w == secret));
    }

    // Each part of the statement.
    type Change = fn(&mut zkpass_core::statement::Statement);
    let changes: [(&str, Change); 8] = [
        ("dvr digest", |s| s.dvr_digest[0] ^= 1),
        ("circuit digest", |s| s.circuit_digest[0] ^= 1),
        ("nonce", |s| s.nonce = Some("n-2".into())),
        ("audience", |s| s.audience = Some("a".into())),
        ("as of", |s| s.as_of = Date::new(2026, 3, 2).unwrap()),
        ("output", |s| {
            s.output[0].value = OutputValue::Boolean(false)
        }),
        ("less output", |s| {
            s.output.pop();
        }),
        ("issuer", |s| {
            s.tokens[0].issuer_key = SigningKey::from_bytes(&[4; 32]).unwrap().public();
        }),
    ];
    for (name, change) in changes {
        let mut bad = Answer {
            statement: honest.statement.clone(),
            proof: honest.proof.clone(),
        };
        change(&mut bad.statement);
        assert_eq!(
            check(&bad, &bad.proof),
            Err(ProofError::PublicValueMismatch),
            "{name}"
        );
    }
}
