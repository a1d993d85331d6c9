//! Wrong passwords, counted for all nodes: by whom they are about and by whom they come from, as keyed digests. Who has typed one is
//! nobody yet, so that the log is not told.
//!
//! Each failure takes a while to be forgiven, one after the other: when the last one is says how many there are. What they come to is
//! for whoever asks to say; here they are added up, so that of many at once, on whichever node, each finds what was before it.

use serde::Serialize;
use tokenward_core::time::Micros;
use tokenward_core::{Error, Result, Time};

use crate::db::{Many, execute, hex_bytes, many, run};
use crate::tx::UnloggedTx;

/// By what a failure counts.
pub type Key = [u8; 16];

/// By what an attempt counts.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// The key.
    pub key: Key,
    /// In what time one failure is forgiven.
    pub each: Micros,
}

#[derive(Serialize)]
struct CountedRow {
    digest: String,
    step: Micros,
    present: i64,
}

/// `excluded` has, where nobody has to wait, the present time, and when one failure of now is forgiven. The rows are taken in the order
/// in which they come.
const COUNT: Many = many!(
    "INSERT INTO password_failure (digest, forgiven_at, wait_until) SELECT r.digest, r.present + r.step, r.present FROM",
    [digest bytes, step number, present number],
    "WHERE true ON CONFLICT (digest) DO UPDATE SET \
     forgiven_at = CASE WHEN password_failure.forgiven_at <= excluded.wait_until THEN excluded.forgiven_at \
     ELSE password_failure.forgiven_at + (excluded.forgiven_at - excluded.wait_until) END \
     WHERE password_failure.wait_until <= excluded.wait_until RETURNING digest, forgiven_at"
);

/// Counts an attempt as failed by each of these, but by those that have to wait. Answers by what it counted, and when the last failure
/// there is forgiven. In one statement: nobody else counts by these until the transaction ends. Everybody must give them in the
/// order of their keys.
pub async fn count(tx: &mut UnloggedTx, all: &[Counted], now: Time) -> Result<Vec<(Key, Time)>> {
    let rows: Vec<CountedRow> =
        all.iter().map(|it| CountedRow { digest: hex_bytes(&it.key), step: it.each, present: now.0 }).collect();
    let counted: Vec<(Vec<u8>, i64)> = COUNT.returning(tx.conn(), &rows).await?;
    counted.into_iter().map(kept).collect()
}

fn kept((digest, forgiven_at): (Vec<u8>, i64)) -> Result<(Key, Time)> {
    let key = Key::try_from(digest).map_err(|_| Error::internal("a wrong password counts by no key"))?;
    Ok((key, Time(forgiven_at)))
}

/// Until when there is to wait by this key; `None` where nothing has failed.
pub async fn waits_until(tx: &mut UnloggedTx, key: &Key) -> Result<Option<Time>> {
    let until: Option<i64> = run!(tx.conn(), c => sqlx::query_scalar("SELECT wait_until FROM password_failure WHERE digest = $1")
        .bind(&key[..]).fetch_optional(&mut *c))?;
    Ok(until.map(Time))
}

/// Lets everybody wait by this key, and says when the last failure is forgiven.
pub async fn hold(tx: &mut UnloggedTx, key: &Key, forgiven_at: Time, until: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE password_failure SET forgiven_at = $2, wait_until = $3 WHERE digest = $1")
            .bind(&key[..])
            .bind(forgiven_at.0)
            .bind(until.0)
    )?;
    Ok(())
}

/// Gives an attempt back that took `each` to be forgiven. Where what is left takes `free` at most, nobody waits any more.
pub async fn give_back(tx: &mut UnloggedTx, key: &Key, each: Micros, free: Micros, now: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE password_failure SET forgiven_at = forgiven_at - $2, ",
            "wait_until = CASE WHEN forgiven_at - $2 <= $3 AND wait_until > $4 THEN $4 ELSE wait_until END WHERE digest = $1"
        ))
        .bind(&key[..])
        .bind(each)
        .bind(now.plus(free).0)
        .bind(now.0)
    )?;
    Ok(())
}

/// Forgives what failed by this key.
pub async fn forget(tx: &mut UnloggedTx, key: &Key) -> Result<()> {
    execute!(tx.conn(), sqlx::query("DELETE FROM password_failure WHERE digest = $1").bind(&key[..]))?;
    Ok(())
}

/// Removes what is forgiven; and where more than `most` are left, those that are forgiven soonest.
pub async fn prune(tx: &mut UnloggedTx, now: Time, most: u32) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "DELETE FROM password_failure WHERE (forgiven_at <= $1 AND wait_until <= $1) OR forgiven_at <= ",
            "(SELECT forgiven_at FROM password_failure ORDER BY forgiven_at DESC LIMIT 1 OFFSET $2)"
        ))
        .bind(now.0)
        .bind(i64::from(most))
    )?;
    Ok(())
}
