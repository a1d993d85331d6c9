//! Roles: the built-in ones, and the organization's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, RoleSnapshot};
use tokenward_core::name::{check_description, check_name, is_reserved_role};
use tokenward_core::permission::{Management, Permission};
use tokenward_core::role::{BuiltIn, ClusterLevel, Matrix, ProjectAccess, Role, RoleKind, Target};
use tokenward_core::secret;
use tokenward_core::token::Token;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::members::Member;
use tokenward_store::roles::{self, Description};
use tokenward_store::{Tx, clusters, members, projects, tokens};

use super::holders::{self, WantedName};
use super::{App, IfMatch, Written};
use crate::limits::{CUSTOM_ROLES, Limits, ROLE_PERMISSIONS};

/// A custom role, with its full matrix over everything that there is now.
#[derive(Clone, Debug)]
pub struct CustomRole {
    /// What it may do, compiled.
    pub role: Role,
    /// What it is for.
    pub description: Description,
    /// Every cluster with its name, in the order of their ids.
    pub clusters: Vec<(Uuid, String, ClusterLevel)>,
    /// Every project with its name, in the order of their ids; to a token that is narrowed, those that it sees.
    pub projects: Vec<(Uuid, String, ProjectAccess)>,
}

/// A replacement for a custom role. Clusters and projects that are left out have their default (contract §8.14).
#[derive(Clone)]
pub struct RoleBody {
    /// Its name.
    pub name: String,
    /// Its description; `None` leaves it as it is.
    pub description: Option<String>,
    /// Permissions of the organization's API; `None` leaves them as they are.
    pub permissions: Option<Vec<String>>,
    /// Levels on clusters.
    pub clusters: Vec<(Uuid, ClusterLevel)>,
    /// Access to projects.
    pub projects: Vec<(Uuid, ProjectAccess)>,
}

/// The roles that can be given to a token or a member: all but owner. Those that the caller may give come first, since the
/// published command line preselects the first; among them the built-in ones.
pub fn available(app: &Arc<App>, grant: &Grant) -> Result<Vec<Arc<Role>>> {
    let directory = app.verifier.directory();
    let organization = directory.organization(grant.organization());
    let roles = organization.into_iter().flat_map(|organization| organization.roles());
    let mut roles: Vec<_> = roles.filter(|role| !role.is_owner()).cloned().collect();
    // The built-in ones by power, the custom ones by name.
    roles.sort_by_cached_key(|role| {
        let place = match role.kind {
            RoleKind::BuiltIn(built_in) => (BuiltIn::ALL.iter().position(|other| *other == built_in), String::new()),
            RoleKind::Custom => (Some(BuiltIn::ALL.len()), role.name.to_lowercase()),
        };
        (role.beyond(grant.role()).is_some(), place)
    });
    Ok(roles)
}

/// The id of a built-in role of the organization.
pub fn built_in(app: &Arc<App>, grant: &Grant, wanted: BuiltIn) -> Result<Uuid> {
    let directory = app.verifier.directory();
    let mut roles =
        directory.organization(grant.organization()).into_iter().flat_map(|organization| organization.roles());
    let found = roles.find(|role| role.kind == RoleKind::BuiltIn(wanted)).map(|role| role.id);
    found.ok_or_else(|| Error::not_found("organization"))
}

/// A part of them: those behind the role `after`, as many as are asked for. Answers them and, where there may be more, the
/// last one.
pub async fn part(
    app: &Arc<App>,
    grant: &Grant,
    after: Option<Uuid>,
    limit: usize,
) -> Result<(Vec<CustomRole>, Option<Uuid>)> {
    let mut reader = app.read_on(grant, after).await?;
    let part = roles::page(reader.conn(), grant, after, limit).await?;
    let last = part.last().filter(|_| part.len() >= limit).map(|(role, _)| role.id);
    let places = MatrixNames::known(app, grant)?.seen_by(grant);
    Ok((part.into_iter().map(|(role, description)| places.complete(role, description)).collect(), last))
}

