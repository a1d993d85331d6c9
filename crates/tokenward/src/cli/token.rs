//! `tokenward token`.

use std::cmp::Reverse;

use clap::{ArgGroup, Args, Subcommand};
use tokenward_api::tokens::{ApiToken, ApiTokenCreate, ApiTokenRotateRequest, ApiTokenVersion};
use tokenward_core::secret::{Kind, Prefixes};
use tokenward_core::time::{Micros, length_text};
use tokenward_core::token::{TokenFilter, TokenState};
use uuid::Uuid;

use super::answer::{ApiAnswer, List};
use super::effect::WaitArgs;
use super::find::find;
use super::output::{self, Exit, Failure, Result, fields, moment, text};
use super::own_secret::{OwnSecret, print_secret};
use super::token_acts::{self, WhyArgs};
use super::token_allowance::{shown_quota, shown_rate};
use super::token_args::{
    self, AnyToken, CHANGES, ChangeArgs, NewArgs, label_list, metadata_text, network_list, or, owner, permission_list,
};
use super::token_bulk::{self, BulkCommand, RevokeAllArgs};
use super::token_filter::tokens_of;
use super::token_import::{self, ImportArgs};
use super::token_life::{self, BrownoutArgs};
use super::token_listing::{self, ListArgs};
use super::{Context, role, token_effect, token_end, token_places, token_questions, when};
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
    #[command(flatten)]
    what: NewArgs,
    /// Make the secret here and tell the server its digest alone: it never sees the secret
    #[arg(long)]
    local: bool,
}

/// `tokenward token edit`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args(CHANGES)))]
pub struct EditArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    token: String,
    #[command(flatten)]
    change: ChangeArgs,
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
    #[command(flatten)]
    why: WhyArgs,
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

pub async fn run(command: TokenCommand, context: &Context<'_>) -> Result {
    match command {
        TokenCommand::Create(args) => create(args, context).await,
        TokenCommand::List(args) => {
            let none = "There are no tokens yet. Create one with `tokenward token create NAME --role ROLE`.";
            token_listing::list::<ApiToken>(args, &tokens_of(context).await?, none, context).await
        }
        TokenCommand::Show { token } => show(&token, context).await,
        TokenCommand::Edit(args) => edit(args, context).await,
        TokenCommand::Rotate(args) => rotate(args, context).await,
        TokenCommand::End { token, secret, yes, wait } => {
            token_acts::end(resolve(&token, context).await?, secret, yes, wait, context).await
        }
        TokenCommand::Disable { token, wait } => {
            let (path, _) = resolve(&token, context).await?;
            token_acts::disable::<ApiToken>(&path, wait, context).await
        }
        TokenCommand::Enable { token } => {
            let (path, _) = resolve(&token, context).await?;
            token_acts::enable::<ApiToken>(&path, context).await
        }
        TokenCommand::Attest { token } => {
            let (path, _) = resolve(&token, context).await?;
            token_life::attest(&path, ApiToken::WHAT, context).await
        }
        TokenCommand::Brownout(args) => {
            let (path, _) = resolve(&args.token, context).await?;
            token_life::brownout::<ApiToken>(&path, args, context).await
        }
        TokenCommand::Delete(DeleteArgs { token, why, yes, wait }) => {
            token_acts::delete(resolve(&token, context).await?, why, yes, wait, context).await
        }
        TokenCommand::Bulk(command) => token_bulk::run(command, &tokens_of(context).await?, context).await,
        TokenCommand::Import(args) => token_import::run(args, context).await,
        TokenCommand::RevokeAll(args) => token_bulk::revoke_all(args, context).await,
        TokenCommand::Undo { token } => token_acts::undo::<ApiToken>(&tokens_of(context).await?, &token, context).await,
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
    let expires = match args.what.expires {
        None if asks => Some(token_questions::end()?),
        None => token_end::usual(role.id, args.what.not_before, &organization, context).await?,
        said => said,
    };
    let own = args.local.then(own_secret);
    let body = args.what.request(args.name, role.id, expires, own.as_ref(), context).await?;
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
        let told = token_acts::earlier(&token.versions);
        note(output::clean(&format!("Rotated the token `{}`: {told}.", token.name)));
        note("This is the only time that the new secret is shown. Keep it in a secret store.");
    }
    Ok(())
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
    let mut lines = shown(&token, context).await?;
    // One is the rule, and says nothing that stands not above.
    if token.versions.len() > 1 {
        lines.extend(secret_lines(&token.versions));
    }
    fields(&lines)
}

