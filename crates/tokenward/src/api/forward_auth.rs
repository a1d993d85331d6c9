//! Forward-auth: nginx `auth_request`, Caddy `forward_auth` and Traefik `ForwardAuth` ask here about each request.
//!
//! nginx knows only success, 401 and 403, so there is no other answer.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use tokenward_core::{Code, Error, Result};

use super::direct::Asked;
use super::endpoint::{Endpoint, direct_any};
use super::error::ApiError;
use crate::http::{address, agent, peer};
use crate::service::App;
use crate::verify::credential::credential;
use crate::verify::gateway::{self, Held, Scope, Target};

/// Where gateways write the method of the request that they hold.
const METHOD: [&str; 2] = ["x-forwarded-method", "x-original-method"];
/// Where they write its path, or its whole address.
const PATH: [&str; 3] = ["x-forwarded-uri", "x-original-uri", "x-original-url"];
/// The reason of a refusal, for gateways that throw the body away.
const REASON: HeaderName = HeaderName::from_static("x-tokenward-reason");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        direct_any("/forward-auth", forward_auth)
            .public()
            .about("Gateways", "May the request that a gateway holds go on? 200, 401 or 403, by any method.")
            .query(&[
                ("organization", "The organization whose tokens count; may be left out while there is exactly one."),
                ("api", "The API of the organization whose routes say which permission the request needs."),
                ("permission", "A permission that the request needs, such as `invoices:read`."),
            ])
            .answers_empty(200)
            .errors(&[401, 403]),
    ]
}

fn forward_auth(asked: &Asked<'_>) -> Result<Response> {
    let mut headers = HeaderMap::with_capacity(12);
    let mut add = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    Ok(match check(asked.app, asked.request, &mut add) {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = headers;
            response
        }
        Err(error) => {
            let about_credential = gateway::is_about_credential(error.code);
            let status = if about_credential { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
            let reason = HeaderValue::from_static(error.code.as_str());
            let decision = error.decision_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
            let mut response = ApiError(error).with_status(status);
            response.headers_mut().insert(REASON, reason);
            if let Some(decision) = decision {
                response.headers_mut().insert(gateway::DECISION_ID, decision);
            }
            response
        }
    })
}

fn check(app: &App, request: &Parts, add: impl FnMut(&'static str, &str)) -> Result<()> {
    let settings = &app.gateways;
    let headers = &request.headers;
    let keys = ["x-api-key"].into_iter().chain(settings.header.as_deref());
    let keys = keys.flat_map(|name| headers.get_all(name)).map(HeaderValue::as_bytes);
    let credential = credential(headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes), keys);
    let target = if settings.trusts(peer(&request.extensions)) {
        Target { method: said(headers, &METHOD)?, path: said(headers, &PATH)?.map(path).transpose()? }
    } else {
        Target::default()
    };
    let held = Held {
        scope: Scope::read(form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes()))?,
        credential,
        target,
        client: address(headers, &request.extensions, &settings.trusted),
        agent: agent(headers),
    };
    gateway::check(&app.verifier, &held, add)
}

/// What one of these headers says. Those of one gateway agree; where they do not, one of them is the client's own.
fn said<'a>(headers: &'a HeaderMap, names: &[&str]) -> Result<Option<&'a [u8]>> {
    let mut all = names.iter().flat_map(|name| headers.get_all(*name)).map(HeaderValue::as_bytes);
    let Some(first) = all.next() else { return Ok(None) };
    // Of the whole address only the path counts: the other headers have no more.
    if all.all(|other| path(other).ok() == path(first).ok()) {
        return Ok(Some(first));
    }
    Err(Error::new(
        Code::RequestUnknown,
        format!(
            "The headers {} contradict each other. The gateway must overwrite those that a client sends.",
            names.join(", ")
        ),
    ))
}

/// The path and query of `X-Original-URL: https://host/path`, which other gateways write without scheme and host.
fn path(address: &[u8]) -> Result<&[u8]> {
    let schemes: [&[u8]; 2] = [b"https://", b"http://"];
    let Some(rest) = schemes.iter().find_map(|scheme| address.strip_prefix(*scheme)) else { return Ok(address) };
    let host = rest.iter().position(|byte| b"/?#\\@".contains(byte)).unwrap_or(rest.len());
    match rest.get(host) {
        Some(b'/') => Ok(&rest[host..]),
        _ => Err(Error::new(Code::PathAmbiguous, "The address of the request has no path after its host.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_address() {
        let read = |address: &'static str| path(address.as_bytes()).ok().map(|path| std::str::from_utf8(path).unwrap());
        assert_eq!(read("/a?b"), Some("/a?b"));
        assert_eq!(read("https://acme.example:8443/a?b=/c"), Some("/a?b=/c"));
        assert_eq!(read("http://[::1]/"), Some("/"));
        for none in
            ["https://acme.example", "https://acme.example?a=/b", "http://a@b/c", "http://a#/b", "http://a\\b/c"]
        {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn headers_that_contradict_each_other_say_nothing() {
        let mut headers = HeaderMap::new();
        assert!(matches!(said(&headers, &PATH), Ok(None)));
        headers.insert("x-original-url", HeaderValue::from_static("https://acme.example/a"));
        headers.insert("x-forwarded-uri", HeaderValue::from_static("/a"));
        assert!(matches!(said(&headers, &PATH), Ok(Some(b"/a"))));
        headers.append("x-original-uri", HeaderValue::from_static("/b"));
        assert!(said(&headers, &PATH).is_err());
    }
}
