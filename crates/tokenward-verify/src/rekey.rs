//! Secrets that were presented under an older pepper, on their way to the newest.
//!
//! Who finds one notes its digest under the newest, which it has computed anyway; the worker that carries uses to the
//! database carries these along. With one pepper nothing here is ever called.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use tokenward_core::Result;
use tokenward_core::secret::Digest;
use tokenward_core::sync::lock;
use tokenward_store::{Store, peppers};

use crate::tally::Secret;

/// Secrets that wait at most; the others are noted when they are presented again.
const WAITING: usize = 16_384;
/// Rows that one transaction writes: others wait for it.
const WRITTEN_AT_ONCE: usize = 1_000;

/// What waits, and what is done.
#[derive(Default)]
pub(super) struct Rekeys(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    due: HashMap<Secret, Digest>,
    /// Memory may know them under the older digest until their token is read again, so they are found so again.
    done: HashSet<Secret>,
}

impl Rekeys {
    /// This secret was found under an older pepper; its digest under the newest is this.
    pub(super) fn note(&self, secret: Secret, digest: Digest) {
        let mut noted = lock(&self.0);
        if noted.due.len() < WAITING && !noted.done.contains(&secret) {
            noted.due.insert(secret, digest);
        }
    }

    /// Writes what waits under this version of the pepper. What cannot be written waits on. Answers how many rows it wrote.
    pub(super) async fn write(&self, store: &Store, version: i32) -> Result<usize> {
        let mut written = 0;
        loop {
            let some: Vec<(Secret, Digest)> =
                lock(&self.0).due.iter().take(WRITTEN_AT_ONCE).map(|(secret, digest)| (*secret, *digest)).collect();
            if some.is_empty() {
                return Ok(written);
            }
            let mut ordered = some;
            // In one order everywhere: two nodes that write the same rows never wait for each other in a circle.
            ordered.sort_by_key(|(secret, _)| *secret);
            let mut tx = store.begin_unlogged().await?;
            for ((token, of), digest) in &ordered {
                written += usize::from(peppers::rekey(&mut tx, *token, *of, digest, version).await?);
            }
            tx.commit().await?;
            let mut noted = lock(&self.0);
            for (secret, _) in ordered {
                noted.due.remove(&secret);
                noted.done.insert(secret);
            }
        }
    }
}
