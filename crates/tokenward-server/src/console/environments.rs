//! Environments of a project, as far as the person sees them.

use axum::Extension;
use tokenward_core::caller::Grant;
use tokenward_core::directory::Resource;
use tokenward_core::permission::Management;
use tokenward_core::role::Mode;
use tokenward_core::{Result, Uuid};
use tokenward_store::environments::Environment;

use super::confirm::Confirmation;
use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageResult, page};
use super::paging::{Column, Holds, List, ListPlace, SortKey};
use super::person::SignedIn;
use super::view::{Choice, EnvironmentForm, EnvironmentPage, EnvironmentRow, ListFrame, Nav, mode_label};
use crate::service::IfMatch;
use crate::service::environments::{self, NewEnvironment};

fn row(person: &SignedIn, environment: &Environment) -> EnvironmentRow {
    EnvironmentRow {
        id: environment.id.to_string(),
        name: environment.name.clone(),
        mode: environment.mode.as_str().to_lowercase(),
        mode_label: mode_label(environment.mode).into(),
        cluster: environment.cluster_name.clone(),
        updated: person.moment(environment.updated_at),
        updated_by: Some(environment.last_updated_by.clone()).filter(|by| !by.is_empty()),
    }
}

/// The environments of a project, in an order.
pub(super) static ENVIRONMENTS: List = List {
    word: "environments",
    keys: List::KEYS,
    columns: &[
        Column::new("name", "Name", Holds::Text),
        Column::new("kind", "Kind", Holds::Text),
        Column::new("cluster", "Cluster", Holds::Text),
        Column::new("changed", "Changed", Holds::Past),
    ],
};

/// The environments of a project that the person sees: the page that a query asks for.
pub(super) async fn rows(
    person: &SignedIn,
    grant: &Grant,
    project: Uuid,
    query: &Pairs,
) -> Result<(Vec<EnvironmentRow>, ListFrame)> {
    let order = ENVIRONMENTS.read(query, project)?;
    let all = environments::list(&person.app, grant, project).await?;
    let word = order.word();
    let place = move |it: &Environment| ListPlace {
        key: match word {
            "kind" => SortKey::texts(mode_label(it.mode), &it.name),
            "cluster" => SortKey::texts(&it.cluster_name, &it.name),
            "changed" => SortKey::Number(it.updated_at.0),
            _ => SortKey::text(&it.name),
        },
        id: it.id,
    };
    let cut = order.cut_aside(grant.organization(), all, place).await?;
    let path = format!("/console/{}/projects/{project}", grant.organization());
    let frame = order.frame(&path, query, &cut);
    Ok((cut.entries.iter().map(|environment| row(person, environment)).collect(), frame))
}

/// The right to do something with the environment that a path names in a project.
fn may(person: &SignedIn, organization: Uuid, project: Uuid, id: Uuid, permission: Management) -> Result<Grant> {
    // One of another project contradicts itself, and is absent.
    let resource = Resource { project_id: Some(project), ..Resource::environment(id) };
    person.require(organization, permission, resource)
}

