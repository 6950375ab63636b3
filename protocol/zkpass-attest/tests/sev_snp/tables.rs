//! Certificates as hosts hand them over.

use x509_cert::der::Document;
use zkpass_attest::{
    Binding, Evidence, danger, inspect,
    sev_snp::{Role, SevSnpError},
    verify,
};

use super::{AWS, GENOA, MILAN, OCTOBER_2026, Vector};

/// Certificates in the layout of the GHCB specification.
fn table(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut offset = (entries.len() + 1) * 24;
    let mut table = Vec::new();
    for (guid, content) in entries {
        let digits: String = guid.chars().filter(|c| *c != '-').collect();
        table.extend(u128::from_str_radix(&digits, 16).unwrap().to_be_bytes());
        table.extend(u32::try_from(offset).unwrap().to_le_bytes());
        table.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        offset += content.len();
    }
    table.extend([0; 24]);
    for (_, content) in entries {
        table.extend(*content);
    }
    table
}

const VCEK: &str = "63da758d-e664-4564-adc5-f4b93be8accd";
const VLEK: &str = "a8074bc2-a25a-483e-aae6-39c045a0b8a1";
const ASK: &str = "4ab7b379-bbac-4fe4-a02f-05aef327c782";
const ARK: &str = "c0b406a4-a803-4952-9743-3fb6014cd0ae";

const MILAN_ARK: &[u8] = include_bytes!("../../roots/sev-snp/milan-ark.der");
const MILAN_ASK: &[u8] = include_bytes!("../../roots/sev-snp/milan-ask.der");
const MILAN_ASVK: &[u8] = include_bytes!("../../roots/sev-snp/milan-asvk.der");

/// SHA-256 of Milan's ARK.
const MILAN_ARK_SHA256: [u8; 32] = [
    0x69, 0xd0, 0x63, 0xb4, 0x53, 0x44, 0xd2, 0x6a, 0x2e, 0x94, 0xe1, 0xf4, 0x21, 0x0d, 0xe4, 0x9e,
    0xf5, 0x55, 0x30, 0x82, 0x87, 0xd4, 0xc1, 0x74, 0x44, 0x5c, 0x95, 0x63, 0x9a, 0x54, 0x0b, 0xcd,
];

#[test]
fn a_table_of_certificates_is_read() {
    let good = [
        table(&[(VCEK, MILAN.vek)]),
        table(&[(VCEK, MILAN.vek), (ASK, MILAN_ASK), (ARK, MILAN_ARK)]),
        table(&[(VLEK, AWS.vek), (VCEK, MILAN.vek)]),
        // Unknown entries are passed over, and the vendor's chain is pinned anyway.
        table(&[
            ("00000000-0000-0000-0000-000000000001", &[1]),
            (VCEK, MILAN.vek),
        ]),
        table(&[(ARK, b"other"), (ASK, b"other"), (VCEK, MILAN.vek)]),
        // Hosts fill up to whole pages.
        [table(&[(VCEK, MILAN.vek)]), vec![0; 4096]].concat(),
        pem(MILAN.vek),
        table(&[(VCEK, &pem(MILAN.vek))]),
    ];
    for endorsements in &good {
        let evidence = Evidence::SevSnp {
            report: MILAN.report,
            endorsements,
        };
        let verdict = verify(
            &evidence,
            &MILAN.policy(),
            &Binding::unbound(),
            OCTOBER_2026,
        );
        verdict.unwrap();
        inspect(&evidence).unwrap();
    }
}

fn pem(der: &[u8]) -> Vec<u8> {
    let document = Document::try_from(der).unwrap();
    let text = document.to_pem("CERTIFICATE", Default::default()).unwrap();
    text.into_bytes()
}

