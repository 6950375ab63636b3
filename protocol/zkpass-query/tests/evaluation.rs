//! What queries answer, and every way in which documents can be refused.

use zkpass_core::code::Code;
use zkpass_core::date::Date;
use zkpass_core::json;
use zkpass_core::statement::OutputValue;
use zkpass_query::{Documents, EvalError, compile, evaluate};

fn run(script: &str, documents: &[(&str, &str)]) -> Result<Vec<(String, String)>, EvalError> {
    run_at(script, documents, "2025-02-13")
}

fn run_at(
    script: &str,
    documents: &[(&str, &str)],
    as_of: &str,
) -> Result<Vec<(String, String)>, EvalError> {
    let tags: Vec<&str> = documents.iter().map(|(tag, _)| *tag).collect();
    let program = compile(script, &tags).expect(script);
    let values: Vec<_> = documents
        .iter()
        .map(|(_, text)| json::parse(text).unwrap())
        .collect();
    let documents: Documents = tags.iter().map(ToString::to_string).zip(&values).collect();
    let outputs = evaluate(&program, &documents, Date::parse_iso(as_of).unwrap())?;
    Ok(outputs
        .into_iter()
        .map(|entry| {
            let value = match entry.value {
                OutputValue::Integer(integer) => integer.to_string(),
                OutputValue::String(text) => format!("{text:?}"),
                OutputValue::Boolean(boolean) => boolean.to_string(),
            };
            (entry.name, value)
        })
        .collect())
}

fn output(expression: &str) -> String {
    format!(r#"[{{"output":{{"r":{expression}}}}}]"#)
}

/// The value of one expression.
fn value(expression: &str, document: &str) -> String {
    let outputs = run(&output(expression), &[("", document)]);
    outputs.expect(expression).remove(0).1
}

/// Code, pointer after `/0/output/r`, and path of the refusal.
fn refusal(expression: &str, document: &str) -> (Code, String, Option<String>) {
    let error = run(&output(expression), &[("", document)]).expect_err(expression);
    let pointer = error.pointer().strip_prefix("/0/output/r").unwrap();
    (
        error.code(),
        pointer.to_owned(),
        error.path().map(str::to_owned),
    )
}

const DOCUMENT: &str = r#"{
    "s": "Hello World", "i": 7, "b": true, "n": null, "o": {"k": 1}, "a": [1],
    "d": "13/02/2000", "iso": "2000-02-13", "u": "Émile", "f": 1.5, "e": 1e3, "z": -0,
    "big": 9007199254740993, "max": 9223372036854775807, "over": 9223372036854775808,
    "q": "a\"b", "uni": "\u0041"
}"#;

