//! `tokenward log verify`, `head` and `export` of a server, page by page.
//!
//! A server tells an organization the hashes of all events and the own ones whole. So it is checked that no position is missing, that
//! all hashes are under what was signed, and that the own events are what was written, where they were written. Whether a hash that is
//! sent alone is that of an own event only the database shows.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokenward_api::checkpoints::{LogPage, ProvenEvent, WrittenEvents, bytes};
use tokenward_api::log::LogStatus;
use tokenward_core::Uuid;
use tokenward_core::checkpoint::{Checkpoint, Hash, Statement};
use tokenward_server::service::checkpoints::{self, Forged, PublicKey};
use tokenward_store::export::Exported;
use tokenward_store::log::{Evidence, Fault, Noted, Position};
use tokenward_store::proofs::Material;
use tokenward_store::sent_log::{Misfit, SentWalk};

use super::Context;
use super::output::{self, Exit, Failure, Result};
use crate::commands::log::{ExportArgs, ExportBound, OfflineLog, Out, VerifyArgs, WholeOutput, place};
use crate::note::note;

/// How often a page is asked for that does not come, and how long is waited before the next time.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_secs(1);
/// How often to look for more.
const FOLLOW: Duration = Duration::from_secs(2);

/// What can be asked of a server as of a database.
pub async fn run(command: &OfflineLog, context: &Context<'_>) -> Result {
    match command {
        OfflineLog::Verify(args) => verify(args, context).await,
        OfflineLog::Head(_) => head(context).await,
        OfflineLog::Export(args) => export(args, context).await,
        OfflineLog::Checkpoint(_) | OfflineLog::Key(_) => {
            Err(Failure::usage("This is done on the machine of the database, and not asked of a server."))
        }
    }
}

