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

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        read(&self.0).len()
    }
}

/// Compiles policies as they are kept, on a thread of their own.
pub(crate) async fn compile(rows: Vec<PolicyRow>) -> Result<Vec<(Uuid, HeldPolicy)>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    tokio::task::spawn_blocking(move || rows.into_iter().map(held).collect()).await.map_err(Error::internal)?
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
    Ok((token, HeldPolicy { written_at: row.written_at, policy }))
}

#[cfg(not(feature = "policies"))]
fn held(row: PolicyRow) -> Result<(Uuid, HeldPolicy)> {
    Ok((row.token_id, HeldPolicy { written_at: row.written_at }))
}
