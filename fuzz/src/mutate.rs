//! Small changes of inputs, the kind that finds off-by-one readers.

use fastrand::Rng;

/// Words that matter to at least one of the formats.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b".",
    b"-",
    b"=",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"null",
    b"true",
    b"false",
    b"-0",
    b"1e9",
    b"0.5",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"\\u0061",
    b"\\ud800",
    b"\"data\":",
    b"\"alg\":\"none\"",
    b"\"crit\":[\"x\"],",
    b"\"b64\":false,",
    b"{\"dvar\":\"a.b\"}",
    b"{\"lvar\":\"x\"}",
    b"{\"not\":true}",
    b"{\"and\":[",
    b"{\"if\":{",
    b"{\"output\":{\"o\":",
    b"[0]",
    b"[]",
    b"[*]",
    b"[?a]",
    b"_a_zkpass_public_",
    b"29/02/1900",
    b"9999-12-31",
    b"zkpass",
    b"vega",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
];

/// Longest input that grows: longer than a proof.
const MAX_BYTES: usize = 128 * 1024;

/// One of the seeds, changed in one to four places.
///
/// # Panics
///
/// When there are no seeds.
pub fn mutation(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = pick(seeds, rng).clone();
    for _ in 0..rng.u8(1..=4) {
        change(&mut input, seeds, rng);
    }
    input
}

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let end = (at + length(rng)).min(input.len());
    match rng.u8(..10) {
        0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
        1 if at < input.len() => input[at] = rng.u8(..),
        2 => drop(input.drain(at..end)),
        3 => input.truncate(at),
        4 => {
            let copy = input[at..end].to_vec();
            insert(input, at, &copy);
        }
        5 => {
            let copy = input[at..end].to_vec();
            let to = rng.usize(..=input.len());
            insert(input, to, &copy);
        }
        6 => {
            let other = pick(seeds, rng);
            let cut = rng.usize(..=other.len());
            let until = (cut + length(rng)).min(other.len());
            insert(input, at, &other[cut..until]);
        }
        7 => {
            let count = 1 << rng.u32(..11);
            let word = WORDS[rng.usize(..WORDS.len())].repeat(count);
            insert(input, at, &word);
        }
        8 => change_length(&mut input[at..], rng),
        _ => insert(input, at, WORDS[rng.usize(..WORDS.len())]),
    }
}

/// Changes a byte beside a run of zeros: where binary formats have their
/// lengths, in either byte order.
fn change_length(input: &mut [u8], rng: &mut Rng) {
    let Some(zeros) = input.windows(5).position(|bytes| bytes == [0; 5]) else {
        return;
    };
    let beside = if rng.bool() {
        zeros.wrapping_sub(1 + rng.usize(..3))
    } else {
        zeros + 5
    };
    if let Some(byte) = input.get_mut(beside) {
        *byte = match rng.u8(..4) {
            0 => 0,
            1 => 0xff,
            2 => byte.wrapping_add(1),
            _ => byte.wrapping_sub(1),
        };
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if input.len() + bytes.len() <= MAX_BYTES.max(input.len()) {
        input.splice(at..at, bytes.iter().copied());
    }
}

/// Short ranges mostly, long ones now and then.
fn length(rng: &mut Rng) -> usize {
    1 << rng.u32(..10)
}

fn pick<'a>(seeds: &'a [Vec<u8>], rng: &mut Rng) -> &'a Vec<u8> {
    &seeds[rng.usize(..seeds.len())]
}
