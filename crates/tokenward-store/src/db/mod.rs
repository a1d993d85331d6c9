//! The database: opening it, connections, transactions, and which of the two it is. What only one of them has or says
//! stands in its own file; no file outside of this folder names a dialect.
//!
//! All queries are written once, with `$1` placeholders and types that both databases know. `run!` repeats the
//! same expression for either connection; keep the expressions short.

mod at_once;
mod dialect;
mod error;
mod feed;
mod feed_mode;
mod folds;
mod head;
mod hint;
mod hints;
mod long;
mod many;
mod open;
mod packed;
mod postgres;
mod row;
mod served;
mod sqlite;
mod table_size;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, Postgres, QueryBuilder, Sqlite};
use tokenward_core::error::{Error, Result};
use tokenward_core::id::new_id;
use tokenward_core::lease::LogPlace;
use tokenward_core::log_time::{LogTime, time_of_log};
use tokenward_core::sync::lock;
use tokenward_core::time::{MINUTE, Micros, length_text};
use tokenward_core::{Clock, Random, Time, Uuid};
use tokio::time::timeout;

use crate::address::DatabaseAddress;

pub(crate) use at_once::{Batch, Behind, Came, CameBehind, Pieces, Shape};
pub(crate) use dialect::Dialect;
pub use error::OpenError;
use error::cause_of;
pub use error::gave_way;
pub(crate) use error::{fail, is_forbidden, late, name_conflict};
pub use feed::Feed;
pub use feed_mode::FeedMode;
pub(crate) use head::Head;
pub use head::Places;
pub use hint::Hint;
pub use hints::Listener;
pub(crate) use hints::{put_applied, put_head};
pub use long::{LongWrite, as_present, in_background};
pub(crate) use many::{Many, hex_bytes, hex_id, many};
pub(crate) use open::{OpenTransaction, Uncommitted};
pub(crate) use packed::{LIVING_SECRETS, SECRETS_OF, pack, packed_tokens};
pub use postgres::{Lease, Session};
pub(crate) use row::{Column, Joined, Perhaps, column, row};
pub use sqlite::SQLITE_AT_LEAST;
pub use table_size::TableSize;

/// Runs one expression on either kind of connection and maps its error. `$c` is the connection in `$body`.
macro_rules! run {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::db::Conn::Sqlite($c) => $body.await.map_err($crate::db::fail),
            $crate::db::Conn::Postgres(session) => {
                let answer = {
                    let (patience, $c) = session.statement();
                    tokio::time::timeout(patience, $body).await
                };
                session.answered(answer)
            }
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
            $crate::db::Conn::Postgres(session) => {
                let answer = {
                    let (patience, c) = session.statement();
                    tokio::time::timeout(patience, $query.execute(&mut *c)).await
                };
                session.answered(answer).map(|done| done.rows_affected())
            }
        }
    };
}
pub(crate) use execute;

/// How many rows a query counts.
macro_rules! count {
    ($conn:expr, $query:expr $(, $bind:expr)*) => {
        $crate::db::run!($conn, c => sqlx::query_scalar::<_, i64>($query)$(.bind($bind))*.fetch_one(&mut *c))
            .map(i64::unsigned_abs)
    };
}
pub(crate) use count;

/// Passes the rows of a query with one number in it to `each`, without holding all of them in memory. SQLite is asked for
/// the same in `packed` rows; see [`packed`].
pub(crate) async fn each_row<T, const NUMBERS: usize, const PIECES: usize>(
    conn: Conn<'_>,
    rows: &'static str,
    packed: &'static str,
    unpack: impl Fn([Option<i64>; NUMBERS], [&[u8]; PIECES]) -> Option<T>,
    bound: i64,
    mut each: impl FnMut(T),
) -> Result<()>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    match conn {
        Conn::Sqlite(c) => packed::each_packed(c, packed, bound, unpack, each).await,
        Conn::Postgres(session) => {
            let ended = {
                let (patience, c) = session.statement();
                let mut all = sqlx::query_as::<_, T>(rows).bind(bound).fetch(c);
                loop {
                    match timeout(patience, all.try_next()).await {
                        Ok(Ok(Some(row))) => each(row),
                        Ok(Ok(None)) => break Ok(Ok(())),
                        Ok(Err(error)) => break Ok(Err(error)),
                        Err(late) => break Err(late),
                    }
                }
            };
            session.answered(ended)
        }
    }
}

