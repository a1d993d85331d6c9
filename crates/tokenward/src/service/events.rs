//! The organization's event log, read.

use std::sync::Arc;

use tokenward_core::Result;
use tokenward_core::caller::Grant;
use tokenward_store::events::{self, Event, Filter};

use super::App;

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
