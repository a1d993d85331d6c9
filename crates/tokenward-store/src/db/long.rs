//! Long writes, and those who give way to them.
//!
//! SQLite has one writer, and the log of either database one end: while somebody writes for seconds, all others wait, and most of
//! them not so long. Whoever works for nobody in particular waits for the end of such a write before asking for the writer at all,
//! so that it neither fails nor stands in the way of requests.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::futures::TaskLocalFuture;

use super::Store;

/// The longest that anybody gives way. Whoever still cannot write then hears what all others hear.
const GIVE_WAY: Duration = Duration::from_secs(60);

tokio::task_local! {
    /// Does nobody wait for what this task does?
    static BACKGROUND: bool;
}

/// What is done for nobody in particular: before it writes it lets long writes end.
pub fn in_background<F: Future>(work: F) -> TaskLocalFuture<bool, F> {
    BACKGROUND.scope(true, work)
}

/// For what goes on in a task of its own: it is done in the background where whoever begins it is.
pub fn as_present<F: Future>(work: F) -> TaskLocalFuture<bool, F> {
    BACKGROUND.scope(is_background(), work)
}

fn is_background() -> bool {
    BACKGROUND.try_with(|background| *background).unwrap_or(false)
}

/// How many long writes there are.
pub(super) struct LongWrites(watch::Sender<usize>);

impl Default for LongWrites {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl LongWrites {
    /// Waits where somebody works in the background, until no long write is left.
    pub(super) async fn give_way(&self) {
        if !is_background() || *self.0.borrow() == 0 {
            return;
        }
        let mut count = self.0.subscribe();
        // Whether that took too long or not, it is tried then. The sender is held here.
        let ended = async {
            let _ = count.wait_for(|count| *count == 0).await;
        };
        let _ = tokio::time::timeout(GIVE_WAY, ended).await;
    }
}

/// A write that holds up all others for long; until this is dropped, those in the background let it be.
pub struct LongWrite(Arc<LongWrites>);

impl Store {
    /// Somebody is about to write for long. Said before the writer is asked for.
    #[must_use]
    pub fn long_write(&self) -> LongWrite {
        self.long.0.send_modify(|count| *count += 1);
        LongWrite(Arc::clone(&self.long))
    }
}

impl Drop for LongWrite {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
