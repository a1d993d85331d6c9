//! The log: every change of state, in the order in which it became true.
//!
//! Positions are dense: 1, 2, 3 … without a hole. They come from one counter row, which a writing transaction locks
//! first and holds until its commit; so writes happen one after the other, the order of positions is the order of
//! commits, and a follower that has seen position *n* has seen all before it. Each row's hash covers the row and the
//! hash before it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokenward_core::checkpoint::{EVENTS_MAX, Hash, Statement, Tree};
use tokenward_core::event::{ActorKind, By, Event, Origin};
use tokenward_core::role::Mode;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, Head, Store, Uncommitted, execute, put_head, row, run};
use crate::lineage;
use crate::short;
use crate::tx::Tx;

/// How long a commit is looked up that was not confirmed, and how often.
const LOOKED_UP: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Most hashes that a checkpoint's tree is over.
const CHECKPOINT_EVENTS: usize = EVENTS_MAX as usize;
/// Most that the log keeps of one event, in bytes. Snapshots are shortened far below it.
pub const EVENT_MAX: usize = 32 * 1_024;

/// A place in the log of one database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Which log: a database that was made anew has another one.
    pub incarnation: Uuid,
    /// Which place, from 1.
    pub number: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.incarnation, self.number)
    }
}

impl FromStr for Position {
    type Err = &'static str;

    /// Reads what `Tokenward-Position` says. The error completes the sentence that begins with where it stood.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (incarnation, number) = text.split_once('/').unwrap_or_default();
        // Its own form and no other: a UUID has several, and a number may have a sign or zeros before it.
        let position = Uuid::try_parse(incarnation).ok().zip(number.parse().ok());
        let position = position.map(|(incarnation, number)| Self { incarnation, number });
        position
            .filter(|position| position.number > 0 && position.to_string() == text)
            .ok_or("is no position of a log; send what the header `Tokenward-Position` of a change says")
    }
}

row! {
    /// The part of an event that stays for ever.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Skeleton {
        /// Its place, from 1.
        pub position: i64,
        /// Its id.
        pub id: Uuid,
        /// When.
        pub time: Time,
        /// In which organization.
        pub organization_id: Option<Uuid>,
        /// What happened.
        pub kind: String,
        /// To what.
        pub target_id: Uuid,
        /// A second id, to find the rows again.
        pub related_id: Option<Uuid>,
        /// SHA-256 of salt and payload.
        pub payload_digest: Vec<u8>,
        /// SHA-256 of the hash before and all of the above.
        pub hash: Vec<u8>,
    }
}

impl Skeleton {
    /// Is its hash the one that it must have after a row with `before`?
    #[must_use]
    pub fn follows(&self, before: &[u8]) -> bool {
        self.hash[..] == self.chained(before)
    }

    /// Is this what was written with it?
    #[must_use]
    pub fn says(&self, salt: &[u8], payload: &str) -> bool {
        payload_digest(salt, payload)[..] == self.payload_digest
    }

    /// The hash that this row must have after one with `before`.
    fn chained(&self, before: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        // Every field has a fixed length or its length in front: two different rows never give the same bytes.
        hash.update(before);
        hash.update(self.position.to_be_bytes());
        hash.update(self.id.as_bytes());
        hash.update(self.time.0.to_be_bytes());
        for id in [self.organization_id, Some(self.target_id), self.related_id] {
            hash.update([u8::from(id.is_some())]);
            hash.update(id.unwrap_or_default().as_bytes());
        }
        hash.update((self.kind.len() as u64).to_be_bytes());
        hash.update(self.kind.as_bytes());
        hash.update(&self.payload_digest);
        hash.finalize().into()
    }
}

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

/// What stands beside the payload too, in columns of its own to search by. The hash covers only the payload, so the
/// columns must say the same.
#[derive(Deserialize)]
struct Copied<'a> {
    #[serde(borrow)]
    actor: Cow<'a, str>,
    #[serde(borrow)]
    origin: Cow<'a, str>,
    project: Option<(Uuid, String)>,
    environment: Option<(Uuid, String)>,
}

row! {
    /// A payload as it is kept.
    struct KeptPayload {
        position: i64,
        salt: Vec<u8>,
        payload: String,
        actor: String,
        origin: String,
        project_id: Option<Uuid>,
        environment_id: Option<Uuid>,
    }
}

