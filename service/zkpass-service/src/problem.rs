//! Problem documents (RFC 9457), all made from the one list of codes.

use std::borrow::Cow;
use std::fmt::Display;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use zkpass_core::api::{PROBLEM_MEDIA_TYPE, Problem};
use zkpass_core::code::Code;

/// A request that was refused; becomes a problem document.
#[derive(Debug)]
pub(crate) struct Rejection {
    code: Code,
    detail: Option<Cow<'static, str>>,
}

impl Rejection {
    /// A refusal that says no more than its code.
    pub(crate) fn new(code: Code) -> Self {
        Self { code, detail: None }
    }

    /// Adds a sentence for people; it never quotes the request.
    pub(crate) fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    /// Names the limit that was crossed, and its value.
    pub(crate) fn limit(code: Code, name: &str, value: impl Display) -> Self {
        Self::new(code).with_detail(format!("the limit `{name}` is {value}"))
    }
}

impl From<Code> for Rejection {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = %self.code, "request failed");
        }
        let mut problem = Problem::new(self.code);
        problem.detail = self.detail.map(Cow::into_owned);
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(PROBLEM_MEDIA_TYPE),
        );
        if self.code.retryable() {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

/// What a refused client is asked to wait: about as long as one proof takes.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
