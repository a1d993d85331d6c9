//! Roles: the built-in ones, and the organization's own.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::directory::Organization;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, RoleSnapshot};
use tokenward_core::name::{check_description, check_name, is_reserved_role};
use tokenward_core::role::{BuiltIn, ClusterLevel, Matrix, ProjectAccess, Role, RoleKind};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::roles::{self, Description};

use super::{App, IfMatch, Written, detached};

/// A custom role, with its full matrix over everything that there is now.
#[derive(Clone, Debug)]
pub struct CustomRole {
    /// What it may do, compiled.
    pub role: Role,
    /// What it is for.
    pub description: Description,
    /// Every cluster with its name, in the order of their ids.
    pub clusters: Vec<(Uuid, String, ClusterLevel)>,
    /// Every project with its name, in the order of their ids.
    pub projects: Vec<(Uuid, String, ProjectAccess)>,
}

/// A replacement for a custom role. Clusters and projects that are left out have their default (contract §8.14).
pub struct RoleBody {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Permissions of the organization's API; `None` leaves them as they are.
    pub permissions: Option<Vec<String>>,
    /// Levels on clusters.
    pub clusters: Vec<(Uuid, ClusterLevel)>,
    /// Access to projects.
    pub projects: Vec<(Uuid, ProjectAccess)>,
}

/// The roles that can be given to a token or a member: all but owner, the built-in ones first.
pub fn available(app: &Arc<App>, grant: &Grant) -> Result<Vec<Arc<Role>>> {
    let directory = app.verifier.directory();
    let organization = directory.organization(grant.organization());
    let roles = organization.into_iter().flat_map(|organization| organization.roles());
    let mut roles: Vec<_> = roles.filter(|role| !role.is_owner()).cloned().collect();
    // The built-in ones by power, the custom ones by name.
    roles.sort_by_key(|role| match role.kind {
        RoleKind::BuiltIn(built_in) => (BuiltIn::ALL.iter().position(|other| *other == built_in), String::new()),
        RoleKind::Custom => (Some(BuiltIn::ALL.len()), role.name.to_lowercase()),
    });
    Ok(roles)
}

/// The custom roles.
pub async fn list(app: &Arc<App>, grant: &Grant) -> Result<Vec<CustomRole>> {
    let mut reader = app.store.read().await?;
    let all = roles::list(reader.conn(), grant).await?;
    all.into_iter().map(|(role, description)| complete(app, grant, role, description)).collect()
}

/// One custom role.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<CustomRole> {
    let mut reader = app.store.read().await?;
    let (role, description) = roles::get(reader.conn(), grant, id).await?;
    complete(app, grant, role, description)
}

/// Makes a custom role with the default matrix: every cluster is seen, no project is.
pub async fn create(
    app: &Arc<App>,
    grant: Grant,
    name: String,
    description: Option<String>,
    permissions: Vec<String>,
) -> Result<Written<CustomRole>> {
    let description = description.unwrap_or_default();
    let permissions = Some(permissions);
    create_whole(app, grant, RoleBody { name, description, permissions, clusters: Vec::new(), projects: Vec::new() })
        .await
}

/// Makes a custom role with its matrix. It may not hold more than the caller.
pub async fn create_whole(app: &Arc<App>, grant: Grant, body: RoleBody) -> Result<Written<CustomRole>> {
    let mut faults = Faults::default();
    check_texts(&body.name, &body.description, &mut faults);
    let matrix = matrix(app, &grant, &body, &mut faults)?;
    let permissions = body.permissions.unwrap_or_default();
    let role = compile(app.store.new_id(), &body.name, &permissions, matrix, &mut faults)?;
    grant.covers(&role)?;
    let (app, description) = (Arc::clone(app), body.description);
    detached(async move {
        let now = app.now();
        let mut tx = app.store.begin().await?;
        roles::insert(&mut tx, &grant, &role, &description, now).await?;
        let event = event(Kind::RoleCreated, &grant, &role).after(snapshot(&role, &description));
        let description = Description { id: role.id, description, created_at: now.0, updated_at: now.0 };
        let value = complete(&app, &grant, role, description)?;
        app.commit(tx, grant.by(), &[event], value).await
    })
    .await
}

/// The matrix of a body, over what the organization has now.
fn matrix(app: &Arc<App>, grant: &Grant, body: &RoleBody, faults: &mut Faults) -> Result<Matrix> {
    let directory = app.verifier.directory();
    let organization = directory.organization(grant.organization()).ok_or_else(|| Error::not_found("organization"))?;
    Ok(check_matrix(organization, body, faults))
}

