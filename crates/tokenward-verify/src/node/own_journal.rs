//! Where the journal of a node begins and goes on: it is compared with the log before that is followed, missed where it is gone, and
//! notes what was written while this node did not follow.

use std::sync::Arc;

use tokenward_core::journal::Entry;
use tokenward_core::time::Micros;
use tokenward_core::{Code, Result, Uuid};
use tokenward_store::log;
use tokenward_store::nodes::{self, Node};

use super::terms::NodeKind;
use super::{BATCH, Follower, note};
use crate::compare;
use crate::follow::Followed;
use crate::journal::aside;

/// A sign of life that is older than such a part of the bound is that of a node which has stopped, or is cut off.
const SILENT: Micros = 10;

impl Follower {
    /// Compares the log with what this node knows of it, before it is loaded. One that is not even a relative is not followed.
    pub(super) async fn compare(&mut self, followed: &Followed) -> Result<()> {
        let journal = &followed.journal;
        self.compared_at = self.store.places(self.feed.alone().await?).await?.here;
        let compared = match self.terms.kind {
            NodeKind::Server => {
                self.miss_journal(followed).await?;
                let compared = compare::bring_back_from(journal, &self.store, &mut self.feed, &self.terms.name).await;
                compared.map(|compared| {
                    followed.forget_ahead(&compared.ahead);
                    self.brought.extend(compared.brought);
                })
            }
            NodeKind::Embedded => compare::related(journal, &mut self.feed).await.map(|_| ()),
        };
        if compared.as_ref().is_err_and(|error| error.code == Code::OtherLog) {
            // Nothing of this node is written there either.
            self.store.is_known_to(i64::MAX);
        }
        compared
    }

    /// Says it where a journal is about to begin though this node has had one: what stood there brings nothing back any more.
    async fn miss_journal(&mut self, followed: &Followed) -> Result<()> {
        let left = self.take_left(followed).await?;
        let Some((path, emptied)) = followed.journal.begins() else { return Ok(()) };
        if !emptied && !self.had_a_journal(left).await? {
            return Ok(());
        }
        tracing::warn!(
            journal = %path.display(),
            emptied,
            "this node has had a journal, which is gone or empty: it begins another one. Of what was taken away until now it knows what the \
             database says; if that is an older copy, what was revoked since is accepted again. Look at the list of tokens, and keep \
             the journal on a disk that lasts"
        );
        Ok(())
    }

    /// Has a server of this name stopped in order that kept a journal? It is asked once, by whoever has that again or begins another one.
    async fn take_left(&mut self, followed: &Followed) -> Result<bool> {
        if self.sought || !self.store.is_shared() || !followed.journal.is_kept() {
            return Ok(false);
        }
        let left = match nodes::take_left_journal(self.feed.alone().await?, &self.terms.name).await {
            // Then only a row that was left behind tells it.
            Err(error) if nodes::may_not_register(&error) => false,
            left => left?,
        };
        self.sought = true;
        Ok(left)
    }

    /// A server that is alone has noted whatever a server did. Of several one is known by what it has left behind, a row of its own or the
    /// word that it stopped in order: two that live may have one name.
    async fn had_a_journal(&mut self, left: bool) -> Result<bool> {
        if self.store.is_alone() || left {
            return log::was_served(self.feed.alone().await?).await;
        }
        let now = self.store.time_at(self.feed.alone().await?).await?;
        let all = nodes::all(self.feed.alone().await?).await?;
        let is_left = |node: &Node| now.0.saturating_sub(node.renewed_at.0) > node.max_staleness / SILENT;
        let is_own = |node: &Node| node.name == self.terms.name && node.kind == self.terms.kind.as_str();
        Ok(all.iter().any(|node| Some(node.id) != self.own && is_own(node) && is_left(node)))
    }

    /// Notes what was written while this node did not follow.
    pub(super) async fn catch_up(&mut self, followed: &Followed) -> Result<()> {
        let journal = Arc::clone(&followed.journal);
        let Some(mut last) = aside(move || Ok(journal.last())).await? else {
            let mark = Entry {
                log: followed.incarnation(),
                position: self.position,
                hash: self.hash.clone(),
                time: self.store.now(),
                kind: String::new(),
                organization: None,
                target: Uuid::nil(),
                after: None,
            };
            let marks = if self.position > 0 { vec![mark] } else { Vec::new() };
            return note(followed, marks).await;
        };
        while last < self.position {
            let rows = log::after(self.feed.conn()?, last, BATCH).await?;
            let Some(newest) = rows.last().map(|row| row.position) else { return Ok(()) };
            let entries = self.entries(followed, &rows, None).await?;
            note(followed, entries).await?;
            last = newest;
        }
        Ok(())
    }
}
