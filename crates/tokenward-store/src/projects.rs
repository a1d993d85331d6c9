//! Projects: what environments belong to.

use tokenward_core::caller::Grant;
use tokenward_core::name::fold_case;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, by_ids, count, execute, name_conflict, row, run};
use crate::tx::Tx;

row! {
    /// A project.
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of the contract.
    pub struct Project {
        pub id: Uuid,
        pub name: String,
        pub description: String,
        pub created_at: Time,
        pub updated_at: Time,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, description, created_at, updated_at FROM project WHERE organization_id = $1 ", $rest)
    };
}

/// Adds a project.
pub async fn insert(tx: &mut Tx, grant: &Grant, p: &Project) -> Result<()> {
    grant.permits(Management::ProjectCreate)?;
    execute!(tx.conn(), sqlx::query(
        "INSERT INTO project (id, organization_id, name, name_fold, description, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    ).bind(p.id).bind(grant.organization()).bind(&p.name).bind(fold_case(&p.name)).bind(&p.description).bind(p.created_at.0).bind(p.updated_at.0))
    .map_err(name_conflict("project", &p.name))?;
    Ok(())
}

/// The projects of the organization, in the order of their creation.
pub async fn list(conn: Conn<'_>, grant: &Grant) -> Result<Vec<Project>> {
    run!(conn, c => sqlx::query_as(select!("ORDER BY id")).bind(grant.organization()).fetch_all(&mut *c))
}

/// How many projects the organization has.
pub async fn count(conn: Conn<'_>, grant: &Grant) -> Result<u64> {
    count!(conn, "SELECT count(*) FROM project WHERE organization_id = $1", grant.organization())
}

/// One project of the organization.
pub async fn get(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Project> {
    run!(conn, c => sqlx::query_as(select!("AND id = $2")).bind(grant.organization()).bind(id).fetch_optional(&mut *c))?
        .ok_or_else(|| Error::not_found("project"))
}

/// The project that has this name, or one that differs from it only in case.
pub async fn holder(conn: Conn<'_>, grant: &Grant, name: &str) -> Result<Option<Uuid>> {
    run!(conn, c => sqlx::query_scalar("SELECT id FROM project WHERE organization_id = $1 AND name_fold = $2")
        .bind(grant.organization()).bind(fold_case(name)).fetch_optional(&mut *c))
}

/// Writes name and description.
pub async fn update(tx: &mut Tx, grant: &Grant, p: &Project) -> Result<()> {
    grant.permits(Management::ProjectManage)?;
    execute!(
        tx.conn(),
        // Who keeps the name keeps its fold: of names from before, several may be the same.
        sqlx::query(concat!(
            "UPDATE project SET name_fold = CASE WHEN name = $3 THEN name_fold ELSE $4 END, name = $3, description = $5, ",
            "updated_at = $6 WHERE organization_id = $1 AND id = $2"
        ))
        .bind(grant.organization())
        .bind(p.id)
        .bind(&p.name)
        .bind(fold_case(&p.name))
        .bind(&p.description)
        .bind(p.updated_at.0)
    )
    .map_err(name_conflict("project", &p.name))?;
    Ok(())
}

/// Takes a project out, with its environments and variables.
pub async fn delete(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<()> {
    grant.permits(Management::ProjectManage)?;
    let gone = execute!(
        tx.conn(),
        sqlx::query("DELETE FROM project WHERE organization_id = $1 AND id = $2").bind(grant.organization()).bind(id)
    )?;
    if gone == 0 { Err(Error::not_found("project")) } else { Ok(()) }
}

/// Id, organization and name for the directory: those in `ids`, or all.
pub async fn places(conn: Conn<'_>, ids: Option<&[Uuid]>) -> Result<Vec<(Uuid, Uuid, String)>> {
    match ids {
        Some(ids) => by_ids(conn, "SELECT id, organization_id, name FROM project WHERE id IN", ids).await,
        None => run!(conn, c => sqlx::query_as("SELECT id, organization_id, name FROM project").fetch_all(&mut *c)),
    }
}

/// Id and name of all of the organization.
pub async fn names(conn: Conn<'_>, grant: &Grant) -> Result<Vec<(Uuid, String)>> {
    run!(conn, c => sqlx::query_as("SELECT id, name FROM project WHERE organization_id = $1").bind(grant.organization()).fetch_all(&mut *c))
}
