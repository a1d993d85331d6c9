//! The routes of organizations' own APIs.

use serde::{Deserialize, Serialize};
use tokenward_core::caller::Grant;
use tokenward_core::journal::{ApiContent, ApiRules};
use tokenward_core::needs::Needs;
use tokenward_core::path::Readings;
use tokenward_core::permission::{Management, RequiredPermission};
use tokenward_core::routes::{Route, Routes, Rules, Source, Unknown};
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
        pub allow_paths: Readings,
        pub route_count: i64,
        /// Operations of the imported document that are on none of its routes.
        pub left_out: i64,
        pub created_at: Time,
        pub updated_at: Time,
    }
}

row! {
    /// What an API was made from, written and read as a whole.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Content {
        /// The JSON of a list of [`KeptRoute`].
        pub routes: String,
        /// The JSON of a list: what an import did not take as the document has it.
        pub notes: String,
    }
}

/// A route as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "RouteText", into = "RouteText")]
pub struct KeptRoute {
    /// Its method.
    pub method: String,
    /// Its path, as it was written.
    pub path: String,
    /// What a request needs: all permissions of any one of these.
    pub ways: Vec<Vec<String>>,
    /// Where that came from.
    pub source: Source,
}

/// How a route is written down. Most have one way: that is a list of permissions by itself.
#[derive(Serialize, Deserialize)]
struct RouteText {
    method: String,
    path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    permissions: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    any_of: Vec<Vec<String>>,
    source: Source,
}

impl From<RouteText> for KeptRoute {
    fn from(text: RouteText) -> Self {
        let RouteText { method, path, permissions, any_of, source } = text;
        Self { method, path, ways: if any_of.is_empty() { vec![permissions] } else { any_of }, source }
    }
}

impl From<KeptRoute> for RouteText {
    fn from(KeptRoute { method, path, mut ways, source }: KeptRoute) -> Self {
        let several = ways.len() > 1;
        let permissions = if several { Vec::new() } else { ways.pop().unwrap_or_default() };
        Self { method, path, permissions, any_of: ways, source }
    }
}

impl KeptRoute {
    /// The route, to compile it. The error completes the sentence "`GET /path` …".
    pub fn route(&self) -> Result<Route, String> {
        Ok(Route { method: self.method.clone(), path: self.path.clone(), needs: self.needs()? })
    }

    /// What it needs. The error completes the sentence "`GET /path` …".
    pub fn needs(&self) -> Result<Needs, String> {
        let parse = |text: &String| {
            RequiredPermission::parse(text).map_err(|problem| format!("needs a permission that cannot be: {problem}"))
        };
        Needs::any_of(self.ways.iter().map(|way| way.iter().map(parse).collect()).collect::<Result<_, _>>()?)
    }

