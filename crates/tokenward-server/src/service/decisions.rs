//! Decisions that are still remembered, and why they came out as they did.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use tokenward_core::caller::{Caller, Grant};
use tokenward_core::decision::Ask;
use tokenward_core::directory::{Organization, Resource};
use tokenward_core::needs::Needs;
use tokenward_core::permission::{Management, Permission};
use tokenward_core::reason::Reason;
use tokenward_core::role::{Role, Target};
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::apis::KeptRoute;
use tokenward_store::{denials, tokens};
use tokenward_verify::server::ID_LENGTH;

use super::App;
use crate::heavy;
use crate::limits::DENIALS_LOOKED_THROUGH;
pub use tokenward_verify::server::KeptDecision;

/// A decision with what can be said about it now.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The decision.
    pub decision: KeptDecision,
    /// The name of its token.
    pub token_name: Option<String>,
    /// What the route of its request needs now: all permissions of any one of these.
    pub needs: Vec<Vec<String>>,
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
    let (grants, found) = {
        let directory = app.verifier.directory();
        let may = |it: &Organization| {
            caller.require(&directory, it.id, Management::TokenVerify, Resource::default(), app.now())
        };
        let grants: Vec<Grant> = caller.organizations(&directory).filter_map(|it| may(it).ok()).collect();
        if grants.is_empty() {
            return Err(Error::permission_denied(Management::TokenVerify.as_str()));
        }
        let found = grants.iter().find_map(|grant| app.verifier.decision(id, grant.organization()));
        (grants, found)
    };
    let organizations: Vec<Uuid> = grants.iter().map(Grant::organization).collect();
    let decision = match found {
        Some(found) => Some(found),
        None => kept(app, &organizations, id).await?,
    };
    let whose = |it: &KeptDecision| grants.into_iter().find(|grant| grant.organization() == it.organization);
    let Some((grant, decision)) = decision.and_then(|it| Some((whose(&it)?, it))) else {
        return Err(Error {
            detail: "There is no such decision, or it is no longer remembered, or you may not see it. Denials are kept in the \
                     database for a while; what was allowed only in memory, by the node that decided."
                .into(),
            ..Error::not_found("decision")
        });
    };
    let mut explained = explained(app, &grant, vec![decision]).await?;
    explained.pop().ok_or_else(|| Error::not_found("decision"))
}

/// A decision of the organization by its id, as long as it is remembered.
pub async fn find(app: &Arc<App>, grant: &Grant, id: &str) -> Result<Option<Explained>> {
    let found = match app.verifier.decision(id, grant.organization()) {
        Some(found) => Some(found),
        None => kept(app, &[grant.organization()], id).await?,
    };
    Ok(explained(app, grant, found.into_iter().collect()).await?.pop())
}

/// A denial of one of these organizations that is in the database.
async fn kept(app: &Arc<App>, organizations: &[Uuid], id: &str) -> Result<Option<KeptDecision>> {
    // Every other text is the id of none.
    let may_be = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some(first) = organizations.first().filter(|_| may_be) else { return Ok(None) };
    let mut reader = app.read(*first).await?;
    Ok(denials::find(reader.conn(), organizations, id).await?.and_then(KeptDecision::of_kept))
}

/// Which decisions are listed.
#[derive(Clone, Default, Debug)]
pub struct DecisionQuery {
    /// Only those about this token.
    pub token: Option<Uuid>,
    /// Only those that came out as a yes, or as a no.
    pub valid: Option<bool>,
    /// Only those that were denied for this reason.
    pub reason: Option<Reason>,
    /// Only those in whose method and path, or permission, this stands, in any case.
    pub route: Option<String>,
    /// Only those that came from this address.
    pub address: Option<IpAddr>,
    /// Only those from this moment on.
    pub from: Option<Time>,
    /// Only those before this moment.
    pub to: Option<Time>,
}

impl DecisionQuery {
    fn matches(&self, it: &KeptDecision) -> bool {
        let route = self.route.as_ref().map(|route| route.to_lowercase());
        let asked = || wanted(it).to_lowercase();
        self.token.is_none_or(|token| it.token == Some(token))
            && self.valid.is_none_or(|valid| it.denied.is_none() == valid)
            && self.reason.is_none_or(|reason| it.denied == Some(reason))
            && self.address.is_none_or(|address| it.address == Some(address))
            && self.from.is_none_or(|from| it.at >= from)
            && self.to.is_none_or(|to| it.at < to)
            && route.is_none_or(|route| asked().contains(&route))
    }
}

