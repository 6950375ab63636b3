//! What the relying party asks for: time, registers, data, nonce, root.

use std::collections::BTreeMap;

use zkpass_attest::{Binding, Evidence, EvidenceError, Facts, Policy, inspect, nitro::NitroError};
use zkpass_devtee::nitro::NitroDocument;

use crate::support::*;

fn verdict(policy: &Policy, now: i64) -> Result<i64, EvidenceError> {
    let bytes = SIGNER.document(&document());
    judge(&bytes, policy, &binding(), now).map(|claims| claims.valid_until())
}

#[test]
fn a_development_document_needs_its_root_to_be_trusted() {
    let bytes = SIGNER.document(&document());
    let claims = judge_forged(&bytes).unwrap();
    assert!(claims.is_development());
    assert_eq!(claims.valid_until(), SIGNER.not_after());
    assert_eq!(
        claims.measurement_id(),
        format!("nitro:{}", "01".repeat(48))
    );

    let pinned = pin(BTreeMap::from([(0, pcr(0))]));
    let error = judge(&bytes, &pinned, &binding(), NOW).unwrap_err();
    assert_eq!(error, NitroError::UnknownRoot.into());
    // Neither does a policy with a development root accept what AWS signed.
    let genuine = Vector::named("worldcoin");
    let policy = trusting(genuine.policy());
    let error = judge(&genuine.bytes, &policy, &Binding::unbound(), genuine.now());
    assert_eq!(error.unwrap_err(), NitroError::UnknownRoot.into());
}

#[test]
fn a_document_is_not_from_the_future() {
    let mut policy = policy();
    // The document's time has 999 milliseconds more than its second.
    assert!(verdict(&policy, NOW).is_ok());
    let early = verdict(&policy, NOW - 1);
    assert_eq!(early, Err(NitroError::FromTheFuture.into()));
    policy.nitro.clock_skew_seconds = 2;
    assert!(verdict(&policy, NOW - 1).is_ok());
    assert!(verdict(&policy, NOW - 2).is_ok());
    let early = verdict(&policy, NOW - 3);
    assert_eq!(early, Err(NitroError::FromTheFuture.into()));
}

#[test]
fn a_document_is_as_young_as_the_policy_wants() {
    let mut policy = policy();
    policy.nitro.max_age_seconds = Some(60);
    assert_eq!(verdict(&policy, NOW + 60), Ok(NOW + 60));
    // The chain is valid for hours more.
    let late = verdict(&policy, NOW + 61);
    assert_eq!(late, Err(NitroError::TooOld.into()));
    policy.nitro.max_age_seconds = Some(u32::MAX);
    assert_eq!(verdict(&policy, NOW + 61), Ok(SIGNER.not_after()));
    let end = SIGNER.not_after() + 1;
    let expired = verdict(&policy, end);
    assert_eq!(expired, Err(NitroError::CertificateExpired(4).into()));
    for extreme in [i64::MIN, i64::MAX] {
        assert!(verdict(&policy, extreme).is_err());
    }
}

#[test]
fn an_entry_of_the_policy_ends_the_claims() {
    let mut entry = measurement("a", BTreeMap::from([(0, pcr(0))]));
    entry.not_after = Some(NOW + 5);
    let policy = trusting(Policy::new([entry]).unwrap());
    assert_eq!(verdict(&policy, NOW), Ok(NOW + 5));
    let ended = EvidenceError::MeasurementExpired {
        name: "a".to_owned(),
    };
    assert_eq!(verdict(&policy, NOW + 6), Err(ended));
}

#[test]
fn debug_enclaves_are_refused_whatever_the_policy_pins() {
    for present in [true, false] {
        let mut debug = document();
        for index in 0..3 {
            match present {
                true => debug.pcrs.insert(index, [0; 48]),
                false => debug.pcrs.remove(&index),
            };
        }
        let bytes = SIGNER.document(&debug);
        for pinned in [3, 4, 8] {
            let policy = trusting(pin(BTreeMap::from([(pinned, pcr(pinned))])));
            let error = judge(&bytes, &policy, &binding(), NOW).unwrap_err();
            assert_eq!(error, EvidenceError::DebugMode);
        }
        let Facts::Nitro(facts) = inspect(&Evidence::Nitro { document: &bytes }).unwrap() else {
            panic!("another platform");
        };
        assert!(facts.debug);
    }
}

