//! Genuine reports: accepted as they are, refused when anything is changed.

use zkpass_attest::{
    Binding, Claims, Evidence, EvidenceError, Facts, Measurement, Platform, Policy, inspect,
    policy::{MeasuredValues, TcbVersion},
    sev_snp::{self, Product, Role, SevSnpError, SigningKey, TcbComponent},
    verify,
};

use super::{
    AWS, COCO, DSTACK, GENOA, JUNE_2025, MILAN, OCTOBER_2026, TURIN, VECTORS, VIRTEE, Vector, field,
};

/// The first second of 2026.
const JANUARY_2026: i64 = 1_767_225_600;

fn snp(claims: &Claims) -> &sev_snp::Facts {
    match claims.facts() {
        Facts::SevSnp(facts) => facts,
        _ => panic!("facts of another platform"),
    }
}

#[test]
fn genuine_reports_are_accepted() {
    for vector in VECTORS {
        let claims = vector.verify(&vector.policy()).unwrap();
        assert_eq!(claims.measurement(), vector.name);
        let id = format!("sev-snp:{}", snp(&claims).measurement);
        assert_eq!(claims.measurement_id(), id);
        assert_eq!(claims.valid_until(), vector.window.1);
        assert!(!claims.is_development());
    }
}

#[test]
fn facts_are_read() {
    let facts = |vector: Vector| snp(&vector.verify(&vector.policy()).unwrap()).clone();
    let versions = |fmc, bootloader, tee, snp, microcode| {
        Some(TcbVersion {
            fmc,
            bootloader,
            tee,
            snp,
            microcode,
        })
    };

    let milan = facts(MILAN);
    assert_eq!((milan.version, milan.guest_svn, milan.vmpl), (3, 2, 0));
    assert_eq!(milan.product, Some(Product::Milan));
    assert_eq!(milan.policy.raw, "0x3001f");
    assert_eq!((milan.policy.abi_major, milan.policy.abi_minor), (0, 31));
    assert!(milan.policy.smt && !milan.policy.debug && !milan.policy.migration_agent);
    assert_eq!(milan.platform_info.raw, "0x25");
    assert!(milan.platform_info.smt && !milan.platform_info.tsme && milan.platform_info.ecc);
    assert_eq!(milan.signing_key, SigningKey::Vcek);
    assert_eq!(milan.reported_tcb.versions, versions(0, 4, 0, 24, 219));
    let endorsement = milan.endorsement.unwrap();
    assert_eq!(
        (endorsement.not_before, endorsement.not_after),
        MILAN.window
    );
    assert_eq!(endorsement.product_name, "Milan-B0");
    assert_eq!(endorsement.tcb, versions(0, 4, 0, 24, 219));
    assert_eq!(endorsement.hardware_id.unwrap().0, milan.chip_id.0);
    assert_eq!(endorsement.csp_id, None);

    let genoa = facts(GENOA);
    assert_eq!(genoa.product, Some(Product::Genoa));
    assert_eq!(genoa.reported_tcb.versions, versions(0, 10, 0, 23, 84));

    let turin = facts(TURIN);
    assert_eq!((turin.version, turin.product), (5, Some(Product::Turin)));
    assert_eq!(turin.reported_tcb.versions, versions(1, 1, 1, 4, 81));
    let endorsement = turin.endorsement.unwrap();
    assert_eq!(endorsement.tcb, versions(1, 1, 1, 4, 81));
    assert_eq!(endorsement.hardware_id.unwrap().0.len(), 8);

    let dstack = facts(DSTACK);
    assert_eq!(dstack.reported_tcb.versions, versions(0, 4, 0, 23, 213));
    assert_eq!(dstack.current_tcb.versions, versions(0, 4, 0, 24, 213));
    assert_eq!(dstack.committed_tcb.versions, versions(0, 4, 0, 24, 213));
    assert_eq!(dstack.launch_tcb.versions, versions(0, 4, 0, 24, 213));

    let coco = facts(COCO);
    assert_eq!((coco.version, coco.product), (2, Some(Product::Milan)));
    assert_eq!(coco.reported_tcb.versions, versions(0, 3, 0, 8, 115));
    assert_eq!(coco.current_tcb.versions, versions(0, 3, 0, 8, 206));

    let aws = facts(AWS);
    assert_eq!((aws.signing_key, aws.vmpl), (SigningKey::Vlek, 1));
    let endorsement = aws.endorsement.unwrap();
    let csp_id = endorsement.csp_id.as_deref();
    assert_eq!(csp_id, Some("CN=cc-us-east-2.amazonaws.com"));
    assert!(endorsement.hardware_id.is_none());
}

