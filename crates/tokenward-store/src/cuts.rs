//! All tokens of an organization at once: that those were taken back which had been made up to a moment.
//!
//! It is one write, in the row of the organization, and counts from its commit on: memory and every right that is asked again
//! look there. The rows of the tokens follow in parts, so that lists, counts and names agree.

use tokenward_core::caller::Grant;
use tokenward_core::event::ActorKind;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::token::{Cut, Revocation};
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, by_ids, execute, row, run};
use crate::tx::{Tx, UnloggedTx};

/// Rows that one transaction brings up to date: others wait for it.
const AT_ONCE: i64 = 2_000;

row! {
    struct CutRow {
        id: Uuid,
        tokens_cut: Uuid,
        tokens_cut_at: Time,
    }
}

/// The cuts of these organizations, or of all; those without one are left out.
pub async fn of(conn: Conn<'_>, organizations: Option<&[Uuid]>) -> Result<Vec<(Uuid, Cut)>> {
    let rows: Vec<CutRow> = match organizations {
        Some(ids) => {
            let select =
                "SELECT id, tokens_cut, tokens_cut_at FROM organization WHERE tokens_cut_at IS NOT NULL AND id IN";
            by_ids(conn, select, ids).await?
        }
        None => run!(conn, c => sqlx::query_as(
            "SELECT id, tokens_cut, tokens_cut_at FROM organization WHERE tokens_cut_at IS NOT NULL ORDER BY id"
        ).fetch_all(&mut *c))?,
    };
    Ok(rows.into_iter().map(|row| (row.id, Cut { through: row.tokens_cut, at: row.tokens_cut_at })).collect())
}

/// What would be taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CutCount {
    /// The id of the last one.
    pub through: Uuid,
    /// How many there are.
    pub count: u64,
    /// How many of them have a policy.
    pub with_policy: u64,
}

/// Which tokens of the organization, of all kinds, were made before this moment, or at all, and not taken back; `None` where
/// there are none.
pub async fn reach(mut conn: Conn<'_>, grant: &Grant, before: Option<Time>) -> Result<Option<CutCount>> {
    let (organization, before) = (grant.organization(), before.unwrap_or(Time(i64::MAX)).0);
    // Those that were taken back before count too: their deletion must not be undone afterwards.
    let through: Option<Uuid> = run!(conn.reborrow(), c => sqlx::query_scalar(concat!(
        "SELECT t.id FROM token t JOIN organization o ON o.id = t.organization_id WHERE t.organization_id = $1 ",
        "AND (o.tokens_cut IS NULL OR t.id > o.tokens_cut) AND t.created_at < $2 ",
        "ORDER BY t.id DESC LIMIT 1"
    )).bind(organization).bind(before).fetch_optional(&mut *c))?;
    let Some(through) = through else { return Ok(None) };
    let (count, with_policy): (i64, i64) = run!(conn, c => sqlx::query_as(concat!(
        "SELECT count(*), coalesce(sum(CASE WHEN t.kind = $3 THEN 1 ELSE 0 END), 0) FROM token t ",
        "JOIN organization o ON o.id = t.organization_id WHERE t.organization_id = $1 AND t.revoked_at IS NULL ",
        "AND t.name_freed_at IS NULL AND (o.tokens_cut IS NULL OR t.id > o.tokens_cut) AND t.id <= $2"
    )).bind(organization).bind(through).bind(Kind::PolicyToken.as_str()).fetch_one(&mut *c))?;
    let found = CutCount { through, count: count.unsigned_abs(), with_policy: with_policy.unsigned_abs() };
    Ok(Some(found).filter(|found| found.count > 0))
}

/// Takes back all tokens of the organization up to this id.
pub async fn set(tx: &mut Tx, grant: &Grant, through: Uuid, why: &Revocation) -> Result<()> {
    grant.permits(Management::TokenManage)?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE organization SET tokens_cut = $2, tokens_cut_at = $3, tokens_cut_reason = $4, tokens_cut_note = $5, ",
            "tokens_cut_by_name = $6, tokens_cut_by_kind = $7, tokens_cut_by_id = $8 ",
            "WHERE id = $1 AND (tokens_cut IS NULL OR tokens_cut < $2)"
        ))
        .bind(grant.organization())
        .bind(through)
        .bind(why.at.0)
        .bind(why.reason.as_str())
        .bind(why.note.as_deref())
        .bind(why.by_name.as_deref())
        .bind(why.by_kind.map(ActorKind::as_str))
        .bind(why.by_id)
    )?;
    Ok(())
}

/// The same for an organization whose row has forgotten it. Had it?
pub(crate) async fn set_again(tx: &mut Tx, organization: Uuid, cut: Cut) -> Result<bool> {
    let forgotten = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE organization SET tokens_cut = $2, tokens_cut_at = $3, tokens_cut_reason = NULL, tokens_cut_note = NULL, ",
            "tokens_cut_by_name = NULL, tokens_cut_by_kind = NULL, tokens_cut_by_id = NULL ",
            "WHERE id = $1 AND (tokens_cut IS NULL OR tokens_cut < $2)"
        ))
        .bind(organization)
        .bind(cut.through)
        .bind(cut.at.0)
    )?;
    Ok(forgotten > 0)
}

/// The organizations of which rows of tokens do not say yet that they were taken back.
pub async fn behind(conn: Conn<'_>) -> Result<Vec<Uuid>> {
    run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT o.id FROM organization o WHERE o.tokens_cut IS NOT NULL AND EXISTS (SELECT 1 FROM token t ",
        "WHERE t.organization_id = o.id AND t.revoked_at IS NULL AND t.id <= o.tokens_cut) ORDER BY o.id"
    )).fetch_all(&mut *c))
}

/// Has some rows of tokens say that they were taken back. Answers how many; none are left where it is 0. It tells nothing new:
/// the event of the cut has told it.
pub async fn follow(tx: &mut UnloggedTx, organization: Uuid) -> Result<u64> {
    // The other writers of tokens take the rows in another order.
    tx.alone().await?;
    let followed: Vec<Option<i64>> = run!(tx.conn(), c => sqlx::query_scalar(
        concat!(
            "UPDATE token SET revoked_at = o.tokens_cut_at, updated_at = CASE WHEN token.updated_at < o.tokens_cut_at ",
            "THEN o.tokens_cut_at ELSE token.updated_at + 1 END, revoked_reason = o.tokens_cut_reason, ",
            "revoked_note = o.tokens_cut_note, revoked_by_name = o.tokens_cut_by_name, ",
            "revoked_by_kind = o.tokens_cut_by_kind, revoked_by_id = o.tokens_cut_by_id FROM organization o ",
            "WHERE o.id = token.organization_id AND token.id IN (SELECT t.id FROM token t ",
            "JOIN organization c ON c.id = t.organization_id WHERE t.organization_id = $1 AND t.revoked_at IS NULL ",
            "AND t.id <= c.tokens_cut ORDER BY t.id LIMIT $2) RETURNING token.name_freed_at"
        )
    ).bind(organization).bind(AT_ONCE).fetch_all(&mut *c))?;
    // Those that had ended before were counted no more.
    let lived = followed.iter().filter(|freed| freed.is_none()).count();
    execute!(
        tx.conn(),
        sqlx::query("UPDATE organization SET token_count = token_count - $2 WHERE id = $1")
            .bind(organization)
            .bind(i64::try_from(lived).unwrap_or(i64::MAX))
    )?;
    Ok(followed.len() as u64)
}