#[test]
fn pcr0_must_be_there_and_not_zero() {
    let mut changed = document();
    changed.pcrs.insert(0, [0; 48]);
    let policy = trusting(pin(BTreeMap::from([(8, pcr(8))])));
    let error =
        |document: &NitroDocument| judge(&SIGNER.document(document), &policy, &binding(), NOW);
    assert_eq!(error(&changed).unwrap_err(), EvidenceError::ZeroMeasurement);
    changed.pcrs.remove(&0);
    assert_eq!(error(&changed).unwrap_err(), NitroError::NoPcr0.into());
    changed.pcrs.insert(0, [9; 48]);
    assert!(error(&changed).is_ok());
}

#[test]
fn every_pinned_register_must_be_there_and_equal() {
    let bytes = SIGNER.document(&document());
    let judged = |pcrs: &[(u8, [u8; 48])]| {
        let policy = trusting(pin(pcrs.iter().copied().collect()));
        judge(&bytes, &policy, &binding(), NOW).map(|_| ())
    };
    let wrong = Err(EvidenceError::WrongMeasurement);
    assert_eq!(judged(&[(0, pcr(0)), (8, pcr(8))]), Ok(()));
    assert_eq!(judged(&[(8, pcr(8))]), Ok(()));
    assert_eq!(judged(&[(0, pcr(0)), (8, [1; 48])]), wrong);
    // Zero in the document, and absent from it.
    assert_eq!(judged(&[(0, pcr(0)), (5, [1; 48])]), wrong);
    assert_eq!(judged(&[(0, pcr(0)), (16, [1; 48])]), wrong);
    let mut near = pcr(0);
    near[47] ^= 1;
    assert_eq!(judged(&[(0, near)]), wrong);
}

#[test]
fn genuine_documents_against_each_others_policies() {
    let eight = Vector::named("pcr8");
    let others = Vector::production();
    let only_eight = pin(BTreeMap::from([(8, eight.pcrs()[&8])]));
    for vector in &others {
        let verdict = judge(
            &vector.bytes,
            &only_eight,
            &Binding::unbound(),
            vector.now(),
        );
        match vector.file == eight.file {
            true => assert_eq!(verdict.unwrap().measurement(), "build"),
            false => assert_eq!(verdict.unwrap_err(), EvidenceError::WrongMeasurement),
        }
        for other in &others {
            let verdict = judge(
                &vector.bytes,
                &other.policy(),
                &Binding::unbound(),
                vector.now(),
            );
            assert_eq!(verdict.is_ok(), vector.file == other.file);
        }
    }
}

#[test]
fn a_policy_names_the_entry_that_matches() {
    let entries = [
        measurement("old", BTreeMap::from([(0, [9; 48])])),
        measurement("new", BTreeMap::from([(0, pcr(0))])),
    ];
    let policy = trusting(Policy::new(entries).unwrap());
    let bytes = SIGNER.document(&document());
    let claims = judge(&bytes, &policy, &binding(), NOW).unwrap();
    assert_eq!(claims.measurement(), "new");
}

#[test]
fn a_policy_for_other_platforms_accepts_no_document() {
    let text = format!(
        "version = 1\n[[measurements]]\nname = \"a\"\nplatform = \"sev-snp\"\nmeasurement = \"{}\"\n",
        "01".repeat(48)
    );
    let policy = trusting(Policy::from_toml(&text).unwrap());
    let error = verdict(&policy, NOW).unwrap_err();
    assert!(matches!(error, EvidenceError::NoMeasurement(_)));
}

#[test]
fn bound_data_is_compared_whole() {
    let bytes = SIGNER.document(&document());
    let judged = |data: &[u8]| judge(&bytes, &policy(), &Binding::to(data), NOW).map(|_| ());
    let padded = [&USER_DATA[..], &[0]].concat();
    let mut other = USER_DATA;
    other[63] ^= 0x80;
    assert_eq!(judged(&USER_DATA), Ok(()));
    for data in [&padded[..], &USER_DATA[..63], &other, b""] {
        assert_eq!(judged(data), Err(EvidenceError::WrongBinding));
    }
    // The same the other way round: the document holds the padded data.
    let mut changed = document();
    changed.user_data = Some(padded);
    let error = refusal(&SIGNER.document(&changed));
    assert_eq!(error, EvidenceError::WrongBinding);
}

#[test]
fn the_nonce_is_compared_whole() {
    let error = |nonce: Option<Vec<u8>>| {
        let mut changed = document();
        changed.nonce = nonce;
        refusal(&SIGNER.document(&changed))
    };
    let longer = [&NONCE[..], &[0]].concat();
    for nonce in [
        None,
        Some(vec![]),
        Some(longer),
        Some(NONCE[..19].to_vec()),
        Some(vec![1; 20]),
    ] {
        assert_eq!(error(nonce), EvidenceError::WrongNonce);
    }
}
