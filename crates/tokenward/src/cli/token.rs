//! `tokenward token`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tokenward_api::tokens::{
    ApiToken, ApiTokenCreate, ApiTokenDeleteRequest, ApiTokenEditRequest, ApiTokenNetwork, ApiTokenRequest,
    ApiTokenRotateRequest, ApiTokenVersion,
};
use tokenward_core::Time;
use tokenward_core::meter::{Quota, Rate};
use tokenward_core::network::NotedNetwork;
use tokenward_core::secret::{Kind, Prefixes};
use tokenward_core::time::{Micros, length_text};
use tokenward_core::token::{RevokeReason, TokenFilter, TokenState};
use uuid::Uuid;

use super::answer::{ApiAnswer, List};
use super::effect::WaitArgs;
use super::find::find;
use super::output::{self, Exit, Failure, Result, Table, fields, moment, text};
use super::own_secret::{OwnSecret, print_secret};
use super::token_allowance::{quota_argument, rate_argument, sent_quota, sent_rate, shown_quota, shown_rate};
use super::token_bulk::{self, BulkCommand, RevokeAllArgs};
use super::token_filter::{FilterArgs, query_of, reason, state, tokens_of};
use super::token_import::{self, ImportArgs};
use super::token_life::{self, BrownoutArgs};
use super::{Context, member, prompt, role, token_effect, token_end, token_places, token_questions, when};
use crate::note::{note, say};

