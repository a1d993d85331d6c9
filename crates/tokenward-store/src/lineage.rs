//! The line of a log: under which names it was written, and from which position on.
//!
//! A name (an *incarnation*) ends where a server takes over that may not have had all of it, or where a database was put
//! back. What was written under it afterwards is not here; up to there a position means the same under all later names.

use tokenward_core::event::{Event, Kind};
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, count, execute, row, run};
use crate::tx::{Begins, Tx};

/// `why`, where somebody wants an older state as it is.
pub use crate::tx::RESTORED;

row! {
    /// A part of the line.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct LogPart {
        /// The name.
        pub incarnation: Uuid,
        /// The last position that it shares with the part before.
        pub after_position: i64,
        /// When it began.
        pub begun_at: Time,
        /// `first`, `moved`, `rewound` or `restored`.
        pub why: String,
    }
}

/// The whole line, the oldest part first.
pub async fn all(conn: Conn<'_>) -> Result<Vec<LogPart>> {
    run!(conn, c => sqlx::query_as("SELECT incarnation, after_position, begun_at, why FROM log_line ORDER BY number")
        .fetch_all(&mut *c))
}

row! {
    /// That the log went on under another name, and who has read it.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct LineageChange {
        /// The name before.
        pub before: Uuid,
        /// The last position that counts under both.
        pub after_position: i64,
        /// The name since then.
        pub incarnation: Uuid,
        /// `moved`, `rewound` or `restored`.
        pub why: String,
        /// When.
        pub begun_at: Time,
        /// When somebody in the organization read it.
        pub read_at: Option<Time>,
        /// Who.
        pub read_by: Option<String>,
    }
}

/// The turns that the log took since there is the organization, the newest first.
pub async fn turns(conn: Conn<'_>, organization: Uuid) -> Result<Vec<LineageChange>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT b.incarnation AS before, l.after_position, l.incarnation, l.why, l.begun_at, r.read_at, r.read_by ",
        "FROM log_line l JOIN log_line b ON b.number = l.number - 1 ",
        "JOIN organization o ON o.id = $1 AND o.created_at <= l.begun_at ",
        "LEFT JOIN log_line_read r ON r.incarnation = l.incarnation AND r.organization_id = $1 ",
        "ORDER BY l.number DESC"
    )).bind(organization).fetch_all(&mut *c))
}

row! {
    /// An event that was lost with a part of the log.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Lost {
        /// The name of the log in which it stood.
        pub incarnation: Uuid,
        /// What happened.
        pub kind: String,
        /// To what.
        pub target_id: Uuid,
        /// When.
        pub time: Time,
        /// Was it taken away again?
        pub repaired: bool,
    }
}

/// What was lost of an organization's, the newest first, at most a thousand.
pub async fn lost(conn: Conn<'_>, organization: Uuid) -> Result<Vec<Lost>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT incarnation, kind, target_id, time, repaired FROM log_lost WHERE organization_id = $1 ",
        "ORDER BY time DESC, position DESC LIMIT 1000"
    )).bind(organization).fetch_all(&mut *c))
}

/// Notes that somebody in the organization has read of all turns. Answers of how many nobody had.
pub async fn read(tx: &mut Tx, organization: Uuid) -> Result<u64> {
    let (now, by) = (tx.now(), tx.by.actor.name().to_owned());
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO log_line_read (organization_id, incarnation, read_at, read_by) ",
            "SELECT $1, incarnation, $2, $3 FROM log_line WHERE number > 1 ON CONFLICT DO NOTHING"
        ))
        .bind(organization)
        .bind(now.0)
        .bind(by)
    )
}

/// The number up to which a position of this name means the same at the end of the line; `None` where the name is none of it.
#[must_use]
pub fn holds_until(line: &[LogPart], incarnation: Uuid) -> Option<i64> {
    let at = line.iter().position(|part| part.incarnation == incarnation)?;
    // A later part may share less with what came before than the one that followed directly.
    Some(line[at + 1..].iter().map(|part| part.after_position).min().unwrap_or(i64::MAX))
}

/// Has the log gone on under another name since?
pub(crate) async fn has_turned_since(conn: Conn<'_>, time: Time) -> Result<bool> {
    let turns = count!(conn, "SELECT count(*) FROM log_line WHERE number > 1 AND begun_at > $1", time.0)?;
    Ok(turns > 0)
}

/// Goes on under another name from here on. Answers the event that says so.
pub(crate) async fn begin(tx: &mut Tx, why: Begins) -> Result<Event> {
    let (before, after_position, now) = (tx.head.incarnation, tx.head.position, tx.now());
    let name = tx.new_id();
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO log_line (incarnation, number, after_position, begun_at, why) ",
            "SELECT $1, max(number) + 1, $2, $3, $4 FROM log_line"
        ))
        .bind(name)
        .bind(after_position)
        .bind(now.0)
        .bind(why.word())
    )?;
    execute!(tx.conn(), sqlx::query("UPDATE meta SET incarnation = $1").bind(name))?;
    tx.head.incarnation = name;
    tracing::warn!(%before, now = %name, after_position, why = why.word(), "the log goes on under another name");
    Ok(Event::new(Kind::LogMoved, None, name, format!("after {before}/{after_position}")).related(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_means_the_same_up_to_where_the_lines_part() {
        let part = |name: u128, after_position| LogPart {
            incarnation: Uuid::from_u128(name),
            after_position,
            begun_at: Time(0),
            why: String::new(),
        };
        let line = [part(1, 0), part(2, 50), part(3, 40), part(4, 90)];
        let until = |name| holds_until(&line, Uuid::from_u128(name));
        assert_eq!([until(1), until(2), until(3), until(4)], [Some(40), Some(40), Some(90), Some(i64::MAX)]);
        assert_eq!(until(5), None);
    }
}
