use super::*;

const PCR: &str = "108b32466f5dc0a9971e0bc8e3e4074e7821bb2dcad3841bdec9a08b30f173386f0394a01486df181f316b39443dab34";

fn nitro(pcrs: &str) -> String {
    format!(
        "version = 1\n[[measurements]]\nname = \"a\"\nplatform = \"nitro\"\npcrs = {{ {pcrs} }}\n"
    )
}

fn good() -> String {
    nitro(&format!("0 = \"{PCR}\""))
}

fn refused(text: &str) -> PolicyError {
    Policy::from_toml(text).unwrap_err()
}

#[test]
fn a_full_policy_is_read() {
    let text = format!(
        r#"
version = 1
name = "all"
not_after = 2027-06-30T00:00:00Z
[[measurements]]
name = "n"
platform = "nitro"
pcrs.0 = "{PCR}"
pcrs.16 = "{PCR}"
not_after = 2027-01-01T02:00:00+02:00
[[measurements]]
name = "s"
platform = "sev-snp"
measurement = "{PCR}"
host_data = "{host}"
[[measurements]]
name = "t"
platform = "tdx"
mrtd = "{PCR}"
rtmr2 = "{PCR}"
[nitro]
max_age_seconds = 300
[sev-snp]
minimum_tcb.milan = {{ snp = 23 }}
chip_ids = ["{chip}"]
[tdx]
tcb_statuses = ["UpToDate", "SWHardeningNeeded"]
ppids = ["{ppid}"]
"#,
        host = "11".repeat(32),
        chip = "22".repeat(64),
        ppid = "33".repeat(16),
    );
    let policy = Policy::from_toml(&text).unwrap();
    assert_eq!(policy.name(), Some("all"));
    assert_eq!(policy.not_after, Some(1_814_313_600));
    assert_eq!(policy.measurements()[0].not_after, Some(1_798_761_600));
    let MeasuredValues::Nitro { pcrs } = &policy.measurements()[0].values else {
        panic!("another platform");
    };
    assert_eq!(pcrs.keys().copied().collect::<Vec<_>>(), [0, 16]);
    assert_eq!(policy.sev_snp.minimum_tcb.milan.snp, 23);
    assert!(!policy.is_development());
}

#[test]
fn nothing_is_accepted_without_a_measurement() {
    assert_eq!(refused("version = 1"), PolicyError::NoMeasurement);
    assert_eq!(Policy::new([]).unwrap_err(), PolicyError::NoMeasurement);
    assert_eq!(refused(&nitro("")), PolicyError::NoPcr("a".into()));
    let zero = format!("0 = \"{}\"", "0".repeat(96));
    assert_eq!(
        refused(&nitro(&zero)),
        PolicyError::ZeroMeasurement("a".into())
    );
    let one_of_two = format!("0 = \"{PCR}\", 8 = \"{}\"", "0".repeat(96));
    assert_eq!(
        refused(&nitro(&one_of_two)),
        PolicyError::ZeroMeasurement("a".into())
    );
}

#[test]
fn mistakes_are_refused() {
    assert!(Policy::from_toml(&good()).is_ok());
    for text in [
        String::new(),
        "version = \"1\"".into(),
        good() + "pcr0 = \"x\"\n",
        good() + "[other]\n",
        good() + "[nitro]\nmax_age = 3\n",
        good() + "[sev-snp]\nallow_debug = true\n",
        good() + "[sev-snp.minimum_tcb.rome]\n",
        good() + "[tdx]\nallow_debug = true\n",
        good().replace("nitro", "sgx"),
        good().replace("name = \"a\"\n", ""),
    ] {
        assert!(
            matches!(refused(&text), PolicyError::Malformed(_)),
            "{text}"
        );
    }
    assert_eq!(
        refused(&good().replace("version = 1", "version = 2")),
        PolicyError::UnsupportedVersion(2)
    );
    let entry = good().replace("version = 1\n", "");
    assert_eq!(
        refused(&(good() + &entry)),
        PolicyError::NameTwice("a".into())
    );
    for index in ["32", "-1", "00", "x", "256"] {
        let index_refused = matches!(
            refused(&nitro(&format!("\"{index}\" = \"{PCR}\""))),
            PolicyError::BadPcrIndex { .. }
        );
        assert!(index_refused, "{index}");
    }
    for value in [&PCR[2..], &PCR.to_uppercase(), ""] {
        let hex_refused = matches!(
            refused(&nitro(&format!("0 = \"{value}\""))),
            PolicyError::BadHex { bytes: 48, .. }
        );
        assert!(hex_refused, "{value}");
    }
    let chips = good() + "[sev-snp]\nchip_ids = [\"00\"]\n";
    assert!(matches!(
        refused(&chips),
        PolicyError::BadHex { bytes: 64, .. }
    ));
    for status in ["uptodate", "Revoked", ""] {
        let text = good() + &format!("[tdx]\ntcb_statuses = [\"UpToDate\", \"{status}\"]\n");
        assert_eq!(refused(&text), PolicyError::UnknownTcbStatus(status.into()));
    }
    for time in ["2027-06-30", "2027-06-30T00:00:00", "00:00:00"] {
        let text = good().replace(
            "version = 1\n",
            &format!("version = 1\nnot_after = {time}\n"),
        );
        assert_eq!(refused(&text), PolicyError::BadTime("not_after".into()));
    }
    let large = good() + &"#".repeat(MAX_POLICY_BYTES);
    assert_eq!(refused(&large), PolicyError::TooLarge);
}

#[test]
fn entries_and_policies_end() {
    let mut policy = Policy::from_toml(&good()).unwrap();
    let is_equal = |_: &MeasuredValues| true;
    assert!(policy.matching(Platform::Nitro, 100, is_equal).is_ok());
    assert_eq!(
        policy.matching(Platform::Tdx, 100, is_equal).unwrap_err(),
        EvidenceError::NoMeasurement(Platform::Tdx)
    );
    assert_eq!(
        policy
            .matching(Platform::Nitro, 100, |_| false)
            .unwrap_err(),
        EvidenceError::WrongMeasurement
    );
    policy.measurements[0].not_after = Some(100);
    assert!(policy.matching(Platform::Nitro, 100, is_equal).is_ok());
    assert_eq!(
        policy.matching(Platform::Nitro, 101, is_equal).unwrap_err(),
        EvidenceError::MeasurementExpired { name: "a".into() }
    );
    policy.not_after = Some(200);
    assert!(policy.check_time(200).is_ok());
    assert_eq!(policy.check_time(201), Err(EvidenceError::PolicyExpired));
}
