//! What becomes of API tokens over time: brownouts, and whether they are still needed.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use tokenward_api::tokens::{ApiToken, ApiTokenBrownoutRequest};
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;

use super::endpoint::{Endpoint, delete, post};
use super::error::ApiError;
use super::extract::{Body, Precondition, id};
use super::right::PathResource;
use super::tokens::Beside;
use crate::service::App;
use crate::service::token_attestation;
use crate::service::token_brownout::{self, BrownoutRequest};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/organization/{organizationId}/apiToken/{apiTokenId}/brownout", start_brownout)
            .needs(Management::TokenManage, PathResource::Organization)
            .about(
                "API tokens",
                "Refuse a token for short times before it is taken back, to learn who would miss it. Answers that it gets meanwhile \
                 announce the next time (`Tokenward-Brownout`).",
            )
            .takes::<ApiTokenBrownoutRequest>()
            .answers::<ApiToken>(200)
            .errors(&[400, 409, 412]),
        delete("/organization/{organizationId}/apiToken/{apiTokenId}/brownout", end_brownout)
            .needs(Management::TokenManage, PathResource::Organization)
            .about("API tokens", "Accept a token again at all times.")
            .answers::<ApiToken>(200)
            .errors(&[400, 409, 412]),
        // Who is accountable for a token may say so, whatever the role; others must manage tokens.
        post("/organization/{organizationId}/apiToken/{apiTokenId}/attest", attest)
            .needs(Management::TokenRead, PathResource::Organization)
            .about("API tokens", "Say that a token is still needed: as its owner, or as somebody who manages tokens.")
            .answers::<ApiToken>(200)
            .errors(&[400, 409, 412]),
    ]
}

/// A brownout as it was sent.
pub(super) fn brownout_request(sent: ApiTokenBrownoutRequest) -> BrownoutRequest {
    let ApiTokenBrownoutRequest { minutes, every, until, from } = sent;
    BrownoutRequest { minutes, every, until, from }
}

async fn start_brownout(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
    Body(sent): Body<ApiTokenBrownoutRequest>,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let beside = Beside::of(&app, &grant, token).await?;
    let started = token_brownout::start(&app, grant, (Kind::Token, token), brownout_request(sent), if_match).await?;
    Ok(beside.changed(&app, started))
}

async fn end_brownout(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let beside = Beside::of(&app, &grant, token).await?;
    Ok(beside.changed(&app, token_brownout::end(&app, grant, (Kind::Token, token), if_match).await?))
}

async fn attest(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let beside = Beside::of(&app, &grant, token).await?;
    Ok(beside.changed(&app, token_attestation::attest(&app, grant, (Kind::Token, token), if_match).await?))
}
