//! How tokens were used from day to day, and what of their permissions.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::decisions::{RoleReference, TokenReference};

/// The use of an organization's tokens. A use counts within a minute.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Usage {
    /// The first day (UTC).
    pub from: String,
    /// The last day, which is among them.
    pub to: String,
    /// By what the sums are told apart.
    pub group: Vec<String>,
    pub results: Vec<UsageSum>,
    /// Are there more sums than an answer has?
    pub truncated: bool,
    pub not_counted: NotCounted,
}

/// A sum. What it is not told apart by is absent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct UsageSum {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The token; absent also for what was presented and is no token of the organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenReference>,
    /// The role that the token has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleReference>,
    /// Why the answer was no; absent for what was allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub allowed: i64,
    pub denied: i64,
}

/// What this node found no room for since its start, under a flood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NotCounted {
    /// Uses of tokens that are in no count.
    pub uses: u64,
    /// Presentations of what is no token that are in no count.
    pub strangers: u64,
    /// Denials that are counted and not kept.
    pub denials: u64,
    /// Uses of a permission that were not noted.
    pub permissions: u64,
}

/// What was used of the permissions of your API that are granted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PermissionUse {
    /// Since which day (UTC): nothing is known of earlier ones.
    pub since: String,
    /// How many tokens were looked at.
    pub tokens: u64,
    /// What is granted, and what was used of it.
    pub granted: Vec<GrantedPermission>,
    /// What is granted and was not used.
    pub unused: Vec<String>,
    /// All that was used of what is granted: what a role has to hold at least.
    pub least: Vec<String>,
    /// What was used and is not granted any more.
    pub gone: Vec<UsedPermission>,
}

/// A permission as a role names it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct GrantedPermission {
    pub permission: String,
    pub used: Vec<UsedPermission>,
}

/// A permission that was used.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct UsedPermission {
    pub permission: String,
    /// The last day (UTC).
    pub last_used_on: String,
    /// How many tokens used it.
    pub tokens: i64,
}
