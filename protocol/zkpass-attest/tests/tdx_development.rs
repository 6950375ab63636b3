//! Quotes of the development TEE: what they need to be accepted, and refusals
//! that no genuine vector shows.

mod tdx_common;

use getrandom::{SysRng, rand_core::UnwrapErr};
use serde_json::{Value, json};
use tdx_common::*;
use zkpass_attest::{
    Binding, Claims, Evidence, EvidenceError, Facts, Measurement, Policy,
    danger::trust_development_root, policy::MeasuredValues, tdx::TdxError, verify,
};
use zkpass_devtee::tdx::{TdxPlatform, TdxQuoteFields, TdxRoot};

const NOW: i64 = OCTOBER_2026;
const MRTD_VALUE: [u8; 48] = [0xaa; 48];
const BOUND: [u8; 64] = [0xbb; 64];

/// A root, a platform under it, and a verifier who trusts it.
struct World {
    root: TdxRoot,
    platform: TdxPlatform,
    fields: TdxQuoteFields,
}

impl World {
    fn new() -> Self {
        let rng = &mut UnwrapErr(SysRng);
        let root = TdxRoot::generate(rng, NOW).unwrap();
        Self {
            platform: root.platform(rng, NOW).unwrap(),
            root,
            fields: TdxQuoteFields::new(MRTD_VALUE, BOUND),
        }
    }

    fn policy(&self) -> Policy {
        trust_development_root(measured(), self.root.fingerprint())
    }

    fn verify(&self) -> Result<Claims, EvidenceError> {
        self.verify_at(&self.policy(), NOW)
    }

    fn verify_at(&self, policy: &Policy, now: i64) -> Result<Claims, EvidenceError> {
        let quote = self.platform.quote(&self.fields);
        judge(&quote, &self.platform.collateral_json(), policy, now)
    }

    fn refusal_of_fields(&self, change: impl FnOnce(&mut TdxQuoteFields)) -> EvidenceError {
        let mut fields = self.fields.clone();
        change(&mut fields);
        let quote = self.platform.quote(&fields);
        let collateral = self.platform.collateral_json();
        judge(&quote, &collateral, &self.policy(), NOW).unwrap_err()
    }

    /// With other statements, validly signed.
    fn with_statements(
        &self,
        policy: &Policy,
        tcb_info: impl FnOnce(&mut Value),
        qe_identity: impl FnOnce(&mut Value),
    ) -> Result<Claims, EvidenceError> {
        let tcb_info = changed(self.platform.tcb_info(), tcb_info);
        let qe_identity = changed(self.platform.qe_identity(), qe_identity);
        let quote = self.platform.quote(&self.fields);
        let collateral = self.platform.collateral_with(&tcb_info, &qe_identity);
        judge(&quote, &collateral, policy, NOW)
    }

    fn refusal_of_tcb_info(&self, change: impl FnOnce(&mut Value)) -> EvidenceError {
        self.with_statements(&self.policy(), change, |_| ())
            .unwrap_err()
    }

    fn refusal_of_qe_identity(&self, change: impl FnOnce(&mut Value)) -> EvidenceError {
        self.with_statements(&self.policy(), |_| (), change)
            .unwrap_err()
    }
}

fn changed(text: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::from_str(text).unwrap();
    change(&mut value);
    value.to_string()
}

fn measured() -> Policy {
    let values = MeasuredValues::Tdx {
        mrtd: MRTD_VALUE,
        rtmrs: [None; 4],
        mrconfigid: None,
        mrowner: None,
        mrownerconfig: None,
        mrseam: None,
    };
    Policy::new([Measurement {
        name: "development".into(),
        not_after: None,
        values,
    }])
    .unwrap()
}

fn judge(
    quote: &[u8],
    collateral: &[u8],
    policy: &Policy,
    now: i64,
) -> Result<Claims, EvidenceError> {
    let evidence = Evidence::Tdx { quote, collateral };
    verify(&evidence, policy, &Binding::to(&BOUND), now)
}

