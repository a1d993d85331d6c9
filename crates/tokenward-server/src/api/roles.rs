//! Roles (contract §1.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokenward_api::roles::{
    AvailableRole, AvailableRoleList, ClusterPermission, CustomRole, CustomRoleEdit, CustomRoleList, CustomRoleRequest,
    EnvironmentPermission, ProjectPermission, ProjectPermissionEdit,
};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;
use tokenward_core::role::{EnvironmentLevel, Mode, ProjectAccess};
use tokenward_core::{Error, Result, Uuid};

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Params, Precondition, id, tagged, written, written_empty};
use super::paging::{Paging, cut};
use super::pieces::{self, Piece};
use super::right::PathResource;
use crate::heavy;
use crate::limits::{CLUSTERS, Limits, NAME, PROJECTS, ROLE_LEVELS};
use crate::service::{App, roles};

impl From<roles::CustomRole> for CustomRole {
    fn from(custom: roles::CustomRole) -> Self {
        let levels = |access: &ProjectAccess| {
            Mode::ALL
                .map(|mode| EnvironmentPermission { environment_type: mode, permission: access.level(mode) })
                .into()
        };
        Self {
            id: custom.role.id,
            name: custom.role.name.to_string(),
            permissions: custom.role.named_permissions(),
            cluster_permissions: custom
                .clusters
                .into_iter()
                .map(|(id, name, permission)| ClusterPermission { cluster_id: id, cluster_name: name, permission })
                .collect(),
            project_permissions: custom
                .projects
                .into_iter()
                .map(|(id, name, access)| ProjectPermission {
                    project_id: id,
                    project_name: name,
                    is_admin: access.is_admin,
                    permissions: levels(&access),
                })
                .collect(),
            created_at: custom.description.created_at,
            updated_at: custom.description.updated_at,
            description: custom.description.description,
        }
    }
}

/// What a replacement says, with all that is wrong with it.
fn read(edit: CustomRoleEdit, limits: &Limits) -> Result<roles::RoleBody> {
    let mut faults = Faults::default();
    let (clusters, places) = (edit.cluster_permissions.len() as u64, edit.project_permissions.len() as u64);
    faults.check("cluster_permissions", CLUSTERS.check_count(clusters, limits.get(&CLUSTERS)));
    faults.check("project_permissions", PROJECTS.check_count(places, limits.get(&PROJECTS)));
    // What is too long is not read.
    faults.finish()?;
    let mut faults = Faults::default();
    for entry in &edit.cluster_permissions {
        faults.check("cluster_permissions", NAME.check_text(entry.cluster_name.as_deref().unwrap_or_default()));
    }
    let mut projects = Vec::with_capacity(edit.project_permissions.len());
    for (n, entry) in edit.project_permissions.into_iter().enumerate() {
        projects.push((entry.project_id, access(&entry, n, &mut faults)));
    }
    faults.finish()?;
    Ok(roles::RoleBody {
        name: edit.name,
        description: edit.description.map(Option::unwrap_or_default),
        permissions: edit.permissions,
        clusters: edit.cluster_permissions.into_iter().map(|entry| (entry.cluster_id, entry.permission)).collect(),
        projects,
    })
}

fn access(entry: &ProjectPermissionEdit, number: usize, faults: &mut Faults) -> ProjectAccess {
    let field = |name: &str| format!("project_permissions[{number}].{name}");
    faults.check(&field("project_name"), NAME.check_text(entry.project_name.as_deref().unwrap_or_default()));
    if let Err(problem) = ROLE_LEVELS.check_list(entry.permissions.as_deref().unwrap_or_default()) {
        faults.push(field("permissions"), problem);
        return ProjectAccess::NONE;
    }
    if entry.is_admin == Some(true) {
        return ProjectAccess::ADMIN;
    }
    let mut levels: [Option<EnvironmentLevel>; 4] = [None; 4];
    for entry in entry.permissions.iter().flatten() {
        let level = &mut levels[entry.environment_type as usize];
        if level.is_some() {
            let mode = entry.environment_type.as_str();
            faults.push(field("permissions"), format!("names {mode} twice"));
        }
        *level = Some(entry.permission);
    }
    for (mode, _) in Mode::ALL.iter().zip(&levels).filter(|(_, level)| level.is_none()) {
        faults.push(field("permissions"), format!("lacks an entry for {}", mode.as_str()));
    }
    ProjectAccess { is_admin: false, levels: levels.map(|level| level.unwrap_or(EnvironmentLevel::NoAccess)) }
}

/// So many roles are gone through without a thread for it.
const FEW: usize = 50;

