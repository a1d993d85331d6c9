//! What the databases say in words of their own, for queries that are put together piece by piece.

use sqlx::{Postgres, Sqlite};

/// Of either database.
pub(crate) trait Dialect: sqlx::Database {
    /// The name of what an event is about, as JSON writes it, out of the text of its payload `p`: this always begins with it. Between
    /// the name and the next field stands what is in no text of JSON.
    const EVENT_TARGET: &'static str;
    /// The address from which an event was caused, out of the text of its payload `p`: that of the payload itself. What somebody wrote may
    /// have fields of the same name, but it stands before who did it, and all that comes behind that is ours.
    const EVENT_ADDRESS: &'static str;
}

impl Dialect for Sqlite {
    const EVENT_TARGET: &'static str = "substr(p.payload, 17, instr(substr(p.payload, 17) || '\",\"', '\",\"') - 1)";
    const EVENT_ADDRESS: &'static str = "json_extract(p.payload, '$.address')";
}

impl Dialect for Postgres {
    const EVENT_TARGET: &'static str = "split_part(substr(p.payload, 17), '\",\"', 1)";
    // Not as JSON: this database reads none in which somebody has written U+0000. The first `.*` goes as far as it can.
    const EVENT_ADDRESS: &'static str = concat!(
        "substring(substring(p.payload from '^.*\"actor_kind\":\"(.*)$') ",
        "from '\",\"address\":\"([^\"]*)\"')"
    );
}
