//! API tokens (contract §1.1), and ours: one token, an expiry, who made it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use tokenward_core::event::ActorKind;
use tokenward_core::life::{Attestation, DisabledBecause};
use tokenward_core::token::{RevokeReason, TokenState};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;
use crate::present;

/// An API token, without its text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiToken {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Time,
    pub name: String,
    /// Absent when it was never given: the Terraform provider fails on an empty text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub role_name: String,
    pub role_id: Uuid,
    pub creator_name: Option<String>,
    /// `user`, `token` or `operator`; absent where that is not known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ActorWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator_kind: Option<ActorKind>,
    /// The id of that user or token: names can change hands, ids cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator_id: Option<Uuid>,
    /// The member who is accountable for it; absent where nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Uuid>,
    /// That member's e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
    /// That member has left the organization; absent where not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owner_left: bool,
    /// The member who becomes its owner when that one leaves; absent where nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor_id: Option<Uuid>,
    /// From when on it is accepted; absent where that is from its making.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// From when on it is refused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Time>,
    /// The networks that it is bound to; absent where it is accepted from everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<ApiTokenNetwork>))]
    pub networks: Vec<ApiTokenNetwork>,
    /// Words by which it is found; absent where it has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What else is kept with it; absent where that is nothing.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The permissions of its role that it is narrowed to; absent where it may do all that its role allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub permissions: Vec<String>,
    /// The projects that it is narrowed to, with all that is in them; absent where it is narrowed to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Uuid>))]
    pub projects: Vec<Uuid>,
    /// The environments that it is narrowed to besides; absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Uuid>))]
    pub environments: Vec<Uuid>,
    /// How fast it may be used; absent where nothing is said about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<ApiTokenRate>,
    /// How much it may be used until the next refill; absent where nothing is said about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<ApiTokenQuota>,
    /// `active`, `disabled`, `not_yet_valid`, `brownout` (refused for some minutes), `expired` or `revoked`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub state: TokenState,
    /// Since when it is switched off; absent while it is on.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Time>,
    /// Why it is switched off, where nobody did it by hand: `secret_reused` or `not_attested`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_because: Option<DisabledBecause>,
    /// When a replaced secret of it last came back after its overlap; absent where none did since the last rotation.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused_at: Option<Time>,
    /// What is known of whether it is still needed: `confirmed`, `due` (its owner is asked) or `overdue`; absent where nobody was ever
    /// asked.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
    /// When somebody last said that it is still needed.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested_at: Option<Time>,
    /// In which minutes it is refused, to learn who would miss it; absent where that is not so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brownout: Option<ApiTokenBrownout>,
    /// That it was taken back; absent while it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<ApiTokenRevocation>,
    /// The end of its text, to tell it from others: of its newest secret.
    pub last_four: String,
    /// Its secrets that are accepted, the newest first. Absent where the token itself is over.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<ApiTokenVersion>))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ApiTokenVersion>,
    /// When it was last presented, whatever the answer was; absent when it never was.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
    /// From which address, as far as it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_from: Option<String>,
    /// By which client, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_agent: Option<String>,
    /// How often it was allowed what was asked.
    pub allowed_count: i64,
    /// How often it was denied it.
    pub denied_count: i64,
    /// The latter by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub denied_reasons: BTreeMap<String, i64>,
    /// How often it was presented since it has ended or was switched off. Absent while it is accepted, and in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<ApiTokenRefused>,
    /// How often earlier secrets of it were presented since they have ended. Absent where none was, and in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_earlier: Option<ApiTokenRefused>,
}

/// How often something was presented that is refused, as far as it is counted by day: what was refused for the same reason earlier
/// on the day of `since` is among it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenRefused {
    /// From when on it is counted: since it is refused, at most as long as counts are kept.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub since: Time,
    pub count: i64,
    /// When last, as far as that is known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Time>,
    /// From which address, as far as it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_from: Option<String>,
    /// By which client, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_agent: Option<String>,
}

/// In which minutes a token is refused.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenBrownout {
    /// So many at a time.
    pub minutes: u8,
    /// From the beginning of one window to that of the next.
    pub every: String,
    /// When the first begins.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub from: Time,
    /// From when on there is none.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub until: Time,
    /// When the next one begins; absent where there is none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Time>,
}