#[test]
fn bad_tables_are_refused() {
    let good = table(&[(VCEK, MILAN.vek)]);
    let edited = |at: usize, value: u32| {
        let mut table = good.clone();
        table[at..at + 4].copy_from_slice(&value.to_le_bytes());
        table
    };
    let malformed = SevSnpError::MalformedEndorsements;
    let mut private_key = pem(MILAN.vek);
    private_key = String::from_utf8(private_key)
        .unwrap()
        .replace("CERTIFICATE", "PRIVATE KEY")
        .into_bytes();
    for (endorsements, error) in [
        (good[..24].to_vec(), malformed.clone()),
        (good[..47].to_vec(), malformed.clone()),
        (good[..good.len() - 1].to_vec(), malformed.clone()),
        (edited(16, 49), malformed.clone()),
        (edited(16, u32::MAX), malformed.clone()),
        (edited(20, u32::MAX), malformed.clone()),
        (private_key, malformed.clone()),
        (b"-----BEGIN CERTIFICATE-----".to_vec(), malformed),
        (
            edited(16, 47),
            SevSnpError::MalformedCertificate(Role::Vcek),
        ),
        (vec![0; 24], SevSnpError::MissingCertificate(Role::Vcek)),
        (
            table(&[(VLEK, MILAN.vek)]),
            SevSnpError::MissingCertificate(Role::Vcek),
        ),
        (
            table(&[(VCEK, MILAN.vek), (VCEK, MILAN.vek)]),
            SevSnpError::DuplicateCertificate(Role::Vcek),
        ),
        (
            [good.clone(), vec![0; 64 * 1024]].concat(),
            SevSnpError::EndorsementsTooLarge,
        ),
    ] {
        assert_eq!(MILAN.with(MILAN.report, &endorsements), error.into());
    }
    for length in 0..good.len() {
        MILAN.with(MILAN.report, &good[..length]);
    }
}

/// Under a root of one's own choice, here AMD's, the table holds the chain.
#[test]
fn a_chosen_root_takes_the_chain_from_the_table() {
    let verdict = |vector: Vector, entries: &[(&str, &[u8])]| {
        let policy = danger::trust_development_root(vector.policy(), MILAN_ARK_SHA256);
        let endorsements = table(entries);
        let evidence = Evidence::SevSnp {
            report: vector.report,
            endorsements: &endorsements,
        };
        verify(&evidence, &policy, &Binding::unbound(), vector.now())
    };
    let refused = |vector: Vector, entries: &[(&str, &[u8])], error: SevSnpError| {
        assert_eq!(verdict(vector, entries).unwrap_err(), error.into());
    };
    let (ark, ask) = ((ARK, MILAN_ARK), (ASK, MILAN_ASK));
    let asvk = (ASK, MILAN_ASVK);

    let claims = verdict(MILAN, &[(VCEK, MILAN.vek), ask, ark]).unwrap();
    assert!(claims.is_development());
    assert!(verdict(AWS, &[(VLEK, AWS.vek), asvk, ark]).is_ok());

    refused(
        AWS,
        &[(VLEK, AWS.vek), ask, ark],
        SevSnpError::Intermediate(Role::Vlek),
    );
    refused(
        MILAN,
        &[(VCEK, MILAN.vek), asvk, ark],
        SevSnpError::Intermediate(Role::Vcek),
    );
    refused(
        GENOA,
        &[(VCEK, GENOA.vek), ask, ark],
        SevSnpError::Issuer(Role::Vcek),
    );
    let genoa_ark: &[u8] = include_bytes!("../../roots/sev-snp/genoa-ark.der");
    let genoa_ask: &[u8] = include_bytes!("../../roots/sev-snp/genoa-ask.der");
    refused(
        GENOA,
        &[(VCEK, GENOA.vek), (ASK, genoa_ask), (ARK, genoa_ark)],
        SevSnpError::UntrustedRoot,
    );
    refused(
        GENOA,
        &[(VCEK, GENOA.vek), (ASK, genoa_ask), ark],
        SevSnpError::Issuer(Role::Ask),
    );
    refused(
        MILAN,
        &[(VCEK, MILAN.vek), ark],
        SevSnpError::MissingCertificate(Role::Ask),
    );
    refused(
        AWS,
        &[(VLEK, AWS.vek), ark],
        SevSnpError::MissingCertificate(Role::Asvk),
    );
    refused(
        MILAN,
        &[(VCEK, MILAN.vek), ask],
        SevSnpError::MissingCertificate(Role::Ark),
    );
}
