//! What a page about all tokens of a kind of an organization says of them: counted by the database, so that nobody has all in memory.

use tokenward_core::caller::Grant;
use tokenward_core::secret::Kind;
use tokenward_core::{Error, Result, Time, Uuid};

use super::pages::By;
use crate::db::{Conn, run};

/// What tokens are counted by.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The present time.
    pub now: Time,
    /// What ends before ends soon.
    pub soon: Time,
    /// What was there then and was not presented after it is unused.
    pub unused_since: Time,
    /// What was presented after it is in use.
    pub in_use_since: Time,
    /// The role of admins.
    pub admin: Uuid,
}

/// Of which of the tokens that live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// All.
    All,
    /// Those that are accepted, and end soon.
    Soon,
    /// Those that are unused.
    Unused,
    /// Those that never end.
    Endless,
    /// Those whose maker has left.
    Orphaned,
    /// Those that nobody is accountable for who is a member.
    Unowned,
    /// Those of which it was asked whether they are still needed.
    Unconfirmed,
    /// Those of admins.
    Admin,
    /// Those that are switched off.
    Disabled,
}

impl Which {
    /// All, in the order in which they are counted.
    pub const ALL: [Self; 9] = [
        Self::All,
        Self::Soon,
        Self::Unused,
        Self::Endless,
        Self::Orphaned,
        Self::Unowned,
        Self::Unconfirmed,
        Self::Admin,
        Self::Disabled,
    ];

    /// How the statements name them.
    const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Soon => "soon",
            Self::Unused => "unused",
            Self::Endless => "endless",
            Self::Orphaned => "orphaned",
            Self::Unowned => "unowned",
            Self::Unconfirmed => "unconfirmed",
            Self::Admin => "admin",
            Self::Disabled => "disabled",
        }
    }
}

/// How many tokens there are.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Of each kind, in the order of [`Which::ALL`].
    pub each: [i64; Which::ALL.len()],
    /// In use, and ending soon.
    pub ending: i64,
    /// The first of these to end, by its name.
    pub first: Option<(String, Time)>,
}

