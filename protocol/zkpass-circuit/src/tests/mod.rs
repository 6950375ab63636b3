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
use zkpass_core::keys::SigningKey;
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

/// Everything a proof is made of, before proving.
pub(crate) struct Case {
    pub(crate) plan: Arc<Plan>,
    pub(crate) program: Arc<Program>,
    pub(crate) shape: Shape,
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
        let mut statements = vec![];
        let mut signed = vec![];
        for (i, d) in documents.iter().enumerate() {
            let key = SigningKey::from_bytes(&[i as u8 + 7; 32]).unwrap();
            let text = sign(&Header::new("JWT", d.kid), d.payload.as_bytes(), &key);
            let token = Compact::parse(&text).unwrap();
            let input = token.signing_input().as_bytes().to_vec();
            let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&input).into();
            statements.push(TokenStatement {
                tag: d.tag.to_owned(),
                profile: d.profile,
                issuer_key: key.public(),
                header: token.header_b64().to_owned(),
                blocks: bucket_for(input.len()).unwrap(),
            });
            signed.push(SignedToken {
                signature: SignatureWitness::new(
                    &key.public().coordinates(),
                    &digest,
                    &token.signature(),
                )
                .unwrap(),
                signing_input: input,
            });
        }
        let evaluated = (|| {
            let parsed: Vec<_> = documents
                .iter()
                .map(|d| (d, zkpass_core::json::parse(d.payload).unwrap()))
                .collect();
            let mut roots = Documents::new();
            for (d, v) in &parsed {
                roots.insert(d.tag.to_owned(), data_root(v, d.profile).unwrap());
            }
            evaluate(&program, &roots, as_of)
        })();
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
        let witness = Witness::new(&plan, &program, signed, as_of);
        Case {
            plan,
            program,
            shape,
            statement,
            witness,
            evaluated,
        }
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
