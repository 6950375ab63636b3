//! What a policy decides: keys, nonce, audience, dates, times, enclaves.

use std::collections::BTreeMap;

use zkpass_core::{
    dvr::{Dvr, DvrError},
    keys::{IssuerKey, PublicKey},
    proof::{ProofClaims, ProofToken},
};
use zkpass_verify::{DEFAULT_MAX_SKEW_SECONDS, Policy, VerifyError};

use crate::fixture::{NOW, date, enclave, fixture, key, policy, refusal, verify, with_claims};

fn at(policy: &Policy, now: i64) -> Result<(), VerifyError> {
    policy
        .verify(&fixture().token, now, &fixture().cache)
        .map(|_| ())
}

fn with_dvr(change: impl FnOnce(&mut Dvr)) -> Policy {
    let mut dvr = fixture().dvr.clone();
    change(&mut dvr);
    Policy::new(dvr, fixture().issuer_keys.clone()).ignore_enclave_signature()
}

fn with_keys(change: impl FnOnce(&mut BTreeMap<String, PublicKey>)) -> Policy {
    let mut keys = fixture().issuer_keys.clone();
    change(&mut keys);
    Policy::new(fixture().dvr.clone(), keys).ignore_enclave_signature()
}

#[test]
fn the_enclave_signature_must_be_decided_on() {
    let undecided = Policy::new(fixture().dvr.clone(), fixture().issuer_keys.clone());
    assert_eq!(
        refusal(&undecided, &fixture().token),
        VerifyError::EnclaveUndecided
    );
    let ignoring = undecided.clone().ignore_enclave_signature();
    assert_eq!(verify(&ignoring, &fixture().token).unwrap().enclave(), None);
    for keys in [vec![], vec![key(8).public()]] {
        let policy = undecided.clone().expect_enclave_keys(keys);
        assert_eq!(
            refusal(&policy, &fixture().token),
            VerifyError::EnclaveSignatureInvalid
        );
    }
}

#[test]
fn issuer_keys_are_the_policys() {
    let bank = || "bank".to_owned();
    for (policy, expected) in [
        (
            with_keys(|keys| keys.retain(|tag, _| tag == "bank")),
            VerifyError::MissingIssuerKey { tag: "id".into() },
        ),
        (
            with_keys(|keys| {
                keys.insert("health".into(), key(7).public());
            }),
            VerifyError::UnknownTag {
                tag: "health".into(),
            },
        ),
        (
            with_keys(|keys| {
                keys.insert(bank(), key(7).public());
            }),
            VerifyError::DvrKeyNotTrusted { tag: bank() },
        ),
        (
            with_dvr(|dvr| {
                let request = dvr.user_data_requests.get_mut("bank").unwrap();
                request.user_data_verifying_key = IssuerKey::from(key(7).public());
            }),
            VerifyError::DvrKeyNotTrusted { tag: bank() },
        ),
    ] {
        assert_eq!(refusal(&policy, &fixture().token), expected);
    }
}

/// A DVR that names a key set leaves the key to the policy: the same key is
/// refused or accepted as the policy says.
#[test]
fn a_key_set_is_resolved_by_the_policy() {
    let keyset = |dvr: &mut Dvr| {
        let request = dvr.user_data_requests.get_mut("bank").unwrap();
        request.user_data_verifying_key = IssuerKey::KeysetEndpoint {
            jku: "https://bank.example/jwks".into(),
            kid: "k-1".into(),
        };
    };
    let mut dvr = fixture().dvr.clone();
    keyset(&mut dvr);
    let mut statement = fixture().claims.statement.clone();
    statement.dvr_digest = dvr.digest();
    let claims = ProofClaims::new(&dvr, statement, fixture().claims.zkproof.clone(), NOW);
    let token = ProofToken::sign(&claims, &enclave()).unwrap();
    // The proof is of the DVR with the key in it: this far, and no further.
    assert_eq!(
        refusal(&with_dvr(keyset), &token),
        VerifyError::PublicValueMismatch
    );
    let mut keys = fixture().issuer_keys.clone();
    keys.insert("bank".into(), key(7).public());
    let other = Policy::new(dvr, keys).ignore_enclave_signature();
    assert_eq!(
        refusal(&other, &token),
        VerifyError::IssuerKeyMismatch { tag: "bank".into() }
    );
}

#[test]
fn a_dvr_that_is_not_valid_verifies_nothing() {
    let name = "r0".to_owned();
    let expected = VerifyError::Dvr(DvrError::UnsupportedProofSystem { name });
    let policy = with_dvr(|dvr| dvr.zkvm = "r0".into());
    assert_eq!(refusal(&policy, &fixture().token), expected);
    let policy = with_dvr(|dvr| dvr.query = "[1]".into());
    assert!(matches!(
        refusal(&policy, &fixture().token),
        VerifyError::Query(_)
    ));
}

#[test]
fn another_dvr_is_refused() {
    let changes: [fn(&mut Dvr); 6] = [
        |dvr| dvr.dvr_id = "dvr-8".into(),
        |dvr| dvr.query.push(' '),
        |dvr| dvr.nonce = Some("nonce-2".into()),
        |dvr| dvr.audience = None,
        |dvr| dvr.expires_at = None,
        |dvr| dvr.dvr_verifying_key = None,
    ];
    for change in changes {
        assert_eq!(
            refusal(&with_dvr(change), &fixture().token),
            VerifyError::DvrDigestMismatch
        );
    }
}

