//! Projects (contract §1.6).

use serde::{Deserialize, Serialize};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::Id;
#[cfg(feature = "openapi")]
use crate::field;

/// A project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Project {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub name: String,
    /// Empty when it was never given.
    pub description: String,
    pub organization: Id,
    /// How many environments you see in it.
    pub associated_environments_count: usize,
}

/// Projects.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ProjectList {
    pub results: Vec<Project>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What a project is to be.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ProjectRequest {
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
