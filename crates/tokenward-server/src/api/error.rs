//! The one place that turns an error into an answer of the API.

use std::fmt::Write as _;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokenward_api::error::ErrorBody;
use tokenward_core::caller::Caller;
use tokenward_core::method::Method;
use tokenward_core::{Code, Error, Uuid};
use tokenward_verify::credential::challenge;

pub(super) use crate::http::status;
use crate::service::{App, proof};

/// No session lasts longer: a sign-in of any age does where one is asked for.
const SESSION_SECONDS: u32 = 12 * 60 * 60;

/// An error on its way to an HTTP client.
#[derive(Debug)]
pub struct ApiError(pub Error);

/// What a 401 asks for (`WWW-Authenticate`). Of a session that proves too little it says what would do (RFC 9470): for how many
/// seconds a proof counts, and by which of our words for a method.
fn asks(error: &Error) -> HeaderValue {
    if error.code != Code::ProofRequired {
        return HeaderValue::from_static(challenge(error.code));
    }
    let mut text = r#"Bearer realm="tokenward", error="insufficient_user_authentication""#.to_owned();
    let providers: Vec<String> = error.providers().iter().map(|key| Method::Oidc(key.clone()).to_string()).collect();
    if !providers.is_empty() {
        let _ = write!(text, r#", acr_values="{}""#, providers.join(" "));
    } else if error.asks_two_factors() {
        let _ = write!(text, r#", acr_values="{}""#, Method::Mfa);
    }
    let _ = write!(text, ", max_age={}", error.max_age().unwrap_or(SESSION_SECONDS));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(challenge(error.code)))
}

/// How the challenge begins that asks to be proved anew, by anything.
const ASKS_ANEW: &str = r#"Bearer realm="tokenward", error="insufficient_user_authentication", max_age="#;

/// The answer to this person with the ways in which they can prove it, where it asks for that: a password is of no use to those who
/// have none.
pub(super) async fn with_ways(app: &App, caller: &Caller, mut answer: Response) -> Response {
    let asked = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    let Some(age) = asked.and_then(|value| value.strip_prefix(ASKS_ANEW)).map(str::to_owned) else { return answer };
    match proof::ways(app, caller).await {
        Ok(ways) if ways.is_empty() => {}
        Ok(ways) => {
            let challenge = r#"Bearer realm="tokenward", error="insufficient_user_authentication", acr_values="#;
            if let Ok(value) = HeaderValue::try_from(format!("{challenge}\"{}\", max_age={age}", ways.join(" "))) {
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, value);
            }
        }
        // What was asked stands there already.
        Err(error) => tracing::warn!(%error, "the ways to prove it are not told"),
    }
    answer
}

/// An answer to somebody who lacks a permission, and in which organization.
#[derive(Clone)]
struct LackingAnswer(Uuid, Box<ErrorBody>);

/// The answer with a link to where a token with the missing permission is made, where it is one that lacks it and the server was told
/// what it is called. The link says what was asked and nothing else: which roles there are, its form tells those who may see them.
pub(super) fn with_create_link(app: &App, mut answer: Response) -> Response {
    let Some(LackingAnswer(organization, mut body)) = answer.extensions_mut().remove::<LackingAnswer>() else {
        return answer;
    };
    let (Some(url), Some(missing)) = (app.console_url.as_deref(), body.missing_permission.as_deref()) else {
        return answer;
    };
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("permission", missing).finish();
    body.create_url = Some(format!("{url}/console/{organization}/tokens/new?{query}"));
    if let Ok(text) = serde_json::to_vec(&body) {
        answer.headers_mut().remove(header::CONTENT_LENGTH);
        *answer.body_mut() = Body::from(text);
    }
    answer
}

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
        let (retry_after, metered, asked) = (error.retry_after, error.limits().copied(), asks(&error));
        let lacking = error.lacking().filter(|_| status == StatusCode::FORBIDDEN);
        let body = ErrorBody::new(status.as_u16(), status.canonical_reason().unwrap_or("Error"), error);
        let lacking = lacking.map(|organization| LackingAnswer(organization, Box::new(body.clone())));
        let mut response = (status, Json(body)).into_response();
        if let Some(lacking) = lacking {
            response.extensions_mut().insert(lacking);
        }
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, asked);
        }
        crate::http::retry_after(headers, retry_after);
        if let Some(metered) = metered {
            crate::http::rate_limit(headers, &metered);
        }
        response
    }
}
