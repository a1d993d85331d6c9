//! A throttle for sign-in: failures count by address of the person and by address of the client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use tokenward_core::name::fold_email;
use tokenward_core::sync::lock;
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_core::{Code, Error, Result, Time};

/// Failures in a row before waiting begins, for one e-mail address.
const FREE: u32 = 5;
/// The same for one client address, behind which many people can sit.
const FREE_ADDRESS: u32 = 20;
/// Longest wait. Doubled with each failure from one second on.
const LONGEST: i64 = 15 * MINUTE;
/// Keys kept; beyond, the oldest are forgotten.
const KEPT: usize = 10_000;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Email(String),
    Address(IpAddr),
}

struct Failures {
    count: u32,
    until: Time,
}

/// Remembers failures. A success forgets those of its e-mail address.
#[derive(Default)]
pub struct Throttle(Mutex<HashMap<Key, Failures>>);

impl Throttle {
    /// May there be an attempt now? Otherwise `throttled`, with the time to wait.
    pub fn check(&self, email: &str, address: Option<IpAddr>, now: Time) -> Result<()> {
        let all = lock(&self.0);
        let until = keys(email, address).filter_map(|(key, _)| all.get(&key)).map(|f| f.until).max();
        match until.filter(|until| now < *until) {
            None => Ok(()),
            Some(until) => {
                let seconds = u32::try_from((until.0 - now.0 + SECOND - 1) / SECOND).unwrap_or(1);
                let detail = format!("Too many failed attempts. Wait {seconds} s and try again.");
                Err(Error { retry_after: Some(seconds), ..Error::new(Code::Throttled, detail) })
            }
        }
    }

    /// An attempt failed.
    pub fn failed(&self, email: &str, address: Option<IpAddr>, now: Time) {
        let mut all = lock(&self.0);
        if all.len() >= KEPT {
            all.retain(|_, failures| failures.until.plus(LONGEST) > now);
            if all.len() >= KEPT {
                all.clear();
            }
        }
        for (key, free) in keys(email, address) {
            let failures = all.entry(key).or_insert(Failures { count: 0, until: now });
            // An hour of quiet forgives.
            if failures.until.plus(60 * MINUTE) < now {
                failures.count = 0;
            }
            failures.count += 1;
            let beyond = failures.count.saturating_sub(free);
            let wait = if beyond == 0 { 0 } else { (SECOND << (beyond - 1).min(20)).min(LONGEST) };
            failures.until = now.plus(wait);
        }
    }

    /// An attempt succeeded.
    pub fn succeeded(&self, email: &str) {
        lock(&self.0).remove(&key(email));
    }
}

/// No address is longer than 254 characters; what somebody sends instead must not fill the memory.
fn key(email: &str) -> Key {
    Key::Email(fold_email(&email.chars().take(254).collect::<String>()))
}

fn keys(email: &str, address: Option<IpAddr>) -> impl Iterator<Item = (Key, u32)> {
    let email = key(email);
    std::iter::once((email, FREE)).chain(address.map(|address| (Key::Address(address), FREE_ADDRESS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_slows_down_and_success_forgives() {
        let throttle = Throttle::default();
        let mut now = Time(0);
        for _ in 0..FREE {
            assert!(throttle.check("A@b.c", None, now).is_ok());
            throttle.failed("a@b.c", None, now);
        }
        assert!(throttle.check("a@b.c", None, now).is_ok());
        throttle.failed("a@B.c", None, now);
        assert_eq!(throttle.check("a@b.c", None, now).map_err(|e| e.retry_after), Err(Some(1)));
        now = now.plus(SECOND);
        assert!(throttle.check("a@b.c", None, now).is_ok());
        throttle.succeeded("a@b.c");
        throttle.failed("a@b.c", None, now);
        assert!(throttle.check("a@b.c", None, now).is_ok());
    }

    #[test]
    fn one_address_cannot_try_many_people() {
        let throttle = Throttle::default();
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        for n in 0..=FREE_ADDRESS {
            throttle.failed(&format!("{n}@b.c"), address, Time(0));
        }
        assert!(throttle.check("new@b.c", address, Time(0)).is_err());
        assert!(throttle.check("new@b.c", None, Time(0)).is_ok());
    }
}
