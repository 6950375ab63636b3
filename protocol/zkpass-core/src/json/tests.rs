use proptest::prelude::*;

use super::*;

fn error(text: &str) -> JsonError {
    parse(text).unwrap_err()
}

#[test]
fn tokens_stay_as_written() {
    let text = r#" { "a" : [ 1.50e+3 , -0, 9007199254740993 ] , "b\u0063" : "x\ty" , "c":null,"d":true,"e":false } "#;
    let value = parse(text).unwrap();
    assert_eq!(
        value.to_compact(),
        r#"{"a":[1.50e+3,-0,9007199254740993],"b\u0063":"x\ty","c":null,"d":true,"e":false}"#
    );
    let string = value.get("bc").unwrap().as_string().unwrap();
    assert_eq!((string.raw(), string.has_escape()), ("x\\ty", true));
    assert_eq!(string.decode(), "x\ty");
    assert_eq!(value.get("absent"), None);
    assert_eq!(parse("{}").unwrap().to_compact(), "{}");
    assert_eq!(parse("[ ]").unwrap().to_compact(), "[]");
}

#[test]
fn escapes_are_decoded() {
    for (raw, meant) in [
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r"\u0041\u00e9\u20ac", "Aé€"),
        (r"\uD83D\uDE00!", "😀!"),
        (r"\\u0041", "\\u0041"),
        ("日本", "日本"),
    ] {
        let text = format!("\"{raw}\"");
        let value = parse(&text).unwrap();
        assert_eq!(value.as_string().unwrap().decode(), meant, "{raw}");
    }
}

#[test]
fn each_fault_has_its_error_and_place() {
    use JsonError::*;
    for (text, expected) in [
        ("", UnexpectedEnd { offset: 0 }),
        ("  ", UnexpectedEnd { offset: 2 }),
        ("[1", UnexpectedEnd { offset: 2 }),
        ("{\"a\"", UnexpectedEnd { offset: 4 }),
        ("\"abc", UnexpectedEnd { offset: 4 }),
        ("tru", UnexpectedEnd { offset: 3 }),
        ("[1,]", UnexpectedCharacter { offset: 3 }),
        ("[1 2]", UnexpectedCharacter { offset: 3 }),
        ("{\"a\":1,}", UnexpectedCharacter { offset: 7 }),
        ("{a:1}", UnexpectedCharacter { offset: 1 }),
        ("{\"a\" 1}", UnexpectedCharacter { offset: 5 }),
        ("trux", UnexpectedCharacter { offset: 3 }),
        ("\u{feff}1", UnexpectedCharacter { offset: 0 }),
        ("\u{a0}1", UnexpectedCharacter { offset: 0 }),
        ("/* */1", UnexpectedCharacter { offset: 0 }),
        ("NaN", UnexpectedCharacter { offset: 0 }),
        ("+1", UnexpectedCharacter { offset: 0 }),
        ("01", BadNumber { offset: 0 }),
        ("-", BadNumber { offset: 0 }),
        ("[-a]", BadNumber { offset: 1 }),
        ("1.", BadNumber { offset: 0 }),
        ("1.e3", BadNumber { offset: 0 }),
        ("1e", BadNumber { offset: 0 }),
        ("1e+", BadNumber { offset: 0 }),
        (r#""\x""#, BadEscape { offset: 1 }),
        (r#""a\"#, BadEscape { offset: 2 }),
        (r#""\u12""#, BadEscape { offset: 1 }),
        (r#""\u+123""#, BadEscape { offset: 1 }),
        ("\"\\u00é9\"", BadEscape { offset: 1 }),
        (r#""\ud83d""#, UnpairedSurrogate { offset: 1 }),
        (r#""\ud83dx""#, UnpairedSurrogate { offset: 1 }),
        (r#""\ud83d\u0041""#, UnpairedSurrogate { offset: 1 }),
        (r#""\ude00\ud83d""#, UnpairedSurrogate { offset: 1 }),
        ("\"a\nb\"", ControlCharacter { offset: 2 }),
        ("\"\0\"", ControlCharacter { offset: 1 }),
        (r#"{"a":1,"a":2}"#, DuplicateKey { offset: 7 }),
        (r#"{"a":1,"\u0061":2}"#, DuplicateKey { offset: 7 }),
        (r#"[{"x":{"":1, "":1}}]"#, DuplicateKey { offset: 13 }),
        ("1 1", TrailingBytes { offset: 2 }),
        ("{}}", TrailingBytes { offset: 2 }),
        ("null\0", TrailingBytes { offset: 4 }),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&nested(MAX_JSON_DEPTH)).is_ok());
    let offset = MAX_JSON_DEPTH;
    assert_eq!(error(&nested(offset + 1)), JsonError::TooDeep { offset });
    assert_eq!(error(&"[".repeat(1 << 20)), JsonError::TooDeep { offset });
}

#[test]
fn debug_shows_no_data() {
    let value = parse(r#"{"secret":"hidden"}"#).unwrap();
    let shown = format!("{value:?} {:?}", value.get("secret"));
    assert!(
        !shown.contains("secret") && !shown.contains("hidden"),
        "{shown}"
    );
}

#[test]
fn decode_refuses_what_the_parser_refuses_and_quotes_no_value() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its form matters here")]
    struct Message {
        count: u32,
    }
    assert!(decode::<Message>(r#"{"count":1}"#).is_ok());
    assert_eq!(
        decode::<Message>(r#"{"count":1,"count":1}"#).unwrap_err(),
        DecodeError::Json(JsonError::DuplicateKey { offset: 11 })
    );
    let unknown = decode::<Message>(r#"{"count":1,"extra":2}"#).unwrap_err();
    assert!(unknown.to_string().contains("`extra`"), "{unknown}");
    let wrong = decode::<Message>(r#"{"count":"hidden"}"#).unwrap_err();
    assert!(!wrong.to_string().contains("hidden"), "{wrong}");
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_an_ordinary_parser(value in any_value()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let compact = parse(&text).unwrap().to_compact();
            prop_assert_eq!(&compact, &value.to_string());
        }
    }

    #[test]
    fn accepts_nothing_an_ordinary_parser_refuses(text in r#"[\[\]{},:"\\ untrflase0-9.eE+-]{0,24}"#) {
        if parse(&text).is_ok() {
            // `serde_json` refuses numbers beyond the range of f64: leave them.
            let number_too_large = serde_json::from_str::<serde_json::Value>(&text)
                .is_err_and(|error| error.to_string().contains("number out of range"));
            prop_assert!(number_too_large || serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    #[test]
    fn written_strings_are_read_back(text in "\\PC{0,8}[\u{0}-\u{1f}\"\\\\]{0,4}.{0,8}") {
        let mut out = String::new();
        write_string(&mut out, &text);
        prop_assert_eq!(&out, &serde_json::to_string(&text).unwrap());
        prop_assert_eq!(parse(&out).unwrap().as_string().unwrap().decode(), text);
    }

    #[test]
    fn never_panics(text in ".{0,64}") {
        let _ = parse(&text);
    }
}