macro_rules! living {
    () => {
        "t.organization_id = $1 AND t.kind = $2 AND t.revoked_at IS NULL AND t.name_freed_at IS NULL \
         AND (t.expires_at IS NULL OR t.expires_at > $4) \
         AND t.id > (SELECT coalesce(o.tokens_cut, $3) FROM organization o WHERE o.id = $1)"
    };
}
/// Here `$5` is when what ended before is not told any more.
macro_rules! ended {
    () => {
        "t.organization_id = $1 AND t.kind = $2 AND $3 IS NOT NULL \
         AND (t.revoked_at > $5 OR (t.revoked_at IS NULL AND t.expires_at <= $4 AND t.expires_at > $5))"
    };
}
macro_rules! is {
    (soon) => {
        "(t.expires_at > $4 AND t.expires_at < $5 AND t.disabled_at IS NULL AND (t.not_before IS NULL OR t.not_before <= $4))"
    };
    (unused) => {
        "(t.used_at <= $6 AND t.created_at <= $6)"
    };
    (endless) => {
        "t.expires_at IS NULL"
    };
    (orphaned) => {
        "(CASE WHEN t.creator_kind = 'user' AND t.creator_id IS NOT NULL THEN NOT EXISTS \
         (SELECT 1 FROM member m WHERE m.organization_id = t.organization_id AND m.account_id = t.creator_id) \
         ELSE t.creator_name IS NULL END)"
    };
    (unowned) => {
        "(t.owner_id IS NULL OR NOT EXISTS \
         (SELECT 1 FROM member m WHERE m.organization_id = t.organization_id AND m.account_id = t.owner_id))"
    };
    (unconfirmed) => {
        "t.attest_since IS NOT NULL"
    };
    (admin) => {
        "t.role_id = $7"
    };
    (disabled) => {
        "t.disabled_at IS NOT NULL"
    };
    (ending) => {
        concat!(is!(soon), " AND t.used_at > $8")
    };
}
macro_rules! counted {
    ($($kind:ident)*) => {
        concat!("SELECT count(*)", $(", count(CASE WHEN ", is!($kind), " THEN 1 END)",)* " FROM token t WHERE ", living!())
    };
}
macro_rules! chosen {
    ($($kind:ident)*) => {
        concat!(living!(), " AND (CASE $9", $(" WHEN '", stringify!($kind), "' THEN ", is!($kind),)* " ELSE t.id IS NOT NULL END)")
    };
}
macro_rules! of {
    (living) => {
        chosen!(soon unused endless orphaned unowned unconfirmed admin disabled)
    };
    (ended) => {
        concat!(
            ended!(),
            " AND (CASE $9 WHEN 'expired' THEN t.revoked_at IS NULL WHEN 'revoked' THEN t.revoked_at IS NOT NULL \
             ELSE t.id IS NOT NULL END)"
        )
    };
}
/// Some of them in an order: `$10` at most, behind a place of it, which is what the order is by (`$11`, and `$13` where that are two
/// texts) and the id (`$12`).
macro_rules! shelf {
    (@text $those:ident, $columns:expr, $from:expr, $behind:expr, $order:expr) => {
        concat!(
            "SELECT t.id, ", $columns, " FROM token t", $from, " WHERE ", of!($those), $behind, " ORDER BY ", $order, " LIMIT $10"
        )
    };
    (@begin $those:ident, created, $than:literal, $direction:literal) => {
        shelf!(@text $those, "t.created_at AS place", "", "", concat!("t.id", $direction))
    };
    (@behind $those:ident, created, $than:literal, $direction:literal) => {
        shelf!(@text $those, "t.created_at AS place", "", concat!(" AND t.id ", $than, " $12"), concat!("t.id", $direction))
    };
    (@begin $those:ident, role, $than:literal, $direction:literal) => {
        shelf!(
            @text $those,
            "coalesce(lower(r.name), '') AS place, t.name_lower AS second",
            " LEFT JOIN role r ON r.id = t.role_id",
            "",
            concat!("coalesce(lower(r.name), '')", $direction, ", t.name_lower", $direction, ", t.id", $direction)
        )
    };
    (@behind $those:ident, role, $than:literal, $direction:literal) => {
        shelf!(
            @text $those,
            "coalesce(lower(r.name), '') AS place, t.name_lower AS second",
            " LEFT JOIN role r ON r.id = t.role_id",
            concat!(" AND (coalesce(lower(r.name), ''), t.name_lower, t.id) ", $than, " ($11, $13, $12)"),
            concat!("coalesce(lower(r.name), '')", $direction, ", t.name_lower", $direction, ", t.id", $direction)
        )
    };
    (@begin $those:ident, $key:literal, $than:literal, $direction:literal) => {
        shelf!(@text $those, concat!($key, " AS place"), "", "", concat!($key, $direction, ", t.id", $direction))
    };
    (@behind $those:ident, $key:literal, $than:literal, $direction:literal) => {
        shelf!(
            @text $those,
            concat!($key, " AS place"),
            "",
            concat!(" AND (", $key, ", t.id) ", $than, " ($11, $12)"),
            concat!($key, $direction, ", t.id", $direction)
        )
    };
}
macro_rules! by_shelf {
    (@$at:ident $part:expr, $those:ident) => {
        match ($part.shelf, $part.descending) {
            (Shelf::By(By::Created), false) => shelf!(@$at $those, created, ">", ""),
            (Shelf::By(By::Created), true) => shelf!(@$at $those, created, "<", " DESC"),
            (Shelf::By(By::Name), false) => shelf!(@$at $those, "t.name_lower", ">", ""),
            (Shelf::By(By::Name), true) => shelf!(@$at $those, "t.name_lower", "<", " DESC"),
            (Shelf::By(By::End), false) => shelf!(@$at $those, "t.end_key", ">", ""),
            (Shelf::By(By::End), true) => shelf!(@$at $those, "t.end_key", "<", " DESC"),
            (Shelf::By(By::Use), false) => shelf!(@$at $those, "t.used_at", ">", ""),
            (Shelf::By(By::Use), true) => shelf!(@$at $those, "t.used_at", "<", " DESC"),
            (Shelf::Role, false) => shelf!(@$at $those, role, ">", ""),
            (Shelf::Role, true) => shelf!(@$at $those, role, "<", " DESC"),
        }
    };
    ($part:expr, $those:ident) => {
        if $part.after.is_some() { by_shelf!(@behind $part, $those) } else { by_shelf!(@begin $part, $those) }
    };
}

