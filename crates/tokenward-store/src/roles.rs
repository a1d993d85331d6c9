//! Roles: six built in, with ids of their own in each organization, and custom ones.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::name::fold;
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, EnvironmentLevel, Places, Role, Scope};
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, by_ids, count, execute, name_conflict, row, run};
pub use crate::role_rows::compiled;
use crate::role_rows::now;
use crate::tx::Tx;

row! {
    /// What a custom role is called and for what it is; what it may do is in its compiled form.
    #[derive(Clone, Debug)]
    pub struct Description {
        /// Its id.
        pub id: Uuid,
        /// Its description; empty when none was given (contract §1.2).
        pub description: String,
        /// When it was made.
        pub created_at: Time,
        /// When it was last changed.
        pub updated_at: Time,
    }
}

/// Adds the six built-in roles to a new organization. Answers the id of each.
pub async fn insert_built_in(tx: &mut Tx, organization: Uuid, now: Time) -> Result<[(BuiltIn, Uuid); 6]> {
    let ids = BuiltIn::ALL.map(|role| (role, tx.new_id()));
    for (role, id) in ids {
        execute!(tx.conn(), sqlx::query(concat!(
            "INSERT INTO role (id, organization_id, kind, name, name_fold, description, permissions, created_at, updated_at) ",
            "VALUES ($1, $2, $3, $3, $4, '', '[]', $5, $5)"
        )).bind(id).bind(organization).bind(role.as_str()).bind(fold(role.as_str())).bind(now.0))?;
    }
    Ok(ids)
}

/// The compiled roles of one organization.
pub async fn of_organization(mut conn: Conn<'_>, organization: Uuid) -> Result<Vec<(Uuid, Role)>> {
    let ids: Vec<Uuid> = run!(conn.reborrow(), c => sqlx::query_scalar("SELECT id FROM role WHERE organization_id = $1 ORDER BY id")
        .bind(organization).fetch_all(&mut *c))?;
    compiled(conn, Some(&ids)).await
}

/// The role that `field` of a body names, to be given to somebody: an error about that field when it is absent or foreign,
/// or the owner role, which is never given, or when it may do more than who gives it.
pub async fn assignable(tx: &mut Tx, grant: &Grant, field: &'static str, id: Uuid) -> Result<Arc<Role>> {
    may_assign(grant, field, now(tx.conn(), grant.organization(), id).await?)
}

/// The same for a token that is narrowed to these permissions and places of the role: then it is what is left of the role that may not do more
/// than who gives it. Answers the role as it is.
pub async fn assignable_to(
    tx: &mut Tx,
    grant: &Grant,
    id: Uuid,
    permissions: &[String],
    places: &Places,
) -> Result<Arc<Role>> {
    may_assign_to(grant, now(tx.conn(), grant.organization(), id).await?, permissions, places)
}

/// The same where `role` is the one that was found.
pub fn may_assign_to(
    grant: &Grant,
    role: Option<Arc<Role>>,
    permissions: &[String],
    places: &Places,
) -> Result<Arc<Role>> {
    let scope = Scope::of(permissions, places)
        .map_err(|(at, problem)| Error::invalid(format!("permissions[{at}]"), problem))?;
    let (Some(scope), Some(whole)) = (scope, role.clone().filter(|role| !role.is_owner())) else {
        return may_assign(grant, "role_id", role);
    };
    grant.covers(&whole.narrowed(&scope)).map(|()| whole).map_err(|error| error.about("role_id"))
}

/// The same where `role` is the one that was found; none where the organization has none such.
pub fn may_assign(grant: &Grant, field: &'static str, role: Option<Arc<Role>>) -> Result<Arc<Role>> {
    match role {
        Some(role) if role.is_owner() => {
            Err(Error::invalid(field, "is the owner role, which moves only by a transfer of ownership"))
        }
        Some(role) => grant.covers(&role).map(|()| role).map_err(|error| error.about(field)),
        None => Err(Error::invalid(field, "is not a role of this organization; see availableRole")),
    }
}

/// The role admin of each of these organizations.
pub async fn admins(conn: Conn<'_>, organizations: &[Uuid]) -> Result<HashMap<Uuid, Arc<Role>>> {
    let rows: Vec<(Uuid, Uuid)> =
        by_ids(conn, "SELECT organization_id, id FROM role WHERE kind = 'admin' AND organization_id IN", organizations)
            .await?;
    Ok(rows.into_iter().map(|(of, id)| (of, Arc::new(Role::built_in(id, BuiltIn::Admin)))).collect())
}

