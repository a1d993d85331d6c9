//! How sessions are used, in memory between two writes: when last, from where, with what; and in which organizations somebody was
//! active. A worker carries it to the database, at most once a session and minute. Nothing is decided by it here: a sweep over
//! the rows ends what nobody uses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokenward_core::sync::lock;
use tokenward_core::{Result, Time, Uuid};
use tokenward_store::Store;
use tokenward_store::session_uses::{self, Activity, SessionUse};

/// Parts, so that threads seldom wait for each other.
const PARTS: usize = 16;
/// Sessions, and memberships, in each part whose use is not written. What is beyond waits for its next use.
const WAITING: usize = 8_192;
/// Rows that one statement writes.
const AT_ONCE: usize = 1_000;

#[derive(Default)]
pub(super) struct SessionUses {
    /// Is there somebody who writes it? Without, nothing is gathered.
    kept: AtomicBool,
    parts: [Mutex<SessionUsePart>; PARTS],
}

#[derive(Default)]
struct SessionUsePart {
    sessions: HashMap<Uuid, SessionSeen>,
    active: HashMap<(Uuid, Uuid), Time>,
}

struct SessionSeen {
    at: Time,
    address: Option<IpAddr>,
    agent: Option<Box<str>>,
}

impl SessionUses {
    /// From now on there is somebody who writes.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// A session was accepted.
    pub(super) fn used(&self, session: Uuid, at: Time, address: Option<IpAddr>, agent: Option<&str>) {
        if !self.kept.load(Ordering::Relaxed) {
            return;
        }
        let mut part = self.part(session);
        if let Some(seen) = part.sessions.get_mut(&session) {
            seen.at = seen.at.max(at);
            seen.address = address;
            if seen.agent.as_deref() != agent {
                seen.agent = agent.map(Into::into);
            }
        } else if part.sessions.len() < WAITING {
            part.sessions.insert(session, SessionSeen { at, address, agent: agent.map(Into::into) });
        }
    }

    /// Somebody who is signed in did something in an organization.
    pub(super) fn active(&self, organization: Uuid, account: Uuid, at: Time) {
        if !self.kept.load(Ordering::Relaxed) {
            return;
        }
        let mut part = self.part(account);
        if let Some(last) = part.active.get_mut(&(organization, account)) {
            *last = (*last).max(at);
        } else if part.active.len() < WAITING {
            part.active.insert((organization, account), at);
        }
    }

    /// Writes what came since the last time, in the time of the database: what counts is how long ago it was. What cannot be
    /// written stays in memory.
    pub(super) async fn write(&self, store: &Store) -> Result<()> {
        let (mut uses, mut active) = (Vec::new(), Vec::new());
        for part in &self.parts {
            let taken = std::mem::take(&mut *lock(part));
            uses.extend(taken.sessions);
            active.extend(taken.active);
        }
        if uses.is_empty() && active.is_empty() {
            return Ok(());
        }
        let written = write(store, &uses, &active).await;
        if written.is_err() {
            for (id, SessionSeen { at, address, agent }) in uses {
                // What came since is newer.
                let known = self.part(id).sessions.contains_key(&id);
                if !known {
                    self.used(id, at, address, agent.as_deref());
                }
            }
            for ((organization, account), at) in active {
                self.active(organization, account, at);
            }
        }
        written
    }

    fn part(&self, id: Uuid) -> MutexGuard<'_, SessionUsePart> {
        // The last byte of a UUIDv7 is random.
        lock(&self.parts[usize::from(id.as_bytes()[15]) % PARTS])
    }
}

async fn write(store: &Store, uses: &[(Uuid, SessionSeen)], active: &[((Uuid, Uuid), Time)]) -> Result<()> {
    let mut tx = store.begin_unlogged().await?;
    let (now, here) = (tx.now().await?, store.now());
    let shared = |at: Time| now.plus(-(here.0 - at.0).max(0));
    // Members first: that takes the place of the writer, before any row is locked.
    for some in active.chunks(AT_ONCE) {
        let activity = |((organization, account), at): &((Uuid, Uuid), Time)| Activity {
            organization: *organization,
            account: *account,
            at: shared(*at),
        };
        session_uses::note_activity(&mut tx, &some.iter().map(activity).collect::<Vec<_>>()).await?;
    }
    for some in uses.chunks(AT_ONCE) {
        let used = |(id, seen): &(Uuid, SessionSeen)| SessionUse {
            session_id: *id,
            used_at: shared(seen.at),
            address: seen.address.map(|it| it.to_string()),
            user_agent: seen.agent.as_deref().map(str::to_owned),
        };
        session_uses::note(&mut tx, &some.iter().map(used).collect::<Vec<_>>()).await?;
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_last_use_counts() {
        let uses = SessionUses::default();
        uses.used(Uuid::from_u128(1), Time(1), None, None);
        assert!(uses.part(Uuid::from_u128(1)).sessions.is_empty(), "nobody writes");
        uses.keep();
        for n in 0..(PARTS * WAITING * 2) as u128 {
            uses.used(Uuid::from_u128(n), Time(1), None, None);
            uses.active(Uuid::from_u128(n), Uuid::from_u128(n), Time(1));
        }
        assert!(uses.parts.iter().all(|part| lock(part).sessions.len() == WAITING));
        assert!(uses.parts.iter().all(|part| lock(part).active.len() == WAITING));
        uses.used(Uuid::from_u128(1), Time(7), Some([192, 0, 2, 1].into()), Some("curl"));
        uses.used(Uuid::from_u128(1), Time(5), Some([192, 0, 2, 2].into()), Some("curl"));
        let part = uses.part(Uuid::from_u128(1));
        let seen = &part.sessions[&Uuid::from_u128(1)];
        assert_eq!((seen.at, seen.agent.as_deref()), (Time(7), Some("curl")));
    }
}
