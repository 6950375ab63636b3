//! Whole-relation attacks: each changes an honest witness, follows up every
//! dependent value it can, and must be refused; the honest case stands beside.

use super::counts::{LOAN, loan_payload};
use super::{Case, Document, date, single};
use crate::core::IV;
use crate::field::{F, from_be_bytes, low_u64, pow2, to_le_bytes};
use crate::gadgets::sha256;
use crate::scan::typed_limbs;
use crate::testing::{unexplained, was_inverse, with_override};
use ff::Field;
use zkpass_core::date::Date;
use zkpass_core::keys::SigningKey;
use zkpass_core::statement::{OutputEntry, OutputValue};
use zkpass_core::user_data::Profile;

const SCRIPT: &str = r#"[{"output": {"r": {">=": [{"dvar": "age"}, 18]}}}]"#;

fn as_of() -> Date {
    date(2026, 3, 1)
}

/// An honest case whose answer is "no".
fn minor() -> Case {
    let payload = r#"{"age":9,"note":"\"age\":99","x":{"age":77}}"#;
    Case::new(SCRIPT, &single(payload), as_of())
}

fn claim(case: &mut Case, value: bool) {
    case.statement.output = vec![OutputEntry {
        name: "r".into(),
        value: OutputValue::Boolean(value),
    }];
}

/// Applies an attack to an honest case and asserts that it is refused.
fn refused(name: &str, mut case: Case, attack: impl FnOnce(&mut Case)) {
    case.holds();
    attack(&mut case);
    assert!(case.refused_by().is_some(), "{name} was accepted");
}

#[test]
fn the_output_cannot_be_changed() {
    refused("other output", minor(), |c| claim(c, true));
    refused("no output", minor(), |c| c.statement.output.clear());
    refused("other type", minor(), |c| {
        c.statement.output[0].value = OutputValue::Integer(0);
    });
}

#[test]
fn a_captured_value_cannot_be_replaced() {
    for token in ["99", "77", "18", ""] {
        refused(token, minor(), |c| {
            let at = c.plan.layout.capture(0, 0);
            let limbs = typed_limbs(token.as_bytes(), false, false, 1);
            c.set(at, limbs[0]);
            claim(c, !token.is_empty());
        });
    }
}

