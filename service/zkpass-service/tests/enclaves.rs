//! `GET /v1/enclaves`: who there is, and evidence for a client's nonce.

mod support;

use support::{FakeEnclave, TestService};
use zkpass_core::code::Code;
use zkpass_core::encoding::base64url;

#[tokio::test]
async fn evidence_comes_for_a_nonce_only() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    let got = service.get("/v1/enclaves").await;
    assert_eq!(got.json["enclaves"][0]["key_id"], "key-1-1");
    assert!(got.json["enclaves"][0]["evidence"].is_null());

    let nonce = base64url(&[9; 32]);
    let path = format!("/v1/enclaves?nonce={nonce}");
    let got = service.get(&path).await;
    let evidence = &got.json["enclaves"][0]["evidence"];
    assert_eq!(evidence["nonce"], nonce);
    assert_eq!(evidence["document"], base64url(&[1]));
    assert!(evidence["endorsements"].is_null());

    for query in [
        "nonce=",
        "nonce=AA",
        &format!("nonce={nonce}&nonce={nonce}"),
    ] {
        let path = format!("/v1/enclaves?{query}");
        service.get(&path).await.is_problem(Code::InvalidRequest);
    }
    service.stop().await;
}

#[tokio::test]
async fn endorsements_are_read_for_each_question() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collateral.json");
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| {
        config.enclaves[0].endorsements = Some(file.clone());
    })
    .await;
    let path = format!("/v1/enclaves?nonce={}", base64url(&[9; 32]));
    let endorsements = async || {
        let got = service.get(&path).await;
        got.json["enclaves"][0]["evidence"]["endorsements"].clone()
    };
    // A missing or senselessly large file harms nobody: clients say what is missing.
    assert!(endorsements().await.is_null());
    std::fs::write(&file, vec![b' '; 256 * 1024 + 1]).unwrap();
    assert!(endorsements().await.is_null());
    for text in ["first", "second"] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(endorsements().await, base64url(text.as_bytes()));
    }
    service.stop().await;
}
