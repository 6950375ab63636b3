//! Evaluator, witness and circuit agree on generated programs and documents:
//! where the evaluator answers, the circuit is satisfied by that answer and no
//! other; where it refuses, no answer satisfies the circuit.

use super::{Case, Document, date};
use crate::builder::Builder;
use crate::core::captured;
use crate::field::{F, from_i64};
use crate::gadgets::date::AsOf;
use crate::query;
use crate::step::{alloc_shared, shared_lcs};
use crate::testing::Checker;
use proptest::prelude::*;
use std::sync::Arc;
use zkpass_core::code::Code;
use zkpass_core::user_data::Profile;

#[path = "../../../zkpass-query/tests/generator/mod.rs"]
mod generator;

/// The outputs that the query circuit computes from the captured tokens.
fn computed_outputs(case: &Case) -> Vec<F> {
    let mut cs = Checker::new();
    let shared = alloc_shared(&mut cs, &case.plan, &case.witness.shared).unwrap();
    let mut b = Builder::new(&mut cs);
    let shared = shared_lcs(&b, &shared);
    let captured = captured(&mut b, &case.plan, &shared);
    let as_of = case.statement.as_of;
    let as_of = AsOf {
        year: b.int(u64::from(as_of.year())),
        month: b.int(u64::from(as_of.month())),
        day: b.int(u64::from(as_of.day())),
        day_number: b.constant(from_i64(as_of.day_number())),
    };
    let needs = &case.witness.core.needs;
    let (outputs, _) = query::compile(
        &mut b,
        &case.plan,
        &case.program,
        &captured,
        &as_of,
        Some(needs),
    );
    outputs.iter().map(crate::builder::Lc::value).collect()
}

