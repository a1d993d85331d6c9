//! The database: opening it, connections, transactions. The only file that names a dialect.
//!
//! All queries are written once, with `$1` placeholders and types that both databases know. `run!` repeats the
//! same expression for either connection; keep the expressions short.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{FromRow, Postgres, QueryBuilder, Sqlite, Transaction};
use tokenward_core::error::{Code, Error, Result};
use tokenward_core::id::new_id;
use tokenward_core::{Clock, Random, Time, Uuid};

/// Older versions can corrupt a database in WAL mode (the WAL-reset bug, fixed in 3.51.3).
pub const SQLITE_AT_LEAST: (u32, u32, u32) = (3, 51, 3);

/// Readers beside the one writer of SQLite. Reading is short; more connections would only wait for the disk.
const SQLITE_READERS: u32 = 8;
/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 20;
/// How long a request waits for a connection before it gets a 503.
const ACQUIRE: Duration = Duration::from_secs(10);
/// How often to look whether another process has opened its database: for half a minute.
const TURN_TRIES: usize = 1_500;
const TURN_PAUSE: Duration = Duration::from_millis(20);

static MIGRATIONS_SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static MIGRATIONS_POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Runs one expression on either kind of connection and maps its error. `$c` is the connection in `$body`.
macro_rules! run {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::db::Conn::Sqlite($c) => $body.await.map_err($crate::db::fail),
            $crate::db::Conn::Postgres($c) => $body.await.map_err($crate::db::fail),
        }
    };
}
pub(crate) use run;

/// Executes one query on either kind of connection. Answers how many rows it touched.
macro_rules! execute {
    ($conn:expr, $query:expr) => {
        match $conn {
            $crate::db::Conn::Sqlite(c) => {
                $query.execute(&mut *c).await.map(|done| done.rows_affected()).map_err($crate::db::fail)
            }
            $crate::db::Conn::Postgres(c) => {
                $query.execute(&mut *c).await.map(|done| done.rows_affected()).map_err($crate::db::fail)
            }
        }
    };
}
pub(crate) use execute;

/// Passes the rows of a query with one number in it to `each`, without holding all of them in memory.
///
/// SQLite is asked for many rows in one value (`packed`), which begins with their number and which `unpack` takes apart:
/// sqlx copies each value of each row on its own and hands it from thread to thread, which takes eight times as long as
/// reading it.
pub(crate) async fn each_row<T>(
    conn: Conn<'_>,
    rows: &'static str,
    packed: &'static str,
    unpack: impl Fn(&mut &[u8]) -> Option<T>,
    bound: i64,
    mut each: impl FnMut(T),
) -> Result<()>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    match conn {
        Conn::Sqlite(c) => {
            let mut all = sqlx::query_scalar::<_, Option<Vec<u8>>>(packed).bind(bound).fetch(c);
            while let Some(some) = all.try_next().await.map_err(fail)? {
                let some = some.unwrap_or_default();
                let mut rest = some.as_slice();
                // A row of which something is missing would leave out all of it.
                let unreadable = || Error::internal("a row in the database cannot be read");
                for _ in 0..number(&mut rest).flatten().ok_or_else(unreadable)? {
                    each(unpack(&mut rest).ok_or_else(unreadable)?);
                }
                if !rest.is_empty() {
                    return Err(unreadable());
                }
            }
        }
        Conn::Postgres(c) => {
            let mut all = sqlx::query_as::<_, T>(rows).bind(bound).fetch(c);
            while let Some(row) = all.try_next().await.map_err(fail)? {
                each(row);
            }
        }
    }
    Ok(())
}

/// Takes the number before the next comma; an absent one is `Some(None)`.
pub(crate) fn number(rest: &mut &[u8]) -> Option<Option<i64>> {
    let comma = rest.iter().position(|byte| *byte == b',')?;
    let (digits, after) = rest.split_at(comma);
    *rest = &after[1..];
    if digits.is_empty() {
        return Some(None);
    }
    std::str::from_utf8(digits).ok()?.parse().ok().map(Some)
}

