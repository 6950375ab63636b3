//! Chains under a development root that are right but for one thing.

use zkpass_attest::nitro::{CertificateError, NitroError};
use zkpass_devtee::nitro::{
    NitroRoot, NitroSigner, cbor,
    forge::{self, KeyUsages, Template},
};

use crate::support::*;

/// The error of a good document under this chain.
fn error(signer: &NitroSigner) -> NitroError {
    nitro_refusal(&signer.document(&document()))
}

fn chain(issuers: &[Template], enclave: &Template) -> NitroSigner {
    forge::chain(&mut SeededRng(7), &ROOT, issuers, enclave).unwrap()
}

fn issuers() -> [Template; 3] {
    [2, 1, 0].map(|length| forge::issuer(NOW, Some(length)))
}

#[test]
fn the_genuine_shape_is_accepted() {
    let signer = chain(&issuers(), &forge::enclave(NOW));
    assert!(judge_forged(&signer.document(&document())).is_ok());
    // So is a shorter one: the pinned root decides how it divides its work.
    let signer = chain(&[], &forge::enclave(NOW));
    assert!(judge_forged(&signer.document(&document())).is_ok());
}

#[test]
fn another_root_of_the_same_name_is_not_the_root() {
    let other = NitroRoot::generate(&mut SeededRng(99), NOW).unwrap();
    let signer = other.instance(&mut SeededRng(98), NOW).unwrap();
    assert_eq!(error(&signer), NitroError::UnknownRoot);
    // Nor does the right certificate in its place help.
    let mut bundle = forge::bundle(&signer).to_vec();
    bundle[0] = ROOT.certificate_der().to_vec();
    let signer = forge::with_bundle(signer, bundle);
    assert_eq!(error(&signer), NitroError::CertificateSignature(1));
}

#[test]
fn an_enclave_cannot_issue() {
    let signer = forge::below(&mut SeededRng(3), &SIGNER, &forge::enclave(NOW)).unwrap();
    assert_eq!(error(&signer), NitroError::NotAnIssuer(4));
}

#[test]
fn an_issuer_must_be_one_by_both_extensions() {
    let mut issuers = issuers();
    issuers[1].is_authority = false;
    let signer = chain(&issuers, &forge::enclave(NOW));
    assert_eq!(error(&signer), NitroError::NotAnIssuer(2));
    issuers[1].is_authority = true;
    issuers[1].usage = KeyUsages::DigitalSignature | KeyUsages::CRLSign;
    let signer = chain(&issuers, &forge::enclave(NOW));
    assert_eq!(error(&signer), NitroError::NotAnIssuer(2));
}

#[test]
fn a_signer_must_be_one_by_both_extensions() {
    let mut enclave = forge::enclave(NOW);
    enclave.is_authority = true;
    assert_eq!(error(&chain(&issuers(), &enclave)), NitroError::NotASigner);
    enclave.is_authority = false;
    enclave.usage = KeyUsages::NonRepudiation.into();
    assert_eq!(error(&chain(&issuers(), &enclave)), NitroError::NotASigner);
}

#[test]
fn the_path_has_the_length_that_each_issuer_allows() {
    let enclave = forge::enclave(NOW);
    let lengths = |lengths: [Option<u8>; 3]| {
        let issuers = lengths.map(|length| forge::issuer(NOW, length));
        let signer = chain(&issuers, &enclave);
        judge_forged(&signer.document(&document())).map(|_| ())
    };
    let too_long = |index| Err(NitroError::PathTooLong(index).into());
    assert_eq!(lengths([None, None, None]), Ok(()));
    assert_eq!(lengths([Some(2), None, Some(0)]), Ok(()));
    assert_eq!(lengths([Some(1), Some(1), Some(0)]), too_long(1));
    assert_eq!(lengths([Some(2), Some(0), Some(0)]), too_long(2));
    assert_eq!(lengths([Some(0), Some(1), Some(0)]), too_long(1));
}