impl KeptPayload {
    /// Is this what was written with `row`?
    fn fits(&self, row: &Skeleton) -> bool {
        let id = |place: Option<(Uuid, String)>| place.map(|(id, _)| id);
        row.says(&self.salt, &self.payload)
            && serde_json::from_str::<Copied<'_>>(&self.payload).is_ok_and(|copied| {
                copied.actor == self.actor
                    && copied.origin == self.origin
                    && id(copied.project) == self.project_id
                    && id(copied.environment) == self.environment_id
            })
    }
}

impl Tx {
    /// Appends the events of the change and commits. Answers the position of the last one.
    ///
    /// When it returns an error nothing was changed; or nobody can say, which is what the error then says. A commit that
    /// the database did not confirm is looked up.
    pub async fn commit(mut self, events: &[Event]) -> Result<Position> {
        let mut last = None;
        if events.is_empty() {
            return Err(Error::internal("a change without an event"));
        }
        if let Some(why) = self.begins {
            let begun = lineage::begin(&mut self, why).await?;
            last = Some(self.append(&begun).await?);
        }
        for event in events {
            last = Some(self.append(event).await?);
        }
        let Some(last) = last else { return Err(Error::internal("a change without an event")) };
        let Head { incarnation, position, hash, .. } = self.head.clone();
        let here = self.head.here.clone().or_else(|| self.head.place.clone());
        put_head(self.conn(), position, &hash, here.as_deref()).await?;
        let store = self.store().clone();
        match self.end().await {
            Ok(()) => {}
            Err(Uncommitted::Aborted(error)) => return Err(error),
            Err(Uncommitted::Unknown) => look_up(&store, last).await?,
        }
        Ok(Position { incarnation, number: position })
    }

    /// Appends one event. Answers its id.
    async fn append(&mut self, event: &Event) -> Result<Uuid> {
        let payload = payload(&self.by, event)?;
        let mut salt = [0u8; 16];
        self.random().fill(&mut salt);
        let mut row = Skeleton {
            position: self.head.position + 1,
            id: self.new_id(),
            time: self.now(),
            organization_id: event.organization,
            kind: event.kind.as_str().to_owned(),
            target_id: event.target,
            related_id: event.related,
            payload_digest: payload_digest(&salt, &payload).to_vec(),
            hash: Vec::new(),
        };
        row.hash = row.chained(&self.head.hash).to_vec();
        execute!(self.conn(), sqlx::query(concat!(
            "INSERT INTO event (position, id, time, organization_id, kind, target_id, related_id, payload_digest, hash) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        ))
        .bind(row.position).bind(row.id).bind(row.time.0).bind(row.organization_id).bind(&row.kind).bind(row.target_id)
        .bind(row.related_id).bind(&row.payload_digest).bind(&row.hash))?;
        let (actor, origin) = (self.by.actor.name().to_owned(), self.by.origin);
        execute!(
            self.conn(),
            sqlx::query(concat!(
                "INSERT INTO event_payload (position, salt, payload, actor, origin, project_id, environment_id) ",
                "VALUES ($1, $2, $3, $4, $5, $6, $7)"
            ))
            .bind(row.position)
            .bind(&salt[..])
            .bind(&payload)
            .bind(&actor)
            .bind(origin.as_str())
            .bind(event.project.as_ref().map(|(id, _)| *id))
            .bind(event.environment.as_ref().map(|(id, _)| *id))
        )?;
        (self.head.position, self.head.hash) = (row.position, row.hash);
        Ok(row.id)
    }
}

/// Was the event committed, whose commit was not confirmed? An error when it was not, or when nobody can say.
async fn look_up(store: &Store, event: Uuid) -> Result<()> {
    let begun = tokio::time::Instant::now();
    loop {
        match store.stands_in_log(event).await {
            Ok(true) => return Ok(()),
            Ok(false) => {
                return Err(Error::unavailable(
                    "The database did not take the change. Nothing was changed; try again.",
                ));
            }
            Err(error) if begun.elapsed() > LOOKED_UP => {
                return Err(Error {
                    cause: error.cause,
                    ..Error::unavailable(
                        "The database went away while it took the change, and nobody can say yet whether it did. Read \
                         again before you repeat it, or repeat it with the same Idempotency-Key.",
                    )
                });
            }
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
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

fn payload_digest(salt: &[u8], payload: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(payload.as_bytes()).finalize().into()
}

/// Where the log ends now.
pub async fn head(conn: Conn<'_>) -> Result<Position> {
    let (incarnation, number): (Uuid, i64) = run!(conn, c =>
        sqlx::query_as("SELECT meta.incarnation, log_head.position FROM meta, log_head").fetch_one(&mut *c))?;
    Ok(Position { incarnation, number })
}

/// Where the log ends now, and the hash there.
pub async fn end(conn: Conn<'_>) -> Result<(Position, Vec<u8>)> {
    let (incarnation, number, hash): (Uuid, i64, Vec<u8>) = run!(conn, c =>
        sqlx::query_as("SELECT meta.incarnation, log_head.position, log_head.hash FROM meta, log_head").fetch_one(&mut *c))?;
    Ok((Position { incarnation, number }, hash))
}

/// The event at a position.
pub async fn at(conn: Conn<'_>, position: i64) -> Result<Option<Skeleton>> {
    Ok(after(conn, position - 1, 1).await?.pop().filter(|row| row.position == position))
}

/// The events after a position, oldest first, at most `limit`.
pub async fn after(conn: Conn<'_>, position: i64, limit: i64) -> Result<Vec<Skeleton>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT position, id, time, organization_id, kind, target_id, related_id, payload_digest, hash FROM event ",
        "WHERE position > $1 ORDER BY position LIMIT $2"
    )).bind(position).bind(limit).fetch_all(&mut *c))
}

/// What [`verify`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chain {
    /// Every row follows from the one before it, and every payload that is left is the one that was written.
    Intact {
        /// How many events there are.
        events: i64,
    },
    /// At this position something was changed or is missing.
    Broken {
        /// The first position that does not fit.
        position: i64,
    },
}

/// Follows the chain from the first event to the last, also while others append.
pub async fn verify(conn: Conn<'_>) -> Result<Chain> {
    Ok(match prove(conn, 1, &Evidence::default(), |_| {}).await? {
        Proof::Holds { head, .. } => Chain::Intact { events: head.position },
        Proof::Fails { position, .. } => Chain::Broken { position },
    })
}

/// A place of the log and the hash there, as somebody has noted it elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noted {
    /// Which place, from 1; 0 is an empty log.
    pub position: i64,
    /// The hash there, which covers all before it.
    pub hash: Vec<u8>,
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, hex::encode(&self.hash))
    }
}

