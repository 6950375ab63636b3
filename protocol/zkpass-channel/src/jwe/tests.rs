use proptest::prelude::*;

use super::*;
use crate::tests::rng;

const LIMIT: usize = MAX_DVR_JWE_BYTES;

fn key() -> PrivateKey {
    PrivateKey::generate(&mut rng("jwe key"))
}

fn sealed(plain: &[u8]) -> String {
    seal(plain, LIMIT, &key().public_key(), &mut rng("jwe")).unwrap()
}

fn scalar(text: &str) -> PrivateKey {
    let bytes = from_base64url(text).unwrap().try_into().unwrap();
    PrivateKey::from_scalar(&bytes).unwrap()
}

/// Bob of RFC 7518, appendix C.
fn bob() -> PrivateKey {
    scalar("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw")
}

fn tokens() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("bank".to_owned(), "a.b.c".to_owned()),
        ("shop".to_owned(), "d.e.f".to_owned()),
    ])
}

/// The same JWE with another header, encrypted to the same key as if honest.
fn with_header(change: impl FnOnce(String) -> String) -> String {
    let ephemeral = PrivateKey::generate(&mut rng("ephemeral"));
    let epk = serde_json::to_string(&ephemeral.public_key().to_jwk()).unwrap();
    let header = format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM","epk":{epk}}}"#);
    encrypt_under(&change(header), &ephemeral)
}

fn encrypt_under(header: &str, ephemeral: &PrivateKey) -> String {
    let header = base64url(header.as_bytes());
    let secret = ephemeral.agree(&key().public_key()).unwrap();
    let content_key = content_key(&secret, b"", b"");
    let mut text = b"plain".to_vec();
    let tag = Aes256Gcm::new((&*content_key).into())
        .encrypt_inout_detached(
            &[7; 12].into(),
            header.as_bytes(),
            text.as_mut_slice().into(),
        )
        .unwrap();
    let [iv, text, tag] = [&[7; 12][..], &text, &tag].map(base64url);
    format!("{header}..{iv}.{text}.{tag}")
}

fn refused(text: &str) -> OpenError {
    let error = open(text, LIMIT, &key()).unwrap_err();
    assert_eq!(error.code(), Code::SealedRequestRejected);
    error
}

/// RFC 7518, appendix C.
#[test]
fn the_key_of_the_standard_is_derived() {
    let alice = scalar("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo");
    for secret in [
        alice.agree(&bob().public_key()),
        bob().agree(&alice.public_key()),
    ] {
        let secret = secret.unwrap();
        let key: Zeroizing<[u8; 16]> =
            concat_kdf(secret.raw_secret_bytes(), "A128GCM", b"Alice", b"Bob");
        assert_eq!(base64url(&*key), "VqqN6vgjbSBcIijNcacQGg");
    }
}

/// Made with jwcrypto 1.6 and joserfc 1.8 for the key of Bob.
#[test]
fn what_other_libraries_make_opens() {
    for (text, plain) in [
        (
            "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSIsImVwayI6eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6ImtLUmxSMkQwX2ZRZTVJak5ZRVc2SlM2QUJDVTVGWDNKcVRBTWxmUTQ4MGMiLCJ5IjoiX0U0RlVhSm01d2YzZTkyVU44eHFJZE8wUE5TbEt3QWstdFVpNjVZaXc1USJ9LCJ0eXAiOiJKV1QifQ..YNEwfMCE33H24R6O.gOQeL5disDAzT2ibMBJsZWXAm_Bhv99JnYz_SnLppA.tzDWVkA99Cks8Jcbm158dw",
            r#"{"data":"{\"bank\":\"a.b.c\"}"}"#,
        ),
        // With `apu`, `apv` and `kid`.
        (
            "eyJhbGciOiJFQ0RILUVTIiwiYXB1IjoiUVd4cFkyVSIsImFwdiI6IlFtOWkiLCJlbmMiOiJBMjU2R0NNIiwiZXBrIjp7ImNydiI6IlAtMjU2Iiwia3R5IjoiRUMiLCJ4IjoiMERYbUI2SzhRLVpLUGl1SlVSb1R2VlpNa21JTVBFNnMwVTVzTHNUN2Z6cyIsInkiOiJzMjh4Q1h3SGdNc0NDV3dZQkVfSTU3RWZpV3hsb3hBT1dwRzZJSmYyeFp3In0sImtpZCI6ImJvYiJ9..CqBxwyf5_rDh9mJC.Mt1Ptcq9mfGE4nNEsWZnIESHTSBPR68RBg2n4PIlLw.594O5I-x0QKS_uEGqjr0lQ",
            r#"{"data":"{\"bank\":\"a.b.c\"}"}"#,
        ),
        (
            "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSIsImN0eSI6IkpXVCIsImVwayI6eyJjcnYiOiJQLTI1NiIsIngiOiJfV0F5OGpwa3IxN1VQVWpKa2Zpb0o0Tkp4VDMyV05LRTluWmtYRlpHT240IiwieSI6InFmRjcxQ3FRS0FsdlFOV3djVXVIajZrdkRSbXdoaFR1NS1xU1VSTkNkSjAiLCJrdHkiOiJFQyJ9fQ..kcrBssd6AL-OLw9m.y3WU1fx6DT49DL7J8H8AXgqQ5X-fcRlA.zJ7eqEchmrCmVHpnrfkCWQ",
            r#"{"data":"d.v.r","iat":1}"#,
        ),
    ] {
        assert_eq!(*open(text, LIMIT, &bob()).unwrap(), plain.as_bytes());
        assert_eq!(
            open(text, LIMIT, &key()).unwrap_err(),
            OpenError::NotForThisKey
        );
    }
}

