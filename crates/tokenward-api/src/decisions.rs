//! Why a decision came out as it did.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// A decision that is still remembered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DecisionBody {
    pub id: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Time,
    pub organization_id: Uuid,
    /// Was it a yes?
    pub valid: bool,
    /// `valid`, or the check that failed.
    pub code: Cow<'static, str>,
    /// What that means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentence: Option<Cow<'static, str>>,
    /// The token; absent when the text was no token, or an unknown one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenReference>,
    /// The permission that was asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// The API whose routes counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The method of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Its path without the query, at most 256 characters of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the route of the request needs now, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// The same where it has several ways: all permissions of any one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_any_of: Vec<Vec<String>>,
    /// With what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceBody>,
    /// What the role lacked; for `scope_denied` what the role had, and the token was narrowed away from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_permission: Option<String>,
    /// The smallest role of the organization that would have allowed it; absent when none would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smallest_role: Option<RoleReference>,
    /// The address of the client, as far as it was told.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<IpAddr>,
    /// The id of the trace that it is part of, in hexadecimal digits, where traces are sent somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// A token; its name is absent when it is gone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct TokenReference {
    pub id: Uuid,
    pub name: Option<String>,
}

/// A role.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RoleReference {
    pub id: Uuid,
    pub name: String,
}

/// What was asked about; without any id it did not exist, or belonged to another organization.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ResourceBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Cow<'static, str>>,
    /// It is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<bool>,
}

/// Decisions, the newest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DecisionList {
    pub results: Vec<DecisionBody>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Since when this node remembers what was allowed. Denials are kept longer, in the database.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub since: Time,
}
