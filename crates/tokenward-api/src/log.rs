//! The log itself: under which names it was written, and what it has lost.

use serde::{Deserialize, Serialize};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// Which log it is, and whether it ever went on under another name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LogStatus {
    /// Where the log ends.
    pub position: String,
    /// The hash there, which covers all before: note both.
    #[serde(default)]
    pub hash: String,
    /// How often it went on under another name, the newest first.
    pub turns: Vec<LogTurn>,
    /// Is there one that nobody in the organization has acknowledged?
    pub warning: bool,
}

/// The log went on under another name: a server took over, or the database was put back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LogTurn {
    /// The name before, and the last position that counts under both.
    pub after: String,
    /// The name since then.
    pub incarnation: Uuid,
    /// `moved`: written at another place. `rewound`: nodes knew of what was not in it. `restored`: an older state was wanted.
    pub why: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub begun_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub acknowledged_at: Option<Time>,
    /// Who acknowledged it.
    pub acknowledged_by: Option<String>,
    /// What the nodes know of the organization's that was lost with it, at most a thousand.
    pub lost: Vec<LostEvent>,
}

/// An event that is not in the log any more.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LostEvent {
    pub kind: String,
    pub target_id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: Time,
    /// Was it taken away again?
    pub repaired: bool,
}
