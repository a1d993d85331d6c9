//! How the service stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use tokenward_api::status::{Status, StatusTokens, StatusWarning};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_store::tokens::overview::{Counts, Which};

use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use super::right::PathResource;
use crate::service::{App, status};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/status", show)
            .needs(Management::EventRead, PathResource::Organization)
            .about(
                "Service",
                "How does the service stand: version, address, database, log, tokens, and what it warns of?",
            )
            .answers::<Status>(200),
    ]
}

async fn show(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Json<Status>, ApiError> {
    let status = status::read(&app, &grant).await?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").into(),
        public_url: app.public_url.clone(),
        database: if app.store.is_shared() { "postgresql" } else { "sqlite" }.into(),
        position: status.position.to_string(),
        nodes: status.nodes,
        tokens: status.tokens.as_ref().map(tokens),
        warnings: status.warnings.into_iter().map(|(code, text)| StatusWarning { code: code.into(), text }).collect(),
    }))
}

fn tokens(counts: &Counts) -> StatusTokens {
    let of = |which: Which| {
        let at = Which::ALL.iter().position(|it| *it == which);
        at.map_or(0, |at| counts.each[at]).max(0).unsigned_abs()
    };
    StatusTokens {
        all: of(Which::All),
        in_use_ending_soon: counts.ending.max(0).unsigned_abs(),
        unused: of(Which::Unused),
        endless: of(Which::Endless),
        disabled: of(Which::Disabled),
    }
}
