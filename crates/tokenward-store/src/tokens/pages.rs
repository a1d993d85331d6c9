//! Pages of tokens of a kind in an order: their ids, read from an index behind a place of it. What is told of the tokens is read by these.

use tokenward_core::caller::Grant;
use tokenward_core::secret::Kind;
use tokenward_core::{Error, Result, Time, Uuid};

use super::{Those, Token, TokenRow, ended};
use crate::db::{Conn, by_ids, run};

/// By what a list is sorted. Of two that are the same in it, the one with the lower id comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// When it was made.
    Created,
    /// The name, whatever its case.
    Name,
    /// When it ends; those that never do are the last.
    End,
    /// When it was last presented, as far as it was written; those that never were are the first.
    Use,
}

/// By what a token has its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// A name, in small letters.
    Text(String),
    /// A time.
    Number(i64),
}

/// A place in an order: that of this token, as long as it has this key, and otherwise where it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenCursor {
    /// What the order is by; nothing of it counts where it is that of creation.
    pub key: Key,
    /// The token.
    pub id: Uuid,
}

/// What the database itself leaves out of a list. Whoever reads the tokens looks again.
#[derive(Clone, Default, Debug)]
pub struct Sieve {
    /// Only those with this role.
    pub role: Option<Uuid>,
    /// Only those that this user or token has made.
    pub creator: Option<Uuid>,
    /// Only those that this member is accountable for.
    pub owner: Option<Uuid>,
    /// Only those that have an end, or that have none.
    pub ends: Option<bool>,
    /// Only those that end then or later.
    pub ends_from: Option<Time>,
    /// Only those that end before.
    pub ends_before: Option<Time>,
    /// Only those that are bound to something besides their role, or that are not.
    pub restricted: Option<bool>,
    /// Only those that were there then, and were not presented after it.
    pub unused_since: Option<Time>,
    /// Only those that were presented then or later, as far as it was written.
    pub used_since: Option<Time>,
    /// Of living ones, only those that are so.
    pub only: Option<Only>,
    /// Only those with this in their name, in small letters.
    pub name: Option<String>,
    /// Only those whose maker's name has this in it, in small letters. Letters beyond ASCII are not looked at.
    pub creator_name: Option<String>,
    /// Only those whose maker is no member.
    pub creator_left: bool,
    /// Only those whose owner is no member.
    pub owner_left: bool,
    /// Only those whose owners are asked about them now, or have answered and are not asked.
    pub asked: Option<bool>,
    /// Only those whose labels, as JSON, have this in them.
    pub label: Option<String>,
    /// Only those that never end, or end later.
    pub ends_after: Option<Time>,
}

/// What a living token can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Only {
    /// It is switched off.
    Disabled,
    /// Its time has not begun.
    NotYetValid,
    /// Neither of them.
    Active,
    /// It is on, and has or had a brownout: whether that is over, whoever reads the tokens knows.
    Brownout,
}

/// A part of an order.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// API tokens, or those with a policy.
    pub kind: Kind,
    /// Of which tokens.
    pub those: Those,
    /// By what they are sorted.
    pub by: By,
    /// The other way round.
    pub descending: bool,
    /// Behind which place it begins.
    pub after: Option<&'a TokenCursor>,
    /// How many it has at most.
    pub limit: usize,
}

/// Of `$3` it depends what has ended, or did long ago; `$17` is now.
macro_rules! living {
    () => {
        "t.revoked_at IS NULL AND t.name_freed_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $3)"
    };
}
macro_rules! not_taken_back {
    () => {
        "t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $3)"
    };
}
macro_rules! expired {
    () => {
        "t.revoked_at IS NULL AND t.end_key > $3 AND t.end_key <= $17"
    };
}
macro_rules! ended {
    () => {
        "((t.revoked_at IS NULL AND t.end_key > $3 AND t.end_key <= $17) OR t.revoked_at > $3)"
    };
}
macro_rules! taken_back {
    () => {
        "t.revoked_at > $3"
    };
}
macro_rules! all {
    () => {
        "((t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $3)) OR t.revoked_at > $3)"
    };
}

