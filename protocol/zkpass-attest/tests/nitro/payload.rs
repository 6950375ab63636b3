//! The members of the payload, all validly signed.

use zkpass_attest::{
    EvidenceError,
    nitro::{CborError, NitroError},
};
use zkpass_devtee::nitro::{cbor, forge};

use crate::support::*;

fn with(name: &str, content: Vec<u8>) -> NitroError {
    nitro_refusal(&with_member(name, Some(content)))
}

fn payload(payload: &[u8]) -> NitroError {
    nitro_refusal(&forge::sign_payload(&SIGNER, payload))
}

fn wrong_type(expected: &'static str) -> NitroError {
    CborError::WrongType { expected }.into()
}

/// Written registers, in the given order.
fn registers(list: &[(u64, &[u8])]) -> Vec<u8> {
    let pairs: Vec<_> = list
        .iter()
        .map(|(index, value)| (cbor::unsigned(*index), cbor::bytes(value)))
        .collect();
    cbor::map(&pairs)
}

#[test]
fn the_map_may_have_a_length_or_not_and_any_order() {
    let mut members = members();
    members.reverse();
    let pairs: Vec<_> = members
        .iter()
        .map(|(name, value)| (cbor::text(name), value.clone()))
        .collect();
    for payload in [cbor::map(&pairs), cbor::members(members)] {
        let document = forge::sign_payload(&SIGNER, &payload);
        assert!(judge_forged(&document).is_ok());
    }
}

#[test]
fn required_members_are_required_and_optional_ones_optional() {
    for member in [
        "module_id",
        "digest",
        "timestamp",
        "pcrs",
        "certificate",
        "cabundle",
    ] {
        let error = nitro_refusal(&with_member(member, None));
        assert_eq!(error, NitroError::MissingMember(member));
    }
    assert!(judge_forged(&with_member("public_key", None)).is_ok());
    assert!(judge_forged(&with_member("public_key", Some(vec![0xf6]))).is_ok());
    for null in [None, Some(vec![0xf6])] {
        let refused = |member| refusal(&with_member(member, null.clone()));
        assert_eq!(refused("user_data"), EvidenceError::WrongBinding);
        assert_eq!(refused("nonce"), EvidenceError::WrongNonce);
    }
}

#[test]
fn each_member_occurs_once() {
    for (name, value) in members() {
        for again in [value, vec![0xf6]] {
            let twice = cbor::members(members().into_iter().chain([(name, again.clone())]));
            let error = payload(&twice);
            match (name, again[0]) {
                // Null is no value of a required member.
                ("public_key" | "user_data" | "nonce", _) => {}
                (_, 0xf6) => {
                    assert!(matches!(error, NitroError::Malformed(_)));
                    continue;
                }
                _ => {}
            }
            assert_eq!(error, NitroError::RepeatedMember(name));
        }
    }
}

#[test]
fn members_of_other_documents_are_refused() {
    let more = |name, value| cbor::members(members().into_iter().chain([(name, value)]));
    // The registers of a NitroTPM document, which stands under the same root.
    let tpm = more("nitrotpm_pcrs", registers(&[(4, &[1; 48])]));
    assert_eq!(payload(&tpm), NitroError::UnknownMember);
    assert_eq!(
        payload(&more("Nonce", vec![0xf6])),
        NitroError::UnknownMember
    );
    assert_eq!(payload(&more("", vec![0xf6])), NitroError::UnknownMember);
}

#[test]
fn each_member_has_its_type() {
    let text = cbor::text(&"x".repeat(48));
    for member in ["certificate", "public_key", "user_data", "nonce"] {
        assert_eq!(with(member, text.clone()), wrong_type("a byte string"));
    }
    assert_eq!(with("cabundle", text.clone()), wrong_type("an array"));
    assert_eq!(
        with("cabundle", cbor::array(std::slice::from_ref(&text))),
        wrong_type("a byte string")
    );
    assert_eq!(with("pcrs", text.clone()), wrong_type("a map"));
    let pcr = cbor::map(&[(cbor::unsigned(0), text.clone())]);
    assert_eq!(with("pcrs", pcr), wrong_type("a byte string"));
    let pcr = cbor::map(&[(vec![0x20], cbor::bytes(&[1; 48]))]);
    assert_eq!(with("pcrs", pcr), wrong_type("an unsigned integer"));
    assert_eq!(with("timestamp", text), wrong_type("an unsigned integer"));
    // A float, and a negative number.
    for number in [b"\xfb\0\0\0\0\0\0\0\0".to_vec(), vec![0x20]] {
        assert_eq!(with("timestamp", number), wrong_type("an unsigned integer"));
    }
    for member in ["module_id", "digest"] {
        assert_eq!(with(member, cbor::bytes(b"SHA384")), wrong_type("a text"));
    }
    assert_eq!(payload(&cbor::array(&[])), wrong_type("a map"));
    let bytes_as_key = cbor::map(&[(cbor::bytes(b"digest"), cbor::text("SHA384"))]);
    assert_eq!(payload(&bytes_as_key), wrong_type("a text"));
}

