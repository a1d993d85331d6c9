//! Checkpoints of the log: what a server has signed of it (`tokenward_core::checkpoint`). Each begins behind the one before.

use tokenward_core::checkpoint::{Checkpoint, EVENTS_MAX, Hash, KeyId, Statement};
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, Store, execute, row, run};
use crate::log;
use crate::tx::UnloggedTx;

/// The step of the schema that brought their table.
const STEP: i64 = 29;

row! {
    struct CheckpointRow {
        position: i64,
        first: i64,
        log: Uuid,
        hash: Hash,
        root: Hash,
        time: Time,
        key_id: [u8; 8],
        signature: [u8; 64],
    }
}

impl From<CheckpointRow> for Checkpoint {
    fn from(row: CheckpointRow) -> Self {
        let CheckpointRow { position, first, log, hash, root, time, key_id, signature } = row;
        let statement = Statement { log, first, position, hash, root, time };
        Self { statement, key: KeyId(key_id), signature }
    }
}

macro_rules! select {
    ($which:literal) => {
        concat!("SELECT position, first, log, hash, root, time, key_id, signature FROM checkpoint ", $which)
    };
}

/// The newest one.
pub async fn last(conn: Conn<'_>) -> Result<Option<Checkpoint>> {
    let row: Option<CheckpointRow> =
        run!(conn, c => sqlx::query_as(select!("ORDER BY position DESC LIMIT 1")).fetch_optional(&mut *c))?;
    Ok(row.map(Into::into))
}

/// Those behind a position, the oldest first, at most `limit`.
pub async fn after(conn: Conn<'_>, position: i64, limit: i64) -> Result<Vec<Checkpoint>> {
    let rows: Vec<CheckpointRow> = run!(conn, c => sqlx::query_as(select!("WHERE position > $1 ORDER BY position LIMIT $2"))
        .bind(position).bind(limit).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// All of them behind a position; none of a database whose schema is older than they are.
pub async fn all_after(store: &Store, position: i64) -> Result<Vec<Checkpoint>> {
    if !store.has_taken(STEP).await? {
        return Ok(Vec::new());
    }
    after(store.read().await?.conn(), position, i64::MAX).await
}

/// The one under whose tree a position is.
pub async fn covering(conn: Conn<'_>, position: i64) -> Result<Option<Checkpoint>> {
    let found = after(conn, position - 1, 1).await?.pop();
    Ok(found.filter(|it| it.statement.first <= position))
}

/// The hashes of the events at these positions, both included.
pub async fn hashes(conn: Conn<'_>, first: i64, last: i64) -> Result<Vec<Hash>> {
    let rows: Vec<(Vec<u8>,)> = run!(conn, c => sqlx::query_as(
        "SELECT hash FROM event WHERE position >= $1 AND position <= $2 ORDER BY position"
    ).bind(first).bind(last).fetch_all(&mut *c))?;
    let hashes: Vec<Hash> = rows.into_iter().filter_map(|(hash,)| hash.try_into().ok()).collect();
    if i64::try_from(hashes.len()).ok() == Some(last - first + 1) {
        return Ok(hashes);
    }
    Err(Error::internal(format!("the log has a hole between {first} and {last}; `tokenward log verify` finds it")))
}

/// The hashes of the events from a position on, at most up to another one, both included. They end before a hole.
pub async fn hashes_to_hole(conn: Conn<'_>, first: i64, last: i64) -> Result<Vec<Hash>> {
    let rows: Vec<(i64, Vec<u8>)> = run!(conn, c => sqlx::query_as(
        "SELECT position, hash FROM event WHERE position >= $1 AND position <= $2 ORDER BY position"
    ).bind(first).bind(last).fetch_all(&mut *c))?;
    let dense = rows.into_iter().zip(first..).take_while(|((position, _), expected)| position == expected);
    Ok(dense.map_while(|((_, hash), _)| hash.try_into().ok()).collect())
}

/// What is to be said next but its root, and the hashes that the tree is over: of what came since the last checkpoint. `None`
/// where nothing did. Who makes the tree has up to 65,536 hashes to hash.
pub async fn next(store: &Store) -> Result<Option<(Statement, Vec<Hash>)>> {
    let mut reader = store.read().await?;
    let first = last(reader.conn()).await?.map_or(1, |last| last.statement.position + 1);
    let (end, _) = log::end(reader.conn()).await?;
    let position = end.number.min(first + EVENTS_MAX - 1);
    if position < first {
        return Ok(None);
    }
    let hashes = hashes(reader.conn(), first, position).await?;
    let Some(hash) = hashes.last().copied() else { return Ok(None) };
    let time = store.time_at(reader.conn()).await?;
    let statement = Statement { log: end.incarnation, first, position, hash, root: Hash::default(), time };
    Ok(Some((statement, hashes)))
}

/// Keeps one, unless another node has kept another one meanwhile. Did it?
pub async fn keep(tx: &mut UnloggedTx, checkpoint: &Checkpoint) -> Result<bool> {
    tx.alone().await?;
    let before = last(tx.conn()).await?.map_or(0, |last| last.statement.position);
    let it = &checkpoint.statement;
    if before + 1 != it.first {
        return Ok(false);
    }
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO checkpoint (position, first, log, hash, root, time, key_id, signature) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        ))
        .bind(it.position)
        .bind(it.first)
        .bind(it.log)
        .bind(&it.hash[..])
        .bind(&it.root[..])
        .bind(it.time.0)
        .bind(&checkpoint.key.0[..])
        .bind(&checkpoint.signature[..])
    )?;
    Ok(true)
}