/// A borrowed connection, in a transaction or out of one.
pub enum Conn<'c> {
    /// To an SQLite file.
    Sqlite(&'c mut SqliteConnection),
    /// To a PostgreSQL server.
    Postgres(&'c mut PgConnection),
}

impl Conn<'_> {
    /// The same connection for a shorter time, for functions that run several queries.
    pub fn again(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(c) => Conn::Sqlite(c),
            Self::Postgres(c) => Conn::Postgres(c),
        }
    }
}

/// Where everything is kept. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pools: Pools,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Held until the store closes; see [`Store::lock`].
    lock: Option<Arc<File>>,
}

#[derive(Clone)]
enum Pools {
    Sqlite { path: PathBuf, write: SqlitePool, read: SqlitePool },
    Postgres(PgPool),
}

/// Why the store could not be opened; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address of the database is none.
    #[error("`{0}` is no database: use sqlite:PATH, a path, or postgres://USER@HOST/NAME")]
    Url(String),
    /// The server or file does not answer.
    #[error("cannot open the database {url}: {cause}. {hint}")]
    Open {
        /// Which database, without a password.
        url: String,
        /// What the driver says.
        cause: String,
        /// What to do.
        hint: &'static str,
    },
    /// Another process serves from this file.
    #[error("another tokenward already serves from {}: stop it first, or give this one its own --data-dir", .0.display())]
    Locked(PathBuf),
    /// Another process serves from this file, with another version of the schema.
    #[error("{} has another version's schema, and a running tokenward serves from it: stop that one first", .0.display())]
    Served(PathBuf),
    /// A newer version has changed the schema.
    #[error("this database was used with a newer Tokenward (its schema has step {0}): start that version again")]
    Newer(i64),
    /// The schema could not be brought up to date.
    #[error("cannot bring the database up to date: {0}")]
    Migrate(String),
    /// The engine is too old to be safe.
    #[error("SQLite {0} is linked; at least 3.51.3 is needed, since older versions can damage a database")]
    Version(String),
}

impl Store {
    /// Opens the database at `url` (`sqlite:PATH`, a path, or `postgres://…`), makes it where it does not exist,
    /// and brings its schema up to date.
    pub async fn open(url: &str, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, OpenError> {
        let (pools, _turn) = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            (open_postgres(url).await?, None)
        } else {
            match url.strip_prefix("sqlite:").unwrap_or(url) {
                path if !path.is_empty() && !path.contains("://") => {
                    let turn = take_turn(Path::new(path)).await?;
                    (open_sqlite(Path::new(path)).await?, turn)
                }
                // Without what follows the scheme: there may be a password in it.
                _ => return Err(OpenError::Url(url.split_once("://").map_or(url, |(scheme, _)| scheme).to_owned())),
            }
        };
        let store = Self { pools, clock, random, lock: None };
        store.migrate().await?;
        Ok(store)
    }

    /// Makes this the only process that serves from an SQLite file. PostgreSQL needs no such thing.
    pub fn lock(&mut self) -> Result<(), OpenError> {
        let Pools::Sqlite { path, .. } = &self.pools else { return Ok(()) };
        self.lock = Some(Arc::new(lock_file(path)?.ok_or_else(|| OpenError::Locked(path.clone()))?));
        Ok(())
    }

    async fn migrate(&self) -> Result<(), OpenError> {
        match &self.pools {
            Pools::Sqlite { path, write, .. } => migrate_sqlite(path, write).await?,
            // The migrator takes a lock of the server itself.
            Pools::Postgres(pool) => MIGRATIONS_POSTGRES.run(pool).await.map_err(migrate_error)?,
        }
        self.found().await.map_err(|e| OpenError::Migrate(cause_of(&e)))
    }

