//! Validly signed SEV-SNP evidence that must be refused, made under a root for tests.

use getrandom::SysRng;
use rand_core::UnwrapErr;
use zkpass_attest::{
    Binding, Claims, Evidence, EvidenceError, Facts, Measurement, Policy, danger,
    policy::MeasuredValues,
    sev_snp::{Product, Role, SevSnpError, TcbComponent},
    verify,
};
use zkpass_devtee::sev_snp::{
    SnpReportFields, SnpRoot, SnpSigner, SnpTcb,
    forge::{Authority, Extension, Vek, der_integer, der_text},
};

const ROOT: &str =
    include_str!("../../../../enclave/zkpass-devtee/tests/data/sev-snp-test-root.pem");

/// 2026-10-01, ten days after the root was made.
const NOW: i64 = 1_790_812_800;
const YEAR: i64 = 31_557_600;

const MEASUREMENT: [u8; 48] = [1; 48];
const REPORT_DATA: [u8; 64] = [2; 64];
const CHIP: [u8; 64] = [3; 64];
const TCB: SnpTcb = SnpTcb {
    bootloader: 4,
    tee: 1,
    snp: 23,
    microcode: 213,
};

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

fn root() -> SnpRoot {
    SnpRoot::from_pem(ROOT).unwrap()
}

fn vcek() -> Vek {
    Vek::vcek(NOW, &CHIP, TCB)
}

fn issue(vek: &Vek) -> SnpSigner {
    vek.issue(&root(), &mut rng()).unwrap()
}

fn fields() -> SnpReportFields {
    SnpReportFields::new(MEASUREMENT, REPORT_DATA)
}

fn vendor_policy() -> Policy {
    let values = MeasuredValues::SevSnp {
        measurement: MEASUREMENT,
        host_data: None,
        id_key_digest: None,
        author_key_digest: None,
    };
    let measurement = Measurement {
        name: "test".to_owned(),
        not_after: None,
        values,
    };
    Policy::new([measurement]).unwrap()
}

fn policy_of(root: &SnpRoot) -> Policy {
    danger::trust_development_root(vendor_policy(), root.fingerprint())
}

fn policy() -> Policy {
    policy_of(&root())
}

fn judge(report: &[u8], endorsements: &[u8], policy: &Policy) -> Result<Claims, EvidenceError> {
    let evidence = Evidence::SevSnp {
        report,
        endorsements,
    };
    verify(&evidence, policy, &Binding::to(&REPORT_DATA), NOW)
}

/// The verdict on an honest report of a signer.
fn judge_signer(signer: &SnpSigner, policy: &Policy) -> Result<Claims, EvidenceError> {
    let report = signer.report(&fields()).unwrap();
    judge(&report, &signer.certificate_table(), policy)
}

/// The verdict on a report of fields, or of bytes that are changed before they are signed.
fn judge_report(
    vek: &Vek,
    fields: &SnpReportFields,
    policy: &Policy,
    change: impl FnOnce(&mut [u8]),
) -> Result<Claims, EvidenceError> {
    let signer = issue(vek);
    let mut signed = signer.unsigned(fields);
    change(&mut signed);
    let report = signer.sign(&signed).unwrap();
    judge(&report, &signer.certificate_table(), policy)
}

fn judge_vek(vek: &Vek) -> Result<Claims, EvidenceError> {
    judge_signer(&issue(vek), &policy())
}

fn refuses<T: std::fmt::Debug>(verdict: Result<T, EvidenceError>, error: SevSnpError) {
    assert_eq!(verdict.unwrap_err(), error.into());
}

fn ask() -> Authority {
    Authority::new("SEV-Milan", Some(0), NOW - 1, NOW + 10 * YEAR)
}

fn ark() -> Authority {
    Authority::new("ARK-Milan", None, NOW - 1, NOW + 10 * YEAR)
}

fn asvk() -> Authority {
    Authority::new("SEV-VLEK-Milan", Some(0), NOW - 1, NOW + 10 * YEAR)
}

/// The verdict on honest evidence under another certificate for the ASK.
fn judge_ask(ask: &Authority, vek: &Vek) -> Result<Claims, EvidenceError> {
    let root = ask.replace_ask(&root(), &mut rng()).unwrap();
    judge_signer(&vek.issue(&root, &mut rng()).unwrap(), &policy_of(&root))
}

