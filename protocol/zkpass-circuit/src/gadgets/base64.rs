//! Base64url characters (RFC 4648 section 5).

use crate::builder::{Builder, Lc};
use crate::field::{F, low_u64};
use bellpepper_core::ConstraintSystem;

/// The six bits of a character, least significant first.
///
/// Relation: where `active` is 1, `character` is the symbol of the value `v`
/// that the bits make; the map from the 64 values to the 64 symbols is a
/// bijection, so the bits are determined and any other character is
/// unsatisfiable. Where `active` is 0 the bits are free booleans. `active` must
/// be 0 or 1. `idle` gives the witness where `active` is 0.
///
/// 17 constraints.
pub(crate) fn decode<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    character: &Lc,
    active: &Lc,
    idle: u8,
) -> [Lc; 6] {
    let v = if active.is_one() {
        value_of(low_u64(character.value()) as u8).unwrap_or(0)
    } else {
        idle
    };
    let bits: [Lc; 6] = std::array::from_fn(|i| b.bit((v >> i) & 1 == 1));
    let [b0, b1, b2, b3, b4, b5] = &bits;
    let p43 = b.mul(b4, b3);
    let p21 = b.mul(b2, b1);
    let or21 = b.sub(&b.add(b2, b1), &p21);
    // v >= 26: bit 5, or 11 in bits 4 and 3 and something in bits 2 and 1.
    let low_26 = b.mul(&p43, &or21);
    let ge26 = b.or(b5, &low_26);
    // v >= 52: bits 5 and 4, and something in bits 3 and 2.
    let p54 = b.mul(b5, b4);
    let or32 = b.or(b3, b2);
    let ge52 = b.mul(&p54, &or32);
    // v >= 62: bits 5 to 1.
    let p43_21 = b.mul(&p43, &p21);
    let ge62 = b.mul(b5, &p43_21);
    let eq63 = b.mul(&ge62, b0);
    let mut symbol = b.radix(F::from(2), &bits);
    let step = |b: &Builder<'_, CS>, s: &mut Lc, flag: &Lc, by: i64| {
        b.accumulate(s, crate::field::from_i64(by), flag);
    };
    // Offsets from value to symbol: +65, +71, -4, -17, +32.
    b.accumulate(&mut symbol, F::from(65), &b.one());
    step(b, &mut symbol, &ge26, 71 - 65);
    step(b, &mut symbol, &ge52, -4 - 71);
    step(b, &mut symbol, &ge62, -17 + 4);
    step(b, &mut symbol, &eq63, 32 + 17);
    let wrong = b.sub(character, &symbol);
    b.zero_product(active, &wrong);
    bits
}

/// The value of a symbol.
pub(crate) fn value_of(symbol: u8) -> Option<u8> {
    Some(match symbol {
        b'A'..=b'Z' => symbol - b'A',
        b'a'..=b'z' => symbol - b'a' + 26,
        b'0'..=b'9' => symbol - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Checker, forgeries};

    fn build(b: &mut Builder<'_, Checker>, symbol: u8, active: bool, bits: Option<u8>) -> Vec<Lc> {
        let c = b.int(u64::from(symbol));
        let a = b.int(u64::from(active));
        decode(b, &c, &a, bits.unwrap_or(0)).to_vec()
    }

    #[test]
    fn every_character_is_its_value_or_refused() {
        for symbol in 0..=255u8 {
            let mut bits = vec![];
            let cs = Checker::build(|b| bits = build(b, symbol, true, None));
            let got = bits.iter().rev().fold(0, |a, x| a * 2 + low_u64(x.value()));
            match value_of(symbol) {
                Some(v) => {
                    assert!(cs.satisfied(), "{symbol}");
                    assert_eq!(got, u64::from(v));
                }
                None => assert!(!cs.satisfied(), "{symbol}"),
            }
            assert_eq!(cs.constraints(), 17);
        }
    }

    #[test]
    fn no_symbol_has_a_second_value() {
        for symbol in b"Aaz09-_Zb" {
            let found = forgeries(|b| build(b, *symbol, true, None));
            assert!(found.is_empty(), "{symbol}: {found:?}");
            let mut cs = Checker::build(|b| {
                build(b, *symbol, true, None);
            });
            assert!(cs.free_variables().is_empty());
        }
    }

    #[test]
    fn inactive_characters_are_free() {
        for idle in 0..64 {
            assert!(
                Checker::build(|b| {
                    build(b, 0, false, Some(idle));
                })
                .satisfied()
            );
        }
    }
}
