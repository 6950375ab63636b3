//! SHA-256 only: one compression per step with the gadget library's own
//! SHA-256, and a core that does nothing.

use bellpepper::gadgets::{sha256::sha256_compression_function, uint32::UInt32};
use bellpepper_core::boolean::{AllocatedBit, Boolean};
use bellpepper_core::num::AllocatedNum;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use vega_prover::provider::T256HyraxEngine as E;
use vega_prover::traits::{Engine, circuit::VegaCircuit};
use vega_prover::vega_mc_zkp::{
    VegaMcPrepZkSNARK, VegaMcProverKey, VegaMcVerifierKey, VegaMcZkSNARK,
};

type F = <E as Engine>::Scalar;

const IV: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// One compression of a block, or (`None`) an empty circuit.
#[derive(Clone)]
struct Circuit(Option<[u8; 64]>);

impl VegaCircuit<E> for Circuit {
    fn public_values(&self) -> Result<Vec<F>, SynthesisError> {
        Ok(vec![F::ZERO])
    }

    fn shared<CS: ConstraintSystem<F>>(
        &self,
        _: &mut CS,
    ) -> Result<Vec<AllocatedNum<F>>, SynthesisError> {
        Ok(vec![])
    }

    fn precommitted<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        _: &[AllocatedNum<F>],
    ) -> Result<Vec<AllocatedNum<F>>, SynthesisError> {
        if let Some(block) = &self.0 {
            let mut bits = vec![];
            for (i, byte) in block.iter().enumerate() {
                for j in (0..8).rev() {
                    let name = || format!("bit {i} {j}");
                    let bit = AllocatedBit::alloc(cs.namespace(name), Some((byte >> j) & 1 == 1))?;
                    bits.push(Boolean::from(bit));
                }
            }
            let iv: Vec<UInt32> = IV.iter().map(|w| UInt32::constant(*w)).collect();
            sha256_compression_function(cs.namespace(|| "compression"), &bits, &iv)?;
        }
        let zero = AllocatedNum::alloc(cs.namespace(|| "zero"), || Ok(F::ZERO))?;
        zero.inputize(cs.namespace(|| "public"))?;
        Ok(vec![])
    }

    fn num_challenges(&self) -> usize {
        0
    }

    fn synthesize<CS: ConstraintSystem<F>>(
        &self,
        _: &mut CS,
        _: &[AllocatedNum<F>],
        _: &[AllocatedNum<F>],
        _: Option<&[F]>,
    ) -> Result<(), SynthesisError> {
        Ok(())
    }
}

/// Keys and circuits for a number of blocks.
pub struct Baseline {
    prover: VegaMcProverKey<E>,
    verifier: VegaMcVerifierKey<E>,
    steps: Vec<Circuit>,
}

impl Baseline {
    /// Derives the keys.
    pub fn new(blocks: u16) -> Baseline {
        let steps: Vec<Circuit> = (0..blocks).map(|i| Circuit(Some([i as u8; 64]))).collect();
        let (prover, verifier) =
            VegaMcZkSNARK::<E>::setup(&steps[0], &Circuit(None), steps.len()).expect("set-up");
        Baseline {
            prover,
            verifier,
            steps,
        }
    }

    /// Commits to the witness. Witness values are bits, which the library is
    /// told, as in its own benchmark.
    pub fn prepare(&self) -> VegaMcPrepZkSNARK<E> {
        VegaMcZkSNARK::<E>::prep_prove(&self.prover, &self.steps, &Circuit(None), true)
            .expect("preparation")
    }

    /// Makes the proof.
    pub fn prove(&self, prepared: VegaMcPrepZkSNARK<E>) -> VegaMcZkSNARK<E> {
        VegaMcZkSNARK::<E>::prove(&self.prover, &self.steps, &Circuit(None), prepared, true)
            .expect("proof")
            .0
    }

    /// Verifies it.
    pub fn verify(&self, proof: &VegaMcZkSNARK<E>) {
        proof
            .verify(&self.verifier, self.steps.len())
            .expect("verification");
    }
}

/// Bytes of a proof.
pub fn size(proof: &VegaMcZkSNARK<E>) -> usize {
    bincode::serialize(proof).map_or(0, |b| b.len())
}
