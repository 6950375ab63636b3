//! Headers and envelope, validly signed but for what each test changes.

use zkpass_attest::nitro::{CborError, MAX_DOCUMENT_BYTES, NitroError};
use zkpass_devtee::nitro::{cbor, forge};

use crate::support::*;

/// The error under another protected header.
fn header(protected: &[u8]) -> NitroError {
    let payload = cbor::members(members());
    nitro_refusal(&forge::sign(&SIGNER, protected, &payload))
}

#[test]
fn the_algorithm_is_es384() {
    // -7 is ES256, -1 is what an emulated module sends, -36 is ES512, 35 is nothing.
    let others: [&[u8]; 5] = [
        b"\xa1\x01\x26",
        b"\xa1\x01\x20",
        b"\xa1\x01\x38\x23",
        b"\xa1\x01\x18\x23",
        b"\xa1\x01\x65ES384",
    ];
    for other in others {
        assert_eq!(header(other), NitroError::WrongAlgorithm, "{other:?}");
    }
}

#[test]
fn there_must_be_an_algorithm() {
    for empty in [&b""[..], b"\xa0", b"\xbf\xff"] {
        assert_eq!(header(empty), NitroError::MissingAlgorithm);
    }
}

#[test]
fn there_must_be_nothing_else() {
    let with_critical: [&[u8]; 3] = [
        b"\xa2\x01\x38\x22\x02\x81\x01",
        b"\xa2\x02\x81\x01\x01\x38\x22",
        b"\xa1\x02\x81\x01",
    ];
    for protected in with_critical {
        assert_eq!(header(protected), NitroError::CriticalHeader);
    }
    let with_more: [&[u8]; 4] = [
        b"\xa2\x01\x38\x22\x04\x41k",
        b"\xa2\x01\x38\x22\x61a\x01",
        b"\xa2\x20\x01\x01\x38\x22",
        b"\xa2\x01\x38\x22\x01\x38\x22",
    ];
    for protected in with_more {
        assert_eq!(header(protected), NitroError::ExtraHeader);
    }
}

#[test]
fn the_right_header_in_another_form_is_refused() {
    let malformed = |error| NitroError::Malformed(error);
    assert_eq!(
        header(b"\xbf\x01\x38\x22\xff"),
        malformed(CborError::NotCanonical)
    );
    assert_eq!(
        header(b"\xa1\x01\x38\x22\x00"),
        malformed(CborError::TrailingBytes)
    );
    let expected = "a map";
    assert_eq!(
        header(b"\x81\x01"),
        malformed(CborError::WrongType { expected })
    );
}

/// The document with the four parts as given, unsigned: all of this is judged
/// before the signature.
fn envelope(parts: &[Vec<u8>]) -> NitroError {
    nitro_refusal(&cbor::array(parts))
}

fn parts() -> [Vec<u8>; 4] {
    [
        cbor::bytes(b"\xa1\x01\x38\x22"),
        cbor::map(&[]),
        cbor::bytes(&cbor::members(members())),
        cbor::bytes(&[1; 96]),
    ]
}

#[test]
fn the_envelope_is_an_array_of_four() {
    assert_eq!(envelope(&parts()), NitroError::WrongSignature);
    assert_eq!(envelope(&parts()[..3]), NitroError::NotSign1);
    let five = [&parts()[..], &[cbor::unsigned(0)]].concat();
    assert_eq!(envelope(&five), NitroError::NotSign1);
    let mut indefinite = vec![0x9f];
    indefinite.extend(parts().concat());
    indefinite.push(0xff);
    assert_eq!(nitro_refusal(&indefinite), NitroError::NotSign1);
    let expected = "an array";
    assert_eq!(
        nitro_refusal(b"\xa0"),
        CborError::WrongType { expected }.into()
    );
}

#[test]
fn the_unprotected_header_is_empty() {
    let mut changed = parts();
    changed[1] = cbor::map(&[(cbor::unsigned(4), cbor::bytes(b"key"))]);
    assert_eq!(envelope(&changed), NitroError::UnprotectedHeader);
    changed[1] = b"\xbf\xff".to_vec();
    assert_eq!(envelope(&changed), NitroError::UnprotectedHeader);
}

#[test]
fn nothing_follows_the_envelope() {
    let good = SIGNER.document(&document());
    assert!(judge_forged(&good).is_ok());
    let longer = [&good[..], &[0]].concat();
    assert_eq!(nitro_refusal(&longer), CborError::TrailingBytes.into());
}

#[test]
fn lengths_and_depths_that_are_not_there_cost_nothing() {
    // Headers of 2^62 items or bytes, at each place that takes a length.
    for head in [0x5b_u8, 0x7b, 0x9b, 0xbb] {
        let huge = [&[head][..], &(1_u64 << 62).to_be_bytes()].concat();
        let mut cases = vec![huge.clone()];
        for place in 0..4 {
            let mut changed = parts();
            changed[place] = huge.clone();
            cases.push(cbor::array(&changed));
        }
        for (member, _) in members() {
            cases.push(with_member(member, Some(huge.clone())));
        }
        for case in cases {
            let error = nitro_refusal(&case);
            assert!(
                matches!(
                    error,
                    NitroError::Malformed(
                        CborError::Truncated
                            | CborError::WrongType { .. }
                            | CborError::TrailingBytes
                    ) | NitroError::NotSign1
                        | NitroError::UnprotectedHeader
                ),
                "{error:?}"
            );
        }
    }
    for opening in [0x81, 0x9f, 0xa1, 0xbf, 0xc1, 0xd2] {
        let deep = vec![opening; 10_000];
        assert!(judge_forged(&deep).is_err());
        // Alone in the payload, for the size of the document is bounded too.
        let inside = |member| {
            let payload = cbor::members([(member, deep.clone())]);
            nitro_refusal(&forge::sign_payload(&SIGNER, &payload))
        };
        for (member, _) in members() {
            assert!(matches!(inside(member), NitroError::Malformed(_)));
        }
        assert_eq!(inside("more"), NitroError::UnknownMember);
    }
}

#[test]
fn a_document_has_a_largest_size() {
    let large = vec![0; MAX_DOCUMENT_BYTES + 1];
    assert_eq!(nitro_refusal(&large), NitroError::TooLarge);
    let expected = "an array";
    assert_eq!(
        nitro_refusal(&large[1..]),
        CborError::WrongType { expected }.into()
    );
}