/// A token is to be refused for short times, to learn who would miss it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenBrownoutRequest {
    /// So many minutes at a time: 1 to 60.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 60))]
    pub minutes: u64,
    /// From the beginning of one window to that of the next, such as `1h`: 10 minutes to 7 days, at least twice a window.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub every: String,
    /// From when on there is none.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub until: Time,
    /// When the first begins; `every` from now on where it is absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
}

/// That an API token was taken back. It can be read for 90 days.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenRevocation {
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Time,
    /// `key_compromise`, `superseded`, `cessation`, `privilege_withdrawn` or `unspecified`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub reason: RevokeReason,
    /// What was noted about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// By whom.
    pub by_name: Option<String>,
    /// `user`, `token` or `operator`; absent where that is not known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_kind: Option<ActorKind>,
    /// The id of that user or token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_id: Option<Uuid>,
    /// Until when it can be undone; absent where it cannot.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo_until: Option<Time>,
}

/// One secret of an API token. A rotation adds one; those before it end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenVersion {
    /// 1 is a token's first.
    pub version: u16,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    /// From when on it is refused; null for as long as the token is accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Time>,
    /// The end of its text.
    pub last_four: String,
    /// After how long a silence it ends sooner; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_when_silent: Option<String>,
    /// When it was last presented; absent when it never was.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
    /// From which address, as far as it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_from: Option<String>,
    /// By which client, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_agent: Option<String>,
    /// How often it was allowed what was asked.
    pub allowed_count: i64,
    /// How often it was denied it.
    pub denied_count: i64,
}

/// A new API token. Its text is in `token`, here and never again.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenCreate {
    #[serde(flatten)]
    pub token_without_text: ApiToken,
    /// The text. Store it now. Absent where the caller made it and sent its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// API tokens.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenList {
    pub results: Vec<ApiToken>,
    /// Where the next page begins; absent on the last one, and where no page was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What a new token is to be.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenRequest {
    /// 1 to 128 characters, unique among the organization's tokens.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Name))]
    pub name: String,
    /// At most 1,024 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A role of availableRole; null is admin.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Uuid>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub role_id: Option<Option<Uuid>>,
    /// Deprecated. `ADMIN` stands for the role admin where there is no `role_id`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// From when on the token is accepted; null or absent is at once.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// From when on the token is refused; null is never. Absent is the usual life of the organization's token policy, and never
    /// where it has none. It is a moment: whoever means all of a last day says when the next one begins, as the console and the
    /// command line do with a date.
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// here or answered.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Sha256>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The last four characters of that text, by which people tell tokens apart. Only together with `sha256`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::LastFour>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_four: Option<String>,
}

/// How fast a token may be used, on each node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenRate {
    /// So many requests: 1 to 1,000,000,000.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000))]
    pub requests: u32,
    /// In a `second`, a `minute` or an `hour`.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub per: String,
    /// So many at once, where nothing was used before; as many as `requests` where it is absent.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// How much a token may be used until the next refill.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenQuota {
    /// So many requests: 1 to 1,000,000,000.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000))]
    pub requests: u32,
    /// Until the next `day` or `month` begins, in UTC.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub refill: String,
}

/// A network that a token is bound to. It may also be sent as a text alone.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenNetwork {
    /// Such as `203.0.113.0/24`, `2001:db8::/32` or a single address.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Network))]
    pub network: String,
    /// What it is, for people.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::NetworkNote>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl<'de> Deserialize<'de> for ApiTokenNetwork {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Noted {
            network: String,
            #[serde(default)]
            note: Option<String>,
        }

        struct TextOrObject;

        impl<'de> Visitor<'de> for TextOrObject {
            type Value = ApiTokenNetwork;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a network such as \"203.0.113.0/24\", or an object with `network` and `note`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(ApiTokenNetwork { network: text.to_owned(), note: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Noted { network, note } = Noted::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ApiTokenNetwork { network, note })
            }
        }

        from.deserialize_any(TextOrObject)
    }
}

