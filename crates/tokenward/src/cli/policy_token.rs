//! `tokenward policy-token`.

use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde::de::IgnoredAny;
use tokenward_api::policy_tokens::{
    PolicyApiToken, PolicyApiTokenCreate, PolicyApiTokenEditRequest, PolicyApiTokenRequest,
};
use tokenward_api::tokens::{ApiTokenDeleteRequest, ApiTokenRotateRequest, ApiTokenVersion};
use tokenward_core::life::DisabledBecause;
use tokenward_core::secret::{Kind, Prefixes};
use tokenward_core::time::{Micros, length_text};
use tokenward_core::token::{RevokeReason, TokenFilter};
use tokenward_server::limits::DOCUMENT_BYTES;
use uuid::Uuid;

use super::answer::{ApiAnswer, List};
use super::effect::WaitArgs;
use super::find::find;
use super::output::{self, Exit, Failure, Result, Table, fields, moment, print, text};
use super::own_secret::{OwnSecret, print_secret};
use super::token::{or, secret_line};
use super::token_filter::{reason, state};
use super::{Context, member, prompt, role, token_end, token_life, when};
use crate::note::note;

/// What can be done with policy tokens.
#[derive(Subcommand, Debug)]
pub enum PolicyTokenCommand {
    /// Create a policy token; its secret is printed alone on standard output, and never again
    Create(CreateArgs),
    /// List policy tokens
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one policy token, with its policy
    Show {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
        /// Print its policy alone
        #[arg(long)]
        policy: bool,
    },
    /// Change what a policy token is: name, description, role, policy, end, owner; its secret stays the same
    Edit(EditArgs),
    /// Give a policy token a new secret; it is printed alone on standard output, and never again
    Rotate(RotateArgs),
    /// End an earlier secret of a rotated policy token now
    End {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
        /// The number of the secret, as `policy-token show` tells it
        #[arg(long, value_name = "NUMBER")]
        secret: u16,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Switch a policy token off: it is refused, and keeps everything, until it is enabled again
    Disable {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Switch a policy token on again
    Enable {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
    },
    /// Undo the deletion of a policy token, for an hour after it
    Undo {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
    },
    /// Delete a policy token: it is refused from that moment on
    #[command(visible_alias = "rm")]
    Delete {
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
    },
}

/// `tokenward policy-token create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// What it is for; unique among the policy tokens of the organization
    name: String,
    /// What it may be used for: a file in Rego; `-` reads it from standard input
    #[arg(long, value_name = "FILE|-")]
    policy: String,
    /// The role that bounds it besides, by name or id; without it the roles are listed
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// More about it, for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// When it expires: 12h, 90d, 6w, 1y, 2027-01-31 (to the end of that day, UTC), a date-time, or never. Without it
    /// the token lives as long as the token policy of the organization says, and 90 days where it says nothing
    #[arg(long, value_name = "WHEN", value_parser = when::end_argument)]
    expires: Option<when::End>,
    /// The member who is accountable for it, by e-mail address or id, or none; without it you, or the owner of the token that
    /// you use
    #[arg(long, value_name = "EMAIL|ID")]
    owner: Option<String>,
    /// The member who becomes its owner when that one leaves
    #[arg(long, value_name = "EMAIL|ID")]
    successor: Option<String>,
    #[command(flatten)]
    own: OwnArgs,
}

/// `tokenward policy-token list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only those in this state: living, active, disabled, expired, revoked (deleted within 90 days), ended, kept, or all
    #[arg(long, value_name = "STATE", value_parser = state, default_value = "living")]
    state: TokenFilter,
    /// Only those that go beyond the token policy of the organization
    #[arg(long)]
    exceeds_policy: bool,
    /// Only those of users who are members no more
    #[arg(long)]
    creator_left: bool,
    /// Only those whose owner is a member no more
    #[arg(long)]
    owner_left: bool,
}

/// Whether the secret is made here.
#[derive(Args, Debug)]
struct OwnArgs {
    /// Make the secret here and tell the server its digest alone: it never sees the secret
    #[arg(long)]
    local: bool,
    /// What policy tokens begin with at this server, where its operator has chosen something else (`policy_token_prefixes`): the
    /// policy of a text that begins otherwise is never asked, and the text is refused
    #[arg(long, value_name = "PREFIX", default_value = Kind::PolicyToken.prefix(), requires = "local")]
    prefix: String,
}

