//! Passkeys that open the signed-in person's own account, and what a browser and its authenticator say to each other by way of us.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// A passkey.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Passkey {
    pub id: Uuid,
    /// What you call it.
    pub name: String,
    /// The host, or parent domain of it, for which it was made.
    pub rp_id: String,
    /// Does it open your account here? Not where this server is at another host by now.
    pub works: bool,
    /// When it was added.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    /// When somebody last signed in, or proved to sit at a session, with it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
}

/// Your passkeys, the oldest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PasskeyList {
    pub results: Vec<Passkey>,
}

/// A question to an authenticator, good for five minutes and for one answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PasskeyChallenge {
    /// The options of `navigator.credentials`, as `{"publicKey": …}`; bytes are base64url without padding.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub options: Value,
    /// Goes back with the answer, as it is.
    pub state: String,
}

/// A passkey that an authenticator has made.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPasskey {
    /// What you call it.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    /// What came with the question.
    #[cfg_attr(feature = "openapi", schema(value_type = field::PasskeyState))]
    pub state: String,
    /// The `PublicKeyCredential` of `navigator.credentials.create`, as its `toJSON` writes it.
    #[cfg_attr(feature = "openapi", schema(value_type = field::PasskeyAnswer))]
    pub credential: Value,
}

/// What is changed of a passkey.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasskeyEdit {
    /// What you call it.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
}

/// What a passkey has signed.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasskeyAssertion {
    /// What came with the question.
    #[cfg_attr(feature = "openapi", schema(value_type = field::PasskeyState))]
    pub state: String,
    /// The `PublicKeyCredential` of `navigator.credentials.get`, as its `toJSON` writes it.
    #[cfg_attr(feature = "openapi", schema(value_type = field::PasskeyAnswer))]
    pub credential: Value,
}
