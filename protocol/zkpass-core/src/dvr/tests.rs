use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{encoding::hex, json::JsonError, jws::Part, keys::KeyText, limits::MAX_SCRIPT_BYTES};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32]).unwrap()
}

fn request() -> UserDataRequest {
    UserDataRequest {
        user_data_url: Some("https://bank.example/data".into()),
        user_data_verifying_key: key(1).public().into(),
        profile: Profile::Zkpass,
    }
}

fn sample() -> Dvr {
    Dvr {
        zkvm: PROOF_SYSTEM.into(),
        dvr_title: "Loan".into(),
        dvr_id: "dvr-1".into(),
        query_engine_ver: "1".into(),
        query_method_ver: "1".into(),
        query: r#"[{"output":{"ok":true}}]"#.into(),
        user_data_requests: BTreeMap::from([
            ("bank".into(), request()),
            ("health".into(), request()),
        ]),
        dvr_verifying_key: Some(key(2).public().into()),
        nonce: Some("n".into()),
        audience: Some("a".into()),
        expires_at: Some(2_000_000_000),
        max_age_days: Some(3),
        holder_binding: None,
    }
}

fn vectors(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["cases"].as_array().unwrap().clone()
}

#[test]
fn digest_equals_the_published_vectors() {
    for case in vectors(include_str!("../../tests/vectors/dvr-digest.json")) {
        let dvr: Dvr = json::decode(&case["dvr"].to_string()).unwrap();
        assert_eq!(dvr.canonical_json(), case["canonical_json"]);
        assert_eq!(hex(&dvr.digest()), case["sha256_hex"]);
    }
}

#[test]
fn own_fields_follow_in_order() {
    let mut dvr = sample();
    dvr.user_data_requests = BTreeMap::from([(
        String::new(),
        UserDataRequest {
            user_data_url: None,
            user_data_verifying_key: IssuerKey::KeysetEndpoint {
                jku: "https://a.example".into(),
                kid: "k".into(),
            },
            profile: Profile::Jwt,
        },
    )]);
    dvr.dvr_verifying_key = None;
    dvr.holder_binding = Some("key".into());
    assert_eq!(
        dvr.canonical_json(),
        concat!(
            r#"{"zkvm":"vega","dvr_title":"Loan","dvr_id":"dvr-1","query_engine_ver":"1","query_method_ver":"1","#,
            r#""query":"[{\"output\":{\"ok\":true}}]","user_data_requests":[["",{"user_data_url":null,"#,
            r#""user_data_verifying_key":{"KeysetEndpoint":{"jku":"https://a.example","kid":"k"}},"profile":"jwt"}]],"#,
            r#""dvr_verifying_key":null,"nonce":"n","audience":"a","expires_at":2000000000,"max_age_days":3,"#,
            r#""holder_binding":"key"}"#
        )
    );
}

#[test]
fn every_field_changes_the_digest() {
    let changes: [fn(&mut Dvr); 19] = [
        |_| {},
        |dvr| dvr.zkvm.push('x'),
        |dvr| dvr.dvr_title.push('x'),
        |dvr| dvr.dvr_id.push('x'),
        |dvr| dvr.query_engine_ver.push('x'),
        |dvr| dvr.query_method_ver.push('x'),
        |dvr| dvr.query.push(' '),
        |dvr| dvr.user_data_requests.retain(|tag, _| tag == "bank"),
        |dvr| {
            let moved = dvr.user_data_requests.remove("bank").unwrap();
            dvr.user_data_requests.insert("bankx".into(), moved);
        },
        |dvr| {
            dvr.user_data_requests
                .get_mut("bank")
                .unwrap()
                .user_data_url = None
        },
        |dvr| dvr.user_data_requests.get_mut("bank").unwrap().profile = Profile::Jwt,
        |dvr| {
            dvr.user_data_requests
                .get_mut("bank")
                .unwrap()
                .user_data_verifying_key = key(5).public().into();
        },
        |dvr| {
            // The same key in its legacy form.
            let (x, y) = key(1).public().to_legacy();
            dvr.user_data_requests
                .get_mut("bank")
                .unwrap()
                .user_data_verifying_key = IssuerKey::PublicKey(KeyText::Legacy { x, y });
        },
        |dvr| dvr.dvr_verifying_key = None,
        |dvr| dvr.nonce = None,
        |dvr| dvr.audience = Some(String::new()),
        |dvr| dvr.expires_at = Some(2_000_000_001),
        |dvr| dvr.max_age_days = Some(4),
        |dvr| dvr.holder_binding = Some(String::new()),
    ];
    let mut seen = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let mut dvr = sample();
        change(&mut dvr);
        assert!(!seen.contains(&dvr.digest()), "change {index}");
        seen.push(dvr.digest());
    }
}

