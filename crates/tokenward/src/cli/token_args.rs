//! What is said of a token of either kind: when it is made, and when it is changed.

use std::collections::BTreeMap;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokenward_api::policy_tokens::PolicyApiToken;
use tokenward_api::tokens::{ApiToken, ApiTokenEditRequest, ApiTokenNetwork, ApiTokenRequest};
use tokenward_core::Time;
use tokenward_core::meter::{Quota, Rate};
use tokenward_core::network::NotedNetwork;
use uuid::Uuid;

use super::find::find;
use super::output::{Result, moment, text};
use super::own_secret::OwnSecret;
use super::token_allowance::{quota_argument, rate_argument, sent_quota, sent_rate, shown_quota, shown_rate};
use super::{Context, member, role, token_places, when};

/// A token of a kind.
pub trait AnyToken: DeserializeOwned {
    /// How people call it.
    const WHAT: &'static str;
    /// The command about it.
    const COMMAND: &'static str;

    /// What all kinds have.
    fn token(&self) -> &ApiToken;
}

impl AnyToken for ApiToken {
    const WHAT: &'static str = "token";
    const COMMAND: &'static str = "token";

    fn token(&self) -> &ApiToken {
        self
    }
}

impl AnyToken for PolicyApiToken {
    const WHAT: &'static str = "policy token";
    const COMMAND: &'static str = "policy-token";

    fn token(&self) -> &ApiToken {
        self
    }
}

/// What a new token is, besides its name and its role.
#[derive(Args, Debug)]
pub struct NewArgs {
    /// More about it, for people
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// When it expires: 12h, 90d, 6w, 1y, 2027-01-31 (to the end of that day, UTC), a date-time, or never. Without it
    /// you are asked at a terminal; elsewhere the token lives as long as the token policy of the organization says, and 90 days where
    /// it says nothing
    #[arg(long, value_name = "WHEN", value_parser = when::end_argument)]
    pub expires: Option<when::End>,
    /// From when on it is accepted: 12h, 7d, 2027-01-31 (from the beginning of that day, UTC) or a date-time; without it, at once
    #[arg(long, value_name = "WHEN", value_parser = when::ahead_argument)]
    pub not_before: Option<Time>,
    /// A network from which it is accepted, with a note behind it if you like ("203.0.113.0/24 office"); several times for
    /// several, without it from everywhere
    #[arg(long = "network", value_name = "NETWORK")]
    pub networks: Vec<String>,
    /// A label by which it is found, such as team=shop; several times for several
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// What else is to be kept with it: a JSON object
    #[arg(long, value_name = "JSON", value_parser = metadata)]
    pub metadata: Option<Map<String, Value>>,
    /// The member who is accountable for it, by e-mail address or id, or none; without it you, or the owner of the token that
    /// you use
    #[arg(long, value_name = "EMAIL|ID")]
    pub owner: Option<String>,
    /// The member who becomes its owner when that one leaves
    #[arg(long, value_name = "EMAIL|ID")]
    pub successor: Option<String>,
    /// A permission of its role that it is narrowed to, such as invoices:read or *:read; several times for several, without it all
    /// that the role allows
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub permissions: Vec<String>,
    /// A project that it is narrowed to, with all that is in it, by name or id; several times for several
    #[arg(long = "project", value_name = "PROJECT")]
    pub projects: Vec<String>,
    /// An environment that it is narrowed to besides, as shop/staging or by id; several times for several
    #[arg(long = "environment", value_name = "PROJECT/ENVIRONMENT|ID")]
    pub environments: Vec<String>,
    /// How fast it may be used, such as 100/minute (second, minute or hour); without it as fast as it likes
    #[arg(long, value_name = "RATE", value_parser = rate_argument)]
    pub rate: Option<Rate>,
    /// How many requests at once, where nothing was used before; without it as many as the rate has
    #[arg(long, value_name = "NUMBER", requires = "rate")]
    pub burst: Option<u32>,
    /// How much it may be used, such as 10000/day (day or month, in UTC); without it as much as it likes
    #[arg(long, value_name = "QUOTA", value_parser = quota_argument)]
    pub quota: Option<Quota>,
}

impl NewArgs {
    /// The body that asks for it.
    pub async fn request(
        self,
        name: String,
        role: Uuid,
        expires: Option<when::End>,
        own: Option<&OwnSecret>,
        context: &Context<'_>,
    ) -> Result<ApiTokenRequest> {
        let places = token_places::named(&self.projects, &self.environments, context).await?;
        Ok(ApiTokenRequest {
            name,
            description: self.description,
            role_id: Some(Some(role)),
            not_before: self.not_before,
            expires_at: expires.map(|end| end.0),
            networks: sent_networks(&self.networks),
            labels: self.labels.into_iter().collect(),
            metadata: self.metadata.unwrap_or_default(),
            owner_id: member::named(self.owner.as_deref(), context).await?,
            successor_id: member::named(self.successor.as_deref(), context).await?.flatten(),
            permissions: Some(self.permissions).filter(|it| !it.is_empty()),
            projects: places.projects,
            environments: places.environments,
            rate_limit: self.rate.map(|it| sent_rate(it, self.burst)),
            quota: self.quota.map(sent_quota),
            sha256: own.map(OwnSecret::sha256),
            last_four: own.map(OwnSecret::last_four),
            ..ApiTokenRequest::default()
        })
    }
}

