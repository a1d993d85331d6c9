//! Answers that are kept for a while, so that a repeated request is answered and not carried out again.

use tokenward_core::time::{HOUR, MINUTE};
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, count, execute, row, run};
use crate::tx::UnloggedTx;

/// How long an answer is kept.
const KEPT: i64 = HOUR;
/// After this time a request without an answer counts as lost with its process.
const LOST: i64 = 2 * MINUTE;

row! {
    /// A request that came with a key.
    #[derive(Clone, Debug)]
    pub struct KeptAnswer {
        /// A hash of what was asked.
        pub request: Vec<u8>,
        /// The sealed answer; `None` while it runs.
        pub answer: Option<Vec<u8>>,
    }
}

/// What came of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// This request is the first and must be carried out.
    Mine,
    /// Another one has the key.
    Taken,
    /// The holder has as many keys as it may.
    Full,
}

/// Claims a scope for an organization or a user, who has at most so many.
pub async fn claim(
    tx: &mut UnloggedTx,
    scope: &[u8; 32],
    request: &[u8; 32],
    holder: Uuid,
    most: u64,
    now: Time,
) -> Result<Claim> {
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM idempotency WHERE created_at <= $1 OR (answer IS NULL AND created_at <= $2)")
            .bind(now.plus(-KEPT).0)
            .bind(now.plus(-LOST).0)
    )?;
    if count!(tx.conn(), "SELECT count(*) FROM idempotency WHERE holder_id = $1", holder)? >= most {
        return Ok(Claim::Full);
    }
    let claimed = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO idempotency (scope, request, created_at, holder_id) VALUES ($1, $2, $3, $4) ",
            "ON CONFLICT DO NOTHING"
        ))
        .bind(&scope[..])
        .bind(&request[..])
        .bind(now.0)
        .bind(holder)
    )?;
    Ok(if claimed > 0 { Claim::Mine } else { Claim::Taken })
}

/// What is kept under a scope.
pub async fn get(conn: Conn<'_>, scope: &[u8; 32]) -> Result<Option<KeptAnswer>> {
    run!(conn, c => sqlx::query_as("SELECT request, answer FROM idempotency WHERE scope = $1").bind(&scope[..]).fetch_optional(&mut *c))
}

/// Keeps the answer.
pub async fn keep(tx: &mut UnloggedTx, scope: &[u8; 32], answer: &[u8]) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE idempotency SET answer = $2 WHERE scope = $1").bind(&scope[..]).bind(answer)
    )?;
    Ok(())
}

/// Gives a scope back after a fault of ours, so that the request can be tried again.
pub async fn release(tx: &mut UnloggedTx, scope: &[u8; 32]) -> Result<()> {
    execute!(tx.conn(), sqlx::query("DELETE FROM idempotency WHERE scope = $1 AND answer IS NULL").bind(&scope[..]))?;
    Ok(())
}
