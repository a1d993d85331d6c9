//! Tokens that have ended: marked soon, so that lists and counts know only what lives, and removed once nobody is told of them any
//! more. Neither changes what anybody is allowed, and neither has an event; what the log says of them has a retention of its own.

use std::sync::Arc;
use std::time::Duration;

use tokenward_core::Result;
use tokenward_core::ended::SHORTEST_RETENTION;
use tokenward_core::time::{Micros, length, length_text};
use tokenward_store::Store;
use tokenward_store::tokens::ended;

use super::App;

/// How often to look.
const EVERY: Duration = Duration::from_secs(60);
/// How long after the start to look first: a server that is started anew again and again tidies all the same.
const FIRST: Duration = Duration::from_secs(20);
/// Tokens that one transaction marks or removes: others wait for it.
const AT_ONCE: i64 = 200;
/// How long to let others write before the next ones.
const PAUSE: Duration = Duration::from_millis(20);

/// Reads a length as somebody wrote it. The error completes the sentence that begins with its place.
pub fn read(text: &str) -> Result<Micros, String> {
    let read = length(text).filter(|length| *length >= SHORTEST_RETENTION);
    read.ok_or_else(|| format!("is no length of at least {}; write one such as 30d", length_text(SHORTEST_RETENTION)))
}

/// Writes for all nodes how long what has ended is told and kept, where that is another length than the one that counts.
pub async fn set_retention(store: &Store, retention: Micros) -> Result<()> {
    let before = ended::retention(store.read().await?.conn()).await?;
    if before == retention {
        return Ok(());
    }
    let mut tx = store.begin_unlogged().await?;
    ended::set_retention(&mut tx, retention).await?;
    tx.commit().await?;
    let (before, now) = (length_text(before), length_text(retention));
    tracing::info!(before, now, "ended_token_retention is another one now, for all nodes");
    Ok(())
}

/// Looks for as long as the service runs.
pub async fn run(app: Arc<App>) {
    tokio::time::sleep(FIRST).await;
    loop {
        match tidy(&app.store).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "what ended longer ago than ended_token_retention is removed"),
            Err(error) => {
                let cause = &error.cause;
                tracing::error!(%error, ?cause, "cannot mark or remove tokens that have ended; trying again in a minute");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Marks what has ended since, and removes what did long ago. Answers how many tokens and secrets were removed.
pub async fn tidy(store: &Store) -> Result<usize> {
    loop {
        let mut tx = store.begin_unlogged().await?;
        let marked = ended::mark(&mut tx, AT_ONCE).await?;
        tx.commit().await?;
        if marked < AT_ONCE as usize {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let mut all = 0;
    loop {
        let mut tx = store.begin_unlogged().await?;
        let removed = ended::remove(&mut tx, AT_ONCE).await?;
        tx.commit().await?;
        all += removed;
        if removed == 0 {
            return Ok(all);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
