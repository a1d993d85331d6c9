//! What stands before every page: the right address, a session or a form cookie, and forms that are our own.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tokenward_core::{Code, Error, Result, Uuid};
use tracing::Instrument as _;

use super::DOCUMENT_FORMS;
use super::apis::DOCUMENT_TOO_LARGE;
use super::cookie;
use super::errors::{self, error_inside, error_outside, error_page};
use super::fields;
use super::form::Pairs;
use super::form_page;
use super::page::{page, see_other};
use super::person::{SignedIn, SignedOut, client};
use super::place::{ConsoleOrigin, locate};
use super::queries;
use super::view::{ErrorPage, Nav, NeedsTlsPage};
use super::way_back::Way;
use super::ways_out;
use crate::body::{self, Bounds, Unread};
use crate::heavy;
use crate::http;
use crate::limits::{
    BODY_TIME, DISCARDED_BYTES, DOCUMENT_FORM_BYTES, FORM_BYTES, FORM_FIELDS, FORM_TIME, Limit, VISITOR_FORM_BYTES,
};
use crate::service::App;
use crate::traces;

/// A form that is taken apart without a thread of its own.
const SMALL: usize = 64 * 1024;

/// Sets the headers of every page, also of those that say what went wrong.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    http::harden(response.headers_mut());
    response
}

/// Where the console works, as found out for this request.
#[derive(Clone)]
struct Origin(String);

/// Lets only those in who are where the console works.
pub(super) async fn place(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match locate(&app.public_url, &parts) {
        ConsoleOrigin::Here(origin) => {
            parts.extensions.insert(Origin(origin));
            next.run(Request::from_parts(parts, body)).await
        }
        ConsoleOrigin::Moved(url) => see_other(&url).unwrap_or_else(|failure| error_outside(&app, &failure.0)),
        ConsoleOrigin::NeedsTls(port) => {
            page(StatusCode::FORBIDDEN, &NeedsTlsPage { port, public_url: app.public_url.clone() })
                .unwrap_or_else(|failure| error_outside(&app, &failure.0))
        }
        ConsoleOrigin::Elsewhere => elsewhere(&app),
    }
}

fn elsewhere(app: &App) -> Response {
    error_page(ErrorPage {
        status: 403,
        title: "The console is at another address".into(),
        detail: format!(
            "This server is known as {}. Open the console there. If that is not the address that people use, whoever runs \
             the server sets it with --public-url. If you did open that address, the proxy before the server changes the \
             header Host: it must pass it on as it came, or set X-Forwarded-Proto.",
            app.public_url
        ),
        reference: None,
        link: Some((format!("Open {}", app.public_url), app.public_url.clone())),
    })
}

/// For pages that take a session: gives the handler the [`SignedIn`] and, of a form, its [`Pairs`].
pub(super) async fn session(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let from = client(&app, &request);
    let person = match SignedIn::find(&app, request.headers(), &from) {
        Ok(Some(person)) => person,
        Ok(None) => return to_sign_in(&app, &request),
        Err(error) => return error_outside(&app, &error),
    };
    let (mut parts, body) = request.into_parts();
    let method = parts.method.clone();
    let (organization, nav) = place_in(&parts);
    let had_done = person.done.is_some();
    if let Some(id) = organization.filter(|id| person.belongs_to(*id)) {
        app.verifier.was_active(id, person.user);
    }
    // Where to come back to after another sign-in; what a form held is lost.
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let asked_for = parts.uri.path_and_query().map(|path| path.to_string()).filter(|_| reads);
    let prefixes = app.verifier.prefixes();
    let read = Way::of(&mut parts, organization, prefixes);
    let (way, response) = match read {
        Ok(mut way) => {
            let read = match queries::understood(&parts) {
                Ok(()) => form(&mut parts, body, (&person.csrf, person.user.into()), &OF_PERSONS).await,
                Err(error) => Err(FormRefused::Unreadable(error)),
            };
            // It may have ended while its form came: what changes something asks again, what only shows something does it nowhere else.
            let read = read.and_then(|body| match cookie::get(&parts.headers, cookie::SESSION).filter(|_| !reads) {
                Some(text) => match app.verifier.authenticate_console(text, &from) {
                    Ok(_) => Ok(body),
                    Err(error) => Err(FormRefused::Unreadable(error)),
                },
                None => Ok(body),
            });
            let response = match read {
                Ok(body) => match parts.extensions.get::<Pairs>().map_or(Ok(()), |form| way.of_form(form, prefixes)) {
                    Ok(()) => {
                        parts.extensions.insert(person.clone());
                        next.run(Request::from_parts(parts, body)).instrument(traces::reading(&method)).await
                    }
                    Err(error) => error_inside(&person, organization, nav, &error).await,
                },
                Err(FormRefused::Foreign) => foreign(&parts, true),
                Err(FormRefused::Unreadable(error)) => error_inside(&person, organization, nav, &error).await,
            };
            (Some(way), response)
        }
        // What a page says of the session it says of this one, too.
        Err(error) => (None, error_inside(&person, organization, nav, &error).await),
    };
    let response = match response.extensions().get::<Arc<Error>>() {
        Some(error) if error.code == Code::ProofRequired => {
            errors::lead_to_proof(&person, organization, &Arc::clone(error), asked_for.as_deref()).await
        }
        Some(error) => error_inside(&person, organization, nav, &Arc::clone(error)).await,
        None => response,
    };
    let mut response = match way {
        Some(way) => way.written(response).await,
        None => response,
    };
    if person.tell_renewed(response.headers_mut()).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if had_done && !response.status().is_redirection() {
        cookie::clear(response.headers_mut(), cookie::DONE);
    }
    ways_out::behind_a_form(&method, response)
}

