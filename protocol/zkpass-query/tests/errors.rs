//! Every way a script can be refused, with its code and JSON pointer.

use zkpass_core::code::Code;
use zkpass_query::compile;

/// A script, and the code, pointer and path position of its refusal.
type Case<'a> = (&'a str, Code, &'a str, Option<usize>);

fn check(tags: &[&str], cases: &[Case]) {
    for (script, code, pointer, position) in cases {
        let error = compile(script, tags).expect_err(script);
        let found = (error.code(), error.pointer(), error.position());
        assert_eq!(found, (*code, *pointer, *position), "{script}: {error}");
        let message = error.to_string();
        assert!(!message.ends_with('.'), "{message}");
        assert!(!message.starts_with(char::is_uppercase), "{message}");
    }
}

#[test]
fn statements() {
    use Code::{BadOperand, NotAnArray, NotJson, UnknownStatement, WrongOperandCount};
    check(
        &[""],
        &[
            ("", NotJson, "", None),
            ("[", NotJson, "", None),
            ("[] []", NotJson, "", None),
            (
                r#"[{"output":{"r":1},"output":{"r":1}}]"#,
                NotJson,
                "",
                None,
            ),
            ("{}", NotAnArray, "", None),
            ("1", NotAnArray, "", None),
            ("[1]", UnknownStatement, "/0", None),
            (r#"["output"]"#, UnknownStatement, "/0", None),
            ("[{}]", UnknownStatement, "/0", None),
            (r#"[{"print":{"r":1}}]"#, UnknownStatement, "/0", None),
            (
                r#"[{"output":{"r":1}},{"output":{"a":1},"assign":{"x":1}}]"#,
                UnknownStatement,
                "/1",
                None,
            ),
            (r#"[{"output":1}]"#, BadOperand, "/0/output", None),
            (r#"[{"output":["r",1]}]"#, BadOperand, "/0/output", None),
            (r#"[{"output":{}}]"#, WrongOperandCount, "/0/output", None),
            (
                r#"[{"assign":{"a":1,"b":2}}]"#,
                WrongOperandCount,
                "/0/assign",
                None,
            ),
            (r#"[{"if":[]}]"#, BadOperand, "/0/if", None),
            (r#"[{"if":{}}]"#, WrongOperandCount, "/0/if", None),
            (
                r#"[{"if":{"condition":true}}]"#,
                WrongOperandCount,
                "/0/if",
                None,
            ),
            (r#"[{"if":{"then":[]}}]"#, WrongOperandCount, "/0/if", None),
            (
                r#"[{"if":{"condition":true,"then":[],"elif":[]}}]"#,
                BadOperand,
                "/0/if/elif",
                None,
            ),
            (
                r#"[{"if":{"condition":true,"then":{}}}]"#,
                NotAnArray,
                "/0/if/then",
                None,
            ),
            (
                r#"[{"if":{"condition":true,"then":[],"else":1}}]"#,
                NotAnArray,
                "/0/if/else",
                None,
            ),
            (
                r#"[{"if":{"condition":true,"then":[],"else":[7]}}]"#,
                UnknownStatement,
                "/0/if/else/0",
                None,
            ),
        ],
    );
}

#[test]
fn operators() {
    use Code::{BadOperand, NumberOutOfRange, UnknownOperator, WrongOperandCount};
    let cases = [
        (r#"{}"#, BadOperand, ""),
        (r#"{"and":[],"or":[]}"#, BadOperand, ""),
        ("null", BadOperand, ""),
        ("[1]", BadOperand, ""),
        (r#"{"xor":[true,false]}"#, UnknownOperator, "/xor"),
        (r#"{"a/b~":[]}"#, UnknownOperator, "/a~1b~0"),
        (
            r#"{"!starts_with":["a","a"]}"#,
            UnknownOperator,
            "/!starts_with",
        ),
        (r#"{"~<":[1,1]}"#, UnknownOperator, "/~0<"),
        (r#"{"lvar":1}"#, BadOperand, "/lvar"),
        (r#"{"dvar":["a"]}"#, BadOperand, "/dvar"),
        (r#"{"and":true}"#, BadOperand, "/and"),
        (r#"{"or":{"dvar":"a"}}"#, BadOperand, "/or"),
        (r#"{"or":[true,null]}"#, BadOperand, "/or/1"),
        (r#"{"not":[true]}"#, BadOperand, "/not"),
        (r#"{"==":{"dvar":"a"}}"#, BadOperand, "/=="),
        (r#"{"==":[]}"#, WrongOperandCount, "/=="),
        (r#"{"==":[1]}"#, WrongOperandCount, "/=="),
        (r#"{"==":[1,1,"or","or"]}"#, WrongOperandCount, "/=="),
        (r#"{"~==":["a","a","xor"]}"#, BadOperand, "/~0==/2"),
        (r#"{"==":[1,1,true]}"#, BadOperand, "/==/2"),
        (r#"{"contains":["a"]}"#, WrongOperandCount, "/contains"),
        (r#"{"contains":"a"}"#, BadOperand, "/contains"),
        (
            r#"{"contains":["a",{"dvar":"a"}]}"#,
            BadOperand,
            "/contains/1",
        ),
        (r#"{"~ends_with":["a",1]}"#, BadOperand, "/~0ends_with/1"),
        (r#"{"in":[1]}"#, WrongOperandCount, "/in"),
        (r#"{"in":[1,1]}"#, BadOperand, "/in/1"),
        (r#"{"in":[1,[]]}"#, BadOperand, "/in/1"),
        (r#"{"in":[1,[1,{"dvar":"a"}]]}"#, BadOperand, "/in/1/1"),
        (r#"{"between":[1,2]}"#, WrongOperandCount, "/between"),
        (r#"{"exists":"a"}"#, BadOperand, "/exists"),
        (r#"{"exists":{"lvar":"a"}}"#, BadOperand, "/exists"),
        (r#"{"exists":{"dvar":1}}"#, BadOperand, "/exists/dvar"),
        (r#"{"get_age":["1/1/2000"]}"#, WrongOperandCount, "/get_age"),
        (
            r#"{"get_age":["1/1/2000",{"dvar":"f"}]}"#,
            BadOperand,
            "/get_age/1",
        ),
        (
            r#"{"get_age":["1/1/2000","dd/mm/yyyy"]}"#,
            BadOperand,
            "/get_age/1",
        ),
        (
            r#"{"get_day_diff":["1/1/2000",1]}"#,
            BadOperand,
            "/get_day_diff/1",
        ),
        (
            r#"{"before":["1/1/2000","DD/MM/YYYY"]}"#,
            WrongOperandCount,
            "/before",
        ),
        (
            r#"{"before":["1/1/2000","DD/MM/YYYY","30/02/2000"]}"#,
            BadOperand,
            "/before/2",
        ),
        (
            r#"{"after":["1/1/2000","DD/MM/YYYY",{"dvar":"a"}]}"#,
            BadOperand,
            "/after/2",
        ),
        ("9223372036854775808", NumberOutOfRange, ""),
        ("-9223372036854775809", NumberOutOfRange, ""),
        ("1.5", NumberOutOfRange, ""),
        ("1e3", NumberOutOfRange, ""),
        ("-0", NumberOutOfRange, ""),
    ];
    for (expression, code, pointer) in cases {
        let script = format!(r#"[{{"output":{{"r":{expression}}}}}]"#);
        let pointer = format!("/0/output/r{pointer}");
        check(&[""], &[(&script, code, &pointer, None)]);
    }
}

#[test]
fn paths() {
    use Code::{BadPath, UnsupportedPath};
    let cases = [
        ("", BadPath, 0),
        ("_s_zkpass_public_", BadPath, 0),
        ("\\\"a\\\"", BadPath, 0),
        ("[0]", BadPath, 0),
        ("a..b", BadPath, 2),
        ("a.b.", BadPath, 4),
        ("a b", BadPath, 1),
        ("a[0]", UnsupportedPath, 1),
        ("a.b[]", UnsupportedPath, 3),
        ("a[*].b", UnsupportedPath, 1),
        ("a[?flag].b", UnsupportedPath, 1),
        ("a[?b == `1`]", UnsupportedPath, 1),
        ("length(items)", UnsupportedPath, 6),
    ];
    for (path, code, position) in cases {
        let script = format!(r#"[{{"output":{{"r":{{"==":[{{"dvar":"{path}"}},1]}}}}}}]"#);
        let pointer = "/0/output/r/==/0/dvar";
        check(&[""], &[(&script, code, pointer, Some(position))]);
    }
}

#[test]
fn arrays_are_not_supported_yet() {
    let cases = [
        (r#"{"count":{"dvar":"a"}}"#, "/count"),
        (r#"{"any":[{"dvar":"a"},{"==":[{"item":"b"},1]}]}"#, "/any"),
        (r#"{"all":[]}"#, "/all"),
        (r#"{"none":1}"#, "/none"),
        (r#"{"item":"a"}"#, "/item"),
        (r#"{"==":[{"dvar":"a"},1,"and"]}"#, "/==/2"),
        (r#"{"<":[1,{"dvar":"a"},"or"]}"#, "/</2"),
        (
            r#"{">":[{"get_age":[{"dvar":"a"},"DD/MM/YYYY"]},1,"or"]}"#,
            "/>/2",
        ),
    ];
    for (expression, pointer) in cases {
        let script = format!(r#"[{{"output":{{"r":{expression}}}}}]"#);
        let pointer = format!("/0/output/r{pointer}");
        check(&[""], &[(&script, Code::UnsupportedPath, &pointer, None)]);
    }
    let through_local =
        r#"[{"assign":{"x":{"dvar":"a"}}},{"output":{"r":{"==":[{"lvar":"x"},1,"or"]}}}]"#;
    check(
        &[""],
        &[(
            through_local,
            Code::UnsupportedPath,
            "/1/output/r/==/2",
            None,
        )],
    );
    // No array can stand here, so there is nothing to refuse.
    compile(r#"[{"output":{"r":{"==":[1,1,"and"]}}}]"#, &[""]).unwrap();
    compile(
        r#"[{"output":{"r":{"==":[{"exists":{"dvar":"a"}},true,"or"]}}}]"#,
        &[""],
    )
    .unwrap();
}

#[test]
fn types() {
    let cases = [
        (r#"{"and":[true,5]}"#, "/and/1"),
        (r#"{"or":[true,"x"]}"#, "/or/1"),
        (r#"{"not":1}"#, "/not"),
        (r#"{"==":[1,"1"]}"#, "/==/1"),
        (r#"{"!=":[true,1]}"#, "/!=/1"),
        (r#"{"<":["a","b"]}"#, "/</0"),
        (r#"{">=":[{"dvar":"a"},true]}"#, "/>=/1"),
        (r#"{"~==":[1,1]}"#, "/~0==/0"),
        (r#"{"~!=":[{"dvar":"a"},true]}"#, "/~0!=/1"),
        (r#"{"contains":[1,"1"]}"#, "/contains/0"),
        (r#"{"in":["a",[1]]}"#, "/in/0"),
        (r#"{"in":[{"dvar":"a"},[1,"a"]]}"#, "/in/1/1"),
        (r#"{"~in":[{"dvar":"a"},[1]]}"#, "/~0in/1/0"),
        (r#"{"between":[{"dvar":"a"},1,"2"]}"#, "/between/2"),
        (r#"{"get_age":[1,"DD/MM/YYYY"]}"#, "/get_age/0"),
        (
            r#"{"==":[{"get_age":["1/1/2000","DD/MM/YYYY"]},"a"]}"#,
            "/==/1",
        ),
        (r#"{"before":[true,"DD/MM/YYYY","1/1/2000"]}"#, "/before/0"),
    ];
    for (expression, pointer) in cases {
        let script = format!(r#"[{{"output":{{"r":{expression}}}}}]"#);
        let pointer = format!("/0/output/r{pointer}");
        check(&[""], &[(&script, Code::TypeMismatch, &pointer, None)]);
    }
    check(
        &[""],
        &[
            (
                r#"[{"if":{"condition":1,"then":[]}}]"#,
                Code::TypeMismatch,
                "/0/if/condition",
                None,
            ),
            (
                r#"[{"assign":{"x":1}},{"output":{"r":{"not":{"lvar":"x"}}}}]"#,
                Code::TypeMismatch,
                "/1/output/r/not",
                None,
            ),
            (
                r#"[{"if":{"condition":true,"then":[{"output":{"r":1}}],"else":[{"output":{"r":"a"}}]}}]"#,
                Code::TypeMismatch,
                "/0/if/else/0/output/r",
                None,
            ),
            (
                r#"[{"if":{"condition":true,"then":[{"assign":{"x":1}}],"else":[{"assign":{"x":true}}]}}]"#,
                Code::TypeMismatch,
                "/0/if/else/0/assign/x",
                None,
            ),
        ],
    );
}

#[test]
fn names() {
    use Code::{DuplicateAssignment, DuplicateOutput, UnassignedVariable};
    check(
        &[""],
        &[
            (
                r#"[{"output":{"r":{"lvar":"x"}}}]"#,
                UnassignedVariable,
                "/0/output/r",
                None,
            ),
            (
                r#"[{"assign":{"x":{"lvar":"x"}}}]"#,
                UnassignedVariable,
                "/0/assign/x",
                None,
            ),
            (
                r#"[{"output":{"r":{"lvar":"x"}}},{"assign":{"x":1}}]"#,
                UnassignedVariable,
                "/0/output/r",
                None,
            ),
            (
                r#"[{"if":{"condition":true,"then":[{"assign":{"x":1}}]}},{"output":{"r":{"lvar":"x"}}}]"#,
                UnassignedVariable,
                "/1/output/r",
                None,
            ),
            (
                r#"[{"if":{"condition":true,"then":[{"assign":{"x":1}}],"else":[{"output":{"r":{"lvar":"x"}}}]}}]"#,
                UnassignedVariable,
                "/0/if/else/0/output/r",
                None,
            ),
            (
                r#"[{"output":{"r":{"or":[true,{"lvar":"_todays_date"}]}}}]"#,
                UnassignedVariable,
                "/0/output/r/or/1",
                None,
            ),
            (
                r#"[{"assign":{"x":1}},{"assign":{"x":1}}]"#,
                DuplicateAssignment,
                "/1/assign/x",
                None,
            ),
            (
                r#"[{"if":{"condition":true,"then":[{"assign":{"x":1}}]}},{"assign":{"x":1}}]"#,
                DuplicateAssignment,
                "/1/assign/x",
                None,
            ),
            (
                r#"[{"output":{"a/b":1}},{"output":{"a/b":2}}]"#,
                DuplicateOutput,
                "/1/output/a~1b",
                None,
            ),
            (
                r#"[{"if":{"condition":true,"then":[],"else":[{"output":{"r":1}}]}},{"output":{"r":1}}]"#,
                DuplicateOutput,
                "/1/output/r",
                None,
            ),
        ],
    );
    for accepted in [
        r#"[{"if":{"condition":true,"then":[{"assign":{"x":1}}],"else":[{"assign":{"x":2}}]}},{"output":{"r":{"lvar":"x"}}}]"#,
        r#"[{"if":{"condition":true,"then":[{"output":{"r":1}}],"else":[{"output":{"r":2}}]}}]"#,
        r#"[{"assign":{"x":1}},{"output":{"x":{"lvar":"x"}}}]"#,
        r#"[{"if":{"condition":true,"then":[{"assign":{"x":1}},{"output":{"r":{"lvar":"x"}}}]}}]"#,
        "[]",
    ] {
        compile(accepted, &[""]).expect(accepted);
    }
}

#[test]
fn tags() {
    use Code::{UnknownTag, UnsupportedPath};
    let script = |path: &str| format!(r#"[{{"output":{{"r":{{"exists":{{"dvar":"{path}"}}}}}}}}]"#);
    let pointer = "/0/output/r/exists/dvar";
    let two: &[&str] = &["bank", "hospital"];
    compile(&script("bank.id"), two).unwrap();
    compile(&script("bank.id"), &["bank"]).unwrap();
    compile(&script("bank"), &[""]).unwrap();
    check(two, &[(&script("id"), UnknownTag, pointer, None)]);
    check(two, &[(&script("school.id"), UnknownTag, pointer, None)]);
    check(&["bank"], &[(&script("id"), UnknownTag, pointer, None)]);
    check(&[], &[(&script("id"), UnknownTag, pointer, None)]);
    check(two, &[(&script("bank"), UnsupportedPath, pointer, Some(4))]);
}

#[test]
fn folding() {
    let cases = [
        (r#"{"~==":[{"dvar":"a"},"é"]}"#, "/~0==/1"),
        (r#"{"~!=":["é",{"dvar":"a"}]}"#, "/~0!=/0"),
        (r#"{"~contains":[{"dvar":"a"},"日"]}"#, "/~0contains/1"),
        (r#"{"~in":[{"dvar":"a"},["x","É"]]}"#, "/~0in/1/1"),
    ];
    for (expression, pointer) in cases {
        let script = format!(r#"[{{"output":{{"r":{expression}}}}}]"#);
        let pointer = format!("/0/output/r{pointer}");
        check(
            &[""],
            &[(&script, Code::UnsupportedCaseFold, &pointer, None)],
        );
    }
}

#[test]
fn limits() {
    use Code::{TooDeep, TooLarge};
    let nest = |levels: usize| {
        let open = r#"{"not":"#.repeat(levels);
        let close = "}".repeat(levels);
        format!(r#"[{{"output":{{"r":{open}true{close}}}}}]"#)
    };
    compile(&nest(14), &[""]).unwrap();
    let pointer = format!("/0/output/r{}", "/not".repeat(15));
    check(&[""], &[(&nest(15), TooDeep, &pointer, None)]);
    let json_depth = format!("{}{}", "[".repeat(65), "]".repeat(65));
    check(&[""], &[(&json_depth, TooDeep, "", None)]);

    let statements = |count: usize| {
        let all: Vec<_> = (0..count)
            .map(|index| format!(r#"{{"output":{{"r{index}":1}}}}"#))
            .collect();
        format!("[{}]", all.join(","))
    };
    compile(&statements(64), &[""]).unwrap();
    check(&[""], &[(&statements(65), TooLarge, "/64", None)]);

    let fields = |count: usize| {
        let all: Vec<_> = (0..count)
            .map(|index| format!(r#"{{"exists":{{"dvar":"f{index}"}}}}"#))
            .collect();
        format!(r#"[{{"output":{{"r":{{"and":[{}]}}}}}}]"#, all.join(","))
    };
    compile(&fields(32), &[""]).unwrap();
    check(
        &[""],
        &[(
            &fields(33),
            TooLarge,
            "/0/output/r/and/32/exists/dvar",
            None,
        )],
    );

    let path = |path: String| format!(r#"[{{"output":{{"r":{{"exists":{{"dvar":"{path}"}}}}}}}}]"#);
    let pointer = "/0/output/r/exists/dvar";
    compile(&path(["a"; 8].join(".")), &[""]).unwrap();
    check(
        &[""],
        &[(&path(["a"; 9].join(".")), TooLarge, pointer, None)],
    );
    // The flag's name is sixteen bytes longer.
    compile(&path("a".repeat(108)), &[""]).unwrap();
    check(&[""], &[(&path("a".repeat(109)), TooLarge, pointer, None)]);
    compile(&path(format!("{}.b", "a".repeat(124))), &[""]).unwrap();
    check(
        &[""],
        &[(
            &path(format!("{}.b", "a".repeat(125))),
            TooLarge,
            pointer,
            None,
        )],
    );

    let literal = |length: usize| format!(r#"[{{"output":{{"r":"{}"}}}}]"#, "a".repeat(length));
    compile(&literal(124), &[""]).unwrap();
    check(&[""], &[(&literal(125), TooLarge, "/0/output/r", None)]);
    let name = |length: usize| format!(r#"[{{"output":{{"{}":1}}}}]"#, "a".repeat(length));
    compile(&name(124), &[""]).unwrap();
    check(&[""], &[(&name(125), TooLarge, "/0/output", None)]);

    let spaces = " ".repeat(16 * 1024 - 2);
    compile(&format!("[{spaces}]"), &[""]).unwrap();
    check(&[""], &[(&format!("[{spaces} ]"), TooLarge, "", None)]);
}