/// The arguments of [`ChangeArgs`] that change something: one of them at least is said.
pub const CHANGES: [&str; 21] = [
    "name",
    "description",
    "role",
    "expires",
    "not_before",
    "networks",
    "anywhere",
    "owner",
    "successor",
    "labels",
    "unlabel",
    "metadata",
    "permissions",
    "all_permissions",
    "projects",
    "environments",
    "everywhere",
    "rate",
    "no_rate",
    "quota",
    "no_quota",
];

/// What is to be different about a token.
#[derive(Args, Debug)]
pub struct ChangeArgs {
    /// Its new name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Its new description; an empty text removes it
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// The role it acts as from now on, by name or id
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// When it expires: as for create, or never
    #[arg(long, value_name = "WHEN", value_parser = when::end_argument)]
    pub expires: Option<when::End>,
    /// From when on it is accepted: as for create, or now
    #[arg(long, value_name = "WHEN", value_parser = when::begin_argument)]
    pub not_before: Option<when::Begin>,
    /// A network from which it is accepted, as for create; all that it had before are replaced
    #[arg(long = "network", value_name = "NETWORK")]
    pub networks: Vec<String>,
    /// Accept it from everywhere
    #[arg(long, conflicts_with = "networks")]
    pub anywhere: bool,
    /// A label to add or change, such as team=shop; several times for several
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// The key of a label to take away; several times for several
    #[arg(long, value_name = "KEY")]
    pub unlabel: Vec<String>,
    /// Its metadata from now on: a JSON object; {} for none
    #[arg(long, value_name = "JSON", value_parser = metadata)]
    pub metadata: Option<Map<String, Value>>,
    /// The member who is accountable for it, by e-mail address or id, or none
    #[arg(long, value_name = "EMAIL|ID")]
    pub owner: Option<String>,
    /// The member who becomes its owner when that one leaves, or none
    #[arg(long, value_name = "EMAIL|ID")]
    pub successor: Option<String>,
    /// A permission of its role that it is narrowed to, as for create; all that it had before are replaced
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub permissions: Vec<String>,
    /// Let it do all that its role allows
    #[arg(long, conflicts_with = "permissions")]
    pub all_permissions: bool,
    /// A project that it is narrowed to, as for create; all projects and environments that it had before are replaced
    #[arg(long = "project", value_name = "PROJECT")]
    pub projects: Vec<String>,
    /// An environment that it is narrowed to, likewise
    #[arg(long = "environment", value_name = "PROJECT/ENVIRONMENT|ID")]
    pub environments: Vec<String>,
    /// Let it be wherever its role is
    #[arg(long, conflicts_with_all = ["projects", "environments"])]
    pub everywhere: bool,
    /// How fast it may be used, as for create
    #[arg(long, value_name = "RATE", value_parser = rate_argument)]
    pub rate: Option<Rate>,
    /// How many requests at once, as for create
    #[arg(long, value_name = "NUMBER", requires = "rate")]
    pub burst: Option<u32>,
    /// Let it be used as fast as it likes
    #[arg(long, conflicts_with = "rate")]
    pub no_rate: bool,
    /// How much it may be used, as for create
    #[arg(long, value_name = "QUOTA", value_parser = quota_argument)]
    pub quota: Option<Quota>,
    /// Let it be used as much as it likes
    #[arg(long, conflicts_with = "quota")]
    pub no_quota: bool,
}

impl ChangeArgs {
    /// The body that changes it.
    pub async fn request(self, before: &ApiToken, context: &Context<'_>) -> Result<ApiTokenEditRequest> {
        let role = match &self.role {
            Some(wanted) => {
                let organization = context.client.organization(context.global).await?;
                Some(find(&role::available(context, &organization).await?, wanted, "role")?.id)
            }
            None => None,
        };
        let places = token_places::named(&self.projects, &self.environments, context).await?;
        let (projects, environments) = token_places::changed(self.everywhere, places);
        Ok(ApiTokenEditRequest {
            name: self.name.map(Some),
            description: self.description.map(|text| Some(text).filter(|text| !text.is_empty())),
            role_id: role.map(Some),
            not_before: self.not_before.map(|begin| begin.0),
            expires_at: self.expires.map(|end| end.0),
            labels: changed_labels(self.labels, self.unlabel),
            metadata: self.metadata.map(|new| changed_metadata(&before.metadata, new)),
            owner_id: member::named(self.owner.as_deref(), context).await?,
            successor_id: member::named(self.successor.as_deref(), context).await?,
            networks: if self.anywhere { Some(None) } else { sent_networks(&self.networks).map(Some) },
            permissions: match (self.all_permissions, self.permissions) {
                (true, _) => Some(None),
                (false, some) if some.is_empty() => None,
                (false, some) => Some(Some(some)),
            },
            projects,
            environments,
            rate_limit: if self.no_rate { Some(None) } else { self.rate.map(|it| Some(sent_rate(it, self.burst))) },
            quota: if self.no_quota { Some(None) } else { self.quota.map(|it| Some(sent_quota(it))) },
        })
    }
}

