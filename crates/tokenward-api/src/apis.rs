//! The routes of the organization's own API.

use serde::{Deserialize, Serialize};
use tokenward_core::path::Reading;
use tokenward_core::routes::{Source, Unknown};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

#[cfg(feature = "openapi")]
field::list_of!(Routes, "routes", ApiDocumentRoute);

/// An API without its routes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiItem {
    pub id: Uuid,
    pub name: String,
    /// What becomes of a request that no route describes: `deny` or `allow`.
    #[cfg_attr(feature = "openapi", schema(value_type = field::UnknownRouteWord))]
    pub unknown_route: Unknown,
    /// How its servers are known to read paths that others read in another way; what is not here is refused with
    /// `path_ambiguous`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<field::PathReading>))]
    #[serde(default)]
    pub allow_paths: Vec<Reading>,
    pub route_count: i64,
    /// Operations of the imported document that are on none of its routes. As long as there are any, `unknown_route` cannot
    /// be `allow`.
    pub left_out: i64,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
}

/// The APIs of the organization.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiList {
    pub results: Vec<ApiItem>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An API with its routes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiDetail {
    #[serde(flatten)]
    pub item: ApiItem,
    pub routes: Vec<RouteBody>,
    /// What an import did not take as the document has it, how often, and the first operations to which it happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Only in the answer to a `dry_run`: what becomes different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ApiChanges>,
}

/// What an import makes different.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiChanges {
    /// The routes that are new, gone, or need something else, by path.
    pub routes: Vec<RouteChange>,
    /// The roles whose tokens reach more or less than before, by name.
    pub roles: Vec<RoleReach>,
}

/// A route that becomes different.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RouteChange {
    pub method: String,
    pub path: String,
    /// What it needs now: all permissions of any one of these. Absent for a new route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Vec<Vec<String>>>,
    /// What it will need. Absent for one that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<Vec<String>>>,
}

/// What the tokens of a role reach that they did not, and the other way round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RoleReach {
    pub id: Uuid,
    pub name: String,
    /// How many routes they reach then, and not now.
    pub gains: usize,
    /// The first five of them.
    pub gained: Vec<String>,
    /// How many routes they reach now, and not then.
    pub loses: usize,
    /// The first five of them.
    pub lost: Vec<String>,
}

/// A route.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RouteBody {
    pub method: String,
    /// `{name}` stands for one segment or a part of it, `{*name}` at the end for all that follows.
    pub path: String,
    /// What a request needs, all of it; absent where `any_of` stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
    /// What a request needs where there are several ways: all permissions of any one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Vec<String>>,
    /// Where that comes from: `x-permission`, `security`, `path`, `file`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub source: Source,
}

/// A document of routes: an OpenAPI 3 document (JSON or YAML), or this short form (JSON, YAML or TOML).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiDocument {
    /// `deny` (the default) or `allow`; in OpenAPI `x-unknown-route`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::UnknownRouteWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_route: Option<Unknown>,
    /// How the servers of this API are known to read paths that others read in another way: each is a promise, and none is
    /// made unless it is here. In OpenAPI `x-allow-paths`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::PathReadings>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_paths: Option<Vec<Reading>>,
    #[cfg_attr(feature = "openapi", schema(value_type = Routes))]
    pub routes: Vec<ApiDocumentRoute>,
}

/// A route of the short form.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiDocumentRoute {
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub method: String,
    #[cfg_attr(feature = "openapi", schema(value_type = field::RoutePath))]
    pub path: String,
    /// What it needs; without it, the first thing in its path with `:read` for GET and HEAD, `:write` for others.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::RoutePermissions>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    /// Instead of `permissions`: several ways, of which any one is enough.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::RouteWays>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any_of: Option<Vec<Vec<String>>>,
}
