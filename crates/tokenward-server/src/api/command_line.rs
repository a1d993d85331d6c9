//! Signing a command line in from a browser: by a code that comes back (RFC 8252) and for a machine without one (RFC 8628). And the
//! word of a provider that somebody has signed out there.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokenward_api::command_line::{
    AUTHORIZATION_CODE, AccessToken, AccessTokenForm, DEVICE_CODE, DeviceAuthorization, DeviceAuthorizationForm,
    LogoutForm,
};
use tokenward_api::error::ErrorBody;
use tokenward_core::{Code, Error, Result};
use tokenward_verify::server::Client;
use zeroize::Zeroizing;

use super::endpoint::{Endpoint, post};
use super::error::{ApiError, status};
use super::extract::{Path, client, read, written, written_empty};
use super::form::{is_form, one};
use crate::limits::{LOGOUT_TOKEN, Limit, PRESENTED_BYTES, WORD};
use crate::service::command_line::code;
use crate::service::command_line::device::{self, Polled};
use crate::service::sessions::Begun;
use crate::service::{App, Written, oidc};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/device_authorization", ask)
            .public()
            .about("Sessions", "Ask for a code that a person types in a browser, to sign in where there is none (RFC 8628).")
            .takes_form::<DeviceAuthorizationForm>()
            .answers::<DeviceAuthorization>(200)
            .errors(&[429, 503]),
        post("/token", token)
            .public()
            .about(
                "Sessions",
                "The session of a code that a browser brought, or that somebody typed (RFC 6749, 8628). `error` of a refusal is \
                 `authorization_pending`, `slow_down`, `expired_token`, `access_denied` or `invalid_grant`.",
            )
            .takes_form::<AccessTokenForm>()
            .answers::<AccessToken>(200)
            .errors(&[429, 503]),
        post("/console/oidc/{key}/logout", log_out)
            .public()
            .about("Sessions", "A provider of identities says that somebody has signed out there (back-channel logout).")
            .takes_form::<LogoutForm>()
            .answers_empty(200)
            .errors(&[404, 429, 503]),
    ]
}

/// A form, and who sends it.
struct SentForm {
    bytes: axum::body::Bytes,
    client: Client,
}

impl SentForm {
    async fn of(app: &App, request: Request) -> Result<Self> {
        let client = client(request.headers(), request.extensions(), &app.live().trusted_proxies);
        if !is_form(request.headers()) {
            return Err(Error::invalid("body", "must be a form (`Content-Type: application/x-www-form-urlencoded`)"));
        }
        Ok(Self { bytes: read(request.into_body()).await?, client })
    }

    fn get(&self, name: &'static str, limit: &Limit) -> Result<Option<Zeroizing<String>>> {
        let value = one(&self.bytes, name)?.filter(|value| !value.is_empty());
        if let Some(value) = &value {
            limit.check_text(value).map_err(|problem| Error::invalid(name, problem))?;
        }
        Ok(value)
    }

    fn need(&self, name: &'static str, limit: &Limit) -> Result<Zeroizing<String>> {
        self.get(name, limit)?.ok_or_else(|| Error::invalid(name, "is missing; send it in the form"))
    }
}

/// An error with the word of OAuth 2.0 for it where others have the name of the status.
fn refused(word: &'static str, error: Error) -> Response {
    let status = match error.code {
        Code::SignInFailed | Code::Conflict => StatusCode::BAD_REQUEST,
        code => status(code),
    };
    let mut body = ErrorBody::new(status.as_u16(), word, error);
    body.code = word.into();
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}

fn waits(word: &'static str, detail: impl Into<String>) -> Response {
    refused(word, Error::new(Code::Conflict, detail))
}

async fn ask(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let sent = SentForm::of(&app, request).await?;
    // How long it may be, whoever reads it says.
    let host = one(&sent.bytes, "host")?.unwrap_or_default();
    let asked = device::ask(&app, &host, &sent.client).await?;
    let answer = DeviceAuthorization {
        device_code: asked.device_code.to_string(),
        user_code: asked.user_code,
        verification_uri: format!("{}/console/device", app.public_url),
        expires_in: asked.expires_in,
        interval: asked.interval,
    };
    Ok(Json(answer).into_response())
}

async fn token(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    match exchange(&app, request).await {
        Err(error) if error.code == Code::InvalidRequest => Ok(refused("invalid_request", error)),
        answer => Ok(answer?),
    }
}

async fn exchange(app: &Arc<App>, request: Request) -> Result<Response> {
    let sent = SentForm::of(app, request).await?;
    let grant = sent.need("grant_type", &WORD)?;
    let [given, verifier, device_code] =
        ["code", "code_verifier", "device_code"].map(|name| sent.get(name, &PRESENTED_BYTES));
    let (given, verifier, device_code) = (given?, verifier?, device_code?);
    let missing = |name| Error::invalid(name, "is missing; send it in the form");
    let answer = match grant.as_str() {
        AUTHORIZATION_CODE => {
            let given = given.ok_or_else(|| missing("code"))?;
            let verifier = verifier.ok_or_else(|| missing("code_verifier"))?;
            code::redeem(app, &given, &verifier, sent.client).await.map(Polled::Begun)
        }
        DEVICE_CODE => device::poll(app, &device_code.ok_or_else(|| missing("device_code"))?, sent.client).await,
        _ => {
            let known = format!("`{AUTHORIZATION_CODE}` and `{DEVICE_CODE}`");
            return Ok(waits("unsupported_grant_type", format!("`grant_type` is none that is known here: {known}.")));
        }
    };
    match answer {
        Ok(Polled::Begun(begun)) => Ok(session(app, begun)),
        Ok(Polled::Pending) => Ok(waits("authorization_pending", "Nobody has typed the code yet. Ask again later.")),
        Ok(Polled::SlowDown(seconds)) => {
            Ok(waits("slow_down", format!("You ask too often: wait {seconds} seconds between two questions.")))
        }
        Ok(Polled::Expired) => Ok(waits("expired_token", "Nobody has typed the code in time. Begin again.")),
        Ok(Polled::Denied) => Ok(waits("access_denied", "The person who typed the code has refused.")),
        Err(error) if error.code == Code::SignInFailed => Ok(refused("invalid_grant", error)),
        Err(error) => Err(error),
    }
}

fn session(app: &App, begun: Written<Begun>) -> Response {
    let now = app.now();
    let mut response = written(StatusCode::OK, begun, |begun| AccessToken {
        access_token: begun.text.expose().to_owned(),
        token_type: "Bearer".into(),
        expires_in: begun.expires_at.seconds() - now.seconds(),
        expires_at: begun.expires_at,
    });
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn log_out(State(app): State<Arc<App>>, Path(key): Path<String>, request: Request) -> Result<Response, ApiError> {
    let sent = SentForm::of(&app, request).await?;
    let token = sent.need("logout_token", &LOGOUT_TOKEN)?;
    match oidc::logout::take(&app, &key, &token, &sent.client).await {
        Ok(Some(ended)) => Ok(written_empty(StatusCode::OK, &ended)),
        Ok(None) => Ok(StatusCode::OK.into_response()),
        Err(error) if error.code == Code::SignInFailed => Ok(refused("invalid_request", error)),
        Err(error) => Err(error.into()),
    }
}
