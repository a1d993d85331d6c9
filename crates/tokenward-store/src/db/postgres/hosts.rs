//! The hosts of an address. They are servers of one database, of which one can be written: whoever connects finds it, also
//! when another one has taken over.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Row};
use tokio::time::timeout;

use super::session::{CONNECT, ConnectError, Session};

/// What it takes to connect to each of them, in the order of the address.
pub(super) struct Hosts {
    first: PgConnectOptions,
    others: Vec<PgConnectOptions>,
    /// Which of them was written last.
    leads: AtomicUsize,
    /// Does a pooler lend their connections, each for one transaction?
    lent: bool,
}

impl Hosts {
    pub(super) fn new(first: PgConnectOptions, others: Vec<PgConnectOptions>) -> Self {
        Self { first, others, leads: AtomicUsize::new(0), lent: false }
    }

    /// The one that was written last.
    pub(super) fn leader(&self) -> &PgConnectOptions {
        self.at(self.leads.load(Ordering::Relaxed))
    }

    fn at(&self, place: usize) -> &PgConnectOptions {
        place.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.first)
    }

    /// Connects to the one that can be written, beginning with the last that could. Where none can, it is told what became of
    /// that one.
    pub(super) async fn connect(&self, patience: Duration) -> Result<Session, ConnectError> {
        let count = 1 + self.others.len();
        // One that says nothing must not take the time of those behind it.
        let within = CONNECT.min(patience) / u32::try_from(count).unwrap_or(1);
        let begin = self.leads.load(Ordering::Relaxed);
        let mut refused = None;
        for place in (begin..count).chain(0..begin) {
            match Session::connect(self.at(place), self.lent, patience, within).await {
                Ok(session) => {
                    self.leads.store(place, Ordering::Relaxed);
                    return Ok(session);
                }
                // There is a server that can be written, and it has no room.
                Err(error) if error.is_crowded() => return Err(error),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or(ConnectError::Silent))
    }

    /// For people: who connects to where.
    pub(super) fn name(&self) -> String {
        let place = |it: &PgConnectOptions| format!("{}:{}", it.get_host(), it.get_port());
        let all: Vec<String> = std::iter::once(&self.first).chain(&self.others).map(place).collect();
        let (user, database) = (self.first.get_username(), self.first.get_database().unwrap_or_default());
        format!("postgres://{user}@{}/{database}", all.join(","))
    }

    /// Notes that connections are lent by a pooler, each for one transaction.
    pub(super) fn are_lent(&mut self) {
        self.lent = true;
    }

    /// Are connections lent?
    pub(super) fn is_lent(&self) -> bool {
        self.lent
    }

    /// For how long a connection is one's own. Of a host that does not answer it is not known; it is asked for nothing else then.
    /// Where several do not agree it is the shortest, by which all can be used.
    pub(super) async fn turns(&self) -> Turns {
        let within = CONNECT / u32::try_from(1 + self.others.len()).unwrap_or(1);
        let mut shortest = Turns::Connection;
        for options in std::iter::once(&self.first).chain(&self.others) {
            if let Ok(Ok(turns)) = timeout(within, turns_of(options)).await {
                shortest = shortest.max(turns);
            }
        }
        shortest
    }
}

/// For how long a connection of the server is one's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Turns {
    /// Until it is closed.
    Connection,
    /// For a transaction: then a pooler gives it to somebody else.
    Transaction,
    /// For a statement: there are no transactions at all.
    Statement,
}

/// How often it is looked: others may come between.
const LOOKS: usize = 3;

/// Which of these it is.
///
/// One client marks its connection, and another one holds a transaction. By turns, either that one got the marked
/// connection, since it was free, or the first one does not find its mark again. What cannot be asked so is no pooler that
/// is known here.
async fn turns_of(options: &PgConnectOptions) -> sqlx::Result<Turns> {
    let mut one = PgConnection::connect_with(options).await?;
    let mut other = PgConnection::connect_with(options).await?;
    for _ in 0..LOOKS {
        let set = "SELECT set_config('tokenward.mark', gen_random_uuid()::text, false) AS mark";
        let mark: String = sqlx::raw_sql(set).fetch_one(&mut one).await?.try_get("mark")?;
        match sqlx::raw_sql("BEGIN").execute(&mut other).await {
            Err(sqlx::Error::Database(_)) => return Ok(Turns::Statement),
            begun => begun?,
        };
        let seen = mark_of(&mut other).await?;
        // Where there is one connection for all, the first one would wait for it now.
        let is_shared = seen.as_ref() == Some(&mark) || mark_of(&mut one).await?.as_ref() != Some(&mark);
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
        if is_shared {
            return Ok(Turns::Transaction);
        }
    }
    one.close().await?;
    other.close().await?;
    Ok(Turns::Connection)
}

async fn mark_of(conn: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let mark = "SELECT current_setting('tokenward.mark', true) AS mark";
    sqlx::raw_sql(mark).fetch_one(conn).await?.try_get("mark")
}
