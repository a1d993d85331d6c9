//! `tokenward node`.

use clap::Subcommand;
use tokenward_api::nodes::NodeList;

use super::Context;
use super::answer::ApiAnswer;
use super::output::{self, Result, Table, moment};

/// What can be done with nodes.
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// List the nodes that decide, and how far each has come in the log
    #[command(visible_alias = "ls")]
    List,
}

pub async fn run(command: NodeCommand, context: &Context<'_>) -> Result {
    let NodeCommand::List = command;
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/node", organization.id);
    let nodes: ApiAnswer<NodeList> = context.client.get(&path).await?;
    if context.global.json {
        return output::json(&nodes.raw);
    }
    let mut table = Table::new(&["NAME", "KIND", "VERSION", "BEHIND", "SEEN", "STOPS AFTER", "STARTED", "ID"]);
    for node in &nodes.results {
        table.row([
            if node.this { format!("{} (answers)", node.name) } else { node.name.clone() },
            node.kind.clone(),
            node.version.clone(),
            node.behind.to_string(),
            format!("{} ms ago", node.age_ms),
            format!("{} ms", node.max_staleness_ms),
            moment(node.started_at),
            node.id.to_string(),
        ]);
    }
    table.print("No node has told of itself.")
}
