//! What an organization asks of sessions.

use serde::{Deserialize, Serialize};
use tokenward_core::Uuid;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// By what people sign in to the organization.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignInPolicyBody {
    /// `any`: with all that the server takes; `providers`: only by one of those that are named.
    #[cfg_attr(feature = "openapi", schema(value_type = field::SignInWord))]
    pub sign_in: String,
    /// The keys of providers of this server; none with `any`.
    #[cfg_attr(feature = "openapi", schema(value_type = field::ProviderKeys))]
    #[serde(default)]
    pub providers: Vec<String>,
}

/// By what people sign in to the organization, and whom that keeps out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SignInPolicy {
    /// `any` or `providers`.
    pub sign_in: String,
    pub providers: Vec<String>,
    /// Of a change: the members who have linked no identity of these providers, and stay out until they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_out: Option<Vec<KeptOut>>,
}

/// Somebody who stays out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct KeptOut {
    pub user_id: Uuid,
    pub email: String,
    pub role_name: String,
}
