//! A throttle for passwords and links: failures count by whom they are about and by whom they come from.
//!
//! An attempt counts before the password is checked and is given back when it was right: of a thousand guesses at once no
//! more are checked than of a thousand one after the other. Strangers count by account and address together, by address,
//! and by account. Whoever is [`Known`] counts alone, so that strangers can lock nobody out.
//!
//! Where several nodes serve, wrong passwords count in the database, for all of them. What each remembers is how long there is to wait:
//! who has to is refused by that, and makes no node write.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Mutex;

use tokenward_core::secret::mac;
use tokenward_core::sync::lock;
use tokenward_core::time::{Micros, SECOND};
use tokenward_core::{Code, Error, Result, Time, network};
use tokenward_store::password_failures::{self, Counted};
use tokenward_store::{Store, gave_way};
use zeroize::Zeroizing;

use super::known::{Guesser, Known};
use super::recent::Recent;
use crate::limits::{
    Limit, Limits, PASSWORD_FAILURES, SIGN_IN_ATTEMPTS, SIGN_IN_ATTEMPTS_PER_ACCOUNT, SIGN_IN_ATTEMPTS_PER_ADDRESS,
    SIGN_IN_LOCK, SIGN_IN_MEMORY, SIGN_IN_WINDOW,
};

/// The first wait. Each further failure doubles it.
const FIRST_WAIT: Micros = SECOND;
/// Failures beyond those that are free that are counted: a second becomes six days, which is more than any lock.
const BEYOND: i64 = 20;
/// How often it is asked anew that had to let others through.
const TRIES: usize = 4;

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

impl FailureKey<'_> {
    /// Is it one person's, who is forgiven what failed before by being right? The others belong to strangers too.
    fn is_own(&self) -> bool {
        matches!(self, Self::Known(_) | Self::Pair(..))
    }

    /// As all nodes know it: nobody who reads the database learns from it what was typed, or from where.
    fn digest(&self, key: &[u8; 32]) -> password_failures::Key {
        let text = |network: &Option<IpAddr>| network.map(|network| network.to_string()).unwrap_or_default();
        let of = |kind: &str, parts: [&[u8]; 2]| {
            let [a, b] = parts;
            mac(key, &[kind.as_bytes(), a, b])
        };
        let whole = match self {
            Self::Known(Known::Device(mark)) => of("device", [mark, b""]),
            Self::Known(Known::Place(account, network)) => {
                of("place", [account.as_bytes(), network.to_string().as_bytes()])
            }
            Self::Known(Known::Account(account)) => of("session", [account.as_bytes(), b""]),
            Self::Known(Known::Link(link)) => of("link", [link, b""]),
            Self::Pair(account, network) => of("pair", [account.as_bytes(), text(network).as_bytes()]),
            Self::Account(account) => of("account", [account.as_bytes(), b""]),
            Self::Address(network) => of("address", [network.to_string().as_bytes(), b""]),
            Self::Links(network) => of("links", [network.to_string().as_bytes(), b""]),
        };
        let mut kept = password_failures::Key::default();
        let length = kept.len();
        kept.copy_from_slice(&whole[..length]);
        kept
    }
}

/// The failures that are counted by one key.
struct Failures {
    /// When the last one is forgiven: each takes [`Pace::each`], one after the other.
    forgiven_at: Time,
    /// Until when nobody may try.
    until: Time,
}

impl Failures {
    fn none(now: Time) -> Self {
        Self { forgiven_at: now, until: now }
    }
}

/// How the failures of one limit are counted, in memory and in the database alike.
#[derive(Clone, Copy)]
struct Pace {
    /// How many are free.
    free: i64,
    /// In what time one is forgiven: as many as are free in a window, one after the other.
    each: Micros,
    /// The longest wait.
    lock: Micros,
}

impl Pace {
    /// How many are not forgiven yet.
    fn count(&self, forgiven_at: Time, now: Time) -> i64 {
        let left = forgiven_at.0.saturating_sub(now.0).max(0);
        left / self.each + i64::from(left % self.each != 0)
    }

    /// How long it takes until so many are forgiven.
    fn time_of(&self, count: i64) -> Micros {
        self.each.saturating_mul(count)
    }