impl OwnArgs {
    fn secret(&self) -> Result<Option<OwnSecret>> {
        if !self.local {
            return Ok(None);
        }
        let prefixes = Prefixes::new(&[Kind::Token.prefix().to_owned()], std::slice::from_ref(&self.prefix));
        let prefixes = prefixes.map_err(|problem| Failure::usage(format!("--prefix: {problem}.")))?;
        Ok(Some(OwnSecret::new(Kind::PolicyToken, &prefixes)))
    }
}

/// `tokenward policy-token edit`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args([
    "name", "description", "role", "policy", "expires", "owner", "successor",
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
    /// The role that bounds it from now on, by name or id
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// What it may be used for from now on: a file in Rego; `-` reads it from standard input
    #[arg(long, value_name = "FILE|-")]
    policy: Option<String>,
    /// When it expires: as for create, or never
    #[arg(long, value_name = "WHEN", value_parser = when::end_argument)]
    expires: Option<when::End>,
    /// The member who is accountable for it, by e-mail address or id, or none
    #[arg(long, value_name = "EMAIL|ID")]
    owner: Option<String>,
    /// The member who becomes its owner when that one leaves, or none
    #[arg(long, value_name = "EMAIL|ID")]
    successor: Option<String>,
}

/// `tokenward policy-token rotate`.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    token: String,
    /// How long the secret before is still accepted: 24h, 30m, 7d; 0 when it has leaked
    #[arg(long, value_name = "LENGTH", value_parser = when::length_argument)]
    keep: Micros,
    /// End the secret before sooner, once it was silent for so long: 1h; at least 5m
    #[arg(long, value_name = "LENGTH", value_parser = when::length_argument)]
    end_when_silent: Option<Micros>,
    #[command(flatten)]
    own: OwnArgs,
}

pub async fn run(command: PolicyTokenCommand, context: &Context<'_>) -> Result {
    match command {
        PolicyTokenCommand::Create(args) => create(args, context).await,
        PolicyTokenCommand::List(args) => list(args, context).await,
        PolicyTokenCommand::Show { token, policy } => show(&token, policy, context).await,
        PolicyTokenCommand::Edit(args) => edit(args, context).await,
        PolicyTokenCommand::Rotate(args) => rotate(args, context).await,
        PolicyTokenCommand::End { token, secret, yes, wait } => end(&token, secret, yes, wait, context).await,
        PolicyTokenCommand::Disable { token, wait } => disable(&token, wait, context).await,
        PolicyTokenCommand::Enable { token } => enable(&token, context).await,
        PolicyTokenCommand::Undo { token } => undo(&token, context).await,
        PolicyTokenCommand::Delete { token, reason, note, yes, wait } => {
            let why = ApiTokenDeleteRequest { reason: reason.map(|reason| reason.to_string()), note };
            delete(&token, &why, yes, wait, context).await
        }
    }
}

async fn tokens_of(context: &Context<'_>) -> Result<String> {
    let organization = context.client.organization(context.global).await?;
    Ok(format!("/organization/{}/policyApiToken", organization.id))
}

/// The path of the token, and the token.
async fn resolve(wanted: &str, context: &Context<'_>) -> Result<(String, ApiAnswer<PolicyApiToken>)> {
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
    let all: ApiAnswer<List<PolicyApiToken>> = context.client.get(&tokens).await?;
    let token = find(&all.results, wanted, "policy token")?.clone();
    Ok((format!("{tokens}/{}", token.id), token))
}

/// A policy as it stands in a file. Whether it can be used says the server.
fn read(file: &str) -> Result<String> {
    let bytes = prompt::document(file, DOCUMENT_BYTES.default)?;
    String::from_utf8(bytes).map_err(|_| Failure::error(format!("{file} is not UTF-8.")))
}

