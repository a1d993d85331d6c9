//! What an organization asks of sessions.

use serde::{Deserialize, Serialize};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// By what people sign in to the organization: all of it, what is left out is not asked.
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
    /// Whether only sessions count that two factors proved.
    #[serde(default)]
    pub two_factors: bool,
    /// For how many days, from when two factors were first asked for, nobody is refused: 0 to 30, and 0 without `two_factors`.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 30))]
    #[serde(default)]
    pub grace_days: u8,
    /// For how long a proof of who sits at a session counts, such as `8h`; absent for as long as the server says.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_lifetime: Option<String>,
    /// For how long a session may lie unused before that is proved anew, such as `30m`; absent for as long as the server says.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_idle: Option<String>,
}

/// By what people sign in to the organization, and whom that keeps out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SignInPolicy {
    /// `any` or `providers`.
    pub sign_in: String,
    pub providers: Vec<String>,
    /// Whether only sessions count that two factors proved.
    #[serde(default)]
    pub two_factors: bool,
    #[serde(default)]
    pub grace_days: u8,
    /// From when on a session that one factor proved is refused; absent where two are not asked.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub two_factors_from: Option<Time>,
    /// For how long a proof of who sits at a session counts; absent where only the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_lifetime: Option<String>,
    /// For how long a session may lie unused; absent where only the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_idle: Option<String>,
    /// Of a change: the members whom it keeps out, until they link an identity of these providers or have a second factor.
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
    /// What is missing: `provider`, that an identity of these providers is linked; `second_factor`, a passkey or an authenticator.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// From when on.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub from: Time,
}
