//! Invitations: somebody who may become a member, and the digest of the link that proves it.

use tokenward_core::caller::Grant;
use tokenward_core::event::ActorKind;
use tokenward_core::name::fold_email;
use tokenward_core::permission::Management;
use tokenward_core::role::RoleKind;
use tokenward_core::{Code, Error, Result, Time, Uuid};

use crate::db::{Conn, count, execute, row, run};
use crate::tx::Tx;

row! {
    /// An invitation.
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of the contract.
    pub struct Invitation {
        pub id: Uuid,
        pub organization_id: Uuid,
        pub organization_name: String,
        pub email: String,
        pub role_id: Uuid,
        pub role_name: String,
        pub role_kind: RoleKind,
        pub inviter: String,
        pub inviter_kind: Option<ActorKind>,
        pub inviter_id: Option<Uuid>,
        pub expires_at: Time,
        pub created_at: Time,
        pub updated_at: Time,
    }
}

/// The digests of an invitation's links. They differ: only one who reads what is sent to the address has the mailed one.
#[derive(Clone, Copy, Debug)]
pub struct LinkDigests {
    /// Of the link that the inviter passes on.
    pub passed_on: [u8; 32],
    /// Of the link that was mailed, where mail is sent.
    pub mailed: Option<[u8; 32]>,
}

/// An invitation whose link somebody holds.
#[derive(Clone, Debug)]
pub struct OpenedInvitation {
    /// The invitation.
    pub invitation: Invitation,
    /// Is it the link that was mailed? Then its holder reads what is sent to the address.
    pub mailed: bool,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT i.id, i.organization_id, o.name AS organization_name, i.email, i.role_id, r.name AS role_name, ",
            "r.kind AS role_kind, i.inviter, i.inviter_kind, i.inviter_id, i.expires_at, i.created_at, i.updated_at ",
            "FROM invitation i ",
            "JOIN role r ON r.id = i.role_id JOIN organization o ON o.id = i.organization_id WHERE o.deleted_at IS NULL ",
            $rest
        )
    };
}

/// Adds an invitation; one that has expired gives way. Another one for the same address is a conflict.
pub async fn insert(tx: &mut Tx, grant: &Grant, i: &Invitation, links: &LinkDigests, now: Time) -> Result<()> {
    grant.permits(Management::MemberManage)?;
    let fold = fold_email(&i.email);
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM invitation WHERE organization_id = $1 AND email_fold = $2 AND expires_at <= $3")
            .bind(grant.organization())
            .bind(&fold)
            .bind(now.0)
    )?;
    execute!(tx.conn(), sqlx::query(concat!(
        "INSERT INTO invitation (id, organization_id, email, email_fold, role_id, inviter, inviter_kind, inviter_id, digest, ",
        "mailed_digest, expires_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)"
    ))
    .bind(i.id).bind(grant.organization()).bind(&i.email).bind(&fold).bind(i.role_id).bind(&i.inviter)
    .bind(i.inviter_kind.map(ActorKind::as_str)).bind(i.inviter_id).bind(&links.passed_on[..]).bind(links.mailed.as_ref().map(|it| &it[..]))
    .bind(i.expires_at.0).bind(i.created_at.0))
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

/// The invitations with a role, expired ones among them.
pub async fn with_role(conn: Conn<'_>, grant: &Grant, role: Uuid) -> Result<Vec<Invitation>> {
    run!(conn, c => sqlx::query_as(select!("AND i.organization_id = $1 AND i.role_id = $2 ORDER BY i.id"))
        .bind(grant.organization()).bind(role).fetch_all(&mut *c))
}

/// How many invitations the organization has, expired ones among them.
pub async fn count(conn: Conn<'_>, grant: &Grant) -> Result<u64> {
    count!(conn, "SELECT count(*) FROM invitation WHERE organization_id = $1", grant.organization())
}