#[test]
fn proof_systems_can_be_narrowed() {
    let allow = |allowed: &[(&str, u32)]| {
        let allowed = allowed
            .iter()
            .map(|(name, version)| ((*name).into(), *version));
        verify(&policy().proof_systems(allowed.collect()), &fixture().token).map(|_| ())
    };
    assert_eq!(allow(&[("vega", 1)]), Ok(()));
    assert_eq!(allow(&[("vega", 2), ("vega", 1)]), Ok(()));
    assert_eq!(allow(&[]), Err(VerifyError::UnsupportedProofSystem));
    assert_eq!(
        allow(&[("r0", 1)]),
        Err(VerifyError::UnsupportedProofSystem)
    );
    assert_eq!(
        allow(&[("vega", 2)]),
        Err(VerifyError::UnsupportedVersion { version: 1 })
    );
    // What the library cannot verify cannot be allowed.
    let token = with_claims(|claims| claims.statement.version = 2);
    let lax = policy().proof_systems(vec![("vega".into(), 2)]);
    assert_eq!(
        refusal(&lax, &token),
        VerifyError::UnsupportedVersion { version: 2 }
    );
}

#[test]
fn nonce_and_audience_of_the_policy() {
    let token = &fixture().token;
    let strict = policy().nonce("nonce-1").audience("https://bank.example");
    assert!(verify(&strict, token).is_ok());
    assert_eq!(
        refusal(&policy().nonce("nonce-2"), token),
        VerifyError::NonceMismatch
    );
    assert_eq!(
        refusal(&policy().audience("x"), token),
        VerifyError::AudienceMismatch
    );
}

#[test]
fn as_of_bounds() {
    let as_of = date("2025-02-13");
    let day = 86_400;
    let too_early = |earliest| {
        Err(VerifyError::AsOfTooEarly {
            as_of,
            earliest: date(earliest),
        })
    };
    let too_late = |latest| {
        Err(VerifyError::AsOfTooLate {
            as_of,
            latest: date(latest),
        })
    };
    let accept = |policy: Policy| verify(&policy, &fixture().token).map(|_| ());
    assert_eq!(
        accept(policy().as_of_not_before(as_of).as_of_not_after(as_of)),
        Ok(())
    );
    assert_eq!(
        accept(policy().as_of_not_before(date("2025-02-14"))),
        too_early("2025-02-14")
    );
    assert_eq!(
        accept(policy().as_of_not_after(date("2025-02-12"))),
        too_late("2025-02-12")
    );
    // `max_age_days` of the DVR is 2: checked before the expiry is.
    assert_eq!(at(&policy(), NOW + 2 * day), Err(VerifyError::DvrExpired));
    assert_eq!(at(&policy(), NOW + 3 * day), too_early("2025-02-14"));
    // The stricter of the two bounds counts.
    let both = policy().as_of_not_before(date("2025-01-01"));
    assert_eq!(at(&both, NOW + 3 * day), too_early("2025-02-14"));
    // Today is the last day unless the policy names another.
    let patient = policy().max_skew(u32::MAX);
    assert_eq!(at(&policy(), NOW - day), too_late("2025-02-12"));
    assert_eq!(at(&patient, NOW - day), Ok(()));
    let later = policy().as_of_not_after(as_of);
    assert_eq!(at(&later, NOW - day), Err(VerifyError::TimeStampInFuture));
}

#[test]
fn midnight_is_within_the_skew() {
    let skew = i64::from(DEFAULT_MAX_SKEW_SECONDS);
    let midnight = NOW - 10 * 3600;
    let token = with_claims(|claims| claims.time_stamp = midnight);
    let verified = |now| policy().verify(&token, now, &fixture().cache).map(|_| ());
    assert_eq!(verified(midnight - skew), Ok(()));
    let (as_of, latest) = (date("2025-02-13"), date("2025-02-12"));
    let error = VerifyError::AsOfTooLate { as_of, latest };
    assert_eq!(verified(midnight - skew - 1), Err(error));
}

#[test]
fn time_stamps() {
    let made = NOW - 5;
    let skew = i64::from(DEFAULT_MAX_SKEW_SECONDS);
    let expired = Err(VerifyError::TimeStampExpired { ttl_seconds: 10 });
    assert_eq!(at(&policy(), made - skew), Ok(()));
    assert_eq!(
        at(&policy(), made - skew - 1),
        Err(VerifyError::TimeStampInFuture)
    );
    assert_eq!(
        at(&policy().max_skew(0), made - 1),
        Err(VerifyError::TimeStampInFuture)
    );
    assert_eq!(at(&policy().time_stamp_ttl(10), made + 10), Ok(()));
    assert_eq!(at(&policy().time_stamp_ttl(10), made + 11), expired);
    for (time_stamp, expected) in [
        (i64::MIN, VerifyError::TimeStampExpired { ttl_seconds: 10 }),
        (i64::MAX, VerifyError::TimeStampInFuture),
    ] {
        let token = with_claims(|claims| claims.time_stamp = time_stamp);
        assert_eq!(refusal(&policy().time_stamp_ttl(10), &token), expected);
    }
}

#[test]
fn expiry() {
    assert_eq!(at(&policy(), NOW + 3599), Ok(()));
    assert_eq!(at(&policy(), NOW + 3600), Err(VerifyError::DvrExpired));
}

#[test]
fn the_clock_is_checked() {
    for now in [i64::MIN, i64::MAX] {
        assert_eq!(at(&policy(), now), Err(VerifyError::ClockOutOfRange));
    }
}
