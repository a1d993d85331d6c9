//! Environments, as far as the caller sees them.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{EnvironmentSnapshot, Event, Kind};
use tokenward_core::name::check_name;
use tokenward_core::permission::{Management, Permission};
use tokenward_core::role::{Mode, Role, Target};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::environments::{self, Environment};
use tokenward_store::variables::{self, Owner};
use tokenward_store::{Tx, clusters, projects};

use super::holders::{self, WantedName};
use super::{App, IfMatch, Written};
use crate::limits::ENVIRONMENTS;

/// What a caller says of a new environment.
pub struct NewEnvironment {
    /// Its name, unique in its project.
    pub name: String,
    /// Its mode; `None` is DEVELOPMENT.
    pub mode: Option<String>,
    /// Where it runs; `None` is the only cluster of the organization.
    pub cluster: Option<Uuid>,
}

/// The environments of a project that the caller sees.
pub async fn list(app: &Arc<App>, grant: &Grant, project: Uuid) -> Result<Vec<Environment>> {
    let mut reader = app.read_for(grant).await?;
    let mut all = environments::list(reader.conn(), grant, project).await?;
    all.retain(|environment| sees(grant, environment));
    Ok(all)
}

/// A part of those of the whole organization: those behind the environment `after`, as many as are looked at for it. Answers
/// them and, where there may be more, the last one that was looked at.
pub async fn part(
    app: &Arc<App>,
    grant: &Grant,
    after: Option<Uuid>,
    limit: usize,
) -> Result<(Vec<Environment>, Option<Uuid>)> {
    let mut reader = app.read_on(grant, after).await?;
    let mut part = environments::page(reader.conn(), grant, after, limit).await?;
    let last = part.last().filter(|_| part.len() >= limit).map(|environment| environment.id);
    part.retain(|environment| sees(grant, environment));
    Ok((part, last))
}

fn sees(grant: &Grant, environment: &Environment) -> bool {
    let Environment { id, project_id: project, mode, cluster_id: cluster, .. } = *environment;
    let target = Target::Environment { id, project, mode, cluster };
    grant.role().allows(Permission::Management(Management::EnvironmentRead), target)
}

/// The environment of the grant.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<Environment> {
    let mut reader = app.read_for(grant).await?;
    environments::get(reader.conn(), grant, id).await
}

/// Makes an environment: needs MANAGER on the mode and ENV_CREATOR on the cluster.
pub async fn create(app: &Arc<App>, grant: Grant, project: Uuid, new: NewEnvironment) -> Result<Written<Environment>> {
    let limits = app.limits.clone();
    let (asked, wanted) = (grant.clone(), new.name.clone());
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let mut faults = Faults::default();
                faults.check("name", check_name(&new.name));
                let mode = new.mode.as_deref().map_or(Mode::Development, |mode| read_mode(mode, &mut faults, false));
                let cluster = faults.and(choose_cluster(tx, grant, new.cluster).await)?;
                let may = |role: &Role| role.may_create_environment(project, mode, cluster);
                grant.require_that(Management::EnvironmentManage, may).map_err(|error| error.about("mode"))?;
                let project = projects::get(tx.conn(), grant, project).await?;
                let count = environments::count(tx.conn(), grant, project.id).await?;
                limits.room(&ENVIRONMENTS, count, "The project has as many environments as")?;
                let cluster = clusters::get(tx.conn(), grant, cluster).await?;
                let now = tx.now();
                let environment = Environment {
                    id: tx.new_id(),
                    project_id: project.id,
                    project_name: project.name,
                    cluster_id: cluster.id,
                    cluster_name: cluster.name,
                    cloud_provider: cluster.cloud_provider,
                    name: new.name,
                    mode,
                    last_updated_by: grant.by().actor.name().to_owned(),
                    last_updated_by_kind: Some(grant.by().actor.kind()),
                    last_updated_by_id: grant.by().actor.id(),
                    created_at: now,
                    updated_at: now,
                };
                environments::insert(tx, grant, &environment).await?;
                let event = event(Kind::EnvironmentCreated, grant, &environment).after(snapshot(&environment));
                Ok((environment, vec![event]))
            })
        })
        .await;
    holders::naming_holder(app, &asked, WantedName::Environment(project, &wanted), written).await
}

