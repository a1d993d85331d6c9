//! Clusters and their status (contract §1.6). There is no endpoint for one cluster: clients list and choose.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use tokenward_api::Id;
use tokenward_api::clusters::{
    Cluster, ClusterAdvancedSettings, ClusterCloudProviderInfo, ClusterCredentials, ClusterList, ClusterRequest,
    ClusterRoutingTable, ClusterStatus, ClusterStatusList,
};
use tokenward_api::objects::Fields;
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_store::clusters::Cluster as Row;

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Params, Precondition, tagged, written, written_empty};
use super::paging::Paging;
use super::pieces::{self, Piece};
use super::right::PathResource;
use super::understood::QueryKind;
use crate::service::cluster_types::WITH_CREDENTIALS;
use crate::service::{App, clusters};

fn cluster(grant: &Grant, row: Row) -> Cluster {
    Cluster {
        id: row.id,
        created_at: row.created_at,
        updated_at: row.updated_at,
        organization: Id { id: grant.organization() },
        name: row.name,
        region: row.region,
        cloud_provider: row.cloud_provider,
        status: "READY".into(),
        rest: serde_json::from_str(&row.body).unwrap_or_default(),
    }
}

fn status(id: Uuid) -> ClusterStatus {
    ClusterStatus { cluster_id: id, status: "READY".into(), is_deployed: false, reason: "UNSPECIFIED".into() }
}

/// How the contract deletes a cluster. Here it is the same: one on which an environment runs stays.
const DELETE_MODES: [&str; 3] = ["DEFAULT", "DELETE_CLUSTER_AND_QOVERY_CONFIG", "DELETE_QOVERY_CONFIG"];

/// Clusters that are looked at for a piece of the list: each may be large.
const PIECE: usize = 10;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/organization/{organizationId}/cluster";
    const ONE: &str = "/organization/{organizationId}/cluster/{clusterId}";
    vec![
        get(ALL, list)
            .needs(Management::OrganizationRead, PathResource::Organization)
            .about("Clusters", "The clusters that you see.")
            .in_pages()
            .answers::<ClusterList>(200),
        post(ALL, create)
            .needs(Management::ClusterManage, PathResource::Organization)
            .idempotent()
            .about("Clusters", "Make a cluster.")
            .takes::<ClusterRequest>()
            .answers::<Cluster>(201),
        put(ONE, edit)
            .needs(Management::ClusterManage, PathResource::Cluster)
            .about("Clusters", "Replace a cluster.")
            .takes::<ClusterRequest>()
            .answers::<Cluster>(200)
            .errors(&[412]),
        delete(ONE, remove)
            .needs(Management::ClusterManage, PathResource::Cluster)
            .about("Clusters", "Delete a cluster on which no environment runs.")
            .query(&[
                ("deleteMode", "Accepted; nothing is deployed here."),
                ("skipReconcile", "Accepted; nothing is deployed here."),
            ])
            .query_kinds(&[("deleteMode", QueryKind::OneOf(&DELETE_MODES)), ("skipReconcile", QueryKind::Flag)])
            .answers_empty(204)
            .errors(&[409]),
        get("/organization/{organizationId}/cluster/status", statuses)
            .needs(Management::OrganizationRead, PathResource::Organization)
            .about("Clusters", "The status of each cluster that you see.")
            .answers::<ClusterStatusList>(200),
        get("/organization/{organizationId}/cluster/{clusterId}/status", show_status)
            .needs(Management::ClusterRead, PathResource::Cluster)
            .about("Clusters", "The status of a cluster.")
            .answers::<ClusterStatus>(200),
        get("/organization/{organizationId}/cluster/{clusterId}/cloudProviderInfo", provider_info)
            .needs(Management::ClusterRead, PathResource::Cluster)
            .about("Clusters", "With whom a cluster is, and by which credentials, as they were sent with it.")
            .answers::<ClusterCloudProviderInfo>(200),
        get("/organization/{organizationId}/cluster/{clusterId}/routingTable", routing_table)
            .needs(Management::ClusterRead, PathResource::Cluster)
            .about("Clusters", "The routes of a cluster: none.")
            .answers::<ClusterRoutingTable>(200),
        get("/organization/{organizationId}/cluster/{clusterId}/advancedSettings", settings)
            .needs(Management::ClusterRead, PathResource::Cluster)
            .about("Clusters", "The settings of a cluster: none.")
            .answers::<ClusterAdvancedSettings>(200),
        get("/defaultClusterAdvancedSettings", settings)
            .about("Clusters", "The settings that clusters have at first: none.")
            .answers::<ClusterAdvancedSettings>(200),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(paging): Params<Paging>,
) -> Result<Response, ApiError> {
    let page = paging.of("cluster", grant.organization())?;
    let organization = grant.organization();
    let piece = move |after| {
        let (app, grant) = (Arc::clone(&app), grant.clone());
        async move {
            let (all, last) = clusters::part(&app, &grant, after, PIECE).await?;
            Ok(Piece { entries: all.into_iter().map(|row| cluster(&grant, row)).collect(), last })
        }
    };
    Ok(pieces::page_or_all(organization, page, |cluster: &Cluster| cluster.id, piece).await?)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(Fields(new)): Body<Fields>,
) -> Result<Response, ApiError> {
    let created = clusters::create(&app, grant.clone(), new).await?;
    let version = created.value.updated_at;
    Ok(tagged(version, written(StatusCode::CREATED, created, |row| cluster(&grant, row))))
}

async fn edit(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, id)): Path<(Uuid, Uuid)>,
    Precondition(if_match): Precondition,
    Body(Fields(change)): Body<Fields>,
) -> Result<Response, ApiError> {
    let changed = clusters::update(&app, grant.clone(), id, change, if_match).await?;
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

async fn provider_info(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, id)): Path<(Uuid, Uuid)>,
) -> Result<Json<ClusterCloudProviderInfo>, ApiError> {
    let row = clusters::get(&app, &grant, id).await?;
    let rest: Value = serde_json::from_str(&row.body).unwrap_or_default();
    let sent = &rest["cloud_provider_credentials"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let provider = row.cloud_provider.as_str();
    Ok(Json(ClusterCloudProviderInfo {
        cloud_provider: WITH_CREDENTIALS.contains(&provider).then(|| provider.to_owned()),
        credentials: ClusterCredentials {
            id: text(&sent["credentials"]["id"]),
            name: text(&sent["credentials"]["name"]),
        },
        region: text(&sent["region"]).unwrap_or(row.region),
    }))
}

async fn routing_table() -> Json<ClusterRoutingTable> {
    Json(ClusterRoutingTable::default())
}

async fn settings() -> Json<ClusterAdvancedSettings> {
    Json(ClusterAdvancedSettings::default())
}

async fn show_status(Path((_, id)): Path<(Uuid, Uuid)>) -> Json<ClusterStatus> {
    Json(status(id))
}
