//! Clusters and their status (contract §1.6).

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};
use tokenward_core::organization::CloudProvider;
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::Id;
#[cfg(feature = "openapi")]
use crate::field;

/// A cluster. What else was sent comes back beside these fields.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Cluster {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub organization: Id,
    pub name: String,
    pub region: String,
    /// AWS, SCW, GCP, DO, AZURE, OVH, CIVO, HETZNER, ORACLE, IBM or ON_PREMISE.
    #[cfg_attr(feature = "openapi", schema(value_type = field::ProviderWord))]
    pub cloud_provider: CloudProvider,
    /// Tokenward deploys nothing: it is always READY.
    pub status: String,
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub rest: Map<String, Value>,
}

impl Serialize for Cluster {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = self.rest.clone();
        let ours = json!({
            "id": self.id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "organization": self.organization,
            "name": self.name,
            "region": self.region,
            "cloud_provider": self.cloud_provider,
            "status": self.status,
        });
        // Ours last: what was sent under one of these names does not count.
        if let Value::Object(ours) = ours {
            body.extend(ours);
        }
        body.serialize(serializer)
    }
}

/// Clusters.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterList {
    pub results: Vec<Cluster>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What a cluster is to be. Any further field is kept and comes back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterRequest {
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub region: String,
    #[cfg_attr(feature = "openapi", schema(value_type = field::ProviderWord))]
    pub cloud_provider: String,
    #[cfg_attr(feature = "openapi", schema(value_type = field::ClusterRest))]
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// With whom a cluster is, and by which credentials.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterCloudProviderInfo {
    /// Absent for those providers that the contract has no credentials for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_provider: Option<String>,
    /// What was sent with the cluster. It is always there: the Terraform provider fails without it.
    pub credentials: ClusterCredentials,
    pub region: String,
}

/// What credentials are called.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterCredentials {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Routes of a cluster: there are none, since nothing is deployed here.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterRoutingTable {
    pub results: Vec<ClusterRoute>,
}

/// A route of a cluster.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterRoute {
    pub destination: String,
    pub target: String,
    pub description: String,
}

/// Settings of a cluster: there are none, since nothing is deployed here.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterAdvancedSettings {}

/// The status of a cluster.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterStatus {
    pub cluster_id: Uuid,
    pub status: Cow<'static, str>,
    pub is_deployed: bool,
    /// Always UNSPECIFIED: nothing is deployed here.
    pub reason: Cow<'static, str>,
}

/// Statuses of clusters.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterStatusList {
    pub results: Vec<ClusterStatus>,
}
