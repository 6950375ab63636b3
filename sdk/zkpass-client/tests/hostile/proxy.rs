//! Somebody between holder and service who reads and changes everything. It
//! understands as much of HTTP/1.1 as the two use: one request and one response
//! for each connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zkpass_core::api::{EnclaveOffer, EnclavesResponse, Problem};

use crate::stack::Scene;

/// What a client may say before it trusts an enclave; a nonce follows.
const QUESTION: &str = "GET /v1/enclaves?nonce=";

/// 32 bytes in base64url.
const NONCE_CHARACTERS: usize = 43;

/// A request as it came, whole or not.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub fn is_question(&self) -> bool {
        self.line().starts_with(QUESTION)
    }

    pub fn is_post(&self) -> bool {
        self.line().starts_with("POST /v1/proofs ")
    }

    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Debug, Clone)]
pub struct Response {
    /// Status line and header fields, without those about length and connection.
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn ok(body: &impl Serialize) -> Self {
        Self {
            head: vec![
                "HTTP/1.1 200 OK".into(),
                "content-type: application/json".into(),
            ],
            body: serde_json::to_vec(body).unwrap(),
        }
    }

    pub fn problem(problem: &Problem) -> Self {
        Self {
            head: vec![
                format!("HTTP/1.1 {} X", problem.status),
                "content-type: application/problem+json".into(),
            ],
            body: serde_json::to_vec(problem).unwrap(),
        }
    }

    pub fn offers(enclaves: Vec<EnclaveOffer>) -> Self {
        Self::ok(&EnclavesResponse { enclaves })
    }

    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Changes the body, which has the form `T`.
    pub fn change<T: DeserializeOwned + Serialize>(&mut self, change: impl FnOnce(&mut T)) {
        let mut body = self.json();
        change(&mut body);
        self.body = serde_json::to_vec(&body).unwrap();
    }

    fn head_with_length(&self, length: usize) -> Vec<u8> {
        let head = self.head.join("\r\n");
        format!("{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n").into_bytes()
    }
}

/// How a response reaches the client.
pub enum Delivery {
    Whole(Response),
    /// The connection ends after this many bytes of the body.
    Cut(Response, usize),
    /// The head says that the body is shorter than it is.
    Understated(Response, usize),
    /// A body without an end follows the head.
    Endless(Response),
    /// A head without an end.
    EndlessHead,
    /// Nothing, and the connection stays open.
    Silence,
    /// Nothing, and the connection is closed.
    Close,
}

/// The service behind the proxy.
#[derive(Clone)]
pub struct Upstream {
    address: String,
}

impl Upstream {
    /// Passes a request on.
    pub async fn ask(&self, request: &Seen) -> Response {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let mut head = end_to_end_lines(&request.head).join("\r\n");
        head += &format!(
            "\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            request.body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&request.body).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let end = head_end(&bytes).expect("a response");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        Response {
            head: end_to_end_lines(head),
            body: bytes.split_off(end),
        }
    }

    /// What the enclaves offer for the nonce of this request.
    pub async fn offers(&self, request: &Seen) -> Vec<EnclaveOffer> {
        let response: EnclavesResponse = self.ask(request).await.json();
        response.enclaves
    }
}

type Answer = Pin<Box<dyn Future<Output = Delivery> + Send>>;

/// The proxy; its address and what it saw.
pub struct Proxy {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    /// Starts a proxy that answers each request as `handler` says.
    pub async fn start<F>(
        service: &str,
        handler: impl Fn(Seen, Upstream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Delivery> + Send + 'static,
    {
        let handler = move |seen, upstream| -> Answer { Box::pin(handler(seen, upstream)) };
        let handler = Arc::new(handler);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let address = service.strip_prefix("http://").unwrap().to_owned();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                let address = address.clone();
                tokio::spawn(async move {
                    let (request, whole) = read_request(&mut stream).await;
                    if !request.head.is_empty() {
                        log.lock().unwrap().push(request.clone());
                    }
                    if whole {
                        let delivery = handler(request, Upstream { address }).await;
                        // A client that had enough closes its end.
                        let _ = deliver(&mut stream, delivery).await;
                    }
                });
            }
        });
        Self { url, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn posts(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(Seen::is_post).collect()
    }

    /// Nothing but questions for evidence came, and they have no room for more.
    pub fn assert_no_payload(&self, scene: &Scene, case: &str) {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{case}: {seen:?}");
        for request in seen {
            let mut lines = request.head.lines().filter(|line| !line.is_empty());
            let line = lines.next().unwrap();
            let nonce = line.strip_prefix(QUESTION);
            let nonce = nonce.and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
            assert_eq!(
                nonce.map(str::len),
                Some(NONCE_CHARACTERS),
                "{case}: {line}"
            );
            for line in lines {
                let name = line.split(':').next().unwrap().to_lowercase();
                let known = ["accept", "host", "user-agent"].contains(&&*name);
                assert!(known && line.len() < 64, "{case}: {line}");
            }
            assert!(request.body.is_empty(), "{case}");
            for token in [&scene.token, &scene.dvr_token()] {
                for part in token.split('.') {
                    assert!(!request.head.contains(part), "{case}");
                }
            }
        }
    }
}

/// The lines of a head, without those that are about one connection.
fn end_to_end_lines(head: &str) -> Vec<String> {
    let hop = |line: &str| {
        let line = line.to_lowercase();
        line.starts_with("content-length:") || line.starts_with("connection:")
    };
    let lines = head.split("\r\n");
    let lines = lines.filter(|line| !line.is_empty() && !hop(line));
    lines.map(str::to_owned).collect()
}

/// Where the body begins.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// Reads all that a client sends for one request, and whether it is whole.
/// Bytes beyond its end would be part of the body.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> (Seen, bool) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let end = head_end(&bytes);
        let head = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned();
        let body = end.map(|end| bytes[end..].to_vec()).unwrap_or_default();
        let whole = end.is_some() && body.len() >= content_length(&head);
        let read = match whole {
            true => 0,
            false => stream.read(&mut buffer).await.unwrap_or(0),
        };
        if read == 0 {
            return (Seen { head, body }, whole);
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}

fn content_length(head: &str) -> usize {
    let head = head.to_lowercase();
    let mut lines = head.lines();
    let value = lines.find_map(|line| line.strip_prefix("content-length:"));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

async fn deliver(stream: &mut TcpStream, delivery: Delivery) -> std::io::Result<()> {
    match delivery {
        Delivery::Whole(response) => {
            let head = response.head_with_length(response.body.len());
            stream.write_all(&head).await?;
            stream.write_all(&response.body).await
        }
        Delivery::Cut(response, length) => {
            let head = response.head_with_length(response.body.len());
            stream.write_all(&head).await?;
            stream.write_all(&response.body[..length]).await
        }
        Delivery::Understated(response, length) => {
            stream.write_all(&response.head_with_length(length)).await?;
            stream.write_all(&response.body).await
        }
        Delivery::Endless(response) => {
            let head = response.head.join("\r\n");
            let head = format!("{head}\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[b' '; 16 * 1024]).await?;
            }
        }
        Delivery::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                stream.write_all(&b"x: y\r\n".repeat(1000)).await?;
            }
        }
        Delivery::Silence => {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.map(drop)
        }
        Delivery::Close => Ok(()),
    }
}
