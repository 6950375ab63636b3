//! What the security module signs, under the verifier that clients use.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use serde_bytes::ByteBuf;
use zkpass_attest::{
    Binding, Claims, Evidence, EvidenceError, Policy, danger,
    policy::{MeasuredValues, Measurement},
    verify,
};
use zkpass_devtee::{nitro::NitroRoot, rand_core::UnwrapErr};
use zkpass_launcher::{
    Confinement, DevPlatform, Measurements, measure,
    nsm::{Authority, Device},
};

const USER_DATA: [u8; 64] = [5; 64];
const NONCE: [u8; 32] = [6; 32];

fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}

fn measurements(confinement: Confinement) -> Measurements {
    let program = std::env::current_exe().unwrap();
    measure(
        &program,
        &["--provers".into()],
        DevPlatform::Nitro,
        confinement,
    )
    .unwrap()
}

/// A document, and the fingerprint of its root.
fn document(measurements: &Measurements) -> (Vec<u8>, [u8; 32]) {
    let root = NitroRoot::generate(&mut UnwrapErr(getrandom::SysRng), now()).unwrap();
    let fingerprint = root.fingerprint();
    let mut device = Device::new(Arc::new(Authority::new(root)), measurements);
    let request = Request::Attestation {
        user_data: Some(ByteBuf::from(USER_DATA)),
        nonce: Some(ByteBuf::from(NONCE)),
        public_key: None,
    };
    let response = device.respond(&serde_cbor::to_vec(&request).unwrap());
    match serde_cbor::from_slice(&response).unwrap() {
        Response::Attestation { document } => (document, fingerprint),
        other => panic!("{other:?}"),
    }
}

fn policy(measurements: &Measurements) -> Policy {
    let Measurements { pcr0, pcr1, pcr2 } = *measurements;
    let pcrs = BTreeMap::from([(0, pcr0), (1, pcr1), (2, pcr2)]);
    let measurement = Measurement {
        name: "this test".to_owned(),
        not_after: None,
        values: MeasuredValues::Nitro { pcrs },
    };
    Policy::new([measurement]).unwrap()
}

fn check(document: &[u8], policy: &Policy, nonce: &[u8]) -> Result<Claims, EvidenceError> {
    let binding = Binding::to(&USER_DATA).with_nonce(nonce);
    verify(&Evidence::Nitro { document }, policy, &binding, now())
}

#[test]
fn documents_verify_under_the_development_root_only() {
    let measured = measurements(Confinement::Full);
    let (document, fingerprint) = document(&measured);
    let vendor = policy(&measured);
    let trusting = danger::trust_development_root(vendor.clone(), fingerprint);
    let mut wrong_root = fingerprint;
    wrong_root[0] ^= 1;
    let wrong_root = danger::trust_development_root(vendor.clone(), wrong_root);

    check(&document, &trusting, &NONCE).unwrap();
    for (refused, code) in [
        (check(&document, &vendor, &NONCE), "nitro-unknown-root"),
        (check(&document, &wrong_root, &NONCE), "nitro-unknown-root"),
        (check(&document, &trusting, &[7; 32]), "wrong-nonce"),
    ] {
        assert_eq!(refused.unwrap_err().code(), code);
    }
}

#[test]
fn an_unconfined_enclave_is_another_measurement() {
    let (document, fingerprint) = document(&measurements(Confinement::DangerNone));
    let expected = policy(&measurements(Confinement::Full));
    let trusting = danger::trust_development_root(expected, fingerprint);
    let error = check(&document, &trusting, &NONCE).unwrap_err();
    assert_eq!(error.code(), "wrong-measurement");
}
