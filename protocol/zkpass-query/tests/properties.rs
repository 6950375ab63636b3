//! Properties of random programs on random documents.

mod generator;

use std::collections::BTreeSet;

use generator::TAGS;
use proptest::collection::vec;
use proptest::prelude::*;
use zkpass_core::date::Date;
use zkpass_core::json;
use zkpass_core::statement::{OutputEntry, OutputValue};
use zkpass_query::ast::{Expr, ExprKind, Program, Statement, Type};
use zkpass_query::{Documents, EvalError, compile, evaluate, leakage, parse};

fn as_of() -> Date {
    Date::new(2025, 2, 13).unwrap()
}

fn program(bytes: &[u8]) -> Program {
    let script = generator::script(bytes).to_string();
    compile(&script, &TAGS).unwrap_or_else(|error| panic!("{} {error}: {script}", error.pointer()))
}

fn run(program: &Program, documents: &[String; 2]) -> Result<Vec<OutputEntry>, EvalError> {
    let roots = documents.each_ref().map(|text| json::parse(text).unwrap());
    let tags = TAGS.iter().map(ToString::to_string);
    let documents: Documents = tags.zip(&roots).collect();
    evaluate(program, &documents, as_of())
}

fn documents() -> impl Strategy<Value = [String; 2]> {
    [vec(any::<u8>(), 0..80), vec(any::<u8>(), 0..80)]
        .prop_map(|bytes| bytes.map(|bytes| generator::document(&bytes)))
}

fn programs() -> impl Strategy<Value = Program> {
    vec(any::<u8>(), 0..200).prop_map(|bytes| program(&bytes))
}

