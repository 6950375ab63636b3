//! The core circuit: what concerns whole tokens, and the query.
//!
//! Relation: for each token the public header stands at the start of the
//! message; lengths, padding controls and scanner states at the token's ends are
//! right; the digest of the padded message is signed by the public issuer key;
//! every member was found at most once; and the query over the captured tokens
//! at the public date gives the public outputs. The statement digest is public
//! and so bound to the proof.

use crate::builder::{Builder, Lc};
use crate::field::{E, F, pow2};
use crate::gadgets::date::AsOf;
use crate::gadgets::ecdsa::{self, SignatureWitness};
use crate::plan::{COUNT_BITS, COUNTS_PER_ELEMENT, FINAL_FREE_BITS, Plan, TokenPlan};
use crate::query::{self, Captured, Needs};
use crate::step::{WORDS_PER_ELEMENT, alloc_shared, shared_lcs, split_words};
use bellpepper_core::{ConstraintSystem, SynthesisError, num::AllocatedNum};
use ff::Field;
use std::sync::Arc;
use vega_prover::traits::circuit::VegaCircuit;
use zkpass_query::ast::Program;

/// Initial chaining value of SHA-256 (FIPS 180-4 section 5.3.3).
pub(crate) const IV: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// What only the core knows of the witness.
#[derive(Clone)]
pub(crate) struct CoreWitness {
    /// Length in bytes of each signing input.
    pub(crate) lengths: Vec<usize>,
    pub(crate) signatures: Vec<SignatureWitness>,
    pub(crate) needs: Needs,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) plan: Arc<Plan>,
    pub(crate) program: Arc<Program>,
    pub(crate) shared: Arc<Vec<F>>,
    pub(crate) witness: Arc<CoreWitness>,
    /// In the order of [`crate::public`].
    pub(crate) public: Arc<Vec<F>>,
}

impl VegaCircuit<E> for Core {
    fn public_values(&self) -> Result<Vec<F>, SynthesisError> {
        Ok(self.public.to_vec())
    }

    fn shared<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
    ) -> Result<Vec<AllocatedNum<F>>, SynthesisError> {
        alloc_shared(cs, &self.plan, &self.shared)
    }

    fn precommitted<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        shared: &[AllocatedNum<F>],
    ) -> Result<Vec<AllocatedNum<F>>, SynthesisError> {
        let mut b = Builder::new(cs);
        let shared = shared_lcs(&b, shared);
        self.relation(&mut b, &shared);
        b.finish()?;
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

/// Takes public inputs in their order.
struct Inputs<'v> {
    values: std::slice::Iter<'v, F>,
}

impl Inputs<'_> {
    fn next<CS: ConstraintSystem<F>>(&mut self, b: &mut Builder<'_, CS>) -> Lc {
        let v = self.values.next().copied().unwrap_or(F::ZERO);
        b.input(v)
    }
}

fn at<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, shared: &[Lc], i: usize) -> Lc {
    shared.get(i).cloned().unwrap_or_else(|| b.zero())
}

impl Core {
    /// The whole relation over the shared elements.
    pub(crate) fn relation<CS: ConstraintSystem<F>>(&self, b: &mut Builder<'_, CS>, shared: &[Lc]) {
        let mut inputs = Inputs {
            values: self.public.iter(),
        };
        // The statement's digest: bound to the proof by being public.
        inputs.next(b);
        inputs.next(b);
        let as_of = AsOf {
            year: inputs.next(b),
            month: inputs.next(b),
            day: inputs.next(b),
            day_number: inputs.next(b),
        };
        for (t, token) in self.plan.tokens.iter().enumerate() {
            let qx = inputs.next(b);
            let qy = inputs.next(b);
            self.header(b, shared, token, &mut inputs);
            let length = self.witness.lengths.get(t).copied().unwrap_or(0);
            let last = self.length(b, shared, token, length);
            self.ends(b, shared, token);
            let digest = self.digest(b, shared, token, &last);
            if let Some(signature) = self.witness.signatures.get(t) {
                ecdsa::verify(b, &digest, &qx, &qy, signature);
            }
        }
        let captured = self.captured(b, shared);
        let (outputs, _) = query::compile(
            b,
            &self.plan,
            &self.program,
            &captured,
            &as_of,
            Some(&self.witness.needs),
        );
        for value in &outputs {
            let public = inputs.next(b);
            b.equal(value, &public);
        }
    }

