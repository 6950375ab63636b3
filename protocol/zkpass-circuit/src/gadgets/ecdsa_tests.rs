use super::*;
use crate::field::from_bool;
use crate::testing::{Checker, with_override};
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use proptest::prelude::*;
use sha2::Digest;

/// Constraints before the rounds: of R, of r, of s, of the table and the start.
const BEFORE_ROUNDS: usize = 4 + 516 + 516 + 24 + 4;
/// The last two constraints: both coordinates of the accumulator are right.
const SAME_X: usize = 4_908;
const SAME_Y: usize = 4_909;

/// A statement and a witness, honest or not. Integers are little-endian.
struct Case {
    key: ProjectivePoint,
    z: [u8; 32],
    witness: SignatureWitness,
}

impl Case {
    fn build(&self) -> Checker {
        Checker::build(|b| {
            let (x, y) = coordinates(&self.key).unwrap();
            let (qx, qy) = (b.input(x), b.input(y));
            let z: Vec<Lc> = (0..256)
                .map(|i| b.input(from_bool(bit_of(&self.z, i))))
                .collect();
            verify(b, &z, &qx, &qy, &self.witness);
        })
    }

    fn holds(&self) -> bool {
        self.build().satisfied()
    }

    /// Chooses the key such that z G + r Q = s R, with r as an integer of 256
    /// bits that need not be canonical.
    fn solved_for_key(point: ProjectivePoint, r: [u8; 32], s: [u8; 32], z: [u8; 32]) -> Case {
        let key = (point * reduce(s) - ProjectivePoint::GENERATOR * reduce(z))
            * reduce(r).invert().unwrap();
        let (x, y) = coordinates(&point).unwrap();
        let witness = SignatureWitness { x, y, r, s };
        Case { key, z, witness }
    }
}

fn reversed(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes.reverse();
    bytes
}

/// Modulo n.
fn reduce(little_endian: [u8; 32]) -> Scalar {
    Scalar::reduce_bytes(&reversed(little_endian).into())
}

fn le(s: Scalar) -> [u8; 32] {
    reversed(s.to_bytes().into())
}

/// The sum of two little-endian integers, below 2^256.
fn plus(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    let out = std::array::from_fn(|i| {
        carry += u16::from(a[i]) + u16::from(b[i]);
        let byte = carry as u8;
        carry >>= 8;
        byte
    });
    assert_eq!(carry, 0);
    out
}

/// n, little-endian.
fn order() -> [u8; 32] {
    plus(le(-Scalar::ONE), small(1))
}

/// p, little-endian.
fn modulus() -> [u8; 32] {
    plus(to_le_bytes(-F::ONE), small(1))
}

fn small(v: u8) -> [u8; 32] {
    let mut out = [0; 32];
    out[0] = v;
    out
}

fn key(secret: u64) -> SigningKey {
    SigningKey::from_bytes(&(Scalar::from(secret).to_bytes())).unwrap()
}

fn public(key: &VerifyingKey) -> ([u8; 32], [u8; 32]) {
    let point = key.to_encoded_point(false);
    ((*point.x().unwrap()).into(), (*point.y().unwrap()).into())
}

fn case(key: &SigningKey, digest: [u8; 32], signature: Signature) -> Case {
    let verifying = key.verifying_key();
    let signature: [u8; 64] = signature.to_bytes().into();
    Case {
        key: verifying.as_affine().into(),
        z: reversed(digest),
        witness: SignatureWitness::new(&public(verifying), &digest, &signature).unwrap(),
    }
}

fn honest() -> Case {
    let digest: [u8; 32] = Sha256::digest(b"message").into();
    let key = key(0x1234_5678_9abc);
    let signature = key.sign_prehash(&digest).unwrap();
    case(&key, digest, signature)
}

fn offset() -> ProjectivePoint {
    NistP256::hash_from_bytes::<ExpandMsgXmd<Sha256>>(&[&[]], &[OFFSET_DOMAIN]).unwrap()
}

/// The other signature of the same r: n - s.
fn opposite(signature: Signature) -> Signature {
    Signature::from_scalars(signature.r().to_bytes(), (-*signature.s()).to_bytes()).unwrap()
}