#[test]
fn tag_rules_equal_the_published_vectors() {
    for case in vectors(include_str!(
        "../../tests/vectors/user-data-request-tags.json"
    )) {
        let mut dvr = sample();
        let tags = case["tags"].as_array().unwrap();
        dvr.user_data_requests = tags
            .iter()
            .map(|tag| (tag.as_str().unwrap().into(), request()))
            .collect();
        let result = dvr.validate();
        assert_eq!(
            result.is_ok(),
            case["ok"].as_bool().unwrap(),
            "{case}: {result:?}"
        );
    }
}

#[test]
fn validation_names_each_fault() {
    let with_tags = |tags: &[&str]| {
        let mut dvr = sample();
        dvr.user_data_requests = tags.iter().map(|tag| ((*tag).into(), request())).collect();
        dvr
    };
    let with = |change: &dyn Fn(&mut Dvr)| {
        let mut dvr = sample();
        change(&mut dvr);
        dvr
    };
    let long = "x".repeat(MAX_TEXT_BYTES + 1);
    let bad_key = IssuerKey::PublicKey(KeyText::Legacy {
        x: "123".into(),
        y: "456".into(),
    });
    let tag = |tag: &str| tag.to_owned();
    for (dvr, expected) in [
        (with_tags(&[]), DvrError::NoTags),
        (with_tags(&["a", "b", "c", "d", "e"]), DvrError::TooManyTags),
        (with_tags(&["", "a"]), DvrError::EmptyTag),
        (with_tags(&["b-nk"]), DvrError::BadTag { tag: tag("b-nk") }),
        (with_tags(&["bänk"]), DvrError::BadTag { tag: tag("bänk") }),
        (
            with_tags(&[&"x".repeat(MAX_TAG_BYTES + 1)]),
            DvrError::TagTooLong,
        ),
        (
            with(&|dvr| dvr.zkvm = "r0".into()),
            DvrError::UnsupportedProofSystem { name: tag("r0") },
        ),
        (
            with(&|dvr| dvr.query = "x".repeat(MAX_SCRIPT_BYTES + 1)),
            DvrError::QueryTooLarge,
        ),
        (
            with(&|dvr| dvr.nonce = Some(long.clone())),
            DvrError::TooLong { member: "nonce" },
        ),
        (
            with(&|dvr| dvr.dvr_title = long.clone()),
            DvrError::TooLong {
                member: "dvr_title",
            },
        ),
        (
            with(&|dvr| {
                dvr.user_data_requests
                    .get_mut("bank")
                    .unwrap()
                    .user_data_url = Some(long.clone());
            }),
            DvrError::TooLong {
                member: "user_data_url",
            },
        ),
        (
            with(&|dvr| {
                dvr.user_data_requests
                    .get_mut("health")
                    .unwrap()
                    .user_data_verifying_key = bad_key.clone();
            }),
            DvrError::BadIssuerKey {
                tag: tag("health"),
                error: KeyError::BadLegacy,
            },
        ),
        (
            with(&|dvr| dvr.dvr_verifying_key = Some(bad_key.clone())),
            DvrError::BadVerifierKey(KeyError::BadLegacy),
        ),
        (
            with(&|dvr| dvr.holder_binding = Some("key".into())),
            DvrError::UnsupportedHolderBinding { name: tag("key") },
        ),
    ] {
        assert_eq!(dvr.validate(), Err(expected));
    }
    assert_eq!(sample().validate(), Ok(()));
    assert_eq!(with_tags(&[""]).validate(), Ok(()));
}

#[test]
fn tokens_are_read_back() {
    let text = DvrToken::sign(&sample(), &key(2), Some("k")).unwrap();
    let token = DvrToken::parse(&text).unwrap();
    assert_eq!(token.dvr(), &sample());
    assert_eq!(token.dvr().digest(), sample().digest());
    assert_eq!(token.verify(&key(2).public()), Ok(()));
    assert_eq!(
        token.verify(&key(3).public()),
        Err(TokenError::BadSignature)
    );
    assert_eq!(token.header().kid.as_deref(), Some("k"));
    assert_eq!(token.into_dvr(), sample());
}

#[test]
fn a_small_dvr_leaves_out_what_is_optional() {
    let text = r#"{"zkvm":"vega","dvr_title":"t","dvr_id":"i","query_engine_ver":"1",
        "query_method_ver":"1","query":"[]","user_data_requests":{"":{
        "user_data_verifying_key":{"KeysetEndpoint":{"jku":"https://a.example","kid":"k"}}}}}"#;
    let dvr = Dvr::from_json(text).unwrap();
    assert_eq!(dvr.tags(), [""]);
    assert_eq!((dvr.nonce, dvr.expires_at), (None, None));
}

