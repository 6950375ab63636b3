use proptest::prelude::*;

use super::*;
use crate::{encoding::hex, keys::SigningKey};

fn key(seed: u8) -> PublicKey {
    SigningKey::from_bytes(&[seed; 32]).unwrap().public()
}

fn token(tag: &str, seed: u8) -> TokenStatement {
    TokenStatement {
        tag: tag.into(),
        profile: Profile::Zkpass,
        issuer_key: key(seed),
        header: "eyJhbGciOiJFUzI1NiJ9".into(),
        blocks: 16,
    }
}

fn entry(name: &str, value: OutputValue) -> OutputEntry {
    OutputEntry {
        name: name.into(),
        value,
    }
}

fn sample() -> Statement {
    Statement {
        proof_system: "vega".into(),
        version: 1,
        circuit_digest: [1; 32],
        dvr_digest: [2; 32],
        tokens: vec![token("bank", 3), token("health", 4)],
        as_of: Date::new(2025, 2, 13).unwrap(),
        nonce: Some("n-1".into()),
        audience: None,
        output: vec![
            entry("old_enough", OutputValue::Boolean(true)),
            entry("name", OutputValue::String("Ana \"A\"".into())),
            entry("score", OutputValue::Integer(i64::MIN)),
        ],
    }
}

type Change = fn(&mut Statement);

/// One change per public field.
fn changes() -> Vec<(&'static str, Change)> {
    vec![
        ("proof_system", |s| s.proof_system.push('x')),
        ("version", |s| s.version += 1),
        ("circuit_digest", |s| s.circuit_digest[31] ^= 1),
        ("dvr_digest", |s| s.dvr_digest[0] ^= 1),
        ("tokens", |s| drop(s.tokens.pop())),
        ("tag", |s| s.tokens[0].tag.push('x')),
        ("profile", |s| s.tokens[1].profile = Profile::Jwt),
        ("issuer_key", |s| s.tokens[1].issuer_key = key(9)),
        ("header", |s| s.tokens[0].header.push('A')),
        ("blocks", |s| s.tokens[0].blocks += 1),
        ("as_of", |s| s.as_of = Date::new(2025, 2, 14).unwrap()),
        ("nonce", |s| s.nonce = None),
        ("audience", |s| s.audience = Some(String::new())),
        ("output order", |s| s.output.swap(0, 1)),
        ("output name", |s| s.output[0].name.push('x')),
        ("output type", |s| {
            s.output[0].value = OutputValue::Integer(1)
        }),
        ("output value", |s| {
            s.output[0].value = OutputValue::Boolean(false)
        }),
        ("output count", |s| drop(s.output.pop())),
    ]
}

#[test]
fn canonical_bytes_are_fixed() {
    let mut statement = sample();
    statement.tokens.truncate(1);
    statement.output.truncate(2);
    let (x, y) = key(3).coordinates();
    let text = |text: &str| format!("{:08x}{}", text.len(), hex(text.as_bytes()));
    let expected = [
        text("zkpass/statement/v1"),
        text("vega"),
        "00000001".into(),
        "01".repeat(32),
        "02".repeat(32),
        "00000001".into(),
        text("bank"),
        text("zkpass"),
        hex(&x),
        hex(&y),
        text("eyJhbGciOiJFUzI1NiJ9"),
        "0010".into(),
        "07e9020d".into(),
        format!("01{}", text("n-1")),
        "00".into(),
        "00000002".into(),
        text("old_enough"),
        "0201".into(),
        text("name"),
        format!("01{}", text("Ana \"A\"")),
    ];
    assert_eq!(hex(&statement.canonical_bytes()), expected.concat());
}

#[test]
fn every_field_changes_the_digest() {
    let mut seen = vec![sample().digest()];
    for (field, change) in changes() {
        let mut statement = sample();
        change(&mut statement);
        let digest = statement.digest();
        assert!(!seen.contains(&digest), "{field}");
        seen.push(digest);
    }
}

