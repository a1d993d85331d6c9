//! How tokens were used from day to day, and which permissions of an organization's own API they used: sums that a worker adds to,
//! beside the log.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::QueryBuilder;
use tokenward_core::caller::Grant;
use tokenward_core::time::DAY;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Many, execute, hex_id, many, row, run};
use crate::tx::UnloggedTx;

/// Permissions of which it is kept that a token used them.
pub const PERMISSIONS: usize = 1_000;

/// The day of a moment: days since 1970-01-01, UTC.
#[must_use]
pub fn day(at: Time) -> i64 {
    at.0.div_euclid(DAY)
}

/// What came of one token on one day since the last time.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DayUse {
    /// How often the answer was yes.
    pub allowed: i64,
    /// How often it was no, by the reason.
    pub denied: BTreeMap<&'static str, i64>,
}

#[derive(Serialize)]
struct DayRow {
    organization_id: Option<String>,
    token_id: String,
    day: i64,
    allowed: i64,
    denied: i64,
}

#[derive(Serialize)]
struct ReasonRow {
    organization_id: Option<String>,
    token_id: String,
    day: i64,
    reason: &'static str,
    denied: i64,
}

// Of tokens the organization stands in their rows; what is no token says whose it was.
const ADD: Many = many!(
    "INSERT INTO usage_day (organization_id, token_id, day, allowed, denied) \
     SELECT t.organization_id, r.token_id, r.day, r.allowed, r.denied FROM",
    [token_id id, day number, allowed number, denied number],
    "JOIN token t ON t.id = r.token_id WHERE true ON CONFLICT (organization_id, token_id, day) DO UPDATE SET \
     allowed = usage_day.allowed + excluded.allowed, denied = usage_day.denied + excluded.denied"
);
const ADD_DENIED: Many = many!(
    "INSERT INTO usage_denied (organization_id, token_id, day, reason, denied) \
     SELECT t.organization_id, r.token_id, r.day, r.reason, r.denied FROM",
    [token_id id, day number, reason text, denied number],
    "JOIN token t ON t.id = r.token_id WHERE true ON CONFLICT (organization_id, token_id, day, reason) DO UPDATE SET \
     denied = usage_denied.denied + excluded.denied"
);
const ADD_NOBODY: Many = many!(
    "INSERT INTO usage_day (organization_id, token_id, day, allowed, denied) \
     SELECT o.id, r.token_id, r.day, r.allowed, r.denied FROM",
    [organization_id id, token_id id, day number, allowed number, denied number],
    "JOIN organization o ON o.id = r.organization_id WHERE true ON CONFLICT (organization_id, token_id, day) DO UPDATE SET \
     allowed = usage_day.allowed + excluded.allowed, denied = usage_day.denied + excluded.denied"
);
const ADD_NOBODY_DENIED: Many = many!(
    "INSERT INTO usage_denied (organization_id, token_id, day, reason, denied) \
     SELECT o.id, r.token_id, r.day, r.reason, r.denied FROM",
    [organization_id id, token_id id, day number, reason text, denied number],
    "JOIN organization o ON o.id = r.organization_id WHERE true \
     ON CONFLICT (organization_id, token_id, day, reason) DO UPDATE SET denied = usage_denied.denied + excluded.denied"
);

fn rows(organization: Option<Uuid>, token: Uuid, day: i64, it: &DayUse) -> (DayRow, Vec<ReasonRow>) {
    let (organization_id, token_id) = (organization.map(hex_id), hex_id(token));
    let reason = |(reason, denied): (&&'static str, &i64)| ReasonRow {
        organization_id: organization_id.clone(),
        token_id: token_id.clone(),
        day,
        reason,
        denied: *denied,
    };
    let reasons = it.denied.iter().map(reason).collect();
    let denied = it.denied.values().sum();
    (DayRow { organization_id, token_id, day, allowed: it.allowed, denied }, reasons)
}

/// Adds what came of tokens. Of a token that is not there nothing is kept.
pub async fn add(tx: &mut UnloggedTx, more: &BTreeMap<(Uuid, i64), DayUse>) -> Result<()> {
    let (days, reasons): (Vec<_>, Vec<_>) = more.iter().map(|((token, day), it)| rows(None, *token, *day, it)).unzip();
    ADD.execute(tx.conn(), &days).await?;
    let reasons: Vec<ReasonRow> = reasons.into_iter().flatten().collect();
    if !reasons.is_empty() {
        ADD_DENIED.execute(tx.conn(), &reasons).await?;
    }
    Ok(())
}

/// Adds what was presented to organizations and is no token of theirs.
pub async fn add_nobody(tx: &mut UnloggedTx, more: &BTreeMap<(Uuid, i64), DayUse>) -> Result<()> {
    let each = more.iter().map(|((organization, day), it)| rows(Some(*organization), Uuid::nil(), *day, it));
    let (days, reasons): (Vec<_>, Vec<_>) = each.unzip();
    ADD_NOBODY.execute(tx.conn(), &days).await?;
    let reasons: Vec<ReasonRow> = reasons.into_iter().flatten().collect();
    ADD_NOBODY_DENIED.execute(tx.conn(), &reasons).await?;
    Ok(())
}

