//! What time it is for those who write to the database, in the log or beside it.

use tokenward_core::{Result, Time};

use crate::db::{Conn, Store, run};

/// When the last event was written; `None` in an empty log.
pub async fn newest(conn: Conn<'_>) -> Result<Option<Time>> {
    run!(conn, c => sqlx::query_scalar::<_, i64>("SELECT e.time FROM event e JOIN log_head h ON h.position = e.position")
        .fetch_optional(&mut *c)).map(|time| time.map(Time))
}

/// The time of the database, where that is believed. A clock that is not would end kept answers and wrong codes too soon.
pub async fn now(store: &Store, mut conn: Conn<'_>) -> Result<Time> {
    let database = store.time_at(conn.reborrow()).await?;
    let last = newest(conn).await?;
    Ok(store.time_of_log(database, last, store.clock().own()).now)
}
