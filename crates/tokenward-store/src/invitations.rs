//! Invitations: somebody who may become a member, and the digest of the link that proves it.

use sqlx_macros::FromRow;
use tokenward_core::caller::Grant;
use tokenward_core::name::fold_email;
use tokenward_core::permission::Own;
use tokenward_core::{Code, Error, Result, Time, Uuid};

use crate::db::{Conn, execute, run};
use crate::tx::Tx;

/// An invitation.
#[derive(Clone, Debug, FromRow)]
#[allow(missing_docs)] // The fields are those of the contract.
pub struct Invitation {
    pub id: Uuid,
    pub organization_id: Uuid,
    pub organization_name: String,
    pub email: String,
    pub role_id: Uuid,
    pub role_name: String,
    pub role_kind: String,
    pub inviter: String,
    pub expires_at: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT i.id, i.organization_id, o.name AS organization_name, i.email, i.role_id, r.name AS role_name, ",
            "r.kind AS role_kind, i.inviter, i.expires_at, i.created_at, i.updated_at FROM invitation i ",
            "JOIN role r ON r.id = i.role_id JOIN organization o ON o.id = i.organization_id WHERE o.deleted_at IS NULL ",
            $rest
        )
    };
}

/// Adds an invitation; one that has expired gives way. Another one for the same address is a conflict.
pub async fn insert(tx: &mut Tx, grant: &Grant, i: &Invitation, digest: &[u8; 32], now: Time) -> Result<()> {
    grant.permits(Own::MemberManage)?;
    let fold = fold_email(&i.email);
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM invitation WHERE organization_id = $1 AND email_fold = $2 AND expires_at <= $3")
            .bind(grant.organization())
            .bind(&fold)
            .bind(now.0)
    )?;
    execute!(tx.conn(), sqlx::query(concat!(
        "INSERT INTO invitation (id, organization_id, email, email_fold, role_id, inviter, digest, expires_at, created_at, updated_at) ",
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)"
    ))
    .bind(i.id).bind(grant.organization()).bind(&i.email).bind(&fold).bind(i.role_id).bind(&i.inviter).bind(&digest[..])
    .bind(i.expires_at).bind(i.created_at))
    .map_err(|error| match error.code {
        Code::NameTaken => Error::conflict(format!("{} is invited already; re-send or delete that invitation.", i.email)),
        _ => error,
    })?;
    Ok(())
}

/// The invitations of the organization, expired ones among them.
pub async fn list(conn: Conn<'_>, grant: &Grant) -> Result<Vec<Invitation>> {
    run!(conn, c => sqlx::query_as(select!("AND i.organization_id = $1 ORDER BY i.id")).bind(grant.organization()).fetch_all(&mut *c))
}

/// One invitation of the organization.
pub async fn get(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Invitation> {
    run!(conn, c => sqlx::query_as(select!("AND i.organization_id = $1 AND i.id = $2"))
        .bind(grant.organization()).bind(id).fetch_optional(&mut *c))?
    .ok_or_else(|| Error::not_found("invitation"))
}

/// The invitation that a link proves, while it is valid. Spends nothing.
pub async fn by_link(conn: Conn<'_>, id: Uuid, digest: &[u8; 32], now: Time) -> Result<Option<Invitation>> {
    run!(conn, c => sqlx::query_as(select!("AND i.id = $1 AND i.digest = $2 AND i.expires_at > $3"))
        .bind(id).bind(&digest[..]).bind(now.0).fetch_optional(&mut *c))
}

/// Gives an invitation a new link and a new time.
pub async fn renew(tx: &mut Tx, grant: &Grant, id: Uuid, digest: &[u8; 32], expires_at: Time, now: Time) -> Result<()> {
    grant.permits(Own::MemberManage)?;
    execute!(
        tx.conn(),
        sqlx::query(
            "UPDATE invitation SET digest = $3, expires_at = $4, updated_at = $5 WHERE organization_id = $1 AND id = $2"
        )
        .bind(grant.organization())
        .bind(id)
        .bind(&digest[..])
        .bind(expires_at.0)
        .bind(now.0)
    )?;
    Ok(())
}

/// Takes an invitation out. Of two at once, one gets `false`.
pub async fn delete(tx: &mut Tx, organization: Uuid, id: Uuid) -> Result<bool> {
    let gone = execute!(
        tx.conn(),
        sqlx::query("DELETE FROM invitation WHERE organization_id = $1 AND id = $2").bind(organization).bind(id)
    )?;
    Ok(gone > 0)
}
