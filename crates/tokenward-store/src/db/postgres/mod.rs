//! What is PostgreSQL's own.

mod feed;
mod hosts;
mod listen;
mod pool;
mod session;
mod wire;

use std::str::FromStr;

use sqlx::Connection as _;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokenward_core::Time;
use tokenward_core::error::{Error, Result};
use tokio::time::timeout;

use super::Conn;
use super::error::{OpenError, cause_text, fail, is_lock_timeout, migrate_error, readable_steps, same_steps};
use super::head::{Head, Places};
use crate::address::server;
use crate::db::TableSize;
pub(super) use feed::Feed;
use hosts::{Hosts, Turns};
pub(super) use listen::{Listener, PUT_APPLIED, PUT_HEAD, say_to};
pub use pool::Lease;
pub(super) use pool::Pool;
pub use session::Session;
use session::{ConnectError, READ_ONLY};

/// How long a lock is waited for before somebody is told: another node changes the schema.
const WAITING: &str = "SET lock_timeout = '5s'";

static MIGRATIONS: Migrator = sqlx_macros::migrate!("./migrations/postgres");

/// Whoever changes the schema holds a lock from the first step to the last one, over many transactions.
const MIGRATES_ALONE: &str = "a pooler before the server gives its connections to others after each transaction (PgBouncer: \
                              `pool_mode = transaction`), and the schema can be changed by a connection of one's own alone: run \
                              `tokenward migrate` of this version with TOKENWARD_DATABASE naming the server itself, or a pooler in \
                              session mode; then start this one";

/// How a transaction of requests begins, whatever the server's default is: who has waited for the log's head must see
/// what was committed meanwhile.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// Connects to the database at `url`, and brings its schema up to date. Where it is, no right to change it is needed.
pub(super) async fn open(url: &str) -> Result<Pool, OpenError> {
    let (pool, name) = connect(url).await?;
    if steps(&pool).await? != Steps::Known {
        if pool.is_lent() {
            return Err(OpenError::Migrate(MIGRATES_ALONE.to_owned()));
        }
        migrate(&pool, &name).await?;
    }
    Ok(pool)
}

/// Connects to a database whose schema is up to date.
pub(super) async fn attach(url: &str) -> Result<Pool, OpenError> {
    let (pool, _) = connect(url).await?;
    match steps(&pool).await? {
        Steps::Known => Ok(pool),
        Steps::Fewer => Err(OpenError::Older),
    }
}

/// Connects to a database to read it, also one of an older schema.
pub(super) async fn open_to_read(url: &str) -> Result<Pool, OpenError> {
    let (pool, _) = connect(url).await?;
    let mut lease = pool.acquire().await.map_err(|e| OpenError::Migrate(super::cause_of(&e)))?;
    let applied = applied(Conn::Postgres(lease.session())).await.unwrap_or_default();
    drop(lease);
    readable_steps(&applied, &MIGRATIONS)?;
    Ok(pool)
}

/// How far the schema is, of one that this version can read.
#[derive(PartialEq, Eq)]
enum Steps {
    /// All steps that this version knows.
    Known,
    /// Some are still to be taken.
    Fewer,
}

async fn steps(pool: &Pool) -> Result<Steps, OpenError> {
    let mut lease = pool.acquire().await.map_err(|e| OpenError::Migrate(super::cause_of(&e)))?;
    // Without this table nobody has served from it: no steps.
    let applied = applied(Conn::Postgres(lease.session())).await.unwrap_or_default();
    match same_steps(&applied, &MIGRATIONS) {
        Ok(()) => Ok(Steps::Known),
        Err(OpenError::Older) => Ok(Steps::Fewer),
        Err(error) => Err(error),
    }
}

async fn applied(conn: Conn<'_>) -> Result<Vec<(i64, Vec<u8>)>> {
    super::run!(conn, c => sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(&mut *c))
}

