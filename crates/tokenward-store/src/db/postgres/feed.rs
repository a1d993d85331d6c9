//! The connection by which a node follows the log: apart from those of requests, so that neither waits for the other.

use std::time::Duration;

use tokenward_core::error::{Error, Result};

use super::super::error::{fail, late};
use super::super::feed_mode::FeedMode;
use super::{Pool, Session};

/// Everything as of one moment, and something to write: on a server that cannot be written it does not even begin.
const WRITING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE";
/// The same where nothing is to be written.
const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Everything there is takes its time, and so does putting it into memory.
const LOADING: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '60s'; \
                       SET LOCAL enable_seqscan = on";
/// It asks for a few rows by their keys. A plan of a young database, which knows nothing of its tables yet or only how they were when
/// there was little in them, would read whole tables for that.
const BY_KEYS: &str = "SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'enable_seqscan'";
/// How long the next row may take while everything is read.
const LOAD: Duration = Duration::from_secs(60);

/// The connection, which is made when it is needed.
pub(crate) struct Feed {
    pool: Pool,
    patience: Duration,
    session: Option<Session>,
    /// Is it not known yet where the connection leads?
    new: bool,
}

impl Feed {
    pub(crate) fn new(pool: Pool, patience: Duration) -> Self {
        Self { pool, patience, session: None, new: false }
    }

    /// Was it made since this was asked last?
    pub(crate) fn is_new(&mut self) -> bool {
        std::mem::take(&mut self.new)
    }

    /// Is the connection still the one of which that was asked?
    pub(crate) fn goes_on(&self) -> bool {
        !self.new && self.session.as_ref().is_some_and(Session::is_clean)
    }

    /// The connection, outside of any transaction.
    pub(crate) async fn ready(&mut self) -> Result<&mut Session> {
        let kept = self.session.take().filter(Session::is_clean);
        let session = match kept {
            Some(session) => session,
            None => {
                self.new = true;
                let mut session = self.pool.connect_apart(self.patience).await?;
                // What is set for a connection that is lent would be for others.
                if !self.pool.is_lent() {
                    session.run_raw(BY_KEYS).await.map_err(|error| error.map_or_else(late, fail))?;
                }
                session
            }
        };
        Ok(self.session.insert(session))
    }

    /// Begins to look. What an earlier look has left behind is thrown away, and its connection with it.
    pub(crate) async fn begin(&mut self, look: FeedMode) -> Result<()> {
        let patience = if look == FeedMode::Everything { LOAD } else { self.patience };
        let session = self.ready().await?;
        session.wait_at_most(patience);
        session.begin(if look == FeedMode::Only { READING } else { WRITING }).await?;
        if look == FeedMode::Everything {
            session.run_raw(LOADING).await.map_err(|error| error.map_or_else(late, fail))?;
        }
        Ok(())
    }

    /// The connection in the transaction.
    pub(crate) fn session(&mut self) -> Result<&mut Session> {
        self.session.as_mut().ok_or_else(|| Error::unavailable("The database does not answer now. Try again."))
    }

    pub(crate) async fn commit(&mut self) -> Result<()> {
        let patience = self.patience;
        let session = self.session()?;
        session.wait_at_most(patience);
        session.commit().await.map_err(|error| error.map_or_else(late, fail))
    }
}
