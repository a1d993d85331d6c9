//! The living tokens that a member has made or is accountable for: of both kinds, or without policy tokens, which not everybody may see
//! who sees the others.

use tokenward_core::caller::Grant;
use tokenward_core::token::Token;
use tokenward_core::{Result, Time, Uuid};

use super::{API_TOKEN, POLICY_TOKEN, TokenRow};
use crate::db::{Conn, run};

/// The kind that is looked for beside API tokens.
fn other(with_policies: bool) -> &'static str {
    if with_policies { POLICY_TOKEN } else { API_TOKEN }
}

/// The first of them, in the order of their creation; policy tokens `with_policies` alone.
pub async fn of_member(
    conn: Conn<'_>,
    grant: &Grant,
    (member, with_policies): (Uuid, bool),
    now: Time,
    most: usize,
) -> Result<Vec<Token>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows: Vec<TokenRow> = run!(conn, c => sqlx::query_as(select_all!(concat!(
        "t.organization_id = $1 AND t.revoked_at IS NULL AND t.name_freed_at IS NULL AND (t.creator_id = $2 OR t.owner_id = $2) ",
        "AND (t.expires_at IS NULL OR t.expires_at > $3) AND t.kind IN ($5, $6) ORDER BY t.id LIMIT $4"
    ))).bind(grant.organization()).bind(member).bind(now.0).bind(most).bind(API_TOKEN).bind(other(with_policies)).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(Token::from).collect())
}

/// How many these are, and of how many of them the member is the owner.
pub async fn count_of_member(
    conn: Conn<'_>,
    grant: &Grant,
    (member, with_policies): (Uuid, bool),
    now: Time,
) -> Result<(u64, u64)> {
    let (all, owned): (i64, i64) = run!(conn, c => sqlx::query_as(concat!(
        "SELECT count(*), count(CASE WHEN owner_id = $2 THEN 1 END) FROM token WHERE organization_id = $1 AND revoked_at IS NULL ",
        "AND name_freed_at IS NULL AND (creator_id = $2 OR owner_id = $2) AND (expires_at IS NULL OR expires_at > $3) ",
        "AND kind IN ($4, $5)"
    )).bind(grant.organization()).bind(member).bind(now.0).bind(API_TOKEN).bind(other(with_policies)).fetch_one(&mut *c))?;
    Ok((all.unsigned_abs(), owned.unsigned_abs()))
}
