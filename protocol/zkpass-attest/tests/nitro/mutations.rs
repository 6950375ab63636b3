//! Genuine documents with bytes changed.

use zkpass_attest::{
    Evidence, EvidenceError, inspect,
    nitro::{CborError, CertificateError, NitroError},
};

use crate::support::*;

fn nitro(error: EvidenceError) -> NitroError {
    match error {
        EvidenceError::Nitro(error) => error,
        other => panic!("{other:?}"),
    }
}

/// The error when the byte at `place` has its lowest bit flipped.
fn flipped(vector: &Vector, place: usize) -> NitroError {
    let mut bytes = vector.bytes.clone();
    bytes[place] ^= 1;
    nitro(vector.verdict_on(&bytes, vector.now()).unwrap_err())
}

/// Where `needle` begins, once.
fn place(haystack: &[u8], needle: &[u8]) -> usize {
    let mut places = haystack
        .windows(needle.len())
        .enumerate()
        .filter(|(_, window)| *window == needle);
    let (place, _) = places.next().unwrap();
    assert!(places.next().is_none());
    place
}

/// Where the certificates of the bundle begin and end.
fn certificates(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut at = place(bytes, b"\x68cabundle\x84") + 10;
    let mut found = Vec::new();
    for _ in 0..4 {
        assert_eq!(bytes[at], 0x59);
        let length = usize::from(bytes[at + 1]) << 8 | usize::from(bytes[at + 2]);
        found.push((at + 3, at + 3 + length));
        at += 3 + length;
    }
    found
}

#[test]
fn one_bit_anywhere_is_found_where_it_is() {
    for vector in Vector::production() {
        let bytes = &vector.bytes;
        // Signature, payload, leaf: the last bytes of the signature on it.
        assert_eq!(
            flipped(&vector, bytes.len() - 1),
            NitroError::WrongSignature
        );
        let pcrs = vector.pcrs();
        assert_eq!(
            flipped(&vector, place(bytes, &pcrs[&0])),
            NitroError::WrongSignature
        );
        let leaf_end = place(bytes, b"\x68cabundle") - 1;
        assert_eq!(
            flipped(&vector, leaf_end),
            NitroError::CertificateSignature(4)
        );
        for (index, (_, end)) in certificates(bytes).into_iter().enumerate() {
            let expected = match index {
                0 => NitroError::UnknownRoot,
                _ => NitroError::CertificateSignature(index),
            };
            assert_eq!(flipped(&vector, end - 1), expected);
        }
    }
}

#[test]
fn a_changed_bit_is_never_accepted() {
    let vector = Vector::named("dstack-prod");
    let mut bytes = vector.bytes.clone();
    for place in (0..bytes.len()).step_by(5) {
        let bit = 1 << (place % 8);
        bytes[place] ^= bit;
        assert!(vector.verdict_on(&bytes, vector.now()).is_err(), "{place}");
        let _ = inspect(&Evidence::Nitro { document: &bytes });
        bytes[place] ^= bit;
    }
    assert!(vector.verdict_on(&bytes, vector.now()).is_ok());
}

#[test]
fn a_document_cut_short_anywhere_is_refused_as_such() {
    for vector in Vector::all() {
        for length in 0..vector.bytes.len() {
            let cut = &vector.bytes[..length];
            assert_eq!(
                nitro(vector.verdict_on(cut, vector.now()).unwrap_err()),
                NitroError::Malformed(CborError::Truncated),
                "{} cut to {length}",
                vector.file
            );
        }
    }
}

#[test]
fn tag_18_changes_nothing_and_other_tags_are_refused() {
    for vector in Vector::production() {
        let tagged = |tag: &[u8]| {
            let bytes = [tag, &vector.bytes].concat();
            vector.verdict_on(&bytes, vector.now())
        };
        assert!(tagged(&[0xd2]).is_ok());
        assert_eq!(
            nitro(tagged(&[0xd1]).unwrap_err()),
            NitroError::WrongTag(17)
        );
        assert_eq!(
            nitro(tagged(&[0xd8, 61]).unwrap_err()),
            NitroError::WrongTag(61)
        );
        assert_eq!(
            nitro(tagged(&[0xd8, 18]).unwrap_err()),
            NitroError::Malformed(CborError::NotCanonical)
        );
        assert_eq!(
            nitro(tagged(&[0xd2, 0xd2]).unwrap_err()),
            NitroError::Malformed(CborError::WrongType {
                expected: "an array"
            })
        );
    }
}

