//! Secrets that were presented under an older pepper, on their way to the newest.
//!
//! Who finds one notes its digest under the newest, which it has computed anyway; the worker that carries uses to the
//! database carries these along. With one pepper, and for what is found under the newest, nothing here is ever called.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, TryLockError};

use tokenward_core::Result;
use tokenward_core::secret::Digest;
use tokenward_core::sync::lock;
use tokenward_store::{Store, peppers};

use crate::tally::Secret;

/// Parts, so that threads seldom meet.
const PARTS: usize = 16;
/// Secrets that wait at most in each part; the others are noted when they are presented again.
const WAITING: usize = 1_024;
/// Secrets of each part that are known to be done. When there are more, all are forgotten: one that is noted once more is
/// written once more, which changes nothing.
const DONE: usize = 4_096;
/// Rows that one transaction writes: others wait for it.
const WRITTEN_AT_ONCE: usize = 1_000;

/// What waits, and what is done.
#[derive(Default)]
pub(super) struct Rekeys([Mutex<RekeyNoted>; PARTS]);

#[derive(Default)]
struct RekeyNoted {
    due: HashMap<Secret, Digest>,
    /// Memory may know them under the older digest until their token is read again, so they are found so again.
    done: HashSet<Secret>,
}

impl RekeyNoted {
    fn finish(&mut self, secret: Secret) {
        self.due.remove(&secret);
        if self.done.len() >= DONE {
            self.done.clear();
        }
        self.done.insert(secret);
    }
}

impl Rekeys {
    fn part(&self, (token, _): Secret) -> &Mutex<RekeyNoted> {
        // The last byte of an id is random.
        &self.0[usize::from(token.as_bytes()[15]) % PARTS]
    }

    /// This secret was found under an older pepper; its digest under the newest is this. Nobody waits here: where another
    /// thread notes something just now, this one is noted when it is presented again.
    pub(super) fn note(&self, secret: Secret, digest: Digest) {
        let mut noted = match self.part(secret).try_lock() {
            Ok(noted) => noted,
            Err(TryLockError::Poisoned(noted)) => noted.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if noted.due.len() < WAITING && !noted.done.contains(&secret) {
            noted.due.insert(secret, digest);
        }
    }

    /// Some of what waits, in one order everywhere: two nodes that write the same rows never wait for each other in a circle.
    fn some(&self) -> Vec<(Secret, Digest)> {
        let mut some = Vec::new();
        for part in &self.0 {
            let noted = lock(part);
            let room = WRITTEN_AT_ONCE - some.len();
            some.extend(noted.due.iter().take(room).map(|(secret, digest)| (*secret, *digest)));
        }
        some.sort_by_key(|(secret, _)| *secret);
        some
    }

    /// Writes what waits under this version of the pepper. What cannot be written waits on. Answers how many rows it wrote.
    pub(super) async fn write(&self, store: &Store, version: i32) -> Result<usize> {
        let mut written = 0;
        loop {
            let some = self.some();
            if some.is_empty() {
                return Ok(written);
            }
            let mut tx = store.begin_unlogged().await?;
            for ((token, of), digest) in &some {
                written += usize::from(peppers::rekey(&mut tx, *token, *of, digest, version).await?);
            }
            tx.commit().await?;
            for (secret, _) in some {
                lock(self.part(secret)).finish(secret);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokenward_core::Uuid;

    use super::*;

    #[test]
    fn what_waits_and_what_is_done_has_a_bound() {
        let rekeys = Rekeys::default();
        let secret = |n: usize| (Uuid::from_u128(n as u128), 1);
        for n in 0..PARTS * WAITING * 2 {
            rekeys.note(secret(n), Digest([0; 32]));
        }
        let waiting = || rekeys.0.iter().map(|part| lock(part).due.len()).sum::<usize>();
        assert_eq!(waiting(), PARTS * WAITING);
        assert_eq!(rekeys.some().len(), WRITTEN_AT_ONCE);
        for n in 0..PARTS * DONE * 2 {
            lock(rekeys.part(secret(n))).finish(secret(n));
        }
        assert_eq!(waiting(), 0);
        assert!(rekeys.0.iter().all(|part| lock(part).done.len() <= DONE));
        // What is done is not noted again as long as that is known.
        let last = PARTS * DONE * 2 - 1;
        rekeys.note(secret(last), Digest([0; 32]));
        assert_eq!(waiting(), 0);
    }

    #[test]
    fn nobody_waits_to_note_something() {
        let rekeys = Rekeys::default();
        let secret = (Uuid::from_u128(7), 1);
        let held = lock(rekeys.part(secret));
        rekeys.note(secret, Digest([0; 32]));
        drop(held);
        assert!(rekeys.some().is_empty());
        rekeys.note(secret, Digest([0; 32]));
        assert_eq!(rekeys.some().len(), 1);
    }
}
