//! Key-check values of peppers: the proof that the right pepper is at hand.

use tokenward_core::Result;

use crate::db::{Conn, execute, run};
use crate::tx::UnloggedTx;

/// A version that the database knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownPepper {
    /// The version.
    pub version: i32,
    /// What a key must derive to be the right one.
    pub check_value: Vec<u8>,
    /// The node that brought it, for people.
    pub made_by: Option<String>,
}

/// The versions that the database knows, the oldest first.
pub async fn list(conn: Conn<'_>) -> Result<Vec<KnownPepper>> {
    let rows: Vec<(i32, Vec<u8>, Option<String>)> = run!(conn, c =>
        sqlx::query_as("SELECT version, check_value, made_by FROM pepper ORDER BY version").fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(|(version, check_value, made_by)| KnownPepper { version, check_value, made_by }).collect())
}

/// The same in a transaction, where it stays true.
pub async fn list_for_change(tx: &mut UnloggedTx) -> Result<Vec<KnownPepper>> {
    tx.alone().await?;
    list(tx.conn()).await
}

/// Records a version.
pub async fn insert(tx: &mut UnloggedTx, version: i32, check_value: [u8; 32], made_by: &str) -> Result<()> {
    let now = tx.now().await?;
    execute!(
        tx.conn(),
        sqlx::query("INSERT INTO pepper (version, check_value, created_at, made_by) VALUES ($1, $2, $3, $4)")
            .bind(version)
            .bind(&check_value[..])
            .bind(now.0)
            .bind(made_by)
    )?;
    Ok(())
}