/// What can be done with API tokens.
#[derive(Subcommand, Debug)]
pub enum TokenCommand {
    /// Create a token; its secret is printed alone on standard output, and never again
    Create(CreateArgs),
    /// List tokens
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one token
    Show {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
    },
    /// Change what a token is: name, description, role, time, networks, permissions, limits, owner; its secret stays the same
    Edit(EditArgs),
    /// Give a token a new secret; it is printed alone on standard output, and never again
    Rotate(RotateArgs),
    /// End an earlier secret of a rotated token now
    End {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
        /// The number of the secret, as `token show` tells it
        #[arg(long, value_name = "NUMBER")]
        secret: u16,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Switch a token off: it is refused, and keeps everything, until it is enabled again
    Disable {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Switch a token on again
    Enable {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
    },
    /// Say that a token is still needed: as its owner, or as somebody who manages tokens
    Attest {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
    },
    /// Refuse a token for short times before it is deleted, to learn who would miss it
    Brownout(BrownoutArgs),
    /// Delete a token: it is refused from that moment on
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// Delete, switch off or on, or give an end or an owner to all tokens that fit: they are shown first, and nothing happens unasked
    #[command(subcommand)]
    Bulk(BulkCommand),
    /// Import tokens of another system, all of a file or none: their texts go on working, and never leave this machine
    Import(ImportArgs),
    /// Revoke all tokens at once, or those created before a moment: one write that counts at once, and cannot be undone
    RevokeAll(RevokeAllArgs),
    /// Undo the deletion of a token, for an hour after it
    Undo {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
    },
}

/// `tokenward token create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// What it is for; unique among the tokens of the organization
    name: String,
    /// The role it acts as, by name or id; without it, at a terminal you are asked, and elsewhere the roles are listed
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// More about it, for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// When it expires: 12h, 90d, 6w, 1y, 2027-01-31 (to the end of that day, UTC), a date-time, or never. Without it
    /// you are asked at a terminal; elsewhere the token lives as long as the token policy of the organization says, and 90 days where
    /// it says nothing
    #[arg(long, value_name = "WHEN", value_parser = when::end_argument)]
    expires: Option<when::End>,
    /// From when on it is accepted: 12h, 7d, 2027-01-31 (from the beginning of that day, UTC) or a date-time; without it, at once
    #[arg(long, value_name = "WHEN", value_parser = when::ahead_argument)]
    not_before: Option<Time>,
    /// A network from which it is accepted, with a note behind it if you like ("203.0.113.0/24 office"); several times for
    /// several, without it from everywhere
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// A label by which it is found, such as team=shop; several times for several
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// What else is to be kept with it: a JSON object
    #[arg(long, value_name = "JSON", value_parser = metadata)]
    metadata: Option<Map<String, Value>>,
    /// The member who is accountable for it, by e-mail address or id, or none; without it you, or the owner of the token that
    /// you use
    #[arg(long, value_name = "EMAIL|ID")]
    owner: Option<String>,
    /// The member who becomes its owner when that one leaves
    #[arg(long, value_name = "EMAIL|ID")]
    successor: Option<String>,
    /// A permission of its role that it is narrowed to, such as invoices:read or *:read; several times for several, without it all
    /// that the role allows
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// A project that it is narrowed to, with all that is in it, by name or id; several times for several
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<String>,
    /// An environment that it is narrowed to besides, as shop/staging or by id; several times for several
    #[arg(long = "environment", value_name = "PROJECT/ENVIRONMENT|ID")]
    environments: Vec<String>,
    /// How fast it may be used, such as 100/minute (second, minute or hour); without it as fast as it likes
    #[arg(long, value_name = "RATE", value_parser = rate_argument)]
    rate: Option<Rate>,
    /// How many requests at once, where nothing was used before; without it as many as the rate has
    #[arg(long, value_name = "NUMBER", requires = "rate")]
    burst: Option<u32>,
    /// How much it may be used, such as 10000/day (day or month, in UTC); without it as much as it likes
    #[arg(long, value_name = "QUOTA", value_parser = quota_argument)]
    quota: Option<Quota>,
    /// Make the secret here and tell the server its digest alone: it never sees the secret
    #[arg(long)]
    local: bool,
}

/// `tokenward token edit`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args([
    "name", "description", "role", "expires", "not_before", "networks", "anywhere", "owner", "successor", "labels",
    "unlabel", "metadata", "permissions", "all_permissions", "projects", "environments", "everywhere", "rate", "no_rate",
    "quota", "no_quota",
])))]
pub struct EditArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    token: String,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its new description; an empty text removes it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The role it acts as from now on, by name or id
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// When it expires: as for create, or never
    #[arg(long, value_name = "WHEN", value_parser = when::end_argument)]
    expires: Option<when::End>,
    /// From when on it is accepted: as for create, or now
    #[arg(long, value_name = "WHEN", value_parser = when::begin_argument)]
    not_before: Option<when::Begin>,
    /// A network from which it is accepted, as for create; all that it had before are replaced
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// Accept it from everywhere
    #[arg(long, conflicts_with = "networks")]
    anywhere: bool,
    /// A label to add or change, such as team=shop; several times for several
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// The key of a label to take away; several times for several
    #[arg(long, value_name = "KEY")]
    unlabel: Vec<String>,
    /// Its metadata from now on: a JSON object; {} for none
    #[arg(long, value_name = "JSON", value_parser = metadata)]
    metadata: Option<Map<String, Value>>,
    /// The member who is accountable for it, by e-mail address or id, or none
    #[arg(long, value_name = "EMAIL|ID")]
    owner: Option<String>,
    /// The member who becomes its owner when that one leaves, or none
    #[arg(long, value_name = "EMAIL|ID")]
    successor: Option<String>,
    /// A permission of its role that it is narrowed to, as for create; all that it had before are replaced
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// Let it do all that its role allows
    #[arg(long, conflicts_with = "permissions")]
    all_permissions: bool,
    /// A project that it is narrowed to, as for create; all projects and environments that it had before are replaced
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<String>,
    /// An environment that it is narrowed to, likewise
    #[arg(long = "environment", value_name = "PROJECT/ENVIRONMENT|ID")]
    environments: Vec<String>,
    /// Let it be wherever its role is
    #[arg(long, conflicts_with_all = ["projects", "environments"])]
    everywhere: bool,
    /// How fast it may be used, as for create
    #[arg(long, value_name = "RATE", value_parser = rate_argument)]
    rate: Option<Rate>,
    /// How many requests at once, as for create
    #[arg(long, value_name = "NUMBER", requires = "rate")]
    burst: Option<u32>,
    /// Let it be used as fast as it likes
    #[arg(long, conflicts_with = "rate")]
    no_rate: bool,
    /// How much it may be used, as for create
    #[arg(long, value_name = "QUOTA", value_parser = quota_argument)]
    quota: Option<Quota>,
    /// Let it be used as much as it likes
    #[arg(long, conflicts_with = "quota")]
    no_quota: bool,
    /// Only say what this would take from it, by what it was last allowed
    #[arg(long)]
    dry_run: bool,
}