async fn create(args: CreateArgs, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let roles = role::available(context, &organization).await?;
    let Some(wanted) = args.role else {
        note("What a policy token may do is what both its policy and its role allow. Say which one with --role:\n");
        note(role::meanings(&roles));
        return Err(Failure::silent(Exit::Usage));
    };
    let own = args.own.secret()?;
    let role = find(&roles, &wanted, "role")?.id;
    let opa_policy = read(&args.policy)?;
    let expires = match args.expires {
        None => token_end::usual(role, None, &organization, context).await?,
        said => said,
    };
    let body = PolicyApiTokenRequest {
        name: args.name,
        opa_policy,
        description: args.description,
        role_id: Some(role),
        expires_at: expires.map(|end| end.0),
        owner_id: member::named(args.owner.as_deref(), context).await?,
        successor_id: member::named(args.successor.as_deref(), context).await?.flatten(),
        sha256: own.as_ref().map(OwnSecret::sha256),
        last_four: own.as_ref().map(OwnSecret::last_four),
    };
    let path = format!("/organization/{}/policyApiToken", organization.id);
    let created: ApiAnswer<PolicyApiTokenCreate> = context.client.post(&path, &body).await?;
    let lost = format!("The policy token `{}` was created, but its secret is lost: rotate it.", created.name);
    print_secret(&created, created.token.as_deref(), own.as_ref(), &lost, context)?;
    if !context.global.json {
        let end = created.expires_at.map_or_else(|| "never expires".to_owned(), |at| format!("expires {}", moment(at)));
        note(output::clean(&format!(
            "Created the policy token `{}`: role {}, {end}.",
            created.name, created.role_name
        )));
        note("This is the only time that it is shown. Keep it in a secret store.");
    }
    Ok(())
}

async fn list(args: ListArgs, context: &Context<'_>) -> Result {
    let yes = |there: bool| there.then_some("true");
    let query = [
        ("state", Some(args.state.as_str())),
        ("exceedsPolicy", yes(args.exceeds_policy)),
        ("creatorLeft", yes(args.creator_left)),
        ("ownerLeft", yes(args.owner_left)),
    ];
    let is_filtered = args.state != TokenFilter::Living || query.iter().skip(1).any(|(_, value)| value.is_some());
    let answer: ApiAnswer<List<PolicyApiToken>> = context.client.query(&tokens_of(context).await?, &query).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let titles = &["NAME", "ROLE", "ENDS IN", "STATE", "EXPIRES", "CREATOR", "OWNER", "CREATED", "ID"];
    let mut table = Table::new(titles);
    for token in &answer.results {
        table.row([
            token.name.clone(),
            token.role_name.clone(),
            token.last_four.clone(),
            state_of(token),
            or(moment(token.expires_at), "never"),
            or(text(token.creator_name.as_deref()), "-"),
            owner(token),
            moment(token.created_at),
            token.id.to_string(),
        ]);
    }
    table.print(if is_filtered {
        "No policy token matches."
    } else {
        "There are no policy tokens yet. Create one with `tokenward policy-token create NAME --policy FILE --role ROLE`."
    })
}

/// What it is in, with what somebody should look at.
fn state_of(token: &PolicyApiToken) -> String {
    let reused = if token.reused_at.is_some() { ", old secret used again" } else { "" };
    format!("{}{reused}", token.state)
}

/// The state with the reason for it, where nobody made it so by hand.
fn explained(token: &PolicyApiToken) -> String {
    match token.disabled_because {
        Some(DisabledBecause::SecretReused) => format!("{}: a replaced secret of it came back", token.state),
        _ => token.state.to_string(),
    }
}

/// Who is accountable for it, and whether that member has left.
fn owner(token: &PolicyApiToken) -> String {
    let name = or(text(token.owner_name.as_deref()), "-");
    if token.owner_left { format!("{name} (left)") } else { name }
}

