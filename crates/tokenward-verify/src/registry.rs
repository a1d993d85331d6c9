//! How far the other nodes have come, as far as this one knows, and how to wait until all have come far enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use tokenward_core::time::Micros;
use tokenward_core::{Uuid, lease};
use tokenward_store::nodes::Node;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

/// The rows as of one reading.
#[derive(Clone, Default, Debug)]
struct Reading {
    /// Before which moment, by the steady clock, nothing is missing in it.
    asked: Option<Micros>,
    nodes: Arc<[Node]>,
    /// Are these all nodes that decide? Not known where rows may have been lost.
    speaks_for_all: bool,
}

/// The name of those whose rows a server may have lost that took over.
pub const FORGOTTEN: &str = "whoever the database may have forgotten";

/// How long one reading of the rows may take.
const READING: Duration = Duration::from_millis(250);

/// What is known of the other nodes.
pub(crate) struct Registry {
    read: watch::Sender<Reading>,
    /// The newest pepper that every node holds; 0 before that is known.
    pepper: AtomicI32,
    /// The longest bound of any node that was seen.
    longest: AtomicI64,
    /// So many wait.
    waiting: AtomicUsize,
    /// Somebody wants the rows as they are after this moment, by the steady clock.
    wanted: AtomicI64,
    /// Up to where this node has applied the log and noted what was taken away.
    kept: AtomicI64,
    /// Tells that somebody has begun to wait, or will in a moment.
    pub(crate) asked: Notify,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            read: watch::Sender::default(),
            pepper: AtomicI32::new(0),
            longest: AtomicI64::new(0),
            waiting: AtomicUsize::new(0),
            wanted: AtomicI64::new(lease::NEVER),
            kept: AtomicI64::new(i64::MIN),
            asked: Notify::new(),
        }
    }
}

/// Where a change counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reached {
    /// On every node that decides.
    Everywhere {
        /// So many.
        nodes: usize,
    },
    /// Not known of all.
    Missing {
        /// The names of those of which it is not known.
        nodes: Vec<String>,
        /// How long after the change was committed the last of them stops, or has learned of it.
        within: Micros,
    },
}

/// The node that waits.
#[derive(Clone, Copy)]
pub(crate) struct This {
    /// That of its row.
    pub id: Option<Uuid>,
    pub bound: Micros,
}

/// Counts somebody who waits.
struct Waiting<'a>(&'a Registry);

