//! A look at what is new where that is about tokens alone: one statement, which is one moment. It says nothing of what else was
//! committed before, so that it keeps no node fresh.

use tokenward_core::Result;
use tokenward_core::lease::{self, Comparison};
use tokenward_store::tokens::{self, News};

use super::Follower;
use crate::feeding::Fed;
use crate::follow::Followed;

/// Events of one statement, with the one before them.
pub(super) const MOST: i64 = 256;

impl Follower {
    /// Learns what was committed up to a position, where that is no more than tokens that were made, taken back and rotated. Answers how
    /// many events were read, the one among them at which this node was; `None`, and nothing is applied, where it takes a whole look
    /// to say what there is.
    pub(super) async fn glance(&mut self, followed: &Followed, through: i64) -> Result<Option<i64>> {
        // Of another connection it is to be found out first where it leads.
        if !self.loaded || !self.feed.goes_on() {
            return Ok(None);
        }
        let news = tokens::news(self.feed.alone().await?, self.position, through, MOST).await?;
        let Some(News { first, events, rows, described, used }) = news else { return Ok(None) };
        let first = first.as_ref().map(|row| row.hash.as_slice());
        if lease::compare(self.position, &self.hash, first) != Comparison::Goes {
            return Ok(None);
        }
        let count = i64::try_from(events.len()).unwrap_or(MOST) + i64::from(first.is_some());
        if events.is_empty() {
            return Ok(Some(count));
        }
        let fed = Fed { events, rows, described, used };
        if !fed.follows(self.position, &self.hash) || !followed.is_among(&fed.events) {
            return Ok(None);
        }
        self.take(followed, fed, false).await?;
        Ok(Some(count))
    }
}