#[test]
fn json_form_is_strict() {
    let json = serde_json::to_string(&sample()).unwrap();
    assert_eq!(Statement::from_json(&json), Ok(sample()));
    for (from, to) in [
        (r#""version":1"#, r#""version":1,"extra":1"#),
        (r#""version":1"#, r#""version":1,"version":1"#),
        (r#""version":1"#, r#""version":-1"#),
        (r#""version":1,"#, ""),
        (r#""as_of":"2025-02-13""#, r#""as_of":"2025-02-30""#),
        (r#""circuit_digest":"01"#, r#""circuit_digest":""#),
        (r#""circuit_digest":"01"#, r#""circuit_digest":"0A"#),
        (r#""crv":"P-256""#, r#""crv":"P-384""#),
        (r#""kty":"EC""#, r#""kty":"EC","kid":"1""#),
        (r#""value":true"#, r#""value":null"#),
        (r#""value":true"#, r#""value":1.5"#),
        (r#""value":true"#, r#""value":9223372036854775808"#),
        (r#""blocks":16"#, r#""blocks":65536"#),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json, "{from}");
        let error = Statement::from_json(&changed).unwrap_err();
        assert!(
            matches!(error, StatementError::Malformed(_)),
            "{to}: {error}"
        );
    }
    let trailing = Statement::from_json(&format!("{json} ]")).unwrap_err();
    assert!(matches!(
        trailing,
        StatementError::Malformed(DecodeError::Json(json::JsonError::TrailingBytes { .. }))
    ));
}

#[test]
fn validation_refuses_each_fault() {
    fn long(limit: usize) -> String {
        "x".repeat(limit + 1)
    }
    let too_long = |member, limit| StatementError::TooLong { member, limit };
    let cases: Vec<(StatementError, Change)> = vec![
        (StatementError::TokenCount, |s| s.tokens.clear()),
        (StatementError::TokenCount, |s| {
            s.tokens = (0..5).map(|i| token(&i.to_string(), 1)).collect()
        }),
        (StatementError::TokenOrder, |s| s.tokens.reverse()),
        (StatementError::TokenOrder, |s| {
            s.tokens[1].tag = s.tokens[0].tag.clone()
        }),
        (StatementError::TooManyOutputs, |s| {
            s.output = vec![entry("a", OutputValue::Integer(0)); MAX_STATEMENTS + 1]
        }),
        (StatementError::DuplicateOutput, |s| {
            s.output[2].name = s.output[0].name.clone()
        }),
        (too_long("header", MAX_HEADER_BYTES), |s| {
            s.tokens[0].header = long(MAX_HEADER_BYTES)
        }),
        (too_long("tag", MAX_TAG_BYTES), |s| {
            s.tokens[1].tag = long(MAX_TAG_BYTES)
        }),
        (too_long("nonce", MAX_TEXT_BYTES), |s| {
            s.nonce = Some(long(MAX_TEXT_BYTES))
        }),
        (too_long("audience", MAX_TEXT_BYTES), |s| {
            s.audience = Some(long(MAX_TEXT_BYTES))
        }),
        (too_long("proof_system", MAX_TEXT_BYTES), |s| {
            s.proof_system = long(MAX_TEXT_BYTES)
        }),
        (too_long("value", MAX_STRING_BYTES), |s| {
            s.output[0].value = OutputValue::String(long(MAX_STRING_BYTES))
        }),
    ];
    assert_eq!(sample().validate(), Ok(()));
    for (expected, change) in cases {
        let mut statement = sample();
        change(&mut statement);
        assert_eq!(statement.validate(), Err(expected));
    }
}

#[test]
fn debug_shows_no_value_and_no_header() {
    let shown = format!("{:?}", sample());
    for hidden in ["Ana", "true", "-9223372036854775808", "eyJhbGci"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}

#[test]
fn output_keeps_order_and_types() {
    let json = serde_json::to_string(&sample().output_json()).unwrap();
    assert_eq!(
        json,
        r#"{"old_enough":true,"name":"Ana \"A\"","score":-9223372036854775808}"#
    );
}

fn any_statement() -> impl Strategy<Value = Statement> {
    let value = prop_oneof![
        any::<i64>().prop_map(OutputValue::Integer),
        ".{0,20}".prop_map(OutputValue::String),
        any::<bool>().prop_map(OutputValue::Boolean),
    ];
    let tokens =
        prop::collection::btree_map("[a-z]{0,4}", (1u8..9, any::<bool>(), any::<u16>()), 1..5);
    let output = prop::collection::btree_map(".{0,8}", value, 0..5);
    let digests = (any::<[u8; 32]>(), any::<[u8; 32]>());
    let texts = (prop::option::of(".{0,12}"), prop::option::of(".{0,12}"));
    (
        tokens,
        output,
        digests,
        texts,
        1..=3_652_059i64,
        any::<u32>(),
    )
        .prop_map(
            |(tokens, output, (circuit_digest, dvr_digest), (nonce, audience), day, version)| {
                Statement {
                    proof_system: "vega".into(),
                    version,
                    circuit_digest,
                    dvr_digest,
                    tokens: tokens
                        .into_iter()
                        .map(|(tag, (seed, jwt, blocks))| TokenStatement {
                            profile: if jwt { Profile::Jwt } else { Profile::Zkpass },
                            blocks,
                            ..token(&tag, seed)
                        })
                        .collect(),
                    as_of: Date::from_day_number(day).unwrap(),
                    nonce,
                    audience,
                    output: output
                        .into_iter()
                        .map(|(name, value)| OutputEntry { name, value })
                        .collect(),
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_round_trips(statement in any_statement()) {
        let json = serde_json::to_string(&statement).unwrap();
        let read = Statement::from_json(&json).unwrap();
        prop_assert_eq!(read.canonical_bytes(), statement.canonical_bytes());
        prop_assert_eq!(read, statement);
    }
}
