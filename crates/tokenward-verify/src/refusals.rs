//! Which tokens were refused, counted in memory by reason and client: a verification never waits for anybody who reads it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;

use tokenward_core::reason::Reason;
use tokenward_core::sync::lock;

/// Parts, so that threads seldom wait for each other.
const PARTS: usize = 16;
/// Clients and reasons that a part tells apart; what more there is counts as one without a client. In all some 400 KiB.
const KINDS: usize = 256;

/// Tokens that were refused for one reason to one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// To whom, as far as that was told.
    pub client: Option<IpAddr>,
    /// How often.
    pub count: u64,
}

type RefusalPart = HashMap<(Reason, Option<IpAddr>), u64>;

/// Counts refusals until somebody takes the counts.
pub(super) struct Refusals {
    hasher: RandomState,
    parts: [Mutex<RefusalPart>; PARTS],
}

impl Default for Refusals {
    fn default() -> Self {
        Self { hasher: RandomState::new(), parts: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Refusals {
    /// There was one.
    pub(super) fn count(&self, reason: Reason, client: Option<IpAddr>) {
        // Fewer parts than any number of them.
        let part = usize::try_from(self.hasher.hash_one(client) % PARTS as u64).unwrap_or(0);
        let mut part = lock(&self.parts[part]);
        let key = (reason, client);
        let key = if part.len() < KINDS || part.contains_key(&key) { key } else { (reason, None) };
        *part.entry(key).or_default() += 1;
    }

    /// What came since the last time, the most frequent first.
    pub(super) fn take(&self) -> Vec<Refused> {
        let mut sums: RefusalPart = HashMap::new();
        for part in &self.parts {
            for (key, count) in std::mem::take(&mut *lock(part)) {
                *sums.entry(key).or_default() += count;
            }
        }
        let mut all: Vec<Refused> =
            sums.into_iter().map(|((reason, client), count)| Refused { reason, client, count }).collect();
        all.sort_by_key(|refused| (std::cmp::Reverse(refused.count), refused.client, refused.reason.as_str()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason_and_client_and_taken_once() {
        let refusals = Refusals::default();
        let (one, two) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        for _ in 0..3 {
            refusals.count(Reason::Unknown, one);
        }
        refusals.count(Reason::Revoked, one);
        refusals.count(Reason::Unknown, two);
        let refused = |reason, client, count| Refused { reason, client, count };
        let expected =
            [refused(Reason::Unknown, one, 3), refused(Reason::Revoked, one, 1), refused(Reason::Unknown, two, 1)];
        assert_eq!(refusals.take(), expected);
        assert!(refusals.take().is_empty());
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost_from_the_sums() {
        let refusals = Refusals::default();
        for n in 0..100_000u32 {
            refusals.count(Reason::Unknown, Some(IpAddr::from(n.to_be_bytes())));
        }
        let all = refusals.take();
        assert!(all.len() <= PARTS * (KINDS + 1), "{}", all.len());
        assert_eq!(all.iter().map(|refused| refused.count).sum::<u64>(), 100_000);
    }
}
