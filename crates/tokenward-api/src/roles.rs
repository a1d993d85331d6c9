//! Roles (contract §1.2).

use serde::{Deserialize, Serialize};
use tokenward_core::role::{ClusterLevel, EnvironmentLevel, Mode};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;
use crate::present;

#[cfg(feature = "openapi")]
field::list_of!(ClusterPermissions, "clusters", ClusterPermissionEdit);
#[cfg(feature = "openapi")]
field::list_of!(ProjectPermissions, "projects", ProjectPermissionEdit);
#[cfg(feature = "openapi")]
field::list_of!(EnvironmentPermissions, "role_levels", EnvironmentPermissionEdit);

/// A role that can be given to a token or a member.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AvailableRole {
    pub id: Uuid,
    /// Lowercase for the built-in roles.
    pub name: String,
    /// What it can do, in words.
    pub description: String,
}

/// Roles.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AvailableRoleList {
    pub results: Vec<AvailableRole>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A custom role, with an entry for every cluster and every project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct CustomRole {
    pub id: Uuid,
    pub name: String,
    /// Empty when it was never given.
    pub description: String,
    pub cluster_permissions: Vec<ClusterPermission>,
    pub project_permissions: Vec<ProjectPermission>,
    /// What it holds of your own API (`noun:verb`, `*` for either side), `token:verify`, `token:rotate-self` and `event:read`.
    pub permissions: Vec<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
}

/// What a role may do with a cluster.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClusterPermission {
    pub cluster_id: Uuid,
    pub cluster_name: String,
    /// VIEWER, ENV_CREATOR or ADMIN.
    #[cfg_attr(feature = "openapi", schema(value_type = field::ClusterLevelWord))]
    pub permission: ClusterLevel,
}

/// What a role may do in a project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ProjectPermission {
    pub project_id: Uuid,
    pub project_name: String,
    /// Everything in the project.
    pub is_admin: bool,
    pub permissions: Vec<EnvironmentPermission>,
}

/// What a role may do with the environments of one mode.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvironmentPermission {
    /// DEVELOPMENT, PREVIEW, STAGING or PRODUCTION.
    #[cfg_attr(feature = "openapi", schema(value_type = field::ModeWord))]
    pub environment_type: Mode,
    /// NO_ACCESS, VIEWER, DEPLOYER or MANAGER.
    #[cfg_attr(feature = "openapi", schema(value_type = field::EnvironmentLevelWord))]
    pub permission: EnvironmentLevel,
}

/// Custom roles.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct CustomRoleList {
    pub results: Vec<CustomRole>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A new custom role. It sees every cluster and no project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CustomRoleRequest {
    /// Unique, and not to be mistaken for a built-in role.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = field::RolePermissions))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
}

/// A replacement for a custom role. A cluster or project that is left out has its default.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CustomRoleEdit {
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    /// Absent: it stays as it is. Null empties it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    #[cfg_attr(feature = "openapi", schema(value_type = ClusterPermissions))]
    pub cluster_permissions: Vec<ClusterPermissionEdit>,
    #[cfg_attr(feature = "openapi", schema(value_type = ProjectPermissions))]
    pub project_permissions: Vec<ProjectPermissionEdit>,
    /// Absent: they stay as they are.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::RolePermissions>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
}

/// What the role is to do with a cluster.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ClusterPermissionEdit {
    pub cluster_id: Uuid,
    /// Accepted, since it stands in answers; not read.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Name>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// VIEWER, ENV_CREATOR or ADMIN.
    #[cfg_attr(feature = "openapi", schema(value_type = field::ClusterLevelWord))]
    pub permission: ClusterLevel,
}

/// What the role is to do in a project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ProjectPermissionEdit {
    pub project_id: Uuid,
    /// Accepted, since it stands in answers; not read.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Name>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_admin: Option<bool>,
    /// All four modes; may be absent where `is_admin` is true.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<EnvironmentPermissions>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<EnvironmentPermissionEdit>>,
}

/// What the role is to do with the environments of one mode.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnvironmentPermissionEdit {
    /// DEVELOPMENT, PREVIEW, STAGING or PRODUCTION.
    #[cfg_attr(feature = "openapi", schema(value_type = field::ModeWord))]
    pub environment_type: Mode,
    /// NO_ACCESS, VIEWER, DEPLOYER or MANAGER.
    #[cfg_attr(feature = "openapi", schema(value_type = field::EnvironmentLevelWord))]
    pub permission: EnvironmentLevel,
}

/// The role as it is, as its own replacement.
impl From<CustomRole> for CustomRoleEdit {
    fn from(role: CustomRole) -> Self {
        Self {
            name: role.name,
            description: Some(Some(role.description)),
            cluster_permissions: role.cluster_permissions.into_iter().map(Into::into).collect(),
            project_permissions: role.project_permissions.into_iter().map(Into::into).collect(),
            permissions: Some(role.permissions),
        }
    }
}

impl From<ClusterPermission> for ClusterPermissionEdit {
    fn from(entry: ClusterPermission) -> Self {
        Self { cluster_id: entry.cluster_id, cluster_name: Some(entry.cluster_name), permission: entry.permission }
    }
}

impl From<ProjectPermission> for ProjectPermissionEdit {
    fn from(entry: ProjectPermission) -> Self {
        let level = |it: EnvironmentPermission| EnvironmentPermissionEdit {
            environment_type: it.environment_type,
            permission: it.permission,
        };
        Self {
            project_id: entry.project_id,
            project_name: Some(entry.project_name),
            is_admin: Some(entry.is_admin),
            permissions: Some(entry.permissions.into_iter().map(level).collect()),
        }
    }
}