    /// When the last one is forgiven, where one more fails now.
    fn with_one_more(&self, forgiven_at: Time, now: Time) -> Time {
        forgiven_at.max(now).plus(self.each)
    }

    /// Until when nobody may try after the last one, and when that is forgiven; `None` where it was free.
    fn wait(&self, forgiven_at: Time, now: Time) -> Option<Failures> {
        let beyond = (self.count(forgiven_at, now) - self.free).min(BEYOND);
        if beyond < 1 {
            return None;
        }
        // Of more than are counted nothing is remembered, so that some time forgives everything.
        let forgiven_at = forgiven_at.min(now.plus(self.time_of(self.free.saturating_add(BEYOND))));
        Some(Failures { forgiven_at, until: now.plus((FIRST_WAIT << (beyond - 1)).min(self.lock)) })
    }
}

/// Where failures count for all nodes.
struct OnAllNodes {
    store: Store,
    /// The key of the digests by which they count; every node has it.
    key: Zeroizing<[u8; 32]>,
}

/// Remembers failures.
pub struct Throttle {
    limits: Limits,
    /// Where other nodes count, too, how long there is to wait alone.
    failures: Mutex<Recent<Failures>>,
    on_all: Option<OnAllNodes>,
}

impl Throttle {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), failures: Mutex::new(Recent::new(SIGN_IN_MEMORY.size())), on_all: None }
    }

    /// Passwords count in this database, on all nodes that have the key, where there can be others; one server alone needs no row for
    /// it.
    #[must_use]
    pub fn on_all_nodes(self, store: &Store, key: Zeroizing<[u8; 32]>) -> Self {
        let on_all = store.is_shared().then(|| OnAllNodes { store: store.clone(), key });
        Self { on_all, ..self }
    }

    /// May there be an attempt now, as far as this node knows? Otherwise `throttled`, with the time to wait. Counts nothing.
    pub fn check(&self, guesser: &Guesser, now: Time) -> Result<()> {
        self.refuse_early(&lock(&self.failures), &keys(guesser), now)
    }

    /// There is an attempt, unless it has to wait. It counts as failed until [`Throttle::succeeded`] says otherwise.
    pub async fn attempt(&self, guesser: &Guesser, now: Time) -> Result<()> {
        let Some(on_all) = &self.on_all else { return self.attempt_here(guesser, now) };
        let mut tries = TRIES;
        loop {
            // Who has waited in line may have to wait longer by now.
            self.check(guesser, now)?;
            tries -= 1;
            match self.attempt_on_all(on_all, guesser, now).await {
                Ok(true) => return Ok(()),
                Err(error) if tries > 0 && gave_way(&error) => {}
                Err(error) => return Err(error),
                // Whoever had to wait when it was counted, and need not any more.
                Ok(false) if tries > 0 => {}
                Ok(false) => {
                    self.check(guesser, now)?;
                    return Err(self.refused(&SIGN_IN_ATTEMPTS, now, now));
                }
            }
        }
    }

    fn attempt_here(&self, guesser: &Guesser, now: Time) -> Result<()> {
        let mut failures = lock(&self.failures);
        let counted = keys(guesser);
        self.refuse_early(&failures, &counted, now)?;
        for (key, limit) in counted {
            self.count(&mut failures, &key, limit, now);
        }
        Ok(())
    }

    /// Counts it for all nodes, unless it has to wait: then `false`. How long there is to wait is remembered here.
    async fn attempt_on_all(&self, on_all: &OnAllNodes, guesser: &Guesser, now: Time) -> Result<bool> {
        let counted = keys(guesser);
        let ordered = ordered(on_all, &counted);
        let rows: Vec<Counted> =
            ordered.iter().map(|(key, at)| Counted { key: *key, each: self.pace(counted[*at].1).each }).collect();
        let mut tx = on_all.store.begin_unlogged().await?;
        let forgiven = password_failures::count(&mut tx, &rows, now).await?;
        let counts = forgiven.len() == rows.len();
        let mut waits = Vec::new();
        for (key, at) in ordered {
            let pace = self.pace(counted[at].1);
            match forgiven.iter().find(|(of, _)| *of == key) {
                // It is no attempt after all, by another key.
                Some(_) if !counts => {
                    password_failures::give_back(&mut tx, &key, pace.each, pace.time_of(pace.free), now).await?;
                }
                Some((_, forgiven_at)) => {
                    if let Some(wait) = pace.wait(*forgiven_at, now) {
                        password_failures::hold(&mut tx, &key, wait.forgiven_at, wait.until).await?;
                        waits.push((at, wait.until));
                    }
                }
                None => waits.extend(password_failures::waits_until(&mut tx, &key).await?.map(|until| (at, until))),
            }
        }
        tx.commit().await?;
        let mut failures = lock(&self.failures);
        for (at, until) in waits {
            failures.touch(&counted[at].0, || Failures::none(now)).until = until;
        }
        Ok(counts)
    }

    /// The attempt was right: it is given back, and what failed before it by the same person is forgiven.
    pub async fn succeeded(&self, guesser: &Guesser, now: Time) -> Result<()> {
        self.succeeded_here(guesser, now);
        let Some(on_all) = &self.on_all else { return Ok(()) };
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match self.succeeded_on_all(on_all, guesser, now).await {
                Err(error) if tries > 0 && gave_way(&error) => {}
                done => return done,
            }
        }
    }

    fn succeeded_here(&self, guesser: &Guesser, now: Time) {
        let mut failures = lock(&self.failures);
        for (key, limit) in keys(guesser) {
            if key.is_own() {
                failures.forget(&key);
                continue;
            }
            let pace = self.pace(limit);
            failures.change(&key, |failures| {
                failures.forgiven_at = failures.forgiven_at.plus(-pace.each);
                if pace.count(failures.forgiven_at, now) <= pace.free {
                    failures.until = now;
                }
            });
        }
    }

    async fn succeeded_on_all(&self, on_all: &OnAllNodes, guesser: &Guesser, now: Time) -> Result<()> {
        let counted = keys(guesser);
        let mut tx = on_all.store.begin_unlogged().await?;
        for (key, at) in ordered(on_all, &counted) {
            let (own, limit) = &counted[at];
            if own.is_own() {
                password_failures::forget(&mut tx, &key).await?;
            } else {
                let pace = self.pace(limit);
                password_failures::give_back(&mut tx, &key, pace.each, pace.time_of(pace.free), now).await?;
            }
        }
        tx.commit().await
    }

    /// Removes what counts no more from the database, and of more than there is room for what is forgiven soonest: who floods it
    /// with first failures pushes out those, and not what was counted of anybody for long.
    pub async fn tidy(&self, now: Time) -> Result<()> {
        let Some(on_all) = &self.on_all else { return Ok(()) };
        let mut tx = on_all.store.begin_unlogged().await?;
        password_failures::prune(&mut tx, now, PASSWORD_FAILURES.number()).await?;
        tx.commit().await
    }

    /// Somebody came with a link that leads nowhere. Answers what to say: `dead`, or that there were too many. Links that
    /// are right are never asked about here. Nobody guesses one: each node counts for itself, and writes nothing.
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

    fn pace(&self, limit: &Limit) -> Pace {
        let free = i64::from(u32::try_from(self.limits.get(limit)).unwrap_or(u32::MAX).max(1));
        let each = (self.limits.micros(&SIGN_IN_WINDOW) / free).max(1);
        Pace { free, each, lock: self.limits.micros(&SIGN_IN_LOCK) }
    }

    fn refuse_early<K: Hash>(
        &self,
        failures: &Recent<Failures>,
        keys: &[(K, &'static Limit)],
        now: Time,
    ) -> Result<()> {
        let waits = keys.iter().filter_map(|(key, limit)| Some((failures.get(key)?.until, limit)));
        let longest = waits.max_by_key(|(until, _)| *until).filter(|(until, _)| now < *until);
        longest.map_or(Ok(()), |(until, limit)| Err(self.refused(limit, until, now)))
    }

    fn refused(&self, limit: &Limit, until: Time, now: Time) -> Error {
        let seconds = u32::try_from((until.0 - now.0 + SECOND - 1) / SECOND).unwrap_or(u32::MAX).max(1);
        let advice = format!("Wait {seconds} s and try again.");
        let error = limit.exceeded(Code::Throttled, self.limits.get(limit), "More attempts failed than", &advice);
        Error { retry_after: Some(seconds), ..error }
    }

    fn count(&self, failures: &mut Recent<Failures>, key: &FailureKey<'_>, limit: &Limit, now: Time) {
        let pace = self.pace(limit);
        let failures = failures.touch(key, || Failures::none(now));
        failures.forgiven_at = pace.with_one_more(failures.forgiven_at, now);
        if let Some(wait) = pace.wait(failures.forgiven_at, now) {
            *failures = wait;
        }
    }
}

/// By what the database counts it, each with its place in the list: in one order on all nodes, so that no two wait for each other.
fn ordered(on_all: &OnAllNodes, counted: &[(FailureKey<'_>, &'static Limit)]) -> Vec<(password_failures::Key, usize)> {
    let all = counted.iter().enumerate();
    let mut all: Vec<_> = all.map(|(at, (key, _))| (key.digest(&on_all.key), at)).collect();
    all.sort_unstable();
    all
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
        guessers.into_iter().filter(|guesser| throttle.attempt_here(guesser, now).is_ok()).count()
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
            let error = throttle.attempt_here(&at("a@B.c", "192.0.2.1"), now).unwrap_err();
            assert_eq!((error.code, error.retry_after), (Code::Throttled, Some(seconds)));
            assert!(error.detail.contains("`sign_in_attempts` (5 count)"), "{error}");
            now = now.plus(i64::from(seconds) * SECOND);
            assert_eq!(throttle.attempt_here(&guesser, now).ok(), Some(()));
        }
        throttle.succeeded_here(&guesser, now);
        assert_eq!(let_through(&throttle, vec![guesser; 1_000], now), 6, "success forgives");
    }

    #[test]
    fn no_wait_is_longer_than_the_lock_and_time_forgives() {
        let throttle = throttle();
        let guesser = at("a@b.c", "192.0.2.1");
        let mut now = Time(0);
        for _ in 0..200 {
            let _ = throttle.attempt_here(&guesser, now);
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
            assert!(throttle.attempt_here(&guesser, Time(0)).is_ok(), "{n}");
            throttle.succeeded_here(&guesser, Time(0));
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

    #[test]
    fn what_is_counted_is_bounded_and_all_of_it_is_forgiven() {
        let pace = throttle().pace(&SIGN_IN_ATTEMPTS);
        let mut failures = Failures::none(Time(0));
        for _ in 0..1_000 {
            failures.forgiven_at = pace.with_one_more(failures.forgiven_at, Time(0));
            if let Some(wait) = pace.wait(failures.forgiven_at, Time(0)) {
                failures = wait;
            }
        }
        assert_eq!(pace.count(failures.forgiven_at, Time(0)), 5 + BEYOND);
        assert_eq!(failures.until, Time(15 * MINUTE));
        assert_eq!(pace.count(failures.forgiven_at, Time(1)), 5 + BEYOND, "one that is forgiven in part counts");
        assert_eq!(pace.count(failures.forgiven_at, Time(12 * MINUTE)), 4 + BEYOND);
        assert_eq!(pace.count(failures.forgiven_at, Time(300 * MINUTE)), 0);
    }

    #[test]
    fn nodes_with_one_key_count_by_the_same_and_others_learn_nothing() {
        let network: IpAddr = "192.0.2.1".parse().unwrap();
        let place = Known::Place("a@b.c".into(), network);
        let all = [
            FailureKey::Known(&place),
            FailureKey::Known(&Known::Device([7; 32])),
            FailureKey::Known(&Known::Link([7; 32])),
            FailureKey::Known(&Known::Account(Uuid::from_u128(7))),
            FailureKey::Pair("a@b.c", Some(network)),
            FailureKey::Pair("a@b.c", None),
            FailureKey::Account("a@b.c"),
            FailureKey::Address(network),
            FailureKey::Links(network),
        ];
        let digests = |key| all.iter().map(|it| it.digest(&[key; 32])).collect::<std::collections::HashSet<_>>();
        assert_eq!(digests(1).len(), all.len());
        assert_eq!(digests(1), digests(1));
        assert!(digests(1).is_disjoint(&digests(2)));
    }
}
