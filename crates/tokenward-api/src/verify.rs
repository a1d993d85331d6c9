//! Verification over HTTP: whose token is this, and may it do that? And: who am I?

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::{Map, Value};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;
use crate::{Text, present};

#[cfg(feature = "openapi")]
field::list_of!(Questions, "batch", VerifyRequest<'static>);

/// A question about a token.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest<'a> {
    /// The text that was presented to you.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    #[serde(borrow)]
    pub token: Text<'a>,
    /// What it is to be allowed, such as `invoices:read`. Absent: only whose it is.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Permission>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<Text<'a>>,
    /// With which resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceRequest>,
    /// The address of the client that presented it to you.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<IpAddr>,
    /// Its own words for itself.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Presented>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Text<'a>>,
    /// An API of the organization: its routes say what `request` needs.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ApiName>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Text<'a>>,
    /// The request that the token came with. Needed with `api`; without it only remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<HttpRequest<'a>>,
    /// What to tell of the token besides: `labels`, `metadata`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::VerifyIncludes>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<Text<'a>>>,
    /// A position that the answer must know of: what `Tokenward-Position` said of a change. The node waits for it, or says
    /// that it is `behind`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Position>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Text<'a>>,
}

/// A request to your API.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpRequest<'a> {
    /// Its method, in capitals.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    #[serde(borrow)]
    pub method: Text<'a>,
    /// Its path as the client sent it. A query does not count and is not kept.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    pub path: Text<'a>,
    /// Its body as a text, for the policies of tokens; `""` where it has none. A policy that asks for a body which is absent here
    /// denies.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::RequestBody>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Text<'a>>,
}

/// Ids of a resource. Absent or foreign ones are denied.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResourceRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<Uuid>,
}

/// The answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Verification<'a> {
    /// May it?
    pub valid: bool,
    /// `valid`, or why not; in a batch also `throttled`. Who does not know a word denies.
    #[cfg_attr(feature = "openapi", schema(value_type = field::DecisionCode))]
    pub code: Cow<'a, str>,
    /// The token; absent when it is malformed or unknown, or has ended (`revoked`, `expired`, `replaced`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<VerifiedToken<'a>>,
    /// What its role lacks; for `scope_denied` what its role has, and it is narrowed away from.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_permission: Option<Cow<'a, str>>,
    /// Seconds until another attempt makes sense; for `rate_limited` and `quota_exceeded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// Under this id, `GET /decision/{id}` explains the answer for a while. Absent when nothing was decided.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<Cow<'a, str>>,
}

/// What is known of a token.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct VerifiedToken<'a> {
    pub id: Uuid,
    pub name: Cow<'a, str>,
    pub kind: Cow<'a, str>,
    pub organization_id: Uuid,
    pub role_id: Uuid,
    pub role_name: Cow<'a, str>,
    /// From when on it is refused; null where it has no end.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Option<Time>>,
    /// Its labels, where the question includes them and it has some.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<JsonText<'a>>,
    /// Its metadata, likewise.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonText<'a>>,
}

/// A JSON object as its text: it is passed on as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct JsonText<'a>(pub Cow<'a, str>);

impl Serialize for JsonText<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let object: Map<String, Value> = serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
        object.serialize(to)
    }
}

impl<'de> Deserialize<'de> for JsonText<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = Map::<String, Value>::deserialize(from)?;
        Ok(Self(serde_json::to_string(&object).map_err(de::Error::custom)?.into()))
    }
}

/// Questions about tokens.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BatchRequest<'a> {
    /// 1 to 1,000 questions.
    #[cfg_attr(feature = "openapi", schema(value_type = Questions))]
    #[serde(borrow)]
    pub tokens: Vec<VerifyRequest<'a>>,
    /// A position that all answers must know of: what `Tokenward-Position` said of a change. The node waits for it, or says
    /// that it is `behind`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Position>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Text<'a>>,
}

/// The answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Batch<'a> {
    /// One for each question, in their order.
    pub results: Vec<Verification<'a>>,
}

/// What is asked about a token that is named, and not presented.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DecideRequest {
    /// What it is to be allowed, such as `invoices:read`. Absent: only whether it is accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Permission>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// With which resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceRequest>,
    /// An API of the organization: its routes say what `request` needs.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ApiName>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The request that is to be allowed; needs `api` beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<NamedRequest>,
    /// From where it is to be accepted. Without it a token that is bound to networks is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<IpAddr>,
}

/// A request to your API that nobody has sent.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NamedRequest {
    /// Its method, in capitals.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    pub method: String,
    /// Its path as a client would send it.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    pub path: String,
}

/// What would be decided.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Decided {
    /// Would it be allowed?
    pub valid: bool,
    /// `valid`, or why not. Who does not know a word denies.
    #[cfg_attr(feature = "openapi", schema(value_type = field::DecisionCode))]
    pub code: Cow<'static, str>,
    /// What to tell the person who holds the token; absent for yes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentence: Option<Cow<'static, str>>,
    /// What its role lacks; for `scope_denied` what its role has, and it is narrowed away from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_permission: Option<String>,
}

/// Who the caller is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SelfAnswer {
    /// The token's id, or the user's.
    pub id: Uuid,
    /// The token's name, or the user's e-mail address.
    pub name: String,
    /// `api_token`, `policy_api_token` or `session`.
    pub kind: Cow<'static, str>,
    /// The token's organization; absent for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<Reference>,
    /// The token's role; absent for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Reference>,
    /// What the role holds; `*` stands for either side of a permission of your own API.
    pub permissions: Vec<String>,
    /// What the token reads wherever it is, such as `token:read`: an object of that kind which is not found is not there. What is
    /// not in it, such as `project:read` of a custom role, may be there and be hidden. Empty for a session.
    #[serde(default)]
    pub reads_everywhere: Vec<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Time>,
}

/// An id with its name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Reference {
    pub id: Uuid,
    pub name: String,
}
