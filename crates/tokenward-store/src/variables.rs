//! Variables and secrets of projects and environments. A secret's value arrives here sealed.

use tokenward_core::caller::Grant;
use tokenward_core::organization::{VariableScope, VariableType};
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, count, execute, name_conflict, row, run};
use crate::tx::Tx;

/// Whose variables are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The project.
    pub project: Uuid,
    /// The environment; `None` for variables of the project.
    pub environment: Option<Uuid>,
}

row! {
    /// A variable or secret.
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of the contract.
    pub struct Variable {
        pub id: Uuid,
        pub project_id: Uuid,
        pub environment_id: Option<Uuid>,
        pub is_secret: bool,
        pub key: String,
        /// Sealed for a secret; empty for an alias.
        pub value: String,
        pub variable_type: VariableType,
        pub mount_path: Option<String>,
        pub description: Option<String>,
        /// The variable that an alias names or an override covers.
        pub parent_id: Option<Uuid>,
        pub created_at: Time,
        pub updated_at: Time,
    }
}

impl Variable {
    /// Where it comes from.
    #[must_use]
    pub fn scope(&self) -> VariableScope {
        match (self.variable_type, self.environment_id) {
            (VariableType::BuiltIn, _) => VariableScope::BuiltIn,
            (_, Some(_)) => VariableScope::Environment,
            (_, None) => VariableScope::Project,
        }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, project_id, environment_id, is_secret, key, value, variable_type, mount_path, description, parent_id, ",
            "created_at, updated_at FROM variable WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// Adds a variable.
pub async fn insert(tx: &mut Tx, grant: &Grant, v: &Variable) -> Result<()> {
    grant.permits(Management::VariableManage)?;
    execute!(tx.conn(), sqlx::query(concat!(
        "INSERT INTO variable (id, organization_id, project_id, environment_id, is_secret, key, value, variable_type, mount_path, ",
        "description, parent_id, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
    ))
    .bind(v.id).bind(grant.organization()).bind(v.project_id).bind(v.environment_id).bind(v.is_secret).bind(&v.key).bind(&v.value)
    .bind(v.variable_type.as_str()).bind(&v.mount_path).bind(&v.description).bind(v.parent_id).bind(v.created_at.0).bind(v.updated_at.0))
    .map_err(name_conflict("variable", &v.key))?;
    Ok(())
}

/// Variables and secrets of an owner, in the order of their creation. For an environment, those of its project
/// come first: it inherits them.
pub async fn list(conn: Conn<'_>, grant: &Grant, owner: Owner) -> Result<Vec<Variable>> {
    run!(conn, c => sqlx::query_as(select!(
        "AND project_id = $2 AND (environment_id IS NULL OR environment_id = $3) ORDER BY environment_id IS NOT NULL, id"
    )).bind(grant.organization()).bind(owner.project).bind(owner.environment).fetch_all(&mut *c))
}

/// How many variables and secrets belong to the owner itself.
pub async fn count(conn: Conn<'_>, grant: &Grant, owner: Owner) -> Result<u64> {
    let organization = grant.organization();
    match owner.environment {
        None => {
            let query = "SELECT count(*) FROM variable WHERE organization_id = $1 AND project_id = $2 AND environment_id IS NULL";
            count!(conn, query, organization, owner.project)
        }
        Some(id) => {
            count!(
                conn,
                "SELECT count(*) FROM variable WHERE organization_id = $1 AND environment_id = $2",
                organization,
                id
            )
        }
    }
}

/// How many bytes their values have together, as they are kept.
pub async fn count_bytes(conn: Conn<'_>, grant: &Grant, owner: Owner) -> Result<u64> {
    let organization = grant.organization();
    match owner.environment {
        None => {
            let query = concat!(
                "SELECT CAST(coalesce(sum(octet_length(value)), 0) AS BIGINT) FROM variable ",
                "WHERE organization_id = $1 AND project_id = $2 AND environment_id IS NULL"
            );
            count!(conn, query, organization, owner.project)
        }
        Some(id) => {
            let query = concat!(
                "SELECT CAST(coalesce(sum(octet_length(value)), 0) AS BIGINT) FROM variable ",
                "WHERE organization_id = $1 AND environment_id = $2"
            );
            count!(conn, query, organization, id)
        }
    }
}

/// One variable that belongs to the owner itself.
pub async fn get(conn: Conn<'_>, grant: &Grant, owner: Owner, id: Uuid) -> Result<Variable> {
    let found: Option<Variable> = run!(conn, c => sqlx::query_as(select!("AND project_id = $2 AND id = $3"))
        .bind(grant.organization()).bind(owner.project).bind(id).fetch_optional(&mut *c))?;
    found.filter(|v| v.environment_id == owner.environment).ok_or_else(|| Error::not_found("variable"))
}

/// Writes key, value and description.
pub async fn update(tx: &mut Tx, grant: &Grant, v: &Variable) -> Result<()> {
    grant.permits(Management::VariableManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE variable SET key = $3, value = $4, description = $5, mount_path = $6, updated_at = $7 ",
            "WHERE organization_id = $1 AND id = $2"
        ))
        .bind(grant.organization())
        .bind(v.id)
        .bind(&v.key)
        .bind(&v.value)
        .bind(&v.description)
        .bind(&v.mount_path)
        .bind(v.updated_at.0)
    )
    .map_err(name_conflict("variable", &v.key))?;
    Ok(())
}

/// Takes a variable out, with its aliases and overrides.
pub async fn delete(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<()> {
    grant.permits(Management::VariableManage)?;
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM variable WHERE organization_id = $1 AND id = $2").bind(grant.organization()).bind(id)
    )?;
    Ok(())
}
