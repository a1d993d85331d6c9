//! Roles: six built in, with ids of their own in each organization, and custom ones.

use sqlx::FromRow;
use tokenward_core::name::fold;
use tokenward_core::role::{BuiltIn, Matrix, Role};
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, Tx, by_ids, execute, run};

#[derive(FromRow)]
struct Row {
    id: Uuid,
    organization_id: Uuid,
    kind: String,
    name: String,
    permissions: String,
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
    let rows: Vec<Row> = match ids {
        Some(ids) => {
            by_ids(conn.again(), "SELECT id, organization_id, kind, name, permissions FROM role WHERE id IN", ids)
                .await?
        }
        None => run!(conn.again(), c => sqlx::query_as(
            "SELECT id, organization_id, kind, name, permissions FROM role ORDER BY id").fetch_all(&mut *c))?,
    };
    rows.into_iter().map(|row| row.compile(Matrix::default())).collect()
}

/// The compiled roles of one organization.
pub async fn of_organization(mut conn: Conn<'_>, organization: Uuid) -> Result<Vec<(Uuid, Role)>> {
    let ids: Vec<Uuid> = run!(conn.again(), c => sqlx::query_scalar("SELECT id FROM role WHERE organization_id = $1 ORDER BY id")
        .bind(organization).fetch_all(&mut *c))?;
    compiled(conn, Some(&ids)).await
}
