//! `tokenward policy-token`.

use clap::{ArgGroup, Args, Subcommand};
use tokenward_api::policy_tokens::{
    PolicyApiToken, PolicyApiTokenCreate, PolicyApiTokenEditRequest, PolicyApiTokenRequest,
};
use tokenward_api::tokens::ApiTokenRotateRequest;
use tokenward_core::secret::{Kind, Prefixes};
use tokenward_core::time::{Micros, length_text};
use tokenward_server::limits::DOCUMENT_BYTES;
use uuid::Uuid;

use super::answer::{ApiAnswer, List};
use super::effect::WaitArgs;
use super::find::find;
use super::output::{self, Exit, Failure, Result, fields, moment, print};
use super::own_secret::{OwnSecret, print_secret};
use super::token::{secret_lines, shown};
use super::token_acts::{self, WhyArgs};
use super::token_args::{self, AnyToken, CHANGES, ChangeArgs, NewArgs};
use super::token_bulk::{self, BulkCommand};
use super::token_life::{self, BrownoutArgs};
use super::token_listing::{self, ListArgs};
use super::{Context, prompt, role, token_effect, token_end, when};
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
    /// Change what a policy token is: policy, name, role, time, networks, permissions, limits, labels, owner; its secret stays the same
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
    /// Say that a policy token is still needed: as its owner (by its id), or as somebody who manages policy tokens
    Attest {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
    },
    /// Refuse a policy token for short times before it is deleted, to learn who would miss it
    Brownout(BrownoutArgs),
    /// Delete, switch off or on, or give an end or an owner to all policy tokens that fit: they are shown first, and nothing happens unasked
    #[command(subcommand)]
    Bulk(BulkCommand),
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
        #[command(flatten)]
        why: WhyArgs,
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
    #[command(flatten)]
    what: NewArgs,
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
#[command(group(ArgGroup::new("change").required(true).multiple(true).args(CHANGES).arg("policy")))]
pub struct EditArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    token: String,
    /// What it may be used for from now on: a file in Rego; `-` reads it from standard input
    #[arg(long, value_name = "FILE|-")]
    policy: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
    /// Only say what this would take from it, by what it was last allowed
    #[arg(long)]
    dry_run: bool,
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
        PolicyTokenCommand::List(args) => {
            let none = "There are no policy tokens yet. Create one with `tokenward policy-token create NAME --policy FILE --role ROLE`.";
            token_listing::list::<PolicyApiToken>(args, &tokens_of(context).await?, none, context).await
        }
        PolicyTokenCommand::Show { token, policy } => show(&token, policy, context).await,
        PolicyTokenCommand::Edit(args) => edit(args, context).await,
        PolicyTokenCommand::Rotate(args) => rotate(args, context).await,
        PolicyTokenCommand::End { token, secret, yes, wait } => {
            token_acts::end(resolve(&token, context).await?, secret, yes, wait, context).await
        }
        PolicyTokenCommand::Disable { token, wait } => {
            let (path, _) = resolve(&token, context).await?;
            token_acts::disable::<PolicyApiToken>(&path, wait, context).await
        }
        PolicyTokenCommand::Enable { token } => {
            let (path, _) = resolve(&token, context).await?;
            token_acts::enable::<PolicyApiToken>(&path, context).await
        }
        PolicyTokenCommand::Attest { token } => {
            // Its owner need not be somebody who sees it.
            let path = match Uuid::parse_str(&token) {
                Ok(id) => format!("{}/{id}", tokens_of(context).await?),
                Err(_) => resolve(&token, context).await?.0,
            };
            token_life::attest(&path, PolicyApiToken::WHAT, context).await
        }
        PolicyTokenCommand::Bulk(command) => token_bulk::run(command, &tokens_of(context).await?, context).await,
        PolicyTokenCommand::Brownout(args) => {
            let (path, _) = resolve(&args.token, context).await?;
            token_life::brownout::<PolicyApiToken>(&path, args, context).await
        }
        PolicyTokenCommand::Undo { token } => {
            token_acts::undo::<PolicyApiToken>(&tokens_of(context).await?, &token, context).await
        }
        PolicyTokenCommand::Delete { token, why, yes, wait } => {
            token_acts::delete(resolve(&token, context).await?, why, yes, wait, context).await
        }
    }
}

async fn tokens_of(context: &Context<'_>) -> Result<String> {
    let organization = context.client.organization(context.global).await?;
    Ok(format!("/organization/{}/policyApiToken", organization.id))
}

/// The path of the token, and the token.
pub(super) async fn resolve(wanted: &str, context: &Context<'_>) -> Result<(String, ApiAnswer<PolicyApiToken>)> {
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
    let all: ApiAnswer<List<PolicyApiToken>> = context.client.query(&tokens, &[("name", Some(wanted))]).await?;
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
    let expires = match args.what.expires {
        None => token_end::usual(role, args.what.not_before, &organization, context).await?,
        said => said,
    };
    let token = args.what.request(args.name, role, expires, own.as_ref(), context).await?;
    let body = PolicyApiTokenRequest::of(token, opa_policy);
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
    let mut lines = shown(&token, context).await?;
    lines.extend(secret_lines(&token.versions));
    let label = |at| if at == 0 { "Policy" } else { "" };
    lines.extend(token.opa_policy.lines().enumerate().map(|(at, line)| (label(at), line.to_owned())));
    fields(&lines)
}

async fn edit(args: EditArgs, context: &Context<'_>) -> Result {
    let (path, before) = resolve(&args.token, context).await?;
    let policy = args.policy.as_deref().map(read).transpose()?;
    let body = PolicyApiTokenEditRequest::of(args.change.request(&before, context).await?, policy);
    if args.dry_run {
        return token_effect::print_effect::<PolicyApiToken>(&path, &before, &body, context).await;
    }
    let changed: ApiAnswer<PolicyApiToken> = context.client.patch(&path, &body, None).await?;
    if context.global.json {
        return output::json(&changed.raw);
    }
    let lines = |policy: &str| format!("{} lines", policy.lines().count());
    let mut changes = token_args::changes(&before, &changed, context).await?;
    if before.opa_policy != changed.opa_policy {
        changes.push(format!("policy: {} → {}", lines(&before.opa_policy), lines(&changed.opa_policy)));
    }
    let told = token_args::changes_in_words(changes);
    note(output::clean(&format!("Changed the policy token `{}`: {told}.", changed.name)));
    Ok(())
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
        let told = token_acts::earlier(&rotated.versions);
        note(output::clean(&format!("Rotated the policy token `{name}`: {told}.")));
        note("This is the only time that the new secret is shown. Keep it in a secret store.");
    }
    Ok(())
}
