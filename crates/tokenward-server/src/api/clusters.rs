//! Clusters and their status (contract §1.6). There is no endpoint for one cluster: clients list and choose.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Own;
use tokenward_core::{Time, Uuid};
use tokenward_store::clusters::Cluster as Row;
use utoipa::ToSchema;

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Id, Precondition, tagged, written, written_empty};
use super::right::On;
use crate::service::{App, clusters};

/// A cluster. What else was sent comes back beside these fields.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `cluster` builds")]
struct Cluster {
    id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
    organization: Id,
    name: String,
    region: String,
    /// AWS, SCW, GCP, DO, AZURE, OVH, CIVO, HETZNER, ORACLE, IBM or ON_PREMISE.
    cloud_provider: String,
    /// Tokenward deploys nothing: it is always READY.
    status: String,
}

/// Clusters.
#[derive(Serialize, ToSchema)]
struct ClusterList {
    #[schema(value_type = Vec<Cluster>)]
    results: Vec<Value>,
}

/// What a cluster is to be. Any further field is kept and comes back.
#[derive(Deserialize, ToSchema)]
struct ClusterRequest {
    name: String,
    region: String,
    cloud_provider: String,
    #[serde(flatten)]
    #[schema(value_type = Object, additional_properties)]
    rest: Map<String, Value>,
}

/// The status of a cluster.
#[derive(Serialize, ToSchema)]
struct ClusterStatus {
    cluster_id: Uuid,
    status: &'static str,
    is_deployed: bool,
    reason: &'static str,
}

/// Statuses of clusters.
#[derive(Serialize, ToSchema)]
struct ClusterStatusList {
    results: Vec<ClusterStatus>,
}

impl From<ClusterRequest> for clusters::ClusterBody {
    fn from(request: ClusterRequest) -> Self {
        let ClusterRequest { name, region, cloud_provider, rest } = request;
        Self { name, region, cloud_provider, rest }
    }
}

fn cluster(grant: &Grant, row: Row) -> Value {
    let mut body: Map<String, Value> = serde_json::from_str(&row.body).unwrap_or_default();
    let ours = json!({
        "id": row.id,
        "created_at": Time(row.created_at),
        "updated_at": Time(row.updated_at),
        "organization": { "id": grant.organization() },
        "name": row.name,
        "region": row.region,
        "cloud_provider": row.cloud_provider,
        "status": "READY",
    });
    // Ours last: what was sent under one of these names does not count.
    if let Value::Object(ours) = ours {
        body.extend(ours);
    }
    Value::Object(body)
}

fn status(id: Uuid) -> ClusterStatus {
    ClusterStatus { cluster_id: id, status: "READY", is_deployed: false, reason: "" }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/organization/{organizationId}/cluster";
    const ONE: &str = "/organization/{organizationId}/cluster/{clusterId}";
    vec![
        get(ALL, list)
            .needs(Own::OrganizationRead, On::Organization)
            .about("Clusters", "The clusters that you see.")
            .answers::<ClusterList>(200),
        post(ALL, create)
            .needs(Own::ClusterManage, On::Organization)
            .idempotent()
            .about("Clusters", "Make a cluster.")
            .takes::<ClusterRequest>()
            .answers::<Cluster>(201),
        put(ONE, edit)
            .needs(Own::ClusterManage, On::Cluster)
            .about("Clusters", "Replace a cluster.")
            .takes::<ClusterRequest>()
            .answers::<Cluster>(200)
            .errors(&[412]),
        delete(ONE, remove)
            .needs(Own::ClusterManage, On::Cluster)
            .about("Clusters", "Delete a cluster on which no environment runs.")
            .query(&[
                ("deleteMode", "Accepted; nothing is deployed here."),
                ("skipReconcile", "Accepted; nothing is deployed here."),
            ])
            .answers_empty(204)
            .errors(&[409]),
        get("/organization/{organizationId}/cluster/status", statuses)
            .needs(Own::OrganizationRead, On::Organization)
            .about("Clusters", "The status of each cluster that you see.")
            .answers::<ClusterStatusList>(200),
        get("/organization/{organizationId}/cluster/{clusterId}/status", show_status)
            .needs(Own::ClusterRead, On::Cluster)
            .about("Clusters", "The status of a cluster.")
            .answers::<ClusterStatus>(200),
    ]
}

async fn list(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Json<ClusterList>, ApiError> {
    let results = clusters::list(&app, &grant).await?;
    Ok(Json(ClusterList { results: results.into_iter().map(|row| cluster(&grant, row)).collect() }))
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(new): Body<ClusterRequest>,
) -> Result<Response, ApiError> {
    let created = clusters::create(&app, grant.clone(), new.into()).await?;
    let version = created.value.updated_at;
    Ok(tagged(version, written(StatusCode::CREATED, created, |row| cluster(&grant, row))))
}

async fn edit(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, id)): Path<(Uuid, Uuid)>,
    Precondition(if_match): Precondition,
    Body(change): Body<ClusterRequest>,
) -> Result<Response, ApiError> {
    let changed = clusters::update(&app, grant.clone(), id, change.into(), if_match).await?;
    let version = changed.value.updated_at;
    Ok(tagged(version, written(StatusCode::OK, changed, |row| cluster(&grant, row))))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, id)): Path<(Uuid, Uuid)>,
) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &clusters::delete(&app, grant, id).await?))
}

async fn statuses(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
) -> Result<Json<ClusterStatusList>, ApiError> {
    let results = clusters::list(&app, &grant).await?;
    Ok(Json(ClusterStatusList { results: results.into_iter().map(|row| status(row.id)).collect() }))
}

async fn show_status(Path((_, id)): Path<(Uuid, Uuid)>) -> Json<ClusterStatus> {
    Json(status(id))
}
