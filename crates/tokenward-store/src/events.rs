//! Events as the organization reads them: skeleton and payload together, newest first.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;
use sqlx::QueryBuilder;
use tokenward_core::caller::Grant;
use tokenward_core::event::{ActorKind, Kind, Origin};
use tokenward_core::role::Mode;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Dialect, row, run};

/// An event with what is left of its payload.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the log.
    pub position: i64,
    /// The hash of the log up to here, this event included.
    pub hash: Vec<u8>,
    /// Its id.
    pub id: Uuid,
    /// When.
    pub time: Time,
    /// What happened.
    pub kind: Kind,
    /// To what.
    pub target_id: Uuid,
    /// Who did it; empty when the payload was erased.
    pub actor: String,
    /// By which kind of client; `None` when the payload was erased.
    pub origin: Option<Origin>,
    /// Names and changes; `None` when erased.
    pub payload: Option<Payload>,
}

/// What a payload holds.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)] // The fields are those of the log's payload.
pub struct Payload {
    pub target_name: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub project: Option<(Uuid, String)>,
    pub environment: Option<(Uuid, String)>,
    /// `None` in events from before it was kept.
    pub environment_mode: Option<Mode>,
    pub actor_kind: ActorKind,
    pub actor_id: Option<Uuid>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
}

/// Which events are wanted. All conditions must hold.
#[derive(Clone, Default, Debug)]
pub struct EventFilter {
    /// Not before.
    pub from: Option<Time>,
    /// Not after.
    pub to: Option<Time>,
    /// Of one of these kinds; `None` for all.
    pub kinds: Option<Vec<Kind>>,
    /// About this.
    pub target: Option<Uuid>,
    /// About something with this in its name.
    pub target_part: Option<String>,
    /// Done by the actor of this name.
    pub actor: Option<String>,
    /// Done by an actor with this in the name, in small letters.
    pub actor_part: Option<String>,
    /// From this address.
    pub address: Option<IpAddr>,
    /// By this kind of client.
    pub origin: Option<Origin>,
    /// In this project.
    pub project: Option<Uuid>,
    /// In this environment.
    pub environment: Option<Uuid>,
    /// Older than this position.
    pub before: Option<i64>,
    /// Newer than this position.
    pub after: Option<i64>,
}

row! {
    struct EventRow {
        position: i64,
        hash: Vec<u8>,
        id: Uuid,
        time: Time,
        kind: String,
        target_id: Uuid,
        actor: Option<String>,
        origin: Option<String>,
        payload: Option<String>,
    }
}

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT e.position, e.hash, e.id, e.time, e.kind, e.target_id, p.actor, p.origin, p.payload ",
            "FROM event e LEFT JOIN event_payload p ON p.position = e.position WHERE ",
            $which
        )
    };
}

/// The positions of at most `limit` events of the organization, newest first. With `after`, the ones nearest to it.
pub async fn positions(conn: Conn<'_>, grant: &Grant, filter: &EventFilter, limit: i64) -> Result<Vec<i64>> {
    let organization = grant.organization();
    let mut positions: Vec<i64> =
        run!(conn, c => query(organization, filter, limit).build_query_scalar().fetch_all(c))?;
    if filter.after.is_some() {
        positions.reverse();
    }
    Ok(positions)
}

/// The organization's events at these positions, newest first; without those of a kind that a newer version wrote.
pub async fn at(conn: Conn<'_>, grant: &Grant, positions: &[i64]) -> Result<Vec<Event>> {
    let organization = grant.organization();
    let rows: Vec<EventRow> = run!(conn, c => among(select!("e.organization_id = "), organization, positions)
            .push(" ORDER BY e.position DESC").build_query_as().fetch_all(c))?;
    Ok(rows.into_iter().filter_map(EventRow::event).collect())
}