macro_rules! asked {
    ($text:expr, $grant:expr, $facts:expr, $kind:expr) => {
        sqlx::query_as($text)
            .bind($grant.organization())
            .bind($kind.as_str())
            .bind(Uuid::nil())
            .bind($facts.now.0)
            .bind($facts.soon.0)
            .bind($facts.unused_since.0)
            .bind($facts.admin)
            .bind($facts.in_use_since.0)
    };
}

/// How many tokens of a kind of the organization live, and what they are. What has ended is not looked at.
pub async fn count(mut conn: Conn<'_>, grant: &Grant, kind: Kind, facts: &Facts) -> Result<Counts> {
    type KindCounts = (i64, i64, i64, i64, i64, i64, i64, i64, i64);
    const EACH: &str = counted!(soon unused endless orphaned unowned unconfirmed admin disabled);
    const ENDING: &str = concat!("SELECT count(*) FROM token t WHERE ", living!(), " AND ", is!(ending));
    const FIRST: &str = concat!(
        "SELECT t.name, t.expires_at FROM token t WHERE ",
        living!(),
        " AND ",
        is!(ending),
        " ORDER BY t.expires_at, t.id LIMIT 1"
    );
    let (all, soon, unused, endless, orphaned, unowned, unconfirmed, admin, disabled): KindCounts =
        run!(conn.reborrow(), c => asked!(EACH, grant, facts, kind).fetch_one(&mut *c))?;
    let each = [all, soon, unused, endless, orphaned, unowned, unconfirmed, admin, disabled];
    if soon == 0 {
        return Ok(Counts { each, ..Counts::default() });
    }
    let (ending,): (i64,) = run!(conn.reborrow(), c => asked!(ENDING, grant, facts, kind).fetch_one(&mut *c))?;
    let first: Option<(String, i64)> = run!(conn, c => asked!(FIRST, grant, facts, kind).fetch_optional(&mut *c))?;
    Ok(Counts { each, ending, first: first.map(|(name, at)| (name, Time(at))) })
}

/// By what they are sorted here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shelf {
    /// As lists are.
    By(By),
    /// By the name of the role, and of those with one by their own.
    Role,
}

/// By what a token has its place on a shelf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ShelfKey {
    /// A time.
    Number(i64),
    /// A name, in small letters.
    Text(String),
    /// The name of the role and that of the token, in small letters.
    Texts(String, String),
}

/// A place on a shelf: that of this token, as long as it has this key, and otherwise where it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShelfPlace {
    /// What the order is by; nothing of it counts where it is that of creation.
    pub key: ShelfKey,
    /// The token.
    pub id: Uuid,
}

/// A part of a shelf.
#[derive(Clone, Copy, Debug)]
pub struct ShelfPart<'a> {
    /// API tokens, or those with a policy.
    pub kind: Kind,
    /// By what they are sorted.
    pub shelf: Shelf,
    /// The other way round.
    pub descending: bool,
    /// Behind which place it begins.
    pub after: Option<&'a ShelfPlace>,
    /// How many it has at most.
    pub limit: usize,
}

/// The places of a part of those that live, in its order.
pub async fn places(
    conn: Conn<'_>,
    grant: &Grant,
    facts: &Facts,
    which: Which,
    part: &ShelfPart<'_>,
) -> Result<Vec<ShelfPlace>> {
    read(conn, grant, facts, which.word(), part, by_shelf!(part, living)).await
}

/// The same of those that have ended, as long as that is told. `which` is `expired`, `revoked`, or `ended` for both.
pub async fn ended(
    mut conn: Conn<'_>,
    grant: &Grant,
    facts: &Facts,
    which: &'static str,
    part: &ShelfPart<'_>,
) -> Result<Vec<ShelfPlace>> {
    let oldest = facts.now.plus(-super::ended::retention(conn.reborrow()).await?);
    let facts = &Facts { soon: oldest, ..*facts };
    read(conn, grant, facts, which, part, by_shelf!(part, ended)).await
}

