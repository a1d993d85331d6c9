//! Policy tokens (contract §1.1), and ours: one of them, a change, and asking a policy.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;
use crate::present;
use crate::tokens::{
    ApiToken, ApiTokenEditRequest, ApiTokenNetwork, ApiTokenQuota, ApiTokenRate, ApiTokenRequest, ApiTokenVersion,
};
use crate::verify::ResourceRequest;

#[cfg(feature = "openapi")]
field::list_of!(PolicyTrials, "policy_requests", PolicyTrial);

/// A policy token, without its text: all that an API token is, and a policy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PolicyApiToken {
    #[serde(flatten)]
    pub token: ApiToken,
    /// What it may be used for, in Rego.
    pub opa_policy: String,
}

impl Deref for PolicyApiToken {
    type Target = ApiToken;

    fn deref(&self) -> &ApiToken {
        &self.token
    }
}

/// A policy token with a new secret. Its text is in `token`, here and never again.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PolicyApiTokenCreate {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub role_name: String,
    pub role_id: Uuid,
    /// The text. Store it now. Absent where the caller made it and sent its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub creator_name: Option<String>,
    /// As what it appears in the event log.
    pub user_sub: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Time>,
    /// The end of its text.
    #[serde(default)]
    pub last_four: String,
    /// Its secrets that are accepted, the newest first.
    #[serde(default)]
    pub versions: Vec<ApiTokenVersion>,
}

/// Policy tokens.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PolicyApiTokenList {
    pub results: Vec<PolicyApiToken>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What a new policy token is to be.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyApiTokenRequest {
    /// 1 to 128 characters, unique among the organization's policy tokens.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    /// What it may be used for, in Rego: at most 65,536 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Policy))]
    pub opa_policy: String,
    /// At most 1,024 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A role of availableRole; null or absent is admin. What is allowed is what both policy and role allow.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Uuid>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_id: Option<Uuid>,
    /// From when on the token is accepted; null or absent is at once.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// From when on the token is refused; null is never. Absent is the usual life of the organization's token policy, and never
    /// where it has none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Option<Time>>,
    /// The networks from which it is accepted; null or absent is from everywhere. A list without entries is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenNetworks>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<ApiTokenNetwork>>,
    /// Up to 32 words by which it is found: `{"team": "shop"}`. A key is 1 to 64 letters, digits and `._/-`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenLabels>))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What else is to be kept with it: an object of at most 4 KiB. Nothing here reads it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenMetadata>))]
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The member who is accountable for it; null is nobody. Absent is who makes it, or the owner of the token that does.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Uuid>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Option<Uuid>>,
    /// The member who becomes its owner when that one leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor_id: Option<Uuid>,
    /// The permissions of its role that it is narrowed to, such as `invoices:read`, `*:read` or `token:verify`; null or absent is
    /// all of the role. A list without entries is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenPermissions>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    /// The projects that it is narrowed to, with all that is in them; null or absent is none. Without projects and environments it is
    /// wherever its role is.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenProjects>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<Uuid>>,
    /// The environments that it is narrowed to besides; null or absent is none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenEnvironments>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<Uuid>>,
    /// How fast it may be used; null or absent is as fast as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<ApiTokenRate>,
    /// How much it may be used until the next refill; null or absent is as much as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<ApiTokenQuota>,
    /// The SHA-256, in 64 hexadecimal digits, of a text that the caller made: then that is the token, and no text is made
    /// here or answered. The text must begin as that of a policy token does (`twp_`) and have its checksum; one that does not is
    /// refused wherever it is presented, as its policy is never asked.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Sha256>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The last four characters of that text, by which people tell tokens apart. Only together with `sha256`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::LastFour>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_four: Option<String>,
}

impl PolicyApiTokenRequest {
    /// A new token, with a policy.
    #[must_use]
    pub fn of(token: ApiTokenRequest, opa_policy: String) -> Self {
        let ApiTokenRequest {
            name,
            description,
            role_id,
            not_before,
            expires_at,
            networks,
            labels,
            metadata,
            owner_id,
            successor_id,
            permissions,
            projects,
            environments,
            rate_limit,
            quota,
            sha256,
            last_four,
            scope: _,
        } = token;
        Self {
            role_id: role_id.flatten(),
            opa_policy,
            name,
            description,
            not_before,
            expires_at,
            networks,
            labels,
            metadata,
            owner_id,
            successor_id,
            permissions,
            projects,
            environments,
            rate_limit,
            quota,
            sha256,
            last_four,
        }
    }

    /// The two apart.
    #[must_use]
    pub fn into_parts(self) -> (ApiTokenRequest, String) {
        let Self {
            opa_policy,
            name,
            description,
            role_id,
            not_before,
            expires_at,
            networks,
            labels,
            metadata,
            owner_id,
            successor_id,
            permissions,
            projects,
            environments,
            rate_limit,
            quota,
            sha256,
            last_four,
        } = self;
        let token = ApiTokenRequest {
            role_id: Some(role_id),
            scope: None,
            name,
            description,
            not_before,
            expires_at,
            networks,
            labels,
            metadata,
            owner_id,
            successor_id,
            permissions,
            projects,
            environments,
            rate_limit,
            quota,
            sha256,
            last_four,
        };
        (token, opa_policy)
    }
}

