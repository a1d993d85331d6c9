//! What becomes of policy tokens: switched off and on, brought back, earlier secrets ended, and whether they are still needed.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::policy_tokens::PolicyApiToken;
use tokenward_api::tokens::{ApiToken, ApiTokenBrownoutRequest};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::token::Token;
use tokenward_core::{Error, Uuid};

use super::endpoint::{Endpoint, delete, post};
use super::error::ApiError;
use super::extract::{Body, Precondition, id, tagged, written, written_empty};
use super::policy_tokens::{policy_token, read_with_usage};
use super::right::PathResource;
use super::token_life::brownout_request;
use super::tokens::Beside;
use crate::service::policy_tokens::PolicyToken;
use crate::service::tokens;
use crate::service::usage::TokenUsage;
use crate::service::{App, Written, token_attestation, token_brownout};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/disable", disable)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "Switch a policy token off: it is refused, and keeps everything, until it is switched on again.",
            )
            .answers::<PolicyApiToken>(200)
            .errors(&[400, 409, 412]),
        post("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/enable", enable)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about("Policy tokens", "Switch a policy token on again.")
            .answers::<PolicyApiToken>(200)
            .errors(&[400, 409, 412]),
        post("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/undo", undo)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "Undo the deletion of a policy token, for an hour after it: the same secrets are accepted again.",
            )
            .answers::<PolicyApiToken>(200)
            .errors(&[400, 409, 412]),
        post("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/brownout", start_brownout)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "Refuse a policy token for short times before it is taken back, to learn who would miss it. Answers that it gets \
                 meanwhile announce the next time (`Tokenward-Brownout`).",
            )
            .takes::<ApiTokenBrownoutRequest>()
            .answers::<PolicyApiToken>(200)
            .errors(&[400, 409, 412]),
        delete("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/brownout", end_brownout)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about("Policy tokens", "Accept a policy token again at all times.")
            .answers::<PolicyApiToken>(200)
            .errors(&[400, 409, 412]),
        // Who is accountable for one may say so without seeing the others, and gets no policy for it.
        post("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/attest", attest)
            .needs(Management::TokenRead, PathResource::Organization)
            .about(
                "Policy tokens",
                "Say that a policy token is still needed: as its owner, or as somebody who manages policy tokens.",
            )
            .answers::<ApiToken>(200)
            .errors(&[400, 409, 412]),
        delete("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/version/{version}", end_version)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about("Policy tokens", "End an earlier secret of a policy token now.")
            .answers_empty(204)
            .errors(&[400, 409]),
    ]
}

/// The answer to a change: the token as it is now.
fn changed(app: &App, (before, usage): (PolicyToken, TokenUsage), changed: Written<Token>) -> Response {
    let version = changed.value.updated_at;
    let told = |token| policy_token(app, PolicyToken { token, ..before }, &usage);
    tagged(version, written(StatusCode::OK, changed, told))
}

async fn disable(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let before = read_with_usage(&app, &grant, token).await?;
    Ok(changed(&app, before, tokens::disable(&app, grant, (Kind::PolicyToken, token), if_match).await?))
}

async fn enable(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let before = read_with_usage(&app, &grant, token).await?;
    Ok(changed(&app, before, tokens::enable(&app, grant, (Kind::PolicyToken, token), if_match).await?))
}

async fn undo(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let before = read_with_usage(&app, &grant, token).await?;
    Ok(changed(&app, before, tokens::undo(&app, grant, (Kind::PolicyToken, token), if_match).await?))
}

async fn start_brownout(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
    Body(sent): Body<ApiTokenBrownoutRequest>,
) -> Result<Response, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let before = read_with_usage(&app, &grant, token).await?;
    let of = (Kind::PolicyToken, token);
    Ok(changed(&app, before, token_brownout::start(&app, grant, of, brownout_request(sent), if_match).await?))
}

async fn end_brownout(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let before = read_with_usage(&app, &grant, token).await?;
    Ok(changed(&app, before, token_brownout::end(&app, grant, (Kind::PolicyToken, token), if_match).await?))
}

async fn attest(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let of = (Kind::PolicyToken, id("policyApiTokenId", &token)?);
    let beside = Beside::of_kind(&app, &grant, of).await?;
    Ok(beside.changed(&app, token_attestation::attest(&app, grant, of, if_match).await?))
}

async fn end_version(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token, version)): Path<(Uuid, String, String)>,
) -> Result<Response, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let version =
        version.parse().map_err(|_| Error::invalid("version", "in the path is not the number of a secret"))?;
    let ended = tokens::end_version(&app, grant, (Kind::PolicyToken, token), version).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &ended))
}