/// The newest events about an account itself that were before this time, the newest first: what belongs to no organization.
pub async fn of_account(conn: Conn<'_>, account: Uuid, before: Time, limit: i64) -> Result<Vec<Event>> {
    let rows: Vec<EventRow> = run!(conn, c => sqlx::query_as(select!(
        "e.organization_id IS NULL AND (e.target_id = $1 OR e.related_id = $1) AND e.time < $2 ORDER BY e.position DESC LIMIT $3"
    )).bind(account).bind(before.0).bind(limit).fetch_all(&mut *c))?;
    Ok(rows.into_iter().filter_map(EventRow::event).collect())
}

/// Who did what stands at a position, as far as it is still known.
pub async fn actor_at(conn: Conn<'_>, position: i64) -> Result<Option<Uuid>> {
    let kept: Option<String> = run!(conn, c => sqlx::query_scalar("SELECT payload FROM event_payload WHERE position = $1")
        .bind(position).fetch_optional(&mut *c))?;
    Ok(kept.and_then(|text| serde_json::from_str::<Payload>(&text).ok()?.actor_id))
}

impl EventRow {
    /// `None` for a kind that a newer version wrote.
    fn event(self) -> Option<Event> {
        Some(Event {
            position: self.position,
            hash: self.hash,
            id: self.id,
            time: self.time,
            kind: Kind::parse(&self.kind)?,
            target_id: self.target_id,
            actor: self.actor.unwrap_or_default(),
            origin: self.origin.and_then(|word| Origin::parse(&word).ok()),
            payload: self.payload.and_then(|text| serde_json::from_str(&text).ok()),
        })
    }
}

/// What a list of targets is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetLevel {
    /// What the events are about.
    Target,
    /// The projects that they happened in.
    Project,
    /// The environments that they happened in.
    Environment,
}

/// The newest of the last `among` events that fit the filter for each thing at this level, at most `limit` of them: the
/// thing, and the position of the event. The database puts them together.
pub async fn newest_of_each(
    conn: Conn<'_>,
    grant: &Grant,
    filter: &EventFilter,
    level: TargetLevel,
    among: i64,
    limit: i64,
) -> Result<Vec<(Uuid, i64)>> {
    let organization = grant.organization();
    run!(conn, c => each(organization, filter, level, among, limit).build_query_as().fetch_all(c))
}

fn each<DB>(organization: Uuid, filter: &EventFilter, level: TargetLevel, among: i64, limit: i64) -> QueryBuilder<DB>
where
    DB: Dialect,
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    String: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    &'static str: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let thing = match level {
        TargetLevel::Target => "e.target_id",
        TargetLevel::Project => "p.project_id",
        TargetLevel::Environment => "p.environment_id",
    };
    let mut query = QueryBuilder::new("SELECT thing, max(position) AS newest FROM (SELECT ");
    query.push(thing).push(concat!(
        " AS thing, e.position AS position FROM event e LEFT JOIN event_payload p ON p.position = e.position ",
        "WHERE e.organization_id = "
    ));
    query.push_bind(organization);
    narrow(&mut query, filter);
    query.push(" ORDER BY e.position DESC LIMIT ").push_bind(among);
    query.push(") AS last WHERE thing IS NOT NULL GROUP BY thing ORDER BY newest DESC LIMIT ").push_bind(limit);
    query
}

/// The payloads of the events at these positions, as far as they are left.
pub async fn payloads(mut conn: Conn<'_>, grant: &Grant, positions: &[i64]) -> Result<Vec<(i64, Payload)>> {
    let mut found = Vec::with_capacity(positions.len());
    let organization = grant.organization();
    for piece in positions.chunks(500) {
        let rows: Vec<(i64, String)> =
            run!(conn.reborrow(), c => among(PAYLOADS, organization, piece).build_query_as().fetch_all(c))?;
        let read = |(position, text): (i64, String)| Some((position, serde_json::from_str(&text).ok()?));
        found.extend(rows.into_iter().filter_map(read));
    }
    Ok(found)
}

