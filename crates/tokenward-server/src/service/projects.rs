//! Projects, as far as the caller sees them.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, ProjectSnapshot};
use tokenward_core::name::{check_description, check_name};
use tokenward_core::permission::{Management, Permission};
use tokenward_core::role::Target;
use tokenward_core::{Result, Uuid};
use tokenward_store::environments::Environment;
use tokenward_store::projects::{self, Project};
use tokenward_store::{environments, variables};

use super::holders::{self, WantedName};
use super::{App, IfMatch, Written};
use crate::limits::PROJECTS;

/// A project with what the caller sees of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The project.
    pub project: Project,
    /// How many of its environments the caller sees.
    pub environments: usize,
}

/// The projects that the caller sees.
pub async fn list(app: &Arc<App>, grant: &Grant) -> Result<Vec<Seen>> {
    let mut reader = app.read_for(grant).await?;
    let mut all = projects::list(reader.conn(), grant).await?;
    drop(reader);
    all.retain(|project| {
        grant.role().allows(Permission::Management(Management::ProjectRead), Target::Project(project.id))
    });
    // Counted once for all: a look at every environment for each project would be very many.
    let mut environments: HashMap<Uuid, usize> = HashMap::new();
    let directory = app.verifier.directory();
    for environment in directory.organization(grant.organization()).into_iter().flat_map(|o| o.environments().values())
    {
        if grant.role().allows(Permission::Management(Management::EnvironmentRead), (*environment).into()) {
            *environments.entry(environment.project).or_default() += 1;
        }
    }
    let seen = |project: Project| {
        let environments = environments.get(&project.id).copied().unwrap_or_default();
        Seen { project, environments }
    };
    Ok(all.into_iter().map(seen).collect())
}

/// The project of the grant.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<Seen> {
    let mut reader = app.read_for(grant).await?;
    Ok(seen(app, grant, projects::get(reader.conn(), grant, id).await?))
}

fn seen(app: &Arc<App>, grant: &Grant, project: Project) -> Seen {
    let directory = app.verifier.directory();
    let all = directory.organization(grant.organization()).into_iter().flat_map(|o| o.environments().values());
    let environments = all
        .filter(|e| {
            e.project == project.id
                && grant.role().allows(Permission::Management(Management::EnvironmentRead), (**e).into())
        })
        .count();
    Seen { project, environments }
}

/// Makes a project. An absent description becomes empty: clients read `""` back.
pub async fn create(app: &Arc<App>, grant: Grant, name: String, description: Option<String>) -> Result<Written<Seen>> {
    let description = description.unwrap_or_default();
    check(&name, &description)?;
    let limits = app.limits.clone();
    let (asked, wanted) = (grant.clone(), name.clone());
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let count = projects::count(tx.conn(), grant).await?;
                limits.room(&PROJECTS, count, "The organization has as many projects as")?;
                let now = tx.now();
                let project = Project { id: tx.new_id(), name, description, created_at: now, updated_at: now };
                projects::insert(tx, grant, &project).await?;
                let event = event(Kind::ProjectCreated, grant, &project).after(snapshot(&project));
                Ok((Seen { project, environments: 0 }, vec![event]))
            })
        })
        .await;
    holders::naming_holder(app, &asked, WantedName::Project(&wanted), written).await
}

/// Changes a project. An absent description stays.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    id: Uuid,
    name: String,
    description: Option<String>,
    if_match: IfMatch,
) -> Result<Written<Seen>> {
    check(&name, description.as_deref().unwrap_or_default())?;
    let own = Arc::clone(app);
    let (asked, wanted) = (grant.clone(), name.clone());
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let old = projects::get(tx.conn(), grant, id).await?;
                if_match.check(old.updated_at)?;
                let mut new = old.clone();
                new.name = name;
                new.description = description.unwrap_or(new.description);
                new.updated_at = tx.next_version(old.updated_at);
                projects::update(tx, grant, &new).await?;
                let event = event(Kind::ProjectUpdated, grant, &new).before(snapshot(&old)).after(snapshot(&new));
                let seen = seen(&own, grant, new);
                Ok((seen, vec![event]))
            })
        })
        .await;
    holders::naming_holder(app, &asked, WantedName::Project(&wanted), written).await
}

/// Deletes a project with its environments and variables. The log tells of each environment, and of the project last.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<()>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let project = projects::get(tx.conn(), grant, id).await?;
            let gone = environments::list(tx.conn(), grant, id).await?;
            let counts: HashMap<Option<Uuid>, i64> =
                variables::counts(tx.conn(), grant, id).await?.into_iter().collect();
            let variables = |of: Option<Uuid>| counts.get(&of).map_or(0, |count| count.unsigned_abs());
            projects::delete(tx, grant, id).await?;
            let deleted = |it: &Environment| super::environments::deleted(grant, it, variables(Some(it.id)));
            let mut events: Vec<Event> = gone.iter().map(deleted).collect();
            let before = ProjectSnapshot { variables: Some(variables(None)), ..snapshot(&project) };
            events.push(event(Kind::ProjectDeleted, grant, &project).before(before));
            Ok(((), events))
        })
    })
    .await
}

fn check(name: &str, description: &str) -> Result<()> {
    let mut faults = Faults::default();
    faults.check("name", check_name(name));
    faults.check("description", check_description(description));
    faults.finish()
}

fn event(kind: Kind, grant: &Grant, project: &Project) -> Event {
    Event::new(kind, Some(grant.organization()), project.id, &project.name).in_project(project.id, &project.name)
}

fn snapshot(project: &Project) -> ProjectSnapshot {
    ProjectSnapshot { name: project.name.clone(), description: project.description.clone(), variables: None }
}
