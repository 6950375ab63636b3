//! A service with scripted enclaves behind it.
//!
//! The fake enclave is a double for the *transport*: it speaks frames over a
//! Unix socket and does with each request what the request's bytes say. It
//! opens, proves and signs nothing.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use zkpass_core::api::{EnclaveInfo, EnclaveOffer, UNATTESTED_DEVELOPMENT};
use zkpass_core::code::Code;
use zkpass_core::encoding::base64url;
use zkpass_core::evidence::EvidenceDocument;
use zkpass_core::frame::{Decoder, Frame, Message};
use zkpass_core::keys::SigningKey;
use zkpass_service::{Config, EnclaveConfig, Server};

/// Longest any expected event may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the fake enclave noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Prove(Vec<u8>),
    Cancel,
}

/// A client for plain http. In one build with the SDK the HTTP library has TLS and
/// wants a provider of cryptography even so.
pub fn http_client() -> reqwest::Client {
    // A second call finds the provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// An enclave that does what requests say:
/// `answer TEXT`, `fail CODE`, `hold`, `die`, `garbage`, `mute`, `rotate`.
/// A held request is answered with `released` after [`FakeEnclave::release`],
/// and with `Failed(cancelled)` when it is cancelled.
pub struct FakeEnclave {
    directory: TempDir,
    seen: mpsc::UnboundedReceiver<Seen>,
    released: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl FakeEnclave {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("e.sock")).unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let released = watch::Sender::new(false);
        let release = released.subscribe();
        let task = tokio::spawn(async move {
            let mut life = 0;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                life += 1;
                Connection {
                    stream,
                    life,
                    seen: sender.clone(),
                    release: release.clone(),
                }
                .run()
                .await;
            }
        });
        Self {
            directory,
            seen,
            released,
            task,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("e.sock")
    }

    /// The next thing the enclave noticed.
    pub async fn seen(&mut self) -> Seen {
        let seen = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
        seen.expect("the enclave noticed nothing").unwrap()
    }

    /// Whether the enclave noticed nothing more for a moment.
    pub async fn saw_nothing(&mut self) -> bool {
        let seen = tokio::time::timeout(Duration::from_millis(300), self.seen.recv()).await;
        seen.is_err()
    }

    /// Answers all requests that are held, and those that will be.
    pub fn release(&self) {
        self.released.send_replace(true);
    }
}

impl Drop for FakeEnclave {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Connection {
    stream: UnixStream,
    life: u64,
    seen: mpsc::UnboundedSender<Seen>,
    release: watch::Receiver<bool>,
}

impl Connection {
    async fn run(mut self) {
        let mut decoder = Decoder::default();
        let mut held: Vec<u64> = Vec::new();
        let mut buffer = vec![0; 4096];
        let mut mute = false;
        self.send(0, hello(self.life, 1)).await;
        loop {
            while let Some(Frame {
                request_id,
                message,
            }) = decoder.next_frame().unwrap()
            {
                match message {
                    Message::Prove { sealed, .. } => {
                        let text = String::from_utf8(sealed.clone()).unwrap();
                        let _ = self.seen.send(Seen::Prove(sealed));
                        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
                        match word {
                            "answer" => self.answer(request_id, rest).await,
                            "fail" => {
                                let code: Code = rest.parse().unwrap();
                                self.send(request_id, Message::Failed { code }).await;
                            }
                            "hold" => held.push(request_id),
                            "garbage" => self.stream.write_all(&[0xff; 64]).await.unwrap(),
                            // A frame of a kind that does not exist.
                            "unknown" => {
                                let frame = [0, 0, 0, 10, 1, 99, 0, 0, 0, 0, 0, 0, 0, 0];
                                self.stream.write_all(&frame).await.unwrap();
                            }
                            // The answer to a question of another kind.
                            "proof" => {
                                let token = rest.to_owned();
                                self.send(request_id, Message::Proof { token }).await;
                            }
                            "mute" => mute = true,
                            "rotate" => {
                                self.send(0, hello(self.life, 2)).await;
                                self.answer(request_id, rest).await;
                            }
                            _ => return,
                        }
                    }
                    Message::Cancel => {
                        let _ = self.seen.send(Seen::Cancel);
                        held.retain(|id| *id != request_id);
                        let code = Code::Cancelled;
                        self.send(request_id, Message::Failed { code }).await;
                    }
                    Message::Health if !mute => {
                        let waiting = 0;
                        let running = held.len() as u32;
                        self.send(0, Message::Healthy { waiting, running }).await;
                    }
                    // Evidence as TDX gives it: without endorsements.
                    Message::Attest { nonce } => {
                        let Message::Hello { info } = hello(self.life, 1) else {
                            unreachable!("a hello")
                        };
                        let evidence = EvidenceDocument {
                            platform: "tdx".into(),
                            nonce: nonce.to_vec(),
                            document: vec![1],
                            endorsements: Vec::new(),
                        };
                        let offer = Box::new(EnclaveOffer {
                            info: *info,
                            evidence: Some(evidence),
                        });
                        self.send(request_id, Message::Attested { offer }).await;
                    }
                    _ => {}
                }
            }
            if *self.release.borrow() {
                for request_id in std::mem::take(&mut held) {
                    self.answer(request_id, "released").await;
                }
            }
            tokio::select! {
                read = self.stream.read(&mut buffer) => match read {
                    Ok(read) if read > 0 => decoder.push(&buffer[..read]),
                    _ => return,
                },
                _ = self.release.changed() => {}
            }
        }
    }