impl FromStr for Noted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (position, hash) = text.split_once(':')?;
            let position = position.parse().ok().filter(|position| *position >= 0)?;
            let hash = hex::decode(hash).ok().filter(|hash| hash.len() == 32)?;
            Some(Self { position, hash })
        };
        read().ok_or("is no place of a log; write POSITION:HASH, as `tokenward log head` prints it")
    }
}

/// What the log is held against: what was known of it at some time.
#[derive(Clone, Default, Debug)]
pub struct Evidence {
    /// Heads that somebody has noted.
    pub heads: Vec<Noted>,
    /// What a server has signed, in any order. That the signatures are good was seen before.
    pub checkpoints: Vec<Statement>,
}

/// What does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No event stands there, and later ones do; or another one does.
    Missing,
    /// The event is not the one that was written, or what stands before it is not.
    Changed,
    /// What it says is not what was written.
    Payload,
    /// The log ends before it, and not where it says that it does.
    Cut,
    /// Its hash is another one than was noted: what stands before it was written anew.
    Rewritten,
    /// A checkpoint says something else.
    Checkpoint,
}

impl Fault {
    /// A word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Payload => "payload",
            Self::Cut => "cut",
            Self::Rewritten => "rewritten",
            Self::Checkpoint => "checkpoint",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no event, or another one in its place",
            Self::Changed => "the event is not the one that was written",
            Self::Payload => "what the event says is not what was written",
            Self::Cut => "the end of the log is missing from here on",
            Self::Rewritten => "its hash is not the one that was noted; the log was written anew up to here",
            Self::Checkpoint => "a signed checkpoint says otherwise; the log was written anew up to here",
        })
    }
}

/// What [`prove`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// All of it fits.
    Holds {
        /// How many events were looked at.
        events: i64,
        /// How many of them have no payload any more: it was erased, and the skeleton stays.
        erased: i64,
        /// Where the log ends.
        head: Noted,
    },
    /// The first place that does not.
    Fails {
        /// Which one.
        position: i64,
        /// What is wrong there.
        fault: Fault,
    },
}

