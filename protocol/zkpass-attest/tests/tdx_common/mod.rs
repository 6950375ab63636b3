//! The vectors, and a policy for each.
#![allow(dead_code, reason = "each test file uses some")]

use zkpass_attest::{Binding, Claims, Evidence, EvidenceError, Policy, inspect, verify};
use zkpass_core::date::Date;

macro_rules! vectors {
    ($($name:ident = $file:literal;)*) => {
        $(pub const $name: &[u8] = include_bytes!(concat!("../vectors/tdx/", $file));)*
    };
}

vectors! {
    INDEX = "vectors.json";
    PHALA_V4_QUOTE = "v4-phala-uptodate.quote.bin";
    PHALA_V4_COLLATERAL = "v4-phala-uptodate.collateral.json";
    PHALA_V5_QUOTE = "v5-td15ex-phala-uptodate.quote.bin";
    PHALA_V5_COLLATERAL = "v5-td15ex-phala-uptodate.collateral.json";
    NO_LEVEL_QUOTE = "v5-phala-no-tcb-level.quote.bin";
    NO_LEVEL_COLLATERAL = "v5-phala-no-tcb-level.collateral.json";
    ZERO_REPORT_DATA = "v4-confidentialai-zero-reportdata.quote.bin";
    DEBUG = "v4-coco-td-debug.quote.bin";
    GOOGLE = "v4-google-cos113.quote.bin";
    FAMILY_B0C06F = "fmspc-b0c06f-2026-10.collateral.json";
    FAMILY_50806F = "fmspc-50806f-2026-03.collateral.json";
    SGX_QE_IDENTITY = "sgx-qe-identity.json";
}

/// A quote, what to judge it by, and when.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub quote: &'a [u8],
    pub collateral: &'a [u8],
    pub now: i64,
}

/// 2025-07-01T00:00:00Z.
pub const JULY_2025: i64 = 1_751_328_000;
/// 2026-10-20T00:00:00Z.
pub const OCTOBER_2026: i64 = 1_792_454_400;

pub const PHALA_V4: Case<'_> = Case {
    quote: PHALA_V4_QUOTE,
    collateral: PHALA_V4_COLLATERAL,
    now: JULY_2025,
};

pub const PHALA_V5: Case<'_> = Case {
    quote: PHALA_V5_QUOTE,
    collateral: PHALA_V5_COLLATERAL,
    now: OCTOBER_2026,
};

/// Where parts of a quote of version 4 begin.
pub const TD_ATTRIBUTES: usize = 48 + 120;
pub const MRTD: usize = 48 + 136;
pub const REPORT_DATA: usize = 48 + 520;
pub const SIGNATURE_LENGTH: usize = 48 + 584;
pub const SIGNATURE: usize = SIGNATURE_LENGTH + 4;
pub const ATTESTATION_KEY: usize = SIGNATURE + 64;
pub const QE_REPORT: usize = ATTESTATION_KEY + 64 + 6;
pub const QE_REPORT_SIGNATURE: usize = QE_REPORT + 384;
pub const QE_AUTHENTICATION: usize = QE_REPORT_SIGNATURE + 64;

impl<'a> Case<'a> {
    pub fn at(self, now: i64) -> Self {
        Self { now, ..self }
    }

    pub fn evidence(&self) -> Evidence<'a> {
        Evidence::Tdx {
            quote: self.quote,
            collateral: self.collateral,
        }
    }

    /// What an inspection shows of the quote.
    pub fn facts(&self) -> serde_json::Value {
        facts(self.quote, self.collateral)
    }

    pub fn report_data(&self) -> Vec<u8> {
        let text = self.facts()["reportdata"].clone();
        let bytes: [u8; 64] = zkpass_core::encoding::from_hex(text.as_str().unwrap()).unwrap();
        bytes.to_vec()
    }

    /// A policy that accepts what the quote measures.
    pub fn policy_text(&self) -> String {
        let mrtd = self.facts()["mrtd"].as_str().unwrap().to_owned();
        format!(
            "version = 1\n[[measurements]]\nname = \"build\"\nplatform = \"tdx\"\nmrtd = \"{mrtd}\"\n"
        )
    }

    pub fn policy(&self) -> Policy {
        Policy::from_toml(&self.policy_text()).unwrap()
    }

    pub fn verify(&self) -> Result<Claims, EvidenceError> {
        self.verify_by(&self.policy())
    }

    pub fn verify_by(&self, policy: &Policy) -> Result<Claims, EvidenceError> {
        self.verify_with(policy, &Binding::to(&self.report_data()))
    }

    pub fn verify_with(
        &self,
        policy: &Policy,
        binding: &Binding<'_>,
    ) -> Result<Claims, EvidenceError> {
        verify(&self.evidence(), policy, binding, self.now)
    }

    /// Whether it is accepted by the policy and the binding of another case.
    pub fn accepts_as(&self, other: &Case<'_>) -> bool {
        let bound = other.report_data();
        self.verify_with(&other.policy(), &Binding::to(&bound))
            .is_ok()
    }

    /// Of a quote that the policy would otherwise accept.
    pub fn refusal(&self) -> EvidenceError {
        self.verify().unwrap_err()
    }
}

pub fn facts(quote: &[u8], collateral: &[u8]) -> serde_json::Value {
    let facts = inspect(&Evidence::Tdx { quote, collateral }).unwrap();
    serde_json::to_value(facts).unwrap()
}

/// Unix seconds of `YYYY-MM-DDTHH:MM:SSZ`.
pub fn time(text: &str) -> i64 {
    let (date, clock) = text.strip_suffix('Z').unwrap().split_once('T').unwrap();
    let days = Date::parse_iso(date).unwrap().day_number();
    let epoch = Date::new(1970, 1, 1).unwrap().day_number();
    let clock: Vec<i64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    (days - epoch) * 86_400 + clock[0] * 3600 + clock[1] * 60 + clock[2]
}
