//! How long what events say is kept.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// What an organization says of it.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EventRetentionRequest {
    /// A length of at least a day, such as `400d` or `2y`; null leaves it to the server.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub event_retention: Option<String>,
}

/// What counts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventRetention {
    /// What the organization says itself.
    pub event_retention: Option<String>,
    /// What the server says.
    pub server: Option<String>,
    /// The shorter of the two; null keeps everything.
    pub effective: Option<String>,
}
