//! The conformance vectors, as one table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zkpass_core::date::Date;
use zkpass_core::json::{self, Value};
use zkpass_core::statement::OutputValue;
use zkpass_query::{Documents, compile, evaluate};

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Outcome {
    Output {
        output: serde_json::Value,
    },
    Error {
        error: String,
        /// Absent in the vectors.
        pointer: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    rule: String,
    reason: String,
    expected: Outcome,
}

#[derive(Deserialize)]
struct Expectation {
    expected: Outcome,
}

#[test]
fn every_vector_passes_or_deviates_by_a_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let deviations = std::fs::read_to_string(folder.join("deviations.json")).unwrap();
    let mut deviations: BTreeMap<String, Deviation> = serde_json::from_str(&deviations).unwrap();
    let vectors = vectors(&folder.join("conformance"));
    assert_eq!(vectors.len(), 188);

    let mut failures = Vec::new();
    for vector in vectors {
        let name = vector.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&vector).unwrap();
        let wanted = serde_json::from_str::<Expectation>(&text).unwrap().expected;
        let found = run(&text);
        match deviations.remove(&name) {
            None if found == wanted => {}
            None => failures.push(format!("{name}: wanted {wanted:?}, found {found:?}")),
            Some(_) if found == wanted => failures.push(format!("{name}: needs no deviation")),
            Some(deviation) => {
                check_rule(&name, &deviation);
                if found != deviation.expected {
                    let ours = deviation.expected;
                    failures.push(format!("{name}: we want {ours:?}, found {found:?}"));
                }
            }
        }
    }
    failures.extend(
        deviations
            .keys()
            .map(|name| format!("{name}: no such vector")),
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check_rule(name: &str, deviation: &Deviation) {
    let number: u8 = deviation.rule.strip_prefix('D').unwrap().parse().unwrap();
    assert!((1..=12).contains(&number), "{name}: {}", deviation.rule);
    assert!(
        !deviation.reason.is_empty() && !deviation.reason.contains('\n'),
        "{name}: the reason is one line"
    );
}

fn vectors(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut vectors: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    vectors.sort();
    vectors
}

fn run(vector: &str) -> Outcome {
    let vector = json::parse(vector).unwrap();
    let Value::Object(user_data) = vector.get("user_data").unwrap() else {
        panic!("`user_data` is no object");
    };
    let documents: Documents = user_data
        .iter()
        .map(|(tag, data)| (tag.decode().into_owned(), data))
        .collect();
    let tags: Vec<&str> = documents.keys().map(String::as_str).collect();
    let as_of = match vector.get("as_of") {
        Some(Value::String(text)) => Date::parse_iso(text.raw()).unwrap(),
        _ => Date::new(2025, 2, 13).unwrap(),
    };
    let script = vector.get("query").unwrap().to_compact();
    let program = match compile(&script, &tags) {
        Ok(program) => program,
        Err(error) => return refusal(error.code(), error.pointer()),
    };
    match evaluate(&program, &documents, as_of) {
        Ok(outputs) => Outcome::Output {
            output: outputs
                .into_iter()
                .map(|entry| (entry.name, output_json(entry.value)))
                .collect(),
        },
        Err(error) => refusal(error.code(), error.pointer()),
    }
}

fn refusal(code: zkpass_core::code::Code, pointer: &str) -> Outcome {
    Outcome::Error {
        error: code.as_str().to_owned(),
        pointer: Some(pointer.to_owned()),
    }
}

fn output_json(value: OutputValue) -> serde_json::Value {
    match value {
        OutputValue::Integer(integer) => integer.into(),
        OutputValue::String(text) => text.into(),
        OutputValue::Boolean(boolean) => boolean.into(),
    }
}
