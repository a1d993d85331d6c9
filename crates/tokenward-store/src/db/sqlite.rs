//! What is SQLite's own: one writer beside several readers, and who may open and serve a file.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Either, Executor as _, Sqlite};
use tokenward_core::Time;
use tokenward_core::error::{Error, Result};

use crate::db::TableSize;

use super::error::{OpenError, cause_text, fail, migrate_error, readable_steps, same_steps};
use super::head::Head;
use super::served::{self, Serving};
use super::{Conn, Connections};

/// Older versions can corrupt a database in WAL mode (the WAL-reset bug, fixed in 3.51.3).
pub const SQLITE_AT_LEAST: (u32, u32, u32) = (3, 51, 3);

/// How long a request waits for a connection before it gets a 503.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Readers beside the one writer of SQLite. Reading is short; more connections would only wait for the disk.
const READERS: u32 = 8;
/// Rows that are read ahead of whoever takes them.
const ROWS_AT_ONCE: usize = 512;
/// How often to look whether another process has opened its database: for half a minute.
const TURN_TRIES: usize = 1_500;
const TURN_PAUSE: Duration = Duration::from_millis(20);

/// So many transactions are written before what they have left in the write-ahead log is brought into the file: that of single
/// writes is then about as much as SQLite waits for by itself (1,000 pages).
const BROUGHT_IN_EVERY: u32 = 64;
/// Pages of that log from which on the writer brings them in by itself, while it waits for that: 16 MiB. Only then it begins at the
/// front again, so that it is also what bounds it where much is written without a pause.
const PAGES_LEFT: &str = "4000";

/// What each connection keeps of the file, in KiB as SQLite wants it. Whoever reads much fills it for each reader, and it is kept; what
/// is not there is in the memory of the system, a call away.
const PAGES_OF_A_READER: &str = "-2048";
/// The one that writes touches the same indexes again and again.
const PAGES_OF_THE_WRITER: &str = "-8192";

/// How long the end of the store waits for the connection of the follower.
const FOLLOWER_ENDS: std::time::Duration = std::time::Duration::from_secs(1);

/// The steps that the schema has taken.
const STEPS: &str = "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";

static MIGRATIONS: Migrator = sqlx_macros::migrate!("./migrations/sqlite");

/// The connections to one file.
#[derive(Clone)]
pub(super) struct Pools {
    path: PathBuf,
    /// One, so that writers wait here for each other and not on the file.
    pub(super) write: SqlitePool,
    pub(super) read: SqlitePool,
    /// One, for following the log.
    pub(super) follow: SqlitePool,
    bringing_in: Arc<BringingIn>,
}

/// When what is in the write-ahead log was brought into the file last.
#[derive(Default)]
struct BringingIn {
    /// Transactions since.
    transactions: AtomicU32,
    /// Does somebody do it now?
    runs: AtomicBool,
}

impl Pools {
    /// How many connections there are, to read and to write.
    pub(super) fn connections(&self) -> Connections {
        let both = [&self.read, &self.write];
        let open: usize = both.iter().map(|pool| pool.size() as usize).sum();
        let idle: usize = both.iter().map(|pool| pool.num_idle()).sum();
        let most: usize = both.iter().map(|pool| pool.options().get_max_connections() as usize).sum();
        Connections { used: open.saturating_sub(idle), idle, most }
    }

