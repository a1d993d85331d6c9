//! What an organization asks of the lives of its tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::token_policy::{RoleTokenPolicy, ShortenedTokens, TokenPolicyBody};
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::time::length_text;
use tokenward_core::token_policy::{Rules, TokenPolicy};

use super::endpoint::{Endpoint, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Precondition, tagged, written};
use super::right::PathResource;
use crate::limits::TOKEN_POLICY_ROLES;
use crate::service::App;
use crate::service::token_policy::{self, RulesInput, SentBeside, VersionedTokenPolicy};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/tokenPolicy", show)
            .needs(Management::TokenRead, PathResource::Organization)
            .about("API tokens", "What is asked of the lives of tokens: longest and usual life, an end, overlap.")
            .answers::<TokenPolicyBody>(200),
        put("/organization/{organizationId}/tokenPolicy", set)
            .needs(Management::OrganizationEdit, PathResource::Organization)
            .about(
                "API tokens",
                "Write all that is asked of the lives of tokens. It counts for every end that is set from then on, and ends no \
                 token: `GET …/apiToken?exceedsPolicy=true` lists those that go beyond it.",
            )
            .takes::<TokenPolicyBody>()
            .answers::<TokenPolicyBody>(200)
            .errors(&[400, 412]),
        post("/organization/{organizationId}/tokenPolicy/shorten", shorten)
            .needs(Management::TokenManage, PathResource::Organization)
            .about(
                "API tokens",
                "Give tokens that go beyond the policy the latest end that it allows: 100 in one request.",
            )
            .answers::<ShortenedTokens>(200)
            .errors(&[400, 409]),
    ]
}

fn body(policy: &TokenPolicy) -> TokenPolicyBody {
    let text = |length: Option<i64>| length.map(length_text);
    let of_role = |(role_id, it): &(Uuid, Rules)| RoleTokenPolicy {
        role_id: *role_id,
        max_lifetime: text(it.max_lifetime),
        default_lifetime: text(it.default_lifetime),
        end_required: it.end_required,
        max_overlap: text(it.max_overlap),
    };
    let Rules { max_lifetime, default_lifetime, end_required, max_overlap } = policy.all;
    TokenPolicyBody {
        max_lifetime: text(max_lifetime),
        default_lifetime: text(default_lifetime),
        end_required,
        max_overlap: text(max_overlap),
        on_reuse: Some(policy.on_reuse.to_string()),
        attest_every: text(policy.attest_every),
        roles: policy.roles.iter().map(of_role).collect(),
    }
}

async fn show(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    let VersionedTokenPolicy { policy, updated_at } = token_policy::get(&app, &grant).await?;
    Ok(tagged(updated_at, Json(body(&policy))))
}

async fn set(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Precondition(if_match): Precondition,
    Body(sent): Body<TokenPolicyBody>,
) -> Result<Response, ApiError> {
    TOKEN_POLICY_ROLES.check_list(&sent.roles).map_err(|problem| tokenward_core::Error::invalid("roles", problem))?;
    let all = RulesInput {
        max_lifetime: sent.max_lifetime,
        default_lifetime: sent.default_lifetime,
        end_required: sent.end_required,
        max_overlap: sent.max_overlap,
    };
    let of_role = |it: RoleTokenPolicy| {
        let RoleTokenPolicy { role_id, max_lifetime, default_lifetime, end_required, max_overlap } = it;
        (role_id, RulesInput { max_lifetime, default_lifetime, end_required, max_overlap })
    };
    let of_roles: Vec<_> = sent.roles.into_iter().map(of_role).collect();
    let beside = SentBeside { on_reuse: sent.on_reuse, attest_every: sent.attest_every };
    let policy = token_policy::read(&all, &of_roles, &beside)?;
    let saved = token_policy::set(&app, grant, policy, if_match).await?;
    let version = saved.value.updated_at;
    Ok(tagged(version, written(StatusCode::OK, saved, |dated| body(&dated.policy))))
}

async fn shorten(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    let done = token_policy::shorten(&app, grant).await?;
    Ok(written(StatusCode::OK, done, |(shortened, more)| ShortenedTokens { shortened, more }))
}