#[test]
fn a_request_makes_the_round_trip() {
    let public = key().public_key();
    let (user_data, dvr) = seal_request(&tokens(), "d.v.r", &public, &mut rng("r")).unwrap();
    let body = open_request(&user_data, &dvr, &key()).unwrap();
    assert_eq!(body.tokens, tokens());
    assert_eq!(body.dvr_token, "d.v.r");
    assert_eq!(body.idempotency_id, "");
    // Exchanged, they are no request.
    let exchanged = open_request(&dvr, &user_data, &key());
    assert_eq!(exchanged.unwrap_err(), OpenError::WrongUserData);
}

#[test]
fn the_largest_request_fits() {
    let tags = ["a", "b", "c", "d"].map(|tag| (tag.repeat(64), "t".repeat(4096)));
    let dvr = "d".repeat(96 * 1024);
    let public = key().public_key();
    let (user_data, dvr) = seal_request(&tags.into(), &dvr, &public, &mut rng("r")).unwrap();
    assert!(open_request(&user_data, &dvr, &key()).is_ok());
    let long = "x".repeat(MAX_USER_DATA_JWE_BYTES + 1);
    let limit = MAX_USER_DATA_JWE_BYTES;
    let error = open_request(&long, &dvr, &key()).unwrap_err();
    assert_eq!(error, OpenError::TooLong { limit });
    let error = seal(&[0; 100], 100, &public, &mut rng("r")).unwrap_err();
    assert_eq!(error, SealError::TooLong { limit: 100 });
}

#[test]
fn a_change_of_any_character_is_refused() {
    let honest = sealed(b"some claims");
    assert_eq!(*open(&honest, LIMIT, &key()).unwrap(), b"some claims");
    for index in 0..honest.len() {
        for other in ['A', 'b', '_', '.', '='] {
            let mut changed = honest.clone();
            changed.replace_range(index..=index, other.encode_utf8(&mut [0; 4]));
            if changed != honest {
                refused(&changed);
            }
        }
        refused(&honest[..index]);
    }
    refused(&format!("{honest}A"));
}

#[test]
fn only_the_parts_of_direct_agreement_are_read() {
    let honest = sealed(b"x");
    let [header, _, iv, text, tag] = honest.split('.').collect::<Vec<_>>()[..] else {
        panic!("{honest}");
    };
    for (changed, error) in [
        (
            format!("{header}.AAAA.{iv}.{text}.{tag}"),
            OpenError::EncryptedKeyPresent,
        ),
        (
            format!("{header}.{iv}.{text}.{tag}"),
            OpenError::WrongSegmentCount,
        ),
        (
            format!("{header}..{iv}.{text}.{tag}."),
            OpenError::WrongSegmentCount,
        ),
        (
            format!("{header}..{iv}AAAA.{text}.{tag}"),
            OpenError::WrongLength,
        ),
        (format!("{header}...{text}.{tag}"), OpenError::WrongLength),
        // A short tag would be easier to guess.
        (
            format!("{header}..{iv}.{text}.{}", base64url(&[0; 12])),
            OpenError::WrongLength,
        ),
        (
            format!("{header}..{iv}.{text}.{tag}="),
            OpenError::BadBase64,
        ),
    ] {
        assert_eq!(refused(&changed), error, "{changed}");
    }
}