macro_rules! page {
    // The id is the whole key.
    ($which:ident, "t.id", $than:literal, $direction:literal) => {
        page!(@text $which, page!(@place "t.created_at"), concat!("t.id ", $than, " $5"), concat!("t.id", $direction))
    };
    ($which:ident, $key:literal, $than:literal, $direction:literal) => {
        page!(@text $which, page!(@place $key), concat!("(", $key, ", t.id) ", $than, " ($4, $5)"), concat!($key, $direction, ", t.id", $direction))
    };
    (@place $key:literal) => {
        concat!("t.id, ", $key, " AS place")
    };
    (@text $which:ident, $columns:expr, $behind:expr, $order:expr) => {
        concat!(
            "SELECT ", $columns, " FROM token t WHERE t.organization_id = $1 AND t.kind = $2 AND ", $which!(), " AND ", $behind,
            " AND ($7 IS NULL OR t.role_id = $7) AND ($8 IS NULL OR t.creator_id = $8) AND ($9 IS NULL OR t.owner_id = $9)",
            " AND ($10 <> 1 OR t.expires_at IS NOT NULL) AND ($10 <> 0 OR t.expires_at IS NULL)",
            " AND ($11 IS NULL OR t.expires_at >= $11) AND ($12 IS NULL OR t.expires_at < $12)",
            " AND ($13 <> 1 OR t.networks IS NOT NULL OR t.not_before IS NOT NULL OR t.permissions IS NOT NULL OR t.allowance IS NOT NULL)",
            " AND ($13 <> 0 OR (t.networks IS NULL AND t.not_before IS NULL AND t.permissions IS NULL AND t.allowance IS NULL))",
            " AND ($14 IS NULL OR (t.used_at <= $14 AND t.created_at <= $14))",
            " AND ($15 <> 1 OR t.disabled_at IS NOT NULL) AND ($15 <> 2 OR t.not_before > $17)",
            " AND ($15 <> 3 OR (t.disabled_at IS NULL AND (t.not_before IS NULL OR t.not_before <= $17)))",
            " AND ($15 <> 4 OR (t.disabled_at IS NULL AND t.brownout IS NOT NULL))",
            " AND ($16 IS NULL OR t.name_lower LIKE $16 ESCAPE '!')",
            // What is not ASCII may be written in another case, of which SQLite knows nothing.
            " AND ($18 IS NULL OR lower(t.creator_name) LIKE $18 ESCAPE '!' OR octet_length(t.creator_name) <> length(t.creator_name) \
             OR replace(t.creator_name, 'I', '') <> t.creator_name)",
            " AND ($19 <> 1 OR t.creator_name IS NULL OR (t.creator_kind = 'user' AND NOT EXISTS (",
            "SELECT 1 FROM member m WHERE m.organization_id = $1 AND m.account_id = t.creator_id)))",
            " AND ($20 <> 1 OR (t.owner_id IS NOT NULL AND NOT EXISTS (",
            "SELECT 1 FROM member m WHERE m.organization_id = $1 AND m.account_id = t.owner_id)))",
            " AND ($21 <> 1 OR t.attest_since IS NOT NULL) AND ($21 <> 0 OR t.attested_at IS NOT NULL)",
            " AND ($22 IS NULL OR t.labels LIKE $22 ESCAPE '!')",
            " AND ($23 IS NULL OR t.end_key > $23)",
            " AND ($24 IS NULL OR t.used_at >= $24)",
            " ORDER BY ", $order, " LIMIT $6"
        )
    };
}

macro_rules! by_order {
    ($part:expr, $which:ident) => {
        match ($part.by, $part.descending) {
            (By::Created, false) => page!($which, "t.id", ">", " ASC"),
            (By::Created, true) => page!($which, "t.id", "<", " DESC"),
            (By::Name, false) => page!($which, "t.name_lower", ">", " ASC"),
            (By::Name, true) => page!($which, "t.name_lower", "<", " DESC"),
            (By::End, false) => page!($which, "t.end_key", ">", " ASC"),
            (By::End, true) => page!($which, "t.end_key", "<", " DESC"),
            (By::Use, false) => page!($which, "t.used_at", ">", " ASC"),
            (By::Use, true) => page!($which, "t.used_at", "<", " DESC"),
        }
    };
}

impl Part<'_> {
    /// The statement that reads it.
    #[must_use]
    pub fn text(&self) -> &'static str {
        match self.those {
            Those::Living => by_order!(self, living),
            Those::NotTakenBack => by_order!(self, not_taken_back),
            Those::Expired => by_order!(self, expired),
            Those::TakenBack => by_order!(self, taken_back),
            Those::Ended => by_order!(self, ended),
            Those::All => by_order!(self, all),
        }
    }

    /// The place behind which it begins, where none is said: before all that there can be.
    fn beginning(&self) -> TokenCursor {
        let id = if self.descending { Uuid::max() } else { Uuid::nil() };
        let key = match (self.by, self.descending) {
            (By::Name, false) => Key::Text(String::new()),
            // No name is longer, and no character greater.
            (By::Name, true) => Key::Text("\u{10ffff}".repeat(tokenward_core::name::NAME_MAX * 4)),
            (_, false) => Key::Number(i64::MIN),
            (_, true) => Key::Number(i64::MAX),
        };
        TokenCursor { key, id }
    }
}

