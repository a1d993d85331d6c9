//! The signed-in person's own account (contract §1.4). Tokens have none.

use serde::{Deserialize, Serialize};
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
    /// Where mail goes.
    pub communication_email: String,
    /// Ours: the address that signs in.
    pub email: String,
    /// Ours: has somebody proved to read what is sent to that address?
    #[serde(default)]
    pub email_proven: bool,
}

/// A change of the account; what is absent stays.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AccountEdit {
    /// Where mail goes; null for the address that signs in.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Email>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub communication_email: Option<Option<String>>,
    /// Ours: the person's name.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Name>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
