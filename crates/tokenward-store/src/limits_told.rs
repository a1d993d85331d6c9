//! Of which limits it was told that an organization has come near. A row is that it was told, on whichever node, and goes when it
//! is away from the limit again; so it is told once, and not with each thing that is made.

use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, execute, row, run};
use crate::tx::{Tx, UnloggedTx};

row! {
    /// That it was told.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct LimitTold {
        /// The organization.
        pub organization_id: Uuid,
        /// The name of the limit.
        pub limit_name: String,
        /// The organization, or the credential whose limit it is.
        pub about_id: Uuid,
        /// The name of that credential; empty for the organization.
        pub about_name: String,
        /// When it was told.
        pub told_at: Time,
        /// When it was last near it.
        pub seen_at: Time,
    }
}

row! {
    /// How many tokens of an organization live.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct TokenCount {
        /// The organization.
        pub id: Uuid,
        /// How many.
        pub token_count: i64,
    }
}

/// The organizations of which so many tokens live, or more.
pub async fn with_tokens(conn: Conn<'_>, least: i64) -> Result<Vec<TokenCount>> {
    run!(conn, c => sqlx::query_as(
        "SELECT id, token_count FROM organization WHERE deleted_at IS NULL AND token_count >= $1 ORDER BY id"
    ).bind(least).fetch_all(&mut *c))
}

/// How many tokens of an organization live.
pub async fn token_count(conn: Conn<'_>, organization: Uuid) -> Result<u64> {
    let count: Option<i64> = run!(conn, c => sqlx::query_scalar("SELECT token_count FROM organization WHERE id = $1")
        .bind(organization).fetch_optional(&mut *c))?;
    Ok(count.unwrap_or(0).max(0).unsigned_abs())
}

/// What was told to all organizations, or to one, and still holds.
pub async fn all(conn: Conn<'_>, organization: Option<Uuid>) -> Result<Vec<LimitTold>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT organization_id, limit_name, about_id, about_name, told_at, seen_at FROM limit_told ",
        "WHERE organization_id = coalesce($1, organization_id) ORDER BY organization_id, limit_name, about_name, about_id"
    )).bind(organization).fetch_all(&mut *c))
}

/// Notes that it is told now. Was it not before? Of two nodes one hears yes.
pub async fn mark_told(tx: &mut Tx, organization: Uuid, limit: &str, about: (Uuid, &str)) -> Result<bool> {
    let now = tx.now();
    let told = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO limit_told (organization_id, limit_name, about_id, about_name, told_at, seen_at) ",
            "VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT DO NOTHING"
        ))
        .bind(organization)
        .bind(limit)
        .bind(about.0)
        .bind(about.1)
        .bind(now.0)
    )?;
    Ok(told > 0)
}

/// It is near it still.
pub async fn mark_near(tx: &mut UnloggedTx, organization: Uuid, limit: &str, about: Uuid) -> Result<()> {
    let now = tx.now().await?;
    execute!(
        tx.conn(),
        sqlx::query(
            "UPDATE limit_told SET seen_at = $4 WHERE organization_id = $1 AND limit_name = $2 AND about_id = $3"
        )
        .bind(organization)
        .bind(limit)
        .bind(about)
        .bind(now.0)
    )?;
    Ok(())
}

/// It is away from it again, since nobody has seen it near it after this length of time before now; then it is told anew.
pub async fn forget(tx: &mut UnloggedTx, limit: &str, after: i64) -> Result<()> {
    let before = tx.now().await?.plus(-after);
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM limit_told WHERE limit_name = $1 AND seen_at <= $2").bind(limit).bind(before.0)
    )?;
    Ok(())
}

/// The same of organizations of which fewer tokens live.
pub async fn forget_with_fewer_tokens(tx: &mut UnloggedTx, limit: &str, least: i64) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "DELETE FROM limit_told WHERE limit_name = $1 AND NOT EXISTS (SELECT 1 FROM organization o ",
            "WHERE o.id = limit_told.organization_id AND o.deleted_at IS NULL AND o.token_count >= $2)"
        ))
        .bind(limit)
        .bind(least)
    )?;
    Ok(())
}
