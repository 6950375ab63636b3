//! Evidence of AMD SEV-SNP.

mod forged;
mod genuine;
mod tables;

use zkpass_attest::{
    Binding, Claims, Evidence, EvidenceError, Measurement, Policy, policy::MeasuredValues,
    sev_snp::Role, verify,
};

/// 2025-06-01 and 2026-10-01.
const JUNE_2025: i64 = 1_748_736_000;
const OCTOBER_2026: i64 = 1_790_812_800;

#[derive(Clone, Copy)]
struct Vector {
    name: &'static str,
    report: &'static [u8; 1184],
    vek: &'static [u8],
    /// First and last second of the endorsement key.
    window: (i64, i64),
}

macro_rules! vector {
    ($constant:ident, $name:literal, $vek:literal, $from:literal..=$to:literal) => {
        const $constant: Vector = Vector {
            name: $name,
            report: include_bytes!(concat!("../vectors/sev-snp/", $name, ".report.bin")),
            vek: include_bytes!(concat!("../vectors/sev-snp/", $name, ".", $vek, ".der")),
            window: ($from, $to),
        };
    };
}

vector!(
    MILAN,
    "milan-v3-azure-aci",
    "vcek",
    1_770_253_473..=1_991_178_273
);
vector!(
    GENOA,
    "genoa-v3-azure-aci",
    "vcek",
    1_770_257_107..=1_991_181_907
);
vector!(
    TURIN,
    "turin-v5-azure-aci",
    "vcek",
    1_770_253_473..=1_991_178_273
);
vector!(
    DSTACK,
    "milan-v3-dstack",
    "vcek",
    1_781_658_304..=2_002_583_104
);
vector!(
    VIRTEE,
    "milan-v2-virtee",
    "vcek",
    1_680_549_823..=1_901_474_623
);
vector!(
    COCO,
    "milan-v2-coco-tcb-below-current",
    "vcek",
    1_674_583_106..=1_895_507_906
);
vector!(
    AWS,
    "milan-v3-aws-vlek-vmpl1",
    "vlek",
    1_733_868_861..=1_765_404_861
);

const VECTORS: [Vector; 7] = [MILAN, GENOA, TURIN, DSTACK, VIRTEE, COCO, AWS];

impl Vector {
    /// A time inside the window.
    fn now(&self) -> i64 {
        if self.name == AWS.name {
            JUNE_2025
        } else {
            OCTOBER_2026
        }
    }

    fn role(&self) -> Role {
        if self.name == AWS.name {
            Role::Vlek
        } else {
            Role::Vcek
        }
    }

    fn evidence(&self) -> Evidence<'static> {
        Evidence::SevSnp {
            report: self.report,
            endorsements: self.vek,
        }
    }

    /// A policy that accepts the measurement, at VMPL 1 too.
    fn policy(&self) -> Policy {
        let mut policy = Policy::new([self.measurement()]).unwrap();
        policy.sev_snp.max_vmpl = 1;
        policy
    }

    fn measurement(&self) -> Measurement {
        Measurement {
            name: self.name.to_owned(),
            not_after: None,
            values: MeasuredValues::SevSnp {
                measurement: field(self.report, 0x90),
                host_data: None,
                id_key_digest: None,
                author_key_digest: None,
            },
        }
    }

    fn verify(&self, policy: &Policy) -> Result<Claims, EvidenceError> {
        verify(&self.evidence(), policy, &Binding::unbound(), self.now())
    }

    /// The verdict on the report after a change.
    fn changed(&self, change: impl FnOnce(&mut [u8; 1184])) -> EvidenceError {
        let mut report = *self.report;
        change(&mut report);
        self.with(&report, self.vek)
    }

    /// The verdict on other bytes in the place of these.
    fn with(&self, report: &[u8], endorsements: &[u8]) -> EvidenceError {
        let evidence = Evidence::SevSnp {
            report,
            endorsements,
        };
        let verdict = verify(&evidence, &self.policy(), &Binding::unbound(), self.now());
        verdict.unwrap_err()
    }
}

fn field<const N: usize>(report: &[u8], at: usize) -> [u8; N] {
    report[at..at + N].try_into().unwrap()
}
