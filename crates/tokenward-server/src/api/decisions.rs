//! Why a decision came out as it did.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde::{Deserialize, Serialize};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::permission::Own;
use tokenward_core::role::Target;
use tokenward_core::{Error, Time, Uuid};
use utoipa::ToSchema;

use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use super::extract::Params;
use super::right::On;
use crate::service::App;
use crate::service::decisions::{self, Explained, Filter};

/// Decisions that one request lists at most.
const LIMIT_MAX: usize = 500;

/// A decision that is still remembered.
#[derive(Serialize, ToSchema)]
struct DecisionBody {
    id: String,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    organization_id: Uuid,
    /// Was it a yes?
    valid: bool,
    /// `valid`, or the check that failed.
    code: &'static str,
    /// What that means.
    #[serde(skip_serializing_if = "Option::is_none")]
    sentence: Option<&'static str>,
    /// The token; absent when the text was no token, or an unknown one.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenReference>,
    /// The permission that was asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    permission: Option<String>,
    /// The API whose routes counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<String>,
    /// The method of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// Its path without the query, at most 256 characters of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// What the route of the request needs now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needs: Vec<String>,
    /// With what.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<ResourceBody>,
    /// What the role lacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_permission: Option<String>,
    /// The smallest role of the organization that would have allowed it; absent when none would.
    #[serde(skip_serializing_if = "Option::is_none")]
    smallest_role: Option<RoleReference>,
    /// The address of the client, as far as it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    remote_ip: Option<IpAddr>,
}

/// A token; its name is absent when it is gone.
#[derive(Serialize, ToSchema)]
struct TokenReference {
    id: Uuid,
    name: Option<String>,
}

/// A role.
#[derive(Serialize, ToSchema)]
struct RoleReference {
    id: Uuid,
    name: String,
}

/// What was asked about; without any id it did not exist, or belonged to another organization.
#[derive(Default, Serialize, ToSchema)]
struct ResourceBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    /// It is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<bool>,
}

impl ResourceBody {
    fn of(target: Target) -> Option<Self> {
        let none = Self::default();
        match target {
            Target::Organization => None,
            Target::Project(id) => Some(Self { project_id: Some(id), ..none }),
            Target::Cluster(id) => Some(Self { cluster_id: Some(id), ..none }),
            Target::Environment { project, mode, cluster } => Some(Self {
                project_id: Some(project),
                cluster_id: Some(cluster),
                mode: Some(mode.as_str()),
                absent: None,
            }),
            Target::Absent => Some(Self { absent: Some(true), ..none }),
        }
    }
}

impl From<Explained> for DecisionBody {
    fn from(explained: Explained) -> Self {
        let sentence = explained.sentence();
        let Explained { decision, token_name, needs, smallest_role } = explained;
        Self {
            valid: decision.denied.is_none(),
            code: decision.denied.map_or("valid", |reason| reason.as_str()),
            sentence,
            token: decision.token.map(|id| TokenReference { id, name: token_name }),
            id: decision.id,
            at: decision.at,
            organization_id: decision.organization,
            permission: decision.permission,
            api: decision.api,
            method: decision.method,
            path: decision.path,
            needs,
            resource: ResourceBody::of(decision.target),
            missing_permission: decision.missing,
            smallest_role: smallest_role.map(|(id, name)| RoleReference { id, name }),
            remote_ip: decision.address,
        }
    }
}

/// Decisions, the newest first.
#[derive(Serialize, ToSchema)]
struct DecisionList {
    results: Vec<DecisionBody>,
    /// Decisions are kept in memory only: of earlier ones nothing is known.
    #[schema(value_type = String, format = DateTime)]
    since: Time,
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
            .needs(Own::TokenVerify, On::Organization)
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
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Error::invalid("limit", format!("must be between 1 and {LIMIT_MAX}")).into());
    }
    let filter = Filter { token: query.token_id, valid: query.valid };
    let results = decisions::list(&app, &grant, filter, limit).await?;
    Ok(Json(DecisionList {
        results: results.into_iter().map(DecisionBody::from).collect(),
        since: app.verifier.remembers_since(),
    }))
}
