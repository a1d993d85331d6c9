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

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokenward_core::checkpoint::{EVENTS_MAX, Hash, Statement, Tree};
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Many, many, row, run};

mod append;

use append::payload_digest;
pub use append::{Appended, NotCommitted};
pub(crate) use append::{INSERT_EVENTS, INSERT_PAYLOADS, look_up, place};

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
    pub(crate) fn chained(&self, before: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(before);
        hash.update(self.position.to_be_bytes());
        self.each_covered(|bytes| hash.update(bytes));
        hash.finalize().into()
    }

    /// What its hash covers behind the hash and the position before, which others may still move.
    pub(crate) fn covered(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(160);
        self.each_covered(|bytes| all.extend_from_slice(bytes));
        all
    }

    fn each_covered(&self, mut put: impl FnMut(&[u8])) {
        // Every field has a fixed length or its length in front: two different rows never give the same bytes.
        put(self.id.as_bytes());
        put(&self.time.0.to_be_bytes());
        for id in [self.organization_id, Some(self.target_id), self.related_id] {
            put(&[u8::from(id.is_some())]);
            put(id.unwrap_or_default().as_bytes());
        }
        put(&(self.kind.len() as u64).to_be_bytes());
        put(self.kind.as_bytes());
        put(&self.payload_digest);
    }
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

/// A position that is asked about.
#[derive(Serialize)]
struct AskedPosition {
    position: i64,
}

const HASHES: Many =
    many!("SELECT e.position, e.hash FROM event e JOIN", [position number], "ON e.position = r.position");

/// The hashes of the events at these positions, in any order; where none stands there is none.
pub async fn hashes_at(conn: Conn<'_>, positions: &[i64]) -> Result<Vec<(i64, Vec<u8>)>> {
    let rows: Vec<AskedPosition> = positions.iter().map(|position| AskedPosition { position: *position }).collect();
    HASHES.returning(conn, &rows).await
}

/// The events after a position, oldest first, at most `limit`.
pub async fn after(conn: Conn<'_>, position: i64, limit: i64) -> Result<Vec<Skeleton>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT position, id, time, organization_id, kind, target_id, related_id, payload_digest, hash FROM event ",
        "WHERE position > $1 ORDER BY position LIMIT $2"
    )).bind(position).bind(limit).fetch_all(&mut *c))
}

/// Has a server written to it, and not only commands beside one? These are kinds that no command writes which begins a database.
pub async fn was_served(conn: Conn<'_>) -> Result<bool> {
    let found: Option<i64> = run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT position FROM event ",
        "WHERE kind IN ('session.created', 'token.deleted', 'token.rotated', 'member.removed') LIMIT 1"
    )).fetch_optional(&mut *c))?;
    Ok(found.is_some())
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
    /// No checkpoint covers it, and one after it does not begin there.
    Unsigned,
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
            Self::Unsigned => "unsigned",
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
            Self::Unsigned => "a checkpoint is missing that covers it; there is one after it",
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
pub(crate) struct Ahead {
    /// The farthest first.
    rest: Vec<Statement>,
    /// The hashes from `begin` on.
    hashes: VecDeque<Hash>,
    begin: i64,
}

impl Ahead {
    pub(crate) fn new(evidence: &Evidence, first: i64) -> Self {
        let mut rest: Vec<_> = evidence.checkpoints.iter().filter(|it| it.position >= first).cloned().collect();
        rest.sort_by_key(|it| std::cmp::Reverse(it.position));
        Self { rest, hashes: VecDeque::new(), begin: first }
    }

    /// One more, to which the walk has not come yet.
    pub(crate) fn add(&mut self, it: Statement) {
        let at = self.rest.partition_point(|other| other.position >= it.position);
        self.rest.insert(at, it);
    }

    /// Where the next one is.
    pub(crate) fn nearest(&self) -> Option<i64> {
        self.rest.last().map(|it| it.position)
    }

    /// Is the hash at this position still known?
    pub(crate) fn knows(&self, position: i64) -> bool {
        position >= self.begin
    }

    /// Does a checkpoint that the walk has come by say the same of what is still known?
    pub(crate) fn agrees(&self, it: &Statement) -> bool {
        if it.size().is_none() {
            return false;
        }
        let at = |position: i64| usize::try_from(position - self.begin).ok();
        let Some(end) = at(it.position) else { return true };
        // Of a tree that begins before that only the end is known.
        let whole = |first: usize| Tree::new(self.hashes.range(first..=end).copied()).root() == it.root;
        self.hashes.get(end) == Some(&it.hash) && at(it.first).is_none_or(whole)
    }

    /// The walk comes by this event. Do the checkpoints at its place say the same of it and of those before?
    pub(crate) fn pass(&mut self, position: i64, hash: &[u8]) -> bool {
        let Ok(hash) = Hash::try_from(hash) else { return false };
        self.hashes.push_back(hash);
        while let Some(it) = self.rest.pop_if(|it| it.position == position) {
            if !self.agrees(&it) {
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
            if let Some(beyond) = ahead.nearest() {
                return fails(beyond, Fault::Cut);
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
