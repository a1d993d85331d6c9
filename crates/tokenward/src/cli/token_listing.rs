//! Lists of tokens of either kind.

use clap::Args;

use super::Context;
use super::answer::{ApiAnswer, List};
use super::output::{self, Result, Table, moment, text};
use super::token_args::{AnyToken, or, owner};
use super::token_filter::{FilterArgs, query_of};
use super::token_life;

/// `tokenward token list` and `tokenward policy-token list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Sort by name, created_at, expires_at or last_used_at; a - before it turns the order round
    #[arg(long, value_name = "BY", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Print a table for spreadsheets (CSV) with all that is known of each
    #[arg(long, conflicts_with_all = ["json", "jq", "quiet"])]
    csv: bool,
}

/// Lists those of the tokens with this path that are wanted. `none` is said where there are none at all.
pub async fn list<T: AnyToken>(args: ListArgs, tokens: &str, none: &str, context: &Context<'_>) -> Result {
    let filters = query_of(&args.filter, context).await?;
    let is_filtered = filters.iter().any(|(_, value)| value.is_some());
    let mut query: Vec<(&str, Option<&str>)> = filters.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    query.push(("sort", args.sort.as_deref()));
    if args.csv {
        return context.client.print_text(tokens, &query, "text/csv").await;
    }
    let answer: ApiAnswer<List<T>> = context.client.query(tokens, &query).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let titles = &["NAME", "ROLE", "TOKEN", "STATE", "EXPIRES", "LAST USED", "CREATOR", "OWNER", "CREATED", "ID"];
    let mut table = Table::new(titles);
    for token in answer.results.iter().map(|it| it.token()) {
        table.row([
            token.name.clone(),
            token.role_name.clone(),
            token.last_four.clone(),
            token_life::state(token),
            or(moment(token.expires_at), "never"),
            or(moment(token.last_used_at), "-"),
            or(text(token.creator_name.as_deref()), "-"),
            owner(token),
            moment(token.created_at),
            token.id.to_string(),
        ]);
    }
    let no_match = format!("No {} matches.", T::WHAT);
    table.print(if is_filtered { no_match.as_str() } else { none })
}