#[test]
fn a_certificate_is_valid_from_its_first_to_its_last_second() {
    for vector in VECTORS {
        let at = |now| {
            verify(
                &vector.evidence(),
                &vector.policy(),
                &Binding::unbound(),
                now,
            )
        };
        let (first, last) = vector.window;
        assert!(at(first).is_ok() && at(last).is_ok(), "{}", vector.name);
        let (early, late) = (at(first - 1).unwrap_err(), at(last + 1).unwrap_err());
        assert_eq!(early, SevSnpError::NotYetValid(vector.role()).into());
        assert_eq!(late, SevSnpError::Expired(vector.role()).into());
        assert_eq!(early.code(), "snp-certificate-not-yet-valid");
        assert_eq!(late.code(), "snp-certificate-expired");
        assert!(at(i64::MIN).is_err() && at(i64::MAX).is_err());
    }
}

#[test]
fn a_report_binds_its_own_data_only() {
    for vector in VECTORS {
        let data: [u8; 64] = field(vector.report, 0x50);
        let bound = |data: &[u8]| {
            let binding = Binding::to(data);
            verify(&vector.evidence(), &vector.policy(), &binding, vector.now()).map(drop)
        };
        let expected = if data == [0; 64] {
            Err(EvidenceError::WrongBinding)
        } else {
            Ok(())
        };
        assert_eq!(bound(&data), expected, "{}", vector.name);

        let mut other = data;
        other[63] ^= 1;
        for wrong in [&other[..], &data[..63], &[&data[..], &[0]].concat(), &[]] {
            assert_eq!(bound(wrong), Err(EvidenceError::WrongBinding));
        }
    }
    let mut dstack = [0; 64];
    dstack[..24].copy_from_slice(b"attest-test-fixture-2026");
    let binding = Binding::to(&dstack);
    assert!(verify(&DSTACK.evidence(), &DSTACK.policy(), &binding, OCTOBER_2026).is_ok());
}

#[test]
fn a_nonce_is_refused() {
    let data: [u8; 64] = field(DSTACK.report, 0x50);
    for binding in [Binding::to(&data), Binding::unbound()] {
        let binding = binding.with_nonce(b"nonce");
        let verdict = verify(&DSTACK.evidence(), &DSTACK.policy(), &binding, OCTOBER_2026);
        let expected = EvidenceError::NonceNotSupported(Platform::SevSnp);
        assert_eq!(verdict.unwrap_err(), expected);
    }
}

#[test]
fn the_measurement_and_what_is_pinned_beside_it_must_match() {
    let verdict = |change: fn(&mut Measurement)| {
        let mut measurement = MILAN.measurement();
        change(&mut measurement);
        MILAN.verify(&Policy::new([measurement]).unwrap())
    };
    let wrong = EvidenceError::WrongMeasurement;
    let values = |measurement: &mut Measurement, at: usize, bytes: &[u8]| {
        let MeasuredValues::SevSnp {
            measurement,
            host_data,
            id_key_digest,
            author_key_digest,
        } = &mut measurement.values
        else {
            panic!("values of another platform");
        };
        match at {
            0x90 => *measurement = bytes.try_into().unwrap(),
            0xC0 => *host_data = Some(bytes.try_into().unwrap()),
            0xE0 => *id_key_digest = Some(bytes.try_into().unwrap()),
            _ => *author_key_digest = Some(bytes.try_into().unwrap()),
        }
    };
    for (at, length) in [(0x90, 48), (0xC0, 32), (0xE0, 48), (0x110, 48)] {
        let own = &MILAN.report[at..at + length];
        let mut other = own.to_vec();
        other[length - 1] ^= 1;
        let verdict = |bytes: &[u8]| {
            let mut measurement = MILAN.measurement();
            values(&mut measurement, at, bytes);
            MILAN.verify(&Policy::new([measurement]).unwrap())
        };
        assert!(verdict(own).is_ok(), "{at:#x}");
        assert_eq!(verdict(&other).unwrap_err(), wrong, "{at:#x}");
    }
    let ended = |measurement: &mut Measurement| measurement.not_after = Some(OCTOBER_2026 - 1);
    let name = MILAN.name.to_owned();
    assert_eq!(
        verdict(ended).unwrap_err(),
        EvidenceError::MeasurementExpired { name }
    );
    let ending = |measurement: &mut Measurement| measurement.not_after = Some(OCTOBER_2026);
    assert_eq!(verdict(ending).unwrap().valid_until(), OCTOBER_2026);

    let nitro = MeasuredValues::Nitro {
        pcrs: [(0, [1; 48])].into(),
    };
    let nitro = Policy::new([Measurement {
        values: nitro,
        ..MILAN.measurement()
    }]);
    assert_eq!(
        MILAN.verify(&nitro.unwrap()).unwrap_err(),
        EvidenceError::NoMeasurement(Platform::SevSnp)
    );
}

