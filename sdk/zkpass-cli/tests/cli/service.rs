//! The demonstration and the local service, each with an enclave process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

#[test]
fn the_demonstration_verifies_and_says_what_it_skips() {
    let sandbox = Sandbox::new();
    let answer = sandbox.ok("demo --json").json();
    assert_eq!(answer["verified"], true);
    assert_eq!(
        answer["output"],
        json!({"eligible": true, "first_name": "Dewi"})
    );
    assert_eq!(answer["enclave"]["kind"], "nitro");
    assert_eq!(answer["enclave"]["confined"], true);
    let measurement = answer["enclave"]["measurement"].as_str().unwrap();
    let changed = &answer["changed_enclave"];
    assert_eq!(changed["refused"], "wrong-measurement");
    assert!(!measurement.contains(changed["pcr0"].as_str().unwrap()));
    for step in [
        "start", "issue", "ask", "attest", "prove", "verify", "refuse", "total",
    ] {
        assert!(answer["milliseconds"][step].is_number(), "{step}");
    }
    for party in ["issuer", "holder", "service", "enclave", "verifier"] {
        assert!(answer["sees"][party].is_string(), "{party}");
    }
    // What the verifier and the service see holds no private value.
    for value in [
        "1994-03-17",
        "48250000",
        "712",
        "Kusumawati",
        "3174095703940002",
    ] {
        assert!(!answer["sees"]["verifier"].to_string().contains(value));
        assert!(!answer["sees"]["service"].to_string().contains(value));
    }
    assert_eq!(
        sandbox.files(),
        Vec::<String>::new(),
        "nothing is left behind"
    );
}

#[test]
fn the_demonstration_plays_each_platform() {
    for platform in ["sev-snp", "tdx"] {
        let line = format!("demo --simulate {platform} --json");
        let answer = Sandbox::new().ok(&line).json();
        assert_eq!(answer["verified"], true);
        assert_eq!(answer["enclave"]["kind"], platform);
        assert_eq!(answer["changed_enclave"]["refused"], "wrong-measurement");
    }
}

#[test]
fn the_demonstration_reads_well() {
    let text = Sandbox::new().ok("demo").stdout;
    for word in [
        "issuer",
        "holder",
        "service",
        "enclave",
        "verifier",
        "measured",
        "expected",
        "no byte of data was sent",
        "verified",
    ] {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
}

#[test]
fn a_proof_from_the_local_service() {
    let sandbox = Sandbox::of_example("bank-loan");
    let service = Service::start(&sandbox);
    for line in [
        "keygen --out bank.pem",
        "keygen --out lender.pem",
        "token sign --key bank.pem --data data.json --out t.jws",
        "dvr sign --key lender.pem --dvr dvr.json --query query.json --issuer-key bank.pub.pem \
         --out r.jws",
    ] {
        sandbox.ok(line);
    }
    let prove = format!(
        "prove --dvr r.jws --token t.jws --url {} --policy {} --out p.jws --json",
        service.url, service.policy
    );

    // The vendors' roots, which the policy stands under, do not vouch for a development TEE.
    let refused = sandbox.run(&prove).refused("unattested-enclave");
    let error = &refused.json()["error"];
    assert_eq!(error["cause"], "nitro-unknown-root");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("nothing was sent"), "{message}");
    assert!(!sandbox.files().contains(&"p.jws".to_owned()));

    let prove = format!("{prove} --danger-development-root {}", service.root);
    let proved = sandbox.ok(&prove).json();
    assert_eq!(proved["evidence"], "p.jws.evidence.json");
    let verified = sandbox
        .ok(
            "verify --proof p.jws --dvr r.jws --verifier-key lender.pub.pem \
             --issuer-key bank.pub.pem --json",
        )
        .json();
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["output"], proved["output"]);
    assert_eq!(verified["as_of"], proved["as_of"]);

    // Errors about the data come back sealed, with code and place.
    sandbox.write(
        "data.json",
        r#"{"customer": {"date_of_birth": "1994-03-17"}}"#,
    );
    sandbox.ok("token sign --key bank.pem --data data.json --out t.jws");
    let refused = sandbox.run(&prove).refused("MissingField");
    assert!(refused.json()["error"]["pointer"].is_string());

    // The kept evidence is verified again, offline, by the same policy and by one measured here.
    let shown = sandbox.ok("attest show p.jws.evidence.json --json").json();
    assert_eq!(shown["measurement_id"], proved["enclave"]["measurement_id"]);
    sandbox.ok("attest measure --out measured.toml");
    for policy in [&*service.policy, "measured.toml"] {
        let verify = format!("attest verify p.jws.evidence.json --policy {policy} --json");
        let root = format!("{verify} --danger-development-root {}", service.root);
        let verified = sandbox.ok(&root).json();
        assert_eq!(verified["verified"], true);
        assert_eq!(verified["claims"]["development"], true);
        sandbox.run(&verify).refused("nitro-unknown-root");
        sandbox
            .run(&format!("{root} --at 1"))
            .refused("nitro-certificate-not-yet-valid");
    }
    let fetch = format!("attest fetch --url {} --out e.json --json", service.url);
    assert_eq!(sandbox.ok(&fetch).json()["enclaves"], 1);
    sandbox.ok("attest policy e.json --name fetched --out fetched.toml");
    sandbox.ok(&format!(
        "attest verify e.json --policy fetched.toml --danger-development-root {}",
        service.root
    ));

    service.stop();
}

/// `zkpass serve` on a free port.
struct Service {
    child: Child,
    url: String,
    policy: String,
    root: String,
}

impl Service {
    fn start(sandbox: &Sandbox) -> Self {
        let mut child = sandbox
            .command("serve --listen 127.0.0.1:0 --state state --json")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"));
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        assert_eq!(ready["confined"], true);
        Self {
            child,
            url,
            policy: text("policy"),
            root: text("development_root"),
        }
    }

    /// Asks it to stop, as a service manager does, and expects that it does.
    fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Ended already, unless the test failed.
        let _ = self.child.kill();
    }
}
