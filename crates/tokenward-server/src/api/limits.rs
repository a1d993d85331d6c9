//! What bounds whom, for everybody to see: a client that knows its limits need not run into them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tokenward_api::limits::{LimitBody, LimitList};

use super::endpoint::{Endpoint, get};
use crate::limits::ALL;
use crate::service::App;

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
        name: limit.name.into(),
        value: app.limits.get(limit),
        unit: limit.unit.as_str().into(),
        default: limit.default,
        setting: limit.setting,
        bounds: limit.bounds.into(),
    });
    Json(LimitList { limits: limits.collect() })
}
