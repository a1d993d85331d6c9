//! What an organization asks of sessions.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokenward_api::sign_in_policy::{KeptOut, SignInPolicy, SignInPolicyBody};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result as Checked};
use tokenward_store::members::Member;

use super::endpoint::{Endpoint, get, put};
use super::error::ApiError;
use super::extract::{Body, Precondition, tagged, written};
use super::right::On;
use super::understood::QueryKind;
use crate::limits::PROVIDER_KEYS;
use crate::service::App;
use crate::service::sign_in_policy::{self, Dated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    const PATH: &str = "/organization/{organizationId}/signInPolicy";
    let mut set = put(PATH, set)
        .needs(Management::OrganizationEdit, On::Organization)
        .about(
            "Organizations",
            "Write by what people sign in. It holds for every door and for the sessions that are there; API tokens are not concerned. \
             To ask for a provider takes a session that it proved within five minutes.",
        )
        .query(&[("dry_run", "`true` changes nothing and tells whom it would keep out.")])
        .query_kinds(&[("dry_run", QueryKind::Flag)])
        .takes::<SignInPolicyBody>()
        .answers::<SignInPolicy>(200)
        .errors(&[400, 412]);
    set.user_only = true;
    vec![
        get(PATH, show)
            .needs(Management::OrganizationRead, On::Organization)
            .about("Organizations", "By what people sign in to the organization.")
            .answers::<SignInPolicy>(200),
        set,
    ]
}

#[derive(Deserialize)]
struct Trial {
    dry_run: Option<bool>,
}

fn body(providers: Vec<String>, kept_out: Option<Vec<Member>>) -> SignInPolicy {
    let out = |member: Member| KeptOut { user_id: member.account_id, email: member.email, role_name: member.role_name };
    SignInPolicy {
        sign_in: if providers.is_empty() { "any" } else { "providers" }.to_owned(),
        providers,
        kept_out: kept_out.map(|all| all.into_iter().map(out).collect()),
    }
}

/// The providers that a body names.
fn wanted(sent: SignInPolicyBody) -> Checked<Vec<String>> {
    PROVIDER_KEYS.check_list(&sent.providers).map_err(|problem| Error::invalid("providers", problem))?;
    match (sent.sign_in.as_str(), sent.providers.is_empty()) {
        ("any", true) => Ok(Vec::new()),
        ("any", false) => Err(Error::invalid("providers", "goes with `providers`; leave it out with `any`")),
        ("providers", true) => Err(Error::invalid("providers", "names none; name at least one")),
        ("providers", false) => Ok(sent.providers),
        _ => Err(Error::invalid("sign_in", "is neither `any` nor `providers`")),
    }
}

async fn show(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    let Dated { providers, updated_at } = sign_in_policy::get(&app, &grant).await?;
    Ok(tagged(updated_at, Json(body(providers, None))))
}

async fn set(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Query(Trial { dry_run }): Query<Trial>,
    Precondition(if_match): Precondition,
    Body(sent): Body<SignInPolicyBody>,
) -> Result<Response, ApiError> {
    let providers = wanted(sent)?;
    let kept_out = sign_in_policy::kept_out(&app, &grant, &providers).await?;
    if dry_run == Some(true) {
        return Ok(Json(body(providers, Some(kept_out))).into_response());
    }
    let saved = sign_in_policy::set(&app, grant, providers, if_match).await?;
    let version = saved.value.updated_at;
    Ok(tagged(version, written(StatusCode::OK, saved, |dated| body(dated.providers, Some(kept_out)))))
}
