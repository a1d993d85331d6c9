//! What policies have denied, for the log: the first one of each token at once, and then at most one a minute with how many there
//! were, so that a client that asks again and again does not flood it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use tokenward_core::sync::lock;
use tokenward_core::time::MINUTE;
use tokenward_core::{Time, Uuid};

/// Tokens of which denials are remembered. Those of more tokens are counted where decisions are, and not told to the log.
const TOKENS: usize = 10_000;

/// What the policy of a token has denied since it was last told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyDenied {
    /// The organization of the token.
    pub organization: Uuid,
    /// The token.
    pub token: Uuid,
    /// Its name.
    pub name: String,
    /// The last request.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// From which address it came.
    pub address: Option<IpAddr>,
    /// How many there were.
    pub count: u64,
}

struct Denied {
    last: PolicyDenied,
    told_at: Option<Time>,
}

/// Denials by token.
#[derive(Default)]
pub(crate) struct Denials(Mutex<HashMap<Uuid, Denied>>);

impl Denials {
    pub(crate) fn note(&self, denied: PolicyDenied) {
        let mut all = lock(&self.0);
        let room = all.len() < TOKENS;
        match all.get_mut(&denied.token) {
            Some(known) => {
                let count = known.last.count + denied.count;
                known.last = PolicyDenied { count, ..denied };
            }
            None if room => {
                all.insert(denied.token, Denied { last: denied, told_at: None });
            }
            None => {}
        }
    }

    /// Takes back what could not be told. What came meanwhile is newer, and counts with it.
    pub(crate) fn keep(&self, denied: PolicyDenied) {
        match lock(&self.0).get_mut(&denied.token) {
            Some(known) if known.last.count > 0 => known.last.count += denied.count,
            Some(known) => known.last = denied,
            // Nothing is forgotten before it was quiet for a minute.
            None => {}
        }
    }

    /// What is to be told now.
    pub(crate) fn take(&self, now: Time) -> Vec<PolicyDenied> {
        let mut all = lock(&self.0);
        let quiet = |told_at: Option<Time>| told_at.is_none_or(|at| now.0.saturating_sub(at.0) >= MINUTE);
        let due = all.values_mut().filter(|it| it.last.count > 0 && quiet(it.told_at));
        let due: Vec<PolicyDenied> = due
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

    #[test]
    fn the_first_is_told_at_once_and_the_others_once_a_minute_with_their_number() {
        let denials = Denials::default();
        let one = |path: &str| PolicyDenied {
            organization: Uuid::nil(),
            token: Uuid::from_u128(7),
            name: "ci".into(),
            method: "GET".into(),
            path: path.into(),
            address: None,
            count: 1,
        };
        denials.note(one("/a"));
        assert_eq!(denials.take(Time(0)), [one("/a")]);
        for _ in 0..1_000 {
            denials.note(one("/b"));
        }
        assert_eq!(denials.take(Time(MINUTE - 1)), []);
        let told = denials.take(Time(MINUTE));
        assert_eq!(told, [PolicyDenied { count: 1_000, ..one("/b") }]);
        denials.keep(told.into_iter().next().unwrap());
        denials.note(one("/c"));
        assert_eq!(denials.take(Time(2 * MINUTE)), [PolicyDenied { count: 1_001, ..one("/c") }], "what was not told");
        assert_eq!(denials.take(Time(4 * MINUTE)), []);
        assert!(lock(&denials.0).is_empty(), "what is quiet is forgotten");
    }
}
