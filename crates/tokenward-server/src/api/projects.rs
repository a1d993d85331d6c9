//! Projects (contract §1.6).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::Id;
use tokenward_api::projects::{Project, ProjectList, ProjectRequest};
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Params, Precondition, tagged, written, written_empty};
use super::json;
use super::paging::{Paging, cut};
use super::right::PathResource;
use crate::service::{App, projects};

fn project(grant: &Grant, seen: projects::Seen) -> Project {
    let projects::Seen { project, environments } = seen;
    Project {
        id: project.id,
        created_at: project.created_at,
        updated_at: project.updated_at,
        name: project.name,
        description: project.description,
        organization: Id { id: grant.organization() },
        associated_environments_count: environments,
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/organization/{organizationId}/project";
    const ONE: &str = "/project/{projectId}";
    vec![
        get(ALL, list)
            .needs(Management::OrganizationRead, PathResource::Organization)
            .about("Projects", "The projects that you see.")
            .in_pages()
            .answers::<ProjectList>(200),
        // 200 and not 201: so it is published, and clients check it (contract §8.7).
        post(ALL, create)
            .needs(Management::ProjectCreate, PathResource::Organization)
            .idempotent()
            .about("Projects", "Make a project.")
            .takes::<ProjectRequest>()
            .answers::<Project>(200)
            .errors(&[409]),
        get(ONE, show)
            .needs(Management::ProjectRead, PathResource::Project)
            .about("Projects", "One project.")
            .answers::<Project>(200),
        put(ONE, edit)
            .needs(Management::ProjectManage, PathResource::Project)
            .about("Projects", "Change a project.")
            .takes::<ProjectRequest>()
            .answers::<Project>(200)
            .errors(&[409, 412]),
        delete(ONE, remove)
            .needs(Management::ProjectManage, PathResource::Project)
            .about("Projects", "Delete a project with its environments and variables.")
            .answers_empty(204),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(paging): Params<Paging>,
) -> Result<Response, ApiError> {
    let page = paging.of("project", grant.organization())?;
    let all = projects::list(&app, &grant).await?;
    let (organization, count) = (grant.organization(), all.len());
    let list = move || {
        let (all, next_cursor) = cut(page.as_ref(), all, |seen| seen.project.id);
        ProjectList { results: all.into_iter().map(|seen| project(&grant, seen)).collect(), next_cursor }
    };
    Ok(json::listed(organization, count, list).await?)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(new): Body<ProjectRequest>,
) -> Result<Response, ApiError> {
    let created = projects::create(&app, grant.clone(), new.name, new.description).await?;
    let version = created.value.project.updated_at;
    Ok(tagged(version, written(StatusCode::OK, created, |seen| project(&grant, seen))))
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    let seen = projects::get(&app, &grant, id).await?;
    Ok(tagged(seen.project.updated_at, Json(project(&grant, seen))))
}

async fn edit(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<Uuid>,
    Precondition(if_match): Precondition,
    Body(change): Body<ProjectRequest>,
) -> Result<Response, ApiError> {
    let changed = projects::update(&app, grant.clone(), id, change.name, change.description, if_match).await?;
    let version = changed.value.project.updated_at;
    Ok(tagged(version, written(StatusCode::OK, changed, |seen| project(&grant, seen))))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &projects::delete(&app, grant, id).await?))
}
