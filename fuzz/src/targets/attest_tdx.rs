//! TDX quotes and their collateral.

use std::sync::LazyLock;

use serde_json::Value;
use zkpass_attest::{Binding, Evidence, Policy, inspect, verify};

use crate::Target;

pub const TDX_QUOTE: Target = Target {
    name: "tdx-quote",
    seeds: || PAIRS.map(|pair| pair.quote.to_vec()).to_vec(),
    run: run_quote,
    runs: 400,
};

pub const TDX_COLLATERAL: Target = Target {
    name: "tdx-collateral",
    seeds: || PAIRS.map(|pair| pair.collateral.to_vec()).to_vec(),
    run: run_collateral,
    runs: 400,
};

/// A genuine quote and its collateral, and when they verify.
struct Pair {
    quote: &'static [u8],
    collateral: &'static [u8],
    now: i64,
    /// Length of what the attestation key signed.
    signed: usize,
}

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!(
            "../../../protocol/zkpass-attest/tests/vectors/tdx/",
            $name
        ))
    };
}

/// Of quote version 4, and of version 5.
static PAIRS: [&Pair; 2] = [
    &Pair {
        quote: vector!("v4-phala-uptodate.quote.bin"),
        collateral: vector!("v4-phala-uptodate.collateral.json"),
        // 2025-07-01
        now: 1_751_328_000,
        signed: 48 + 584,
    },
    &Pair {
        quote: vector!("v5-td15ex-phala-uptodate.quote.bin"),
        collateral: vector!("v5-td15ex-phala-uptodate.collateral.json"),
        // 2026-10-20
        now: 1_792_454_400,
        signed: 48 + 6 + 885,
    },
];

/// What both quotes measure.
static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    Policy::from_toml(
        r#"
version = 1
[[measurements]]
name = "v4"
platform = "tdx"
mrtd = "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7"
[[measurements]]
name = "v5"
platform = "tdx"
mrtd = "2a674327c50218dba880066b349b8d559d749ed68dce33fd651c184a877d084b07a9e583767a7ad5da13ed91deec2b70"
"#,
    )
    .expect("a valid policy")
});

fn verifies(quote: &[u8], collateral: &[u8], now: i64) -> bool {
    let evidence = Evidence::Tdx { quote, collateral };
    let shown = inspect(&evidence);
    let verified = verify(&evidence, &POLICY, &Binding::unbound(), now);
    assert!(verified.is_err() || shown.is_ok());
    verified.is_ok()
}

/// What is signed is a genuine quote's; how its certificates are written in PEM
/// is not, and neither is the padding.
fn run_quote(input: &[u8]) -> bool {
    let [v4, v5] = PAIRS;
    let pair = if input.first() == Some(&5) { v5 } else { v4 };
    let accepted = verifies(input, pair.collateral, pair.now);
    assert!(!accepted || input[..pair.signed] == pair.quote[..pair.signed]);
    accepted
}

/// What is signed is genuine; how JSON and PEM are written is not.
fn run_collateral(input: &[u8]) -> bool {
    PAIRS.iter().any(|pair| {
        let accepted = verifies(pair.quote, input, pair.now);
        assert!(!accepted || statements(input) == statements(pair.collateral));
        accepted
    })
}

/// What Intel states in collateral.
fn statements(collateral: &[u8]) -> [Value; 4] {
    let all: Value = serde_json::from_slice(collateral).expect("accepted JSON");
    let lists = ["root_ca_crl", "pck_crl"].map(|name| {
        let digits = all[name].as_str().expect("hexadecimal digits");
        Value::from(digits.to_ascii_lowercase())
    });
    let [root, pck] = lists;
    [
        all["tcb_info"].clone(),
        all["qe_identity"].clone(),
        root,
        pck,
    ]
}
