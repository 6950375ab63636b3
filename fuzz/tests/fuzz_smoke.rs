//! A short run of every fuzz target, on the stable toolchain.
//!
//! `ZKPASS_FUZZ_SECONDS` makes it longer: so many seconds for each target.

use std::time::Duration;

use zkpass_fuzz::{Budget, TARGETS, run, target};

/// Any fixed number: the short run is the same every time.
const SEED: u64 = 0x7a6b_7061_7373;

fn smoke(name: &str) {
    let target = target(name).unwrap();
    let seconds = std::env::var("ZKPASS_FUZZ_SECONDS").ok();
    let (budget, seed) = match seconds.map(|text| text.parse().unwrap()) {
        Some(seconds) => {
            let budget = Budget::Time(Duration::from_secs(seconds));
            (budget, fastrand::u64(..))
        }
        None => (Budget::Runs(target.runs), SEED),
    };
    println!("{name}: {budget:?}, seed {seed}");
    let tally = run(target, budget, seed);
    println!("{name}: {tally:?}");
    assert!(tally.runs > 0);
}

macro_rules! smoke_tests {
    ($($test:ident = $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                smoke($name);
            }
        )*

        #[test]
        fn every_target_has_a_test() {
            let tested = [$($name),*];
            let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(known, tested);
        }
    };
}

smoke_tests! {
    json = "json",
    query = "query",
    token = "token",
    token_parts = "token-parts",
    key = "key",
    dvr = "dvr",
    statement = "statement",
    proof_token = "proof-token",
    proof_bytes = "proof-bytes",
    frame = "frame",
    sealed_request = "sealed-request",
    sealed_body = "sealed-body",
    snp_evidence = "snp-evidence",
    tdx_quote = "tdx-quote",
    tdx_collateral = "tdx-collateral",
}
