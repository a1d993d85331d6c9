//! A throttle for passwords and links: failures count by whom they are about and by whom they come from.
//!
//! An attempt counts before the password is checked and is given back when it was right: of a thousand guesses at once no
//! more are checked than of a thousand one after the other. Strangers count by account and address together, by address,
//! and by account. Whoever is [`Known`] counts alone, so that strangers can lock nobody out.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Mutex;

use tokenward_core::sync::lock;
use tokenward_core::time::SECOND;
use tokenward_core::{Code, Error, Result, Time, network};

use super::known::{Guesser, Known};
use super::recent::Recent;
use crate::limits::{
    Limit, Limits, SIGN_IN_ATTEMPTS, SIGN_IN_ATTEMPTS_PER_ACCOUNT, SIGN_IN_ATTEMPTS_PER_ADDRESS, SIGN_IN_LOCK,
    SIGN_IN_MEMORY, SIGN_IN_WINDOW,
};

/// The first wait. Each further failure doubles it.
const FIRST_WAIT: i64 = SECOND;
/// Doublings that are counted: a second becomes twelve days, which is more than any lock.
const DOUBLINGS: u32 = 20;

/// What the attempts of somebody are counted by, each with its limit.
fn keys(guesser: &Guesser) -> Vec<(FailureKey<'_>, &'static Limit)> {
    match guesser {
        Guesser::Known(known) => vec![(FailureKey::Known(known), &SIGN_IN_ATTEMPTS)],
        Guesser::Stranger { account, network } => {
            let mut keys = vec![
                (FailureKey::Pair(account, *network), &SIGN_IN_ATTEMPTS),
                (FailureKey::Account(account), &SIGN_IN_ATTEMPTS_PER_ACCOUNT),
            ];
            keys.extend(network.map(|network| (FailureKey::Address(network), &SIGN_IN_ATTEMPTS_PER_ADDRESS)));
            keys
        }
    }
}

