//! What only the database knows, looked up now and then, so that a scrape never waits for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokenward_core::Result;
use tokenward_core::time::SECOND;
use tokenward_store::{log, tokens};

use crate::metrics::AHEAD;
use crate::service::App;

/// How often the end of the log is looked up, and at how many of these looks the tokens are counted as well.
const EVERY: Duration = Duration::from_secs(10);
const COUNTED: u32 = 30;
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Looks again and again.
pub(super) async fn run(app: Arc<App>) {
    let mut looks = 0u32;
    loop {
        let counts = looks.is_multiple_of(COUNTED);
        let look = tokio::time::timeout(PATIENCE, look(&app, counts)).await;
        let answered = matches!(look, Ok(Ok(())));
        app.metrics.sample.answers.store(answered, Relaxed);
        if answered || !counts {
            looks = looks.wrapping_add(1);
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(app: &App, counts: bool) -> Result<()> {
    let mut reader = app.store.read().await?;
    let sample = &app.metrics.sample;
    sample.head.store(log::head(reader.conn()).await?.number, Relaxed);
    if counts {
        let now = app.now();
        sample.expired.store(tokens::count_expired(reader.conn(), now).await?, Relaxed);
        for (days, count) in AHEAD.iter().zip(&sample.expiring) {
            let until = now.plus(days * 86_400 * SECOND);
            count.store(tokens::count_expiring(reader.conn(), now, until).await?, Relaxed);
        }
    }
    Ok(())
}