/// A borrowed connection, in a transaction or out of one.
pub enum Conn<'c> {
    /// To an SQLite file.
    Sqlite(&'c mut SqliteConnection),
    /// To a PostgreSQL server.
    Postgres(&'c mut Session),
}

impl Conn<'_> {
    /// The same connection for a shorter time, for functions that run several queries.
    pub fn reborrow(&mut self) -> Conn<'_> {
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
    lock: Option<Arc<served::Serving>>,
    /// Up to where whoever follows the log in this process knows it.
    known: Arc<AtomicI64>,
    /// The place where it was last found, on the highest timeline.
    place: Arc<Mutex<Option<String>>>,
    /// When the database's clock was last not believed, by the steady clock, and how far ahead it was.
    doubted: Arc<Mutex<Option<(Micros, Micros)>>>,
    /// For which host passkeys are made here, as whoever serves has said.
    passkey_host: Arc<OnceLock<Box<str>>>,
    /// Where the log ends, as far as this process has written it.
    end: Arc<Mutex<End>>,
    /// Who writes for long now.
    long: Arc<long::LongWrites>,
}

/// What is known of the end of the log.
#[derive(Default)]
struct End {
    /// The end as this process has left it.
    head: Option<Head>,
    /// What time it was where the rows are, and by the steady clock here.
    heard: Option<(Time, Micros)>,
    /// The same, as far as it was believed.
    believed: Option<(Time, Micros)>,
    /// When the newest event was written that is known here.
    newest: Option<Time>,
    /// Does the database not let this process write behind what others have written?
    held_only: bool,
}

/// What is heard of the time comes later than it was said. Of what was heard within so long, that counts which came soonest; but what
/// was heard loses so much of what has passed since that a clock of another pace is followed.
const HEARD_WITHIN: Micros = 50_000;
const PACE: Micros = 1_000;

/// How long it is told of a database's clock after it was not believed, and how often at most.
const DOUBTED: Micros = 2 * MINUTE;

/// How many connections to a database there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connections {
    /// In use.
    pub used: usize,
    /// Open and waiting.
    pub idle: usize,
    /// How many there may be.
    pub most: usize,
}

#[derive(Clone)]
enum Pools {
    Sqlite(sqlite::Pools),
    Postgres(postgres::Pool),
}