#[test]
fn changed_fields_break_the_signature() {
    let wrong: EvidenceError = SevSnpError::ReportSignature.into();
    for vector in VECTORS {
        for (field, at) in [
            ("guest_svn", 0x04),
            ("policy", 0x0A),
            ("family_id", 0x10),
            ("vmpl", 0x30),
            ("platform_info", 0x40),
            ("report_data", 0x50),
            ("measurement", 0x90),
            ("host_data", 0xC0),
            ("id_key_digest", 0xE0),
            ("report_id", 0x140),
            ("reported_tcb", 0x180),
            ("reserved", 0x190),
            ("chip_id", 0x1A0),
            ("last signed byte", 0x29F),
            ("r", 0x2A0),
            ("s", 0x2E8),
        ] {
            let error = vector.changed(|report| report[at] ^= 1);
            assert_eq!(error, wrong, "{}: {field}", vector.name);
        }
    }
    assert_eq!(wrong.code(), "snp-signature");
}

#[test]
fn the_form_of_a_report_is_checked() {
    for (error, change) in [
        (SevSnpError::ReportVersion(1), (0x00, 1_u32)),
        (SevSnpError::ReportVersion(6), (0x00, 6)),
        (SevSnpError::ReportVersion(0), (0x00, 0)),
        (SevSnpError::ReportVersion(0x103), (0x00, 0x103)),
        (SevSnpError::SignatureAlgorithm(0), (0x34, 0)),
        (SevSnpError::SignatureAlgorithm(2), (0x34, 2)),
        (SevSnpError::AuthorKey, (0x48, 1)),
        (SevSnpError::ChipKeyMasked, (0x48, 2)),
        (SevSnpError::SigningKeyReserved(2), (0x48, 2 << 2)),
        (SevSnpError::SigningKeyReserved(6), (0x48, 6 << 2)),
        (SevSnpError::Unsigned, (0x48, 7 << 2)),
        (SevSnpError::SignerInfoReserved, (0x48, 1 << 5)),
        (SevSnpError::SigningKeyKind, (0x48, 1 << 2)),
        // The digest of an author key without its bit.
        (SevSnpError::AuthorKey, (0x110, 1)),
    ] {
        let (at, value) = change;
        let verdict = MILAN.changed(|report| {
            report[at..at + 4].copy_from_slice(&value.to_le_bytes());
        });
        assert_eq!(verdict, error.into());
    }
    let vlek_as_vcek = AWS.changed(|report| report[0x48] = 0);
    assert_eq!(vlek_as_vcek, SevSnpError::SigningKeyKind.into());
}

#[test]
fn no_other_length_is_a_report() {
    let longer = [MILAN.report.as_slice(), &[0]].concat();
    for length in 0..1184 {
        let error = MILAN.with(&longer[..length], MILAN.vek);
        assert_eq!(error, SevSnpError::ReportLength(length).into());
        let evidence = Evidence::SevSnp {
            report: &longer[..length],
            endorsements: MILAN.vek,
        };
        assert_eq!(inspect(&evidence).unwrap_err(), error);
    }
    let error = MILAN.with(&longer, MILAN.vek);
    assert_eq!(error, SevSnpError::ReportLength(1185).into());
}

#[test]
fn no_shorter_certificate_is_one() {
    for vector in [MILAN, TURIN, AWS] {
        for length in 0..vector.vek.len() {
            vector.with(vector.report, &vector.vek[..length]);
        }
    }
    let missing = MILAN.with(MILAN.report, &[]);
    assert_eq!(missing, SevSnpError::MissingCertificate(Role::Vcek).into());
    let longer = [MILAN.vek, &[0]].concat();
    let malformed = SevSnpError::MalformedCertificate(Role::Vcek);
    assert_eq!(MILAN.with(MILAN.report, &longer), malformed.into());
}

