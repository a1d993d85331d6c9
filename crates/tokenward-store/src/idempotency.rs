//! Answers that are kept for a while, so that a repeated request is answered and not carried out again.

use serde::Serialize;
use tokenward_core::time::{HOUR, MINUTE};
use tokenward_core::{Error, Result, Uuid};

use crate::db::{Conn, Many, execute, hex_bytes, hex_id, many, row, run};
use crate::tx::{Tx, UnloggedTx};

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
        /// The sealed answer; `None` while it runs, and where it was lost.
        pub answer: Option<Vec<u8>>,
        /// Who carries it out.
        pub claim_id: Option<Uuid>,
        /// Where its change stands in the log, once it does.
        pub position: Option<i64>,
        /// Why its answer is not kept though there was one: the name of a limit.
        pub unkept: Option<String>,
    }
}

/// The right to carry out the request with a key.
#[derive(Clone, Debug)]
pub struct Claim {
    /// A hash of the key, and of where it counts.
    pub scope: [u8; 32],
    /// Tells it from those that others had before.
    pub id: Uuid,
}

/// What one holder may have kept.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// So many answers.
    pub answers: u64,
    /// The most that one of them takes.
    pub answer_bytes: u64,
    /// The most that all of them take.
    pub bytes: u64,
}

/// What came of claiming a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// This request is the first and must be carried out.
    Mine,
    /// Another one has the key.
    Taken,
    /// The holder has as many keys as it may.
    Full,
    /// What is kept for the holder leaves no room for a further answer.
    NoRoom,
}

/// Claims a key for an organization or a user, if there is room for its answer, which nobody knows yet. It counts by the clock of
/// the database: no wrong clock of a node ends a claim early.
pub async fn claim(
    tx: &mut UnloggedTx,
    claim: &Claim,
    request: &[u8; 32],
    holder: Uuid,
    room: Room,
) -> Result<Claimed> {
    let now = tx.now().await?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "DELETE FROM idempotency WHERE created_at <= $1 ",
            "OR (answer IS NULL AND unkept IS NULL AND position IS NULL AND created_at <= $2)"
        ))
        .bind(now.plus(-KEPT).0)
        .bind(now.plus(-LOST).0)
    )?;
    let (answers, bytes) = others(tx.conn(), claim, holder).await?;
    if answers >= room.answers {
        return Ok(Claimed::Full);
    }
    if bytes + room.answer_bytes.min(room.bytes) > room.bytes {
        return Ok(Claimed::NoRoom);
    }
    let claimed = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO idempotency (scope, request, created_at, holder_id, claim_id) VALUES ($1, $2, $3, $4, $5) ",
            "ON CONFLICT DO NOTHING"
        ))
        .bind(&claim.scope[..])
        .bind(&request[..])
        .bind(now.0)
        .bind(holder)
        .bind(claim.id)
    )?;
    Ok(if claimed > 0 { Claimed::Mine } else { Claimed::Taken })
}

/// How many keys the holder has besides this one, and how many bytes are kept for them.
async fn others(conn: Conn<'_>, claim: &Claim, holder: Uuid) -> Result<(u64, u64)> {
    let (answers, bytes): (i64, i64) = run!(conn, c => sqlx::query_as(concat!(
        "SELECT count(*), CAST(coalesce(sum(answer_bytes), 0) AS BIGINT) FROM idempotency ",
        "WHERE holder_id = $1 AND scope <> $2"
    )).bind(holder).bind(&claim.scope[..]).fetch_one(&mut *c))?;
    Ok((answers.unsigned_abs(), bytes.unsigned_abs()))
}

/// What is kept under a scope.
pub async fn get(conn: Conn<'_>, scope: &[u8; 32]) -> Result<Option<KeptAnswer>> {
    run!(conn, c => sqlx::query_as(
        "SELECT request, answer, claim_id, position, unkept FROM idempotency WHERE scope = $1"
    ).bind(&scope[..]).fetch_optional(&mut *c))
}