/// One invitation of the organization.
pub async fn get(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Invitation> {
    run!(conn, c => sqlx::query_as(select!("AND i.organization_id = $1 AND i.id = $2"))
        .bind(grant.organization()).bind(id).fetch_optional(&mut *c))?
    .ok_or_else(|| Error::not_found("invitation"))
}

/// The invitation that a link proves, while it is valid. Spends nothing.
pub async fn by_link(mut conn: Conn<'_>, id: Uuid, digest: &[u8; 32], now: Time) -> Result<Option<OpenedInvitation>> {
    let held = select!("AND i.id = $1 AND (i.digest = $2 OR i.mailed_digest = $2) AND i.expires_at > $3");
    let found: Option<Invitation> = run!(conn.reborrow(), c => sqlx::query_as(held)
        .bind(id).bind(&digest[..]).bind(now.0).fetch_optional(&mut *c))?;
    let Some(invitation) = found else { return Ok(None) };
    let mailed: i64 = run!(conn, c => sqlx::query_scalar("SELECT count(*) FROM invitation WHERE id = $1 AND mailed_digest = $2")
        .bind(id).bind(&digest[..]).fetch_one(&mut *c))?;
    Ok(Some(OpenedInvitation { invitation, mailed: mailed > 0 }))
}

/// The pending invitations for an address, in whichever organization.
pub async fn of_address(conn: Conn<'_>, email: &str, now: Time) -> Result<Vec<Invitation>> {
    run!(conn, c => sqlx::query_as(select!("AND i.email_fold = $1 AND i.expires_at > $2 ORDER BY i.id"))
        .bind(fold_email(email)).bind(now.0).fetch_all(&mut *c))
}

/// The invitations that a user or token has sent and that are pending: in one organization, or everywhere.
pub async fn sent_by(conn: Conn<'_>, organization: Option<Uuid>, inviter: Uuid, now: Time) -> Result<Vec<Invitation>> {
    let sent =
        select!("AND ($1 IS NULL OR i.organization_id = $1) AND i.inviter_id = $2 AND i.expires_at > $3 ORDER BY i.id");
    run!(conn, c => sqlx::query_as(sent).bind(organization).bind(inviter).bind(now.0).fetch_all(&mut *c))
}

/// Gives an invitation new links and a new time.
pub async fn renew(
    tx: &mut Tx,
    grant: &Grant,
    id: Uuid,
    links: &LinkDigests,
    expires_at: Time,
    now: Time,
) -> Result<()> {
    grant.permits(Management::MemberManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE invitation SET digest = $3, mailed_digest = $4, expires_at = $5, updated_at = $6 ",
            "WHERE organization_id = $1 AND id = $2"
        ))
        .bind(grant.organization())
        .bind(id)
        .bind(&links.passed_on[..])
        .bind(links.mailed.as_ref().map(|it| &it[..]))
        .bind(expires_at.0)
        .bind(now.0)
    )?;
    Ok(())
}

/// Takes an invitation of the organization back. Of two at once, one gets `NotFound`.
pub async fn delete(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<()> {
    grant.permits(Management::MemberManage)?;
    if end(tx, grant.organization(), id).await? { Ok(()) } else { Err(Error::not_found("invitation")) }
}

/// Ends an invitation that is accepted, or that ends with what it rests on: with its role, or with the rights of who sent it.
/// Of two at once, one gets `false`.
pub async fn end(tx: &mut Tx, organization: Uuid, id: Uuid) -> Result<bool> {
    let gone = execute!(
        tx.conn(),
        sqlx::query("DELETE FROM invitation WHERE organization_id = $1 AND id = $2").bind(organization).bind(id)
    )?;
    Ok(gone > 0)
}

/// Lets the invitations that a user has sent name another address.
pub async fn rename_inviter(tx: &mut Tx, account: Uuid, email: &str) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE invitation SET inviter = $2 WHERE inviter_id = $1 AND inviter_kind = $3")
            .bind(account)
            .bind(email)
            .bind(ActorKind::User.as_str())
    )?;
    Ok(())
}
