//! The step circuit: one 64-byte block of one token.
//!
//! Relation, for the public index `i`: among the shared elements, those of
//! block `i` and of the state slots before and after it satisfy: the words are
//! 32-bit, the chaining value after is the SHA-256 compression of the one before,
//! bytes past the message are standard padding as the control element says, the
//! payload characters decode, and the scanner state after follows from the one
//! before, with the matches counted and the values captured.

use crate::builder::{Builder, Lc};
use crate::field::{E, F, bit_of, low_u64, pow2, to_le_bytes};
use crate::gadgets::{base64, scanner, sha256};
use crate::plan::{DEPTH_BITS, PACK_BITS, Plan};
use bellpepper_core::{ConstraintSystem, SynthesisError, num::AllocatedNum};
use ff::Field;
use std::sync::Arc;
use vega_prover::traits::circuit::VegaCircuit;

/// How many words the three word elements of a block hold.
pub(crate) const WORDS_PER_ELEMENT: [usize; 3] = [6, 5, 5];

/// The circuit of one block. The witness is the shared elements alone.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) plan: Arc<Plan>,
    pub(crate) shared: Arc<Vec<F>>,
    pub(crate) index: usize,
}

/// Allocates the shared elements; the same in every circuit.
pub(crate) fn alloc_shared<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    plan: &Plan,
    values: &[F],
) -> Result<Vec<AllocatedNum<F>>, SynthesisError> {
    (0..plan.layout.len())
        .map(|i| {
            AllocatedNum::alloc(cs.namespace(|| format!("shared {i}")), || {
                values
                    .get(i)
                    .copied()
                    .ok_or(SynthesisError::AssignmentMissing)
            })
        })
        .collect()
}

/// The shared elements as combinations.
pub(crate) fn shared_lcs<CS: ConstraintSystem<F>>(
    b: &Builder<'_, CS>,
    shared: &[AllocatedNum<F>],
) -> Vec<Lc> {
    shared
        .iter()
        .map(|n| b.known(n.get_variable(), n.get_value().unwrap_or(F::ZERO)))
        .collect()
}

impl VegaCircuit<E> for Step {
    fn public_values(&self) -> Result<Vec<F>, SynthesisError> {
        Ok(vec![F::from(self.index as u64)])
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
        block(&mut b, &self.plan, &shared, self.index);
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

/// Picks shared elements by the one-hot vector of the block index.
struct Picker<'s> {
    shared: &'s [Lc],
    hot: Vec<Lc>,
    index: usize,
}

impl Picker<'_> {
    /// The element `position(block)` of this step's block: equal to it under
    /// the hot flag, so fixed by one constraint per block and one variable.
    fn pick<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        position: impl Fn(usize) -> usize,
    ) -> Lc {
        let at = |j: usize| {
            self.shared
                .get(position(j))
                .cloned()
                .unwrap_or_else(|| b.zero())
        };
        let candidates: Vec<Lc> = (0..self.hot.len()).map(at).collect();
        let value = candidates.get(self.index).map_or(F::ZERO, Lc::value);
        let out = b.alloc_wide(value);
        for (hot, candidate) in self.hot.iter().zip(&candidates) {
            let difference = b.sub(candidate, &out);
            b.zero_product(hot, &difference);
        }
        out
    }

    /// The sum of the hot flags of blocks for which `f` holds.
    fn flag<CS: ConstraintSystem<F>>(&self, b: &Builder<'_, CS>, f: impl Fn(usize) -> bool) -> Lc {
        b.total(
            self.hot
                .iter()
                .enumerate()
                .filter(|(j, _)| f(*j))
                .map(|(_, h)| h),
        )
    }
}

/// Booleans for the fields of packed elements, and constraints that they make
/// the elements.
struct Unpacker {
    values: Vec<[u8; 32]>,
    at: usize,
    sums: Vec<Lc>,
}

