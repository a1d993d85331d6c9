//! Clusters: where environments run.

use tokenward_core::caller::Grant;
use tokenward_core::name::fold_case;
use tokenward_core::organization::CloudProvider;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, by_ids, count, execute, name_conflict, row, run};
use crate::tx::Tx;

row! {
    /// A cluster.
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of the contract.
    pub struct Cluster {
        pub id: Uuid,
        pub name: String,
        pub region: String,
        pub cloud_provider: CloudProvider,
        /// A JSON object of the optional fields, as they were sent.
        pub body: String,
        pub created_at: Time,
        pub updated_at: Time,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, region, cloud_provider, body, created_at, updated_at FROM cluster WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// Adds a cluster.
pub async fn insert(tx: &mut Tx, grant: &Grant, c: &Cluster) -> Result<()> {
    grant.permits(Management::ClusterManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO cluster (id, organization_id, name, region, cloud_provider, body, created_at, updated_at, name_fold) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        ))
        .bind(c.id)
        .bind(grant.organization())
        .bind(&c.name)
        .bind(&c.region)
        .bind(c.cloud_provider.as_str())
        .bind(&c.body)
        .bind(c.created_at.0)
        .bind(c.updated_at.0)
        .bind(fold_case(&c.name))
    )
    .map_err(name_conflict("cluster", &c.name))?;
    Ok(())
}

/// The clusters of the organization, in the order of their creation.
pub async fn list(conn: Conn<'_>, grant: &Grant) -> Result<Vec<Cluster>> {
    run!(conn, c => sqlx::query_as(select!("ORDER BY id")).bind(grant.organization()).fetch_all(&mut *c))
}

/// At most `limit` clusters of the organization that were made after the cluster `after`, in the same order.
pub async fn page(conn: Conn<'_>, grant: &Grant, after: Option<Uuid>, limit: usize) -> Result<Vec<Cluster>> {
    run!(conn, c => sqlx::query_as(select!("AND id > $2 ORDER BY id LIMIT $3"))
        .bind(grant.organization()).bind(after.unwrap_or_default()).bind(limit as i64).fetch_all(&mut *c))
}

/// How many clusters the organization has.
pub async fn count(conn: Conn<'_>, grant: &Grant) -> Result<u64> {
    count!(conn, "SELECT count(*) FROM cluster WHERE organization_id = $1", grant.organization())
}

/// One cluster of the organization.
pub async fn get(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Cluster> {
    run!(conn, c => sqlx::query_as(select!("AND id = $2")).bind(grant.organization()).bind(id).fetch_optional(&mut *c))?
        .ok_or_else(|| Error::not_found("cluster"))
}

/// Writes all that can be changed of a cluster.
pub async fn update(tx: &mut Tx, grant: &Grant, c: &Cluster) -> Result<()> {
    grant.permits(Management::ClusterManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE cluster SET name_fold = CASE WHEN name = $3 THEN name_fold ELSE $8 END, name = $3, region = $4, ",
            "cloud_provider = $5, body = $6, updated_at = $7 WHERE organization_id = $1 AND id = $2"
        ))
        .bind(grant.organization())
        .bind(c.id)
        .bind(&c.name)
        .bind(&c.region)
        .bind(c.cloud_provider.as_str())
        .bind(&c.body)
        .bind(c.updated_at.0)
        .bind(fold_case(&c.name))
    )
    .map_err(name_conflict("cluster", &c.name))?;
    Ok(())
}

/// Takes a cluster out; a conflict while environments run on it.
pub async fn delete(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<()> {
    grant.permits(Management::ClusterManage)?;
    let gone = execute!(
        tx.conn(),
        sqlx::query("DELETE FROM cluster WHERE organization_id = $1 AND id = $2").bind(grant.organization()).bind(id)
    )?;
    if gone == 0 { Err(Error::not_found("cluster")) } else { Ok(()) }
}

/// The names of the environments that run on a cluster.
pub async fn environments(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Vec<String>> {
    run!(conn, c => sqlx::query_scalar("SELECT name FROM environment WHERE organization_id = $1 AND cluster_id = $2 ORDER BY id")
        .bind(grant.organization()).bind(id).fetch_all(&mut *c))
}

/// Id, organization and name for the directory: those in `ids`, or all.
pub async fn places(conn: Conn<'_>, ids: Option<&[Uuid]>) -> Result<Vec<(Uuid, Uuid, String)>> {
    match ids {
        Some(ids) => by_ids(conn, "SELECT id, organization_id, name FROM cluster WHERE id IN", ids).await,
        None => run!(conn, c => sqlx::query_as("SELECT id, organization_id, name FROM cluster").fetch_all(&mut *c)),
    }
}

/// Id and name of all of the organization.
pub async fn names(conn: Conn<'_>, grant: &Grant) -> Result<Vec<(Uuid, String)>> {
    run!(conn, c => sqlx::query_as("SELECT id, name FROM cluster WHERE organization_id = $1").bind(grant.organization()).fetch_all(&mut *c))
}