/// The verdict on honest evidence under another certificate for the ARK.
fn judge_ark(ark: &Authority) -> Result<Claims, EvidenceError> {
    let root = ark.replace_ark(&root(), &mut rng()).unwrap();
    judge_signer(&vcek().issue(&root, &mut rng()).unwrap(), &policy_of(&root))
}

#[test]
fn a_development_root_is_trusted_on_request_only() {
    let root = root();
    let signer = root.chip(&mut rng(), NOW, CHIP, TCB).unwrap();
    let claims = judge_signer(&signer, &policy()).unwrap();
    assert!(claims.is_development());
    assert_eq!(
        claims.measurement_id(),
        format!("sev-snp:{}", "01".repeat(48))
    );
    assert_eq!(claims.valid_until(), NOW + 7 * YEAR);
    let Facts::SevSnp(facts) = claims.facts() else {
        panic!("facts of another platform");
    };
    assert_eq!(facts.product, Some(Product::Milan));
    let tcb = facts.reported_tcb.versions.unwrap();
    assert_eq!(
        (tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode),
        (4, 1, 23, 213)
    );
    assert_eq!(facts.chip_id.0, CHIP);

    refuses(
        judge_signer(&signer, &vendor_policy()),
        SevSnpError::Issuer(Role::Vcek),
    );
    let mut other = root.fingerprint();
    other[31] ^= 1;
    let other = danger::trust_development_root(vendor_policy(), other);
    refuses(judge_signer(&signer, &other), SevSnpError::UntrustedRoot);

    // The certificate alone does not name its chain.
    let report = signer.report(&fields()).unwrap();
    let missing = SevSnpError::MissingCertificate(Role::Ark);
    refuses(judge(&report, signer.certificate(), &policy()), missing);
}

#[test]
fn a_key_belongs_to_one_tcb() {
    for (arcs, component) in [
        ([3, 1], TcbComponent::Bootloader),
        ([3, 2], TcbComponent::Tee),
        ([3, 3], TcbComponent::Snp),
        ([3, 8], TcbComponent::Microcode),
        ([3, 4], TcbComponent::Reserved),
        ([3, 7], TcbComponent::Reserved),
    ] {
        let vek = vcek().with_extension(&arcs, Some(der_integer(128)));
        let verdict = judge_vek(&vek).unwrap_err();
        assert_eq!(verdict, SevSnpError::VekTcb(component).into());
        assert_eq!(verdict.code(), "snp-vek-tcb-mismatch");
    }
    // The reported TCB counts, not the others.
    for (at, accepted) in [(0x38, true), (0x180, false), (0x1E0, true), (0x1F0, true)] {
        let verdict = judge_report(&vcek(), &fields(), &policy(), |report| report[at] += 1);
        assert_eq!(verdict.is_ok(), accepted, "{at:#x}");
    }
}

#[test]
fn a_key_belongs_to_one_chip() {
    let mut other = CHIP;
    other[63] ^= 1;
    let id = |id: &[u8]| vcek().with_extension(&[4], Some(id.to_vec()));
    for id in [id(&other), id(&CHIP[..63]), id(&CHIP[..8]), id(&[])] {
        refuses(judge_vek(&id), SevSnpError::VekChip);
    }
    let masked = Vek {
        chip_id: [0; 64],
        ..vcek()
    };
    refuses(judge_vek(&masked), SevSnpError::VekChip);
}

