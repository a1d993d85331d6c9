//! External authorization over HTTP, as Envoy, Istio, Envoy Gateway and the Gateway API ask: with the method, the path and
//! the credential of the request that they hold, its path behind a prefix of their own choice.
//!
//! It is answered like forward-auth, and with the same statuses: Envoy takes a 5xx for a failure, which `failure_mode_allow`
//! would let through.

use axum::response::Response;
use tokenward_core::{Code, Error, Result};

use super::direct::{DirectRequest, Unanswered};
use super::endpoint::{Endpoint, direct_any};
use super::forward_auth::{check, check_time};
use super::gateway_answer::{EXT_AUTHZ, answer};
use crate::http::{address, agent};
use crate::metrics::Way;
use tokenward_verify::RequestBody;
use tokenward_verify::credential::credential;
use tokenward_verify::server::gateway::{GatewayRequest, Scope, Target};

/// The written choice of identity alone, in the place of an API.
const IDENTITY: &str = "-";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        direct_any("/ext-authz/{organizationId}/{apiName}/{path}", ext_authz)
            .public()
            .about(
                "Gateways",
                "May the request that Envoy, Istio or a Gateway holds go on? Its method and path are those of the question, \
                 behind a prefix that names the organization and its API (`-`: every role that holds something of it passes). \
                 200, 401 or 403, by any method; only `trusted_gateways` are answered otherwise than by 403.",
            )
            .answers_empty(200)
            .errors(&[401, 403]),
    ]
}

fn ext_authz(asked: &DirectRequest<'_>) -> Result<Response, Unanswered> {
    let held = held(asked);
    check_time(asked, &held)?;
    Ok(answer(asked.app, Way::ExtAuthz, true, |said| check(asked.app, &held?, said)))
}

fn held<'a>(asked: &DirectRequest<'a>) -> Result<GatewayRequest<'a>> {
    let DirectRequest { app, request, peer, trace, .. } = *asked;
    let live = app.live();
    let settings = &live.gateways;
    // Whoever could ask here directly would choose the path that is decided about.
    if !settings.trusts(peer) {
        app.strangers.note(peer);
        return Err(Error::new(
            Code::RequestUnknown,
            "Only a gateway among `trusted_gateways` is answered here, and this peer is none of them.",
        ));
    }
    let target = request.uri.path_and_query().map_or("", |it| it.as_str());
    let (scope, path) = read(target)?;
    let headers = &request.headers;
    let sent = headers.iter().filter_map(|(name, value)| Some((settings.place(name.as_str())?, value.as_bytes())));
    Ok(GatewayRequest {
        scope,
        credential: credential(sent),
        target: Target { method: Some(request.method.as_str().as_bytes()), path: Some(path.as_bytes()) },
        // The held request's own is not read here.
        body: RequestBody::Unknown,
        client: address(headers, peer, &settings.trusted),
        agent: agent(headers),
        trace,
    })
}

/// On whose behalf and for what is asked, and the path and query of the held request. They are divided from the left: what
/// a client writes comes behind the prefix, and changes nothing of it.
fn read(target: &str) -> Result<(Scope<'_>, &str)> {
    let parts = target.strip_prefix(EXT_AUTHZ).and_then(|rest| rest.split_once('/'));
    let parts = parts.and_then(|(organization, rest)| {
        let (api, path) = rest.split_at(rest.find(['/', '?'])?);
        path.starts_with('/').then_some((organization, api, path))
    });
    let Some((organization, api, path)) = parts else {
        return Err(Error::new(
            Code::RequestUnknown,
            "The path of the held request is missing behind the prefix, which is /ext-authz/ORGANIZATION_ID/API_NAME (or \
             `-` in the place of the name).",
        ));
    };
    let what = if api == IDENTITY { ("identity", "any") } else { ("api", api) };
    Ok((Scope::read([("organization", organization), what].into_iter())?, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_divided_from_the_left() {
        let id = "00000000-0000-7000-8000-000000000000";
        let path = |target: &str| read(target).map(|(_, path)| path.to_owned()).map_err(|error| error.code.as_str());
        for (rest, right) in [
            ("/shop/invoices?page=2", Ok("/invoices?page=2")),
            ("/shop/", Ok("/")),
            ("/-/a/b", Ok("/a/b")),
            ("/shop/../other/-/a", Ok("/../other/-/a")),
            ("/shop//a", Ok("//a")),
            ("/shop/%2e%2e/a", Ok("/%2e%2e/a")),
            ("/shop", Err("request_unknown")),
            ("/shop?x=/a", Err("request_unknown")),
            ("", Err("request_unknown")),
            ("//a", Err("invalid_request")),
        ] {
            let said = path(&format!("{EXT_AUTHZ}{id}{rest}"));
            assert_eq!(said.as_deref().map_err(|code| *code), right, "{rest}");
        }
        assert!(path("/ext-authz/acme/shop/a").is_err() && path("/ext-authz//shop/a").is_err());
    }
}