fn json_values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-z.\\[\\]_]{0,6}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let keys = prop_oneof![
        proptest::sample::select(vec![
            "i", "n", "s", "dvar", "lvar", "and", "or", "not", "==", "<", "~==", "contains", "in",
            "between", "exists", "get_age", "before", "count", "if", "then", "output", "assign",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    leaf.prop_recursive(6, 64, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            vec((keys.clone(), inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Puts `graft` in the place of the node with this number.
fn replace(value: &mut serde_json::Value, number: &mut usize, graft: &serde_json::Value) {
    if *number == 0 {
        *value = graft.clone();
    }
    *number = number.wrapping_sub(1);
    match value {
        serde_json::Value::Array(items) => {
            items
                .iter_mut()
                .for_each(|item| replace(item, number, graft));
        }
        serde_json::Value::Object(members) => {
            members
                .values_mut()
                .for_each(|item| replace(item, number, graft));
        }
        _ => {}
    }
}

/// The static types of an output, by its places.
fn output_types(statements: &[Statement], output: usize, types: &mut BTreeSet<Option<Type>>) {
    for statement in statements {
        match statement {
            Statement::Assign { .. } => {}
            Statement::Output { output: id, value } => {
                if *id == output {
                    types.insert(value.ty);
                }
            }
            Statement::If {
                then, otherwise, ..
            } => {
                output_types(then, output, types);
                output_types(otherwise, output, types);
            }
        }
    }
}

fn type_of(value: &OutputValue) -> Type {
    match value {
        OutputValue::Integer(_) => Type::Integer,
        OutputValue::String(_) => Type::String,
        OutputValue::Boolean(_) => Type::Boolean,
    }
}

fn check_invariants(expr: &Expr) {
    let dynamic = matches!(expr.kind, ExprKind::Field(_) | ExprKind::Local(_));
    assert!(expr.ty.is_some() || dynamic, "{}", expr.pointer);
    match &expr.kind {
        ExprKind::And(operands) | ExprKind::Or(operands) => {
            for operand in operands {
                assert_eq!(operand.ty, Some(Type::Boolean));
                check_invariants(operand);
            }
        }
        ExprKind::Not(operand) => check_invariants(operand),
        ExprKind::Compare {
            fold, left, right, ..
        } => {
            assert_eq!(left.ty, right.ty);
            assert!(!fold || left.ty == Some(Type::String));
            check_invariants(left);
            check_invariants(right);
        }
        _ => {}
    }
}

fn check_block(statements: &[Statement]) {
    for statement in statements {
        match statement {
            Statement::Assign { value, .. } | Statement::Output { value, .. } => {
                check_invariants(value);
            }
            Statement::If {
                condition,
                then,
                otherwise,
            } => {
                check_invariants(condition);
                check_block(then);
                check_block(otherwise);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn any_json_is_compiled_or_refused(value in json_values()) {
        let script = format!("[{value}]");
        let error = compile(&script, &[""]).err();
        if let Some(pointer) = error.as_ref().map(|error| error.pointer()) {
            let script: serde_json::Value = serde_json::from_str(&script).unwrap();
            // Nothing stands at the place of a member that is missing.
            prop_assert!(script.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn a_damaged_script_is_run_or_refused(
        bytes in vec(any::<u8>(), 0..200),
        place in 0..200usize,
        graft in json_values(),
        documents in documents(),
    ) {
        let mut script = generator::script(&bytes);
        replace(&mut script, &mut place.clone(), &graft);
        if let Ok(program) = compile(&script.to_string(), &TAGS) {
            let _ = run(&program, &documents);
            leakage(&program);
        }
    }

    #[test]
    fn any_document_is_answered_or_refused(
        program in programs(),
        documents in [json_values(), json_values()],
    ) {
        let _ = run(&program, &documents.map(|value| value.to_string()));
    }

    #[test]
    fn programs_keep_their_invariants(bytes in vec(any::<u8>(), 0..200)) {
        let first = program(&bytes);
        check_block(&first.body);
        prop_assert_eq!(&first, &program(&bytes));
        let distinct: BTreeSet<_> = first.fields.iter().collect();
        prop_assert_eq!(distinct.len(), first.fields.len());
    }

    #[test]
    fn outputs_are_those_of_the_program(program in programs(), documents in documents()) {
        let Ok(outputs) = run(&program, &documents) else {
            return Ok(());
        };
        prop_assert!(outputs == run(&program, &documents).unwrap());
        let mut names = program.outputs.iter();
        for entry in outputs {
            // In the program's order, each at most once.
            prop_assert!(names.any(|name| *name == entry.name));
            let output = program.outputs.iter().position(|name| *name == entry.name);
            let mut types = BTreeSet::new();
            output_types(&program.body, output.unwrap(), &mut types);
            let ty = type_of(&entry.value);
            prop_assert!(types.contains(&None) || types.contains(&Some(ty)));
        }
    }

    #[test]
    fn without_public_flags_no_value_gets_out(program in programs(), secret in 0..9i64) {
        // None of these values, nor anything computed from them, can come
        // from literals of the program.
        let integer = 7_000_000_000_000 + secret;
        let text = format!("secret{secret}");
        let date = format!("0{}/02/1000", secret + 1);
        let inner = format!(
            r#""i":{integer},"j":{integer},"s":"{text}","t":"{text}","b":true,"d":"{date}""#
        );
        let document = format!(r#"{{{inner},"n":{{{inner},"m":{{{inner}}}}}}}"#);
        let Ok(outputs) = run(&program, &[document.clone(), document]) else {
            return Ok(());
        };
        for entry in outputs {
            match entry.value {
                OutputValue::Integer(value) => {
                    let literal = [i64::MAX, i64::MIN].contains(&value);
                    let age = (900..1100).contains(&value);
                    prop_assert!(literal || !age && value.abs() < 100_000, "{}", entry.name);
                }
                OutputValue::String(value) => prop_assert!(!value.contains("secret")),
                OutputValue::Boolean(_) => {}
            }
        }
    }

    #[test]
    fn answers_reveal_no_more_than_reported(
        program in programs(),
        documents in vec(documents(), 40),
    ) {
        let report = leakage(&program);
        let _ = report.to_string();
        prop_assert_eq!(report.outputs.len(), program.outputs.len());
        let answers: BTreeSet<String> = documents
            .iter()
            .filter_map(|documents| run(&program, documents).ok())
            .map(|outputs| serde_json::to_string(&outputs).unwrap())
            .collect();
        let most = 1u128.checked_shl(report.worst_case_bits).unwrap_or(u128::MAX);
        prop_assert!(answers.len() as u128 <= most, "{} answers", answers.len());
    }
}

/// The properties above mean little if hardly any program has an answer.
#[test]
fn many_random_programs_have_an_answer() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut answered = 0;
    for _ in 0..400 {
        let case = (programs(), documents()).new_tree(&mut runner).unwrap();
        let (program, documents) = proptest::strategy::ValueTree::current(&case);
        if run(&program, &documents).is_ok_and(|outputs| !outputs.is_empty()) {
            answered += 1;
        }
    }
    assert!(answered >= 100, "{answered} of 400");
}
