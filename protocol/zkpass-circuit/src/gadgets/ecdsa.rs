//! ECDSA over P-256 (FIPS 186-5 section 6.4.2).
//!
//! Coordinates of P-256 are single elements of the circuit's field, so points
//! cost few constraints and no big-integer arithmetic is needed: instead of
//! inverting s modulo the group order n, the circuit checks
//! `s * R = z * G + r * Q`.

use crate::builder::{Builder, Lc};
use crate::field::{F, bit_of, from_be_bytes, to_le_bytes};
use bellpepper_core::ConstraintSystem;
use ff::{Field, PrimeField};
use p256::elliptic_curve::hash2curve::{ExpandMsgXmd, GroupDigest};
use p256::elliptic_curve::ops::{LinearCombination, Reduce};
use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use p256::{AffinePoint, EncodedPoint, NistP256, ProjectivePoint, Scalar};
use sha2::Sha256;
use std::sync::OnceLock;

/// Domain separation tag of the offset point: RFC 9380 `hash_to_curve`, suite
/// `P256_XMD:SHA-256_SSWU_RO_`, of the empty message. Nobody knows the point's
/// discrete logarithm.
const OFFSET_DOMAIN: &[u8] = b"zkpass/ecdsa-p256/offset/v1";

/// What the prover knows: the point R whose x-coordinate is the signature's r,
/// and s. Secret, hence without `Debug`.
#[derive(Clone)]
pub(crate) struct SignatureWitness {
    x: F,
    y: F,
    /// The x-coordinate as an integer, little-endian.
    r: [u8; 32],
    /// Little-endian.
    s: [u8; 32],
}

impl SignatureWitness {
    /// The witness of a valid signature; none if it is not valid.
    ///
    /// `public` are the coordinates of the key and `signature` is r and s, all
    /// big-endian. A high s is as valid as a low one.
    pub(crate) fn new(
        public: &([u8; 32], [u8; 32]),
        digest: &[u8; 32],
        signature: &[u8; 64],
    ) -> Option<SignatureWitness> {
        let point =
            EncodedPoint::from_affine_coordinates(&public.0.into(), &public.1.into(), false);
        let key: AffinePoint = Option::from(AffinePoint::from_encoded_point(&point))?;
        let (r, s) = signature.split_at(32);
        let (r, s) = (scalar(r)?, scalar(s)?);
        let z = Scalar::reduce_bytes(&(*digest).into());
        let inverse: Scalar = Option::from(s.invert())?;
        let point = ProjectivePoint::lincomb(
            &ProjectivePoint::GENERATOR,
            &(z * inverse),
            &key.into(),
            &(r * inverse),
        );
        let point = point.to_affine().to_encoded_point(false);
        if r.is_zero().into() || Scalar::reduce_bytes(point.x()?) != r {
            return None;
        }
        let x = from_be_bytes(point.x()?);
        let mut s = <[u8; 32]>::from(s.to_bytes());
        s.reverse();
        Some(SignatureWitness {
            x,
            y: from_be_bytes(point.y()?),
            r: to_le_bytes(x),
            s,
        })
    }

    /// Stands in where only the shape of the circuit matters.
    pub(crate) fn blank() -> SignatureWitness {
        SignatureWitness {
            x: F::ZERO,
            y: F::ZERO,
            r: [0; 32],
            s: [0; 32],
        }
    }
}

/// A big-endian integer below n.
fn scalar(bytes: &[u8]) -> Option<Scalar> {
    let bytes = <[u8; 32]>::try_from(bytes).ok()?;
    Scalar::from_repr(bytes.into()).into()
}

struct Constants {
    g: (F, F),
    /// H, the offset point.
    h: (F, F),
    /// 2^256 H.
    h_shifted: (F, F),
    /// n - 1, big-endian.
    largest_scalar: [u8; 32],
    /// p - 1, big-endian.
    largest_coordinate: [u8; 32],
}

impl Constants {
    fn get() -> &'static Constants {
        static CONSTANTS: OnceLock<Constants> = OnceLock::new();
        #[expect(clippy::expect_used, reason = "depends on constants only")]
        CONSTANTS.get_or_init(|| Constants::new().expect("the offset point exists"))
    }

    fn new() -> Option<Constants> {
        let h = NistP256::hash_from_bytes::<ExpandMsgXmd<Sha256>>(&[&[]], &[OFFSET_DOMAIN]).ok()?;
        let mut largest_coordinate = to_le_bytes(-F::ONE);
        largest_coordinate.reverse();
        Some(Constants {
            g: coordinates(&ProjectivePoint::GENERATOR)?,
            h: coordinates(&h)?,
            h_shifted: coordinates(&(h * Scalar::from(2u64).pow_vartime(&[256])))?,
            largest_scalar: (-Scalar::ONE).to_bytes().into(),
            largest_coordinate,
        })
    }
}

