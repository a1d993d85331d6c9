//! Organizations. A deleted one keeps its row; no query here shows it.

use tokenward_core::caller::Grant;
use tokenward_core::name::fold;
use tokenward_core::organization::Plan;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, by_ids, execute, name_conflict, row, run};
use crate::tx::Tx;

row! {
    /// An organization, as the contract has it (§1.4).
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of the contract.
    pub struct Organization {
        pub id: Uuid,
        pub name: String,
        pub description: Option<String>,
        pub plan: Plan,
        pub website_url: Option<String>,
        pub repository: Option<String>,
        pub logo_url: Option<String>,
        pub icon_url: Option<String>,
        /// A JSON array of texts.
        pub admin_emails: Option<String>,
        /// Does it refuse sessions that were given to another machine by a code?
        pub forbids_device: bool,
        pub created_at: Time,
        pub updated_at: Time,
        /// The account of the one member with the role owner.
        pub owner: Uuid,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT o.id, o.name, o.description, o.plan, o.website_url, o.repository, o.logo_url, o.icon_url, o.admin_emails, ",
            "o.forbids_device, o.created_at, o.updated_at, m.account_id AS owner FROM organization o ",
            "JOIN member m ON m.organization_id = o.id AND m.is_owner WHERE o.deleted_at IS NULL ",
            $rest
        )
    };
}

/// Adds an organization.
pub async fn insert(tx: &mut Tx, id: Uuid, name: &str, description: Option<&str>, plan: Plan, now: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO organization (id, name, name_fold, description, plan, created_at, updated_at) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $6)"
        ))
        .bind(id)
        .bind(name)
        .bind(fold(name))
        .bind(description)
        .bind(plan.as_str())
        .bind(now.0)
    )
    .map_err(name_conflict("organization", name))?;
    Ok(())
}

/// The organization of the grant.
pub async fn get(conn: Conn<'_>, grant: &Grant) -> Result<Organization> {
    run!(conn, c => sqlx::query_as(select!("AND o.id = $1")).bind(grant.organization()).fetch_optional(&mut *c))?
        .ok_or_else(|| Error::not_found("organization"))
}

/// Organizations by id, for a caller who belongs to them.
pub async fn by_id(conn: Conn<'_>, ids: &[Uuid]) -> Result<Vec<Organization>> {
    let mut found: Vec<Organization> = by_ids(conn, select!("AND o.id IN"), ids).await?;
    found.sort_by_key(|organization| organization.id);
    Ok(found)
}

/// Writes all that can be changed of the organization of the grant.
pub async fn update(tx: &mut Tx, grant: &Grant, o: &Organization) -> Result<()> {
    grant.permits(Management::OrganizationEdit)?;
    if o.id != grant.organization() {
        return Err(Error::not_found("organization"));
    }
    complete(tx, o).await
}

/// Writes all that can be changed of an organization that was made in this transaction.
pub async fn complete(tx: &mut Tx, o: &Organization) -> Result<()> {
    execute!(tx.conn(), sqlx::query(concat!(
        "UPDATE organization SET name = $2, name_fold = $3, description = $4, plan = $5, website_url = $6, repository = $7, ",
        "logo_url = $8, icon_url = $9, admin_emails = $10, updated_at = $11, forbids_device = $12 WHERE id = $1 AND deleted_at IS NULL"
    ))
    .bind(o.id).bind(&o.name).bind(fold(&o.name)).bind(&o.description).bind(o.plan.as_str()).bind(&o.website_url)
    .bind(&o.repository).bind(&o.logo_url).bind(&o.icon_url).bind(&o.admin_emails).bind(o.updated_at.0).bind(o.forbids_device))
    .map_err(name_conflict("organization", &o.name))?;
    Ok(())
}

/// Marks the organization deleted and its tokens revoked. Their digests stay known for ever.
pub async fn delete(tx: &mut Tx, grant: &Grant, now: Time) -> Result<()> {
    grant.permits(Management::OrganizationDelete)?;
    end(tx, grant.organization(), now).await.map(|_| ())
}

/// The same for any organization. Was there one that was not deleted yet?
pub(crate) async fn end(tx: &mut Tx, id: Uuid, at: Time) -> Result<bool> {
    let ended = execute!(
        tx.conn(),
        sqlx::query("UPDATE organization SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL").bind(id).bind(at.0)
    )?;
    execute!(
        tx.conn(),
        sqlx::query("UPDATE token SET revoked_at = $2 WHERE organization_id = $1 AND revoked_at IS NULL")
            .bind(id)
            .bind(at.0)
    )?;
    Ok(ended > 0)
}

/// Is there any organization? Without one, the server offers its set-up.
pub async fn any(conn: Conn<'_>) -> Result<bool> {
    let count: i64 = run!(conn, c => sqlx::query_scalar("SELECT count(*) FROM organization").fetch_one(&mut *c))?;
    Ok(count > 0)
}

/// Id and name of living organizations: those in `ids`, or all.
pub async fn names(conn: Conn<'_>, ids: Option<&[Uuid]>) -> Result<Vec<(Uuid, String)>> {
    match ids {
        Some(ids) => by_ids(conn, "SELECT id, name FROM organization WHERE deleted_at IS NULL AND id IN", ids).await,
        None => {
            run!(conn, c => sqlx::query_as("SELECT id, name FROM organization WHERE deleted_at IS NULL ORDER BY id").fetch_all(&mut *c))
        }
    }
}

/// The one that was made first, by the operator; also where it was deleted since, so that no other one takes its place.
pub async fn first(conn: Conn<'_>) -> Result<Option<Uuid>> {
    run!(conn, c => sqlx::query_scalar("SELECT id FROM organization ORDER BY created_at, id LIMIT 1").fetch_optional(&mut *c))
}

/// Living organizations that refuse sessions which were given to another machine by a code: of those in `ids`, or of all.
pub async fn forbidding_devices(conn: Conn<'_>, ids: Option<&[Uuid]>) -> Result<Vec<Uuid>> {
    let all: Vec<Uuid> = run!(conn, c => sqlx::query_scalar(
        "SELECT id FROM organization WHERE deleted_at IS NULL AND forbids_device"
    ).fetch_all(&mut *c))?;
    Ok(all.into_iter().filter(|id| ids.is_none_or(|ids| ids.contains(id))).collect())
}
