//! Roles as they are kept, and compiled from their rows: what the directory is made of, and what a right is asked with.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::role::{ClusterLevel, EnvironmentLevel, Matrix, ProjectAccess, Role, RoleKind};
use tokenward_core::{Error, Result, Uuid};

use crate::db::{Conn, by_ids, row, run};

row! {
    struct RoleRow {
        id: Uuid,
        organization_id: Uuid,
        kind: RoleKind,
        name: String,
        permissions: String,
    }
}

row! {
    struct RoleClusterRow {
        role_id: Uuid,
        cluster_id: Uuid,
        level: ClusterLevel,
    }
}

row! {
    struct RoleProjectRow {
        role_id: Uuid,
        project_id: Uuid,
        is_admin: bool,
        levels: String,
    }
}

impl RoleRow {
    fn compile(self, matrix: Matrix) -> Result<(Uuid, Role)> {
        let role = match self.kind {
            RoleKind::BuiltIn(built_in) => Role::built_in(self.id, built_in),
            RoleKind::Custom => {
                let permissions: Vec<String> = serde_json::from_str(&self.permissions).map_err(Error::internal)?;
                Role::custom(self.id, &self.name, &permissions, matrix).map_err(Error::internal)?
            }
        };
        Ok((self.organization_id, role))
    }
}

/// Compiled roles with their organizations: those in `ids`, or all.
pub async fn compiled(mut conn: Conn<'_>, ids: Option<&[Uuid]>) -> Result<Vec<(Uuid, Role)>> {
    let (rows, clusters, projects): (Vec<RoleRow>, Vec<RoleClusterRow>, Vec<RoleProjectRow>) = match ids {
        Some(ids) => {
            let rows: Vec<RoleRow> = by_ids(
                conn.reborrow(),
                "SELECT id, organization_id, kind, name, permissions FROM role WHERE id IN",
                ids,
            )
            .await?;
            // The built-in ones have no matrix: most often there is nothing more to ask.
            let custom: Vec<Uuid> = rows.iter().filter(|row| row.kind == RoleKind::Custom).map(|row| row.id).collect();
            let clusters = by_ids(
                conn.reborrow(),
                "SELECT role_id, cluster_id, level FROM role_cluster WHERE role_id IN",
                &custom,
            )
            .await?;
            let projects = by_ids(
                conn,
                "SELECT role_id, project_id, is_admin, levels FROM role_project WHERE role_id IN",
                &custom,
            )
            .await?;
            (rows, clusters, projects)
        }
        None => (
            run!(conn.reborrow(), c => sqlx::query_as("SELECT id, organization_id, kind, name, permissions FROM role ORDER BY id")
                .fetch_all(&mut *c))?,
            run!(conn.reborrow(), c => sqlx::query_as("SELECT role_id, cluster_id, level FROM role_cluster").fetch_all(&mut *c))?,
            run!(conn, c => sqlx::query_as("SELECT role_id, project_id, is_admin, levels FROM role_project").fetch_all(&mut *c))?,
        ),
    };
    let mut matrices: HashMap<Uuid, Matrix> = HashMap::new();
    for row in clusters {
        matrices.entry(row.role_id).or_default().clusters.insert(row.cluster_id, row.level);
    }
    for row in projects {
        let levels = row.levels.split(',').map(EnvironmentLevel::parse).collect::<Result<Vec<_>, _>>();
        let levels = levels.map_err(Error::internal)?;
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

/// A role of the organization, built in or custom, as it is now.
pub(crate) async fn now(conn: Conn<'_>, organization: Uuid, id: Uuid) -> Result<Option<Arc<Role>>> {
    let found = compiled(conn, Some(&[id])).await?.pop();
    Ok(found.filter(|(owner, _)| *owner == organization).map(|(_, role)| Arc::new(role)))
}