#[test]
fn the_offset_point_is_the_published_one() {
    // Computed once more with another implementation of RFC 9380.
    let hex = |s: &str| {
        let byte = |i| u8::from_str_radix(&s[i..i + 2], 16).unwrap();
        from_be_bytes(&(0..64).step_by(2).map(byte).collect::<Vec<_>>())
    };
    let constants = Constants::get();
    assert_eq!(
        constants.h,
        (
            hex("e6b8db9c016c7b71bca226134fbc2589109f73388a91f9c32820dc64c4dd72be"),
            hex("6dbb627ad96f16e2f04a59d3ee415b1a0886c06fbbb84bce0423fd2d7d2c88e4"),
        )
    );
    assert_eq!(
        constants.h_shifted,
        (
            hex("c9df9fb0c9450e39a7f9c02924a3541f630069980233a6a9eb8d1b92d6ba3275"),
            hex("fb56ffdda5f744147782641e846c047597b21f8f82532ac9141168a53e32987b"),
        )
    );
}

#[test]
fn constraint_count() {
    let cs = honest().build();
    assert!(cs.satisfied());
    assert_eq!(cs.constraints(), 4_910);
}

#[test]
fn a_blank_witness_has_the_same_shape() {
    let honest = honest();
    let blank = Case {
        witness: SignatureWitness::blank(),
        ..honest
    };
    let cs = blank.build();
    assert!(!cs.satisfied());
    assert_eq!(cs.constraints(), 4_910);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn every_signature_holds(secret: [u8; 32], digest: [u8; 32]) {
        prop_assume!(reduce(secret) != Scalar::ZERO);
        let key = SigningKey::from_bytes(&reduce(secret).to_bytes()).unwrap();
        let signature: Signature = key.sign_prehash(&digest).unwrap();
        for signature in [signature, opposite(signature)] {
            prop_assert!(key.verifying_key().verify_prehash(&digest, &signature).is_ok());
            prop_assert!(case(&key, digest, signature).holds());
        }
    }

    /// The witness exists exactly when p256 accepts.
    #[test]
    fn the_witness_is_for_valid_signatures(digest: [u8; 32], at in 0usize..96, by in 1u8..) {
        let key = key(77);
        let signature: Signature = key.sign_prehash(&digest).unwrap();
        let mut bytes = [0; 96];
        bytes[..32].copy_from_slice(&digest);
        bytes[32..].copy_from_slice(&signature.to_bytes());
        bytes[at] ^= by;
        let (digest, signature) = bytes.split_at(32);
        let accepted = Signature::from_slice(signature)
            .is_ok_and(|s| key.verifying_key().verify_prehash(digest, &s).is_ok());
        let witness = SignatureWitness::new(
            &public(key.verifying_key()),
            digest.try_into().unwrap(),
            signature.try_into().unwrap(),
        );
        prop_assert_eq!(witness.is_some(), accepted);
        prop_assert!(!accepted);
    }
}

#[test]
fn extreme_digests() {
    let key = key(3);
    let mut above = [0xff; 32];
    above[31] = 0;
    for digest in [
        [0; 32],
        [0xff; 32],
        above,
        reversed(order()),
        reversed(modulus()),
    ] {
        let signature = key.sign_prehash(&digest);
        assert!(case(&key, digest, signature.unwrap()).holds());
    }
}

#[test]
fn no_witness_without_a_valid_signature() {
    let digest = [7; 32];
    let key = key(99);
    let signature: Signature = key.sign_prehash(&digest).unwrap();
    let honest: [u8; 64] = signature.to_bytes().into();
    let public = public(key.verifying_key());
    let accepts =
        |digest: &[u8; 32], s: &[u8; 64]| SignatureWitness::new(&public, digest, s).is_some();
    assert!(accepts(&digest, &honest));
    assert!(!accepts(&[8; 32], &honest));
    for half in [0..32, 32..64] {
        for value in [[0; 32], reversed(order()), [0xff; 32]] {
            let mut changed = honest;
            changed[half.clone()].copy_from_slice(&value);
            assert!(!accepts(&digest, &changed));
        }
    }
    let mut off_curve = public;
    off_curve.1[31] ^= 1;
    assert!(SignatureWitness::new(&off_curve, &digest, &honest).is_none());
}

