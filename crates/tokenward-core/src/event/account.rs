//! What events say of accounts, their sessions and the ways into them.

use serde::Serialize;
use uuid::Uuid;

use crate::time::Time;

/// What a user was like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct UserSnapshot {
    pub email: String,
    pub name: String,
    /// The password was set or changed with this event.
    pub password_changed: bool,
    /// Whether somebody has proved to read what is sent to the address.
    pub email_proven: bool,
}

/// A session began or ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SessionSnapshot {
    pub user_id: Uuid,
    pub console: bool,
    pub expires_at: Time,
    /// How the user proved who it is.
    pub methods: Vec<String>,
    /// The one organization that it reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<Uuid>,
}

/// Which address an account is to have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct EmailChangeSnapshot {
    pub email: String,
}

/// That sign-ins at an account failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SignInFailuresSnapshot {
    /// How many since the event before.
    pub count: i64,
}

/// A session that ended, or is to be proved anew, because nobody used it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct IdleSessionSnapshot {
    pub user_id: Uuid,
    pub last_used_at: Time,
}

/// An identity that opens an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct IdentitySnapshot {
    pub issuer: String,
    pub subject: String,
    pub email: Option<String>,
}

/// A passkey that opens an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct PasskeySnapshot {
    pub name: String,
    /// For which host, or parent domain of it, it was made.
    pub rp_id: String,
    /// How often it said to have been used, where that is what the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<i64>,
}

/// What an organization asks of sessions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SignInPolicySnapshot {
    /// The providers of which one must have proved a session; none where any session will do.
    pub providers: Vec<String>,
    /// From when on a session of one factor is refused; none where two are not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub two_factors_from: Option<Time>,
    /// For how long a proof counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_lifetime: Option<String>,
    /// For how long a session may lie unused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_idle: Option<String>,
}
