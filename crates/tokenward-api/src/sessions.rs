//! Sessions of users over HTTP: an e-mail address and a password for a bearer token of twelve hours.

use serde::{Deserialize, Serialize};
use tokenward_core::Time;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// Who signs in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// The address of the account.
    pub email: String,
    /// Its password.
    #[cfg_attr(feature = "openapi", schema(format = Password))]
    pub password: String,
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