#[test]
fn headers_are_read_strictly() {
    let add = |member: &str| {
        let member = member.to_owned();
        with_header(move |header| header.replacen('{', &format!("{{{member},"), 1))
    };
    let replace = |from: &'static str, to: &'static str| {
        with_header(move |header| header.replacen(from, to, 1))
    };
    // The honest cases: the same way of making one, and members that may stand there.
    assert!(open(&with_header(|header| header), LIMIT, &key()).is_ok());
    for member in [r#""kid":"k""#, r#""typ":"JWT""#, r#""cty":"JWT""#] {
        assert!(open(&add(member), LIMIT, &key()).is_ok(), "{member}");
    }
    for (text, error) in [
        (add(r#""crit":["exp"]"#), OpenError::CriticalHeader),
        (add(r#""zip":"DEF""#), OpenError::Compressed),
        (add(r#""jku":"https://a""#), OpenError::UnknownHeaderMember),
        (add(r#""kid":1"#), OpenError::HeaderMemberType),
        (add(r#""apu":"=""#), OpenError::BadBase64),
        // They would have to be in the key.
        (add(r#""apu":"AAAA""#), OpenError::NotForThisKey),
        (add(r#""apv":"AAAA""#), OpenError::NotForThisKey),
        (add(r#""alg":"ECDH-ES""#), OpenError::HeaderNotAnObject),
        (
            replace("ECDH-ES", "ECDH-ES+A256KW"),
            OpenError::WrongAlgorithm,
        ),
        (replace("ECDH-ES", "dir"), OpenError::WrongAlgorithm),
        (
            replace(r#""alg":"ECDH-ES","#, ""),
            OpenError::WrongAlgorithm,
        ),
        (replace("A256GCM", "A128GCM"), OpenError::WrongEncryption),
        (
            replace("A256GCM", "A256CBC-HS512"),
            OpenError::WrongEncryption,
        ),
        (
            replace(r#""enc":"A256GCM","#, ""),
            OpenError::WrongEncryption,
        ),
        (with_header(|_| "[]".into()), OpenError::HeaderNotAnObject),
        (with_header(|_| "{".into()), OpenError::HeaderNotAnObject),
        (
            add(&format!(r#""kid":"{}""#, "k".repeat(MAX_HEADER_BYTES))),
            OpenError::HeaderTooLong,
        ),
    ] {
        assert_eq!(refused(&text), error, "{text}");
    }
}

#[test]
fn ephemeral_keys_are_points_of_the_curve() {
    let ephemeral = PrivateKey::generate(&mut rng("ephemeral"));
    let Jwk { x, y, .. } = ephemeral.public_key().to_jwk();
    let zero = base64url(&[0; 32]);
    let jwk = |crv: &str, x: &str, y: &str| {
        format!(r#","epk":{{"kty":"EC","crv":"{crv}","x":"{x}","y":"{y}"}}"#)
    };
    let text = |epk: &str| {
        let header = format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM"{epk}}}"#);
        encrypt_under(&header, &ephemeral)
    };
    assert!(open(&text(&jwk("P-256", &x, &y)), LIMIT, &key()).is_ok());
    for epk in [
        String::new(),
        jwk("P-256", &x, &x),
        jwk("P-256", &zero, &zero),
        jwk("P-256", &x, &zero),
        jwk("P-256", &x, &y[1..]),
        jwk("P-384", &x, &y),
        jwk("P-256", &x, &y).replace("EC", "OKP"),
        jwk("P-256", &x, &y).replace("}", r#","d":"AA"}"#),
        jwk("P-256", &x, &y).replace(&format!(r#","y":"{y}""#), ""),
        r#","epk":"key""#.to_owned(),
    ] {
        assert_eq!(refused(&text(&epk)), OpenError::BadEphemeralKey, "{epk}");
    }
    // The mirror image has the same x, but the header is authenticated.
    let mirrored = mirror(&ephemeral).to_jwk().y;
    let mirrored = jwk("P-256", &x, &mirrored);
    let honest = text(&jwk("P-256", &x, &y));
    let (_, rest) = honest.split_once('.').unwrap();
    let header = format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM"{mirrored}}}"#);
    let changed = format!("{}.{rest}", base64url(header.as_bytes()));
    assert_eq!(refused(&changed), OpenError::NotForThisKey);
}

fn mirror(key: &PrivateKey) -> PublicKey {
    let scalar = -*key.secret.to_nonzero_scalar();
    PrivateKey::from_scalar(&scalar.to_bytes().into())
        .unwrap()
        .public_key()
}

#[test]
fn claims_of_another_form_are_refused() {
    let public = key().public_key();
    let dvr = sealed(br#"{"data":"d.v.r"}"#);
    let user_data = |claims: &str| seal(claims.as_bytes(), LIMIT, &public, &mut rng("c")).unwrap();
    let opened = |claims: &str| open_request(&user_data(claims), &dvr, &key());
    let honest = r#"{"data":"{\"bank\":\"a.b.c\"}","iat":1}"#;
    assert_eq!(opened(honest).unwrap().tokens["bank"], "a.b.c");
    for (claims, error) in [
        ("", OpenError::WrongClaims),
        ("[]", OpenError::WrongClaims),
        ("{}", OpenError::WrongClaims),
        (r#"{"data":1}"#, OpenError::WrongClaims),
        (r#"{"data":{"bank":"a.b.c"}}"#, OpenError::WrongClaims),
        (r#"{"data":"{}","data":"{}"}"#, OpenError::WrongClaims),
        (r#"{"data":"{}"} "x""#, OpenError::WrongClaims),
        (r#"{"data":"a.b.c"}"#, OpenError::WrongUserData),
        (r#"{"data":"[]"}"#, OpenError::WrongUserData),
        (r#"{"data":"{\"bank\":1}"}"#, OpenError::WrongUserData),
        (
            r#"{"data":"{\"a\":\"t\",\"a\":\"u\"}"}"#,
            OpenError::WrongUserData,
        ),
        (r#"{"data":"{}"}"#, OpenError::Body(BodyError::TokenCount)),
    ] {
        let refused = opened(claims).unwrap_err();
        assert_eq!(refused, error, "{claims}");
        assert_eq!(refused.code(), Code::SealedRequestRejected);
    }
    let not_text = seal(&[0xff], LIMIT, &public, &mut rng("c")).unwrap();
    for (user_data, dvr) in [(&not_text, &dvr), (&user_data(honest), &not_text)] {
        let refused = open_request(user_data, dvr, &key()).unwrap_err();
        assert_eq!(refused, OpenError::WrongClaims);
    }
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", key()), "PrivateKey(..)");
}

proptest! {
    #[test]
    fn what_is_sealed_opens_for_its_key_only(plain in prop::collection::vec(any::<u8>(), 0..300)) {
        let jwe = sealed(&plain);
        prop_assert_eq!(&*open(&jwe, LIMIT, &key()).unwrap(), &plain);
        prop_assert_eq!(open(&jwe, LIMIT, &bob()).unwrap_err(), OpenError::NotForThisKey);
    }

    #[test]
    fn any_tokens_make_the_round_trip(
        tokens in prop::collection::btree_map(".{0,16}", "\\PC{0,200}", 1..=4),
        dvr in "\\PC{0,200}",
    ) {
        let (user_data, dvr_jwe) =
            seal_request(&tokens, &dvr, &key().public_key(), &mut rng("p")).unwrap();
        let body = open_request(&user_data, &dvr_jwe, &key()).unwrap();
        prop_assert_eq!(&body.tokens, &tokens);
        prop_assert_eq!(&body.dvr_token, &dvr);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\PC{0,80}|[A-Za-z0-9_.-]{0,200})") {
        refused(&text);
    }

    #[test]
    fn no_header_makes_it_panic(header in r#"\{("(alg|enc|epk|apu|x)":("ECDH-ES"|"A256GCM"|\{\}|1|""),?){0,4}\}"#) {
        let text = format!("{}..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA", base64url(header.as_bytes()));
        refused(&text);
    }
}
