//! Tests of the whole relation without proving: circuits over a constraint
//! system that evaluates them.

mod agreement;
mod attacks;
mod counts;
mod scanner;

use crate::builder::Builder;
use crate::core::Core;
use crate::field::F;
use crate::gadgets::ecdsa::SignatureWitness;
use crate::plan::{Plan, bucket_for};
use crate::step::{self, alloc_shared, shared_lcs};
use crate::testing::Checker;
use crate::witness::{SignedToken, Witness};
use crate::{PROOF_SYSTEM, Shape, VERSION, public};
use std::sync::Arc;
use zkpass_core::date::Date;
use zkpass_core::jws::{Compact, Header, sign};
use zkpass_core::keys::{PublicKey, SigningKey};
use zkpass_core::statement::{OutputEntry, Statement, TokenStatement};
use zkpass_core::user_data::{Profile, data_root};
use zkpass_query::ast::Program;
use zkpass_query::{Documents, EvalError, evaluate};

/// One document: tag, profile, payload text.
pub(crate) struct Document<'a> {
    pub(crate) tag: &'a str,
    pub(crate) profile: Profile,
    pub(crate) payload: &'a str,
    pub(crate) kid: Option<&'a str>,
}

/// A document under the empty tag whose payload is the data itself.
pub(crate) fn single(payload: &str) -> Vec<Document<'_>> {
    vec![Document {
        tag: "",
        profile: Profile::Jwt,
        payload,
        kid: None,
    }]
}

pub(crate) fn date(y: u16, m: u8, d: u8) -> Date {
    Date::new(y, m, d).unwrap()
}

/// Signs payloads with keys made from seeds.
fn sign_all(
    payloads: &[(String, Option<String>)],
    seeds: &[u8],
) -> Vec<(SignedToken, PublicKey, String)> {
    payloads
        .iter()
        .zip(seeds)
        .map(|((payload, kid), seed)| {
            let key = SigningKey::from_bytes(&[*seed; 32]).unwrap();
            let header = Header::new("JWT", kid.as_deref());
            let text = sign(&header, payload.as_bytes(), &key);
            let token = Compact::parse(&text).unwrap();
            let input = token.signing_input().as_bytes().to_vec();
            let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&input).into();
            let public = key.public().coordinates();
            let signature = SignatureWitness::new(&public, &digest, &token.signature()).unwrap();
            let signed = SignedToken {
                signing_input: input,
                signature,
            };
            (signed, key.public(), token.header_b64().to_owned())
        })
        .collect()
}

/// Everything a proof is made of, before proving.
pub(crate) struct Case {
    payloads: Vec<(String, Option<String>)>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) program: Arc<Program>,
    pub(crate) statement: Statement,
    pub(crate) witness: Witness,
    pub(crate) evaluated: Result<Vec<OutputEntry>, EvalError>,
}

impl Case {
    /// Signs the documents and computes the honest witness. Where evaluation
    /// fails the statement has no output.
    pub(crate) fn new(script: &str, documents: &[Document<'_>], as_of: Date) -> Case {
        let tags: Vec<&str> = documents.iter().map(|d| d.tag).collect();
        let program = Arc::new(zkpass_query::compile(script, &tags).unwrap());
        let payloads: Vec<_> = documents
            .iter()
            .map(|d| (d.payload.to_owned(), d.kid.map(str::to_owned)))
            .collect();
        let keys: Vec<u8> = (7..).take(documents.len()).collect();
        let signed = sign_all(&payloads, &keys);
        let statements = documents
            .iter()
            .zip(&signed)
            .map(|(d, s)| TokenStatement {
                tag: d.tag.to_owned(),
                profile: d.profile,
                issuer_key: s.1,
                header: s.2.clone(),
                blocks: bucket_for(s.0.signing_input.len()).unwrap(),
            })
            .collect();
        let evaluated = {
            let parsed: Vec<_> = documents
                .iter()
                .map(|d| (d, zkpass_core::json::parse(d.payload).unwrap()))
                .collect();
            let mut roots = Documents::new();
            for (d, v) in &parsed {
                roots.insert(d.tag.to_owned(), data_root(v, d.profile).unwrap());
            }
            evaluate(&program, &roots, as_of)
        };
        let statement = Statement {
            proof_system: PROOF_SYSTEM.to_owned(),
            version: VERSION,
            circuit_digest: [0; 32],
            dvr_digest: [1; 32],
            tokens: statements,
            as_of,
            nonce: None,
            audience: None,
            output: evaluated.clone().unwrap_or_default(),
        };
        let shape = Shape::of_statement(&statement);
        let plan = Arc::new(Plan::new(&program, &shape));
        let signed = signed.into_iter().map(|s| s.0).collect();
        let witness = Witness::new(&plan, &program, signed, as_of);
        Case {
            payloads,
            plan,
            program,
            statement,
            witness,
            evaluated,
        }
    }

    /// Signs the payloads again, with other keys, and replaces the witness; the
    /// statement stays.
    pub(crate) fn sign_with(&mut self, seeds: &[u8]) {
        let signed = sign_all(&self.payloads, seeds);
        let signed = signed.into_iter().map(|s| s.0).collect();
        self.witness = Witness::new(&self.plan, &self.program, signed, self.statement.as_of);
    }

    pub(crate) fn core(&self) -> Core {
        let public = public::values(&self.plan, &self.program, &self.statement).unwrap();
        Core {
            plan: self.plan.clone(),
            program: self.program.clone(),
            shared: Arc::new(self.witness.shared.clone()),
            witness: Arc::new(self.witness.core.clone()),
            public: Arc::new(public),
        }
    }

    pub(crate) fn core_system(&self) -> Checker {
        let core = self.core();
        self.system(|b, shared| core.relation(b, shared))
    }

    pub(crate) fn satisfied_core(&self, core: &Core) -> bool {
        self.system(|b, shared| core.relation(b, shared))
            .satisfied()
    }

    pub(crate) fn step_system(&self, index: usize) -> Checker {
        self.system(|b, shared| step::block(b, &self.plan, shared, index))
    }

    fn system(
        &self,
        relation: impl Fn(&mut Builder<'_, Checker>, &[crate::builder::Lc]),
    ) -> Checker {
        let mut cs = Checker::new();
        let shared = alloc_shared(&mut cs, &self.plan, &self.witness.shared).unwrap();
        let mut b = Builder::new(&mut cs);
        let shared = shared_lcs(&b, &shared);
        relation(&mut b, &shared);
        b.finish().unwrap();
        cs
    }

    pub(crate) fn blocks(&self) -> usize {
        self.plan.layout.blocks
    }

    /// The first circuit that is not satisfied, or `None` if all are.
    pub(crate) fn refused_by(&self) -> Option<String> {
        if let Some(n) = self.core_system().first_failure() {
            return Some(format!("core, constraint {n}"));
        }
        (0..self.blocks()).find_map(|i| {
            let n = self.step_system(i).first_failure()?;
            Some(format!("step {i}, constraint {n}"))
        })
    }

    /// Asserts that the honest case is satisfied.
    pub(crate) fn holds(&self) -> &Self {
        assert_eq!(self.refused_by(), None);
        self
    }

    /// Sets a shared element.
    pub(crate) fn set(&mut self, position: usize, value: F) {
        self.witness.shared[position] = value;
    }
}