    /// Writes the rows that every database has, once: the incarnation and the empty log.
    async fn found(&self) -> Result<()> {
        let mut reader = self.read().await?;
        let present: i64 =
            run!(reader.conn(), c => sqlx::query_scalar("SELECT count(*) FROM meta").fetch_one(&mut *c))?;
        drop(reader);
        if present > 0 {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        // Two nodes may start at once on an empty database: the second one's rows are ignored.
        execute!(
            tx.conn(),
            sqlx::query(
                "INSERT INTO meta (only_row, incarnation, created_at) VALUES (1, $1, $2) ON CONFLICT DO NOTHING"
            )
            .bind(self.new_id())
            .bind(self.now().0)
        )?;
        execute!(
            tx.conn(),
            sqlx::query("INSERT INTO log_head (only_row, position, hash) VALUES (1, 0, $1) ON CONFLICT DO NOTHING")
                .bind(&[0u8; 32][..])
        )?;
        tx.commit_unlogged().await
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The random source.
    #[must_use]
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// The time to write into a row that had `last`: two versions of a row never have the same.
    #[must_use]
    pub fn next_version(&self, last: i64) -> i64 {
        self.now().0.max(last + 1)
    }

    /// A new identifier.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        new_id(self.now(), &*self.random)
    }

    /// A connection for reading.
    pub async fn read(&self) -> Result<Reader> {
        Ok(match &self.pools {
            Pools::Sqlite { read, .. } => Reader::Sqlite(read.acquire().await.map_err(fail)?),
            Pools::Postgres(pool) => Reader::Postgres(pool.acquire().await.map_err(fail)?),
        })
    }

    /// A transaction for writing. Dropped without a commit, it changes nothing.
    pub async fn begin(&self) -> Result<Tx> {
        let inner = match &self.pools {
            // The write lock at once: a transaction that first reads and then writes could otherwise fail half-way.
            Pools::Sqlite { write, .. } => Inner::Sqlite(write.begin_with("BEGIN IMMEDIATE").await.map_err(fail)?),
            Pools::Postgres(pool) => Inner::Postgres(pool.begin().await.map_err(fail)?),
        };
        Ok(Tx { inner, store: self.clone() })
    }

    /// Writes a consistent copy of an SQLite database to `path`, which must not exist, while others read and write.
    pub async fn backup(&self, path: &Path) -> Result<()> {
        let Pools::Sqlite { read, .. } = &self.pools else {
            return Err(Error::conflict("This database is PostgreSQL: back it up with pg_dump."));
        };
        let Some(target) = path.to_str() else { return Err(Error::invalid("file", "is not valid UTF-8")) };
        sqlx::query("VACUUM INTO $1").bind(target).execute(read).await.map(|_| ()).map_err(fail)
    }

    /// The size of an SQLite database in bytes, for progress.
    pub async fn size(&self) -> Result<u64> {
        let Pools::Sqlite { read, .. } = &self.pools else { return Ok(0) };
        let query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let bytes: i64 = sqlx::query_scalar(query).fetch_one(read).await.map_err(fail)?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// Is this PostgreSQL, where other nodes may write too?
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_))
    }

    /// Closes all connections; what is running ends first. An SQLite file is left without its WAL, and free for
    /// another process.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { write, read, .. } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
        if let Some(lock) = &self.lock
            && let Err(error) = lock.unlock()
        {
            tracing::warn!(%error, "the lock of the database is given back only at the end of the process");
        }
    }
}

/// An owned connection for reading.
pub enum Reader {
    /// To an SQLite file.
    Sqlite(PoolConnection<Sqlite>),
    /// To a PostgreSQL server.
    Postgres(PoolConnection<Postgres>),
}

impl Reader {
    /// The connection, to pass to a query.
    pub fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(c) => Conn::Sqlite(c),
            Self::Postgres(c) => Conn::Postgres(c),
        }
    }
}

/// A transaction.
pub struct Tx {
    inner: Inner,
    pub(crate) store: Store,
}

enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// The connection, to pass to a query.
    pub fn conn(&mut self) -> Conn<'_> {
        match &mut self.inner {
            Inner::Sqlite(c) => Conn::Sqlite(c),
            Inner::Postgres(c) => Conn::Postgres(c),
        }
    }

    /// A commit without an event, for what nobody follows: key checks, counters, spent links.
    pub async fn commit_unlogged(self) -> Result<()> {
        match self.inner {
            Inner::Sqlite(tx) => tx.commit().await.map_err(fail),
            Inner::Postgres(tx) => tx.commit().await.map_err(fail),
        }
    }
}

