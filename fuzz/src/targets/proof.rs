//! Proof tokens.

use zkpass_core::jws::{Header, sign};
use zkpass_core::proof::{PROOF_TYPE, ProofClaims, ProofToken};

use super::token;
use crate::Target;

pub const PROOF_TOKEN: Target = Target {
    name: "proof-token",
    seeds: || vec![serde_json::to_vec(&claims()).expect("claims have a JSON form")],
    run: run_proof_token,
    runs: 2_000,
};

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
