//! Who may call an endpoint, and the check of it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::directory::{Directory, Resource};
use tokenward_core::permission::Management;
use tokenward_core::reason::Reason;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_verify::Presenter;
use tokenward_verify::credential::{Credential, CredentialHeader, credential as any_credential};
use tokenward_verify::server::Client;

use super::extract::{client, credential, id};
use super::understood::Understood;
use crate::http::{address, agent};
use crate::service::{App, receipts};

/// Who may call an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndpointRight {
    /// Anybody.
    Public,
    /// Anybody whose credential is accepted.
    Caller,
    /// A signed-in user; tokens get 403 `user_required`.
    User,
    /// Who holds a permission on what the path names.
    Permission(Management, PathResource),
}

/// What in the path a permission is about. The parameter has the same name in every path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathResource {
    /// `{organizationId}`.
    Organization,
    /// `{projectId}`; its organization is looked up.
    Project,
    /// `{environmentId}`; its organization is looked up.
    Environment,
    /// `{clusterId}` in `{organizationId}`.
    Cluster,
    /// The caller's organization, where the path names none: a token's own, or the only one in which a user holds the
    /// permission.
    Caller,
}

/// What the check of an endpoint's right needs.
pub(super) struct RightGuard {
    pub app: Arc<App>,
    pub right: EndpointRight,
    pub user_only: bool,
    /// A session that is for one organization alone may call it, though it is about the account.
    pub narrow: bool,
    pub idempotent: bool,
    pub basic: bool,
    /// It changes something, and a body says nothing of it.
    pub takes_nothing: bool,
    pub understood: Understood,
}

/// What a path names, by the names of its parameters.
type PathParameters<'a> = [(&'a str, &'a str)];

/// Who asks, and with which right. `path` is what the path names.
pub(super) fn authorize(
    guard: &RightGuard,
    path: &PathParameters<'_>,
    headers: &HeaderMap,
    query: Option<&str>,
    client: &Client,
) -> Result<(Caller, Option<Grant>)> {
    refuse_in_query(guard, query)?;
    let app = &guard.app;
    let caller = app.verifier.authenticate(presented(guard, headers)?.text(), client)?;
    let EndpointRight::Permission(permission, on) = guard.right else {
        if guard.right == EndpointRight::User {
            if guard.narrow {
                caller.require_user()?
            } else {
                caller.require_whole()?
            };
        }
        return Ok((caller, None));
    };
    let directory = app.verifier.directory();
    let (organization, resource) = match on {
        PathResource::Caller => (own_organization(app, &caller, &directory, permission)?, Resource::default()),
        _ => locate(&directory, path, on)?,
    };
    // A resource of another organization and one that does not exist get the same answer, to the letter.
    let belongs = directory.organization(organization).is_some_and(|o| caller.membership_in(o).is_some());
    match on {
        PathResource::Project if !belongs => return Err(Error::not_found("project")),
        PathResource::Environment if !belongs => return Err(Error::not_found("environment")),
        PathResource::Cluster
            if caller.organization(&directory, organization).is_ok()
                && !known_cluster(&directory, organization, resource) =>
        {
            return Err(Error::not_found("cluster"));
        }
        _ => {}
    }
    if guard.user_only {
        caller.organization(&directory, organization)?;
        caller.require_user()?;
    }
    let grant = caller.require(&directory, organization, permission, resource, app.now())?;
    if let Some((account, _)) = grant.session() {
        app.verifier.was_active(organization, account);
    }
    // Handlers can rely on it: what is called an id is one.
    for (name, value) in path.iter().filter(|(name, _)| name.ends_with("Id")) {
        id(name, value)?;
    }
    Ok((caller, Some(grant)))
}

/// The organization that asks, for endpoints that need to know no more of the caller: what [`authorize`] finds, without
/// what it makes for those that do.
pub(super) fn asking_organization(guard: &RightGuard, request: &Parts, peer: Option<IpAddr>) -> Result<Option<Uuid>> {
    let (headers, query) = (&request.headers, request.uri.query());
    let live = guard.app.live();
    let proxies = &live.trusted_proxies;
    if let EndpointRight::Permission(permission, PathResource::Caller) = guard.right {
        refuse_in_query(guard, query)?;
        let from = Presenter { address: address(headers, peer, proxies), agent: agent(headers) };
        let of_token = guard.app.verifier.permit(presented(guard, headers)?.text(), permission, &from)?;
        if of_token.is_some() {
            return Ok(of_token);
        }
    }
    // Not all that stands before the router has said who is at the other end.
    let client = Client { address: address(headers, peer, proxies), ..client(headers, &request.extensions, proxies) };
    let (_, grant) = authorize(guard, &[], headers, query, &client)?;
    Ok(grant.map(|grant| grant.organization()))
}