#[test]
fn every_certificate_is_valid_now() {
    let certificate = |index: usize, change: fn(&mut Template)| {
        let mut issuers = issuers();
        let mut enclave = forge::enclave(NOW);
        change(issuers.get_mut(index - 1).unwrap_or(&mut enclave));
        error(&chain(&issuers, &enclave))
    };
    for index in 1..=4 {
        assert_eq!(
            certificate(index, |template| template.not_before = NOW + 1),
            NitroError::CertificateNotYetValid(index)
        );
        assert_eq!(
            certificate(index, |template| template.not_after = NOW - 1),
            NitroError::CertificateExpired(index)
        );
    }
    let mut issuers = issuers();
    issuers[0].not_after = NOW;
    issuers[1].not_before = NOW;
    let signer = chain(&issuers, &forge::enclave(NOW));
    let claims = judge_forged(&signer.document(&document())).unwrap();
    assert_eq!(claims.valid_until(), NOW);
}

#[test]
fn the_root_is_valid_now_too() {
    let root = NitroRoot::generate(&mut SeededRng(50), NOW + 7200).unwrap();
    let signer = root.instance(&mut SeededRng(51), NOW);
    assert!(signer.is_err());
    let issued = forge::chain(&mut SeededRng(52), &root, &[], &forge::enclave(NOW)).unwrap();
    let policy = zkpass_attest::danger::trust_development_root(
        pin([(0, pcr(0))].into()),
        root.fingerprint(),
    );
    let verdict = judge(&issued.document(&document()), &policy, &binding(), NOW);
    assert_eq!(
        verdict.unwrap_err(),
        NitroError::CertificateNotYetValid(0).into()
    );
}

#[test]
fn extensions_are_understood_or_not_critical() {
    let with = |oid, critical| {
        let mut issuers = issuers();
        let extension = forge::extension(oid, critical, b"\x05\x00").unwrap();
        issuers[1].extensions.push(extension);
        chain(&issuers, &forge::enclave(NOW))
    };
    let refused = |error| NitroError::Certificate { index: 2, error };
    // An unknown one, name constraints, extended key usage.
    for oid in ["1.3.6.1.4.1.55555.1", "2.5.29.30", "2.5.29.37"] {
        assert_eq!(
            error(&with(oid, true)),
            refused(CertificateError::CriticalExtension(oid.to_owned()))
        );
        assert!(judge_forged(&with(oid, false).document(&document())).is_ok());
    }
    for oid in ["2.5.29.19", "2.5.29.15"] {
        assert_eq!(
            error(&with(oid, true)),
            refused(CertificateError::RepeatedExtension(oid.to_owned()))
        );
    }
}

#[test]
fn names_link_each_certificate_to_the_one_before() {
    let mut issuers = issuers();
    for (index, issuer) in issuers.iter_mut().enumerate() {
        issuer.subject = format!("CN=issuer {index}");
    }
    let signer = chain(&issuers, &forge::enclave(NOW));
    let mut bundle = forge::bundle(&signer).to_vec();
    assert!(judge_forged(&signer.document(&document())).is_ok());
    bundle.remove(2);
    let signer = forge::with_bundle(signer, bundle);
    assert_eq!(error(&signer), NitroError::WrongIssuer(2));
}

#[test]
fn certificates_are_der_and_nothing_more() {
    let malformed = |index| NitroError::Certificate {
        index,
        error: CertificateError::Malformed,
    };
    let changed = |index: usize, change: fn(&mut Vec<u8>)| {
        let mut bundle = forge::bundle(&SIGNER).to_vec();
        change(&mut bundle[index]);
        let bundle: Vec<_> = bundle.iter().map(|der| cbor::bytes(der)).collect();
        nitro_refusal(&with_member("cabundle", Some(cbor::array(&bundle))))
    };
    for index in 0..4 {
        assert_eq!(changed(index, |der| der.push(0)), malformed(index));
        assert_eq!(changed(index, |der| der.truncate(100)), malformed(index));
        assert_eq!(changed(index, |der| der[0] = 0x31), malformed(index));
    }
    let leaf = with_member("certificate", Some(cbor::bytes(&[0x30, 0x00])));
    assert_eq!(nitro_refusal(&leaf), malformed(4));
}