/// Changes an environment: needs MANAGER on the old mode and on the new one.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    id: Uuid,
    name: Option<String>,
    mode: Option<String>,
    if_match: IfMatch,
) -> Result<Written<Environment>> {
    let mut faults = Faults::default();
    if let Some(name) = &name {
        faults.check("name", check_name(name));
    }
    let mode = mode.map(|mode| read_mode(&mode, &mut faults, true));
    faults.finish()?;
    let (asked, wanted) = (grant.clone(), name.clone().unwrap_or_default());
    let project = app
        .verifier
        .directory()
        .organization(grant.organization())
        .and_then(|o| o.environments().get(&id).map(|e| e.project));
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let old = environments::get(tx.conn(), grant, id).await?;
                if_match.check(old.updated_at)?;
                let mut new = old.clone();
                if let Some(name) = name {
                    new.name = name;
                }
                if let Some(mode) = mode {
                    let (project, cluster) = (old.project_id, old.cluster_id);
                    let target = Target::Environment { id, project, mode, cluster };
                    let managing = Management::EnvironmentManage;
                    let may = |role: &Role| role.allows(Permission::Management(managing), target);
                    grant.require_that(managing, may).map_err(|error| error.about("mode"))?;
                    new.mode = mode;
                }
                let actor = &grant.by().actor;
                new.last_updated_by = actor.name().to_owned();
                new.last_updated_by_kind = Some(actor.kind());
                new.last_updated_by_id = actor.id();
                new.updated_at = tx.next_version(old.updated_at);
                environments::update(tx, grant, &new).await?;
                let event = event(Kind::EnvironmentUpdated, grant, &new).before(snapshot(&old)).after(snapshot(&new));
                Ok((new, vec![event]))
            })
        })
        .await;
    holders::naming_holder(app, &asked, WantedName::Environment(project.unwrap_or_default(), &wanted), written).await
}

/// Deletes an environment with its variables.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<()>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let environment = environments::get(tx.conn(), grant, id).await?;
            let owner = Owner { project: environment.project_id, environment: Some(id) };
            let variables = variables::count(tx.conn(), grant, owner).await?;
            environments::delete(tx, grant, id).await?;
            Ok(((), vec![deleted(grant, &environment, variables)]))
        })
    })
    .await
}

/// The cluster that the body names, or the only one there is.
async fn choose_cluster(tx: &mut Tx, grant: &Grant, wanted: Option<Uuid>) -> Result<Uuid> {
    let known: Vec<Uuid> = clusters::names(tx.conn(), grant).await?.into_iter().map(|(id, _)| id).collect();
    let problem = match (wanted, known.as_slice()) {
        (Some(wanted), known) if known.contains(&wanted) => return Ok(wanted),
        (None, [only]) => return Ok(*only),
        (Some(_), _) => "is not a cluster of this organization",
        (None, []) => "is needed, and there is none yet: create a cluster first",
        (None, _) => "is needed, since there are several",
    };
    Err(Error::invalid("cluster", problem))
}

/// The contract's request for a new environment knows no PREVIEW: those are made by other means. What cannot be read is a
/// fault, and some mode stands for it until the faults are told.
fn read_mode(text: &str, faults: &mut Faults, preview: bool) -> Mode {
    match Mode::parse(text) {
        Ok(mode) if preview || mode != Mode::Preview => return mode,
        Ok(_) => faults.push("mode", format!("`{text}` is not one of DEVELOPMENT, STAGING, PRODUCTION")),
        Err(unknown) => faults.push("mode", format!("`{}` {unknown}", text.escape_debug())),
    }
    Mode::Development
}

/// What the log says of an environment that goes with so many variables and secrets.
pub(super) fn deleted(grant: &Grant, environment: &Environment, variables: u64) -> Event {
    let before = EnvironmentSnapshot { variables: Some(variables), ..snapshot(environment) };
    event(Kind::EnvironmentDeleted, grant, environment).before(before)
}

fn event(kind: Kind, grant: &Grant, e: &Environment) -> Event {
    Event::new(kind, Some(grant.organization()), e.id, &e.name)
        .in_project(e.project_id, &e.project_name)
        .in_environment(e.id, &e.name, e.mode)
}

fn snapshot(e: &Environment) -> EnvironmentSnapshot {
    EnvironmentSnapshot { name: e.name.clone(), mode: e.mode, cluster_id: e.cluster_id, variables: None }
}
