//! Rows that SQLite packs, many in one value: sqlx copies each value of each row on its own and hands it from thread to thread,
//! which takes eight times as long as reading it.
//!
//! A value is how many rows there are, and then each of them: its numbers (absent ones empty), the lengths of its bytes, and
//! these; a comma behind each number, a semicolon behind the row. `concat` and `group_concat` make a text even of blobs, whose
//! bytes stay what they are; hence the cast.

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Encode, Sqlite, Type};
use tokenward_core::error::{Error, Result};

use super::error::fail;

/// Many rows in one value: the numbers of each, and its pieces of bytes. What is absent is an empty piece.
macro_rules! pack {
    ([$($number:literal),* $(,)?], [$($piece:literal),* $(,)?]) => {
        concat!(
            "CAST(concat(count(*), ',', group_concat(concat(",
            $($number, ", ',', ",)*
            $("coalesce(octet_length(", $piece, "), 0), ',', ",)*
            $($piece, ", ",)*
            "';'), '')) AS BLOB)"
        )
    };
}
pub(crate) use pack;

/// Secrets: seven numbers of each and eleven pieces of bytes.
macro_rules! secrets {
    () => {
        pack!(
            [
                "s.version",
                "s.registered",
                "t.expires_at",
                "s.expires_at",
                "t.revoked_at",
                "t.disabled_at",
                "t.not_before",
            ],
            [
                "t.id",
                "t.organization_id",
                "t.role_id",
                "s.digest",
                "s.last_four",
                "t.kind",
                "t.networks",
                "t.permissions",
                "t.allowance",
                "t.brownout",
                "t.name",
            ]
        )
    };
}

/// Tokens that are so, of those whose ids stand in `$1`, a JSON array in hexadecimal: these numbers of each, and these pieces.
macro_rules! packed_tokens {
    ($which:literal, $numbers:tt, $pieces:tt) => {
        concat!(
            "SELECT ",
            $crate::db::pack!($numbers, $pieces),
            " FROM token t CROSS JOIN organization o ON o.id = t.organization_id ",
            "CROSS JOIN token_secret s ON s.token_id = t.id AND s.version = t.version ",
            "LEFT JOIN role r ON r.id = t.role_id LEFT JOIN account a ON a.id = t.owner_id WHERE ",
            $which,
            " AND t.id IN (SELECT unhex(value) FROM json_each($1))"
        )
    };
}
pub(crate) use packed_tokens;

/// The secrets of the tokens whose ids stand in `$1`, likewise.
pub(crate) const SECRETS_OF: &str = concat!(
    "SELECT ",
    secrets!(),
    " FROM token t CROSS JOIN token_secret s ON s.token_id = t.id WHERE t.id IN (SELECT unhex(value) FROM json_each($1))"
);

/// The secrets that live at `$1`, those of a thousand tokens in each value.
pub(crate) const LIVING_SECRETS: &str = concat!(
    "
    WITH RECURSIVE part (first) AS (
        SELECT min(id) FROM token INDEXED BY token_living WHERE revoked_at IS NULL AND name_freed_at IS NULL
        UNION ALL
        SELECT (
            SELECT id FROM token INDEXED BY token_living WHERE revoked_at IS NULL AND name_freed_at IS NULL AND id > first
            ORDER BY id LIMIT 1 OFFSET 999
        ) FROM part WHERE first IS NOT NULL
    )
    SELECT (
        SELECT ",
    secrets!(),
    "
        FROM (
            SELECT * FROM token INDEXED BY token_living WHERE revoked_at IS NULL AND name_freed_at IS NULL AND id >= first
            ORDER BY id LIMIT 1000
        ) t CROSS JOIN token_secret s ON s.token_id = t.id
        WHERE (t.expires_at IS NULL OR t.expires_at > $1) AND (s.expires_at IS NULL OR s.expires_at > $1)
    ) FROM part WHERE first IS NOT NULL"
);

/// Passes the rows to `each` that `query` packs, which takes `bound`.
pub(super) async fn each_packed<B, T, const NUMBERS: usize, const PIECES: usize>(
    conn: &mut SqliteConnection,
    query: &'static str,
    bound: B,
    unpack: impl Fn([Option<i64>; NUMBERS], [&[u8]; PIECES]) -> Option<T>,
    mut each: impl FnMut(T),
) -> Result<()>
where
    B: for<'q> Encode<'q, Sqlite> + Type<Sqlite> + Send + 'static,
{
    let mut all = sqlx::query_scalar::<_, Option<Vec<u8>>>(query).bind(bound).fetch(conn);
    while let Some(some) = all.try_next().await.map_err(fail)? {
        let some = some.unwrap_or_default();
        let mut rest = some.as_slice();
        // A row of which something is missing would leave out all of it.
        let unreadable = || Error::internal("a row in the database cannot be read");
        for _ in 0..number(&mut rest).flatten().ok_or_else(unreadable)? {
            each(row(&mut rest, &unpack).ok_or_else(unreadable)?);
        }
        if !rest.is_empty() {
            return Err(unreadable());
        }
    }
    Ok(())
}

/// Takes the first row; `None` when it is none.
fn row<T, const NUMBERS: usize, const PIECES: usize>(
    rest: &mut &[u8],
    unpack: impl Fn([Option<i64>; NUMBERS], [&[u8]; PIECES]) -> Option<T>,
) -> Option<T> {
    let mut numbers = [None; NUMBERS];
    for it in &mut numbers {
        *it = number(rest)?;
    }
    let mut lengths = [0; PIECES];
    for it in &mut lengths {
        *it = usize::try_from(number(rest)??).ok()?;
    }
    let mut pieces: [&[u8]; PIECES] = [&[]; PIECES];
    for (piece, length) in pieces.iter_mut().zip(lengths) {
        (*piece, *rest) = rest.split_at_checked(length)?;
    }
    *rest = rest.strip_prefix(b";")?;
    unpack(numbers, pieces)
}

/// Takes the number before the next comma; an absent one is `Some(None)`.
fn number(rest: &mut &[u8]) -> Option<Option<i64>> {
    let comma = rest.iter().position(|byte| *byte == b',')?;
    let (digits, after) = rest.split_at(comma);
    *rest = &after[1..];
    if digits.is_empty() {
        return Some(None);
    }
    std::str::from_utf8(digits).ok()?.parse().ok().map(Some)
}
