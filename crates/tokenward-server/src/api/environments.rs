//! Environments and their status (contract §1.6).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::Id;
use tokenward_api::environments::{
    CloudProvider, ClusterOverview, Environment, EnvironmentBrief, EnvironmentBriefList, EnvironmentEdit,
    EnvironmentList, EnvironmentOverview, EnvironmentOverviewList, EnvironmentRequest, EnvironmentStatus,
    EnvironmentStatusList, EnvironmentStatuses, NamedId, ServiceList, ServicesOverview,
};
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_store::environments::Environment as Row;

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Params, Precondition, tagged, written, written_empty};
use super::paging::{Paging, cut};
use super::pieces::{self, Piece};
use super::right::PathResource;
use super::understood::QueryKind;
use crate::service::{App, environments};

fn environment(grant: &Grant, row: Row) -> Environment {
    Environment {
        id: row.id,
        created_at: row.created_at,
        updated_at: row.updated_at,
        name: row.name,
        organization: Id { id: grant.organization() },
        project: Id { id: row.project_id },
        cloud_provider: CloudProvider { provider: row.cloud_provider, cluster: row.cluster_name.clone() },
        mode: row.mode,
        cluster_id: row.cluster_id,
        cluster_name: row.cluster_name,
        last_updated_by: row.last_updated_by_id,
        last_updated_by_name: row.last_updated_by,
        last_updated_by_kind: row.last_updated_by_kind,
        expires_at: None,
    }
}

fn status(id: Uuid) -> EnvironmentStatus {
    EnvironmentStatus {
        id,
        state: "READY".into(),
        last_deployment_state: "READY".into(),
        last_deployment_date: None,
        last_deployment_id: None,
        total_deployment_duration_in_seconds: None,
        origin: None,
        triggered_by: None,
        deployment_status: "NEVER_DEPLOYED".into(),
        deployment_request_id: None,
    }
}

/// Environments that are looked at for a piece of the list of all.
const PIECE: usize = 200;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const IN_PROJECT: &str = "/project/{projectId}/environment";
    const ONE: &str = "/environment/{environmentId}";
    /// What could run in an environment.
    const SERVICES: [&str; 6] = [
        "/environment/{environmentId}/application",
        "/environment/{environmentId}/container",
        "/environment/{environmentId}/database",
        "/environment/{environmentId}/job",
        "/environment/{environmentId}/helm",
        "/environment/{environmentId}/terraform",
    ];
    let no_services = SERVICES.map(|path| {
        get(path, services)
            .needs(Management::EnvironmentRead, PathResource::Environment)
            .about("Environments", "The services of one kind in an environment: none.")
            .answers::<ServiceList>(200)
    });
    let mut all = vec![
        get(IN_PROJECT, list)
            .needs(Management::ProjectRead, PathResource::Project)
            .about("Environments", "The environments of a project that you see.")
            .in_pages()
            .answers::<EnvironmentList>(200),
        post(IN_PROJECT, create)
            .needs(Management::EnvironmentManage, PathResource::Project)
            .idempotent()
            .about(
                "Environments",
                "Make an environment. A custom role needs MANAGER on the mode and ENV_CREATOR on the cluster.",
            )
            .takes::<EnvironmentRequest>()
            .answers::<Environment>(201)
            .errors(&[409]),
        get("/project/{projectId}/environment/status", statuses)
            .needs(Management::ProjectRead, PathResource::Project)
            .about("Environments", "The status of each environment of a project that you see.")
            .answers::<EnvironmentStatusList>(200),
        get("/organization/{organizationId}/environments", all)
            .needs(Management::OrganizationRead, PathResource::Organization)
            .about("Environments", "All environments of the organization that you see.")
            .in_pages()
            .answers::<EnvironmentBriefList>(200),
        get(ONE, show)
            .needs(Management::EnvironmentRead, PathResource::Environment)
            .about("Environments", "One environment.")
            .answers::<Environment>(200),
        put(ONE, edit)
            .needs(Management::EnvironmentManage, PathResource::Environment)
            .about("Environments", "Change an environment. A custom role needs MANAGER on the old and the new mode.")
            .takes::<EnvironmentEdit>()
            .answers::<Environment>(200)
            .errors(&[409, 412]),
        delete(ONE, remove)
            .needs(Management::ProjectManage, PathResource::Environment)
            .about("Environments", "Delete an environment with its variables.")
            .query(&[("skipReconcile", "Accepted; nothing is deployed here.")])
            .query_kinds(&[("skipReconcile", QueryKind::Flag)])
            .answers_empty(204),
        get("/environment/{environmentId}/status", show_status)
            .needs(Management::EnvironmentRead, PathResource::Environment)
            .about("Environments", "The status of an environment.")
            .answers::<EnvironmentStatus>(200),
        get("/environment/{environmentId}/statuses", show_statuses)
            .needs(Management::EnvironmentRead, PathResource::Environment)
            .about("Environments", "The status of an environment and of its services, of which there are none.")
            .answers::<EnvironmentStatuses>(200),
        get("/project/{projectId}/environment/overview", overview)
            .needs(Management::ProjectRead, PathResource::Project)
            .about("Environments", "The environments of a project that you see, with what runs in them: nothing.")
            .answers::<EnvironmentOverviewList>(200),
    ];
    all.extend(no_services);
    all
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(project): Path<Uuid>,
    Params(paging): Params<Paging>,
) -> Result<Json<EnvironmentList>, ApiError> {
    let page = paging.of("environment", project)?;
    let (rows, next_cursor) = cut(page.as_ref(), environments::list(&app, &grant, project).await?, |row| row.id);
    Ok(Json(EnvironmentList { results: rows.into_iter().map(|row| environment(&grant, row)).collect(), next_cursor }))
}