    /// The message begins with the public prefix. Word elements that the prefix
    /// covers are compared whole; of one it ends in, the rest is less than the
    /// place value of the prefix's last byte.
    fn header<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        shared: &[Lc],
        token: &TokenPlan,
        inputs: &mut Inputs<'_>,
    ) {
        for (block, k, covered, size) in prefix_elements(token) {
            let element = at(b, shared, self.plan.layout.word(block, k));
            let public = inputs.next(b);
            if covered == size {
                b.equal(&element, &public);
            } else {
                let rest = b.sub(&element, &public);
                b.bits(&rest, 8 * (size - covered));
            }
        }
    }

    /// Ties the control elements of a token's blocks to one length, and returns
    /// for each block whether it is the last of the padded message.
    fn length<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        shared: &[Lc],
        token: &TokenPlan,
        length: usize,
    ) -> Vec<Lc> {
        // length = 64 * quotient + remainder; the quotient is a block.
        let ends = b.one_hot(token.blocks, length / 64);
        let remainder: Vec<Lc> = (0..6).map(|i| b.bit((length >> i) & 1 == 1)).collect();
        let r = b.radix(F::from(2), &remainder);
        let r_zero = b.is_zero(&r);
        // The length field fits behind the mark if the remainder is at most 55.
        let [_, _, _, r3, r4, r5] = remainder.as_slice() else {
            return vec![];
        };
        let high = b.mul(r3, r4);
        let high = b.mul(&high, r5);
        let fits = b.not(&high);
        let quotient = b.sum(ends.iter().enumerate().map(|(j, e)| (F::from(j as u64), e)));
        let total = b.sum([(F::from(64), &quotient), (F::ONE, &r)]);
        // At least one payload character.
        let payload = b.sub(&total, &b.int(token.prefix_len as u64 + 1));
        b.bits(&payload, 13);
        let bit_length = b.scale(&total, F::from(8));

        let mut last_flags = vec![];
        let mut spill = b.zero();
        let mut behind = b.one();
        for (j, end) in ends.iter().enumerate() {
            // `behind`: the message ends in a later block, so this one is full.
            behind = b.sub(&behind, end);
            let partial = b.mul(end, &r);
            let first_pad = b.mul(end, &r_zero);
            let here = b.mul(end, &fits);
            let last = b.add(&here, &spill);
            spill = b.sub(end, &here);
            let field = b.mul(&last, &bit_length);
            let mut control = b.sum([(F::from(64), &behind), (F::ONE, &partial)]);
            b.accumulate(&mut control, pow2(7), &first_pad);
            b.accumulate(&mut control, pow2(8), &last);
            b.accumulate(&mut control, pow2(9), &field);
            let position = self.plan.layout.control(token.first_block + j);
            let element = at(b, shared, position);
            b.equal(&control, &element);
            last_flags.push(last);
        }
        let sum = b.total(&last_flags);
        let one = b.one();
        b.equal(&sum, &one);
        last_flags
    }

    /// Scanner and hash states before the first block and after the last.
    fn ends<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        shared: &[Lc],
        token: &TokenPlan,
    ) {
        let layout = &self.plan.layout;
        let (first, last) = (token.first_slot, token.first_slot + token.blocks);
        for (k, half) in IV.chunks(4).enumerate() {
            let iv = half
                .iter()
                .fold(F::ZERO, |a, w| a * pow2(32) + F::from(u64::from(*w)));
            let iv = b.constant(iv);
            let element = at(b, shared, layout.chain(first, k));
            b.equal(&element, &iv);
        }
        // Before: all registers zero, but for the first block's own head, whose
        // characters are part of the message.
        let mut head = at(b, shared, layout.state(first, 0));
        b.accumulate(&mut head, -(F::from(7) * pow2(FINAL_FREE_BITS)), &b.one());
        b.bits(&head, 24);
        // After: not in a string, no container open, no value unfinished, and
        // no message behind the last block.
        let tail = at(b, shared, layout.state(last, 0));
        b.bits(&tail, FINAL_FREE_BITS);
        let zero = b.zero();
        for k in 1..layout.packed {
            for slot in [first, last] {
                let element = at(b, shared, layout.state(slot, k));
                b.equal(&element, &zero);
            }
        }
        for k in 0..layout.limbs {
            let start = b.constant(if k == 0 { F::ONE } else { F::ZERO });
            let element = at(b, shared, layout.limb(first, k));
            b.equal(&element, &start);
        }
    }

    /// The chaining value after the last block of the message, as 256 bits,
    /// least significant first.
    fn digest<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        shared: &[Lc],
        token: &TokenPlan,
        last: &[Lc],
    ) -> Vec<Lc> {
        let mut words = vec![];
        for k in 0..2 {
            let mut half = b.zero();
            for (j, flag) in last.iter().enumerate() {
                let slot = token.first_slot + j + 1;
                let element = at(b, shared, self.plan.layout.chain(slot, k));
                let part = b.mul(flag, &element);
                b.accumulate(&mut half, F::ONE, &part);
            }
            words.extend(split_words(b, &half, 4));
        }
        words.into_iter().rev().flatten().collect()
    }

    /// Captured tokens, and from the match counts whether each was found. No
    /// edge may match twice.
    fn captured<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        shared: &[Lc],
    ) -> Captured {
        captured(b, &self.plan, shared)
    }
}

