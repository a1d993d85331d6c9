//! Signing a command line in from a browser (RFC 6749, 7636, 8628).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::Time;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// The grant of a code that a browser brought.
pub const AUTHORIZATION_CODE: &str = "authorization_code";
/// The grant of a machine whose short code somebody types.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A machine asks to be signed in, as a form. Further parameters are not looked at (RFC 6749 §3.2).
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DeviceAuthorizationForm {
    /// Is taken and not needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub client_id: Option<String>,
    /// What the machine calls itself: whoever types the code sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::HostName>))]
    pub host: Option<String>,
}

/// What it shows, and what it asks again with (RFC 8628 §3.2).
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DeviceAuthorization {
    /// Keep it secret.
    pub device_code: String,
    /// What a person types: eight consonants.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// For how many seconds both are good.
    pub expires_in: i64,
    /// How many seconds to wait between two questions.
    pub interval: i64,
}

/// A code, for a session; as a form. Further parameters are not looked at.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AccessTokenForm {
    /// `authorization_code` or `urn:ietf:params:oauth:grant-type:device_code`.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub grant_type: String,
    /// What the browser brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Presented>))]
    pub code: Option<String>,
    /// What the challenge was made of (RFC 7636).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Presented>))]
    pub code_verifier: Option<String>,
    /// What `/device_authorization` gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Presented>))]
    pub device_code: Option<String>,
    /// Is taken and not needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub client_id: Option<String>,
}

/// The session of a command line. Its text is shown only here.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AccessToken {
    /// Send it as `Authorization: Bearer …`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: Cow<'static, str>,
    /// In how many seconds it ends.
    pub expires_in: i64,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Time,
}

/// A provider says that somebody has signed out there (OpenID Connect Back-Channel Logout), as a form.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LogoutForm {
    /// A token that the provider has signed.
    #[cfg_attr(feature = "openapi", schema(value_type = field::LogoutToken))]
    pub logout_token: String,
}