    /// A transaction is written. Now and then one of the readers brings what is in the write-ahead log into the file, beside those who
    /// write: nobody waits for that, nor for the disk that it waits for.
    pub(super) fn writes(&self) {
        let own = &self.bringing_in;
        if own.transactions.fetch_add(1, Ordering::Relaxed) + 1 < BROUGHT_IN_EVERY
            || own.runs.swap(true, Ordering::AcqRel)
        {
            return;
        }
        own.transactions.store(0, Ordering::Relaxed);
        let (own, read) = (Arc::clone(own), self.read.clone());
        tokio::spawn(async move {
            // What cannot be brought in stays where it is, and counts.
            if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&read).await {
                tracing::debug!(%error, "the write-ahead log was not brought into the file");
            }
            own.runs.store(false, Ordering::Release);
        });
    }

    /// Makes this the only process that serves from the file, until the lock is given back.
    pub(super) fn lock(&self) -> Result<Serving, OpenError> {
        let serving = served::begin(&self.path).map_err(|cause| OpenError::Open {
            url: self.path.display().to_string(),
            cause: cause.to_string(),
            hint: "The file system must have locks (flock).",
        })?;
        serving.ok_or_else(|| OpenError::Locked(self.path.clone()))
    }

    /// Writes a consistent copy to `path`, which must not exist.
    pub(super) async fn backup(&self, path: &Path) -> Result<()> {
        let Some(target) = path.to_str() else { return Err(Error::invalid("file", "is not valid UTF-8")) };
        sqlx::query("VACUUM INTO $1").bind(target).execute(&self.read).await.map(|_| ()).map_err(fail)
    }

    /// What SQLite finds wrong in it.
    pub(super) async fn damage(&self) -> Result<Option<String>> {
        let said: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&self.read).await.map_err(fail)?;
        Ok(Some(said).filter(|said| said != "ok"))
    }

    /// The size in bytes.
    pub(super) async fn size(&self) -> Result<u64> {
        let query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let bytes: i64 = sqlx::query_scalar(query).fetch_one(&self.read).await.map_err(fail)?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// What each table takes with its indexes: all pages are looked at. Cells of inner pages are counted as rows; there are few.
    pub(super) async fn table_sizes(&self) -> Result<Vec<TableSize>> {
        let query = "SELECT m.tbl_name AS name, sum(CASE WHEN d.name = m.tbl_name THEN d.ncell ELSE 0 END) AS rows, \
                     sum(d.pgsize) AS bytes FROM dbstat d JOIN sqlite_schema m ON m.name = d.name \
                     WHERE d.aggregate = TRUE AND m.tbl_name <> '_sqlx_migrations' GROUP BY m.tbl_name ORDER BY bytes DESC, name";
        sqlx::query_as(query).fetch_all(&self.read).await.map_err(fail)
    }

    /// Closes the readers first: the writer's connection takes the WAL away with it.
    pub(super) async fn close(&self) {
        // Whoever follows was told to stop before. One who was not must not hold up the end of the process.
        let _ = tokio::time::timeout(FOLLOWER_ENDS, self.follow.close()).await;
        self.read.close().await;
        self.write.close().await;
    }

    /// The steps that the schema of the file has taken. A file without this table is new; every other fault comes again
    /// with the next statement.
    async fn steps(&self) -> Vec<(i64, Vec<u8>)> {
        sqlx::query_as(STEPS).fetch_all(&self.write).await.unwrap_or_default()
    }

    /// Brings the file up to date, if it is not; but not under the feet of one who serves from it.
    async fn migrate(&self) -> Result<(), OpenError> {
        if same_steps(&self.steps().await, &MIGRATIONS).is_ok() {
            return Ok(());
        }
        if served::is_served(&self.path) {
            return Err(OpenError::Served(self.path.clone()));
        }
        MIGRATIONS.run(&self.write).await.map_err(migrate_error)
    }
}

/// Opens the file at `path`, or makes it, and brings its schema up to date, while no other process opens one beside it.
pub(super) async fn open(path: &Path) -> Result<Pools, OpenError> {
    let _turn = take_turn(path).await?;
    let pools = connect(path).await?;
    pools.migrate().await?;
    Ok(pools)
}

/// Opens the file at `path`, whose schema is up to date.
pub(super) async fn attach(path: &Path) -> Result<Pools, OpenError> {
    if !path.exists() {
        return Err(OpenError::Absent(path.to_owned()));
    }
    let _turn = take_turn(path).await?;
    let pools = connect(path).await?;
    same_steps(&pools.steps().await, &MIGRATIONS)?;
    Ok(pools)
}

