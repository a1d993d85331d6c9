//! `tokenward usage`.

use clap::{Args, Subcommand};
use tokenward_api::tokens::ApiToken;
use tokenward_api::usage::{PermissionUse, Usage, UsageSum};

use super::Context;
use super::answer::{ApiAnswer, List};
use super::find::{Named, find};
use super::output::{self, Result, Table, fields, text, token_count};
use super::role;
use crate::note::note;

/// How tokens were used from day to day.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct UsageArgs {
    #[command(subcommand)]
    command: Option<UsageCommand>,
    /// The first day (UTC) [default: 29 days before the last]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last day, which is among them [default: today]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// By what sums are told apart: day, token, role, reason, with commas between them
    #[arg(long, value_name = "WORDS", default_value = "day")]
    group: String,
    /// Print a table for spreadsheets (CSV)
    #[arg(long, conflicts_with_all = ["json", "jq", "quiet"])]
    csv: bool,
}

/// What else can be asked about use.
#[derive(Subcommand, Debug)]
pub enum UsageCommand {
    /// Which permissions of your API were used of those that a role or a token has, and which were not
    Permissions {
        /// Of this role, by all tokens that have it
        #[arg(long, value_name = "NAME|ID", required_unless_present = "token", conflicts_with = "token")]
        role: Option<String>,
        /// Of this token
        #[arg(long, value_name = "NAME|ID")]
        token: Option<String>,
        /// In how many days, up to 90
        #[arg(long, default_value_t = 30)]
        days: u8,
    },
}

pub async fn run(args: UsageArgs, context: &Context<'_>) -> Result {
    if let Some(UsageCommand::Permissions { role, token, days }) = args.command {
        return permissions(role, token, days, context).await;
    }
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/usage", organization.id);
    let query = [("from", args.from.as_deref()), ("to", args.to.as_deref()), ("group", Some(args.group.as_str()))];
    if args.csv {
        return context.client.print_text(&path, &query, "text/csv").await;
    }
    let answer: ApiAnswer<Usage> = context.client.query(&path, &query).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["DAY", "TOKEN", "ROLE", "REASON", "ALLOWED", "DENIED"]);
    for sum in &answer.results {
        table.row(row(sum));
    }
    if answer.truncated {
        note("There are more sums than one answer has: ask for fewer days, or tell less apart.");
    }
    table.print("No use was counted in these days. A use counts within a minute.")
}

fn row(sum: &UsageSum) -> [String; 6] {
    [
        text(sum.day.as_deref()),
        text(sum.token.as_ref().and_then(|it| it.name.as_deref())),
        text(sum.role.as_ref().map(|it| it.name.as_str())),
        text(sum.reason.as_deref()),
        sum.allowed.to_string(),
        sum.denied.to_string(),
    ]
}

async fn permissions(role: Option<String>, token: Option<String>, days: u8, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let (role, token) = match (role, token) {
        (Some(wanted), _) => (Some(find(&role::available(context, &organization).await?, &wanted, "role")?.id), None),
        (None, wanted) => {
            let path = format!("/organization/{}/apiToken", organization.id);
            let all: ApiAnswer<List<ApiToken>> = context.client.get(&path).await?;
            (None, Some(find(&all.results, &wanted.unwrap_or_default(), "token")?.id()))
        }
    };
    let path = format!("/organization/{}/usage/permissions", organization.id);
    let (role, token, days) = (role.map(|id| id.to_string()), token.map(|id| id.to_string()), days.to_string());
    let query = [("role_id", role.as_deref()), ("token_id", token.as_deref()), ("days", Some(days.as_str()))];
    let answer: ApiAnswer<PermissionUse> = context.client.query(&path, &query).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let used = answer.granted.iter().flat_map(|it| it.used.iter());
    let mut lines: Vec<(String, String)> = used
        .map(|it| {
            let tokens = token_count(it.tokens.unsigned_abs());
            (it.permission.clone(), format!("used, on {} last, by {tokens}", it.last_used_on))
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines.extend(answer.unused.iter().map(|it| (it.clone(), "granted, never used".to_owned())));
    lines.extend(answer.gone.iter().map(|it| (it.permission.clone(), "used, not granted any more".to_owned())));
    note(format!("Counted since {}.", answer.since));
    let lines: Vec<(&str, String)> = lines.iter().map(|(label, value)| (label.as_str(), value.clone())).collect();
    fields(&lines)
}