impl Unpacker {
    fn new<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, elements: &[Lc]) -> Self {
        Unpacker {
            values: elements.iter().map(|e| to_le_bytes(e.value())).collect(),
            at: 0,
            sums: vec![b.zero(); elements.len()],
        }
    }

    /// Adds bits that exist already.
    fn place<CS: ConstraintSystem<F>>(&mut self, b: &Builder<'_, CS>, bits: &[Lc]) {
        for bit in bits {
            if let Some(s) = self.sums.get_mut(self.at / PACK_BITS) {
                b.accumulate(s, pow2(self.at % PACK_BITS), bit);
            }
            self.at += 1;
        }
    }

    /// New boolean variables with the values of the next bits.
    fn take<CS: ConstraintSystem<F>>(&mut self, b: &mut Builder<'_, CS>, n: usize) -> Vec<Lc> {
        let bits: Vec<Lc> = (self.at..self.at + n)
            .map(|i| {
                let v = self.values.get(i / PACK_BITS);
                b.bit(v.is_some_and(|v| bit_of(v, i % PACK_BITS)))
            })
            .collect();
        self.place(b, &bits);
        bits
    }

    /// Adds one field of `width` bits that is known to be in range.
    fn place_field<CS: ConstraintSystem<F>>(
        &mut self,
        b: &Builder<'_, CS>,
        value: &Lc,
        width: usize,
    ) {
        if let Some(s) = self.sums.get_mut(self.at / PACK_BITS) {
            b.accumulate(s, pow2(self.at % PACK_BITS), value);
        }
        self.at += width;
    }

    fn finish<CS: ConstraintSystem<F>>(self, b: &mut Builder<'_, CS>, elements: &[Lc]) {
        for (sum, element) in self.sums.iter().zip(elements) {
            b.equal(sum, element);
        }
    }
}

/// The whole relation of one block.
pub(crate) fn block<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    plan: &Plan,
    shared: &[Lc],
    index: usize,
) {
    let layout = &plan.layout;
    let position = b.input(F::from(index as u64));
    let hot = b.one_hot(layout.blocks, index);
    let sum = b.sum(hot.iter().enumerate().map(|(j, h)| (F::from(j as u64), h)));
    b.equal(&sum, &position);
    let picker = Picker { shared, hot, index };

    let words = words(b, plan, &picker);
    hash(b, plan, &picker, &words);
    let bytes: Vec<Lc> = (0..64).map(|i| byte_of(b, &words, i)).collect();
    let message = padding(b, plan, &picker, &bytes);

    // State before.
    let elements_in: Vec<Lc> = (0..layout.packed)
        .map(|k| picker.pick(b, |j| layout.state(plan.slot_before(j), k)))
        .collect();
    let mut unpack = Unpacker::new(b, &elements_in);
    for i in 0..3 {
        unpack.place(b, &byte_bits(&words, i));
    }
    let small = unpack.take(b, 10);
    unpack.place(b, message.get(..3).unwrap_or(&[]));
    let s = unpack.take(b, 1);
    let depth = unpack.take(b, DEPTH_BITS);
    let pending = unpack.take(b, plan.edges.len());
    unpack.finish(b, &elements_in);
    let two = F::from(2);
    let part = |from: usize, to: usize| small.get(from..to).unwrap_or(&[]).to_vec();
    let one_of = |b: &Builder<'_, CS>, v: &[Lc]| v.first().cloned().unwrap_or_else(|| b.zero());
    let mut state = scanner::State {
        q: one_of(b, &part(0, 1)),
        e: one_of(b, &part(1, 2)),
        dead: one_of(b, &part(2, 3)),
        t: b.radix(two, &part(3, 8)),
        li: b.radix(two, &part(8, 10)),
        s: one_of(b, &s),
        d: b.radix(two, &depth),
        limbs: (0..layout.limbs)
            .map(|k| picker.pick(b, |j| layout.limb(plan.slot_before(j), k)))
            .collect(),
        pending,
    };

    // The next block's head, from the state after.
    let elements_out: Vec<Lc> = (0..layout.packed)
        .map(|k| picker.pick(b, |j| layout.state(plan.slot_before(j) + 1, k)))
        .collect();
    let mut after = Unpacker::new(b, &elements_out);
    let next_head: Vec<Vec<Lc>> = (0..3).map(|_| after.take(b, 8)).collect();
    after.at += 10;
    let next_message = after.take(b, 3);

    let window = Window::new(
        b,
        plan,
        &picker,
        &bytes,
        &message,
        &next_head,
        &next_message,
    );
    let mut counts = vec![b.zero(); layout.counts];
    let owner = (0..plan.tokens.len())
        .map(|t| picker.flag(b, |j| plan.block_owner(j).0 == t))
        .collect();
    let captures = plan
        .leaves
        .iter()
        .enumerate()
        .map(|(l, leaf)| {
            (0..leaf.limbs)
                .filter_map(|k| shared.get(layout.capture(l, k)).cloned())
                .collect()
        })
        .collect();
    let context = scanner::Context::new(plan, owner, captures);
    for group in 0..16 {
        for (bits, active) in window.decode(b, group) {
            scanner::byte(b, &context, &bits, &active, &mut state, &mut counts);
        }
    }

    // State after.
    after.at = 24;
    for field in [&state.q, &state.e, &state.dead] {
        after.place_field(b, field, 1);
    }
    after.place_field(b, &state.t, 5);
    after.place_field(b, &state.li, 2);
    after.at += 3;
    after.place_field(b, &state.s, 1);
    after.place_field(b, &state.d, DEPTH_BITS);
    for p in &state.pending {
        after.place_field(b, p, 1);
    }
    after.finish(b, &elements_out);
    for (k, limb) in state.limbs.iter().enumerate() {
        let out = picker.pick(b, |j| layout.limb(plan.slot_before(j) + 1, k));
        b.equal(limb, &out);
    }
    for (k, count) in counts.iter().enumerate() {
        let out = picker.pick(b, |j| layout.count(j, k));
        b.equal(count, &out);
    }
}