/// `tokenward token delete`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    token: String,
    /// Why; key_compromise cannot be undone
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<RevokeReason>,
    /// More about it, for people
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// `tokenward token rotate`.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID", required_unless_present = "itself", conflicts_with = "itself")]
    token: Option<String>,
    /// The token that asks; its role must hold token:rotate-self
    #[arg(long = "self", id = "itself")]
    itself: bool,
    /// How long the secret before is still accepted: 24h, 30m, 7d; 0 when it has leaked
    #[arg(long, value_name = "LENGTH", value_parser = when::length_argument)]
    keep: Micros,
    /// End the secret before sooner, once it was silent for so long: 1h; at least 5m
    #[arg(long, value_name = "LENGTH", value_parser = when::length_argument)]
    end_when_silent: Option<Micros>,
    /// Make the new secret here and tell the server its digest alone: it never sees the secret
    #[arg(long)]
    local: bool,
}

/// `tokenward token list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only those in this state: living, active, disabled, not_yet_valid, brownout (refused in windows, now or later), expired, revoked
    /// (deleted within 90 days), ended, kept, or all
    #[arg(long, value_name = "STATE", value_parser = state, default_value = "living")]
    state: TokenFilter,
    /// Only those whose time is over: --state expired
    #[arg(long, conflicts_with_all = ["state", "revoked", "brownout"])]
    expired: bool,
    /// Only those that were deleted within 90 days: --state revoked
    #[arg(long, conflicts_with_all = ["state", "brownout"])]
    revoked: bool,
    /// Only those that have a brownout, in a window or between them: --state brownout
    #[arg(long, conflicts_with = "state")]
    brownout: bool,
    /// Sort by name, created_at, expires_at or last_used_at; a - before it turns the order round
    #[arg(long, value_name = "BY", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Print a table for spreadsheets (CSV) with all that is known of each
    #[arg(long, conflicts_with_all = ["json", "jq", "quiet"])]
    csv: bool,
}

pub async fn run(command: TokenCommand, context: &Context<'_>) -> Result {
    match command {
        TokenCommand::Create(args) => create(args, context).await,
        TokenCommand::List(args) => list(args, context).await,
        TokenCommand::Show { token } => show(&token, context).await,
        TokenCommand::Edit(args) => edit(args, context).await,
        TokenCommand::Rotate(args) => rotate(args, context).await,
        TokenCommand::End { token, secret, yes, wait } => end(&token, secret, yes, wait, context).await,
        TokenCommand::Disable { token, wait } => disable(&token, wait, context).await,
        TokenCommand::Enable { token } => enable(&token, context).await,
        TokenCommand::Attest { token } => {
            let (path, _) = resolve(&token, context).await?;
            token_life::attest(&path, context).await
        }
        TokenCommand::Brownout(args) => {
            let (path, _) = resolve(&args.token, context).await?;
            token_life::brownout(&path, args, context).await
        }
        TokenCommand::Delete(args) => delete(args, context).await,
        TokenCommand::Bulk(command) => token_bulk::run(command, context).await,
        TokenCommand::Import(args) => token_import::run(args, context).await,
        TokenCommand::RevokeAll(args) => token_bulk::revoke_all(args, context).await,
        TokenCommand::Undo { token } => undo(&token, context).await,
    }
}

