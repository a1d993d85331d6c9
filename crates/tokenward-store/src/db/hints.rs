//! What is said to the other nodes beside what is written: hints to look sooner, where the database carries them. Nobody
//! relies on one; what nobody hinted at is found by the next look.

use tokenward_core::error::Result;
use tokenward_core::{Time, Uuid};

use super::{Conn, Hint, Pools, Store, execute, postgres, run};

/// A connection by which a node hears. It is no connection of the pool, and nothing else is said through it.
pub struct Listener(postgres::Listener);

impl Store {
    /// Begins to listen, as the node with this id. `None` where nothing can be heard: an SQLite file is looked at, and a pooler that
    /// lends connections for a transaction gives the one that listens to somebody else.
    pub async fn listen(&self, node: Uuid) -> Result<Option<Listener>> {
        match &self.pools {
            Pools::Sqlite(_) => Ok(None),
            Pools::Postgres(pool) if pool.is_lent() => Ok(None),
            Pools::Postgres(pool) => Ok(Some(Listener(postgres::Listener::connect(pool, node).await?))),
        }
    }

    /// Says something to a node that listens here, through another connection than that by which it hears.
    pub async fn say_to(&self, node: Uuid) -> Result<()> {
        match &self.pools {
            Pools::Sqlite(_) => Ok(()),
            Pools::Postgres(pool) => postgres::say_to(pool.acquire().await?.session(), node).await,
        }
    }
}

impl Listener {
    /// What is heard next, however long that takes. An error is the end of the connection; what was said meanwhile is lost.
    pub async fn next(&mut self) -> Result<Hint> {
        self.0.next().await
    }
}

/// Writes how far the log goes; the others hear of it when, and only if, it is committed.
pub(crate) async fn put_head(conn: Conn<'_>, position: i64, hash: &[u8], place: Option<&str>) -> Result<()> {
    let query = match conn {
        Conn::Sqlite(_) => "UPDATE log_head SET position = $1, hash = $2, place = $3",
        Conn::Postgres(_) => postgres::PUT_HEAD,
    };
    execute!(conn, sqlx::query(query).bind(position).bind(hash).bind(place)).map(|_| ())
}

/// Writes how far a node has applied the log; whoever waits for that hears of it. Answers when it came there, where the database has
/// a clock of its own.
pub(crate) async fn put_applied(
    conn: Conn<'_>,
    node: Uuid,
    log: Uuid,
    position: i64,
    hash: &[u8],
) -> Result<Option<Time>> {
    let query = match conn {
        Conn::Sqlite(_) => "UPDATE node SET position = $2, hash = $3, log = $4 WHERE id = $1 RETURNING applied_at",
        Conn::Postgres(_) => postgres::PUT_APPLIED,
    };
    let at: Option<Option<i64>> = run!(conn, c => sqlx::query_scalar(query).bind(node).bind(position).bind(hash).bind(log)
        .fetch_optional(&mut *c))?;
    Ok(at.flatten().map(Time))
}
