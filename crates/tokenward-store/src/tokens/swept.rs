//! What becomes of tokens over time. Most of it nodes do by themselves, whichever is first: without anybody's right, and each time
//! with an event.

use tokenward_core::time::{MINUTE, Micros};

use super::{Conn, Error, Grant, Result, Time, Token, TokenRow, Tx, Uuid, by_ids, end_secrets, managing};
use crate::db::{execute, row, run};

/// Nodes write once a minute how tokens are used: what is not known after this time did not happen.
const USES_COME: Micros = 2 * MINUTE;

/// Those of these tokens that were not taken back, in any order.
pub async fn kept(conn: Conn<'_>, ids: &[Uuid]) -> Result<Vec<Token>> {
    let rows: Vec<TokenRow> = by_ids(conn, select_all!("t.revoked_at IS NULL AND t.id IN"), ids).await?;
    let tokens = rows.into_iter().map(Token::from);
    // All of them may have been taken back at once.
    Ok(tokens.filter(|token| token.revocation.is_none()).collect())
}

/// Marks a token of which an old secret came back. Answers the token as it was; `None` where it is over.
pub async fn mark_reused(tx: &mut Tx, id: Uuid) -> Result<Option<Token>> {
    let now = tx.now();
    let found = kept(tx.conn(), &[id]).await?.pop();
    let Some(token) = found.filter(|token| token.expires_at.is_none_or(|at| now < at)) else { return Ok(None) };
    execute!(tx.conn(), sqlx::query("UPDATE token SET reused_at = $2 WHERE id = $1").bind(id).bind(now.0))?;
    Ok(Some(token))
}

/// Switches a token off, for a reason that stands with it.
pub async fn switch_off(tx: &mut Tx, token: &Token) -> Result<()> {
    write_switch(tx, token.organization_id, token).await
}

pub(super) async fn write_switch(tx: &mut Tx, organization: Uuid, token: &Token) -> Result<()> {
    let switched: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(concat!(
        "UPDATE token SET disabled_at = $3, updated_at = $4, reused_at = $5, disabled_because = $6, ",
        "attested_at = $7, attest_since = $8, attest_overdue = $9 ",
        "WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id"
    ))
    .bind(organization).bind(token.id).bind(token.disabled_at.map(|at| at.0)).bind(token.updated_at.0)
    .bind(token.life.reused_at.map(|at| at.0)).bind(token.life.disabled_because.map(|because| because.as_str()))
    .bind(token.life.attested_at.map(|at| at.0)).bind(token.life.asked.map(|it| it.since.0))
    .bind(token.life.asked.is_some_and(|it| it.overdue))
    .fetch_optional(&mut *c))?;
    switched.map(|_| ()).ok_or_else(|| Error::not_found("token"))
}

/// Says in which minutes a token is refused, or that there are none any more.
pub async fn set_brownout(tx: &mut Tx, grant: &Grant, token: &Token) -> Result<()> {
    grant.permits(managing(token.kind))?;
    let kept = token.life.brownout.map(|it| it.kept());
    let set: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(concat!(
        "UPDATE token SET brownout = $3, updated_at = $4 ",
        "WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id"
    ))
    .bind(grant.organization()).bind(token.id).bind(kept).bind(token.updated_at.0).fetch_optional(&mut *c))?;
    set.map(|_| ()).ok_or_else(|| Error::not_found("token"))
}

row! {
    /// A replaced secret whose time is over, or is to be.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Overlap {
        /// The token.
        pub token_id: Uuid,
        /// Which of its secrets.
        pub version: u16,
        /// The end of its text.
        pub last_four: String,
        /// Until when it is, or was, accepted.
        pub expires_at: Time,
        /// When it was last presented.
        pub last_used_at: Option<Time>,
        /// From which address.
        pub last_used_from: Option<String>,
        /// By which client.
        pub last_used_agent: Option<String>,
    }
}

macro_rules! select_overlaps {
    ($rest:literal) => {
        concat!(
            "SELECT s.token_id, s.version, s.last_four, s.expires_at, u.last_used_at, u.last_used_from, u.last_used_agent ",
            "FROM token_secret s LEFT JOIN token_usage u ON u.token_id = s.token_id AND u.version = s.version WHERE s.untold ",
            $rest
        )
    };
}

/// At most `limit` secrets whose overlap is over, which is to be told.
pub async fn ended_overlaps(conn: Conn<'_>, now: Time, limit: i64) -> Result<Vec<Overlap>> {
    let over = select_overlaps!("AND s.expires_at <= $1 ORDER BY s.token_id, s.version LIMIT $2");
    run!(conn, c => sqlx::query_as(over).bind(now.0).bind(limit).fetch_all(&mut *c))
}

/// At most `limit` secrets that are accepted, and were silent for as long as they may be.
pub async fn silent_overlaps(conn: Conn<'_>, now: Time, limit: i64) -> Result<Vec<Overlap>> {
    let silent = select_overlaps!(
        "AND s.expires_at > $1 AND s.silent_for IS NOT NULL AND s.silent_for + \
         CASE WHEN u.last_used_at > s.silent_from THEN u.last_used_at ELSE s.silent_from END <= $2 \
         ORDER BY s.token_id, s.version LIMIT $3"
    );
    run!(conn, c => sqlx::query_as(silent).bind(now.0).bind(now.plus(-USES_COME).0).bind(limit).fetch_all(&mut *c))
}

/// Notes that the log is told of the end of an overlap; where the secret is still accepted, it ends now.
pub async fn tell_overlap_ended(tx: &mut Tx, overlap: &Overlap) -> Result<()> {
    let now = tx.now();
    if overlap.expires_at > now {
        end_secrets(tx, overlap.token_id, overlap.version..=overlap.version, now).await?;
        execute!(
            tx.conn(),
            sqlx::query("UPDATE token SET updated_at = $2 WHERE id = $1").bind(overlap.token_id).bind(now.0)
        )?;
    }
    execute!(
        tx.conn(),
        sqlx::query("UPDATE token_secret SET untold = FALSE WHERE token_id = $1 AND version = $2")
            .bind(overlap.token_id)
            .bind(i32::from(overlap.version))
    )?;
    Ok(())
}
