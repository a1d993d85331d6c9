//! What this process has committed itself, on its way to the follower: then that need not be read from the database.
//!
//! It is applied only where the follower has applied all before it and its hash goes on from there; anything else is read. It
//! says nothing of what others have committed, so that it keeps no node fresh. A commit that nobody confirmed is not told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokenward_core::Uuid;
use tokenward_core::sync::lock;
use tokenward_store::log::Skeleton;
use tokenward_store::tokens::{DescriptionRow, IndexRow};
use tokio::sync::Notify;

/// Commits that wait at most. Where the follower is so far behind, it reads many at once.
const MOST: usize = 64;

/// A commit that was about ordinary tokens and nothing else: its events, and the rows that they name as it left them.
#[derive(Debug)]
pub struct Fed {
    /// Its events, in the order of their positions.
    pub events: Vec<Skeleton>,
    /// All secrets of the tokens.
    pub rows: Vec<IndexRow>,
    /// Labels and metadata of those that have some.
    pub described: Vec<DescriptionRow>,
    /// What is kept for ever of the digests of their secrets, by token.
    pub used: Vec<(Uuid, String)>,
}

/// Those that wait for the follower.
#[derive(Default)]
pub(crate) struct Feeding {
    waiting: Mutex<Vec<Fed>>,
    /// Up to which position something was told.
    through: AtomicI64,
    /// So many commits are on their way, of which it will be told.
    coming: AtomicUsize,
    /// Tells the follower that there is one.
    pub(crate) told: Notify,
}

/// A commit is on its way, and will be told where it is confirmed.
pub(crate) struct Coming<'f>(&'f Feeding);

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Feeding {
    /// From now on a commit is on its way, as long as the answer is kept.
    pub(crate) fn expect(&self) -> Coming<'_> {
        self.coming.fetch_add(1, Ordering::AcqRel);
        Coming(self)
    }

    /// Is one?
    pub(crate) fn is_coming(&self) -> bool {
        self.coming.load(Ordering::Acquire) > 0
    }

    /// Has the follower apply it.
    pub(crate) fn put(&self, fed: Fed) {
        let Some(last) = fed.events.last().map(|row| row.position) else { return };
        {
            let mut waiting = lock(&self.waiting);
            if waiting.len() >= MOST {
                waiting.clear();
            }
            waiting.push(fed);
        }
        self.through.fetch_max(last, Ordering::AcqRel);
        self.told.notify_one();
    }

    /// Was the follower told of what stands at this position?
    pub(crate) fn reaches(&self, position: i64) -> bool {
        self.through.load(Ordering::Acquire) >= position
    }

    /// The log is read anew: what was told before says nothing of it.
    pub(crate) fn forget(&self) {
        self.through.store(0, Ordering::Release);
    }

    pub(crate) fn take(&self) -> Vec<Fed> {
        std::mem::take(&mut *lock(&self.waiting))
    }
}

impl Fed {
    /// The position and the hash at its end.
    pub(crate) fn end(&self) -> (i64, Vec<u8>) {
        self.events.last().map_or_else(Default::default, |row| (row.position, row.hash.clone()))
    }

    /// Does it go on from this position with this hash?
    pub(crate) fn follows(&self, position: i64, hash: &[u8]) -> bool {
        let mut before = hash;
        self.events.iter().zip(position + 1..).all(|(row, expected)| {
            let follows = row.position == expected && row.follows(before);
            before = &row.hash;
            follows
        })
    }
}

#[cfg(test)]
mod tests {
    use tokenward_core::Time;

    use super::*;

    fn event(position: i64) -> Skeleton {
        Skeleton {
            position,
            id: Uuid::from_u128(1),
            time: Time(1),
            organization_id: None,
            kind: "token.created".to_owned(),
            target_id: Uuid::from_u128(2),
            related_id: None,
            payload_digest: vec![0; 32],
            // No chain has it.
            hash: vec![1; 32],
        }
    }

    fn fed(position: i64) -> Fed {
        Fed { events: vec![event(position)], rows: Vec::new(), described: Vec::new(), used: Vec::new() }
    }

    #[test]
    fn what_has_another_place_or_hash_does_not_follow() {
        assert!(!fed(3).follows(2, &[0; 32]), "its hash is none of this chain");
        assert!(!fed(3).follows(1, &[0; 32]), "one is missing before it");
        assert_eq!(fed(3).end(), (3, vec![1; 32]));
    }

    #[test]
    fn a_commit_is_on_its_way_until_it_is_told() {
        let feeding = Feeding::default();
        assert!(!feeding.is_coming());
        let (first, second) = (feeding.expect(), feeding.expect());
        drop(first);
        assert!(feeding.is_coming());
        drop(second);
        assert!(!feeding.is_coming());
    }

    #[test]
    fn so_many_wait_at_most_and_then_all_is_read() {
        let feeding = Feeding::default();
        for position in 1..=(MOST as i64 + 1) {
            feeding.put(fed(position));
        }
        assert!(feeding.reaches(MOST as i64 + 1) && !feeding.reaches(MOST as i64 + 2));
        assert_eq!(feeding.take().len(), 1);
        feeding.forget();
        assert!(!feeding.reaches(1), "that was another log");
        assert!(feeding.take().is_empty());
    }
}
