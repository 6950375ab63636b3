//! JSON texts and query scripts.

use std::collections::BTreeMap;

use zkpass_core::date::Date;
use zkpass_core::json;
use zkpass_query::{compile, evaluate, leakage};

use super::text;
use crate::Target;

pub const JSON: Target = Target {
    name: "json",
    seeds: || documents().into_iter().map(Vec::from).collect(),
    run: run_json,
    runs: 5_000,
};

pub const QUERY: Target = Target {
    name: "query",
    seeds: || scripts().into_iter().map(Vec::from).collect(),
    run: run_query,
    runs: 5_000,
};

const BANK: &str = include_str!("../../../examples/insurance/bank.json");
const HOSPITAL: &str = include_str!("../../../examples/insurance/hospital.json");
const LOAN: &str = include_str!("../../../examples/bank-loan/data.json");
const PERSON: &str = include_str!("../../../examples/age-check-jwt/data.json");

fn documents() -> [&'static str; 6] {
    [
        BANK,
        HOSPITAL,
        LOAN,
        PERSON,
        r#"{"a":[-1.5e+3,0,{"\ud83d\ude00\u0000":null}],"":"\"\\\/\b\f\n\r\t"}"#,
        " [[[[]]]] ",
    ]
}

fn scripts() -> [&'static str; 5] {
    [
        include_str!("../../../examples/bank-loan/query.json"),
        include_str!("../../../examples/age-check-jwt/query.json"),
        include_str!("../../../examples/insurance/query.json"),
        include_str!("../../../examples/employment-screening/query.json"),
        r#"[{"assign":{"x":{"dvar":"a"}}},{"if":{"condition":{"exists":{"dvar":"b"}},"then":[
            {"output":{"o":{"or":[{"~in":[{"lvar":"x"},["p","Q"]]},{"~ends_with":[{"dvar":"c"},"z"]}]}}}],"else":[
            {"output":{"o":{"before":[{"dvar":"d"},"MM/DD/YYYY","02/29/2024"]}}}]}}]"#,
    ]
}

/// What is accepted has one compact form, which means the same, and other
/// readers accept it too.
fn run_json(input: &[u8]) -> bool {
    let Some(text) = text(input) else {
        return false;
    };
    let Ok(value) = json::parse(text) else {
        return false;
    };
    let compact = value.to_compact();
    assert!(json::parse(&compact).as_ref() == Ok(&value));
    assert_eq!(
        json::parse(&compact).map(|value| value.to_compact()),
        Ok(compact)
    );
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    true
}

/// An accepted query has a leakage report, and evaluation reports only
/// declared outputs, in their order.
fn run_query(input: &[u8]) -> bool {
    let Some(script) = text(input) else {
        return false;
    };
    let sets: [&[(&str, &str)]; 3] = [
        &[("", LOAN)],
        &[("", PERSON)],
        &[("bank", BANK), ("hospital", HOSPITAL)],
    ];
    let mut accepted = false;
    for set in sets {
        let tags: Vec<_> = set.iter().map(|(tag, _)| *tag).collect();
        let Ok(program) = compile(script, &tags) else {
            continue;
        };
        accepted = true;
        assert!(compile(script, &tags).as_ref() == Ok(&program));
        assert!(!leakage(&program).to_string().is_empty());

        let values: Vec<_> = set
            .iter()
            .filter_map(|(tag, text)| Some((tag.to_string(), json::parse(text).ok()?)))
            .collect();
        let documents: BTreeMap<_, _> = values
            .iter()
            .map(|(tag, value)| (tag.clone(), value))
            .collect();
        if let Ok(output) = evaluate(&program, &documents, as_of()) {
            let mut declared = program.outputs.iter();
            for entry in output {
                assert!(declared.any(|name| *name == entry.name));
            }
        }
    }
    accepted
}

pub fn as_of() -> Date {
    Date::parse_iso("2026-06-01").expect("a date")
}