/// What was asked: `GET /invoices`, or the permission.
#[must_use]
pub fn wanted(it: &KeptDecision) -> String {
    match (&it.method, &it.path) {
        (Some(method), Some(path)) => format!("{method} {path}"),
        _ => it.permission.clone().unwrap_or_default(),
    }
}

/// The last decisions that are remembered of the organization, the newest first: what is in memory here, and the denials that
/// are kept.
pub async fn list(app: &Arc<App>, grant: &Grant, filter: &DecisionQuery, limit: usize) -> Result<Vec<Explained>> {
    let all = matching(app, grant, filter, limit).await?;
    explained(app, grant, all).await
}

/// How many decisions of that list are denials, and how many are not, whatever the filter says of that: of either at most so many are
/// counted.
pub async fn counts(app: &Arc<App>, grant: &Grant, filter: &DecisionQuery, most: usize) -> Result<(usize, usize)> {
    Ok(counted(app, grant, filter, 0, most).await?.1)
}

/// The decision behind which a page begins: when it was made, and its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionCursor {
    at: Time,
    id: String,
}

impl DecisionCursor {
    /// As the page before says it.
    #[must_use]
    pub fn cursor(&self) -> String {
        format!("decision.{}.{}", self.at.0, self.id)
    }

    /// Reads that; the error completes the sentence that begins with its field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let none = || "is none that a list of decisions has answered; begin again without it".to_owned();
        let ["decision", at, id] = text.split('.').collect::<Vec<_>>()[..] else { return Err(none()) };
        let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let at = at.parse().ok().filter(|_| is_id).ok_or_else(none)?;
        Ok(Self { at: Time(at), id: id.to_owned() })
    }
}

/// A page of that list: those behind a place of it. Answers them and, where there are more, behind which one they are.
pub async fn page(
    app: &Arc<App>,
    grant: &Grant,
    filter: &DecisionQuery,
    limit: usize,
    after: Option<&DecisionCursor>,
) -> Result<(Vec<Explained>, Option<DecisionCursor>)> {
    let mut all = match after {
        None => matching(app, grant, filter, limit + 1).await?,
        Some(place) => {
            // Many are of the same moment: the clock of decisions ticks a hundred times a second.
            let end = place.at.plus(1);
            let to = Some(filter.to.map_or(end, |to| to.min(end)));
            let all =
                matching(app, grant, &DecisionQuery { to, ..filter.clone() }, DENIALS_LOOKED_THROUGH.size()).await?;
            // One that is not remembered any more was among the first of its moment.
            let seen = all.iter().position(|it| it.id == place.id).map_or(0, |at| at + 1);
            all.into_iter().skip(seen).take(limit + 1).collect()
        }
    };
    let more = all.len() > limit;
    all.truncate(limit);
    let last = all.last().filter(|_| more).map(|it| DecisionCursor { at: it.at, id: it.id.clone() });
    Ok((explained(app, grant, all).await?, last))
}

/// The same without what is to be said of them.
pub(super) async fn matching(
    app: &Arc<App>,
    grant: &Grant,
    filter: &DecisionQuery,
    limit: usize,
) -> Result<Vec<KeptDecision>> {
    Ok(counted(app, grant, filter, limit, 0).await?.0)
}

/// The same with [`counts`], in one walk.
pub(super) async fn counted(
    app: &Arc<App>,
    grant: &Grant,
    filter: &DecisionQuery,
    limit: usize,
    most: usize,
) -> Result<(Vec<KeptDecision>, (usize, usize))> {
    let organization = grant.organization();
    let mut kept = Vec::new();
    let listed = if filter.valid == Some(true) { 0 } else { limit };
    if listed.max(most) > 0 {
        let sought = denials::DenialFilter {
            token: filter.token,
            reason: filter.reason,
            address: filter.address.map(|it| it.to_string()),
            from: filter.from,
            to: filter.to,
        };
        // What stands in a route is looked for here.
        let most = if filter.route.is_some() { DENIALS_LOOKED_THROUGH.size() } else { listed.max(most) };
        let mut reader = app.read_for(grant).await?;
        kept = denials::list(reader.conn(), grant, &sought, i64::try_from(most).unwrap_or(i64::MAX)).await?;
    }
    let (app, filter) = (Arc::clone(app), filter.clone());
    // Twenty of each of thousands of tokens are in memory: not where others wait for their answers.
    heavy::run(organization, move || {
        let mut decisions = app.verifier.decisions(organization, filter.token);
        if !kept.is_empty() {
            let known: HashSet<String> = decisions.iter().map(|it| it.id.clone()).collect();
            decisions.extend(kept.into_iter().filter(|it| !known.contains(&it.id)).filter_map(KeptDecision::of_kept));
            decisions.sort_by_key(|it| std::cmp::Reverse(it.at));
        }
        let either = DecisionQuery { valid: None, ..filter.clone() };
        let wanted = if most > 0 { &either } else { &filter };
        decisions.retain(|it| wanted.matches(it));
        let denied = decisions.iter().filter(|it| it.denied.is_some()).count();
        let counts = (denied.min(most), (decisions.len() - denied).min(most));
        decisions.retain(|it| filter.valid.is_none_or(|valid| it.denied.is_none() == valid));
        decisions.truncate(limit);
        (decisions, counts)
    })
    .await
}

