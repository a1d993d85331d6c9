//! The one place that turns an error into an answer of the API.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokenward_api::error::ErrorBody;
use tokenward_core::{Code, Error};
use tokenward_verify::credential::challenge;

pub(super) use crate::http::status;

/// An error on its way to an HTTP client.
#[derive(Debug)]
pub struct ApiError(pub Error);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error)
    }
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
        // A limit that is reached is no fault of ours, and is not to fill the log.
        if error.code == Code::Internal || (error.code == Code::Unavailable && error.cause.is_some()) {
            tracing::error!(code = error.code.as_str(), cause = ?error.cause, "{}", error.detail);
        }
        let (code, retry_after, metered) = (error.code, error.retry_after, error.limits().copied());
        let body = ErrorBody::new(status.as_u16(), status.canonical_reason().unwrap_or("Error"), error);
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge(code)));
        }
        crate::http::retry_after(headers, retry_after);
        if let Some(metered) = metered {
            crate::http::rate_limit(headers, &metered);
        }
        response
    }
}
