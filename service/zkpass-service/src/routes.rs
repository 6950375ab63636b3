//! The HTTP API: what each route of `/v1` does.
//!
//! **When a client goes away.** Until a client has been given the id of a job
//! (in a 200 or 202), only the request that made the job can lead to it. When
//! that request is dropped, because the client closed its connection, the job
//! is cancelled, unless it came with an `Idempotency-Key`: with the same key
//! and body the client can ask again and gets the same job. A job whose id was
//! given out goes on whether or not somebody waits for it.
//!
//! **Failed jobs.** A job is a resource: whoever asks for it gets 200 and its
//! state, also when that state is `failed`, with the problem inside. Problem
//! documents answer requests that were themselves refused.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, RawQuery, Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use sha2::{Digest, Sha256};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use zkpass_core::api::{
    self, EnclaveOffer, EnclavesResponse, JobResponse, JobStatus, Problem, ProofRequest,
};
use zkpass_core::code::Code;
use zkpass_core::encoding::from_base64url;
use zkpass_core::evidence::{Nonce, parse_nonce};
use zkpass_core::limits::MAX_SEALED_REQUEST_BYTES;

use crate::app::App;
use crate::jobs::{Admission, Idempotency, Job, Refusal, State};
use crate::problem::Rejection;
use crate::session::{Sealed, Session};
use crate::wait::{preferred_wait, query_wait};

/// Longest idempotency key; a UUID has 36 characters.
const MAX_IDEMPOTENCY_KEY_BYTES: usize = 128;