/// The sixteen message words of the block as bits, least significant first.
fn words<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    plan: &Plan,
    picker: &Picker<'_>,
) -> Vec<Vec<Lc>> {
    let mut words = vec![];
    for (k, n) in WORDS_PER_ELEMENT.into_iter().enumerate() {
        let element = picker.pick(b, |j| plan.layout.word(j, k));
        words.extend(split_words(b, &element, n));
    }
    words
}

/// `n` 32-bit words, most significant first, that make up an element.
pub(crate) fn split_words<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    element: &Lc,
    n: usize,
) -> Vec<Vec<Lc>> {
    let bits = b.bits(element, 32 * n);
    bits.chunks(32).rev().map(<[Lc]>::to_vec).collect()
}

/// The packing of words, most significant first.
fn join_words<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, words: &[Vec<Lc>]) -> Lc {
    b.radix(F::from(2), words.iter().rev().flatten())
}

fn hash<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    plan: &Plan,
    picker: &Picker<'_>,
    words: &[Vec<Lc>],
) {
    let mut state = vec![];
    for k in 0..2 {
        let element = picker.pick(b, |j| plan.layout.chain(plan.slot_before(j), k));
        state.extend(split_words(b, &element, 4));
    }
    // Both have their fixed number of words by construction.
    let (Ok(words), Ok(state)) = (words.to_vec().try_into(), state.try_into()) else {
        return;
    };
    let next = sha256::compress(b, &words, &state);
    for k in 0..2 {
        let element = picker.pick(b, |j| plan.layout.chain(plan.slot_before(j) + 1, k));
        let half = next.get(4 * k..4 * k + 4).unwrap_or(&[]);
        let packed = join_words(b, half);
        b.equal(&packed, &element);
    }
}

/// The bits of byte `i` of the block, least significant first.
fn byte_bits(words: &[Vec<Lc>], i: usize) -> Vec<Lc> {
    let from = 8 * (3 - i % 4);
    words
        .get(i / 4)
        .and_then(|w| w.get(from..from + 8))
        .unwrap_or(&[])
        .to_vec()
}

fn byte_of<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, words: &[Vec<Lc>], i: usize) -> Lc {
    b.radix(F::from(2), &byte_bits(words, i))
}

/// Flags of the bytes that belong to the message; the others must be the
/// standard padding (FIPS 180-4 section 5.1.1) the control element describes.
fn padding<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    plan: &Plan,
    picker: &Picker<'_>,
    bytes: &[Lc],
) -> Vec<Lc> {
    let control = picker.pick(b, |j| plan.layout.control(j));
    let v = low_u64(control.value());
    let first_pad = b.bit((v >> 7) & 1 == 1);
    let last = b.bit((v >> 8) & 1 == 1);
    let length: Vec<Lc> = (0..16).map(|i| b.bit((v >> (9 + i)) & 1 == 1)).collect();
    let length = b.radix(F::from(2), &length);
    // The count is what remains of the control element.
    let mut count = control;
    b.accumulate(&mut count, -pow2(7), &first_pad);
    b.accumulate(&mut count, -pow2(8), &last);
    b.accumulate(&mut count, -pow2(9), &length);
    let message = b.prefix_flags(&count, 64);

    // 0x80 stands where the message ends: at byte 0 when the core says so.
    let mut previous = first_pad;
    let marks: Vec<Lc> = message
        .iter()
        .enumerate()
        .map(|(i, m)| {
            let mark = if i == 0 {
                previous.clone()
            } else {
                b.sub(&previous, m)
            };
            previous = m.clone();
            b.scale(&mark, F::from(0x80))
        })
        .collect();
    for i in 0..62 {
        if let (Some(m), Some(byte), Some(mark)) = (message.get(i), bytes.get(i), marks.get(i)) {
            let outside = b.not(m);
            let wrong = b.sub(byte, mark);
            b.zero_product(&outside, &wrong);
        }
    }
    // The last two bytes hold the length in bits (below 2^16) of the last block.
    if let ([.., m62, m63], [.., b62, b63], [.., mark62, _]) =
        (message.as_slice(), bytes, marks.as_slice())
    {
        let outside = b.not(m62);
        let mut wrong = b.sum([(F::from(256), b62), (F::ONE, b63)]);
        b.accumulate(&mut wrong, -F::from(256), mark62);
        b.accumulate(&mut wrong, -F::ONE, &length);
        b.zero_product(&outside, &wrong);
        let ends_here = b.sub(m62, m63);
        let wrong = b.sub(b63, &b.int(0x80));
        b.zero_product(&ends_here, &wrong);
    }
    message
}