/// The custom roles without their matrices, by name: id, name and description.
pub async fn brief(app: &Arc<App>, grant: &Grant) -> Result<Vec<(Uuid, String, String)>> {
    let mut reader = app.read_for(grant).await?;
    let descriptions = roles::descriptions(reader.conn(), grant).await?;
    drop(reader);
    let directory = app.verifier.directory();
    let organization = directory.organization(grant.organization());
    let named = |it: Description| {
        let role = organization.and_then(|organization| organization.role(it.id))?;
        Some((it.id, role.name.to_string(), it.description))
    };
    let mut all: Vec<_> = descriptions.into_iter().filter_map(named).collect();
    all.sort_by_cached_key(|(_, name, _)| name.to_lowercase());
    Ok(all)
}

/// One custom role.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<CustomRole> {
    let mut reader = app.read_for(grant).await?;
    let (role, description) = roles::get(reader.conn(), grant, id).await?;
    Ok(MatrixNames::known(app, grant)?.seen_by(grant).complete(role, description))
}

/// Makes a custom role with the default matrix: every cluster is seen, no project is.
pub async fn create(
    app: &Arc<App>,
    grant: Grant,
    name: String,
    description: Option<String>,
    permissions: Vec<String>,
) -> Result<Written<CustomRole>> {
    let permissions = Some(permissions);
    create_whole(app, grant, RoleBody { name, description, permissions, clusters: Vec::new(), projects: Vec::new() })
        .await
}

/// Makes a custom role with its matrix. It may not hold more than the caller.
pub async fn create_whole(app: &Arc<App>, grant: Grant, body: RoleBody) -> Result<Written<CustomRole>> {
    let limits = app.limits.clone();
    let (asked, wanted) = (grant.clone(), body.name.clone());
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let places = MatrixNames::now(tx, grant).await?;
                let permissions = body.permissions.as_deref().unwrap_or_default();
                let role = check(tx.new_id(), &body, permissions, &places, &limits)?;
                grant.covers(&role)?;
                let count = roles::count_custom(tx.conn(), grant).await?;
                limits.room(&CUSTOM_ROLES, count, "The organization has as many custom roles as")?;
                let (now, description) = (tx.now(), body.description.unwrap_or_default());
                roles::insert(tx, grant, &role, &description, now).await?;
                let event = event(Kind::RoleCreated, grant, &role).after(snapshot(&role, &description));
                let description = Description { id: role.id, description, created_at: now, updated_at: now };
                Ok((places.complete(role, description), vec![event]))
            })
        })
        .await;
    holders::naming_holder(app, &asked, WantedName::Role(&wanted), written).await
}

/// Checks a custom role as it would be saved, by what is in memory. Nothing is written.
pub fn check_whole(app: &Arc<App>, grant: &Grant, body: &RoleBody) -> Result<()> {
    let places = MatrixNames::known(app, grant)?;
    let role = check(Uuid::nil(), body, body.permissions.as_deref().unwrap_or_default(), &places, &app.limits)?;
    grant.covers(&role)
}

/// Replaces a custom role. What results may not hold more than the caller.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    id: Uuid,
    body: RoleBody,
    if_match: IfMatch,
) -> Result<Written<CustomRole>> {
    let limits = app.limits.clone();
    let (asked, wanted) = (grant.clone(), body.name.clone());
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                // The role first: 404 comes before what is wrong with a body.
                let (old, old_description) = roles::get(tx.conn(), grant, id).await?;
                let places = MatrixNames::now(tx, grant).await?;
                // Permissions that the body does not name are those of the role as it is now, not as it was when somebody
                // read it: what another writer has just taken away stays away.
                let present = old.named_permissions();
                let role = check(id, &body, body.permissions.as_deref().unwrap_or(&present), &places, &limits)?;
                grant.covers(&role)?;
                if_match.check(old_description.updated_at)?;
                let updated_at = tx.next_version(old_description.updated_at);
                let description = body.description.unwrap_or_else(|| old_description.description.clone());
                roles::update(tx, grant, &role, &description, updated_at).await?;
                let event = event(Kind::RoleUpdated, grant, &role)
                    .before(snapshot(&old, &old_description.description))
                    .after(snapshot(&role, &description));
                let description = Description { description, updated_at, ..old_description };
                Ok((places.complete(role, description), vec![event]))
            })
        })
        .await;
    holders::naming_holder(app, &asked, WantedName::Role(&wanted), written).await
}

