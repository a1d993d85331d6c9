//! Writing the log: the events of a transaction get their places and their hashes here, and go there together.

use std::time::Duration;

use futures_util::future;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokenward_core::event::{ActorKind, By, Event, Origin};
use tokenward_core::role::Mode;
use tokenward_core::{Error, Result, Uuid};

use super::{EVENT_MAX, Position, Skeleton, after};
use crate::db::{Conn, Head, Many, Store, Uncommitted, hex_bytes, hex_id, many, put_head, run};
use crate::lineage;
use crate::short;
use crate::tx::Tx;

/// How long a commit is looked up that was not confirmed, and how often.
const LOOKED_UP: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What an event's payload consists of; the JSON bytes are kept as they were hashed.
#[derive(Serialize)]
struct Payload<'a> {
    target_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a (Uuid, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a (Uuid, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment_mode: Option<Mode>,
    actor_kind: ActorKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<Uuid>,
    actor: &'a str,
    origin: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
}

/// An event as both of its tables keep it, on its way there.
#[derive(Serialize)]
pub(crate) struct NewEvent {
    position: i64,
    id: String,
    time: i64,
    organization_id: Option<String>,
    kind: &'static str,
    target_id: String,
    related_id: Option<String>,
    payload_digest: String,
    hash: String,
    salt: String,
    payload: String,
    actor: String,
    origin: &'static str,
    project_id: Option<String>,
    environment_id: Option<String>,
}

/// What its first table keeps.
#[derive(Serialize)]
struct NewEventRow<'t> {
    position: i64,
    id: &'t str,
    time: i64,
    organization_id: Option<&'t str>,
    kind: &'static str,
    target_id: &'t str,
    related_id: Option<&'t str>,
    payload_digest: &'t str,
    hash: &'t str,
}

/// What its second one does.
#[derive(Serialize)]
struct NewPayloadRow<'t> {
    position: i64,
    salt: &'t str,
    payload: &'t str,
    actor: &'t str,
    origin: &'static str,
    project_id: Option<&'t str>,
    environment_id: Option<&'t str>,
}

impl NewEvent {
    /// The two apart, so that no statement takes what is not for its table to pieces.
    fn parts(&self) -> (NewEventRow<'_>, NewPayloadRow<'_>) {
        let event = NewEventRow {
            position: self.position,
            id: &self.id,
            time: self.time,
            organization_id: self.organization_id.as_deref(),
            kind: self.kind,
            target_id: &self.target_id,
            related_id: self.related_id.as_deref(),
            payload_digest: &self.payload_digest,
            hash: &self.hash,
        };
        let payload = NewPayloadRow {
            position: self.position,
            salt: &self.salt,
            payload: &self.payload,
            actor: &self.actor,
            origin: self.origin,
            project_id: self.project_id.as_deref(),
            environment_id: self.environment_id.as_deref(),
        };
        (event, payload)
    }
}

/// So many events go to the database at once.
const AT_ONCE: usize = 500;

pub(crate) const INSERT_EVENTS: Many = many!(
    "INSERT INTO event (position, id, time, organization_id, kind, target_id, related_id, payload_digest, hash) \
     SELECT r.position, r.id, r.time, r.organization_id, r.kind, r.target_id, r.related_id, r.payload_digest, r.hash FROM",
    [
        position number,
        id id,
        time number,
        organization_id id,
        kind text,
        target_id id,
        related_id id,
        payload_digest bytes,
        hash bytes,
    ],
    ""
);
pub(crate) const INSERT_PAYLOADS: Many = many!(
    "INSERT INTO event_payload (position, salt, payload, actor, origin, project_id, environment_id) \
     SELECT r.position, r.salt, r.payload, r.actor, r.origin, r.project_id, r.environment_id FROM",
    [
        position number,
        salt bytes,
        payload text,
        actor text,
        origin text,
        project_id id,
        environment_id id,
    ],
    ""
);

/// Why a transaction for several did not commit.
#[derive(Debug)]
pub enum NotCommitted {
    /// Nothing was changed: each may be done again.
    Nothing(Error),
    /// Nobody can say yet whether all of it stands or nothing.
    Unknown(Error),
}