/// Every bit of a report is signed or checked, and so is every bit of a certificate.
#[test]
fn no_flipped_bit_goes_unnoticed() {
    for at in 0..1184 {
        MILAN.changed(|report| report[at] ^= 1 << (at % 8));
    }
    let policy = MILAN.policy();
    for at in 0..MILAN.vek.len() {
        let mut vek = MILAN.vek.to_vec();
        vek[at] ^= 1 << (at % 8);
        let evidence = Evidence::SevSnp {
            report: MILAN.report,
            endorsements: &vek,
        };
        let verdict = verify(&evidence, &policy, &Binding::unbound(), OCTOBER_2026);
        assert!(verdict.is_err(), "byte {at}");
        let _ = inspect(&evidence);
    }
}

#[test]
fn numbers_of_the_signature_are_in_range() {
    const ORDER: [u8; 48] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xC7, 0x63, 0x4D, 0x81, 0xF4, 0x37,
        0x2D, 0xDF, 0x58, 0x1A, 0x0D, 0xB2, 0x48, 0xB0, 0xA7, 0x7A, 0xEC, 0xEC, 0x19, 0x6A, 0xCC,
        0xC5, 0x29, 0x73,
    ];
    let mut order = ORDER;
    order.reverse();
    let mut below = order;
    below[0] -= 1;
    let out_of_range: EvidenceError = SevSnpError::SignatureRange.into();
    for at in [0x2A0, 0x2E8] {
        for (scalar, error) in [
            ([0; 48], &out_of_range),
            (order, &out_of_range),
            ([0xFF; 48], &out_of_range),
            (below, &SevSnpError::ReportSignature.into()),
        ] {
            let verdict = MILAN.changed(|report| report[at..at + 48].copy_from_slice(&scalar));
            assert_eq!(verdict, *error);
        }
        for high in 48..72 {
            let verdict = MILAN.changed(|report| report[at + high] = 1);
            assert_eq!(verdict, out_of_range);
        }
    }
    for at in [0x330, 0x49F] {
        let verdict = MILAN.changed(|report| report[at] = 1);
        assert_eq!(verdict, SevSnpError::SignaturePadding.into());
    }
}

#[test]
fn each_report_needs_its_own_key() {
    let wrong: EvidenceError = SevSnpError::ReportSignature.into();
    for (one, other) in [
        (MILAN, DSTACK),
        (DSTACK, MILAN),
        (VIRTEE, COCO),
        (MILAN, GENOA),
    ] {
        assert_eq!(one.with(one.report, other.vek), wrong);
    }
    let kind = MILAN.with(MILAN.report, AWS.vek);
    assert_eq!(kind, SevSnpError::SigningKeyKind.into());
}

#[test]
fn options_of_the_policy_are_kept() {
    let verdict = |vector: Vector, change: fn(&mut Policy)| {
        let mut policy = vector.policy();
        change(&mut policy);
        vector.verify(&policy)
    };
    let refused = |vector, change, error: SevSnpError| {
        assert_eq!(verdict(vector, change).unwrap_err(), error.into());
    };
    refused(
        AWS,
        |it| it.sev_snp.max_vmpl = 0,
        SevSnpError::Vmpl { vmpl: 1, max: 0 },
    );
    refused(
        AWS,
        |it| it.sev_snp.allow_vlek = false,
        SevSnpError::VlekNotAllowed,
    );
    refused(MILAN, |it| it.sev_snp.allow_smt = false, SevSnpError::Smt);
    refused(
        MILAN,
        |it| it.sev_snp.minimum_guest_svn = 3,
        SevSnpError::GuestSvnTooLow {
            reported: 2,
            minimum: 3,
        },
    );
    assert!(verdict(MILAN, |it| it.sev_snp.minimum_guest_svn = 2).is_ok());

    let chip = |vector: Vector, chips: &[[u8; 64]]| {
        let mut policy = vector.policy();
        let hex = |chip: &[u8; 64]| chip.iter().map(|byte| format!("{byte:02x}")).collect();
        policy.sev_snp.chip_ids = chips.iter().map(hex).collect();
        vector.verify(&policy).map(drop)
    };
    let (milan, dstack) = (field(MILAN.report, 0x1A0), field(DSTACK.report, 0x1A0));
    let not_allowed = Err(SevSnpError::ChipNotAllowed.into());
    assert_eq!(chip(MILAN, &[dstack, milan]), Ok(()));
    assert_eq!(chip(MILAN, &[dstack]), not_allowed);
    // A masked chip id belongs to any chip.
    assert_eq!(chip(AWS, &[[0; 64]]), not_allowed);
}

