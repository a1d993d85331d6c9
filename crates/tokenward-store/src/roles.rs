//! Roles: six built in, with ids of their own in each organization, and custom ones.

use std::collections::HashMap;

use sqlx_macros::FromRow;
use tokenward_core::caller::Grant;
use tokenward_core::name::fold;
use tokenward_core::role::{BuiltIn, EnvironmentLevel, Matrix, ProjectAccess, Role};
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, Tx, by_ids, execute, run, taken};

#[derive(FromRow)]
struct Row {
    id: Uuid,
    organization_id: Uuid,
    kind: String,
    name: String,
    permissions: String,
}

#[derive(FromRow)]
struct ClusterRow {
    role_id: Uuid,
    cluster_id: Uuid,
    level: String,
}

#[derive(FromRow)]
struct ProjectRow {
    role_id: Uuid,
    project_id: Uuid,
    is_admin: bool,
    levels: String,
}

/// What a custom role is called and for what it is; what it may do is in its compiled form.
#[derive(Clone, Debug, FromRow)]
pub struct Description {
    /// Its id.
    pub id: Uuid,
    /// Its description; empty when none was given (contract §1.2).
    pub description: String,
    /// When it was made, in microseconds.
    pub created_at: i64,
    /// When it was last changed, in microseconds.
    pub updated_at: i64,
}

impl Row {
    fn compile(self, matrix: Matrix) -> Result<(Uuid, Role)> {
        let role = match BuiltIn::from_name(&self.kind) {
            Some(built_in) => Role::built_in(self.id, built_in),
            None => {
                let permissions: Vec<String> = serde_json::from_str(&self.permissions).map_err(Error::internal)?;
                Role::custom(self.id, &self.name, &permissions, matrix).map_err(Error::internal)?
            }
        };
        Ok((self.organization_id, role))
    }
}

/// Adds the six built-in roles to a new organization. Answers the id of each.
pub async fn insert_built_in(tx: &mut Tx, organization: Uuid, now: Time) -> Result<[(BuiltIn, Uuid); 6]> {
    let ids = BuiltIn::ALL.map(|role| (role, tx.store.new_id()));
    for (role, id) in ids {
        execute!(tx.conn(), sqlx::query(concat!(
            "INSERT INTO role (id, organization_id, kind, name, name_fold, description, permissions, created_at, updated_at) ",
            "VALUES ($1, $2, $3, $3, $4, '', '[]', $5, $5)"
        )).bind(id).bind(organization).bind(role.name()).bind(fold(role.name())).bind(now.0))?;
    }
    Ok(ids)
}

/// Compiled roles with their organizations: those in `ids`, or all.
pub async fn compiled(mut conn: Conn<'_>, ids: Option<&[Uuid]>) -> Result<Vec<(Uuid, Role)>> {
    let (rows, clusters, projects): (Vec<Row>, Vec<ClusterRow>, Vec<ProjectRow>) = match ids {
        Some(ids) => (
            by_ids(conn.again(), "SELECT id, organization_id, kind, name, permissions FROM role WHERE id IN", ids)
                .await?,
            by_ids(conn.again(), "SELECT role_id, cluster_id, level FROM role_cluster WHERE role_id IN", ids).await?,
            by_ids(conn, "SELECT role_id, project_id, is_admin, levels FROM role_project WHERE role_id IN", ids)
                .await?,
        ),
        None => (
            run!(conn.again(), c => sqlx::query_as("SELECT id, organization_id, kind, name, permissions FROM role ORDER BY id")
                .fetch_all(&mut *c))?,
            run!(conn.again(), c => sqlx::query_as("SELECT role_id, cluster_id, level FROM role_cluster").fetch_all(&mut *c))?,
            run!(conn, c => sqlx::query_as("SELECT role_id, project_id, is_admin, levels FROM role_project").fetch_all(&mut *c))?,
        ),
    };
    let mut matrices: HashMap<Uuid, Matrix> = HashMap::new();
    for row in clusters {
        let level = word(&row.level)?;
        matrices.entry(row.role_id).or_default().clusters.insert(row.cluster_id, level);
    }
    for row in projects {
        let levels = row.levels.split(',').map(word).collect::<Result<Vec<EnvironmentLevel>>>()?;
        let levels = levels.try_into().map_err(|_| Error::internal("a role has not four levels for a project"))?;
        let access = ProjectAccess { is_admin: row.is_admin, levels };
        matrices.entry(row.role_id).or_default().projects.insert(row.project_id, access);
    }
    let mut roles = rows
        .into_iter()
        .map(|row| {
            let matrix = matrices.remove(&row.id).unwrap_or_default();
            row.compile(matrix)
        })
        .collect::<Result<Vec<_>>>()?;
    roles.sort_by_key(|(_, role)| role.id);
    Ok(roles)
}

