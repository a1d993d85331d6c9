//! How long what events say is kept, and its end. The skeleton of an event stays for ever, and with it the proof.

use sqlx::QueryBuilder;
use tokenward_core::caller::Grant;
use tokenward_core::event::Kind;
use tokenward_core::permission::Management;
use tokenward_core::time::Micros;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, execute, row, run};
use crate::tx::Tx;

/// What the organization of the grant says, if anything.
pub async fn get(conn: Conn<'_>, grant: &Grant) -> Result<Option<Micros>> {
    of(conn, grant.organization()).await?.ok_or_else(|| Error::not_found("organization"))
}

/// What an organization says, one that was deleted too; `None` for one that never was.
#[allow(clippy::option_option, reason = "one that says nothing is another thing than one that is not there")]
pub async fn of(conn: Conn<'_>, organization: Uuid) -> Result<Option<Option<Micros>>> {
    let row: Option<(Option<i64>,)> = run!(conn, c => sqlx::query_as(
        "SELECT event_retention FROM organization WHERE id = $1"
    ).bind(organization).fetch_optional(&mut *c))?;
    Ok(row.map(|(retention,)| retention))
}

/// Writes it.
pub async fn set(tx: &mut Tx, grant: &Grant, retention: Option<Micros>, at: Time) -> Result<()> {
    grant.permits(Management::OrganizationEdit)?;
    execute!(
        tx.conn(),
        sqlx::query(
            "UPDATE organization SET event_retention = $2, updated_at = $3 WHERE id = $1 AND deleted_at IS NULL"
        )
        .bind(grant.organization())
        .bind(retention)
        .bind(at.0)
    )?;
    Ok(())
}

/// What each organization says; those that were deleted among them.
pub async fn of_all(conn: Conn<'_>) -> Result<Vec<(Uuid, Option<Micros>)>> {
    run!(conn, c => sqlx::query_as("SELECT id, event_retention FROM organization ORDER BY id").fetch_all(&mut *c))
}

row! {
    /// An event, and whether it says something still.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct PayloadRow {
        /// Its place.
        pub position: i64,
        /// When.
        pub time: Time,
        kind: String,
        payload: Option<i64>,
    }
}

impl PayloadRow {
    /// May it be erased? What tells of an erasure says nothing of anybody, and is kept.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.payload.is_some() && self.kind != Kind::PayloadsErased.as_str()
    }
}

/// The events of an organization (or of none) behind a position, the oldest first, at most `limit`; erased ones among them, so
/// that a statement never looks through more than it answers.
pub async fn after(conn: Conn<'_>, organization: Option<Uuid>, position: i64, limit: i64) -> Result<Vec<PayloadRow>> {
    match organization {
        Some(organization) => run!(conn, c => sqlx::query_as(concat!(
            "SELECT e.position, e.time, e.kind, p.position AS payload FROM event e ",
            "LEFT JOIN event_payload p ON p.position = e.position ",
            "WHERE e.organization_id = $1 AND e.position > $2 ORDER BY e.position LIMIT $3"
        )).bind(organization).bind(position).bind(limit).fetch_all(&mut *c)),
        None => run!(conn, c => sqlx::query_as(concat!(
            "SELECT e.position, e.time, e.kind, p.position AS payload FROM event e ",
            "LEFT JOIN event_payload p ON p.position = e.position ",
            "WHERE e.organization_id IS NULL AND e.position > $1 ORDER BY e.position LIMIT $2"
        )).bind(position).bind(limit).fetch_all(&mut *c)),
    }
}

/// Erases payloads and salts. Answers how many were still there.
pub async fn erase(tx: &mut Tx, positions: &[i64]) -> Result<u64> {
    execute!(tx.conn(), delete(positions).build())
}

fn delete<DB>(positions: &[i64]) -> QueryBuilder<DB>
where
    DB: sqlx::Database,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    // There is no event at 0; `IN ()` is no SQL.
    let mut query = QueryBuilder::new("DELETE FROM event_payload WHERE position IN (0");
    for position in positions {
        query.push(", ").push_bind(*position);
    }
    query.push(")");
    query
}
