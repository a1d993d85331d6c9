//! What a gateway that asks over HTTP is answered: by forward-auth and external authorization alike.
//!
//! nginx knows only success, 401 and 403, and Envoy takes a 5xx for a failure, which `failure_mode_allow` would let through.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use tokenward_core::{Code, Result, Time};
use tokenward_verify::server::gateway::{self, Header};

use super::error::ApiError;
use crate::metrics::Way;
use crate::service::App;

/// The names of our headers, in the order of [`Header`].
static NAMES: [HeaderName; Header::ALL.len()] = [
    HeaderName::from_static(Header::TokenId.name()),
    HeaderName::from_static(Header::TokenName.name()),
    HeaderName::from_static(Header::OrganizationId.name()),
    HeaderName::from_static(Header::Role.name()),
    HeaderName::from_static(Header::Permissions.name()),
    HeaderName::from_static(Header::DecisionId.name()),
    HeaderName::from_static(Header::Path.name()),
];
/// What stands before the organization where Envoy and its kin ask over HTTP.
pub(super) const EXT_AUTHZ: &str = "/ext-authz/";

/// The reason of a refusal, for gateways that throw the body away.
const REASON: HeaderName = HeaderName::from_static("x-tokenward-reason");

/// What is said to an API of an allowed request: all values in one piece of memory.
pub(super) struct AnswerHeaders {
    values: Vec<u8>,
    /// When the token is refused next for some minutes.
    pub(super) brownout: Option<Time>,
    each: Vec<(Header, usize)>,
}

impl AnswerHeaders {
    pub(super) fn add(&mut self, header: Header, value: &str) {
        self.values.extend_from_slice(value.as_bytes());
        self.each.push((header, value.len()));
    }
}

/// As what a question at this path is counted.
pub(super) fn way(path: &str) -> Way {
    if path.starts_with(EXT_AUTHZ) { Way::ExtAuthz } else { Way::ForwardAuth }
}

/// What a gateway is answered that asks over HTTP. Does it pass on any status, and not only 401 and 403?
pub(super) fn answer(
    app: &App,
    way: Way,
    passes_any_status: bool,
    check: impl FnOnce(&mut AnswerHeaders) -> Result<()>,
) -> Response {
    let each = Vec::with_capacity(Header::ALL.len());
    let mut said = AnswerHeaders { values: Vec::with_capacity(512), brownout: None, each };
    let checked = check(&mut said);
    app.metrics.answered(way, checked.as_ref().map_err(|error| error.code).copied());
    match checked {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            let headers = response.headers_mut();
            headers.reserve(12);
            crate::http::brownout(headers, said.brownout);
            let mut values = Bytes::from(said.values);
            for (header, length) in said.each {
                if let Ok(value) = HeaderValue::from_maybe_shared(values.split_to(length)) {
                    headers.insert(NAMES[header as usize].clone(), value);
                }
            }
            response
        }
        Err(error) => {
            let about_credential = gateway::is_about_credential(error.code);
            let limit = matches!(error.code, Code::Denied(reason) if reason.is_limit());
            let status = match about_credential {
                true => StatusCode::UNAUTHORIZED,
                false if limit && passes_any_status => StatusCode::TOO_MANY_REQUESTS,
                false => StatusCode::FORBIDDEN,
            };
            let reason = HeaderValue::from_static(error.code.as_str());
            let decision = error.decision_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
            let mut response = ApiError(error).with_status(status);
            response.headers_mut().insert(REASON, reason);
            if let Some(decision) = decision {
                response.headers_mut().insert(NAMES[Header::DecisionId as usize].clone(), decision);
            }
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_has_its_name() {
        for (at, header) in Header::ALL.into_iter().enumerate() {
            assert_eq!((header as usize, NAMES[at].as_str()), (at, header.name()));
        }
    }
}
