//! The organization's event log, read.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::{Result, Uuid};
use tokenward_store::events::{self, Event, Filter};

use super::App;

/// Events that are looked through for targets, the newest first.
const TARGETS_AMONG: i64 = 10_000;

/// What a list of targets is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// What the events are about.
    Target,
    /// The projects that they happened in.
    Project,
    /// The environments that they happened in.
    Environment,
}

/// A page of events, newest first.
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// There are older ones: continue before this position.
    pub older: Option<i64>,
    /// There are newer ones: continue after this position.
    pub newer: Option<i64>,
}

/// A page of at most `size` events that fit the filter.
pub async fn page(app: &Arc<App>, grant: &Grant, filter: &Filter, size: i64) -> Result<Page> {
    let mut reader = app.store.read().await?;
    // One more than asked for tells whether there is another page.
    let mut events = events::list(reader.conn(), grant, filter, size + 1).await?;
    let more = events.len() as i64 > size;
    let backwards = filter.after.is_some();
    if more {
        // Going back to newer events, the surplus one is the newest.
        if backwards {
            events.remove(0);
        } else {
            events.pop();
        }
    }
    let first = events.first().map(|event| event.position);
    let last = events.last().map(|event| event.position);
    let (older, newer) = match (backwards, filter.before.is_some()) {
        (true, _) => (last, first.filter(|_| more)),
        (false, came_from_newer) => (last.filter(|_| more), first.filter(|_| came_from_newer)),
    };
    Ok(Page { events, older, newer })
}

/// What the newest events that fit the filter are about, each once, under its newest name, sorted by name.
pub async fn targets(app: &Arc<App>, grant: &Grant, filter: &Filter, level: Level) -> Result<Vec<(Uuid, String)>> {
    let mut reader = app.store.read().await?;
    let events = events::list(reader.conn(), grant, filter, TARGETS_AMONG).await?;
    let mut named: HashMap<Uuid, String> = HashMap::new();
    for event in events {
        let Some(payload) = event.payload else { continue };
        let place = match level {
            Level::Target => Some((event.target_id, payload.target_name)),
            Level::Project => payload.project,
            Level::Environment => payload.environment,
        };
        if let Some((id, name)) = place {
            named.entry(id).or_insert(name);
        }
    }
    let mut targets: Vec<_> = named.into_iter().collect();
    targets.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    Ok(targets)
}
