//! Links by which the first organization is founded: each server that starts while there is none prints one, and any of them takes it.

use tokenward_core::time::Micros;
use tokenward_core::{Result, Time};

use crate::db::{Conn, execute, run};
use crate::lineage;
use crate::tx::{Tx, UnloggedTx};

/// Adds one. Of all there are at most `most` then, the newest; those whose time is over are forgotten.
pub async fn insert(tx: &mut UnloggedTx, digest: &[u8; 32], lasts: Micros, most: u32) -> Result<()> {
    let now = tx.now().await?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "DELETE FROM set_up_link WHERE ends_at <= $1 ",
            "OR digest NOT IN (SELECT digest FROM set_up_link ORDER BY begun_at DESC, digest LIMIT $2)"
        ))
        .bind(now.0)
        .bind(i64::from(most.saturating_sub(1)))
    )?;
    execute!(
        tx.conn(),
        sqlx::query("INSERT INTO set_up_link (digest, begun_at, ends_at) VALUES ($1, $2, $3)")
            .bind(&digest[..])
            .bind(now.0)
            .bind(now.plus(lasts).0)
    )?;
    Ok(())
}

/// Does it count? No more once the log has gone on under another name since it was made: it may have been used in a part that is lost.
pub async fn counts(mut conn: Conn<'_>, digest: &[u8; 32], now: Time) -> Result<bool> {
    let begun: Option<i64> = run!(conn.reborrow(), c => sqlx::query_scalar("SELECT begun_at FROM set_up_link WHERE digest = $1 AND ends_at > $2")
        .bind(&digest[..]).bind(now.0).fetch_optional(&mut *c))?;
    match begun {
        Some(begun) => Ok(!lineage::has_turned_since(conn, Time(begun)).await?),
        None => Ok(false),
    }
}

/// None of them counts any more: there is an organization.
pub async fn end_all(tx: &mut Tx) -> Result<()> {
    execute!(tx.conn(), sqlx::query("DELETE FROM set_up_link"))?;
    Ok(())
}
