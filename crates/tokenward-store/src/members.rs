//! Members: which account belongs to which organization, as what.

use std::collections::HashMap;

use tokenward_core::caller::Grant;
use tokenward_core::name::fold_email;
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, RoleKind};
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, by_ids, count, execute, row, run};
use crate::tx::Tx;

row! {
    /// A membership, for the directory.
    #[derive(Clone, Copy, Debug)]
    pub struct Membership {
        /// The organization.
        pub organization_id: Uuid,
        /// The account.
        pub account_id: Uuid,
        /// Its role there.
        pub role_id: Uuid,
    }
}

row! {
    /// A member, as the contract has it (§1.3).
    #[derive(Clone, Debug)]
    #[allow(missing_docs)]
    pub struct Member {
        pub account_id: Uuid,
        pub email: String,
        pub name: String,
        pub email_proven_at: Option<Time>,
        pub role_id: Uuid,
        pub role_name: String,
        pub role_kind: RoleKind,
        pub is_owner: bool,
        /// The rule that made it: the provider, and what that says. None where a person did.
        pub rule_provider: Option<String>,
        pub rule_value: Option<String>,
        pub last_activity_at: Time,
        pub created_at: Time,
        pub updated_at: Time,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT m.account_id, a.email, a.name, a.email_proven_at, m.role_id, r.name AS role_name, r.kind AS role_kind, m.is_owner, ",
            "m.rule_provider, m.rule_value, m.last_activity_at, m.created_at, m.updated_at FROM member m JOIN account a ON a.id = m.account_id ",
            "JOIN role r ON r.id = m.role_id WHERE m.organization_id = $1 ",
            $rest
        )
    };
}

/// Makes an account a member. The database allows one owner an organization.
pub async fn insert(tx: &mut Tx, membership: Membership, is_owner: bool, now: Time) -> Result<()> {
    execute!(tx.conn(), sqlx::query(
        "INSERT INTO member (organization_id, account_id, role_id, is_owner, created_at, updated_at, last_activity_at) VALUES ($1, $2, $3, $4, $5, $5, $5)"
    )
    .bind(membership.organization_id).bind(membership.account_id).bind(membership.role_id).bind(is_owner).bind(now.0))?;
    Ok(())
}

/// The members of the organization, in the order in which they came.
pub async fn list(conn: Conn<'_>, grant: &Grant) -> Result<Vec<Member>> {
    run!(conn, c => sqlx::query_as(select!("ORDER BY m.created_at, m.account_id")).bind(grant.organization()).fetch_all(&mut *c))
}

/// The members with a role, in the order in which they came.
pub async fn with_role(conn: Conn<'_>, grant: &Grant, role: Uuid) -> Result<Vec<Member>> {
    run!(conn, c => sqlx::query_as(select!("AND m.role_id = $2 ORDER BY m.created_at, m.account_id"))
        .bind(grant.organization()).bind(role).fetch_all(&mut *c))
}

/// The e-mail addresses of the owner and the admins of an organization.
pub async fn admins(conn: Conn<'_>, organization: Uuid) -> Result<Vec<String>> {
    run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT a.email FROM member m JOIN account a ON a.id = m.account_id JOIN role r ON r.id = m.role_id ",
        "WHERE m.organization_id = $1 AND r.kind IN ($2, $3) ORDER BY a.email"
    )).bind(organization).bind(BuiltIn::Owner.as_str()).bind(BuiltIn::Admin.as_str()).fetch_all(&mut *c))
}

/// How many members an organization has.
pub async fn count(conn: Conn<'_>, organization: Uuid) -> Result<u64> {
    count!(conn, "SELECT count(*) FROM member WHERE organization_id = $1", organization)
}

/// How many members have each role.
pub async fn count_by_role(conn: Conn<'_>, grant: &Grant) -> Result<Vec<(Uuid, i64)>> {
    run!(conn, c => sqlx::query_as("SELECT role_id, count(*) FROM member WHERE organization_id = $1 GROUP BY role_id")
        .bind(grant.organization()).fetch_all(&mut *c))
}

/// Is somebody with this e-mail address, whatever its case, a member of the organization?
pub async fn has_email(conn: Conn<'_>, grant: &Grant, email: &str) -> Result<bool> {
    let query = concat!(
        "SELECT count(*) FROM account a JOIN member m ON m.account_id = a.id ",
        "WHERE a.email_fold = $1 AND m.organization_id = $2"
    );
    Ok(count!(conn, query, fold_email(email), grant.organization())? > 0)
}

/// The owner of the organization.
pub async fn owner(conn: Conn<'_>, grant: &Grant) -> Result<Member> {
    run!(conn, c => sqlx::query_as(select!("AND m.is_owner")).bind(grant.organization()).fetch_optional(&mut *c))?
        .ok_or_else(|| Error::internal("an organization has no owner"))
}

