//! How long sessions last, and the end of those that nobody uses.
//!
//! When a session was last used is a row that every node writes, in the time of the database. One sweep over the rows ends what was
//! not used for too long, as an ordinary end that the log tells: so all nodes agree, and whoever verifies reads nothing.

use std::sync::Arc;
use std::time::Duration;

use tokenward_core::event::{Event, IdleSessionSnapshot, Kind};
use tokenward_core::right::Keeper;
use tokenward_core::time::{DAY, HOUR, MINUTE, Micros, length, length_text};
use tokenward_core::{Code, Error, Result};
use tokenward_store::session_uses::{self, Idle, Unused};
use tokenward_store::sessions;

use super::App;

/// How often to look.
const EVERY: Duration = Duration::from_secs(60);
/// Sessions that one write ends: others wait for it.
const AT_ONCE: i64 = 100;
/// How much later than the limit: the last uses are written once a minute, and may be on their way.
const GRACE: Micros = 2 * MINUTE;

/// How long one lasts at most that a provider proved: none tells of every account that is shut there.
pub(super) const BY_PROVIDER: Micros = 12 * HOUR;

/// What a length can be.
pub struct Bounds {
    least: Micros,
    most: Micros,
}

/// Of the life of a session.
pub const LIFETIME: Bounds = Bounds { least: 15 * MINUTE, most: 90 * DAY };
/// Of the time without use.
pub const IDLE: Bounds = Bounds { least: 5 * MINUTE, most: 90 * DAY };

impl Bounds {
    /// Reads a length as somebody wrote it. The error completes the sentence that begins with its place.
    pub fn read(&self, text: &str) -> Result<Micros, String> {
        let read = length(text).filter(|length| (self.least..=self.most).contains(length));
        read.ok_or_else(|| {
            let (least, most) = (length_text(self.least), length_text(self.most));
            format!("is no length from {least} to {most}; write one such as 12h or 7d")
        })
    }
}

/// How long sessions last on this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionLimits {
    /// At most, from their beginning on.
    pub lifetime: Micros,
    /// Without use.
    pub idle: Micros,
}

/// Sweeps once a minute, until it is dropped.
pub async fn run(app: Arc<App>) {
    // At once: a copy of the database that was put back does not know what was found since it was made.
    loop {
        match sweep(&app).await {
            Ok(0) => {}
            Ok(sessions) => tracing::info!(sessions, "sessions that nobody used have ended"),
            Err(error) => {
                tracing::error!(%error, cause = ?error.cause, "cannot end sessions that nobody uses; trying again in a minute");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Ends all sessions that were not used for too long. Answers how many.
pub async fn sweep(app: &Arc<App>) -> Result<usize> {
    let mut ended = 0;
    // A look that holds nobody up; where it finds something, it is asked again under the log's lock and in the database's time.
    while is_any_idle(app).await? {
        let since = app.session_limits.idle + GRACE;
        let right = Keeper::new(&app.verifier.terms().name);
        let written = app.write(right, move |tx, _| {
            Box::pin(async move {
                let now = tx.now();
                let idle = session_uses::idle(tx.conn(), now.plus(-since), now, AT_ONCE).await?;
                if idle.is_empty() {
                    return Err(Error::conflict("Every session is in use."));
                }
                let mut events = Vec::with_capacity(idle.len());
                for Idle { id, account_id, email, used_at } in idle {
                    sessions::delete(tx, account_id, id).await?;
                    let said = IdleSessionSnapshot { user_id: account_id, last_used_at: used_at };
                    events.push(Event::new(Kind::SessionEnded, None, id, email).related(account_id).before(said));
                }
                Ok((events.len(), events))
            })
        });
        match written.await {
            Ok(written) => ended += written.value,
            // Another node was faster, or its clock is behind ours.
            Err(error) if error.code == Code::Conflict => break,
            Err(error) => return Err(error),
        }
    }
    note_unused(app).await?;
    let mut tx = app.store.begin_unlogged().await?;
    session_uses::forget(&mut tx).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Notes of sessions that nobody used for longer than an organization of their users allows: there they count again when they are
/// proved anew.
async fn note_unused(app: &Arc<App>) -> Result<()> {
    loop {
        let mut reader = app.store.read().await?;
        let some = session_uses::unused(reader.conn(), app.now(), GRACE, 1).await?;
        drop(reader);
        if some.is_empty() {
            return Ok(());
        }
        let right = Keeper::new(&app.verifier.terms().name);
        let written = app.write(right, move |tx, _| {
            Box::pin(async move {
                let now = tx.now();
                let unused = session_uses::unused(tx.conn(), now, GRACE, AT_ONCE).await?;
                if unused.is_empty() {
                    return Err(Error::conflict("Every session is in use."));
                }
                let mut events = Vec::with_capacity(unused.len());
                for Unused { id, account_id, email, used_at, idle } in unused {
                    sessions::lay_idle(tx, account_id, id, idle).await?;
                    let said = IdleSessionSnapshot { user_id: account_id, last_used_at: used_at };
                    events.push(Event::new(Kind::SessionIdle, None, id, email).related(account_id).after(said));
                }
                Ok(((), events))
            })
        });
        match written.await {
            Ok(_) => {}
            // Another node was faster, or its clock is behind ours.
            Err(error) if error.code == Code::Conflict => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

async fn is_any_idle(app: &App) -> Result<bool> {
    let (now, since) = (app.now(), app.session_limits.idle + GRACE);
    let mut reader = app.store.read().await?;
    Ok(!session_uses::idle(reader.conn(), now.plus(-since), now, 1).await?.is_empty())
}

#[cfg(test)]
mod tests {
    use tokenward_core::time::HOUR;

    use super::*;

    #[test]
    fn a_length_is_within_its_bounds_or_refused() {
        assert_eq!((LIFETIME.read("7d"), IDLE.read("12h")), (Ok(7 * DAY), Ok(12 * HOUR)));
        for wrong in ["", "0", "4m", "91d", "12", "soon", "-1h"] {
            assert!(IDLE.read(wrong).is_err_and(|problem| problem.contains("from 5m to ")), "{wrong}");
        }
        assert!(LIFETIME.read("14m").is_err());
    }
}
