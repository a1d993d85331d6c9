//! Is the service up, and how is it used?

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tokenward_api::health::Health;
use tokenward_core::Error;

use super::endpoint::{Endpoint, get, get_once};
use super::error::ApiError;
use super::extract::Params;
use super::openapi;
use super::understood::QueryKind;
use crate::service::App;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/healthz", healthz).public().about("Service", "Is the process alive?").answers::<Health>(200),
        get("/readyz", readyz)
            .public()
            .about("Service", "May it verify? Everything is in memory, and it was not told to stop.")
            .query(&[("for", "`write`: does the database answer, too, within a second?")])
            .query_kinds(&[("for", QueryKind::OneOf(&["verify", "write"]))])
            .answers::<Health>(200)
            .errors(&[400, 503]),
        get_once("/openapi.json", "application/json", openapi_json)
            .public()
            .about("Service", "This document.")
            .answers_empty(200),
    ]
}

async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".into(), age_ms: None })
}

/// How long the database may take to answer.
const WITHIN: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct ReadyQuery {
    #[serde(rename = "for")]
    need: Option<String>,
}

/// Asks nobody and nothing but the memory, unless it is to write: a node without its database still verifies, and an
/// orchestrator must not take it away.
async fn readyz(State(app): State<Arc<App>>, Params(query): Params<ReadyQuery>) -> Result<Json<Health>, ApiError> {
    let writes = match query.need.as_deref() {
        None | Some("verify") => false,
        Some("write") => true,
        Some(_) => return Err(Error::invalid("for", "is neither `verify` nor `write`").into()),
    };
    if app.stopping.load(Ordering::Acquire) {
        return Err(Error::unavailable("Tokenward is stopping; ask another node.").into());
    }
    if !app.verifier.is_ready() {
        return Err(Error::unavailable("Tokenward is loading.").into());
    }
    if writes {
        let asked = async {
            let mut reader = app.store.read().await?;
            tokenward_store::log::head(reader.conn()).await
        };
        let late =
            || Error::unavailable("The database does not answer within a second. Verification goes on from memory.");
        tokio::time::timeout(WITHIN, asked).await.map_err(|_| late())??;
    }
    // Rounded up: it must not say less than is true.
    let age_ms = app.verifier.age().map(|age| (age.max(0).unsigned_abs()).div_ceil(1_000));
    Ok(Json(Health { status: "ok".into(), age_ms }))
}

fn openapi_json(app: &App) -> tokenward_core::Result<String> {
    serde_json::to_string(&openapi::document(&app.public_url, &app.limits)).map_err(Error::internal)
}