impl From<NotCommitted> for Error {
    fn from(why: NotCommitted) -> Self {
        match why {
            NotCommitted::Nothing(error) | NotCommitted::Unknown(error) => error,
        }
    }
}

impl From<Error> for NotCommitted {
    /// What goes wrong before the commit is sent.
    fn from(error: Error) -> Self {
        Self::Nothing(error)
    }
}

/// What was committed.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The position of the last event.
    pub position: Position,
    /// The events, behind one another.
    pub events: Vec<Skeleton>,
    /// Was the commit confirmed, and do they go on from what was there before? Otherwise the log is to be read.
    pub goes_on: bool,
}

impl Tx {
    /// Appends the events of the change and commits. Answers the position of the last one.
    ///
    /// When it returns an error nothing was changed; or nobody can say, which is what the error then says. A commit that
    /// the database did not confirm is looked up.
    pub async fn commit(self, events: &[Event]) -> Result<Position> {
        let by = self.by.clone();
        let events: Vec<(&By, &Event)> = events.iter().map(|event| (&by, event)).collect();
        Ok(self.commit_shared(&events).await?.position)
    }

    /// The same for the changes of several: each event with the one in whose name it is. They stand in this order, one
    /// behind the other.
    pub async fn commit_shared(mut self, events: &[(&By, &Event)]) -> Result<Appended, NotCommitted> {
        if events.is_empty() {
            return Err(Error::internal("a change without an event").into());
        }
        let (mut placed, mut rows) = (Vec::new(), Vec::with_capacity(events.len() + 1));
        let mut goes_on = self.begins.is_none();
        let store = self.store().clone();
        if let Some(why) = self.begins {
            let begun = lineage::begin(&mut self, why).await?;
            let by = self.by.clone();
            placed.push(place(&store, &mut self.head, &by, &begun, &mut rows)?);
        }
        let mut parts = events.chunks(AT_ONCE);
        placed.extend(place_all(&store, &mut self.head, parts.next().unwrap_or_default(), &mut rows)?);
        // While the database writes some, the next ones get their places and hashes: many are never all in memory.
        while !placed.is_empty() {
            let next = parts.next().unwrap_or_default();
            let (conn, head) = self.conn_and_head();
            let written = append(conn, &placed);
            let (written, next) = future::join(written, async { place_all(&store, head, next, &mut rows) }).await;
            written?;
            placed = next?;
        }
        let here = self.head.here.clone().or_else(|| self.head.place.clone());
        let head = Head { place: here, ..self.head.clone() };
        let (incarnation, position) = (head.incarnation, head.position);
        put_head(self.conn(), position, &head.hash, head.place.as_deref()).await?;
        match self.end().await {
            Ok(()) => store.wrote(head),
            Err(Uncommitted::Aborted(error)) => return Err(NotCommitted::Nothing(error)),
            Err(Uncommitted::Unknown) => {
                store.forget_end();
                look_up(&store, rows.last().map_or_else(Uuid::nil, |row: &Skeleton| row.id), 1).await?;
                goes_on = false;
            }
        }
        // Before them may stand that the log begins another part.
        let events = rows.split_off(rows.len().saturating_sub(events.len()));
        Ok(Appended { position: Position { incarnation, number: position }, events, goes_on })
    }
}

/// Writes events that have their places.
async fn append(mut conn: Conn<'_>, placed: &[NewEvent]) -> Result<()> {
    let (events, payloads): (Vec<NewEventRow<'_>>, Vec<NewPayloadRow<'_>>) = placed.iter().map(NewEvent::parts).unzip();
    INSERT_EVENTS.execute(conn.reborrow(), &events).await?;
    INSERT_PAYLOADS.execute(conn, &payloads).await.map(|_| ())
}

/// Gives events their places, one behind the other.
fn place_all(
    store: &Store,
    head: &mut Head,
    events: &[(&By, &Event)],
    rows: &mut Vec<Skeleton>,
) -> Result<Vec<NewEvent>> {
    events.iter().map(|(by, event)| place(store, head, by, event, rows)).collect()
}

