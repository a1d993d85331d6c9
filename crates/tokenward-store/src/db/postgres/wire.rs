//! The driver's connection, and what is done where it is not one's own.
//!
//! A pooler in transaction mode (PgBouncer: `pool_mode = transaction`) lends a connection of the server for one transaction and
//! gives it to somebody else after that. Nothing that was set for it stays, a statement with a name is not there any more or is
//! another one's, and the next transaction may come to another server. So, there,
//!
//! - every statement is in a transaction, and one by itself is made one;
//! - every transaction begins with its limits of time, which end with it, and nothing is ever set for the connection;
//! - no statement has a name;
//! - the connection is bound to a *place*: a transaction that comes to another server, another of its timelines or another table
//!   than the first one did, or to one that cannot be written, does nothing, and the connection is given up. So to whoever uses it it
//!   is what a connection of one's own is: one that leads to one server until it breaks off.

use std::future;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Either, Execute, Executor, Postgres, Row, SqlStr};

/// What comes of a statement, piece by piece.
type Step = Either<PgQueryResult, PgRow>;

/// How a transaction of one statement begins.
const ALONE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// The settings of a transaction: those of a connection of one's own (`SETTINGS` of the session), but those of TCP, which are
/// between the pooler and the server. With them come where it is, and whether that can be written.
macro_rules! terms {
    () => {
        "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS read_only, \
         CASE WHEN NOT pg_is_in_recovery() THEN (SELECT system_identifier FROM pg_control_system())::text || '/' \
         || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '/' || coalesce(to_regclass('event')::oid::text, '') END AS place, \
         set_config('jit', 'off', true), set_config('statement_timeout', '8s', true), set_config('lock_timeout', '6s', true), \
         set_config('idle_in_transaction_session_timeout', '4s', true), \
         set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' \
         ELSE current_setting('synchronous_commit') END, true)"
    };
}

const TERMS: &str = terms!();
/// The same where nothing is done yet.
const LOOK: &str = concat!("BEGIN READ ONLY; ", terms!(), "; ROLLBACK");

/// A connection to PostgreSQL, or to a pooler before it.
#[derive(Debug)]
pub(crate) struct Wire {
    conn: PgConnection,
    /// Where its transactions come to, where it is lent for one at a time; `None` where it is one's own.
    place: Option<String>,
    /// A transaction was begun, and has not ended.
    pub(super) in_transaction: bool,
    /// It is not known any more what it leads to, or in which state.
    pub(super) is_broken: bool,
}

impl Wire {
    pub(super) fn new(conn: PgConnection) -> Self {
        Self { conn, place: None, in_transaction: false, is_broken: false }
    }

    /// The driver's connection, past all of this.
    pub(super) fn raw(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    /// From now on it is taken for one that is lent. Is it a server that cannot be written?
    pub(super) async fn take_turns(&mut self) -> sqlx::Result<bool> {
        let row = sqlx::raw_sql(LOOK).fetch_one(&mut self.conn).await?;
        self.place = Some(row.try_get::<Option<String>, _>("place")?.unwrap_or_default());
        row.try_get("read_only")
    }

    /// Begins a transaction with these words.
    pub(super) async fn begin(&mut self, begin: &'static str) -> sqlx::Result<()> {
        // What is not known to have begun is taken for begun.
        self.in_transaction = true;
        let Some(place) = &self.place else {
            return sqlx::raw_sql(begin).execute(&mut self.conn).await.map(|_| ());
        };
        self.is_broken = true;
        let words = AssertSqlSafe(format!("{begin}; {TERMS}"));
        let row = sqlx::raw_sql(words).fetch_one(&mut self.conn).await?;
        let here: Option<String> = row.try_get("place")?;
        if row.try_get::<bool, _>("read_only")? || here.as_ref() != Some(place) {
            let why = "the pooler leads to another server than before, or to one that cannot be written";
            return Err(sqlx::Error::Protocol(why.to_owned()));
        }
        self.is_broken = false;
        Ok(())
    }

    /// Runs a statement as a transaction by itself.
    async fn alone(&mut self, said: UnnamedStatement) -> sqlx::Result<Vec<Step>> {
        self.begin(ALONE).await?;
        self.is_broken = true;
        let came = said.run(&mut self.conn).try_collect::<Vec<Step>>().await;
        let end = if came.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = sqlx::raw_sql(end).execute(&mut self.conn).await;
        // The server's word that nothing was committed ends the transaction, too.
        if matches!(ended, Ok(_) | Err(sqlx::Error::Database(_))) {
            (self.in_transaction, self.is_broken) = (false, false);
        }
        let came = came?;
        ended.map(|_| came)
    }
}

/// A statement that the server keeps under no name.
enum UnnamedStatement {
    Plain(SqlStr),
    Bound(Query<'static, Postgres, PgArguments>),
}

impl UnnamedStatement {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> sqlx::Result<Self> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let sql = query.sql();
        Ok(match arguments {
            Some(arguments) => Self::Bound(sqlx::query_with::<Postgres, _>(sql, arguments).persistent(false)),
            None => Self::Plain(sql),
        })
    }

    fn run(self, conn: &mut PgConnection) -> BoxStream<'_, sqlx::Result<Step>> {
        match self {
            Self::Plain(sql) => conn.fetch_many(sql),
            Self::Bound(query) => conn.fetch_many(query),
        }
    }
}

impl<'c> Executor<'c> for &'c mut Wire {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.place.is_none() {
            return self.conn.fetch_many(query);
        }
        match UnnamedStatement::of(query) {
            Ok(said) if self.in_transaction => said.run(&mut self.conn),
            Ok(said) => async move { self.alone(said).await }
                .map_ok(|all| stream::iter(all.into_iter().map(Ok::<Step, sqlx::Error>)))
                .try_flatten_stream()
                .boxed(),
            Err(error) => stream::once(future::ready(Err(error))).boxed(),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.place.is_none() {
            return self.conn.fetch_optional(query);
        }
        let mut steps = self.fetch_many(query);
        let first = async move {
            let mut first = None;
            // All of it is read: an error may come after the row.
            while let Some(step) = steps.try_next().await? {
                if let Either::Right(row) = step {
                    first.get_or_insert(row);
                }
            }
            Ok::<_, sqlx::Error>(first)
        };
        first.boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        if self.place.is_some() {
            // It would have a name. Nobody here asks for one.
            let why = "no statement is prepared through a pooler in transaction mode";
            return future::ready(Err(sqlx::Error::Protocol(why.to_owned()))).boxed();
        }
        self.conn.prepare_with(sql, parameters)
    }
}
