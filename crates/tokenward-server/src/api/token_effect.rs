//! What an edit of an API token, or of a policy token, would take from it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use tokenward_api::policy_tokens::PolicyApiTokenEditRequest;
use tokenward_api::tokens::{ApiTokenEditRequest, ApiTokenEffect};
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;

use super::endpoint::{Endpoint, post};
use super::error::ApiError;
use super::extract::{Body, id};
use super::right::PathResource;
use super::tokens::{given, token_change};
use crate::service::policy_tokens::{self, PolicyToken, TrialPolicy};
use crate::service::token_effect::{self, TokenEffect};
use crate::service::{App, tokens};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/organization/{organizationId}/apiToken/{apiTokenId}/effect", effect)
            .needs(Management::TokenManage, PathResource::Organization)
            .about(
                "API tokens",
                "Ask what an edit would take from a token, by what it was last allowed: the body is that of the edit. Nothing is \
                 changed. Needs `token:verify`, too.",
            )
            .takes::<ApiTokenEditRequest>()
            .written_in(&["application/json", "application/merge-patch+json"])
            .answers::<ApiTokenEffect>(200)
            .errors(&[400]),
        post("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/effect", policy_token_effect)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "Ask what an edit would take from a policy token, by what it was last allowed: the body is that of the edit. Another \
                 policy is asked about these requests without their bodies, which are not kept. Nothing is changed. Needs \
                 `token:verify`, too.",
            )
            .takes::<PolicyApiTokenEditRequest>()
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
    Ok(Json(effect_body(token_effect::of_change(&app, &grant, &token, &change, None, true).await?)))
}

async fn policy_token_effect(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Body(edit): Body<PolicyApiTokenEditRequest>,
) -> Result<Json<ApiTokenEffect>, ApiError> {
    let found = policy_tokens::get(&app, &grant, id("policyApiTokenId", &token)?).await?;
    let PolicyToken { token, policy: before, .. } = found;
    // It tells of decisions.
    grant.require_also(Management::TokenVerify)?;
    let mut faults = Faults::default();
    let (edit, policy) = edit.into_parts();
    let policy = given("opa_policy", policy, &mut faults);
    let change = token_change(edit, &mut faults);
    faults.finish()?;
    let other = match policy.filter(|policy| *policy != before) {
        Some(policy) => Some(TrialPolicy::compile(grant.organization(), policy).await?),
        None => None,
    };
    Ok(Json(effect_body(token_effect::of_change(&app, &grant, &token, &change, other, true).await?)))
}

fn effect_body(effect: TokenEffect) -> ApiTokenEffect {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    ApiTokenEffect {
        allowed_count: effect.allowed,
        last_used_at: effect.last_used_at,
        ends_sooner: effect.ends_sooner,
        begins_later: effect.begins_later,
        looked_at: count(effect.looked_at),
        refused_count: count(effect.refused_count),
        refused: effect.refused,
    }
}
