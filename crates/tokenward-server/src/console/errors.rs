//! The pages that say what went wrong.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use tokenward_core::reason::Reason;
use tokenward_core::secret::random_text;
use tokenward_core::{Code, Error, Uuid};

use super::page::{page, sign_in_with};
use super::person::SignedIn;
use super::proof_asked;
use super::two_factors;
use super::view::{ErrorInsidePage, ErrorPage, Nav};
use super::words::quoted;
use crate::http;
use crate::service::App;

/// What an error page says: title, detail, reference, a way on.
struct Words {
    title: &'static str,
    detail: String,
    reference: Option<String>,
}

fn words(app: &App, error: &Error) -> Words {
    let title = match error.code {
        Code::NotFound | Code::UnknownPath | Code::NotSupported => "There is nothing here",
        Code::Denied(Reason::PermissionDenied) | Code::UserRequired | Code::OrganizationCreationDenied => {
            "Your role does not allow this"
        }
        Code::Denied(_) => "You are not signed in",
        Code::InvalidRequest | Code::TooLarge | Code::MethodNotAllowed => "That cannot be read",
        Code::Conflict | Code::NameTaken | Code::DigestUsed | Code::PreconditionFailed => "That does not fit any more",
        Code::Throttled => "Too many attempts",
        Code::Unavailable | Code::Stale => "Not at this moment",
        _ => "That did not work",
    };
    // A limit that is reached is no fault of ours, and is not to fill the log.
    let broken = error.code == Code::Internal || (error.code == Code::Unavailable && error.cause.is_some());
    let reference = broken.then(|| format!("e-{}", random_text(48, app.store.random()).as_str()));
    if let Some(reference) = &reference {
        tracing::error!(code = error.code.as_str(), reference, cause = ?error.cause, "{}", error.detail);
    }
    let detail = match error.code {
        Code::Internal => "Try again; if it fails again, tell whoever runs this server.".into(),
        _ => quoted(&error.detail),
    };
    Words { title, detail, reference }
}

/// The page for an error, for somebody outside of every organization.
pub(super) fn error_outside(app: &App, error: &Error) -> Response {
    let status = http::status(error.code);
    let Words { title, detail, reference } = words(app, error);
    let link = Some(("Go to the console".to_owned(), "/".to_owned()));
    let mut page = error_page(ErrorPage { status: status.as_u16(), title: title.into(), detail, reference, link });
    http::retry_after(page.headers_mut(), error.retry_after);
    page
}

/// A page that says what is wrong.
pub(super) fn error_page(error: ErrorPage) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match error.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => status.into_response(),
    }
}

/// The same inside the organization that the path names, for somebody who belongs to it. `nav` is where it happened.
pub(super) async fn error_inside(person: &SignedIn, organization: Option<Uuid>, nav: Nav, error: &Error) -> Response {
    let app = &person.app;
    let Ok(shell) = person.shell(organization, nav).await else { return error_outside(app, error) };
    let status = http::status(error.code);
    let Words { title, detail, reference } = words(app, error);
    let link = Some(("Go to the console".to_owned(), shell.base()));
    let inside = ErrorInsidePage { shell, status: status.as_u16(), title: title.into(), detail, reference, link };
    let mut page = page(status, &inside).unwrap_or_else(|_| error_outside(app, error));
    http::retry_after(page.headers_mut(), error.retry_after);
    page
}

/// The page that leads to the sign-in which an organization asks for, and back from there.
pub(super) async fn lead_to_proof(
    person: &SignedIn,
    organization: Option<Uuid>,
    error: &Error,
    back: Option<&str>,
) -> Response {
    let app = &person.app;
    let home = organization.map_or_else(|| "/".to_owned(), |id| format!("/console/{id}"));
    let name = {
        let directory = app.verifier.directory();
        let found = organization.and_then(|id| directory.organization(id));
        found.map_or_else(|| "This organization".to_owned(), |organization| organization.name.to_string())
    };
    let provider = error.providers().iter().find_map(|key| app.providers.get(key).ok());
    let link = match provider {
        None if error.asks_two_factors() => {
            ("Show a second factor".to_owned(), two_factors::way_to_prove(back.unwrap_or(&home)))
        }
        Some(provider) => {
            let href = sign_in_with(&provider.key, back.unwrap_or(&home), error.max_age().is_some());
            (format!("Sign in with {}", provider.name()), href)
        }
        None if error.providers().is_empty() => {
            ("Prove that it is you".to_owned(), proof_asked::way_to(back.unwrap_or(&home)))
        }
        // The provider is not set up here any more: whoever runs the server has another way in.
        None => ("Go to the console".to_owned(), "/".to_owned()),
    };
    let detail = format!("{} You are signed in as {}.", quoted(&error.detail), person.caller.by().actor.name());
    let title = if error.asks_two_factors() {
        format!("{name} asks for a second factor")
    } else if error.providers().is_empty() {
        format!("{name} asks who sits here")
    } else {
        format!("{name} asks for another sign-in")
    };
    let status = http::status(error.code).as_u16();
    match person.shell(None, Nav::Account).await {
        Ok(shell) => {
            let inside = ErrorInsidePage { shell, status, title, detail, reference: None, link: Some(link) };
            page(http::status(error.code), &inside).unwrap_or_else(|_| error_outside(app, error))
        }
        Err(_) => error_page(ErrorPage { status, title, detail, reference: None, link: Some(link) }),
    }
}
