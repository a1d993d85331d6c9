//! The projects and environments that a token is narrowed to: those of the organization, and within its role.

use std::collections::HashMap;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::{Management, Permission};
use tokenward_core::role::{EnvironmentPlace, Mode, Places, Role, Target};
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::{Conn, environments, projects};

use super::App;
use crate::limits::{Limit, TOKEN_ENVIRONMENTS, TOKEN_PLACES_LINES, TOKEN_PROJECTS};

/// The fields of bodies and forms.
pub const PROJECTS: &str = "projects";
/// The same for environments.
pub const ENVIRONMENTS: &str = "environments";

/// Projects and environments that are named for a new token.
#[derive(Clone, Default, Debug)]
pub struct PlacesWanted {
    /// The projects.
    pub projects: Vec<Uuid>,
    /// The environments.
    pub environments: Vec<Uuid>,
}

/// Other ones for a token; of what is `None` it keeps what it has.
#[derive(Clone, Default, Debug)]
pub struct PlacesChange {
    /// The projects.
    pub projects: Option<Vec<Uuid>>,
    /// The environments.
    pub environments: Option<Vec<Uuid>>,
}

/// Reads ids as they were sent. `None` and null is everywhere, and a list without entries nothing that anybody means.
pub fn read(field: &'static str, sent: Option<Vec<Uuid>>, faults: &mut Faults) -> Vec<Uuid> {
    let sent = sent.inspect(|sent| {
        if sent.is_empty() {
            faults.push(field, "is empty, and the token would be nowhere; leave it out, or send null, for everywhere");
        }
    });
    let sent = sent.unwrap_or_default();
    let limit: &Limit = if field == PROJECTS { &TOKEN_PROJECTS } else { &TOKEN_ENVIRONMENTS };
    if let Err(problem) = limit.check_list(&sent) {
        faults.push(field, problem);
        return Vec::new();
    }
    sent
}

/// What is known of the projects and environments that requests name.
#[derive(Default)]
pub(super) struct KnownPlaces {
    /// Of each project its organization.
    projects: HashMap<Uuid, Uuid>,
    environments: HashMap<Uuid, environments::EnvironmentPlace>,
}

impl KnownPlaces {
    /// Looks them up.
    pub(super) async fn read(mut conn: Conn<'_>, of: &PlacesWanted) -> Result<Self> {
        let mut known = Self::default();
        if !of.projects.is_empty() {
            let found = projects::places(conn.reborrow(), Some(&of.projects)).await?;
            known.projects = found.into_iter().map(|(id, organization, _)| (id, organization)).collect();
        }
        if !of.environments.is_empty() {
            let found = environments::places(conn, Some(&of.environments)).await?;
            known.environments = found.into_iter().map(|it| (it.id, it)).collect();
        }
        Ok(known)
    }

    /// Adds what others are known.
    pub(super) fn extend(&mut self, more: Self) {
        self.projects.extend(more.projects);
        self.environments.extend(more.environments);
    }

    fn environment(&self, id: Uuid, organization: Uuid) -> Option<(EnvironmentPlace, Target)> {
        let it = self.environments.get(&id).filter(|it| it.organization_id == organization)?;
        let mode = Mode::parse(&it.mode).ok()?;
        let target = Target::Environment { id, project: it.project_id, mode, cluster: it.cluster_id };
        Some((EnvironmentPlace { id, project: it.project_id }, target))
    }

    /// These places. What the organization has not, and what the caller may not see, is a fault.
    pub(super) fn places(&self, grant: &Grant, wanted: &PlacesWanted, faults: &mut Faults) -> Places {
        let organization = grant.organization();
        let sees = |own, target| grant.role().allows(Permission::Management(own), target);
        for (at, id) in wanted.projects.iter().enumerate() {
            let own = self.projects.get(id) == Some(&organization);
            if !(own && sees(Management::ProjectRead, Target::Project(*id))) {
                faults.push(format!("{PROJECTS}[{at}]"), "is no project of the organization that you may see");
            }
        }
        let mut environments = Vec::with_capacity(wanted.environments.len());
        for (at, id) in wanted.environments.iter().enumerate() {
            let found = self.environment(*id, organization);
            match found.filter(|(_, target)| sees(Management::EnvironmentRead, *target)) {
                Some((place, _)) => environments.push(place),
                None => faults
                    .push(format!("{ENVIRONMENTS}[{at}]"), "is no environment of the organization that you may see"),
            }
        }
        Places::of(wanted.projects.clone(), environments)
    }