/// Roles in a piece of the list: each has an entry for every project.
const PIECE: usize = 5;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/organization/{organizationId}/customRole";
    const ONE: &str = "/organization/{organizationId}/customRole/{customRoleId}";
    vec![
        get("/organization/{organizationId}/availableRole", available)
            .needs(Management::OrganizationRead, PathResource::Organization)
            .about("Roles", "The roles that can be given, built-in and custom.")
            .in_pages()
            .answers::<AvailableRoleList>(200),
        get(ALL, list)
            .needs(Management::RoleRead, PathResource::Organization)
            .about("Roles", "The custom roles.")
            .in_pages()
            .answers::<CustomRoleList>(200),
        post(ALL, create)
            .needs(Management::RoleManage, PathResource::Organization)
            .idempotent()
            .about("Roles", "Make a custom role.")
            .takes::<CustomRoleRequest>()
            .answers::<CustomRole>(201)
            .errors(&[409]),
        get(ONE, show)
            .needs(Management::RoleRead, PathResource::Organization)
            .about("Roles", "One custom role.")
            .answers::<CustomRole>(200)
            .errors(&[400]),
        put(ONE, edit)
            .needs(Management::RoleManage, PathResource::Organization)
            .about("Roles", "Replace a custom role.")
            .takes::<CustomRoleEdit>()
            .answers::<CustomRole>(200)
            .errors(&[409, 412]),
        delete(ONE, remove)
            .needs(Management::RoleManage, PathResource::Organization)
            .about(
                "Roles",
                "Delete a custom role. While somebody has it, only with `move_to`: all its tokens and members get that role.",
            )
            .query(&[("move_to", "The id of the role that its holders get; you must be able to give it.")])
            .answers_empty(204)
            .errors(&[400, 409]),
    ]
}

async fn available(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(paging): Params<Paging>,
) -> Result<Json<AvailableRoleList>, ApiError> {
    let page = paging.of("availableRole", grant.organization())?;
    let count = app.verifier.directory().organization(grant.organization()).map_or(0, |it| it.roles().count());
    let look = {
        let (app, grant) = (Arc::clone(&app), grant.clone());
        move || roles::available(&app, &grant)
    };
    // Each is compared with the caller's own.
    let all = if count <= FEW { look()? } else { heavy::aside(grant.organization(), look).await?? };
    let (results, next_cursor) = cut(page.as_ref(), all, |role| role.id);
    let results = results.iter().map(|role| AvailableRole {
        id: role.id,
        name: role.name.to_string(),
        description: role.meaning(),
    });
    Ok(Json(AvailableRoleList { results: results.collect(), next_cursor }))
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(paging): Params<Paging>,
) -> Result<Response, ApiError> {
    let page = paging.of("customRole", grant.organization())?;
    let organization = grant.organization();
    let piece = move |after| {
        let (app, grant) = (Arc::clone(&app), grant.clone());
        async move {
            let (all, last) = roles::part(&app, &grant, after, PIECE).await?;
            Ok(Piece { entries: all.into_iter().map(CustomRole::from).collect(), last })
        }
    };
    Ok(pieces::page_or_all(organization, page, |role: &CustomRole| role.id, piece).await?)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(new): Body<CustomRoleRequest>,
) -> Result<Response, ApiError> {
    let created = roles::create(&app, grant, new.name, new.description, new.permissions).await?;
    let version = created.value.description.updated_at;
    Ok(tagged(version, written(StatusCode::CREATED, created, CustomRole::from)))
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, role)): Path<(Uuid, String)>,
) -> Result<Response, ApiError> {
    let role = roles::get(&app, &grant, id("customRoleId", &role)?).await?;
    Ok(tagged(role.description.updated_at, Json(CustomRole::from(role))))
}

async fn edit(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, role)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
    Body(change): Body<CustomRoleEdit>,
) -> Result<Response, ApiError> {
    let role = id("customRoleId", &role)?;
    // 404 before what is wrong with the body.
    roles::get(&app, &grant, role).await?;
    let changed = roles::update(&app, grant, role, read(change, &app.limits)?, if_match).await?;
    let version = changed.value.description.updated_at;
    Ok(tagged(version, written(StatusCode::OK, changed, CustomRole::from)))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, role)): Path<(Uuid, String)>,
    Params(removal): Params<Removal>,
) -> Result<Response, ApiError> {
    let role = id("customRoleId", &role)?;
    let move_to = removal.move_to.map(|text| {
        Uuid::try_parse(&text).map_err(|_| Error::invalid("move_to", "is not the id of a role; see availableRole"))
    });
    Ok(written_empty(StatusCode::NO_CONTENT, &roles::delete(&app, grant, role, move_to.transpose()?).await?))
}

#[derive(Deserialize)]
struct Removal {
    move_to: Option<String>,
}
