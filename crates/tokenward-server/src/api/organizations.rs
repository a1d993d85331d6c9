//! Organizations (contract §1.4).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::organizations::{
    Organization, OrganizationEdit, OrganizationList, OrganizationPlan, OrganizationRequest,
};
use tokenward_core::Uuid;
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::permission::Management;
use tokenward_store::organizations::Organization as Row;

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Params, Precondition, tagged, written, written_empty};
use super::paging::{Paging, cut};
use super::right::PathResource;
use crate::service::{App, organizations};

/// A century: clients print the number before an export.
const RETENTION_DAYS: u32 = 36_500;

fn organization(row: Row) -> Organization {
    Organization {
        id: row.id,
        created_at: row.created_at,
        updated_at: row.updated_at,
        admin_emails: organizations::admin_emails(&row),
        organization_plan: OrganizationPlan { plan: row.plan, audit_logs_retention_in_days: RETENTION_DAYS },
        name: row.name,
        plan: row.plan,
        description: row.description,
        website_url: row.website_url,
        repository: row.repository,
        forbids_device: row.forbids_device,
        logo_url: row.logo_url,
        icon_url: row.icon_url,
        owner: row.owner,
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization", list)
            .about("Organizations", "The organizations that you belong to; with a token, its own.")
            .in_pages()
            .answers::<OrganizationList>(200),
        get("/organization/{organizationId}", show)
            .needs(Management::OrganizationRead, PathResource::Organization)
            .about("Organizations", "One organization.")
            .answers::<Organization>(200),
        put("/organization/{organizationId}", edit)
            .needs(Management::OrganizationEdit, PathResource::Organization)
            .about("Organizations", "Change the organization.")
            .takes::<OrganizationEdit>()
            .answers::<Organization>(200)
            .errors(&[409, 412]),
        post("/organization", create)
            .user()
            .about("Organizations", "Make an organization, which you own.")
            .takes::<OrganizationRequest>()
            .answers::<Organization>(201)
            .errors(&[409])
            .idempotent(),
        delete("/organization/{organizationId}", remove)
            .needs(Management::OrganizationDelete, PathResource::Organization)
            .about(
                "Organizations",
                "Delete the organization with all that belongs to it. Its tokens are refused at once.",
            )
            .answers_empty(204),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(paging): Params<Paging>,
) -> Result<Json<OrganizationList>, ApiError> {
    let page = paging.of("organization", Uuid::nil())?;
    let (rows, next_cursor) = cut(page.as_ref(), organizations::list(&app, &caller).await?, |row| row.id);
    Ok(Json(OrganizationList { results: rows.into_iter().map(organization).collect(), next_cursor }))
}

async fn show(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    let row = organizations::get(&app, &grant).await?;
    Ok(tagged(row.updated_at, Json(organization(row))))
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<OrganizationRequest>,
) -> Result<Response, ApiError> {
    let change = organizations::OrganizationChange {
        name: Some(new.name),
        description: Some(new.description),
        plan: new.plan,
        website_url: Some(new.website_url),
        repository: Some(new.repository),
        logo_url: Some(new.logo_url),
        icon_url: Some(new.icon_url),
        admin_emails: Some(new.admin_emails),
        forbids_device: None,
    };
    let created = organizations::create(&app, &caller, change).await?;
    let version = created.value.updated_at;
    Ok(tagged(version, written(StatusCode::CREATED, created, organization)))
}

async fn remove(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &organizations::delete(&app, grant).await?))
}

async fn edit(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Precondition(if_match): Precondition,
    Body(edit): Body<OrganizationEdit>,
) -> Result<Response, ApiError> {
    let change = organizations::OrganizationChange {
        name: Some(edit.name),
        description: edit.description,
        plan: edit.plan,
        website_url: edit.website_url,
        repository: edit.repository,
        logo_url: edit.logo_url,
        icon_url: edit.icon_url,
        admin_emails: edit.admin_emails,
        forbids_device: edit.forbids_device,
    };
    let changed = organizations::update(&app, grant, change, if_match).await?;
    let version = changed.value.updated_at;
    Ok(tagged(version, written(StatusCode::OK, changed, organization)))
}
