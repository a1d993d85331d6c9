//! Members and ownership (contract §1.3).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

#[cfg(feature = "openapi")]
field::list_of!(MemberTokens, "member_tokens", MemberToken);

/// A member.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Member {
    /// The user's id: what other endpoints call `user_id`.
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub name: String,
    pub nickname: String,
    pub email: String,
    pub profile_picture_url: Option<String>,
    /// Always there: the published console tells members from invitations by it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_activity_at: Time,
    /// Deprecated: ADMIN, DEVELOPER, OWNER or VIEWER.
    pub role: Cow<'static, str>,
    pub role_name: String,
    pub role_id: Uuid,
    /// Ours: has somebody proved to read what is sent to the address?
    #[serde(default)]
    pub email_proven: bool,
    /// Ours: the rule that made the membership, which follows it at each sign-in; absent where a person made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<MemberRule>,
}

/// The rule that made a membership.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct MemberRule {
    /// The provider, by its key.
    pub provider: String,
    /// What the provider said.
    pub value: String,
}

/// Members.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct MemberList {
    pub results: Vec<Member>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What becomes of one token of a member who leaves or gets another role. Who says so must manage tokens, and policies for a policy token.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MemberToken {
    /// A token of either kind that the member owns or has made.
    pub token_id: Uuid,
    /// `hand_over` (another member becomes its owner), `end` (it is accepted a while longer), `delete` (it is refused at once) or `keep` (it
    /// is not handed over with the others; where the member leaves it goes to its successor, if it has one).
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub action: String,
    /// With `hand_over`: the id of the member who becomes its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Uuid>,
    /// With `end`: how long it is still accepted, such as `24h`; as long as a rotation may keep a secret (`max_overlap` of the token
    /// policy, `token_overlap_ms`). It never ends later than without it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
}

/// What becomes of all tokens of such a member of which nothing else is said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MemberRest {
    /// `end` (they are accepted a while longer) or `delete` (they are refused at once).
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub action: String,
    /// With `end`: how long they are still accepted, as for a single one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
}

/// Another role for a member.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MemberRoleUpdate {
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub user_id: String,
    pub role_id: Uuid,
    /// Ours: with a smaller role, the invitations that the member has sent end, unless this is true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_invitations: bool,
    /// Ours: the id of the member who becomes the owner of all tokens that this one owns. Who says so must manage tokens.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over_to: Option<String>,
    /// Ours: what becomes of single tokens that the member owns or has made; of those that are not named, what is said besides.
    #[cfg_attr(feature = "openapi", schema(value_type = MemberTokens))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<MemberToken>,
    /// Ours: what becomes of all others that the member owns or has made, at most 5,000. Who says so must manage tokens, and policies
    /// where there are policy tokens among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<MemberRest>,
}

/// A member, by id.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MemberReference {
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub user_id: String,
}

/// A member who is to leave.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MemberRemoval {
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub user_id: String,
    /// Ours: the invitations that the member has sent end, unless this is true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_invitations: bool,
    /// Ours: the id of the member who becomes the owner of all tokens that this one owns. Who says so must manage tokens. Without it
    /// they go to their successors, and those without one are marked as of an owner who left.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over_to: Option<String>,
    /// Ours: what becomes of single tokens that the member owns or has made; of those that are not named, what is said besides.
    #[cfg_attr(feature = "openapi", schema(value_type = MemberTokens))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<MemberToken>,
    /// Ours: what becomes of all others that the member owns or has made, at most 5,000. Who says so must manage tokens, and policies
    /// where there are policy tokens among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<MemberRest>,
}