/// What is different about a token than before, in words.
pub async fn changes(before: &ApiToken, changed: &ApiToken, context: &Context<'_>) -> Result<Vec<String>> {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let never = |at: Option<Time>| or(moment(at), "never");
    let all = [
        ("name", before.name.clone(), changed.name.clone()),
        ("description", text(before.description.as_deref()), text(changed.description.as_deref())),
        ("role", before.role_name.clone(), changed.role_name.clone()),
        ("beginning", or(moment(before.not_before), "at once"), or(moment(changed.not_before), "at once")),
        ("end", never(before.expires_at), never(changed.expires_at)),
        ("networks", network_list(before), network_list(changed)),
        ("labels", label_list(before), label_list(changed)),
        ("metadata", metadata_text(before), metadata_text(changed)),
        ("owner", owner(before), owner(changed)),
        ("successor", id(before.successor_id), id(changed.successor_id)),
        ("permissions", permission_list(before), permission_list(changed)),
        ("in", token_places::text(before, context).await?, token_places::text(changed, context).await?),
        ("rate", shown_rate(before), shown_rate(changed)),
        ("quota", shown_quota(before), shown_quota(changed)),
    ];
    let different = all.into_iter().filter(|(_, before, after)| before != after);
    Ok(different
        .map(|(what, before, after)| format!("{what}: {} → {}", or(before, "none"), or(after, "none")))
        .collect())
}

/// Changes in a sentence.
pub fn changes_in_words(changes: Vec<String>) -> String {
    if changes.is_empty() { "nothing is different".to_owned() } else { changes.join("; ") }
}

/// Networks as they were typed: what stands behind a space is a note.
pub(super) fn sent_networks(typed: &[String]) -> Option<Vec<ApiTokenNetwork>> {
    let read = |text: &String| {
        let (network, note) = NotedNetwork::split(text);
        ApiTokenNetwork { network: network.to_owned(), note: note.map(str::to_owned) }
    };
    (!typed.is_empty()).then(|| typed.iter().map(read).collect())
}

/// The networks of a token in one line.
pub(super) fn network_list(token: &ApiToken) -> String {
    let all: Vec<&str> = token.networks.iter().map(|it| it.network.as_str()).collect();
    or(all.join(", "), "everywhere")
}

/// The permissions that a token is narrowed to, in one line.
pub(super) fn permission_list(token: &ApiToken) -> String {
    or(token.permissions.join(", "), "all of its role")
}

/// A label as clap reads it.
pub(super) fn label(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is KEY=VALUE, such as team=shop")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Metadata as clap reads it.
pub(super) fn metadata(text: &str) -> std::result::Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|problem| format!("it is no JSON object: {problem}"))
}

/// What is to be different about labels; nothing where none is named.
pub(super) fn changed_labels(
    new: Vec<(String, String)>,
    gone: Vec<String>,
) -> Option<Option<BTreeMap<String, Option<String>>>> {
    let gone = gone.into_iter().map(|key| (key, None));
    let all: BTreeMap<_, _> = gone.chain(new.into_iter().map(|(key, value)| (key, Some(value)))).collect();
    (!all.is_empty()).then_some(Some(all))
}

/// The merge patch after which the metadata is `new`.
pub(super) fn changed_metadata(old: &Map<String, Value>, new: Map<String, Value>) -> Option<Map<String, Value>> {
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let mut patch: Map<String, Value> = gone.collect();
    for (key, value) in new {
        let value = match (old.get(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => changed_metadata(old, new).unwrap_or_default().into(),
            (_, value) => value,
        };
        patch.insert(key, value);
    }
    Some(patch)
}

/// The labels of a token in one line.
pub(super) fn label_list(token: &ApiToken) -> String {
    token.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// Its metadata in one line.
pub(super) fn metadata_text(token: &ApiToken) -> String {
    if token.metadata.is_empty() { String::new() } else { Value::from(token.metadata.clone()).to_string() }
}

/// Who is accountable for a token, and whether that member has left.
pub(super) fn owner(token: &ApiToken) -> String {
    let name = or(text(token.owner_name.as_deref()), "-");
    if token.owner_left { format!("{name} (left)") } else { name }
}

/// A text, or what stands where there is none.
pub(super) fn or(text: String, empty: &str) -> String {
    if text.is_empty() { empty.to_owned() } else { text }
}