impl Store {
    /// Opens the database at `url` (`sqlite:PATH`, a path, or `postgres://…`), makes it where it does not exist,
    /// and brings its schema up to date.
    pub async fn open(url: &str, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, OpenError> {
        let pools = match DatabaseAddress::parse(url)? {
            DatabaseAddress::Server(url) => Pools::Postgres(postgres::open(&url).await?),
            DatabaseAddress::File(path) => Pools::Sqlite(sqlite::open(&path).await?),
        };
        let store = Self::from_pools(pools, clock, random);
        store.write_incarnation().await.map_err(|e| OpenError::Migrate(cause_of(&e)))?;
        folds::complete(&store).await.map_err(|e| OpenError::Migrate(cause_of(&e)))?;
        Ok(store)
    }

    /// Opens the database at `url` as a server has left it, for those who follow: nothing is made, and a schema of
    /// another version is an error.
    pub async fn attach(url: &str, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, OpenError> {
        let pools = match DatabaseAddress::parse(url)? {
            DatabaseAddress::Server(url) => Pools::Postgres(postgres::attach(&url).await?),
            DatabaseAddress::File(path) => Pools::Sqlite(sqlite::attach(&path).await?),
        };
        Ok(Self::from_pools(pools, clock, random))
    }

    /// Opens the database at `url` for those who only read the log: nothing is made and nothing changed, not even the schema
    /// of an older version.
    pub async fn open_to_read(url: &str, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, OpenError> {
        let pools = match DatabaseAddress::parse(url)? {
            DatabaseAddress::Server(url) => Pools::Postgres(postgres::open_to_read(&url).await?),
            DatabaseAddress::File(path) => Pools::Sqlite(sqlite::open_to_read(&path).await?),
        };
        Ok(Self::from_pools(pools, clock, random))
    }

    /// Over open connections: nothing is known of the database yet.
    fn from_pools(pools: Pools, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            pools,
            clock,
            random,
            lock: None,
            known: Arc::default(),
            place: Arc::default(),
            doubted: Arc::default(),
            passkey_host: Arc::default(),
            end: Arc::default(),
            long: Arc::default(),
        }
    }

    /// Passkeys that were made for this host open accounts here: a fresh proof of an account that has one takes as much. It is said
    /// once, by whoever serves.
    pub fn take_passkeys_for(&self, host: &str) {
        let _ = self.passkey_host.set(host.into());
    }

    /// For which host passkeys are made here; `None` where none open anything.
    #[must_use]
    pub fn passkey_host(&self) -> Option<&str> {
        self.passkey_host.get().map(|host| &**host)
    }

    /// Has the schema taken this step?
    pub async fn has_taken(&self, step: i64) -> Result<bool> {
        let mut reader = self.read().await?;
        let taken =
            count!(reader.conn(), "SELECT count(*) FROM _sqlx_migrations WHERE success AND version = $1", step)?;
        Ok(taken > 0)
    }

    /// Makes this the only process that serves from an SQLite file. PostgreSQL needs no such thing.
    pub fn lock(&mut self) -> Result<(), OpenError> {
        if let Pools::Sqlite(file) = &self.pools {
            self.lock = Some(Arc::new(file.lock()?));
        }
        Ok(())
    }

    /// Writes the rows that every database has, once: the incarnation and the empty log.
    async fn write_incarnation(&self) -> Result<()> {
        let mut reader = self.read().await?;
        let present: i64 =
            run!(reader.conn(), c => sqlx::query_scalar("SELECT count(*) FROM meta").fetch_one(&mut *c))?;
        drop(reader);
        if present > 0 {
            return Ok(());
        }
        let mut tx = self.transaction().await?;
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
            sqlx::query(concat!(
                "INSERT INTO log_line (incarnation, number, after_position, begun_at, why) ",
                "SELECT incarnation, 1, 0, created_at, 'first' FROM meta WHERE true ON CONFLICT DO NOTHING"
            ))
        )?;
        execute!(
            tx.conn(),
            sqlx::query("INSERT INTO log_head (only_row, position, hash) VALUES (1, 0, $1) ON CONFLICT DO NOTHING")
                .bind(&[0u8; 32][..])
        )?;
        Ok(tx.commit().await?)
    }

    /// The log is known up to here: one that ends before is another one, and nothing is written into it.
    pub fn is_known_to(&self, position: i64) {
        self.known.store(position, Ordering::SeqCst);
    }

    /// This process has written the log up to here.
    pub(crate) fn wrote(&self, head: Head) {
        let mut end = lock(&self.end);
        if end.head.as_ref().is_none_or(|it| it.incarnation != head.incarnation || it.position < head.position) {
            end.head = Some(head);
        }
    }

    /// Where the log ends is not known any more.
    pub(crate) fn forget_end(&self) {
        lock(&self.end).head = None;
    }

    /// It was this time where the rows are.
    pub(crate) fn heard(&self, at: Time) {
        let steady = self.clock.steady();
        let mut end = lock(&self.end);
        end.heard = Some(heard_best(end.heard, at, steady));
    }

    /// Does the database let this process write behind what others have written since, as far as it is known?
    #[must_use]
    pub fn goes_behind(&self) -> bool {
        self.is_shared() && !lock(&self.end).held_only
    }

    /// It does not.
    pub(crate) fn goes_not_behind(&self) {
        let was = std::mem::replace(&mut lock(&self.end).held_only, true);
        if !was {
            tracing::warn!(
                "the user of the database may not call the function `take_log_end`, or it is not there: until it is started anew this \
                 node holds the log while its batches go there and back; GRANT EXECUTE on it, and start again"
            );
        }
    }

    /// Up to where whoever follows the log in this process knows it.
    pub(crate) fn known_to(&self) -> i64 {
        self.known.load(Ordering::SeqCst)
    }

    /// Where this process has left the log.
    pub(crate) fn last_head(&self) -> Option<Head> {
        lock(&self.end).head.clone()
    }

    /// What time it is for those who write, and where the rows are, by what was heard from there last.
    pub(crate) fn heard_now(&self) -> Option<(Time, Time)> {
        match &self.pools {
            Pools::Sqlite(_) => Some((self.now(), self.now())),
            Pools::Postgres(_) => {
                let (at, steady) = lock(&self.end).heard?;
                let there = at.plus(self.clock.steady().saturating_sub(steady));
                Some((self.clock.shared(there), there))
            }
        }
    }

    /// Where this process has left the log, what time it is for those who write there, and where the rows are. `None` where
    /// somebody else has written since, as far as that is known.
    pub(crate) fn known_head(&self) -> Option<(Head, Time, Time)> {
        self.as_of_now(self.last_head().filter(|head| head.position >= self.known_to())?)
    }

    /// The same of a head that this process has seen, whatever others have written since: the time is not before that of all that this
    /// process has written.
    pub(crate) fn as_of_now(&self, head: Head) -> Option<(Head, Time, Time)> {
        let (now, there) = self.heard_now()?;
        let own = if self.is_shared() { self.clock.own() } else { now };
        // It was written then.
        let head = Head { written_at: Some(head.now), now, ..head }.settle(self, own);
        let now = head.now;
        Some((head, now, there))
    }

    /// Where the log is that a connection leads to. An error where others have gone on from there.
    pub async fn places(&self, conn: Conn<'_>) -> Result<Places> {
        let places = match conn {
            Conn::Sqlite(_) => Places::default(),
            Conn::Postgres(session) => {
                let places = postgres::places(session).await?;
                if let Err(error) = self.require_present(places.here.as_deref()) {
                    session.give_up();
                    return Err(error);
                }
                places
            }
        };
        Ok(places)
    }

    /// A server that was taken over from may still answer, and even write. What it says is over.
    pub(crate) fn require_present(&self, here: Option<&str>) -> Result<()> {
        let Some(found) = here.and_then(LogPlace::parse) else { return Ok(()) };
        let mut known = lock(&self.place);
        match known.as_deref().and_then(LogPlace::parse) {
            Some(seen) if found.is_before(&seen) => Err(Error::unavailable(
                "The database server that answers is one that another has taken over from: its timeline is an earlier one than \
                 was seen before. Nothing was changed; let the address lead to the server that took over.",
            )),
            Some(seen) if seen == found => Ok(()),
            _ => {
                *known = here.map(str::to_owned);
                Ok(())
            }
        }
    }

    /// The log that was taken must not be one that has forgotten.
    pub(crate) fn require_known(&self, head: &Head) -> Result<()> {
        if head.position >= self.known_to() {
            return Ok(());
        }
        Err(Error::unavailable(
            "The database has gone back to an older state. What was taken away since is taken away again first; nothing was \
             changed by this request. Try again.",
        ))
    }

    /// The present time, by this node's own clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// What time it is for those who write to the database, and nobody is asked for it: by what was heard from there last, and has
    /// passed since by a clock that nobody can set. So one node's wrong clock decides nothing that another one is held to. Where
    /// nothing was heard yet it is this node's own.
    #[must_use]
    pub fn present(&self) -> Time {
        let Some((there, _)) = self.heard_now().filter(|_| self.is_shared()) else { return self.now() };
        let (newest, own) = (lock(&self.end).newest, self.clock.own());
        match newest {
            Some(newest) => self.time_of_log(there, Some(newest), own).now,
            // Before the log was read nobody knows which of two clocks is wrong, and nobody is told of it.
            None => time_of_log(there, Time(i64::MIN), own, None).now,
        }
    }

    /// An event was written at this time, which whoever follows the log in this process knows.
    pub fn was_written_at(&self, at: Time) {
        let mut end = lock(&self.end);
        end.newest = Some(end.newest.map_or(at, |newest| newest.max(at)));
    }

    /// What time it is where the rows are kept: the same for all who use the database.
    pub async fn time_at(&self, conn: Conn<'_>) -> Result<Time> {
        match conn {
            Conn::Sqlite(_) => Ok(self.now()),
            Conn::Postgres(session) => {
                let there = postgres::now(session).await?;
                self.heard(there);
                Ok(self.clock.shared(there))
            }
        }
    }

    /// What time it is for those who write, where the database's clock and this node's own say so, and the last event was written
    /// then.
    pub(crate) fn time_of_log(&self, database: Time, last: Option<Time>, own: Time) -> LogTime {
        let steady = self.clock.steady();
        let believed = lock(&self.end).believed.filter(|_| self.is_shared());
        let watched = believed.map(|(at, since)| at.plus(steady.saturating_sub(since).max(0)));
        let time = time_of_log(database, last.unwrap_or(Time(i64::MIN)), own, watched);
        match time.ahead {
            Some(ahead) => self.doubts(ahead),
            None => lock(&self.end).believed = Some((database, steady)),
        }
        time
    }

    /// The database's clock is so far ahead that it is not believed.
    fn doubts(&self, ahead: Micros) {
        let now = self.clock.steady();
        let mut doubted = lock(&self.doubted);
        if doubted.is_none_or(|(at, _)| now.saturating_sub(at) > DOUBTED) {
            let ahead = length_text(ahead);
            tracing::warn!(
                ahead,
                "the clock of the database is ahead of the log and of this machine; it is not believed, since ends would come for \
                 good that have not come: set it right"
            );
            *doubted = Some((now, 0));
        }
        *doubted = doubted.map(|(at, _)| (at, ahead));
    }

    /// How far the database's clock is ahead, where it was not believed just now.
    #[must_use]
    pub fn is_doubted(&self) -> Option<Micros> {
        let now = self.clock.steady();
        lock(&self.doubted).filter(|(at, _)| now.saturating_sub(*at) <= 2 * DOUBTED).map(|(_, ahead)| ahead)
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

    /// A new identifier.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        new_id(self.now(), &*self.random)
    }

    /// A connection for reading.
    pub async fn read(&self) -> Result<Reader> {
        Ok(match &self.pools {
            Pools::Sqlite(file) => Reader::Sqlite(file.read.acquire().await.map_err(fail)?),
            Pools::Postgres(pool) => Reader::Postgres(pool.acquire().await?),
        })
    }

    pub(crate) async fn transaction(&self) -> Result<OpenTransaction> {
        self.begin_open(false).await
    }

    /// A transaction that has taken the log's head, with what that is: nobody else writes until it ends.
    pub(crate) async fn transaction_at_head(&self) -> Result<(OpenTransaction, Head)> {
        let mut open = self.begin_open(true).await?;
        let head = open.take_head(self).await?;
        Ok((open, head))
    }

    async fn begin_open(&self, takes_head: bool) -> Result<OpenTransaction> {
        self.long.give_way().await;
        Ok(match &self.pools {
            Pools::Sqlite(file) => {
                file.writes();
                OpenTransaction::Sqlite(sqlite::Writer::begin(&file.write).await?)
            }
            Pools::Postgres(pool) => OpenTransaction::Postgres(postgres::begin(pool, takes_head).await?),
        })
    }

    /// Writes a consistent copy of an SQLite database to `path`, which must not exist, while others read and write.
    pub async fn backup(&self, path: &Path) -> Result<()> {
        match &self.pools {
            Pools::Sqlite(file) => file.backup(path).await,
            Pools::Postgres(_) => Err(Error::conflict("This database is PostgreSQL: back it up with pg_dump.")),
        }
    }

    /// The size of an SQLite database in bytes, for progress.
    pub async fn size(&self) -> Result<u64> {
        match &self.pools {
            Pools::Sqlite(file) => file.size().await,
            Pools::Postgres(_) => Ok(0),
        }
    }

    /// What each table takes, the largest first.
    pub(crate) async fn table_sizes(&self) -> Result<Vec<TableSize>> {
        match &self.pools {
            Pools::Sqlite(file) => file.table_sizes().await,
            Pools::Postgres(pool) => postgres::table_sizes(pool.acquire().await?.session()).await,
        }
    }

    /// What is wrong in the file of an SQLite database; a server looks after its own.
    pub async fn damage(&self) -> Result<Option<String>> {
        match &self.pools {
            Pools::Sqlite(file) => file.damage().await,
            Pools::Postgres(_) => Ok(None),
        }
    }

    /// Does a process serve from this SQLite file?
    #[must_use]
    pub fn is_served(path: &Path) -> bool {
        served::is_served(path)
    }

    /// The connections of requests, now.
    #[must_use]
    pub fn connections(&self) -> Connections {
        match &self.pools {
            Pools::Sqlite(file) => file.connections(),
            Pools::Postgres(pool) => pool.connections(),
        }
    }

    /// Is this the only process that writes here?
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.lock.is_some()
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
            Pools::Sqlite(file) => file.close().await,
            Pools::Postgres(pool) => pool.close().await,
        }
        // The last thing: nobody else begins while a connection is open.
        if let Some(lock) = &self.lock
            && let Err(error) = lock.release()
        {
            tracing::warn!(%error, "the lock of the database is given back only at the end of the process");
        }
    }
}