const PAYLOADS: &str = concat!(
    "SELECT e.position, p.payload FROM event e JOIN event_payload p ON p.position = e.position ",
    "WHERE e.organization_id = "
);

/// What `select` asks of the events of the organization at these positions.
fn among<DB>(select: &str, organization: Uuid, positions: &[i64]) -> QueryBuilder<DB>
where
    DB: sqlx::Database,
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut query = QueryBuilder::new(select);
    query.push_bind(organization).push(" AND e.position IN (");
    // There is no event at 0; `IN ()` is no SQL.
    query.push("0");
    for position in positions {
        query.push(", ").push_bind(*position);
    }
    query.push(")");
    query
}

fn query<DB>(organization: Uuid, filter: &EventFilter, limit: i64) -> QueryBuilder<DB>
where
    DB: Dialect,
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    String: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    &'static str: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut query = QueryBuilder::new(concat!(
        "SELECT e.position FROM event e LEFT JOIN event_payload p ON p.position = e.position ",
        "WHERE e.organization_id = "
    ));
    query.push_bind(organization);
    narrow(&mut query, filter);
    query.push(if filter.after.is_some() { " ORDER BY e.position" } else { " ORDER BY e.position DESC" });
    query.push(" LIMIT ").push_bind(limit);
    query
}

/// A part of a text as `LIKE` takes it.
fn like(part: &str) -> String {
    format!("%{}%", part.replace('!', "!!").replace('%', "!%").replace('_', "!_"))
}

/// Adds the conditions of a filter.
fn narrow<DB>(query: &mut QueryBuilder<DB>, filter: &EventFilter)
where
    DB: Dialect,
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    String: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    &'static str: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    for (condition, value) in [
        (" AND e.time >= ", filter.from.map(|at| at.0)),
        (" AND e.time <= ", filter.to.map(|at| at.0)),
        (" AND e.position < ", filter.before),
        (" AND e.position > ", filter.after),
    ] {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    for (condition, value) in [
        (" AND e.target_id = ", filter.target),
        (" AND p.project_id = ", filter.project),
        (" AND p.environment_id = ", filter.environment),
    ] {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    if let Some(actor) = &filter.actor {
        query.push(" AND p.actor = ").push_bind(actor.clone());
    }
    if let Some(part) = &filter.actor_part {
        // As it was typed, too: one of the databases knows no case beyond ASCII.
        query.push(" AND (lower(p.actor) LIKE ").push_bind(like(&part.to_lowercase()));
        query.push(" ESCAPE '!' OR p.actor LIKE ").push_bind(like(part)).push(" ESCAPE '!')");
    }
    if let Some(part) = &filter.target_part {
        // As JSON writes it, and as it was typed, too: one of the databases knows no case beyond ASCII.
        let written = serde_json::Value::from(part.as_str()).to_string();
        // Without the quotes around it.
        let written = like(written.get(1..written.len().saturating_sub(1)).unwrap_or_default());
        query.push(" AND (lower(").push(DB::EVENT_TARGET).push(") LIKE ").push_bind(written.to_lowercase());
        query.push(" ESCAPE '!' OR ").push(DB::EVENT_TARGET).push(" LIKE ").push_bind(written).push(" ESCAPE '!')");
    }
    if let Some(address) = filter.address {
        // As it stands in the bytes of the payload, which are JSON without blanks: few have to be looked into.
        query.push(" AND p.payload LIKE ").push_bind(format!("%\"address\":\"{address}\"%"));
        query.push(" AND ").push(DB::EVENT_ADDRESS).push(" = ").push_bind(address.to_string());
    }
    if let Some(origin) = filter.origin {
        query.push(" AND p.origin = ").push_bind(origin.as_str());
    }
    if let Some(kinds) = &filter.kinds {
        // An empty list must match nothing; `IN ()` is no SQL.
        query.push(" AND e.kind IN ('-'");
        for kind in kinds {
            query.push(", ").push_bind(kind.as_str());
        }
        query.push(")");
    }
}
