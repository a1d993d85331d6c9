//! Environments: a project in one mode on one cluster.

use tokenward_core::caller::Grant;
use tokenward_core::event::ActorKind;
use tokenward_core::name::fold_case;
use tokenward_core::organization::CloudProvider;
use tokenward_core::permission::Management;
use tokenward_core::role::Mode;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, by_ids, count, execute, name_conflict, row, run};
use crate::tx::Tx;

row! {
    /// An environment, with the names that answers show.
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of the contract.
    pub struct Environment {
        pub id: Uuid,
        pub project_id: Uuid,
        pub project_name: String,
        pub cluster_id: Uuid,
        pub cluster_name: String,
        pub cloud_provider: CloudProvider,
        pub name: String,
        pub mode: Mode,
        pub last_updated_by: String,
        pub last_updated_by_kind: Option<ActorKind>,
        pub last_updated_by_id: Option<Uuid>,
        pub created_at: Time,
        pub updated_at: Time,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT e.id, e.project_id, p.name AS project_name, e.cluster_id, c.name AS cluster_name, c.cloud_provider, e.name, ",
            "e.mode, e.last_updated_by, e.last_updated_by_kind, e.last_updated_by_id, e.created_at, e.updated_at FROM environment e ",
            "JOIN project p ON p.id = e.project_id JOIN cluster c ON c.id = e.cluster_id WHERE e.organization_id = $1 ",
            $rest
        )
    };
}

/// Adds an environment.
pub async fn insert(tx: &mut Tx, grant: &Grant, e: &Environment) -> Result<()> {
    grant.permits(Management::EnvironmentManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO environment (id, organization_id, project_id, cluster_id, name, mode, last_updated_by, ",
            "last_updated_by_kind, last_updated_by_id, created_at, updated_at, name_fold) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        ))
        .bind(e.id)
        .bind(grant.organization())
        .bind(e.project_id)
        .bind(e.cluster_id)
        .bind(&e.name)
        .bind(e.mode.as_str())
        .bind(&e.last_updated_by)
        .bind(e.last_updated_by_kind.map(ActorKind::as_str))
        .bind(e.last_updated_by_id)
        .bind(e.created_at.0)
        .bind(e.updated_at.0)
        .bind(fold_case(&e.name))
    )
    .map_err(name_conflict("environment", &e.name))?;
    Ok(())
}

/// The environments of a project, in the order of their creation.
pub async fn list(conn: Conn<'_>, grant: &Grant, project: Uuid) -> Result<Vec<Environment>> {
    run!(conn, c => sqlx::query_as(select!("AND e.project_id = $2 ORDER BY e.id"))
        .bind(grant.organization()).bind(project).fetch_all(&mut *c))
}

/// At most `limit` environments of the organization that were made after the environment `after`, in the same order.
pub async fn page(conn: Conn<'_>, grant: &Grant, after: Option<Uuid>, limit: usize) -> Result<Vec<Environment>> {
    run!(conn, c => sqlx::query_as(select!("AND e.id > $2 ORDER BY e.id LIMIT $3"))
        .bind(grant.organization()).bind(after.unwrap_or_default()).bind(limit as i64).fetch_all(&mut *c))
}

/// How many environments a project of the organization has.
pub async fn count(conn: Conn<'_>, grant: &Grant, project: Uuid) -> Result<u64> {
    let query = "SELECT count(*) FROM environment WHERE organization_id = $1 AND project_id = $2";
    count!(conn, query, grant.organization(), project)
}

/// One environment of the organization.
pub async fn get(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Environment> {
    run!(conn, c => sqlx::query_as(select!("AND e.id = $2")).bind(grant.organization()).bind(id).fetch_optional(&mut *c))?
        .ok_or_else(|| Error::not_found("environment"))
}

/// The environment of the project that has this name, or one that differs from it only in case.
pub async fn holder(conn: Conn<'_>, grant: &Grant, project: Uuid, name: &str) -> Result<Option<Uuid>> {
    run!(conn, c => sqlx::query_scalar(
        "SELECT id FROM environment WHERE organization_id = $1 AND project_id = $2 AND name_fold = $3"
    ).bind(grant.organization()).bind(project).bind(fold_case(name)).fetch_optional(&mut *c))
}

/// Writes name and mode.
pub async fn update(tx: &mut Tx, grant: &Grant, e: &Environment) -> Result<()> {
    grant.permits(Management::EnvironmentManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE environment SET name_fold = CASE WHEN name = $3 THEN name_fold ELSE $9 END, name = $3, mode = $4, ",
            "last_updated_by = $5, last_updated_by_kind = $6, last_updated_by_id = $7, updated_at = $8 ",
            "WHERE organization_id = $1 AND id = $2"
        ))
        .bind(grant.organization())
        .bind(e.id)
        .bind(&e.name)
        .bind(e.mode.as_str())
        .bind(&e.last_updated_by)
        .bind(e.last_updated_by_kind.map(ActorKind::as_str))
        .bind(e.last_updated_by_id)
        .bind(e.updated_at.0)
        .bind(fold_case(&e.name))
    )
    .map_err(name_conflict("environment", &e.name))?;
    Ok(())
}

/// Takes an environment out, with its variables.
pub async fn delete(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<()> {
    grant.permits(Management::ProjectManage)?;
    let gone = execute!(
        tx.conn(),
        sqlx::query("DELETE FROM environment WHERE organization_id = $1 AND id = $2")
            .bind(grant.organization())
            .bind(id)
    )?;
    if gone == 0 { Err(Error::not_found("environment")) } else { Ok(()) }
}

row! {
    /// Where an environment stands, for the directory.
    #[derive(Clone, Debug)]
    pub struct EnvironmentPlace {
        /// The environment.
        pub id: Uuid,
        /// Its organization.
        pub organization_id: Uuid,
        /// Its project.
        pub project_id: Uuid,
        /// Its cluster.
        pub cluster_id: Uuid,
        /// The word for its mode: a newer version may know one that this one does not.
        pub mode: String,
    }
}

/// Where environments stand: those in `ids`, or all.
pub async fn places(conn: Conn<'_>, ids: Option<&[Uuid]>) -> Result<Vec<EnvironmentPlace>> {
    match ids {
        Some(ids) => {
            by_ids(conn, "SELECT id, organization_id, project_id, cluster_id, mode FROM environment WHERE id IN", ids)
                .await
        }
        None => {
            run!(conn, c => sqlx::query_as("SELECT id, organization_id, project_id, cluster_id, mode FROM environment")
            .fetch_all(&mut *c))
        }
    }
}