#[test]
fn a_key_belongs_to_one_product() {
    let product = |name: &str| vcek().with_extension(&[2], Some(der_text(name)));
    for name in [
        "Genoa", "Genoa-B1", "Turin-C1", "Rome", "milan", "", "MilanB0",
    ] {
        refuses(judge_vek(&product(name)), SevSnpError::VekProduct);
    }
    assert!(judge_vek(&product("Milan")).is_ok());

    let named = |ask_name: &str, product_name: &str| {
        let ask = Authority {
            common_name: ask_name.to_owned(),
            ..ask()
        };
        let vek = Vek {
            issuer: ask_name.to_owned(),
            ..product(product_name)
        };
        judge_ask(&ask, &vek)
    };
    refuses(named("SEV-Genoa", "Genoa-B1"), SevSnpError::Cpuid);
    refuses(named("SEV-Turin", "Turin-B0"), SevSnpError::Cpuid);
    refuses(named("SEV-Rome", "Rome-B0"), SevSnpError::UnknownProduct);
    refuses(
        named("ASK-Milan", "Milan-B0"),
        SevSnpError::Intermediate(Role::Vcek),
    );
    refuses(named("SEV-Milan", "Genoa-B1"), SevSnpError::VekProduct);
    for (family, model) in [(0x19, 0x10), (0x19, 0x20), (0x1A, 1), (0x17, 1), (0, 0)] {
        let verdict = judge_report(&vcek(), &fields(), &policy(), |report| {
            report[0x188..0x18A].copy_from_slice(&[family, model]);
        });
        refuses(verdict, SevSnpError::Cpuid);
    }
}

#[test]
fn extensions_are_complete_and_well_formed() {
    let change = |arcs: &[u8], value: Option<&[u8]>| {
        judge_vek(&vcek().with_extension(arcs, value.map(<[u8]>::to_vec)))
    };
    let wrong = SevSnpError::VekExtensions(Role::Vcek);
    for arcs in [&[2][..], &[3, 1], &[3, 2], &[3, 3], &[3, 8], &[4]] {
        refuses(change(arcs, None), wrong.clone());
    }
    let snp: &[u8] = &[3, 3];
    for value in [
        &[2, 1, 0x80][..], // negative
        &[2, 2, 0, 23],    // longer than needed
        &[2, 2, 1, 0],     // 256
        &[2, 0],
        &[4, 1, 23],
        &[2, 1, 23, 0],
        &[],
    ] {
        refuses(change(snp, Some(value)), wrong.clone());
    }
    refuses(change(&[2], Some(b"Milan-B0")), wrong.clone());
    refuses(change(&[3, 10], Some(&[2, 1, 0])), wrong.clone());
    // A chip and a cloud provider at once.
    refuses(change(&[5], Some(&der_text("CN=x"))), wrong);
    // Reserved parts may be left out, and what is new may be there.
    assert!(change(&[3, 4], None).is_ok());
    assert!(change(&[6], Some(b"new")).is_ok());

    let mut twice = vcek();
    twice.extensions.push(twice.extensions[2].clone());
    refuses(
        judge_vek(&twice),
        SevSnpError::MalformedCertificate(Role::Vcek),
    );
}

#[test]
fn loaded_keys_stand_under_their_own_authority() {
    let vlek = Vek::vlek(NOW, "CN=cloud.example", TCB);
    let claims = judge_ask(&asvk(), &vlek).unwrap();
    assert_eq!(claims.valid_until(), NOW + YEAR);

    let under_ask = Vek {
        issuer: "SEV-Milan".to_owned(),
        ..vlek.clone()
    };
    refuses(judge_vek(&under_ask), SevSnpError::Intermediate(Role::Vlek));
    let under_asvk = Vek {
        issuer: "SEV-VLEK-Milan".to_owned(),
        ..vcek()
    };
    refuses(
        judge_ask(&asvk(), &under_asvk),
        SevSnpError::Intermediate(Role::Vcek),
    );

    let anonymous = vlek.clone().with_extension(&[5], None);
    let extensions = SevSnpError::VekExtensions(Role::Vlek);
    refuses(judge_ask(&asvk(), &anonymous), extensions.clone());
    let nameless = vlek.clone().with_extension(&[5], Some(der_text("")));
    refuses(judge_ask(&asvk(), &nameless), extensions);
    let with_chip = vlek.clone().with_extension(&[4], Some(CHIP.to_vec()));
    let with_chip = with_chip.with_extension(&[5], None);
    refuses(judge_ask(&asvk(), &with_chip), SevSnpError::SigningKeyKind);
    // A loaded key belongs to no chip, whether or not the report shows one.
    let on_a_chip = Vek {
        chip_id: CHIP,
        ..vlek
    };
    assert!(judge_ask(&asvk(), &on_a_chip).is_ok());
}