/// Replaces a custom role. What results may not hold more than the caller.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    id: Uuid,
    body: RoleBody,
    if_match: IfMatch,
) -> Result<Written<CustomRole>> {
    // The role first: 404 comes before what is wrong with a body.
    let mut reader = app.store.read().await?;
    let (present, _) = roles::get(reader.conn(), &grant, id).await?;
    drop(reader);
    let mut faults = Faults::default();
    check_texts(&body.name, &body.description, &mut faults);
    let matrix = matrix(app, &grant, &body, &mut faults)?;
    let permissions = body.permissions.unwrap_or_else(|| present.named_permissions());
    let role = compile(id, &body.name, &permissions, matrix, &mut faults)?;
    grant.covers(&role)?;
    let (app, description) = (Arc::clone(app), body.description);
    detached(async move {
        let mut tx = app.store.begin().await?;
        let (old, old_description) = roles::get(tx.conn(), &grant, id).await?;
        if_match.check(old_description.updated_at)?;
        let updated_at = app.store.next_version(old_description.updated_at);
        roles::update(&mut tx, &grant, &role, &description, updated_at).await?;
        let event = event(Kind::RoleUpdated, &grant, &role)
            .before(snapshot(&old, &old_description.description))
            .after(snapshot(&role, &description));
        let value = complete(&app, &grant, role, Description { description, updated_at, ..old_description })?;
        app.commit(tx, grant.by(), &[event], value).await
    })
    .await
}

/// Deletes a custom role; 409 that names its users while there are any.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<()>> {
    let app = Arc::clone(app);
    detached(async move {
        let mut tx = app.store.begin().await?;
        let (role, description) = roles::get(tx.conn(), &grant, id).await?;
        let users = roles::users(tx.conn(), &grant, id).await?;
        if !users.is_empty() {
            let more = users.len().saturating_sub(10);
            let mut names = users.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
            if more > 0 {
                names.push_str(&format!(" and {more} more"));
            }
            return Err(Error::conflict(format!("The role is in use by {names}. Give them another role first.")));
        }
        roles::delete(&mut tx, &grant, id).await?;
        let event = event(Kind::RoleDeleted, &grant, &role).before(snapshot(&role, &description.description));
        app.commit(tx, grant.by(), &[event], ()).await
    })
    .await
}

fn check_texts(name: &str, description: &str, faults: &mut Faults) {
    faults.check("name", check_name(name));
    if is_reserved_role(name) {
        faults.push("name", "is the name of a built-in role, or can be mistaken for one");
    }
    faults.check("description", check_description(description));
}

/// Checks the ids of a matrix and keeps what differs from the default.
fn check_matrix(organization: &Organization, body: &RoleBody, faults: &mut Faults) -> Matrix {
    let mut matrix = Matrix::default();
    let mut seen = std::collections::HashSet::new();
    for (id, level) in &body.clusters {
        if !seen.insert(*id) {
            faults.push("cluster_permissions", format!("names the cluster {id} twice"));
        } else if !organization.clusters().contains_key(id) {
            faults.push("cluster_permissions", format!("names {id}, which is not a cluster of this organization"));
        } else if *level != ClusterLevel::Viewer {
            matrix.clusters.insert(*id, *level);
        }
    }
    for (id, access) in &body.projects {
        if !seen.insert(*id) {
            faults.push("project_permissions", format!("names the project {id} twice"));
        } else if !organization.projects().contains_key(id) {
            faults.push("project_permissions", format!("names {id}, which is not a project of this organization"));
        } else if *access != ProjectAccess::NONE {
            matrix.projects.insert(*id, *access);
        }
    }
    matrix
}

fn compile(id: Uuid, name: &str, permissions: &[String], matrix: Matrix, faults: &mut Faults) -> Result<Role> {
    let role = Role::custom(id, name, permissions, matrix);
    if let Err(problem) = &role {
        faults.push("permissions", problem);
    }
    std::mem::take(faults).finish()?;
    role.map_err(|problem| Error::invalid("permissions", problem))
}

/// Joins a role with all clusters and projects that there are now.
fn complete(app: &Arc<App>, grant: &Grant, role: Role, description: Description) -> Result<CustomRole> {
    let directory = app.verifier.directory();
    let organization = directory.organization(grant.organization()).ok_or_else(|| Error::not_found("organization"))?;
    let mut clusters: Vec<_> = organization
        .clusters()
        .iter()
        .map(|(id, name)| (*id, name.to_string(), role.cluster_level(*id).unwrap_or(ClusterLevel::Viewer)))
        .collect();
    clusters.sort_by_key(|(id, ..)| *id);
    let mut projects: Vec<_> =
        organization.projects().iter().map(|(id, name)| (*id, name.to_string(), role.project_access(*id))).collect();
    projects.sort_by_key(|(id, ..)| *id);
    Ok(CustomRole { role, description, clusters, projects })
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

/// What a role can do, in a sentence for people.
#[must_use]
pub fn meaning(role: &Role) -> String {
    match role.kind {
        RoleKind::BuiltIn(built_in) => built_in.meaning().to_owned(),
        RoleKind::Custom => {
            let matrix = role.matrix();
            let count = |n: usize, thing: &str| match n {
                0 => format!("no {thing}"),
                1 => format!("1 {thing}"),
                n => format!("{n} {thing}s"),
            };
            let named = match role.named_permissions() {
                list if list.is_empty() => "no permission of your API".to_owned(),
                list => list.join(", "),
            };
            format!(
                "Custom role: sees {}, does more than read on {}, and holds {named}.",
                count(matrix.projects.len(), "project"),
                count(matrix.clusters.len(), "cluster"),
            )
        }
    }
}