/// `GET …/projects/{project}/environments/new`.
pub(super) async fn new(
    Extension(person): Extension<SignedIn>,
    At((organization, project)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = may_create(&person, organization, project)?;
    new_page(&person, &grant, project, &Pairs::default(), Problems::default()).await
}

/// The right to make an environment of some mode; the service asks for the one that is chosen.
fn may_create(person: &SignedIn, organization: Uuid, project: Uuid) -> Result<Grant> {
    person.may_in_project(organization, project, Management::EnvironmentManage)
}

async fn new_page(
    person: &SignedIn,
    grant: &Grant,
    project: Uuid,
    typed: &Pairs,
    mut problems: Problems,
) -> PageResult {
    // Previews come from elsewhere, not from a form.
    let modes = Mode::ALL.into_iter().filter(|mode| *mode != Mode::Preview);
    let form = EnvironmentForm {
        name: problems.field("name", typed.line("name")),
        modes: mode_choices(modes, typed.get("mode")),
        mode_error: problems.take("mode"),
        clusters: cluster_choices(person, grant, typed.get("cluster")),
        cluster_error: problems.take("cluster"),
    };
    let shown = EnvironmentPage {
        shell: person.shell(Some(grant.organization()), Nav::Projects).await?,
        project_id: project.to_string(),
        project_name: project_name(person, grant, project),
        environment: None,
        form,
        may_edit: true,
        may_delete: false,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

fn project_name(person: &SignedIn, grant: &Grant, project: Uuid) -> String {
    let directory = person.app.verifier.directory();
    let name = directory.organization(grant.organization()).and_then(|o| o.projects().get(&project));
    name.map(ToString::to_string).unwrap_or_default()
}

fn mode_choices(modes: impl Iterator<Item = Mode>, chosen: &str) -> Vec<Choice> {
    let choice = |mode: Mode| Choice {
        value: mode.as_str().into(),
        label: mode_label(mode).into(),
        chosen: mode.as_str() == chosen,
    };
    modes.map(choice).collect()
}

fn cluster_choices(person: &SignedIn, grant: &Grant, chosen: &str) -> Vec<Choice> {
    let directory = person.app.verifier.directory();
    let all = directory.organization(grant.organization()).into_iter().flat_map(|o| o.clusters());
    let mut choices: Vec<Choice> = all
        .map(|(id, name)| Choice { value: id.to_string(), label: name.to_string(), chosen: id.to_string() == chosen })
        .collect();
    choices.sort_by_cached_key(|choice| choice.label.to_lowercase());
    choices
}

/// `POST …/projects/{project}/environments/new`.
pub(super) async fn create(
    Extension(person): Extension<SignedIn>,
    At((organization, project)): At<(Uuid, Uuid)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = may_create(&person, organization, project)?;
    let cluster = form.read("cluster", "a cluster of this organization", |text| Uuid::try_parse(text).ok());
    let created = match cluster {
        Ok(cluster) => {
            let (name, mode) = (form.line("name"), Some(form.get("mode").to_owned()));
            environments::create(&person.app, grant.clone(), project, NewEnvironment { name, mode, cluster }).await
        }
        Err(error) => Err(error),
    };
    match created {
        Ok(_) => person.done(&format!("/console/{organization}/projects/{project}"), Flashed::EnvironmentSaved),
        Err(error) => new_page(&person, &grant, project, &form, Problems::of(error)?).await,
    }
}

/// `GET …/projects/{project}/environments/{id}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At((organization, project, id)): At<(Uuid, Uuid, Uuid)>,
) -> PageResult {
    let grant = may(&person, organization, project, id, Management::EnvironmentRead)?;
    environment_page(&person, &grant, id, None, Problems::default()).await
}

async fn environment_page(
    person: &SignedIn,
    grant: &Grant,
    id: Uuid,
    typed: Option<&Pairs>,
    mut problems: Problems,
) -> PageResult {
    let organization = grant.organization();
    let saved = environments::get(&person.app, grant, id).await?;
    let project = saved.project_id;
    let values = Pairs::from([("name", saved.name.clone()), ("mode", saved.mode.as_str().to_owned())]);
    let typed = typed.unwrap_or(&values);
    let form = EnvironmentForm {
        name: problems.field("name", typed.line("name")),
        modes: mode_choices(Mode::ALL.into_iter(), typed.get("mode")),
        mode_error: problems.take("mode"),
        clusters: Vec::new(),
        cluster_error: None,
    };
    let shown = EnvironmentPage {
        shell: person.shell(Some(organization), Nav::Projects).await?,
        project_id: project.to_string(),
        environment: Some(row(person, &saved)),
        project_name: saved.project_name,
        form,
        may_edit: may(person, organization, project, id, Management::EnvironmentManage).is_ok(),
        may_delete: may(person, organization, project, id, Management::ProjectManage).is_ok(),
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// `POST …/projects/{project}/environments/{id}`.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At((organization, project, id)): At<(Uuid, Uuid, Uuid)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = may(&person, organization, project, id, Management::EnvironmentManage)?;
    let (name, mode) = (Some(form.line("name")), Some(form.get("mode").to_owned()));
    match environments::update(&person.app, grant.clone(), id, name, mode, IfMatch(None)).await {
        Ok(_) => person.done(&format!("/console/{organization}/projects/{project}"), Flashed::EnvironmentSaved),
        Err(error) => environment_page(&person, &grant, id, Some(&form), Problems::of(error)?).await,
    }
}

/// `GET …/projects/{project}/environments/{id}/delete`.
pub(super) async fn ask_delete(
    Extension(person): Extension<SignedIn>,
    At((organization, project, id)): At<(Uuid, Uuid, Uuid)>,
) -> PageResult {
    let grant = may(&person, organization, project, id, Management::ProjectManage)?;
    question(&person, &grant, id).await?.ask(&person, organization, &Pairs::default(), Problems::default()).await
}

async fn question(person: &SignedIn, grant: &Grant, id: Uuid) -> Result<Confirmation> {
    let saved = environments::get(&person.app, grant, id).await?;
    let row = row(person, &saved);
    let path = format!("projects/{}/environments/{id}", saved.project_id);
    Ok(Confirmation {
        nav: Nav::Projects,
        from: (saved.name.clone(), path.clone()),
        question: format!("Delete the environment “{}” of {}?", saved.name, saved.project_name),
        consequences: vec!["Its variables go with it. This cannot be undone.".into()],
        facts: vec![("Kind", row.mode_label), ("Cluster", row.cluster), ("Id", id.to_string())],
        action: format!("{path}/delete"),
        button: "Delete the environment",
        name: None,
        needs_proof: false,
        roles: None,
    })
}

/// `POST …/projects/{project}/environments/{id}/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At((organization, project, id)): At<(Uuid, Uuid, Uuid)>,
) -> PageResult {
    let grant = may(&person, organization, project, id, Management::ProjectManage)?;
    let question = question(&person, &grant, id).await?;
    match environments::delete(&person.app, grant, id).await {
        Ok(_) => person.done(&format!("/console/{organization}/projects/{project}"), Flashed::EnvironmentDeleted),
        Err(error) => question.ask(&person, organization, &Pairs::default(), Problems::of(error)?).await,
    }
}
