//! The second factor of the signed-in person's own account.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::second_factor::{
    Authenticator, AuthenticatorConfirmation, AuthenticatorOn, AuthenticatorSetUp, RecoveryCodes, SecondFactor,
};
use tokenward_core::caller::Caller;
use tokenward_core::error::Faults;
use tokenward_core::second_factor::{OneTimeCode, RecoveryCode, SecondFactor as PresentedFactor};
use tokenward_core::{Error, Result as Checked};

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, written, written_empty};
use crate::limits::{CODE_CHARACTERS, SECOND_FACTOR_SET_UP_CHARACTERS};
use crate::service::{App, second_factor};

pub(super) fn endpoints() -> Vec<Endpoint> {
    const AUTHENTICATOR: &str = "/account/secondFactor/authenticator";
    vec![
        get("/account/secondFactor", show)
            .user()
            .about("Account", "The second factor of your account: since when, and how many recovery codes are left.")
            .answers::<SecondFactor>(200),
        post(AUTHENTICATOR, begin)
            .user()
            .about("Account", "Begin to set up an authenticator (RFC 6238): a seed, of which nothing is kept yet.")
            .answers::<AuthenticatorSetUp>(200),
        put(AUTHENTICATOR, turn_on)
            .user()
            .about(
                "Account",
                "Turn an authenticator on by its first code and a fresh proof. Recovery codes are shown, and the session has another \
                 token, which proves two factors.",
            )
            .takes::<AuthenticatorConfirmation>()
            .answers::<AuthenticatorOn>(200)
            .errors(&[400, 409]),
        delete(AUTHENTICATOR, remove)
            .user()
            .about(
                "Account",
                "Remove the authenticator and the recovery codes, by a fresh proof, which takes a code. Your other sessions end.",
            )
            .answers_empty(204)
            .errors(&[404]),
        post("/account/secondFactor/recoveryCodes", new_codes)
            .user()
            .about("Account", "Make other recovery codes, by a fresh proof; those until now are none any more.")
            .answers::<RecoveryCodes>(201)
            .errors(&[409]),
    ]
}

/// What a body gives in the place of a second factor: one of the two, or none.
pub(super) fn given(otp: Option<&str>, recovery_code: Option<&str>, faults: &mut Faults) -> Option<PresentedFactor> {
    let mut read = |field: &'static str, text: &str, parse: &dyn Fn(&str) -> Checked<PresentedFactor, String>| {
        let checked = CODE_CHARACTERS.check_text(text).and_then(|()| parse(text));
        faults.read(field, checked)
    };
    match (otp, recovery_code) {
        (None, None) => None,
        (Some(otp), None) => read("otp", otp, &|text| OneTimeCode::parse(text).map(PresentedFactor::Otp)),
        (None, Some(code)) => {
            read("recovery_code", code, &|text| RecoveryCode::parse(text).map(PresentedFactor::Recovery))
        }
        (Some(_), Some(_)) => {
            faults.push("recovery_code", "stands in the place of `otp`; send one of them");
            None
        }
    }
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<SecondFactor>, ApiError> {
    let state = second_factor::get(&app, &caller).await?;
    let authenticator =
        state.authenticator.map(|(created_at, last_used_at)| Authenticator { created_at, last_used_at });
    Ok(Json(SecondFactor { authenticator, recovery_codes_left: state.recovery_codes }))
}

async fn begin(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<AuthenticatorSetUp>, ApiError> {
    let begun = second_factor::begin(&app, &caller).await?;
    Ok(Json(AuthenticatorSetUp {
        seed: begun.seed.to_string(),
        otpauth: begun.otpauth.to_string(),
        set_up: begun.sealed,
        expires_at: begun.ends_at,
    }))
}

async fn turn_on(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(sent): Body<AuthenticatorConfirmation>,
) -> Result<Response, ApiError> {
    let mut faults = Faults::default();
    faults.check("set_up", SECOND_FACTOR_SET_UP_CHARACTERS.check_text(&sent.set_up));
    let read = CODE_CHARACTERS.check_text(&sent.otp).and_then(|()| OneTimeCode::parse(&sent.otp));
    let code = faults.read("otp", read);
    faults.finish()?;
    let code = code.ok_or_else(|| Error::invalid("otp", "is missing"))?;
    let on = second_factor::turn_on(&app, &caller, &sent.set_up, code).await?;
    Ok(written(StatusCode::OK, on, |on| AuthenticatorOn {
        recovery_codes: texts(&on.codes),
        token: on.renewed.text.expose().to_owned(),
        expires_at: on.renewed.expires_at,
    }))
}

async fn remove(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    let removed = second_factor::remove(&app, &caller).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &removed))
}

async fn new_codes(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    let made = second_factor::new_codes(&app, &caller).await?;
    Ok(written(StatusCode::CREATED, made, |codes| RecoveryCodes { recovery_codes: texts(&codes) }))
}

fn texts(codes: &second_factor::Codes) -> Vec<String> {
    codes.iter().map(|code| code.to_string()).collect()
}