/// Opens the file at `path` to read it, also one of an older schema. Nothing is written into it: not even what a server
/// that was killed has left beside it is brought in.
pub(super) async fn open_to_read(path: &Path) -> Result<Pools, OpenError> {
    if !path.exists() {
        return Err(OpenError::NoFile(path.to_owned()));
    }
    let failed = |cause: sqlx::Error| OpenError::Open {
        url: path.display().to_string(),
        cause: cause_text(&cause),
        hint: match sqlite_hint(&cause) {
            UNWRITABLE => "The file must be readable for this user.",
            hint => hint,
        },
    };
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(5));
    let connect = |options: SqliteConnectOptions| {
        SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(ACQUIRE).connect_with(options)
    };
    // Readers of a WAL share a file beside the database, which cannot be made where the directory is read-only. Without a
    // WAL nobody writes there, and the file can be taken as one that does not change.
    let unshared = || {
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        !Path::new(&wal).exists()
    };
    let read = match connect(options.clone()).await {
        Err(_) if unshared() => connect(options.clone().immutable(true)).await,
        connected => connected,
    };
    let read = read.map_err(failed)?;
    let closed = SqlitePoolOptions::new().connect_lazy_with(options);
    let pools =
        Pools { path: path.to_owned(), write: closed.clone(), read, follow: closed, bringing_in: Arc::default() };
    let steps = sqlx::query_as(STEPS).fetch_all(&pools.read).await.map_err(failed)?;
    readable_steps(&steps, &MIGRATIONS)?;
    Ok(pools)
}

/// Waits until no other process opens a database in the same directory: the change to WAL does not wait for another
/// one but fails at once, and sqlx takes no lock while it migrates. The directory is the lock: it leaves no file behind.
async fn take_turn(path: &Path) -> Result<Option<File>, OpenError> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
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

async fn connect(path: &Path) -> Result<Pools, OpenError> {
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
        // What was erased is no longer in the file.
        .pragma("secure_delete", "ON")
        .pragma("cache_size", PAGES_OF_A_READER)
        .pragma("wal_autocheckpoint", PAGES_LEFT)
        // Rows come from a thread of SQLite's: with few at a time each wakes who waits for it.
        .row_buffer_size(ROWS_AT_ONCE)
        // Never `PRAGMA optimize`: statistics of a young database make SQLite read whole tables row by row of another
        // once it has grown. Without any it takes the index, always.
        .busy_timeout(Duration::from_secs(5));
    close_to_others(path);
    // A connection is asked whether it is there when it is given back; to ask once more would be another hop to its thread.
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone().pragma("cache_size", PAGES_OF_THE_WRITER))
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
        .max_connections(READERS)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE)
        .connect_with(options.clone())
        .await
        .map_err(failed)?;
    let follow = SqlitePoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE).connect_lazy_with(options);
    Ok(Pools { path: path.to_owned(), write, read, follow, bringing_in: Arc::default() })
}

/// What to do about most faults of a file.
const UNWRITABLE: &str = "The directory must exist, and file and directory must be writable for this user.";

/// What to do when an SQLite file cannot be opened.
fn sqlite_hint(error: &sqlx::Error) -> &'static str {
    let code = match error {
        sqlx::Error::Database(e) => e.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0) & 0xff,
        _ => 0,
    };
    match code {
        5 | 6 => "Another program holds it locked: end that program, then try again.",
        11 | 26 => "Restore it from a backup, or name another file.",
        _ => UNWRITABLE,
    }
}

/// Reads the log's head. The whole file is taken since the transaction began.
pub(super) async fn take_head(c: &mut SqliteConnection, now: Time) -> Result<Head> {
    let head = "SELECT m.incarnation, h.position, h.hash, h.place, NULL AS here, $1 AS now, 0 AS said, \
                (SELECT time FROM event WHERE position = h.position) AS written_at FROM log_head h, meta m";
    sqlx::query_as(head).bind(now.0).fetch_one(c).await.map_err(fail)
}

