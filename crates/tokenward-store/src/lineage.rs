//! The line of a log: under which names it was written, and from which position on.
//!
//! A name (an *incarnation*) ends where a server takes over that may not have had all of it, or where a database was put
//! back. What was written under it afterwards is not here; up to there a position means the same under all later names.

use tokenward_core::event::{Event, Kind};
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, execute, row, run};
use crate::tx::{Begins, Tx};

/// `why`, where somebody wants an older state as it is.
pub use crate::tx::RESTORED;

row! {
    /// A part of the line.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Part {
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
pub async fn all(conn: Conn<'_>) -> Result<Vec<Part>> {
    run!(conn, c => sqlx::query_as("SELECT incarnation, after_position, begun_at, why FROM log_line ORDER BY number")
        .fetch_all(&mut *c))
}

/// The number up to which a position of this name means the same at the end of the line; `None` where the name is none of it.
#[must_use]
pub fn holds_until(line: &[Part], incarnation: Uuid) -> Option<i64> {
    let at = line.iter().position(|part| part.incarnation == incarnation)?;
    // A later part may share less with what came before than the one that followed directly.
    Some(line[at + 1..].iter().map(|part| part.after_position).min().unwrap_or(i64::MAX))
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
        let part = |name: u128, after_position| Part {
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