    /// A token is narrowed to what its role reaches. What is gone since is left as it is: nothing can be done there.
    pub(super) fn within(&self, places: &Places, role: &Role, organization: Uuid) -> Result<()> {
        let sees = |own, target| role.allows(Permission::Management(own), target);
        let beyond = |field, id: Uuid| {
            let name = &role.name;
            let problem =
                format!("has `{id}`, which the role `{name}` does not reach: a token is narrowed within its role");
            Err(Error::invalid(field, problem))
        };
        let unseen =
            |id: &&Uuid| self.projects.contains_key(*id) && !sees(Management::ProjectRead, Target::Project(**id));
        if let Some(id) = places.projects().iter().find(unseen) {
            return beyond(PROJECTS, *id);
        }
        for place in places.environments() {
            let Some((_, target)) = self.environment(place.id, organization) else { continue };
            if !sees(Management::EnvironmentRead, target) {
                return beyond(ENVIRONMENTS, place.id);
            }
        }
        Ok(())
    }
}

/// The places of a token after a change, and what is known of them.
pub(super) async fn changed(
    conn: Conn<'_>,
    grant: &Grant,
    old: &Places,
    change: PlacesChange,
    faults: &mut Faults,
) -> Result<(Places, KnownPlaces)> {
    let kept = PlacesWanted { projects: old.projects().to_vec(), environments: old.environment_ids() };
    let wanted = PlacesWanted {
        projects: change.projects.clone().unwrap_or(kept.projects),
        environments: change.environments.clone().unwrap_or(kept.environments),
    };
    let known = KnownPlaces::read(conn, &wanted).await?;
    // What was said before may be gone since.
    let said = PlacesWanted {
        projects: change.projects.unwrap_or_default(),
        environments: change.environments.clone().unwrap_or_default(),
    };
    let new = known.places(grant, &said, faults);
    let environments: Vec<EnvironmentPlace> =
        if change.environments.is_some() { new.environments().collect() } else { old.environments().collect() };
    Ok((Places::of(wanted.projects, environments), known))
}

/// The places that a token would have after a change, by what there is now.
pub(super) async fn would_be(
    app: &App,
    grant: &Grant,
    old: &Places,
    change: PlacesChange,
    faults: &mut Faults,
) -> Result<Places> {
    let mut reader = app.read_for(grant).await?;
    changed(reader.conn(), grant, old, change, faults).await.map(|(places, _)| places)
}

/// Projects and environments by their names, as people write them: `shop` is all of a project, `shop/staging` one environment of it.
/// What is wrong is about the field [`PROJECTS`].
pub async fn named(app: &App, grant: &Grant, lines: &[String], faults: &mut Faults) -> Result<PlacesWanted> {
    let mut wanted = PlacesWanted::default();
    if let Err(problem) = TOKEN_PLACES_LINES.check_list(lines) {
        faults.push(PROJECTS, problem);
        return Ok(wanted);
    }
    if lines.is_empty() {
        return Ok(wanted);
    }
    let mut reader = app.read_for(grant).await?;
    let names: HashMap<String, Uuid> =
        projects::names(reader.conn(), grant).await?.into_iter().map(|(id, name)| (name, id)).collect();
    for line in lines {
        if let Some(id) = names.get(line) {
            wanted.projects.push(*id);
            continue;
        }
        let found = match line.rsplit_once('/').and_then(|(project, name)| Some((names.get(project)?, name))) {
            Some((project, name)) => environments::holder(reader.conn(), grant, *project, name).await?,
            None => None,
        };
        match found {
            Some(id) => wanted.environments.push(id),
            None => faults.push(
                PROJECTS,
                format!("has `{line}`, which is neither a project nor, as in shop/staging, an environment of one"),
            ),
        }
    }
    Ok(wanted)
}

/// The same lines again. What is gone has no name, and stands there by its id: a form that is sent again must not leave it out
/// unnoticed, and widen the token.
pub async fn lines(app: &App, grant: &Grant, places: &Places) -> Result<Vec<String>> {
    if places.are_everywhere() {
        return Ok(Vec::new());
    }
    let mut reader = app.read_for(grant).await?;
    let names: HashMap<Uuid, String> = projects::names(reader.conn(), grant).await?.into_iter().collect();
    let mut lines: Vec<String> =
        places.projects().iter().map(|id| names.get(id).cloned().unwrap_or_else(|| id.to_string())).collect();
    for place in places.environments() {
        match environments::get(reader.conn(), grant, place.id).await {
            Ok(it) => lines.push(format!("{}/{}", it.project_name, it.name)),
            Err(error) if error.code == Code::NotFound => lines.push(place.id.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(lines)
}