/// Takes the steps that are missing, on a connection of its own without limits of time: a step may take long. While another
/// node takes them this one waits, and says so.
async fn migrate(pool: &Pool, name: &str) -> Result<(), OpenError> {
    let failed = |cause: sqlx::Error| OpenError::Migrate(cause_text(&cause));
    let mut conn = PgConnection::connect_with(pool.options()).await.map_err(failed)?;
    let limits = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
                  SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '60s'";
    sqlx::raw_sql(limits).execute(&mut conn).await.map_err(failed)?;
    sqlx::raw_sql(WAITING).execute(&mut conn).await.map_err(failed)?;
    loop {
        match MIGRATIONS.run_direct(None, &mut conn, false).await {
            Ok(()) => return Ok(()),
            Err(MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) if is_lock_timeout(&cause) => {
                let holders = holders(&mut conn).await;
                tracing::warn!(
                    database = name,
                    holders,
                    "waiting: somebody else changes the schema, or uses what is to be changed"
                );
            }
            Err(error) => return Err(migrate_error(error)),
        }
    }
}

/// Who holds the lock that a migrator takes, for whoever waits for it and wonders.
async fn holders(conn: &mut PgConnection) -> String {
    let holders = "SELECT a.pid, coalesce(a.client_addr::text, 'local'), a.application_name \
                   FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
                   WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()";
    let found: Vec<(i32, String, String)> = sqlx::query_as(holders).fetch_all(conn).await.unwrap_or_default();
    let said = found.iter().map(|(pid, from, program)| format!("process {pid} of {program} at {from}"));
    said.collect::<Vec<_>>().join(", ")
}

/// The pool, and the database's name for people.
async fn connect(url: &str) -> Result<(Pool, String), OpenError> {
    let failed = |url: &str, cause: String, hint| OpenError::Open { url: url.to_owned(), cause, hint };
    let ask = "Is the server up, does the database exist, are user and password right?";
    // What cannot be read as an address is not shown: there may be a password anywhere in it.
    let options = |url: &str| {
        let options = PgConnectOptions::from_str(url).map_err(|cause| failed("postgres://…", cause_text(&cause), ask));
        options.map(|options| options.application_name("tokenward"))
    };
    let mut each = server::each(url).into_iter();
    let first = options(each.next().as_deref().unwrap_or(url))?;
    let mut hosts = Hosts::new(first, each.map(|url| options(&url)).collect::<Result<_, _>>()?);
    let name = hosts.name();
    let session_mode =
        "Let it work in session mode for this database (`pool_mode = session`), or name the server itself.";
    // Before anything is set that would stay with connections of others.
    match hosts.turns().await {
        Turns::Connection => {}
        Turns::Transaction => hosts.are_lent(),
        Turns::Statement => {
            let cause = "a pooler before the server gives its connections to others after each statement (PgBouncer: \
                         `pool_mode = statement`), so that there are no transactions";
            return Err(failed(&name, cause.to_owned(), session_mode));
        }
    }
    let pool = Pool::new(hosts);
    // The first one tells whether it is a database at all.
    match pool.connect_apart(session::STATEMENT).await {
        Ok(mut session) => {
            pool.tells_place(session.run_raw(TELLS_PLACE).await.is_ok());
            if pool.is_lent() {
                tracing::info!(
                    database = name,
                    "a pooler gives connections to others after each transaction: every statement is in one, and nothing is \
                     heard of what other nodes write"
                );
            }
            Ok((pool, name))
        }
        // Which server a transaction comes to is told by what not everybody may ask.
        Err(ConnectError::Refused(cause)) if pool.is_lent() && is_place_unknown(&cause) => {
            let cause = format!(
                "a pooler before the server gives its connections to others after each transaction (PgBouncer: `pool_mode = \
                 transaction`), and the server does not tell to which one they lead ({})",
                cause_text(&cause)
            );
            Err(failed(&name, cause, session_mode))
        }
        Err(ConnectError::Refused(cause)) => Err(failed(&name, cause_text(&cause), ask)),
        Err(ConnectError::Silent) => Err(failed(&name, "no answer in time".to_owned(), ask)),
        Err(ConnectError::ReadOnly) => {
            let hint = "Tokenward writes; it needs the primary.";
            Err(failed(&name, READ_ONLY.to_owned(), hint))
        }
    }
}