async fn create(args: CreateArgs, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let roles = role::available(context, &organization).await?;
    let asks = token_questions::can_ask(context.global);
    let role = match args.role {
        Some(wanted) => find(&roles, &wanted, "role")?,
        None if asks => token_questions::role(&roles)?,
        None => {
            say("A token acts as a role. Say which one with --role:\n");
            say(role::meanings(&roles));
            return Err(Failure::silent(Exit::Usage));
        }
    };
    let expires = match args.expires {
        None if asks => Some(token_questions::end()?),
        None => token_end::usual(role.id, args.not_before, &organization, context).await?,
        said => said,
    };
    let places = token_places::named(&args.projects, &args.environments, context).await?;
    let own = args.local.then(own_secret);
    let body = ApiTokenRequest {
        name: args.name,
        description: args.description,
        role_id: Some(Some(role.id)),
        not_before: args.not_before,
        expires_at: expires.map(|end| end.0),
        networks: sent_networks(&args.networks),
        labels: args.labels.into_iter().collect(),
        metadata: args.metadata.unwrap_or_default(),
        owner_id: member::named(args.owner.as_deref(), context).await?,
        successor_id: member::named(args.successor.as_deref(), context).await?.flatten(),
        permissions: Some(args.permissions).filter(|it| !it.is_empty()),
        projects: places.projects,
        environments: places.environments,
        rate_limit: args.rate.map(|it| sent_rate(it, args.burst)),
        quota: args.quota.map(sent_quota),
        sha256: own.as_ref().map(OwnSecret::sha256),
        last_four: own.as_ref().map(OwnSecret::last_four),
        ..ApiTokenRequest::default()
    };
    let path = format!("/organization/{}/apiToken", organization.id);
    let created: ApiAnswer<ApiTokenCreate> = context.client.post(&path, &body).await?;
    let token = &created.token_without_text;
    print_secret(
        &created,
        created.token.as_deref(),
        own.as_ref(),
        &format!("The token `{}` was created, but its secret is lost: delete it.", token.name),
        context,
    )?;
    if !context.global.json {
        let from = if token.networks.is_empty() { String::new() } else { format!(", from {}", network_list(token)) };
        let end = token.expires_at.map_or_else(|| "never expires".to_owned(), |at| format!("expires {}", moment(at)));
        let only =
            if token.permissions.is_empty() { String::new() } else { format!(", only {}", permission_list(token)) };
        let places = token_places::list(token, context).await?;
        let within = if places.is_empty() { String::new() } else { format!(", in {}", places.join(", ")) };
        note(format!("Created the token `{}`: role {}{only}{within}, {end}{from}.", token.name, token.role_name));
        note("This is the only time that it is shown. Keep it in a secret store.");
    }
    Ok(())
}

/// Networks as they were typed: what stands behind a space is a note.
fn sent_networks(typed: &[String]) -> Option<Vec<ApiTokenNetwork>> {
    let read = |text: &String| {
        let (network, note) = NotedNetwork::split(text);
        ApiTokenNetwork { network: network.to_owned(), note: note.map(str::to_owned) }
    };
    (!typed.is_empty()).then(|| typed.iter().map(read).collect())
}

/// The networks of a token in one line.
fn network_list(token: &ApiToken) -> String {
    let all: Vec<&str> = token.networks.iter().map(|it| it.network.as_str()).collect();
    or(all.join(", "), "everywhere")
}

/// The permissions that a token is narrowed to, in one line.
fn permission_list(token: &ApiToken) -> String {
    or(token.permissions.join(", "), "all of its role")
}

/// A secret that is made here. Any prefix is as good: a server that has others takes it for the token of another system, and knows
/// it all the same.
fn own_secret() -> OwnSecret {
    OwnSecret::new(Kind::Token, &Prefixes::default())
}

async fn rotate(args: RotateArgs, context: &Context<'_>) -> Result {
    let path = match &args.token {
        Some(wanted) => resolve(wanted, context).await?.0,
        None => "/token/self".to_owned(),
    };
    let own = args.local.then(own_secret);
    let body = ApiTokenRotateRequest {
        keep: length_text(args.keep),
        silent: args.end_when_silent.map(length_text),
        sha256: own.as_ref().map(OwnSecret::sha256),
        last_four: own.as_ref().map(OwnSecret::last_four),
    };
    let rotated: ApiAnswer<ApiTokenCreate> = context.client.post(&format!("{path}/rotate"), &body).await?;
    let token = &rotated.token_without_text;
    print_secret(
        &rotated,
        rotated.token.as_deref(),
        own.as_ref(),
        &format!("The token `{}` was rotated, but its new secret is lost: rotate it once more.", token.name),
        context,
    )?;
    if !context.global.json {
        let earlier = token.versions.iter().filter(|it| it.version != token.versions[0].version);
        let kept: Vec<String> = earlier
            .map(|it| {
                let until = it.expires_at.map(moment).unwrap_or_default();
                format!("…{} is accepted until {until}{}", it.last_four, token_life::sooner(it))
            })
            .collect();
        let told = if kept.is_empty() { "no earlier secret is accepted any more".to_owned() } else { kept.join("; ") };
        note(output::clean(&format!("Rotated the token `{}`: {told}.", token.name)));
        note("This is the only time that the new secret is shown. Keep it in a secret store.");
    }
    Ok(())
}