/// What a decision was about, by the routes as they are now.
pub(super) struct DecisionQuestion<'a> {
    /// The permissions that were named: what was missing is needed even where the route has changed since.
    named: Vec<Permission<'a>>,
    route: Ask<'a>,
}

impl<'a> DecisionQuestion<'a> {
    pub(super) fn in_decision(organization: &'a Organization, decision: &'a KeptDecision) -> Self {
        // The beginning of a path is the path of another route.
        let route = match (&decision.api, &decision.method, &decision.path) {
            (Some(api), Some(method), Some(path)) if decision.path_is_whole() => {
                organization.ask_route(api, method, path)
            }
            _ => Ask::Identity,
        };
        // A route with several ways lacks one of them, and another one may do.
        let missing = decision.missing.as_ref().filter(|missing| match route {
            Ask::Route(needs) => !needs.permissions().any(|it| it.as_str() == missing.as_str()),
            _ => true,
        });
        let named = [decision.permission.as_ref(), missing];
        let named = named.into_iter().flatten().filter_map(|text| Permission::parse(text).ok()).collect();
        Self { named, route }
    }

    /// What the route needs.
    fn needs(&self) -> Option<&'a Needs> {
        match self.route {
            Ask::Route(needs) => Some(needs),
            _ => None,
        }
    }

    /// Was it about the credential alone?
    pub(super) fn is_nothing(&self) -> bool {
        self.named.is_empty() && self.needs().is_none()
    }

    /// Is it on no route, so that no role allows it?
    pub(super) fn is_never(&self) -> bool {
        matches!(self.route, Ask::Never(_))
    }

    pub(super) fn allowed_by(&self, role: &Role, target: Target) -> bool {
        let lacks = |needs: &Needs| needs.missing(|it| role.allows(it.permission(), target)).is_some();
        self.named.iter().all(|permission| role.allows(*permission, target)) && !self.needs().is_some_and(lacks)
    }
}

pub(super) async fn explained(app: &Arc<App>, grant: &Grant, decisions: Vec<KeptDecision>) -> Result<Vec<Explained>> {
    let mut ids: Vec<Uuid> = decisions.iter().filter_map(|it| it.token).collect();
    ids.sort_unstable();
    ids.dedup();
    let names: HashMap<Uuid, String> = if ids.is_empty() {
        HashMap::new()
    } else {
        let mut reader = app.read_for(grant).await?;
        tokens::names(reader.conn(), grant, &ids).await?
    };
    let (app, id) = (Arc::clone(app), grant.organization());
    // Roles are compared with one another: not where others wait for their answers, and behind those who do. It takes no lock.
    heavy::aside(id, move || explained_now(&app, id, decisions, &names)).await
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
        let asked = DecisionQuestion::in_decision(organization, &decision);
        let needs = asked.needs().map(KeptRoute::ways_of).unwrap_or_default();
        let smallest_role = known
            .entry(Lacking::of(&decision, &needs))
            .or_insert_with(|| smallest_role(organization, &decision, &asked).map(|it| (it.id, it.name.to_string())))
            .clone();
        Explained { token_name: decision.token.and_then(|id| names.get(&id).cloned()), smallest_role, needs, decision }
    };
    decisions.into_iter().map(&mut explain).collect()
}

/// All that the smallest role of a decision follows from.
#[derive(PartialEq, Eq, Hash)]
struct Lacking {
    denied: bool,
    permission: Option<String>,
    missing: Option<String>,
    needs: Vec<Vec<String>>,
    target: Target,
}

impl Lacking {
    fn of(decision: &KeptDecision, needs: &[Vec<String>]) -> Self {
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
fn smallest_role<'a>(
    organization: &'a Organization,
    decision: &KeptDecision,
    asked: &DecisionQuestion<'_>,
) -> Option<&'a Role> {
    if decision.denied != Some(Reason::PermissionDenied) || asked.is_nothing() || asked.is_never() {
        return None;
    }
    let enough = |role: &&Role| asked.allowed_by(role, decision.target);
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