#[test]
fn the_field_of_the_signing_key_is_checked() {
    let verdict = |value: u8| {
        judge_report(&vcek(), &fields(), &policy(), |report| report[0x48] = value).map(drop)
    };
    assert_eq!(verdict(0), Ok(()));
    refuses(verdict(1), SevSnpError::AuthorKey);
    refuses(verdict(2), SevSnpError::ChipKeyMasked);
    refuses(verdict(3 << 2), SevSnpError::SigningKeyReserved(3));
    refuses(verdict(7 << 2), SevSnpError::Unsigned);
    refuses(verdict(1 << 5), SevSnpError::SignerInfoReserved);

    let author = SnpReportFields {
        author_key_digest: [9; 48],
        ..fields()
    };
    assert!(judge_report(&vcek(), &author, &policy(), |_| ()).is_ok());
    let hidden = judge_report(&vcek(), &author, &policy(), |report| report[0x48] = 0);
    refuses(hidden, SevSnpError::AuthorKey);

    // The host may mask the chip's key when another signs.
    let root = asvk().replace_ask(&root(), &mut rng()).unwrap();
    let vlek = Vek::vlek(NOW, "CN=cloud.example", TCB);
    let signer = vlek.issue(&root, &mut rng()).unwrap();
    let mut signed = signer.unsigned(&fields());
    signed[0x48] |= 2;
    let report = signer.sign(&signed).unwrap();
    assert!(judge(&report, &signer.certificate_table(), &policy()).is_ok());
}

#[test]
fn versions_and_algorithms_are_checked() {
    let verdict = |at: usize, value: u8| {
        judge_report(&vcek(), &fields(), &policy(), |report| report[at] = value).map(drop)
    };
    for version in 2..=5 {
        assert_eq!(verdict(0, version), Ok(()));
    }
    refuses(verdict(0, 1), SevSnpError::ReportVersion(1));
    refuses(verdict(0, 6), SevSnpError::ReportVersion(6));
    refuses(verdict(0x34, 0), SevSnpError::SignatureAlgorithm(0));
    refuses(verdict(0x34, 2), SevSnpError::SignatureAlgorithm(2));
    // Version 2 has no field for the processor.
    let old = judge_report(&vcek(), &fields(), &policy(), |report| {
        report[0] = 2;
        report[0x188..0x18B].fill(0);
    });
    assert!(old.is_ok());
}

#[test]
fn the_guest_policy_is_judged() {
    let verdict = |bits: u64, change: fn(&mut Policy)| {
        let mut policy = policy();
        change(&mut policy);
        let fields = SnpReportFields {
            policy: bits,
            ..fields()
        };
        judge_report(&vcek(), &fields, &policy, |_| ()).map(drop)
    };
    let plain = |bits| verdict(bits, |_| ());
    assert_eq!(plain(0x3_0000), Ok(()));
    assert_eq!(
        plain(0x3F2_0102),
        Ok(()),
        "what restricts the host is welcome"
    );
    refuses(plain(0x1_0000), SevSnpError::GuestPolicyReserved);
    refuses(plain(0x3_0000 | 1 << 26), SevSnpError::GuestPolicyReserved);
    refuses(plain(0x3_0000 | 1 << 63), SevSnpError::GuestPolicyReserved);
    assert_eq!(plain(0x3_0000 | 1 << 19), Err(EvidenceError::DebugMode));
    let all = |policy: &mut Policy| {
        policy.sev_snp.allow_migration_agent = true;
        policy.sev_snp.allow_smt = true;
        policy.sev_snp.max_vmpl = 3;
    };
    assert_eq!(
        verdict(0x3_0000 | 1 << 19, all),
        Err(EvidenceError::DebugMode)
    );
    refuses(plain(0x3_0000 | 1 << 18), SevSnpError::MigrationAgent);
    assert_eq!(verdict(0x3_0000 | 1 << 18, all), Ok(()));
    let no_smt = |policy: &mut Policy| policy.sev_snp.allow_smt = false;
    refuses(verdict(0x3_0000, no_smt), SevSnpError::Smt);
    assert_eq!(verdict(0x2_0000, no_smt), Ok(()));
}

