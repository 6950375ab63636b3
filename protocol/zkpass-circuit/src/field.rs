//! The field all circuits work in, and its conversions.
//!
//! It is the scalar field of T-256, which equals the base field of P-256:
//! p = 2^256 - 2^224 + 2^192 + 2^96 - 1. Points of P-256 therefore have
//! coordinates that are single field elements.

use ff::{Field, PrimeField};
use vega_prover::{provider::T256HyraxEngine, traits::Engine};

/// The proof system's engine.
pub(crate) type E = T256HyraxEngine;
/// A field element.
pub(crate) type F = <E as Engine>::Scalar;

/// The element `2^n`.
pub(crate) fn pow2(n: usize) -> F {
    F::from(2).pow_vartime([n as u64])
}

/// A big-endian integer of at most 32 bytes, reduced modulo p.
pub(crate) fn from_be_bytes(bytes: &[u8]) -> F {
    let base = F::from(256);
    bytes
        .iter()
        .fold(F::ZERO, |acc, b| acc * base + F::from(u64::from(*b)))
}

/// A signed integer.
pub(crate) fn from_i64(v: i64) -> F {
    let magnitude = F::from(v.unsigned_abs());
    if v < 0 { -magnitude } else { magnitude }
}

/// The canonical integer in [0, p), 32 bytes, little-endian.
pub(crate) fn to_le_bytes(v: F) -> [u8; 32] {
    let repr = v.to_repr();
    let mut out = [0u8; 32];
    for (o, b) in out.iter_mut().zip(repr.as_ref()) {
        *o = *b;
    }
    out
}

/// Bit `i` of the canonical integer; false from bit 256 on.
pub(crate) fn bit_of(bytes: &[u8; 32], i: usize) -> bool {
    bytes.get(i / 8).is_some_and(|b| (b >> (i % 8)) & 1 == 1)
}

/// The low 64 bits of the canonical integer.
pub(crate) fn low_u64(v: F) -> u64 {
    let b = to_le_bytes(v);
    b.iter()
        .take(8)
        .rev()
        .fold(0u64, |acc, x| (acc << 8) | u64::from(*x))
}

/// 1 or 0.
pub(crate) fn from_bool(b: bool) -> F {
    if b { F::ONE } else { F::ZERO }
}
