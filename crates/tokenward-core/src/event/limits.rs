//! What the log says of limits, and of how long it keeps what events say.

use serde::Serialize;

/// How long an organization keeps what its events say: a length such as `400d`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct RetentionSnapshot {
    pub event_retention: Option<String>,
}

/// What was erased.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ErasureSnapshot {
    /// How many events.
    pub erased: u64,
    /// The last position of them.
    pub through: i64,
    /// How long they were to be kept.
    pub kept: String,
}

/// That an organization has come near a limit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct LimitSnapshot {
    /// The name of the limit.
    pub limit: String,
    /// What it is.
    pub most: u64,
    /// How much of it there was.
    pub reached: u64,
    /// Whose it is, where it is not the organization's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}
