//! What would a token be answered? By its id, and never by its text.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use tokenward_api::verify::{DecideRequest, Decided};
use tokenward_core::caller::Grant;
use tokenward_core::decision::Ask;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Uuid};
use tokenward_verify::{Asking, Presenter, Question, Request};

use super::endpoint::{Endpoint, post};
use super::error::ApiError;
use super::extract::{Body, id};
use super::right::On;
use super::verify::resource;
use crate::limits::{API_NAME, PERMISSION, PRESENTED_BYTES};
use crate::service::{App, token_decision};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/organization/{organizationId}/apiToken/{apiTokenId}/decide", decide)
            .needs(Management::TokenRead, On::Organization)
            .about(
                "API tokens",
                "What would this token be answered? For checks: nothing is counted, and no decision is remembered.",
            )
            .takes::<DecideRequest>()
            .answers::<Decided>(200),
    ]
}

/// What is asked; a question with something missing would be another one.
fn check(request: &DecideRequest) -> Result<()> {
    let of = request.request.as_ref();
    let fields = [
        ("permission", request.permission.as_deref(), &PERMISSION),
        ("api", request.api.as_deref(), &API_NAME),
        ("request.method", of.map(|it| it.method.as_str()), &PRESENTED_BYTES),
        ("request.path", of.map(|it| it.path.as_str()), &PRESENTED_BYTES),
    ];
    for (field, value, limit) in fields {
        if let Some(text) = value {
            limit.check_text(text).map_err(|problem| Error::invalid(field, problem))?;
        }
    }
    if request.resource.is_some() && request.permission.is_none() {
        return Err(Error::invalid("resource", "needs a `permission` beside it"));
    }
    match (&request.api, of) {
        (Some(_), None) => Err(Error::invalid("request", "is missing: with `api`, say which request it is about")),
        (None, Some(_)) => Err(Error::invalid("api", "is missing: with `request`, say of which API it is")),
        _ => Ok(()),
    }
}

async fn decide(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Body(request): Body<DecideRequest>,
) -> Result<Json<Decided>, ApiError> {
    check(&request)?;
    let ask = request.permission.as_deref().map_or(Ok(Ask::Identity), Ask::permission)?;
    let asked = request.request.as_ref();
    let asked = asked.map(|it| Request { api: request.api.as_deref(), method: &it.method, path: &it.path });
    let question = Question::new(Asking::Organization(grant.organization()), ask)
        .resource(resource(request.resource.unwrap_or_default()))
        .request(asked)
        .from(Presenter { address: request.remote_ip, agent: None });
    let outcome = token_decision::decide(&app, &grant, id("apiTokenId", &token)?, &question).await?;
    Ok(Json(match outcome {
        Ok(()) => Decided { valid: true, code: "valid".into(), sentence: None, missing_permission: None },
        Err((reason, missing_permission)) => Decided {
            valid: false,
            code: reason.as_str().into(),
            sentence: Some(reason.sentence().into()),
            missing_permission,
        },
    }))
}