async fn show(wanted: &str, policy: bool, context: &Context<'_>) -> Result {
    let (path, _) = resolve(wanted, context).await?;
    // A list does not tell all of it.
    let token: ApiAnswer<PolicyApiToken> = context.client.get(&path).await?;
    if context.global.json {
        return output::json(&token.raw);
    }
    if policy {
        // As it is written: nothing invisible can be in a policy.
        return print(token.opa_policy.trim_end());
    }
    let mut lines = vec![
        ("Name", token.name.clone()),
        ("Description", text(token.description.as_deref())),
        ("Role", token.role_name.clone()),
        ("Ends in", token.last_four.clone()),
        ("State", explained(&token)),
        ("Switched off", moment(token.disabled_at)),
        ("Presented", token_life::refused_line(token.refused.as_ref())),
        ("Old secret used again", moment(token.reused_at)),
        ("Old secrets presented", token_life::refused_line(token.refused_earlier.as_ref())),
        ("Expires", or(moment(token.expires_at), "never")),
        ("Created", moment(token.created_at)),
        ("Creator", text(token.creator_name.as_deref())),
        ("Owner", owner(&token)),
        ("Owner id", token.owner_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Successor id", token.successor_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Id", token.id.to_string()),
    ];
    if let Some(gone) = &token.revocation {
        let by = gone.by_name.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        lines.push(("Deleted", format!("{}{by}, {}", moment(gone.at), gone.reason)));
        lines.push(("Note", text(gone.note.as_deref())));
        lines.push(("Undo until", moment(gone.undo_until)));
    }
    let label = |at| if at == 0 { "Secrets" } else { "" };
    lines.extend(token.versions.iter().enumerate().map(|(at, version)| (label(at), secret_line(version))));
    let label = |at| if at == 0 { "Policy" } else { "" };
    lines.extend(token.opa_policy.lines().enumerate().map(|(at, line)| (label(at), line.to_owned())));
    fields(&lines)
}

async fn edit(args: EditArgs, context: &Context<'_>) -> Result {
    let (path, before) = resolve(&args.token, context).await?;
    let role: Option<Uuid> = match &args.role {
        Some(wanted) => {
            let organization = context.client.organization(context.global).await?;
            Some(find(&role::available(context, &organization).await?, wanted, "role")?.id)
        }
        None => None,
    };
    let body = PolicyApiTokenEditRequest {
        name: args.name.map(Some),
        opa_policy: args.policy.as_deref().map(read).transpose()?.map(Some),
        description: args.description.map(|text| Some(text).filter(|text| !text.is_empty())),
        role_id: role.map(Some),
        expires_at: args.expires.map(|end| end.0),
        owner_id: member::named(args.owner.as_deref(), context).await?,
        successor_id: member::named(args.successor.as_deref(), context).await?,
    };
    let changed: ApiAnswer<PolicyApiToken> = context.client.patch(&path, &body).await?;
    if context.global.json {
        return output::json(&changed.raw);
    }
    let never = |at| or(moment(at), "never");
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let lines = |policy: &str| format!("{} lines", policy.lines().count());
    let mut changes: Vec<String> = [
        ("name", before.name.clone(), changed.name.clone()),
        ("description", text(before.description.as_deref()), text(changed.description.as_deref())),
        ("role", before.role_name.clone(), changed.role_name.clone()),
        ("end", never(before.expires_at), never(changed.expires_at)),
        ("owner", owner(&before), owner(&changed)),
        ("successor", id(before.successor_id), id(changed.successor_id)),
    ]
    .into_iter()
    .filter(|(_, before, after)| before != after)
    .map(|(what, before, after)| format!("{what}: {} → {}", or(before, "none"), or(after, "none")))
    .collect();
    if before.opa_policy != changed.opa_policy {
        changes.push(format!("policy: {} → {}", lines(&before.opa_policy), lines(&changed.opa_policy)));
    }
    let told = if changes.is_empty() { "nothing is different".to_owned() } else { changes.join("; ") };
    note(output::clean(&format!("Changed the policy token `{}`: {told}.", changed.name)));
    Ok(())
}

/// `…m4Bc is accepted until 2026-11-25 02:00Z`.
fn kept(version: &ApiTokenVersion) -> String {
    let until = version.expires_at.map(moment).unwrap_or_default();
    format!("…{} is accepted until {until}{}", version.last_four, token_life::sooner(version))
}

