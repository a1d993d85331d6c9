//! The log as it is carried elsewhere: whole events in the order of their positions, of all organizations or of one.

use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Joined, row, run};
use crate::events::Payload;
use crate::log::Skeleton;

/// Which events are wanted.
#[derive(Clone, Default, Debug)]
pub struct Range {
    /// Behind this position.
    pub after: i64,
    /// Up to this position; `None` to the end.
    pub through: Option<i64>,
    /// Not later than this.
    pub until: Option<Time>,
    /// Of this organization alone.
    pub organization: Option<Uuid>,
}

row! {
    struct ExportRow {
        actor: Option<String>,
        origin: Option<String>,
        payload: Option<String>,
    }
}

/// An event, whole as far as it is still there.
#[derive(Clone, Debug)]
pub struct Exported {
    /// What stays for ever.
    pub skeleton: Skeleton,
    /// Who did it.
    pub actor: Option<String>,
    /// By which kind of client.
    pub origin: Option<String>,
    /// What it says; `None` where that was erased.
    pub payload: Option<Payload>,
}

impl From<Joined<Skeleton, ExportRow>> for Exported {
    fn from(Joined(skeleton, row): Joined<Skeleton, ExportRow>) -> Self {
        Self {
            skeleton,
            actor: row.actor,
            origin: row.origin,
            payload: row.payload.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

/// The next events of a range, at most `limit`.
pub async fn page(conn: Conn<'_>, range: &Range, limit: i64) -> Result<Vec<Exported>> {
    let through = range.through.unwrap_or(i64::MAX);
    let until = range.until.map_or(i64::MAX, |until| until.0);
    let rows: Vec<Joined<Skeleton, ExportRow>> = match range.organization {
        None => run!(conn, c => sqlx::query_as(concat!(
            "SELECT e.position, e.id, e.time, e.organization_id, e.kind, e.target_id, e.related_id, e.payload_digest, e.hash, ",
            "p.actor, p.origin, p.payload FROM event e LEFT JOIN event_payload p ON p.position = e.position ",
            "WHERE e.position > $1 AND e.position <= $2 AND e.time <= $3 ORDER BY e.position LIMIT $4"
        )).bind(range.after).bind(through).bind(until).bind(limit).fetch_all(&mut *c))?,
        Some(organization) => run!(conn, c => sqlx::query_as(concat!(
            "SELECT e.position, e.id, e.time, e.organization_id, e.kind, e.target_id, e.related_id, e.payload_digest, e.hash, ",
            "p.actor, p.origin, p.payload FROM event e LEFT JOIN event_payload p ON p.position = e.position ",
            "WHERE e.position > $1 AND e.position <= $2 AND e.time <= $3 AND e.organization_id = $5 ORDER BY e.position LIMIT $4"
        )).bind(range.after).bind(through).bind(until).bind(limit).bind(organization).fetch_all(&mut *c))?,
    };
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The position of the first event that is not earlier than a time; `None` where there is none yet.
pub async fn first_since(conn: Conn<'_>, time: Time) -> Result<Option<i64>> {
    run!(conn, c => sqlx::query_scalar("SELECT min(position) FROM event WHERE time >= $1").bind(time.0).fetch_one(&mut *c))
}
