//! The one place that turns an error into a status and a body.
//!
//! The body carries every key that a client of the contract reads (`status`, `error`, `detail`, `message`) and a stable
//! `code` (contract §2.3, §8.6).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokenward_core::error::Fault;
use tokenward_core::{Code, Error};
use utoipa::ToSchema;

pub(super) use crate::http::status;

/// An error on its way to an HTTP client.
#[derive(Debug)]
pub struct ApiError(pub Error);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody {
    /// The HTTP status.
    status: u16,
    /// The name of the status.
    error: &'static str,
    /// What went wrong, and what to do.
    detail: String,
    /// The same as `detail`, for clients that read this key.
    message: String,
    /// What went wrong, for programs. Never changes.
    code: &'static str,
    /// Each thing that is wrong with the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<FaultBody>)]
    faults: Vec<Fault>,
    /// The permission that the caller lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_permission: Option<String>,
    /// Under this id, `GET /decision/{id}` explains a gateway's refusal for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    decision_id: Option<Box<str>>,
    /// Why the credential was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// One thing that is wrong with a request.
#[derive(ToSchema)]
#[schema(as = Fault)]
#[allow(dead_code, reason = "describes tokenward_core::error::Fault, which knows no schema")]
pub(super) struct FaultBody {
    /// The field; `body` for the whole.
    field: String,
    /// What is wrong with it.
    problem: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = status(self.0.code);
        self.with_status(status)
    }
}

impl ApiError {
    /// The answer under another status than its code's own: a gateway understands only few.
    pub(super) fn with_status(self, status: StatusCode) -> Response {
        let Self(error) = self;
        if matches!(error.code, Code::Internal | Code::Unavailable) {
            tracing::error!(code = error.code.as_str(), cause = ?error.cause, "{}", error.detail);
        }
        let body = ErrorBody {
            status: status.as_u16(),
            error: status.canonical_reason().unwrap_or("Error"),
            message: error.detail.clone(),
            detail: error.detail,
            code: error.code.as_str(),
            faults: error.faults,
            missing_permission: error.missing_permission,
            decision_id: error.decision_id,
            reason: match error.code {
                Code::Denied(reason) => Some(reason.as_str()),
                _ => None,
            },
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750 §3: no error word when there was no credential at all.
            let challenge = match error.code {
                Code::MissingCredentials | Code::SignInFailed => r#"Bearer realm="tokenward""#,
                _ => r#"Bearer realm="tokenward", error="invalid_token""#,
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = error.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