/// What is known best of the time elsewhere, by what was heard before and now: the time, and when it was that by the steady clock.
fn heard_best(before: Option<(Time, Micros)>, at: Time, steady: Micros) -> (Time, Micros) {
    let is_better = |(then, since): &(Time, Micros)| {
        let passed = steady.saturating_sub(*since).max(0);
        (0..HEARD_WITHIN).contains(&(then.plus(passed - passed / PACE).0.saturating_sub(at.0)))
    };
    before.filter(is_better).unwrap_or((at, steady))
}

/// An owned connection for reading.
pub enum Reader {
    /// To an SQLite file.
    Sqlite(PoolConnection<Sqlite>),
    /// To a PostgreSQL server.
    Postgres(Lease),
}

impl Reader {
    /// The connection, to pass to a query.
    pub fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(c) => Conn::Sqlite(c),
            Self::Postgres(lease) => Conn::Postgres(lease.session()),
        }
    }
}

/// Ids that one statement is about: far below the 32,766 parameters that both databases allow, and one plan for all full pieces.
const IDS_AT_ONCE: usize = 500;

/// Rows as [`by_ids`] reads them, in any order; SQLite is asked for the same in `packed` rows.
pub(crate) async fn packed_by_ids<T, const NUMBERS: usize, const PIECES: usize>(
    conn: Conn<'_>,
    select: &'static str,
    packed: &'static str,
    unpack: impl Fn([Option<i64>; NUMBERS], [&[u8]; PIECES]) -> Option<T>,
    ids: &[Uuid],
) -> Result<Vec<T>>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let c = match conn {
        Conn::Sqlite(c) => c,
        conn @ Conn::Postgres(_) => return by_ids(conn, select, ids).await,
    };
    let mut rows = Vec::with_capacity(ids.len());
    for piece in ids.chunks(IDS_AT_ONCE) {
        let piece: Vec<String> = piece.iter().map(|id| hex_id(*id)).collect();
        let piece = serde_json::to_string(&piece).map_err(Error::internal)?;
        packed::each_packed(&mut *c, packed, piece, &unpack, |row| rows.push(row)).await?;
    }
    Ok(rows)
}

