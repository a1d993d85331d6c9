//! Peppers as the database knows them: their key-check values, the proof that the right one is at hand; which have retired;
//! and what is still digested with which.

use tokenward_core::secret::Digest;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, count, execute, row, run};
use crate::tx::UnloggedTx;

row! {
    /// A version that the database knows.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct KnownPepper {
        /// The version.
        pub version: i32,
        /// What a key must derive to be the right one.
        pub check_value: Vec<u8>,
        /// When it was first used.
        pub created_at: Time,
        /// The node that brought it, for people.
        pub made_by: Option<String>,
        /// Since when nothing is digested with it.
        pub retired_at: Option<Time>,
    }
}

/// The versions that the database knows, the oldest first; those that have retired among them.
pub async fn list(conn: Conn<'_>) -> Result<Vec<KnownPepper>> {
    run!(conn, c => sqlx::query_as(
        "SELECT version, check_value, created_at, made_by, retired_at FROM pepper ORDER BY version"
    ).fetch_all(&mut *c))
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

/// Records that nothing is digested with a version any more. Refused where a living token needs it still: one that was brought back
/// since somebody counted would be unknown.
pub async fn retire(tx: &mut UnloggedTx, version: i32) -> Result<()> {
    let now = tx.alone().await?;
    let left = count_left(tx.conn(), version, now).await?;
    if left > 0 {
        let detail = format!("{left} tokens need pepper {version} again, which has not retired. Repeat the command.");
        return Err(Error::conflict(detail));
    }
    execute!(tx.conn(), sqlx::query("UPDATE pepper SET retired_at = $2 WHERE version = $1").bind(version).bind(now.0))
        .map(|_| ())
}

/// The key under which digests are kept for ever, sealed; `None` where there is none yet.
pub async fn registration_key(conn: Conn<'_>) -> Result<Option<String>> {
    run!(conn, c => sqlx::query_scalar("SELECT registration_key FROM meta").fetch_one(&mut *c))
}

/// Keeps it, sealed, in the place of what was read before. Did nobody else?
pub async fn keep_registration_key(tx: &mut UnloggedTx, before: Option<&str>, sealed: &str) -> Result<bool> {
    let kept = execute!(
        tx.conn(),
        sqlx::query("UPDATE meta SET registration_key = $1 WHERE coalesce(registration_key, '') = $2")
            .bind(sealed)
            .bind(before.unwrap_or_default())
    )?;
    Ok(kept > 0)
}

/// Keeps for ever which digests were used of those that stand under a pepper which is to retire: nobody can compare them then.
pub async fn keep_used(tx: &mut UnloggedTx, version: i32) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO used_digest (digest) SELECT s.used FROM token_secret s ",
            "WHERE s.pepper_version = $1 AND s.used IS NOT NULL ON CONFLICT DO NOTHING"
        ))
        .bind(version)
    )
    .map(|_| ())
}

/// Puts a secret's digest under a newer pepper in the place of the one that it has. Had it an older one? One that somebody else
/// made keeps its own: its digest says where it lies in memory.
pub async fn rekey(tx: &mut UnloggedTx, token: Uuid, of: u16, digest: &Digest, version: i32) -> Result<bool> {
    let rekeyed = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE token_secret SET digest = $3, pepper_version = $4 ",
            "WHERE token_id = $1 AND version = $2 AND pepper_version < $4 AND NOT registered"
        ))
        .bind(token)
        .bind(i32::from(of))
        .bind(&digest.0[..])
        .bind(version)
    )?;
    Ok(rekeyed > 0)
}

row! {
    /// A living token of which a secret that is still accepted was digested with an older pepper.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct OldPepperToken {
        /// The token.
        pub id: Uuid,
        /// Its organization.
        pub organization_id: Uuid,
        /// The organization's name.
        pub organization: String,
        /// The token's name.
        pub name: String,
        /// When it was made.
        pub created_at: Time,
        /// When it was last used, as far as that was written.
        pub last_used_at: Option<Time>,
    }
}

/// The living tokens that are left under a version, the one that was used last at the end; at most `limit`.
pub async fn left(conn: Conn<'_>, version: i32, now: Time, limit: i64) -> Result<Vec<OldPepperToken>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT t.id, t.organization_id, o.name AS organization, t.name, t.created_at, max(u.last_used_at) AS last_used_at ",
        "FROM token t JOIN organization o ON o.id = t.organization_id LEFT JOIN token_usage u ON u.token_id = t.id ",
        "WHERE t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2) AND EXISTS (SELECT 1 FROM token_secret s ",
        "WHERE s.token_id = t.id AND s.pepper_version = $1 AND (s.expires_at IS NULL OR s.expires_at > $2)) ",
        "GROUP BY t.id, t.organization_id, o.name, t.name, t.created_at ",
        "ORDER BY coalesce(max(u.last_used_at), 0), t.id LIMIT $3"
    )).bind(version).bind(now.0).bind(limit).fetch_all(&mut *c))
}

/// How many there are.
pub async fn count_left(conn: Conn<'_>, version: i32, now: Time) -> Result<u64> {
    count!(
        conn,
        concat!(
            "SELECT count(DISTINCT t.id) FROM token t JOIN token_secret s ON s.token_id = t.id ",
            "WHERE t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2) AND s.pepper_version = $1 ",
            "AND (s.expires_at IS NULL OR s.expires_at > $2)"
        ),
        version,
        now.0
    )
}

/// The version with which the newest secret of a token was digested, where that has retired: then nothing knows it any more.
pub async fn retired_of(conn: Conn<'_>, token: Uuid) -> Result<Option<i32>> {
    run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT s.pepper_version FROM token_secret s JOIN pepper p ON p.version = s.pepper_version ",
        "WHERE s.token_id = $1 AND p.retired_at IS NOT NULL ",
        "AND s.version = (SELECT max(version) FROM token_secret WHERE token_id = $1)"
    )).bind(token).fetch_optional(&mut *c))
}

/// How many sessions that have not ended were digested with a version.
pub async fn count_sessions(conn: Conn<'_>, version: i32, now: Time) -> Result<u64> {
    count!(conn, "SELECT count(*) FROM session WHERE pepper_version = $1 AND expires_at > $2", version, now.0)
}

/// The values that are kept sealed, and whose they are.
pub async fn sealed(conn: Conn<'_>, after: Uuid, limit: i64) -> Result<Vec<(Uuid, String)>> {
    run!(conn, c => sqlx::query_as(
        "SELECT id, value FROM variable WHERE is_secret AND value <> '' AND id > $1 ORDER BY id LIMIT $2"
    ).bind(after).bind(limit).fetch_all(&mut *c))
}

/// Puts a value that was sealed anew in the place of the one that was read, unless it is another one by now.
pub async fn reseal(tx: &mut UnloggedTx, variable: Uuid, before: &str, after: &str) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE variable SET value = $3 WHERE id = $1 AND value = $2")
            .bind(variable)
            .bind(before)
            .bind(after)
    )
    .map(|_| ())
}
