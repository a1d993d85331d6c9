//! What would a token be answered? By its id, and never by its text.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use tokenward_api::verify::{DecideRequest, Decided};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::{Error, Result, Uuid};
use tokenward_verify::{Asking, Presenter, Question};

use super::endpoint::{Endpoint, post};
use super::error::ApiError;
use super::extract::{Body, id};
use super::right::PathResource;
use super::verify::Subject;
use crate::service::App;
use crate::service::token_decision::{NewestSecret, TokenDecision};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/organization/{organizationId}/apiToken/{apiTokenId}/decide", decide)
            .needs(Management::TokenRead, PathResource::Organization)
            .about(
                "API tokens",
                "What would this token be answered? For checks: nothing is counted, and no decision is remembered.",
            )
            .takes::<DecideRequest>()
            .answers::<Decided>(200),
    ]
}

async fn decide(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Body(request): Body<DecideRequest>,
) -> Result<Json<Decided>, ApiError> {
    let subject = Subject {
        permission: request.permission.as_deref(),
        resource: request.resource,
        api: request.api.as_deref(),
        request: request.request.as_ref().map(|it| (&*it.method, &*it.path)),
    };
    let ask = subject.read()?;
    // Nothing is remembered of this question, so that it would be about nothing.
    if subject.request.is_some() && subject.api.is_none() {
        return Err(Error::invalid("api", "is missing: with `request`, say of which API it is").into());
    }
    let question = Question::new(Asking::Organization(grant.organization()), ask)
        .resource(subject.resource())
        .request(subject.request())
        .from(Presenter { address: request.remote_ip, agent: None });
    let token = id("apiTokenId", &token)?;
    let outcome = match NewestSecret::of(&app, &grant, (Kind::Token, token)).await? {
        Ok(secret) => secret.decide(&app, &question, None)?,
        Err(ended) => Err((ended, None)),
    };
    Ok(Json(decided(outcome)))
}

/// A decision in the words of an answer.
pub(super) fn decided(outcome: TokenDecision) -> Decided {
    match outcome {
        Ok(()) => Decided { valid: true, code: "valid".into(), sentence: None, missing_permission: None },
        Err((reason, missing_permission)) => Decided {
            valid: false,
            code: reason.as_str().into(),
            sentence: Some(reason.sentence().into()),
            missing_permission,
        },
    }
}