#[test]
fn answers() {
    for (expression, expected) in [
        (r#"{"not":{"dvar":"b"}}"#, "false"),
        (r#"{"and":[]}"#, "true"),
        (r#"{"or":[]}"#, "false"),
        (r#"{"==":[{"dvar":"big"},9007199254740992]}"#, "false"),
        (r#"{"==":[{"dvar":"big"},9007199254740993]}"#, "true"),
        (r#"{"<=":[{"dvar":"max"},9223372036854775807]}"#, "true"),
        (r#"{"==":[{"dvar":"i"},{"dvar":"max"}]}"#, "false"),
        (r#"{"==":[{"dvar":"u"},"Émile"]}"#, "true"),
        (r#"{"~==":[{"dvar":"s"},"hELLO wORLD"]}"#, "true"),
        (r#"{"~!=":[{"dvar":"s"},"hELLO wORLD"]}"#, "false"),
        (r#"{"contains":[{"dvar":"s"},"o W"]}"#, "true"),
        (r#"{"contains":[{"dvar":"s"},""]}"#, "true"),
        (r#"{"contains":[{"dvar":"s"},"world"]}"#, "false"),
        (r#"{"~contains":[{"dvar":"s"},"world"]}"#, "true"),
        (r#"{"!contains":[{"dvar":"s"},"world"]}"#, "true"),
        (r#"{"~!contains":[{"dvar":"s"},"world"]}"#, "false"),
        (r#"{"starts_with":[{"dvar":"s"},"Hello"]}"#, "true"),
        (r#"{"starts_with":[{"dvar":"s"},"World"]}"#, "false"),
        (r#"{"~starts_with":[{"dvar":"s"},"hello"]}"#, "true"),
        (r#"{"ends_with":[{"dvar":"s"},"World"]}"#, "true"),
        (r#"{"ends_with":[{"dvar":"s"},"world"]}"#, "false"),
        (r#"{"~ends_with":[{"dvar":"s"},"world"]}"#, "true"),
        (r#"{"in":[{"dvar":"i"},[1,7]]}"#, "true"),
        (r#"{"in":[{"dvar":"i"},[1,8]]}"#, "false"),
        (r#"{"in":[{"dvar":"b"},[false]]}"#, "false"),
        (r#"{"in":[{"dvar":"s"},["hello world"]]}"#, "false"),
        (r#"{"~in":[{"dvar":"s"},["x","hello world"]]}"#, "true"),
        (r#"{"between":[{"dvar":"i"},7,7]}"#, "true"),
        (r#"{"between":[{"dvar":"i"},8,6]}"#, "false"),
        (r#"{"between":[5,1,{"dvar":"i"}]}"#, "true"),
        (r#"{"exists":{"dvar":"s"}}"#, "true"),
        (r#"{"exists":{"dvar":"o"}}"#, "true"),
        (r#"{"exists":{"dvar":"o.k"}}"#, "true"),
        (r#"{"exists":{"dvar":"a"}}"#, "true"),
        (r#"{"exists":{"dvar":"f"}}"#, "true"),
        (r#"{"exists":{"dvar":"q"}}"#, "true"),
        (r#"{"exists":{"dvar":"n"}}"#, "false"),
        (r#"{"exists":{"dvar":"x"}}"#, "false"),
        (r#"{"exists":{"dvar":"s.x"}}"#, "false"),
        (r#"{"exists":{"dvar":"a.x"}}"#, "false"),
        (
            r#"{"before":[{"dvar":"d"},"DD/MM/YYYY","14/02/2000"]}"#,
            "true",
        ),
        (
            r#"{"before":[{"dvar":"d"},"DD/MM/YYYY","13/02/2000"]}"#,
            "false",
        ),
        (
            r#"{"after":[{"dvar":"d"},"DD/MM/YYYY","13/02/2000"]}"#,
            "false",
        ),
        (
            r#"{"after":[{"dvar":"iso"},"YYYY-MM-DD","2000-02-12"]}"#,
            "true",
        ),
        (
            r#"{">=":[{"get_age":[{"dvar":"iso"},"YYYY-MM-DD"]},25]}"#,
            "true",
        ),
        // Literals fold by Unicode, one character to one.
        (r#"{"~==":["ÉÀ","éà"]}"#, "true"),
        (r#"{"~contains":["aÉ","É"]}"#, "true"),
        (r#"{"~in":["Σ",["ς"]]}"#, "true"),
        (r#"{"~==":["straße","STRASSE"]}"#, "false"),
    ] {
        assert_eq!(value(expression, DOCUMENT), expected, "{expression}");
    }
}

#[test]
fn refusals() {
    use Code::{
        DateInFuture, EscapedValue, InvalidDate, MissingField, NotAnInteger, NotPublic,
        UnsupportedCaseFold, WrongType,
    };
    for (expression, code, pointer, path) in [
        (
            r#"{"==":[{"dvar":"x"},1]}"#,
            MissingField,
            "/==/0",
            Some("x"),
        ),
        (
            r#"{"==":[{"dvar":"n"},1]}"#,
            MissingField,
            "/==/0",
            Some("n"),
        ),
        (
            r#"{"==":[1,{"dvar":"o.x"}]}"#,
            MissingField,
            "/==/1",
            Some("o.x"),
        ),
        (
            r#"{"==":[{"dvar":"s.x"},1]}"#,
            MissingField,
            "/==/0",
            Some("s.x"),
        ),
        (
            r#"{"==":[{"dvar":"a.x"},1]}"#,
            MissingField,
            "/==/0",
            Some("a.x"),
        ),
        (r#"{"==":[{"dvar":"o"},1]}"#, WrongType, "/==/0", Some("o")),
        (r#"{"==":[{"dvar":"a"},1]}"#, WrongType, "/==/0", Some("a")),
        (r#"{"==":[{"dvar":"s"},1]}"#, WrongType, "/==/0", Some("s")),
        (
            r#"{"==":[{"dvar":"i"},"7"]}"#,
            WrongType,
            "/==/0",
            Some("i"),
        ),
        (r#"{"not":{"dvar":"i"}}"#, WrongType, "/not", Some("i")),
        (
            r#"{"<":[{"dvar":"i"},{"dvar":"s"}]}"#,
            WrongType,
            "/</1",
            Some("s"),
        ),
        (r#"{"==":[{"dvar":"i"},{"dvar":"s"}]}"#, WrongType, "", None),
        (
            r#"{"==":[{"dvar":"f"},1]}"#,
            NotAnInteger,
            "/==/0",
            Some("f"),
        ),
        (
            r#"{"==":[{"dvar":"e"},1]}"#,
            NotAnInteger,
            "/==/0",
            Some("e"),
        ),
        (
            r#"{"==":[{"dvar":"z"},0]}"#,
            NotAnInteger,
            "/==/0",
            Some("z"),
        ),
        (
            r#"{"==":[{"dvar":"over"},0]}"#,
            NotAnInteger,
            "/==/0",
            Some("over"),
        ),
        (
            r#"{"==":[{"dvar":"f"},{"dvar":"f"}]}"#,
            NotAnInteger,
            "/==/0",
            Some("f"),
        ),
        (
            r#"{"==":[{"dvar":"q"},"a"]}"#,
            EscapedValue,
            "/==/0",
            Some("q"),
        ),
        (
            r#"{"==":[{"dvar":"uni"},"A"]}"#,
            EscapedValue,
            "/==/0",
            Some("uni"),
        ),
        (
            r#"{"~==":[{"dvar":"u"},"a"]}"#,
            UnsupportedCaseFold,
            "/~0==/0",
            Some("u"),
        ),
        (
            r#"{"~contains":[{"dvar":"u"},"a"]}"#,
            UnsupportedCaseFold,
            "/~0contains/0",
            Some("u"),
        ),
        (
            r#"{"~in":[{"dvar":"u"},["a"]]}"#,
            UnsupportedCaseFold,
            "/~0in/0",
            Some("u"),
        ),
        (
            r#"{"before":[{"dvar":"s"},"DD/MM/YYYY","1/1/2000"]}"#,
            InvalidDate,
            "/before/0",
            Some("s"),
        ),
        (
            r#"{"==":[{"get_age":["30/02/2000","DD/MM/YYYY"]},1]}"#,
            InvalidDate,
            "/==/0/get_age/0",
            None,
        ),
        (
            r#"{"get_age":["14/02/2025","DD/MM/YYYY"]}"#,
            DateInFuture,
            "/get_age/0",
            None,
        ),
        (r#"{"dvar":"i"}"#, NotPublic, "", Some("i")),
        (r#"{"dvar":"b"}"#, NotPublic, "", Some("b")),
        (
            r#"{"get_age":[{"dvar":"d"},"DD/MM/YYYY"]}"#,
            NotPublic,
            "",
            Some("d"),
        ),
        (
            r#"{"get_day_diff":[{"dvar":"d"},"DD/MM/YYYY"]}"#,
            NotPublic,
            "",
            Some("d"),
        ),
    ] {
        let expected = (code, pointer.to_owned(), path.map(str::to_owned));
        assert_eq!(refusal(expression, DOCUMENT), expected, "{expression}");
    }
}

#[test]
fn long_strings() {
    let document = |length| format!(r#"{{"s":"{}"}}"#, "a".repeat(length));
    let read = r#"{"!=":[{"dvar":"s"},"a"]}"#;
    assert_eq!(value(read, &document(124)), "true");
    assert_eq!(refusal(read, &document(125)).0, Code::ValueTooLong);
    assert_eq!(value(r#"{"exists":{"dvar":"s"}}"#, &document(125)), "true");
}

#[test]
fn short_circuits() {
    for (expression, expected) in [
        (r#"{"and":[false,{"dvar":"x"}]}"#, "false"),
        (r#"{"or":[true,{"dvar":"x"}]}"#, "true"),
        (
            r#"{"or":[{"not":{"exists":{"dvar":"x"}}},{"==":[{"dvar":"x"},1]}]}"#,
            "true",
        ),
    ] {
        assert_eq!(value(expression, DOCUMENT), expected, "{expression}");
    }
    for expression in [
        r#"{"and":[{"dvar":"x"},false]}"#,
        r#"{"or":[{"dvar":"x"},true]}"#,
        // Only `and` and `or` stop early.
        r#"{"between":[5,6,{"dvar":"x"}]}"#,
        r#"{"==":[{"and":[false]},{"dvar":"x"}]}"#,
    ] {
        assert_eq!(
            refusal(expression, DOCUMENT).0,
            Code::MissingField,
            "{expression}"
        );
    }
    let untaken = r#"[{"if":{"condition":false,"then":[{"output":{"r":{"dvar":"x"}}}],
        "else":[{"output":{"t":1}}]}}]"#;
    assert_eq!(
        run(untaken, &[("", DOCUMENT)]).unwrap(),
        [("t".into(), "1".into())]
    );
    // An assignment is evaluated where it stands, used or not.
    let unused = r#"[{"assign":{"y":{"dvar":"x"}}}]"#;
    let error = run(unused, &[("", DOCUMENT)]).unwrap_err();
    assert_eq!(
        (error.code(), error.pointer()),
        (Code::MissingField, "/0/assign/y")
    );
}

#[test]
fn outputs_keep_the_order_of_the_script() {
    let script = r#"[{"if":{"condition":{"dvar":"b"},
        "then":[{"output":{"one":1}},{"output":{"two":2}}],
        "else":[{"output":{"two":2}},{"output":{"one":1}}]}}]"#;
    for document in [r#"{"b":true}"#, r#"{"b":false}"#] {
        let names: Vec<_> = run(script, &[("", document)]).unwrap();
        assert_eq!(
            names,
            [("one".into(), "1".into()), ("two".into(), "2".into())]
        );
    }
}

#[test]
fn public_flags() {
    let alias = r#"[{"assign":{"x":{"dvar":"p.v"}}},{"output":{"r":{"lvar":"x"}}}]"#;
    let public = |flag: &str| format!(r#"{{"p":{{"v":1,{flag}}},"_v_zkpass_public_":true}}"#);
    for script in [&output(r#"{"dvar":"p.v"}"#), alias] {
        let ok = run(script, &[("", &public(r#""_v_zkpass_public_":true"#))]);
        assert_eq!(ok.unwrap(), [("r".into(), "1".into())]);
        for flag in [
            r#""x":1"#,
            r#""_v_zkpass_public_":false"#,
            r#""_v_zkpass_public_":"true""#,
            r#""_v_zkpass_public_":1"#,
            r#""_v_zkpass_public_":null"#,
            r#""_V_zkpass_public_":true"#,
        ] {
            let error = run(script, &[("", &public(flag))]).unwrap_err();
            assert_eq!(
                (error.code(), error.path()),
                (Code::NotPublic, Some("p.v")),
                "{flag}"
            );
        }
        let escaped = public(r#""\u005fv_zkpass_public_":true"#);
        let error = run(script, &[("", &escaped)]).unwrap_err();
        assert_eq!(
            (error.code(), error.path()),
            (Code::EscapedKey, Some("p.v"))
        );
    }
    // Computed from a field through a local.
    let age = r#"[{"assign":{"x":{"get_age":[{"dvar":"d"},"DD/MM/YYYY"]}}},{"output":{"r":{"lvar":"x"}}}]"#;
    let error = run(age, &[("", DOCUMENT)]).unwrap_err();
    assert_eq!(error.code(), Code::NotPublic);
    // A local that holds the field in one branch only.
    let either = r#"[{"if":{"condition":{"dvar":"b"},
        "then":[{"assign":{"x":{"dvar":"v"}}}],"else":[{"assign":{"x":7}}]}},
        {"output":{"r":{"lvar":"x"}}}]"#;
    assert_eq!(
        run(either, &[("", r#"{"b":false,"v":1}"#)]).unwrap(),
        [("r".into(), "7".into())]
    );
    let error = run(either, &[("", r#"{"b":true,"v":1}"#)]).unwrap_err();
    assert_eq!(error.code(), Code::NotPublic);
    // An answer about it is no disclosure, nor is the value of a test of it.
    assert_eq!(value(r#"{"==":[{"dvar":"b"},true]}"#, DOCUMENT), "true");
}

#[test]
fn escaped_names() {
    let read = r#"{"==":[{"dvar":"a.b"},1]}"#;
    let escaped = r#"{"\u0061":{"b":1}}"#;
    let expected = (Code::EscapedKey, "/==/0".to_owned(), Some("a.b".to_owned()));
    assert_eq!(refusal(read, escaped), expected);
    assert_eq!(refusal(read, r#"{"a":{"\u0062":1}}"#), expected);
    assert_eq!(
        refusal(r#"{"exists":{"dvar":"a"}}"#, escaped).0,
        Code::EscapedKey
    );
    // Escapes in names that are not wanted do not matter.
    assert_eq!(value(read, r#"{"\u0063":1,"a":{"\n":1,"b":1}}"#), "true");
}

#[test]
fn ages() {
    for (date, as_of, expected) in [
        ("13/02/2000", "2025-02-13", "25"),
        ("14/02/2000", "2025-02-13", "24"),
        ("1.2.2000", "2025-02-13", "25"),
        ("29/02/2000", "2021-02-28", "20"),
        ("29/02/2000", "2021-03-01", "21"),
        ("29/02/2000", "2024-02-29", "24"),
        ("13/02/2025", "2025-02-13", "0"),
        ("1/1/0001", "9999-12-31", "9998"),
    ] {
        let script = output(r#"{"get_age":[{"dvar":"d"},"DD/MM/YYYY"]}"#);
        let document = format!(r#"{{"d":"{date}","_d_zkpass_public_":true}}"#);
        let outputs = run_at(&script, &[("", &document)], as_of).unwrap();
        assert_eq!(outputs, [("r".into(), expected.into())], "{date} {as_of}");
    }
    for (date, code) in [
        ("01/01/2030", Code::DateInFuture),
        ("14/02/2025", Code::DateInFuture),
        ("32/01/2000", Code::InvalidDate),
        ("13-2/2000", Code::InvalidDate),
        ("+1/02/2000", Code::InvalidDate),
    ] {
        let document = format!(r#"{{"d":"{date}"}}"#);
        let expression = r#"{"get_age":[{"dvar":"d"},"DD/MM/YYYY"]}"#;
        assert_eq!(refusal(expression, &document).0, code, "{date}");
    }
}

#[test]
fn day_differences() {
    for (date, as_of, expected) in [
        ("28/02/2024", "2024-03-01", "2"),
        ("01/02/2000", "2003-02-01", "1096"),
        ("01/05/2005", "2004-02-02", "-454"),
        ("02/02/2003", "2003-02-02", "0"),
        ("01/01/0001", "9999-12-31", "3652058"),
        ("31/12/9999", "0001-01-01", "-3652058"),
    ] {
        let script = output(r#"{"get_day_diff":[{"dvar":"d"},"DD/MM/YYYY"]}"#);
        let document = format!(r#"{{"d":"{date}","_d_zkpass_public_":true}}"#);
        let outputs = run_at(&script, &[("", &document)], as_of).unwrap();
        assert_eq!(outputs, [("r".into(), expected.into())], "{date} {as_of}");
    }
}

#[test]
fn several_documents() {
    let script = r#"[
        {"output":{"same":{"==":[{"dvar":"bank.id"},{"dvar":"hospital.id"}]}}},
        {"output":{"name":{"dvar":"bank.name"}}}
    ]"#;
    let bank = r#"{"id":"7","name":"Ada","_name_zkpass_public_":true}"#;
    let hospital = r#"{"id":"7","name":"Ada"}"#;
    let outputs = run(script, &[("bank", bank), ("hospital", hospital)]).unwrap();
    assert_eq!(
        outputs,
        [
            ("same".into(), "true".into()),
            ("name".into(), "\"Ada\"".into())
        ]
    );
    let error = run(script, &[("bank", hospital), ("hospital", bank)]).unwrap_err();
    assert_eq!(
        (error.code(), error.path()),
        (Code::NotPublic, Some("bank.name"))
    );
}

#[test]
fn errors_hold_no_values() {
    let document = r#"{"d":"SECRET","i":"SECRET"}"#;
    for expression in [
        r#"{"==":[{"dvar":"i"},1]}"#,
        r#"{"get_age":[{"dvar":"d"},"DD/MM/YYYY"]}"#,
        r#"{"dvar":"d"}"#,
    ] {
        let error = run(&output(expression), &[("", document)]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"));
    }
}
