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
    /// While it is pending: from then on no node decides without it, whatever happens. A token that was revoked is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub by: Option<Time>,
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
    /// When the node told so, by the clock of the database; absent where that is not known. Of a change of more than an hour ago it
    /// was no later than this: to the minute, and after a day to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub applied_at: Option<Time>,
    /// Up to where the node has told that it has applied the log.
    pub position: String,
    /// When it last gave a sign of life.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub seen_at: Time,
    /// How long that is ago, in milliseconds.
    pub age_ms: u64,
}

/// The nodes that follow the log, by name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NodeList {
    pub results: Vec<NodeBody>,
    /// Where the log ends.
    pub position: String,
}

/// A node, as it last told of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NodeBody {
    pub id: Uuid,
    pub name: String,
    /// `server`, or `embedded`: a service in whose process a library decides.
    pub kind: String,
    pub version: String,
    /// Is it the node that answers?
    pub this: bool,
    /// Up to where it has told that it has applied the log.
    pub position: String,
    /// Events that are missing there.
    pub behind: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub started_at: Time,
    /// When it last gave a sign of life.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub seen_at: Time,
    /// How long that is ago, in milliseconds.
    pub age_ms: u64,
    /// What was committed so long ago is known there, or nothing is decided.
    pub max_staleness_ms: u64,
}
