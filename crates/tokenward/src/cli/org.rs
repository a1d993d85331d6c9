//! `tokenward org`.

use clap::Subcommand;

use super::Context;
use super::output::{self, Result, Table, moment, results, text};

/// What can be done with organizations.
#[derive(Subcommand, Debug)]
pub enum OrgCommand {
    /// List the organizations that you belong to
    #[command(visible_alias = "ls")]
    List,
}

pub async fn run(command: OrgCommand, context: &Context<'_>) -> Result {
    let OrgCommand::List = command;
    let answer = context.client.get("/organization").await?;
    if context.global.json {
        return output::json(&answer);
    }
    let mut table = Table::new(&["NAME", "PLAN", "CREATED (UTC)", "ID"], 4);
    for organization in results(&answer) {
        table.row([
            text(organization, "name"),
            text(organization, "plan"),
            moment(organization, "created_at"),
            text(organization, "id"),
        ]);
    }
    table.print("You belong to no organization.")
}
