//! The log itself: which one it is, and what became of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::log::{LogStatus, LogTurn, LostEvent};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_store::Position;
use tokenward_store::lineage::Turn;

use super::endpoint::{Endpoint, get, post};
use super::error::ApiError;
use super::extract::written_empty;
use super::right::On;
use crate::service::{App, log};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/log", show)
            .needs(Management::EventRead, On::Organization)
            .about(
                "Events",
                "Which log is it, and has it ever gone on under another name: after a failover, or since the database was put \
                 back?",
            )
            .answers::<LogStatus>(200),
        post("/organization/{organizationId}/log/acknowledge", acknowledge)
            .needs(Management::OrganizationEdit, On::Organization)
            .about("Events", "Acknowledge what became of the log, so that nobody is warned of it any more.")
            .answers_empty(204)
            .errors(&[409]),
    ]
}

async fn show(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Json<LogStatus>, ApiError> {
    let status = log::status(&app, &grant).await?;
    let turn = |turn: &Turn| LogTurn {
        after: Position { incarnation: turn.before, number: turn.after_position }.to_string(),
        incarnation: turn.incarnation,
        why: turn.why.clone(),
        begun_at: turn.begun_at,
        acknowledged_at: turn.read_at,
        acknowledged_by: turn.read_by.clone(),
        lost: status.lost.iter().filter(|lost| lost.incarnation == turn.before).map(lost).collect(),
    };
    Ok(Json(LogStatus {
        position: status.end.to_string(),
        warning: status.turns.iter().any(|turn| turn.read_at.is_none()),
        turns: status.turns.iter().map(turn).collect(),
    }))
}

fn lost(lost: &tokenward_store::lineage::Lost) -> LostEvent {
    LostEvent { kind: lost.kind.clone(), target_id: lost.target_id, time: lost.time, repaired: lost.repaired }
}

async fn acknowledge(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &log::acknowledge(&app, grant).await?))
}
