//! Typed values out of captured tokens: integers, booleans, strings and their
//! bytes; comparisons.
//!
//! A decoder rebuilds the token from its parts and compares: for each token
//! there is at most one set of parts, and none where the token is not of the
//! type. Where a value is not needed the caller passes a default token, so that
//! decoders are unconditional.

use crate::builder::{Builder, Lc};
use crate::field::{F, bit_of, from_i64, pow2, to_le_bytes};
use crate::plan::{LIMB_BYTES, STRING_LIMBS};
use crate::scan::typed_limbs;
use bellpepper_core::ConstraintSystem;
use ff::Field;

/// Decimal digits of the longest integer in range.
const DIGITS: usize = 19;
/// Added to the register of a string token.
fn string_mark() -> F {
    pow2(250)
}

/// The bytes of a captured token and whether it is a string; `None` where it is
/// dead or not a token at all (key derivation, hostile witness).
pub(crate) fn token_bytes(limbs: &[F]) -> Option<(Vec<u8>, bool)> {
    let raw = to_le_bytes(*limbs.first()?);
    let quoted = bit_of(&raw, 250);
    let completed = usize::from(bit_of(&raw, 251)) + 2 * usize::from(bit_of(&raw, 252));
    let mut out = vec![];
    for i in (1..=completed).rev() {
        let limb = to_le_bytes(*limbs.get(i)?);
        out.extend(limb.iter().take(LIMB_BYTES).rev());
    }
    // The mark is the highest set bit below bit 249.
    let mark = (0..=248).rev().find(|i| bit_of(&raw, *i))?;
    if mark % 8 != 0 {
        return None;
    }
    out.extend(raw.iter().take(mark / 8).rev());
    Some((out, quoted))
}

/// Whether a token is an integer this system reads: `-?(0|[1-9][0-9]*)` within
/// 64 bits signed, and not `-0`.
pub(crate) fn parse_integer(token: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(token).ok()?;
    let v: i64 = text.parse().ok()?;
    (v.to_string() == text).then_some(v)
}

/// The integer a token spells.
///
/// Relation: `limb` is the register of an unquoted token that spells an integer
/// in canonical decimal form, and the result is that integer in [-2^63, 2^63).
/// 221 constraints.
pub(crate) fn integer<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, limb: &Lc) -> Lc {
    let parsed = token_bytes(&[limb.value()]).and_then(|(t, _)| parse_integer(&t));
    let v = parsed.unwrap_or(0);
    let negative = b.bit(v < 0);
    let text = v.unsigned_abs().to_string().into_bytes();
    // a_k = 1 while k < number of digits; the first digit always stands.
    let mut present: Vec<Lc> = vec![b.one()];
    let mut digits: Vec<Lc> = vec![];
    let mut token = b.zero();
    let mut magnitude = b.zero();
    let (mut byte, mut ten) = (F::ONE, F::ONE);
    for k in 0..DIGITS {
        if k > 0 {
            let a = b.alloc(crate::field::from_bool(k < text.len()));
            let gap = present.last().map_or(b.zero(), |p| b.sub(p, &a));
            b.zero_product(&a, &gap);
            present.push(a);
        }
        let d = text.iter().rev().nth(k).map_or(0, |c| c.wrapping_sub(b'0'));
        let bits: Vec<Lc> = (0..4).map(|i| b.bit((d >> i) & 1 == 1)).collect();
        if let [_, b1, b2, b3] = bits.as_slice() {
            let high = b.add(b1, b2);
            b.zero_product(b3, &high);
        }
        let digit = b.radix(F::from(2), &bits);
        if let Some(a) = present.last()
            && k > 0
        {
            let absent = b.not(a);
            b.zero_product(&digit, &absent);
        }
        if let Some(a) = present.last() {
            b.accumulate(&mut token, byte * F::from(48), a);
        }
        b.accumulate(&mut token, byte, &digit);
        b.accumulate(&mut magnitude, ten, &digit);
        digits.push(digit);
        byte *= F::from(256);
        ten *= F::from(10);
    }
    // No leading zero: with two digits or more the top one is not zero. And no
    // `-0`: with a sign the top digit is not zero.
    let mut top = b.zero();
    let mut mark = b.zero();
    let mut place = F::from(256);
    for k in 0..DIGITS {
        let (Some(a), Some(d)) = (present.get(k), digits.get(k)) else {
            continue;
        };
        let ends = match present.get(k + 1) {
            Some(next) => b.sub(a, next),
            None => a.clone(),
        };
        let part = b.mul(&ends, d);
        b.accumulate(&mut top, F::ONE, &part);
        b.accumulate(&mut mark, place, &ends);
        place *= F::from(256);
    }
    let several = present.get(1).cloned().unwrap_or_else(|| b.zero());
    let must = b.or(&several, &negative);
    let inverse = b.alloc_inverse(top.value().invert().unwrap_or(F::ZERO) * must.value());
    b.enforce(&top, &inverse, &must);
    // The token: mark, sign, digits. With a sign the mark moves one byte up.
    let signed = b.mul(&negative, &mark);
    b.accumulate(&mut token, F::ONE, &mark);
    b.accumulate(&mut token, F::from(255 + u64::from(b'-')), &signed);
    b.equal(&token, limb);
    // Range.
    let mut room = b.constant(from_i64(i64::MAX));
    b.accumulate(&mut room, F::ONE, &negative);
    b.accumulate(&mut room, -F::ONE, &magnitude);
    b.bits(&room, 64);
    let twice = b.mul(&negative, &magnitude);
    b.sub(&magnitude, &b.scale(&twice, F::from(2)))
}

