//! Decisions that are still remembered, and why they came out as they did.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::{Caller, Grant};
use tokenward_core::decision::Ask;
use tokenward_core::directory::{Organization, Resource};
use tokenward_core::permission::{Management, Permission, RequiredPermission};
use tokenward_core::reason::Reason;
use tokenward_core::role::{Role, Target};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::tokens;

use super::App;
use crate::heavy;
pub use tokenward_verify::server::KeptDecision;

/// A decision with what can be said about it now.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The decision.
    pub decision: KeptDecision,
    /// The name of its token.
    pub token_name: Option<String>,
    /// What the route of its request needs now.
    pub needs: Vec<String>,
    /// Id and name of the smallest role that would have allowed it; only for `permission_denied`, and only where one
    /// would.
    pub smallest_role: Option<(Uuid, String)>,
}

impl Explained {
    /// What to tell the person who holds the token; `None` for yes.
    #[must_use]
    pub fn sentence(&self) -> Option<&'static str> {
        self.decision.denied.map(Reason::sentence)
    }
}

/// A decision by its id, of an organization in which the caller may verify tokens.
pub async fn explain(app: &Arc<App>, caller: &Caller, id: &str) -> Result<Explained> {
    let found = {
        let directory = app.verifier.directory();
        let may = |it: &Organization| {
            caller.require(&directory, it.id, Management::TokenVerify, Resource::default(), app.now())
        };
        let grants: Vec<Grant> = caller.organizations(&directory).filter_map(|it| may(it).ok()).collect();
        if grants.is_empty() {
            return Err(Error::permission_denied(Management::TokenVerify.as_str()));
        }
        grants.into_iter().find_map(|grant| Some((app.verifier.decision(id, grant.organization())?, grant)))
    };
    let Some((decision, grant)) = found else {
        return Err(Error {
            detail:
                "There is no such decision, or it is no longer remembered, or you may not see it. Decisions are kept \
                     in memory only, by the node that made them."
                    .into(),
            ..Error::not_found("decision")
        });
    };
    let mut explained = explained(app, &grant, vec![decision]).await?;
    explained.pop().ok_or_else(|| Error::not_found("decision"))
}

/// A decision of the organization by its id, as long as it is remembered.
pub async fn find(app: &Arc<App>, grant: &Grant, id: &str) -> Result<Option<Explained>> {
    let found = app.verifier.decision(id, grant.organization());
    Ok(explained(app, grant, found.into_iter().collect()).await?.pop())
}

/// Which decisions are listed.
#[derive(Clone, Copy, Default, Debug)]
pub struct Filter {
    /// Only those about this token.
    pub token: Option<Uuid>,
    /// Only those that came out as a yes, or as a no.
    pub valid: Option<bool>,
}

/// The last decisions that are remembered of the organization, the newest first.
pub async fn list(app: &Arc<App>, grant: &Grant, filter: Filter, limit: usize) -> Result<Vec<Explained>> {
    let mut decisions = app.verifier.decisions(grant.organization(), filter.token);
    decisions.retain(|it| filter.valid.is_none_or(|valid| it.denied.is_none() == valid));
    decisions.truncate(limit);
    explained(app, grant, decisions).await
}

async fn explained(app: &Arc<App>, grant: &Grant, decisions: Vec<KeptDecision>) -> Result<Vec<Explained>> {
    let mut ids: Vec<Uuid> = decisions.iter().filter_map(|it| it.token).collect();
    ids.sort_unstable();
    ids.dedup();
    let names: HashMap<Uuid, String> = if ids.is_empty() {
        HashMap::new()
    } else {
        let mut reader = app.read(grant.organization()).await?;
        tokens::names(reader.conn(), grant, &ids).await?
    };
    let (app, id) = (Arc::clone(app), grant.organization());
    // Roles are compared with one another: not where others wait for their answers.
    heavy::run(move || explained_now(&app, id, decisions, &names)).await
}

/// The same with the names of the tokens, by what is in memory.
fn explained_now(
    app: &App,
    organization: Uuid,
    decisions: Vec<KeptDecision>,
    names: &HashMap<Uuid, String>,
) -> Vec<Explained> {
    let directory = app.verifier.directory();
    let Some(organization) = directory.organization(organization) else { return Vec::new() };
    // Many decisions lack the same.
    let mut known: HashMap<Lacking, Option<(Uuid, String)>> = HashMap::new();
    let mut explain = |decision: KeptDecision| {
        // The beginning of a path is the path of another route.
        let route = match (&decision.api, &decision.method, &decision.path) {
            (Some(api), Some(method), Some(path)) if decision.path_is_whole() => {
                organization.ask_route(api, method, path)
            }
            _ => Ask::Identity,
        };
        let needs = match route {
            Ask::All(needs) => needs.iter().map(|it| it.as_str().to_owned()).collect(),
            _ => Vec::new(),
        };
        Explained {
            token_name: decision.token.and_then(|id| names.get(&id).cloned()),
            smallest_role: known
                .entry(Lacking::of(&decision, &needs))
                .or_insert_with(|| smallest_role(organization, &decision, route).map(|it| (it.id, it.name.to_string())))
                .clone(),
            needs,
            decision,
        }
    };
    decisions.into_iter().map(&mut explain).collect()
}

/// All that the smallest role of a decision follows from.
#[derive(PartialEq, Eq, Hash)]
struct Lacking {
    denied: bool,
    permission: Option<String>,
    missing: Option<String>,
    needs: Vec<String>,
    target: Target,
}

impl Lacking {
    fn of(decision: &KeptDecision, needs: &[String]) -> Self {
        Self {
            denied: decision.denied == Some(Reason::PermissionDenied),
            permission: decision.permission.clone(),
            missing: decision.missing.clone(),
            needs: needs.to_vec(),
            target: decision.target,
        }
    }
}

/// The smallest role that allows all that was asked: the one that names the fewest permissions, or another one that is a
/// part of it, so that none that is enough is a part of what comes out. Never the owner role, which no token can have.
fn smallest_role<'a>(organization: &'a Organization, decision: &KeptDecision, route: Ask<'_>) -> Option<&'a Role> {
    if decision.denied != Some(Reason::PermissionDenied) {
        return None;
    }
    // What was missing is needed whatever the route says: it may have changed since.
    let named = [&decision.permission, &decision.missing];
    let named: Vec<_> = named.into_iter().flatten().filter_map(|text| Permission::parse(text).ok()).collect();
    let by_route: Vec<Permission<'_>> = match route {
        Ask::All(needs) => needs.iter().map(RequiredPermission::permission).collect(),
        Ask::Never(_) => return None,
        Ask::Identity | Ask::Permission(_) => Vec::new(),
    };
    if named.is_empty() && by_route.is_empty() {
        return None;
    }
    let enough =
        |role: &&Role| named.iter().chain(&by_route).all(|permission| role.allows(*permission, decision.target));
    let mut roles: Vec<&Role> =
        organization.roles().map(|role| &**role).filter(|role| !role.is_owner()).filter(enough).collect();
    roles.sort_by_cached_key(|role| (role.permissions().len(), role.name.clone()));
    let is_part = |a: &Role, b: &Role| a.beyond(b).is_none() && b.beyond(a).is_some();
    // Each step compares one role with all, and there are few: each goes to a part of the one before.
    let mut smallest = *roles.first()?;
    while let Some(part) = roles.iter().find(|other| is_part(other, smallest)) {
        smallest = part;
    }
    Some(smallest)
}