/// Is it a role of the organization?
pub async fn is_of(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<bool> {
    Ok(now(tx.conn(), grant.organization(), id).await?.is_some())
}

/// A built-in role of the organization.
pub async fn built_in(tx: &mut Tx, grant: &Grant, wanted: BuiltIn) -> Result<Arc<Role>> {
    let id: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar("SELECT id FROM role WHERE organization_id = $1 AND kind = $2")
        .bind(grant.organization()).bind(wanted.as_str()).fetch_optional(&mut *c))?;
    let id = id.ok_or_else(|| Error::not_found("organization"))?;
    Ok(Arc::new(Role::built_in(id, wanted)))
}

/// How many custom roles the organization has.
pub async fn count_custom(conn: Conn<'_>, grant: &Grant) -> Result<u64> {
    count!(conn, "SELECT count(*) FROM role WHERE organization_id = $1 AND kind = 'custom'", grant.organization())
}

/// The custom roles of the organization, in the order of their creation.
pub async fn list(mut conn: Conn<'_>, grant: &Grant) -> Result<Vec<(Role, Description)>> {
    let rows: Vec<Description> = run!(conn.reborrow(), c => sqlx::query_as(
        "SELECT id, description, created_at, updated_at FROM role WHERE organization_id = $1 AND kind = 'custom' ORDER BY id"
    ).bind(grant.organization()).fetch_all(&mut *c))?;
    with_roles(conn, rows).await
}

/// At most `limit` custom roles of the organization that were made after the role `after`, in the same order.
pub async fn page(
    mut conn: Conn<'_>,
    grant: &Grant,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<(Role, Description)>> {
    let rows: Vec<Description> = run!(conn.reborrow(), c => sqlx::query_as(concat!(
        "SELECT id, description, created_at, updated_at FROM role WHERE organization_id = $1 AND kind = 'custom' ",
        "AND id > $2 ORDER BY id LIMIT $3"
    )).bind(grant.organization()).bind(after.unwrap_or_default()).bind(limit as i64).fetch_all(&mut *c))?;
    with_roles(conn, rows).await
}

/// What the custom roles of the organization are for, in the order of their creation.
pub async fn descriptions(conn: Conn<'_>, grant: &Grant) -> Result<Vec<Description>> {
    run!(conn, c => sqlx::query_as(
        "SELECT id, description, created_at, updated_at FROM role WHERE organization_id = $1 AND kind = 'custom' ORDER BY id"
    ).bind(grant.organization()).fetch_all(&mut *c))
}

/// One custom role of the organization.
pub async fn get(mut conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<(Role, Description)> {
    let row: Option<Description> = run!(conn.reborrow(), c => sqlx::query_as(
        "SELECT id, description, created_at, updated_at FROM role WHERE organization_id = $1 AND kind = 'custom' AND id = $2"
    ).bind(grant.organization()).bind(id).fetch_optional(&mut *c))?;
    with_roles(conn, row.into_iter().collect()).await?.pop().ok_or_else(|| Error::not_found("role"))
}

async fn with_roles(conn: Conn<'_>, rows: Vec<Description>) -> Result<Vec<(Role, Description)>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    // Both are in the order of their ids.
    let roles = compiled(conn, Some(&ids)).await?;
    Ok(roles.into_iter().map(|(_, role)| role).zip(rows).collect())
}

/// Adds a custom role, with all that it may do.
pub async fn insert(tx: &mut Tx, grant: &Grant, role: &Role, description: &str, now: Time) -> Result<()> {
    grant.permits(Management::RoleManage)?;
    execute!(tx.conn(), sqlx::query(concat!(
        "INSERT INTO role (id, organization_id, kind, name, name_fold, description, permissions, created_at, updated_at) ",
        "VALUES ($1, $2, 'custom', $3, $4, $5, $6, $7, $7)"
    ))
    .bind(role.id).bind(grant.organization()).bind(&*role.name).bind(fold(&role.name)).bind(description).bind(permissions(role)?)
    .bind(now.0))
    .map_err(name_conflict("role", &role.name))?;
    insert_matrix(tx, grant.organization(), role).await
}

/// The role that has this name, or one that can be mistaken for it.
pub async fn holder(conn: Conn<'_>, grant: &Grant, name: &str) -> Result<Option<Uuid>> {
    run!(conn, c => sqlx::query_scalar("SELECT id FROM role WHERE organization_id = $1 AND name_fold = $2")
        .bind(grant.organization()).bind(fold(name)).fetch_optional(&mut *c))
}

/// Replaces a custom role.
pub async fn update(tx: &mut Tx, grant: &Grant, role: &Role, description: &str, updated_at: Time) -> Result<()> {
    grant.permits(Management::RoleManage)?;
    let changed = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE role SET name = $3, name_fold = $4, description = $5, permissions = $6, updated_at = $7 ",
            "WHERE organization_id = $1 AND id = $2 AND kind = 'custom'"
        ))
        .bind(grant.organization())
        .bind(role.id)
        .bind(&*role.name)
        .bind(fold(&role.name))
        .bind(description)
        .bind(permissions(role)?)
        .bind(updated_at.0)
    )
    .map_err(name_conflict("role", &role.name))?;
    // From here on the role is known to be the organization's own.
    if changed == 0 {
        return Err(Error::not_found("role"));
    }
    replace_matrix(tx, grant.organization(), role).await
}

