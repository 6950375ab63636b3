//! Evidence of AMD SEV-SNP.

use zkpass_attest::policy::MeasuredValues;
use zkpass_attest::{Binding, Evidence, Measurement, Policy, danger, inspect, verify};

use crate::Target;

pub const SNP_EVIDENCE: Target = Target {
    name: "snp-evidence",
    seeds,
    run,
    runs: 2_000,
};

/// 2026-10-01, and 2025-06-01 for the one certificate that has expired since.
const TIMES: [i64; 2] = [1_790_812_800, 1_748_736_000];

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!(
            "../../../protocol/zkpass-attest/tests/vectors/sev-snp/",
            $name
        ))
    };
}

macro_rules! root {
    ($name:literal) => {
        include_bytes!(concat!(
            "../../../protocol/zkpass-attest/roots/sev-snp/",
            $name
        ))
    };
}

/// Reports and the certificates of the keys that signed them.
const GENUINE: [(&[u8], &[u8]); 7] = [
    (
        file!("milan-v3-azure-aci.report.bin"),
        file!("milan-v3-azure-aci.vcek.der"),
    ),
    (
        file!("genoa-v3-azure-aci.report.bin"),
        file!("genoa-v3-azure-aci.vcek.der"),
    ),
    (
        file!("turin-v5-azure-aci.report.bin"),
        file!("turin-v5-azure-aci.vcek.der"),
    ),
    (
        file!("milan-v3-dstack.report.bin"),
        file!("milan-v3-dstack.vcek.der"),
    ),
    (
        file!("milan-v2-virtee.report.bin"),
        file!("milan-v2-virtee.vcek.der"),
    ),
    (
        file!("milan-v2-coco-tcb-below-current.report.bin"),
        file!("milan-v2-coco-tcb-below-current.vcek.der"),
    ),
    (
        file!("milan-v3-aws-vlek-vmpl1.report.bin"),
        file!("milan-v3-aws-vlek-vmpl1.vlek.der"),
    ),
];

const MILAN_ARK: &[u8] = root!("milan-ark.der");
const MILAN_ASK: &[u8] = root!("milan-ask.der");

/// SHA-256 of Milan's ARK: trusted as a chosen root, it makes the verifier take
/// the chain from the input.
const MILAN_ARK_SHA256: [u8; 32] = [
    0x69, 0xd0, 0x63, 0xb4, 0x53, 0x44, 0xd2, 0x6a, 0x2e, 0x94, 0xe1, 0xf4, 0x21, 0x0d, 0xe4, 0x9e,
    0xf5, 0x55, 0x30, 0x82, 0x87, 0xd4, 0xc1, 0x74, 0x44, 0x5c, 0x95, 0x63, 0x9a, 0x54, 0x0b, 0xcd,
];

fn seeds() -> Vec<Vec<u8>> {
    let [milan, ..] = GENUINE;
    let chain = table(&[
        (0x63da758d_e664_4564_adc5_f4b93be8accd, milan.1),
        (0x4ab7b379_bbac_4fe4_a02f_05aef327c782, MILAN_ASK),
        (0xc0b406a4_a803_4952_9743_3fb6014cd0ae, MILAN_ARK),
    ]);
    let mut seeds: Vec<_> = GENUINE.map(|(report, vek)| input(report, vek)).to_vec();
    seeds.push(input(milan.0, &chain));
    seeds
}

/// The length of the report, the report, the endorsements.
fn input(report: &[u8], endorsements: &[u8]) -> Vec<u8> {
    let length = u16::try_from(report.len()).expect("a report is short");
    [&length.to_be_bytes(), report, endorsements].concat()
}

/// A certificate table as a host hands it to its guest.
fn table(entries: &[(u128, &[u8])]) -> Vec<u8> {
    let mut offset = (entries.len() + 1) * 24;
    let (mut head, mut body) = (Vec::new(), Vec::new());
    for (guid, certificate) in entries {
        head.extend(guid.to_be_bytes());
        for number in [offset, certificate.len()] {
            head.extend(u32::try_from(number).expect("a small table").to_le_bytes());
        }
        offset += certificate.len();
        body.extend(*certificate);
    }
    head.extend([0; 24]);
    [head, body].concat()
}

/// Accepts every genuine report, wherever it was made.
fn policy() -> Policy {
    let measurements = GENUINE.iter().enumerate().map(|(index, (report, _))| {
        let measurement = report[0x90..0xC0].try_into().expect("48 bytes");
        Measurement {
            name: index.to_string(),
            not_after: None,
            values: MeasuredValues::SevSnp {
                measurement,
                host_data: None,
                id_key_digest: None,
                author_key_digest: None,
            },
        }
    });
    let mut policy = Policy::new(measurements).expect("measurements that are not zero");
    policy.sev_snp.max_vmpl = 3;
    policy
}

/// Only genuine reports verify, and a lone certificate only beside its own report.
fn run(input: &[u8]) -> bool {
    let Some((length, rest)) = input.split_first_chunk() else {
        return false;
    };
    let Some((report, endorsements)) = rest.split_at_checked(u16::from_be_bytes(*length).into())
    else {
        return false;
    };
    let evidence = Evidence::SevSnp {
        report,
        endorsements,
    };
    let shown = inspect(&evidence).is_ok();
    let policies = [
        policy(),
        danger::trust_development_root(policy(), MILAN_ARK_SHA256),
    ];
    let mut accepted = false;
    for policy in &policies {
        for now in TIMES {
            accepted |= verify(&evidence, policy, &Binding::unbound(), now).is_ok();
        }
    }
    if accepted {
        assert!(shown);
        let is_lone = endorsements.starts_with(&[0x30, 0x82]);
        let is_genuine =
            |(own, vek): &(&[u8], &[u8])| *own == report && (!is_lone || *vek == endorsements);
        assert!(GENUINE.iter().any(is_genuine));
    }
    accepted
}
