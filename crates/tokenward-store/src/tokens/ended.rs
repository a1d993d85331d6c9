//! Tokens that have ended: for how long that is told, and the end of their rows.
//!
//! A token whose time is over is marked by having its name freed (`name_freed_at`): counts and the start look at what was
//! neither taken back nor marked. Marking and removing change nothing that anybody could still be allowed: they have no event.

use std::collections::BTreeMap;

use serde::Serialize;
use tokenward_core::caller::Grant;
use tokenward_core::ended::{RETENTION, SHORTEST_RETENTION};
use tokenward_core::time::Micros;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Many, by_ids, execute, hex_bytes, hex_id, many, row, run};
use crate::tx::{Tx, UnloggedTx};

row! {
    /// A secret, and what may have ended it.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct EndedRow {
        /// The token.
        pub token_id: Uuid,
        /// Its organization.
        pub organization_id: Uuid,
        /// Which secret of the token it is.
        pub version: u16,
        /// Its stored digest.
        pub digest: Vec<u8>,
        /// Did somebody else make it, who told its digest?
        pub registered: bool,
        /// When the token ends.
        pub expires_at: Option<Time>,
        /// When this secret ends.
        pub secret_expires_at: Option<Time>,
        /// When the token was taken back.
        pub revoked_at: Option<Time>,
    }
}

/// At most `limit` secrets behind a place, living ones among them: in the order of tokens and versions.
pub async fn page(conn: Conn<'_>, (token, version): (Uuid, u16), limit: i64) -> Result<Vec<EndedRow>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT s.token_id, t.organization_id, s.version, s.digest, s.registered, t.expires_at, ",
        "s.expires_at AS secret_expires_at, t.revoked_at FROM token_secret s JOIN token t ON t.id = s.token_id ",
        "WHERE (s.token_id, s.version) > ($1, $2) ORDER BY s.token_id, s.version LIMIT $3"
    )).bind(token).bind(i32::from(version)).bind(limit).fetch_all(&mut *c))
}

row! {
    struct UsedRow {
        token_id: Uuid,
        used: Vec<u8>,
    }
}

/// What is kept for ever of the digests of the secrets of tokens, in hexadecimal, each with its own.
pub async fn used_of_all(conn: Conn<'_>, tokens: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
    let select = "SELECT token_id, coalesce(used, substr(digest, 1, 16)) AS used FROM token_secret WHERE token_id IN";
    let rows: Vec<UsedRow> = by_ids(conn, select, tokens).await?;
    Ok(rows.iter().map(|row| (row.token_id, hex_bytes(&row.used))).collect())
}

/// Keeps for ever that these were used: for whoever brings back what a log has forgotten. What is no digest is left out.
pub(crate) async fn keep_used(tx: &mut Tx, used: &[String]) -> Result<()> {
    for digest in used.iter().filter_map(|it| hex::decode(it).ok()) {
        execute!(
            tx.conn(),
            sqlx::query("INSERT INTO used_digest (digest) VALUES ($1) ON CONFLICT DO NOTHING").bind(digest)
        )?;
    }
    Ok(())
}

/// When the earlier secrets of a token of the organization have ended, by their numbers: of those that have by `now`, at most so
/// many, the latest.
pub async fn earlier_ends(
    conn: Conn<'_>,
    grant: &Grant,
    token: Uuid,
    now: Time,
    limit: i64,
) -> Result<BTreeMap<u16, Time>> {
    let rows: Vec<(i32, i64)> = run!(conn, c => sqlx::query_as(concat!(
        "SELECT s.version, s.expires_at FROM token_secret s JOIN token t ON t.id = s.token_id WHERE s.token_id = $1 ",
        "AND t.organization_id = $2 AND s.version < t.version AND s.expires_at <= $3 ORDER BY s.version DESC LIMIT $4"
    )).bind(token).bind(grant.organization()).bind(now.0).bind(limit).fetch_all(&mut *c))?;
    Ok(rows.into_iter().filter_map(|(version, at)| Some((version.try_into().ok()?, Time(at)))).collect())
}

/// For how long it is told of a token that it has ended.
pub async fn retention(conn: Conn<'_>) -> Result<Micros> {
    let said: Option<i64> =
        run!(conn, c => sqlx::query_scalar("SELECT ended_token_retention FROM meta").fetch_one(&mut *c))?;
    Ok(said.unwrap_or(RETENTION).max(SHORTEST_RETENTION))
}

/// Writes it, for all nodes.
pub async fn set_retention(tx: &mut UnloggedTx, retention: Micros) -> Result<()> {
    execute!(tx.conn(), sqlx::query("UPDATE meta SET ended_token_retention = $1").bind(retention))?;
    Ok(())
}

