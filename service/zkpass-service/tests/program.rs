//! The program: its flags, its log, its signals.

mod support;

use std::process::Stdio;
use std::time::Duration;

use support::{FakeEnclave, PATIENCE};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use zkpass_core::encoding::base64url;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zkpass-service"));
    command.kill_on_drop(true).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn it_starts_serves_logs_one_line_and_drains_on_sigterm() {
    let enclave = FakeEnclave::start();
    let mut child = program()
        .args([
            "--listen",
            "127.0.0.1:0",
            "--log",
            "json",
            "--enclave-socket",
        ])
        .arg(enclave.socket())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        log.read_line(&mut line).await.unwrap();
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
        if entry["fields"]["message"] == "zkpass-service started" {
            assert_eq!(entry["fields"]["version"], env!("CARGO_PKG_VERSION"));
            break entry["fields"]["address"].as_str().unwrap().to_owned();
        }
    };
    let http = support::http_client();
    let url = |path: &str| format!("http://{address}{path}");
    let wait = async {
        while http.get(url("/readyz")).send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();

    let body = serde_json::json!({
        "enclave_id": "enclave",
        "key_id": "key-1-1",
        "sealed": base64url(b"hold canary-7c1f"),
    });
    let request = http
        .post(url("/v1/proofs"))
        .header("content-type", "application/json")
        .header("prefer", "wait=30")
        .body(body.to_string());
    let waiting = tokio::spawn(request.send());
    tokio::time::sleep(Duration::from_millis(300)).await;

    let pid = child.id().unwrap().to_string();
    let kill = Command::new("sh")
        .args(["-c", &format!("kill -TERM {pid}")])
        .status()
        .await
        .unwrap();
    assert!(kill.success());
    let wait = async {
        while http.get(url("/readyz")).send().await.unwrap().status() != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    enclave.release();
    let got = waiting.await.unwrap().unwrap().text().await.unwrap();
    assert!(got.contains(&base64url(b"released")), "{got}");

    let status = tokio::time::timeout(PATIENCE, child.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
    let mut rest = String::new();
    log.read_to_string(&mut rest).await.unwrap();
    assert!(
        rest.contains("draining") && rest.contains("stopped"),
        "{rest}"
    );
    assert!(!rest.contains("started"), "{rest}");
    for secret in ["canary", &base64url(b"canary-7c1f"), &base64url(b"hold")] {
        assert!(!rest.contains(secret), "{rest}");
    }
}

#[tokio::test]
async fn mistakes_of_the_operator_are_said_and_end_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("service.toml");
    for (text, expected) in [
        ("lisen = 1", "unknown field `lisen`"),
        ("queue_length = 0", "`queue_length` must be at least 1"),
        ("", "no enclave is configured"),
        (
            "[[enclaves]]\nname = \"a\"\nprogram = \"/no/such/program\"",
            "enclave `a` did not start",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = program()
            .args(["--listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn the_sample_configuration_passes_the_check() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/zkpass-service.example.toml");
    let output = program()
        .args(["--check", "--config", sample])
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
}
