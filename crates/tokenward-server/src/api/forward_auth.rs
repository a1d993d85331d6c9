//! Forward-auth: nginx `auth_request`, Caddy `forward_auth` and Traefik `ForwardAuth` ask here about each request.
//!
//! nginx knows only success, 401 and 403. So there is no other answer, but for 429 to those that are surely not nginx.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use tokenward_core::{Code, Error, Result, Time};

use super::direct::{DirectRequest, Unanswered};
use super::endpoint::{Endpoint, direct_any};
use super::error::ApiError;
use crate::http::{address, agent};
use crate::metrics::Way;
use crate::service::App;
use tokenward_verify::RequestBody;
use tokenward_verify::credential::credential;
use tokenward_verify::server::gateway::{self, Header, Held, Scope, Target};

/// Where gateways write the method of the request that they hold.
const METHOD: [&str; 2] = ["x-forwarded-method", "x-original-method"];
/// Where they write its path, or its whole address.
const PATH: [&str; 3] = ["x-forwarded-uri", "x-original-uri", "x-original-url"];
/// The names of our headers, in the order of [`Header`].
static NAMES: [HeaderName; Header::ALL.len()] = [
    HeaderName::from_static(Header::TokenId.name()),
    HeaderName::from_static(Header::TokenName.name()),
    HeaderName::from_static(Header::OrganizationId.name()),
    HeaderName::from_static(Header::Role.name()),
    HeaderName::from_static(Header::Permissions.name()),
    HeaderName::from_static(Header::DecisionId.name()),
    HeaderName::from_static(Header::Path.name()),
];
/// The reason of a refusal, for gateways that throw the body away.
const REASON: HeaderName = HeaderName::from_static("x-tokenward-reason");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        direct_any("/forward-auth", forward_auth)
            .public()
            .about(
                "Gateways",
                "May the request that a gateway holds go on? 200, 401 or 403, by any method; 429 to Traefik and Caddy.",
            )
            .query(&[
                ("organization", "The organization whose tokens count; may be left out while there is exactly one."),
                ("api", "The API of the organization whose routes say which permission the request needs."),
                ("permission", "A permission that the request needs, such as `invoices:read`."),
                ("identity", "`any`: every role that holds something of your API passes. Instead of the two above."),
            ])
            .answers_empty(200)
            .errors(&[401, 403]),
    ]
}

fn forward_auth(asked: &DirectRequest<'_>) -> Result<Response, Unanswered> {
    // nginx asks with the others, or with these and has said so in its configuration; Traefik and Caddy always do.
    let headers = &asked.request.headers;
    let passes_any_status =
        headers.contains_key(METHOD[0]) && !headers.keys().any(|it| it.as_str().starts_with("x-original-"));
    let held = held(asked);
    check_time(asked, &held)?;
    Ok(answer(asked.app, passes_any_status, |allowed| check(asked.app, &held?, allowed)))
}

/// Is it about a policy that may take long? Then it is asked on a thread that may take its time.
pub(super) fn check_time(asked: &DirectRequest<'_>, held: &Result<Held<'_>>) -> Result<(), Unanswered> {
    let whose = held.as_ref().ok().filter(|_| !asked.aside).and_then(|it| gateway::takes_long(&asked.app.verifier, it));
    whose.map_or(Ok(()), |whose| Err(Unanswered::TakesLong(whose)))
}

/// What is said to an API of an allowed request: all values in one piece of memory.
pub(super) struct Said {
    values: Vec<u8>,
    /// When the token is refused next for some minutes.
    pub(super) brownout: Option<Time>,
    each: Vec<(Header, usize)>,
}

impl Said {
    pub(super) fn add(&mut self, header: Header, value: &str) {
        self.values.extend_from_slice(value.as_bytes());
        self.each.push((header, value.len()));
    }
}

/// What a gateway is answered that asks over HTTP. Does it pass on any status, and not only 401 and 403?
pub(super) fn answer(app: &App, passes_any_status: bool, check: impl FnOnce(&mut Said) -> Result<()>) -> Response {
    let each = Vec::with_capacity(Header::ALL.len());
    let mut said = Said { values: Vec::with_capacity(512), brownout: None, each };
    let checked = check(&mut said);
    app.metrics.answered(Way::ForwardAuth, checked.as_ref().map_err(|error| error.code).copied());
    match checked {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            let headers = response.headers_mut();
            headers.reserve(12);
            crate::http::brownout(headers, said.brownout);
            let mut values = Bytes::from(said.values);
            for (header, length) in said.each {
                if let Ok(value) = HeaderValue::from_maybe_shared(values.split_to(length)) {
                    headers.insert(NAMES[header as usize].clone(), value);
                }
            }
            response
        }
        Err(error) => {
            let about_credential = gateway::is_about_credential(error.code);
            let limit = matches!(error.code, Code::Denied(reason) if reason.is_limit());
            let status = match about_credential {
                true => StatusCode::UNAUTHORIZED,
                false if limit && passes_any_status => StatusCode::TOO_MANY_REQUESTS,
                false => StatusCode::FORBIDDEN,
            };
            let reason = HeaderValue::from_static(error.code.as_str());
            let decision = error.decision_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
            let mut response = ApiError(error).with_status(status);
            response.headers_mut().insert(REASON, reason);
            if let Some(decision) = decision {
                response.headers_mut().insert(NAMES[Header::DecisionId as usize].clone(), decision);
            }
            response
        }
    }
}