/// For pages that take no session: gives the handler the [`SignedOut`] and, of a form, its [`Pairs`].
pub(super) async fn visitor(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let client = client(&app, &request);
    let (mut parts, body) = request.into_parts();
    let method = parts.method.clone();
    let visitor = match SignedOut::find(&app, &parts.headers, client) {
        Ok(visitor) => visitor,
        Err(error) => return error_outside(&app, &error),
    };
    let (new_cookie, lane) = (visitor.new_cookie.clone(), heavy::Lane::client(visitor.client.address));
    let read = match queries::understood(&parts) {
        Ok(()) => form(&mut parts, body, (&visitor.csrf, lane), &OF_VISITORS).await,
        Err(error) => Err(FormRefused::Unreadable(error)),
    };
    let response = match read {
        Ok(body) => {
            parts.extensions.insert(visitor);
            next.run(Request::from_parts(parts, body)).instrument(traces::reading(&method)).await
        }
        Err(FormRefused::Foreign) => foreign(&parts, new_cookie.is_none()),
        Err(FormRefused::Unreadable(error)) => error_outside(&app, &error),
    };
    let mut response = match response.extensions().get::<Arc<Error>>() {
        Some(error) => error_outside(&app, error),
        None => response,
    };
    // Only with a form; a redirect away from it needs none.
    if let Some(cookie) = new_cookie.filter(|_| !response.status().is_redirection())
        && cookie::set(response.headers_mut(), cookie::FORM, &cookie, None).is_err()
    {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    ways_out::behind_a_form(&method, response)
}

/// Why a form was not taken.
enum FormRefused {
    /// It is not one that we made for this browser.
    Foreign,
    /// It cannot be read.
    Unreadable(Error),
}

/// What a form without a document may take.
struct Room {
    largest: &'static Limit,
    /// Is a larger one received to its end all the same, so that the browser shows our answer?
    drained: bool,
    time: &'static Limit,
}

static OF_PERSONS: Room = Room { largest: &FORM_BYTES, drained: true, time: &FORM_TIME };
/// Anybody can send one, so that of a larger one nothing is received; no page of ours sends any.
static OF_VISITORS: Room = Room { largest: &VISITOR_FORM_BYTES, drained: false, time: &BODY_TIME };

/// Checks that what changes something comes from a form of ours, and reads it in the turn of this lane. Everything but GET and
/// HEAD does.
async fn form(
    parts: &mut Parts,
    body: Body,
    (csrf, lane): (&str, heavy::Lane),
    room: &Room,
) -> Result<Body, FormRefused> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(body);
    }
    let origin = parts.extensions.get::<Origin>().map(|origin| origin.0.as_str());
    if !origin.is_some_and(|origin| same_origin(&parts.headers, origin)) {
        return Err(FormRefused::Foreign);
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(FormRefused::Unreadable(Error::invalid(
            "body",
            "is not a form; send application/x-www-form-urlencoded",
        )));
    }
    let with_document = parts.extensions.get::<MatchedPath>().is_some_and(|it| DOCUMENT_FORMS.contains(&it.as_str()));
    let largest = if with_document { &DOCUMENT_FORM_BYTES } else { room.largest };
    let drain = if room.drained { DISCARDED_BYTES.size() } else { 0 };
    let bounds = Bounds { max: largest.size(), drain, time: room.time };
    // The token is the first thing that each of our forms sends: nothing else of a foreign one is kept or looked at.
    let lead = format!("csrf={csrf}");
    let ours = |sent: &[u8]| bool::from(sent.ct_eq(lead.as_bytes()));
    let bytes = body::read_if(body, bounds, lead.len(), ours).await.map_err(|why| match why {
        Unread::Refused => FormRefused::Foreign,
        Unread::TooLarge if with_document => FormRefused::Unreadable(Error::new(Code::TooLarge, DOCUMENT_TOO_LARGE)),
        Unread::TooLarge => {
            let what = "The form is larger than";
            FormRefused::Unreadable(largest.exceeded(Code::TooLarge, largest.default, what, "Nothing was changed."))
        }
        Unread::TooSlow(limit) => {
            let (what, advice) = ("The form came slower than it must by", "Send it again.");
            FormRefused::Unreadable(limit.exceeded(Code::InvalidRequest, limit.default, what, advice))
        }
        Unread::Broken => FormRefused::Unreadable(Error::invalid("body", "did not arrive completely")),
    })?;
    let path = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    parts.extensions.insert(pairs(bytes, path, lane).await.map_err(FormRefused::Unreadable)?);
    Ok(Body::empty())
}

