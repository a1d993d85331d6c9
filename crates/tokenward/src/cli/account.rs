//! `tokenward account`.

use clap::{Args, Subcommand};
use tokenward_api::accounts::AccountEvent;
use tokenward_core::Time;

use super::answer::{ApiAnswer, List};
use super::output::{self, Result, Table, second, text};
use super::{Context, member, when};

/// What can be done with accounts.
#[derive(Subcommand, Debug)]
pub enum AccountCommand {
    /// List what happened to your account, and what was tried: sign-ins, links, passwords
    Events(EventsArgs),
}

/// `tokenward account events`.
#[derive(Args, Debug)]
pub struct EventsArgs {
    /// Of this member's account instead, by e-mail address or id; for those who manage members
    #[arg(long, value_name = "EMAIL|ID")]
    member: Option<String>,
    /// Only what was before: 24h, 7d, 2027-01-31, or a date-time
    #[arg(long, value_name = "WHEN", value_parser = when::since_argument)]
    before: Option<Time>,
}

pub async fn run(command: AccountCommand, context: &Context<'_>) -> Result {
    let AccountCommand::Events(args) = command;
    let path = match args.member {
        Some(wanted) => format!("{}/events", member::path_of(&wanted, context).await?),
        None => "/account/events".to_owned(),
    };
    let before = args.before.map(|at| at.to_string());
    let answer: ApiAnswer<List<AccountEvent>> = context.client.query(&path, &[("before", before.as_deref())]).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["TIME", "WHAT", "TIMES", "BY", "ADDRESS", "CLIENT"]);
    for event in &answer.results {
        table.row([
            second(event.timestamp),
            event.kind.to_string(),
            event.count.to_string(),
            text(event.actor.as_deref()),
            text(event.address.as_deref()),
            text(event.user_agent.as_deref()),
        ]);
    }
    table.print("Nothing has happened.")
}
