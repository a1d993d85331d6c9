//! What bounds whom, for everybody to see: a client that knows its limits need not run into them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::endpoint::{Endpoint, get};
use crate::limits::ALL;
use crate::service::App;

/// The limits of this server.
#[derive(Serialize, ToSchema)]
struct LimitList {
    limits: Vec<LimitBody>,
}

/// One limit.
#[derive(Serialize, ToSchema)]
#[schema(as = Limit)]
struct LimitBody {
    /// The name that errors and settings use.
    name: &'static str,
    /// The value in force.
    value: u64,
    /// `count`, `bytes`, `ms`, `bytes/s` or `per minute`.
    unit: &'static str,
    /// The value where the operator sets none; 0 where it is derived.
    default: u64,
    /// Can the operator set it?
    setting: bool,
    /// What it bounds.
    bounds: &'static str,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/limits", list)
            .public()
            .about("Service", "The limits of this server: sizes, numbers, times.")
            .answers::<LimitList>(200),
    ]
}

async fn list(State(app): State<Arc<App>>) -> Json<LimitList> {
    let limits = ALL.iter().map(|limit| LimitBody {
        name: limit.name,
        value: app.limits.get(limit),
        unit: limit.unit.as_str(),
        default: limit.default,
        setting: limit.setting,
        bounds: limit.bounds,
    });
    Json(LimitList { limits: limits.collect() })
}