async fn all(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(paging): Params<Paging>,
) -> Result<Response, ApiError> {
    let page = paging.of("environments", grant.organization())?;
    let organization = grant.organization();
    let piece = move |after| {
        let (app, grant) = (Arc::clone(&app), grant.clone());
        async move {
            let (all, last) = environments::part(&app, &grant, after, PIECE).await?;
            let brief = |row: Row| EnvironmentBrief {
                id: row.id,
                created_at: row.created_at,
                updated_at: row.updated_at,
                name: row.name,
                organization: Id { id: grant.organization() },
                project: NamedId { id: row.project_id, name: row.project_name },
                mode: row.mode,
            };
            Ok(Piece { entries: all.into_iter().map(brief).collect(), last })
        }
    };
    Ok(pieces::page_or_all(organization, page, |environment: &EnvironmentBrief| environment.id, piece).await?)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(project): Path<Uuid>,
    Body(new): Body<EnvironmentRequest>,
) -> Result<Response, ApiError> {
    let new = environments::NewEnvironment { name: new.name, mode: new.mode, cluster: new.cluster };
    let created = environments::create(&app, grant.clone(), project, new).await?;
    let version = created.value.updated_at;
    Ok(tagged(version, written(StatusCode::CREATED, created, |row| environment(&grant, row))))
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    let row = environments::get(&app, &grant, id).await?;
    Ok(tagged(row.updated_at, Json(environment(&grant, row))))
}

async fn edit(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<Uuid>,
    Precondition(if_match): Precondition,
    Body(change): Body<EnvironmentEdit>,
) -> Result<Response, ApiError> {
    let changed = environments::update(&app, grant.clone(), id, change.name, change.mode, if_match).await?;
    let version = changed.value.updated_at;
    Ok(tagged(version, written(StatusCode::OK, changed, |row| environment(&grant, row))))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &environments::delete(&app, grant, id).await?))
}

async fn show_status(Path(id): Path<Uuid>) -> Json<EnvironmentStatus> {
    Json(status(id))
}

async fn show_statuses(Path(id): Path<Uuid>) -> Json<EnvironmentStatuses> {
    let (applications, containers, jobs) = (Vec::new(), Vec::new(), Vec::new());
    let (databases, helms, terraforms) = (Vec::new(), Vec::new(), Vec::new());
    Json(EnvironmentStatuses { environment: status(id), applications, containers, jobs, databases, helms, terraforms })
}

async fn services() -> Json<ServiceList> {
    Json(ServiceList::default())
}

async fn overview(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(project): Path<Uuid>,
) -> Result<Json<EnvironmentOverviewList>, ApiError> {
    let one = |row: Row| EnvironmentOverview {
        id: row.id,
        created_at: row.created_at,
        updated_at: row.updated_at,
        name: row.name,
        mode: row.mode,
        cluster: ClusterOverview {
            id: row.cluster_id,
            name: row.cluster_name,
            cloud_provider: row.cloud_provider,
            is_demo: false,
        },
        services_overview: ServicesOverview { service_count: 0, managed_by: "QOVERY".into() },
        deployment_status: status(row.id),
    };
    let results = environments::list(&app, &grant, project).await?;
    Ok(Json(EnvironmentOverviewList { results: results.into_iter().map(one).collect() }))
}

async fn statuses(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path(project): Path<Uuid>,
) -> Result<Json<EnvironmentStatusList>, ApiError> {
    let results = environments::list(&app, &grant, project).await?;
    Ok(Json(EnvironmentStatusList { results: results.into_iter().map(|row| status(row.id)).collect() }))
}
