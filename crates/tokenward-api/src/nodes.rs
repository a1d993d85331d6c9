//! The nodes that follow the log, and what they have applied of it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// On which nodes a change counts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ReceiptBody {
    /// The place of the change in the log.
    pub position: String,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub committed_at: Time,
    /// `everywhere`: on every node that decides; or `pending`.
    pub effective: Cow<'static, str>,
    pub nodes: Vec<ReceiptNode>,
}

/// A node, as far as a change is concerned.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ReceiptNode {
    pub id: Uuid,
    pub name: String,
    /// Does the change count there?
    pub applied: bool,
    /// Up to where the node has told that it has applied the log.
    pub position: String,
    /// When it last gave a sign of life.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub seen_at: Time,
    /// How long that is ago, in milliseconds.
    pub age_ms: u64,
}
