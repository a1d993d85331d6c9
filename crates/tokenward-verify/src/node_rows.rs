//! Reads the rows of the nodes, for whoever waits until all of them have come far enough.

use std::sync::Arc;

use tokenward_core::Result;
use tokenward_core::time::Micros;
use tokenward_store::nodes::{self, Node};
use tokenward_store::{Feed, Store};

use crate::follow::Followed;

/// Reads them, by a connection outside of any transaction. `bound` is that of this node.
pub(crate) async fn read(store: &Store, feed: &mut Feed, followed: &Followed, bound: Micros) -> Result<Arc<[Node]>> {
    let asked = store.clock().steady();
    let rows: Arc<[Node]> = nodes::all(feed.alone().await?).await?.into();
    let places = store.places(feed.alone().await?).await?;
    // It may have moved there after it was asked.
    followed.found_at(places, store.clock().steady());
    let longest = rows.iter().map(|row| row.max_staleness).fold(bound, Micros::max);
    let longest = followed.registry.longest(longest);
    let speaks = followed.speaks_for_all(longest, store.clock().steady());
    followed.registry.was_read(asked, Arc::clone(&rows), speaks);
    Ok(rows)
}
