//! The rules of an organization about who becomes a member by a provider.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::sign_in_rules::{SignInRule, SignInRules, SignInRulesBody};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::sign_in::SignInRule as Rule;
use tokenward_store::sign_in_rules::RuleRow;

use super::endpoint::{Endpoint, get, put};
use super::error::ApiError;
use super::extract::{Body, Precondition, tagged, written};
use super::right::PathResource;
use crate::service::App;
use crate::service::sign_in_rules::{self, VersionedSignInRules};

pub(super) fn endpoints() -> Vec<Endpoint> {
    const PATH: &str = "/organization/{organizationId}/signInRules";
    vec![
        get(PATH, show)
            .needs(Management::MemberManage, PathResource::Organization)
            .about("Members", "The rules by which a provider's people are members, in their order.")
            .answers::<SignInRules>(200),
        put(PATH, set)
            .needs(Management::MemberManage, PathResource::Organization)
            .about(
                "Members",
                "Write all rules by which a provider's people are members: the first that fits counts, at each sign-in. None may give \
                 more than you have. A session needs a fresh proof (`/session/proof`).",
            )
            .takes::<SignInRulesBody>()
            .answers::<SignInRules>(200)
            .errors(&[400, 412]),
    ]
}

fn body(rules: &[RuleRow]) -> SignInRules {
    let rule = |row: &RuleRow| SignInRule {
        provider: row.provider.clone(),
        value: row.value.clone(),
        role_id: row.role_id,
        role_name: row.role_name.clone(),
    };
    SignInRules { rules: rules.iter().map(rule).collect() }
}

async fn show(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    let VersionedSignInRules { rules, updated_at } = sign_in_rules::get(&app, &grant).await?;
    Ok(tagged(updated_at, Json(body(&rules))))
}

async fn set(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Precondition(if_match): Precondition,
    Body(sent): Body<SignInRulesBody>,
) -> Result<Response, ApiError> {
    let rules = sent.rules.into_iter();
    let rules = rules.map(|it| Rule { provider: it.provider, value: it.value, role_id: it.role_id }).collect();
    let saved = sign_in_rules::set(&app, grant, rules, if_match).await?;
    let version = saved.value.updated_at;
    Ok(tagged(version, written(StatusCode::OK, saved, |dated| body(&dated.rules))))
}