/// What a client is asked to wait between two questions about a job: about
/// as long as one proof takes.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// All routes, with what every response has in common.
pub(crate) fn router(app: Arc<App>) -> Router {
    let body_limit = DefaultBodyLimit::max(app.config.max_body_bytes);
    Router::new()
        .route(api::ENCLAVES_PATH, get(enclaves))
        .route(api::PROOFS_PATH, post(create))
        .route(
            &format!("{}/{{id}}", api::PROOFS_PATH),
            get(read).delete(remove),
        )
        .route(api::LIVEZ_PATH, get(async || "ok\n"))
        .route(api::READYZ_PATH, get(ready))
        .fallback(async || Rejection::new(Code::NotFound))
        .method_not_allowed_fallback(async || Rejection::new(Code::MethodNotAllowed))
        .layer(body_limit)
        .layer(CatchPanicLayer::custom(|_| {
            // The message of the panic stays in the process.
            Rejection::new(Code::Internal).into_response()
        }))
        .layer(SetResponseHeaderLayer::overriding(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .with_state(app)
}

async fn enclaves(
    Shared(app): Shared<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Json<EnclavesResponse>, Rejection> {
    let enclaves = match query_nonce(query.as_deref())? {
        Some(nonce) => app.fleet.attested(nonce).await,
        None => {
            let offer = |info| EnclaveOffer {
                info,
                evidence: None,
            };
            app.fleet.announced().into_iter().map(offer).collect()
        }
    };
    Ok(Json(EnclavesResponse { enclaves }))
}

async fn ready(Shared(app): Shared<Arc<App>>) -> Result<&'static str, Rejection> {
    if app.jobs.is_draining() {
        Err(Code::ShuttingDown.into())
    } else if app.fleet.announced().is_empty() {
        Err(Code::EnclaveUnavailable.into())
    } else {
        Ok("ready\n")
    }
}

async fn create(Shared(app): Shared<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let headers = request.headers();
    let wait = preferred_wait(headers, app.config.max_wait());
    let key = idempotency_key(headers)?;
    require_json(headers)?;
    let body = read_body(&app, request).await?;
    let idempotency = key.map(|key| Idempotency {
        key,
        body_sha256: Sha256::digest(&body).into(),
    });
    let job = match idempotency.as_ref().and_then(|key| app.jobs.known(key)) {
        Some(known) => known.map_err(|refusal| refuse(&app, refusal))?,
        None => {
            let (session, sealed) = open_envelope(&app, &body)?;
            let admitted = app.jobs.admit(idempotency);
            match admitted.map_err(|refusal| refuse(&app, refusal))? {
                Admission::Known(job) => job,
                Admission::New(job) => {
                    app.run(Arc::clone(&job), session, sealed);
                    job
                }
            }
        }
    };
    drop(body);

    let orphaned = Orphaned {
        app: &app,
        job: &job,
        armed: true,
    };
    let state = job.state_within(wait.unwrap_or_default()).await;
    orphaned.disarm();
    let status = match state.is_final() {
        true => StatusCode::OK,
        false => StatusCode::ACCEPTED,
    };
    let mut response = job_response(&app, &job, state);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    set(headers, header::LOCATION, &api::proof_path(&job.id));
    if let Some(wait) = wait {
        let applied = HeaderName::from_static(api::PREFERENCE_APPLIED_HEADER);
        set(headers, applied, &format!("wait={}", wait.as_secs()));
    }
    Ok(response)
}

async fn read(
    Shared(app): Shared<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejection> {
    let wait = query_wait(query.as_deref(), app.config.max_wait())
        .ok_or_else(|| invalid("`wait` must be a number of seconds"))?;
    let job = app.jobs.get(&id).ok_or(Code::NotFound)?;
    let state = job.state_within(wait).await;
    Ok(job_response(&app, &job, state))
}

async fn remove(
    Shared(app): Shared<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Rejection> {
    if app.jobs.remove(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Code::NotFound.into())
    }
}

/// The representation of a job, with `Retry-After` while it is unfinished.
fn job_response(app: &App, job: &Job, state: State) -> Response {
    let unfinished = !state.is_final();
    let (status, sealed_answer, problem) = match state {
        State::Queued => (JobStatus::Queued, None, None),
        State::Running => (JobStatus::Running, None, None),
        State::Done(sealed) => (JobStatus::Done, Some(sealed.as_ref().to_owned()), None),
        State::Failed(code) => {
            let problem = Problem::new(code).with_instance(api::proof_path(&job.id));
            (JobStatus::Failed, None, Some(problem))
        }
    };
    if !unfinished {
        app.jobs.collected(job);
    }
    let mut response = Json(JobResponse {
        id: job.id.clone(),
        status,
        sealed_answer,
        problem,
    })
    .into_response();
    if unfinished {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Only characters that a header can hold are ever passed here.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn refuse(app: &App, refusal: Refusal) -> Rejection {
    match refusal {
        Refusal::QueueFull => {
            Rejection::limit(Code::QueueFull, "queue_length", app.config.queue_length)
        }
        Refusal::KeyReused => Code::IdempotencyConflict.into(),
        Refusal::Draining => Code::ShuttingDown.into(),
        Refusal::NoRandomness => Code::Internal.into(),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Rejection> {
    let mut values = headers.get_all(api::IDEMPOTENCY_KEY_HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let bytes = value.as_bytes();
    let good = (1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_graphic)
        && values.next().is_none();
    match value.to_str() {
        Ok(text) if good => Ok(Some(text.to_owned())),
        _ => Err(Rejection::new(Code::InvalidRequest).with_detail(format!(
            "`Idempotency-Key` must be 1 to {MAX_IDEMPOTENCY_KEY_BYTES} visible ASCII characters"
        ))),
    }
}

/// A web page can send other types across origins without asking; with this
/// rule it cannot reach a service on the loopback address of its reader.
fn require_json(headers: &HeaderMap) -> Result<(), Rejection> {
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    if json {
        Ok(())
    } else {
        Err(Rejection::new(Code::UnsupportedMediaType)
            .with_detail("send `Content-Type: application/json`"))
    }
}

/// Reads the body within the limits of the configuration.
async fn read_body(app: &App, request: Request) -> Result<Bytes, Rejection> {
    let config = &app.config;
    let read = Bytes::from_request(request, &());
    match tokio::time::timeout(config.body_timeout(), read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(
            Rejection::limit(Code::BodyTooLarge, "max_body_bytes", config.max_body_bytes),
        ),
        Ok(Err(_)) => Err(invalid("the body ended early")),
        Err(_) => Err(Rejection::limit(
            Code::InvalidRequest,
            "body_timeout_seconds",
            config.body_timeout_seconds,
        )),
    }
}

/// Takes the sealed bytes out of a request and finds who can open them.
fn open_envelope(app: &App, body: &[u8]) -> Result<(Arc<Session>, Sealed), Rejection> {
    let request: ProofRequest = serde_json::from_slice(body).map_err(|_| {
        invalid("the body must be a JSON object of the strings `enclave_id`, `key_id`, `sealed`")
    })?;
    let bytes = from_base64url(&request.sealed)
        .ok_or_else(|| invalid("`sealed` must be base64url without padding"))?;
    if bytes.len() > MAX_SEALED_REQUEST_BYTES {
        return Err(Rejection::limit(
            Code::BodyTooLarge,
            "max_sealed_request_bytes",
            MAX_SEALED_REQUEST_BYTES,
        ));
    }
    let session = app.fleet.holder(&request.enclave_id, &request.key_id);
    let session = session.ok_or_else(|| match app.fleet.announced().is_empty() {
        true => Code::EnclaveUnavailable,
        false => Code::ReAttest,
    })?;
    let key_id = request.key_id;
    Ok((session, Sealed { key_id, bytes }))
}

/// The parameter `nonce`, once at most.
fn query_nonce(query: Option<&str>) -> Result<Option<Nonce>, Rejection> {
    let mut nonces = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|part| part.strip_prefix("nonce="));
    match (nonces.next(), nonces.next()) {
        (None, _) => Ok(None),
        (Some(text), None) => match parse_nonce(text) {
            Some(nonce) => Ok(Some(nonce)),
            None => Err(invalid(
                "`nonce` must be 32 bytes in base64url without padding",
            )),
        },
        _ => Err(invalid("`nonce` is given twice")),
    }
}

fn invalid(detail: &'static str) -> Rejection {
    Rejection::new(Code::InvalidRequest).with_detail(detail)
}

/// Cancels the job of a request whose client went away before it knew the
/// job's id; see the module's description.
struct Orphaned<'a> {
    app: &'a App,
    job: &'a Job,
    armed: bool,
}

impl Orphaned<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Orphaned<'_> {
    fn drop(&mut self) {
        if self.armed && !self.job.has_idempotency_key() {
            self.app.jobs.remove(&self.job.id);
        }
    }
}
