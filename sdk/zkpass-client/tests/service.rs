//! A holder against services that are busy, broken or hostile. The service is
//! a script of HTTP responses; the way to a proof is in `end_to_end.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zkpass_client::holder::{
    BuildError, Holder, HolderBuilder, Progress, ProveError, RemoteError, Request,
};
use zkpass_client::issuer::Issuer;
use zkpass_client::verifier::DvrBuilder;
use zkpass_client::{attestation::Policy, keys};
use zkpass_core::api::{EnclavesResponse, Problem};
use zkpass_core::code::Code;
use zkpass_core::encoding::base64url;
use zkpass_core::evidence::parse_nonce;
use zkpass_core::user_data::Profile;

use tee::Tee;

mod tee;

/// A service that answers `POST /v1/proofs` and what follows by a script, and
/// `GET /v1/enclaves` with one good enclave.
struct Scripted {
    url: String,
    /// Method and path of each request.
    seen: Arc<Mutex<Vec<String>>>,
    policy: Policy,
}

const ENCLAVES: &str = "GET /v1/enclaves";

/// A response, or silence.
type Step = Option<String>;

impl Scripted {
    async fn start(tee: Tee, script: Vec<Step>) -> Self {
        let policy = tee.policy();
        let tee = Arc::new(tee);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let script = Arc::new(Mutex::new(script.into_iter()));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (log, script, tee) = (Arc::clone(&log), Arc::clone(&script), Arc::clone(&tee));
                tokio::spawn(async move {
                    let Some(line) = read_request(&mut stream).await else {
                        return;
                    };
                    let asked = line.split_once("?nonce=");
                    let path = asked.map_or(line.as_str(), |(path, _)| path);
                    log.lock().unwrap().push(path.to_owned());
                    let step = match asked {
                        Some((ENCLAVES, nonce)) => Some(enclaves(&tee, nonce)),
                        _ => script.lock().unwrap().next().expect("the script is over"),
                    };
                    match step {
                        Some(response) => stream.write_all(response.as_bytes()).await.unwrap(),
                        None => tokio::time::sleep(Duration::from_secs(60)).await,
                    }
                });
            }
        });
        Self { url, seen, policy }
    }

    async fn with_script(script: Vec<Step>) -> Self {
        Self::start(Tee::new(), script).await
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn posts(&self) -> usize {
        let is_post = |line: &&String| line.starts_with("POST");
        self.seen.lock().unwrap().iter().filter(is_post).count()
    }

    fn holder(&self) -> HolderBuilder {
        Holder::builder(&self.url, self.policy.clone()).max_attempts(3)
    }

    async fn error(&self) -> ProveError {
        let holder = self.holder().build().unwrap();
        holder.prove(&request()).await.unwrap_err()
    }
}

fn enclaves(tee: &Tee, nonce: &str) -> String {
    let nonce = parse_nonce(nonce).expect("a nonce");
    let enclaves = vec![tee.offer(&nonce)];
    ok(&serde_json::to_string(&EnclavesResponse { enclaves }).unwrap())
}

/// Reads one request to its end; the method and path.
async fn read_request(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase();
            let length = length.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let line = head.lines().next()?;
                return Some(line.rsplit_once(' ')?.0.to_owned());
            }
        }
        let read = stream.read(&mut buffer).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn ok(body: &str) -> String {
    response("200 OK", "content-type: application/json\r\n", body)
}

fn problem(code: Code) -> Step {
    let headers = "content-type: application/problem+json\r\nretry-after: 0\r\n";
    let status = format!("{} X", code.http_status());
    let body = serde_json::to_string(&Problem::new(code)).unwrap();
    Some(response(&status, headers, &body))
}

fn failed_job(code: Code) -> Step {
    let problem = serde_json::to_string(&Problem::new(code)).unwrap();
    Some(ok(&format!(
        r#"{{"id":"j","status":"failed","problem":{problem}}}"#
    )))
}

