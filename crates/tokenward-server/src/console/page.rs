//! Answers: pages, redirects, and errors on their way to a page.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::de::DeserializeOwned;
use tokenward_core::{Error, Uuid};

use super::refused;
use crate::limits::NEXT_PATH;
use crate::{heavy, http};

/// What a handler answers.
pub(super) type PageResult = Result<Response, PageError>;

/// An error on its way to a page. The guard around the handler knows who asked, and makes the page.
pub(super) struct PageError(pub Error);

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = http::status(self.0.code).into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

/// A page. One that refuses something says so at its top.
pub(super) fn page(status: StatusCode, page: &impl Template) -> PageResult {
    let html = page.render().map_err(Error::internal)?;
    let html = if status.is_success() { html } else { refused::with_box(html) };
    Ok((status, Html(html)).into_response())
}

/// The same of one that may have thousands of lines, written where nobody waits.
pub(super) async fn long_page(
    organization: Uuid,
    status: StatusCode,
    shown: impl Template + Send + 'static,
) -> PageResult {
    heavy::aside(organization, move || page(status, &shown)).await?
}

/// Sends the browser to a path of ours, with GET.
pub(super) fn see_other(path: &str) -> PageResult {
    let location = HeaderValue::from_str(path).map_err(Error::internal)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// A path to go on to that came from outside: ours, or none.
///
/// One slash at the start, and nothing that a browser reads as another host.
pub(super) fn own_path(path: &str) -> Option<&str> {
    let plain = path.len() <= NEXT_PATH.size() && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    (plain && path.starts_with('/') && !path.starts_with("//")).then_some(path)
}

/// The query that goes on to this path of ours afterwards.
pub(super) fn next_to(path: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish()
}

/// In the query of a way to sign in: the provider is to ask, though it knows somebody.
pub(super) const ANEW: &str = "anew";

/// Where somebody who is signed in does so with this provider, and goes on to this path of ours. With `anew` it asks whom it knows,
/// too: where the time of the proof is what counts, what it remembers is no newer one.
pub(super) fn sign_in_with(key: &str, next: &str, anew: bool) -> String {
    let mark = if anew { format!("{ANEW}=on&") } else { String::new() };
    format!("/sign-in/with/{key}?{mark}{}", next_to(next))
}

/// The ids in a path. What is no id is not found.
pub(super) struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let found: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        found.map(|Path(ids)| Self(ids)).map_err(|_| PageError(Error::not_found("page")))
    }
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
