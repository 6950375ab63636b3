//! The scanner on hostile texts: what is captured, natively and in the circuit.

use super::{Case, date, single};
use zkpass_core::statement::OutputValue;

const SCRIPT: &str = r#"[
  {"output": {"has_age": {"exists": {"dvar": "age"}}}},
  {"output": {"has_name": {"exists": {"dvar": "p.name"}}}},
  {"output": {"has_city": {"exists": {"dvar": "c.addr.city"}}}},
  {"if": {"condition": {"exists": {"dvar": "age"}},
          "then": [{"output": {"adult": {">=": [{"dvar": "age"}, 18]}}}]}},
  {"if": {"condition": {"exists": {"dvar": "p.name"}},
          "then": [{"output": {"dewi": {"==": [{"dvar": "p.name"}, "Dewi"]}}}]}}
]"#;

/// Outputs `has_age has_name has_city adult dewi` as characters: `1`, `0`, and
/// `-` for absent.
fn run(payload: &str) -> String {
    let case = Case::new(SCRIPT, &single(payload), date(2026, 3, 1));
    let output = case
        .evaluated
        .as_ref()
        .unwrap_or_else(|e| panic!("{payload}: {e}"));
    assert_eq!(case.refused_by(), None, "{payload}");
    case.program
        .outputs
        .iter()
        .map(
            |name| match output.iter().find(|o| o.name == *name).map(|o| &o.value) {
                Some(OutputValue::Boolean(true)) => '1',
                Some(OutputValue::Boolean(false)) => '0',
                _ => '-',
            },
        )
        .collect()
}

#[test]
fn decoys_do_not_match() {
    for (payload, expected) in [
        (
            r#"{"age":30,"p":{"name":"Dewi"},"c":{"addr":{"city":"Jakarta"}}}"#,
            "11111",
        ),
        (
            "{ \"age\" :\t17 ,\n\"p\" : { \"name\" : \"De\" } ,\r\"c\":{\"x\":[1,{\"city\":\"no\"}],\"addr\":{\"city\":\"a:b,c}\"} } }",
            "11100",
        ),
        (
            r#"{"x":"\"age\":99,","y":{"age":77},"z":[{"age":66}],"p":{"q":{"name":"no"},"name":"Dewi"},"age":1,"name":"top"}"#,
            "11001",
        ),
        (
            r#"{"age":1,"x":{"age":2},"y":"},\"age\":3","c":{"addr":[{"city":"no"}],"city":"no"}}"#,
            "1000-",
        ),
        (
            r#"{"agee":5,"ag":6,"AGE":8,"p":"name","name":"x","c":{"addr":"city","city":"y"}}"#,
            "000--",
        ),
        (
            r#"{"x":"a\\","age":20,"y":"\\\"","p":{"name":"Dewi"}}"#,
            "11011",
        ),
        (r#"{"x":"[{","age":20,"y":"]}","p":{}}"#, "1001-"),
        (
            r#"{"a":[[[[[{"age":3}]]]]],"b":{"b":{"b":{"age":4}}},"p":{"name":null}}"#,
            "000--",
        ),
        (r#"{}"#, "000--"),
        (r#"{"x":{},"y":[],"z":"","age":0}"#, "1000-"),
        (r#"{"age":null,"p":null}"#, "000--"),
    ] {
        assert_eq!(run(payload), expected, "{payload}");
    }
}

#[test]
fn keys_and_values_may_cross_blocks_and_phases() {
    // The header's length moves the phase; the filler moves the block boundary
    // through key, escape and value.
    for kid in [None, Some("k"), Some("ke"), Some("key")] {
        for filler in 0..50 {
            let payload = format!(
                r#"{{"x":"{}\\","age":21,"p":{{"name":"Dewi"}}}}"#,
                "é".repeat(filler / 2) + &"z".repeat(filler % 2),
            );
            let mut documents = single(&payload);
            documents[0].kid = kid;
            let case = Case::new(SCRIPT, &documents, date(2026, 3, 1));
            assert_eq!(case.refused_by(), None, "{kid:?} {filler}");
            assert!(case.evaluated.is_ok());
        }
    }
}

#[test]
fn names_of_every_length() {
    for n in [1, 30, 31, 32, 61, 62, 63, 93, 100, 108] {
        let name = "n".repeat(n);
        let script = format!(r#"[{{"output": {{"v": {{"dvar": "{name}"}}}}}}]"#);
        let payload = format!(r#"{{"{name}":"x","_{name}_zkpass_public_":true,"{name}n":"y"}}"#);
        let case = Case::new(&script, &single(&payload), date(2026, 3, 1));
        assert_eq!(case.refused_by(), None, "{n}");
        assert_eq!(
            case.evaluated.unwrap()[0].value,
            OutputValue::String("x".into())
        );
    }
}

#[test]
fn values_of_every_length() {
    let script = r#"[{"output": {"v": {"dvar": "v"}}}]"#;
    for n in [0, 1, 30, 31, 32, 61, 62, 63, 92, 93, 94, 123, 124] {
        // A long string before it leaves its limbs behind.
        let payload = format!(
            r#"{{"x":"{}","v":"{}","_v_zkpass_public_":true}}"#,
            "x".repeat(120),
            "w".repeat(n)
        );
        let case = Case::new(script, &single(&payload), date(2026, 3, 1));
        assert_eq!(case.refused_by(), None, "{n}");
        assert!(case.evaluated.is_ok());
    }
    // One byte more: refused before proving, and unsatisfiable.
    let payload = format!(r#"{{"v":"{}","_v_zkpass_public_":true}}"#, "w".repeat(125));
    let case = Case::new(script, &single(&payload), date(2026, 3, 1));
    assert_eq!(
        case.evaluated.as_ref().unwrap_err().code().as_str(),
        "ValueTooLong"
    );
    assert!(case.refused_by().is_some());
}
