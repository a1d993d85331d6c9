//! How much of their quotas tokens have used, all nodes together.

use tokenward_core::{Result, Uuid};

use crate::db::{Conn, row, run};
use crate::tx::UnloggedTx;

row! {
    /// What was used of the quota of a token.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct QuotaUse {
        /// The token.
        pub token_id: Uuid,
        /// In which window: a day or a month.
        pub quota_window: i64,
        /// How much.
        pub used: i64,
    }
}

/// Adds what was used of a quota in a window. Answers how much that is now, of all nodes; of a window that is over nothing is
/// kept. `present` is the one that there is by the database: what stands of a later one was told by a node whose clock was ahead, and
/// keeps nobody else from counting.
pub async fn add(tx: &mut UnloggedTx, token: Uuid, window: u32, present: u32, used: u32) -> Result<Option<QuotaUse>> {
    run!(tx.conn(), c => sqlx::query_as(concat!(
        "INSERT INTO token_quota (token_id, quota_window, used) VALUES ($1, $2, $3) ON CONFLICT (token_id) DO UPDATE SET ",
        "used = CASE WHEN token_quota.quota_window = excluded.quota_window THEN token_quota.used + excluded.used ",
        "ELSE excluded.used END, quota_window = excluded.quota_window ",
        "WHERE token_quota.quota_window <= excluded.quota_window OR token_quota.quota_window > $4 ",
        "RETURNING token_id, quota_window, used"
    )).bind(token).bind(i64::from(window)).bind(i64::from(used)).bind(i64::from(present)).fetch_optional(&mut *c))
}

/// What was used of all quotas.
pub async fn all(conn: Conn<'_>) -> Result<Vec<QuotaUse>> {
    run!(conn, c => sqlx::query_as("SELECT token_id, quota_window, used FROM token_quota ORDER BY token_id").fetch_all(&mut *c))
}
