//! Variables and secrets of projects and environments. A secret's value arrives here sealed.

use tokenward_core::caller::Grant;
use tokenward_core::organization::{BuiltInVariable, VariableScope, VariableType};
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, count, execute, name_conflict, row, run};
use crate::tx::Tx;

/// Whose variables are meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
        /// The same where it is built in.
        pub built_in_parent: Option<BuiltInVariable>,
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

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner { project: self.project_id, environment: self.environment_id }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, project_id, environment_id, is_secret, key, value, variable_type, mount_path, description, parent_id, ",
            "built_in_parent, created_at, updated_at FROM variable WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// Adds a variable.
pub async fn insert(tx: &mut Tx, grant: &Grant, v: &Variable) -> Result<()> {
    grant.permits(Management::VariableManage)?;
    execute!(tx.conn(), sqlx::query(concat!(
        "INSERT INTO variable (id, organization_id, project_id, environment_id, is_secret, key, value, variable_type, mount_path, ",
        "description, parent_id, built_in_parent, created_at, updated_at) ",
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    ))
    .bind(v.id).bind(grant.organization()).bind(v.project_id).bind(v.environment_id).bind(v.is_secret).bind(&v.key).bind(&v.value)
    .bind(v.variable_type.as_str()).bind(&v.mount_path).bind(&v.description).bind(v.parent_id)
    .bind(v.built_in_parent.map(BuiltInVariable::as_str)).bind(v.created_at.0).bind(v.updated_at.0))
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

/// The aliases and overrides of a variable, wherever they are.
pub async fn children(conn: Conn<'_>, grant: &Grant, parent: Uuid) -> Result<Vec<Variable>> {
    run!(conn, c => sqlx::query_as(select!("AND parent_id = $2 ORDER BY id"))
        .bind(grant.organization()).bind(parent).fetch_all(&mut *c))
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

/// How many variables and secrets a project has, with those of its environments: for each environment that has any, and
/// for the project itself under `None`.
pub async fn counts(conn: Conn<'_>, grant: &Grant, project: Uuid) -> Result<Vec<(Option<Uuid>, i64)>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT environment_id, count(*) FROM variable WHERE organization_id = $1 AND project_id = $2 ",
        "GROUP BY environment_id"
    )).bind(grant.organization()).bind(project).fetch_all(&mut *c))
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

/// The variable of the owner itself that has this key.
pub async fn holder(conn: Conn<'_>, grant: &Grant, owner: Owner, key: &str) -> Result<Option<Uuid>> {
    let all: Vec<(Uuid, Option<Uuid>)> = run!(conn, c => sqlx::query_as(
        "SELECT id, environment_id FROM variable WHERE organization_id = $1 AND project_id = $2 AND key = $3"
    ).bind(grant.organization()).bind(owner.project).bind(key).fetch_all(&mut *c))?;
    Ok(all.into_iter().find(|(_, environment)| *environment == owner.environment).map(|(id, _)| id))
}

/// One variable that belongs to the owner itself.
pub async fn get(conn: Conn<'_>, grant: &Grant, owner: Owner, id: Uuid) -> Result<Variable> {
    let found: Option<Variable> = run!(conn, c => sqlx::query_as(select!("AND project_id = $2 AND id = $3"))
        .bind(grant.organization()).bind(owner.project).bind(id).fetch_optional(&mut *c))?;
    found.filter(|v| v.environment_id == owner.environment).ok_or_else(|| Error::not_found("variable"))
}

/// Writes everything that a variable keeps its id through.
pub async fn update(tx: &mut Tx, grant: &Grant, v: &Variable) -> Result<()> {
    grant.permits(Management::VariableManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE variable SET key = $3, value = $4, description = $5, mount_path = $6, is_secret = $7, parent_id = $8, ",
            "built_in_parent = $9, updated_at = $10 WHERE organization_id = $1 AND id = $2"
        ))
        .bind(grant.organization())
        .bind(v.id)
        .bind(&v.key)
        .bind(&v.value)
        .bind(&v.description)
        .bind(&v.mount_path)
        .bind(v.is_secret)
        .bind(v.parent_id)
        .bind(v.built_in_parent.map(BuiltInVariable::as_str))
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

/// Remembers that another variable has taken the key of this one, and forgets what was remembered before `since`.
pub async fn remember_replaced(tx: &mut Tx, grant: &Grant, old: &Variable, now: Time, since: Time) -> Result<()> {
    grant.permits(Management::VariableManage)?;
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM variable_replaced WHERE organization_id = $1 AND replaced_at < $2")
            .bind(grant.organization())
            .bind(since.0)
    )?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO variable_replaced (id, organization_id, project_id, environment_id, is_secret, replaced_at) ",
            "VALUES ($1, $2, $3, $4, $5, $6)"
        ))
        .bind(old.id)
        .bind(grant.organization())
        .bind(old.project_id)
        .bind(old.environment_id)
        .bind(old.is_secret)
        .bind(now.0)
    )?;
    Ok(())
}

row! {
    /// Where a variable is, or was until another one took its key.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct VariablePlace {
        /// Its organization.
        pub organization_id: Uuid,
        /// Its project.
        pub project_id: Uuid,
        /// Its environment.
        pub environment_id: Option<Uuid>,
        /// Is it a secret?
        pub is_secret: bool,
        /// Has another one taken its key?
        pub is_replaced: bool,
    }
}

impl VariablePlace {
    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner { project: self.project_id, environment: self.environment_id }
    }
}

/// Where a variable is, so that its right can be asked; replaced ones as far back as `since`.
pub async fn place(conn: Conn<'_>, id: Uuid, since: Time) -> Result<Option<VariablePlace>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT organization_id, project_id, environment_id, is_secret, FALSE AS is_replaced FROM variable WHERE id = $1 ",
        "UNION ALL SELECT organization_id, project_id, environment_id, is_secret, TRUE AS is_replaced FROM variable_replaced ",
        "WHERE id = $1 AND replaced_at >= $2"
    )).bind(id).bind(since.0).fetch_optional(&mut *c))
}
