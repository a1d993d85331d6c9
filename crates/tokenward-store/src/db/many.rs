//! Many rows in one statement. They travel as one JSON array, whatever their number: one plan, and one way there and back.

use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use tokenward_core::Uuid;
use tokenward_core::error::{Error, Result};

use super::{Conn, execute, run};

/// A statement about many rows, in the words of either database.
pub(crate) struct Many {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl Many {
    fn text(&self, conn: &Conn<'_>) -> &'static str {
        match conn {
            Conn::Sqlite(_) => self.sqlite,
            Conn::Postgres(_) => self.postgres,
        }
    }

    /// Executes it. Answers how many rows it touched.
    pub(crate) async fn execute(&self, conn: Conn<'_>, rows: &impl Serialize) -> Result<u64> {
        let rows = serde_json::to_string(rows).map_err(Error::internal)?;
        let text = self.text(&conn);
        execute!(conn, sqlx::query(text).bind(&rows))
    }

    /// Executes it. Answers what it returns.
    pub(crate) async fn returning<T>(&self, conn: Conn<'_>, rows: &impl Serialize) -> Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let rows = serde_json::to_string(rows).map_err(Error::internal)?;
        let text = self.text(&conn);
        run!(conn, c => sqlx::query_as(text).bind(&rows).fetch_all(&mut *c))
    }
}

/// Bytes as both databases take them apart: in hexadecimal.
pub(crate) fn hex_bytes(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// An id, likewise.
pub(crate) fn hex_id(id: Uuid) -> String {
    id.simple().to_string()
}

/// A [`Many`]: `before`, the rows under the name `r` with these columns, `after`. A column is an `id`, `bytes`, a `text`, a `number` or
/// a `flag`. It is the one place in which SQL is put together from pieces for each of the two.
macro_rules! many {
    ($before:literal, [$($column:ident $kind:ident),* $(,)?], $after:literal) => {
        $crate::db::Many {
            sqlite: concat!(
                $before, " (SELECT ", $($crate::db::many!(@sqlite $column $kind), ", ",)* "key FROM jsonb_each($1)) AS r ", $after
            ),
            postgres: concat!(
                $before, " (SELECT ", $($crate::db::many!(@postgres $column $kind), ", ",)* "j.nth FROM ROWS FROM (json_to_recordset($1::json) AS (",
                $(stringify!($column), $crate::db::many!(@type $kind), ", ",)* "pad integer)) WITH ORDINALITY AS j (",
                $(stringify!($column), ", ",)* "pad, nth) ORDER BY j.nth) AS r ", $after
            ),
        }
    };
    (@sqlite $column:ident id) => { concat!("unhex(value->>'", stringify!($column), "') AS ", stringify!($column)) };
    (@sqlite $column:ident bytes) => { $crate::db::many!(@sqlite $column id) };
    (@sqlite $column:ident $kind:ident) => { concat!("value->>'", stringify!($column), "' AS ", stringify!($column)) };
    (@postgres $column:ident bytes) => { concat!("decode(j.", stringify!($column), ", 'hex') AS ", stringify!($column)) };
    (@postgres $column:ident $kind:ident) => { concat!("j.", stringify!($column)) };
    (@type id) => { " uuid" };
    (@type number) => { " bigint" };
    (@type flag) => { " boolean" };
    (@type $kind:ident) => { " text" };
}
pub(crate) use many;
