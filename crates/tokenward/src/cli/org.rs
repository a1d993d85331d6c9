//! `tokenward org`.

use clap::Subcommand;
use tokenward_api::organizations::Organization;

use super::Context;
use super::answer::{ApiAnswer, List};
use super::output::{self, Result, Table, moment};
use super::sign_in_policy::{self, SignInCommand};
use super::sign_in_rules::{self, RulesCommand};

/// What can be done with organizations.
#[derive(Subcommand, Debug)]
pub enum OrgCommand {
    /// List the organizations that you belong to
    #[command(visible_alias = "ls")]
    List,
    /// By which groups of a provider people are members
    #[command(subcommand)]
    Rules(RulesCommand),
    /// By what people sign in to the organization
    #[command(subcommand)]
    SignIn(SignInCommand),
}

pub async fn run(command: OrgCommand, context: &Context<'_>) -> Result {
    match command {
        OrgCommand::List => list(context).await,
        OrgCommand::SignIn(command) => sign_in_policy::run(command, context).await,
        OrgCommand::Rules(command) => sign_in_rules::run(command, context).await,
    }
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
