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
use tokenward_core::sign_in::{SignInPolicy as SignInPolicyOf, TwoFactors};
use tokenward_core::time::length_text;
use tokenward_core::{Error, Result as Checked};

use super::endpoint::{Endpoint, get, put};
use super::error::ApiError;
use super::extract::{Body, Precondition, tagged, written};
use super::right::PathResource;
use super::understood::QueryKind;
use crate::limits::PROVIDER_KEYS;
use crate::service::App;
use crate::service::session_limits::{Bounds, IDLE, LIFETIME};
use crate::service::sign_in_policy::{self as service, SignInPolicyChange, VersionedSignInPolicy};

pub(super) fn endpoints() -> Vec<Endpoint> {
    const PATH: &str = "/organization/{organizationId}/signInPolicy";
    let mut set = put(PATH, set)
        .needs(Management::OrganizationEdit, PathResource::Organization)
        .about(
            "Organizations",
            "Write by what people sign in, and for how long a session counts. It holds for every door and for the sessions that are \
             there; API tokens are not concerned. To ask for a provider takes a session that it proved within five minutes; to ask two factors, or to change that, one that \
             two factors proved.",
        )
        .query(&[("dry_run", "`true` changes nothing and tells whom it would keep out.")])
        .query_kinds(&[("dry_run", QueryKind::Flag)])
        .takes::<SignInPolicyBody>()
        .answers::<SignInPolicy>(200)
        .errors(&[400, 412]);
    set.user_only = true;
    vec![
        get(PATH, show)
            .needs(Management::OrganizationRead, PathResource::Organization)
            .about("Organizations", "By what people sign in to the organization.")
            .answers::<SignInPolicy>(200),
        set,
    ]
}

#[derive(Deserialize)]
struct TrialQuery {
    dry_run: Option<bool>,
}

fn body(policy: &SignInPolicyOf, kept_out: Option<Vec<service::KeptOut>>) -> SignInPolicy {
    let out = |it: service::KeptOut| {
        let words = [(it.lacks_provider, "provider"), (it.lacks_factor, "second_factor")];
        KeptOut {
            user_id: it.member.account_id,
            email: it.member.email,
            role_name: it.member.role_name,
            lacks: words.into_iter().filter(|(lacks, _)| *lacks).map(|(_, word)| word.to_owned()).collect(),
            from: it.from,
        }
    };
    SignInPolicy {
        sign_in: if policy.providers.is_empty() { "any" } else { "providers" }.to_owned(),
        providers: policy.providers.iter().map(|key| key.to_string()).collect(),
        two_factors: policy.two_factors.is_some(),
        grace_days: policy.two_factors.map_or(0, |it| it.grace_days),
        two_factors_from: policy.two_factors.map(TwoFactors::refused_from),
        session_lifetime: policy.session_lifetime.map(length_text),
        session_idle: policy.session_idle.map(length_text),
        kept_out: kept_out.map(|all| all.into_iter().map(out).collect()),
    }
}

/// What a body asks for.
fn wanted(sent: SignInPolicyBody) -> Checked<SignInPolicyChange> {
    PROVIDER_KEYS.check_list(&sent.providers).map_err(|problem| Error::invalid("providers", problem))?;
    let providers = match (sent.sign_in.as_str(), sent.providers.is_empty()) {
        ("any", true) => Vec::new(),
        ("any", false) => {
            return Err(Error::invalid("providers", "goes with `providers`; leave it out with `any`"));
        }
        ("providers", true) => return Err(Error::invalid("providers", "names none; name at least one")),
        ("providers", false) => sent.providers,
        _ => return Err(Error::invalid("sign_in", "is neither `any` nor `providers`")),
    };
    if sent.grace_days > 0 && !sent.two_factors {
        return Err(Error::invalid("grace_days", "goes with `two_factors`; leave it out without"));
    }
    let read = |field, sent: Option<String>, bounds: &Bounds| {
        let said = sent.map(|text| bounds.read(&text)).transpose();
        said.map_err(|problem| Error::invalid(field, problem))
    };
    Ok(SignInPolicyChange {
        providers,
        grace_days: sent.two_factors.then_some(sent.grace_days),
        session_lifetime: read("session_lifetime", sent.session_lifetime, &LIFETIME)?,
        session_idle: read("session_idle", sent.session_idle, &IDLE)?,
    })
}

async fn show(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    let VersionedSignInPolicy { policy, updated_at } = service::get(&app, &grant).await?;
    Ok(tagged(updated_at, Json(body(&policy, None))))
}

async fn set(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Query(TrialQuery { dry_run }): Query<TrialQuery>,
    Precondition(if_match): Precondition,
    Body(sent): Body<SignInPolicyBody>,
) -> Result<Response, ApiError> {
    let wanted = wanted(sent)?;
    let kept_out = service::kept_out(&app, &grant, &wanted).await?;
    if dry_run == Some(true) {
        let tried = service::tried(&app, &grant, &wanted).await?;
        return Ok(Json(body(&tried, Some(kept_out))).into_response());
    }
    let saved = service::set(&app, grant, wanted, if_match).await?;
    let version = saved.value.updated_at;
    Ok(tagged(version, written(StatusCode::OK, saved, |dated| body(&dated.policy, Some(kept_out)))))
}