impl<'a> Waiting<'a> {
    fn begin(registry: &'a Registry, since: Micros) -> Self {
        registry.waiting.fetch_add(1, Ordering::AcqRel);
        registry.wants(since);
        Self(registry)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Registry {
    /// The newest pepper that every node holds, and with it each one older; 0 where that is not known.
    pub(crate) fn pepper(&self) -> i32 {
        self.pepper.load(Ordering::Acquire)
    }

    /// Does anybody wait?
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    fn wants(&self, since: Micros) {
        self.wanted.fetch_max(since, Ordering::AcqRel);
        self.asked.notify_one();
    }

    /// Somebody will wait for a change that was committed before `since`. Where this is the only node as far as is known, the rows are read
    /// at once: whether it still is so is all that is to be learned. Others have told nothing yet.
    pub(crate) fn will_be_asked(&self, own: Option<Uuid>, since: Micros) {
        if self.is_alone(own) {
            self.wants(since);
        }
    }

    /// Does somebody want the rows later than they were read?
    pub(crate) fn is_wanted(&self) -> bool {
        self.read.borrow().asked.unwrap_or(lease::NEVER) < self.wanted.load(Ordering::Acquire)
    }

    /// Was this node's row the only one when they were last read?
    pub(crate) fn is_alone(&self, own: Option<Uuid>) -> bool {
        matches!(&*self.read.borrow().nodes, [only] if Some(only.id) == own)
    }

    /// This node has applied the log and noted what was taken away up to here.
    pub(crate) fn keeps(&self, position: i64) {
        self.kept.store(position, Ordering::Release);
        if self.is_waited_for() {
            // Where this is the only node, that may be all that was waited for.
            self.read.send_if_modified(|read| read.nodes.len() == 1);
        }
    }

    /// Up to where it has.
    pub(crate) fn kept(&self) -> i64 {
        self.kept.load(Ordering::Acquire)
    }

    /// The longest bound of any node that was seen, one of this length among them.
    pub(crate) fn longest(&self, seen: Micros) -> Micros {
        self.longest.fetch_max(seen, Ordering::AcqRel).max(seen)
    }

    /// These were the rows at a moment after `asked`, by the steady clock. Of two who read them at once, that counts who asked last.
    pub(crate) fn was_read(&self, asked: Micros, nodes: Arc<[Node]>, speaks_for_all: bool) {
        // One of an older version holds nobody knows which.
        let pepper = nodes.iter().map(|node| node.pepper.unwrap_or(0)).min().unwrap_or(0);
        self.read.send_if_modified(|read| {
            let is_newer = read.asked.is_none_or(|before| before <= asked);
            if is_newer {
                self.pepper.store(pepper, Ordering::Release);
                *read = Reading { asked: Some(asked), nodes, speaks_for_all };
            }
            is_newer
        });
    }

    /// Waits at most so long until the change at `position` counts everywhere. It was committed before `since`, by the steady
    /// clock, and this node has applied it.
    pub(crate) async fn everywhere(&self, this: This, position: i64, since: Micros, patience: Duration) -> Reached {
        let _waiting = Waiting::begin(self, since);
        let mut read = self.read.subscribe();
        let begun = Instant::now();
        let deadline = begun + patience;
        loop {
            let Reading { asked, nodes, speaks_for_all } = read.borrow_and_update().clone();
            let is_after = asked.is_some_and(|asked| asked >= since);
            let rows = nodes.iter().map(|it| (it.id, it.position));
            if is_after && speaks_for_all && lease::effective_for(rows, this.id, self.kept(), position) {
                // One whose row others have just taken out still counts as itself.
                return Reached::Everywhere { nodes: nodes.len().max(1) };
            }
            // Who is missing is known from a reading after the change alone: also whoever does not wait is told it.
            let until = if is_after { deadline } else { deadline.max(begun + READING) };
            if !matches!(timeout_at(until, read.changed()).await, Ok(Ok(()))) {
                // What this node has noted it need not have told by now.
                let kept = self.kept();
                let own = |id: Uuid| (Some(id) == this.id).then_some(kept);
                let missing = || nodes.iter().filter(|it| lease::lacks(it.position, own(it.id), position));
                if is_after && speaks_for_all && missing().next().is_none() {
                    return Reached::Everywhere { nodes: nodes.len().max(1) };
                }
                let within = missing().map(|it| it.max_staleness).max().unwrap_or(this.bound);
                let forgotten = (is_after && !speaks_for_all).then(|| FORGOTTEN.to_owned());
                return Reached::Missing {
                    nodes: missing().map(|it| it.name.clone()).chain(forgotten).collect(),
                    within,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use tokenward_core::Time;

    use super::*;

    const OWN: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);
    const THIS: This = This { id: Some(OWN), bound: 60_000_000 };
    /// Longer than any of these takes.
    const LONG: Duration = Duration::from_secs(60);

    fn row(id: Uuid, position: i64) -> Node {
        Node {
            id,
            name: id.to_string(),
            kind: "server".to_owned(),
            version: String::new(),
            max_staleness: 60_000_000,
            counter: 0,
            position,
            hash: Vec::new(),
            log: None,
            pepper: None,
            started_at: Time(0),
            renewed_at: Time(0),
            applied_at: None,
        }
    }

    async fn waits(mut answer: Pin<&mut impl Future>) -> bool {
        std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn the_only_node_waits_for_a_reading_after_the_change_and_for_itself_and_not_for_its_row() {
        let registry = Registry::default();
        assert!(!registry.is_wanted() && !registry.is_alone(Some(OWN)), "nothing was read");
        registry.will_be_asked(Some(OWN), 10);
        assert!(!registry.is_wanted(), "who is not known to be alone waits for what others tell");
        registry.was_read(5, Arc::from([row(OWN, 3)]), true);
        assert!(registry.is_alone(Some(OWN)) && !registry.is_alone(Some(OTHER)) && !registry.is_alone(None));
        registry.will_be_asked(Some(OWN), 10);
        assert!(registry.is_wanted());

        registry.keeps(7);
        let mut answer = pin!(registry.everywhere(THIS, 7, 10, LONG));
        assert!(waits(answer.as_mut()).await, "somebody may have begun before the change");
        registry.was_read(10, Arc::from([row(OWN, 3)]), true);
        assert!(!registry.is_wanted());
        assert_eq!(answer.await, Reached::Everywhere { nodes: 1 });

        let mut answer = pin!(registry.everywhere(THIS, 8, 10, LONG));
        assert!(waits(answer.as_mut()).await, "it has not noted it");
        let given_up = registry.everywhere(THIS, 8, 10, Duration::ZERO).await;
        assert_eq!(given_up, Reached::Missing { nodes: vec![OWN.to_string()], within: THIS.bound });
        registry.keeps(8);
        assert_eq!(answer.await, Reached::Everywhere { nodes: 1 });
    }

    #[tokio::test]
    async fn beside_others_the_own_row_counts_too() {
        let registry = Registry::default();
        registry.keeps(9);
        registry.was_read(10, Arc::from([row(OWN, 3), row(OTHER, 7)]), true);
        let mut answer = pin!(registry.everywhere(THIS, 7, 10, LONG));
        assert!(waits(answer.as_mut()).await);
        registry.was_read(11, Arc::from([row(OWN, 7), row(OTHER, 7)]), true);
        assert_eq!(answer.await, Reached::Everywhere { nodes: 2 });
        // And one that has come meanwhile.
        registry.was_read(12, Arc::from([row(OWN, 7)]), true);
        registry.will_be_asked(Some(OWN), 20);
        registry.was_read(20, Arc::from([row(OWN, 7), row(OTHER, 7)]), true);
        let now = Duration::ZERO;
        let Reached::Missing { nodes, .. } = registry.everywhere(THIS, 8, 20, now).await else {
            panic!("it is not there")
        };
        assert_eq!(nodes, [OTHER.to_string()]);
    }
}
