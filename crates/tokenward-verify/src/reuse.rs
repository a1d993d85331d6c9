//! Replaced secrets that came back after their overlap, for the log: the first time of each token at once, and then at most once
//! an hour with how often it was, so that a client that was forgotten does not flood it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use tokenward_core::sync::lock;
use tokenward_core::time::{HOUR, MINUTE};
use tokenward_core::{Time, Uuid};

/// Tokens of which that is remembered. Those of more tokens are counted where decisions are, and not told to the log.
const TOKENS: usize = 10_000;

/// How a replaced secret of a token came back since that was last told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reused {
    /// The organization of the token.
    pub organization: Uuid,
    /// The token.
    pub token: Uuid,
    /// Its name.
    pub name: String,
    /// Which of its secrets came the last time.
    pub version: u16,
    /// From which address.
    pub address: Option<IpAddr>,
    /// With which client.
    pub agent: Option<String>,
    /// How often it was.
    pub count: u64,
}

struct Seen {
    last: Reused,
    told_at: Option<Time>,
}

/// The same by token.
#[derive(Default)]
pub(crate) struct Reuses(Mutex<HashMap<Uuid, Seen>>);

impl Reuses {
    pub(crate) fn note(&self, reused: Reused) {
        let mut all = lock(&self.0);
        let room = all.len() < TOKENS;
        match all.get_mut(&reused.token) {
            Some(known) => {
                let count = known.last.count + reused.count;
                known.last = Reused { count, ..reused };
            }
            None if room => {
                all.insert(reused.token, Seen { last: reused, told_at: None });
            }
            None => {}
        }
    }

    /// Takes back what could not be told, to be told a minute later. What came meanwhile is newer, and counts with it.
    pub(crate) fn keep(&self, reused: Reused) {
        if let Some(known) = lock(&self.0).get_mut(&reused.token) {
            known.told_at = known.told_at.map(|at| at.plus(MINUTE - HOUR));
            if known.last.count > 0 {
                known.last.count += reused.count;
            } else {
                known.last = reused;
            }
        }
    }

    /// What is to be told now.
    pub(crate) fn take(&self, now: Time) -> Vec<Reused> {
        let mut all = lock(&self.0);
        let quiet = |told_at: Option<Time>| told_at.is_none_or(|at| now.0.saturating_sub(at.0) >= HOUR);
        let due = all.values_mut().filter(|it| it.last.count > 0 && quiet(it.told_at));
        let due: Vec<Reused> = due
            .map(|it| {
                it.told_at = Some(now);
                let told = it.last.clone();
                it.last.count = 0;
                told
            })
            .collect();
        all.retain(|_, it| it.last.count > 0 || !quiet(it.told_at));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(version: u16) -> Reused {
        Reused {
            organization: Uuid::nil(),
            token: Uuid::from_u128(7),
            name: "ci".into(),
            version,
            address: None,
            agent: None,
            count: 1,
        }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_once_an_hour_with_their_number() {
        let reuses = Reuses::default();
        reuses.note(one(1));
        assert_eq!(reuses.take(Time(0)), [one(1)]);
        for _ in 0..1_000 {
            reuses.note(one(2));
        }
        assert_eq!(reuses.take(Time(HOUR - 1)), []);
        assert_eq!(reuses.take(Time(HOUR)), [Reused { count: 1_000, ..one(2) }]);
        assert_eq!(reuses.take(Time(3 * HOUR)), []);
        assert!(lock(&reuses.0).is_empty(), "what is quiet is forgotten");
    }

    #[test]
    fn what_could_not_be_told_is_told_soon() {
        let reuses = Reuses::default();
        reuses.note(one(1));
        let told = reuses.take(Time(0)).remove(0);
        reuses.keep(told);
        reuses.note(one(1));
        assert_eq!(reuses.take(Time(MINUTE - 1)), []);
        assert_eq!(reuses.take(Time(MINUTE)), [Reused { count: 2, ..one(1) }]);
    }
}