/// The person of a session that proves too little, for whom [`authorize`] has an error.
pub(super) fn refused_person(guard: &RightGuard, headers: &HeaderMap, client: &Client) -> Option<Caller> {
    guard.app.verifier.authenticate(presented(guard, headers).ok()?.text(), client).ok()
}

/// The one credential of a request: where `Basic` counts, it may be the password there.
fn presented<'a>(guard: &RightGuard, headers: &'a HeaderMap) -> Result<Credential<'a>> {
    if !guard.basic {
        return credential(headers).map(Credential::Plain);
    }
    let sent = headers.get_all(header::AUTHORIZATION).iter();
    any_credential(sent.map(|value| (CredentialHeader::Authorization, value.as_bytes())))
}

/// Do clients of the contract take this for the word that something is gone?
pub(super) fn is_absence(error: &Error) -> bool {
    matches!(error.code, Code::NotFound | Code::Denied(Reason::PermissionDenied | Reason::ScopeDenied))
}

/// What `ask` answers. Where that is what clients of the contract take for the word that something is gone, it is asked again
/// with all that other nodes have written: one of them may have made it a moment ago, and a client forgets what it hears to
/// be gone.
pub(super) async fn or_caught_up<T>(app: &App, ask: impl Fn() -> Result<T>) -> Result<T> {
    let asked = ask();
    if asked.as_ref().is_err_and(is_absence) && receipts::catch_up(app).await? { ask() } else { asked }
}

/// A token in the query of our own API is refused, whatever else is sent: it stands in a log by now.
fn refuse_in_query(guard: &RightGuard, query: Option<&str>) -> Result<()> {
    let holds =
        |query: &str| tokenward_verify::credential::holds_token(query.as_bytes(), guard.app.verifier.prefixes());
    if query.is_some_and(holds) { Err(Error::denied(Reason::TokenInQuery)) } else { Ok(()) }
}

/// A token's organization. For a user, the only one there is, or the only one in which the permission is held; with
/// several the question is ambiguous.
fn own_organization(app: &App, caller: &Caller, directory: &Directory, permission: Management) -> Result<Uuid> {
    if let Some(organization) = caller.token_organization() {
        return Ok(organization);
    }
    let all: Vec<Uuid> = caller.memberships(directory).map(|organization| organization.id).collect();
    if let [only] = all[..] {
        return Ok(only);
    }
    // One that asks for more than the session proves is none that is meant, unless all of them do.
    if let Some(first) = all.first().filter(|_| caller.organizations(directory).next().is_none()) {
        caller.organization(directory, *first)?;
    }
    let holds = |id: &&Uuid| caller.require(directory, **id, permission, Resource::default(), app.now()).is_ok();
    let mut those = all.iter().filter(holds);
    match (those.next(), those.next()) {
        (Some(only), None) => Ok(*only),
        (None, _) => Err(Error::permission_denied(permission.as_str())),
        _ => Err(Error::invalid(
            "Authorization",
            "is a session of several organizations; use an API token of the one you mean",
        )),
    }
}

/// Is the cluster that a path names one of the organization that it names too?
fn known_cluster(directory: &Directory, organization: Uuid, resource: Resource) -> bool {
    let clusters = directory.organization(organization).map(|organization| organization.clusters());
    resource.cluster_id.is_some_and(|id| clusters.is_some_and(|clusters| clusters.contains_key(&id)))
}

/// The organization and the resource that a path names. What does not exist is not found, whoever asks.
pub(super) fn locate(directory: &Directory, path: &PathParameters<'_>, on: PathResource) -> Result<(Uuid, Resource)> {
    let id = |name: &str| id(name, path.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value));
    match on {
        // `Caller` names nothing in the path and does not come here.
        PathResource::Organization | PathResource::Caller => Ok((id("organizationId")?, Resource::default())),
        PathResource::Cluster => Ok((id("organizationId")?, Resource::cluster(id("clusterId")?))),
        PathResource::Project => {
            let project = id("projectId")?;
            let organization = directory.owner_of(project).filter(|o| o.projects().contains_key(&project));
            let organization = organization.ok_or_else(|| Error::not_found("project"))?;
            Ok((organization.id, Resource::project(project)))
        }
        PathResource::Environment => {
            let id = id("environmentId")?;
            let organization = directory.owner_of(id).filter(|o| o.environments().contains_key(&id));
            let organization = organization.ok_or_else(|| Error::not_found("environment"))?;
            Ok((organization.id, Resource::environment(id)))
        }
    }
}
