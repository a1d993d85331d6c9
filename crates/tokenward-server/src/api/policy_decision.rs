//! What would a policy token be answered? By its id, and never by its text: its policy and its role are asked as they are asked
//! about a request that somebody sends.
//!
//! Whoever may see a token may ask about it: of an API token that is `token:read`, of a policy token `policy:manage`, as its list, its page
//! and `evaluate` take it, since answers to chosen requests tell what its policy says. No decision is told, so that `token:verify` is not asked.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use tokenward_api::policy_tokens::{NamedPolicyRequest, PolicyDecideRequest};
use tokenward_api::verify::Decided;
use tokenward_core::caller::Grant;
use tokenward_core::decision::Ask;
use tokenward_core::directory::Resource;
use tokenward_core::permission::{Management, Permission};
use tokenward_core::secret::Kind;
use tokenward_core::{Error, Result, Uuid};
use tokenward_verify::server::AskedRequest;
use tokenward_verify::{Asking, Presenter, Question, RequestBody};

use super::endpoint::{Endpoint, post};
use super::error::ApiError;
use super::extract::{Body, id};
use super::right::{EndpointRight, PathResource, locate};
use super::token_decision::decided;
use super::verify::Subject;
use crate::heavy;
use crate::limits::REQUEST_BODY;
use crate::service::App;
use crate::service::token_decision::{NewestSecret, TokenDecision};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/decide", decide)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "What would this policy token be answered to a request? Its policy and its role are asked. Nothing is counted, and no \
                 decision is remembered.",
            )
            .takes::<PolicyDecideRequest>()
            .answers::<Decided>(200),
    ]
}

async fn decide(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Body(asked): Body<PolicyDecideRequest>,
) -> Result<Json<Decided>, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let body = asked.request.body.as_deref().unwrap_or_default();
    REQUEST_BODY.check_text(body).map_err(|problem| Error::invalid("request.body", problem))?;
    subject(&asked).read()?;
    let secret = match NewestSecret::of(&app, &grant, (Kind::PolicyToken, token)).await? {
        Ok(secret) => secret,
        Err(ended) => return Ok(Json(decided(Err((ended, None))))),
    };
    let organization = grant.organization();
    // A policy may take long.
    let outcome = heavy::run(organization, move || ask(&app, organization, &secret, &asked)).await??;
    Ok(Json(decided(outcome)))
}

fn subject(sent: &PolicyDecideRequest) -> Subject<'_> {
    Subject {
        permission: sent.permission.as_deref(),
        resource: sent.resource,
        api: sent.api.as_deref(),
        request: Some((sent.request.method.as_str(), sent.request.path.as_str())),
    }
}

fn ask(app: &App, organization: Uuid, secret: &NewestSecret, sent: &PolicyDecideRequest) -> Result<TokenDecision> {
    let NamedPolicyRequest { method, path, body, gateway } = &sent.request;
    let of_ours = match gateway {
        Some(false) if sent.api.is_some() => {
            let problem = "is `false` beside `api`: what goes to an API of yours goes through a gateway";
            return Err(Error::invalid("request.gateway", problem));
        }
        Some(gateway) => !gateway,
        None => sent.api.is_none(),
    };
    let subject = subject(sent);
    let ask = subject.read()?;
    let (ask, resource, request) = if of_ours {
        let (ask, resource) = of_endpoint(app, organization, sent)?;
        (ask, resource, None)
    } else {
        (ask, subject.resource(), subject.request())
    };
    let body = body.as_ref().map_or(RequestBody::Unknown, |text| RequestBody::Whole(text.as_bytes()));
    let question = Question::new(Asking::Organization(organization), ask)
        .resource(resource)
        .request(request)
        .body(body)
        .from(Presenter { address: sent.remote_ip, agent: None });
    secret.decide(app, &question, Some(&AskedRequest { method, path, body, of_ours }))
}

/// What a request to our own API needs, as its endpoint says.
fn of_endpoint(app: &App, organization: Uuid, sent: &PolicyDecideRequest) -> Result<(Ask<'static>, Resource)> {
    if sent.permission.is_some() || sent.resource.is_some() {
        let field = if sent.permission.is_some() { "permission" } else { "resource" };
        let problem = "is what the endpoint says of a request to this server's own API; with `gateway` or `api` ask about one to an \
                       API of yours";
        return Err(Error::invalid(field, problem));
    }
    let wrong = |problem: &str| Error::invalid("request.path", problem);
    let NamedPolicyRequest { method, path, .. } = &sent.request;
    let path = path.split('?').next().unwrap_or_default();
    let endpoints = super::endpoints();
    let Some((endpoint, named)) = matching(&endpoints, method, path) else {
        return Err(wrong(
            "is, with this method, no endpoint of this server's API; say `api`, or `gateway`, where it is one of yours",
        ));
    };
    if endpoint.user_only || endpoint.right == EndpointRight::User {
        return Err(wrong("is for signed-in people: no token may do this"));
    }
    let EndpointRight::Permission(permission, on) = endpoint.right else {
        return Ok((Ask::Identity, Resource::default()));
    };
    let (of, resource) = match on {
        PathResource::Caller => (organization, Resource::default()),
        _ => locate(&app.verifier.directory(), &named, on).map_err(|_| wrong("names nothing that there is"))?,
    };
    if of != organization {
        return Err(wrong("names nothing that there is"));
    }
    Ok((Ask::Permission(Permission::Management(permission)), resource))
}

/// What a path names, by the names of its parameters.
type Named<'a> = Vec<(&'static str, &'a str)>;

/// The endpoint that takes this, as the router would find it: a word in its place comes before a parameter.
fn matching<'e, 'p>(endpoints: &'e [Endpoint], method: &str, path: &'p str) -> Option<(&'e Endpoint, Named<'p>)> {
    let sent: Vec<&str> = path.split('/').collect();
    let fitting = endpoints.iter().filter(|it| it.method.as_str() == method).filter_map(|endpoint| {
        let own: Vec<&'static str> = endpoint.path.split('/').collect();
        if own.len() != sent.len() {
            return None;
        }
        let mut named = Vec::new();
        for (own, sent) in own.iter().zip(&sent) {
            match own.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
                Some(name) if !sent.is_empty() => named.push((name, *sent)),
                None if own == sent => {}
                _ => return None,
            }
        }
        Some((endpoint, named))
    });
    fitting.min_by_key(|(_, named)| named.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_one_that_the_router_would_ask() {
        let endpoints = super::super::endpoints();
        let found =
            |method: &str, path: &str| matching(&endpoints, method, path).map(|(it, named)| (it.path, named.len()));
        let organization = "/organization/0196/policyApiToken";
        for (method, path, expected) in [
            ("GET", "/token/self", Some(("/token/self", 0))),
            ("GET", organization, Some(("/organization/{organizationId}/policyApiToken", 1))),
            (
                "POST",
                "/organization/0196/policyApiToken/evaluate",
                Some(("/organization/{organizationId}/policyApiToken/evaluate", 1)),
            ),
            ("get", organization, None),
            ("PUT", organization, None),
            ("GET", "/organization//policyApiToken", None),
            ("GET", "/nothing/here", None),
        ] {
            assert_eq!(found(method, path), expected, "{method} {path}");
        }
    }
}