#[test]
fn levels_are_judged() {
    let verdict = |vmpl, max_vmpl| {
        let mut policy = policy();
        policy.sev_snp.max_vmpl = max_vmpl;
        let fields = SnpReportFields { vmpl, ..fields() };
        judge_report(&vcek(), &fields, &policy, |_| ()).map(drop)
    };
    refuses(verdict(1, 0), SevSnpError::Vmpl { vmpl: 1, max: 0 });
    assert_eq!(verdict(1, 1), Ok(()));
    assert_eq!(verdict(3, 3), Ok(()));
    refuses(verdict(3, 2), SevSnpError::Vmpl { vmpl: 3, max: 2 });
    // The host's own reports say that they come from no level.
    let vmpl = u32::MAX;
    refuses(verdict(vmpl, u32::MAX), SevSnpError::Vmpl { vmpl, max: 3 });
}

#[test]
fn empty_measurements_and_bindings_are_refused() {
    let of = |measurement, report_data| {
        let fields = SnpReportFields::new(measurement, report_data);
        let signer = issue(&vcek());
        let report = signer.report(&fields).unwrap();
        let evidence = Evidence::SevSnp {
            report: &report,
            endorsements: &signer.certificate_table(),
        };
        let bound = Binding::to(&report_data);
        verify(&evidence, &policy(), &bound, NOW).map(drop)
    };
    assert_eq!(of(MEASUREMENT, REPORT_DATA), Ok(()));
    assert_eq!(
        of([0; 48], REPORT_DATA),
        Err(EvidenceError::ZeroMeasurement)
    );
    assert_eq!(
        of([8; 48], REPORT_DATA),
        Err(EvidenceError::WrongMeasurement)
    );
    assert_eq!(of(MEASUREMENT, [0; 64]), Err(EvidenceError::WrongBinding));
}

#[test]
fn every_certificate_is_valid_at_the_time() {
    type Window = (i64, i64);
    let ask_at = |(not_before, not_after): Window| {
        let ask = Authority {
            not_before,
            not_after,
            ..ask()
        };
        judge_ask(&ask, &vcek())
    };
    let ark_at = |(not_before, not_after): Window| {
        judge_ark(&Authority {
            not_before,
            not_after,
            ..ark()
        })
    };
    let vek_at = |(not_before, not_after): Window| {
        judge_vek(&Vek {
            not_before,
            not_after,
            ..vcek()
        })
    };
    let (early, late) = ((NOW + 1, NOW + 9), (NOW - 9, NOW - 1));
    refuses(ark_at(early), SevSnpError::NotYetValid(Role::Ark));
    refuses(ark_at(late), SevSnpError::Expired(Role::Ark));
    refuses(ask_at(early), SevSnpError::NotYetValid(Role::Ask));
    refuses(ask_at(late), SevSnpError::Expired(Role::Ask));
    refuses(vek_at(early), SevSnpError::NotYetValid(Role::Vcek));
    refuses(vek_at(late), SevSnpError::Expired(Role::Vcek));
    // The earliest end counts.
    let last = (NOW - 1, NOW + 5);
    for verdict in [ark_at(last), ask_at(last), vek_at(last)] {
        assert_eq!(verdict.unwrap().valid_until(), NOW + 5);
    }
    // Years from 2050 on are written in another form.
    let long = vek_at((NOW, NOW + 40 * YEAR)).unwrap();
    assert_eq!(long.valid_until(), root_end());
}

/// The root of the tests was made for twenty years on 2026-09-21.
fn root_end() -> i64 {
    1_790_000_000 + 20 * YEAR
}

#[test]
fn only_authorities_sign() {
    type Extensions = Vec<Extension>;
    let with = |authority: Authority, change: &dyn Fn(&mut Extensions)| {
        let mut extensions = authority.extensions.clone();
        change(&mut extensions);
        Authority {
            extensions,
            ..authority
        }
    };
    let no_constraints = |it: &mut Extensions| drop(it.remove(0));
    let no_usage = |it: &mut Extensions| drop(it.remove(1));
    // SEQUENCE {}: no authority.
    let not_one = |it: &mut Extensions| it[0].value = vec![0x30, 0];
    // BIT STRING: digitalSignature.
    let other_usage = |it: &mut Extensions| it[1].value = vec![3, 2, 7, 0x80];
    let changes: [&dyn Fn(&mut Extensions); 4] =
        [&no_constraints, &no_usage, &not_one, &other_usage];
    for change in changes {
        let verdict = judge_ask(&with(ask(), change), &vcek());
        refuses(verdict, SevSnpError::NotAuthority(Role::Ask));
        let verdict = judge_ark(&with(ark(), change));
        refuses(verdict, SevSnpError::NotAuthority(Role::Ark));
    }
    let lone = Authority::new("ARK-Milan", Some(0), NOW, NOW + YEAR);
    refuses(judge_ark(&lone), SevSnpError::NotAuthority(Role::Ark));
    let enough = Authority::new("ARK-Milan", Some(1), NOW, NOW + YEAR);
    assert!(judge_ark(&enough).is_ok());
}