/// Marks at most `limit` tokens whose time is over: they are no living ones any more, in lists and counts. Answers how many they
/// were.
pub async fn mark(tx: &mut UnloggedTx, limit: i64) -> Result<usize> {
    let now = tx.alone().await?;
    let of: Vec<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(concat!(
        "UPDATE token SET name_freed_at = $1 WHERE id IN (SELECT id FROM token WHERE revoked_at IS NULL ",
        "AND name_freed_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2) RETURNING organization_id"
    )).bind(now.0).bind(limit).fetch_all(&mut *c))?;
    let mut counts: BTreeMap<Uuid, i64> = BTreeMap::new();
    for organization in &of {
        *counts.entry(*organization).or_default() += 1;
    }
    for (organization, count) in counts {
        execute!(
            tx.conn(),
            sqlx::query("UPDATE organization SET token_count = token_count - $2 WHERE id = $1")
                .bind(organization)
                .bind(count)
        )?;
    }
    Ok(of.len())
}

/// A token on its way out.
#[derive(Serialize)]
struct GoneToken {
    id: String,
}

/// An earlier secret on its way out.
#[derive(Serialize)]
struct GoneSecret {
    id: String,
    version: u16,
}

/// That a digest was used is kept where the row goes that says so: of what was made before that had a form of its own, as much of
/// the stored one.
const KEEP_USED: Many = many!(
    "INSERT INTO used_digest (digest) SELECT coalesce(s.used, substr(s.digest, 1, 16)) FROM token_secret s WHERE s.token_id IN \
     (SELECT r.id FROM",
    [id id],
    ") ON CONFLICT DO NOTHING"
);
const KEEP_USED_SECRETS: Many = many!(
    "INSERT INTO used_digest (digest) SELECT coalesce(s.used, substr(s.digest, 1, 16)) FROM token_secret s JOIN",
    [id id, version number],
    "ON s.token_id = r.id AND s.version = r.version WHERE true ON CONFLICT DO NOTHING"
);
/// What goes with a token, and in the end its row. What is counted by day, and denials, have an end of their own.
const REMOVE: [Many; 7] = [
    many!("DELETE FROM token_secret WHERE token_id IN (SELECT r.id FROM", [id id], ")"),
    many!("DELETE FROM rego_policy WHERE token_id IN (SELECT r.id FROM", [id id], ")"),
    many!("DELETE FROM token_quota WHERE token_id IN (SELECT r.id FROM", [id id], ")"),
    many!("DELETE FROM token_usage WHERE token_id IN (SELECT r.id FROM", [id id], ")"),
    many!("DELETE FROM token_denied WHERE token_id IN (SELECT r.id FROM", [id id], ")"),
    many!("DELETE FROM permission_used WHERE token_id IN (SELECT r.id FROM", [id id], ")"),
    many!("DELETE FROM token WHERE id IN (SELECT r.id FROM", [id id], ")"),
];
const REMOVE_SECRETS: [Many; 2] = [
    many!(
        "DELETE FROM token_usage WHERE (token_id, version) IN (SELECT r.id, r.version FROM",
        [id id, version number],
        ")"
    ),
    many!(
        "DELETE FROM token_secret WHERE (token_id, version) IN (SELECT r.id, r.version FROM",
        [id id, version number],
        ")"
    ),
];

/// Removes the rows of at most `limit` tokens each that were taken back or expired longer ago than that is told, and of as many
/// earlier secrets of living ones. Nothing goes that a decision could accept; that their digests were used is kept. Answers how many they were.
pub async fn remove(tx: &mut UnloggedTx, limit: i64) -> Result<usize> {
    let now = tx.alone().await?;
    // Asked under the lock of the log: it may have become longer since.
    let before = now.plus(-retention(tx.conn()).await?).0;
    let mut tokens: Vec<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(
        "SELECT id FROM token WHERE revoked_at <= $1 ORDER BY revoked_at LIMIT $2"
    ).bind(before).bind(limit).fetch_all(&mut *c))?;
    let expired: Vec<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(concat!(
        "SELECT id FROM token WHERE revoked_at IS NULL AND name_freed_at IS NOT NULL AND expires_at <= $1 ",
        "ORDER BY expires_at LIMIT $2"
    )).bind(before).bind(limit).fetch_all(&mut *c))?;
    tokens.extend(expired);
    if !tokens.is_empty() {
        let rows: Vec<GoneToken> = tokens.iter().map(|id| GoneToken { id: hex_id(*id) }).collect();
        KEEP_USED.execute(tx.conn(), &rows).await?;
        for delete in &REMOVE {
            delete.execute(tx.conn(), &rows).await?;
        }
    }
    let secrets: Vec<(Uuid, i32)> = run!(tx.conn(), c => sqlx::query_as(concat!(
        "SELECT s.token_id, s.version FROM token_secret s JOIN token t ON t.id = s.token_id ",
        "WHERE s.expires_at <= $1 AND s.version < t.version AND NOT s.untold ORDER BY s.expires_at LIMIT $2"
    )).bind(before).bind(limit).fetch_all(&mut *c))?;
    if !secrets.is_empty() {
        let row =
            |(id, version): &(Uuid, i32)| GoneSecret { id: hex_id(*id), version: (*version).try_into().unwrap_or(0) };
        let rows: Vec<GoneSecret> = secrets.iter().map(row).collect();
        KEEP_USED_SECRETS.execute(tx.conn(), &rows).await?;
        for delete in &REMOVE_SECRETS {
            delete.execute(tx.conn(), &rows).await?;
        }
    }
    Ok(tokens.len() + secrets.len())
}
