//! The nodes: who follows the log, and how far each has come.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use tokenward_api::nodes::{NodeBody, NodeList};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_store::Position;

use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use super::right::PathResource;
use crate::service::{App, nodes};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/node", list)
            .needs(Management::EventRead, PathResource::Organization)
            .about("Service", "Which nodes decide, and how far has each come in the log?")
            .answers::<NodeList>(200),
    ]
}

async fn list(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Json<NodeList>, ApiError> {
    let all = nodes::list(&app, &grant).await?;
    let body = |node: &tokenward_store::nodes::Node| NodeBody {
        id: node.id,
        name: node.name.clone(),
        kind: node.kind.clone(),
        version: node.version.clone(),
        this: Some(node.id) == all.this,
        position: Position { number: node.position, ..all.end }.to_string(),
        behind: all.behind(node),
        started_at: node.started_at,
        seen_at: node.renewed_at,
        age_ms: all.now.milliseconds_since(node.renewed_at),
        max_staleness_ms: node.max_staleness.unsigned_abs() / 1_000,
    };
    Ok(Json(NodeList { results: all.nodes.iter().map(body).collect(), position: all.end.to_string() }))
}
