//! The leakage report.

use zkpass_query::{Revealed, compile, leakage};

const LOAN: &str = r#"[
    {"assign":{"adult":{">=":[{"get_age":[{"dvar":"dob"},"DD/MM/YYYY"]},21]}}},
    {"output":{"title":"Loan"}},
    {"if":{"condition":{"and":[{"lvar":"adult"},{">":[{"dvar":"income"},1000]}]},
        "then":[{"output":{"eligible":true}},{"output":{"name":{"dvar":"name"}}}],
        "else":[{"output":{"eligible":false}},
                {"output":{"age":{"get_age":[{"dvar":"dob"},"DD/MM/YYYY"]}}}]}},
    {"output":{"married":{"==":[{"dvar":"married"},true]}}}
]"#;

#[test]
fn tells_every_output_in_every_branch() {
    let report = leakage(&compile(LOAN, &[""]).unwrap());
    let names: Vec<_> = report.outputs.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["title", "eligible", "name", "age", "married"]);

    let eligible = &report.outputs[1];
    assert_eq!(eligible.branches.len(), 2);
    assert_eq!(eligible.branches[0].reveals, [Revealed::Constant]);
    assert_eq!(eligible.branches[0].decided_by, ["dob", "income"]);
    assert!(eligible.branches[0].conditions[0].holds);
    assert!(!eligible.branches[1].conditions[0].holds);
    assert_eq!(
        eligible.branches[1].conditions[0].pointer,
        "/2/if/condition"
    );

    let name = &report.outputs[2].branches[0];
    assert_eq!(name.needs_public, ["name"]);
    assert_eq!(name.decided_by, ["dob", "income", "name"]);
    let age = &report.outputs[3].branches[0];
    assert_eq!(
        (age.reveals.as_slice(), age.worst_case_bits),
        (&[Revealed::Age][..], 14)
    );

    // The branch, the larger of its two sides, and one answer.
    assert_eq!(report.worst_case_bits, 1 + (8 * 124 + 1) + 1);
    assert!(report.pinned.is_empty());
}

#[test]
fn is_readable_and_serialisable() {
    let report = leakage(&compile(LOAN, &[""]).unwrap());
    let expected = "\
output `title`: a constant
output `eligible`: a constant; decided by `dob`, `income`
  if /2/if/condition is true
output `eligible`: a constant; decided by `dob`, `income`
  if /2/if/condition is false
output `name`: a value as it stands in the data (at most 993 bits); decided by `dob`, `income`, `name`; the issuer must allow `name`
  if /2/if/condition is true
output `age`: an age in years (at most 14 bits); decided by `dob`, `income`; the issuer must allow `dob`
  if /2/if/condition is false
output `married`: an answer, true or false (1 bit); decided by `married`
in total: at most 995 bits
besides, a proof shows that every field it had to read is there and well-formed
";
    assert_eq!(report.to_string(), expected);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["outputs"][4]["branches"][0]["reveals"][0], "answer");
}

#[test]
fn follows_locals_through_branches() {
    let script = r#"[
        {"if":{"condition":{"dvar":"vip"},
            "then":[{"assign":{"rate":{"dvar":"special"}}}],
            "else":[{"assign":{"rate":5}}]}},
        {"output":{"rate":{"lvar":"rate"}}}
    ]"#;
    let report = leakage(&compile(script, &[""]).unwrap());
    let branch = &report.outputs[0].branches[0];
    assert_eq!(branch.reveals, [Revealed::Constant, Revealed::Value]);
    assert_eq!(branch.decided_by, ["vip", "special"]);
    assert_eq!(branch.needs_public, ["special"]);
    assert_eq!(branch.worst_case_bits, 8 * 124 + 1 + 1);
}

#[test]
fn constants_reveal_nothing() {
    let script = r#"[
        {"if":{"condition":{"<":[1,2]},"then":[{"output":{"a":1}}],"else":[{"output":{"a":2}}]}},
        {"output":{"age":{"get_age":["1/1/2000","DD/MM/YYYY"]}}}
    ]"#;
    let report = leakage(&compile(script, &[""]).unwrap());
    assert_eq!(report.worst_case_bits, 0);
}

