//! `tokenward event`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use tokenward_api::checkpoints::{EventProof, ProofPage};
use tokenward_api::events::{Event, Links};
use tokenward_api::retention::{EventRetention, EventRetentionRequest};
use tokenward_core::Time;
use tokenward_server::service::checkpoints::{self, PublicKey, Unproven};

use super::answer::ApiAnswer;
use super::client::segment;
use super::output::{self, Failure, Result, Table, second, text};
use super::{Context, Global, when};
use crate::commands::log::public_key;
use crate::note::note;

/// Most events that are asked for at once.
const PAGE: usize = 100;

/// What can be done with the event log.
#[derive(Subcommand, Debug)]
pub enum EventCommand {
    /// List what happened, the newest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Say how long is kept what events say, or set it
    Retention {
        /// A length of at least a day, such as 400d or 2y; `server` leaves it to the server
        #[arg(long, value_name = "LENGTH")]
        set: Option<String>,
    },
    /// Print what is needed to check one event against what the server has signed, and check it
    Proof {
        /// The id of the event
        id: String,
        /// A key that is believed, as `tokenward log key` prints it; can be given several times
        #[arg(long, value_name = "KEY", value_parser = public_key)]
        public_key: Vec<PublicKey>,
    },
    /// Check a proof that was kept; needs no server
    CheckProof {
        /// The file; `-` is standard input
        file: PathBuf,
        /// A key that is believed, as `tokenward log key` prints it; can be given several times
        #[arg(long, value_name = "KEY", value_parser = public_key, required = true)]
        public_key: Vec<PublicKey>,
    },
    /// Check every event of the organization against what the server has signed, page by page
    Verify {
        /// A key that is believed, as `tokenward log key` prints it; can be given several times
        #[arg(long, value_name = "KEY", value_parser = public_key)]
        public_key: Vec<PublicKey>,
        /// The position to begin at
        #[arg(long, value_name = "POSITION", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
        from: i64,
    },
}

/// `tokenward event list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// At most this many
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
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
    match command {
        EventCommand::List(args) => list(args, context).await,
        EventCommand::Retention { set } => retention(set, context).await,
        EventCommand::Proof { id, public_key } => proof(&id, public_key, context).await,
        EventCommand::CheckProof { file, public_key } => check_proof(&file, &public_key, context.global),
        EventCommand::Verify { public_key, from } => verify(public_key, from, context).await,
    }
}

async fn retention(set: Option<String>, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/eventRetention", organization.id);
    let answer: ApiAnswer<EventRetention> = match set {
        None => context.client.get(&path).await?,
        Some(length) => {
            let own = Some(length).filter(|length| length != "server");
            context.client.put(&path, &EventRetentionRequest { event_retention: own }, None).await?
        }
    };
    if context.global.json {
        return output::json(&answer.raw);
    }
    let or = |length: &Option<String>, none: &str| length.clone().unwrap_or_else(|| none.to_owned());
    output::fields(&[
        ("Kept", or(&answer.effective, "for ever")),
        ("The organization says", or(&answer.event_retention, "nothing")),
        ("The server says", or(&answer.server, "nothing")),
    ])
}

/// The keys to believe: those that were named, else the one that the server names itself, which proves less.
fn believed(named: Vec<PublicKey>, proof: &EventProof) -> Result<Vec<PublicKey>> {
    if !named.is_empty() {
        return Ok(named);
    }
    let own =
        proof.public_key.parse().map_err(|problem| Failure::error(format!("The server's public key {problem}.")))?;
    note(format!(
        "Checked with the server's own key, {}. Name one that you have from elsewhere with --public-key.",
        proof.public_key
    ));
    Ok(vec![own])
}

/// Says what is not proven, and to a program too.
fn unproven(proof: &EventProof, why: &Unproven, global: &Global) -> Failure {
    let (id, position) = (proof.event.id, proof.event.position);
    let failure = Failure::error(format!("The event at position {position} is not proven: {why}."));
    if !global.json {
        return failure;
    }
    let told = json!({ "proven": null, "unproven": id, "position": position, "detail": why.to_string() });
    output::json(&told).err().unwrap_or(failure)
}