/// Waits until no other process opens a database in the same directory: the change to WAL does not wait for another
/// one but fails at once, and sqlx takes no lock while it migrates. The directory is the lock: it leaves no file behind.
async fn take_turn(path: &Path) -> Result<Option<File>, OpenError> {
    let lock = lock_path(path);
    let directory = lock.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Where there is no such directory, opening goes on and says so.
    let Ok(held) = File::open(directory) else { return Ok(None) };
    for _ in 0..TURN_TRIES {
        match held.try_lock() {
            Ok(()) => return Ok(Some(held)),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(TURN_PAUSE).await,
            // A file system without locks.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
    Err(OpenError::Open {
        url: path.display().to_string(),
        cause: "another process has been opening a database in this directory for half a minute".to_owned(),
        hint: "Wait until it is done, or end it.",
    })
}

async fn open_sqlite(path: &Path) -> Result<Pools, OpenError> {
    let failed = |cause: sqlx::Error| OpenError::Open {
        url: path.display().to_string(),
        cause: cause_text(&cause),
        hint: sqlite_hint(&cause),
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An acknowledged change survives the loss of power.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Never `PRAGMA optimize`: statistics of a young database make SQLite read whole tables row by row of another
        // once it has grown. Without any it takes the index, always.
        .busy_timeout(Duration::from_secs(5));
    close_to_others(path);
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone())
        .await
        .map_err(failed)?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&write).await.map_err(failed)?;
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let linked = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if linked < SQLITE_AT_LEAST {
        return Err(OpenError::Version(version));
    }
    // `create_if_missing` on a read-only file system or file only fails at the first write: try one now.
    sqlx::query("BEGIN IMMEDIATE; ROLLBACK").execute(&write).await.map_err(failed)?;
    let read = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(ACQUIRE)
        .connect_with(options)
        .await
        .map_err(failed)?;
    Ok(Pools::Sqlite { path: path.to_owned(), write, read })
}

/// What to do when an SQLite file cannot be opened.
fn sqlite_hint(error: &sqlx::Error) -> &'static str {
    let code = match error {
        sqlx::Error::Database(e) => e.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0) & 0xff,
        _ => 0,
    };
    match code {
        5 | 6 => "Another program holds it locked: end that program, then try again.",
        11 | 26 => "Restore it from a backup, or name another file.",
        _ => "The directory must exist, and file and directory must be writable for this user.",
    }
}

/// The lock of who serves from an SQLite file; `None` when another holds it. It is given back when the file is dropped.
fn lock_file(path: &Path) -> Result<Option<File>, OpenError> {
    let lock_path = lock_path(path);
    let failed = |cause: std::io::Error| OpenError::Open {
        url: lock_path.display().to_string(),
        cause: cause.to_string(),
        hint: "The directory must be writable.",
    };
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

/// Makes the file when it is missing, for nobody else to read: it will hold addresses and hashes of passwords. SQLite gives
/// the files that it puts beside it the same mode. That of one that is there is its owner's choice.
fn close_to_others(path: &Path) {
    // What goes wrong here goes wrong for SQLite too, which says it better.
    let _ = File::options().write(true).create(true).truncate(false).mode(0o600).open(path);
}

/// Beside the file itself, whatever link led to it: two names must not mean two locks.
fn lock_path(path: &Path) -> PathBuf {
    let mut lock = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    lock.push(".lock");
    lock.into()
}

/// Brings an SQLite file up to date, if it is not; but not under the feet of one who serves from it.
async fn migrate_sqlite(path: &Path, write: &SqlitePool) -> Result<(), OpenError> {
    // A file without this table is new; every other fault comes again when the steps are taken.
    let applied = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version");
    let applied: Vec<(i64, Vec<u8>)> = applied.fetch_all(write).await.unwrap_or_default();
    let known = MIGRATIONS_SQLITE.iter().map(|step| (step.version, step.checksum.to_vec()));
    if known.eq(applied) {
        return Ok(());
    }
    // Where nobody has ever served there is no such file.
    let served =
        File::open(lock_path(path)).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
    if served {
        return Err(OpenError::Served(path.to_owned()));
    }
    MIGRATIONS_SQLITE.run(write).await.map_err(migrate_error)
}

fn migrate_error(error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMissing(version) => OpenError::Newer(version),
        other => OpenError::Migrate(other.to_string()),
    }
}

