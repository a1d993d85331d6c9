//! The second factor of one's own account.

use serde::{Deserialize, Serialize};
use tokenward_core::Time;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// What the account has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SecondFactor {
    /// Its authenticator; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<Authenticator>,
    /// Recovery codes that were not used.
    pub recovery_codes_left: u64,
}

/// An authenticator.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Authenticator {
    /// Since when.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    /// When one of its codes was last taken.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
}

/// An authenticator that is being set up. It is on once a code of it was right.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AuthenticatorSetUp {
    /// The seed in base32, to be typed into an authenticator.
    pub seed: String,
    /// The same for a program: an `otpauth://` address, of which a picture can be made.
    pub otpauth: String,
    /// To be sent back with the first code.
    pub set_up: String,
    /// Until when.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Time,
}

/// The first code of an authenticator.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AuthenticatorConfirmation {
    /// As it was answered.
    #[cfg_attr(feature = "openapi", schema(value_type = field::SecondFactorSetUp))]
    pub set_up: String,
    /// The code.
    #[cfg_attr(feature = "openapi", schema(value_type = field::SecondFactorCode))]
    pub otp: String,
}

/// The authenticator is on. The recovery codes and the token of the session are shown only here; the token that was sent is
/// refused from now on.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AuthenticatorOn {
    pub recovery_codes: Vec<String>,
    /// The token of the session from now on, which proves two factors.
    pub token: String,
    /// When the session ends, as before.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Time,
}

/// Recovery codes, shown only here. Each stands for the second factor once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RecoveryCodes {
    pub recovery_codes: Vec<String>,
}
