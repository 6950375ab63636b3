//! A bank document (profile `zkpass`) and an identity document (profile
//! `jwt`), one query over both, and one real proof of the answer.

use std::{collections::BTreeMap, ops::ControlFlow, sync::OnceLock};

use zkpass_circuit::{
    KeyCache,
    answer::{Request, answer},
};
use zkpass_core::{
    date::Date,
    dvr::{Dvr, PROOF_SYSTEM, UserDataRequest},
    keys::{PublicKey, SigningKey},
    proof::{ProofClaims, ProofToken},
    statement::{OutputValue, Statement},
    user_data::{Profile, sign_user_data},
};
use zkpass_verify::{Claims, Policy, VerifyError};

/// 2025-02-13T10:00:00Z.
pub const NOW: i64 = 1_739_440_800;

/// `tier` and `discount` are outputs of branches that are not taken.
pub const QUERY: &str = r#"[
    {"output": {"adult": {">=": [{"get_age": [{"dvar": "id.born"}, "YYYY-MM-DD"]}, 21]}}},
    {"output": {"name": {"dvar": "id.name"}}},
    {"output": {"score": {"dvar": "bank.score"}}},
    {"if": {"condition": {">=": [{"dvar": "bank.balance"}, 1000000]},
            "then": [{"output": {"tier": "gold"}}]}},
    {"output": {"solvent": {">=": [{"dvar": "bank.balance"}, 1000]}}}
]"#;

const BANK_DATA: &str = r#"{"balance": 5000, "score": 712, "_score_zkpass_public_": true}"#;
const ID_DATA: &str = r#"{"name": "Ana", "_name_zkpass_public_": true, "born": "2000-02-29"}"#;

pub struct Fixture {
    pub dvr: Dvr,
    pub issuer_keys: BTreeMap<String, PublicKey>,
    pub claims: ProofClaims,
    pub token: String,
    pub cache: KeyCache,
}

/// A key whose secret is one byte, repeated.
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32]).unwrap()
}

pub fn bank() -> SigningKey {
    key(1)
}

pub fn registry() -> SigningKey {
    key(2)
}

pub fn enclave() -> SigningKey {
    key(3)
}

pub fn date(text: &str) -> Date {
    Date::parse_iso(text).unwrap()
}

fn dvr() -> Dvr {
    let request = |key: &SigningKey, profile| UserDataRequest {
        user_data_url: None,
        user_data_verifying_key: key.public().into(),
        profile,
    };
    Dvr {
        zkvm: PROOF_SYSTEM.into(),
        dvr_title: "Account opening".into(),
        dvr_id: "dvr-7".into(),
        query_engine_ver: "1.0.0".into(),
        query_method_ver: "1.0.0".into(),
        query: QUERY.into(),
        user_data_requests: BTreeMap::from([
            ("bank".into(), request(&bank(), Profile::Zkpass)),
            ("id".into(), request(&registry(), Profile::Jwt)),
        ]),
        dvr_verifying_key: Some(key(9).public().into()),
        nonce: Some("nonce-1".into()),
        audience: Some("https://bank.example".into()),
        expires_at: Some(NOW + 3600),
        max_age_days: Some(2),
        holder_binding: None,
    }
}

/// The proof is made once for all tests of this binary.
pub fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let dvr = dvr();
        let sign = |data, profile, key: &SigningKey| {
            sign_user_data(data, profile, key, Some("k-1")).unwrap()
        };
        let tokens = BTreeMap::from([
            ("bank".to_owned(), sign(BANK_DATA, Profile::Zkpass, &bank())),
            ("id".to_owned(), sign(ID_DATA, Profile::Jwt, &registry())),
        ]);
        let cache = KeyCache::new(8);
        let request = Request {
            dvr: &dvr,
            tokens: &tokens,
            as_of: date("2025-02-13"),
        };
        let made = answer(&request, &cache, &mut |_| ControlFlow::Continue(())).unwrap();
        let claims = ProofClaims::new(&dvr, made.statement, made.proof, NOW - 5);
        Fixture {
            token: ProofToken::sign(&claims, &enclave()).unwrap(),
            issuer_keys: issuer_keys(),
            dvr,
            claims,
            cache,
        }
    })
}

fn issuer_keys() -> BTreeMap<String, PublicKey> {
    BTreeMap::from([
        ("bank".into(), bank().public()),
        ("id".into(), registry().public()),
    ])
}

/// The policy of the relying party that asked.
pub fn policy() -> Policy {
    let fixture = fixture();
    Policy::new(fixture.dvr.clone(), fixture.issuer_keys.clone())
        .expect_enclave_keys(vec![key(8).public(), enclave().public()])
}

pub fn verify(policy: &Policy, token: &str) -> Result<Claims, VerifyError> {
    policy.verify(token, NOW, &fixture().cache)
}

/// The error of a policy that accepts nothing.
pub fn refusal(policy: &Policy, token: &str) -> VerifyError {
    verify(policy, token).map(|_| ()).unwrap_err()
}

/// The token with changed claims, signed by the enclave.
pub fn with_claims(change: impl FnOnce(&mut ProofClaims)) -> String {
    let mut claims = fixture().claims.clone();
    change(&mut claims);
    assert!(claims != fixture().claims, "the change changes nothing");
    ProofToken::sign(&claims, &enclave()).unwrap()
}

/// A changed statement under which every claim agrees, and the relying party
/// with it: it believes to have asked the changed DVR, and trusts the changed
/// keys. All that is left to refuse it is the proof.
pub fn all_agree(change: impl FnOnce(&mut Dvr, &mut Statement)) -> (Policy, String) {
    let fixture = fixture();
    let mut dvr = fixture.dvr.clone();
    let mut statement = fixture.claims.statement.clone();
    change(&mut dvr, &mut statement);
    statement.dvr_digest = dvr.digest();
    let keys = statement
        .tokens
        .iter()
        .map(|token| (token.tag.clone(), token.issuer_key))
        .collect();
    let proof = fixture.claims.zkproof.clone();
    let claims = ProofClaims::new(&dvr, statement, proof, fixture.claims.time_stamp);
    let token = ProofToken::sign(&claims, &enclave()).unwrap();
    (Policy::new(dvr, keys).ignore_enclave_signature(), token)
}

pub fn output(statement: &mut Statement, name: &str) -> usize {
    let position = statement.output.iter().position(|entry| entry.name == name);
    position.unwrap()
}

pub fn set_output(statement: &mut Statement, name: &str, value: OutputValue) {
    let index = output(statement, name);
    assert!(statement.output[index].value != value);
    statement.output[index].value = value;
}