/// The 64 characters that hold this block's 16 groups of four: the block
/// shifted by the token's phase, with the head of the next block behind it.
struct Window {
    characters: Vec<Lc>,
    active: Vec<Lc>,
}

impl Window {
    fn new<CS: ConstraintSystem<F>>(
        b: &mut Builder<'_, CS>,
        plan: &Plan,
        picker: &Picker<'_>,
        bytes: &[Lc],
        message: &[Lc],
        next_head: &[Vec<Lc>],
        next_message: &[Lc],
    ) -> Window {
        let mut characters = bytes.to_vec();
        characters.extend(next_head.iter().map(|bits| b.radix(F::from(2), bits)));
        let mut flags = message.to_vec();
        flags.extend(next_message.iter().cloned());
        let mut phases: Vec<usize> = plan.tokens.iter().map(|t| t.phase()).collect();
        phases.sort_unstable();
        phases.dedup();
        let characters = shift(b, plan, picker, &phases, &characters);
        let flags = shift(b, plan, picker, &phases, &flags);
        // The prefix is public, so which groups it covers is fixed per block.
        let active = flags
            .iter()
            .enumerate()
            .map(|(k, flag)| {
                let prefix = picker.flag(b, |j| {
                    let (t, n) = plan.block_owner(j);
                    plan.tokens
                        .get(t)
                        .is_some_and(|t| 64 * n + k / 4 * 4 + t.phase() < t.prefix_len)
                });
                b.sub(flag, &prefix)
            })
            .collect();
        Window { characters, active }
    }

    /// The three bytes of a group, each with whether it is payload.
    fn decode<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        group: usize,
    ) -> Vec<([Lc; 8], Lc)> {
        // Idle characters make three white-space bytes (tab where the first
        // character of the byte is a payload character with zero bits left).
        const IDLE: [u8; 4] = [0b001000, 0b000010, 0b000000, 0b100000];
        const TAB_LOW: u8 = 0b100100;
        let at = 4 * group;
        let (Some(characters), Some(active)) =
            (self.characters.get(at..at + 4), self.active.get(at..at + 4))
        else {
            return vec![];
        };
        let partial = matches!(active, [_, second, third, _] if second.is_one() && !third.is_one());
        // Six bits of each character, most significant first, in one row.
        let mut row: Vec<Lc> = vec![];
        for (i, (c, a)) in characters.iter().zip(active).enumerate() {
            let idle = match i {
                2 if partial => TAB_LOW,
                _ => IDLE.get(i).copied().unwrap_or(0),
            };
            let bits = base64::decode(b, c, a, idle);
            row.extend(bits.into_iter().rev());
        }
        row.chunks(8)
            .zip(active.iter().skip(1))
            .map(|(bits, a)| {
                let bits =
                    std::array::from_fn(|i| bits.get(7 - i).cloned().unwrap_or_else(|| b.zero()));
                (bits, a.clone())
            })
            .collect()
    }
}

/// Items `phase .. phase + 64` of a row, by the phase of this block's token.
fn shift<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    plan: &Plan,
    picker: &Picker<'_>,
    phases: &[usize],
    row: &[Lc],
) -> Vec<Lc> {
    let Some((first, others)) = phases.split_first() else {
        return vec![];
    };
    let others: Vec<(usize, Lc)> = others
        .iter()
        .map(|p| {
            let flag = picker.flag(b, |j| {
                let t = plan.tokens.get(plan.block_owner(j).0);
                t.is_some_and(|t| t.phase() == *p)
            });
            (*p, flag)
        })
        .collect();
    (0..64)
        .filter_map(|k| {
            let base = row.get(k + first)?.clone();
            let mut out = base.clone();
            for (p, flag) in &others {
                let difference = b.sub(row.get(k + p)?, &base);
                let term = b.mul(flag, &difference);
                out = b.add(&out, &term);
            }
            Some(out)
        })
        .collect()
}
