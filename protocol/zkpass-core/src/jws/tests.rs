use proptest::prelude::*;

use super::*;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32]).unwrap()
}

/// A token with this header text and payload, properly signed.
fn token(header: &str, payload: &str) -> String {
    let input = format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(payload.as_bytes())
    );
    let signature = key().sign(input.as_bytes());
    format!("{input}.{}", base64url(&signature))
}

fn header_error(header: &str) -> TokenError {
    Compact::parse(&token(header, "{}")).unwrap_err()
}

/// RFC 7515 appendix A.3: the key and the token.
#[test]
fn accepts_the_example_of_rfc_7515() {
    let key = PublicKey::from_text(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    )
    .unwrap();
    let text = "eyJhbGciOiJFUzI1NiJ9\
        .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
        .DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let token = Compact::parse(text).unwrap();
    assert_eq!(token.verify(&key), Ok(()));
    assert_eq!(token.as_str(), text);
    assert_eq!(token.header(), &Header::default());
    assert_eq!(
        format!("{}.{}", token.header_b64(), token.payload_b64()),
        token.signing_input()
    );
    assert!(token.payload_json().unwrap().get("iss").is_some());
}

#[test]
fn signed_tokens_are_read_back() {
    let header = Header {
        typ: Some("JWT".into()),
        kid: Some("key \"1\"".into()),
        jku: Some("https://a.example/jwks".into()),
        cty: None,
    };
    let text = sign(&header, br#"{"a":1}"#, &key());
    let token = Compact::parse(&text).unwrap();
    assert_eq!(token.header(), &header);
    assert_eq!(token.payload(), br#"{"a":1}"#);
    assert_eq!(token.verify(&key().public()), Ok(()));
    assert_eq!(
        text,
        sign(&header, br#"{"a":1}"#, &key()),
        "signing is deterministic"
    );
}

#[test]
fn a_wrong_key_or_a_changed_byte_fails() {
    let text = sign(&Header::new("JWT", None), br#"{"a":1}"#, &key());
    let other = SigningKey::from_bytes(&[8; 32]).unwrap().public();
    assert_eq!(
        Compact::parse(&text).unwrap().verify(&other),
        Err(TokenError::BadSignature)
    );
    for index in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let verified = Compact::parse(&changed).and_then(|token| token.verify(&key().public()));
        assert!(verified.is_err(), "byte {index}");
    }
}

#[test]
fn header_rules() {
    use TokenError::*;
    let part = Part::Header;
    let name = |name: &str| name.to_owned();
    for (header, expected) in [
        (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, CriticalHeader),
        (r#"{"crit":[],"alg":"ES256"}"#, CriticalHeader),
        (r#"{"alg":"ES256","b64":false}"#, UnencodedPayload),
        (r#"{"alg":"ES256","b64":true}"#, UnencodedPayload),
        (
            r#"{"alg":"ES256","jwk":{}}"#,
            UnknownHeaderMember { name: name("jwk") },
        ),
        (
            r#"{"alg":"ES256","x5c":[]}"#,
            UnknownHeaderMember { name: name("x5c") },
        ),
        (
            r#"{"alg":"ES256","Alg":"none"}"#,
            UnknownHeaderMember { name: name("Alg") },
        ),
        (r#"{"alg":"none"}"#, WrongAlgorithm),
        (r#"{"alg":"HS256"}"#, WrongAlgorithm),
        (r#"{"alg":"es256"}"#, WrongAlgorithm),
        (r#"{"alg":"ES256K"}"#, WrongAlgorithm),
        (r#"{"typ":"JWT"}"#, MissingAlgorithm),
        (
            r#"{"alg":256}"#,
            HeaderMemberNotString { name: name("alg") },
        ),
        (
            r#"{"alg":"ES256","kid":1}"#,
            HeaderMemberNotString { name: name("kid") },
        ),
        (
            r#"{"alg":"ES256","typ":null}"#,
            HeaderMemberNotString { name: name("typ") },
        ),
        (
            r#"{"alg":"none","alg":"ES256"}"#,
            DuplicateKey { part, offset: 14 },
        ),
        (
            r#"{"alg":"ES256","\u0061lg":"ES256"}"#,
            DuplicateKey { part, offset: 15 },
        ),
        (r#"{"alg":"ES256"}{"#, TrailingBytes { part, offset: 15 }),
        (r#"{"alg":"ES256"}x"#, TrailingBytes { part, offset: 15 }),
        (r#"["ES256"]"#, HeaderNotAnObject),
        (
            r#"{"alg":"ES256""#,
            NotJson {
                part,
                error: JsonError::UnexpectedEnd { offset: 14 },
            },
        ),
    ] {
        assert_eq!(header_error(header), expected, "{header}");
    }
    assert!(Compact::parse(&token(r#" { "kid" : "a" , "alg" : "ES\u003256" } "#, "{}")).is_ok());
}

#[test]
fn compact_form_is_strict() {
    use TokenError::*;
    let good = token(r#"{"alg":"ES256"}"#, "{}");
    let parts: Vec<&str> = good.split('.').collect();
    let join =
        |header: &str, payload: &str, signature: &str| format!("{header}.{payload}.{signature}");
    let base64 = |part| BadBase64 { part };
    for (text, expected) in [
        (String::new(), WrongSegmentCount { count: 1 }),
        (parts[..2].join("."), WrongSegmentCount { count: 2 }),
        (format!("{good}."), WrongSegmentCount { count: 4 }),
        (format!("{good}\n"), base64(Part::Signature)),
        (format!(" {good}"), base64(Part::Header)),
        (format!("{good}="), base64(Part::Signature)),
        (join(parts[0], "e30=", parts[2]), base64(Part::Payload)),
        (join(parts[0], "e31", parts[2]), base64(Part::Payload)),
        (join(parts[0], "e3 0", parts[2]), base64(Part::Payload)),
        (join(parts[0], "+/8", parts[2]), base64(Part::Payload)),
        (join(parts[0], parts[1], &parts[2][4..]), BadSignatureLength),
        (
            join(parts[0], parts[1], &format!("{}AAAA", parts[2])),
            BadSignatureLength,
        ),
        (join(parts[0], parts[1], ""), BadSignatureLength),
        (
            join(&base64url(&[0xff, 0xfe]), parts[1], parts[2]),
            NotUtf8 { part: Part::Header },
        ),
        (
            join(&"A".repeat(MAX_HEADER_BYTES + 4), parts[1], parts[2]),
            HeaderTooLarge,
        ),
        (
            "A".repeat(MAX_TOKEN_BYTES + 1),
            TooLarge {
                limit: MAX_TOKEN_BYTES,
            },
        ),
    ] {
        let shown: String = text.chars().take(120).collect();
        assert_eq!(Compact::parse(&text).unwrap_err(), expected, "{shown}");
    }
    let limit = good.len() - 1;
    assert_eq!(
        Compact::parse_within(&good, limit).unwrap_err(),
        TooLarge { limit }
    );
    assert!(Compact::parse_within(&good, good.len()).is_ok());
}

#[test]
fn payload_faults_are_named() {
    let part = Part::Payload;
    for (payload, expected) in [
        (
            r#"{"a":1,"a":2}"#,
            TokenError::DuplicateKey { part, offset: 7 },
        ),
        ("{}{}", TokenError::TrailingBytes { part, offset: 2 }),
    ] {
        let token = Compact::parse(&token(r#"{"alg":"ES256"}"#, payload)).unwrap();
        assert_eq!(token.payload_json().unwrap_err(), expected);
    }
}

#[test]
fn debug_shows_no_payload() {
    let token = Compact::parse(&token(r#"{"alg":"ES256"}"#, r#"{"a":"hidden"}"#)).unwrap();
    let shown = format!("{token:?}");
    assert!(
        !shown.contains("hidden") && !shown.contains(token.payload_b64()),
        "{shown}"
    );
}

#[test]
fn each_refusal_of_the_issue_has_its_own_code() {
    let part = Part::Header;
    let codes = [
        TokenError::DuplicateKey { part, offset: 0 }.code(),
        TokenError::TrailingBytes { part, offset: 0 }.code(),
        TokenError::CriticalHeader.code(),
        TokenError::WrongAlgorithm.code(),
        TokenError::TooLarge { limit: 0 }.code(),
    ];
    for (index, code) in codes.iter().enumerate() {
        assert!(!codes[..index].contains(code), "{code}");
    }
}

proptest! {
    #[test]
    fn headers_round_trip(
        typ in prop::option::of(".{0,12}"),
        kid in prop::option::of("[ -~]{0,12}"),
        jku in prop::option::of(".{0,12}"),
        cty in prop::option::of(".{0,12}"),
    ) {
        let header = Header { typ, kid, jku, cty };
        prop_assert_eq!(Header::from_base64url(&header.to_base64url()), Ok(header));
    }

    #[test]
    fn hostile_text_never_panics(text in "[A-Za-z0-9_.=-]{0,80}|.{0,40}") {
        let _ = Compact::parse(&text);
        let _ = Header::from_base64url(&text);
        let _ = Compact::parse(&token(&text, &text)).map(|token| token.payload_json().is_ok());
    }
}
