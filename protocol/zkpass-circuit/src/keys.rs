//! Keys, proving and verifying: the boundary to the proof system.

use crate::core::Core;
use crate::counter::Counter;
use crate::field::{E, F};
use crate::plan::{BUCKETS, Plan};
use crate::step::Step;
use crate::witness::Witness;
use crate::{PROOF_SYSTEM, Shape, VERSION, public};
use bincode::Options;
use sha2::{Digest, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};
use vega_prover::traits::circuit::VegaCircuit;
use vega_prover::traits::snark::DigestHelperTrait;
use vega_prover::vega_mc_zkp::{
    VegaMcPrepZkSNARK, VegaMcProverKey, VegaMcVerifierKey, VegaMcZkSNARK,
};
use zkpass_core::limits::{MAX_DOCUMENTS, MAX_PROOF_BYTES};
use zkpass_core::statement::Statement;
use zkpass_query::ast::Program;

/// Why no circuit exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CircuitError {
    /// The shape has no token, too many, or tags out of order.
    #[error("a proof is over one to {MAX_DOCUMENTS} tokens in the order of their tags")]
    Tokens,
    /// The query reads a document the shape lacks, or the other way round.
    #[error("the tokens do not match the documents of the query")]
    Tags,
    /// Not one of the block counts that tokens are padded to.
    #[error("{0} blocks is not a size that tokens are padded to")]
    Blocks(u16),
    /// The header does not fit before the payload.
    #[error("a protected header of {0} characters does not fit the token")]
    Header(usize),
    /// The proof system refused the circuit.
    #[error("the proof system could not set up the circuit")]
    Setup,
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The statement is not one of this circuit.
    #[error("the statement does not belong to the circuit")]
    WrongShape,
    /// The proof system failed.
    #[error("the proof system could not make the proof")]
    Failed,
    /// The observer asked to stop.
    #[error("proving was cancelled")]
    Cancelled,
}

/// Why a proof is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Longer than any proof.
    #[error("the proof is longer than {MAX_PROOF_BYTES} bytes")]
    TooLarge,
    /// Not a proof in the proof system's serialisation.
    #[error("the proof is malformed")]
    Malformed,
    /// The statement is not one of this circuit.
    #[error("the statement does not belong to the circuit")]
    WrongShape,
    /// The proof system does not accept the proof.
    #[error("the proof is not valid")]
    Invalid,
    /// The proof is of another statement.
    #[error("the proof is of another statement")]
    PublicValueMismatch,
}

/// Prover and verifier key of one program and shape, derived, never stored.
pub struct Keys {
    plan: Arc<Plan>,
    program: Arc<Program>,
    prover: VegaMcProverKey<E>,
    verifier: VegaMcVerifierKey<E>,
    circuit_digest: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("circuit_digest", &self.circuit_digest)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Derives the keys. Deterministic in the program and the shape; takes a
    /// good part of a second.
    pub fn derive(program: &Program, shape: &Shape) -> Result<Keys, CircuitError> {
        check_shape(program, shape)?;
        let plan = Arc::new(Plan::new(program, shape));
        let program = Arc::new(program.clone());
        let (step, core) = blank(&plan, &program);
        let (prover, verifier) = VegaMcZkSNARK::<E>::setup(&step, &core, plan.layout.blocks)
            .map_err(|_| CircuitError::Setup)?;
        let key_digest = verifier.digest().map_err(|_| CircuitError::Setup)?;
        let mut hash = Sha256::new();
        hash.update(b"zkpass/circuit/v1");
        hash.update(PROOF_SYSTEM.as_bytes());
        hash.update(VERSION.to_be_bytes());
        hash.update(key_digest);
        Ok(Keys {
            plan,
            program,
            prover,
            verifier,
            circuit_digest: hash.finalize().into(),
        })
    }

    /// Identifies the circuit: a hash of the verifier key, which holds every
    /// constraint.
    pub fn circuit_digest(&self) -> [u8; 32] {
        self.circuit_digest
    }

