//! Answers: pages, redirects, and the pages that say what went wrong.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::de::DeserializeOwned;
use tokenward_core::decision::Reason;
use tokenward_core::secret::random_text;
use tokenward_core::{Code, Error, Uuid};

use super::person::Person;
use super::view::{ErrorInsidePage, ErrorPage, Nav};
use super::words::quoted;
use crate::http;
use crate::service::App;

/// What a handler answers.
pub(super) type Answer = Result<Response, Failure>;

/// An error on its way to a page. The guard around the handler knows who asked, and makes the page.
pub(super) struct Failure(pub Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = http::status(self.0.code).into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

/// A page.
pub(super) fn page(status: StatusCode, page: &impl Template) -> Answer {
    let html = page.render().map_err(Error::internal)?;
    Ok((status, Html(html)).into_response())
}

/// Sends the browser to a path of ours, with GET.
pub(super) fn see_other(path: &str) -> Answer {
    let location = HeaderValue::from_str(path).map_err(Error::internal)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// A path to go on to that came from outside: ours, or none.
///
/// One slash at the start, and nothing that a browser reads as another host.
pub(super) fn own_path(path: &str) -> Option<&str> {
    let plain = path.len() <= 2_000 && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    (plain && path.starts_with('/') && !path.starts_with("//")).then_some(path)
}

/// The ids in a path. What is no id is not found.
pub(super) struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let found: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        found.map(|Path(ids)| Self(ids)).map_err(|_| Failure(Error::not_found("page")))
    }
}

/// What an error page says: title, detail, reference, a way on.
struct Words {
    title: &'static str,
    detail: String,
    reference: Option<String>,
}

fn words(app: &App, error: &Error) -> Words {
    let title = match error.code {
        Code::NotFound => "There is nothing here",
        Code::Denied(Reason::PermissionDenied) | Code::UserRequired => "Your role does not allow this",
        Code::Denied(_) => "You are not signed in",
        Code::InvalidRequest | Code::TooLarge | Code::MethodNotAllowed => "That cannot be read",
        Code::Conflict | Code::NameTaken | Code::PreconditionFailed => "That does not fit any more",
        Code::Throttled => "Too many attempts",
        Code::Unavailable => "Not at this moment",
        _ => "That did not work",
    };
    let broken = matches!(error.code, Code::Internal | Code::Unavailable);
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
    error_page(ErrorPage { status: status.as_u16(), title: title.into(), detail, reference, link })
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
pub(super) async fn error_inside(person: &Person, organization: Option<Uuid>, nav: Nav, error: &Error) -> Response {
    let app = &person.app;
    let Ok(shell) = person.shell(organization, nav).await else { return error_outside(app, error) };
    let status = http::status(error.code);
    let Words { title, detail, reference } = words(app, error);
    let link = Some(("Go to the console".to_owned(), shell.base()));
    let inside = ErrorInsidePage { shell, status: status.as_u16(), title: title.into(), detail, reference, link };
    page(status, &inside).unwrap_or_else(|_| error_outside(app, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_gone_on_to() {
        for good in ["/", "/console/1/tokens?q=a%20b", "/invitation/1/abc"] {
            assert_eq!(own_path(good), Some(good));
        }
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\n", "/a b", "/é", "console"] {
            assert_eq!(own_path(bad), None, "{bad}");
        }
    }
}
