//! Forward-auth: nginx `auth_request`, Caddy `forward_auth` and Traefik `ForwardAuth` ask here about each request.
//!
//! nginx knows only success, 401 and 403. So there is no other answer, but for 429 to those that are surely not nginx.

use axum::http::HeaderMap;
use axum::response::Response;
use tokenward_core::{Code, Error, Result};

use super::direct::{DirectRequest, Unanswered};
use super::endpoint::{Endpoint, direct_any};
use super::gateway_answer::{AnswerHeaders, answer};
use crate::http::{address, agent};
use crate::metrics::Way;
use crate::service::App;
use tokenward_verify::RequestBody;
use tokenward_verify::credential::credential;
use tokenward_verify::server::gateway::{self, GatewayRequest, Scope, Target};

/// Where gateways write the method of the request that they hold.
const METHOD: [&str; 2] = ["x-forwarded-method", "x-original-method"];
/// Where they write its path, or its whole address.
const PATH: [&str; 3] = ["x-forwarded-uri", "x-original-uri", "x-original-url"];
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
    Ok(answer(asked.app, Way::ForwardAuth, passes_any_status, |allowed| check(asked.app, &held?, allowed)))
}

/// Is it about a policy that may take long? Then it is asked on a thread that may take its time.
pub(super) fn check_time(asked: &DirectRequest<'_>, held: &Result<GatewayRequest<'_>>) -> Result<(), Unanswered> {
    let whose = held.as_ref().ok().filter(|_| !asked.aside).and_then(|it| gateway::takes_long(&asked.app.verifier, it));
    whose.map_or(Ok(()), |whose| Err(Unanswered::TakesLong(whose)))
}

/// Decides about a held request, and notes what goes with it.
pub(super) fn check(app: &App, held: &GatewayRequest<'_>, said_of_it: &mut AnswerHeaders) -> Result<()> {
    said_of_it.brownout = gateway::check(&app.verifier, held, |header, value| said_of_it.add(header, value))?;
    Ok(())
}

fn held<'a>(asked: &DirectRequest<'a>) -> Result<GatewayRequest<'a>> {
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
    Ok(GatewayRequest {
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
    use axum::http::HeaderValue;

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
