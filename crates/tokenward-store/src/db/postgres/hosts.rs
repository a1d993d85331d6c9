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
}

impl Hosts {
    pub(super) fn new(first: PgConnectOptions, others: Vec<PgConnectOptions>) -> Self {
        Self { first, others, leads: AtomicUsize::new(0) }
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
            match Session::connect(self.at(place), patience, within).await {
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

    /// Does somebody between give a connection of the server to several clients by turns, as a pooler in transaction mode
    /// does? Then nothing is a connection's own: limits of time that are set for it, statements with names, and listening.
    ///
    /// One client marks its connection, and another one holds a transaction. By turns, either that one got the marked
    /// connection, since it was free, or the first one does not find its mark again. What cannot be asked so is no pooler that
    /// is known here.
    pub(super) async fn are_shared_by_turns(&self) -> bool {
        let asked = async {
            let mut one = PgConnection::connect_with(self.leader()).await?;
            let mut other = PgConnection::connect_with(self.leader()).await?;
            let set = "SELECT set_config('tokenward.mark', gen_random_uuid()::text, false) AS mark";
            let get = "SELECT current_setting('tokenward.mark', true) AS mark";
            let mark: String = sqlx::raw_sql(set).fetch_one(&mut one).await?.try_get("mark")?;
            match sqlx::raw_sql("BEGIN").execute(&mut other).await {
                // By turns after each statement: it has no transactions at all.
                Err(sqlx::Error::Database(_)) => return Ok(true),
                begun => begun?,
            };
            let seen: Option<String> = sqlx::raw_sql(get).fetch_one(&mut other).await?.try_get("mark")?;
            let kept: Option<String> = sqlx::raw_sql(get).fetch_one(&mut one).await?.try_get("mark")?;
            sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
            let shared = seen.as_ref() == Some(&mark) || kept.as_ref() != Some(&mark);
            one.close().await?;
            other.close().await?;
            Ok::<_, sqlx::Error>(shared)
        };
        matches!(timeout(CONNECT, asked).await, Ok(Ok(true)))
    }
}
