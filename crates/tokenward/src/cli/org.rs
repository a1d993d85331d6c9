//! `tokenward org`.

use clap::{Args, Subcommand};
use serde_json::json;
use tokenward_api::organizations::Organization;

use super::Context;
use super::answer::{ApiAnswer, List};
use super::credentials::{self, Credentials, UsedOrganization};
use super::find::find;
use super::output::{self, Failure, Result, Table, moment};
use super::sign_in_policy::{self, SignInCommand};
use super::sign_in_rules::{self, RulesCommand};
use crate::note::note;

/// What can be done with organizations.
#[derive(Subcommand, Debug)]
pub enum OrgCommand {
    /// List the organizations that you belong to
    #[command(visible_alias = "ls")]
    List,
    /// Choose what commands are about that name no organization: --organization and TOKENWARD_ORGANIZATION go before it
    Use(UseArgs),
    /// By which groups of a provider people are members
    #[command(subcommand)]
    Rules(RulesCommand),
    /// By what people sign in to the organization
    #[command(subcommand)]
    SignIn(SignInCommand),
}

/// `tokenward org use`.
#[derive(Args, Debug)]
pub struct UseArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID", required_unless_present = "none", conflicts_with = "none")]
    wanted: Option<String>,
    /// Choose none: each command says which organization it is about, where there are several
    #[arg(long)]
    none: bool,
}

pub async fn run(command: OrgCommand, context: &Context<'_>) -> Result {
    match command {
        OrgCommand::List => list(context).await,
        OrgCommand::Use(args) => choose(args.wanted, context).await,
        OrgCommand::SignIn(command) => sign_in_policy::run(command, context).await,
        OrgCommand::Rules(command) => sign_in_rules::run(command, context).await,
    }
}

/// Keeps the choice beside the login.
async fn choose(wanted: Option<String>, context: &Context<'_>) -> Result {
    if !context.client.is_signed_in() {
        return Err(Failure::usage(
            "A token in TOKENWARD_TOKEN belongs to one organization: there is nothing to choose.",
        )
        .hint("Unset it, and sign in with `tokenward login`."));
    }
    let chosen = match wanted {
        None => None,
        Some(wanted) => {
            let all: ApiAnswer<List<Organization>> = context.client.get("/organization").await?;
            let found = find(&all.results, &wanted, "organization")?;
            Some(UsedOrganization { id: found.id, name: found.name.clone() })
        }
    };
    let path = credentials::path()?;
    let mut file = Credentials::load(&path)?;
    if let Some(login) = file.servers.get_mut(context.client.base()) {
        login.organization.clone_from(&chosen);
        file.save(&path)?;
    }
    note(output::clean(&match &chosen {
        Some(it) => format!("Commands are about `{}` from now on, where they name no other organization.", it.name),
        None => "No organization is chosen any more.".to_owned(),
    }));
    if context.global.json { output::json(&json!(chosen)) } else { Ok(()) }
}

async fn list(context: &Context<'_>) -> Result {
    let answer: ApiAnswer<List<Organization>> = context.client.get("/organization").await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["NAME", "PLAN", "CREATED", "ID"]).with_ids();
    for organization in &answer.results {
        table.row([
            organization.name.clone(),
            organization.plan.to_string(),
            moment(organization.created_at),
            organization.id.to_string(),
        ]);
    }
    table.print("You belong to no organization.")
}
