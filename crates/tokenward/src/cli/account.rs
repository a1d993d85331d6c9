//! `tokenward account`.

use clap::{Args, Subcommand};
use serde::de::IgnoredAny;
use tokenward_api::accounts::{Account, AccountEvent, EmailChange};
use tokenward_core::Time;

use super::answer::{ApiAnswer, List};
use super::output::{self, Result, Table, fields, moment, second, text};
use super::sessions::{self, SessionCommand};
use super::{Context, member, when};
use crate::note::note;

/// What can be done with accounts.
#[derive(Subcommand, Debug)]
pub enum AccountCommand {
    /// Show your account
    Show,
    /// Ask for another address of your account, by a fresh proof: it is mailed a link
    Email {
        /// The address that it is to have
        #[arg(value_name = "EMAIL")]
        email: String,
    },
    /// Your sessions, as `tokenward session`
    #[command(subcommand)]
    Sessions(SessionCommand),
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
    match command {
        AccountCommand::Show => show(context).await,
        AccountCommand::Email { email } => {
            context.client.post::<IgnoredAny>("/account/email", &EmailChange { email }).await?;
            note("A mail is on its way to that address. Your address changes once its link is used.");
            Ok(())
        }
        AccountCommand::Sessions(command) => sessions::run(command, context).await,
        AccountCommand::Events(args) => events(args, context).await,
    }
}

async fn show(context: &Context<'_>) -> Result {
    let account: ApiAnswer<Account> = context.client.get("/account").await?;
    if context.global.json {
        return output::json(&account.raw);
    }
    fields(&[
        ("E-mail", account.email.clone()),
        ("Proven", if account.email_proven { "yes" } else { "no" }.to_owned()),
        ("Name", account.nickname.clone()),
        ("Other mail to", account.communication_email.clone()),
        ("Since", moment(account.created_at)),
        ("Id", account.id.to_string()),
    ])
}

async fn events(args: EventsArgs, context: &Context<'_>) -> Result {
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
