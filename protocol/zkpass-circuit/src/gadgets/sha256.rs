//! SHA-256 compression (FIPS 180-4 section 6.2.2).
//!
//! Where the cost goes: every exclusive-or or majority of three bits is one
//! constraint, every choice bit is one, and every sum modulo 2^32 is one linear
//! equation over its result and carry bits. Rotations cost nothing.

use crate::builder::{Builder, Lc};
use crate::field::{F, from_bool};
use bellpepper_core::ConstraintSystem;
use ff::Field;
use std::iter;

/// The round constants (FIPS 180-4 section 4.2.2).
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// The compression function outside the circuit.
pub(crate) fn native(mut state: [u32; 8], block: [u32; 16]) -> [u32; 8] {
    let mut bytes = [0; 64];
    for (to, word) in bytes.chunks_exact_mut(4).zip(block) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    sha2::compress256(&mut state, &[bytes.into()]);
    state
}

/// The next chaining value.
///
/// Relation: if all bits of `words` and `state` are 0 or 1, the result is the
/// compression function of FIPS 180-4 section 6.2.2 applied to the chaining
/// value `state` and the block `words`, and its bits are 0 or 1. Words are 32
/// bits, least significant first. Every private variable is determined by the
/// inputs.
///
/// 17,625 constraints.
pub(crate) fn compress<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    words: &[Vec<Lc>; 16],
    state: &[Vec<Lc>; 8],
) -> [Vec<Lc>; 8] {
    let start = state.each_ref().map(|bits| Word::new(b, bits.clone()));
    let [s0, s1, s2, s3, s4, s5, s6, s7] = &start;
    let mut registers = start.clone();
    for (t, (k, w)) in K.iter().zip(schedule(b, words)).enumerate() {
        let [ra, rb, rc, rd, re, rf, rg, rh] = registers;
        let k = Sum::constant(b, *k);
        let s = parity(b, &re, 6, 11, re.rotated(25).map(Some));
        let c = choice(b, &re, &rf, &rg);
        let mut next_e = Sum::of(b, &[&rd.sum, &rh.sum, &s, &c, &k, &w], &[]);
        let s = parity(b, &ra, 2, 13, ra.rotated(22).map(Some));
        let m = majorities(b, &ra, &rb, &rc);
        let mut next_a = Sum::of(b, &[&s, &m], &[&rd.sum]);
        if t == 63 {
            // Nothing needs the bits of the last two register values: the
            // chaining value is added before they are reduced.
            next_e = Sum::of(b, &[&next_e, &s4.sum], &[]);
            next_a = Sum::of(b, &[&next_a, &s0.sum], &[&s4.sum]);
        }
        let next_e = next_e.reduce(b);
        // T1 + T2 = (T1 + d) + T2 - d modulo 2^32.
        let next_a = Sum::of(b, &[&next_a, &next_e.sum], &[]).reduce(b);
        registers = [next_a, ra, rb, rc, next_e, re, rf, rg];
    }
    let [h0, ra, rb, rc, h4, re, rf, rg] = registers;
    let mut feed = |x: &Word, y: &Word| Sum::of(b, &[&x.sum, &y.sum], &[]).reduce(b).bits;
    [
        h0.bits,
        feed(s1, &ra),
        feed(s2, &rb),
        feed(s3, &rc),
        h4.bits,
        feed(s5, &re),
        feed(s6, &rf),
        feed(s7, &rg),
    ]
}

/// The message schedule (FIPS 180-4 section 6.2.2, step 1). The last two are
/// sums of four words each: no later one needs their bits.
fn schedule<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, words: &[Vec<Lc>; 16]) -> Vec<Sum> {
    let mut window = words.each_ref().map(|bits| Word::new(b, bits.clone()));
    let mut out: Vec<Sum> = window.iter().map(|w| w.sum.clone()).collect();
    for t in 16..64 {
        // Named by how many places they stand before the new word.
        let [w16, w15, _, _, _, _, _, _, _, w7, _, _, _, _, w2, _] = &window;
        let s0 = parity(b, w15, 7, 18, w15.shifted(3));
        let s1 = parity(b, w2, 17, 19, w2.shifted(10));
        let mut next = Sum::of(b, &[&s1, &w7.sum, &s0, &w16.sum], &[]);
        window.rotate_left(1);
        if let [.., last] = &mut window
            && t < 62
        {
            *last = next.reduce(b);
            next = last.sum.clone();
        }
        out.push(next);
    }
    out
}

/// A word: bits, least significant first, and the integer they make.
#[derive(Clone)]
struct Word {
    bits: Vec<Lc>,
    sum: Sum,
}

