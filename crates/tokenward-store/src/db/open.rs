//! A transaction as the database has it: on either of the two, before anybody's right was looked at.

use tokenward_core::error::{Error, Result};

use super::head::Head;
use super::{Conn, Store, late, postgres, sqlite};

/// A transaction of one of the two databases. Dropped before it is committed, it is rolled back.
pub(crate) enum OpenTransaction {
    Sqlite(sqlite::Writer),
    Postgres(postgres::Lease),
}

/// Why a commit did not come through.
#[derive(Debug)]
pub(crate) enum Uncommitted {
    /// Nothing was changed.
    Aborted(Error),
    /// Nobody said.
    Unknown,
}

impl From<Uncommitted> for Error {
    /// For a transaction that may be done again, whatever came of it.
    fn from(why: Uncommitted) -> Self {
        match why {
            Uncommitted::Aborted(error) => error,
            Uncommitted::Unknown => late(),
        }
    }
}

impl OpenTransaction {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(writer) => writer.conn(),
            Self::Postgres(lease) => Conn::Postgres(lease.session()),
        }
    }

    /// Reads the log's head and keeps everybody else from taking it until the transaction ends. What time it is then is
    /// the server's to say where several write: no two of them need the same clock.
    pub(crate) async fn take_head(&mut self, store: &Store) -> Result<Head> {
        match self {
            Self::Sqlite(writer) => {
                let now = store.now();
                Ok(sqlite::take_head(writer.raw(), now).await?.settle(store, now))
            }
            Self::Postgres(lease) => {
                let mut head = postgres::take_head(lease.session()).await?;
                if let Err(error) = store.require_present(head.here.as_deref()) {
                    lease.session().give_up();
                    return Err(error);
                }
                store.heard(head.now);
                head.now = store.clock().shared(head.now);
                Ok(head.settle(store, store.clock().own()))
            }
        }
    }

    pub(crate) async fn commit(self) -> Result<(), Uncommitted> {
        let committed = match self {
            Self::Sqlite(writer) => writer.commit().await,
            Self::Postgres(lease) => postgres::commit(lease).await,
        };
        committed.map_err(|error| error.map_or(Uncommitted::Unknown, Uncommitted::Aborted))
    }
}
