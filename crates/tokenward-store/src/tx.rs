//! Transactions: one that changes state and tells the log, and one for what the log does not tell.

use tokenward_core::error::Result;
use tokenward_core::event::By;
use tokenward_core::right::Right;
use tokenward_core::{Random, Time, Uuid};

use crate::basis;
use crate::db::{Conn, Head, OpenTransaction, Store};

/// A transaction that changes state. It ends in [`Tx::commit`], which takes the events of the change.
pub struct Tx {
    inner: OpenTransaction,
    store: Store,
    pub(crate) head: Head,
    pub(crate) by: By,
}

impl Store {
    /// A transaction for writing, for somebody with a right to what it changes: answers it and the right as it is now.
    ///
    /// It first takes the log's head, so that from here to its commit nobody else writes; then it looks up what the
    /// right rests on and asks it again. What it reads afterwards stays true until it commits. Dropped without a
    /// commit, it changes nothing.
    pub async fn begin<R: Right>(&self, right: &R) -> Result<(Tx, R)> {
        let mut inner = self.transaction().await?;
        let head = inner.take_head().await?;
        let basis = match right.rests_on() {
            Some(rests_on) => basis::read(inner.conn(), &rests_on).await?,
            None => basis::NOTHING,
        };
        let right = right.renewed(basis, self.now())?;
        Ok((Tx { inner, store: self.clone(), head, by: right.by().clone() }, right))
    }

    /// Does the right stand now, by the rows? For what is not written but must not be told any more either.
    pub async fn stands<R: Right>(&self, right: &R) -> Result<()> {
        let Some(rests_on) = right.rests_on() else { return Ok(()) };
        let mut reader = self.read().await?;
        let basis = basis::read(reader.conn(), &rests_on).await?;
        right.renewed(basis, self.now()).map(|_| ())
    }

    /// A transaction for what is no change of state: how tokens were used, kept answers, key checks of peppers. Their
    /// functions, and no others, take it.
    pub async fn begin_unlogged(&self) -> Result<UnloggedTx> {
        Ok(UnloggedTx(self.transaction().await?))
    }
}

impl Tx {
    /// The connection, to pass to a query.
    pub fn conn(&mut self) -> Conn<'_> {
        self.inner.conn()
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.store.now()
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
    pub(crate) async fn end(self) -> Result<()> {
        self.inner.commit().await
    }
}

/// A transaction for what the log does not tell.
pub struct UnloggedTx(OpenTransaction);

impl UnloggedTx {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        self.0.conn()
    }

    /// Commits.
    pub async fn commit(self) -> Result<()> {
        self.0.commit().await
    }
}
