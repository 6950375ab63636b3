use super::*;
use crate::field::low_u64;
use crate::testing::{Checker, with_override};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// FIPS 180-4 section 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// The padded one-block message "abc".
fn abc() -> [u32; 16] {
    let mut block = [0; 16];
    block[0] = 0x61626380;
    block[15] = 24;
    block
}

/// `N` words as input bits: booleans, as the caller promises.
fn input_words<const N: usize>(b: &mut Builder<'_, Checker>, words: [u32; N]) -> [Vec<Lc>; N] {
    words.map(|w| {
        (0..32)
            .map(|i| b.input(from_bool((w >> i) & 1 == 1)))
            .collect()
    })
}

fn build(b: &mut Builder<'_, Checker>, state: [u32; 8], block: [u32; 16]) -> [Vec<Lc>; 8] {
    let words = input_words(b, block);
    let state = input_words(b, state);
    compress(b, &words, &state)
}

fn word(bits: &[Lc]) -> u32 {
    assert_eq!(bits.len(), 32);
    bits.iter().rev().fold(0, |acc, x| {
        assert!(x.value() == F::ZERO || x.is_one());
        acc * 2 + low_u64(x.value()) as u32
    })
}

fn run(state: [u32; 8], block: [u32; 16]) -> (Checker, [u32; 8]) {
    let mut out = [0; 8];
    let cs = Checker::build(|b| out = build(b, state, block).map(|w| word(&w)));
    (cs, out)
}

/// A fixed sequence of words that look random.
fn noise(mut x: u64) -> impl FnMut() -> u32 {
    move || {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1);
        (x >> 32) as u32
    }
}

#[test]
fn the_published_example() {
    // FIPS 180-4 example: SHA-256("abc").
    let digest = [
        0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223, 0xb00361a3, 0x96177a9c, 0xb410ff61,
        0xf20015ad,
    ];
    assert_eq!(native(INITIAL, abc()), digest);
    let (cs, out) = run(INITIAL, abc());
    assert!(cs.satisfied());
    assert_eq!(out, digest);
}

#[test]
fn two_blocks_are_the_whole_hash() {
    let message = [b'x'; 100];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(120, 0);
    padded.extend((8 * message.len() as u64).to_be_bytes());
    let mut state = INITIAL;
    for block in padded.chunks(64) {
        let mut words = [0; 16];
        for (w, c) in words.iter_mut().zip(block.chunks(4)) {
            *w = u32::from_be_bytes(c.try_into().unwrap());
        }
        let (cs, out) = run(state, words);
        assert!(cs.satisfied());
        assert_eq!(out, native(state, words));
        state = out;
    }
    let bytes: Vec<u8> = state.iter().flat_map(|w| w.to_be_bytes()).collect();
    assert_eq!(bytes, Sha256::digest(message).to_vec());
}

#[test]
fn constraint_count() {
    let (cs, _) = run(INITIAL, abc());
    assert_eq!(cs.constraints(), 17_625);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn agrees_with_the_native_function(state: [u32; 8], block: [u32; 16]) {
        let (cs, out) = run(state, block);
        prop_assert!(cs.satisfied());
        prop_assert_eq!(out, native(state, block));
    }
}

#[test]
fn extreme_words_fit_the_carries() {
    for s in [0, u32::MAX] {
        for w in [0, u32::MAX, 0x8000_0000] {
            let (cs, out) = run([s; 8], [w; 16]);
            assert!(cs.satisfied(), "{s:x} {w:x}");
            assert_eq!(out, native([s; 8], [w; 16]));
        }
    }
}

/// The majority constraint alone, over every value of the bits: m is unique.
#[test]
fn majority_has_one_solution() {
    for s in 0..4u64 {
        let holds = |m: F| {
            let s = F::from(s);
            s * (s - F::from(4) * m) == s - F::from(6) * m
        };
        let right = F::from(u64::from(s >= 2));
        for m in (0..1000).map(F::from).flat_map(|m| [m, -m]) {
            assert_eq!(holds(m), m == right);
        }
        // It is linear in m, and its coefficient is not zero: one solution.
        assert_ne!(F::from(6) - F::from(4) * F::from(s), F::ZERO);
    }
}

#[test]
fn no_variable_is_free() {
    let mut next = noise(1);
    for _ in 0..3 {
        let (mut cs, _) = run(
            std::array::from_fn(|_| next()),
            std::array::from_fn(|_| next()),
        );
        assert_eq!(cs.free_variables(), Vec::<usize>::new());
    }
}

/// Every constraint with a private variable pins the ones it introduces: a
/// changed value, with all later ones recomputed, is refused.
#[test]
fn changed_values_are_refused() {
    let mut next = noise(7);
    let (state, block) = (
        std::array::from_fn(|_| next()),
        std::array::from_fn(|_| next()),
    );
    let (honest, out) = run(state, block);
    assert!(honest.satisfied());
    assert_eq!(out, native(state, block));
    let n = honest.aux.len();
    let sample = (0..60).map(|_| next() as usize % n).chain([0, n - 1]);
    for at in sample {
        // Flips the variable if it is a boolean, as nearly all are.
        let flip = F::ONE - honest.aux[at].double();
        for delta in [flip, F::from(2), -F::ONE] {
            let cs = with_override(at, delta, || {
                Checker::build(|b| {
                    build(b, state, block);
                })
            });
            assert_ne!(cs.aux[at], honest.aux[at]);
            assert!(!cs.satisfied(), "variable {at}");
        }
    }
}

/// A flipped input bit changes the result; the old result does not pass.
#[test]
fn the_result_belongs_to_the_inputs() {
    let (cs, out) = run(INITIAL, abc());
    assert!(cs.satisfied());
    for at in 0..24 {
        let mut cs = Checker::build(|b| {
            build(b, INITIAL, abc());
        });
        // Inputs: the constant one, then all bits in order.
        let bit = 1 + at * 32 + at;
        cs.inputs[bit] = F::ONE - cs.inputs[bit];
        assert!(!cs.satisfied(), "word {at}");
    }
    let mut other = abc();
    other[3] ^= 1 << 9;
    let (cs, changed) = run(INITIAL, other);
    assert!(cs.satisfied());
    assert_ne!(changed, out);
}

/// A carry taken for a bit of the result, or given to another sum: the sums
/// still balance where a carry bit is worth 2^32, so only the split between
/// result and carry could move, and it cannot.
#[test]
fn sums_have_one_split() {
    for (plus, minus) in [(2, 0), (4, 0), (6, 0), (9, 0), (10, 0), (3, 1), (4, 2)] {
        for value in [0u64, 1, u64::from(u32::MAX), 1 << 32, (1 << 33) - 1] {
            let build = |b: &mut Builder<'_, Checker>| {
                let lc = b.input(F::from(value));
                Sum { lc, plus, minus }.reduce(b).bits
            };
            let mut cs = Checker::build(|b| {
                assert_eq!(word(&build(b)), value as u32);
            });
            assert!(cs.free_variables().is_empty());
            assert!(crate::testing::forgeries(build).is_empty());
        }
        // Just outside the range when it is a power of two: refused.
        if (plus + minus).is_power_of_two() {
            for value in [
                F::from(u64::from(plus) << 32),
                -F::from((u64::from(minus) << 32) + 1),
            ] {
                let cs = Checker::build(|b| {
                    let lc = b.input(value);
                    Sum { lc, plus, minus }.reduce(b);
                });
                assert!(!cs.satisfied());
            }
        }
    }
}