async fn open_postgres(url: &str) -> Result<Pools, OpenError> {
    let failed = |url: String, cause: sqlx::Error| OpenError::Open {
        url,
        cause: cause_text(&cause),
        hint: "Is the server up, does the database exist, are user and password right?",
    };
    // What cannot be read as an address is not shown: there may be a password anywhere in it.
    let options = PgConnectOptions::from_str(url).map_err(|cause| failed("postgres://…".to_owned(), cause))?;
    let name = format!(
        "postgres://{}@{}:{}/{}",
        options.get_username(),
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_default()
    );
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .connect_with(options.application_name("tokenward"))
        .await
        .map_err(|cause| failed(name, cause))?;
    Ok(Pools::Postgres(pool))
}

fn cause_text(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(e) => e.message().to_owned(),
        sqlx::Error::PoolTimedOut => "no answer in time".to_owned(),
        other => other.to_string(),
    }
}

fn cause_of(error: &Error) -> String {
    error.cause.as_ref().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Maps what the driver says. A violated key is a conflict; a database that cannot be reached or written is a
/// 503; all else is a fault of ours.
pub(crate) fn fail(error: sqlx::Error) -> Error {
    let unavailable =
        |detail: &str, cause: sqlx::Error| Error { cause: Some(cause.into()), ..Error::unavailable(detail) };
    match &error {
        sqlx::Error::Database(e) if e.is_unique_violation() => Error {
            cause: Some(error.into()),
            ..Error::new(Code::NameTaken, "The same thing was made at the same time. Read again before you repeat it.")
        },
        sqlx::Error::Database(e) if e.is_foreign_key_violation() => Error {
            cause: Some(error.into()),
            ..Error::conflict("Something that this refers to was changed at the same time. Read again and retry.")
        },
        // SQLite: 5 busy, 8 read-only, 10 I/O, 13 full, 14 cannot open. PostgreSQL: 40 rollback, 53 resources,
        // 57 operator, 25006 read-only.
        sqlx::Error::Database(e)
            if e.code().is_some_and(|code| match code.parse::<u32>() {
                Ok(code) if code < 100_000 && matches!(code & 0xff, 5 | 8 | 10 | 13 | 14) && code < 8_000 => true,
                _ => {
                    ["40", "53", "57"].iter().any(|class| code.len() == 5 && code.starts_with(class)) || code == "25006"
                }
            }) =>
        {
            unavailable("The database cannot be written now. Nothing was changed; try again.", error)
        }
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
            unavailable("The database does not answer now. Try again.", error)
        }
        _ => Error::internal(error),
    }
}

/// Rows whose id is in `ids`. `select` ends in `IN`.
pub(crate) async fn by_ids<T>(mut conn: Conn<'_>, select: &'static str, ids: &[Uuid]) -> Result<Vec<T>>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let mut rows = Vec::with_capacity(ids.len());
    // Far below the 32,766 parameters that both databases allow, and one plan for all full pieces.
    for piece in ids.chunks(500) {
        rows.extend(match conn.again() {
            Conn::Sqlite(c) => among::<Sqlite>(select, piece).build_query_as::<T>().fetch_all(c).await.map_err(fail)?,
            Conn::Postgres(c) => {
                among::<Postgres>(select, piece).build_query_as::<T>().fetch_all(c).await.map_err(fail)?
            }
        });
    }
    Ok(rows)
}

fn among<DB>(select: &'static str, ids: &[Uuid]) -> QueryBuilder<DB>
where
    DB: sqlx::Database,
    for<'q> Uuid: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut query = QueryBuilder::new(select);
    query.push(" (");
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    query.push(")");
    query
}

/// Turns a violated unique key into the answer that says so.
pub(crate) fn taken(what: &'static str, name: &str) -> impl FnOnce(Error) -> Error {
    let name = name.to_owned();
    move |error| if error.code == Code::NameTaken { Error::name_taken(what, &name) } else { error }
}
