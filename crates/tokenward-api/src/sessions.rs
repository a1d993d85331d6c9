//! Sessions of users over HTTP: an e-mail address and a password for a bearer token.

use serde::{Deserialize, Serialize};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// Who signs in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// The address of the account.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Email))]
    pub email: String,
    /// Its password.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Password))]
    pub password: String,
    /// The code of the authenticator, where the account has one; or a recovery code in its place.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::SecondFactorCode>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::SecondFactorCode>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_code: Option<String>,
}

/// A session. The token is shown only here.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Session {
    /// Send it as `Authorization: Bearer …`.
    pub token: String,
    /// When it ends.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Time,
}

/// One of your own sessions, without its text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct OwnSession {
    pub id: Uuid,
    /// When it began.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    /// When it ends.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Time,
    /// In the console, by cookie.
    pub console: bool,
    /// Is it the one that asks?
    pub current: bool,
    /// From which address it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// With which client, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// When it was last used, to the minute; absent before that is known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_from: Option<String>,
    /// With which client, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_agent: Option<String>,
    /// How you proved who you are: `password`, `passkey`, `link`, `invitation`, `otp`, `recovery_code`, `oidc:KEY` of a provider, and
    /// `mfa` beside it where that asked two factors. None for a session that is older
    /// than this field.
    #[serde(default)]
    pub methods: Vec<String>,
    /// When you last did.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub proven_at: Time,
    /// The one organization that it reaches; absent where it reaches all of yours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<Uuid>,
}

/// Your own sessions, the newest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct OwnSessionList {
    pub results: Vec<OwnSession>,
}

/// The password again, and a code where the account has a second factor. An account without a password sends the code alone.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Proof {
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Password>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The code of the authenticator, or a recovery code in its place.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::SecondFactorCode>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::SecondFactorCode>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_code: Option<String>,
}

/// Who sits at the session is proven. Its token is shown only here; the one that was sent is refused from now on.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Proven {
    /// Until when that counts.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub proven_until: Time,
    /// The token of the session from now on.
    pub token: String,
    /// When the session ends, as before.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Time,
}
