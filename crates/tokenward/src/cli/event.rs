//! `tokenward event`.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use tokenward_api::events::{Event, Links};
use tokenward_core::Time;

use super::answer::ApiAnswer;
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

    let mut events: Vec<ApiAnswer<Event>> = Vec::new();
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
        let EventPage { links, events: batch } = context.client.query::<EventPage>(&path, &query).await?.into_read();
        let next = continue_token(&links);
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
        let events: Vec<_> = events.iter().map(|event| &event.raw).collect();
        return output::json(&json!({ "events": events }));
    }
    let mut table = Table::new(&["TIME", "WHAT", "TARGET", "BY", "KIND", "FROM", "ADDRESS", "TARGET ID", "BY ID"]);
    for event in &events {
        table.row([
            second(event.timestamp),
            event.kind.to_string(),
            event.target_name.clone(),
            event.triggered_by.clone(),
            event.actor_kind.map(|kind| kind.to_string()).unwrap_or_default(),
            event.origin.to_string(),
            text(event.address.as_deref()),
            event.target_id.map(|id| id.to_string()).unwrap_or_default(),
            event.actor_id.map(|id| id.to_string()).unwrap_or_default(),
        ]);
    }
    table.print("No events.")?;
    if token.is_some() {
        note(format!("There are more; these are the newest {}. Raise --limit to see them.", args.limit));
    }
    Ok(())
}

/// A page of the log, whose events are kept as they came.
#[derive(Deserialize)]
struct EventPage {
    links: Links,
    events: Vec<ApiAnswer<Event>>,
}

/// The token of the next page, out of the query of `links.next`.
fn continue_token(links: &Links) -> Option<String> {
    let (_, query) = links.next.as_deref()?.split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == "continueToken").map(|(_, value)| value.into_owned()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_in_the_link() {
        let token = |next: Option<&str>| continue_token(&Links { previous: None, next: next.map(str::to_owned) });
        let link = "https://x/organization/1/events?pageSize=2&continueToken=17%2Fab&eventType=CREATE";
        assert_eq!(token(Some(link)), Some("17/ab".to_owned()));
        for last in [None, Some(""), Some("https://x/events"), Some("https://x/events?continueToken=")] {
            assert_eq!(token(last), None);
        }
    }
}
