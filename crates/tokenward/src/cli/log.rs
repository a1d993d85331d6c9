//! `tokenward log`.

use clap::Subcommand;
use serde::de::IgnoredAny;
use tokenward_api::log::LogStatus;

use super::answer::ApiAnswer;
use super::output::{self, Result, Table, moment};
use super::{Context, Global};
use crate::commands::log::OfflineLog;
use crate::note::note;

/// What can be done with the log itself: in the database, and at a server.
#[derive(Subcommand, Debug)]
pub enum LogCommand {
    /// What is done with the database, and some of it with a server as well.
    #[command(flatten)]
    Offline(OfflineLog),
    /// What is asked of a server.
    #[command(flatten)]
    Online(OnlineLog),
}

/// Is this to be asked of a server, and not of the database on this machine? Only where somebody says so here: variables stand for
/// other commands, too.
#[must_use]
pub fn is_asked_online(command: &OfflineLog, global: &Global) -> bool {
    let Some(which) = command.which() else { return false };
    // Of an export of the database, the organization says which of its events.
    let organization = global.typed.organization && !matches!(command, OfflineLog::Export(_));
    which.online || global.typed.server || organization
}

/// What is asked of a server about the log.
#[derive(Subcommand, Debug)]
pub enum OnlineLog {
    /// Say which log it is, and what was lost when a server took over or the database was put back
    Status,
    /// Acknowledge what `status` says, so that nobody is warned of it any more
    Acknowledge,
}

pub async fn run(command: OnlineLog, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/log", organization.id);
    if matches!(command, OnlineLog::Acknowledge) {
        context.client.post_nothing::<IgnoredAny>(&format!("{path}/acknowledge")).await?;
        note("Acknowledged.");
        return Ok(());
    }
    let status: ApiAnswer<LogStatus> = context.client.get(&path).await?;
    if context.global.json {
        return output::json(&status.raw);
    }
    note(format!("The log ends at {}.", status.position));
    if status.turns.is_empty() {
        note("It has one name since it began: nothing was lost.");
        return Ok(());
    }
    let mut table = Table::new(&["WHEN", "WHAT", "AFTER", "LOST", "TAKEN AWAY AGAIN", "ACKNOWLEDGED"]);
    for turn in &status.turns {
        table.row([
            moment(turn.begun_at),
            turn.why.clone(),
            turn.after.clone(),
            turn.lost.len().to_string(),
            turn.lost.iter().filter(|lost| lost.repaired).count().to_string(),
            turn.acknowledged_by.clone().unwrap_or_else(|| "no".to_owned()),
        ]);
    }
    table.print("")?;
    let gone: Vec<_> = status.turns.iter().flat_map(|turn| &turn.lost).filter(|lost| !lost.repaired).collect();
    if !gone.is_empty() {
        note("\nWhat was lost and is not made again by itself:");
        let mut table = Table::new(&["TIME", "WHAT", "TARGET"]);
        for lost in gone {
            table.row([moment(lost.time), lost.kind.clone(), lost.target_id.to_string()]);
        }
        table.print("")?;
    }
    if status.warning {
        note("\nOnce you have dealt with it: tokenward log acknowledge");
    }
    Ok(())
}