#[test]
fn a_development_quote_stands_under_its_root_only() {
    let world = World::new();
    let claims = world.verify().unwrap();
    assert!(claims.is_development());
    assert_eq!(claims.measurement_id(), format!("tdx:{}", "aa".repeat(48)));
    let Facts::Tdx(facts) = claims.facts() else {
        panic!("another platform");
    };
    assert_eq!(
        facts.platform_certificate.as_ref().unwrap().ppid.0,
        world.platform.ppid()
    );
    assert_eq!(
        world.verify_at(&measured(), NOW).unwrap_err(),
        TdxError::UntrustedRoot.into()
    );
    let other = trust_development_root(measured(), World::new().root.fingerprint());
    assert_eq!(
        world.verify_at(&other, NOW).unwrap_err(),
        TdxError::UntrustedRoot.into()
    );
    // A stranger's platform with this root as the end of its chain.
    let stranger = World::new();
    let own = world.root.to_pem().unwrap();
    let own = &own[own.find("-----BEGIN CERTIFICATE").unwrap()..];
    let quote = stranger.platform.quote(&stranger.fields);
    let begin = quote
        .windows(10)
        .rposition(|bytes| bytes == b"-----BEGIN")
        .unwrap();
    let mut forged = quote[..begin].to_vec();
    forged.extend(own.as_bytes());
    forged.push(0);
    let lengths = [SIGNATURE_LENGTH, QE_REPORT - 4, QE_AUTHENTICATION + 36];
    for at in lengths {
        let length = u32::from_le_bytes(forged[at..at + 4].try_into().unwrap()) as usize;
        let length = u32::try_from(length + forged.len() - quote.len()).unwrap();
        forged[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
    for (publisher, error) in [
        (&world, TdxError::UntrustedCertificate),
        (&stranger, TdxError::CrlSignature),
    ] {
        let collateral = publisher.platform.collateral_json();
        let refusal = judge(&forged, &collateral, &world.policy(), NOW).unwrap_err();
        assert_eq!(refusal, error.into());
    }
}

#[test]
fn a_development_quote_has_a_window() {
    let world = World::new();
    let claims = world.verify().unwrap();
    let last = claims.valid_until();
    assert_eq!(last, world.platform.not_after());
    assert_eq!(last, NOW + 30 * 86_400 - 1);
    let policy = world.policy();
    assert!(world.verify_at(&policy, last).is_ok());
    assert_eq!(
        world.verify_at(&policy, last + 1).unwrap_err(),
        TdxError::CrlExpired.into()
    );
    assert!(world.verify_at(&policy, NOW - 3600).is_ok());
    assert_eq!(
        world.verify_at(&policy, NOW - 3601).unwrap_err(),
        TdxError::TcbInfoNotYetValid.into()
    );
    // It ends when the certificates do, whatever the rest says.
    let end = "2030-01-01T00:00:00Z";
    let longer = world.with_statements(
        &policy,
        |info| info["nextUpdate"] = end.into(),
        |identity| identity["nextUpdate"] = end.into(),
    );
    assert_eq!(longer.unwrap().valid_until(), last);
}

#[test]
fn a_revoked_platform_is_refused() {
    let mut world = World::new();
    assert!(world.verify().is_ok());
    world.platform.revoke().unwrap();
    let revoked = world.verify().unwrap_err();
    assert_eq!(revoked, TdxError::CertificateRevoked.into());
}

#[test]
fn a_root_read_from_text_signs_alike() {
    let world = World::new();
    let root = TdxRoot::from_pem(&world.root.to_pem().unwrap()).unwrap();
    let platform = root.platform(&mut UnwrapErr(SysRng), NOW).unwrap();
    let quote = platform.quote(&world.fields);
    let claims = judge(&quote, &platform.collateral_json(), &world.policy(), NOW);
    assert!(claims.is_ok());
}

#[test]
fn unsafe_tds_are_refused() {
    let world = World::new();
    let attribute = |bit: usize, set: bool| {
        world.refusal_of_fields(|fields| {
            let mask = 1 << (bit % 8);
            let byte = &mut fields.td_attributes[bit / 8];
            *byte = if set { *byte | mask } else { *byte & !mask };
        })
    };
    assert_eq!(attribute(0, true), EvidenceError::DebugMode);
    for bit in 1..8 {
        let error = TdxError::UnsafeAttribute("TUD");
        assert_eq!(attribute(bit, true), error.into(), "{bit}");
    }
    for bit in [8, 15, 23, 26, 32, 61] {
        let error = TdxError::UnsafeAttribute("RESERVED");
        assert_eq!(attribute(bit, true), error.into(), "{bit}");
    }
    for (bit, set, name) in [
        (17, true, "SERVTD_EXT"),
        (28, false, "SEPT_VE_DISABLE"),
        (29, true, "MIGRATABLE"),
    ] {
        assert_eq!(attribute(bit, set), TdxError::UnsafeAttribute(name).into());
    }
    assert_eq!(
        world.refusal_of_fields(|fields| fields.mrtd = [0; 48]),
        EvidenceError::ZeroMeasurement
    );
    assert_eq!(
        world.refusal_of_fields(|fields| fields.mrtd[0] ^= 1),
        EvidenceError::WrongMeasurement
    );
    assert_eq!(
        world.refusal_of_fields(|fields| fields.report_data[63] ^= 1),
        EvidenceError::WrongBinding
    );
    let mut zeros = world.fields.clone();
    zeros.report_data = [0; 64];
    let quote = world.platform.quote(&zeros);
    let collateral = world.platform.collateral_json();
    let evidence = Evidence::Tdx {
        quote: &quote,
        collateral: &collateral,
    };
    assert_eq!(
        verify(&evidence, &world.policy(), &Binding::to(&[0; 64]), NOW).unwrap_err(),
        EvidenceError::WrongBinding
    );
}

#[test]
fn the_tdx_module_is_the_one_of_the_tcb_info() {
    let world = World::new();
    let refusals = [
        world.refusal_of_fields(|fields| fields.mrsignerseam[0] = 1),
        world.refusal_of_fields(|fields| fields.seam_attributes[0] = 1),
        world.refusal_of_fields(|fields| fields.tee_tcb_svn[0] = 4),
        world.refusal_of_fields(|fields| fields.tee_tcb_svn[1] = 2),
        world.refusal_of_tcb_info(|info| info["tdxModule"] = Value::Null),
    ];
    for (index, refusal) in refusals.into_iter().enumerate() {
        assert_eq!(refusal, TdxError::WrongModule.into(), "{index}");
    }
}

#[test]
fn the_tcb_info_decides_on_the_platform() {
    let world = World::new();
    let status = |status: &str| {
        world.refusal_of_tcb_info(|info| {
            info["tcbLevels"][0]["tcbStatus"] = status.into();
            info["tcbLevels"][0]["advisoryIDs"] = json!(["INTEL-SA-00001"]);
        })
    };
    for name in [
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
    ] {
        let refused = status(name);
        let expected = TdxError::TcbStatus {
            status: name.into(),
            advisory_ids: vec!["INTEL-SA-00001".into()],
        };
        assert_eq!(refused, expected.into());
        let message = format!("the TCB status is {name} (INTEL-SA-00001)");
        assert_eq!(refused.to_string(), message);
        // The policy may accept it.
        let mut policy = world.policy();
        policy.tdx.tcb_statuses = vec![name.into()];
        let accepted = world.with_statements(
            &policy,
            |info| info["tcbLevels"][0]["tcbStatus"] = name.into(),
            |_| (),
        );
        assert!(accepted.is_ok(), "{name}");
        let up_to_date = world.verify_at(&policy, NOW).unwrap_err();
        assert_eq!(up_to_date.code(), "tdx-tcb-status");
    }
    // An outdated quoting enclave outdates the platform.
    let qe = world.refusal_of_qe_identity(|identity| {
        identity["tcbLevels"][0]["tcbStatus"] = "OutOfDate".into();
    });
    assert_eq!(qe.code(), "tdx-tcb-status");
    assert_eq!(status("Revoked"), TdxError::TcbRevoked.into());
    let mut policy = world.policy();
    policy.tdx.tcb_statuses = vec!["Revoked".into()];
    let revoked = world.with_statements(
        &policy,
        |info| info["tcbLevels"][0]["tcbStatus"] = "Revoked".into(),
        |_| (),
    );
    assert_eq!(revoked.unwrap_err(), TdxError::TcbRevoked.into());

    let below = world.refusal_of_tcb_info(|info| {
        info["tcbLevels"].as_array_mut().unwrap().pop();
        info["tcbLevels"][0]["tcb"]["pcesvn"] = 12.into();
    });
    assert_eq!(below, TdxError::NoTcbLevel.into());
    let older = world.refusal_of_tcb_info(|info| info["version"] = 2.into());
    assert_eq!(older, TdxError::WrongTcbInfo.into());
    let other = world.refusal_of_tcb_info(|info| info["fmspc"] = "646576000001".into());
    assert_eq!(other, TdxError::FmspcMismatch.into());
    let unknown = status("Fine");
    assert_eq!(unknown, TdxError::MalformedCollateral.into());
    let expired = world.refusal_of_tcb_info(|info| info["nextUpdate"] = info["issueDate"].clone());
    assert_eq!(expired, TdxError::TcbInfoExpired.into());
}

#[test]
fn the_qe_identity_decides_on_the_quoting_enclave() {
    let world = World::new();
    for (member, value, error) in [
        ("mrsigner", json!("11".repeat(32)), TdxError::WrongQe),
        ("isvprodid", json!(1), TdxError::WrongQe),
        ("miscselect", json!("00000001"), TdxError::WrongQe),
        (
            "attributes",
            json!("13".to_owned() + &"00".repeat(15)),
            TdxError::WrongQe,
        ),
        (
            "tcbLevels",
            json!([{
                "tcb": { "isvsvn": 9 },
                "tcbDate": "2025-01-01T00:00:00Z",
                "tcbStatus": "UpToDate",
            }]),
            TdxError::WrongQe,
        ),
        ("version", json!(4), TdxError::WrongQeIdentity),
        ("id", json!("QE"), TdxError::WrongQeIdentity),
    ] {
        let refusal = world.refusal_of_qe_identity(|identity| identity[member] = value);
        assert_eq!(refusal, error.into(), "{member}");
    }
}

#[test]
fn codes_are_kebab_case_and_name_the_platform() {
    for error in [
        TdxError::NoCollateral,
        TdxError::UnsupportedVersion(3),
        TdxError::Rejected,
    ] {
        let code = error.code();
        assert!(code.starts_with("tdx-"), "{code}");
        assert!(
            code.bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_lowercase())
        );
        assert_eq!(EvidenceError::from(error).code(), code);
    }
}