/// The coordinates of a point that is not the identity.
fn coordinates(point: &ProjectivePoint) -> Option<(F, F)> {
    let point = point.to_affine().to_encoded_point(false);
    Some((from_be_bytes(point.x()?), from_be_bytes(point.y()?)))
}

/// Checks a signature of a digest.
///
/// Relation: if `(qx, qy)` is a point Q of P-256 and all of `z_bits` are 0 or
/// 1, then there are a point R of P-256 and integers r and s with
/// r = x(R) as an integer below p, r modulo n not 0, 0 < s < n, and
/// s R = z G + r Q, where z is the integer that the 256 `z_bits` make, least
/// significant first. Since Q has order n, that holds exactly when
/// (r modulo n, s) is an ECDSA signature of z under Q. No other assumption is
/// made: soundness does not rest on the offset point.
///
/// That Q is on the curve is not checked here: Q is public, check it outside.
///
/// How: write d(b) = 2 b - 1 for a bit b; over the 256 bits of an integer k, the
/// sum of d(k_i) 2^i is 2 k - (2^256 - 1). Starting from acc = H + G + Q - R, each
/// round from the top bit on sets acc = 2 acc + d(z_i) G + d(r_i) Q - d(s_i) R,
/// which ends with acc = 2^256 H + (G + Q - R) + 2 (z G + r Q - s R). The last
/// term vanishes, in a group of odd order, exactly when the equation holds. The
/// point added is, up to its sign, one of four: no identity, hence no special
/// case, stands in the table. Every addition is of points whose x-coordinates
/// are shown to differ. An honest signature fails that only with negligible
/// probability, or if the key is G or -G.
///
/// 4,910 constraints.
pub(crate) fn verify<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    z_bits: &[Lc],
    qx: &Lc,
    qy: &Lc,
    witness: &SignatureWitness,
) {
    debug_assert_eq!(z_bits.len(), 256);
    let constants = Constants::get();
    let r = Point {
        x: b.alloc(witness.x),
        y: b.alloc(witness.y),
    };
    on_curve(b, &r);
    // r is not 0 modulo n: no point has the x-coordinate n, and 2 n is above p.
    b.nonzero(&r.x);

    let r_bits = bits_at_most(b, &witness.r, &constants.largest_coordinate);
    let r_packed = b.radix(F::from(2), &r_bits);
    b.equal(&r_packed, &r.x);
    let s_bits = bits_at_most(b, &witness.s, &constants.largest_scalar);
    let s_packed = b.radix(F::from(2), &s_bits);
    b.nonzero(&s_packed);

    let q = Point {
        x: qx.clone(),
        y: qy.clone(),
    };
    let table = Table::new(b, &q, &r);
    let offset = Point::constant(b, constants.h);
    let mut acc = add(b, &offset, &table.same);
    for ((z, r), s) in z_bits.iter().zip(&r_bits).zip(&s_bits).rev() {
        let step = table.select(b, z, r, s);
        acc = double_and_add(b, &acc, &step);
    }
    let offset = Point::constant(b, constants.h_shifted);
    let expected = add(b, &offset, &table.same);
    b.equal(&acc.x, &expected.x);
    b.equal(&acc.y, &expected.y);
}

/// 256 booleans, least significant first, that make an integer of at most
/// `bound` (515 constraints).
fn bits_at_most<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    value: &[u8; 32],
    bound: &[u8; 32],
) -> Vec<Lc> {
    let bits: Vec<Lc> = (0..256).map(|i| b.bit(bit_of(value, i))).collect();
    b.at_most(&bits, bound);
    bits
}

/// A point that is not the identity.
struct Point {
    x: Lc,
    y: Lc,
}

impl Point {
    fn constant<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, (x, y): (F, F)) -> Point {
        Point {
            x: b.constant(x),
            y: b.constant(y),
        }
    }

    fn negated<CS: ConstraintSystem<F>>(&self, b: &Builder<'_, CS>) -> Point {
        Point {
            x: self.x.clone(),
            y: b.scale(&self.y, -F::ONE),
        }
    }
}

/// The sums +-G +-Q -+R up to sign: the sign of G is positive.
struct Table {
    /// G + Q - R.
    same: Point,
    /// G - Q - R.
    r_differs: Point,
    /// G + Q + R.
    s_differs: Point,
    /// G - Q + R.
    both_differ: Point,
}

