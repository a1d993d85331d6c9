//! The policies of all living policy tokens, compiled, as the follower has learned them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokenward_core::sync::{read, write};
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::tokens::PolicyRow;

#[cfg(feature = "policies")]
use super::engine::Policy;

/// A question that takes longer is nothing for a thread that others wait for.
const QUICK: Duration = Duration::from_millis(1);
/// After one such question so many must be quick in a row until the policy counts as quick again. Else a policy that is slow now
/// and then would have every thread of the runtime.
const PROBATION: u32 = 1_000;

/// The policy of a token.
#[derive(Debug)]
pub(crate) struct HeldPolicy {
    /// The organization of the token.
    pub(crate) organization: Uuid,
    /// Which version of it this is.
    pub(crate) written_at: Time,
    /// What is asked; `None` where this version of the program cannot use it. Then everything is denied.
    #[cfg(feature = "policies")]
    pub(crate) policy: Option<Policy>,
    /// How many questions it must answer quickly until it counts as quick.
    pub(crate) probation: AtomicU32,
}

impl HeldPolicy {
    /// May a question take longer than others can wait? So it is with one that was never asked.
    pub(crate) fn takes_long(&self) -> bool {
        self.probation.load(Relaxed) > 0
    }

    /// A question took so long.
    pub(crate) fn took(&self, time: Duration) {
        let left = self.probation.load(Relaxed);
        if time > QUICK {
            self.probation.store(PROBATION, Relaxed);
        } else if left > 0 {
            // Of two threads at once one may go uncounted.
            self.probation.store(left - 1, Relaxed);
        }
    }
}

/// Policies by token.
#[derive(Default)]
pub(crate) struct Policies {
    all: RwLock<HashMap<Uuid, Arc<HeldPolicy>>>,
    /// How many there are, for those who ask with every request.
    count: AtomicUsize,
}

impl Policies {
    pub(crate) fn get(&self, token: Uuid) -> Option<Arc<HeldPolicy>> {
        read(&self.all).get(&token).cloned()
    }

    /// Is this still the version of the token's policy that counts?
    pub(crate) fn is_current(&self, token: Uuid, written_at: Time) -> bool {
        read(&self.all).get(&token).is_some_and(|held| held.written_at == written_at)
    }

    /// Puts these in the place of all.
    pub(crate) fn replace(&self, all: Vec<(Uuid, HeldPolicy)>) {
        let mut own = write(&self.all);
        *own = all.into_iter().map(|(token, held)| (token, Arc::new(held))).collect();
        self.count.store(own.len(), Relaxed);
    }

    /// Puts these in the place of what is known of `tokens`.
    pub(crate) fn put(&self, tokens: &[Uuid], policies: Vec<(Uuid, HeldPolicy)>) {
        if tokens.is_empty() {
            return;
        }
        let mut all = write(&self.all);
        if !all.is_empty() {
            tokens.iter().for_each(|token| drop(all.remove(token)));
        }
        all.extend(policies.into_iter().map(|(token, held)| (token, Arc::new(held))));
        self.count.store(all.len(), Relaxed);
    }

    /// Forgets those of organizations that are gone.
    pub(crate) fn keep(&self, of: impl Fn(Uuid) -> bool) {
        let mut all = write(&self.all);
        all.retain(|_, held| of(held.organization));
        self.count.store(all.len(), Relaxed);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Relaxed)
    }
}

/// Compiles policies as they are kept, on threads of their own: many at a start, which waits for them.
pub(crate) async fn compile(mut rows: Vec<PolicyRow>) -> Result<Vec<(Uuid, HeldPolicy)>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = rows.len().div_ceil(threads).max(1);
    let mut parts = Vec::with_capacity(threads);
    while !rows.is_empty() {
        let part = rows.split_off(rows.len().saturating_sub(share));
        parts.push(tokio::task::spawn_blocking(move || part.into_iter().map(held).collect::<Result<Vec<_>>>()));
    }
    let mut all = Vec::new();
    for part in parts {
        all.extend(part.await.map_err(Error::internal)??);
    }
    Ok(all)
}

#[cfg(feature = "policies")]
fn held(row: PolicyRow) -> Result<(Uuid, HeldPolicy)> {
    // It was taken when it was written. What an earlier version took and this one does not, denies.
    let (token, denied) = (row.token_id, "a policy cannot be used any more: its token is denied everything");
    let policy = match Policy::compile(&row.source) {
        Ok(policy) => policy.inspect_err(|problem| tracing::warn!(%token, %problem, "{denied}")).ok(),
        // One text that breaks the engine must not keep this node from deciding about all others.
        Err(error) => {
            tracing::error!(%token, cause = ?error.cause, "{denied}");
            None
        }
    };
    let (organization, written_at) = (row.organization_id, row.written_at);
    Ok((token, HeldPolicy { organization, written_at, policy, probation: AtomicU32::new(1) }))
}

#[cfg(not(feature = "policies"))]
fn held(row: PolicyRow) -> Result<(Uuid, HeldPolicy)> {
    let (organization, written_at) = (row.organization_id, row.written_at);
    Ok((row.token_id, HeldPolicy { organization, written_at, probation: AtomicU32::new(1) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_quick_only_where_it_has_been_for_long() {
        let held = HeldPolicy {
            organization: Uuid::from_u128(1),
            written_at: Time(1),
            #[cfg(feature = "policies")]
            policy: None,
            probation: AtomicU32::new(1),
        };
        assert!(held.takes_long(), "it was never asked");
        held.took(QUICK);
        assert!(!held.takes_long());
        held.took(QUICK * 2);
        (1..PROBATION).for_each(|_| held.took(Duration::ZERO));
        assert!(held.takes_long(), "one quick question is missing");
        held.took(Duration::ZERO);
        assert!(!held.takes_long());
    }
}
