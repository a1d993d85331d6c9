//! The policies of all living policy tokens, compiled, as the follower has learned them.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use tokenward_core::sync::{read, write};
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::tokens::PolicyRow;

#[cfg(feature = "policies")]
use super::engine::Policy;

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
}

/// Policies by token.
#[derive(Default)]
pub(crate) struct Policies(RwLock<HashMap<Uuid, Arc<HeldPolicy>>>);

impl Policies {
    pub(crate) fn get(&self, token: Uuid) -> Option<Arc<HeldPolicy>> {
        read(&self.0).get(&token).cloned()
    }

    /// Is this still the version of the token's policy that counts?
    pub(crate) fn is_current(&self, token: Uuid, written_at: Time) -> bool {
        read(&self.0).get(&token).is_some_and(|held| held.written_at == written_at)
    }

    /// Puts these in the place of all.
    pub(crate) fn replace(&self, all: Vec<(Uuid, HeldPolicy)>) {
        *write(&self.0) = all.into_iter().map(|(token, held)| (token, Arc::new(held))).collect();
    }

    /// Puts these in the place of what is known of `tokens`.
    pub(crate) fn put(&self, tokens: &[Uuid], policies: Vec<(Uuid, HeldPolicy)>) {
        if tokens.is_empty() {
            return;
        }
        let mut all = write(&self.0);
        if !all.is_empty() {
            tokens.iter().for_each(|token| drop(all.remove(token)));
        }
        all.extend(policies.into_iter().map(|(token, held)| (token, Arc::new(held))));
    }

    /// Forgets those of organizations that are gone.
    pub(crate) fn keep(&self, of: impl Fn(Uuid) -> bool) {
        write(&self.0).retain(|_, held| of(held.organization));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        read(&self.0).len()
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
    Ok((token, HeldPolicy { organization: row.organization_id, written_at: row.written_at, policy }))
}

#[cfg(not(feature = "policies"))]
fn held(row: PolicyRow) -> Result<(Uuid, HeldPolicy)> {
    Ok((row.token_id, HeldPolicy { organization: row.organization_id, written_at: row.written_at }))
}
