//! The rules of an organization about who becomes a member by a provider.

use serde::{Deserialize, Serialize};
use tokenward_core::Uuid;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field::{self, list_of};

/// The rules, in their order: the first that fits counts.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignInRulesBody {
    #[cfg_attr(feature = "openapi", schema(value_type = SignInRuleList))]
    pub rules: Vec<SignInRuleBody>,
}

/// Whom a provider says this of has this role.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignInRuleBody {
    /// A provider of this server, by its key.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub provider: String,
    /// A value of the claim that names groups there, exactly as the provider says it.
    #[cfg_attr(feature = "openapi", schema(value_type = field::RuleValue))]
    pub value: String,
    /// A role of availableRole; never the owner's, nor more than you have.
    pub role_id: Uuid,
}

#[cfg(feature = "openapi")]
list_of!(SignInRuleList, "sign_in_rules", SignInRuleBody);

/// The rules, as they are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SignInRules {
    pub rules: Vec<SignInRule>,
}

/// A rule, with its role.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SignInRule {
    /// The provider, by its key.
    pub provider: String,
    /// What it says.
    pub value: String,
    pub role_id: Uuid,
    pub role_name: String,
}