/// The accepted secrets of a token.
pub(super) fn secret_lines(versions: &[ApiTokenVersion]) -> impl Iterator<Item = (&'static str, String)> {
    let label = |at| if at == 0 { "Secrets" } else { "" };
    versions.iter().enumerate().map(move |(at, version)| (label(at), secret_line(version)))
}

/// What is told of a token, its secrets apart.
pub(super) async fn shown(token: &ApiToken, context: &Context<'_>) -> Result<Vec<(&'static str, String)>> {
    let reasons = token.denied_reasons.iter().map(|(reason, count)| format!("{} {count}", reason.replace('_', " ")));
    let reasons: Vec<_> = reasons.collect();
    let denied = match reasons.as_slice() {
        [] => token.denied_count.to_string(),
        all => format!("{} ({})", token.denied_count, all.join(", ")),
    };
    let places = token_places::list(token, context).await?;
    let mut lines = vec![
        ("Name", token.name.clone()),
        ("Description", text(token.description.as_deref())),
        ("Role", token.role_name.clone()),
        ("Ends in", token.last_four.clone()),
        ("State", token_life::explained(token)),
        ("Switched off", moment(token.disabled_at)),
        ("Presented", token_life::refused_line(token.refused.as_ref())),
        ("Old secret used again", moment(token.reused_at)),
        ("Old secrets presented", token_life::refused_line(token.refused_earlier.as_ref())),
        ("Still needed", token.attestation.map(|it| it.to_string()).unwrap_or_default()),
        ("Confirmed", moment(token.attested_at)),
        ("Brownout", token_life::brownout_line(token)),
        ("Expires", or(moment(token.expires_at), "never")),
        ("Not before", moment(token.not_before)),
        ("Created", moment(token.created_at)),
        ("Creator", text(token.creator_name.as_deref())),
        ("Creator kind", token.creator_kind.map(|kind| kind.to_string()).unwrap_or_default()),
        ("Creator id", token.creator_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Labels", label_list(token)),
        ("Metadata", metadata_text(token)),
        ("Owner", owner(token)),
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
    lines.push(("Rate", shown_rate(token)));
    lines.push(("Quota", shown_quota(token)));
    for (at, it) in token.permissions.iter().enumerate() {
        lines.push((if at == 0 { "Permissions" } else { "" }, it.clone()));
    }
    for (at, it) in places.iter().enumerate() {
        lines.push((if at == 0 { "Only in" } else { "" }, it.clone()));
    }
    Ok(lines)
}

/// `2 …k3Qz, never used` or `1 …m4Bc, ends 2026-11-25 02:00Z, last used 2026-11-25 01:55Z from 203.0.113.77 with curl/8`.
fn secret_line(version: &ApiTokenVersion) -> String {
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
    let body = args.change.request(&before, context).await?;
    if args.dry_run {
        return token_effect::print_effect::<ApiToken>(&path, &before, &body, context).await;
    }
    let changed: ApiAnswer<ApiToken> = context.client.patch(&path, &body, None).await?;
    if context.global.json {
        return output::json(&changed.raw);
    }
    let told = token_args::changes_in_words(token_args::changes(&before, &changed, context).await?);
    note(output::clean(&format!("Changed the token `{}`: {told}.", changed.name)));
    Ok(())
}