/// Decides about a held request, and notes what goes with it.
pub(super) fn check(app: &App, held: &Held<'_>, said_of_it: &mut Said) -> Result<()> {
    said_of_it.brownout = gateway::check(&app.verifier, held, |header, value| said_of_it.add(header, value))?;
    Ok(())
}

fn held<'a>(asked: &DirectRequest<'a>) -> Result<Held<'a>> {
    let DirectRequest { app, request, peer, trace, .. } = *asked;
    let live = app.live();
    let settings = &live.gateways;
    let headers = &request.headers;
    // One look at each header costs less than looking for each name.
    let sent = headers.iter().filter_map(|(name, value)| Some((settings.place(name.as_str())?, value.as_bytes())));
    let credential = credential(sent);
    let target = if settings.trusts(peer) {
        Target { method: said(headers, &METHOD)?, path: said(headers, &PATH)?.map(path) }
    } else {
        // Somebody who asks without a gateway says nothing of another request.
        if headers.keys().any(|name| METHOD.contains(&name.as_str()) || PATH.contains(&name.as_str())) {
            app.strangers.note(peer);
        }
        Target::default()
    };
    Ok(Held {
        scope: scope(request.uri.query().unwrap_or_default())?,
        credential,
        target,
        // A gateway that asks by headers has no body to show.
        body: RequestBody::Unknown,
        client: address(headers, peer, &settings.trusted),
        agent: agent(headers),
        trace,
    })
}

/// On whose behalf the gateway asks, and for what.
fn scope(query: &str) -> Result<Scope<'_>> {
    if query.contains(['%', '+']) {
        return Scope::read(form_urlencoded::parse(query.as_bytes()));
    }
    // Nothing in it is escaped, as in the configuration of nearly every gateway.
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    Scope::read(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))))
}

/// What one of these headers says. Those of one gateway agree; where they do not, one of them is the client's own.
fn said<'a>(headers: &'a HeaderMap, names: &[&str]) -> Result<Option<&'a [u8]>> {
    let mut all = headers.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.as_bytes());
    let Some(first) = all.next() else { return Ok(None) };
    // Of the whole address only the path counts: the other headers have no more.
    if all.all(|other| path(other) == path(first)) {
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

/// The path and query of `X-Original-URL: https://host/path`, which other gateways write without scheme and host. An
/// address without a path stays as it is, which is no path.
fn path(address: &[u8]) -> &[u8] {
    let schemes: [&[u8]; 2] = [b"https://", b"http://"];
    let Some(rest) = schemes.iter().find_map(|scheme| address.strip_prefix(*scheme)) else { return address };
    let host = rest.iter().position(|byte| b"/?#\\@".contains(byte)).unwrap_or(rest.len());
    match rest.get(host) {
        Some(b'/') => &rest[host..],
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_alike_with_and_without_escapes() {
        let id = "00000000-0000-7000-8000-000000000000";
        for query in [
            "",
            "&&",
            &format!("organization={id}&permission=invoices:read"),
            &format!("&api=shop&&organization={id}&"),
            "api",
            "api=",
            "=x",
            "api=a=b",
            "permission=a:b&permission=c:d",
            "organization=x",
            "other=1",
        ] {
            let plain = scope(query).map_err(|error| error.detail);
            let parsed = Scope::read(form_urlencoded::parse(query.as_bytes())).map_err(|error| error.detail);
            assert_eq!(format!("{plain:?}"), format!("{parsed:?}"), "{query}");
        }
        assert!(scope("permission=invoices%3Aread").is_ok());
    }

    #[test]
    fn every_header_has_its_name() {
        for (at, header) in Header::ALL.into_iter().enumerate() {
            assert_eq!((header as usize, NAMES[at].as_str()), (at, header.name()));
        }
    }

    #[test]
    fn the_path_of_an_address() {
        let read = |address: &'static str| std::str::from_utf8(path(address.as_bytes())).unwrap();
        assert_eq!(read("/a?b"), "/a?b");
        assert_eq!(read("https://acme.example:8443/a?b=/c"), "/a?b=/c");
        assert_eq!(read("http://[::1]/"), "/");
        for none in
            ["https://acme.example", "https://acme.example?a=/b", "http://a@b/c", "http://a#/b", "http://a\\b/c"]
        {
            assert!(tokenward_core::path::unambiguous(read(none).as_bytes()).is_err(), "{none}");
        }
    }

    #[test]
    fn headers_that_contradict_each_other_say_nothing() {
        let mut headers = HeaderMap::new();
        assert!(matches!(said(&headers, &PATH), Ok(None)));
        headers.insert("x-original-url", HeaderValue::from_static("https://acme.example/a"));
        headers.insert("x-forwarded-uri", HeaderValue::from_static("/a"));
        assert!(matches!(said(&headers, &PATH).map(|said| said.map(path)), Ok(Some(b"/a"))));
        headers.append("x-original-uri", HeaderValue::from_static("/b"));
        assert!(said(&headers, &PATH).is_err());
    }
}
