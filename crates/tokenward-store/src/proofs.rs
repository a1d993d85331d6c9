//! What a proof of an event is made of: the event as it was hashed, and the hash of the one before.

use tokenward_core::caller::Grant;
use tokenward_core::checkpoint::Hash;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Joined, row, run};
use crate::log::Skeleton;

row! {
    struct ProofRow {
        before: Option<Vec<u8>>,
        salt: Option<Vec<u8>>,
        payload: Option<String>,
    }
}

/// An event as it was hashed.
#[derive(Clone, Debug)]
pub struct Material {
    /// What stays for ever.
    pub skeleton: Skeleton,
    /// The hash of the event before it.
    pub before: Hash,
    /// The salt and the bytes that were hashed with it; `None` where they were erased.
    pub kept: Option<(Vec<u8>, String)>,
}

impl From<Joined<Skeleton, ProofRow>> for Material {
    fn from(Joined(skeleton, row): Joined<Skeleton, ProofRow>) -> Self {
        Self {
            skeleton,
            // Before the first event stand zeros.
            before: row.before.and_then(|hash| hash.try_into().ok()).unwrap_or_default(),
            kept: row.salt.zip(row.payload),
        }
    }
}

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT e.position, e.id, e.time, e.organization_id, e.kind, e.target_id, e.related_id, e.payload_digest, e.hash, ",
            "b.hash AS before, p.salt, p.payload FROM event e LEFT JOIN event b ON b.position = e.position - 1 ",
            "LEFT JOIN event_payload p ON p.position = e.position WHERE e.organization_id = $1 AND ",
            $which
        )
    };
}

/// An event of the organization.
pub async fn of_event(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Option<Material>> {
    let row: Option<Joined<Skeleton, ProofRow>> = run!(conn, c => sqlx::query_as(select!("e.id = $2"))
        .bind(grant.organization()).bind(id).fetch_optional(&mut *c))?;
    Ok(row.map(Into::into))
}

/// The organization's events behind a position that are from one time to another, the oldest first.
pub async fn written(
    conn: Conn<'_>,
    grant: &Grant,
    after: i64,
    (since, until): (Time, Time),
    limit: i64,
) -> Result<Vec<Material>> {
    let rows: Vec<Joined<Skeleton, ProofRow>> = run!(conn, c => sqlx::query_as(
        select!("e.position > $2 AND e.time >= $3 AND e.time <= $4 ORDER BY e.position LIMIT $5")
    ).bind(grant.organization()).bind(after).bind(since.0).bind(until.0).bind(limit).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The organization's events behind a position and up to another one, the oldest first.
pub async fn between(conn: Conn<'_>, grant: &Grant, after: i64, through: i64, limit: i64) -> Result<Vec<Material>> {
    let rows: Vec<Joined<Skeleton, ProofRow>> = run!(conn, c => sqlx::query_as(
        select!("e.position > $2 AND e.position <= $3 ORDER BY e.position LIMIT $4")
    ).bind(grant.organization()).bind(after).bind(through).bind(limit).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(Into::into).collect())
}
