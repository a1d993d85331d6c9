//! Projects, as far as the person sees them.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::{Result, Uuid};

use super::confirm::Confirmation;
use super::environments;
use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageResult, page};
use super::paging::{Column, Holds, List, ListPlace, SortKey};
use super::person::SignedIn;
use super::view::{ListFrame, Nav, ProjectForm, ProjectPage, ProjectRow, ProjectsPage};
use super::words::count;
use crate::service::IfMatch;
use crate::service::projects::{self, Seen};

fn row(person: &SignedIn, seen: Seen) -> ProjectRow {
    ProjectRow {
        id: seen.project.id.to_string(),
        name: seen.project.name,
        description: seen.project.description,
        environments: seen.environments,
        updated: person.moment(seen.project.updated_at),
    }
}

/// The projects, in an order.
static PROJECTS: List = List {
    word: "projects",
    keys: List::KEYS,
    columns: &[
        Column::new("name", "Name", Holds::Text),
        Column::new("environments", "Environments", Holds::Number),
        Column::new("changed", "Changed", Holds::Past),
    ],
};

/// `GET …/projects`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    // The list holds what the role sees; it takes no more than to belong to the organization.
    let grant = person.may(organization, Management::OrganizationRead)?;
    query.understood(&PROJECTS.keys)?;
    let order = PROJECTS.read(&query, organization)?;
    let all = projects::list(&person.app, &grant).await?;
    let word = order.word();
    let place = move |seen: &Seen| ListPlace {
        key: match word {
            "environments" => SortKey::count(seen.environments),
            "changed" => SortKey::Number(seen.project.updated_at.0),
            _ => SortKey::text(&seen.project.name),
        },
        id: seen.project.id,
    };
    let cut = order.cut_aside(organization, all, place).await?;
    let shell = person.shell(Some(organization), Nav::Projects).await?;
    let shown = ProjectsPage {
        list: order.frame(&format!("{}/projects", shell.base()), &query, &cut),
        shell,
        projects: cut.entries.into_iter().map(|seen| row(&person, seen)).collect(),
        may_create: person.can(organization, Management::ProjectCreate),
    };
    page(StatusCode::OK, &shown)
}

/// `GET …/projects/new`.
pub(super) async fn new(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    person.may(organization, Management::ProjectCreate)?;
    new_page(&person, organization, &Pairs::default(), Problems::default()).await
}

async fn new_page(person: &SignedIn, organization: Uuid, typed: &Pairs, mut problems: Problems) -> PageResult {
    let shown = ProjectPage {
        shell: person.shell(Some(organization), Nav::Projects).await?,
        project: None,
        form: form(typed, &mut problems),
        environments: Vec::new(),
        list: ListFrame::default(),
        may_edit: true,
        may_delete: false,
        may_create_environment: false,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

fn form(typed: &Pairs, problems: &mut Problems) -> ProjectForm {
    ProjectForm {
        name: problems.field("name", typed.line("name")),
        description: problems.field("description", typed.text("description").unwrap_or_default()),
    }
}

/// `POST …/projects/new`.
pub(super) async fn create(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::ProjectCreate)?;
    match projects::create(&person.app, grant, form.line("name"), form.text("description")).await {
        Ok(made) => {
            let path = format!("/console/{organization}/projects/{}", made.value.project.id);
            person.done(&path, Flashed::ProjectSaved)
        }
        Err(error) => new_page(&person, organization, &form, Problems::of(error)?).await,
    }
}

/// `GET …/projects/{id}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may_in_project(organization, id, Management::ProjectRead)?;
    query.understood(&environments::ENVIRONMENTS.keys)?;
    project_page(&person, &grant, id, (None, &query), Problems::default()).await
}

async fn project_page(
    person: &SignedIn,
    grant: &Grant,
    id: Uuid,
    (typed, query): (Option<&Pairs>, &Pairs),
    mut problems: Problems,
) -> PageResult {
    let organization = grant.organization();
    let (environments, list) = environments::rows(person, grant, id, query).await?;
    let seen = projects::get(&person.app, grant, id).await?;
    let saved = Pairs::from([("name", seen.project.name.clone()), ("description", seen.project.description.clone())]);
    let may_manage = person.may_in_project(organization, id, Management::ProjectManage).is_ok();
    let shown = ProjectPage {
        shell: person.shell(Some(organization), Nav::Projects).await?,
        project: Some(row(person, seen)),
        form: form(typed.unwrap_or(&saved), &mut problems),
        environments,
        list,
        may_edit: may_manage,
        may_delete: may_manage,
        may_create_environment: grant.role().manages_environments(id),
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// `POST …/projects/{id}`.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may_in_project(organization, id, Management::ProjectManage)?;
    let description = Some(form.text("description").unwrap_or_default());
    match projects::update(&person.app, grant.clone(), id, form.line("name"), description, IfMatch(None)).await {
        Ok(_) => person.done(&format!("/console/{organization}/projects/{id}"), Flashed::ProjectSaved),
        Err(error) => project_page(&person, &grant, id, (Some(&form), &Pairs::default()), Problems::of(error)?).await,
    }
}

/// `GET …/projects/{id}/delete`.
pub(super) async fn ask_delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may_in_project(organization, id, Management::ProjectManage)?;
    question(&person, &grant, id).await?.ask(&person, organization, &Pairs::default(), Problems::default()).await
}

async fn question(person: &SignedIn, grant: &Grant, id: Uuid) -> Result<Confirmation> {
    let seen = projects::get(&person.app, grant, id).await?;
    Ok(Confirmation {
        nav: Nav::Projects,
        from: (seen.project.name.clone(), format!("projects/{id}")),
        question: format!("Delete the project “{}”?", seen.project.name),
        consequences: vec![
            format!("{} and all variables go with it.", count(seen.environments, "environment")),
            "Custom roles lose what they hold in it. This cannot be undone.".into(),
        ],
        facts: vec![("Id", id.to_string())],
        action: format!("projects/{id}/delete"),
        button: "Delete the project",
        name: Some(seen.project.name),
        needs_proof: false,
        roles: None,
    })
}

/// `POST …/projects/{id}/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may_in_project(organization, id, Management::ProjectManage)?;
    let question = question(&person, &grant, id).await?;
    if !question.confirmed(&form) {
        return question.ask_again(&person, organization, &form).await;
    }
    match projects::delete(&person.app, grant, id).await {
        Ok(_) => person.done(&format!("/console/{organization}/projects"), Flashed::ProjectDeleted),
        Err(error) => question.ask(&person, organization, &form, Problems::of(error)?).await,
    }
}
