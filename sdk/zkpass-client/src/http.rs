//! HTTP to a service: the paths and messages of `zkpass_core::api`, within
//! limits, to one host.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use zkpass_core::api::{
    self, EnclaveOffer, EnclavesResponse, JobResponse, PREFER_HEADER, Problem, ProofRequest,
};
use zkpass_core::encoding::base64url;
use zkpass_core::evidence::Nonce;
use zkpass_core::limits::MAX_SEALED_ANSWER_BYTES;

use crate::holder::BuildError;

/// Largest response: the largest sealed answer in base64url, in its job.
const MAX_RESPONSE_BYTES: usize = MAX_SEALED_ANSWER_BYTES / 3 * 4 + 16 * 1024;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a response may take beyond the wait that was asked for.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one service.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    base: String,
}

/// Why a request got no usable response.
#[derive(Debug)]
pub(crate) enum HttpError {
    Transport(reqwest::Error),
    Problem {
        problem: Box<Problem>,
        retry_after: Option<Duration>,
    },
    Status {
        status: u16,
        retry_after: Option<Duration>,
    },
    Malformed,
    TooLarge {
        limit: usize,
    },
}

impl Http {
    pub(crate) fn new(url: &str) -> Result<Self, BuildError> {
        let bad = || BuildError::BadUrl {
            url: url.to_owned(),
        };
        let parsed = Url::parse(url).map_err(|_| bad())?;
        let plain = parsed.query().is_none()
            && parsed.fragment().is_none()
            && parsed.username().is_empty()
            && parsed.password().is_none();
        let tls = match parsed.scheme() {
            "https" if plain => tls_config(system_roots()?)?,
            // No certificate is needed, and none is looked for.
            "http" if plain => tls_config(RootCertStore::empty())?,
            _ => return Err(bad()),
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("zkpass-client/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // A service that moved elsewhere is another service.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(BuildError::Http)?;
        Ok(Self {
            client,
            base: parsed.as_str().trim_end_matches('/').to_owned(),
        })
    }

    pub(crate) async fn enclaves(&self, nonce: &Nonce) -> Result<Vec<EnclaveOffer>, HttpError> {
        let path = format!("{}?nonce={}", api::ENCLAVES_PATH, base64url(nonce));
        let request = self.request(Method::GET, &path, Duration::ZERO);
        let response: EnclavesResponse = send(request).await?;
        Ok(response.enclaves)
    }

    pub(crate) async fn post_proof(
        &self,
        body: &ProofRequest,
        wait: Duration,
    ) -> Result<JobResponse, HttpError> {
        let body = serde_json::to_vec(body).map_err(|_| HttpError::Malformed)?;
        let request = self
            .request(Method::POST, api::PROOFS_PATH, wait)
            .header(CONTENT_TYPE, "application/json")
            .header(PREFER_HEADER, format!("wait={}", wait.as_secs()))
            .body(body);
        let job: JobResponse = send(request).await?;
        // The id becomes part of a path.
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        match !job.id.is_empty() && job.id.bytes().all(safe) {
            true => Ok(job),
            false => Err(HttpError::Malformed),
        }
    }

    pub(crate) async fn get_proof(
        &self,
        id: &str,
        wait: Duration,
    ) -> Result<JobResponse, HttpError> {
        let path = format!("{}?wait={}", api::proof_path(id), wait.as_secs());
        send(self.request(Method::GET, &path, wait)).await
    }

    pub(crate) async fn delete_proof(&self, id: &str) {
        let request = self.request(Method::DELETE, &api::proof_path(id), Duration::ZERO);
        // Nobody waits for the result; a job that stays ends by itself.
        let _ = request.send().await;
    }

    fn request(&self, method: Method, path: &str, wait: Duration) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .timeout(RESPONSE_TIMEOUT + wait)
    }
}

async fn send<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, HttpError> {
    let response = request.send().await.map_err(HttpError::Transport)?;
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .starts_with(api::PROBLEM_MEDIA_TYPE.as_bytes())
    });
    let body = read(response).await?;
    if matches!(status, StatusCode::OK | StatusCode::ACCEPTED) {
        return serde_json::from_slice(&body).map_err(|_| HttpError::Malformed);
    }
    if is_problem && let Ok(problem) = serde_json::from_slice(&body) {
        return Err(HttpError::Problem {
            problem: Box::new(problem),
            retry_after,
        });
    }
    Err(HttpError::Status {
        status: status.as_u16(),
        retry_after,
    })
}

async fn read(mut response: Response) -> Result<Vec<u8>, HttpError> {
    let limit = MAX_RESPONSE_BYTES;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(HttpError::Transport)? {
        if body.len() + chunk.len() > limit {
            return Err(HttpError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The form of `Retry-After` that is a number of seconds; the service writes
/// no other (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// TLS with the `ring` provider, named here so that no global one is needed.
fn tls_config(roots: RootCertStore) -> Result<ClientConfig, BuildError> {
    let provider = rustls::crypto::ring::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|_| BuildError::NoCertificates)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn system_roots() -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    // Systems hold certificates that rustls cannot read; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err(BuildError::NoCertificates),
        false => Ok(roots),
    }
}