/// Gives an event its place behind the last one, and puts what stays of it for ever behind the other rows.
pub(crate) fn place(
    store: &Store,
    head: &mut Head,
    by: &By,
    event: &Event,
    rows: &mut Vec<Skeleton>,
) -> Result<NewEvent> {
    let payload = payload(by, event)?;
    let mut salt = [0u8; 16];
    store.random().fill(&mut salt);
    let mut row = Skeleton {
        position: head.position + 1,
        id: store.new_id(),
        time: head.now,
        organization_id: event.organization,
        kind: event.kind.as_str().to_owned(),
        target_id: event.target,
        related_id: event.related,
        payload_digest: payload_digest(&salt, &payload).to_vec(),
        hash: Vec::new(),
    };
    row.hash = row.chained(&head.hash).to_vec();
    let placed = NewEvent {
        position: row.position,
        id: hex_id(row.id),
        time: row.time.0,
        organization_id: row.organization_id.map(hex_id),
        kind: event.kind.as_str(),
        target_id: hex_id(row.target_id),
        related_id: row.related_id.map(hex_id),
        payload_digest: hex_bytes(&row.payload_digest),
        hash: hex_bytes(&row.hash),
        salt: hex_bytes(&salt),
        payload,
        actor: by.actor.name().to_owned(),
        origin: by.origin.as_str(),
        project_id: event.project.as_ref().map(|(id, _)| hex_id(*id)),
        environment_id: event.environment.as_ref().map(|(id, _)| hex_id(*id)),
    };
    (head.position, head.hash) = (row.position, row.hash.clone());
    rows.push(row);
    Ok(placed)
}

/// Was the event committed, whose commit was not confirmed? Answers the last `count` events up to it, as they stand in the log. An error
/// when it was not, or when nobody can say.
pub(crate) async fn look_up(store: &Store, event: Uuid, count: i64) -> Result<Vec<Skeleton>, NotCommitted> {
    let begun = tokio::time::Instant::now();
    loop {
        match standing(store, event, count).await {
            Ok(Some(rows)) => return Ok(rows),
            Ok(None) => {
                let detail = "The database did not take the change. Nothing was changed; try again.";
                return Err(NotCommitted::Nothing(Error::unavailable(detail)));
            }
            Err(error) if begun.elapsed() > LOOKED_UP => {
                return Err(NotCommitted::Unknown(Error {
                    cause: error.cause,
                    ..Error::unavailable(
                        "The database went away while it took the change, and nobody can say yet whether it did. Read \
                         again before you repeat it, or repeat it with the same Idempotency-Key.",
                    )
                }));
            }
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// The last `count` events up to this one, if it stands in the log. Asked under the log's lock, where every other writer has either
/// committed or never will.
async fn standing(store: &Store, event: Uuid, count: i64) -> Result<Option<Vec<Skeleton>>> {
    let (mut inner, _) = store.transaction_at_head().await?;
    let found: Option<i64> = run!(inner.conn(), c => sqlx::query_scalar("SELECT position FROM event WHERE id = $1")
        .bind(event).fetch_optional(&mut *c))?;
    Ok(match found {
        Some(position) => Some(after(inner.conn(), position - count, count).await?),
        None => None,
    })
}

fn payload(by: &By, event: &Event) -> Result<String> {
    let (before, after) = short::pair(event.before.as_ref(), event.after.as_ref())?;
    let payload = Payload {
        target_name: &event.target_name,
        before,
        after,
        project: event.project.as_ref(),
        environment: event.environment.as_ref(),
        environment_mode: event.environment_mode,
        actor_kind: by.actor.kind(),
        actor_id: by.actor.id(),
        actor: by.actor.name(),
        origin: by.origin,
        address: by.address,
        user_agent: by.user_agent.as_deref(),
    };
    let text = serde_json::to_string(&payload).map_err(Error::internal)?;
    if text.len() <= EVENT_MAX {
        return Ok(text);
    }
    // No change may fail for its event, and none may fill the log.
    serde_json::to_string(&Payload { before: None, after: None, ..payload }).map_err(Error::internal)
}

pub(super) fn payload_digest(salt: &[u8], payload: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(payload.as_bytes()).finalize().into()
}