async fn proof(id: &str, public_key: Vec<PublicKey>, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/events/{}/proof", organization.id, segment(id)?);
    let answer: ApiAnswer<EventProof> = context.client.get(&path).await?;
    let keys = believed(public_key, &answer)?;
    checkpoints::check_proof(&answer, &keys).map_err(|why| unproven(&answer, &why, context.global))?;
    if answer.event.id.to_string() != id.to_lowercase() || answer.event.organization_id != Some(organization.id) {
        return Err(Failure::error("The server answered with the proof of another event."));
    }
    output::json(&answer.raw)?;
    note(format!("Proven by the checkpoint at position {}.", answer.checkpoint.position));
    Ok(())
}

/// Checks a proof that was kept. Asks nobody.
pub fn check_proof(file: &Path, keys: &[PublicKey], global: &Global) -> Result {
    let name = file.display();
    let text =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|cause| Failure::error(format!("{name} cannot be read: {cause}.")))?;
    let proof: EventProof = serde_json::from_str(&text)
        .map_err(|cause| Failure::error(format!("{name} is no proof of an event: {cause}.")))?;
    checkpoints::check_proof(&proof, keys).map_err(|why| unproven(&proof, &why, global))?;
    let (event, checkpoint) = (&proof.event, &proof.checkpoint);
    if global.json {
        return output::json(
            &json!({ "proven": event.id, "position": event.position, "checkpoint": checkpoint.position }),
        );
    }
    output::fields(&[
        ("Event", event.id.to_string()),
        ("Position", event.position.to_string()),
        ("Time", second(event.time)),
        ("Kind", event.kind.clone()),
        ("Details", if event.payload.is_some() { "as they were written" } else { "erased by retention" }.to_owned()),
        ("Checkpoint", format!("{} of {}", checkpoint.position, second(checkpoint.time))),
    ])
}

async fn verify(public_key: Vec<PublicKey>, from: i64, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/log/proofs", organization.id);
    let (mut keys, mut after, mut count) = (Vec::new(), from - 1, 0usize);
    loop {
        let behind = after.to_string();
        let page: ApiAnswer<ProofPage> = context.client.query(&path, &[("after", Some(behind.as_str()))]).await?;
        for proof in &page.proofs {
            if keys.is_empty() {
                keys = believed(public_key.clone(), proof)?;
            }
            checkpoints::check_proof(proof, &keys).map_err(|why| unproven(proof, &why, context.global))?;
            if proof.event.position <= after || proof.event.organization_id != Some(organization.id) {
                return Err(Failure::error(format!(
                    "The event at position {} stands in a page where it does not belong.",
                    proof.event.position
                )));
            }
            after = proof.event.position;
            count += 1;
        }
        if page.next.is_none() {
            break;
        }
        if page.proofs.is_empty() {
            return Err(Failure::error("The server says that there is more, and does not send it."));
        }
    }
    if context.global.json {
        return output::json(&json!({ "proven": count, "through": after }));
    }
    note(match count {
        0 => "There is nothing yet that a checkpoint covers.".to_owned(),
        count => format!("{count} events are proven, through position {after}."),
    });
    Ok(())
}

async fn list(args: ListArgs, context: &Context<'_>) -> Result {
    let upper = |text: Option<String>| text.map(|text| text.to_uppercase());
    let since = args.since.map(|at| at.to_string());
    let (event_type, target_type) = (upper(args.event_type), upper(args.target_type));
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/events", organization.id);

    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut events: Vec<ApiAnswer<Event>> = Vec::new();
    let mut token: Option<String> = None;
    while events.len() < limit {
        let size = (limit - events.len()).min(PAGE).to_string();
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
    events.truncate(limit);
    if context.global.json {
        let events: Vec<_> = events.iter().map(|event| &event.raw).collect();
        return output::json(&json!({ "events": events }));
    }
    let mut table = Table::new(&["TIME", "WHAT", "TARGET", "BY", "KIND", "FROM", "ADDRESS", "TARGET ID", "BY ID"]);
    for event in &events {
        table.row([
            second(event.timestamp),
            event.kind.to_string(),
            if event.erased { ERASED.to_owned() } else { event.target_name.clone() },
            if event.erased { ERASED.to_owned() } else { event.triggered_by.clone() },
            event.actor_kind.map(|kind| kind.to_string()).unwrap_or_default(),
            event.origin.to_string(),
            text(event.address.as_deref()),
            event.target_id.map(|id| id.to_string()).unwrap_or_default(),
            event.actor_id.map(|id| id.to_string()).unwrap_or_default(),
        ]);
    }
    table.print("No events.")?;
    if token.is_some() {
        note(format!("There are more; these are the newest {limit}. Raise --limit to see them."));
    }
    Ok(())
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