/// The boolean a token spells: `true` or `false`, unquoted (2 constraints).
pub(crate) fn boolean<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, limb: &Lc) -> Lc {
    let [yes, no] = [plain(b"true"), plain(b"false")];
    let v = b.bit(limb.value() == yes);
    let mut token = b.constant(no);
    b.accumulate(&mut token, yes - no, &v);
    b.equal(&token, limb);
    v
}

/// Register of a short unquoted token.
pub(crate) fn plain(token: &[u8]) -> F {
    typed_limbs(token, false, false, 1)
        .first()
        .copied()
        .unwrap_or(F::ZERO)
}

/// Limbs of a string constant.
pub(crate) fn string_constant(text: &str) -> Vec<F> {
    typed_limbs(text.as_bytes(), true, false, STRING_LIMBS)
}

/// The limbs of a captured string.
///
/// Relation: the token is a string without escape, not longer than the register,
/// and the result is its limbs, zero beyond their number. The completed limbs
/// need no check: the scanner writes them. 257 constraints.
pub(crate) fn string<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, limbs: &[Lc]) -> Vec<Lc> {
    let first = limbs.first().cloned().unwrap_or_else(|| b.zero());
    let raw = to_le_bytes(first.value());
    let h: Vec<Lc> = (0..249).map(|i| b.bit(bit_of(&raw, i))).collect();
    let [low, high] = [251, 252].map(|i| b.bit(bit_of(&raw, i)));
    let h = b.radix(F::from(2), &h);
    let completed = b.radix(F::from(2), [&low, &high]);
    b.nonzero(&h);
    let mut whole = b.constant(string_mark());
    b.accumulate(&mut whole, F::ONE, &h);
    b.accumulate(&mut whole, pow2(251), &completed);
    b.equal(&whole, &first);
    // At least one, two, three completed limbs.
    let three = b.mul(&low, &high);
    let one = b.sub(&b.add(&low, &high), &three);
    let mut out = vec![first];
    for (flag, limb) in [one, high, three].iter().zip(limbs.iter().skip(1)) {
        out.push(b.mul(flag, limb));
    }
    out
}

/// A string as bytes from the left, zero behind its end.
pub(crate) struct Text {
    /// Bits of each byte, least significant first.
    pub(crate) bytes: Vec<[Lc; 8]>,
    completed: Vec<Lc>,
    in_limb: Vec<Lc>,
}