/// A transaction on the one connection that writes. Its beginning and its end are said here and not by sqlx, which counts
/// them, and counts wrong when SQLite itself has ended a transaction because its disk was full.
pub(crate) struct Writer(Option<PoolConnection<Sqlite>>);

impl Writer {
    /// The write lock at once: a transaction that first reads and then writes could otherwise fail half-way.
    pub(super) async fn begin(pool: &SqlitePool) -> Result<Self> {
        // Before it has begun: whoever asked may go away in the middle of it, and a connection that went back as it is would be
        // in a transaction that the next writer knows nothing of.
        let mut writer = Self(Some(pool.acquire().await.map_err(fail)?));
        if let Err(error) = sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut **writer.held()).await {
            writer.held().close_on_drop();
            return Err(fail(error));
        }
        Ok(writer)
    }

    /// The connection, before anything has begun on it.
    pub(super) async fn unbegun(pool: &SqlitePool) -> Result<Self> {
        Ok(Self(Some(pool.acquire().await.map_err(fail)?)))
    }

    /// Runs what is a whole transaction, from its beginning to its commit, in one hop to the thread of the connection: so many
    /// statements. An error without one in it means that it is not known whether it is committed, as in [`Self::commit`].
    pub(super) async fn whole(
        mut self,
        query: sqlx::query::Query<'_, Sqlite, sqlx::sqlite::SqliteArguments>,
        statements: usize,
    ) -> Result<(), Option<sqlx::Error>> {
        let mut done = 0;
        let ended = {
            let conn: &mut SqliteConnection = self.held();
            let mut all = conn.fetch_many(query);
            loop {
                match all.try_next().await {
                    Ok(Some(Either::Left(_))) => done += 1,
                    Ok(Some(Either::Right(_))) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            }
        };
        match ended {
            Ok(()) if done == statements => {
                drop(self.0.take());
                Ok(())
            }
            // Dropped here, it is rolled back: its commit was not reached.
            Err(error @ sqlx::Error::Database(_)) if done + 1 < statements => Err(Some(error)),
            _ => {
                tracing::warn!(error = ?ended.err(), done, "a commit failed; its connection is closed, and the file asked what is in it");
                if let Some(mut held) = self.0.take() {
                    held.close_on_drop();
                }
                Err(None)
            }
        }
    }

    /// The connection.
    pub(super) fn raw(&mut self) -> &mut SqliteConnection {
        self.held()
    }

    fn held(&mut self) -> &mut PoolConnection<Sqlite> {
        #[expect(clippy::expect_used, reason = "it is taken out only where the transaction ends")]
        self.0.as_mut().expect("a transaction holds its connection until it ends")
    }

    pub(super) fn conn(&mut self) -> Conn<'_> {
        Conn::Sqlite(self.held())
    }

    /// Commits. An error without one in it means that it is not known whether it is committed: what a disk said that was
    /// full or broken is no word about what it holds.
    pub(super) async fn commit(mut self) -> Result<(), Option<Error>> {
        let committed = sqlx::raw_sql("COMMIT").execute(&mut **self.held()).await;
        let Some(mut held) = self.0.take() else { return Err(None) };
        match committed {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "a commit failed; its connection is closed, and the file asked what is in it");
                held.close_on_drop();
                Err(None)
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(mut held) = self.0.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    // It fails where SQLite has rolled back by itself. Whatever it is: a connection of which that is not
                    // known does not write again.
                    if sqlx::raw_sql("ROLLBACK").execute(&mut *held).await.is_err() {
                        held.close_on_drop();
                    }
                });
            }
            Err(_) => held.close_on_drop(),
        }
    }
}

/// Makes the file when it is missing, for nobody else to read: it will hold addresses and hashes of passwords. SQLite gives
/// the files that it puts beside it the same mode. That of one that is there is its owner's choice; and it is not opened,
/// since to close it again would take SQLite's locks away (see [`served`]).
fn close_to_others(path: &Path) {
    // What goes wrong here goes wrong for SQLite too, which says it better.
    let _ = File::options().write(true).create_new(true).mode(0o600).open(path);
}
