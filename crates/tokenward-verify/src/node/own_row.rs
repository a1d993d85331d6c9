//! The row of a node in the registry, by which others wait for it: it is written before anything is decided that others could rely on,
//! says how far this node has come, and is taken away when it stops.

use tokenward_core::time::Micros;
use tokenward_core::{Result, Time, Uuid};
use tokenward_store::nodes::{self, Node};
use tokenward_store::nodes_applied;

use super::Follower;
use super::terms::{NodeKind, TELL};
use crate::follow::Followed;
use crate::node_rows;

/// How often to tell others how far one has come where something is waited for.
const TELL_AWAITED: Micros = 2_000;
/// How often it is written at most when this node came where, and how often less of it is kept.
const MARK: Micros = tokenward_core::time::SECOND;
const THIN: Micros = 10 * tokenward_core::time::MINUTE;

/// When a node came where in the log, by the clock of the database, on the way to a table for receipts.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) waiting: Vec<(i64, Time)>,
    written: Micros,
    thinned: Micros,
    /// May this user not write them? Then nobody is told.
    forbidden: bool,
}

impl Marks {
    pub(super) fn add(&mut self, position: i64, at: Option<Time>) {
        let Some(at) = at.filter(|_| !self.forbidden) else { return };
        if self.waiting.last().is_none_or(|(last, _)| *last < position) {
            self.waiting.push((position, at));
        }
    }
}

impl Follower {
    /// Writes the own row, before anything is decided that others could rely on.
    pub(super) async fn register(&mut self, followed: &Followed) -> Result<()> {
        if self.store.is_alone() {
            // Nobody else asks for its row.
            followed.registered(self.store.new_id());
        }
        if !self.may_register || self.own.is_some() {
            return Ok(());
        }
        let now = self.store.time_at(self.feed.alone().await?).await?;
        let node = Node {
            id: self.store.new_id(),
            name: self.terms.name.clone(),
            kind: self.terms.kind.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            max_staleness: self.terms.bound(),
            counter: 0,
            position: self.position,
            hash: self.hash.clone(),
            log: None,
            pepper: Some(self.pepper),
            started_at: now,
            renewed_at: now,
            applied_at: None,
        };
        match nodes::insert(self.feed.alone().await?, &node).await {
            Ok(()) => {
                (self.own, self.told) = (Some(node.id), self.position);
                followed.registered(node.id);
                Ok(())
            }
            Err(error) if self.terms.kind == NodeKind::Embedded && nodes::may_not_register(&error) => {
                tracing::info!(
                    "this user may not write to the table `node`: the service is bound by max_staleness alone"
                );
                self.may_register = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes that this node was here. Is its row still there?
    pub(super) async fn renew(&mut self, followed: &Followed, own: Uuid) -> Result<bool> {
        let now = self.store.time_at(self.feed.conn()?).await?;
        let (position, hash) = &self.kept;
        let is_there = nodes::renew(self.feed.conn()?, own, (followed.incarnation(), *position, hash), now).await?;
        if *position > self.told {
            self.marks.add(*position, Some(now));
        }
        Ok(is_there)
    }

    /// Tells others how far this node has come, when it has come further.
    pub(super) async fn acknowledge(&mut self, followed: &Followed) -> Result<()> {
        let (Some(own), now) = (self.own, self.clock.steady()) else { return Ok(()) };
        if self.told < self.kept.0 && now.saturating_sub(self.told_at) >= self.tells_every(followed) {
            let (position, hash) = &self.kept;
            let at = nodes::acknowledge(self.feed.alone().await?, own, followed.incarnation(), *position, hash).await?;
            (self.told, self.told_at) = (*position, now);
            (self.awaited_here, self.awaited_elsewhere) = (false, false);
            self.marks.add(self.told, at);
            // Whoever waits may have waited for this node alone; where there is no other, nobody did.
            if followed.registry.is_waited_for()
                && !followed.registry.is_alone(self.own)
                && let Err(error) = node_rows::read(&self.store, &mut self.feed, followed, self.terms.bound()).await
            {
                tracing::debug!(%error, cause = ?error.cause, "cannot read how far the other nodes are");
            }
        }
        Ok(())
    }

    pub(super) fn tells_every(&self, followed: &Followed) -> Micros {
        // Whoever has written here needs nobody to be told where there is nobody else.
        let is_awaited = self.awaited_elsewhere || (self.awaited_here && !followed.registry.is_alone(self.own));
        // What could not be noted cannot be told: nothing is hurried for it.
        if is_awaited && self.told < self.kept.0 { TELL_AWAITED } else { TELL }
    }

    /// Writes when this node came where.
    pub(super) async fn write_marks(&mut self, now: Micros) -> Result<()> {
        let Some(own) = self.own.filter(|_| !self.marks.waiting.is_empty() && now - self.marks.written > MARK) else {
            return Ok(());
        };
        let marks = std::mem::take(&mut self.marks.waiting);
        self.marks.written = now;
        let written = nodes_applied::note(self.feed.alone().await?, own, &marks).await;
        self.may_mark(written)?;
        if now - self.marks.thinned > THIN && !self.marks.forbidden {
            self.marks.thinned = now;
            let time = self.store.time_at(self.feed.alone().await?).await?;
            nodes_applied::thin(self.feed.alone().await?, own, time).await?;
        }
        Ok(())
    }

    /// A user who may not write them goes on without: a receipt then tells only where the node is.
    pub(super) fn may_mark(&mut self, done: Result<()>) -> Result<()> {
        match done {
            Err(error) if nodes::may_not_register(&error) => {
                self.marks.forbidden = true;
                Ok(())
            }
            done => done,
        }
    }

    /// Takes the own row away: nothing is decided here any more.
    pub(super) async fn take_leave(&mut self, followed: &Followed) {
        let Some(own) = self.own.take() else { return };
        let left = async { nodes::leave(self.feed.alone().await?, own).await };
        if let Err(error) = left.await {
            // Which also tells whoever comes by its name that it kept a journal.
            tracing::warn!(%error, cause = ?error.cause, "the row of this node stays until others see that it has stopped");
            return;
        }
        if self.terms.kind == NodeKind::Server && followed.journal.is_kept() {
            let (name, now) = (self.terms.name.clone(), self.store.present());
            let told = async { nodes::left_a_journal(self.feed.alone().await?, own, &name, now).await };
            if let Err(error) = told.await {
                tracing::debug!(%error, cause = ?error.cause, "if its journal gets lost, the next start does not tell it");
            }
        }
    }
}
