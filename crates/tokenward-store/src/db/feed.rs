//! How a node looks at the log: through a connection of its own, at one moment.

use std::time::Duration;

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use tokenward_core::error::{Error, Result};

use super::{Conn, FeedMode, Pools, Store, fail, postgres};

/// A connection for following the log.
pub struct Feed(FeedSource);

enum FeedSource {
    /// To an SQLite file: what is read changes while it is read, and what has changed is told by the log afterwards.
    Sqlite(sqlx::SqlitePool, Option<PoolConnection<Sqlite>>),
    /// To a PostgreSQL server.
    Postgres(postgres::Feed),
}

impl Store {
    /// A connection for following the log, whose statements may take so long.
    #[must_use]
    pub fn feed(&self, patience: Duration) -> Feed {
        Feed(match &self.pools {
            Pools::Sqlite(file) => FeedSource::Sqlite(file.follow.clone(), None),
            Pools::Postgres(pool) => FeedSource::Postgres(postgres::Feed::new(pool.clone(), patience)),
        })
    }
}

impl Feed {
    /// Begins to look; what an earlier look has left behind is thrown away.
    pub async fn begin(&mut self, look: FeedMode) -> Result<()> {
        match &mut self.0 {
            FeedSource::Sqlite(pool, held) => {
                if held.is_none() {
                    *held = Some(pool.acquire().await.map_err(fail)?);
                }
                Ok(())
            }
            FeedSource::Postgres(feed) => feed.begin(look).await,
        }
    }

    /// Has another connection been made since this was asked last? It may lead elsewhere.
    pub fn is_new(&mut self) -> bool {
        match &mut self.0 {
            FeedSource::Sqlite(..) => false,
            FeedSource::Postgres(feed) => feed.is_new(),
        }
    }

    /// Is there a connection by which it was looked before, to a server? What is read by it comes from where that came from.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        match &self.0 {
            FeedSource::Sqlite(..) => false,
            FeedSource::Postgres(feed) => feed.goes_on(),
        }
    }

    /// The connection, between `begin` and `commit`.
    pub fn conn(&mut self) -> Result<Conn<'_>> {
        match &mut self.0 {
            FeedSource::Sqlite(_, Some(held)) => Ok(Conn::Sqlite(held)),
            FeedSource::Sqlite(_, None) => Err(Error::internal("nobody has begun to look")),
            FeedSource::Postgres(feed) => feed.session().map(Conn::Postgres),
        }
    }

    /// The connection for a statement by itself, which is committed with it.
    pub async fn alone(&mut self) -> Result<Conn<'_>> {
        match &mut self.0 {
            FeedSource::Postgres(feed) => feed.ready().await.map(|_| ())?,
            FeedSource::Sqlite(..) => self.begin(FeedMode::Only).await?,
        }
        self.conn()
    }

    /// Ends the look. Without an error, what it wrote stands, and the server that was looked at is the one to look at.
    pub async fn commit(&mut self) -> Result<()> {
        match &mut self.0 {
            FeedSource::Sqlite(..) => Ok(()),
            FeedSource::Postgres(feed) => feed.commit().await,
        }
    }
}