/// A claim as it is spent.
#[derive(Serialize)]
pub(crate) struct Spent {
    scope: String,
    claim: String,
    position: i64,
}

pub(crate) const SPEND: Many = many!(
    "UPDATE idempotency SET position = r.position FROM",
    [scope bytes, claim id, position number],
    "WHERE idempotency.scope = r.scope AND idempotency.claim_id = r.claim"
);

/// Says in the transaction of the change itself that the key has been used: whoever has lost the claim meanwhile changes
/// nothing, and a key whose change stands is never carried out again.
pub async fn spend(tx: &mut Tx, claim: &Claim) -> Result<()> {
    if spend_all(tx, &[(claim, 0)]).await? {
        return Ok(());
    }
    Err(Error::conflict(
        "This took so long that another request with the same Idempotency-Key may have been carried out instead. \
         Nothing was changed; repeat it with the same key.",
    ))
}

/// The same for several that share a transaction, each with the place of its event among those of the commit. Were all of
/// them spent?
pub async fn spend_all(tx: &mut Tx, claims: &[(&Claim, i64)]) -> Result<bool> {
    if claims.is_empty() {
        return Ok(true);
    }
    // Before the changes themselves, it may have to be said that the log goes on under another name.
    let rows = spent_rows(claims, tx.head.position + 1 + i64::from(tx.begins.is_some()));
    Ok(SPEND.execute(tx.conn(), &rows).await? == claims.len() as u64)
}

/// Claims that are spent, whose events follow from this position on.
pub(crate) fn spent_rows(claims: &[(&Claim, i64)], first: i64) -> Vec<Spent> {
    let spent = |(claim, place): &(&Claim, i64)| Spent {
        scope: hex_bytes(&claim.scope),
        claim: hex_id(claim.id),
        position: first + place,
    };
    claims.iter().map(spent).collect()
}

/// Keeps the answer, as it is sealed. `false`, and nothing is kept, where the holder's answers had more bytes with it than they may: on
/// PostgreSQL about as many, since what is kept at the same moment does not see each other.
pub async fn keep(tx: &mut UnloggedTx, claim: &Claim, holder: Uuid, answer: &[u8], most: u64) -> Result<bool> {
    let (_, bytes) = others(tx.conn(), claim, holder).await?;
    if bytes + answer.len() as u64 > most {
        return Ok(false);
    }
    execute!(
        tx.conn(),
        sqlx::query("UPDATE idempotency SET answer = $3, answer_bytes = $4 WHERE scope = $1 AND claim_id = $2")
            .bind(&claim.scope[..])
            .bind(claim.id)
            .bind(answer)
            .bind(i64::try_from(answer.len()).unwrap_or(i64::MAX))
    )?;
    Ok(true)
}

/// Says of a request that it was answered, and by which limit its answer is not kept: it is never carried out again.
pub async fn pass_over(tx: &mut UnloggedTx, claim: &Claim, limit: &str) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE idempotency SET unkept = $3 WHERE scope = $1 AND claim_id = $2 AND answer IS NULL")
            .bind(&claim.scope[..])
            .bind(claim.id)
            .bind(limit)
    )?;
    Ok(())
}

/// Drops the answer of a claim, so that its key can be claimed again.
pub async fn forget(tx: &mut UnloggedTx, claim: &Claim) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM idempotency WHERE scope = $1 AND claim_id = $2 AND answer IS NOT NULL")
            .bind(&claim.scope[..])
            .bind(claim.id)
    )?;
    Ok(())
}

/// Gives a key back whose request changed nothing, so that it can be tried again.
pub async fn release(tx: &mut UnloggedTx, claim: &Claim) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "DELETE FROM idempotency WHERE scope = $1 AND claim_id = $2 ",
            "AND answer IS NULL AND unkept IS NULL AND position IS NULL"
        ))
        .bind(&claim.scope[..])
        .bind(claim.id)
    )?;
    Ok(())
}
