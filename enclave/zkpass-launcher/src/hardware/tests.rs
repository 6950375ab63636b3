use sha2::{Digest as _, Sha256};
use zkpass_attest::{
    Binding, Claims, Evidence, EvidenceError, Policy, danger,
    policy::{MeasuredValues, Measurement},
    verify,
};

use super::*;
use crate::{DevPlatform, DevRoots};

const MEASURED: Measurements = Measurements {
    pcr0: [1; 48],
    pcr1: [2; 48],
    pcr2: [3; 48],
};
const DATA: [u8; REQUEST_BYTES] = [9; REQUEST_BYTES];

/// A report on [`DATA`], and the fingerprint of its root.
fn report(platform: DevPlatform) -> (Report, [u8; 32]) {
    let root = DevRoots::ephemeral().root(platform).unwrap();
    let fingerprint = root.fingerprint();
    let Machine::Tsm(reporter) = Machine::new(root, MEASURED).unwrap() else {
        panic!("another platform");
    };
    (reporter.report(&DATA).unwrap(), fingerprint)
}

fn snp(program: u8, host_data: [u8; 32]) -> MeasuredValues {
    MeasuredValues::SevSnp {
        measurement: [program; 48],
        host_data: Some(host_data),
        id_key_digest: None,
        author_key_digest: None,
    }
}

fn tdx(values: [u8; 3]) -> MeasuredValues {
    let [mrtd, configuration, confinement] = values.map(|value| [value; 48]);
    MeasuredValues::Tdx {
        mrtd,
        rtmrs: [Some(configuration), Some(confinement), None, None],
        mrconfigid: None,
        mrowner: None,
        mrownerconfig: None,
        mrseam: None,
    }
}

fn policy(values: MeasuredValues) -> Policy {
    let measurement = Measurement {
        name: "this test".to_owned(),
        not_after: None,
        values,
    };
    Policy::new([measurement]).unwrap()
}

fn check(evidence: &Evidence<'_>, policy: &Policy, data: &[u8]) -> Result<Claims, EvidenceError> {
    verify(evidence, policy, &Binding::to(data), now())
}

/// Verifies under the development root only, with these values only.
fn check_all(
    evidence: &Evidence<'_>,
    fingerprint: [u8; 32],
    good: MeasuredValues,
    wrong: Vec<MeasuredValues>,
) {
    let trusting = |values| danger::trust_development_root(policy(values), fingerprint);
    check(evidence, &trusting(good.clone()), &DATA).unwrap();

    let error = check(evidence, &trusting(good.clone()), &[8; REQUEST_BYTES]).unwrap_err();
    assert_eq!(error.code(), "wrong-binding");
    for values in wrong {
        let error = check(evidence, &trusting(values), &DATA).unwrap_err();
        assert_eq!(error.code(), "wrong-measurement");
    }
    assert!(check(evidence, &policy(good.clone()), &DATA).is_err());
    let other = danger::trust_development_root(policy(good), [7; 32]);
    assert!(check(evidence, &other, &DATA).is_err());
}

#[test]
fn snp_reports_verify_under_their_root_only() {
    let (report, fingerprint) = report(DevPlatform::SevSnp);
    let evidence = Evidence::SevSnp {
        report: &report.outblob,
        endorsements: &report.auxblob,
    };
    let host_data = |confinement: u8| Sha256::digest([[2; 48], [confinement; 48]].concat()).into();
    let wrong = vec![snp(4, host_data(3)), snp(1, host_data(4))];
    check_all(&evidence, fingerprint, snp(1, host_data(3)), wrong);
}

#[test]
fn tdx_quotes_verify_under_their_root_only() {
    let (report, fingerprint) = report(DevPlatform::Tdx);
    let evidence = Evidence::Tdx {
        quote: &report.outblob,
        collateral: &report.auxblob,
    };
    let wrong = [[4, 2, 3], [1, 4, 3], [1, 2, 4]].map(tdx);
    check_all(&evidence, fingerprint, tdx([1, 2, 3]), wrong.into());
}
