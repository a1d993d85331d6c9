//! From where on a change counts here, for those who have made it.

use std::time::Duration;

use tokenward_core::Result;
use tokenward_core::journal::Entry;
use tokenward_core::time::Micros;
use tokenward_store::Position;
use tokio::time::timeout;

use super::{CATCH_UP, Verifier};
use crate::feeding::Fed;

/// How long it may take at most to apply what was fed, before it is read.
const FED: Duration = Duration::from_millis(20);

impl Verifier {
    /// A commit of this process is on its way, and will be fed, as long as the answer is kept: hints at it are no reason to read it.
    #[must_use]
    pub fn expects_commit(&self) -> impl Sized + Send {
        self.0.followed.feeding.expect()
    }

    /// Has the follower apply what this process has committed, where it has applied all before it; otherwise it reads it.
    pub fn feed(&self, fed: Fed) {
        self.0.followed.feeding.put(fed);
    }

    /// A change that takes something away was committed before `since`, by the steady clock: it will be asked on which nodes it counts.
    pub fn will_be_asked(&self, since: Micros) {
        if self.0.shared {
            self.0.followed.registry.will_be_asked(self.node(), since);
        }
    }

    /// Up to where this node has applied the log and noted what was taken away: so far others could rely on it, had it told them.
    #[must_use]
    pub fn noted(&self) -> i64 {
        self.0.followed.registry.kept()
    }

    /// Answers for a change of this process at `position` that did not come to count here in time, and takes that away. Does it by
    /// now? Otherwise it is noted where no lost database brings it back. An error where it was lost, or cannot be noted.
    pub async fn answer_for(&self, position: Position, entries: Vec<Entry>) -> Result<bool> {
        self.0.followed.answer_for(position, entries).await
    }

    /// Waits a while until the change at `position` counts here. Does it?
    pub async fn reached(&self, position: Position) -> bool {
        let followed = &self.0.followed;
        let mut seen = followed.position.subscribe();
        if followed.feeding.reaches(position.number) {
            let counts = seen.wait_for(|at| followed.counts(position, *at));
            let counts = timeout(FED, counts).await.map(|counts| counts.is_ok());
            if let Ok(counts) = counts {
                return counts;
            }
        }
        followed.nudge.notify_one();
        tokio::select! {
            biased;
            reached = timeout(CATCH_UP, seen.wait_for(|at| followed.counts(position, *at))) => matches!(reached, Ok(Ok(_))),
            // Whoever stops writes what is left, and nothing is read of it any more.
            () = followed.stopping() => false,
        }
    }
}
