use getrandom::SysRng;
use rand_core::UnwrapErr;

use super::*;

const NOW: i64 = 1_790_000_000;
const ROOT: &str = include_str!("../../tests/data/sev-snp-test-root.pem");
const TCB: SnpTcb = SnpTcb {
    bootloader: 4,
    tee: 0,
    snp: 23,
    microcode: 213,
};

fn root() -> SnpRoot {
    SnpRoot::from_pem(ROOT).unwrap()
}

fn signer() -> SnpSigner {
    root()
        .chip(&mut UnwrapErr(SysRng), NOW, [7; 64], TCB)
        .unwrap()
}

#[test]
fn a_root_survives_its_text() {
    let root = root();
    assert_eq!(root.to_pem().unwrap().as_str(), ROOT);
    let again = SnpRoot::from_pem(&root.to_pem().unwrap()).unwrap();
    assert_eq!(again.fingerprint(), root.fingerprint());
}

/// Two searches for RSA keys of 4096 bits: seconds.
#[test]
fn a_root_is_made() {
    let root = SnpRoot::generate(&mut UnwrapErr(SysRng), NOW).unwrap();
    let again = SnpRoot::from_pem(&root.to_pem().unwrap()).unwrap();
    assert_eq!(again.fingerprint(), root.fingerprint());
    assert_ne!(root.fingerprint(), self::root().fingerprint());
}

#[test]
fn another_text_is_no_root() {
    let secret = root().to_pem().unwrap();
    let halves: Vec<_> = secret.match_indices("-----BEGIN PRIVATE").collect();
    let (ark, ask) = secret.split_at(halves[1].0);
    let other_key = "-----END CERTIFICATE-----\n";
    let swapped = {
        let (ark_key, ark_certificate) = pem_block(ark).unwrap();
        let (ask_key, ask_certificate) = pem_block(ask).unwrap();
        [ask_key, ark_certificate, ark_key, ask_certificate].concat()
    };
    for (text, error) in [
        (String::new(), SnpError::MalformedRoot),
        (ark.to_owned(), SnpError::MalformedRoot),
        (secret.to_string() + "x", SnpError::MalformedRoot),
        (
            secret.replace("CERTIFICATE", "PUBLIC KEY"),
            SnpError::MalformedRoot,
        ),
        (secret.replacen(other_key, "", 1), SnpError::MalformedRoot),
        (swapped, SnpError::KeyMismatch),
    ] {
        assert_eq!(SnpRoot::from_pem(&text).unwrap_err(), error);
    }
}

#[test]
fn keys_of_another_size_are_refused() {
    let rng = &mut UnwrapErr(SysRng);
    let mut key = || PrivateKey::new(rng, 2048).unwrap();
    let (ark, ask) = (key(), key());
    let small = SnpRoot::from_keys(ark, ask, &mut UnwrapErr(SysRng), NOW).unwrap();
    let text = small.to_pem().unwrap();
    assert_eq!(SnpRoot::from_pem(&text).unwrap_err(), SnpError::KeySize);
}

#[test]
fn secrets_are_not_printed() {
    assert_eq!(format!("{:?}", root()), "SnpRoot { .. }");
    assert_eq!(format!("{:?}", signer()), "SnpSigner { .. }");
}

#[test]
fn a_report_has_its_fields_where_the_specification_says() {
    let fields = SnpReportFields {
        host_data: [3; 32],
        id_key_digest: [4; 48],
        author_key_digest: [5; 48],
        guest_svn: 6,
        vmpl: 2,
        ..SnpReportFields::new([1; 48], [2; 64])
    };
    let signer = signer();
    let report = signer.report(&fields).unwrap();
    assert_eq!(report.len(), REPORT_BYTES);
    assert_eq!(signer.unsigned(&fields).len(), SIGNED_BYTES);
    for (at, bytes) in [
        (0x000, &[3, 0, 0, 0, 6, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0][..]),
        (0x030, &[2, 0, 0, 0, 1, 0, 0, 0]),
        (0x038, &[4, 0, 0, 0, 0, 0, 23, 213]),
        (0x040, &[0x25, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        (0x050, &[2; 64]),
        (0x090, &[1; 48]),
        (0x0C0, &[3; 32]),
        (0x0E0, &[4; 48]),
        (0x110, &[5; 48]),
        (0x180, &[4, 0, 0, 0, 0, 0, 23, 213, 0x19, 1, 1]),
        (0x1A0, &[7; 64]),
        (0x1E0, &[4, 0, 0, 0, 0, 0, 23, 213]),
        (0x1F0, &[4, 0, 0, 0, 0, 0, 23, 213]),
        (0x2A0 + 48, &[0; 24]),
        (0x2E8 + 48, &[0; 24]),
        (0x330, &[0; 368]),
    ] {
        assert_eq!(&report[at..at + bytes.len()], bytes, "{at:#x}");
    }
}

#[test]
fn a_table_lists_its_certificates() {
    let signer = signer();
    let table = signer.certificate_table();
    let mut ends = 4 * 24;
    for (index, content) in [&signer.vek, &signer.ask, &signer.ark]
        .into_iter()
        .enumerate()
    {
        let entry = &table[index * 24..][..24];
        let number = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!((number(16), number(20)), (ends, content.len()));
        assert_eq!(&table[number(16)..][..number(20)], content);
        ends += content.len();
    }
    assert_eq!(table[72..96], [0; 24]);
    assert_eq!(table.len(), ends);
}
