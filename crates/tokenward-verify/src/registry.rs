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
    /// Tells that somebody has begun to wait.
    pub(crate) asked: Notify,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            read: watch::Sender::default(),
            pepper: AtomicI32::new(0),
            longest: AtomicI64::new(0),
            waiting: AtomicUsize::new(0),
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
    fn begin(registry: &'a Registry) -> Self {
        registry.waiting.fetch_add(1, Ordering::AcqRel);
        registry.asked.notify_one();
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
        let _waiting = Waiting::begin(self);
        let mut read = self.read.subscribe();
        let begun = Instant::now();
        let deadline = begun + patience;
        loop {
            let Reading { asked, nodes, speaks_for_all } = read.borrow_and_update().clone();
            // This node's own row too: what is said here is what any other node says when it is asked.
            let is_after = asked.is_some_and(|asked| asked >= since);
            if is_after && speaks_for_all && lease::effective(nodes.iter().map(|it| it.position), position) {
                // One whose row others have just taken out still counts as itself.
                return Reached::Everywhere { nodes: nodes.len().max(1) };
            }
            // Who is missing is known from a reading after the change alone: also whoever does not wait is told it.
            let until = if is_after { deadline } else { deadline.max(begun + READING) };
            if !matches!(timeout_at(until, read.changed()).await, Ok(Ok(()))) {
                // What this node has applied it need not have told by now.
                let missing = || nodes.iter().filter(|it| it.position < position && Some(it.id) != this.id);
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
