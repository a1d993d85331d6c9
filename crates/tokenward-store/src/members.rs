//! Members: which account belongs to which organization, as what.

use sqlx::FromRow;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Tx, execute, run};

/// A membership, for the directory.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct Membership {
    /// The organization.
    pub organization_id: Uuid,
    /// The account.
    pub account_id: Uuid,
    /// Its role there.
    pub role_id: Uuid,
}

/// Makes an account a member. The database allows one owner an organization.
pub async fn insert(tx: &mut Tx, membership: Membership, is_owner: bool, now: Time) -> Result<()> {
    execute!(tx.conn(), sqlx::query(
        "INSERT INTO member (organization_id, account_id, role_id, is_owner, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)"
    )
    .bind(membership.organization_id).bind(membership.account_id).bind(membership.role_id).bind(is_owner).bind(now.0))?;
    Ok(())
}

/// All memberships, or those of one organization.
pub async fn memberships(conn: Conn<'_>, organization: Option<Uuid>) -> Result<Vec<Membership>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT organization_id, account_id, role_id FROM member WHERE ($1 IS NULL OR organization_id = $1) ",
        "ORDER BY organization_id, account_id"
    )).bind(organization).fetch_all(&mut *c))
}