impl Word {
    fn new<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, bits: Vec<Lc>) -> Word {
        debug_assert_eq!(bits.len(), 32);
        let sum = Sum::word(b.radix(F::from(2), &bits));
        Word { bits, sum }
    }

    /// The bits of the word rotated right.
    fn rotated(&self, by: usize) -> impl Iterator<Item = &Lc> {
        self.bits.iter().cycle().skip(by).take(32)
    }

    /// The bits of the word shifted right; none where zeros come in.
    fn shifted(&self, by: usize) -> impl Iterator<Item = Option<&Lc>> {
        let kept = self.bits.iter().skip(by).map(Some);
        kept.chain(iter::repeat(None)).take(32)
    }
}

/// An integer of at least `-minus * 2^32` and below `plus * 2^32`.
#[derive(Clone)]
struct Sum {
    lc: Lc,
    plus: u32,
    minus: u32,
}

impl Sum {
    /// An integer of 32 bits.
    fn word(lc: Lc) -> Sum {
        Sum {
            lc,
            plus: 1,
            minus: 0,
        }
    }

    fn constant<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, value: u32) -> Sum {
        Sum::word(b.int(u64::from(value)))
    }

    fn of<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, plus: &[&Sum], minus: &[&Sum]) -> Sum {
        let mut out = Sum {
            lc: b.zero(),
            plus: 0,
            minus: 0,
        };
        for p in plus {
            b.accumulate(&mut out.lc, F::ONE, &p.lc);
            out.plus += p.plus;
            out.minus += p.minus;
        }
        for m in minus {
            b.accumulate(&mut out.lc, -F::ONE, &m.lc);
            out.plus += m.minus;
            out.minus += m.plus;
        }
        out
    }

    /// The sum modulo 2^32: with enough carry bits for its range, its bits are
    /// unique (33 constraints and one for each carry bit).
    fn reduce<CS: ConstraintSystem<F>>(&self, b: &mut Builder<'_, CS>) -> Word {
        let carries = (self.plus + self.minus)
            .next_power_of_two()
            .trailing_zeros();
        let offset = b.int(u64::from(self.minus) << 32);
        let nonnegative = b.add(&self.lc, &offset);
        let mut bits = b.bits(&nonnegative, 32 + carries as usize);
        bits.truncate(32);
        Word::new(b, bits)
    }
}

/// The majority and the exclusive-or of three booleans (1 constraint).
///
/// With the sum s and the majority m: s (s - 4 m) = s - 6 m has exactly one
/// solution m for each s of 0, 1, 2, 3, namely 0, 0, 1, 1; the exclusive-or is
/// s - 2 m.
fn majority<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, x: &Lc, y: &Lc, z: &Lc) -> (Lc, Lc) {
    let ones = [x, y, z].iter().filter(|v| v.is_one()).count();
    let m = b.alloc(from_bool(ones >= 2));
    let s = b.add(&b.add(x, y), z);
    let twice = b.add(&m, &m);
    let xor = b.sub(&s, &twice);
    let left = b.sub(&xor, &twice);
    let right = b.sub(&left, &twice);
    b.enforce(&s, &left, &right);
    (m, xor)
}

/// The exclusive-or of a word rotated right by `r0`, by `r1`, and a third word
/// of which some bits are missing (32 constraints).
fn parity<'w, CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    word: &'w Word,
    r0: usize,
    r1: usize,
    third: impl Iterator<Item = Option<&'w Lc>>,
) -> Sum {
    let mut out = b.zero();
    let mut k = F::ONE;
    for ((x, y), z) in word.rotated(r0).zip(word.rotated(r1)).zip(third) {
        let xor = match z {
            Some(z) => majority(b, x, y, z).1,
            None => {
                let both = b.mul(x, y);
                b.sub(&b.add(x, y), &b.add(&both, &both))
            }
        };
        b.accumulate(&mut out, k, &xor);
        k = k.double();
    }
    Sum::word(out)
}

/// Maj (32 constraints).
fn majorities<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    x: &Word,
    y: &Word,
    z: &Word,
) -> Sum {
    let bits = x.bits.iter().zip(&y.bits).zip(&z.bits);
    let bits: Vec<Lc> = bits.map(|((x, y), z)| majority(b, x, y, z).0).collect();
    Sum::word(b.radix(F::from(2), &bits))
}

/// Ch: bits of `y` where `x` is 1, of `z` where it is 0 (32 constraints).
fn choice<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, x: &Word, y: &Word, z: &Word) -> Sum {
    let bits = x.bits.iter().zip(&y.bits).zip(&z.bits);
    let changes: Vec<Lc> = bits
        .map(|((x, y), z)| {
            let d = b.sub(y, z);
            b.mul(x, &d)
        })
        .collect();
    let changed = b.radix(F::from(2), &changes);
    Sum::word(b.add(&z.sum.lc, &changed))
}

#[cfg(test)]
#[path = "sha256_tests.rs"]
mod tests;
