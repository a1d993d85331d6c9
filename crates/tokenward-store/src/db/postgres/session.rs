//! A connection to PostgreSQL on which nothing waits for ever, and which is never used again when it is not known what it
//! is about to say.
//!
//! The server's side of every limit is set when the connection is made ([`SETTINGS`]), or when a transaction begins where the
//! connection is lent ([`Wire`]): a node that dies in the middle of a transaction gives its locks back within seconds. The
//! client's side is a limit on every statement: a flow of TCP whose packets go nowhere looks like a server that thinks.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{Connection, Row};
use tokenward_core::error::{Error, Result};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use super::super::error::{fail, is_lost, late};
use super::wire::Wire;

/// How long a statement of a request may take. The server ends it sooner and says why; this is for one that says nothing.
pub(super) const STATEMENT: Duration = Duration::from_secs(10);
/// How long it may take to get a connection and to learn what it leads to.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// What the server shall hold a connection to, whatever is configured for others. What a server does not know (an engine
/// that only speaks the protocol, an older version) is left out.
///
/// A node that dies with the log's head locked is `idle in transaction`: it ends after four seconds, before those that
/// wait for the head give up after six. `synchronous_commit` may be stricter than `on`, but not `off`: what was answered
/// is durable. Of a young database the server knows nothing yet and takes small statements for huge ones: to compile them takes a
/// hundred times as long as to run them. Unless somebody has set it, a page out of order costs little more than the next one, as on
/// every disk of today: rows are asked for by their keys. Whether this is a server that can be written comes with it.
const SETTINGS: &str = "
    SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
           count(set_config(wanted.name, wanted.value, false)) AS settings
    FROM pg_settings
    JOIN (VALUES
        ('jit', 'off'),
        ('random_page_cost', CASE current_setting('random_page_cost') WHEN '4' THEN '1.1'
                             ELSE current_setting('random_page_cost') END),
        ('statement_timeout', '8s'),
        ('lock_timeout', '6s'),
        ('idle_in_transaction_session_timeout', '4s'),
        ('tcp_keepalives_idle', '5'),
        ('tcp_keepalives_interval', '2'),
        ('tcp_keepalives_count', '3'),
        ('tcp_user_timeout', '6000'),
        ('default_transaction_isolation', 'read committed'),
        ('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                               ELSE current_setting('synchronous_commit') END)
    ) AS wanted (name, value) ON pg_settings.name = wanted.name";

/// A connection, and what is known of its state.
pub struct Session {
    wire: Wire,
    /// How long one statement may take.
    patience: Duration,
    /// A statement was sent, and its answer has not been read to its end.
    busy: bool,
    /// The server is not to be reached through it any more, or not to be written.
    lost: bool,
    pub(super) made: Instant,
    pub(super) used: Instant,
    /// Which of the pool's generations it belongs to.
    pub(super) generation: u64,
    /// Does the server tell who it is, and on which timeline?
    pub(in crate::db) tells_place: bool,
}

impl Session {
    /// Connects within this time, and makes sure that it is a server that can be written. The connection may be one that a pooler
    /// lends for a transaction at a time.
    pub(super) async fn connect(
        options: &PgConnectOptions,
        is_lent: bool,
        patience: Duration,
        within: Duration,
    ) -> Result<Self, ConnectError> {
        let connecting = async {
            let mut wire = Wire::new(PgConnection::connect_with(options).await?);
            let read_only = if is_lent {
                wire.take_turns().await?
            } else {
                sqlx::raw_sql(SETTINGS).fetch_one(wire.raw()).await?.try_get::<bool, _>("read_only")?
            };
            Ok::<_, sqlx::Error>((wire, read_only))
        };
        let (wire, read_only) = match timeout(within, connecting).await {
            Ok(connected) => connected.map_err(ConnectError::Refused)?,
            Err(_) => return Err(ConnectError::Silent),
        };
        if read_only {
            return Err(ConnectError::ReadOnly);
        }
        let now = Instant::now();
        Ok(Self { wire, patience, busy: false, lost: false, made: now, used: now, generation: 0, tells_place: false })
    }

    /// The connection, for one statement, and how long that may take. [`answered`](Self::answered) must be told the
    /// answer; until then, and for ever where it does not come, the connection is taken for one that still speaks.
    pub(crate) fn statement(&mut self) -> (Duration, &mut Wire) {
        self.busy = true;
        (self.patience, &mut self.wire)
    }

    /// The driver's connection, past all limits and all that is noted of it.
    #[doc(hidden)]
    pub fn raw(&mut self) -> &mut PgConnection {
        self.wire.raw()
    }

    /// The answer to the statement that was sent.
    pub(crate) fn answered<T>(&mut self, answer: Result<sqlx::Result<T>, Elapsed>) -> Result<T> {
        self.outcome(answer).map_err(|error| error.map_or_else(late, fail))
    }

    /// The same with the driver's own error; none where no answer came.
    fn outcome<T>(&mut self, answer: Result<sqlx::Result<T>, Elapsed>) -> Result<T, Option<sqlx::Error>> {
        match answer {
            Ok(Ok(value)) => {
                self.busy = false;
                Ok(value)
            }
            Ok(Err(error)) => {
                self.lost |= is_lost(&error);
                self.busy = self.lost;
                Err(Some(error))
            }
            Err(_) => {
                self.lost = true;
                Err(None)
            }
        }
    }

    /// Runs a statement without parameters, as it stands. It goes there and back once.
    pub(super) async fn run_raw(&mut self, sql: &'static str) -> Result<(), Option<sqlx::Error>> {
        let (patience, wire) = self.statement();
        let answer = timeout(patience, sqlx::raw_sql(sql).execute(wire.raw())).await;
        self.outcome(answer).map(|_| ())
    }

    /// Runs a batch, which is a transaction by itself: answers its row. An error that holds the driver's is the server's word, as in
    /// [`Self::commit`].
    pub(in crate::db) async fn whole(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<PgRow, Option<sqlx::Error>> {
        let (patience, c) = self.statement();
        // All of it is read: the row comes before the commit, and only the end of the answer after it.
        let answer = timeout(patience, query.fetch_all(c)).await;
        let rows = self.outcome(answer)?;
        rows.into_iter().next().ok_or(None)
    }

    /// Begins a transaction with these words. What is not known to have begun is taken for begun.
    pub(super) async fn begin(&mut self, begin: &'static str) -> Result<()> {
        let (patience, wire) = self.statement();
        let answer = timeout(patience, wire.begin(begin)).await;
        self.answered(answer)
    }

    /// Commits. An error that holds the driver's is the server's word that nothing was committed; with none, it is not
    /// known.
    pub(super) async fn commit(&mut self) -> Result<(), Option<sqlx::Error>> {
        let committed = self.run_raw("COMMIT").await;
        match committed {
            Err(Some(error)) if matches!(error, sqlx::Error::Database(_)) && !self.lost => {
                self.wire.in_transaction = false;
                Err(Some(error))
            }
            Err(_) => Err(None),
            Ok(()) => {
                self.wire.in_transaction = false;
                Ok(())
            }
        }
    }

    /// Ends a transaction of which nothing shall stay.
    pub(super) async fn roll_back(&mut self) {
        if self.run_raw("ROLLBACK").await.is_ok() {
            self.wire.in_transaction = false;
        }
    }

    /// Changes how long one statement may take from now on.
    pub(super) fn wait_at_most(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Does the server answer?
    pub(super) async fn answers(&mut self, within: Duration) -> bool {
        let patience = std::mem::replace(&mut self.patience, within);
        let answers = self.run_raw("").await.is_ok();
        self.patience = patience;
        answers
    }

    /// Is it known that the next statement will be answered as if it were the first?
    pub(super) fn is_clean(&self) -> bool {
        !self.busy && !self.is_lost() && !self.wire.in_transaction
    }

    /// May it be used again after a rollback?
    pub(super) fn can_roll_back(&self) -> bool {
        !self.busy && !self.is_lost() && self.wire.in_transaction
    }

    /// Says nothing more through it, nor through the others that lead where it does.
    pub(crate) fn give_up(&mut self) {
        self.lost = true;
    }

    /// Is its server lost, and with it perhaps that of all the others?
    pub(super) fn is_lost(&self) -> bool {
        self.lost || self.wire.is_broken
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// The driver's or the server's word.
    Refused(sqlx::Error),
    /// None came in time.
    Silent,
    /// This server follows another one.
    ReadOnly,
}

/// What is said of a server that cannot be written.
pub(super) const READ_ONLY: &str = "it is a read-only replica, or set to read-only: name the primary";

impl ConnectError {
    /// Does the server have no room for another connection?
    pub(super) fn is_crowded(&self) -> bool {
        matches!(self, Self::Refused(sqlx::Error::Database(e)) if e.code().as_deref() == Some("53300"))
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        let unavailable = Self::unavailable("The database does not answer now. Try again.");
        match error {
            ConnectError::Refused(cause) => Self { cause: Some(cause.into()), ..unavailable },
            ConnectError::Silent => Self { cause: Some("no connection in time".into()), ..unavailable },
            ConnectError::ReadOnly => Self { cause: Some(READ_ONLY.into()), ..unavailable },
        }
    }
}
