//! `zkpass attest` on genuine evidence.

use std::path::Path;

use serde_json::Value;

use crate::sandbox::Sandbox;

fn vector(name: &str) -> String {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../protocol/zkpass-attest/tests/vectors"
    );
    Path::new(folder).join(name).display().to_string()
}

/// The options that name a genuine piece of evidence, and a time at which it verifies.
fn genuine() -> [(&'static str, String, i64); 3] {
    [
        (
            "nitro",
            format!(
                "--platform nitro --evidence {}",
                vector("nitro/2025-12-25-dstack-prod-userdata64.cose")
            ),
            1_766_678_659,
        ),
        (
            "sev-snp",
            format!(
                "--platform sev-snp --evidence {} --vek {}",
                vector("sev-snp/milan-v3-dstack.report.bin"),
                vector("sev-snp/milan-v3-dstack.vcek.der")
            ),
            1_790_000_000,
        ),
        (
            "tdx",
            format!(
                "--platform tdx --evidence {} --collateral {}",
                vector("tdx/v4-phala-uptodate.quote.bin"),
                vector("tdx/v4-phala-uptodate.collateral.json")
            ),
            1_751_328_000,
        ),
    ]
}

#[test]
fn genuine_evidence_is_verified_by_a_policy_made_from_it() {
    let sandbox = Sandbox::new();
    for (platform, evidence, at) in genuine() {
        sandbox.ok(&format!("attest policy {evidence} --out {platform}.toml"));
        let verify = format!("attest verify {evidence} --policy {platform}.toml --at {at}");
        let verified = sandbox.ok(&format!("{verify} --json")).json();
        assert_eq!(verified["verified"], true);
        let claims = &verified["claims"];
        assert_eq!(claims["platform"], platform);
        assert_eq!(claims["accepted_as"], "pinned");
        assert_eq!(claims["development"], false);
        // What the evidence carries binds it, and nothing else does.
        let bound = ["user_data", "report_data", "reportdata"]
            .iter()
            .find_map(|name| claims[name].as_str())
            .unwrap();
        sandbox.ok(&format!("{verify} --binding {bound}"));
        sandbox
            .run(&format!("{verify} --binding {} --json", &bound[2..]))
            .refused("wrong-binding");
        let text = sandbox.ok(&verify).stdout;
        assert!(text.starts_with("verified at"), "{text}");
        assert!(text.contains("not bound"), "{text}");

        let late = format!("attest verify {evidence} --policy {platform}.toml --at 4000000000");
        let refused = sandbox.run(&format!("{late} --json")).exits(1).json();
        assert_eq!(refused["verified"], false);
        assert!(refused["error"]["code"].is_string());
    }
}

#[test]
fn a_policy_for_another_build_or_platform_refuses() {
    let sandbox = Sandbox::new();
    sandbox.ok("attest measure --out mine.toml");
    for (platform, evidence, at) in genuine() {
        let code = match platform {
            "nitro" => "wrong-measurement",
            _ => "no-measurement-for-platform",
        };
        sandbox
            .run(&format!(
                "attest verify {evidence} --policy mine.toml --at {at} --json"
            ))
            .refused(code);
    }
    let (_, evidence, at) = &genuine()[0];
    for (policy, code) in [
        ("version = 1", "policy-without-measurement"),
        ("version = 1\nallow_debug = true", "policy-malformed"),
    ] {
        sandbox.write("bad.toml", policy);
        sandbox
            .run(&format!(
                "attest verify {evidence} --policy bad.toml --at {at} --json"
            ))
            .refused(code);
    }
}

#[test]
fn a_debug_enclave_is_shown_and_never_accepted() {
    let sandbox = Sandbox::new();
    let evidence = format!(
        "--platform nitro --evidence {}",
        vector("nitro/2025-12-25-dstack-debug.cose")
    );
    let shown = sandbox
        .ok(&format!("attest inspect {evidence} --json"))
        .json();
    assert_eq!(shown["debug"], true);
    assert_eq!(shown["zero_pcrs"][0], 0);
    // No policy can be made from it, and none accepts it.
    sandbox
        .run(&format!("attest policy {evidence} --out p.toml --json"))
        .refused("policy-without-pcr");
    let pcr4 = shown["pcrs"]["4"].as_str().unwrap();
    sandbox.write(
        "p.toml",
        &format!(
            "version = 1\n[[measurements]]\nname = \"x\"\nplatform = \"nitro\"\npcrs.4 = \"{pcr4}\"\n"
        ),
    );
    sandbox
        .run(&format!(
            "attest verify {evidence} --policy p.toml --at 1766650846 --json"
        ))
        .refused("debug-mode");
}

#[test]
fn rubbish_is_refused_with_a_code() {
    let sandbox = Sandbox::new();
    sandbox.ok("attest measure --out p.toml");
    sandbox.write("x", "rubbish");
    for platform in ["nitro", "sev-snp", "tdx"] {
        for command in [
            format!("attest verify --platform {platform} --evidence x --policy p.toml --json"),
            format!("attest inspect --platform {platform} --evidence x --json"),
        ] {
            let refused: Value = sandbox.run(&command).exits(1).json();
            assert!(refused["error"]["code"].is_string(), "{command}");
        }
    }
    sandbox.run("attest show x --json").refused("bad-record");
}