/// A part of a name as `LIKE` takes it.
fn like(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

macro_rules! sieved {
    ($query:expr, $sieve:expr, $now:expr) => {
        $query
            .bind($sieve.role)
            .bind($sieve.creator)
            .bind($sieve.owner)
            .bind($sieve.ends.map_or(2, i64::from))
            .bind($sieve.ends_from.map(|at| at.0))
            .bind($sieve.ends_before.map(|at| at.0))
            .bind($sieve.restricted.map_or(2, i64::from))
            .bind($sieve.unused_since.map(|at| at.0))
            .bind($sieve.only.map_or(0, |only| only as i64 + 1))
            .bind($sieve.name.as_deref().map(like))
            .bind($now.0)
            .bind($sieve.creator_name.as_deref().filter(|part| part.is_ascii()).map(like))
            .bind(i64::from($sieve.creator_left))
            .bind(i64::from($sieve.owner_left))
            .bind($sieve.asked.map_or(2, i64::from))
            .bind($sieve.label.as_deref().map(like))
            .bind($sieve.ends_after.map(|at| at.0))
            .bind($sieve.used_since.map(|at| at.0))
    };
}

/// The places of a part, in its order: at most as many as it has.
pub async fn places(
    mut conn: Conn<'_>,
    grant: &Grant,
    part: &Part<'_>,
    sieve: &Sieve,
    now: Time,
) -> Result<Vec<TokenCursor>> {
    let since = match part.those {
        Those::Living => now,
        // What ended longer ago than that is told may be removed at any moment.
        _ => now.plus(-ended::retention(conn.reborrow()).await?),
    };
    let after = part.after.cloned().unwrap_or_else(|| part.beginning());
    let (text, limit) = (part.text(), i64::try_from(part.limit).unwrap_or(i64::MAX));
    let kind = part.kind.as_str();
    if matches!(after.key, Key::Text(_)) != (part.by == By::Name) {
        return Err(Error::internal("a place of another order"));
    }
    match &after.key {
        Key::Number(key) => {
            let rows: Vec<(Uuid, i64)> = run!(conn, c => sieved!(sqlx::query_as(text).bind(grant.organization()).bind(kind).bind(since.0)
                    .bind(key).bind(after.id).bind(limit), sieve, now).fetch_all(&mut *c))?;
            Ok(rows.into_iter().map(|(id, key)| TokenCursor { key: Key::Number(key), id }).collect())
        }
        Key::Text(key) => {
            let rows: Vec<(Uuid, String)> = run!(conn, c => sieved!(sqlx::query_as(text).bind(grant.organization()).bind(kind).bind(since.0)
                    .bind(key).bind(after.id).bind(limit), sieve, now).fetch_all(&mut *c))?;
            Ok(rows.into_iter().map(|(id, key)| TokenCursor { key: Key::Text(key), id }).collect())
        }
    }
}

/// A token as something is to be done to it: which one, and which version of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// When it was changed last.
    pub updated_at: Time,
}

const VERSIONS: &str = page!(
    @text living,
    "t.id, t.name, t.updated_at",
    "t.id > $5 AND NOT EXISTS (SELECT 1 FROM organization o WHERE o.id = $1 AND t.id <= o.tokens_cut)",
    "t.id ASC"
);

/// The next living tokens of a kind that a sieve leaves, behind this id, at most so many. Nobody looks at them again: it says all that
/// is asked of them.
pub async fn versions(
    conn: Conn<'_>,
    grant: &Grant,
    kind: Kind,
    sieve: &Sieve,
    after: Uuid,
    limit: usize,
    now: Time,
) -> Result<Vec<Version>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows: Vec<(Uuid, String, i64)> = run!(conn, c => sieved!(sqlx::query_as(VERSIONS).bind(grant.organization()).bind(kind.as_str()).bind(now.0)
        .bind(0_i64).bind(after).bind(limit), sieve, now).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(|(id, name, at)| Version { id, name, updated_at: Time(at) }).collect())
}

/// These tokens of a kind of the organization, living or taken back, in the order of the ids.
pub async fn in_order(conn: Conn<'_>, grant: &Grant, kind: Kind, ids: &[Uuid]) -> Result<Vec<Token>> {
    let rows: Vec<TokenRow> = by_ids(conn, select_all!("t.id IN"), ids).await?;
    let place: std::collections::HashMap<Uuid, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let own = rows
        .into_iter()
        .map(Token::from)
        .filter(|token| token.kind == kind && token.organization_id == grant.organization());
    let mut all: Vec<Token> = own.collect();
    all.sort_by_key(|token| place.get(&token.id).copied());
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_is_taken_by_the_letter() {
        assert_eq!(like("a_b%c!"), "%a!_b!%c!!%");
        assert_eq!(like(""), "%%");
    }

    #[test]
    fn every_order_has_a_statement_of_its_own() {
        let mut texts = std::collections::HashSet::new();
        for those in [Those::Living, Those::NotTakenBack, Those::Expired, Those::TakenBack, Those::Ended, Those::All] {
            for by in [By::Created, By::Name, By::End, By::Use] {
                for descending in [false, true] {
                    let part = Part { kind: Kind::Token, those, by, descending, after: None, limit: 1 };
                    assert!(texts.insert(part.text()), "{part:?}");
                }
            }
        }
    }
}
