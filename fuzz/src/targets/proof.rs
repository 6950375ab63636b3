//! Proof tokens, and the proofs inside.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use zkpass_circuit::answer::{Answer, Request, answer};
use zkpass_circuit::{KeyCache, Keys, Shape, verify};
use zkpass_core::dvr::Dvr;
use zkpass_core::jws::{Header, sign};
use zkpass_core::proof::{PROOF_TYPE, ProofClaims, ProofToken};

use zkpass_core::user_data::{Profile, sign_user_data};
use zkpass_query::ast::Program;
use zkpass_query::compile;

use super::{query, token};
use crate::Target;

pub const PROOF_TOKEN: Target = Target {
    name: "proof-token",
    seeds: || vec![serde_json::to_vec(&claims()).expect("claims have a JSON form")],
    run: run_proof_token,
    runs: 2_000,
};

pub const PROOF_BYTES: Target = Target {
    name: "proof-bytes",
    seeds: || vec![PROVEN.answer.proof.clone()],
    run: run_proof_bytes,
    runs: 50,
};

/// A statement with its proof, and what is needed to verify it.
struct Proven {
    program: Program,
    keys: Arc<Keys>,
    answer: Answer,
}

static PROVEN: LazyLock<Proven> = LazyLock::new(|| {
    let dvr = Dvr {
        query: r#"[{"output":{"o":{">=":[{"dvar":"a"},1]}}}]"#.to_owned(),
        ..token::dvr()
    };
    let data = sign_user_data(r#"{"a":1}"#, Profile::Zkpass, &token::key(), None);
    let request = Request {
        dvr: &dvr,
        tokens: &BTreeMap::from([(String::new(), data.expect("valid data"))]),
        as_of: query::as_of(),
    };
    let cache = KeyCache::new(1);
    let answer = answer(&request, &cache, &mut |_| ControlFlow::Continue(()));
    let answer = answer.expect("a true answer");
    let program = compile(&dvr.query, &dvr.tags()).expect("a valid query");
    let shape = Shape::of_statement(&answer.statement);
    let keys = cache.get(&program, &shape).expect("derived keys");
    Proven {
        program,
        keys,
        answer,
    }
});

fn claims() -> ProofClaims {
    ProofClaims::new(
        &token::dvr(),
        token::statement(),
        vec![7; 48],
        1_780_000_000,
    )
}

/// The input is the payload of a validly signed proof token. An accepted one
/// means the same when it is signed again.
fn run_proof_token(input: &[u8]) -> bool {
    let signed = sign(&Header::new(PROOF_TYPE, None), input, &token::key());
    let Ok(read) = ProofToken::parse(&signed) else {
        return false;
    };
    let again = ProofToken::sign(read.claims(), &token::key()).expect("can be signed again");
    let again = ProofToken::parse(&again).expect("a signed token can be read");
    assert!(again.claims() == read.claims());
    let _ = read.claims().agree_with(&token::dvr());
    true
}

/// Nothing but the proof itself is a proof.
fn run_proof_bytes(input: &[u8]) -> bool {
    let Proven {
        program,
        keys,
        answer,
    } = &*PROVEN;
    let accepted = verify(keys, program, &answer.statement, input).is_ok();
    assert_eq!(accepted, input == answer.proof);
    accepted
}