/// What failures are counted by.
#[derive(Hash)]
enum FailureKey<'a> {
    Known(&'a Known),
    Pair(&'a str, Option<IpAddr>),
    Account(&'a str),
    Address(IpAddr),
    /// Links that lead nowhere, by address.
    Links(IpAddr),
}

/// The failures that are counted by one key.
struct Failures {
    /// How many are not forgiven yet.
    count: u32,
    /// Since when the next one is being forgiven.
    since: Time,
    /// Until when nobody may try.
    until: Time,
}

/// Remembers failures.
pub struct Throttle {
    limits: Limits,
    failures: Mutex<Recent<Failures>>,
}

impl Throttle {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), failures: Mutex::new(Recent::new(SIGN_IN_MEMORY.size())) }
    }

    /// May there be an attempt now? Otherwise `throttled`, with the time to wait. Counts nothing.
    pub fn check(&self, guesser: &Guesser, now: Time) -> Result<()> {
        self.refuse_early(&lock(&self.failures), &keys(guesser), now)
    }

    /// There is an attempt, unless it has to wait. It counts as failed until [`Throttle::succeeded`] says otherwise.
    pub fn attempt(&self, guesser: &Guesser, now: Time) -> Result<()> {
        let mut failures = lock(&self.failures);
        let counted = keys(guesser);
        self.refuse_early(&failures, &counted, now)?;
        for (key, limit) in counted {
            self.count(&mut failures, &key, limit, now);
        }
        Ok(())
    }

    /// The attempt was right: it is given back, and what failed before it by the same person is forgiven.
    pub fn succeeded(&self, guesser: &Guesser, now: Time) {
        let mut failures = lock(&self.failures);
        for (key, limit) in keys(guesser) {
            match key {
                FailureKey::Known(_) | FailureKey::Pair(..) => failures.forget(&key),
                // The others belong to strangers too.
                _ => failures.change(&key, |failures| {
                    failures.count = failures.count.saturating_sub(1);
                    if failures.count <= self.free(limit) {
                        failures.until = now;
                    }
                }),
            }
        }
    }

    /// Somebody came with a link that leads nowhere. Answers what to say: `dead`, or that there were too many. Links that
    /// are right are never asked about here.
    pub fn dead_link(&self, address: Option<IpAddr>, now: Time, dead: Error) -> Error {
        let Some(key) = address.map(|address| FailureKey::Links(network::of_client(address))) else { return dead };
        let mut failures = lock(&self.failures);
        let limit = &SIGN_IN_ATTEMPTS_PER_ADDRESS;
        if let Err(wait) = self.refuse_early(&failures, &[(&key, limit)], now) {
            return wait;
        }
        self.count(&mut failures, &key, limit, now);
        dead
    }

    fn free(&self, limit: &Limit) -> u32 {
        u32::try_from(self.limits.get(limit)).unwrap_or(u32::MAX).max(1)
    }

    fn refuse_early<K: Hash>(
        &self,
        failures: &Recent<Failures>,
        keys: &[(K, &'static Limit)],
        now: Time,
    ) -> Result<()> {
        let waits = keys.iter().filter_map(|(key, limit)| Some((failures.get(key)?.until, limit)));
        let Some((until, limit)) = waits.max_by_key(|(until, _)| *until).filter(|(until, _)| now < *until) else {
            return Ok(());
        };
        let seconds = u32::try_from((until.0 - now.0 + SECOND - 1) / SECOND).unwrap_or(u32::MAX);
        let advice = format!("Wait {seconds} s and try again.");
        let error = limit.exceeded(Code::Throttled, self.limits.get(limit), "More attempts failed than", &advice);
        Err(Error { retry_after: Some(seconds), ..error })
    }

    fn count(&self, failures: &mut Recent<Failures>, key: &FailureKey<'_>, limit: &Limit, now: Time) {
        let free = self.free(limit);
        let failures = failures.touch(key, || Failures { count: 0, since: now, until: now });
        // As many as are free come back in a window, one after the other.
        let each = (self.limits.micros(&SIGN_IN_WINDOW) / i64::from(free)).max(1);
        let forgiven = (now.0 - failures.since.0).max(0) / each;
        match u32::try_from(forgiven).ok().and_then(|forgiven| failures.count.checked_sub(forgiven)) {
            Some(left) if left > 0 => (failures.count, failures.since) = (left, failures.since.plus(forgiven * each)),
            _ => (failures.count, failures.since) = (0, now),
        }
        failures.count = (failures.count + 1).min(free.saturating_add(DOUBLINGS));
        if let Some(doublings) = failures.count.checked_sub(free + 1) {
            failures.until = now.plus((FIRST_WAIT << doublings).min(self.limits.micros(&SIGN_IN_LOCK)));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokenward_core::Uuid;
    use tokenward_core::time::MINUTE;

    use super::*;

    fn throttle() -> Throttle {
        Throttle::new(&Limits::default())
    }

    fn at(email: &str, address: &str) -> Guesser {
        Guesser::stranger(email, Some(address.parse().unwrap()))
    }

    /// How many attempts are let through at one moment.
    fn let_through(throttle: &Throttle, guessers: impl IntoIterator<Item = Guesser>, now: Time) -> usize {
        guessers.into_iter().filter(|guesser| throttle.attempt(guesser, now).is_ok()).count()
    }

    #[test]
    fn guesses_at_once_are_not_all_checked_and_waits_double() {
        let throttle = throttle();
        let guesser = at("A@b.c", "192.0.2.1");
        assert_eq!(
            let_through(&throttle, vec![guesser.clone(); 1_000], Time(0)),
            6,
            "five are free, the next one waits"
        );
        let mut now = Time(0);
        for seconds in [1, 2, 4, 8] {
            let error = throttle.attempt(&at("a@B.c", "192.0.2.1"), now).unwrap_err();
            assert_eq!((error.code, error.retry_after), (Code::Throttled, Some(seconds)));
            assert!(error.detail.contains("`sign_in_attempts` (5 count)"), "{error}");
            now = now.plus(i64::from(seconds) * SECOND);
            assert_eq!(throttle.attempt(&guesser, now).ok(), Some(()));
        }
        throttle.succeeded(&guesser, now);
        assert_eq!(let_through(&throttle, vec![guesser; 1_000], now), 6, "success forgives");
    }

    #[test]
    fn no_wait_is_longer_than_the_lock_and_time_forgives() {
        let throttle = throttle();
        let guesser = at("a@b.c", "192.0.2.1");
        let mut now = Time(0);
        for _ in 0..200 {
            let _ = throttle.attempt(&guesser, now);
            let wait = throttle.check(&guesser, now).err().and_then(|error| error.retry_after).unwrap_or(0);
            assert!(wait <= 15 * 60);
            now = now.plus(i64::from(wait) * SECOND);
        }
        assert_eq!(let_through(&throttle, vec![guesser.clone(); 9], now.plus(60 * MINUTE)), 1, "an hour forgives five");
        assert_eq!(let_through(&throttle, vec![guesser; 9], now.plus(600 * MINUTE)), 6);
    }

    #[test]
    fn strangers_lock_neither_the_known_nor_others_elsewhere() {
        let throttle = throttle();
        let_through(&throttle, vec![at("a@b.c", "192.0.2.1"); 1_000], Time(0));
        assert!(throttle.check(&at("a@b.c", "192.0.2.2"), Time(0)).is_ok());
        let known = Guesser::Known(Known::Account(Uuid::from_u128(1)));
        assert_eq!(
            let_through(&throttle, vec![known; 1_000], Time(0)),
            6,
            "a known one cannot guess without end either"
        );
        // Many addresses together have the account's budget.
        let crowd = (0..200).map(|n| at("a@b.c", &format!("198.51.100.{n}")));
        let passed = let_through(&throttle, crowd, Time(0));
        assert_eq!(passed, 51 - 6);
        let error = throttle.check(&at("a@b.c", "203.0.113.1"), Time(0)).unwrap_err();
        assert!(error.detail.contains("`sign_in_attempts_per_account`"), "{error}");
    }

    #[test]
    fn one_network_cannot_try_many_people() {
        let throttle = throttle();
        let many = (0..100).map(|n| at(&format!("{n}@b.c"), &format!("2001:db8::{n}")));
        assert_eq!(let_through(&throttle, many, Time(0)), 21, "IPv6 counts by /64");
        let error = throttle.check(&at("new@b.c", "2001:db8::ffff"), Time(0)).unwrap_err();
        assert!(error.detail.contains("`sign_in_attempts_per_address` (20 count)"), "{error}");
        assert!(throttle.check(&at("new@b.c", "2001:db8:0:1::1"), Time(0)).is_ok());
    }

    #[test]
    fn right_passwords_do_not_use_up_an_address() {
        let throttle = throttle();
        for n in 0..1_000 {
            let guesser = at(&format!("{n}@b.c"), "192.0.2.1");
            assert!(throttle.attempt(&guesser, Time(0)).is_ok(), "{n}");
            throttle.succeeded(&guesser, Time(0));
        }
    }

    #[test]
    fn dead_links_count_apart_from_passwords() {
        let throttle = throttle();
        let address = Some("192.0.2.1".parse().unwrap());
        let answer = || throttle.dead_link(address, Time(0), Error::not_found("link")).code;
        assert!((0..21).all(|_| answer() == Code::NotFound));
        assert_eq!(answer(), Code::Throttled);
        assert!(throttle.check(&at("a@b.c", "192.0.2.1"), Time(0)).is_ok());
    }
}
