//! Genuine TDX quotes: each has one verdict at one time, and none when it is changed.

mod tdx_common;

use tdx_common::*;
use zkpass_attest::{Binding, EvidenceError, Facts, Platform, tdx::TdxError};

#[test]
fn up_to_date_platforms_are_accepted() {
    let claims = PHALA_V4.verify().unwrap();
    assert_eq!(claims.measurement(), "build");
    let mrtd = "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7";
    assert_eq!(claims.measurement_id(), format!("tdx:{mrtd}"));
    assert!(!claims.is_development());
    let Facts::Tdx(facts) = claims.facts() else {
        panic!("another platform");
    };
    let tcb = facts.tcb.as_ref().unwrap();
    assert_eq!(
        (tcb.status.as_str(), tcb.advisory_ids.len()),
        ("UpToDate", 0)
    );

    let claims = PHALA_V5.verify().unwrap();
    let json = serde_json::to_value(&claims).unwrap();
    assert_eq!(json["platform"], "tdx");
    assert_eq!(json["quote_version"], 5);
    assert_eq!(json["tcb"]["status"], "UpToDate");
    assert_eq!(json["platform_certificate"]["fmspc"], "b0c06f000000");
    assert_eq!(
        json["platform_certificate"]["ppid"],
        "d6fbe62fefe590c45a33afa4adaad111"
    );
    assert_eq!(
        json["mrconfigid"],
        "0151ed70bddb5f12574176b37e3f53bbfc4ba15c33cbddc2d03d90b6de14596cc0000000000000000000000000000000"
    );
    assert_eq!(json["tdx_1_5_extended"]["vmid"], 0);
}

#[test]
fn a_good_quote_ages() {
    let aged = Case {
        collateral: FAMILY_B0C06F,
        now: OCTOBER_2026,
        ..PHALA_V4
    };
    let out_of_date = TdxError::TcbStatus {
        status: "OutOfDate".into(),
        advisory_ids: [
            "INTEL-SA-01192",
            "INTEL-SA-01245",
            "INTEL-SA-01312",
            "INTEL-SA-01313",
        ]
        .map(String::from)
        .into(),
    };
    assert_eq!(aged.refusal(), out_of_date.into());
    // A policy may say otherwise.
    let mut policy = aged.policy();
    policy.tdx.tcb_statuses = vec!["OutOfDate".into()];
    let claims = aged.verify_by(&policy).unwrap();
    let json = serde_json::to_value(&claims).unwrap();
    assert_eq!(json["tcb"]["status"], "OutOfDate");
    assert_eq!(json["tcb"]["advisory_ids"][0], "INTEL-SA-01192");
    policy.tdx.tcb_statuses = vec![];
    assert_eq!(
        aged.verify_by(&policy).unwrap_err().code(),
        "tdx-tcb-status"
    );
}

#[test]
fn report_data_of_zeros_binds_to_nothing() {
    let zero = Case {
        quote: ZERO_REPORT_DATA,
        collateral: FAMILY_B0C06F,
        now: OCTOBER_2026,
    };
    assert_eq!(zero.refusal().code(), "tdx-tcb-status");
    let mut policy = zero.policy();
    policy.tdx.tcb_statuses = vec!["OutOfDate".into()];
    assert_eq!(
        zero.verify_by(&policy).unwrap_err(),
        EvidenceError::WrongBinding
    );
    let unbound = zero.verify_with(&policy, &Binding::unbound());
    assert!(unbound.is_ok());
}

#[test]
fn a_debug_td_is_refused_although_genuine() {
    let debug = Case {
        quote: DEBUG,
        collateral: FAMILY_50806F,
        now: time("2026-03-20T00:00:00Z"),
    };
    assert_eq!(debug.refusal(), EvidenceError::DebugMode);
    assert_eq!(debug.facts()["debug"], true);
    // Whether it is one is a question of what is signed.
    let mut forged = DEBUG.to_vec();
    forged[REPORT_DATA] ^= 1;
    let forged = Case {
        quote: &forged,
        ..debug
    };
    assert_eq!(forged.refusal(), TdxError::Signature.into());
}