/// Deletes a custom role. Its holders get the role `move_to`, where that is said; otherwise it stays while there are any, and
/// 409 names them. Invitations with it end.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid, move_to: Option<Uuid>) -> Result<Written<()>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let (role, description) = roles::get(tx.conn(), grant, id).await?;
            let holders = Holders::of(tx, grant, id).await?;
            let target = match move_to {
                Some(same) if same == id => {
                    return Err(Error::invalid(
                        "move_to",
                        "is the role itself; name the one that its holders are to have",
                    ));
                }
                Some(other) => {
                    holders.require_rights(grant)?;
                    roles::assignable(tx, grant, "move_to", other).await?
                }
                // Those whose end has come do nothing with any role, and still name one.
                None => roles::built_in(tx, grant, BuiltIn::Viewer).await?,
            };
            let now = tx.now();
            if move_to.is_none() {
                holders.require_none(now)?;
            }
            let mut events = super::invitations::end_with_role(tx, grant, id).await?;
            events.extend(super::sign_in_rules::leave_role(tx, grant, id, move_to.map(|_| target.id)).await?);
            roles::move_holders(tx, grant, id, target.id, now).await?;
            events.extend(holders.tokens.iter().map(|token| super::tokens::moved(token, &target)));
            for member in &holders.members {
                events.push(super::members::moved(grant, member, &target));
                // What somebody gave who may not any more, as with every smaller role.
                if role.beyond(&target).is_some() {
                    events.extend(super::invitations::end_sent_by(tx, grant, member.account_id).await?);
                }
            }
            roles::delete(tx, grant, id).await?;
            events.push(event(Kind::RoleDeleted, grant, &role).before(snapshot(&role, &description.description)));
            Ok(((), events))
        })
    })
    .await
}

/// Most holders of a role that a refusal names.
const NAMED: usize = 10;

/// Who has a role, as far as that keeps it from being deleted, and the tokens whose end has just come: those that are marked
/// follow without a word, as they do nothing any more.
struct Holders {
    tokens: Vec<Token>,
    members: Vec<Member>,
}

impl Holders {
    async fn of(tx: &mut Tx, grant: &Grant, role: Uuid) -> Result<Self> {
        let tokens = tokens::with_role(tx.conn(), grant, role).await?;
        Ok(Self { tokens, members: members::with_role(tx.conn(), grant, role).await? })
    }

    /// Giving tokens and members a role takes the right to that too.
    fn require_rights(&self, grant: &Grant) -> Result<()> {
        let with_policy = self.tokens.iter().any(|token| token.kind == secret::Kind::PolicyToken);
        for (any, needed) in [
            (!self.tokens.is_empty(), Management::TokenManage),
            (with_policy, Management::PolicyManage),
            (!self.members.is_empty(), Management::MemberManage),
        ] {
            if any {
                grant.require_also(needed).map_err(|error| error.about("move_to"))?;
            }
        }
        Ok(())
    }

    fn require_none(&self, now: Time) -> Result<()> {
        let alive = |token: &&Token| token.expires_at.is_none_or(|at| now < at);
        let tokens = self.tokens.iter().filter(alive).map(|token| format!("token `{}`", token.name));
        let all: Vec<String> = tokens.chain(self.members.iter().map(|it| format!("member `{}`", it.email))).collect();
        if all.is_empty() {
            return Ok(());
        }
        let more = all.len().saturating_sub(NAMED);
        let mut names = all[..all.len() - more].join(", ");
        if more > 0 {
            names.push_str(&format!(" and {more} more"));
        }
        Err(Error::conflict(format!(
            "The role is in use by {names}. Give them another role first, or delete it with `?move_to=<role id>`, which gives \
             all of them that role. In Terraform, `lifecycle {{ create_before_destroy = true }}` on the role lets its users \
             go to the new one first."
        )))
    }
}