fn check(script: &str, bank: &str, clinic: &str, whole: bool) -> Result<bool, TestCaseError> {
    let documents = [("bank", bank), ("clinic", clinic)].map(|(tag, payload)| Document {
        tag,
        profile: Profile::Jwt,
        payload,
        kid: None,
    });
    let case = Case::new(script, &documents, date(2026, 3, 1));
    let outputs = computed_outputs(&case);
    let mut core = case.core();
    let at = core.public.len() - outputs.len();
    let claimed = core.public[at..].to_vec();
    let mut public = core.public.to_vec();
    public[at..].copy_from_slice(&outputs);
    core.public = Arc::new(public);
    let satisfied = case.satisfied_core(&core);
    match &case.evaluated {
        Ok(_) => {
            prop_assert_eq!(claimed, outputs, "other outputs: {}", script);
            prop_assert!(satisfied, "refused: {}", script);
            if whole {
                prop_assert_eq!(case.refused_by(), None);
            }
        }
        // The circuit knows names as they are written (see the threat model).
        Err(e) if e.code() == Code::EscapedKey => {}
        Err(e) => prop_assert!(!satisfied, "accepted despite {:?}: {}", e, script),
    }
    Ok(case.evaluated.is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn evaluator_and_circuit_agree(
        script in proptest::collection::vec(any::<u8>(), 0..160),
        bank in proptest::collection::vec(any::<u8>(), 0..80),
        clinic in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let script = generator::script(&script).to_string();
        check(&script, &generator::document(&bank), &generator::document(&clinic), false)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn and_so_do_the_steps(
        script in proptest::collection::vec(any::<u8>(), 0..160),
        bank in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let script = generator::script(&script).to_string();
        check(&script, &generator::document(&bank), "{}", true)?;
    }
}

/// One expression over one document, and what the evaluator makes of it.
fn single(expression: &str, data: &str) -> (Result<String, Code>, bool) {
    let script = format!(r#"[{{"output":{{"r":{expression}}}}}]"#);
    let case = Case::new(&script, &super::single(data), date(2024, 2, 29));
    let outputs = computed_outputs(&case);
    let mut core = case.core();
    let at = core.public.len() - outputs.len();
    let mut public = core.public.to_vec();
    public[at..].copy_from_slice(&outputs);
    let agrees = core.public[at..] == outputs;
    core.public = Arc::new(public);
    let satisfied = case.satisfied_core(&core);
    let result = match &case.evaluated {
        Ok(o) => {
            assert!(agrees, "{expression} {data}");
            Ok(zkpass_core::statement::output_json(o)["r"].to_string())
        }
        Err(e) => Err(e.code()),
    };
    (result, satisfied)
}

#[test]
fn edges_of_every_operator() {
    let flagged = |v: &str| format!(r#"{{"v":{v},"_v_zkpass_public_":true,"w":"abc"}}"#);
    let long = format!("\"{}\"", "ab".repeat(62));
    let cases: Vec<(&str, &str, &str)> = vec![
        // Integers.
        (
            r#"{"dvar":"v"}"#,
            "9223372036854775807",
            "9223372036854775807",
        ),
        (
            r#"{"dvar":"v"}"#,
            "-9223372036854775808",
            "-9223372036854775808",
        ),
        (r#"{"dvar":"v"}"#, "9223372036854775808", "NotAnInteger"),
        (r#"{"dvar":"v"}"#, "-9223372036854775809", "NotAnInteger"),
        (r#"{"dvar":"v"}"#, "0", "0"),
        (r#"{"dvar":"v"}"#, "-0", "NotAnInteger"),
        (r#"{"dvar":"v"}"#, "1.0", "NotAnInteger"),
        (r#"{"dvar":"v"}"#, "1e3", "NotAnInteger"),
        (r#"{"dvar":"v"}"#, "null", "MissingField"),
        (r#"{"dvar":"v"}"#, "[7]", "WrongType"),
        (r#"{"dvar":"v"}"#, r#"{"x":7}"#, "WrongType"),
        (r#"{"dvar":"v"}"#, "true", "true"),
        (
            r#"{"<":[{"dvar":"v"},-9223372036854775808]}"#,
            "-9223372036854775808",
            "false",
        ),
        (
            r#"{"<=":[-9223372036854775808,{"dvar":"v"}]}"#,
            "9223372036854775807",
            "true",
        ),
        (r#"{">":[{"dvar":"v"},-1]}"#, "-1", "false"),
        (r#"{"between":[{"dvar":"v"},5,5]}"#, "5", "true"),
        (r#"{"between":[{"dvar":"v"},6,5]}"#, "5", "false"),
        (r#"{"in":[{"dvar":"v"},[1,2,3]]}"#, "4", "false"),
        (r#"{"==":[{"dvar":"v"},1]}"#, "\"1\"", "WrongType"),
        // Strings.
        (r#"{"==":[{"dvar":"v"},"Ab"]}"#, "\"ab\"", "false"),
        (r#"{"~==":[{"dvar":"v"},"Ab1_"]}"#, "\"aB1_\"", "true"),
        (r#"{"~==":[{"dvar":"v"},"[@`{"]}"#, "\"{`@[\"", "false"),
        (
            r#"{"~==":[{"dvar":"v"},"k"]}"#,
            "\"\u{212a}\"",
            "UnsupportedCaseFold",
        ),
        (r#"{"~==":[{"dvar":"v"},{"dvar":"w"}]}"#, "\"ABC\"", "true"),
        (r#"{"~==":[{"dvar":"v"},{"dvar":"w"}]}"#, "\"AB[\"", "false"),
        (r#"{"==":[{"dvar":"v"},{"dvar":"w"}]}"#, "\"abc\"", "true"),
        (r#"{"==":[{"dvar":"v"},{"dvar":"w"}]}"#, "3", "WrongType"),
        (r#"{"contains":[{"dvar":"v"},"ba"]}"#, &long, "true"),
        (r#"{"contains":[{"dvar":"v"},"bb"]}"#, &long, "false"),
        (r#"{"contains":[{"dvar":"v"},""]}"#, "\"\"", "true"),
        (r#"{"!contains":[{"dvar":"v"},"x"]}"#, "\"\"", "true"),
        (
            r#"{"~contains":[{"dvar":"v"},"LIN"]}"#,
            "\"Berlin\"",
            "true",
        ),
        (
            r#"{"starts_with":[{"dvar":"v"},"Ber"]}"#,
            "\"Berlin\"",
            "true",
        ),
        (
            r#"{"starts_with":[{"dvar":"v"},"Berlins"]}"#,
            "\"Berlin\"",
            "false",
        ),
        (
            r#"{"ends_with":[{"dvar":"v"},"lin"]}"#,
            "\"Berlin\"",
            "true",
        ),
        (
            r#"{"ends_with":[{"dvar":"v"},"erli"]}"#,
            "\"Berlin\"",
            "false",
        ),
        (r#"{"ends_with":[{"dvar":"v"},"b"]}"#, &long, "true"),
        (r#"{"~ends_with":[{"dvar":"v"},"AB"]}"#, &long, "true"),
        (r#"{"==":[{"dvar":"v"},"x"]}"#, r#""a\"b""#, "EscapedValue"),
        (r#"{"dvar":"v"}"#, r#""\\""#, "EscapedValue"),
        // Dates, at 2024-02-29.
        (
            r#"{"get_age":[{"dvar":"v"},"DD/MM/YYYY"]}"#,
            "\"29/02/2000\"",
            "24",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"DD/MM/YYYY"]}"#,
            "\"1.3.2000\"",
            "23",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"MM/DD/YYYY"]}"#,
            "\"2-29-2024\"",
            "0",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"2024-03-01\"",
            "DateInFuture",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"2023-02-29\"",
            "InvalidDate",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"1900-02-29\"",
            "InvalidDate",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"0000-01-01\"",
            "InvalidDate",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"2000-13-01\"",
            "InvalidDate",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"2000-04-31\"",
            "InvalidDate",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"2000-04-00\"",
            "InvalidDate",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"2000-04/01\"",
            "InvalidDate",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"200-04-01\"",
            "InvalidDate",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"DD/MM/YYYY"]}"#,
            "\"001/02/2000\"",
            "InvalidDate",
        ),
        (
            r#"{"get_age":[{"dvar":"v"},"DD/MM/YYYY"]}"#,
            "20000101",
            "WrongType",
        ),
        (
            r#"{"get_day_diff":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"0001-01-01\"",
            "738944",
        ),
        (
            r#"{"get_day_diff":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"9999-12-31\"",
            "-2913114",
        ),
        (
            r#"{"get_day_diff":[{"dvar":"v"},"YYYY-MM-DD"]}"#,
            "\"2000-03-01\"",
            "8765",
        ),
        (
            r#"{"before":[{"dvar":"v"},"YYYY-MM-DD","2024-02-29"]}"#,
            "\"2024-02-28\"",
            "true",
        ),
        (
            r#"{"after":[{"dvar":"v"},"YYYY-MM-DD","2024-02-29"]}"#,
            "\"2024-02-29\"",
            "false",
        ),
        // Conditions.
        (
            r#"{"and":[{"exists":{"dvar":"v"}},{"==":[{"dvar":"v"},1]}]}"#,
            "null",
            "false",
        ),
        (
            r#"{"or":[{"not":{"exists":{"dvar":"v"}}},{"==":[{"dvar":"v"},1]}]}"#,
            "1",
            "true",
        ),
        (r#"{"and":[]}"#, "1", "true"),
        (r#"{"or":[]}"#, "1", "false"),
    ];
    for (expression, value, expected) in cases {
        let data = flagged(value);
        let (result, satisfied) = single(expression, &data);
        let text = result.clone().unwrap_or_else(|c| c.as_str().to_owned());
        assert_eq!(text, expected, "{expression} {value}");
        assert_eq!(result.is_ok(), satisfied, "{expression} {value}");
    }
}
