//! Events that tell of failed sign-ins: at most one an account and ten minutes, with how many there were, and none for an address
//! without an account. So strangers can make the log grow only so much, and whoever follows it learns of them.

use std::sync::Arc;

use tokenward_core::event::{Event, Kind, SignInFailuresSnapshot};
use tokenward_core::right::Keeper;
use tokenward_core::time::{MINUTE, Micros};
use tokenward_core::{Code, Error, Result};
use tokenward_store::notices::{self, Untold};

use super::App;

/// How long after an event about an account the next one comes at the earliest.
const EVERY: Micros = 10 * MINUTE;
/// Accounts that one write tells of.
const AT_ONCE: i64 = 200;

/// Tells of all that are due, whichever node counted them. Answers of how many accounts.
pub async fn write_events(app: &Arc<App>) -> Result<usize> {
    let mut told = 0;
    loop {
        let now = app.now();
        let mut reader = app.store.read().await?;
        let due = notices::untold(reader.conn(), now.plus(-EVERY), 1).await?;
        drop(reader);
        if due.is_empty() {
            return Ok(told);
        }
        let written = app.write(Keeper::new(&app.verifier.terms().name), move |tx, _| {
            Box::pin(async move {
                let now = tx.now();
                let due = notices::untold(tx.conn(), now.plus(-EVERY), AT_ONCE).await?;
                if due.is_empty() {
                    return Err(Error::conflict("There is nothing to tell."));
                }
                let mut events = Vec::with_capacity(due.len());
                for Untold { account_id, email, untold } in due {
                    notices::mark_told(tx, account_id, now).await?;
                    let said = SignInFailuresSnapshot { count: untold };
                    events.push(Event::new(Kind::SignInFailuresTold, None, account_id, email).after(said));
                }
                Ok((events.len(), events))
            })
        });
        match written.await {
            Ok(written) => told += written.value,
            // Another node was faster.
            Err(error) if error.code == Code::Conflict => return Ok(told),
            Err(error) => return Err(error),
        }
    }
}
