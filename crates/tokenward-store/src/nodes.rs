//! The registry: the nodes that follow the log and decide by it. A row is a node's word about itself, renewed with each of
//! its looks at the log; it is no change of state, and stands beside the log.

use tokenward_core::time::{DAY, Micros};
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{self, Conn, execute, row, run};

/// How long it is known that a server has left which kept a journal, as long as one keeps anything; and of how many, the last ones.
const LEFT: Micros = 90 * DAY;
const MOST_LEFT: i64 = 1_000;

row! {
    /// A node, as it last told of itself.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Node {
        /// Tells it from others of the same name.
        pub id: Uuid,
        /// Its name, for people.
        pub name: String,
        /// `server` or `embedded`; a node of a newer version may be something else.
        pub kind: String,
        /// Its version.
        pub version: String,
        /// Its bound, in microseconds.
        pub max_staleness: i64,
        /// How often it has renewed its row.
        pub counter: i64,
        /// Up to where it has applied the log.
        pub position: i64,
        /// The log's hash there.
        pub hash: Vec<u8>,
        /// Under which name it follows the log.
        pub log: Option<Uuid>,
        /// The newest version of the pepper that it holds; unknown of a node of an older version.
        pub pepper: Option<i32>,
        /// When it began, by the clock of the database; for people.
        pub started_at: Time,
        /// When it last renewed its row, by the clock of the database; for people.
        pub renewed_at: Time,
        /// When it told that it had come to `position`; unknown of a node of an older version.
        pub applied_at: Option<Time>,
    }
}

/// Registers a node, or registers it anew.
pub async fn insert(conn: Conn<'_>, node: &Node) -> Result<()> {
    execute!(
        conn,
        sqlx::query(concat!(
            "INSERT INTO node (id, name, kind, version, max_staleness, counter, position, hash, started_at, renewed_at, pepper, ",
            "applied_at) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING"
        ))
        .bind(node.id)
        .bind(&node.name)
        .bind(&node.kind)
        .bind(&node.version)
        .bind(node.max_staleness)
        .bind(node.counter)
        .bind(node.position)
        .bind(&node.hash)
        .bind(node.started_at.0)
        .bind(node.renewed_at.0)
        .bind(node.pepper)
        .bind(node.applied_at.map(|at| at.0))
    )
    .map(|_| ())
}

/// Did registering fail because the database's user may not do it?
#[must_use]
pub fn may_not_register(error: &Error) -> bool {
    db::is_forbidden(error)
}

/// Renews a node's row. Is it still there?
pub async fn renew(conn: Conn<'_>, id: Uuid, applied: (Uuid, i64, &[u8]), now: Time) -> Result<bool> {
    let (log, position, hash) = applied;
    let renewed = execute!(
        conn,
        sqlx::query(concat!(
            "UPDATE node SET counter = counter + 1, position = $2, hash = $3, renewed_at = $4, log = $5, ",
            "applied_at = CASE WHEN position = $2 THEN applied_at ELSE $4 END WHERE id = $1"
        ))
        .bind(id)
        .bind(position)
        .bind(hash)
        .bind(now.0)
        .bind(log)
    )?;
    Ok(renewed > 0)
}

/// Says that a node has applied the log up to here. It is no sign of life. Answers when that was, by the clock of the database, as
/// far as it tells.
pub async fn acknowledge(conn: Conn<'_>, id: Uuid, log: Uuid, position: i64, hash: &[u8]) -> Result<Option<Time>> {
    db::put_applied(conn, id, log, position, hash).await
}

/// All nodes, by name. One that still follows the log under an earlier name has applied no more than what is here of that.
pub async fn all(conn: Conn<'_>) -> Result<Vec<Node>> {
    run!(conn, c => sqlx::query_as(concat!(
        "WITH shared AS (SELECT e.incarnation, min(l.after_position) AS until FROM log_line e ",
        "JOIN log_line l ON l.number > e.number GROUP BY e.incarnation) ",
        "SELECT n.id, n.name, n.kind, n.version, n.max_staleness, n.counter, n.hash, n.log, n.pepper, n.started_at, n.renewed_at, n.applied_at, ",
        "CASE WHEN s.until < n.position THEN s.until ELSE n.position END AS position ",
        "FROM node n LEFT JOIN shared s ON s.incarnation = n.log ORDER BY n.name, n.id"
    )).fetch_all(&mut *c))
}

/// Takes out a node that has stopped; one that is still counting stays. Was it there?
pub async fn delete(conn: Conn<'_>, id: Uuid, counter: i64) -> Result<bool> {
    let gone = execute!(conn, sqlx::query("DELETE FROM node WHERE id = $1 AND counter = $2").bind(id).bind(counter))?;
    Ok(gone > 0)
}

/// A node takes itself out: it has stopped.
pub async fn leave(conn: Conn<'_>, id: Uuid) -> Result<()> {
    execute!(conn, sqlx::query("DELETE FROM node WHERE id = $1").bind(id)).map(|_| ())
}

/// A server that keeps a journal has stopped in order: its row is gone, and whoever comes by its name finds that journal, or has lost it.
pub async fn left_a_journal(mut conn: Conn<'_>, id: Uuid, name: &str, now: Time) -> Result<()> {
    execute!(
        conn.reborrow(),
        sqlx::query(concat!(
            "DELETE FROM journal_left WHERE left_at <= $1 ",
            "OR node_id NOT IN (SELECT node_id FROM journal_left ORDER BY left_at DESC, node_id LIMIT $2)"
        ))
        .bind(now.plus(-LEFT).0)
        .bind(MOST_LEFT - 1)
    )?;
    execute!(
        conn,
        sqlx::query("INSERT INTO journal_left (node_id, name, left_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(id)
            .bind(name)
            .bind(now.0)
    )
    .map(|_| ())
}

/// Has a server of this name stopped in order that kept a journal, and has nobody come by that name since? Of two of one name each is
/// told once.
pub async fn take_left_journal(conn: Conn<'_>, name: &str) -> Result<bool> {
    let taken = execute!(
        conn,
        sqlx::query(concat!(
            "DELETE FROM journal_left WHERE node_id = ",
            "(SELECT node_id FROM journal_left WHERE name = $1 ORDER BY left_at DESC, node_id LIMIT 1)"
        ))
        .bind(name)
    )?;
    Ok(taken > 0)
}
