//! Whose document is read now. It takes memory, and a large one takes as long as its client takes to send it.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use tokenward_core::sync::lock;
use tokenward_core::{Error, Result, Uuid};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::fair::{Fair, FairTurn};
use crate::limits::{LARGE_DOCUMENTS, WHOLE_DOCUMENT_BYTES};

/// Those that are there as a whole: one at a time, and organizations take turns.
static WHOLE: LazyLock<Fair> = LazyLock::new(|| Fair::new(1, 1));
/// Those that are read while they come.
static LARGE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(LARGE_DOCUMENTS.size()));
/// Whose they are.
static ORGANIZATIONS: LazyLock<Mutex<HashSet<Uuid>>> = LazyLock::new(Mutex::default);
/// How long somebody waits for a turn of the large ones.
const WAIT: Duration = Duration::from_secs(20);

/// The turn of a document that is there as a whole.
pub(super) async fn whole(organization: Uuid) -> Result<FairTurn> {
    WHOLE.turn(organization.into()).await
}

/// The turn of a large one.
pub(super) struct LargeTurn {
    organization: Uuid,
    _permit: Option<SemaphorePermit<'static>>,
}

/// The turn of a document that is read while it comes: nobody keeps it from others by sending slowly several at once.
pub(super) async fn large(organization: Uuid) -> Result<LargeTurn> {
    large_within(organization, WAIT).await
}

async fn large_within(organization: Uuid, wait: Duration) -> Result<LargeTurn> {
    let size = WHOLE_DOCUMENT_BYTES.default;
    if !lock(&ORGANIZATIONS).insert(organization) {
        return Err(Error::unavailable(format!(
            "Another document of this organization that is larger than {size} bytes is read at the moment. Import one \
             after the other."
        )));
    }
    let mut turn = LargeTurn { organization, _permit: None };
    let permit = tokio::time::timeout(wait, LARGE.acquire()).await.map_err(|_| {
        let (name, most) = (LARGE_DOCUMENTS.name, LARGE_DOCUMENTS.default);
        Error::unavailable(format!(
            "As many documents larger than {size} bytes are read at the moment as the limit `{name}` allows ({most}). Try \
             again in a moment."
        ))
    })?;
    turn._permit = Some(permit.map_err(Error::internal)?);
    Ok(turn)
}

impl Drop for LargeTurn {
    fn drop(&mut self) {
        lock(&ORGANIZATIONS).remove(&self.organization);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_organization_has_one_turn_and_keeps_no_other_from_its_own() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let large = |organization| large_within(organization, Duration::from_millis(20));
        let first = large(a).await.unwrap();
        assert!(large(a).await.err().unwrap().detail.contains("one after the other"));
        let second = large(b).await.unwrap();
        assert!(large(c).await.err().unwrap().detail.contains("`large_documents`"));
        drop(first);
        let third = large(c).await.unwrap();
        drop(second);
        assert!(large(a).await.is_ok(), "who waited in vain holds nothing");
        drop(third);
    }
}