/// Is it not allowed to ask where one is, or is there nobody who knows?
fn is_place_unknown(error: &sqlx::Error) -> bool {
    // A right that is missing, and a function that there is not.
    matches!(error, sqlx::Error::Database(e) if e.code().is_some_and(|code| ["42501", "42883"].contains(&&*code)))
}

/// A transaction that may write; `first` takes the log's head before anything else.
pub(super) async fn begin(pool: &Pool, first: bool) -> Result<Lease> {
    let mut lease = if first { pool.acquire_in_turn().await? } else { pool.acquire().await? };
    lease.session().begin(BEGIN).await?;
    Ok(lease)
}

/// Commits it. `Err(None)` means that it is not known whether it is committed.
pub(super) async fn commit(mut lease: Lease) -> Result<(), Option<Error>> {
    lease.session().commit().await.map_err(|error| error.map(fail))
}

/// Which server, which of its timelines (a server that takes over begins another one), and which table (one that is restored
/// is another one).
macro_rules! place {
    () => {
        "(SELECT system_identifier FROM pg_control_system())::text || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) \
         || '/' || 'event'::regclass::oid::text"
    };
}

/// Where the log is now.
pub(super) const PLACE: &str = place!();

/// Is it where it was written last?
pub(super) const AT_PLACE: &str = concat!("AND place = ", place!());

/// Where the log is now, and where it was written last.
pub(super) const PLACES: &str = concat!("SELECT ", place!(), " AS here, place AS written FROM log_head");

/// What the log's head is, for whoever keeps it from then on.
macro_rules! take_head {
    ($place:expr) => {
        concat!(
            "WITH head AS MATERIALIZED (SELECT position, hash, place FROM log_head FOR UPDATE) ",
            "SELECT m.incarnation, h.position, h.hash, h.place, ",
            $place,
            " AS here, (SELECT e.time FROM event e WHERE e.position = h.position) AS written_at, ",
            "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now, 0::bigint AS said FROM head h, meta m"
        )
    };
}

/// With its place.
const TAKE_HEAD: &str = take_head!(place!());
/// Where the server does not tell that much.
const TAKE_HEAD_ANYWHERE: &str = take_head!("NULL::text");
/// Does it? It may be an engine that speaks the protocol alone, or not let everybody ask.
const TELLS_PLACE: &str = "SELECT 1 FROM pg_control_system() WHERE pg_walfile_name(pg_current_wal_lsn()) IS NOT NULL";

/// Reads the log's head and keeps everybody else from taking it until the transaction ends; and what time it is there, once
/// it is taken: whoever waited for it long did not write long ago.
pub(super) async fn take_head(session: &mut Session) -> Result<Head> {
    let head = if session.tells_place { TAKE_HEAD } else { TAKE_HEAD_ANYWHERE };
    let answer = {
        let (patience, c) = session.statement();
        timeout(patience, sqlx::query_as(head).fetch_one(c)).await
    };
    session.answered(answer)
}

/// Where the log is and where it was written last, if the server tells.
pub(super) async fn places(session: &mut Session) -> Result<Places> {
    if !session.tells_place {
        return Ok(Places::default());
    }
    let answer = {
        let (patience, c) = session.statement();
        timeout(patience, sqlx::query_as(PLACES).fetch_one(c)).await
    };
    session.answered(answer)
}

/// What each table takes with its indexes, and about how many rows it has, as the server counts them.
pub(super) async fn table_sizes(session: &mut Session) -> Result<Vec<TableSize>> {
    let query = "SELECT relname::text AS name, n_live_tup AS rows, pg_total_relation_size(relid) AS bytes \
                 FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname <> '_sqlx_migrations' \
                 ORDER BY bytes DESC, name";
    let answer = {
        let (patience, c) = session.statement();
        timeout(patience, sqlx::query_as(query).fetch_all(c)).await
    };
    session.answered(answer)
}

/// What time it is at the server.
pub(super) async fn now(session: &mut Session) -> Result<Time> {
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let answer = {
        let (patience, c) = session.statement();
        timeout(patience, sqlx::query_scalar::<_, i64>(now).fetch_one(c)).await
    };
    session.answered(answer).map(Time)
}
