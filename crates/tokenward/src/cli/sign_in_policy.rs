//! `tokenward org sign-in`.

use clap::{ArgGroup, Args, Subcommand};
use tokenward_api::sign_in_policy::{SignInPolicy, SignInPolicyBody};

use super::answer::ApiAnswer;
use super::client::{ChosenOrganization, Versioned};
use super::output::{self, Result, Table, fields};
use super::{Context, prompt};
use crate::note::note;

/// What can be done with what the organization asks of sessions.
#[derive(Subcommand, Debug)]
pub enum SignInCommand {
    /// Show by what people sign in
    Show,
    /// Change it; those are shown first whom it would keep out
    Set(SetArgs),
}

/// `tokenward org sign-in set`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("wanted").required(true).args(["any", "provider"])))]
pub struct SetArgs {
    /// With all that the server takes
    #[arg(long)]
    any: bool,
    /// Only by this provider, by its key; more than one may be named
    #[arg(long, value_name = "KEY")]
    provider: Vec<String>,
    /// Show whom it would keep out, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub async fn run(command: SignInCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        SignInCommand::Show => show(&organization, context).await,
        SignInCommand::Set(args) => set(args, &organization, context).await,
    }
}

fn path(organization: &ChosenOrganization) -> String {
    format!("/organization/{}/signInPolicy", organization.id)
}

fn words(policy: &SignInPolicy) -> String {
    if policy.providers.is_empty() {
        "with all that the server takes".to_owned()
    } else {
        format!("only by {}", policy.providers.join(", "))
    }
}

async fn show(organization: &ChosenOrganization, context: &Context<'_>) -> Result {
    let policy: ApiAnswer<SignInPolicy> = context.client.get(&path(organization)).await?;
    if context.global.json {
        return output::json(&policy.raw);
    }
    fields(&[("People sign in", words(&policy))])
}

async fn set(args: SetArgs, organization: &ChosenOrganization, context: &Context<'_>) -> Result {
    let sign_in = if args.any { "any" } else { "providers" }.to_owned();
    let body = SignInPolicyBody { sign_in, providers: args.provider };
    let path = path(organization);
    let Versioned { etag, .. } = context.client.get_versioned::<SignInPolicy>(&path).await?;
    let trial: ApiAnswer<SignInPolicy> = context.client.put(&format!("{path}?dry_run=true"), &body, None).await?;
    let kept_out = trial.kept_out.as_deref().unwrap_or_default();
    if args.dry_run {
        if context.global.json {
            return output::json(&trial.raw);
        }
        let mut table = Table::new(&["E-MAIL", "ROLE"]);
        for it in kept_out {
            table.row([it.email.clone(), it.role_name.clone()]);
        }
        return table.print("It would keep nobody out.");
    }
    if !kept_out.is_empty() {
        let emails: Vec<&str> = kept_out.iter().map(|it| it.email.as_str()).collect();
        note(output::clean(&format!(
            "These have linked no identity of it, and stay out until they do: {}",
            emails.join(", ")
        )));
    }
    if !body.providers.is_empty() {
        let question =
            format!("Take only sessions by {}? It holds for those that are there, too.", body.providers.join(", "));
        prompt::confirm(&question, args.yes)?;
    }
    let saved: ApiAnswer<SignInPolicy> = context.client.put(&path, &body, etag).await?;
    if context.global.json {
        return output::json(&saved.raw);
    }
    note(format!("People sign in {}. API tokens are not concerned.", words(&saved)));
    Ok(())
}
