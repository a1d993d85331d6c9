//! Watches the rows of the nodes: how far each has come, for whoever waits for all, and whether it still gives signs of life.
//!
//! It reads through a connection of its own, one task for all who wait. When the row of a node that has stopped may go is a
//! rule of [`lease`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokenward_core::lease::{self, Sign};
use tokenward_core::time::Micros;
use tokenward_core::{Clock, Result, Uuid};
use tokenward_store::nodes::{self, Node};
use tokenward_store::{Feed, Store};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::follow::Followed;
use crate::node::NodeTerms;
use crate::node_rows;

/// How often to look while somebody waits, where nobody hints that a node has come further, and at most where many do.
const LOOK: Duration = Duration::from_millis(25);
const LEAST: Duration = Duration::from_millis(2);

/// Reads the rows, until the node stops.
pub(crate) struct Watch {
    store: Store,
    clock: Arc<dyn Clock>,
    feed: Feed,
    bound: Micros,
    /// The other nodes, and since when their counters stand where they stand.
    others: HashMap<Uuid, Sign>,
    counted: Micros,
}

impl Watch {
    pub(crate) fn new(store: &Store, terms: &NodeTerms) -> Self {
        let clock = Arc::clone(store.clock());
        let counted = clock.steady();
        let (store, feed, bound) = (store.clone(), store.feed(terms.patience()), terms.bound());
        Self { store, feed, bound, others: HashMap::new(), counted, clock }
    }

    pub(crate) async fn run(mut self, followed: impl AsRef<Followed>) {
        let followed = followed.as_ref();
        tokio::select! {
            () = self.watch(followed) => {}
            () = followed.stopping() => {}
        }
    }

    async fn watch(&mut self, followed: &Followed) {
        let registry = &followed.registry;
        // So often the signs of life of the others are counted.
        let count = Duration::from_micros((self.bound / 20).unsigned_abs());
        let mut looked = Instant::now();
        loop {
            // Where there is nobody else, it is only to be seen whether that is still so; one reading at a time is no load.
            let is_alone = || registry.is_alone(followed.own());
            if registry.is_waited_for() {
                tokio::select! {
                    () = followed.applied.notified() => {}
                    () = registry.asked.notified() => {
                        if !is_alone() {
                            // This node tells in another moment that it has applied the change, and reads the rows then.
                            sleep(LEAST).await;
                        }
                        if !registry.is_wanted() {
                            continue;
                        }
                    }
                    () = sleep_until(looked + LOOK) => {}
                }
                if !is_alone() {
                    sleep_until(looked + LEAST).await;
                }
            } else if timeout(count, registry.asked.notified()).await.is_ok() {
                let wanted = if is_alone() {
                    registry.is_wanted()
                } else {
                    // Who begins to wait has mostly written a moment ago: this node tells in another one that it has applied that,
                    // and reads the rows then.
                    sleep(LEAST).await;
                    registry.is_waited_for()
                };
                if !wanted && !self.is_to_count() {
                    continue;
                }
            }
            looked = Instant::now();
            if let Err(error) = self.read(followed).await {
                tracing::debug!(%error, cause = ?error.cause, "cannot read how far the other nodes are; trying again");
                sleep(LOOK).await;
            }
        }
    }

    async fn read(&mut self, followed: &Followed) -> Result<()> {
        let asked = self.clock.steady();
        let was_alone = followed.registry.is_alone(followed.own());
        let rows = node_rows::read(&self.store, &mut self.feed, followed, self.bound).await?;
        if was_alone && !followed.registry.is_alone(followed.own()) {
            // Others wait for this node from now on, and it did not hurry to tell how far it is.
            followed.nudge.notify_one();
        }
        if let Some(own) = followed.own()
            && self.is_to_count()
        {
            self.count(own, &rows).await?;
            self.counted = asked;
        }
        Ok(())
    }

    /// Is it time to look whether the others still count?
    fn is_to_count(&self) -> bool {
        self.clock.steady().saturating_sub(self.counted) >= self.bound / 20
    }

    /// Looks whether the others still count, and takes out those that have surely stopped.
    async fn count(&mut self, own: Uuid, rows: &[Node]) -> Result<()> {
        let now = self.clock.steady();
        self.others.retain(|id, _| rows.iter().any(|row| row.id == *id));
        for row in rows.iter().filter(|row| row.id != own) {
            let sign = Sign::observe(self.others.get(&row.id).copied(), row.counter, now);
            self.others.insert(row.id, sign);
            if lease::may_delete(sign, row.max_staleness, now)
                && nodes::delete(self.feed.alone().await?, row.id, row.counter).await?
            {
                tracing::warn!(
                    node = row.name,
                    "a node has given no sign of life within its max_staleness, and is taken out"
                );
            }
        }
        Ok(())
    }
}