/// A page. A server that is away for a moment is asked again, where there were pages before.
async fn page<T: DeserializeOwned>(
    context: &Context<'_>,
    path: &str,
    query: &[(&str, Option<&str>)],
    mut tries: u32,
) -> Result<T> {
    loop {
        tries = tries.saturating_sub(1);
        match context.client.query::<T>(path, query).await {
            Ok(answer) => return Ok(answer.into_read()),
            Err(failure) if tries > 0 && failure.exit == Exit::Error => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn head(context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let status = context.client.get::<LogStatus>(&format!("/organization/{}/log", organization.id)).await?;
    let hash =
        bytes::<32>(&status.hash).ok_or_else(|| Failure::error("The server does not tell the hash of its log."))?;
    let end = status.position.parse::<Position>();
    let end = end.map_err(|_| Failure::error("The server does not tell where its log ends."))?;
    print_head(&Noted { position: end.number, hash: hash.to_vec() }, context)
}

fn print_head(head: &Noted, context: &Context<'_>) -> Result {
    if context.global.json { output::json(&place(head)) } else { output::print(&head.to_string()) }
}

/// What does not hold, told like what is found in a database.
struct Broken {
    position: i64,
    fault: &'static str,
    line: String,
    detail: String,
}

impl Broken {
    fn into_failure(self, context: &Context<'_>) -> Failure {
        let Self { position, fault, line, detail } = self;
        let failure = Failure::error(format!("{line}: {detail}."));
        if !context.global.json {
            return failure;
        }
        let told = json!({ "holds": false, "position": position, "fault": fault, "detail": detail });
        output::json(&told).err().unwrap_or(failure)
    }
}

impl From<Misfit> for Broken {
    fn from(Misfit { position, fault }: Misfit) -> Self {
        let line = format!("The log does not hold at position {position}");
        Self { position, fault: fault.word(), line, detail: fault.to_string() }
    }
}

/// A page, read.
struct PartOfLog {
    hashes: Vec<Hash>,
    own: Vec<Material>,
    checkpoints: Vec<Checkpoint>,
}

/// Whose log is walked along, and whose signatures are believed.
struct Auditor<'a> {
    context: &'a Context<'a>,
    organization: Uuid,
    path: String,
    keys: Vec<PublicKey>,
}

impl Auditor<'_> {
    async fn page(&self, after: i64, tries: u32) -> Result<LogPage> {
        let after = after.to_string();
        page(self.context, &self.path, &[("after", Some(after.as_str()))], tries).await
    }

    /// Reads a page, which begins behind this position.
    fn read(&self, page: &LogPage, after: i64) -> Result<PartOfLog> {
        let own_alone = page.events.iter().all(|event| event.organization_id == Some(self.organization));
        let read = || {
            Some(PartOfLog {
                hashes: page.hashes.iter().map(|hash| bytes(hash)).collect::<Option<_>>()?,
                own: page.events.iter().map(checkpoints::as_hashed).collect::<Option<_>>()?,
                checkpoints: page.checkpoints.iter().map(|checkpoint| checkpoint.read()).collect::<Option<_>>()?,
            })
        };
        read().filter(|_| own_alone && page.first == after + 1).ok_or_else(|| {
            Failure::error(format!("The page behind position {after} is none: it holds what does not belong there."))
        })
    }

    /// The statements of these checkpoints, each of which is signed by a key that is believed.
    fn signed(&self, checkpoints: Vec<Checkpoint>, place: &str) -> std::result::Result<Vec<Statement>, Broken> {
        let check = |checkpoint: Checkpoint| match checkpoints::check(&checkpoint, &self.keys) {
            Ok(()) => Ok(checkpoint.statement),
            Err(forged) => {
                let position = checkpoint.statement.position;
                let fault = match forged {
                    Forged::UnknownKey => "unknown_key",
                    Forged::Signature => "forged",
                };
                let line = format!("The checkpoint at position {position} in {place} does not count");
                Err(Broken { position, fault, line, detail: forged.to_string() })
            }
        };
        checkpoints.into_iter().map(check).collect()
    }
}

async fn verify(args: &VerifyArgs, context: &Context<'_>) -> Result {
    if let Some(before) = args.head.iter().find(|noted| noted.position < args.from) {
        let from = args.from;
        return Err(Failure::error(format!("--head {before} is before --from {from}: begin there, or earlier.")));
    }
    let mut kept = Vec::new();
    for path in &args.checkpoints {
        let name = path.display().to_string();
        let (read, unread) =
            checkpoints::read_file(path).map_err(|cause| Failure::error(format!("{name} cannot be read: {cause}.")))?;
        if unread > 0 {
            note(format!("{unread} lines of {name} are no checkpoints, and were passed over."));
        }
        kept.push((read, name));
    }
    let organization = context.client.organization(context.global).await?.id;
    let path = format!("/organization/{organization}/log/entries");
    let mut auditor = Auditor { context, organization, path, keys: args.public_key.clone() };
    let mut page = auditor.page(args.from - 1, 1).await?;
    if args.from > page.position.max(1) {
        let (end, from) = (page.position, args.from);
        return Err(Failure::error(format!("The log ends at {end}: there is nothing from {from} on.")));
    }
    if auditor.keys.is_empty() {
        let own = page.public_key.parse::<PublicKey>();
        auditor.keys = vec![own.map_err(|problem| Failure::error(format!("The server's public key {problem}.")))?];
        note(format!(
            "Checked with the server's own key, {}. Name one that you have from elsewhere with --public-key.",
            page.public_key
        ));
    }
    let mut evidence = Evidence { heads: args.head.clone(), ..Evidence::default() };
    for (read, name) in kept {
        evidence.checkpoints.extend(auditor.signed(read, &name).map_err(|broken| broken.into_failure(context))?);
    }
    // Only where all of its tree is walked along a root can be made out.
    let first = page.checkpoints.first().map_or(args.from, |it| it.first.clamp(1, args.from));
    if first < args.from {
        note(format!("Begins at {first}, as the checkpoint does that covers {}.", args.from));
        page = auditor.page(first - 1, TRIES).await?;
    }
    let mut walk = SentWalk::new(first, &evidence);
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {eta}") {
        bar.set_style(style);
    }
    let walked = along(&auditor, page, &mut walk, &bar).await;
    bar.finish_and_clear();
    let seen = walked?;
    print_walk(&walk, first, evidence.checkpoints.len() + seen, context)
}

