//! The ways in front of the service and behind it, which keep every byte.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Bytes from the client and bytes to the client, for each connection.
type Seen = Arc<Mutex<Vec<[Vec<u8>; 2]>>>;

const FROM_CLIENT: usize = 0;
const TO_CLIENT: usize = 1;

/// A proxy that passes everything on and keeps a copy.
pub struct Wire {
    pub url: String,
    seen: Seen,
}

/// One HTTP request that came by.
#[derive(Debug)]
pub struct SeenRequest {
    /// Method and path.
    pub line: String,
    pub body: Vec<u8>,
}

impl Wire {
    /// In front of a service.
    pub async fn before(url: &str) -> Self {
        let service = url.strip_prefix("http://").unwrap().to_owned();
        Self::listen(move |client, seen, connection| {
            let service = service.clone();
            async move {
                let service = TcpStream::connect(&service).await.unwrap();
                relay(client, service, seen, connection).await;
            }
        })
        .await
    }

    /// Instead of a service: it gives this answer to whatever is asked.
    pub async fn replaying(answer: Vec<u8>) -> Self {
        Self::listen(move |mut client, seen, connection| {
            let answer = answer.clone();
            async move {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = client.read(&mut buffer).await {
                    let ends = {
                        let mut seen = seen.lock().unwrap();
                        let bytes = &mut seen[connection][FROM_CLIENT];
                        bytes.extend_from_slice(&buffer[..count]);
                        bytes.ends_with(b"\r\n\r\n")
                    };
                    if ends && client.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// On a new socket between a service and its enclave.
    pub fn on_socket(path: &Path, enclave: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let enclave = enclave.to_owned();
        let seen = Seen::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((service, _)) = listener.accept().await {
                let connection = register(&kept);
                let enclave = UnixStream::connect(&enclave).await.unwrap();
                tokio::spawn(relay(service, enclave, Arc::clone(&kept), connection));
            }
        });
        Self {
            url: String::new(),
            seen,
        }
    }

    async fn listen<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream, Seen, usize) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Seen::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let connection = register(&kept);
                tokio::spawn(serve(client, Arc::clone(&kept), connection));
            }
        });
        Self { url, seen }
    }

    /// Everything that passed in both directions, connection by connection.
    pub fn everything(&self) -> Vec<u8> {
        self.seen.lock().unwrap().concat().concat()
    }

    /// Everything that was answered.
    pub fn answers(&self) -> Vec<u8> {
        let seen = self.seen.lock().unwrap();
        let answers = seen.iter().map(|bytes| &bytes[TO_CLIENT][..]);
        answers.collect::<Vec<_>>().concat()
    }

    /// The requests, in the order of each connection.
    pub fn requests(&self) -> Vec<SeenRequest> {
        let seen = self.seen.lock().unwrap();
        let sent = seen.iter().map(|bytes| &bytes[FROM_CLIENT][..]);
        sent.flat_map(split_requests).collect()
    }

    /// The requests that carry something.
    pub fn posts(&self) -> Vec<SeenRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.line == "POST /v1/proofs");
        requests
    }
}

fn split_requests(mut bytes: &[u8]) -> Vec<SeenRequest> {
    let mut requests = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
        let rest = &bytes[end + 4..];
        let (body, rest) = rest.split_at(length.unwrap_or(0).min(rest.len()));
        let line = String::from_utf8_lossy(&bytes[..end]);
        let line = line.lines().next().unwrap().rsplit_once(' ').unwrap().0;
        requests.push(SeenRequest {
            line: line.to_owned(),
            body: body.to_vec(),
        });
        bytes = rest;
    }
    requests
}

/// A number for a new connection.
fn register(seen: &Seen) -> usize {
    let mut seen = seen.lock().unwrap();
    seen.push(Default::default());
    seen.len() - 1
}

/// Passes both directions on to their ends.
async fn relay(
    client: impl AsyncRead + AsyncWrite,
    server: impl AsyncRead + AsyncWrite,
    seen: Seen,
    connection: usize,
) {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let other = Arc::clone(&seen);
    tokio::join!(
        pass(from_client, to_server, seen, (connection, FROM_CLIENT)),
        pass(from_server, to_client, other, (connection, TO_CLIENT)),
    );
}

/// Passes one direction on to its end.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    seen: Seen,
    (connection, direction): (usize, usize),
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        seen.lock().unwrap()[connection][direction].extend_from_slice(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // The other side is told that no more comes.
    let _ = to.shutdown().await;
}
