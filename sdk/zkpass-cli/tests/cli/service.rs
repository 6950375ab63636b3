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
    assert_eq!(answer["enclave"]["kind"], "unattested-development");
    for step in ["start", "issue", "ask", "prove", "verify", "total"] {
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
fn the_demonstration_reads_well() {
    let text = Sandbox::new().ok("demo").stdout;
    for word in [
        "issuer",
        "holder",
        "service",
        "enclave",
        "verifier",
        "unattested",
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
        "prove --dvr r.jws --token t.jws --url {} --out p.jws --json",
        service.url
    );

    // Without a word from the user nothing is sent, and the message names the way out.
    let refused = sandbox.run(&prove).refused("unattested-enclave");
    let message = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("--danger-accept-unattested"), "{message}");
    assert!(!sandbox.files().contains(&"p.jws".to_owned()));

    let proved = sandbox
        .ok(&format!("{prove} --danger-accept-unattested"))
        .json();
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
    let refused = sandbox
        .run(&format!("{prove} --danger-accept-unattested"))
        .refused("MissingField");
    assert!(refused.json()["error"]["pointer"].is_string());

    service.stop();
}

/// `zkpass serve` on a free port.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    fn start(sandbox: &Sandbox) -> Self {
        let mut child = sandbox
            .command("serve --listen 127.0.0.1:0 --json")
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
        Self { child, url }
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
