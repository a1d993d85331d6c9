//! `tokenward event`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokenward_core::Time;

use super::output::{self, Result, Table, second, text};
use super::{Context, when};
use crate::note::note;

/// Most events that are asked for at once.
const PAGE: usize = 100;

/// What can be done with the event log.
#[derive(Subcommand, Debug)]
pub enum EventCommand {
    /// List what happened, the newest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
}

/// `tokenward event list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// At most this many
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 30)]
    limit: usize,
    /// Only this type: CREATE, UPDATE, DELETE, ACCEPT …
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only what changed this kind of thing: ORGANIZATION, PROJECT, MEMBERS_AND_ROLES …
    #[arg(long, value_name = "TYPE")]
    target_type: Option<String>,
    /// Only what this person or token did, by the name shown
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Only since then: 24h, 7d, 2027-01-31, or a date-time
    #[arg(long, value_name = "WHEN", value_parser = when::since_argument)]
    since: Option<Time>,
}

pub async fn run(command: EventCommand, context: &Context<'_>) -> Result {
    let EventCommand::List(args) = command;
    let upper = |text: Option<String>| text.map(|text| text.to_uppercase());
    let since = args.since.map(|at| at.to_string());
    let (event_type, target_type) = (upper(args.event_type), upper(args.target_type));
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/events", organization.id);

    let mut events: Vec<Value> = Vec::new();
    let mut token: Option<String> = None;
    while events.len() < args.limit {
        let size = (args.limit - events.len()).min(PAGE).to_string();
        let query = [
            ("pageSize", Some(size.as_str())),
            ("eventType", event_type.as_deref()),
            ("targetType", target_type.as_deref()),
            ("triggeredBy", args.by.as_deref()),
            ("fromTimestamp", since.as_deref()),
            ("continueToken", token.as_deref()),
        ];
        let mut page = context.client.query(&path, &query).await?;
        let batch = page["events"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let next = continue_token(&page);
        // A server that sends us round in circles must not keep us for ever.
        let ended = batch.is_empty() || next.is_none() || next == token;
        events.extend(batch);
        token = next;
        if ended {
            token = None;
            break;
        }
    }
    events.truncate(args.limit);
    if context.global.json {
        return output::json(&json!({ "events": events }));
    }
    let mut table = Table::new(&["TIME", "WHAT", "TARGET", "BY", "FROM", "TARGET ID"]);
    for event in &events {
        table.row([
            second(event, "timestamp"),
            what(event),
            text(event, "target_name"),
            text(event, "triggered_by"),
            text(event, "origin"),
            text(event, "target_id"),
        ]);
    }
    table.print("No events.")?;
    if token.is_some() {
        note(format!("There are more; these are the newest {}. Raise --limit to see them.", args.limit));
    }
    Ok(())
}

/// The token of the next page, out of the query of `links.next`.
fn continue_token(page: &Value) -> Option<String> {
    let (_, query) = page["links"]["next"].as_str()?.split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == "continueToken").map(|(_, value)| value.into_owned()).filter(|token| !token.is_empty())
}

/// What was done, and to what kind of thing: `token.created`, or in the contract's words `CREATE API_TOKEN`.
fn what(event: &Value) -> String {
    if let Some(kind) = event["kind"].as_str() {
        return kind.to_owned();
    }
    let thing = [text(event, "sub_target_type"), text(event, "target_type")].into_iter().find(|word| !word.is_empty());
    format!("{} {}", text(event, "event_type"), thing.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_in_the_link() {
        let page = |next: Value| continue_token(&json!({ "links": { "previous": null, "next": next } }));
        let link = "https://x/organization/1/events?pageSize=2&continueToken=17%2Fab&eventType=CREATE";
        assert_eq!(page(link.into()), Some("17/ab".to_owned()));
        for last in [Value::Null, "".into(), "https://x/events".into(), "https://x/events?continueToken=".into()] {
            assert_eq!(page(last), None);
        }
        assert_eq!(continue_token(&json!({})), None);
    }
}
