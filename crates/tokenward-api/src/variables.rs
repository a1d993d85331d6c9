//! Variables and secrets (contract §1.7). The value of a secret goes in and never comes out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::organization::{VariableScope, VariableType};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// A variable, or a secret without its value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Variable {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub key: String,
    /// Absent for a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// BUILT_IN, PROJECT or ENVIRONMENT.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub scope: VariableScope,
    /// BUILT_IN, VALUE, FILE, ALIAS or OVERRIDE.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub variable_type: VariableType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// Absent when it was never given: the Terraform provider fails on null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliased_variable: Option<Parent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overridden_variable: Option<Parent>,
    pub owned_by: Cow<'static, str>,
    /// Ours: is the value hidden?
    pub is_secret: bool,
}

/// The variable that an alias names or an override covers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Parent {
    pub id: Uuid,
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub scope: VariableScope,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub variable_type: VariableType,
    pub mount_path: String,
}

/// Variables.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct VariableList {
    pub results: Vec<Variable>,
}

/// A new variable or secret.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VariableRequest {
    #[cfg_attr(feature = "openapi", schema(value_type = field::VariableKey))]
    pub key: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableValue>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::MountPath>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
    /// Accepted where clients send it; the path says which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_secret: Option<bool>,
}

/// A change of a variable or secret.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VariableEdit {
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableKey>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableValue>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::MountPath>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
}

/// Another key for a variable.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VariableAlias {
    #[cfg_attr(feature = "openapi", schema(value_type = field::VariableKey))]
    pub key: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::MountPath>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
}

/// Another value for a variable.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VariableOverride {
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableValue>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::MountPath>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
}
