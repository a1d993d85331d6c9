//! Roles (contract §1.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use serde::Serialize;
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Own;
use utoipa::ToSchema;

use super::endpoint::{Endpoint, On, get};
use super::error::ApiError;
use crate::service::{App, roles};

/// A role that can be given to a token or a member.
#[derive(Serialize, ToSchema)]
struct AvailableRole {
    id: Uuid,
    /// Lowercase for the built-in roles.
    name: String,
    /// What it can do, in words.
    description: String,
}

/// Roles.
#[derive(Serialize, ToSchema)]
struct AvailableRoleList {
    results: Vec<AvailableRole>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/availableRole", available)
            .needs(Own::OrganizationRead, On::Organization)
            .about("Roles", "The roles that can be given, built-in and custom.")
            .answers::<AvailableRoleList>(200),
    ]
}

async fn available(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
) -> Result<Json<AvailableRoleList>, ApiError> {
    let results = roles::available(&app, &grant)?;
    let results = results.iter().map(|role| AvailableRole {
        id: role.id,
        name: role.name.to_string(),
        description: roles::meaning(role),
    });
    Ok(Json(AvailableRoleList { results: results.collect() }))
}
