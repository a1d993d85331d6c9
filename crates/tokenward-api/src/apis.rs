//! The routes of the organization's own API.

use serde::{Deserialize, Serialize};
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
    pub route_count: i64,
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
}

/// A route.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RouteBody {
    pub method: String,
    /// `{name}` stands for one segment or a part of it, `{*name}` at the end for all that follows.
    pub path: String,
    /// What a request needs, all of it.
    pub permissions: Vec<String>,
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
}
