//! Is the service up, and how is it used?

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tokenward_api::health::Health;
use tokenward_core::Error;

use super::endpoint::{Endpoint, get, get_once};
use super::error::ApiError;
use super::openapi;
use crate::service::App;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/healthz", healthz).public().about("Service", "Is the process alive?").answers::<Health>(200),
        get("/readyz", readyz)
            .public()
            .about("Service", "May it answer? Everything is in memory and the database is there.")
            .answers::<Health>(200)
            .errors(&[503]),
        get_once("/openapi.json", "application/json", openapi_json)
            .public()
            .about("Service", "This document.")
            .answers_empty(200),
    ]
}

async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".into() })
}

async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    if !app.verifier.is_ready() {
        return Err(Error::unavailable("Tokenward is loading.").into());
    }
    let mut reader = app.store.read().await?;
    tokenward_store::log::head(reader.conn()).await?;
    Ok(Json(Health { status: "ok".into() }))
}

fn openapi_json(app: &App) -> tokenward_core::Result<String> {
    serde_json::to_string(&openapi::document(&app.public_url, &app.limits)).map_err(Error::internal)
}
