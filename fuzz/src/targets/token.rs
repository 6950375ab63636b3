//! Tokens, keys, requests and statements.

use zkpass_core::dvr::{Dvr, DvrToken};
use zkpass_core::encoding::base64url;
use zkpass_core::jws::{Compact, Header, sign};
use zkpass_core::keys::{PublicKey, SigningKey};
use zkpass_core::statement::Statement;
use zkpass_core::user_data::{Profile, sign_user_data};

use super::text;
use crate::Target;

pub const TOKEN: Target = Target {
    name: "token",
    seeds: || vec![user_data_token().into_bytes(), dvr_token().into_bytes()],
    run: run_token,
    runs: 5_000,
};

pub const TOKEN_PARTS: Target = Target {
    name: "token-parts",
    seeds: || {
        [
            r#"{"alg":"ES256"}"#,
            r#"{"alg":"ES256","typ":"JWT","kid":"k","jku":"https://a.example","cty":"JWT"}"#,
        ]
        .map(Vec::from)
        .to_vec()
    },
    run: run_token_parts,
    runs: 5_000,
};

pub const KEY: Target = Target {
    name: "key",
    seeds: key_seeds,
    run: run_key,
    runs: 3_000,
};

pub const DVR: Target = Target {
    name: "dvr",
    seeds: || vec![format!(r#"{{"data":{}}}"#, dvr_json()).into_bytes()],
    run: run_dvr,
    runs: 2_000,
};

pub const STATEMENT: Target = Target {
    name: "statement",
    seeds: || vec![statement_json().into_bytes()],
    run: run_statement,
    runs: 3_000,
};

const LOAN: &str = include_str!("../../../examples/bank-loan/data.json");

/// The issuer's and the verifier's key in all targets.
pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32]).expect("a scalar in range")
}

pub fn user_data_token() -> String {
    sign_user_data(LOAN, Profile::Zkpass, &key(), Some("k-1")).expect("valid data")
}

/// A request that uses every member.
pub fn dvr() -> Dvr {
    Dvr::from_json(&dvr_json()).expect("a valid request")
}

pub fn dvr_token() -> String {
    DvrToken::sign(&dvr(), &key(), Some("k-2")).expect("a valid request")
}

fn dvr_json() -> String {
    let jwk = key().public().to_jwk();
    serde_json::json!({
        "zkvm": "vega",
        "dvr_title": "Loan",
        "dvr_id": "1",
        "query_engine_ver": "1.0",
        "query_method_ver": "1.0",
        "query": include_str!("../../../examples/bank-loan/query.json"),
        "user_data_requests": {
            "": {"user_data_url": "https://bank.example", "user_data_verifying_key": {"PublicKey": jwk}}
        },
        "dvr_verifying_key": {"KeysetEndpoint": {"jku": "https://a.example", "kid": "k"}},
        "nonce": "n",
        "audience": "https://a.example",
        "expires_at": 1_800_000_000,
        "max_age_days": 2,
    })
    .to_string()
}

pub fn statement() -> Statement {
    Statement::from_json(&statement_json()).expect("a valid statement")
}

fn statement_json() -> String {
    serde_json::json!({
        "proof_system": "vega",
        "version": 1,
        "circuit_digest": "11".repeat(32),
        "dvr_digest": "22".repeat(32),
        "tokens": [{
            "tag": "",
            "profile": "zkpass",
            "issuer_key": key().public().to_jwk(),
            "header": "eyJhbGciOiJFUzI1NiJ9",
            "blocks": 16,
        }],
        "as_of": "2026-06-01",
        "nonce": "n",
        "audience": "a",
        "output": [
            {"name": "eligible", "value": true},
            {"name": "first_name", "value": "Dewi"},
            {"name": "age", "value": -32},
        ],
    })
    .to_string()
}

fn key_seeds() -> Vec<Vec<u8>> {
    let public = key().public();
    let (x, y) = public.to_legacy();
    let legacy = serde_json::json!({"PublicKey": {"x": x, "y": y}}).to_string();
    let jwk = serde_json::json!(public.to_jwk()).to_string();
    let seeds = [
        public.to_pem(),
        jwk,
        legacy,
        key().to_pem().to_string(),
        key().to_jwk().to_string(),
    ];
    seeds.map(String::into_bytes).to_vec()
}

/// A token is what it was read from, and only the signer's are valid.
fn run_token(input: &[u8]) -> bool {
    let Some(text) = text(input) else {
        return false;
    };
    let Ok(token) = Compact::parse_within(text, 1 << 20) else {
        return false;
    };
    assert_eq!(token.as_str(), text);
    let valid = token.verify(&key().public()).is_ok();
    let payload = base64url(token.payload());
    assert_eq!(token.payload_b64(), payload);
    // A signature with the other `s` would be valid too, but no mutation finds it.
    assert!(!valid || [user_data_token(), dvr_token()].contains(&text.to_owned()));
    let _ = (token.payload_json(), DvrToken::parse(text));
    true
}

/// The input is a protected header. An accepted one survives a round trip.
fn run_token_parts(input: &[u8]) -> bool {
    let Ok(header) = Header::from_base64url(&base64url(input)) else {
        return false;
    };
    // Escapes may make the written header longer than the one that was read.
    match Header::from_base64url(&header.to_base64url()) {
        Ok(again) => assert_eq!(again, header),
        Err(error) => assert_eq!(error, zkpass_core::jws::TokenError::HeaderTooLarge),
    }
    true
}

/// An accepted key survives a round trip through both of its own forms.
fn run_key(input: &[u8]) -> bool {
    let Some(text) = text(input) else {
        return false;
    };
    if let Ok(key) = PublicKey::from_text(text) {
        assert!(PublicKey::from_text(&key.to_pem()).as_ref() == Ok(&key));
        assert!(PublicKey::from_jwk(&key.to_jwk()).as_ref() == Ok(&key));
        return true;
    }
    let Ok(key) = SigningKey::from_text(text) else {
        return false;
    };
    let again = SigningKey::from_text(&key.to_pem()).map(|key| key.public());
    assert!(again == Ok(key.public()));
    true
}

/// The input is the payload of a validly signed request. An accepted one
/// means the same when it is signed again.
fn run_dvr(input: &[u8]) -> bool {
    let token = sign(&Header::new("JWT", None), input, &key());
    let Ok(token) = DvrToken::parse(&token) else {
        return false;
    };
    let dvr = token.dvr();
    let again = DvrToken::sign(dvr, &key(), None).expect("an accepted request can be signed");
    let again = DvrToken::parse(&again).expect("a signed request can be read");
    assert!(again.dvr() == dvr);
    assert_eq!(again.dvr().digest(), dvr.digest());
    true
}

/// An accepted statement survives a round trip with the same bytes.
fn run_statement(input: &[u8]) -> bool {
    let Some(text) = text(input) else {
        return false;
    };
    let Ok(statement) = Statement::from_json(text) else {
        return false;
    };
    let json = serde_json::to_string(&statement).expect("a statement has a JSON form");
    let again = Statement::from_json(&json).expect("a written statement can be read");
    assert!(again == statement);
    assert_eq!(again.canonical_bytes(), statement.canonical_bytes());
    true
}
