//! Variables and secrets (contract §1.7). The value of a secret goes in and never comes out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::organization::{VariableScope, VariableType};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;
use crate::present;

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
    /// Null for a secret. Of an alias it is the key of the variable that it stands for.
    pub value: Option<String>,
    /// BUILT_IN, PROJECT or ENVIRONMENT.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Scope))]
    pub scope: VariableScope,
    /// BUILT_IN, VALUE, FILE, ALIAS or OVERRIDE.
    #[cfg_attr(feature = "openapi", schema(value_type = field::TypeOfVariable))]
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
    /// The same as `aliased_variable`, under the name that secrets have for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliased_secret: Option<Parent>,
    /// The same as `overridden_variable`, under the name that secrets have for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overridden_secret: Option<Parent>,
    pub owned_by: Cow<'static, str>,
    /// Is the value hidden?
    pub is_secret: bool,
}

/// The variable that an alias names or an override covers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Parent {
    pub id: Uuid,
    pub key: String,
    /// Null for a secret.
    pub value: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = field::Scope))]
    pub scope: VariableScope,
    #[cfg_attr(feature = "openapi", schema(value_type = field::TypeOfVariable))]
    pub variable_type: VariableType,
    pub mount_path: String,
}

/// Variables.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct VariableList {
    pub results: Vec<Variable>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
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
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableDescription>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
    /// Accepted where it says the same as the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_secret: Option<bool>,
}

/// A new variable or secret, wherever it belongs.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VariableCreate {
    #[cfg_attr(feature = "openapi", schema(value_type = field::VariableKey))]
    pub key: String,
    #[cfg_attr(feature = "openapi", schema(value_type = field::VariableValue))]
    pub value: String,
    /// Is the value hidden?
    pub is_secret: bool,
    /// PROJECT or ENVIRONMENT.
    #[cfg_attr(feature = "openapi", schema(value_type = field::OwnScope))]
    pub variable_scope: VariableScope,
    /// The project or environment.
    pub variable_parent_id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::MountPath>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableDescription>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
    /// Null: values are kept here, and in no other secret manager.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_manager_access_id: Option<String>,
}

/// A change of a variable or secret. What is absent stays.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VariableEdit {
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableKey>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The new value; null leaves it as it is, and the empty text is a value too.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableValue>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Null takes it out.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableDescription>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    /// Another path for a file; null leaves it as it is.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::MountPath>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
    /// Null: values are kept here, and in no other secret manager.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_manager_access_id: Option<String>,
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
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableDescription>))]
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
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableDescription>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
}

/// Another key for a variable, in any scope from which it is seen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VariableAliasIn {
    #[cfg_attr(feature = "openapi", schema(value_type = field::VariableKey))]
    pub key: String,
    /// PROJECT or ENVIRONMENT.
    #[cfg_attr(feature = "openapi", schema(value_type = field::OwnScope))]
    pub alias_scope: VariableScope,
    /// The project or environment.
    pub alias_parent_id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableDescription>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
}

/// Another value for a variable, in any narrower scope.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VariableOverrideIn {
    #[cfg_attr(feature = "openapi", schema(value_type = field::VariableValue))]
    pub value: String,
    /// PROJECT or ENVIRONMENT.
    #[cfg_attr(feature = "openapi", schema(value_type = field::OwnScope))]
    pub override_scope: VariableScope,
    /// The project or environment.
    pub override_parent_id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VariableDescription>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted, since clients send it; values are kept as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_interpolation_in_file: Option<bool>,
}
