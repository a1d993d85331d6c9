//! Organizations (contract §1.4).

use serde::{Deserialize, Serialize};
use tokenward_core::organization::Plan;
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;
use crate::present;

/// An organization.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Organization {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    /// Unique, whatever its case.
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = field::PlanWord))]
    pub plan: Plan,
    pub description: Option<String>,
    pub website_url: Option<String>,
    pub repository: Option<String>,
    pub logo_url: Option<String>,
    pub icon_url: Option<String>,
    pub admin_emails: Option<Vec<String>>,
    /// Does it refuse sessions that were given to another machine by a code (`tokenward login --device`)?
    #[serde(default)]
    pub forbids_device: bool,
    /// The user who owns it.
    pub owner: Uuid,
    pub organization_plan: OrganizationPlan,
}

/// What the plan means.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct OrganizationPlan {
    #[cfg_attr(feature = "openapi", schema(value_type = field::PlanWord))]
    pub plan: Plan,
    /// For how many days events are kept. Events are kept for ever here; clients want a number.
    pub audit_logs_retention_in_days: u32,
}

/// Organizations.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct OrganizationList {
    pub results: Vec<Organization>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A change of an organization. What is absent stays; null takes a value out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OrganizationEdit {
    /// 1 to 128 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    /// At most 1,024 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::PlanWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub website_url: Option<Option<String>>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub repository: Option<Option<String>>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<Option<String>>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<Option<String>>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Emails>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub admin_emails: Option<Option<Vec<String>>>,
    /// Refuse sessions that were given to another machine by a code; those that live reach it no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbids_device: Option<bool>,
}

/// A new organization. Its maker owns it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OrganizationRequest {
    /// 1 to 128 characters, unique whatever its case.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    /// ENTERPRISE when absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::PlanWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website_url: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Emails>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_emails: Option<Vec<String>>,
}
