//! The password and the address of an account, and the links by which they are changed.

use std::sync::Arc;

use axum::extract::{Extension, FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use tokenward_api::accounts::{EmailChange, MailedLink, PasswordChange, PasswordReset, PasswordResetRequest};
use tokenward_core::caller::Caller;
use tokenward_core::error::Faults;
use tokenward_core::{Error, Result as Checked};
use tokenward_verify::server::Client;
use zeroize::Zeroizing;

use super::endpoint::{Endpoint, delete, post, put};
use super::error::ApiError;
use super::extract::{Body, client, written_empty};
use crate::limits::{LINK_SECRET, PASSWORD};
use crate::service::accounts::Taking;
use crate::service::{App, email_changes, own_passwords, password_resets, set_up};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/account/password/reset", ask_reset)
            .public()
            .about(
                "Account",
                "Ask for a link to choose a new password, which is mailed to the address. The answer is the same for every address.",
            )
            .takes::<PasswordResetRequest>()
            .answers_empty(202)
            .errors(&[401, 409, 429, 503]),
        put("/account/password/reset", reset)
            .public()
            .about("Account", "Choose a new password by such a link, which works once. All sessions end; none begins.")
            .takes::<PasswordReset>()
            .answers_empty(204)
            .errors(&[401, 409, 429, 503]),
        put("/account/password", set_password)
            .user()
            .about(
                "Account",
                "Change your password; or set one by a fresh proof, where you have none. All other sessions end.",
            )
            .takes::<PasswordChange>()
            .answers_empty(204)
            .errors(&[400, 429, 503]),
        delete("/account/password", remove_password)
            .user()
            .about(
                "Account",
                "Take your password away, by a fresh proof; all other sessions end. The last way to sign in stays.",
            )
            .answers_empty(204)
            .errors(&[404, 409]),
        post("/account/email", ask_email)
            .user()
            .about(
                "Account",
                "Ask for another address of your account, by a fresh proof: it is mailed a link, and counts once that was used.",
            )
            .takes::<EmailChange>()
            .answers_empty(202)
            .errors(&[400, 409, 429, 503]),
        post("/account/email/confirm", confirm_email)
            .public()
            .about("Account", "Give an account its new address, by the link that was mailed there.")
            .takes::<MailedLink>()
            .answers_empty(204)
            .errors(&[409, 429, 503]),
        post("/account/email/undo", undo_email)
            .public()
            .about("Account", "Give an account its old address back, by the link that was mailed there. All sessions end.")
            .takes::<MailedLink>()
            .answers_empty(204)
            .errors(&[409, 429, 503]),
    ]
}

/// From where it comes, and what it says.
async fn read<T: DeserializeOwned + 'static>(app: &App, request: Request) -> Result<(Client, T), ApiError>
where
    Body<T>: FromRequest<(), Rejection = ApiError>,
{
    let client = client(request.headers(), request.extensions(), &app.live().trusted_proxies);
    let Body(body) = Body::<T>::from_request(request, &()).await?;
    Ok((client, body))
}

fn check_secret(secret: &str) -> Checked<()> {
    LINK_SECRET.check_text(secret).map_err(|problem| Error::invalid("secret", problem))
}

async fn ask_reset(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (client, PasswordResetRequest { email }) = read(&app, request).await?;
    password_resets::ask(&app, &email, client)?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn reset(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (client, PasswordReset { secret, password, was_not_me }) = read(&app, request).await?;
    let mut faults = Faults::default();
    faults.check("secret", LINK_SECRET.check_text(&secret));
    faults.check("password", PASSWORD.check_text(&password));
    faults.finish()?;
    let taking = Taking { password: Zeroizing::new(password), was_not_me };
    let taken = password_resets::take(&app, &secret, taking, set_up::visitor(&client)).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &taken))
}

async fn set_password(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(PasswordChange { present_password, password }): Body<PasswordChange>,
) -> Result<Response, ApiError> {
    let mut faults = Faults::default();
    faults.check("password", PASSWORD.check_text(&password));
    faults.check("present_password", PASSWORD.check_text(present_password.as_deref().unwrap_or_default()));
    faults.finish()?;
    let password = Zeroizing::new(password);
    let written = match present_password {
        Some(present) => own_passwords::change_password(&app, &caller, Zeroizing::new(present), password).await?,
        None => own_passwords::set_first_password(&app, &caller, password).await?,
    };
    Ok(written_empty(StatusCode::NO_CONTENT, &written))
}

async fn remove_password(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let removed = own_passwords::remove_password(&app, &caller).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &removed))
}

async fn ask_email(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(EmailChange { email }): Body<EmailChange>,
) -> Result<Response, ApiError> {
    let asked = email_changes::ask(&app, &caller, &email).await?;
    Ok(written_empty(StatusCode::ACCEPTED, &asked))
}

async fn confirm_email(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (client, MailedLink { secret }) = read(&app, request).await?;
    check_secret(&secret)?;
    let confirmed = email_changes::confirm(&app, &secret, set_up::visitor(&client)).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &confirmed))
}

async fn undo_email(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (client, MailedLink { secret }) = read(&app, request).await?;
    check_secret(&secret)?;
    let undone = email_changes::undo(&app, &secret, set_up::visitor(&client)).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &undone))
}