/// What is to be different about a token (JSON merge patch, RFC 7396): what is absent stays as it is.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenEditRequest {
    /// 1 to 128 characters, unique among the organization's tokens. It cannot be null.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Name>, nullable = false))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<Option<String>>,
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
    /// From when on the token is refused; null is never. It is a moment: whoever means all of a last day says when the next one begins,
    /// as the console and the command line do with a date.
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

/// What an edit would take from a token, as far as this node remembers what was decided about it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenEffect {
    /// How often it was allowed so far.
    pub allowed_count: i64,
    /// When it was last presented; absent when it never was.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
    /// Its new end, where that is sooner than the one before.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_sooner: Option<Time>,
    /// Its new beginning, where that is still to come, and later than the one before: it would be refused until then.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_later: Option<Time>,
    /// So many of its last allowed requests were looked at: up to 20, and none where role, permissions, projects, environments,
    /// networks and policy stay as they are.
    pub looked_at: u64,
    /// So many of them would be refused.
    pub refused_count: u64,
    /// These, each once: method and path, or the permission; and the address, where that is the reason.
    pub refused: Vec<String>,
}

/// How a token is rotated.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenRotateRequest {
    /// How long the secrets before the new one are still accepted: `24h`, `30m`, `7d`, or `0` when one has leaked.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub keep: String,
    /// They end sooner after so long a silence: `1h`, at least 5 minutes and at most `keep`. Absent is not before `keep` is over.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
    /// The SHA-256, in 64 hexadecimal digits, of a text that the caller made: then that is the new secret, and no text is
    /// made here or answered. One that is the newest secret of this token already changes nothing.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Sha256>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The last four characters of that text. Only together with `sha256`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::LastFour>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_four: Option<String>,
}

/// Why a token is taken back.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenDeleteRequest {
    /// `key_compromise`, `superseded`, `cessation`, `privilege_withdrawn` or `unspecified`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// More about it, for people: at most 1,024 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What is to be done to many tokens: those that the filters of the query leave.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenBulkRequest {
    /// `delete`, `disable`, `enable`, `set_end` or `hand_over`.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Word))]
    pub action: String,
    /// With `delete`: `key_compromise`, `superseded`, `cessation`, `privilege_withdrawn` or `unspecified`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With `delete`: more about it, for people.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// With `set_end`: when they end; null is never. A moment, as `expires_at` of a token.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Option<Time>>,
    /// With `hand_over`: the member who is accountable for them from then on; null is nobody.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Uuid>))]
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Option<Uuid>>,
    /// Only these of them.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::BulkIds>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<Uuid>>,
    /// `true`: only say which tokens they are.
    #[serde(default)]
    pub dry_run: bool,
    /// `set` of the dry run. Where the tokens have changed since, nothing is done: 409.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
}

/// What became of an import.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenImport {
    /// How many tokens were made, or would have been.
    pub count: u64,
    /// Was it only a check?
    pub dry_run: bool,
}

/// The tokens that something is, or was, done to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenBulk {
    /// How many they are.
    pub count: u64,
    /// Stands for exactly these tokens as they are.
    pub set: String,
    /// To how many it was done: none in a dry run; those that were so already, or were changed in the very moment, are left out.
    pub done: u64,
    /// The first 20 of them.
    pub first: Vec<ApiTokenBulkMember>,
}

/// All tokens of an organization, of all kinds, are to be taken back at once.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenRevokeAllRequest {
    /// Only those that were made before; all of them where it is left out.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Time>,
    /// `key_compromise`, `superseded`, `cessation`, `privilege_withdrawn` or `unspecified`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// More about it, for people: at most 1,024 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Description>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `true`: only say how many they are.
    #[serde(default)]
    pub dry_run: bool,
}

/// How many tokens are, or were, taken back at once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenRevokeAll {
    /// How many, of all kinds, expired and disabled ones among them.
    pub count: u64,
    /// Whether the token that asked is one of them: then it is refused from now on, or would be.
    pub includes_caller: bool,
    /// Whether it was done: `false` in a dry run, and where there was nothing to do.
    pub done: bool,
}

/// One of those tokens.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ApiTokenBulkMember {
    pub id: Uuid,
    pub name: String,
}