/// The compiled roles of one organization.
pub async fn of_organization(mut conn: Conn<'_>, organization: Uuid) -> Result<Vec<(Uuid, Role)>> {
    let ids: Vec<Uuid> = run!(conn.again(), c => sqlx::query_scalar("SELECT id FROM role WHERE organization_id = $1 ORDER BY id")
        .bind(organization).fetch_all(&mut *c))?;
    compiled(conn, Some(&ids)).await
}

/// The custom roles of the organization, in the order of their creation.
pub async fn list(mut conn: Conn<'_>, grant: &Grant) -> Result<Vec<(Role, Description)>> {
    let rows: Vec<Description> = run!(conn.again(), c => sqlx::query_as(
        "SELECT id, description, created_at, updated_at FROM role WHERE organization_id = $1 AND kind = 'custom' ORDER BY id"
    ).bind(grant.organization()).fetch_all(&mut *c))?;
    with_roles(conn, rows).await
}

/// One custom role of the organization.
pub async fn get(mut conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<(Role, Description)> {
    let row: Option<Description> = run!(conn.again(), c => sqlx::query_as(
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
    execute!(tx.conn(), sqlx::query(concat!(
        "INSERT INTO role (id, organization_id, kind, name, name_fold, description, permissions, created_at, updated_at) ",
        "VALUES ($1, $2, 'custom', $3, $4, $5, $6, $7, $7)"
    ))
    .bind(role.id).bind(grant.organization()).bind(&*role.name).bind(fold(&role.name)).bind(description).bind(permissions(role)?)
    .bind(now.0))
    .map_err(taken("role", &role.name))?;
    insert_matrix(tx, grant, role).await
}

/// Replaces a custom role.
pub async fn update(tx: &mut Tx, grant: &Grant, role: &Role, description: &str, updated_at: i64) -> Result<()> {
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
        .bind(updated_at)
    )
    .map_err(taken("role", &role.name))?;
    // From here on the role is known to be the organization's own.
    if changed == 0 {
        return Err(Error::not_found("role"));
    }
    execute!(tx.conn(), sqlx::query("DELETE FROM role_cluster WHERE role_id = $1").bind(role.id))?;
    execute!(tx.conn(), sqlx::query("DELETE FROM role_project WHERE role_id = $1").bind(role.id))?;
    insert_matrix(tx, grant, role).await
}

async fn insert_matrix(tx: &mut Tx, grant: &Grant, role: &Role) -> Result<()> {
    let organization = grant.organization();
    for (cluster, level) in &role.matrix().clusters {
        execute!(
            tx.conn(),
            sqlx::query(
                "INSERT INTO role_cluster (organization_id, role_id, cluster_id, level) VALUES ($1, $2, $3, $4)"
            )
            .bind(organization)
            .bind(role.id)
            .bind(cluster)
            .bind(text(level)?)
        )?;
    }
    for (project, access) in &role.matrix().projects {
        let levels = access.levels.iter().map(text).collect::<Result<Vec<_>>>()?.join(",");
        execute!(tx.conn(), sqlx::query(
            "INSERT INTO role_project (organization_id, role_id, project_id, is_admin, levels) VALUES ($1, $2, $3, $4, $5)"
        ).bind(organization).bind(role.id).bind(project).bind(access.is_admin).bind(&levels))?;
    }
    Ok(())
}

/// Deletes a custom role. Revoked tokens lose their reference to it; a living user of it is a conflict.
pub async fn delete(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<()> {
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

/// Who uses a role, in words: tokens, members, invitations.
pub async fn users(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Vec<String>> {
    let rows: Vec<(String, String)> = run!(conn, c => sqlx::query_as(concat!(
        "SELECT 'token' AS what, name FROM token WHERE organization_id = $1 AND role_id = $2 AND revoked_at IS NULL ",
        "UNION ALL SELECT 'member', a.email FROM member m JOIN account a ON a.id = m.account_id ",
        "WHERE m.organization_id = $1 AND m.role_id = $2 ",
        "UNION ALL SELECT 'invitation', email FROM invitation WHERE organization_id = $1 AND role_id = $2"
    )).bind(grant.organization()).bind(id).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(|(what, name)| format!("{what} `{name}`")).collect())
}

/// What the role names besides what every custom role has, as JSON.
fn permissions(role: &Role) -> Result<String> {
    serde_json::to_string(&role.named_permissions()).map_err(Error::internal)
}

/// The word of the contract for a level, and back.
fn text<T: serde::Serialize>(level: &T) -> Result<String> {
    match serde_json::to_value(level) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(Error::internal("a level has no word")),
    }
}

fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(Error::internal)
}