#[test]
fn no_variable_is_free() {
    let mut cs = honest().build();
    assert_eq!(cs.free_variables(), Vec::<usize>::new());
}

#[test]
fn changed_values_are_refused() {
    let honest = honest();
    let cs = honest.build();
    assert!(cs.satisfied());
    let n = cs.aux.len();
    // All parts of the circuit: R, bits, table, start, first and last round, end.
    let spread = (0..60).map(|i| i * n / 60);
    for at in spread.chain([1, 2, 3]).chain(n - 20..n) {
        let flip = F::ONE - cs.aux[at].double();
        for delta in [flip, F::ONE, -cs.aux[at].double()] {
            let changed = with_override(at, delta, || honest.build());
            assert!(
                changed.aux[at] == cs.aux[at] || !changed.satisfied(),
                "variable {at}"
            );
        }
    }
}

#[test]
fn another_digest_is_refused() {
    let mut case = honest();
    assert!(case.holds());
    for bit in [0, 1, 100, 254, 255] {
        case.z[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(case.build().first_failure(), Some(SAME_X), "bit {bit}");
        case.z[bit / 8] ^= 1 << (bit % 8);
    }
    // z and z + n are one digest for ECDSA.
    let (point, s) = (ProjectivePoint::GENERATOR * Scalar::from(5u64), small(11));
    let r = to_le_bytes(coordinates(&point).unwrap().0);
    let mut case = Case::solved_for_key(point, r, s, small(9));
    assert!(case.holds());
    case.z = plus(order(), small(9));
    assert!(case.holds());
    case.z = plus(modulus(), small(9));
    assert!(!case.holds());
}

#[test]
fn another_key_or_message_is_refused() {
    let one = honest();
    assert!(one.holds());
    let other_key = key(4);
    let other_digest = [5; 32];
    let signature = other_key.sign_prehash(&other_digest).unwrap();
    let two = case(&other_key, other_digest, signature);
    assert!(two.holds());
    let mixes = [
        (one.key, two.z, &one.witness),
        (one.key, two.z, &two.witness),
        (two.key, one.z, &one.witness),
        (two.key, one.z, &two.witness),
        (one.key, one.z, &two.witness),
        (-one.key, one.z, &one.witness),
    ];
    for (i, (key, z, w)) in mixes.into_iter().enumerate() {
        let witness = SignatureWitness { ..*w };
        assert!(!Case { key, z, witness }.holds(), "mix {i}");
    }
}

#[test]
fn the_point_and_s_belong_together() {
    let mut case = honest();
    assert!(case.holds());
    // -R with s is refused; with n - s it is the other valid signature.
    case.witness.y = -case.witness.y;
    assert!(!case.holds());
    case.witness.s = le(-reduce(case.witness.s));
    assert!(case.holds());
    case.witness.y = -case.witness.y;
    assert!(!case.holds());
}

/// A key for which the accumulator ends as the negation of what is expected.
#[test]
fn the_result_is_compared_with_its_sign() {
    let point = ProjectivePoint::GENERATOR * Scalar::from(5u64);
    let (x, y) = coordinates(&point).unwrap();
    let (r, s, z) = (to_le_bytes(x), small(3), small(4));
    assert!(Case::solved_for_key(point, r, s, z).holds());
    // z G + r Q - s R = -(2^256 H + G + Q - R), solved for Q.
    let shifted = offset() * Scalar::from(2u64).pow_vartime(&[256]);
    let one = Scalar::ONE;
    let sum = point * (reduce(s) + one) - ProjectivePoint::GENERATOR * (reduce(z) + one) - shifted;
    let key = sum * (reduce(r) + one).invert().unwrap();
    let witness = SignatureWitness { x, y, r, s };
    let forged = Case { key, z, witness };
    assert_eq!(forged.build().first_failure(), Some(SAME_Y));
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let mut case = honest();
    assert!(case.holds());
    case.witness.y += F::ONE;
    assert_eq!(case.build().first_failure(), Some(2));
    let mut case = honest();
    case.witness.x += F::ONE;
    case.witness.r = to_le_bytes(case.witness.x);
    assert_eq!(case.build().first_failure(), Some(2));
}

#[test]
fn r_is_the_x_coordinate() {
    let mut case = honest();
    assert!(case.holds());
    let r = case.witness.r;
    for changed in [small(1), le(-reduce(r)), [0; 32], order()] {
        case.witness.r = changed;
        assert!(!case.holds());
    }
    // The bits alone changed, with a key for which the equation holds: only the
    // tie between r and x(R) is broken.
    let point = ProjectivePoint::GENERATOR * Scalar::from(5u64);
    let x = to_le_bytes(coordinates(&point).unwrap().0);
    assert!(Case::solved_for_key(point, x, small(3), small(4)).holds());
    let forged = Case::solved_for_key(point, plus(small(1), x), small(3), small(4));
    // Constraint 3 is r != 0, then follow bits, bound and the tie.
    assert_eq!(forged.build().first_failure(), Some(4 + 515));
}

#[test]
fn r_is_canonical() {
    // A point with an x-coordinate so small that x + p has 256 bits.
    let mut encoded = [0; 33];
    encoded[0] = 2;
    encoded[32] = 5;
    let encoded = EncodedPoint::from_bytes(encoded).unwrap();
    let point: ProjectivePoint = AffinePoint::from_encoded_point(&encoded).unwrap().into();
    let (s, z) = ([9; 32], [200; 32]);
    assert!(Case::solved_for_key(point, small(5), s, z).holds());
    // The equation holds for this key and r = x + p, which is not x modulo n.
    let forged = Case::solved_for_key(point, plus(modulus(), small(5)), s, z);
    let failure = forged.build().first_failure().unwrap();
    assert!((4 + 256..4 + 515).contains(&failure), "{failure}");
}

#[test]
fn s_is_in_range() {
    let point = ProjectivePoint::GENERATOR * Scalar::from(5u64);
    let r = to_le_bytes(coordinates(&point).unwrap().0);
    let z = [200; 32];
    let range = 520 + 256..520 + 515;
    for s in [small(1), small(7), le(-Scalar::ONE)] {
        assert!(Case::solved_for_key(point, r, s, z).holds());
    }
    // The same signature with s + n.
    let mut case = Case::solved_for_key(point, r, small(7), z);
    assert!(case.holds());
    case.witness.s = plus(order(), small(7));
    let failure = case.build().first_failure().unwrap();
    assert!(range.contains(&failure), "{failure}");
    // A key that fits s = 0: everything holds but that s is not 0.
    let case = Case::solved_for_key(point, r, [0; 32], z);
    assert_eq!(case.build().first_failure(), Some(520 + 515));
    // And s = n.
    let case = Case::solved_for_key(point, r, order(), z);
    let failure = case.build().first_failure().unwrap();
    assert!(range.contains(&failure), "{failure}");
}

#[test]
fn r_is_not_zero() {
    // (0, sqrt b) is a point of the curve; n is no x-coordinate.
    let at = |x: [u8; 32]| {
        Option::<AffinePoint>::from(AffinePoint::from_encoded_point(
            &EncodedPoint::from_bytes([&[2u8][..], &reversed(x)].concat()).unwrap(),
        ))
    };
    let point = at([0; 32]).unwrap();
    assert!(at(order()).is_none());
    let (x, y) = coordinates(&point.into()).unwrap();
    let mut case = honest();
    assert!(case.holds());
    case.witness = SignatureWitness {
        x,
        y,
        r: [0; 32],
        s: small(1),
    };
    assert_eq!(case.build().first_failure(), Some(3));
}

/// A point R chosen such that the accumulator meets the point to add, where the
/// slope would be free.
#[test]
fn equal_points_are_not_added() {
    let half = Scalar::from(2u64).invert().unwrap();
    let h = offset();
    let mut seen = 0;
    for secret in 1..20u64 {
        let key = ProjectivePoint::GENERATOR * Scalar::from(1000 + secret);
        // H + G + Q - R = G + Q + R, which is added where bits of z, r, s are
        // 1, 1, 0; or = G - Q + R, added for 1, 0, 0.
        for (top, point) in [(true, h * half), (false, h * half + key)] {
            let (x, y) = coordinates(&point).unwrap();
            let r = to_le_bytes(x);
            if bit_of(&r, 255) != top {
                continue;
            }
            seen += 1;
            let witness = SignatureWitness {
                x,
                y,
                r,
                s: small(50),
            };
            let z = [0xff; 32];
            let mut case = Case { key, z, witness };
            assert_eq!(case.build().first_failure(), Some(BEFORE_ROUNDS + 9));
            // With another top bit of z the points differ.
            case.z[31] = 0x7f;
            assert!(case.build().first_failure().unwrap() > BEFORE_ROUNDS + 15 * 256);
        }
    }
    assert!(seen > 5);
}

fn point(b: &mut Builder<'_, Checker>, p: ProjectivePoint) -> Point {
    let (x, y) = coordinates(&p).unwrap();
    Point {
        x: b.input(x),
        y: b.input(y),
    }
}

#[test]
fn point_arithmetic() {
    let g = |k: u64| ProjectivePoint::GENERATOR * Scalar::from(k);
    type Operation = fn(&mut Builder<'_, Checker>, &Point, &Point) -> Point;
    let run = |operation: Operation, p, q, forge: Option<F>| {
        let mut out = (F::ZERO, F::ZERO);
        let mut build = || {
            Checker::build(|b| {
                let (p, q) = (point(b, p), point(b, q));
                let sum = operation(b, &p, &q);
                out = (sum.x.value(), sum.y.value());
            })
        };
        let cs = match forge {
            None => build(),
            Some(slope) => with_override(1, slope, build),
        };
        (cs, out)
    };
    for (i, j) in [(1, 2), (2, 1), (5, 9), (100, 7)] {
        let (mut cs, out) = run(add, g(i), g(j), None);
        assert_eq!(out, coordinates(&g(i + j)).unwrap());
        assert!(cs.free_variables().is_empty());
        assert_eq!(cs.constraints(), 4);
        let (mut cs, out) = run(double_and_add, g(i), g(j), None);
        assert_eq!(out, coordinates(&g(2 * i + j)).unwrap());
        assert!(cs.free_variables().is_empty());
        assert_eq!(cs.constraints(), 6);
    }
    // Equal points, opposite points, and a sum that is the identity; with an
    // honest slope and with any other.
    for forge in [None, Some(F::ONE), Some(F::from(77))] {
        for operation in [add as Operation, double_and_add] {
            assert!(!run(operation, g(5), g(5), forge).0.satisfied());
            assert!(!run(operation, g(5), -g(5), forge).0.satisfied());
        }
        assert!(!run(double_and_add, g(5), -g(10), forge).0.satisfied());
    }
}

#[test]
fn the_table_has_all_eight_sums() {
    let g = ProjectivePoint::GENERATOR;
    let (q, r) = (g * Scalar::from(17u64), g * Scalar::from(400u64));
    let signed = |bit: usize, p: ProjectivePoint| if bit == 1 { p } else { -p };
    for i in 0..8 {
        let bits = [i & 1, (i >> 1) & 1, i >> 2];
        let [z, dr, ds] = bits;
        let mut got = (F::ZERO, F::ZERO);
        let mut cs = Checker::build(|b| {
            let (q, r) = (point(b, q), point(b, r));
            let table = Table::new(b, &q, &r);
            let [z, dr, ds] = bits.map(|v| b.input(F::from(v as u64)));
            let p = table.select(b, &z, &dr, &ds);
            got = (p.x.value(), p.y.value());
        });
        assert!(cs.free_variables().is_empty());
        assert_eq!(cs.constraints(), 24 + 9);
        let expected = signed(z, g) + signed(dr, q) - signed(ds, r);
        assert_eq!(got, coordinates(&expected).unwrap());
    }
}