fn running_job() -> Step {
    let body = r#"{"id":"job-1","status":"running"}"#;
    Some(response("202 Accepted", "retry-after: 1\r\n", body))
}

fn request() -> Request {
    let issuer = Issuer::new(keys::generate().unwrap());
    let token = issuer.sign(r#"{"age":30}"#, Profile::Zkpass).unwrap();
    let question = DvrBuilder::new(r#"[{"output":{"adult":{">=":[{"dvar":"age"},18]}}}]"#)
        .unwrap()
        .document(issuer.public_key().into(), Profile::Zkpass)
        .build()
        .unwrap();
    let dvr_token = question.sign(&keys::generate().unwrap(), None).unwrap();
    Request::new(dvr_token, BTreeMap::from([(String::new(), token)]))
}

#[tokio::test]
async fn no_data_is_sent_where_the_policy_is_not_satisfied() {
    let service = Scripted::with_script(Vec::new()).await;
    let policies = [
        // The vendors' roots.
        Policy::new(service.policy.measurements().to_vec()).unwrap(),
        // Another development TEE.
        Tee::new().policy(),
    ];
    for policy in policies {
        let holder = Holder::builder(&service.url, policy).build().unwrap();
        let error = holder.prove(&request()).await.unwrap_err();
        assert_eq!(error.code(), Code::UnattestedEnclave);
    }
    assert_eq!(service.seen(), [ENCLAVES; 2]);
}

#[tokio::test]
async fn an_accepted_enclave_is_kept_for_later_requests() {
    let failed = || failed_job(Code::Internal);
    let service = Scripted::with_script(vec![failed(), busy(), failed(), failed()]).await;
    let holder = service.holder().build().unwrap();
    for _ in 0..2 {
        let error = holder.prove(&request()).await.unwrap_err();
        assert_eq!(error.code(), Code::Internal);
    }
    // A clone knows what the first one learned.
    let error = holder.clone().prove(&request()).await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    // The enclave was forgotten after each failed job, not after a full queue.
    let post = "POST /v1/proofs";
    assert_eq!(
        service.seen(),
        [ENCLAVES, post, ENCLAVES, post, post, ENCLAVES, post]
    );
}

fn busy() -> Step {
    problem(Code::QueueFull)
}

#[tokio::test]
async fn a_busy_service_is_asked_again_a_bounded_number_of_times() {
    for code in [
        Code::QueueFull,
        Code::EnclaveUnavailable,
        Code::ReAttest,
        Code::RateLimited,
    ] {
        let service = Scripted::with_script(vec![problem(code); 3]).await;
        let holder = service.holder().build().unwrap();
        let mut retries = Vec::new();
        let request = request();
        let proof = holder.prove_with_progress(&request, |progress| {
            if let Progress::Retrying { code, .. } = progress {
                retries.push(code);
            }
        });
        let error = proof.await.unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!(retries, [code; 2]);
        // A full queue says nothing about the enclave; after all else its keys
        // and evidence are asked for anew.
        let kept = matches!(code, Code::QueueFull | Code::RateLimited);
        let asked = if kept { 1 } else { 3 };
        let seen = service.seen();
        let count = |line: &str| seen.iter().filter(|seen| *seen == line).count();
        assert_eq!(count(ENCLAVES), asked, "{code}");
        assert_eq!(count("POST /v1/proofs"), 3, "{code}");
    }
}

#[tokio::test]
async fn what_cannot_pass_is_not_repeated() {
    for code in [
        Code::InvalidRequest,
        Code::SealedRequestRejected,
        Code::BodyTooLarge,
    ] {
        for step in [problem(code), failed_job(code)] {
            let service = Scripted::with_script(vec![step]).await;
            assert_eq!(service.error().await.code(), code);
            assert_eq!(service.posts(), 1);
        }
    }
}

#[tokio::test]
async fn a_lost_enclave_or_job_leads_to_a_new_attempt() {
    let script = vec![
        failed_job(Code::EnclaveLost),
        running_job(),
        problem(Code::NotFound),
        // The job of the second attempt is given up.
        Some(response("204 No Content", "", "")),
        failed_job(Code::Internal),
    ];
    let service = Scripted::with_script(script).await;
    assert_eq!(service.error().await.code(), Code::Internal);
    assert_eq!(service.posts(), 3);
}

#[tokio::test]
async fn a_proxy_without_its_service_is_asked_again() {
    let bad_gateway = Some(response("502 Bad Gateway", "", "<html>"));
    let service = Scripted::with_script(vec![bad_gateway; 3]).await;
    let error = service.error().await;
    assert!(matches!(
        error,
        ProveError::Remote(RemoteError::Status { status: 502, .. })
    ));
    assert_eq!(service.posts(), 3);
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    let elsewhere = Scripted::with_script(Vec::new()).await;
    let headers = format!("location: {}/v1/proofs\r\n", elsewhere.url);
    let moved = Some(response("307 Temporary Redirect", &headers, ""));
    let service = Scripted::with_script(vec![moved]).await;
    let error = service.error().await;
    assert!(matches!(
        error,
        ProveError::Remote(RemoteError::Status { status: 307, .. })
    ));
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn malformed_responses_are_refused() {
    for body in [
        "",
        "[]",
        r#"{"id":"j","status":"done"}"#,
        r#"{"id":"j","status":"failed"}"#,
        r#"{"id":"../../x","status":"running"}"#,
        r#"{"id":"","status":"running"}"#,
    ] {
        let service = Scripted::with_script(vec![Some(ok(body)); 2]).await;
        let error = service.error().await;
        let malformed = matches!(error, ProveError::Remote(RemoteError::Malformed));
        assert!(malformed, "{body}: {error:?}");
    }
    // An answer that the enclave did not seal.
    let answer = format!(
        r#"{{"id":"j","status":"done","sealed_answer":"{}"}}"#,
        base64url(&[0; 32 + 1024 + 16])
    );
    let service = Scripted::with_script(vec![Some(ok(&answer))]).await;
    assert!(matches!(service.error().await, ProveError::Answer(_)));
}

#[tokio::test]
async fn endless_responses_are_cut_off() {
    let huge = "x".repeat(4 * 1024 * 1024);
    let service = Scripted::with_script(vec![Some(ok(&huge))]).await;
    let error = service.error().await;
    assert!(matches!(
        error,
        ProveError::Remote(RemoteError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn at_the_deadline_the_job_is_deleted() {
    let script = vec![
        running_job(),
        None,
        Some(response("204 No Content", "", "")),
    ];
    let service = Scripted::with_script(script).await;
    let deadline = Duration::from_millis(500);
    let holder = service.holder().deadline(deadline).build().unwrap();
    let start = Instant::now();
    let error = holder.prove(&request()).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert!(start.elapsed() < Duration::from_secs(5));
    let end = Instant::now() + Duration::from_secs(10);
    while service.seen().last().map(String::as_str) != Some("DELETE /v1/proofs/job-1") {
        assert!(Instant::now() < end, "{:?}", service.seen());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_an_error_with_a_code() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let holder = Holder::builder(format!("http://{address}"), Tee::new().policy()).max_attempts(2);
    let error = holder.build().unwrap().prove(&request()).await.unwrap_err();
    assert!(matches!(
        error,
        ProveError::Remote(RemoteError::Transport(_))
    ));
    assert_eq!(error.code(), Code::EnclaveUnavailable);
}

#[test]
fn addresses_of_services() {
    let policy = Tee::new().policy();
    for url in [
        "http://127.0.0.1:8080",
        "http://[::1]/",
        "http://host/zkpass/",
    ] {
        let holder = Holder::builder(url, policy.clone());
        assert!(holder.build().is_ok(), "{url}");
    }
    for url in [
        "",
        "host",
        "ftp://host",
        "http://u:p@host",
        "http://host?x=1",
        "file:///x",
    ] {
        let error = Holder::builder(url, policy.clone()).build().err();
        assert!(matches!(error, Some(BuildError::BadUrl { .. })), "{url}");
    }
}