#[test]
fn the_signature_must_be_two_numbers_in_range() {
    let vector = Vector::named("worldcoin");
    let start = vector.bytes.len() - 96;
    let with = |signature: &[u8]| {
        let head = [0x58, signature.len() as u8];
        let bytes = [&vector.bytes[..start - 2], &head, signature].concat();
        nitro(vector.verdict_on(&bytes, vector.now()).unwrap_err())
    };
    let genuine = &vector.bytes[start..];
    let (r, s) = genuine.split_at(48);
    for bytes in [64, 95, 97] {
        let signature = [genuine, &[0]].concat();
        let error = NitroError::SignatureLength { bytes };
        assert_eq!(with(&signature[..bytes]), error);
    }
    // What an emulated module sends.
    assert_eq!(with(&[0; 64]), NitroError::SignatureLength { bytes: 64 });
    for signature in [
        [[0; 48].as_slice(), s],
        [r, &[0; 48]],
        [&[0xff; 48], s],
        [r, &[0xff; 48]],
    ] {
        assert_eq!(with(&signature.concat()), NitroError::SignatureRange);
    }
    assert_eq!(with(&[s, r].concat()), NitroError::WrongSignature);
}

#[test]
fn the_bundle_must_be_in_order_and_complete() {
    let vector = Vector::named("worldcoin");
    let bytes = &vector.bytes;
    let certificates = certificates(bytes);
    let start = certificates[0].0 - 4;
    let end = certificates[3].1;
    let verdict = |order: &[usize]| {
        let mut changed = bytes[..start].to_vec();
        changed.push(0x80 | order.len() as u8);
        for index in order {
            let (from, to) = certificates[*index];
            changed.extend(&bytes[from - 3..to]);
        }
        changed.extend(&bytes[end..]);
        // The payload's own length is part of the document.
        let difference = changed.len() as isize - bytes.len() as isize;
        let head = place(&changed[..16], &[0x59]);
        let length = i16::from_be_bytes([changed[head + 1], changed[head + 2]]);
        let length = length + difference as i16;
        changed[head + 1..head + 3].copy_from_slice(&length.to_be_bytes());
        vector.verdict_on(&changed, vector.now())
    };
    assert!(verdict(&[0, 1, 2, 3]).is_ok());
    let with = |order: &[usize]| nitro(verdict(order).unwrap_err());
    assert_eq!(with(&[]), NitroError::EmptyBundle);
    assert_eq!(with(&[1, 2, 3]), NitroError::UnknownRoot);
    assert_eq!(with(&[3, 2, 1, 0]), NitroError::UnknownRoot);
    assert_eq!(with(&[0, 2, 3]), NitroError::WrongIssuer(1));
    assert_eq!(with(&[0, 1, 3]), NitroError::WrongIssuer(2));
    assert_eq!(with(&[0, 1, 2]), NitroError::WrongIssuer(3));
    assert_eq!(with(&[0, 2, 1, 3]), NitroError::WrongIssuer(1));
    assert_eq!(with(&[0, 1, 3, 2]), NitroError::WrongIssuer(2));
    assert_eq!(with(&[0, 0, 1, 2, 3]), NitroError::RepeatedCertificate(1));
    assert_eq!(with(&[0, 1, 1, 2, 3]), NitroError::RepeatedCertificate(2));
    assert_eq!(with(&[0, 1, 2, 3, 0]), NitroError::RepeatedCertificate(4));
    assert_eq!(with(&[0; 9]), NitroError::LongBundle);
}

#[test]
fn certificates_are_of_the_kind_that_aws_issues() {
    let vector = Vector::named("worldcoin");
    let leaf_start = place(&vector.bytes, b"\x6bcertificate");
    let leaf_end = place(&vector.bytes, b"\x68cabundle");
    // Replaces bytes of the leaf wherever they are in it.
    let with = |old: &[u8], new: &[u8]| {
        let mut bytes = vector.bytes.clone();
        let mut found = 0;
        for at in leaf_start..leaf_end {
            if bytes[at..].starts_with(old) {
                bytes[at..at + old.len()].copy_from_slice(new);
                found += 1;
            }
        }
        assert!(found > 0);
        match nitro(vector.verdict_on(&bytes, vector.now()).unwrap_err()) {
            NitroError::Certificate { index: 4, error } => error,
            other => panic!("{other:?}"),
        }
    };
    let v2 = with(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01");
    assert_eq!(v2, CertificateError::WrongVersion);
    let sha256 = with(
        b"\x2a\x86\x48\xce\x3d\x04\x03\x03",
        b"\x2a\x86\x48\xce\x3d\x04\x03\x02",
    );
    assert_eq!(sha256, CertificateError::WrongAlgorithm);
    let p521 = with(b"\x2b\x81\x04\x00\x22", b"\x2b\x81\x04\x00\x23");
    assert_eq!(p521, CertificateError::WrongKey);
    let hybrid = with(b"\x03\x62\x00\x04", b"\x03\x62\x00\x06");
    assert_eq!(hybrid, CertificateError::WrongKey);
    let no_usage = with(b"\x06\x03\x55\x1d\x0f", b"\x06\x03\x55\x1d\x10");
    assert_eq!(no_usage, CertificateError::NoKeyUsage);
    let bad = with(b"\x04\x02\x30\x00", b"\x04\x02\x31\x00");
    let oid = "2.5.29.19".to_owned();
    assert_eq!(bad, CertificateError::BadExtension(oid));
    // A boolean that is true by another byte than DER has for it.
    let ber = with(b"\x13\x01\x01\xff", b"\x13\x01\x01\x01");
    assert_eq!(ber, CertificateError::Malformed);
}