/// See [`Core::captured`].
pub(crate) fn captured<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    plan: &Plan,
    shared: &[Lc],
) -> Captured {
    let layout = &plan.layout;
    let mut found = vec![];
    for k in 0..layout.counts {
        let mut total = b.zero();
        for j in 0..layout.blocks {
            let element = at(b, shared, layout.count(j, k));
            b.accumulate(&mut total, F::ONE, &element);
        }
        // Each count is below 2^14 (fewer bytes than that), so the sum splits in
        // one way; every part must be 0 or 1.
        let n = (plan.edges.len() - k * COUNTS_PER_ELEMENT).min(COUNTS_PER_ELEMENT);
        let raw = crate::field::to_le_bytes(total.value());
        let flags: Vec<Lc> = (0..n)
            .map(|i| b.bit(crate::field::bit_of(&raw, i * COUNT_BITS)))
            .collect();
        let sum = b.radix(pow2(COUNT_BITS), &flags);
        b.equal(&sum, &total);
        found.extend(flags);
    }
    Captured {
        leaves: plan
            .leaves
            .iter()
            .enumerate()
            .map(|(l, leaf)| {
                (0..leaf.limbs)
                    .map(|k| at(b, shared, layout.capture(l, k)))
                    .collect()
            })
            .collect(),
        present: plan
            .leaves
            .iter()
            .map(|leaf| found.get(leaf.edge).cloned().unwrap_or_else(|| b.zero()))
            .collect(),
    }
}

/// The word elements that hold a token's prefix: block, element in the block,
/// bytes covered by the prefix, and bytes of the element.
pub(crate) fn prefix_elements(token: &TokenPlan) -> Vec<(usize, usize, usize, usize)> {
    let mut out = vec![];
    let mut offset = 0;
    for block in token.first_block..token.first_block + token.blocks {
        for (k, words) in WORDS_PER_ELEMENT.into_iter().enumerate() {
            let size = 4 * words;
            if offset < token.prefix_len {
                out.push((block, k, size.min(token.prefix_len - offset), size));
            }
            offset += size;
        }
    }
    out
}
