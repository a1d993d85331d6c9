//! Where the console begins, and what there is when nothing is found.

use std::sync::Arc;

use axum::Extension;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokenward_core::{Code, Error, Uuid};

use super::assets::Asset;
use super::errors::{error_outside, error_page};
use super::form::Query;
use super::page::{At, PageResult, see_other};
use super::person::{SignedIn, SignedOut};
use super::view::ErrorPage;
use crate::coming::MadeOnce;
use crate::http;
use crate::service::{App, set_up};

/// `GET /`.
pub(super) async fn start(Extension(visitor): Extension<SignedOut>) -> PageResult {
    if let Some(person) = &visitor.person {
        return begin(person);
    }
    if set_up::is_pending(&visitor.app.store).await? {
        return Ok(error_page(ErrorPage {
            status: 200,
            title: "Not set up yet".into(),
            detail: "There is no organization here. Open the set-up link that the server printed when it started; it is valid for \
                     an hour. Restart the server for a new one."
                .into(),
            reference: None,
            link: None,
        }));
    }
    see_other("/sign-in")
}

/// `GET /console`.
pub(super) async fn console(Extension(person): Extension<SignedIn>) -> PageResult {
    begin(&person)
}

fn begin(person: &SignedIn) -> PageResult {
    match person.first_organization() {
        Some(organization) => see_other(&person.home(organization)?),
        None => match person.first_to_prove() {
            // It asks for another sign-in, which its page leads to.
            Some(organization) => see_other(&format!("/console/{organization}")),
            None => Ok(error_page(ErrorPage {
                status: 200,
                title: "You belong to no organization".into(),
                detail: "Ask for an invitation to one, or make your own.".into(),
                reference: None,
                link: Some(("New organization".into(), "/console/new".into())),
            })),
        },
    }
}

/// `GET /console/{organization}`.
pub(super) async fn organization(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    see_other(&person.home(organization)?)
}

/// Every other path below `/console`.
pub(super) async fn not_found() -> PageResult {
    Err(Error::new(Code::NotFound, "There is no such page. Was the address copied completely?").into())
}

/// `GET /assets/{name}`.
pub(super) async fn asset(At(name): At<String>, Query(query): Query) -> Response {
    let Some(asset) = Asset::find(&name) else { return StatusCode::NOT_FOUND.into_response() };
    // Only the address with the version of the content stays true for ever.
    let kept =
        if query.get("v") == asset.version() { "public, max-age=31536000, immutable" } else { "public, max-age=300" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(kept)),
    ];
    let mut response = (headers, asset.bytes).into_response();
    response.extensions_mut().insert(MadeOnce);
    http::harden(response.headers_mut());
    response
}

/// The page for an address at which there is nothing, for browsers; programs get JSON, which the caller makes.
#[must_use]
pub fn missing(app: &Arc<App>, headers: &HeaderMap, error: &Error) -> Option<Response> {
    http::prefers_html(headers).then(|| {
        let mut response = error_outside(app, error);
        http::harden(response.headers_mut());
        response
    })
}
