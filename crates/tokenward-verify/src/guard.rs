//! A budget of misses for each client address: guessing is answered ever less, and only guessing.
//!
//! The guard is asked after a text turned out to be malformed or unknown, never before: a valid token passes whatever
//! its neighbours did, and a hit costs nothing here. IPv6 counts by /64, which is what one client gets.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use tokenward_core::sync::lock;
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_core::{Code, Error, Result, Time, network};

/// The budget is for this long, and spent it is back after as long.
const WINDOW: i64 = MINUTE;
/// Misses a minute and address, unless the configuration says otherwise.
pub(crate) const BUDGET: u32 = 100;
/// Sets of addresses; the lock is per set.
const SETS: usize = 1 << 10;
/// Addresses in a set: with the sets 16,384 addresses, half a megabyte at most.
const WAYS: usize = 16;

/// Counts misses.
pub struct MissGuard {
    /// Microseconds that one miss costs of [`WINDOW`]; 0 is no limit.
    cost: AtomicI64,
    hasher: RandomState,
    sets: Box<[Mutex<Vec<Slot>>]>,
}

/// The generic cell rate algorithm (ITU-T I.371, annex A): one moment is all there is to keep of an address.
#[derive(Clone, Copy)]
struct Slot {
    address: u128,
    /// When all of the budget is back. Before now: nothing is spent.
    whole_at: Time,
}

impl Default for MissGuard {
    fn default() -> Self {
        let guard = Self {
            cost: AtomicI64::new(0),
            hasher: RandomState::new(),
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
        };
        guard.limit(BUDGET);
        guard
    }
}

impl MissGuard {
    /// Sets the misses a minute and address; 0 is no limit.
    pub fn limit(&self, budget: u32) {
        self.cost.store(WINDOW.checked_div(budget.into()).unwrap_or(0), Ordering::Relaxed);
    }

    /// There was a miss: takes it from the budget, or answers `throttled` when nothing is left.
    pub fn miss(&self, address: IpAddr, now: Time) -> Result<()> {
        let cost = self.cost.load(Ordering::Relaxed);
        if cost == 0 {
            return Ok(());
        }
        let address = key(address);
        // The hasher's keys are random, so that nobody can aim at the set of somebody else.
        let set = usize::try_from(self.hasher.hash_one(address) % SETS as u64).unwrap_or(0);
        let mut set = lock(&self.sets[set]);
        let slot = match set.iter().position(|slot| slot.address == address) {
            Some(at) => &mut set[at],
            None => admit(&mut set, address, now),
        };
        let spent = (slot.whole_at.0 - now.0).max(0);
        if spent + cost > WINDOW {
            // What is refused costs nothing, or somebody who goes on would never be heard again.
            let seconds = u32::try_from((spent + cost - WINDOW + SECOND - 1) / SECOND).unwrap_or(1);
            let detail = format!("Too many unknown tokens came from this address. Wait {seconds} s and try again.");
            return Err(Error { retry_after: Some(seconds), ..Error::new(Code::Throttled, detail) });
        }
        slot.whole_at = now.plus(spent + cost);
        Ok(())
    }
}

/// A place for an address. In a full set the one that spent least gives way: a flood of addresses with one miss each
/// does not wash out those that guess.
fn admit(set: &mut Vec<Slot>, address: u128, now: Time) -> &mut Slot {
    let slot = Slot { address, whole_at: now };
    let at = if set.len() < WAYS {
        set.push(slot);
        set.len() - 1
    } else {
        let least = set.iter().enumerate().min_by_key(|(_, slot)| slot.whole_at).map_or(0, |(at, _)| at);
        set[least] = slot;
        least
    };
    &mut set[at]
}

fn key(address: IpAddr) -> u128 {
    match network::of_client(address) {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(network) => network.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn guard(budget: u32) -> MissGuard {
        let guard = MissGuard::default();
        guard.limit(budget);
        guard
    }

    #[test]
    fn a_budget_is_spent_and_comes_back() {
        let guard = guard(60);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..60 {
            assert!(guard.miss(one, Time(0)).is_ok());
        }
        for _ in 0..1_000 {
            let error = guard.miss(one, Time(0)).unwrap_err();
            assert_eq!((error.code, error.retry_after), (Code::Throttled, Some(1)));
        }
        assert!(guard.miss(other, Time(0)).is_ok());
        assert!(guard.miss(one, Time(SECOND)).is_ok());
        assert!(guard.miss(one, Time(SECOND)).is_err());
        for _ in 0..60 {
            assert!(guard.miss(one, Time(10 * MINUTE)).is_ok());
        }
        assert!(guard.miss(one, Time(10 * MINUTE)).is_err());
    }

    #[test]
    fn ipv6_counts_by_64_and_mapped_addresses_as_ipv4() {
        let guard = guard(1);
        assert!(guard.miss(address("2001:db8:0:1::1"), Time(0)).is_ok());
        assert!(guard.miss(address("2001:db8:0:1:ffff::2"), Time(0)).is_err());
        assert!(guard.miss(address("2001:db8:0:2::1"), Time(0)).is_ok());
        assert!(guard.miss(address("192.0.2.1"), Time(0)).is_ok());
        assert!(guard.miss(address("::ffff:192.0.2.1"), Time(0)).is_err());
    }

    #[test]
    fn memory_is_bounded_and_a_flood_washes_nobody_out() {
        let guard = guard(10);
        let guesser = address("192.0.2.1");
        while guard.miss(guesser, Time(0)).is_ok() {}
        for n in 0..200_000u32 {
            assert!(guard.miss(IpAddr::from(n.to_be_bytes()), Time(0)).is_ok() || n < 1 << 8);
        }
        let kept: usize = guard.sets.iter().map(|set| set.lock().unwrap().len()).sum();
        assert!(kept <= SETS * WAYS, "{kept}");
        assert!(guard.miss(guesser, Time(0)).is_err());
    }

    #[test]
    fn without_a_budget_there_is_no_limit() {
        let guard = guard(0);
        assert!((0..10_000).all(|_| guard.miss(address("192.0.2.1"), Time(0)).is_ok()));
    }
}
