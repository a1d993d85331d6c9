//! What the databases say in words of their own, for queries that are put together piece by piece.

use sqlx::{Postgres, Sqlite};

/// Of either database.
pub(crate) trait Dialect: sqlx::Database {
    /// The name of what an event is about, as JSON writes it, out of the text of its payload `p`: this always begins with it. Between
    /// the name and the next field stands what is in no text of JSON.
    const EVENT_TARGET: &'static str;
}

impl Dialect for Sqlite {
    const EVENT_TARGET: &'static str = "substr(p.payload, 17, instr(substr(p.payload, 17) || '\",\"', '\",\"') - 1)";
}

impl Dialect for Postgres {
    const EVENT_TARGET: &'static str = "split_part(substr(p.payload, 17), '\",\"', 1)";
}