    async fn answer(&mut self, request_id: u64, text: &str) {
        let sealed = text.as_bytes().to_vec();
        self.send(request_id, Message::Answer { sealed }).await;
    }

    async fn send(&mut self, request_id: u64, message: Message) {
        let frame = Frame {
            request_id,
            message,
        };
        // The service may have gone.
        let _ = self.stream.write_all(&frame.encode().unwrap()).await;
    }
}

/// The hello of one life of the enclave with one of its keys.
fn hello(life: u64, key: u64) -> Message {
    let identity = SigningKey::from_bytes(&[7; 32]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let info = EnclaveInfo {
        enclave_id: "enclave".into(),
        kind: UNATTESTED_DEVELOPMENT.into(),
        measurement_id: UNATTESTED_DEVELOPMENT.into(),
        key_id: format!("key-{life}-{key}"),
        hpke_public_key: base64url(&[1; 32]),
        identity_key: identity.public(),
        encryption_key: identity.public(),
        not_before: now - 60,
        not_after: now + 600,
        signature: String::new(),
    };
    Message::Hello {
        info: Box::new(info.signed_by(&identity)),
    }
}

/// A service in this process, and an HTTP client for it.
pub struct TestService {
    pub address: SocketAddr,
    pub http: reqwest::Client,
    shutdown: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl TestService {
    /// Starts a service for the enclave on `socket` and waits until it is ready.
    pub async fn start(socket: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let service = Self::start_unready(socket, change).await;
        service.ready().await;
        service
    }

    pub async fn start_unready(socket: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            drain_seconds: 0,
            enclaves: vec![EnclaveConfig::connected("test", socket)],
            ..Config::default()
        };
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        let address = server.local_address();
        let (shutdown, told) = oneshot::channel::<()>();
        let task = tokio::spawn(server.serve(async { drop(told.await) }));
        Self {
            address,
            http: http_client(),
            shutdown: Some(shutdown),
            task: Some(task),
        }
    }

    /// Waits until the service says that it is ready.
    pub async fn ready(&self) {
        self.until_ready_is(200).await;
    }

    pub async fn until_ready_is(&self, status: u16) {
        let wait = async {
            while self.get("/readyz").await.status != status {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("readiness");
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> Got {
        Got::from(self.http.get(self.url(path))).await
    }

    pub async fn delete(&self, path: &str) -> Got {
        Got::from(self.http.delete(self.url(path))).await
    }

    /// A request that tells the fake enclave what to do.
    pub fn request(&self, script: &str) -> reqwest::RequestBuilder {
        self.request_for("key-1-1", script)
    }

    pub fn request_for(&self, key_id: &str, script: &str) -> reqwest::RequestBuilder {
        let body = json!({
            "enclave_id": "enclave",
            "key_id": key_id,
            "sealed": base64url(script.as_bytes()),
        });
        self.http
            .post(self.url("/v1/proofs"))
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Posts and waits for the end of the job.
    pub async fn ask(&self, script: &str) -> Got {
        Got::from(self.request(script).header("prefer", "wait=30")).await
    }

    /// Posts without waiting; the path of the job.
    pub async fn submit(&self, script: &str) -> String {
        let got = Got::from(self.request(script)).await;
        assert_eq!(got.status, 202, "{got:?}");
        got.header("location")
    }

    /// Shuts the service down and waits for its end.
    pub async fn stop(mut self) {
        drop(self.shutdown.take());
        if let Some(task) = self.task.take() {
            tokio::time::timeout(PATIENCE, task)
                .await
                .expect("end")
                .unwrap();
        }
    }

    /// Begins the shutdown.
    pub fn begin_stop(&mut self) {
        drop(self.shutdown.take());
    }

    pub fn has_stopped(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub json: Value,
}

impl Got {
    pub async fn from(request: reqwest::RequestBuilder) -> Self {
        let response = request.timeout(PATIENCE * 2).send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self {
            status,
            headers,
            json,
        }
    }

    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name);
        let value = value.unwrap_or_else(|| panic!("no `{name}` in {self:?}"));
        value.to_str().unwrap().to_owned()
    }

    /// The sealed answer as text.
    pub fn answer(&self) -> String {
        let sealed = self.json["sealed_answer"].as_str();
        let sealed = sealed.unwrap_or_else(|| panic!("no answer in {self:?}"));
        String::from_utf8(zkpass_core::encoding::from_base64url(sealed).unwrap()).unwrap()
    }

    /// Checks that this is the problem document of `code`.
    #[track_caller]
    pub fn is_problem(&self, code: Code) {
        assert_eq!(self.json["code"], code.as_str(), "{self:?}");
        assert_eq!(self.status, code.http_status(), "{self:?}");
        assert_eq!(self.json["status"], code.http_status(), "{self:?}");
        assert_eq!(self.json["retryable"], code.retryable(), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.headers.contains_key("retry-after"), code.retryable());
    }

    /// Checks that this is a job that failed with `code`.
    #[track_caller]
    pub fn is_failed_job(&self, code: Code) {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.json["status"], "failed", "{self:?}");
        assert_eq!(self.json["problem"]["code"], code.as_str(), "{self:?}");
        assert_eq!(
            self.json["problem"]["retryable"],
            code.retryable(),
            "{self:?}"
        );
    }
}

/// Spawns a request whose response is wanted later.
pub fn spawn(request: reqwest::RequestBuilder) -> JoinHandle<Got> {
    tokio::spawn(Got::from(request))
}