/// How many organizations an account owns.
pub async fn count_owned(conn: Conn<'_>, account: Uuid) -> Result<u64> {
    let query = concat!(
        "SELECT count(*) FROM member m JOIN organization o ON o.id = m.organization_id ",
        "WHERE m.account_id = $1 AND m.is_owner AND o.deleted_at IS NULL"
    );
    count!(conn, query, account)
}

/// One member of the organization.
pub async fn get(conn: Conn<'_>, grant: &Grant, account: Uuid) -> Result<Member> {
    find(conn, grant, account).await?.ok_or_else(|| Error::not_found("member"))
}

/// The member that this account is in the organization, if it is one.
pub async fn find(conn: Conn<'_>, grant: &Grant, account: Uuid) -> Result<Option<Member>> {
    run!(conn, c => sqlx::query_as(select!("AND m.account_id = $2")).bind(grant.organization()).bind(account).fetch_optional(&mut *c))
}

/// The e-mail addresses of those of these accounts that are members, by organization and account.
pub async fn emails(conn: Conn<'_>, accounts: &[Uuid]) -> Result<HashMap<(Uuid, Uuid), String>> {
    let rows: Vec<(Uuid, Uuid, String)> = by_ids(
        conn,
        concat!(
            "SELECT m.organization_id, m.account_id, a.email FROM member m JOIN account a ON a.id = m.account_id ",
            "WHERE m.account_id IN"
        ),
        accounts,
    )
    .await?;
    Ok(rows.into_iter().map(|(organization, account, email)| ((organization, account), email)).collect())
}

/// Gives a member another role. The owner keeps the own one.
pub async fn set_role(tx: &mut Tx, grant: &Grant, account: Uuid, role: Uuid, now: Time) -> Result<()> {
    grant.permits(Management::MemberManage)?;
    let changed = execute!(tx.conn(), sqlx::query(
        "UPDATE member SET role_id = $3, updated_at = $4 WHERE organization_id = $1 AND account_id = $2 AND NOT is_owner"
    ).bind(grant.organization()).bind(account).bind(role).bind(now.0))?;
    if changed == 0 { Err(Error::not_found("member")) } else { Ok(()) }
}

/// A member, and the role that it is to have.
#[derive(Clone, Copy, Debug)]
pub struct RoleAssignment {
    /// The account.
    pub account: Uuid,
    /// The role.
    pub role: Uuid,
}

/// Hands the organization from its owner to another member.
pub async fn transfer(tx: &mut Tx, grant: &Grant, from: RoleAssignment, to: RoleAssignment, now: Time) -> Result<()> {
    grant.permits(Management::OrganizationTransfer)?;
    // In this order: the database never allows two owners.
    for (seat, owner) in [(from, false), (to, true)] {
        let changed = execute!(tx.conn(), sqlx::query(
            "UPDATE member SET role_id = $3, is_owner = $4, updated_at = $5 WHERE organization_id = $1 AND account_id = $2"
        ).bind(grant.organization()).bind(seat.account).bind(seat.role).bind(owner).bind(now.0))?;
        if changed == 0 {
            return Err(Error::not_found("member"));
        }
    }
    Ok(())
}

/// Takes a member out.
pub async fn delete(tx: &mut Tx, grant: &Grant, account: Uuid) -> Result<()> {
    grant.permits(Management::MemberManage)?;
    let gone = execute!(
        tx.conn(),
        sqlx::query("DELETE FROM member WHERE organization_id = $1 AND account_id = $2 AND NOT is_owner")
            .bind(grant.organization())
            .bind(account)
    )?;
    if gone == 0 { Err(Error::not_found("member")) } else { Ok(()) }
}

/// All memberships, or those of one organization.
pub async fn memberships(conn: Conn<'_>, organization: Option<Uuid>) -> Result<Vec<Membership>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT organization_id, account_id, role_id FROM member WHERE ($1 IS NULL OR organization_id = $1) ",
        "ORDER BY organization_id, account_id"
    )).bind(organization).fetch_all(&mut *c))
}

/// Does the account have one of these built-in roles in any organization?
pub async fn holds_anywhere(conn: Conn<'_>, account: Uuid, roles: [BuiltIn; 2]) -> Result<bool> {
    let held: i64 = run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT count(*) FROM member m JOIN role r ON r.id = m.role_id JOIN organization o ON o.id = m.organization_id ",
        "WHERE m.account_id = $1 AND o.deleted_at IS NULL AND r.kind IN ($2, $3)"
    )).bind(account).bind(roles[0].as_str()).bind(roles[1].as_str()).fetch_one(&mut *c))?;
    Ok(held > 0)
}

/// The role of an account in an organization; none where it is no member.
pub async fn role_of(conn: Conn<'_>, organization: Uuid, account: Uuid) -> Result<Option<Uuid>> {
    run!(conn, c => sqlx::query_scalar("SELECT role_id FROM member WHERE organization_id = $1 AND account_id = $2")
        .bind(organization).bind(account).fetch_optional(&mut *c))
}
