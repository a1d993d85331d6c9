//! `tokenward policy-token`.

use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde::de::IgnoredAny;
use tokenward_api::policy_tokens::{
    PolicyApiToken, PolicyApiTokenCreate, PolicyApiTokenEditRequest, PolicyApiTokenRequest,
};
use tokenward_api::tokens::{ApiTokenRotateRequest, ApiTokenVersion};
use tokenward_core::secret::{Kind, Prefixes};
use tokenward_core::time::{Micros, length_text};
use tokenward_server::limits::DOCUMENT_BYTES;
use uuid::Uuid;

use super::answer::{ApiAnswer, List};
use super::effect::WaitArgs;
use super::find::find;
use super::output::{self, Exit, Failure, Result, Table, fields, moment, print, text};
use super::own_secret::{OwnSecret, print_secret};
use super::token::{or, secret_line};
use super::{Context, prompt, role, token_end, token_life, when};
use crate::note::note;

/// What can be done with policy tokens.
#[derive(Subcommand, Debug)]
pub enum PolicyTokenCommand {
    /// Create a policy token; its secret is printed alone on standard output, and never again
    Create(CreateArgs),
    /// List policy tokens
    #[command(visible_alias = "ls")]
    List,
    /// Show one policy token, with its policy
    Show {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
        /// Print its policy alone
        #[arg(long)]
        policy: bool,
    },
    /// Change what a policy token is: name, description, role, policy, end; its secret stays the same
    Edit(EditArgs),
    /// Give a policy token a new secret; it is printed alone on standard output, and never again
    Rotate(RotateArgs),
    /// Delete a policy token: it is refused from that moment on
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
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
    #[command(flatten)]
    own: OwnArgs,
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
    "name", "description", "role", "policy", "expires",
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
        PolicyTokenCommand::List => list(context).await,
        PolicyTokenCommand::Show { token, policy } => show(&token, policy, context).await,
        PolicyTokenCommand::Edit(args) => edit(args, context).await,
        PolicyTokenCommand::Rotate(args) => rotate(args, context).await,
        PolicyTokenCommand::Delete { token, yes, wait } => delete(&token, yes, wait, context).await,
    }
}

async fn tokens_of(context: &Context<'_>) -> Result<String> {
    let organization = context.client.organization(context.global).await?;
    Ok(format!("/organization/{}/policyApiToken", organization.id))
}

/// The path of the token, and the token.
async fn resolve(wanted: &str, context: &Context<'_>) -> Result<(String, ApiAnswer<PolicyApiToken>)> {
    let tokens = tokens_of(context).await?;
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

async fn list(context: &Context<'_>) -> Result {
    let answer: ApiAnswer<List<PolicyApiToken>> = context.client.get(&tokens_of(context).await?).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["NAME", "ROLE", "ENDS IN", "EXPIRES", "CREATOR", "CREATED", "ID"]);
    for token in &answer.results {
        table.row([
            token.name.clone(),
            token.role_name.clone(),
            token.last_four.clone(),
            or(moment(token.expires_at), "never"),
            or(text(token.creator_name.as_deref()), "-"),
            moment(token.created_at),
            token.id.to_string(),
        ]);
    }
    table.print(
        "There are no policy tokens yet. Create one with `tokenward policy-token create NAME --policy FILE --role ROLE`.",
    )
}

async fn show(wanted: &str, policy: bool, context: &Context<'_>) -> Result {
    let (_, token) = resolve(wanted, context).await?;
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
        ("Switched off", moment(token.disabled_at)),
        ("Expires", or(moment(token.expires_at), "never")),
        ("Created", moment(token.created_at)),
        ("Creator", text(token.creator_name.as_deref())),
        ("Id", token.id.to_string()),
    ];
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
    };
    let changed: ApiAnswer<PolicyApiToken> = context.client.patch(&path, &body).await?;
    if context.global.json {
        return output::json(&changed.raw);
    }
    let never = |at| or(moment(at), "never");
    let lines = |policy: &str| format!("{} lines", policy.lines().count());
    let mut changes: Vec<String> = [
        ("name", before.name.clone(), changed.name.clone()),
        ("description", text(before.description.as_deref()), text(changed.description.as_deref())),
        ("role", before.role_name.clone(), changed.role_name.clone()),
        ("end", never(before.expires_at), never(changed.expires_at)),
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

async fn delete(wanted: &str, yes: bool, wait: WaitArgs, context: &Context<'_>) -> Result {
    let (path, token) = resolve(wanted, context).await?;
    let (name, role, end) = (&token.name, &token.role_name, &token.last_four);
    let question = format!(
        "Delete the policy token `{name}` (role {role}, ends in {end})? Whoever uses it is refused from then on."
    );
    prompt::confirm(&question, yes)?;
    let deleted = context.client.take_away::<IgnoredAny>(Method::DELETE, &path, None, wait).await?;
    note(output::clean(&format!("Deleted the policy token `{name}`. {}", deleted.refused)));
    if context.global.json { output::json(&token.raw) } else { Ok(()) }
}