/// Rows whose id is in `ids`. `select` ends in `IN`.
pub(crate) async fn by_ids<T>(conn: Conn<'_>, select: &'static str, ids: &[Uuid]) -> Result<Vec<T>>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    by_ids_above(conn, select, ids, None).await
}

/// Those of them whose column, named here, holds nothing or more than a number.
pub(crate) async fn by_ids_above<T>(
    mut conn: Conn<'_>,
    select: &'static str,
    ids: &[Uuid],
    above: Option<(&'static str, i64)>,
) -> Result<Vec<T>>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let mut rows = Vec::with_capacity(ids.len());
    for piece in ids.chunks(IDS_AT_ONCE) {
        rows.extend(match conn.reborrow() {
            Conn::Sqlite(c) => {
                among::<Sqlite>(select, piece, above).build_query_as::<T>().fetch_all(c).await.map_err(fail)?
            }
            Conn::Postgres(session) => {
                let answer = {
                    let (patience, c) = session.statement();
                    let mut query = among::<Postgres>(select, piece, above);
                    timeout(patience, query.build_query_as::<T>().fetch_all(c)).await
                };
                session.answered(answer)?
            }
        });
    }
    Ok(rows)
}

fn among<DB>(select: &'static str, ids: &[Uuid], above: Option<(&'static str, i64)>) -> QueryBuilder<DB>
where
    DB: sqlx::Database,
    for<'q> Uuid: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    for<'q> i64: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut query = QueryBuilder::new(select);
    query.push(" (");
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    // The last one again until there is a power of two of them: few statements to prepare, and the same rows.
    for id in ids.last().into_iter().cycle().take(ids.len().next_power_of_two().saturating_sub(ids.len())) {
        list.push_bind(*id);
    }
    query.push(")");
    if let Some((column, least)) = above {
        query.push(" AND (").push(column).push(" IS NULL OR ").push(column).push(" > ").push_bind(least).push(")");
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_heard_of_the_time_that_counts_which_came_soonest_for_a_while() {
        let before = Some((Time(1_000_000), 5));
        assert_eq!(heard_best(None, Time(7), 5), (Time(7), 5));
        assert_eq!(heard_best(before, Time(1_020_000), 25_005), (Time(1_000_000), 5), "it took 5 ms longer to come");
        assert_eq!(heard_best(before, Time(1_030_000), 25_005), (Time(1_030_000), 25_005), "it came sooner");
        let later = 5 + 10_000_000;
        assert_eq!(heard_best(before, Time(10_991_000), later), (Time(10_991_000), later), "the clocks go apart");
        assert_eq!(heard_best(before, Time(900_000), 25_005), (Time(900_000), 25_005), "the other clock was set back");
    }
}
