//! A development root is kept as text, and its quotes have the genuine layout.

use getrandom::{SysRng, rand_core::UnwrapErr};
use zkpass_devtee::tdx::{TdxQuoteFields, TdxRoot, TdxRootError};

/// 2026-06-01T00:00:00Z.
const NOW: i64 = 1_780_272_000;
const DAY: i64 = 86_400;

fn root() -> TdxRoot {
    TdxRoot::generate(&mut UnwrapErr(SysRng), NOW).unwrap()
}

#[test]
fn a_root_is_read_as_it_was_written() {
    let root = root();
    let text = root.to_pem().unwrap();
    let again = TdxRoot::from_pem(&text).unwrap();
    assert_eq!(again.certificate_der(), root.certificate_der());
    assert_eq!(again.fingerprint(), root.fingerprint());
    assert_eq!(*again.to_pem().unwrap(), *text);

    let other = self::root().to_pem().unwrap();
    let begin = text.find("-----BEGIN CERTIFICATE").unwrap();
    let other_begin = other.find("-----BEGIN CERTIFICATE").unwrap();
    for (text, error) in [
        (String::new(), TdxRootError::BadCertificate),
        (text[..begin].to_owned(), TdxRootError::BadCertificate),
        (text[begin..].to_owned(), TdxRootError::BadKey),
        (
            text[..begin].to_owned() + &other[other_begin..],
            TdxRootError::KeyMismatch,
        ),
    ] {
        assert_eq!(TdxRoot::from_pem(&text).unwrap_err(), error);
    }
}

#[test]
fn nothing_shows_a_key() {
    let root = root();
    let platform = root.platform(&mut UnwrapErr(SysRng), NOW).unwrap();
    assert_eq!(format!("{root:?}"), "TdxRoot(..)");
    assert_eq!(format!("{platform:?}"), "TdxPlatform(..)");
}

#[test]
fn a_root_ends() {
    let root = root();
    let at = |now| root.platform(&mut UnwrapErr(SysRng), now).map(|_| ());
    assert_eq!(at(NOW), Ok(()));
    let end = NOW + 20 * 365 * DAY;
    assert_eq!(at(end), Ok(()));
    assert_eq!(at(end + 1), Err(TdxRootError::RootNotValid));
    assert_eq!(at(NOW - 3601), Err(TdxRootError::RootNotValid));
    for now in [-1, 0, i64::MIN, i64::MAX] {
        let error = TdxRoot::generate(&mut UnwrapErr(SysRng), now).unwrap_err();
        assert_eq!(error, TdxRootError::TimeOutOfRange);
    }
}

#[test]
fn a_quote_has_the_layout_of_intels() {
    let platform = root().platform(&mut UnwrapErr(SysRng), NOW).unwrap();
    let quote = platform.quote(&TdxQuoteFields::new([0xaa; 48], [0xbb; 64]));
    assert_eq!(quote[..8], [4, 0, 2, 0, 0x81, 0, 0, 0]);
    assert_eq!(quote[48 + 136..48 + 184], [0xaa; 48]);
    assert_eq!(quote[48 + 520..48 + 584], [0xbb; 64]);
    let length = u32::from_le_bytes(quote[632..636].try_into().unwrap());
    assert_eq!(quote.len(), 636 + length as usize);
    // Certification data of type 6 around that of type 5.
    assert_eq!(quote[636 + 128..636 + 130], [6, 0]);
    let inner = 636 + 128 + 6 + 384 + 64 + 2 + 32;
    assert_eq!(quote[inner..inner + 2], [5, 0]);
    assert!(quote[inner + 6..].starts_with(b"-----BEGIN CERTIFICATE-----"));
    assert!(quote.ends_with(b"-----END CERTIFICATE-----\n\0"));
}
