use serde_json::Value;

use super::*;
use crate::encoding::hex;

/// A signing key whose secret is one byte, repeated.
fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32]).unwrap()
}

/// RFC 7515 appendix A.3.1.
const RFC7515_KEY: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

#[test]
fn legacy_halves_are_an_spki() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../tests/vectors/public-key-halves.json")).unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let key = PublicKey::from_legacy(text("x"), text("y")).unwrap();
        let (x, y) = key.coordinates();
        assert_eq!(
            (hex(&x), hex(&y)),
            (text("affine_x_hex").into(), text("affine_y_hex").into())
        );
        assert_eq!(hex(&key.spki()), text("spki_der_hex"));
        assert_eq!(PublicKey::from_pem(text("pem")), Ok(key));
        assert_eq!(key.to_pem().trim_end(), text("pem"));
        assert_eq!(key.to_legacy(), (text("x").into(), text("y").into()));
        let legacy = format!(r#"{{"x":"{}","y":"{}"}}"#, text("x"), text("y"));
        assert_eq!(PublicKey::from_text(&legacy), Ok(key));
        let named = format!(r#"{{"PublicKey":{legacy}}}"#);
        assert_eq!(PublicKey::from_text(&named), Ok(key));
    }
}

#[test]
fn every_public_form_is_read_back() {
    let key = signing_key(7).public();
    let jwk = serde_json::to_string(&key.to_jwk()).unwrap();
    let with_more = jwk.replacen(
        '{',
        r#"{"kid":"1","use":"sig","alg":"ES256","ext":true,"#,
        1,
    );
    let (x, y) = key.to_legacy();
    for text in [
        key.to_pem(),
        format!("\n{}\n\n", key.to_pem()),
        key.to_pem().replace('\n', "\r\n"),
        jwk.clone(),
        format!(" {jwk}\n"),
        with_more,
        format!(r#"{{"PublicKey":{jwk}}}"#),
        format!(r#"{{"PublicKey":{{"x":"{x}","y":"{y}"}}}}"#),
    ] {
        assert_eq!(PublicKey::from_text(&text), Ok(key), "{text}");
    }
    let (x, y) = key.coordinates();
    assert_eq!(PublicKey::from_coordinates(&x, &y), Ok(key));
}

#[test]
fn each_fault_has_its_error() {
    let secret = signing_key(7);
    let key = secret.public();
    let jwk = serde_json::to_string(&key.to_jwk()).unwrap();
    let x = key.to_jwk().x;
    let private = secret.to_jwk();
    let keyset = r#"{"KeysetEndpoint":{"jku":"https://a.example/jwks","kid":"1"}}"#;
    for (text, error) in [
        ("", KeyError::UnknownForm),
        ("hello", KeyError::UnknownForm),
        ("{}", KeyError::BadJwk),
        (keyset, KeyError::KeysetUnresolved),
        (&secret.to_pem(), KeyError::PrivateKey),
        (&private, KeyError::PrivateKey),
        (&jwk.replace("P-256", "P-384"), KeyError::BadJwk),
        (&jwk.replace("EC", "RSA"), KeyError::BadJwk),
        (
            &jwk.replacen('{', r#"{"alg":"ES384","#, 1),
            KeyError::BadJwk,
        ),
        (&jwk.replacen('{', r#"{"use":"enc","#, 1), KeyError::BadJwk),
        (&jwk.replacen('{', r#"{"kty":"EC","#, 1), KeyError::BadJwk),
        (&jwk.replace(&x, &format!("{x}=")), KeyError::BadJwk),
        (&jwk.replace(&x, &x[1..]), KeyError::BadJwk),
        (&jwk.replace(&x, &key.to_jwk().y), KeyError::NotOnCurve),
        (r#"{"x":"123","y":"456"}"#, KeyError::BadLegacy),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            KeyError::BadPem,
        ),
        (
            &key.to_pem().replace("PUBLIC KEY", "CERTIFICATE"),
            KeyError::BadPem,
        ),
        (
            &format!("{{{}x", " ".repeat(MAX_KEY_TEXT_BYTES)),
            KeyError::TooLarge,
        ),
        (
            &format!("-----BEGIN{}", " ".repeat(MAX_KEY_TEXT_BYTES) + "x"),
            KeyError::TooLarge,
        ),
    ] {
        let shown: String = text.chars().take(80).collect();
        assert_eq!(PublicKey::from_text(text), Err(error), "{shown}");
    }
    assert_eq!(
        PublicKey::from_coordinates(&[0; 32], &[0; 32]),
        Err(KeyError::NotOnCurve)
    );
    assert_eq!(
        PublicKey::from_coordinates(&[0xff; 32], &[1; 32]),
        Err(KeyError::NotOnCurve)
    );
}

/// RFC 7638 has no P-256 example; this value is SHA-256 of its members,
/// computed with another tool.
#[test]
fn thumbprint_of_the_rfc_7515_key() {
    let key = SigningKey::from_text(RFC7515_KEY).unwrap();
    assert_eq!(
        key.public().thumbprint(),
        "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
    );
}

/// RFC 6979 appendix A.2.5, message "sample", SHA-256.
#[test]
fn signatures_are_those_of_rfc_6979() {
    let secret = crate::encoding::from_hex(
        "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
    )
    .unwrap();
    let key = SigningKey::from_bytes(&secret).unwrap();
    let signature = key.sign(b"sample");
    assert_eq!(
        hex(&signature),
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    );
    assert!(key.public().verifies(b"sample", &signature));
    assert!(!key.public().verifies(b"sampl", &signature));
    assert!(!key.public().verifies(b"sample", &[0; 64]));
    assert!(!key.public().verifies(b"sample", &[0xff; 64]));
    assert!(!signing_key(1).public().verifies(b"sample", &signature));
}

#[test]
fn every_secret_form_is_read_back() {
    let key = signing_key(9);
    let sec1 = p256::SecretKey::from_slice(&[9; 32])
        .unwrap()
        .to_sec1_pem(LineEnding::LF)
        .unwrap();
    let with_parameters = format!(
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}",
        *sec1
    );
    for text in [&*key.to_pem(), &*key.to_jwk(), &*sec1, &with_parameters] {
        let read = SigningKey::from_text(text).unwrap();
        assert_eq!(read.public(), key.public());
        assert_eq!(read.sign(b"m"), key.sign(b"m"));
    }
}

#[test]
fn bad_secrets_are_refused() {
    let error = |text: &str| SigningKey::from_text(text).map(|_| ()).unwrap_err();
    assert_eq!(
        SigningKey::from_bytes(&[0; 32]).unwrap_err(),
        KeyError::BadScalar
    );
    assert_eq!(
        SigningKey::from_bytes(&[0xff; 32]).unwrap_err(),
        KeyError::BadScalar
    );
    assert_eq!(error(""), KeyError::BadPem);
    assert_eq!(error(&signing_key(9).public().to_pem()), KeyError::BadPem);
    assert_eq!(
        error(&serde_json::to_string(&signing_key(9).public()).unwrap()),
        KeyError::BadJwk
    );
    let d = |seed: u8| base64url(&[seed; 32]);
    let foreign = signing_key(9).to_jwk().replace(&d(9), &d(8));
    assert_eq!(error(&foreign), KeyError::BadJwk);
}

#[test]
fn debug_shows_no_secret() {
    let key = signing_key(0x5a);
    let shown = format!("{key:?} {:?}", Some(&key));
    assert_eq!(shown, "SigningKey(..) Some(SigningKey(..))");
}

#[test]
fn issuer_keys_keep_their_form() {
    let jwk = r#"{"PublicKey":{"kty":"EC","crv":"P-256","x":"a","y":"b"}}"#;
    let legacy = r#"{"PublicKey":{"x":"12\"3","y":"456"}}"#;
    let keyset = r#"{"KeysetEndpoint":{"jku":"https://a.example/jwks","kid":"k"}}"#;
    for text in [jwk, legacy, keyset] {
        let key: IssuerKey = serde_json::from_str(text).unwrap();
        let mut canonical = String::new();
        key.write_canonical(&mut canonical);
        assert_eq!(canonical, text);
        assert_eq!(serde_json::to_string(&key).unwrap(), text);
        assert!(key.public_key().is_err());
    }
    for text in [
        r#"{"PublicKey":{"kty":"EC","x":"a","y":"b"}}"#,
        r#"{"PublicKey":{"kty":"EC","crv":"P-256","x":"a","y":"b","kid":"k"}}"#,
        r#"{"PublicKey":{"x":"a"}}"#,
        r#"{"KeysetEndpoint":{"jku":"a"}}"#,
        r#"{"KeysetEndpoint":{"jku":"a","kid":"b","x":"c"}}"#,
        r#"{"Other":{"x":"a","y":"b"}}"#,
    ] {
        assert!(serde_json::from_str::<IssuerKey>(text).is_err(), "{text}");
    }
    let key = signing_key(3).public();
    assert_eq!(IssuerKey::from(key).public_key(), Ok(key));
}
