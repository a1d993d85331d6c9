//! How the service stands, for whoever looks after it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// How the service stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Status {
    /// The version of the node that answers.
    pub version: Cow<'static, str>,
    /// The address of which links are made.
    pub public_url: String,
    /// `sqlite` or `postgresql`.
    pub database: Cow<'static, str>,
    /// Where the log ends.
    pub position: String,
    /// How many nodes have told of themselves.
    pub nodes: usize,
    /// How many API tokens the organization has; absent for those who may not see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<StatusTokens>,
    /// What somebody should look after.
    pub warnings: Vec<StatusWarning>,
}

/// How many API tokens there are that have not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct StatusTokens {
    pub all: u64,
    /// Presented within 7 days, and ending within 14.
    pub in_use_ending_soon: u64,
    /// Older than 90 days, and not presented since.
    pub unused: u64,
    /// Without an end.
    pub endless: u64,
    pub disabled: u64,
}

/// Something to look after.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct StatusWarning {
    /// `clients_hidden`, `database_clock`, `limit_near`, `log_turned`, `node_silent` or `tokens_end`.
    pub code: Cow<'static, str>,
    /// The same in words.
    pub text: String,
}