/// The checkpoints that a walk along the log comes to, and the hashes that their trees need.
struct Ahead<'a> {
    /// The farthest first.
    rest: Vec<&'a Statement>,
    /// The hashes from `begin` on.
    hashes: VecDeque<Hash>,
    begin: i64,
}

impl<'a> Ahead<'a> {
    fn new(evidence: &'a Evidence, first: i64) -> Self {
        let mut rest: Vec<_> = evidence.checkpoints.iter().filter(|it| it.position >= first).collect();
        rest.sort_by_key(|it| std::cmp::Reverse(it.position));
        Self { rest, hashes: VecDeque::new(), begin: first }
    }

    /// The walk comes by this event. Do the checkpoints at its place say the same of it and of those before?
    fn pass(&mut self, position: i64, hash: &[u8]) -> bool {
        let Ok(hash) = Hash::try_from(hash) else { return false };
        self.hashes.push_back(hash);
        while let Some(it) = self.rest.pop_if(|it| it.position == position) {
            // Of a tree that begins before the walk only the end is known.
            let whole = it.first < self.begin
                || usize::try_from(it.first - self.begin)
                    .ok()
                    .is_some_and(|skipped| Tree::new(self.hashes.iter().skip(skipped).copied()).root() == it.root);
            if it.hash != hash || it.size().is_none() || !whole {
                return false;
            }
        }
        // No tree reaches farther back than this.
        while self.hashes.len() > CHECKPOINT_EVENTS {
            self.hashes.pop_front();
            self.begin += 1;
        }
        true
    }
}

/// Follows the chain from `first` to the last event, also while others append, and holds it against what is known. What is
/// before `first` is believed. `seen` is told how far it has come.
pub async fn prove(mut conn: Conn<'_>, first: i64, evidence: &Evidence, mut seen: impl FnMut(i64)) -> Result<Proof> {
    let fails = |position, fault| Ok(Proof::Fails { position, fault });
    let noted = &evidence.heads;
    let mut ahead = Ahead::new(evidence, first);
    let mut last = (first - 1).max(0);
    let mut hash = vec![0u8; 32];
    if last > 0 {
        match at(conn.reborrow(), last).await? {
            Some(row) => hash = row.hash,
            None => return fails(last, Fault::Missing),
        }
    }
    let (begun, mut ended, mut erased) = (last, 0, 0);
    loop {
        let rows = after(conn.reborrow(), last, 1_000).await?;
        let Some(through) = rows.last().map(|row| row.position) else {
            let (Position { number: position, .. }, head) = end(conn.reborrow()).await?;
            // Something may have been appended after the rows were read; if so, it is there now.
            if position > last.max(ended) {
                ended = position;
                continue;
            }
            if position != last || head != hash {
                return fails(last + 1, Fault::Cut);
            }
            if let Some(beyond) = noted.iter().find(|noted| noted.position > last) {
                return fails(beyond.position, Fault::Cut);
            }
            if let Some(beyond) = ahead.rest.last() {
                return fails(beyond.position, Fault::Cut);
            }
            return Ok(Proof::Holds { events: last - begun, erased, head: Noted { position, hash } });
        };
        let payloads: Vec<KeptPayload> = run!(conn.reborrow(), c => sqlx::query_as(concat!(
            "SELECT position, salt, payload, actor, origin, project_id, environment_id FROM event_payload ",
            "WHERE position > $1 AND position <= $2 ORDER BY position"
        )).bind(last).bind(through).fetch_all(&mut *c))?;
        let mut payloads = payloads.into_iter().peekable();
        for row in rows {
            if row.position != last + 1 {
                return fails(last + 1, Fault::Missing);
            }
            if !row.follows(&hash) {
                return fails(row.position, Fault::Changed);
            }
            let kept = payloads.next_if(|kept| kept.position == row.position);
            match kept {
                Some(kept) if !kept.fits(&row) => return fails(row.position, Fault::Payload),
                Some(_) => {}
                None => erased += 1,
            }
            if noted.iter().any(|noted| noted.position == row.position && noted.hash != row.hash) {
                return fails(row.position, Fault::Rewritten);
            }
            if !ahead.pass(row.position, &row.hash) {
                return fails(row.position, Fault::Checkpoint);
            }
            last = row.position;
            hash = row.hash;
        }
        seen(last);
    }
}
