//! Environments and their status (contract §1.6).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::event::ActorKind;
use tokenward_core::organization::CloudProvider as Provider;
use tokenward_core::role::Mode;
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::Id;
#[cfg(feature = "openapi")]
use crate::field;

/// An environment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Environment {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    /// Always there: the published CLI reads it without a check.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub name: String,
    pub organization: Id,
    pub project: Id,
    pub cloud_provider: CloudProvider,
    /// DEVELOPMENT, PREVIEW, STAGING or PRODUCTION.
    #[cfg_attr(feature = "openapi", schema(value_type = field::ModeWord))]
    pub mode: Mode,
    pub cluster_id: Uuid,
    /// Always there: the published CLI reads it without a check.
    pub cluster_name: String,
    /// The id of the user or token that made or changed it last; absent where that was the operator, or is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_by: Option<Uuid>,
    /// Ours: the name of that user or token at that time.
    pub last_updated_by_name: String,
    /// Ours: `user`, `token` or `operator`; absent where that is not known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ActorWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_by_kind: Option<ActorKind>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Time>,
}

/// With whom an environment runs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct CloudProvider {
    #[cfg_attr(feature = "openapi", schema(value_type = field::ProviderWord))]
    pub provider: Provider,
    pub cluster: String,
}

/// Services of one kind in an environment: there are none, since nothing is deployed here.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ServiceList {
    pub results: Vec<Service>,
}

/// A service of an environment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Service {}

/// The status of an environment and of its services, of which there are none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvironmentStatuses {
    pub environment: EnvironmentStatus,
    pub applications: Vec<Service>,
    pub containers: Vec<Service>,
    pub jobs: Vec<Service>,
    pub databases: Vec<Service>,
    pub helms: Vec<Service>,
    pub terraforms: Vec<Service>,
}

/// An environment with what runs in it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvironmentOverview {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = field::ModeWord))]
    pub mode: Mode,
    pub cluster: ClusterOverview,
    pub services_overview: ServicesOverview,
    pub deployment_status: EnvironmentStatus,
}

/// The cluster of an environment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterOverview {
    pub id: Uuid,
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = field::ProviderWord))]
    pub cloud_provider: Provider,
    /// Always false.
    pub is_demo: bool,
}

/// How many services there are: none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ServicesOverview {
    pub service_count: u32,
    pub managed_by: Cow<'static, str>,
}

/// Environments with what runs in them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvironmentOverviewList {
    pub results: Vec<EnvironmentOverview>,
}

/// Environments.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvironmentList {
    pub results: Vec<Environment>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An environment in a list of the whole organization.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvironmentBrief {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub name: String,
    pub organization: Id,
    pub project: NamedId,
    #[cfg_attr(feature = "openapi", schema(value_type = field::ModeWord))]
    pub mode: Mode,
}

/// An id with its name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NamedId {
    pub id: Uuid,
    pub name: String,
}

/// Environments of the whole organization.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvironmentBriefList {
    pub results: Vec<EnvironmentBrief>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The status of an environment. Tokenward deploys nothing: it is always READY.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvironmentStatus {
    pub id: Uuid,
    pub state: Cow<'static, str>,
    pub last_deployment_state: Cow<'static, str>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_deployment_date: Option<Time>,
    pub last_deployment_id: Option<String>,
    pub total_deployment_duration_in_seconds: Option<u64>,
    /// Null: older clients refuse words that they do not know.
    pub origin: Option<String>,
    pub triggered_by: Option<String>,
    pub deployment_status: Cow<'static, str>,
    pub deployment_request_id: Option<Uuid>,
}

/// Statuses of environments.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvironmentStatusList {
    pub results: Vec<EnvironmentStatus>,
}

/// What a new environment is to be.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnvironmentRequest {
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    /// Where it runs; may be absent while there is one cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Uuid>,
    /// DEVELOPMENT, STAGING or PRODUCTION; DEVELOPMENT when absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::NewModeWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// A change of an environment; what is absent stays.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnvironmentEdit {
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Name>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ModeWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}
