//! Is the service up?

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// A sign of life.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Health {
    /// `ok`
    pub status: Cow<'static, str>,
    /// Of `/readyz`, where several nodes may write: what was committed before so many milliseconds is known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}