#[test]
fn names_chain() {
    let renamed = Authority {
        common_name: "ARK-Other".to_owned(),
        ..ark()
    };
    refuses(judge_ark(&renamed), SevSnpError::Issuer(Role::Ask));
    let other_issuer = Vek {
        issuer: "SEV-Genoa".to_owned(),
        ..vcek()
    };
    refuses(judge_vek(&other_issuer), SevSnpError::Issuer(Role::Vcek));
}

#[test]
fn unknown_critical_extensions_are_refused() {
    // 2.5.29.30: name constraints.
    let critical = Extension {
        id: vec![0x55, 0x1D, 0x1E],
        critical: true,
        value: vec![0x30, 0],
    };
    let harmless = Extension {
        critical: false,
        ..critical.clone()
    };
    let vek = |extension: &Extension| {
        let mut vek = vcek();
        vek.extensions.push(extension.clone());
        judge_vek(&vek)
    };
    let ask = |extension: &Extension| {
        let mut ask = ask();
        ask.extensions.push(extension.clone());
        judge_ask(&ask, &vcek())
    };
    let ark = |extension: &Extension| {
        let mut ark = ark();
        ark.extensions.push(extension.clone());
        judge_ark(&ark)
    };
    refuses(vek(&critical), SevSnpError::CriticalExtension(Role::Vcek));
    let new = Extension {
        critical: true,
        ..Extension::amd(&[6], vec![0x30, 0])
    };
    refuses(vek(&new), SevSnpError::CriticalExtension(Role::Vcek));
    refuses(ask(&critical), SevSnpError::CriticalExtension(Role::Ask));
    refuses(ark(&critical), SevSnpError::CriticalExtension(Role::Ark));
    assert!(vek(&harmless).is_ok() && ask(&harmless).is_ok() && ark(&harmless).is_ok());
}

/// SubjectPublicKeyInfo of P-384, and of P-256 with the base points.
const P384_KEY: &[u8] = b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04\
    \xaa\x87\xca\x22\xbe\x8b\x05\x37\x8e\xb1\xc7\x1e\xf3\x20\xad\x74\x6e\x1d\x3b\x62\x8b\xa7\x9b\x98\
    \x59\xf7\x41\xe0\x82\x54\x2a\x38\x55\x02\xf2\x5d\xbf\x55\x29\x6c\x3a\x54\x5e\x38\x72\x76\x0a\xb7\
    \x36\x17\xde\x4a\x96\x26\x2c\x6f\x5d\x9e\x98\xbf\x92\x92\xdc\x29\xf8\xf4\x1d\xbd\x28\x9a\x14\x7c\
    \xe9\xda\x31\x13\xb5\xf0\xb8\xc0\x0a\x60\xb1\xce\x1d\x7e\x81\x9d\x7a\x43\x1d\x7c\x90\xea\x0e\x5f";
const P256_KEY: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04\
    \x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\
    \xf4\xa1\x39\x45\xd8\x98\xc2\x96\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\
    \x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5";

