//! Attestation documents of Nitro Enclaves.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use zkpass_attest::policy::MeasuredValues;
use zkpass_attest::{Binding, Evidence, Facts, Measurement, Policy, inspect, verify};

use crate::Target;

pub const NITRO_DOCUMENT: Target = Target {
    name: "nitro-document",
    seeds: || SEEDS.map(Vec::from).to_vec(),
    run: run_document,
    runs: 1_000,
};

/// Genuine documents of production enclaves: with and without a length of the
/// payload map, with long, short and empty members.
const SEEDS: [&[u8]; 4] = [
    include_bytes!(
        "../../../protocol/zkpass-attest/tests/vectors/nitro/2025-01-06-nitroattest-prod-rsa-pubkey.cose"
    ),
    include_bytes!(
        "../../../protocol/zkpass-attest/tests/vectors/nitro/2025-09-23-worldcoin-prod-pcr8-key32.cose"
    ),
    include_bytes!(
        "../../../protocol/zkpass-attest/tests/vectors/nitro/2025-11-10-mysten-prod-pcr16-ed25519.cose"
    ),
    include_bytes!(
        "../../../protocol/zkpass-attest/tests/vectors/nitro/2025-12-25-dstack-prod-userdata64.cose"
    ),
];

/// Accepts what each seed measures.
static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let measurements = SEEDS.iter().enumerate().map(|(index, document)| {
        let Ok(Facts::Nitro(facts)) = inspect(&Evidence::Nitro { document }) else {
            panic!("seed {index} is no document");
        };
        Measurement {
            name: index.to_string(),
            not_after: None,
            values: MeasuredValues::Nitro {
                pcrs: BTreeMap::from([(0, facts.pcrs[&0].0)]),
            },
        }
    });
    Policy::new(measurements).expect("four measurements")
});

/// Whatever can be inspected can be judged, at its own time, and only the
/// seeds verify, tagged or not.
fn run_document(input: &[u8]) -> bool {
    let evidence = Evidence::Nitro { document: input };
    let facts = inspect(&evidence);
    let now = match &facts {
        Ok(Facts::Nitro(facts)) => i64::try_from(facts.timestamp_ms / 1000).unwrap_or(i64::MAX),
        _ => 0,
    };
    let verdict = verify(&evidence, &POLICY, &Binding::unbound(), now);
    if verdict.is_err() {
        return false;
    }
    // A signature with the other `s` would verify too, but no mutation finds it.
    let untagged = input.strip_prefix(&[0xd2]).unwrap_or(input);
    assert!(SEEDS.contains(&untagged));
    assert!(facts.is_ok());
    true
}