#[derive(Serialize)]
struct UsedRow<'a> {
    token_id: String,
    permission: &'a str,
    day: i64,
}

const USED: Many = many!(
    "INSERT INTO permission_used (token_id, permission, day) SELECT r.token_id, r.permission, r.day FROM",
    [token_id id, permission text, day number],
    "JOIN token t ON t.id = r.token_id \
     WHERE (SELECT count(*) FROM permission_used u WHERE u.token_id = r.token_id) < 1000 \
     OR EXISTS (SELECT 1 FROM permission_used u WHERE u.token_id = r.token_id AND u.permission = r.permission) \
     ON CONFLICT (token_id, permission) DO UPDATE SET day = excluded.day WHERE permission_used.day < excluded.day"
);

/// Notes that tokens used permissions, on which day last. Beyond [`PERMISSIONS`] of a token no others are kept.
pub async fn used(tx: &mut UnloggedTx, more: &BTreeMap<(Uuid, String), i64>) -> Result<()> {
    let rows: Vec<UsedRow<'_>> = more
        .iter()
        .map(|((token, permission), day)| UsedRow { token_id: hex_id(*token), permission, day: *day })
        .collect();
    USED.execute(tx.conn(), &rows).await?;
    Ok(())
}

/// Deletes what is of days before this one. Answers how many rows that were.
pub async fn prune(tx: &mut UnloggedTx, first: i64) -> Result<u64> {
    let mut gone = 0;
    for text in [
        "DELETE FROM usage_day WHERE day < $1",
        "DELETE FROM usage_denied WHERE day < $1",
        "DELETE FROM permission_used WHERE day < $1",
    ] {
        gone += execute!(tx.conn(), sqlx::query(text).bind(first))?;
    }
    Ok(gone)
}

/// By what sums are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Group {
    /// By day.
    pub day: bool,
    /// By token.
    pub token: bool,
    /// By the role that the token has now.
    pub role: bool,
    /// By the reason of a no.
    pub reason: bool,
}

/// Which sums.
#[derive(Clone, Copy, Debug)]
pub struct UsageFilter {
    /// From this day on.
    pub from: i64,
    /// Up to this day, which is among them.
    pub to: i64,
    /// How they are told apart.
    pub group: Group,
    /// How many rows at most.
    pub limit: i64,
}

row! {
    /// A sum. What it is not told apart by is absent.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Sum {
        /// The day.
        pub day: Option<i64>,
        /// The token; all zeros for what is no token.
        pub token_id: Option<Uuid>,
        /// Its role.
        pub role_id: Option<Uuid>,
        /// Why the answer was no; absent for what was allowed.
        pub reason: Option<String>,
        /// How often the answer was yes.
        pub allowed: i64,
        /// How often it was no.
        pub denied: i64,
    }
}

fn sums_query<DB>(organization: Uuid, sought: &UsageFilter, denied: bool) -> QueryBuilder<DB>
where
    DB: sqlx::Database,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let Group { day, token, role, reason } = sought.group;
    let columns = [(day, "u.day", "day"), (token, "u.token_id", "token_id"), (role, "t.role_id", "role_id")];
    let mut query = QueryBuilder::new("SELECT ");
    for (wanted, column, name) in columns {
        query.push(if wanted { column } else { "NULL" }).push(" AS ").push(name).push(", ");
    }
    let of_reasons = denied && reason;
    query.push(if of_reasons { "u.reason AS reason, " } else { "NULL AS reason, " });
    query.push(if denied { "CAST(0 AS bigint)" } else { "CAST(SUM(u.allowed) AS bigint)" }).push(" AS allowed, ");
    // Told apart by reasons, the denials come with them.
    query.push(if reason && !denied { "CAST(0 AS bigint)" } else { "CAST(SUM(u.denied) AS bigint)" });
    query.push(" AS denied FROM ").push(if denied { "usage_denied u" } else { "usage_day u" });
    if role {
        query.push(" LEFT JOIN token t ON t.id = u.token_id");
    }
    query.push(" WHERE u.organization_id = ").push_bind(organization);
    query.push(" AND u.day >= ").push_bind(sought.from).push(" AND u.day <= ").push_bind(sought.to);
    let grouped = columns.into_iter().chain([(of_reasons, "u.reason", "")]).filter(|(wanted, ..)| *wanted);
    let grouped: Vec<&str> = grouped.map(|(_, column, _)| column).collect();
    if !grouped.is_empty() {
        query.push(" GROUP BY ").push(grouped.join(", "));
        query.push(" ORDER BY ").push(grouped.join(", "));
    }
    query.push(" LIMIT ").push_bind(sought.limit);
    query
}