impl Text {
    /// The bytes of a string as [`string`] gives it, or of a constant.
    ///
    /// Relation: the string is `bytes` up to its length, and the bytes from
    /// there on are zero. 1,200 constraints.
    pub(crate) fn new<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, limbs: &[Lc]) -> Text {
        let values: Vec<F> = limbs.iter().map(Lc::value).collect();
        let native = token_bytes(&values).map(|(t, _)| t).unwrap_or_default();
        let full = native.len().saturating_sub(1) / LIMB_BYTES;
        let rest = native.len() - full * LIMB_BYTES;
        let completed = b.one_hot(STRING_LIMBS, full.min(STRING_LIMBS - 1));
        let in_limb = b.one_hot(LIMB_BYTES + 1, rest.min(LIMB_BYTES));
        // The last limb holds 256^n + x with x < 256^n for the n of `in_limb`:
        // x * 256^(31 - n) is below 2^248 and its low 31 - n bytes are zero.
        // Both are enforced on `left` below, which fixes n.
        let mut h = limbs.first().cloned().unwrap_or_else(|| b.zero());
        b.accumulate(&mut h, -string_mark(), &b.one());
        for (k, c) in completed.iter().enumerate() {
            b.accumulate(&mut h, -(pow2(251) * F::from(k as u64)), c);
        }
        let mut aligned = b.zero();
        for (n, flag) in in_limb.iter().enumerate() {
            b.accumulate(&mut h, -pow2(8 * n), flag);
            b.accumulate(&mut aligned, pow2(8 * (LIMB_BYTES - n)), flag);
        }
        let left = b.mul(&h, &aligned);
        let mut bytes = vec![];
        for i in 0..STRING_LIMBS {
            // Limb i from the left: completed limb number (count - i), or the
            // last one.
            let mut limb = b.zero();
            for (k, c) in completed.iter().enumerate().skip(i) {
                let source = match k - i {
                    0 => left.clone(),
                    older => {
                        let mut g = limbs.get(older).cloned().unwrap_or_else(|| b.zero());
                        b.accumulate(&mut g, -pow2(8 * LIMB_BYTES), &b.one());
                        g
                    }
                };
                let part = b.mul(c, &source);
                b.accumulate(&mut limb, F::ONE, &part);
            }
            let bits = b.bits(&limb, 8 * LIMB_BYTES);
            for chunk in bits.chunks(8).rev() {
                if let Ok(byte) = <[Lc; 8]>::try_from(chunk.to_vec()) {
                    bytes.push(byte);
                }
            }
        }
        // Behind the end of the last limb all bytes are zero.
        let mut past = b.zero();
        for n in 0..LIMB_BYTES {
            if let Some(flag) = in_limb.get(n) {
                b.accumulate(&mut past, F::ONE, flag);
            }
            let mut byte = b.zero();
            for (i, c) in completed.iter().enumerate() {
                if let Some(bits) = bytes.get(i * LIMB_BYTES + n) {
                    let v = b.radix(F::from(2), bits);
                    let part = b.mul(c, &v);
                    b.accumulate(&mut byte, F::ONE, &part);
                }
            }
            b.zero_product(&past, &byte);
        }
        Text {
            bytes,
            completed,
            in_limb,
        }
    }

    /// Number of bytes above 0x7f.
    pub(crate) fn non_ascii<CS: ConstraintSystem<F>>(&self, b: &Builder<'_, CS>) -> Lc {
        b.total(self.bytes.iter().map(|bits| &bits[7]))
    }

    /// Whether `needle` stands at byte `at`; with `fold`, ignoring the case of
    /// ASCII letters. Bytes behind the end are zero and no needle has one, so a
    /// match lies inside the string.
    fn matches<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        at: usize,
        needle: &[u8],
        fold: bool,
    ) -> Lc {
        let mut wrong = b.zero();
        for (n, chunk) in needle.chunks(LIMB_BYTES).enumerate() {
            // Both sides are numbers in base 256: equal only digit by digit.
            let mut difference = b.zero();
            let mut place = F::ONE;
            for (i, c) in chunk.iter().enumerate() {
                let Some(bits) = self.bytes.get(at + n * LIMB_BYTES + i) else {
                    return b.zero();
                };
                let mut byte = b.radix(F::from(2), bits);
                let mut wanted = *c;
                if fold && c.is_ascii_alphabetic() {
                    // Upper and lower case differ in bit 5 alone.
                    b.accumulate(&mut byte, -F::from(32), &bits[5]);
                    wanted = c.to_ascii_uppercase();
                }
                b.accumulate(&mut byte, -F::from(u64::from(wanted)), &b.one());
                b.accumulate(&mut difference, place, &byte);
                place *= F::from(256);
            }
            let same = b.is_zero(&difference);
            b.accumulate(&mut wrong, F::ONE, &b.not(&same));
        }
        b.is_zero(&wrong)
    }

    /// Whether the string has exactly `n` bytes (at most one product).
    fn has_length<CS: ConstraintSystem<F>>(&self, b: &mut Builder<'_, CS>, n: usize) -> Lc {
        let full = n.saturating_sub(1) / LIMB_BYTES;
        match (
            self.completed.get(full),
            self.in_limb.get(n - full * LIMB_BYTES),
        ) {
            (Some(c), Some(r)) => b.mul(c, r),
            _ => b.zero(),
        }
    }

    /// Whether the string begins with `needle`.
    pub(crate) fn starts_with<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        needle: &[u8],
        fold: bool,
    ) -> Lc {
        if needle.contains(&0) {
            return b.zero();
        }
        self.matches(b, 0, needle, fold)
    }

    /// Whether the string ends with `needle`.
    pub(crate) fn ends_with<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        needle: &[u8],
        fold: bool,
    ) -> Lc {
        if needle.contains(&0) {
            return b.zero();
        }
        if needle.is_empty() {
            return b.one();
        }
        let mut found = b.zero();
        for at in 0..(self.bytes.len() + 1).saturating_sub(needle.len()) {
            let here = self.matches(b, at, needle, fold);
            let ends = self.has_length(b, at + needle.len());
            let both = b.mul(&here, &ends);
            b.accumulate(&mut found, F::ONE, &both);
        }
        found
    }

    /// Whether `needle` occurs.
    pub(crate) fn contains<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        needle: &[u8],
        fold: bool,
    ) -> Lc {
        if needle.contains(&0) {
            return b.zero();
        }
        if needle.is_empty() {
            return b.one();
        }
        let places = (self.bytes.len() + 1).saturating_sub(needle.len());
        let found: Vec<Lc> = (0..places)
            .map(|at| self.matches(b, at, needle, fold))
            .collect();
        b.any(&found)
    }

    /// Whether the string equals `constant` but for the case of ASCII letters.
    pub(crate) fn equals_folded<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        constant: &[u8],
    ) -> Lc {
        let prefix = self.starts_with(b, constant, true);
        let length = self.has_length(b, constant.len());
        b.mul(&prefix, &length)
    }

    /// Whether two strings are equal but for the case of ASCII letters.
    pub(crate) fn same_folded<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        other: &Text,
    ) -> Lc {
        let (left, right) = (self.folded(b), other.folded(b));
        let mut wrong = b.zero();
        for (l, r) in left.iter().zip(&right) {
            let same = b.is_equal(l, r);
            b.accumulate(&mut wrong, F::ONE, &b.not(&same));
        }
        b.is_zero(&wrong)
    }

    /// The bytes in limbs, capital letters made small (10 constraints a byte).
    fn folded<CS: ConstraintSystem<F>>(&self, b: &mut Builder<'_, CS>) -> Vec<Lc> {
        let bytes: Vec<Lc> = self
            .bytes
            .iter()
            .map(|bits| {
                let [b0, b1, b2, b3, b4, b5, b6, b7] = bits;
                // 0x41..=0x5a: 010 in the high bits, 1 to 26 in the low five.
                let p10 = b.mul(b1, b0);
                let p43 = b.mul(b4, b3);
                let low3 = b.or(b2, &p10);
                let above = b.mul(&p43, &low3);
                let low = b.radix(F::from(2), [b0, b1, b2, b3, b4]);
                let none = b.is_zero(&low);
                let inside = b.sub(&b.not(&above), &none);
                let n5 = b.not(b5);
                let n7 = b.not(b7);
                let high = b.mul(b6, &n5);
                let high = b.mul(&high, &n7);
                let capital = b.mul(&high, &inside);
                let mut byte = b.radix(F::from(2), bits);
                b.accumulate(&mut byte, F::from(32), &capital);
                byte
            })
            .collect();
        bytes
            .chunks(LIMB_BYTES)
            .map(|c| b.radix(F::from(256), c))
            .collect()
    }
}

/// 1 if `a < c`, for integers in [-2^63, 2^63) (66 constraints).
pub(crate) fn less_than<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, a: &Lc, c: &Lc) -> Lc {
    // a - c + 2^64 lies in (0, 2^65); its top bit says a >= c.
    let mut shifted = b.sub(a, c);
    b.accumulate(&mut shifted, pow2(64), &b.one());
    let bits = b.bits(&shifted, 65);
    match bits.last() {
        Some(top) => b.not(top),
        None => b.zero(),
    }
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
