//! Requests that are refused, each with its problem document.

mod support;

use serde_json::json;
use support::{FakeEnclave, Got, TestService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zkpass_core::code::Code;

#[tokio::test]
async fn unknown_routes_and_methods() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    for path in [
        "/",
        "/v1",
        "/v1/proofs/",
        "/v1/proofs/no-such-job",
        "/v1/keys",
    ] {
        service.get(path).await.is_problem(Code::NotFound);
    }
    let got = service.get("/v1/proofs").await;
    got.is_problem(Code::MethodNotAllowed);
    assert_eq!(got.header("allow"), "POST");
    service
        .delete("/v1/enclaves")
        .await
        .is_problem(Code::MethodNotAllowed);
    service
        .delete("/v1/proofs/none")
        .await
        .is_problem(Code::NotFound);
    service.stop().await;
}

#[tokio::test]
async fn malformed_requests() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    let post = |body: String| {
        let request = service.http.post(service.url("/v1/proofs"));
        Got::from(
            request
                .header("content-type", "application/json")
                .body(body),
        )
    };
    for body in [
        "".to_owned(),
        "{".to_owned(),
        "[]".to_owned(),
        json!({"enclave_id": "enclave", "key_id": "key-1-1"}).to_string(),
        json!({"enclave_id": "enclave", "key_id": "key-1-1", "sealed": 1}).to_string(),
        json!({"enclave_id": "enclave", "key_id": "key-1-1", "sealed": "AA", "x": 1}).to_string(),
        r#"{"enclave_id":"enclave","key_id":"key-1-1","sealed":"AA","sealed":"AB"}"#.to_owned(),
        r#"{"enclave_id":"enclave","key_id":"key-1-1","sealed":"AA"} x"#.to_owned(),
        json!({"enclave_id": "enclave", "key_id": "key-1-1", "sealed": "AA=="}).to_string(),
        json!({"enclave_id": "enclave", "key_id": "key-1-1", "sealed": "A"}).to_string(),
    ] {
        post(body).await.is_problem(Code::InvalidRequest);
    }
    for (enclave_id, key_id) in [("enclave", "other"), ("other", "key-1-1"), ("", "")] {
        let body = json!({"enclave_id": enclave_id, "key_id": key_id, "sealed": "AA"});
        post(body.to_string()).await.is_problem(Code::ReAttest);
    }
    for wait in ["x", "-1", "1.5", ""] {
        let path = format!("/v1/proofs/some?wait={wait}");
        service.get(&path).await.is_problem(Code::InvalidRequest);
    }
    for key in ["", "a b", &"k".repeat(129)] {
        let request = service.request("answer x").header("idempotency-key", key);
        Got::from(request).await.is_problem(Code::InvalidRequest);
    }
    service.stop().await;
}

#[tokio::test]
async fn other_media_types() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let request = service.http.post(service.url("/v1/proofs")).body("{}");
        let got = Got::from(request.header("content-type", media_type)).await;
        got.is_problem(Code::UnsupportedMediaType);
    }
    let bare = service.http.post(service.url("/v1/proofs")).body("{}");
    Got::from(bare).await.is_problem(Code::UnsupportedMediaType);
    service.stop().await;
}

#[tokio::test]
async fn bodies_over_the_limit_name_it() {
    let enclave = FakeEnclave::start();
    let service =
        TestService::start(&enclave.socket(), |config| config.max_body_bytes = 1000).await;
    let got = Got::from(service.request(&"x".repeat(1000))).await;
    got.is_problem(Code::BodyTooLarge);
    assert_eq!(got.json["detail"], "the limit `max_body_bytes` is 1000");

    // Without an announced length the body is cut off where the limit is.
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let head = "POST /v1/proofs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..3 {
        let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
        // The service may close before it has read all.
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let mut response = String::new();
    let _ = stream.read_to_string(&mut response).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    assert!(response.contains("body-too-large"), "{response}");
    service.stop().await;
}

#[tokio::test]
async fn slow_bodies_are_not_waited_for() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| {
        config.body_timeout_seconds = 1;
    })
    .await;
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let head = "POST /v1/proofs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    let _ = stream.read_to_string(&mut response).await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(response.contains("body_timeout_seconds"), "{response}");
    service.stop().await;
}

#[tokio::test]
async fn without_an_enclave_the_service_is_alive_and_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("nobody.sock");
    let service = TestService::start_unready(&socket, |_| {}).await;
    assert_eq!(service.get("/livez").await.status, 200);
    service
        .get("/readyz")
        .await
        .is_problem(Code::EnclaveUnavailable);
    let enclaves = service.get("/v1/enclaves").await;
    assert_eq!(enclaves.json, json!({"enclaves": []}));
    let got = Got::from(service.request("answer x")).await;
    got.is_problem(Code::EnclaveUnavailable);
    service.stop().await;
}

#[tokio::test]
async fn connections_are_bounded() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| config.max_connections = 2).await;
    // The client of the service holds one connection; these are two more.
    let first = TcpStream::connect(service.address).await.unwrap();
    let mut second = TcpStream::connect(service.address).await.unwrap();
    second
        .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut response = String::new();
    let read = second.read_to_string(&mut response);
    let waited = tokio::time::timeout(std::time::Duration::from_millis(300), read).await;
    assert!(waited.is_err(), "it was served: {response}");
    drop(first);
    second.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    service.stop().await;
}