    /// The ways of what is needed, as they are kept.
    #[must_use]
    pub fn ways_of(needs: &Needs) -> Vec<Vec<String>> {
        needs.ways().map(|way| way.iter().map(|it| it.as_str().to_owned()).collect()).collect()
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, unknown_route, allow_paths, route_count, left_out, created_at, updated_at FROM api WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// Adds an API with its routes.
pub async fn insert(tx: &mut Tx, grant: &Grant, api: &Api, content: &Content) -> Result<()> {
    grant.permits(Management::ApiManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO api (id, organization_id, name, unknown_route, routes, route_count, left_out, notes, ",
            "created_at, updated_at, allow_paths) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        ))
        .bind(api.id)
        .bind(grant.organization())
        .bind(&api.name)
        .bind(api.unknown_route.as_str())
        .bind(&content.routes)
        .bind(api.route_count)
        .bind(api.left_out)
        .bind(&content.notes)
        .bind(api.created_at.0)
        .bind(api.updated_at.0)
        .bind(api.allow_paths.to_string())
    )
    .map_err(name_conflict("API", &api.name))?;
    Ok(())
}

/// Replaces the routes of an API and what becomes of others.
pub async fn update(tx: &mut Tx, grant: &Grant, api: &Api, content: &Content) -> Result<()> {
    grant.permits(Management::ApiManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE api SET unknown_route = $3, routes = $4, route_count = $5, left_out = $6, notes = $7, updated_at = $8, ",
            "allow_paths = $9 ",
            "WHERE organization_id = $1 AND id = $2"
        ))
        .bind(grant.organization())
        .bind(api.id)
        .bind(api.unknown_route.as_str())
        .bind(&content.routes)
        .bind(api.route_count)
        .bind(api.left_out)
        .bind(&content.notes)
        .bind(api.updated_at.0)
        .bind(api.allow_paths.to_string())
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

/// How many routes its APIs have together.
pub async fn routes(conn: Conn<'_>, grant: &Grant) -> Result<u64> {
    let sum = "SELECT CAST(coalesce(sum(route_count), 0) AS BIGINT) FROM api WHERE organization_id = $1";
    count!(conn, sum, grant.organization())
}

/// The API of the organization with this name.
pub async fn find(conn: Conn<'_>, grant: &Grant, name: &str) -> Result<Option<Api>> {
    run!(conn, c => sqlx::query_as(select!("AND name = $2")).bind(grant.organization()).bind(name).fetch_optional(&mut *c))
}

/// The routes of an API, and what was told when they were imported.
pub async fn content(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Content> {
    run!(conn, c => sqlx::query_as("SELECT routes, notes FROM api WHERE organization_id = $1 AND id = $2")
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
    struct NotedRow {
        unknown_route: String,
        allow_paths: String,
        routes: Option<String>,
        route_count: i64,
        left_out: i64,
        notes: Option<String>,
        updated_at: Time,
    }
}

/// What is noted of the routes of an API: all, where that is not much. Nothing where there is none.
pub async fn noted(conn: Conn<'_>, id: Uuid) -> Result<Option<ApiRules>> {
    let row: Option<NotedRow> = run!(conn, c => sqlx::query_as(concat!(
        "SELECT unknown_route, allow_paths, route_count, left_out, updated_at, ",
        "CASE WHEN length(routes) + length(notes) <= 16384 THEN routes END AS routes, ",
        "CASE WHEN length(routes) + length(notes) <= 16384 THEN notes END AS notes FROM api WHERE id = $1"
    )).bind(id).fetch_optional(&mut *c))?;
    Ok(row.map(|row| {
        let NotedRow { unknown_route, allow_paths, routes, route_count, left_out, notes, updated_at } = row;
        let whole = routes.zip(notes);
        let content = whole.map(|(routes, notes)| ApiContent {
            unknown_route,
            allow_paths,
            routes,
            route_count,
            left_out,
            notes,
        });
        ApiRules { version: updated_at, content }
    }))
}

/// Makes the routes of an API what they were last, where an older state has others. Those that are not known are taken out with the API:
/// what is asked about it is denied until somebody imports it. Answers the API's name, and whether it is there still; `None` where
/// nothing is to be done.
pub(crate) async fn put_back(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    since: Option<&ApiRules>,
) -> Result<Option<(String, bool)>> {
    let older: Option<(String, i64)> = run!(tx.conn(), c => sqlx::query_as(
        "SELECT name, updated_at FROM api WHERE organization_id = $1 AND id = $2"
    ).bind(organization).bind(id).fetch_optional(&mut *c))?;
    let Some((name, updated_at)) = older else { return Ok(None) };
    match since {
        Some(since) if since.version <= Time(updated_at) => Ok(None),
        Some(ApiRules { version, content: Some(content) }) => {
            execute!(
                tx.conn(),
                sqlx::query(concat!(
                    "UPDATE api SET unknown_route = $2, routes = $3, route_count = $4, left_out = $5, notes = $6, ",
                    "updated_at = $7, allow_paths = $8 WHERE id = $1"
                ))
                .bind(id)
                .bind(&content.unknown_route)
                .bind(&content.routes)
                .bind(content.route_count)
                .bind(content.left_out)
                .bind(&content.notes)
                .bind(version.0)
                .bind(&content.allow_paths)
            )?;
            Ok(Some((name, true)))
        }
        _ => {
            execute!(tx.conn(), sqlx::query("DELETE FROM api WHERE id = $1").bind(id))?;
            Ok(Some((name, false)))
        }
    }
}

row! {
    struct RouteSetRow {
        id: Uuid,
        organization_id: Uuid,
        name: String,
        unknown_route: String,
        allow_paths: String,
        routes: String,
    }
}

/// Organization, name and compiled routes for the directory: those in `ids`, or all.
///
/// What cannot be compiled is left out and thereby denied; it must not keep the service from starting.
pub async fn compiled(conn: Conn<'_>, ids: Option<&[Uuid]>) -> Result<Vec<(Uuid, String, Routes)>> {
    const SELECT: &str = "SELECT id, organization_id, name, unknown_route, allow_paths, routes FROM api WHERE id IN";
    let rows: Vec<RouteSetRow> = match ids {
        Some(ids) => by_ids(conn, SELECT, ids).await?,
        None => {
            run!(conn, c => sqlx::query_as("SELECT id, organization_id, name, unknown_route, allow_paths, routes FROM api").fetch_all(&mut *c))?
        }
    };
    let compile = |row: &RouteSetRow| -> std::result::Result<Routes, String> {
        let kept: Vec<KeptRoute> = serde_json::from_str(&row.routes).map_err(|e| e.to_string())?;
        let routes = kept.iter().map(KeptRoute::route).collect::<Result<Vec<_>, _>>()?;
        // Whatever else it may say: not allowed.
        let unknown = Unknown::parse(&row.unknown_route).unwrap_or_default();
        // A promise that is not understood is none.
        let readings = Readings::parse(&row.allow_paths).unwrap_or_default();
        Routes::compile(row.id, Rules { unknown, readings }, &routes).map_err(|fault| fault.problem)
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