/// The role of a body with these permissions, or all that is wrong with it.
fn check(id: Uuid, body: &RoleBody, permissions: &[String], places: &MatrixNames, limits: &Limits) -> Result<Role> {
    let mut faults = Faults::default();
    faults.check("name", check_name(&body.name));
    if is_reserved_role(&body.name) {
        faults.push("name", "is the name of a built-in role, or can be mistaken for one");
    }
    faults.check("description", check_description(body.description.as_deref().unwrap_or_default()));
    let most = limits.size(&ROLE_PERMISSIONS);
    if permissions.len() > most {
        let count = permissions.len();
        faults.push(
            "permissions",
            format!(
                "names {count}; the limit `{}` is {most}. Use wildcards such as `invoices:*`",
                ROLE_PERMISSIONS.name
            ),
        );
    }
    let matrix = check_matrix(places, body, &mut faults);
    // What is too long is not read.
    let read = &permissions[..permissions.len().min(most)];
    let role = Role::custom(id, &body.name, read, matrix);
    faults.and(role.map_err(|problem| Error::invalid("permissions", problem)))
}

/// Checks the ids of a matrix and keeps what differs from the default.
fn check_matrix(places: &MatrixNames, body: &RoleBody, faults: &mut Faults) -> Matrix {
    let mut matrix = Matrix::default();
    let mut seen = std::collections::HashSet::new();
    for (id, level) in &body.clusters {
        if !seen.insert(*id) {
            faults.push("cluster_permissions", format!("names the cluster {id} twice"));
        } else if !places.clusters.contains_key(id) {
            faults.push("cluster_permissions", format!("names {id}, which is not a cluster of this organization"));
        } else if *level != ClusterLevel::Viewer {
            matrix.clusters.insert(*id, *level);
        }
    }
    for (id, access) in &body.projects {
        if !seen.insert(*id) {
            faults.push("project_permissions", format!("names the project {id} twice"));
        } else if !places.projects.contains_key(id) {
            faults.push("project_permissions", format!("names {id}, which is not a project of this organization"));
        } else if *access != ProjectAccess::NONE {
            matrix.projects.insert(*id, *access);
        }
    }
    matrix
}

/// The clusters and projects of an organization with their names: what a matrix is over.
struct MatrixNames {
    clusters: BTreeMap<Uuid, String>,
    projects: BTreeMap<Uuid, String>,
}

impl MatrixNames {
    /// Those of the rows, inside a transaction.
    async fn now(tx: &mut Tx, grant: &Grant) -> Result<Self> {
        Ok(Self {
            clusters: clusters::names(tx.conn(), grant).await?.into_iter().collect(),
            projects: projects::names(tx.conn(), grant).await?.into_iter().collect(),
        })
    }

    /// Those in memory.
    fn known(app: &App, grant: &Grant) -> Result<Self> {
        let directory = app.verifier.directory();
        let organization =
            directory.organization(grant.organization()).ok_or_else(|| Error::not_found("organization"))?;
        Ok(Self {
            clusters: organization.clusters().iter().map(|(id, name)| (*id, name.to_string())).collect(),
            projects: organization.projects().iter().map(|(id, name)| (*id, name.to_string())).collect(),
        })
    }

    /// Those that a narrowed token sees. Everybody else reads a role whole, to write it again.
    fn seen_by(mut self, grant: &Grant) -> Self {
        let role = grant.role();
        if role.is_somewhere() {
            self.projects
                .retain(|id, _| role.allows(Permission::Management(Management::ProjectRead), Target::Project(*id)));
        }
        self
    }

    /// A role with its level on each of them.
    fn complete(&self, role: Role, description: Description) -> CustomRole {
        let level = |id| role.cluster_level(id).unwrap_or(ClusterLevel::Viewer);
        let clusters = self.clusters.iter().map(|(id, name)| (*id, name.clone(), level(*id))).collect();
        let projects = self.projects.iter().map(|(id, name)| (*id, name.clone(), role.project_access(*id))).collect();
        CustomRole { role, description, clusters, projects }
    }
}

fn event(kind: Kind, grant: &Grant, role: &Role) -> Event {
    Event::new(kind, Some(grant.organization()), role.id, &*role.name)
}

fn snapshot(role: &Role, description: &str) -> RoleSnapshot {
    RoleSnapshot {
        name: role.name.to_string(),
        description: description.to_owned(),
        permissions: role.named_permissions(),
        cluster_permissions: role.matrix().clusters.iter().map(|(id, level)| (*id, *level)).collect(),
        project_permissions: role.matrix().projects.iter().map(|(id, a)| (*id, a.is_admin, a.levels)).collect(),
    }
}