/// The pairs of a form, which are all known to the page that is on this path. To take a large one apart needs milliseconds, which
/// a thread of the runtime has not got.
async fn pairs(bytes: Bytes, path: String, lane: heavy::Lane) -> Result<Pairs> {
    let fields = bytes.iter().filter(|byte| **byte == b'&').count() as u64 + 1;
    if fields > FORM_FIELDS.default {
        let what = "The form has more fields than";
        return Err(FORM_FIELDS.exceeded(Code::TooLarge, FORM_FIELDS.default, what, "Nothing was changed."));
    }
    let small = bytes.len() <= SMALL;
    let read = move || {
        let pairs = Pairs::parse(&bytes);
        fields::understood(&path, &pairs).map(|()| pairs)
    };
    if small { read() } else { heavy::aside(lane, read).await? }
}

/// Was the request sent by a page of ours? Our pages send no referrer, and with it browsers write `null` for the
/// origin; then their own word for where the request came from counts, which no page can set.
fn same_origin(headers: &HeaderMap, own: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match text("origin") {
        Some("null") | None => text("sec-fetch-site") == Some("same-origin"),
        Some(origin) => origin.eq_ignore_ascii_case(own),
    }
}

/// The page for a form that is not ours, which a person can meet too: cookies are off, or the address is another.
fn foreign(parts: &Parts, had_cookie: bool) -> Response {
    let origin = parts.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).filter(|it| *it != "null");
    let own = parts.extensions.get::<Origin>().map_or("", |origin| origin.0.as_str());
    let detail = match origin {
        Some(origin) if !origin.eq_ignore_ascii_case(own) => {
            format!(
                "It came from {origin}, but this console is at {own}. If that is wrong, whoever runs the server sets the \
                 address that people use with --public-url."
            )
        }
        _ if !had_cookie => {
            "Your browser did not send our cookie with it. Allow cookies for this site. Some browsers keep \
                             secure cookies only over HTTPS, also on the same machine."
                .into()
        }
        _ => "It was open for too long, or you signed in or out in another window. Open the page again.".into(),
    };
    let path = parts.uri.path();
    let page = parts.extensions.get::<MatchedPath>().and_then(|route| form_page::page_of(route.as_str(), path));
    error_page(ErrorPage {
        status: 403,
        title: "This form was not taken".into(),
        detail: format!("Nothing was changed. {detail}"),
        reference: None,
        link: Some(("Open the page again".into(), page.unwrap_or_else(|| path.to_owned()))),
    })
}

/// Asks to sign in, and comes back afterwards; what a form held is lost.
fn to_sign_in(app: &App, request: &Request) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        query.append_pair("next", request.uri().path_and_query().map_or("/", |path| path.as_str()));
    } else {
        query.append_pair("notice", "ended");
    }
    let mut response =
        see_other(&format!("/sign-in?{}", query.finish())).unwrap_or_else(|failure| error_outside(app, &failure.0));
    // A script's request that was under way while a proof gave the session another text has the old one, and ends nothing.
    let by_script = request.headers().get("sec-fetch-mode").is_some_and(|mode| mode != "navigate");
    if cookie::get(request.headers(), cookie::SESSION).is_some() && !by_script {
        cookie::clear(response.headers_mut(), cookie::SESSION);
    }
    response
}

/// The organization that a path of the console names, and the part of the console that it is in.
fn place_in(parts: &Parts) -> (Option<Uuid>, Nav) {
    let mut segments = parts.uri.path().split('/').skip(2);
    let organization = segments.next().and_then(|id| Uuid::try_parse(id).ok());
    let all = [
        Nav::Tokens,
        Nav::Members,
        Nav::Roles,
        Nav::Apis,
        Nav::Projects,
        Nav::Clusters,
        Nav::Overview,
        Nav::Decisions,
        Nav::Events,
        Nav::Nodes,
        Nav::Settings,
    ];
    let part = segments.next().unwrap_or_default();
    (organization, all.into_iter().find(|nav| nav.path() == part).unwrap_or(Nav::Account))
}
