//! `tokenward event`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use tokenward_api::checkpoints::{EventProof, ProofPage};
use tokenward_api::retention::{EventRetention, EventRetentionRequest};
use tokenward_server::service::checkpoints::{self, PublicKey, Unproven};

use super::answer::ApiAnswer;
use super::client::segment;
use super::event_list::{self, ListArgs};
use super::output::{self, Failure, Result, second};
use super::{Context, Global};
use crate::commands::log::public_key;
use crate::note::note;

/// What can be done with the event log.
#[derive(Subcommand, Debug)]
pub enum EventCommand {
    /// List what happened, the newest first; or follow it, the oldest first
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

pub async fn run(command: EventCommand, context: &Context<'_>) -> Result {
    match command {
        EventCommand::List(args) => event_list::run(args, context).await,
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
