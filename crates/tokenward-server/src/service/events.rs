//! The organization's event log, read.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::checkpoint::{Checkpoint, EVENTS_MAX, Hash, Tree};
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::checkpoints as kept;
pub use tokenward_store::events::TargetLevel;
use tokenward_store::events::{self, Event, EventFilter, Payload};
use tokenward_store::proofs::{self, Material};
use tokenward_store::{Position, log};

use super::{App, Read, checkpoints};
use crate::heavy;
use crate::limits::{EVENT_TARGETS, EVENTS_LOOKED_THROUGH, LOG_PAGE, LOG_PAGE_EVENTS};

/// Hashes that a page of proofs may have read: those of two of the largest checkpoints.
const HASHES_READ: usize = 2 * EVENTS_MAX as usize;

/// A page of the log: where its events are.
pub struct EventPage {
    /// The positions of its events, newest first.
    pub positions: Vec<i64>,
    /// There are older ones: continue before this position.
    pub older: Option<i64>,
    /// There are newer ones: continue after this position.
    pub newer: Option<i64>,
}

/// A page of at most `size` events that fit the filter.
pub async fn page(app: &Arc<App>, grant: &Grant, filter: &EventFilter, size: i64) -> Result<EventPage> {
    let mut reader = app.read_for(grant).await?;
    // One more than asked for tells whether there is another page.
    let mut positions = events::positions(reader.conn(), grant, filter, size + 1).await?;
    let more = positions.len() as i64 > size;
    let backwards = filter.after.is_some();
    if more {
        // Going back to newer events, the surplus one is the newest.
        if backwards {
            positions.remove(0);
        } else {
            positions.pop();
        }
    }
    let (first, last) = (positions.first().copied(), positions.last().copied());
    let (older, newer) = match (backwards, filter.before.is_some()) {
        (true, _) => (last, first.filter(|_| more)),
        (false, came_from_newer) => (last.filter(|_| more), first.filter(|_| came_from_newer)),
    };
    Ok(EventPage { positions, older, newer })
}

/// The events at some of a page's positions, newest first. Where it is not the first part of the page, the right to read it
/// is asked again.
pub async fn part(app: &Arc<App>, grant: &Grant, positions: &[i64], after: Option<usize>) -> Result<Vec<Event>> {
    let mut reader = app.read_on(grant, after).await?;
    events::at(reader.conn(), grant, positions).await
}

/// What the newest events that fit the filter are about, each once, under its newest name, sorted by name.
pub async fn targets(
    app: &Arc<App>,
    grant: &Grant,
    filter: &EventFilter,
    level: TargetLevel,
) -> Result<Vec<(Uuid, String)>> {
    let mut reader = app.read_for(grant).await?;
    let bounds = [&EVENTS_LOOKED_THROUGH, &EVENT_TARGETS].map(|limit| i64::from(limit.number()));
    let newest = events::newest_of_each(reader.conn(), grant, filter, level, bounds[0], bounds[1]).await?;
    let positions: Vec<i64> = newest.iter().map(|(_, position)| *position).collect();
    let payloads: HashMap<i64, Payload> =
        events::payloads(reader.conn(), grant, &positions).await?.into_iter().collect();
    let named = |(id, position): (Uuid, i64)| {
        let payload = payloads.get(&position)?;
        let place = |place: &Option<(Uuid, String)>| place.as_ref().map(|(_, name)| name.clone());
        let name = match level {
            TargetLevel::Target => Some(payload.target_name.clone()),
            TargetLevel::Project => place(&payload.project),
            TargetLevel::Environment => place(&payload.environment),
        };
        Some((id, name?))
    };
    let mut targets: Vec<_> = newest.into_iter().filter_map(named).collect();
    targets.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    Ok(targets)
}

/// An event as it was hashed, and the way from it to what was signed.
pub struct EventWithProof {
    /// The event.
    pub material: Material,
    /// The hashes beside the way.
    pub path: Vec<Hash>,
    /// What was signed.
    pub checkpoint: Checkpoint,
}

/// The proof of one event of the organization. What no checkpoint covers yet gets one, though not more than one a minute.
pub async fn proof(app: &Arc<App>, grant: &Grant, event: Uuid) -> Result<EventWithProof> {
    let mut reader = app.read_for(grant).await?;
    let material = proofs::of_event(reader.conn(), grant, event).await?.ok_or_else(|| Error::not_found("event"))?;
    let position = material.skeleton.position;
    let mut covering = kept::covering(reader.conn(), position).await?;
    if covering.is_none() {
        // It reads and writes by itself; whoever holds a reader meanwhile keeps it from others.
        drop(reader);
        checkpoints::on_demand(app).await?;
        reader = app.read_for(grant).await?;
        // Also where somebody else was sooner.
        covering = kept::covering(reader.conn(), position).await?;
    }
    let Some(checkpoint) = covering else {
        return Err(Error::conflict("Nothing was signed yet that covers this event. Ask again in a minute."));
    };
    let tree = tree(grant, &mut reader, &checkpoint).await?;
    Ok(proven(material, &tree, &checkpoint))
}