async fn read(
    conn: Conn<'_>,
    grant: &Grant,
    facts: &Facts,
    which: &'static str,
    part: &ShelfPart<'_>,
    text: &'static str,
) -> Result<Vec<ShelfPlace>> {
    let (kind, limit) = (part.kind, i64::try_from(part.limit).unwrap_or(i64::MAX));
    let wrong = || Error::internal("a place of another order");
    match part.shelf {
        Shelf::Role => {
            let rows: Vec<(Uuid, String, String)> = match part.after {
                None => run!(conn, c => asked!(text, grant, facts, kind).bind(which).bind(limit).fetch_all(&mut *c))?,
                Some(ShelfPlace { key: ShelfKey::Texts(role, name), id }) => {
                    run!(conn, c => asked!(text, grant, facts, kind).bind(which).bind(limit).bind(role).bind(*id).bind(name)
                        .fetch_all(&mut *c))?
                }
                Some(_) => return Err(wrong()),
            };
            let place = |(id, role, name)| ShelfPlace { key: ShelfKey::Texts(role, name), id };
            Ok(rows.into_iter().map(place).collect())
        }
        Shelf::By(By::Name) => {
            let rows: Vec<(Uuid, String)> = match part.after {
                None => run!(conn, c => asked!(text, grant, facts, kind).bind(which).bind(limit).fetch_all(&mut *c))?,
                Some(ShelfPlace { key: ShelfKey::Text(name), id }) => {
                    run!(conn, c => asked!(text, grant, facts, kind).bind(which).bind(limit).bind(name).bind(*id)
                        .fetch_all(&mut *c))?
                }
                Some(_) => return Err(wrong()),
            };
            Ok(rows.into_iter().map(|(id, name)| ShelfPlace { key: ShelfKey::Text(name), id }).collect())
        }
        Shelf::By(By::Created | By::End | By::Use) => {
            let rows: Vec<(Uuid, i64)> = match part.after {
                None => run!(conn, c => asked!(text, grant, facts, kind).bind(which).bind(limit).fetch_all(&mut *c))?,
                Some(ShelfPlace { key: ShelfKey::Number(at), id }) => {
                    run!(conn, c => asked!(text, grant, facts, kind).bind(which).bind(limit).bind(*at).bind(*id)
                        .fetch_all(&mut *c))?
                }
                Some(_) => return Err(wrong()),
            };
            Ok(rows.into_iter().map(|(id, at)| ShelfPlace { key: ShelfKey::Number(at), id }).collect())
        }
    }
}

/// How many have ended, as long as that is told. `which` is as in [`ended`].
pub async fn count_of_ended(
    mut conn: Conn<'_>,
    grant: &Grant,
    kind: Kind,
    facts: &Facts,
    which: &'static str,
) -> Result<u64> {
    const COUNT: &str = concat!("SELECT count(*) FROM token t WHERE ", of!(ended));
    let oldest = facts.now.plus(-super::ended::retention(conn.reborrow()).await?);
    let facts = &Facts { soon: oldest, ..*facts };
    let (count,): (i64,) = run!(conn, c => asked!(COUNT, grant, facts, kind).bind(which).fetch_one(&mut *c))?;
    Ok(count.unsigned_abs())
}

/// How many tokens of a kind of the organization have expired, and how many were taken back, of which that is still told. Of either at
/// most so many are counted, from an index that has only them.
pub async fn count_ended(mut conn: Conn<'_>, grant: &Grant, kind: Kind, now: Time, most: i64) -> Result<(i64, i64)> {
    const EXPIRED: &str = "SELECT count(*) FROM (SELECT t.id FROM token t WHERE t.organization_id = $1 AND t.kind = $2 \
         AND t.revoked_at IS NULL AND t.end_key > $3 AND t.end_key <= $4 LIMIT $5) AS counted";
    const TAKEN_BACK: &str = "SELECT count(*) FROM (SELECT t.id FROM token t WHERE t.organization_id = $1 AND t.kind = $2 \
         AND t.revoked_at IS NOT NULL AND t.revoked_at > $3 LIMIT $4) AS counted";
    let oldest = now.plus(-super::ended::retention(conn.reborrow()).await?);
    let (expired,): (i64,) = run!(conn.reborrow(), c => sqlx::query_as(EXPIRED).bind(grant.organization()).bind(kind.as_str())
        .bind(oldest.0).bind(now.0).bind(most).fetch_one(&mut *c))?;
    let (taken_back,): (i64,) = run!(conn, c => sqlx::query_as(TAKEN_BACK).bind(grant.organization()).bind(kind.as_str())
        .bind(oldest.0).bind(most).fetch_one(&mut *c))?;
    Ok((expired, taken_back))
}
