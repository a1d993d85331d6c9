//! Transactions: one that changes state and tells the log, and one for what the log does not tell.

use tokenward_core::error::{Error, Result};
use tokenward_core::event::By;
use tokenward_core::right::{RestsOn, Right};
use tokenward_core::{Random, Time, Uuid};

use crate::basis::{self, Here};
use crate::db::{Conn, Head, OpenTransaction, Store, Uncommitted, gave_way};
use crate::log_time;

/// How often a transaction begins anew that had to let others through.
const TRIES: usize = 4;

/// The word of `Begins::Restored`.
pub const RESTORED: &str = "restored";

/// Why a log goes on under another name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begins {
    /// It is written at another place: by a server that took over, or into a table that was restored.
    Moved,
    /// Nodes know of what is not in it.
    Rewound,
    /// Somebody has put an older state in place, and wants it as it is.
    Restored,
}

impl Begins {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Rewound => "rewound",
            Self::Restored => RESTORED,
        }
    }
}

/// A transaction that changes state. It ends in [`Tx::commit`], which takes the events of the change.
pub struct Tx {
    inner: OpenTransaction,
    store: Store,
    pub(crate) head: Head,
    pub(crate) by: By,
    /// Why the log begins another part of its line with this transaction, if it does.
    pub(crate) begins: Option<Begins>,
}

impl Store {
    /// A transaction for writing, for somebody with a right to what it changes: answers it and the right as it is now.
    ///
    /// It first takes the log's head, so that from here to its commit nobody else writes; then it looks up what the
    /// right rests on and asks it again. What it reads afterwards stays true until it commits. Dropped without a
    /// commit, it changes nothing.
    pub async fn begin<R: Right>(&self, right: &R) -> Result<(Tx, R)> {
        let (tx, mut rights) = self.begin_shared(std::slice::from_ref(right)).await?;
        let right = rights.pop().unwrap_or_else(|| Err(Error::internal("a right was not asked")))?;
        Ok((tx, right))
    }

    /// A transaction for several at once, each with a right of its own: answers it and each right as it is now, or what
    /// became of it. Their changes are committed together, each with events in its own name ([`Tx::commit_shared`]). What
    /// one of them changes another one finds changed; but its right was asked before.
    pub async fn begin_shared<R: Right>(&self, rights: &[R]) -> Result<(Tx, Vec<Result<R>>)> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match self.begin_once(rights).await {
                // Nothing was done yet, and what this was in the way of is done.
                Err(error) if tries > 0 && gave_way(&error) => {}
                Ok((tx, rights)) => {
                    self.require_known(&tx.head)?;
                    return Ok((tx, rights));
                }
                failed => return failed,
            }
        }
    }

    /// The same for whoever knows that the log is an older one.
    pub(crate) async fn begin_knowing<R: Right>(&self, right: &R) -> Result<Tx> {
        self.begin_once(std::slice::from_ref(right)).await.map(|(tx, _)| tx)
    }

    async fn begin_once<R: Right>(&self, rights: &[R]) -> Result<(Tx, Vec<Result<R>>)> {
        let Some(first) = rights.first() else { return Err(Error::internal("a transaction for nobody")) };
        let by = first.by().clone();
        let (mut inner, head) = self.transaction_at_head().await?;
        let rest_on: Vec<Option<RestsOn>> = rights.iter().map(Right::rests_on).collect();
        let here = Here { now: head.now, passkey_host: self.passkey_host() };
        let bases = basis::read_all(inner.conn(), &rest_on, here).await?;
        let rights = rights.iter().zip(bases).map(|(right, basis)| right.renewed(basis, head.now)).collect();
        // Whoever writes first at another place: from there on positions are those of another log.
        let moved = head.place.is_some() && head.here.is_some() && head.place != head.here;
        let begins = moved.then_some(Begins::Moved);
        Ok((Tx { inner, store: self.clone(), head, by, begins }, rights))
    }

    /// Does the right stand now, by the rows? For what is not written but must not be told any more either.
    pub async fn stands<R: Right>(&self, right: &R) -> Result<()> {
        let mut reader = self.read().await?;
        self.stands_in(reader.conn(), right).await
    }

    /// The same by a connection that is there.
    pub async fn stands_in<R: Right>(&self, conn: Conn<'_>, right: &R) -> Result<()> {
        let Some(rests_on) = right.rests_on() else { return Ok(()) };
        let now = self.present();
        let here = Here { now, passkey_host: self.passkey_host() };
        let basis = basis::read(conn, &rests_on, here).await?;
        right.renewed(basis, now).map(|_| ())
    }

    /// A transaction for what the log has nothing to tell of: uses, kept answers, keys, attempts of strangers, and what follows
    /// from an event or from the time. Which functions take it, and why, stands in `tidy.rs`; another one has to be added there.
    pub async fn begin_unlogged(&self) -> Result<UnloggedTx> {
        Ok(UnloggedTx { inner: self.transaction().await?, store: self.clone() })
    }
}

impl Tx {
    /// The connection, to pass to a query.
    pub fn conn(&mut self) -> Conn<'_> {
        self.inner.conn()
    }

    /// The connection, and the end of the log, which can move while something is written.
    pub(crate) fn conn_and_head(&mut self) -> (Conn<'_>, &mut Head) {
        (self.inner.conn(), &mut self.head)
    }

    /// The time of this transaction: that of the database, where several processes write.
    #[must_use]
    pub fn now(&self) -> Time {
        self.head.now
    }

    /// The latest that anybody says it is: what has ended by then is not given back by a node whose clock is behind.
    #[must_use]
    pub fn said(&self) -> Time {
        self.head.said
    }

    /// Whose transaction it is.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// A new identifier.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.store.new_id()
    }

    /// The random source.
    #[must_use]
    pub fn random(&self) -> &dyn Random {
        self.store.random()
    }

    /// The time to write into a row that had `last`: two versions of a row never have the same.
    #[must_use]
    pub fn next_version(&self, last: Time) -> Time {
        self.now().max(last.plus(1))
    }

    /// Commits, after the events were appended.
    pub(crate) async fn end(self) -> Result<(), Uncommitted> {
        self.inner.commit().await
    }
}

/// A transaction for what the log does not tell.
pub struct UnloggedTx {
    inner: OpenTransaction,
    store: Store,
}

impl UnloggedTx {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        self.inner.conn()
    }

    /// Keeps everybody else from writing until this ends, so that what it reads first stays true. Answers what time it is then.
    pub async fn alone(&mut self) -> Result<Time> {
        Ok(self.inner.take_head(&self.store).await?.now)
    }

    /// Asks a right again, by rows that nobody else changes until this ends: for what somebody decides now and the log is told of when
    /// it is used. Answers what time it is, and when whoever is signed in last proved who that is.
    pub async fn ask<R: Right>(&mut self, right: &R) -> Result<(Time, Option<Time>)> {
        let now = self.alone().await?;
        let Some(rests_on) = right.rests_on() else { return Ok((now, None)) };
        let here = Here { now, passkey_host: self.store.passkey_host() };
        let basis = basis::read(self.inner.conn(), &rests_on, here).await?;
        let proven_at = basis.proven_at;
        right.renewed(basis, now).map(|_| (now, proven_at))
    }

    /// What time it is, for all who write to the same database.
    pub async fn now(&mut self) -> Result<Time> {
        log_time::now(&self.store, self.inner.conn()).await
    }

    /// Commits. After an error it may stand all the same, where the database went away before it answered.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }
}
