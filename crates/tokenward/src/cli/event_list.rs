//! `tokenward event list`: what happened, and what happens.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use tokenward_api::events::{Event, Links};
use tokenward_core::{Clock, Time, Uuid};
use tokenward_verify::server::clock::SystemClock;

use super::answer::ApiAnswer;
use super::output::{self, Exit, Result, Table, clean, second, text};
use super::{Context, when};
use crate::note::note;

/// Most events that are asked for at once.
const PAGE: usize = 100;
/// After how long it is looked again for what has happened since.
const AGAIN: Duration = Duration::from_secs(2);
/// How often in a row a server may be away.
const TRIES: u32 = 30;

/// `tokenward event list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// At most this many; with --follow, how many of those that there are
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only this type: CREATE, UPDATE, DELETE, ACCEPT …
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only what changed this kind of thing: ORGANIZATION, PROJECT, MEMBERS_AND_ROLES …
    #[arg(long, value_name = "TYPE")]
    target_type: Option<String>,
    /// Only this kind: token.created, member.removed …
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only what is about this: a part of its name, or its id
    #[arg(long, value_name = "TEXT|ID")]
    target: Option<String>,
    /// Only what a person or token with this in the name shown did
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    /// Only from this address: 203.0.113.7
    #[arg(long)]
    address: Option<IpAddr>,
    /// Only since then: 24h, 7d, 2027-01-31, or a date-time
    #[arg(long, value_name = "WHEN", value_parser = when::since_argument)]
    since: Option<Time>,
    /// Only until then: 24h (ago), 2027-01-31 (with that day), or a date-time. With --follow it ends then, and a length is from now
    #[arg(long, value_name = "WHEN", value_parser = when::until_argument)]
    until: Option<when::Until>,
    /// Go on with what happens from now on, the oldest first, until it is stopped
    #[arg(long, short)]
    follow: bool,
}

/// Which events, and of which organization.
struct EventListQuery {
    path: String,
    event_type: Option<String>,
    target_type: Option<String>,
    kind: Option<String>,
    target_id: Option<String>,
    target_name: Option<String>,
    by: Option<String>,
    address: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

pub async fn run(args: ListArgs, context: &Context<'_>) -> Result {
    let upper = |text: Option<String>| text.map(|text| text.to_uppercase());
    let clock = SystemClock::default();
    let until = args.until.map(|until| until.at(clock.now(), args.follow));
    let (target_id, target_name) = match args.target {
        Some(text) if Uuid::try_parse(&text).is_ok() => (Some(text), None),
        text => (None, text),
    };
    let organization = context.client.organization(context.global).await?;
    let asked = EventListQuery {
        path: format!("/organization/{}/events", organization.id),
        event_type: upper(args.event_type),
        target_type: upper(args.target_type),
        kind: args.kind,
        target_id,
        target_name,
        by: args.by,
        address: args.address.map(|address| address.to_string()),
        since: args.since.map(|at| at.to_string()),
        until: until.map(|at| at.to_string()),
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    if args.follow {
        return follow(&asked, limit, until, &clock, context).await;
    }
    let (events, more) = newest(&asked, limit, context).await?;
    if context.global.json {
        let events: Vec<_> = events.iter().map(|event| &event.raw).collect();
        return output::json(&json!({ "events": events }));
    }
    let mut table = Table::new(&["TIME", "WHAT", "TARGET", "BY", "KIND", "FROM", "ADDRESS", "TARGET ID", "BY ID"]);
    for event in &events {
        table.row(cells(event));
    }
    table.print("No events.")?;
    if more {
        note(format!("There are more; these are the newest {limit}. Raise --limit to see them."));
    }
    Ok(())
}

/// The newest events, and whether there are more.
async fn newest(asked: &EventListQuery, limit: usize, context: &Context<'_>) -> Result<(Vec<ApiAnswer<Event>>, bool)> {
    let mut events: Vec<ApiAnswer<Event>> = Vec::new();
    let mut token: Option<String> = None;
    while events.len() < limit {
        let size = (limit - events.len()).min(PAGE);
        let EventPage { links, events: batch } =
            page(asked, size, ("continueToken", token.as_deref()), context).await?;
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
    events.truncate(limit);
    Ok((events, token.is_some()))
}

/// A page of the log from some place of it on.
async fn page(
    asked: &EventListQuery,
    size: usize,
    from: (&str, Option<&str>),
    context: &Context<'_>,
) -> Result<EventPage> {
    let size = size.to_string();
    let query = [
        ("pageSize", Some(size.as_str())),
        ("eventType", asked.event_type.as_deref()),
        ("targetType", asked.target_type.as_deref()),
        ("kind", asked.kind.as_deref()),
        ("targetId", asked.target_id.as_deref()),
        ("targetName", asked.target_name.as_deref()),
        ("actorName", asked.by.as_deref()),
        ("address", asked.address.as_deref()),
        ("fromTimestamp", asked.since.as_deref()),
        ("toTimestamp", asked.until.as_deref()),
        from,
    ];
    Ok(context.client.query::<EventPage>(&asked.path, &query).await?.into_read())
}

/// What there is, and then what comes, each event once and in the order of the log.
async fn follow(
    asked: &EventListQuery,
    limit: usize,
    until: Option<Time>,
    clock: &SystemClock,
    context: &Context<'_>,
) -> Result {
    let mut last = 0;
    let (mut there, _) = newest(asked, limit, context).await?;
    there.reverse();
    for event in &there {
        last = event.position.max(last);
        print_event(event, context)?;
    }
    let mut away = 0;
    loop {
        // Asked before it is looked for the last time: what happened until then is told.
        let is_over = until.is_some_and(|until| clock.now() >= until);
        match since(asked, last, context).await {
            Ok(mut batch) => {
                away = 0;
                batch.reverse();
                for event in batch.iter().filter(|event| event.position > last) {
                    print_event(event, context)?;
                }
                let before = last;
                last = batch.iter().map(|event| event.position).fold(last, i64::max);
                // There may be more of them.
                if batch.len() == PAGE && last > before {
                    continue;
                }
            }
            Err(failure) if failure.exit == Exit::Error && away < TRIES => away += 1,
            Err(failure) => return Err(failure),
        }
        if is_over {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The next events behind a place of the log, the newest first.
async fn since(asked: &EventListQuery, last: i64, context: &Context<'_>) -> Result<Vec<ApiAnswer<Event>>> {
    let last = last.to_string();
    Ok(page(asked, PAGE, ("stepBackToken", Some(last.as_str())), context).await?.events)
}

/// Tells one event in a line.
fn print_event(event: &ApiAnswer<Event>, context: &Context<'_>) -> Result {
    if context.global.json {
        return output::json_line(&event.raw);
    }
    let cells = cells(event).map(|cell| clean(&cell));
    if !io::stdout().is_terminal() {
        return output::print(&cells.join("\t"));
    }
    let [time, what, target, by, ..] = &cells;
    output::print(&format!("{time}  {what}  {target}  by {by}"))
}

fn cells(event: &Event) -> [String; 9] {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    [
        second(event.timestamp),
        event.kind.to_string(),
        if event.erased { ERASED.to_owned() } else { event.target_name.clone() },
        if event.erased { ERASED.to_owned() } else { event.triggered_by.clone() },
        event.actor_kind.map(|kind| kind.to_string()).unwrap_or_default(),
        event.origin.to_string(),
        text(event.address.as_deref()),
        id(event.target_id),
        id(event.actor_id),
    ]
}

/// Where something stood that is not kept so long.
const ERASED: &str = "(erased)";

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