#[test]
fn a_match_cannot_be_hidden_or_invented() {
    let count = |c: &Case| {
        (0..c.blocks())
            .map(|j| c.plan.layout.count(j, 0))
            .find(|p| c.witness.shared[*p] != F::ZERO)
            .unwrap()
    };
    refused("hidden", minor(), |c| {
        let p = count(c);
        c.set(p, F::ZERO);
    });
    refused("moved to another block", minor(), |c| {
        let p = count(c);
        let other = c.plan.layout.count(c.blocks() - 1, 0);
        let v = c.witness.shared[p];
        c.set(p, F::ZERO);
        c.set(other, v);
    });
    refused("counted twice", minor(), |c| {
        let p = count(c);
        let v = c.witness.shared[p].double();
        c.set(p, v);
    });
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    // The native reader refuses such a text; the circuit must too, whichever of
    // the two values is claimed.
    let honest = Case::new(SCRIPT, &single(r#"{"age":9,"Age":20}"#), as_of());
    honest.holds();
    for payload in [r#"{"age":9,"age":20}"#, r#"{"age":20,"age":9}"#] {
        for claimed in [true, false] {
            let mut case = duplicate(payload);
            claim(&mut case, claimed);
            for value in ["9", "20"] {
                let at = case.plan.layout.capture(0, 0);
                case.set(at, typed_limbs(value.as_bytes(), false, false, 1)[0]);
                assert!(case.refused_by().is_some(), "{payload} {claimed} {value}");
            }
        }
    }
}

/// A case over a text that the native reader refuses.
fn duplicate(payload: &str) -> Case {
    // A text of the same length makes the plan; then the payload is replaced.
    let stand_in = payload.replacen("age", "agf", 1);
    let mut case = Case::new(SCRIPT, &single(&stand_in), as_of());
    case.payloads = vec![(payload.to_owned(), None)];
    case.sign_with(&[7]);
    case
}

#[test]
fn the_length_cannot_be_changed() {
    for delta in [-64i64, -1, 1, 64] {
        refused("length alone", minor(), |c| {
            let n = c.witness.core.lengths[0] as i64 + delta;
            c.witness.core.lengths[0] = n as usize;
        });
        // With the control elements that belong to the claimed length, so that
        // the core agrees and the steps must refuse.
        refused("length and controls", minor(), |c| {
            let n = (c.witness.core.lengths[0] as i64 + delta) as usize;
            c.witness.core.lengths[0] = n;
            for j in 0..c.blocks() {
                let count = n.saturating_sub(64 * j).min(64) as u64;
                let first = u64::from(n == 64 * j);
                let last = (n + 9).div_ceil(64) == j + 1;
                let field = if last { 8 * n as u64 } else { 0 };
                let v = count + (first << 7) + (u64::from(last) << 8) + (field << 9);
                c.set(c.plan.layout.control(j), F::from(v));
            }
        });
    }
}

#[test]
fn blocks_behind_the_message_are_blank() {
    // A digest over more blocks than the message has: another "message" with
    // the signed one as prefix.
    let payload = r#"{"age":9}"#;
    let case = || Case::new(SCRIPT, &single(payload), as_of());
    refused("dummy block with text", case(), |c| {
        let last = c.blocks() - 1;
        c.set(c.plan.layout.word(last, 0), F::from(0x41));
        rehash(c);
    });
    refused("padding replaced", case(), |c| {
        let last = (c.witness.core.lengths[0]) / 64;
        let at = c.plan.layout.word(last, 2);
        let v = c.witness.shared[at] + F::ONE;
        c.set(at, v);
        rehash(c);
    });
}

/// Recomputes the chaining values of a single token's blocks.
fn rehash(c: &mut Case) {
    let mut chain = IV;
    for j in 0..c.blocks() {
        let mut words = vec![];
        for (k, n) in crate::step::WORDS_PER_ELEMENT.into_iter().enumerate() {
            let bytes = to_le_bytes(c.witness.shared[c.plan.layout.word(j, k)]);
            let mut these: Vec<u32> = bytes
                .chunks(4)
                .take(n)
                .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
                .collect();
            these.reverse();
            words.extend(these);
        }
        chain = sha256::native(chain, words.try_into().unwrap());
        for (k, half) in chain.chunks(4).enumerate() {
            let v = half
                .iter()
                .fold(F::ZERO, |a, w| a * pow2(32) + F::from(u64::from(*w)));
            c.set(c.plan.layout.chain(j + 1, k), v);
        }
    }
}

#[test]
fn the_message_cannot_be_changed() {
    // Turns the digit 9 into another character and hashes again: only the
    // signature can refuse.
    refused("forged message", minor(), |c| {
        let at = c.plan.layout.word(1, 1);
        let v = c.witness.shared[at] + pow2(2);
        c.set(at, v);
        rehash(c);
    });
}

#[test]
fn scanner_state_cannot_be_changed_between_blocks() {
    let honest = minor();
    honest.holds();
    let slots = honest.plan.layout.slots;
    for slot in 0..slots {
        // q, escape, dead, length in limb, limbs, message flag, s, depth, edge.
        for bit in [0, 24, 25, 26, 27, 32, 34, 37, 38, 51] {
            let mut case = minor();
            let at = case.plan.layout.state(slot, 0);
            let v = low_u64(case.witness.shared[at]);
            // The free part of the last state may hold anything.
            if slot + 1 == slots && bit < 34 {
                continue;
            }
            let flipped = if (v >> bit) & 1 == 1 {
                case.witness.shared[at] - pow2(bit)
            } else {
                case.witness.shared[at] + pow2(bit)
            };
            case.set(at, flipped);
            assert!(case.refused_by().is_some(), "slot {slot} bit {bit}");
        }
        let mut case = minor();
        let at = case.plan.layout.limb(slot, 0);
        let v = case.witness.shared[at] + F::ONE;
        case.set(at, v);
        assert!(case.refused_by().is_some(), "slot {slot} token register");
    }
}

#[test]
fn header_key_and_date_are_bound() {
    refused("header", minor(), |c| {
        let mut h = c.statement.tokens[0].header.clone();
        h.pop();
        h.push('A');
        c.statement.tokens[0].header = h;
    });
    refused("issuer key", minor(), |c| {
        let other = SigningKey::from_bytes(&[99; 32]).unwrap();
        c.statement.tokens[0].issuer_key = other.public();
    });
    let aged = || {
        let script = r#"[{"output":{"r":{">=":[{"get_age":[{"dvar":"d"},"YYYY-MM-DD"]},21]}}}]"#;
        Case::new(script, &single(r#"{"d":"2005-03-02"}"#), as_of())
    };
    // Of age on another day only: the day is the statement's.
    refused("date", aged(), |c| claim(c, true));
    refused("date", aged(), |c| {
        c.statement.as_of = date(2026, 3, 2);
    });
}

#[test]
fn a_token_cannot_stand_in_for_another() {
    let pair = |a: &'static str, b: &'static str| {
        let make = |tag, payload| Document {
            tag,
            profile: Profile::Jwt,
            payload,
            kid: None,
        };
        let script = r#"[{"output":{"r":{"<":[{"dvar":"a.n"},{"dvar":"b.n"}]}}}]"#;
        Case::new(script, &[make("a", a), make("b", b)], as_of())
    };
    refused("swapped tokens", pair(r#"{"n":1}"#, r#"{"n":2}"#), |c| {
        // The same two tokens, each under the other's tag.
        let mut other = pair(r#"{"n":2}"#, r#"{"n":1}"#);
        other.sign_with(&[8, 7]);
        c.witness = other.witness;
        claim(c, false);
    });
    refused(
        "a value of the other token",
        pair(r#"{"n":1}"#, r#"{"n":2}"#),
        |c| {
            let (a, b) = (c.plan.layout.capture(0, 0), c.plan.layout.capture(1, 0));
            let v = c.witness.shared[b];
            c.set(a, v);
            claim(c, false);
        },
    );
}

#[test]
fn needed_decoders_cannot_be_skipped() {
    let payload = r#"{"age":"30"}"#;
    let wrong_type = Case::new(SCRIPT, &single(payload), as_of());
    assert!(wrong_type.evaluated.is_err());
    let mut case = wrong_type;
    for need in [true, false] {
        for claimed in [true, false] {
            case.witness.core.needs[0][0] = need;
            claim(&mut case, claimed);
            assert!(case.refused_by().is_some());
        }
    }
    refused("need dropped", minor(), |c| {
        c.witness.core.needs[0][0] = false;
    });
}

#[test]
fn disclosure_needs_the_issuers_flag() {
    let script = r#"[{"output": {"n": {"dvar": "n"}}}]"#;
    let honest = r#"{"n":"Ana","_n_zkpass_public_":true}"#;
    Case::new(script, &single(honest), as_of()).holds();
    for payload in [
        r#"{"n":"Ana","_n_zkpass_public_":false}"#,
        r#"{"n":"Ana","_n_zkpass_public_":"true"}"#,
        r#"{"n":"Ana","x":{"_n_zkpass_public_":true}}"#,
        r#"{"n":"Ana","x":"\"_n_zkpass_public_\":true"}"#,
        r#"{"n":"Ana"}"#,
    ] {
        let mut case = Case::new(script, &single(payload), as_of());
        assert_eq!(
            case.evaluated.as_ref().unwrap_err().code().as_str(),
            "NotPublic"
        );
        case.statement.output = vec![OutputEntry {
            name: "n".into(),
            value: OutputValue::String("Ana".into()),
        }];
        assert!(case.refused_by().is_some(), "{payload}");
    }
}

/// Every variable of every circuit, changed alone, must break a constraint;
/// exceptions are inverses of zero.
#[test]
fn no_variable_is_free() {
    let payload = r#"{"age":9,"n":"D","_n_zkpass_public_":true,"d":"2000-1-31"}"#;
    let script = r#"[
      {"output": {"r": {">=": [{"dvar": "age"}, 18]}}},
      {"output": {"n": {"dvar": "n"}}},
      {"output": {"s": {"~contains": [{"dvar": "n"}, "d"]}}},
      {"output": {"d": {"<": [{"get_day_diff": [{"dvar": "d"}, "YYYY-MM-DD"]}, 0]}}}]"#;
    let case = Case::new(script, &single(payload), as_of());
    case.holds();
    let shared = case.plan.layout.len();
    // The core and a step do not see every shared element: only theirs count.
    let mut core = case.core_system();
    let free: Vec<usize> = core
        .free_variables()
        .into_iter()
        .filter(|i| *i >= shared)
        .collect();
    assert_eq!(unexplained(&free), Vec::<usize>::new());
    for i in 0..case.blocks() {
        let mut step = case.step_system(i);
        let free: Vec<usize> = step
            .free_variables()
            .into_iter()
            .filter(|i| *i >= shared)
            .collect();
        assert_eq!(unexplained(&free), Vec::<usize>::new(), "step {i}");
    }
}

/// Every shared element, changed alone, must be refused by some circuit.
#[test]
fn no_shared_element_is_free() {
    let mut case = Case::new(SCRIPT, &single(r#"{"age":9}"#), as_of());
    case.holds();
    let mut systems: Vec<_> = (0..case.blocks()).map(|i| case.step_system(i)).collect();
    systems.push(case.core_system());
    let tail = case.plan.layout.state(case.plan.layout.slots - 1, 0);
    for i in 0..case.plan.layout.len() {
        let free = systems.iter_mut().all(|s| {
            let honest = s.aux[i];
            // A change of the low bit of the packed state is a change of the
            // next block's first character.
            s.aux[i] = honest + F::ONE;
            let ok = s.satisfied();
            s.aux[i] = honest;
            ok
        });
        assert!(!free || i == tail, "shared element {i}");
    }
    case.set(tail, F::ZERO);
}

/// A sample of the step's variables, changed with everything computed from
/// them following: the step must be refused, since its outputs are shared
/// elements that stay.
#[test]
fn changes_with_consequences_are_refused() {
    let case = Case::new(SCRIPT, &single(r#"{"age":9,"b":"\\x"}"#), as_of());
    case.holds();
    let shared = case.plan.layout.len();
    for step in 0..case.blocks() {
        let total = case.step_system(step).aux.len() - shared;
        for n in (0..total).step_by(397) {
            let cs = with_override(n, F::ONE, || case.step_system(step));
            assert!(
                !cs.satisfied() || was_inverse(n),
                "step {step}, variable {n}"
            );
        }
    }
}

#[test]
fn the_honest_loan_holds() {
    Case::new(LOAN, &single(&loan_payload(40)), as_of()).holds();
    assert_eq!(from_be_bytes(&[1, 0]), F::from(256));
}