/// The proofs of the organization's events behind a position, the oldest first, at most `limit`. Those that no checkpoint
/// covers yet are not among them; and whether there may be more. Fewer come where their proofs would have more hashes read than one page may: events that
/// are few and far between have a tree each.
pub async fn proofs_after(
    app: &Arc<App>,
    grant: &Grant,
    after: i64,
    limit: i64,
) -> Result<(Vec<EventWithProof>, bool)> {
    let mut reader = app.read_for(grant).await?;
    let through = kept::last(reader.conn()).await?.map_or(0, |last| last.statement.position);
    let found = proofs::between(reader.conn(), grant, after, through, limit).await?;
    let mut all = Vec::with_capacity(found.len());
    let full = i64::try_from(found.len()).is_ok_and(|found| found == limit);
    let (mut under, mut read): (Option<(Tree, Checkpoint)>, usize) = (None, 0);
    for material in found {
        let position = material.skeleton.position;
        if under.as_ref().is_none_or(|(_, checkpoint)| checkpoint.statement.position < position) {
            let checkpoint = kept::covering(reader.conn(), position).await?;
            let checkpoint = checkpoint.ok_or_else(|| Error::internal("a hole between two checkpoints"))?;
            let size = checkpoint.statement.size().unwrap_or_default();
            // One tree at least, so that there is always more.
            if read > 0 && read + size > HASHES_READ {
                return Ok((all, true));
            }
            read += size;
            under = Some((tree(grant, &mut reader, &checkpoint).await?, checkpoint));
        }
        if let Some((tree, checkpoint)) = &under {
            all.push(proven(material, tree, checkpoint));
        }
    }
    Ok((all, full))
}

/// A part of the log, of which an organization knows its own events and the hashes of all others.
pub struct LogStretch {
    /// Where the log ends.
    pub end: Position,
    /// The hashes from behind the position that was asked for, without a hole.
    pub hashes: Vec<Hash>,
    /// The organization's events among them.
    pub own: Vec<Material>,
    /// The checkpoints under which they are.
    pub checkpoints: Vec<Checkpoint>,
}

/// What comes behind a position of the log: so much that neither the hashes nor the own events are too many for one answer.
pub async fn stretch(app: &Arc<App>, grant: &Grant, after: i64) -> Result<LogStretch> {
    let (most, most_own) = (i64::from(LOG_PAGE.number()), i64::from(LOG_PAGE_EVENTS.number()));
    let mut reader = app.read_for(grant).await?;
    // First of all: what is appended meanwhile is on a later page.
    let (end, _) = log::end(reader.conn()).await?;
    let through = end.number.min(after.saturating_add(most));
    if through <= after {
        return Ok(LogStretch { end, hashes: Vec::new(), own: Vec::new(), checkpoints: Vec::new() });
    }
    let mut own = proofs::between(reader.conn(), grant, after, through, most_own).await?;
    let full = i64::try_from(own.len()).is_ok_and(|count| count == most_own);
    let through = own.last().filter(|_| full).map_or(through, |last| last.skeleton.position);
    let hashes = kept::hashes_to_hole(reader.conn(), after + 1, through).await?;
    let count = i64::try_from(hashes.len()).unwrap_or(most);
    let last = after + count;
    own.retain(|it| it.skeleton.position <= last);
    // One that ends behind the page has all of it under its tree.
    let mut checkpoints = kept::after(reader.conn(), after, count).await?;
    checkpoints.retain(|it| it.statement.first <= last);
    Ok(LogStretch { end, hashes, own, checkpoints })
}

/// The organization's events as they were written, behind a position and within these times; the oldest first. And whether there may
/// be more.
pub async fn written_after(
    app: &Arc<App>,
    grant: &Grant,
    after: i64,
    (since, until): (Option<Time>, Option<Time>),
) -> Result<(Vec<Material>, bool)> {
    let most = i64::from(LOG_PAGE_EVENTS.number());
    let mut reader = app.read_for(grant).await?;
    // Within the organization's own events: the log of all of them is long.
    let times = (since.unwrap_or(Time(i64::MIN)), until.unwrap_or(Time(i64::MAX)));
    let found = proofs::written(reader.conn(), grant, after, times, most).await?;
    let full = i64::try_from(found.len()).is_ok_and(|count| count == most);
    Ok((found, full))
}

async fn tree(grant: &Grant, reader: &mut Read, checkpoint: &Checkpoint) -> Result<Tree> {
    let it = &checkpoint.statement;
    let hashes = kept::hashes(reader.conn(), it.first, it.position).await?;
    heavy::run(grant.organization(), move || Tree::new(hashes)).await
}

fn proven(material: Material, tree: &Tree, checkpoint: &Checkpoint) -> EventWithProof {
    let index = usize::try_from(material.skeleton.position - checkpoint.statement.first).unwrap_or(usize::MAX);
    EventWithProof { material, path: tree.path(index), checkpoint: checkpoint.clone() }
}