#[test]
fn a_platform_below_every_level_is_refused() {
    let case = Case {
        quote: NO_LEVEL_QUOTE,
        collateral: NO_LEVEL_COLLATERAL,
        now: time("2026-03-05T00:00:00Z"),
    };
    assert_eq!(case.refusal(), TdxError::NoTcbLevel.into());
}

#[test]
fn a_quote_without_collateral_can_only_be_inspected() {
    let case = Case {
        quote: GOOGLE,
        collateral: &[],
        now: OCTOBER_2026,
    };
    assert_eq!(case.refusal(), TdxError::NoCollateral.into());
    let json = case.facts();
    assert_eq!(json["mrtd"].as_str().unwrap()[..8], *"dae67181");
    assert_eq!(json["platform_certificate"]["fmspc"], "00806f050000");
    assert_eq!(json["debug"], false);
    assert!(json.get("tcb").is_none() && json.get("collateral").is_none());
}

#[test]
fn what_inspection_shows_is_what_the_index_says() {
    let index: serde_json::Value = serde_json::from_slice(INDEX).unwrap();
    let mut seen = 0;
    for entry in index["vectors"].as_array().unwrap() {
        let read = |file: &str| std::fs::read(format!("tests/vectors/tdx/{file}")).unwrap();
        let quote = read(entry["quote"].as_str().unwrap());
        let collateral = entry["collateral"].as_str().map(read).unwrap_or_default();
        let json = facts(&quote, &collateral);
        for (name, value) in entry["claims"].as_object().unwrap() {
            assert_eq!(json[name], *value, "{name} of {}", entry["quote"]);
        }
        assert_eq!(json["debug"], entry["td_debug"]);
        assert_eq!(json["quote_version"], entry["version"]);
        if let Some(issue) = entry["tcb_info_issue"].as_str() {
            assert_eq!(json["collateral"]["tcb_info_issued"], time(issue));
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn each_window_has_two_ends() {
    let first = time("2025-06-19T10:32:27Z");
    let last = PHALA_V4.verify().unwrap().valid_until();
    // The end is a revocation list's, which has ended at its next update.
    assert_eq!(last, time("2025-07-19T10:00:34Z"));
    assert!(PHALA_V4.at(first).verify().is_ok());
    assert!(PHALA_V4.at(last).verify().is_ok());
    assert_eq!(
        PHALA_V4.at(first - 1).refusal(),
        TdxError::QeIdentityNotYetValid.into()
    );
    assert_eq!(PHALA_V4.at(last + 1).refusal(), TdxError::CrlExpired.into());

    let first = time("2026-10-08T00:28:26Z");
    let last = PHALA_V5.verify().unwrap().valid_until();
    assert_eq!(last, time("2026-11-06T23:45:11Z"));
    assert!(PHALA_V5.at(first).verify().is_ok());
    assert!(PHALA_V5.at(last).verify().is_ok());
    assert_eq!(
        PHALA_V5.at(first - 1).refusal(),
        TdxError::CrlNotYetValid.into()
    );
    assert_eq!(
        PHALA_V5.at(last + 1).refusal(),
        TdxError::QeIdentityExpired.into()
    );
    // Newer collateral at an older time, and the other way round.
    assert_eq!(
        PHALA_V5.at(time("2025-07-01T00:00:00Z")).refusal(),
        TdxError::TcbInfoNotYetValid.into()
    );
    let next_update = time("2025-07-19T10:16:03Z");
    assert_eq!(
        PHALA_V4.at(next_update + 3600).refusal(),
        TdxError::TcbInfoExpired.into()
    );
    assert_eq!(
        PHALA_V4.at(time("2025-06-19T10:16:03Z") - 86_400).refusal(),
        TdxError::TcbInfoNotYetValid.into()
    );
    assert_eq!(PHALA_V4.at(-1).refusal(), TdxError::TimeOutOfRange.into());
    assert_eq!(
        PHALA_V4.at(0).refusal().code(),
        "tdx-tcb-info-not-yet-valid"
    );
    assert_eq!(
        PHALA_V4.at(i64::MAX).refusal().code(),
        "tdx-tcb-info-expired"
    );
}

#[test]
fn the_policy_decides_what_is_measured() {
    let measured = PHALA_V4.policy_text();
    let accepted = |text: &str| {
        let policy = zkpass_attest::Policy::from_toml(text).unwrap();
        PHALA_V4.verify_by(&policy)
    };
    assert!(accepted(&measured).is_ok());
    let values = PHALA_V4.facts();
    for name in [
        "rtmr0",
        "rtmr1",
        "rtmr2",
        "rtmr3",
        "mrconfigid",
        "mrowner",
        "mrownerconfig",
        "mrseam",
    ] {
        let value = values[name].as_str().unwrap();
        let right = format!("{measured}{name} = \"{value}\"\n");
        assert!(accepted(&right).is_ok(), "{name}");
        let wrong = format!("{measured}{name} = \"{}\"\n", "5".repeat(96));
        assert_eq!(
            accepted(&wrong).unwrap_err(),
            EvidenceError::WrongMeasurement,
            "{name}"
        );
    }
    let other = "version = 1\n[[measurements]]\nname = \"n\"\nplatform = \"nitro\"\npcrs.0 = \""
        .to_owned()
        + &"5".repeat(96)
        + "\"\n";
    assert_eq!(
        accepted(&other).unwrap_err(),
        EvidenceError::NoMeasurement(Platform::Tdx)
    );
    let ended = measured.clone() + "not_after = 2025-07-10T00:00:00Z\n";
    assert_eq!(
        accepted(&ended).unwrap().valid_until(),
        time("2025-07-10T00:00:00Z")
    );
}

#[test]
fn the_policy_decides_which_platforms_pass() {
    let mut policy = PHALA_V5.policy();
    policy.tdx.ppids = vec!["11".repeat(16)];
    let refused = |policy: &zkpass_attest::Policy| PHALA_V5.verify_by(policy).unwrap_err();
    assert_eq!(refused(&policy), TdxError::WrongPlatform.into());
    policy
        .tdx
        .ppids
        .push("d6fbe62fefe590c45a33afa4adaad111".into());
    assert!(PHALA_V5.verify_by(&policy).is_ok());
    policy.tdx.allow_smt = false;
    assert_eq!(refused(&policy), TdxError::SmtEnabled.into());
    policy.tdx.allow_cached_keys = false;
    assert_eq!(refused(&policy), TdxError::CachedKeys.into());
    policy.tdx.allow_dynamic_platform = false;
    assert_eq!(refused(&policy), TdxError::DynamicPlatform.into());
}

#[test]
fn the_binding_is_report_data_and_nothing_else() {
    let policy = PHALA_V4.policy();
    let bound = PHALA_V4.report_data();
    let verify = |binding: &Binding<'_>| PHALA_V4.verify_with(&policy, binding);
    assert!(verify(&Binding::to(&bound)).is_ok());
    let mut other = bound.clone();
    other[63] ^= 1;
    let longer = [bound.as_slice(), &[0]].concat();
    for wrong in [
        &other[..],
        &bound[..63],
        &bound[..32],
        &longer,
        &[],
        &[0; 64],
    ] {
        assert_eq!(
            verify(&Binding::to(wrong)).unwrap_err(),
            EvidenceError::WrongBinding
        );
    }
    for binding in [Binding::to(&bound), Binding::unbound()] {
        assert_eq!(
            verify(&binding.with_nonce(b"n")).unwrap_err(),
            EvidenceError::NonceNotSupported(Platform::Tdx)
        );
    }
}

#[test]
fn a_development_root_is_trusted_instead_of_intels() {
    let intel = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";
    let intel = zkpass_core::encoding::from_hex(intel).unwrap();
    let by = |sha256| {
        let policy = zkpass_attest::danger::trust_development_root(PHALA_V4.policy(), sha256);
        PHALA_V4.verify_by(&policy)
    };
    assert_eq!(by([7; 32]).unwrap_err(), TdxError::UntrustedRoot.into());
    assert!(by(intel).unwrap().is_development());
}