#[test]
fn numbers_and_lengths_are_written_in_their_shortest_form() {
    let long = |content: &[u8]| with("nonce", content.to_vec());
    let error = NitroError::from(CborError::NotCanonical);
    assert_eq!(long(b"\x58\x01x"), error);
    assert_eq!(long(b"\x59\x00\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), error);
    assert_eq!(long(b"\x5a\x00\x00\x00\x01x"), error);
    assert_eq!(long(b"\x5b\x00\x00\x00\x00\x00\x00\x00\x01x"), error);
    assert_eq!(with("timestamp", b"\x1b\0\0\0\0\0\0\0\x01".to_vec()), error);
    assert_eq!(with("pcrs", b"\xb8\x01\x00\x41x".to_vec()), error);
    assert_eq!(with("pcrs", b"\xa1\x18\x00\x41x".to_vec()), error);
    // Reserved initial bytes, and strings in pieces.
    assert_eq!(long(b"\x5c"), CborError::Reserved.into());
    assert_eq!(long(b"\x5f\x41x\xff"), CborError::IndefiniteString.into());
    let pieces = b"\x7f\x66SHA384\xff".to_vec();
    assert_eq!(with("digest", pieces), CborError::IndefiniteString.into());
    assert_eq!(
        with("digest", b"\x61\xff".to_vec()),
        CborError::NotUtf8.into()
    );
}

#[test]
fn nothing_follows_the_payload() {
    let mut longer = cbor::members(members());
    longer.push(0);
    assert_eq!(payload(&longer), CborError::TrailingBytes.into());
}

#[test]
fn members_have_lengths() {
    let length = |member, bytes| NitroError::MemberLength { member, bytes };
    for (member, most) in [("public_key", 1024), ("user_data", 512), ("nonce", 512)] {
        let content = |bytes| cbor::bytes(&vec![7; bytes]);
        assert_eq!(with(member, content(most + 1)), length(member, most + 1));
        let mut document = document();
        match member {
            "public_key" => document.public_key = Some(vec![7; most]),
            "user_data" => document.user_data = Some(vec![7; most]),
            _ => document.nonce = Some(vec![7; most]),
        }
        let bytes = SIGNER.document(&document);
        let bound = zkpass_attest::Binding::to(document.user_data.as_ref().unwrap())
            .with_nonce(document.nonce.as_ref().unwrap());
        assert!(judge(&bytes, &policy(), &bound, NOW).is_ok());
    }
    assert_eq!(with("module_id", cbor::text("")), length("module_id", 0));
    for bytes in [0, 1025] {
        let certificate = cbor::bytes(&vec![0x30; bytes]);
        assert_eq!(
            with("certificate", certificate.clone()),
            length("certificate", bytes)
        );
        assert_eq!(
            with("cabundle", cbor::array(&[certificate])),
            length("cabundle", bytes)
        );
    }
}

#[test]
fn registers_are_sha384_digests_with_an_index_each() {
    for digest in ["SHA256", "sha384", ""] {
        assert_eq!(with("digest", cbor::text(digest)), NitroError::WrongDigest);
    }
    let (a, b) = ([1; 48], [2; 48]);
    for bytes in [0, 32, 47, 49, 64] {
        let value = vec![1; bytes];
        assert_eq!(
            with("pcrs", registers(&[(0, &value)])),
            NitroError::PcrLength { index: 0, bytes }
        );
    }
    assert_eq!(
        with("pcrs", registers(&[(32, &a)])),
        NitroError::PcrIndex(32)
    );
    assert_eq!(
        with("pcrs", registers(&[(u64::MAX, &a)])),
        NitroError::PcrIndex(u64::MAX)
    );
    // 256 is not 0.
    assert_eq!(
        with("pcrs", registers(&[(256, &a)])),
        NitroError::PcrIndex(256)
    );
    for second in [a, b] {
        assert_eq!(
            with("pcrs", registers(&[(0, &a), (1, &b), (0, &second)])),
            NitroError::RepeatedPcr(0)
        );
    }
    let mut all = document();
    all.pcrs = (0..32).map(|index| (index, [index + 1; 48])).collect();
    assert!(judge_forged(&SIGNER.document(&all)).is_ok());
}

#[test]
fn the_time_is_possible() {
    for impossible in [0, 253_402_300_800_000, u64::MAX] {
        let error = with("timestamp", cbor::unsigned(impossible));
        assert_eq!(error, NitroError::BadTimestamp);
    }
    let last = cbor::unsigned(253_402_300_799_999);
    assert_eq!(with("timestamp", last), NitroError::FromTheFuture);
}
