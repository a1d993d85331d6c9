//! What happens to tokens again and again, for the log: the first time of each token is told at once, and then at most once in a
//! while with how often it was, so that a client that asks again and again does not flood it.

use std::collections::HashMap;
use std::sync::Mutex;

use tokenward_core::sync::lock;
use tokenward_core::time::{MINUTE, Micros};
use tokenward_core::{Time, Uuid};

/// Tokens of which that is remembered. What happens to more is counted where decisions are, and not told to the log.
const TOKENS: usize = 10_000;

/// Something that happens to a token, and how often it did since that was last told.
pub(crate) trait Happening: Clone {
    /// To which.
    fn token(&self) -> Uuid;
    /// How often.
    fn count(&mut self) -> &mut u64;
}

struct SeenAgain<T> {
    last: T,
    told_at: Option<Time>,
}

/// What happened, the last time of each token.
pub(crate) struct Sampled<T> {
    /// How long nothing more is told of a token that was told of.
    every: Micros,
    all: Mutex<HashMap<Uuid, SeenAgain<T>>>,
}

impl<T: Happening> Sampled<T> {
    pub(crate) fn every(every: Micros) -> Self {
        Self { every, all: Mutex::default() }
    }

    pub(crate) fn note(&self, mut happened: T) {
        let mut all = lock(&self.all);
        let room = all.len() < TOKENS;
        match all.get_mut(&happened.token()) {
            Some(known) => {
                *happened.count() += *known.last.count();
                known.last = happened;
            }
            None if room => {
                all.insert(happened.token(), SeenAgain { last: happened, told_at: None });
            }
            None => {}
        }
    }

    /// Takes back what could not be told, to be told a minute later. What came meanwhile is newer, and counts with it.
    pub(crate) fn keep(&self, mut told: T) {
        // Nothing is forgotten before it was quiet for so long.
        if let Some(known) = lock(&self.all).get_mut(&told.token()) {
            known.told_at = known.told_at.map(|at| at.plus(MINUTE.min(self.every) - self.every));
            if *known.last.count() > 0 {
                *known.last.count() += *told.count();
            } else {
                known.last = told;
            }
        }
    }

    /// What is to be told now.
    pub(crate) fn take(&self, now: Time) -> Vec<T> {
        let mut all = lock(&self.all);
        let quiet = |told_at: Option<Time>| told_at.is_none_or(|at| now.0.saturating_sub(at.0) >= self.every);
        let mut due = Vec::new();
        for it in all.values_mut() {
            if *it.last.count() > 0 && quiet(it.told_at) {
                it.told_at = Some(now);
                due.push(it.last.clone());
                *it.last.count() = 0;
            }
        }
        all.retain(|_, it| *it.last.count() > 0 || !quiet(it.told_at));
        due
    }
}

#[cfg(test)]
mod tests {
    use tokenward_core::time::HOUR;

    use super::*;

    #[derive(Clone, PartialEq, Eq, Debug)]
    struct One(&'static str, u64);

    impl Happening for One {
        fn token(&self) -> Uuid {
            Uuid::from_u128(7)
        }

        fn count(&mut self) -> &mut u64 {
            &mut self.1
        }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_once_in_a_while_with_their_number() {
        for every in [MINUTE, HOUR] {
            let all = Sampled::every(every);
            all.note(One("a", 1));
            assert_eq!(all.take(Time(0)), [One("a", 1)]);
            for _ in 0..1_000 {
                all.note(One("b", 1));
            }
            assert_eq!(all.take(Time(every - 1)), []);
            assert_eq!(all.take(Time(every)), [One("b", 1_000)]);
            assert_eq!(all.take(Time(3 * every)), []);
            assert!(lock(&all.all).is_empty(), "what is quiet is forgotten");
        }
    }

    #[test]
    fn what_could_not_be_told_is_told_a_minute_later() {
        for every in [MINUTE, HOUR] {
            let all = Sampled::every(every);
            all.note(One("a", 1));
            let told = all.take(Time(0)).remove(0);
            all.keep(told);
            all.note(One("b", 1));
            assert_eq!(all.take(Time(MINUTE - 1)), []);
            assert_eq!(all.take(Time(MINUTE)), [One("b", 2)]);
        }
    }

    #[test]
    fn of_more_tokens_than_there_is_room_for_nothing_is_told() {
        #[derive(Clone)]
        struct Of(Uuid, u64);
        impl Happening for Of {
            fn token(&self) -> Uuid {
                self.0
            }

            fn count(&mut self) -> &mut u64 {
                &mut self.1
            }
        }
        let all = Sampled::every(MINUTE);
        (0..=TOKENS as u128).for_each(|n| all.note(Of(Uuid::from_u128(n), 1)));
        assert_eq!(all.take(Time(0)).len(), TOKENS);
    }
}