async fn end(wanted: &str, secret: u16, yes: bool, wait: WaitArgs, context: &Context<'_>) -> Result {
    let (path, token) = resolve(wanted, context).await?;
    let name = &token.name;
    let Some(version) = token.versions.iter().find(|it| it.version == secret) else {
        let all: Vec<String> = token.versions.iter().map(|it| format!("{} (…{})", it.version, it.last_four)).collect();
        let said = format!("The token `{name}` has no accepted secret {secret}; it has {}.", all.join(", "));
        return Err(Failure::new(Exit::NotFound, said));
    };
    let last =
        version.last_used_at.map_or_else(|| "It was never used".to_owned(), |at| format!("Last used {}", moment(at)));
    let question = format!(
        "End the secret {secret} (…{}) of `{name}` now? {last}; whoever uses it is refused from then on.",
        version.last_four
    );
    prompt::confirm(&question, yes)?;
    let path = format!("{path}/version/{secret}");
    let ended = context.client.take_away::<IgnoredAny>(Method::DELETE, &path, None, wait).await?;
    note(output::clean(&format!("Ended the secret …{} of `{name}`. {}", version.last_four, ended.refused)));
    Ok(())
}

async fn list(args: ListArgs, context: &Context<'_>) -> Result {
    let filters = query_of(&args.filter, context).await?;
    let is_filtered = filters.iter().any(|(_, value)| value.is_some());
    let mut query: Vec<(&str, Option<&str>)> = filters.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    let state = match (args.expired, args.revoked, args.brownout) {
        (true, ..) => TokenFilter::Expired,
        (_, true, _) => TokenFilter::Revoked,
        (.., true) => TokenFilter::Brownout,
        (false, false, false) => args.state,
    };
    query.push(("state", Some(state.as_str())));
    query.push(("sort", args.sort.as_deref()));
    if args.csv {
        return context.client.print_text(&tokens_of(context).await?, &query, "text/csv").await;
    }
    let answer: ApiAnswer<List<ApiToken>> = context.client.query(&tokens_of(context).await?, &query).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let titles = &["NAME", "ROLE", "ENDS IN", "STATE", "EXPIRES", "LAST USED", "CREATOR", "OWNER", "CREATED", "ID"];
    let mut table = Table::new(titles);
    for token in &answer.results {
        table.row([
            token.name.clone(),
            token.role_name.clone(),
            token.last_four.clone(),
            token_life::state(token),
            or(moment(token.expires_at), "never"),
            or(moment(token.last_used_at), "-"),
            or(text(token.creator_name.as_deref()), "-"),
            owner(token),
            moment(token.created_at),
            token.id.to_string(),
        ]);
    }
    table.print(if is_filtered || state != TokenFilter::Living {
        "No token matches."
    } else {
        "There are no tokens yet. Create one with `tokenward token create NAME --role ROLE`."
    })
}

/// A label as clap reads it.
pub(super) fn label(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is KEY=VALUE, such as team=shop")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Metadata as clap reads it.
fn metadata(text: &str) -> std::result::Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|problem| format!("it is no JSON object: {problem}"))
}

/// What is to be different about labels; nothing where none is named.
fn changed_labels(new: Vec<(String, String)>, gone: Vec<String>) -> Option<Option<BTreeMap<String, Option<String>>>> {
    let gone = gone.into_iter().map(|key| (key, None));
    let all: BTreeMap<_, _> = gone.chain(new.into_iter().map(|(key, value)| (key, Some(value)))).collect();
    (!all.is_empty()).then_some(Some(all))
}

