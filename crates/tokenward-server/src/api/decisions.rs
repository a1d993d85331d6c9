//! Why a decision came out as it did.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde::Deserialize;
use tokenward_api::decisions::{DecisionBody, DecisionList, ResourceBody, RoleReference, TokenReference};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::permission::Management;
use tokenward_core::role::Target;
use tokenward_core::{Error, Uuid};

use super::apis::single_or_several;
use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use super::extract::Params;
use super::right::On;
use super::understood::QueryKind;
use crate::limits::DECISION_PAGE;
use crate::service::App;
use crate::service::decisions::{self, Explained, Filter};

fn resource(target: Target) -> Option<ResourceBody> {
    let none = ResourceBody::default();
    match target {
        Target::Organization => None,
        Target::Project(id) => Some(ResourceBody { project_id: Some(id), ..none }),
        Target::Cluster(id) => Some(ResourceBody { cluster_id: Some(id), ..none }),
        Target::Environment { project, mode, cluster } => Some(ResourceBody {
            project_id: Some(project),
            cluster_id: Some(cluster),
            mode: Some(mode.as_str().into()),
            absent: None,
        }),
        Target::Absent => Some(ResourceBody { absent: Some(true), ..none }),
    }
}

impl From<Explained> for DecisionBody {
    fn from(explained: Explained) -> Self {
        let sentence = explained.sentence();
        let Explained { decision, token_name, needs, smallest_role } = explained;
        let (needs, needs_any_of) = single_or_several(needs);
        Self {
            valid: decision.denied.is_none(),
            code: decision.denied.map_or("valid", |reason| reason.as_str()).into(),
            sentence: sentence.map(Into::into),
            token: decision.token.map(|id| TokenReference { id, name: token_name }),
            id: decision.id,
            at: decision.at,
            organization_id: decision.organization,
            permission: decision.permission,
            api: decision.api,
            method: decision.method,
            path: decision.path,
            needs,
            needs_any_of,
            resource: resource(decision.target),
            missing_permission: decision.missing,
            smallest_role: smallest_role.map(|(id, name)| RoleReference { id, name }),
            remote_ip: decision.address,
            trace_id: decision.trace.map(hex::encode),
        }
    }
}

#[derive(Deserialize)]
struct ListQuery {
    token_id: Option<Uuid>,
    valid: Option<bool>,
    limit: Option<usize>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/decision/{decisionId}", show)
            .about(
                "Verification",
                "Why was a token accepted or refused, and which role would have been enough? Needs the permission \
                 `token:verify`. Decisions are kept in memory, by the node that made them.",
            )
            .answers::<DecisionBody>(200)
            .errors(&[403, 404]),
        get("/organization/{organizationId}/decision", list)
            .needs(Management::TokenVerify, On::Organization)
            .about(
                "Verification",
                "The last decisions that are remembered: the organization's last 256 denials, and the last 20 decisions of \
                 each token that was used recently.",
            )
            .query(&[
                ("token_id", "Only those about this token."),
                ("valid", "`false`: only denials; `true`: only those that were allowed."),
                ("limit", "How many at most, up to 500. Default: 100."),
            ])
            .query_kinds(&[
                ("token_id", QueryKind::Id),
                ("valid", QueryKind::Flag),
                ("limit", QueryKind::Number),
            ])
            .answers::<DecisionList>(200),
    ]
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<DecisionBody>, ApiError> {
    Ok(Json(decisions::explain(&app, &caller, &id).await?.into()))
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ListQuery>,
) -> Result<Json<DecisionList>, ApiError> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=DECISION_PAGE.size()).contains(&limit) {
        let problem = format!("must be at least 1; {}", DECISION_PAGE.told(DECISION_PAGE.default));
        return Err(Error::invalid("limit", problem).into());
    }
    let filter = Filter { token: query.token_id, valid: query.valid };
    let results = decisions::list(&app, &grant, filter, limit).await?;
    Ok(Json(DecisionList {
        results: results.into_iter().map(DecisionBody::from).collect(),
        since: app.verifier.remembers_since(),
    }))
}