/// Walks along the log, from this page to its end. Answers how many checkpoints the pages had.
async fn along(auditor: &Auditor<'_>, mut page: LogPage, walk: &mut SentWalk, bar: &ProgressBar) -> Result<usize> {
    let (log, first, context) = (page.log, walk.last() + 1, auditor.context);
    let broken = |misfit: Misfit| Broken::from(misfit).into_failure(context);
    let (mut seen, mut newest) = (0, 0);
    loop {
        let after = walk.last();
        if page.log != log {
            return Err(Failure::error("The log went on under another name meanwhile. Begin again."));
        }
        let PartOfLog { hashes, own, checkpoints } = auditor.read(&page, after)?;
        // One that reaches beyond a page stands on the next one, too.
        let new: Vec<_> = checkpoints.into_iter().filter(|it| it.statement.position > newest).collect();
        newest = new.last().map_or(newest, |it| it.statement.position);
        seen += new.len();
        let new = auditor.signed(new, "what the server sent").map_err(|broken| broken.into_failure(context))?;
        walk.pass(&hashes, &own, new).map_err(broken)?;
        if hashes.is_empty() && page.next.is_some() {
            return Err(broken(Misfit { position: after + 1, fault: Fault::Missing }));
        }
        bar.set_length(u64::try_from(page.position - first + 1).unwrap_or(0));
        bar.set_position(u64::try_from(walk.positions()).unwrap_or(0));
        if page.next.is_none() {
            break;
        }
        let last = walk.last();
        let go_on =
            |failure: Failure| failure.hint(format!("It held up to position {last}; go on with --from {}.", last + 1));
        page = auditor.page(last, TRIES).await.map_err(go_on)?;
    }
    walk.finish().map_err(broken)?;
    Ok(seen)
}

fn print_walk(walk: &SentWalk, first: i64, checkpoints: usize, context: &Context<'_>) -> Result {
    let ((own, erased), positions, signed) = (walk.own(), walk.positions(), walk.signed());
    let Some(head) = walk.head() else { return Err(Failure::error("The log is empty.")) };
    if context.global.json {
        return output::json(&json!({
            "holds": true, "positions": positions, "events": own, "from": first, "erased": erased,
            "checkpoints": checkpoints, "signed": signed, "head": place(&head),
        }));
    }
    let erased = match erased {
        0 => String::new(),
        some => format!(" ({some} without what they said, which was erased)"),
    };
    let checked = match (checkpoints, signed) {
        (0, _) => "Nothing was signed of it yet".to_owned(),
        (_, None) => "The signed checkpoints say the same of the hashes at their places".to_owned(),
        (_, Some(signed)) => format!("What was signed says the same of all of them, through position {signed}"),
    };
    note(format!(
        "No position is missing: {positions} hashes, from {first} on. {own} are of events of the organization, which are what was \
         written{erased}. {checked}. It ends here; note it elsewhere:"
    ));
    output::print(&head.to_string())
}

/// What an export says of an event besides, and stands in its payload.
#[derive(Deserialize)]
struct Told {
    actor: String,
    origin: String,
}

/// An event as it is exported from a database, too.
fn exported(event: &ProvenEvent) -> Option<Exported> {
    let Material { skeleton, kept, .. } = checkpoints::as_hashed(event)?;
    let Some((_, payload)) = kept else {
        return Some(Exported { skeleton, actor: None, origin: None, payload: None });
    };
    let told = serde_json::from_str::<Told>(&payload).ok();
    let (actor, origin) = told.map(|told| (told.actor, told.origin)).unzip();
    Some(Exported { skeleton, actor, origin, payload: serde_json::from_str(&payload).ok() })
}

