//! What an organization asks of the lives of its tokens.

use serde::{Deserialize, Serialize};
use tokenward_core::Uuid;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field::{self, list_of};

/// What is asked of tokens. Lengths are such as `12h`, `90d` or `1y`; null asks nothing.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenPolicyBody {
    /// The longest that a token may live from the moment on at which its end is set. With it, a token must have an end.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub max_lifetime: Option<String>,
    /// How long a token lives of which nobody says when it ends.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub default_lifetime: Option<String>,
    /// Whether a token must have an end.
    #[serde(default)]
    pub end_required: bool,
    /// The longest that the secret before may be kept when a token is rotated.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub max_overlap: Option<String>,
    /// What is done when a replaced secret comes back after its overlap: `mark` the token, or `disable` it as well. Absent in a
    /// request is `mark`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_reuse: Option<String>,
    /// How often owners are asked whether a token is still needed, such as `90d`; null asks nobody.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default)]
    pub attest_every: Option<String>,
    /// What is asked besides of tokens with a role; the stricter counts.
    #[cfg_attr(feature = "openapi", schema(value_type = RolePolicies))]
    #[serde(default)]
    pub roles: Vec<RoleTokenPolicy>,
}

/// What is asked of tokens with one role.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoleTokenPolicy {
    /// A role of availableRole.
    pub role_id: Uuid,
    /// As for all tokens.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub max_lifetime: Option<String>,
    /// As for all tokens; it goes before theirs.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub default_lifetime: Option<String>,
    /// As for all tokens.
    #[serde(default)]
    pub end_required: bool,
    /// As for all tokens.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub max_overlap: Option<String>,
}

#[cfg(feature = "openapi")]
list_of!(RolePolicies, "token_policy_roles", RoleTokenPolicy);

/// What came of shortening tokens.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ShortenedTokens {
    /// How many tokens have another end now.
    pub shortened: usize,
    /// Whether there are more that go beyond the policy: ask again.
    pub more: bool,
}
