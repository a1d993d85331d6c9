//! When nodes came to positions of the log. What the row of a node says is only where it is now; here it stands where it was before,
//! each with its time, so that a receipt tells it later. Beside the log, and needed for nothing that decides.

use std::collections::HashMap;

use serde::Serialize;
use tokenward_core::time::{DAY, HOUR, MINUTE, Micros};
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Many, execute, hex_id, many, run};

/// How long it is known when a node came to a position.
const KEPT: Micros = 90 * DAY;
/// After so long one of each such span is kept: the last, which says of all before it that it was no later.
const THINNED: [(Micros, Micros); 2] = [(HOUR, MINUTE), (DAY, HOUR)];

/// A place and when it was reached, on the way to the database.
#[derive(Serialize)]
struct Mark {
    node_id: String,
    position: i64,
    applied_at: i64,
}

const NOTE: Many = many!(
    "INSERT INTO node_applied (node_id, position, applied_at) SELECT r.node_id, r.position, r.applied_at FROM",
    [node_id id, position number, applied_at number],
    "WHERE EXISTS (SELECT 1 FROM node n WHERE n.id = r.node_id) ON CONFLICT DO NOTHING"
);

/// Notes when a node came to these positions.
pub async fn note(conn: Conn<'_>, node: Uuid, marks: &[(i64, Time)]) -> Result<()> {
    let mark = |(position, at): &(i64, Time)| Mark { node_id: hex_id(node), position: *position, applied_at: at.0 };
    let rows: Vec<Mark> = marks.iter().map(mark).collect();
    NOTE.execute(conn, &rows).await.map(|_| ())
}

/// When each node had come to a position, or beyond it, as far as that is noted.
pub async fn at_or_beyond(conn: Conn<'_>, position: i64) -> Result<HashMap<Uuid, Time>> {
    let rows: Vec<(Uuid, i64)> = run!(conn, c => sqlx::query_as(
        "SELECT node_id, min(applied_at) FROM node_applied WHERE position >= $1 GROUP BY node_id"
    ).bind(position).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(|(node, at)| (node, Time(at))).collect())
}

/// Forgets where a node was: the log that it follows is read anew.
pub async fn forget(conn: Conn<'_>, node: Uuid) -> Result<()> {
    execute!(conn, sqlx::query("DELETE FROM node_applied WHERE node_id = $1").bind(node)).map(|_| ())
}

/// Keeps fewer of those of long ago.
pub async fn thin(mut conn: Conn<'_>, node: Uuid, now: Time) -> Result<()> {
    for (age, span) in THINNED {
        execute!(
            conn.reborrow(),
            sqlx::query(concat!(
                "DELETE FROM node_applied WHERE node_id = $1 AND applied_at < $2 AND EXISTS (SELECT 1 FROM node_applied b ",
                "WHERE b.node_id = node_applied.node_id AND b.position > node_applied.position AND b.applied_at < $2 ",
                "AND b.applied_at / $3 = node_applied.applied_at / $3)"
            ))
            .bind(node)
            .bind(now.plus(-age).0)
            .bind(span)
        )?;
    }
    let oldest = now.plus(-KEPT).0;
    execute!(
        conn,
        sqlx::query("DELETE FROM node_applied WHERE node_id = $1 AND applied_at < $2").bind(node).bind(oldest)
    )
    .map(|_| ())
}
