//! `tokenward session`: where you are signed in.

use clap::{ArgGroup, Subcommand};
use tokenward_api::sessions::OwnSession;
use tokenward_core::Uuid;

use super::Context;
use super::answer::{ApiAnswer, List};
use super::output::{self, Result, Table, moment, text};
use crate::note::note;

/// What can be done with your own sessions.
#[derive(Subcommand, Debug)]
pub enum SessionCommand {
    /// List your sessions: since when, from which address, with which client
    #[command(visible_alias = "ls")]
    List,
    /// End one of your sessions, or all but the one that asks
    #[command(group(ArgGroup::new("which").required(true).args(["id", "others"])))]
    End {
        /// Its id
        #[arg(value_name = "ID")]
        id: Option<Uuid>,
        /// All but the one that asks
        #[arg(long)]
        others: bool,
    },
}

pub async fn run(command: SessionCommand, context: &Context<'_>) -> Result {
    match command {
        SessionCommand::List => list(context).await,
        SessionCommand::End { id: Some(id), .. } => {
            context.client.delete(&format!("/account/session/{id}")).await?;
            note("That session is signed out.");
            Ok(())
        }
        SessionCommand::End { id: None, .. } => {
            context.client.delete("/account/session").await?;
            note("All other sessions are signed out.");
            Ok(())
        }
    }
}

async fn list(context: &Context<'_>) -> Result {
    let answer: ApiAnswer<List<OwnSession>> = context.client.get("/account/session").await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["SINCE", "LAST USED", "ENDS", "WHERE", "PROVEN BY", "ADDRESS", "CLIENT", "ID"]);
    for session in &answer.results {
        let place = if session.console { "console" } else { "API" };
        let place =
            if session.organization_id.is_some() { format!("{place}, one organization") } else { place.to_owned() };
        table.row([
            moment(session.created_at),
            moment(session.last_used_at),
            moment(session.expires_at),
            if session.current { format!("{place}, this one") } else { place },
            text(Some(session.methods.join(", ")).filter(|methods| !methods.is_empty()).as_deref()),
            address(session),
            text(session.user_agent.as_deref()),
            session.id.to_string(),
        ]);
    }
    table.print("You have no session.")
}

/// From where it began, and from where it was last used where that is another place: a session that somebody has taken along.
fn address(session: &OwnSession) -> String {
    let began = text(session.address.as_deref());
    match session.last_used_from.as_deref().filter(|from| *from != began) {
        Some(from) if began.is_empty() => format!("last {from}"),
        Some(from) => format!("{began}, last {from}"),
        None => began,
    }
}
