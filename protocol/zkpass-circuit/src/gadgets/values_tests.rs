//! Each decoder: agreement with its native twin, tokens it must refuse, values
//! that cannot be forged, and its cost.

use super::*;
use crate::builder::Builder;
use crate::scan::typed_limbs;
use crate::testing::{Checker, forgeries, unexplained};
use proptest::prelude::*;

fn register(token: &[u8], quoted: bool) -> F {
    typed_limbs(token, quoted, false, 1)[0]
}

fn run(build: impl Fn(&mut Builder<'_, Checker>) -> Vec<Lc>) -> (Checker, Vec<F>) {
    let mut out = vec![];
    let cs = Checker::build(|b| out = build(b));
    let values = out.iter().map(Lc::value).collect();
    (cs, values)
}

fn sound(name: &str, build: impl Fn(&mut Builder<'_, Checker>) -> Vec<Lc>) {
    let found = forgeries(&build);
    assert!(found.is_empty(), "{name}: {found:?}");
    let (mut cs, _) = run(&build);
    let free = cs.free_variables();
    assert!(unexplained(&free).is_empty(), "{name}: {free:?}");
}

/// A decoder over a register that stays the same whatever the prover does.
fn decoder(
    token: &[u8],
    quoted: bool,
    decode: fn(&mut Builder<'_, Checker>, &Lc) -> Lc,
) -> impl Fn(&mut Builder<'_, Checker>) -> Vec<Lc> {
    let value = register(token, quoted);
    move |b| {
        let limb = b.constant(value);
        vec![decode(b, &limb)]
    }
}

#[test]
fn integers() {
    for token in [
        "0",
        "7",
        "-7",
        "10",
        "-10",
        "9223372036854775807",
        "-9223372036854775808",
    ] {
        let build = decoder(token.as_bytes(), false, integer);
        let (cs, out) = run(&build);
        assert!(cs.satisfied(), "{token}");
        assert_eq!(out[0], from_i64(token.parse().unwrap()), "{token}");
        assert_eq!(cs.constraints(), 221);
        sound(token, build);
    }
    for token in [
        "",
        "-",
        "-0",
        "00",
        "01",
        "-01",
        "+1",
        "1.0",
        "1e3",
        "true",
        "null",
        "1 ",
        ":",
        "/",
        "9223372036854775808",
        "-9223372036854775809",
        "10000000000000000000",
        "99999999999999999999999",
    ] {
        let (cs, _) = run(decoder(token.as_bytes(), false, integer));
        assert!(!cs.satisfied(), "{token}");
    }
    let (cs, _) = run(decoder(b"7", true, integer));
    assert!(!cs.satisfied(), "a string is no integer");
}

#[test]
fn booleans() {
    for (token, value) in [("true", F::ONE), ("false", F::ZERO)] {
        let build = decoder(token.as_bytes(), false, boolean);
        let (cs, out) = run(&build);
        assert!(cs.satisfied());
        assert_eq!(out[0], value);
        assert_eq!(cs.constraints(), 2);
        sound(token, build);
    }
    for (token, quoted) in [
        ("True", false),
        ("1", false),
        ("null", false),
        ("true", true),
    ] {
        let (cs, _) = run(decoder(token.as_bytes(), quoted, boolean));
        assert!(!cs.satisfied(), "{token}");
    }
}

#[test]
fn strings() {
    let check = |limbs: Vec<F>| {
        let (cs, out) = run(|b| {
            let limbs: Vec<Lc> = limbs.iter().map(|v| b.constant(*v)).collect();
            string(b, &limbs)
        });
        assert_eq!(cs.constraints(), 257);
        cs.satisfied().then_some(out)
    };
    for text in [
        "",
        "a",
        &"x".repeat(31),
        &"x".repeat(32),
        &"y".repeat(93),
        &"z".repeat(124),
    ] {
        let limbs = string_constant(text);
        assert_eq!(check(limbs.clone()), Some(limbs.clone()));
        // Left-overs of earlier tokens beyond the stated number are dropped.
        let mut dirty = limbs.clone();
        for (i, limb) in dirty.iter_mut().enumerate() {
            if i > text.len().saturating_sub(1) / LIMB_BYTES {
                *limb = F::from(7777);
            }
        }
        assert_eq!(check(dirty), Some(limbs));
    }
    let one = |first: F| check(vec![first, F::ZERO, F::ZERO, F::ZERO]);
    assert!(one(register(b"abc", true)).is_some());
    assert!(one(register(b"abc", false)).is_none(), "not quoted");
    assert!(one(typed_limbs(b"a", true, true, 1)[0]).is_none(), "dead");
    assert!(
        one(register(b"", true) + pow2(253)).is_none(),
        "more limbs than there are"
    );
    let limbs = string_constant("some text of more than one limb");
    sound("string", |b| {
        let limbs: Vec<Lc> = limbs.iter().map(|v| b.constant(*v)).collect();
        string(b, &limbs)
    });
}

fn text_case(text: &str) -> impl Fn(&mut Builder<'_, Checker>) -> (Text, Vec<Lc>) {
    let limbs = string_constant(text);
    move |b| {
        let limbs: Vec<Lc> = limbs.iter().map(|v| b.constant(*v)).collect();
        let text = Text::new(b, &limbs);
        let bytes = text
            .bytes
            .iter()
            .map(|bits| b.radix(F::from(2), bits))
            .collect();
        (text, bytes)
    }
}

#[test]
fn bytes_of_strings() {
    for n in [0, 1, 30, 31, 32, 62, 63, 93, 94, 124] {
        let text: String = ('!'..='~').cycle().take(n).collect();
        let case = text_case(&text);
        let (cs, out) = run(|b| case(b).1);
        assert!(cs.satisfied(), "{n}");
        assert_eq!(cs.constraints(), 1200);
        for (i, v) in out.iter().enumerate() {
            let expected = text.as_bytes().get(i).copied().unwrap_or(0);
            assert_eq!(*v, F::from(u64::from(expected)), "{n} {i}");
        }
    }
    let case = text_case("Jakarta");
    sound("text", |b| case(b).1);
    let long = "x".repeat(40);
    let case = text_case(&long);
    sound("two limbs", |b| case(b).1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn substring_tests_agree(text in "[aAbB]{0,40}", needle in "[aAbB]{0,3}", fold: bool) {
        let case = text_case(&text);
        let (cs, out) = run(|b| {
            let (t, _) = case(b);
            let n = needle.as_bytes();
            vec![
                t.contains(b, n, fold),
                t.starts_with(b, n, fold),
                t.ends_with(b, n, fold),
                t.equals_folded(b, n),
            ]
        });
        prop_assert!(cs.satisfied());
        let lower = |s: &str| if fold { s.to_lowercase() } else { s.to_owned() };
        let (t, n) = (lower(&text), lower(&needle));
        let expected = [
            t.contains(&n),
            t.starts_with(&n),
            t.ends_with(&n),
            text.eq_ignore_ascii_case(&needle),
        ];
        prop_assert_eq!(out, expected.map(crate::field::from_bool).to_vec());
    }

    #[test]
    fn folded_strings_agree(a in "[@-\\[`-{]{0,5}", c in "[@-\\[`-{]{0,5}") {
        let (left, right) = (text_case(&a), text_case(&c));
        let (cs, out) = run(|b| {
            let (l, r) = (left(b).0, right(b).0);
            vec![l.same_folded(b, &r)]
        });
        prop_assert!(cs.satisfied());
        prop_assert_eq!(out[0], crate::field::from_bool(a.eq_ignore_ascii_case(&c)));
    }

    #[test]
    fn order_agrees(a: i64, c: i64) {
        let (cs, out) = run(|b| {
            let (x, y) = (b.constant(from_i64(a)), b.constant(from_i64(c)));
            vec![less_than(b, &x, &y)]
        });
        prop_assert!(cs.satisfied());
        prop_assert_eq!(cs.constraints(), 66);
        prop_assert_eq!(out[0], crate::field::from_bool(a < c));
    }
}

#[test]
fn order_at_the_edges() {
    for (a, c) in [
        (i64::MIN, i64::MAX),
        (i64::MAX, i64::MIN),
        (0, 0),
        (i64::MIN, i64::MIN),
        (-1, 0),
    ] {
        let build = |b: &mut Builder<'_, Checker>| {
            let (x, y) = (b.constant(from_i64(a)), b.constant(from_i64(c)));
            vec![less_than(b, &x, &y)]
        };
        let (cs, out) = run(build);
        assert!(cs.satisfied());
        assert_eq!(out[0], crate::field::from_bool(a < c));
        sound("order", build);
    }
}
