//! A transaction as the database has it: on either of the two, before anybody's right was looked at.

use sqlx::{Postgres, Sqlite, Transaction};
use tokenward_core::error::Result;

use super::head::Head;
use super::{Conn, fail, postgres, sqlite};

/// A transaction of one of the two databases.
pub(crate) enum OpenTransaction {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl OpenTransaction {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(c) => Conn::Sqlite(c),
            Self::Postgres(c) => Conn::Postgres(c),
        }
    }

    /// Reads the log's head and keeps everybody else from taking it until the transaction ends.
    pub(crate) async fn take_head(&mut self) -> Result<Head> {
        match self {
            Self::Sqlite(c) => sqlite::take_head(c).await,
            Self::Postgres(c) => postgres::take_head(c).await,
        }
    }

    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await.map_err(fail),
            Self::Postgres(tx) => tx.commit().await.map_err(fail),
        }
    }
}