/// The sums of an organization.
pub async fn sums(mut conn: Conn<'_>, grant: &Grant, sought: &UsageFilter) -> Result<Vec<Sum>> {
    let organization = grant.organization();
    // Without a group there is one row also where nothing was counted, with nothing in it.
    let any: Option<(i64,)> = run!(conn.reborrow(), c => sqlx::query_as(
        "SELECT day FROM usage_day WHERE organization_id = $1 AND day >= $2 AND day <= $3 LIMIT 1"
    ).bind(organization).bind(sought.from).bind(sought.to).fetch_optional(&mut *c))?;
    if any.is_none() {
        return Ok(Vec::new());
    }
    let mut all: Vec<Sum> =
        run!(conn.reborrow(), c => sums_query(organization, sought, false).build_query_as().fetch_all(&mut *c))?;
    if sought.group.reason {
        all.retain(|it| it.allowed > 0);
        let denied: Vec<Sum> =
            run!(conn, c => sums_query(organization, sought, true).build_query_as().fetch_all(&mut *c))?;
        all.extend(denied);
        all.sort_by(|a, b| (a.day, a.token_id, a.role_id, &a.reason).cmp(&(b.day, b.token_id, b.role_id, &b.reason)));
        all.truncate(usize::try_from(sought.limit).unwrap_or(usize::MAX));
    }
    Ok(all)
}

row! {
    /// The use of a token on a day.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct TokenDay {
        /// The token.
        pub token_id: Uuid,
        /// The day.
        pub day: i64,
        /// How often the answer was yes.
        pub allowed: i64,
        /// How often it was no.
        pub denied: i64,
    }
}

/// The use of these tokens of the organization from a day on, by token and day.
pub async fn of_tokens(mut conn: Conn<'_>, grant: &Grant, tokens: &[Uuid], from: i64) -> Result<Vec<TokenDay>> {
    let mut all = Vec::new();
    for token in tokens {
        let rows: Vec<TokenDay> = run!(conn.reborrow(), c => sqlx::query_as(concat!(
            "SELECT token_id, day, allowed, denied FROM usage_day ",
            "WHERE organization_id = $1 AND token_id = $2 AND day >= $3 ORDER BY day"
        )).bind(grant.organization()).bind(token).bind(from).fetch_all(&mut *c))?;
        all.extend(rows);
    }
    Ok(all)
}

/// How often a token of the organization was refused for this reason from a day on.
pub async fn denied_since(conn: Conn<'_>, grant: &Grant, token: Uuid, reason: &str, from: i64) -> Result<i64> {
    let (count,): (i64,) = run!(conn, c => sqlx::query_as(concat!(
        "SELECT CAST(coalesce(sum(denied), 0) AS bigint) FROM usage_denied ",
        "WHERE organization_id = $1 AND token_id = $2 AND day >= $3 AND reason = $4"
    )).bind(grant.organization()).bind(token).bind(from).bind(reason).fetch_one(&mut *c))?;
    Ok(count)
}

/// The first day of which anything is counted in the organization.
pub async fn first_day(conn: Conn<'_>, grant: &Grant) -> Result<Option<i64>> {
    let (day,): (Option<i64>,) = run!(conn, c => sqlx::query_as(
        "SELECT min(day) FROM usage_day WHERE organization_id = $1"
    ).bind(grant.organization()).fetch_one(&mut *c))?;
    Ok(day)
}

row! {
    /// A permission of the organization's own API that was used.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Used {
        /// The permission.
        pub permission: String,
        /// On which day last.
        pub day: i64,
        /// By how many tokens.
        pub tokens: i64,
    }
}

/// Which permissions a token of the organization used from a day on.
pub async fn used_by_token(conn: Conn<'_>, grant: &Grant, token: Uuid, from: i64) -> Result<Vec<Used>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT u.permission, u.day, CAST(1 AS bigint) AS tokens FROM permission_used u JOIN token t ON t.id = u.token_id ",
        "WHERE t.organization_id = $1 AND u.token_id = $2 AND u.day >= $3 ORDER BY u.permission"
    )).bind(grant.organization()).bind(token).bind(from).fetch_all(&mut *c))
}

/// Which permissions the living tokens with a role used from a day on, at most `limit`.
pub async fn used_by_role(conn: Conn<'_>, grant: &Grant, role: Uuid, from: i64, limit: i64) -> Result<Vec<Used>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT u.permission, max(u.day) AS day, count(*) AS tokens FROM token t JOIN permission_used u ON u.token_id = t.id ",
        "WHERE t.organization_id = $1 AND t.role_id = $2 AND t.revoked_at IS NULL AND u.day >= $3 ",
        "GROUP BY u.permission ORDER BY u.permission LIMIT $4"
    )).bind(grant.organization()).bind(role).bind(from).bind(limit).fetch_all(&mut *c))
}
