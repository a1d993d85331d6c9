//! Where a change counts by now.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use tokenward_api::nodes::{ReceiptBody, ReceiptNode};
use tokenward_core::Error;
use tokenward_core::caller::Caller;
use tokenward_store::Position;

use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use crate::service::App;
use crate::service::nodes::Nodes;
use crate::service::receipts::{self, Receipt};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/receipt/{incarnation}/{number}", show)
            .about(
                "Service",
                "On which nodes does a change count? The path ends in what `Tokenward-Position` said of it. For members of \
                 the organization that it belongs to, and for who made it.",
            )
            .answers::<ReceiptBody>(200)
            .errors(&[404, 409]),
    ]
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((incarnation, number)): Path<(String, String)>,
) -> Result<Json<ReceiptBody>, ApiError> {
    let position = format!("{incarnation}/{number}").parse::<Position>();
    let position = position.map_err(|problem| Error::invalid("position", problem))?;
    Ok(Json(body(receipts::find(&app, &caller, position).await?)))
}

fn body(receipt: Receipt) -> ReceiptBody {
    let Receipt { position, committed_at, by, everywhere, nodes: Nodes { now, nodes, .. }, applied } = receipt;
    let nodes = nodes.into_iter().map(|node| ReceiptNode {
        id: node.id,
        applied: node.position >= position.number,
        applied_at: applied.get(&node.id).copied(),
        position: Position { number: node.position, ..position }.to_string(),
        seen_at: node.renewed_at,
        age_ms: now.milliseconds_since(node.renewed_at),
        name: node.name,
    });
    ReceiptBody {
        position: position.to_string(),
        committed_at,
        effective: if everywhere { "everywhere" } else { "pending" }.into(),
        by,
        nodes: nodes.collect(),
    }
}