/// The merge patch after which the metadata is `new`.
fn changed_metadata(old: &Map<String, Value>, new: Map<String, Value>) -> Option<Map<String, Value>> {
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
fn label_list(token: &ApiToken) -> String {
    token.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// Its metadata in one line.
fn metadata_text(token: &ApiToken) -> String {
    if token.metadata.is_empty() { String::new() } else { Value::from(token.metadata.clone()).to_string() }
}

/// Who is accountable for a token, and whether that member has left.
fn owner(token: &ApiToken) -> String {
    let name = or(text(token.owner_name.as_deref()), "-");
    if token.owner_left { format!("{name} (left)") } else { name }
}

pub(super) fn or(text: String, empty: &str) -> String {
    if text.is_empty() { empty.to_owned() } else { text }
}

/// The path of the token, and the token. Names of those that have not ended are unique; one that has expired is meant only
/// where no other one has the name.
pub(super) async fn resolve(wanted: &str, context: &Context<'_>) -> Result<(String, ApiAnswer<ApiToken>)> {
    let tokens = tokens_of(context).await?;
    if let Ok(id) = Uuid::parse_str(wanted) {
        let path = format!("{tokens}/{id}");
        match context.client.get(&path).await {
            Ok(token) => return Ok((path, token)),
            // A name may look like an id.
            Err(failure) if failure.exit == Exit::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    let query = [("name", Some(wanted)), ("state", Some(TokenFilter::Kept.as_str()))];
    let answer: ApiAnswer<List<ApiToken>> = context.client.query(&tokens, &query).await?;
    let mut named = answer.results.clone();
    // Of several that have expired, the last one.
    named.sort_by_key(|token| (token.state == TokenState::Expired, Reverse(token.created_at)));
    let token = find(&named, wanted, "token")?.clone();
    Ok((format!("{tokens}/{}", token.id), token))
}

async fn show(wanted: &str, context: &Context<'_>) -> Result {
    let (path, _) = resolve(wanted, context).await?;
    let token: ApiAnswer<ApiToken> = context.client.get(&path).await?;
    if context.global.json {
        return output::json(&token.raw);
    }
    let reasons = token.denied_reasons.iter().map(|(reason, count)| format!("{} {count}", reason.replace('_', " ")));
    let reasons: Vec<_> = reasons.collect();
    let denied = match reasons.as_slice() {
        [] => token.denied_count.to_string(),
        all => format!("{} ({})", token.denied_count, all.join(", ")),
    };
    let places = token_places::list(&token, context).await?;
    let mut lines = vec![
        ("Name", token.name.clone()),
        ("Description", text(token.description.as_deref())),
        ("Role", token.role_name.clone()),
        ("Ends in", token.last_four.clone()),
        ("State", token_life::explained(&token)),
        ("Presented", token_life::refused_line(token.refused.as_ref())),
        ("Old secret used again", moment(token.reused_at)),
        ("Old secrets presented", token_life::refused_line(token.refused_earlier.as_ref())),
        ("Still needed", token.attestation.map(|it| it.to_string()).unwrap_or_default()),
        ("Confirmed", moment(token.attested_at)),
        ("Brownout", token_life::brownout_line(&token)),
        ("Expires", or(moment(token.expires_at), "never")),
        ("Not before", moment(token.not_before)),
        ("Created", moment(token.created_at)),
        ("Creator", text(token.creator_name.as_deref())),
        ("Creator kind", token.creator_kind.map(|kind| kind.to_string()).unwrap_or_default()),
        ("Creator id", token.creator_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Labels", label_list(&token)),
        ("Metadata", metadata_text(&token)),
        ("Owner", owner(&token)),
        ("Owner id", token.owner_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Successor id", token.successor_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Last used", moment(token.last_used_at)),
        ("Last used from", text(token.last_used_from.as_deref())),
        ("Last used by", text(token.last_used_agent.as_deref())),
        ("Allowed", token.allowed_count.to_string()),
        ("Denied", denied),
        ("Id", token.id.to_string()),
    ];
    if let Some(gone) = &token.revocation {
        let by = gone.by_name.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        lines.push(("Deleted", format!("{}{by}, {}", moment(gone.at), gone.reason)));
        lines.push(("Note", text(gone.note.as_deref())));
        lines.push(("Undo until", moment(gone.undo_until)));
    }
    for (at, it) in token.networks.iter().enumerate() {
        let note = it.note.as_ref().map(|note| format!(" {note}")).unwrap_or_default();
        lines.push((if at == 0 { "Networks" } else { "" }, format!("{}{note}", it.network)));
    }
    lines.push(("Rate", shown_rate(&token)));
    lines.push(("Quota", shown_quota(&token)));
    for (at, it) in token.permissions.iter().enumerate() {
        lines.push((if at == 0 { "Permissions" } else { "" }, it.clone()));
    }
    for (at, it) in places.iter().enumerate() {
        lines.push((if at == 0 { "Only in" } else { "" }, it.clone()));
    }
    // One is the rule, and says nothing that stands not above.
    if token.versions.len() > 1 {
        let label = |at| if at == 0 { "Secrets" } else { "" };
        lines.extend(token.versions.iter().enumerate().map(|(at, version)| (label(at), secret_line(version))));
    }
    fields(&lines)
}

/// `2 …k3Qz, never used` or `1 …m4Bc, ends 2026-11-25 02:00Z, last used 2026-11-25 01:55Z from 203.0.113.77 with curl/8`.
pub(super) fn secret_line(version: &ApiTokenVersion) -> String {
    let mut line = format!("{} …{}", version.version, version.last_four);
    if let Some(at) = version.expires_at {
        line += &format!(", ends {}{}", moment(at), token_life::sooner(version));
    }
    match version.last_used_at {
        None => line += ", never used",
        Some(at) => {
            line += &format!(", last used {}", moment(at));
            for (word, what) in [("from", &version.last_used_from), ("with", &version.last_used_agent)] {
                if let Some(what) = what {
                    line += &format!(" {word} {what}");
                }
            }
        }
    }
    line
}

async fn edit(args: EditArgs, context: &Context<'_>) -> Result {
    let (path, before) = resolve(&args.token, context).await?;
    let role = match &args.role {
        Some(wanted) => {
            let organization = context.client.organization(context.global).await?;
            Some(find(&role::available(context, &organization).await?, wanted, "role")?.id)
        }
        None => None,
    };
    let places = token_places::named(&args.projects, &args.environments, context).await?;
    let (projects, environments) = token_places::changed(args.everywhere, places);
    let body = ApiTokenEditRequest {
        name: args.name.map(Some),
        description: args.description.map(|text| Some(text).filter(|text| !text.is_empty())),
        role_id: role.map(Some),
        not_before: args.not_before.map(|begin| begin.0),
        expires_at: args.expires.map(|end| end.0),
        labels: changed_labels(args.labels, args.unlabel),
        metadata: args.metadata.map(|new| changed_metadata(&before.metadata, new)),
        owner_id: member::named(args.owner.as_deref(), context).await?,
        successor_id: member::named(args.successor.as_deref(), context).await?,
        networks: if args.anywhere { Some(None) } else { sent_networks(&args.networks).map(Some) },
        permissions: match (args.all_permissions, args.permissions) {
            (true, _) => Some(None),
            (false, some) if some.is_empty() => None,
            (false, some) => Some(Some(some)),
        },
        projects,
        environments,
        rate_limit: if args.no_rate { Some(None) } else { args.rate.map(|it| Some(sent_rate(it, args.burst))) },
        quota: if args.no_quota { Some(None) } else { args.quota.map(|it| Some(sent_quota(it))) },
    };
    if args.dry_run {
        return token_effect::tell(&path, &before, &body, context).await;
    }
    let changed: ApiAnswer<ApiToken> = context.client.patch(&path, &body).await?;
    if context.global.json {
        return output::json(&changed.raw);
    }
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let never = |at: Option<Time>| or(moment(at), "never");
    let all = [
        ("name", before.name.clone(), changed.name.clone()),
        ("description", text(before.description.as_deref()), text(changed.description.as_deref())),
        ("role", before.role_name.clone(), changed.role_name.clone()),
        ("beginning", or(moment(before.not_before), "at once"), or(moment(changed.not_before), "at once")),
        ("end", never(before.expires_at), never(changed.expires_at)),
        ("networks", network_list(&before), network_list(&changed)),
        ("labels", label_list(&before), label_list(&changed)),
        ("metadata", metadata_text(&before), metadata_text(&changed)),
        ("owner", owner(&before), owner(&changed)),
        ("successor", id(before.successor_id), id(changed.successor_id)),
        ("permissions", permission_list(&before), permission_list(&changed)),
        ("in", token_places::text(&before, context).await?, token_places::text(&changed, context).await?),
        ("rate", shown_rate(&before), shown_rate(&changed)),
        ("quota", shown_quota(&before), shown_quota(&changed)),
    ];
    let changes: Vec<String> = all
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(what, before, after)| format!("{what}: {} → {}", or(before, "none"), or(after, "none")))
        .collect();
    let told = if changes.is_empty() { "nothing is different".to_owned() } else { changes.join("; ") };
    note(output::clean(&format!("Changed the token `{}`: {told}.", changed.name)));
    Ok(())
}

async fn disable(wanted: &str, wait: WaitArgs, context: &Context<'_>) -> Result {
    let (path, _) = resolve(wanted, context).await?;
    let off = context.client.take_away::<ApiToken>(Method::POST, &format!("{path}/disable"), None, wait).await?;
    note(output::clean(&format!("The token `{}` is switched off. {}", off.answer.name, off.refused)));
    if context.global.json { output::json(&off.answer.raw) } else { Ok(()) }
}

async fn enable(wanted: &str, context: &Context<'_>) -> Result {
    let (path, _) = resolve(wanted, context).await?;
    let token: ApiAnswer<ApiToken> = context.client.post_nothing(&format!("{path}/enable")).await?;
    if context.global.json {
        return output::json(&token.raw);
    }
    note(output::clean(&format!("The token `{}` is switched on. It is accepted from now on.", token.name)));
    Ok(())
}

async fn delete(args: DeleteArgs, context: &Context<'_>) -> Result {
    let (path, token) = resolve(&args.token, context).await?;
    let (name, role, end) = (&token.name, &token.role_name, &token.last_four);
    let question =
        format!("Delete the token `{name}` (role {role}, ends in {end})? Whoever uses it is refused from then on.");
    prompt::confirm(&question, args.yes)?;
    let why = ApiTokenDeleteRequest { reason: args.reason.map(|reason| reason.to_string()), note: args.note };
    let why = serde_json::to_value(why).map_err(|cause| Failure::error(cause.to_string()))?;
    let deleted = context.client.take_away::<IgnoredAny>(Method::DELETE, &path, Some(&why), args.wait).await?;
    note(output::clean(&format!("Deleted the token `{name}`. {}", deleted.refused)));
    if context.global.json { output::json(&token.raw) } else { Ok(()) }
}

async fn undo(wanted: &str, context: &Context<'_>) -> Result {
    let tokens = tokens_of(context).await?;
    let id = match Uuid::parse_str(wanted) {
        Ok(id) => id,
        Err(_) => {
            let query = [("name", Some(wanted)), ("state", Some(TokenFilter::Revoked.as_str()))];
            let answer: ApiAnswer<List<ApiToken>> = context.client.query(&tokens, &query).await?;
            // Of several that had the name, the one that was deleted last.
            let named = answer.results.iter().filter(|token| token.name == wanted);
            let last = named.max_by_key(|token| token.revocation.as_ref().map(|it| it.at));
            let missing = || Failure::not_found(format!("No token named `{wanted}` was deleted in the last 90 days."));
            last.ok_or_else(missing)?.id
        }
    };
    let token: ApiAnswer<ApiToken> = context.client.post_nothing(&format!("{tokens}/{id}/undo")).await?;
    if context.global.json {
        return output::json(&token.raw);
    }
    note(output::clean(&format!("The token `{}` is back. The same secrets are accepted again.", token.name)));
    Ok(())
}