#[test]
fn an_expired_vlek_is_refused() {
    let at = |now| verify(&AWS.evidence(), &AWS.policy(), &Binding::unbound(), now);
    assert!(at(JUNE_2025).is_ok());
    let expired = SevSnpError::Expired(Role::Vlek);
    assert_eq!(at(JANUARY_2026).unwrap_err(), expired.into());
}

#[test]
fn each_part_of_the_platform_has_its_own_minimum() {
    let snp_24 = |policy: &mut Policy| policy.sev_snp.minimum_tcb.milan.snp = 24;
    let mut policy = DSTACK.policy();
    snp_24(&mut policy);
    let too_low = SevSnpError::TcbTooLow {
        component: TcbComponent::Snp,
        reported: 23,
        minimum: 24,
    };
    assert_eq!(DSTACK.verify(&policy).unwrap_err(), too_low.into());
    let mut policy = MILAN.policy();
    snp_24(&mut policy);
    assert!(MILAN.verify(&policy).is_ok());

    type Part = (TcbComponent, fn(&mut TcbVersion) -> &mut u8);
    let parts: [Part; 5] = [
        (TcbComponent::Fmc, |tcb| &mut tcb.fmc),
        (TcbComponent::Bootloader, |tcb| &mut tcb.bootloader),
        (TcbComponent::Tee, |tcb| &mut tcb.tee),
        (TcbComponent::Snp, |tcb| &mut tcb.snp),
        (TcbComponent::Microcode, |tcb| &mut tcb.microcode),
    ];
    for vector in [MILAN, GENOA, TURIN, COCO] {
        let claims = vector.verify(&vector.policy()).unwrap();
        let own = snp(&claims).reported_tcb.versions.unwrap();
        let product = snp(&claims).product.unwrap();
        let verdict = |minimum: TcbVersion| {
            let mut policy = vector.policy();
            match product {
                Product::Milan => policy.sev_snp.minimum_tcb.milan = minimum,
                Product::Genoa => policy.sev_snp.minimum_tcb.genoa = minimum,
                Product::Turin => policy.sev_snp.minimum_tcb.turin = minimum,
            }
            vector.verify(&policy)
        };
        assert!(verdict(own).is_ok(), "{}", vector.name);
        for (component, part) in parts {
            let mut minimum = own;
            *part(&mut minimum) += 1;
            let too_low = SevSnpError::TcbTooLow {
                component,
                reported: *part(&mut own.clone()),
                minimum: *part(&mut minimum),
            };
            assert_eq!(verdict(minimum).unwrap_err(), too_low.into());
        }
    }
}

#[test]
fn inspection_shows_without_judging() {
    for vector in VECTORS {
        let claims = vector.verify(&vector.policy()).unwrap();
        let inspected = inspect(&vector.evidence()).unwrap();
        let json = |facts: &Facts| serde_json::to_value(facts).unwrap();
        assert_eq!(json(&inspected), json(claims.facts()), "{}", vector.name);

        let bare = Evidence::SevSnp {
            report: vector.report,
            endorsements: &[],
        };
        let Facts::SevSnp(bare) = inspect(&bare).unwrap() else {
            panic!("facts of another platform");
        };
        assert!(bare.endorsement.is_none());
        // Version 2 does not say on which processor it was made.
        assert_eq!(bare.product.is_some(), bare.version >= 3);
        assert_eq!(bare.reported_tcb.versions.is_some(), bare.version >= 3);
    }

    let mut broken = *MILAN.report;
    broken[0x00] = 9;
    broken[0x0A] |= 1 << 3;
    broken[0x48] = 7 << 2;
    let broken = Evidence::SevSnp {
        report: &broken,
        endorsements: &[],
    };
    let json = serde_json::to_value(inspect(&broken).unwrap()).unwrap();
    assert_eq!(json["platform"], "sev-snp");
    assert_eq!(json["version"], 9);
    assert_eq!(json["signing_key"], "none");
    assert_eq!(json["policy"]["debug"], true);
    assert_eq!(json["policy"]["raw"], "0xb001f");
    assert_eq!(json["reported_tcb"]["raw"], "04000000000018db");
    assert_eq!(json["measurement"], snp_hex(&MILAN.report[0x90..0xC0]));
}

fn snp_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