async fn rotate(args: RotateArgs, context: &Context<'_>) -> Result {
    let (path, _) = resolve(&args.token, context).await?;
    let own = args.own.secret()?;
    let body = ApiTokenRotateRequest {
        keep: length_text(args.keep),
        silent: args.end_when_silent.map(length_text),
        sha256: own.as_ref().map(OwnSecret::sha256),
        last_four: own.as_ref().map(OwnSecret::last_four),
    };
    let rotated: ApiAnswer<PolicyApiTokenCreate> = context.client.post(&format!("{path}/rotate"), &body).await?;
    let name = &rotated.name;
    let lost = format!("The policy token `{name}` was rotated, but its new secret is lost: rotate it once more.");
    print_secret(&rotated, rotated.token.as_deref(), own.as_ref(), &lost, context)?;
    if !context.global.json {
        // The newest one stands first.
        let earlier: Vec<String> = rotated.versions.iter().skip(1).map(kept).collect();
        let told =
            if earlier.is_empty() { "no earlier secret is accepted any more".to_owned() } else { earlier.join("; ") };
        note(output::clean(&format!("Rotated the policy token `{name}`: {told}.")));
        note("This is the only time that the new secret is shown. Keep it in a secret store.");
    }
    Ok(())
}

async fn end(wanted: &str, secret: u16, yes: bool, wait: WaitArgs, context: &Context<'_>) -> Result {
    let (path, token) = resolve(wanted, context).await?;
    let name = &token.name;
    let Some(version) = token.versions.iter().find(|it| it.version == secret) else {
        let all: Vec<String> = token.versions.iter().map(|it| format!("{} (…{})", it.version, it.last_four)).collect();
        let said = format!("The policy token `{name}` has no accepted secret {secret}; it has {}.", all.join(", "));
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

async fn disable(wanted: &str, wait: WaitArgs, context: &Context<'_>) -> Result {
    let (path, _) = resolve(wanted, context).await?;
    let path = format!("{path}/disable");
    let off = context.client.take_away::<PolicyApiToken>(Method::POST, &path, None, wait).await?;
    note(output::clean(&format!("The policy token `{}` is switched off. {}", off.answer.name, off.refused)));
    if context.global.json { output::json(&off.answer.raw) } else { Ok(()) }
}

async fn enable(wanted: &str, context: &Context<'_>) -> Result {
    let (path, _) = resolve(wanted, context).await?;
    let token: ApiAnswer<PolicyApiToken> = context.client.post_nothing(&format!("{path}/enable")).await?;
    if context.global.json {
        return output::json(&token.raw);
    }
    note(output::clean(&format!("The policy token `{}` is switched on. It is accepted from now on.", token.name)));
    Ok(())
}

async fn undo(wanted: &str, context: &Context<'_>) -> Result {
    let tokens = tokens_of(context).await?;
    let id = match Uuid::parse_str(wanted) {
        Ok(id) => id,
        Err(_) => {
            let query = [("state", Some(TokenFilter::Revoked.as_str()))];
            let answer: ApiAnswer<List<PolicyApiToken>> = context.client.query(&tokens, &query).await?;
            // Of several that had the name, the one that was deleted last.
            let named = answer.results.iter().filter(|token| token.name == wanted);
            let last = named.max_by_key(|token| token.revocation.as_ref().map(|it| it.at));
            let missing =
                || Failure::not_found(format!("No policy token named `{wanted}` was deleted in the last 90 days."));
            last.ok_or_else(missing)?.id
        }
    };
    let token: ApiAnswer<PolicyApiToken> = context.client.post_nothing(&format!("{tokens}/{id}/undo")).await?;
    if context.global.json {
        return output::json(&token.raw);
    }
    note(output::clean(&format!("The policy token `{}` is back. The same secrets are accepted again.", token.name)));
    Ok(())
}

async fn delete(wanted: &str, why: &ApiTokenDeleteRequest, yes: bool, wait: WaitArgs, context: &Context<'_>) -> Result {
    let (path, token) = resolve(wanted, context).await?;
    let (name, role, end) = (&token.name, &token.role_name, &token.last_four);
    let question = format!(
        "Delete the policy token `{name}` (role {role}, ends in {end})? Whoever uses it is refused from then on."
    );
    prompt::confirm(&question, yes)?;
    let why = serde_json::to_value(why).map_err(|cause| Failure::error(cause.to_string()))?;
    let deleted = context.client.take_away::<IgnoredAny>(Method::DELETE, &path, Some(&why), wait).await?;
    note(output::clean(&format!("Deleted the policy token `{name}`. {}", deleted.refused)));
    if context.global.json { output::json(&token.raw) } else { Ok(()) }
}