/// Pinned values of a script whose outputs are these expressions.
fn pinned(expressions: &[&str]) -> Vec<(String, Vec<String>)> {
    let outputs: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(index, expression)| format!(r#"{{"output":{{"r{index}":{expression}}}}}"#))
        .collect();
    pinned_in(&format!("[{}]", outputs.join(",")))
}

fn pinned_in(script: &str) -> Vec<(String, Vec<String>)> {
    let report = leakage(&compile(script, &[""]).expect(script));
    let pinned = report.pinned.into_iter();
    pinned.map(|pin| (pin.quantity, pin.values)).collect()
}

#[test]
fn warns_of_pinned_integers() {
    let pin = |quantity: &str, values: &[&str]| {
        let values = values.iter().map(ToString::to_string).collect();
        vec![(quantity.to_owned(), values)]
    };
    let score = |values: &[&str]| pin("`s`", values);
    for (outputs, expected) in [
        (vec![r#"{">=":[{"dvar":"s"},10]}"#], vec![]),
        (
            vec![r#"{">=":[{"dvar":"s"},10]}"#, r#"{">=":[{"dvar":"s"},12]}"#],
            vec![],
        ),
        (
            vec![r#"{">=":[{"dvar":"s"},10]}"#, r#"{">":[{"dvar":"s"},10]}"#],
            score(&["10"]),
        ),
        (
            vec![r#"{">=":[{"dvar":"s"},10]}"#, r#"{">":[10,{"dvar":"s"}]}"#],
            vec![],
        ),
        (
            vec![
                r#"{"<":[9,{"dvar":"s"}]}"#,
                r#"{"between":[{"dvar":"s"},0,10]}"#,
            ],
            score(&["10"]),
        ),
        (vec![r#"{"==":[{"dvar":"s"},3]}"#], score(&["3"])),
        (vec![r#"{"!=":[3,{"dvar":"s"}]}"#], score(&["3"])),
        (vec![r#"{"in":[{"dvar":"s"},[3,5]]}"#], vec![]),
        (
            vec![
                r#"{"in":[{"dvar":"s"},[3,5]]}"#,
                r#"{"<":[{"dvar":"s"},4]}"#,
            ],
            score(&["3", "5"]),
        ),
        // One answer that is true for one value only.
        (
            vec![r#"{"and":[{">=":[{"dvar":"s"},10]},{"<=":[{"dvar":"s"},10]}]}"#],
            score(&["10"]),
        ),
        // It does not tell 3 from 5.
        (
            vec![r#"{"or":[{"==":[{"dvar":"s"},3]},{"==":[{"dvar":"s"},5]}]}"#],
            vec![],
        ),
        // Another condition may hide or show it.
        (
            vec![r#"{"and":[{"dvar":"b"},{"not":{"==":[{"dvar":"s"},3]}}]}"#],
            score(&["3"]),
        ),
        (
            vec![r#"{"==":[false,{"==":[{"dvar":"s"},3]}]}"#],
            score(&["3"]),
        ),
        (
            vec![r#"{">=":[{"dvar":"s"},9223372036854775807]}"#],
            score(&["9223372036854775807"]),
        ),
        (vec![r#"{"==":[{"dvar":"s"},"x"]}"#], vec![]),
        (vec![r#"{"<":[{"dvar":"s"},{"dvar":"t"}]}"#], vec![]),
        (
            vec![r#"{">":[{"get_age":[{"dvar":"d"},"DD/MM/YYYY"]},0]}"#],
            pin("the age in years from `d`", &["0"]),
        ),
        (
            vec![r#"{"==":[{"get_day_diff":[{"dvar":"d"},"DD/MM/YYYY"]},-5]}"#],
            pin("the days since `d`", &["-5"]),
        ),
        (
            vec![
                r#"{"after":[{"dvar":"d"},"DD/MM/YYYY","31/12/1999"]}"#,
                r#"{"before":[{"dvar":"d"},"DD/MM/YYYY","02/01/2000"]}"#,
            ],
            pin("the date `d`", &["2000-01-01"]),
        ),
    ] {
        assert_eq!(pinned(&outputs), expected, "{outputs:?}");
    }
}

#[test]
fn warns_through_locals_and_branches() {
    let through_local = r#"[
        {"assign":{"age":{"get_age":[{"dvar":"d"},"DD/MM/YYYY"]}}},
        {"assign":{"adult":{">=":[{"lvar":"age"},18]}}},
        {"output":{"adult":{"lvar":"adult"}}},
        {"output":{"older":{">":[{"lvar":"age"},18]}}}
    ]"#;
    let expected = [(
        "the age in years from `d`".to_owned(),
        vec!["18".to_owned()],
    )];
    assert_eq!(pinned_in(through_local), expected);

    let through_branch = r#"[
        {"if":{"condition":{"<":[{"dvar":"s"},3]},
            "then":[{"output":{"t":1}}],
            "else":[{"if":{"condition":{">":[{"dvar":"s"},3]},
                "then":[{"output":{"t":2}}],"else":[{"output":{"t":3}}]}}]}}
    ]"#;
    let expected = [("`s`".to_owned(), vec!["3".to_owned()])];
    assert_eq!(pinned_in(through_branch), expected);

    // What is never shown pins nothing.
    let unused = r#"[{"assign":{"x":{"==":[{"dvar":"s"},3]}}}]"#;
    assert!(pinned_in(unused).is_empty());
}

#[test]
fn a_long_chain_of_locals_is_no_work() {
    let mut script = String::from(r#"[{"assign":{"x0":{"==":[{"dvar":"s"},3]}}}"#);
    for index in 1..60 {
        let before = index - 1;
        script.push_str(&format!(
            r#",{{"assign":{{"x{index}":{{"and":[{{"lvar":"x{before}"}},{{"lvar":"x{before}"}}]}}}}}}"#
        ));
    }
    script.push_str(r#",{"output":{"r":{"lvar":"x59"}}}]"#);
    assert_eq!(pinned_in(&script).len(), 1);
}
