//! Whether tokens are still needed: who is to be asked, who did not answer, and who did.

use super::{API_TOKEN, Conn, Error, Grant, Management, POLICY_TOKEN, Result, Time, Token, Tx, Uuid};
use crate::db::{execute, run};

/// At most `limit` tokens of an organization, of both kinds, that are in use, of which nobody is asked, and which were made or last
/// confirmed at this moment or before.
pub async fn to_be_asked(
    conn: Conn<'_>,
    organization: Uuid,
    (confirmed, now): (Time, Time),
    limit: i64,
) -> Result<Vec<Uuid>> {
    run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT id FROM token WHERE organization_id = $1 AND kind IN ($2, $6) AND revoked_at IS NULL AND disabled_at IS NULL ",
        "AND (expires_at IS NULL OR expires_at > $4) AND attest_since IS NULL AND coalesce(attested_at, created_at) <= $3 ",
        "ORDER BY id LIMIT $5"
    )).bind(organization).bind(API_TOKEN).bind(confirmed.0).bind(now.0).bind(limit).bind(POLICY_TOKEN).fetch_all(&mut *c))
}

/// At most `limit` of those that are asked about since this moment or before: whose answer is overdue already, or not yet.
pub async fn asked_before(
    conn: Conn<'_>,
    organization: Uuid,
    overdue: bool,
    (since, now): (Time, Time),
    limit: i64,
) -> Result<Vec<Uuid>> {
    run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT id FROM token WHERE organization_id = $1 AND revoked_at IS NULL AND disabled_at IS NULL ",
        "AND (expires_at IS NULL OR expires_at > $4) AND attest_since <= $3 AND attest_overdue = $2 ORDER BY id LIMIT $5"
    )).bind(organization).bind(overdue).bind(since.0).bind(now.0).bind(limit).fetch_all(&mut *c))
}

/// From now on it is asked about this token, or the answer is overdue.
pub async fn ask(tx: &mut Tx, id: Uuid, overdue: bool) -> Result<()> {
    let now = tx.now();
    execute!(
        tx.conn(),
        sqlx::query("UPDATE token SET attest_since = $2, attest_overdue = $3 WHERE id = $1")
            .bind(id)
            .bind(now.0)
            .bind(overdue)
    )?;
    Ok(())
}

/// Somebody says that a token is still needed: its owner, or who manages tokens.
pub async fn attest(tx: &mut Tx, grant: &Grant, token: &Token) -> Result<()> {
    grant.permits(Management::TokenRead)?;
    let said: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(concat!(
        "UPDATE token SET attested_at = $3, attest_since = NULL, attest_overdue = FALSE, updated_at = $4 ",
        "WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id"
    ))
    .bind(grant.organization()).bind(token.id).bind(token.life.attested_at.map(|at| at.0)).bind(token.updated_at.0)
    .fetch_optional(&mut *c))?;
    said.map(|_| ()).ok_or_else(|| Error::not_found("token"))
}

/// Nobody is asked about the tokens of the organization any more.
pub async fn forget(tx: &mut Tx, grant: &Grant) -> Result<()> {
    grant.permits(Management::OrganizationEdit)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE token SET attest_since = NULL, attest_overdue = FALSE ",
            "WHERE organization_id = $1 AND attest_since IS NOT NULL"
        ))
        .bind(grant.organization())
    )?;
    Ok(())
}
