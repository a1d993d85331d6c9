//! A share for each organization: how much of the database one of them may have at once, so that nobody's load is felt by
//! the neighbours.
//!
//! A read or write waits here for its turn among those of its own organization, in the order in which they came, before it
//! waits for a connection among those of all. So of thirty-two readers of one organization two are in the way of a
//! neighbour, and of its writers as many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokenward_core::sync::lock;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::{Conn, Reader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{Limit, Limits, ORGANIZATION_WAITING, READS, SHARE_WAIT, WRITES};
use crate::metrics;

/// From how many on the shares are looked through for those that nobody has.
const LOOK_THROUGH: usize = 1_024;

/// The shares of those who have something going on.
#[derive(Default)]
pub struct Shares(Mutex<HashMap<Uuid, Arc<Share>>>);

/// The turns of one organization.
struct Share {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    /// How many wait for one.
    waiting: AtomicUsize,
}

/// Somebody who waits for a turn.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Result<Self> {
        let waits = Self(waiting);
        if waiting.fetch_add(1, Relaxed) >= ORGANIZATION_WAITING.size() { Err(too_many_wait()) } else { Ok(waits) }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What is said to one more.
pub(super) fn too_many_wait() -> Error {
    let what = "More reads and writes of the organization wait for their turn than";
    let most = ORGANIZATION_WAITING.default;
    let error = ORGANIZATION_WAITING.exceeded(Code::Unavailable, most, what, "Ask less at once, and try again.");
    metrics::overload(Error { retry_after: Some(1), ..error })
}

/// A turn; it ends when it is dropped.
pub struct SharePermit {
    /// Did others have to go first?
    waited: bool,
    _permit: OwnedSemaphorePermit,
    /// Keeps the share known, so that nobody makes a second one beside it.
    _share: Arc<Share>,
}

impl SharePermit {
    /// Was it waited for? What was so before may not be any more.
    pub(super) fn waited(&self) -> bool {
        self.waited
    }
}

/// A connection for reading, with the turn that it was given for.
pub struct Read {
    // First the connection, then the turn: the next one finds it free.
    reader: Reader,
    _turn: SharePermit,
}

impl Read {
    /// A connection for a turn.
    pub(super) fn new(reader: Reader, turn: SharePermit) -> Self {
        Self { reader, _turn: turn }
    }

    /// The connection, to pass to a query.
    pub fn conn(&mut self) -> Conn<'_> {
        self.reader.conn()
    }
}

impl std::ops::Deref for Read {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl std::ops::DerefMut for Read {
    fn deref_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }
}

impl Shares {
    /// A turn to read.
    pub(super) async fn read(&self, organization: Uuid, limits: &Limits) -> Result<SharePermit> {
        let share = self.of(organization, limits);
        turn(Arc::clone(&share.reads), share, &READS, limits).await
    }

    /// A turn to write.
    pub(super) async fn write(&self, organization: Uuid, limits: &Limits) -> Result<SharePermit> {
        let share = self.of(organization, limits);
        turn(Arc::clone(&share.writes), share, &WRITES, limits).await
    }

    fn of(&self, organization: Uuid, limits: &Limits) -> Arc<Share> {
        let mut all = lock(&self.0);
        if all.len() >= LOOK_THROUGH && !all.contains_key(&organization) {
            all.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let new = || {
            let turns = |limit| Arc::new(Semaphore::new(limits.size(limit).min(Semaphore::MAX_PERMITS)));
            Arc::new(Share { reads: turns(&READS), writes: turns(&WRITES), waiting: AtomicUsize::new(0) })
        };
        Arc::clone(all.entry(organization).or_insert_with(new))
    }
}

async fn turn(turns: Arc<Semaphore>, share: Arc<Share>, limit: &Limit, limits: &Limits) -> Result<SharePermit> {
    // Where one is free, nobody waits.
    if let Ok(permit) = Arc::clone(&turns).try_acquire_owned() {
        return Ok(SharePermit { waited: false, _permit: permit, _share: share });
    }
    let waits = Waits::begin(&share.waiting)?;
    let turn = tokio::time::timeout(limits.time(&SHARE_WAIT), turns.acquire_owned()).await;
    drop(waits);
    match turn {
        Ok(Ok(permit)) => Ok(SharePermit { waited: true, _permit: permit, _share: share }),
        // It is never closed.
        Ok(Err(closed)) => Err(Error::internal(closed)),
        Err(_) => {
            let what = "The organization does more at once than";
            let error = limit.exceeded(Code::Unavailable, limits.get(limit), what, "Ask less at once, and try again.");
            Err(metrics::overload(Error { retry_after: Some(1), ..error }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let mut limits = Limits::default();
        limits.set(&READS, 1);
        limits.set(&WRITES, 1);
        limits.set(&SHARE_WAIT, 20);
        limits
    }

    #[tokio::test]
    async fn one_organization_waits_for_itself_alone() {
        let (shares, limits, [a, b]) = (Shares::default(), limits(), [1, 2].map(Uuid::from_u128));
        let held = shares.read(a, &limits).await.unwrap();
        let error = shares.read(a, &limits).await.err().unwrap();
        assert_eq!((error.code, error.retry_after), (Code::Unavailable, Some(1)));
        assert!(error.detail.contains("`organization_reads` (1 count)"), "{error}");
        assert!(shares.read(b, &limits).await.is_ok());
        assert!(shares.write(a, &limits).await.is_ok(), "reads and writes have turns of their own");
        drop(held);
        assert!(shares.read(a, &limits).await.is_ok());
    }

    #[tokio::test]
    async fn a_turn_says_whether_it_was_waited_for() {
        let (shares, mut limits, a) = (Shares::default(), limits(), Uuid::from_u128(1));
        limits.set(&SHARE_WAIT, 60_000);
        let held = shares.read(a, &limits).await.unwrap();
        assert!(!held.waited());
        let give_up = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        let (waited, ()) = tokio::join!(shares.read(a, &limits), give_up);
        assert!(waited.unwrap().waited());
    }

    #[tokio::test]
    async fn no_more_wait_than_the_limit_says() {
        let waiting = AtomicUsize::new(ORGANIZATION_WAITING.size() - 1);
        let last = Waits::begin(&waiting).ok().unwrap();
        let error = Waits::begin(&waiting).err().unwrap();
        assert_eq!((error.code, error.retry_after), (Code::Unavailable, Some(1)));
        assert!(error.detail.contains("`organization_waiting`"), "{error}");
        drop(last);
        assert_eq!(waiting.load(Relaxed), ORGANIZATION_WAITING.size() - 1, "who was refused does not wait");
    }

    #[tokio::test]
    async fn shares_that_nobody_has_are_forgotten_and_those_in_use_are_not() {
        let (shares, limits) = (Shares::default(), limits());
        let busy = Uuid::from_u128(7);
        let held = shares.read(busy, &limits).await.unwrap();
        for n in 100..100 + 3 * LOOK_THROUGH as u128 {
            shares.read(Uuid::from_u128(n), &limits).await.unwrap();
        }
        assert!(lock(&shares.0).len() <= LOOK_THROUGH);
        assert!(shares.read(busy, &limits).await.is_err(), "the turn is still taken");
        drop(held);
        assert!(shares.read(busy, &limits).await.is_ok());
    }
}
