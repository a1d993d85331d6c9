//! Key-check values of peppers: the proof that the right pepper is at hand.

use tokenward_core::{Result, Time};

use crate::db::{Conn, execute, run};
use crate::tx::UnloggedTx;

/// The versions that the database knows, with their check values, the oldest first.
pub async fn list(conn: Conn<'_>) -> Result<Vec<(i32, Vec<u8>)>> {
    run!(conn, c => sqlx::query_as("SELECT version, check_value FROM pepper ORDER BY version").fetch_all(&mut *c))
}

/// Records a version.
pub async fn insert(tx: &mut UnloggedTx, version: i32, check_value: &[u8; 32], now: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("INSERT INTO pepper (version, check_value, created_at) VALUES ($1, $2, $3)")
            .bind(version)
            .bind(&check_value[..])
            .bind(now.0)
    )?;
    Ok(())
}