#[test]
fn tokens_are_strict() {
    let sign =
        |typ: &str, payload: &str| jws::sign(&Header::new(typ, None), payload.as_bytes(), &key(2));
    let error = |token: String| DvrToken::parse(&token).unwrap_err();
    let payload = serde_json::json!({ "data": sample() }).to_string();
    for typ in ["JWT", DVR_TYPE] {
        assert!(DvrToken::parse(&sign(typ, &payload)).is_ok());
    }
    let expected = DVR_TYPE;
    assert_eq!(
        error(sign("zkpass-proof+jwt", &payload)),
        TokenError::WrongType { expected }.into()
    );
    let part = Part::Payload;
    let twice = payload.replacen("\"nonce\":", "\"nonce\":\"m\",\"nonce\":", 1);
    let offset = payload.find("\"nonce\"").unwrap() + "\"nonce\":\"m\",".len();
    assert_eq!(
        error(sign("JWT", &twice)),
        TokenError::DuplicateKey { part, offset }.into()
    );
    let offset = payload.len();
    assert_eq!(
        error(sign("JWT", &format!("{payload}x"))),
        TokenError::TrailingBytes { part, offset }.into()
    );
    for (from, to) in [
        ("\"nonce\":", "\"nonse\":"),
        ("{\"data\":", "{\"iat\":1,\"data\":"),
        ("\"user_data_url\"", "\"user_data_uri\""),
        ("\"max_age_days\":3", "\"max_age_days\":-3"),
        ("\"dvr_id\":\"dvr-1\",", ""),
    ] {
        let changed = sign("JWT", &payload.replacen(from, to, 1));
        let refused = error(changed);
        assert!(
            matches!(&refused, DvrTokenError::Token(TokenError::BadPayload(_))),
            "{to}: {refused}"
        );
    }
    let limit = MAX_DVR_TOKEN_BYTES;
    assert_eq!(
        error("A".repeat(limit + 1)),
        TokenError::TooLarge { limit }.into()
    );
}

#[test]
fn malformed_json_is_its_own_error() {
    let error = Dvr::from_json("{} {}").unwrap_err();
    let expected = DvrError::Malformed(DecodeError::Json(JsonError::TrailingBytes { offset: 3 }));
    assert_eq!(error, expected);
}

/// The arithmetic of `MAX_DVR_TOKEN_BYTES`: the largest DVR fits.
#[test]
fn the_largest_dvr_fits_a_token() {
    let mut dvr = sample();
    let text = "x".repeat(MAX_TEXT_BYTES);
    dvr.query = "\"".repeat(MAX_SCRIPT_BYTES);
    for member in [
        &mut dvr.dvr_title,
        &mut dvr.dvr_id,
        &mut dvr.query_engine_ver,
        &mut dvr.query_method_ver,
    ] {
        *member = text.clone();
    }
    (dvr.nonce, dvr.audience) = (Some(text.clone()), Some(text.clone()));
    dvr.user_data_requests = (0..MAX_DOCUMENTS)
        .map(|index| {
            let mut request = request();
            request.user_data_url = Some(text.clone());
            (format!("tag{index}"), request)
        })
        .collect();
    let token = DvrToken::sign(&dvr, &key(2), None).unwrap();
    assert!(token.len() <= MAX_DVR_TOKEN_BYTES, "{}", token.len());
    assert!(DvrToken::parse(&token).is_ok());
}

proptest! {
    #[test]
    fn json_round_trips(title in ".{0,20}", query in ".{0,40}", nonce in prop::option::of(".{0,9}"),
                        age in prop::option::of(any::<u32>()), expiry in prop::option::of(any::<i64>())) {
        let dvr = Dvr { dvr_title: title, query, nonce, max_age_days: age, expires_at: expiry, ..sample() };
        let json = serde_json::to_string(&dvr).unwrap();
        let read = Dvr::from_json(&json).unwrap();
        prop_assert_eq!(read.digest(), dvr.digest());
        prop_assert_eq!(read, dvr.clone());
        prop_assert!(json::parse(&dvr.canonical_json()).is_ok());
    }

    #[test]
    fn hostile_tokens_never_panic(payload in ".{0,60}") {
        let token = jws::sign(&Header::new("JWT", None), payload.as_bytes(), &key(2));
        let _ = DvrToken::parse(&token);
        let _ = DvrToken::parse(&payload);
    }
}