/// Writes what a custom role of an organization allows, and nothing else of it.
pub(crate) async fn write_rights(tx: &mut Tx, organization: Uuid, role: &Role) -> Result<()> {
    let now = tx.now();
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE role SET permissions = $3, updated_at = CASE WHEN updated_at < $4 THEN $4 ELSE updated_at + 1 END ",
            "WHERE organization_id = $1 AND id = $2 AND kind = 'custom'"
        ))
        .bind(organization)
        .bind(role.id)
        .bind(permissions(role)?)
        .bind(now.0)
    )?;
    replace_matrix(tx, organization, role).await
}

async fn replace_matrix(tx: &mut Tx, organization: Uuid, role: &Role) -> Result<()> {
    execute!(tx.conn(), sqlx::query("DELETE FROM role_cluster WHERE role_id = $1").bind(role.id))?;
    execute!(tx.conn(), sqlx::query("DELETE FROM role_project WHERE role_id = $1").bind(role.id))?;
    insert_matrix(tx, organization, role).await
}

async fn insert_matrix(tx: &mut Tx, organization: Uuid, role: &Role) -> Result<()> {
    for (cluster, level) in &role.matrix().clusters {
        execute!(
            tx.conn(),
            sqlx::query(
                "INSERT INTO role_cluster (organization_id, role_id, cluster_id, level) VALUES ($1, $2, $3, $4)"
            )
            .bind(organization)
            .bind(role.id)
            .bind(cluster)
            .bind(level.as_str())
        )?;
    }
    for (project, access) in &role.matrix().projects {
        let levels = access.levels.map(EnvironmentLevel::as_str).join(",");
        execute!(tx.conn(), sqlx::query(
            "INSERT INTO role_project (organization_id, role_id, project_id, is_admin, levels) VALUES ($1, $2, $3, $4, $5)"
        ).bind(organization).bind(role.id).bind(project).bind(access.is_admin).bind(&levels))?;
    }
    Ok(())
}

/// Deletes a custom role. Revoked tokens lose their reference to it; a living user of it is a conflict.
pub async fn delete(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<()> {
    grant.permits(Management::RoleManage)?;
    execute!(
        tx.conn(),
        sqlx::query(
            "UPDATE token SET role_id = NULL WHERE organization_id = $1 AND role_id = $2 AND revoked_at IS NOT NULL"
        )
        .bind(grant.organization())
        .bind(id)
    )?;
    let gone = execute!(
        tx.conn(),
        sqlx::query("DELETE FROM role WHERE organization_id = $1 AND id = $2 AND kind = 'custom'")
            .bind(grant.organization())
            .bind(id)
    )?;
    if gone == 0 { Err(Error::not_found("role")) } else { Ok(()) }
}

/// Gives every token and every member with one role another one: those whose end has come too, which name their role for as
/// long as they are kept.
pub async fn move_holders(tx: &mut Tx, grant: &Grant, from: Uuid, to: Uuid, now: Time) -> Result<()> {
    grant.permits(Management::RoleManage)?;
    for update in [
        concat!(
            "UPDATE token SET role_id = $3, updated_at = CASE WHEN updated_at < $4 THEN $4 ELSE updated_at + 1 END ",
            "WHERE organization_id = $1 AND role_id = $2 AND revoked_at IS NULL"
        ),
        concat!(
            "UPDATE member SET role_id = $3, updated_at = CASE WHEN updated_at < $4 THEN $4 ELSE updated_at + 1 END ",
            "WHERE organization_id = $1 AND role_id = $2 AND NOT is_owner"
        ),
    ] {
        execute!(tx.conn(), sqlx::query(update).bind(grant.organization()).bind(from).bind(to).bind(now.0))?;
    }
    Ok(())
}

/// What the role names besides what every custom role has, as JSON.
fn permissions(role: &Role) -> Result<String> {
    serde_json::to_string(&role.named_permissions()).map_err(Error::internal)
}
