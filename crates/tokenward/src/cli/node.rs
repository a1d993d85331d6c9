//! `tokenward node`.

use clap::Subcommand;
use tokenward_api::nodes::{NodeList, ReceiptBody};

use super::Context;
use super::answer::ApiAnswer;
use super::output::{self, Failure, Result, Table, clean, moment, second};
use super::token_args::or;
use crate::note::note;

/// What can be done with nodes.
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// List the nodes that decide, and how far each has come in the log
    #[command(visible_alias = "ls")]
    List,
    /// Tell on which nodes a change counts, and since when
    Receipt {
        /// Its place in the log, as `Tokenward-Position` or an event says it
        #[arg(value_name = "POSITION")]
        position: String,
    },
}

pub async fn run(command: NodeCommand, context: &Context<'_>) -> Result {
    match command {
        NodeCommand::List => list(context).await,
        NodeCommand::Receipt { position } => receipt(&position, context).await,
    }
}

async fn list(context: &Context<'_>) -> Result {
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

async fn receipt(position: &str, context: &Context<'_>) -> Result {
    let whole = position.split_once('/').is_some_and(|(log, number)| {
        !log.is_empty() && log.chars().all(|c| c.is_ascii_hexdigit() || c == '-') && number.parse::<u64>().is_ok()
    });
    if !whole {
        return Err(Failure::usage(
            "A position is what `Tokenward-Position` says: the id of the log, `/`, and a number.",
        ));
    }
    let receipt: ApiAnswer<ReceiptBody> = context.client.get(&format!("/receipt/{position}")).await?;
    if context.global.json {
        return output::json(&receipt.raw);
    }
    let mut table = Table::new(&["NAME", "COUNTS", "SINCE", "AFTER", "SEEN", "ID"]);
    for node in &receipt.nodes {
        let after = node.applied_at.map(|at| (at.0 - receipt.committed_at.0).max(0) / 1_000);
        table.row([
            node.name.clone(),
            if node.applied { "yes" } else { "not known" }.to_owned(),
            or(second(node.applied_at), "-"),
            after.map_or_else(|| "-".to_owned(), |after| format!("{after} ms")),
            format!("{} ms ago", node.age_ms),
            node.id.to_string(),
        ]);
    }
    table.print("No node has told of itself.")?;
    note(clean(&match receipt.by {
        None => format!("Made at {}; it counts on every node.", second(receipt.committed_at)),
        Some(by) => format!(
            "Made at {}; not confirmed by every node. None decides without it after {}.",
            second(receipt.committed_at),
            second(by)
        ),
    }));
    Ok(())
}