/// What is to be different about a policy token (JSON merge patch, RFC 7396): what is absent stays as it is.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyApiTokenEditRequest {
    /// 1 to 128 characters. It cannot be null.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Name>, nullable = false))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<Option<String>>,
    /// What it may be used for, in Rego. It cannot be null.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Policy>, nullable = false))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub opa_policy: Option<Option<String>>,
    /// At most 1,024 characters; null removes it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    /// A role of availableRole. It cannot be null.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Uuid>, nullable = false))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub role_id: Option<Option<Uuid>>,
    /// From when on the token is accepted; null is at once.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Option<Time>>,
    /// From when on the token is refused; null is never.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Option<Time>>,
    /// All networks from which it is accepted; null is from everywhere. A list without entries is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenNetworks>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub networks: Option<Option<Vec<ApiTokenNetwork>>>,
    /// Labels to be added or changed; one that is null goes, and null instead of all takes all away.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenLabels>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub labels: Option<Option<BTreeMap<String, Option<String>>>>,
    /// The same of its metadata, at any depth.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenMetadata>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Option<Map<String, Value>>>,
    /// The member who is accountable for it; null is nobody.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Uuid>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Option<Uuid>>,
    /// The member who becomes its owner when that one leaves; null is nobody.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Uuid>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub successor_id: Option<Option<Uuid>>,
    /// All permissions of its role that it is narrowed to; null is all of the role. A list without entries is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenPermissions>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Option<Vec<String>>>,
    /// All projects that it is narrowed to; null is none. A list without entries is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenProjects>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub projects: Option<Option<Vec<Uuid>>>,
    /// All environments that it is narrowed to besides; null is none. A list without entries is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::TokenEnvironments>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub environments: Option<Option<Vec<Uuid>>>,
    /// How fast it may be used; null is as fast as it likes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<ApiTokenRate>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Option<ApiTokenRate>>,
    /// How much it may be used until the next refill; null is as much as it likes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<ApiTokenQuota>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub quota: Option<Option<ApiTokenQuota>>,
}

impl PolicyApiTokenEditRequest {
    /// A change of a token, and another policy where there is one.
    #[must_use]
    pub fn of(token: ApiTokenEditRequest, opa_policy: Option<String>) -> Self {
        let ApiTokenEditRequest {
            name,
            description,
            role_id,
            not_before,
            expires_at,
            networks,
            labels,
            metadata,
            owner_id,
            successor_id,
            permissions,
            projects,
            environments,
            rate_limit,
            quota,
        } = token;
        Self {
            opa_policy: opa_policy.map(Some),
            name,
            description,
            role_id,
            not_before,
            expires_at,
            networks,
            labels,
            metadata,
            owner_id,
            successor_id,
            permissions,
            projects,
            environments,
            rate_limit,
            quota,
        }
    }

    /// The two apart.
    #[must_use]
    pub fn into_parts(self) -> (ApiTokenEditRequest, Option<Option<String>>) {
        let Self {
            opa_policy,
            name,
            description,
            role_id,
            not_before,
            expires_at,
            networks,
            labels,
            metadata,
            owner_id,
            successor_id,
            permissions,
            projects,
            environments,
            rate_limit,
            quota,
        } = self;
        let token = ApiTokenEditRequest {
            name,
            description,
            role_id,
            not_before,
            expires_at,
            networks,
            labels,
            metadata,
            owner_id,
            successor_id,
            permissions,
            projects,
            environments,
            rate_limit,
            quota,
        };
        (token, opa_policy)
    }
}

/// What is asked about a policy token that is named, and not presented.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyDecideRequest {
    /// The request that is to be allowed: the policy is asked about it, and the role about what it needs.
    pub request: NamedPolicyRequest,
    /// An API of the organization: its routes say what the request needs. Without it the request is one to this server's own API,
    /// whose endpoint says that, unless it says `gateway`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ApiName>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// What it is to be allowed besides, such as `invoices:read`; of requests to an API of yours alone.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Permission>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// With which resource; needs `permission` beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceRequest>,
    /// From where it is to be accepted. Without it a token that is bound to networks is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<IpAddr>,
}

/// A request that nobody has sent, for a policy.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NamedPolicyRequest {
    /// Its method, in capitals.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    pub method: String,
    /// Its path as a client would send it.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    pub path: String,
    /// Its body as a text; `""` where it has none. A policy that asks for a body which is absent here denies.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::RequestBody>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Is it one to an API of yours behind a gateway? With `api` it is.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<bool>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<bool>,
}

/// A policy or a role, and the requests about which it is asked. Nothing is kept.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyEvaluationRequest {
    /// In Rego: at most 65,536 characters. Either it or `role_id`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Policy>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opa_policy: Option<String>,
    /// A role: what would a token with it be answered, by a gateway of yours?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_id: Option<Uuid>,
    /// At most 100. Either these or `replay_of`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PolicyTrials>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<PolicyTrial>>,
    /// A policy token: the policy is asked about its last requests, as far as this node remembers them; at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<Uuid>,
}

/// A request about which a policy or a role is asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyTrial {
    /// Its method; it has one unless a role is asked about a `permission`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Presented>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Its path, such as `/environment/ID/service/deploy`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Presented>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// For a policy: its body as a text; absent, null or `""` where it has none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::RequestBody>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// For a policy: is it one to an API of yours behind a gateway? Then its path does not begin with `api`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<bool>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<bool>,
    /// For a role: the API of yours whose routes say what the request needs.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ApiName>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// For a role: a permission in the place of a request, such as `invoices:read`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Permission>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}

/// What is said of each request, in their order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PolicyEvaluation {
    pub results: Vec<PolicyTrialAnswer>,
}

/// What is said of a request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PolicyTrialAnswer {
    pub allowed: bool,
    /// Why.
    pub detail: String,
    /// The lines of the policy that held of it, from 1: each with those before it in its rule. Absent where none did, of a role, and of
    /// a policy with very many.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<u32>))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<u32>,
    /// Of a token's last requests: which it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<ReplayedRequest>,
}

/// A request that a token has made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ReplayedRequest {
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Time,
    pub method: String,
    pub path: String,
    /// Did the policy of that time allow it? Where `allowed` says something else, the policy that is asked would change it.
    pub was_allowed: bool,
}