async fn export(args: &ExportArgs, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/log/events", organization.id);
    let mut out = Out::standard().map_err(|cause| Failure::error(format!("{cause:#}.")))?;
    if let Some(header) = args.format.header().filter(|_| !args.no_header) {
        let put = out.put(header.as_bytes());
        put.map_err(|(_, cause)| Failure::error(format!("Cannot write to standard output: {cause}.")))?;
    }
    let (mut after, mut since) = match args.from {
        None => (0, None),
        Some(ExportBound::Position(position)) => (position - 1, None),
        Some(ExportBound::Time(time)) => (0, Some(time.to_string())),
    };
    let (through, until) = match args.to {
        None => (i64::MAX, None),
        Some(ExportBound::Position(position)) => (position, None),
        Some(ExportBound::Time(time)) => (i64::MAX, Some(time.to_string())),
    };
    let mut written = WholeOutput::default();
    let mut tries = 1;
    loop {
        let behind = after.to_string();
        let query =
            [("after", Some(behind.as_str())), ("fromTimestamp", since.as_deref()), ("toTimestamp", until.as_deref())];
        let header = args.format.header().map_or("", |_| " --no-header");
        let go_on = |failure: Failure| match written.last {
            Some(last) => {
                failure.hint(format!("Written through position {last}; go on with --from {}{header}.", last + 1))
            }
            None => failure,
        };
        let came: WrittenEvents = page(context, &path, &query, tries).await.map_err(go_on)?;
        tries = TRIES;
        let (mut lines, mut ends) = (String::new(), Vec::with_capacity(came.events.len()));
        for event in came.events.iter().take_while(|event| event.position <= through) {
            let known = exported(event).filter(|it| it.skeleton.position > after);
            let known =
                known.ok_or_else(|| Failure::error("The server has sent what is no event, or none of these."))?;
            after = event.position;
            lines.push_str(&args.format.line(&known));
            ends.push((after, lines.len()));
        }
        if let Err((bytes, cause)) = out.put(lines.as_bytes()) {
            written.pass(&ends, bytes);
            return Err(Failure::error(format!("{:#}", written.failure(&cause, args.format))));
        }
        written.pass(&ends, lines.len());
        if !ends.is_empty() {
            // From here on the position says it.
            since = None;
        }
        if came.next.is_some() && ends.len() == came.events.len() {
            if ends.is_empty() {
                return Err(Failure::error("The server says that there is more, and does not send it."));
            }
            continue;
        }
        if !args.follow {
            break;
        }
        tokio::time::sleep(FOLLOW).await;
    }
    match written.last {
        Some(last) => {
            note(format!("{} events, through position {last}. Go on later with --from {}", written.events, last + 1))
        }
        None => note("No events."),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokenward_core::Time;

    use super::*;

    #[test]
    fn an_event_of_a_server_is_exported_like_one_of_a_database() {
        let payload =
            r#"{"target_name":"ci","actor_kind":"user","actor_id":null,"actor":"ada@acme.example","origin":"CLI"}"#;
        let event = ProvenEvent {
            position: 7,
            id: Uuid::from_u128(1),
            time: Time(1_800_000_000_123_456),
            organization_id: Some(Uuid::from_u128(2)),
            kind: "token.created".to_owned(),
            target_id: Uuid::from_u128(3),
            related_id: None,
            payload_digest: "01".repeat(32),
            before: "00".repeat(32),
            hash: "ab".repeat(32),
            salt: Some("02".repeat(16)),
            payload: Some(payload.to_owned()),
        };
        let whole = exported(&event).unwrap();
        assert_eq!((whole.actor.as_deref(), whole.origin.as_deref()), (Some("ada@acme.example"), Some("CLI")));
        assert_eq!(whole.payload.unwrap().target_name, "ci");
        let erased = exported(&ProvenEvent { salt: None, payload: None, ..event.clone() }).unwrap();
        assert!(erased.actor.is_none() && erased.origin.is_none() && erased.payload.is_none());
        assert!(exported(&ProvenEvent { hash: "zz".to_owned(), ..event }).is_none());
    }
}
