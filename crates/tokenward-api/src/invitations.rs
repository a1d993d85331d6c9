//! Invitations (contract §1.3).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::event::ActorKind;
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// An invitation.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct InviteMember {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub email: String,
    /// Deprecated, but older clients fail without it.
    pub role: Cow<'static, str>,
    /// With its secret in the answer of POST, without it everywhere else.
    pub invitation_link: String,
    /// PENDING or EXPIRED.
    pub invitation_status: Cow<'static, str>,
    pub inviter: String,
    /// Ours: `user`, `token` or `operator`; absent where that is not known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ActorWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inviter_kind: Option<ActorKind>,
    /// Ours: the id of that user or token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inviter_id: Option<Uuid>,
    pub organization_name: String,
    pub logo_url: Option<String>,
    pub role_id: Uuid,
    pub role_name: String,
    /// Until when it can be accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Time,
}

/// Invitations.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct InviteMemberList {
    pub results: Vec<InviteMember>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Whom to invite.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InviteMemberRequest {
    #[cfg_attr(feature = "openapi", schema(value_type = field::Email))]
    pub email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_id: Option<Uuid>,
    /// Deprecated: ADMIN, DEVELOPER or VIEWER, where there is no `role_id`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::DeprecatedRole>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// How to accept. The secret is the last part of the link.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::LinkSecret>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// For a new account: the person's name.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Name>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Without a session: the password of the account that the address has, or of a new one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Password>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}