    /// Constraints of one step circuit and of the core circuit, before padding to
    /// a power of two.
    pub fn constraint_counts(&self) -> (usize, usize) {
        let (step, core) = blank(&self.plan, &self.program);
        (count(&step), count(&core))
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// The circuits, to be described and not satisfied.
fn blank(plan: &Arc<Plan>, program: &Arc<Program>) -> (Step, Core) {
    let blank = Witness::blank(plan, program);
    let shared = Arc::new(blank.shared);
    let step = Step {
        plan: plan.clone(),
        shared: shared.clone(),
        index: 0,
    };
    let core = Core {
        plan: plan.clone(),
        program: program.clone(),
        shared,
        witness: Arc::new(blank.core),
        public: Arc::new(vec![]),
    };
    (step, core)
}

/// Constraints of a circuit; the blank witness does not fail to allocate.
fn count(circuit: &impl VegaCircuit<E>) -> usize {
    let mut cs = Counter::symbolic();
    let shared = circuit.shared(&mut cs).unwrap_or_default();
    let _ = circuit.precommitted(&mut cs, &shared);
    cs.constraints
}

fn check_shape(program: &Program, shape: &Shape) -> Result<(), CircuitError> {
    let ordered = shape.tokens.windows(2).all(|w| match w {
        [a, b] => a.tag < b.tag,
        _ => true,
    });
    if shape.tokens.is_empty() || shape.tokens.len() > MAX_DOCUMENTS || !ordered {
        return Err(CircuitError::Tokens);
    }
    if program
        .fields
        .iter()
        .any(|f| !shape.tokens.iter().any(|t| t.tag == f.tag))
    {
        return Err(CircuitError::Tags);
    }
    for token in &shape.tokens {
        if !BUCKETS.contains(&token.blocks) {
            return Err(CircuitError::Blocks(token.blocks));
        }
        // At least one payload character and the padding must follow.
        if token.header_len < 4 || token.header_len + 11 > 64 * usize::from(token.blocks) {
            return Err(CircuitError::Header(token.header_len));
        }
    }
    Ok(())
}

/// A proof being made: prepared, but not yet finished.
pub(crate) struct Prepared<'k> {
    keys: &'k Keys,
    steps: Vec<Step>,
    core: Core,
    state: VegaMcPrepZkSNARK<E>,
}

/// Commits to the witness.
pub(crate) fn prepare<'k>(
    keys: &'k Keys,
    statement: &Statement,
    witness: Witness,
) -> Result<Prepared<'k>, ProveError> {
    let public =
        public::values(&keys.plan, &keys.program, statement).ok_or(ProveError::WrongShape)?;
    let shared = Arc::new(witness.shared);
    let steps: Vec<Step> = (0..keys.plan.layout.blocks)
        .map(|index| Step {
            plan: keys.plan.clone(),
            shared: shared.clone(),
            index,
        })
        .collect();
    let core = Core {
        plan: keys.plan.clone(),
        program: keys.program.clone(),
        shared,
        witness: Arc::new(witness.core),
        public: Arc::new(public),
    };
    let state = VegaMcZkSNARK::<E>::prep_prove(&keys.prover, &steps, &core, false)
        .map_err(|_| ProveError::Failed)?;
    Ok(Prepared {
        keys,
        steps,
        core,
        state,
    })
}

impl Prepared<'_> {
    /// Makes the proof.
    pub(crate) fn prove(self) -> Result<Vec<u8>, ProveError> {
        let (proof, _) = VegaMcZkSNARK::<E>::prove(
            &self.keys.prover,
            &self.steps,
            &self.core,
            self.state,
            false,
        )
        .map_err(|_| ProveError::Failed)?;
        bincode::serialize(&proof).map_err(|_| ProveError::Failed)
    }
}

/// Verifies a proof of a statement: the zero-knowledge proof itself, and every
/// public value of every circuit against the statement.
///
/// Never panics: the proof system may on hostile bytes, so it runs behind a
/// panic boundary (which needs unwinding panics).
pub fn verify(
    keys: &Keys,
    program: &Program,
    statement: &Statement,
    proof: &[u8],
) -> Result<(), ProofError> {
    if proof.len() > MAX_PROOF_BYTES {
        return Err(ProofError::TooLarge);
    }
    if *program != *keys.program {
        return Err(ProofError::WrongShape);
    }
    let expected =
        public::values(&keys.plan, &keys.program, statement).ok_or(ProofError::WrongShape)?;
    let steps = keys.plan.layout.blocks;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let parsed: VegaMcZkSNARK<E> = bincode::DefaultOptions::new()
            .with_fixint_encoding()
            .with_limit(MAX_PROOF_BYTES as u64)
            .deserialize(proof)
            .map_err(|_| ProofError::Malformed)?;
        // One proof has one encoding.
        if bincode::serialize(&parsed).ok().as_deref() != Some(proof) {
            return Err(ProofError::Malformed);
        }
        parsed
            .verify(&keys.verifier, steps)
            .map_err(|_| ProofError::Invalid)
    }));
    let (step_values, core_values) = outcome.map_err(|_| ProofError::Invalid)??;
    let indices_match = step_values.len() == steps
        && step_values
            .iter()
            .enumerate()
            .all(|(i, v)| *v == [F::from(i as u64)]);
    if indices_match && core_values == expected {
        Ok(())
    } else {
        Err(ProofError::PublicValueMismatch)
    }
}

/// A proof and its verifier key in the proof system's published serialisation,
/// for other implementations of its specification.
pub fn export(keys: &Keys, proof: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CircuitError> {
    let key = bincode::serialize(&keys.verifier).map_err(|_| CircuitError::Setup)?;
    Ok((proof.to_vec(), key))
}

type Cell = Arc<OnceLock<Result<Arc<Keys>, CircuitError>>>;

struct Entry {
    program: Program,
    shape: Shape,
    cell: Cell,
}

/// Keys by program and shape, least recently used out first.
pub struct KeyCache {
    capacity: usize,
    /// Most recently used last.
    entries: Mutex<Vec<Entry>>,
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyCache")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl KeyCache {
    /// Keeps up to `capacity` keys (at least one); each takes tens of megabytes.
    pub fn new(capacity: usize) -> KeyCache {
        KeyCache {
            capacity: capacity.max(1),
            entries: Mutex::new(vec![]),
        }
    }

    /// The keys, derived if they are not there. Callers that want the same keys
    /// at the same time wait for one derivation.
    pub fn get(&self, program: &Program, shape: &Shape) -> Result<Arc<Keys>, CircuitError> {
        let cell = {
            let mut entries = self
                .entries
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let found = entries
                .iter()
                .position(|e| e.shape == *shape && e.program == *program);
            let entry = match found {
                Some(i) => entries.remove(i),
                None => Entry {
                    program: program.clone(),
                    shape: shape.clone(),
                    cell: Cell::default(),
                },
            };
            let cell = entry.cell.clone();
            entries.push(entry);
            if entries.len() > self.capacity {
                entries.remove(0);
            }
            cell
        };
        cell.get_or_init(|| Keys::derive(program, shape).map(Arc::new))
            .clone()
    }
}
