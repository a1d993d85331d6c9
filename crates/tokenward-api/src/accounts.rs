//! The signed-in person's own account (contract §1.4). Tokens have none.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::event::ActorKind;
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;
use crate::present;

/// An account.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Account {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    pub nickname: String,
    pub first_name: String,
    pub last_name: String,
    pub profile_picture_url: Option<String>,
    /// Where others may write to. The mails of this service go to `email`.
    pub communication_email: String,
    /// Ours: the address that signs in.
    pub email: String,
    /// Ours: has somebody proved to read what is sent to that address?
    #[serde(default)]
    pub email_proven: bool,
    /// Ours: has the account a password that signs in to this server?
    #[serde(default)]
    pub has_password: bool,
}

/// A change of the account; what is absent stays.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AccountEdit {
    /// Where others may write to; null for the address that signs in. The mails of this service go to that one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Email>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub communication_email: Option<Option<String>>,
    /// Ours: the person's name.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Name>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What happened to an account, the newest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AccountEventList {
    pub results: Vec<AccountEvent>,
}

/// Something that happened to an account, or attempts that failed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AccountEvent {
    /// When; of several attempts the last.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub timestamp: Time,
    /// Such as `session.created` or `sign_in.failed`.
    pub kind: Cow<'static, str>,
    /// How often: attempts are counted by hour, kind and client.
    pub count: i64,
    /// From which address; of IPv6 the network (/64) for attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// With which client, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// `user`, `token`, `operator` or `visitor`; absent for attempts.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ActorWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_kind: Option<ActorKind>,
    /// The id of that user or token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    /// The name of whoever did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// Who wants to choose a new password.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordResetRequest {
    /// The address of the account.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Email))]
    pub email: String,
}

/// A new password, by a mailed link.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordReset {
    /// The last part of the link.
    #[cfg_attr(feature = "openapi", schema(value_type = field::LinkSecret))]
    pub secret: String,
    #[cfg_attr(feature = "openapi", schema(value_type = field::Password))]
    pub password: String,
    /// Somebody else made the account, whose address nobody has proved: what was made with it ends.
    #[serde(default)]
    pub was_not_me: bool,
}

/// Another password.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one until now; left out where there is none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Password>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present_password: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = field::Password))]
    pub password: String,
}

/// Another address of an account.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EmailChange {
    /// The one that it is to have.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Email))]
    pub email: String,
}

/// What a mailed link says.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MailedLink {
    /// The last part of it.
    #[cfg_attr(feature = "openapi", schema(value_type = field::LinkSecret))]
    pub secret: String,
}
