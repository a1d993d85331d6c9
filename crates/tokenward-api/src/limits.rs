//! What bounds whom.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// The limits of this server.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LimitList {
    pub limits: Vec<LimitBody>,
}

/// One limit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Limit))]
pub struct LimitBody {
    /// The name that errors and settings use.
    pub name: Cow<'static, str>,
    /// The value in force.
    pub value: u64,
    /// `count`, `bytes`, `ms`, `bytes/s`, `per minute` or `per hour`.
    pub unit: Cow<'static, str>,
    /// The value where the operator sets none; 0 where it is derived.
    pub default: u64,
    /// Can the operator set it?
    pub setting: bool,
    /// What it bounds.
    pub bounds: Cow<'static, str>,
}