#[test]
fn keys_are_of_their_kind() {
    let vek = |key: &[u8]| Vek {
        public_key: Some(key.to_vec()),
        ..vcek()
    };
    refuses(judge_vek(&vek(P384_KEY)), SevSnpError::ReportSignature);
    refuses(
        judge_vek(&vek(P256_KEY)),
        SevSnpError::CertificateKey(Role::Vcek),
    );
    let mut off_the_curve = P384_KEY.to_vec();
    *off_the_curve.last_mut().unwrap() ^= 1;
    refuses(
        judge_vek(&vek(&off_the_curve)),
        SevSnpError::CertificateKey(Role::Vcek),
    );

    let small_rsa = {
        use x509_cert::der::{Encode as _, asn1::BitString};
        use x509_cert::spki::SubjectPublicKeyInfoOwned;
        // SEQUENCE { 2^2047 + 1, 65537 }
        let mut key = b"\x30\x82\x01\x0a\x02\x82\x01\x01\x00\x80".to_vec();
        key.extend([0; 254]);
        key.extend(b"\x01\x02\x03\x01\x00\x01");
        let info = SubjectPublicKeyInfoOwned {
            algorithm: x509_cert::spki::AlgorithmIdentifierOwned {
                oid: "1.2.840.113549.1.1.1".parse().unwrap(),
                parameters: Some(x509_cert::der::asn1::Null.into()),
            },
            subject_public_key: BitString::from_bytes(&key).unwrap(),
        };
        info.to_der().unwrap()
    };
    for key in [P384_KEY, &small_rsa] {
        let ask = Authority {
            public_key: Some(key.to_vec()),
            ..ask()
        };
        refuses(
            judge_ask(&ask, &vcek()),
            SevSnpError::CertificateKey(Role::Ask),
        );
        let ark = Authority {
            public_key: Some(key.to_vec()),
            ..ark()
        };
        refuses(judge_ark(&ark), SevSnpError::CertificateKey(Role::Ark));
    }
}

/// Where the certificates of a table of three lie: VCEK, ASK, ARK.
fn places(table: &[u8]) -> [std::ops::Range<usize>; 3] {
    let number = |at: usize| u32::from_le_bytes(table[at..at + 4].try_into().unwrap()) as usize;
    [0, 1, 2].map(|entry| {
        let offset = number(entry * 24 + 16);
        offset..offset + number(entry * 24 + 20)
    })
}

fn trusting(ark: &[u8]) -> Policy {
    use sha2::{Digest as _, Sha256};
    danger::trust_development_root(vendor_policy(), Sha256::digest(ark).into())
}

#[test]
fn every_signature_of_the_chain_is_checked() {
    let signer = issue(&vcek());
    let report = signer.report(&fields()).unwrap();
    let table = signer.certificate_table();
    let [vcek, ask, ark] = places(&table);
    for (place, role) in [
        (vcek, Role::Vcek),
        (ask, Role::Ask),
        (ark.clone(), Role::Ark),
    ] {
        let mut changed = table.clone();
        changed[place.end - 1] ^= 1;
        let verdict = judge(&report, &changed, &trusting(&changed[ark.clone()]));
        refuses(verdict, SevSnpError::CertificateSignature(role));

        // A salt of 32 bytes, in both places where the algorithm stands.
        let mut changed = table.clone();
        let salt = b"\xa2\x03\x02\x01\x30";
        let salts: Vec<usize> = (place.clone())
            .filter(|at| changed[*at..].starts_with(salt))
            .collect();
        assert_eq!(salts.len(), 2);
        for at in &salts {
            changed[at + 4] = 0x20;
        }
        let verdict = judge(&report, &changed, &trusting(&changed[ark.clone()]));
        refuses(verdict, SevSnpError::CertificateAlgorithm(role));
        // And in one only.
        changed[salts[0] + 4] = 0x30;
        let verdict = judge(&report, &changed, &trusting(&changed[ark.clone()]));
        refuses(verdict, SevSnpError::CertificateAlgorithm(role));
    }
}

/// The table names a chain; nothing in it but the place of its parts is unsigned.
#[test]
fn no_flipped_bit_of_a_chain_goes_unnoticed() {
    let signer = issue(&vcek());
    let report = signer.report(&fields()).unwrap();
    let table = signer.certificate_table();
    let policy = policy();
    for at in 0..table.len() {
        let mut changed = table.clone();
        changed[at] ^= 1 << (at % 8);
        // The end of the table may look like an entry that nobody knows.
        let is_end = (72..96).contains(&at);
        let verdict = judge(&report, &changed, &policy);
        assert!(verdict.is_err() || is_end, "byte {at}");
    }
    for length in (0..table.len()).step_by(7) {
        assert!(judge(&report, &table[..length], &policy).is_err());
    }
}