impl Table {
    /// 24 constraints.
    fn new<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, q: &Point, r: &Point) -> Table {
        let g = Point::constant(b, Constants::get().g);
        let minus_r = r.negated(b);
        let minus_q = q.negated(b);
        let plus = add(b, &g, q);
        let minus = add(b, &g, &minus_q);
        Table {
            same: add(b, &plus, &minus_r),
            r_differs: add(b, &minus, &minus_r),
            s_differs: add(b, &plus, r),
            both_differ: add(b, &minus, r),
        }
    }

    /// d(z) G + d(r) Q - d(s) R for booleans z, r and s, where d(1) = 1 and
    /// d(0) = -1 (9 constraints).
    fn select<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        z: &Lc,
        r: &Lc,
        s: &Lc,
    ) -> Point {
        let r_differs = xor(b, z, r);
        let s_differs = xor(b, z, s);
        let mut coordinate = |of: fn(&Point) -> &Lc| {
            let same = b.select(&r_differs, of(&self.r_differs), of(&self.same));
            let other = b.select(&r_differs, of(&self.both_differ), of(&self.s_differs));
            b.select(&s_differs, &other, &same)
        };
        let x = coordinate(|p| &p.x);
        let y = coordinate(|p| &p.y);
        let sign = b.sub(&b.add(z, z), &b.one());
        Point {
            x,
            y: b.mul(&sign, &y),
        }
    }
}

/// The exclusive-or of two booleans (1 constraint).
fn xor<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, x: &Lc, y: &Lc) -> Lc {
    let both = b.mul(x, y);
    b.sub(&b.add(x, y), &b.add(&both, &both))
}

/// Enforces y^2 = x^3 - 3 x + b (3 constraints).
fn on_curve<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, p: &Point) {
    // The generator is on the curve.
    let (gx, gy) = Constants::get().g;
    let curve_b = gy.square() - gx.cube() + F::from(3) * gx;
    let xx = b.mul(&p.x, &p.x);
    let yy = b.mul(&p.y, &p.y);
    let mut cube = yy;
    b.accumulate(&mut cube, F::from(3), &p.x);
    let cube = b.sub(&cube, &b.constant(curve_b));
    b.enforce(&xx, &p.x, &cube);
}

/// The slope `dy / dx`; unsatisfiable if `dx` is 0 (2 constraints).
fn slope<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, dx: &Lc, dy: &Lc) -> Lc {
    let inverse = b.alloc_wide(dx.value().invert().unwrap_or(F::ZERO));
    let one = b.one();
    b.enforce(dx, &inverse, &one);
    let slope = b.alloc_wide(dy.value() * inverse.value());
    b.enforce(&slope, dx, dy);
    slope
}

/// The x-coordinate of the third point of a line through points with the
/// coordinates `x1` and `x2` (1 constraint).
fn third_x<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, slope: &Lc, x1: &Lc, x2: &Lc) -> Lc {
    let sum = b.add(x1, x2);
    let x = b.alloc_wide(slope.value().square() - sum.value());
    let squared = b.add(&x, &sum);
    b.enforce(slope, slope, &squared);
    x
}

/// The negated y-coordinate at `x` of a line through `p` (1 constraint).
fn reflected_y<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    slope: &Lc,
    p: &Point,
    x: &Lc,
) -> Lc {
    let run = b.sub(&p.x, x);
    let y = b.alloc_wide(slope.value() * run.value() - p.y.value());
    let rise = b.add(&y, &p.y);
    b.enforce(slope, &run, &rise);
    y
}

/// `p + q` for points of the curve; unsatisfiable if their x-coordinates are
/// equal (4 constraints).
fn add<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, p: &Point, q: &Point) -> Point {
    let dx = b.sub(&q.x, &p.x);
    let dy = b.sub(&q.y, &p.y);
    let slope = slope(b, &dx, &dy);
    let x = third_x(b, &slope, &p.x, &q.x);
    let y = reflected_y(b, &slope, p, &x);
    Point { x, y }
}

/// `2 p + q` for points of the curve, as (p + q) + p; unsatisfiable if q is p or
/// -p, or the result is the identity (6 constraints).
///
/// The y-coordinate of p + q is not needed: the second slope is
/// 2 y(p) / (x(p) - x(p + q)) less the first. It needs no check of its divisor
/// either: a point of odd order has y(p) other than 0, so a divisor 0 would ask
/// for 0 = 2 y(p).
fn double_and_add<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, p: &Point, q: &Point) -> Point {
    let dx = b.sub(&q.x, &p.x);
    let dy = b.sub(&q.y, &p.y);
    let first = slope(b, &dx, &dy);
    let x = third_x(b, &first, &p.x, &q.x);
    let gap = b.sub(&p.x, &x);
    let twice_y = b.add(&p.y, &p.y);
    let inverse = gap.value().invert().unwrap_or(F::ZERO);
    let second = b.alloc_wide(twice_y.value() * inverse - first.value());
    let slopes = b.add(&first, &second);
    b.enforce(&slopes, &gap, &twice_y);
    let x = third_x(b, &second, &p.x, &x);
    let y = reflected_y(b, &second, p, &x);
    Point { x, y }
}

#[cfg(test)]
#[path = "ecdsa_tests.rs"]
mod tests;
