//! The organization's event log, read.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::checkpoint::{Checkpoint, EVENTS_MAX, Hash, Tree};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::checkpoints as kept;
pub use tokenward_store::events::TargetLevel;
use tokenward_store::events::{self, Event, EventFilter, Payload};
use tokenward_store::proofs::{self, Material};

use super::{App, Read, checkpoints};
use crate::heavy;
use crate::limits::{EVENT_TARGETS, EVENTS_LOOKED_THROUGH};

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
pub struct Proven {
    /// The event.
    pub material: Material,
    /// The hashes beside the way.
    pub path: Vec<Hash>,
    /// What was signed.
    pub checkpoint: Checkpoint,
}

/// The proof of one event of the organization. What no checkpoint covers yet gets one, though not more than one a minute.
pub async fn proof(app: &Arc<App>, grant: &Grant, event: Uuid) -> Result<Proven> {
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
pub async fn proofs_after(app: &Arc<App>, grant: &Grant, after: i64, limit: i64) -> Result<(Vec<Proven>, bool)> {
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

async fn tree(grant: &Grant, reader: &mut Read, checkpoint: &Checkpoint) -> Result<Tree> {
    let it = &checkpoint.statement;
    let hashes = kept::hashes(reader.conn(), it.first, it.position).await?;
    heavy::run(grant.organization(), move || Tree::new(hashes)).await
}

fn proven(material: Material, tree: &Tree, checkpoint: &Checkpoint) -> Proven {
    let index = usize::try_from(material.skeleton.position - checkpoint.statement.first).unwrap_or(usize::MAX);
    Proven { material, path: tree.path(index), checkpoint: checkpoint.clone() }
}
