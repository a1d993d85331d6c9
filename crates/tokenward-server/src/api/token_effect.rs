//! What an edit of an API token would take from it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use tokenward_api::tokens::{ApiTokenEditRequest, ApiTokenEffect};
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;

use super::endpoint::{Endpoint, post};
use super::error::ApiError;
use super::extract::{Body, id};
use super::right::On;
use super::tokens::token_change;
use crate::service::{App, token_effect, tokens};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/organization/{organizationId}/apiToken/{apiTokenId}/effect", effect)
            .needs(Management::TokenManage, On::Organization)
            .about(
                "API tokens",
                "Ask what an edit would take from a token, by what it was last allowed: the body is that of the edit. Nothing is \
                 changed. Needs `token:verify`, too.",
            )
            .takes::<ApiTokenEditRequest>()
            .written_in(&["application/json", "application/merge-patch+json"])
            .answers::<ApiTokenEffect>(200)
            .errors(&[400]),
    ]
}

async fn effect(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Body(edit): Body<ApiTokenEditRequest>,
) -> Result<Json<ApiTokenEffect>, ApiError> {
    let token = tokens::get(&app, &grant, id("apiTokenId", &token)?).await?;
    // It tells of decisions.
    grant.require_also(Management::TokenVerify)?;
    let mut faults = Faults::default();
    let change = token_change(edit, &mut faults);
    faults.finish()?;
    let effect = token_effect::of_change(&app, &grant, &token, &change, true).await?;
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Ok(Json(ApiTokenEffect {
        allowed_count: effect.allowed,
        last_used_at: effect.last_used_at,
        ends_sooner: effect.ends_sooner,
        begins_later: effect.begins_later,
        looked_at: count(effect.looked_at),
        refused_count: count(effect.refused_count),
        refused: effect.refused,
    }))
}
