//! The routes of organizations' own APIs.

use serde::{Deserialize, Serialize};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::permission::RequiredPermission;
use tokenward_core::routes::{Route, Routes, Source, Unknown};
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, by_ids, count, execute, name_conflict, row, run};
use crate::tx::Tx;

row! {
    /// An API without its routes.
    #[derive(Clone, PartialEq, Eq, Debug)]
    #[allow(missing_docs)] // The fields are those of the API.
    pub struct Api {
        pub id: Uuid,
        pub name: String,
        pub unknown_route: Unknown,
        pub route_count: i64,
        pub created_at: Time,
        pub updated_at: Time,
    }
}

/// A route as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptRoute {
    /// Its method.
    pub method: String,
    /// Its path, as it was written.
    pub path: String,
    /// What a request needs, all of it.
    pub permissions: Vec<String>,
    /// Where that came from.
    pub source: Source,
}

impl KeptRoute {
    /// The route, to compile it.
    pub fn route(&self) -> Result<Route, String> {
        let permissions =
            self.permissions.iter().map(|text| RequiredPermission::parse(text)).collect::<Result<_, _>>()?;
        Ok(Route { method: self.method.clone(), path: self.path.clone(), permissions })
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, unknown_route, route_count, created_at, updated_at FROM api WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// Adds an API with its routes, as the JSON of a list of [`KeptRoute`].
pub async fn insert(tx: &mut Tx, grant: &Grant, api: &Api, routes: &str) -> Result<()> {
    grant.permits(Management::ApiManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO api (id, organization_id, name, unknown_route, routes, route_count, created_at, updated_at) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        ))
        .bind(api.id)
        .bind(grant.organization())
        .bind(&api.name)
        .bind(api.unknown_route.as_str())
        .bind(routes)
        .bind(api.route_count)
        .bind(api.created_at.0)
        .bind(api.updated_at.0)
    )
    .map_err(name_conflict("API", &api.name))?;
    Ok(())
}

/// Replaces the routes of an API and what becomes of others.
pub async fn update(tx: &mut Tx, grant: &Grant, api: &Api, routes: &str) -> Result<()> {
    grant.permits(Management::ApiManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE api SET unknown_route = $3, routes = $4, route_count = $5, updated_at = $6 ",
            "WHERE organization_id = $1 AND id = $2"
        ))
        .bind(grant.organization())
        .bind(api.id)
        .bind(api.unknown_route.as_str())
        .bind(routes)
        .bind(api.route_count)
        .bind(api.updated_at.0)
    )?;
    Ok(())
}

/// The APIs of the organization, by name.
pub async fn list(conn: Conn<'_>, grant: &Grant) -> Result<Vec<Api>> {
    run!(conn, c => sqlx::query_as(select!("ORDER BY name")).bind(grant.organization()).fetch_all(&mut *c))
}

/// How many APIs the organization has.
pub async fn count(conn: Conn<'_>, grant: &Grant) -> Result<u64> {
    count!(conn, "SELECT count(*) FROM api WHERE organization_id = $1", grant.organization())
}

/// The API of the organization with this name.
pub async fn find(conn: Conn<'_>, grant: &Grant, name: &str) -> Result<Option<Api>> {
    run!(conn, c => sqlx::query_as(select!("AND name = $2")).bind(grant.organization()).bind(name).fetch_optional(&mut *c))
}

/// The routes of an API, as JSON.
pub async fn routes(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<String> {
    run!(conn, c => sqlx::query_scalar("SELECT routes FROM api WHERE organization_id = $1 AND id = $2")
        .bind(grant.organization()).bind(id).fetch_optional(&mut *c))?
    .ok_or_else(|| Error::not_found("API"))
}

/// Takes an API out.
pub async fn delete(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<()> {
    grant.permits(Management::ApiManage)?;
    let gone = execute!(
        tx.conn(),
        sqlx::query("DELETE FROM api WHERE organization_id = $1 AND id = $2").bind(grant.organization()).bind(id)
    )?;
    if gone == 0 { Err(Error::not_found("API")) } else { Ok(()) }
}

row! {
    struct RouteSetRow {
        id: Uuid,
        organization_id: Uuid,
        name: String,
        unknown_route: String,
        routes: String,
    }
}

/// Organization, name and compiled routes for the directory: those in `ids`, or all.
///
/// What cannot be compiled is left out and thereby denied; it must not keep the service from starting.
pub async fn compiled(conn: Conn<'_>, ids: Option<&[Uuid]>) -> Result<Vec<(Uuid, String, Routes)>> {
    const SELECT: &str = "SELECT id, organization_id, name, unknown_route, routes FROM api WHERE id IN";
    let rows: Vec<RouteSetRow> = match ids {
        Some(ids) => by_ids(conn, SELECT, ids).await?,
        None => {
            run!(conn, c => sqlx::query_as("SELECT id, organization_id, name, unknown_route, routes FROM api").fetch_all(&mut *c))?
        }
    };
    let compile = |row: &RouteSetRow| -> std::result::Result<Routes, String> {
        let kept: Vec<KeptRoute> = serde_json::from_str(&row.routes).map_err(|e| e.to_string())?;
        let routes = kept.iter().map(KeptRoute::route).collect::<Result<Vec<_>, _>>()?;
        // Whatever else it may say: not allowed.
        let unknown = Unknown::parse(&row.unknown_route).unwrap_or_default();
        Routes::compile(row.id, unknown, &routes).map_err(|fault| fault.problem)
    };
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    // Ten thousand routes take milliseconds, in which nobody else must wait.
    let compiled = tokio::task::spawn_blocking(move || {
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            match compile(&row) {
                Ok(routes) => all.push((row.organization_id, row.name, routes)),
                Err(cause) => {
                    tracing::error!(api = %row.id, cause, "the routes of an API cannot be used; it is denied")
                }
            }
        }
        all
    });
    compiled.await.map_err(Error::internal)
}
