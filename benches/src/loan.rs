//! The bank-loan request of the examples, over a token padded to a number of
//! blocks.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zkpass_circuit::answer::{Answer, Phase, Request, answer};
use zkpass_circuit::{KeyCache, Keys, Shape, verify};
use zkpass_core::date::Date;
use zkpass_core::dvr::Dvr;
use zkpass_core::keys::SigningKey;
use zkpass_core::limits::MAX_TOKEN_BYTES;
use zkpass_core::user_data::{Profile, sign_user_data};
use zkpass_query::ast::Program;

const QUERY: &str = include_str!("../../examples/bank-loan/query.json");
const DATA: &str = include_str!("../../examples/bank-loan/data.json");

/// One size of the request.
pub struct Loan {
    dvr: Dvr,
    program: Program,
    tokens: BTreeMap<String, String>,
    cache: KeyCache,
}

/// Times of one proof.
pub struct Times {
    /// Parsing, signature check, evaluation.
    pub check: Duration,
    /// Witness and commitments.
    pub prepare: Duration,
    /// The proof.
    pub prove: Duration,
}

impl Loan {
    /// A token of exactly `blocks` blocks: unqueried text fills it.
    pub fn new(blocks: u16) -> Loan {
        let issuer = SigningKey::from_bytes(&[7; 32]).expect("key");
        let jwk = serde_json::to_value(issuer.public().to_jwk()).expect("key");
        let dvr = serde_json::json!({
            "zkvm": "vega", "dvr_title": "Loan", "dvr_id": "loan", "query_engine_ver": "1",
            "query_method_ver": "1", "query": QUERY,
            "user_data_requests": {"": {"user_data_url": "https://bank.example",
                "user_data_verifying_key": {"PublicKey": jwk}}},
            "dvr_verifying_key": null, "nonce": "bench"
        });
        let dvr = Dvr::from_json(&dvr.to_string()).expect("DVR");
        let program = zkpass_query::compile(QUERY, &[""]).expect("query");
        // A little less than the blocks, and than the longest token.
        let wanted = (64 * usize::from(blocks) - 40).min(MAX_TOKEN_BYTES - 100);
        let mut filler = 0;
        let token = loop {
            let data = DATA.trim().strip_suffix('}').expect("an object");
            let data = format!(r#"{data},"filler":"{}"}}"#, "x".repeat(filler));
            let token = sign_user_data(&data, Profile::Zkpass, &issuer, None).expect("token");
            let signed = token.len() - 87;
            if signed >= wanted {
                break token;
            }
            filler += ((wanted - signed) / 2).max(1);
        };
        Loan {
            dvr,
            program,
            tokens: BTreeMap::from([(String::new(), token)]),
            cache: KeyCache::new(1),
        }
    }

    /// Makes the proof and says how long its phases took. Keys are derived by
    /// the first call.
    pub fn prove(&self) -> (Answer, Times) {
        let request = Request {
            dvr: &self.dvr,
            tokens: &self.tokens,
            as_of: Date::new(2026, 3, 1).expect("date"),
        };
        let mut marks = vec![];
        let made = answer(&request, &self.cache, &mut |phase| {
            marks.push((phase, Instant::now()));
            ControlFlow::Continue(())
        })
        .expect("answer");
        let end = Instant::now();
        let at = |p: Phase| marks.iter().find(|(q, _)| *q == p).map_or(end, |m| m.1);
        let times = Times {
            check: at(Phase::DerivingKeys) - at(Phase::Checking),
            prepare: at(Phase::Proving) - at(Phase::Preparing),
            prove: end - at(Phase::Proving),
        };
        (made, times)
    }

    /// Derives the keys anew.
    pub fn derive(&self, shape: &Shape) -> Keys {
        Keys::derive(&self.program, shape).expect("keys")
    }

    /// Constraints of a step and of the core.
    pub fn constraints(&self, a: &Answer) -> (usize, usize) {
        self.keys(a).constraint_counts()
    }

    fn keys(&self, a: &Answer) -> Arc<Keys> {
        self.cache
            .get(&self.program, &Shape::of_statement(&a.statement))
            .expect("keys")
    }

    /// Verifies with keys from the cache.
    pub fn verify(&self, a: &Answer) {
        verify(&self.keys(a), &self.program, &a.statement, &a.proof).expect("verification");
    }
}
