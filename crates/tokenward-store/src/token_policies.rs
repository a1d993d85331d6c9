//! What organizations ask of the lives of their tokens. It lies in the row of the organization.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tokenward_core::caller::Grant;
use tokenward_core::life::OnReuse;
use tokenward_core::permission::Management;
use tokenward_core::time::Micros;
use tokenward_core::token_policy::{Rules, TokenPolicy};
use tokenward_core::{Error, Result, Time, Uuid};

use crate::db::{Conn, by_ids, execute, run};
use crate::tx::Tx;

/// What is kept of [`Rules`]: microseconds. What a newer version keeps besides is not ignored but an error: a rule that is not
/// understood would not be followed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRules {
    max_lifetime: Option<Micros>,
    default_lifetime: Option<Micros>,
    end_required: bool,
    max_overlap: Option<Micros>,
    /// Of the organization alone, as what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_reuse: Option<OnReuse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attest_every: Option<Micros>,
}

impl From<Rules> for StoredRules {
    fn from(rules: Rules) -> Self {
        let Rules { max_lifetime, default_lifetime, end_required, max_overlap } = rules;
        Self { max_lifetime, default_lifetime, end_required, max_overlap, on_reuse: None, attest_every: None }
    }
}

impl From<StoredRules> for Rules {
    fn from(kept: StoredRules) -> Self {
        let StoredRules { max_lifetime, default_lifetime, end_required, max_overlap, .. } = kept;
        Self { max_lifetime, default_lifetime, end_required, max_overlap }
    }
}

/// The policy of the organization of the grant, and since when its row is as it is.
pub async fn get(conn: Conn<'_>, grant: &Grant) -> Result<(TokenPolicy, Time)> {
    let row: Option<(Option<String>, i64)> = run!(conn, c => sqlx::query_as(
        "SELECT token_policy, updated_at FROM organization WHERE id = $1 AND deleted_at IS NULL"
    ).bind(grant.organization()).fetch_optional(&mut *c))?;
    let (text, updated_at) = row.ok_or_else(|| Error::not_found("organization"))?;
    Ok((read(text.as_deref())?, Time(updated_at)))
}

/// What the new tokens of an organization are judged by.
#[derive(Clone, Debug)]
pub struct Around {
    /// Its policy.
    pub policy: TokenPolicy,
    /// How many living tokens it has.
    pub count: u64,
    /// Up to which id all of its tokens were taken back at once.
    pub cut: Option<Uuid>,
}

/// The same of these organizations. One that is gone is not among them.
pub async fn of_all(conn: Conn<'_>, organizations: &[Uuid]) -> Result<HashMap<Uuid, Around>> {
    let rows: Vec<(Uuid, Option<String>, i64, Option<Uuid>)> = by_ids(
        conn,
        "SELECT id, token_policy, token_count, tokens_cut FROM organization WHERE deleted_at IS NULL AND id IN",
        organizations,
    )
    .await?;
    let around = |(id, text, count, cut): (Uuid, Option<String>, i64, _)| {
        Ok((id, Around { policy: read(text.as_deref())?, count: count.unsigned_abs(), cut }))
    };
    rows.into_iter().map(around).collect()
}

/// The organizations that ask whether their tokens are still needed, and how often.
pub async fn asking(conn: Conn<'_>) -> Result<Vec<(Uuid, Micros)>> {
    let rows: Vec<(Uuid, Option<String>)> = run!(conn, c => sqlx::query_as(
        "SELECT id, token_policy FROM organization WHERE deleted_at IS NULL AND token_policy LIKE '%attest_every%' ORDER BY id"
    ).fetch_all(&mut *c))?;
    let mut all = Vec::with_capacity(rows.len());
    for (id, text) in rows {
        all.extend(read(text.as_deref())?.attest_every.map(|every| (id, every)));
    }
    Ok(all)
}

fn read(text: Option<&str>) -> Result<TokenPolicy> {
    let Some(text) = text else { return Ok(TokenPolicy::default()) };
    let (all, roles): (StoredRules, Vec<(Uuid, StoredRules)>) = serde_json::from_str(text).map_err(Error::internal)?;
    let roles = roles.into_iter().map(|(id, kept)| (id, kept.into())).collect();
    let (on_reuse, attest_every) = (all.on_reuse.unwrap_or_default(), all.attest_every);
    Ok(TokenPolicy { all: all.into(), roles, on_reuse, attest_every })
}

/// What is kept of the policy of an organization.
pub async fn kept(conn: Conn<'_>, organization: Uuid) -> Result<Option<String>> {
    let row: Option<(Option<String>,)> = run!(conn, c => sqlx::query_as("SELECT token_policy FROM organization WHERE id = $1")
        .bind(organization).fetch_optional(&mut *c))?;
    Ok(row.and_then(|(text,)| text))
}

/// Asks again what an organization asked once, where it asks less; `since` is as it was kept. Answers whether it did.
pub(crate) async fn tighten(tx: &mut Tx, organization: Uuid, since: &str) -> Result<bool> {
    let row: Option<(Option<String>, i64)> = run!(tx.conn(), c => sqlx::query_as(
        "SELECT token_policy, updated_at FROM organization WHERE id = $1 AND deleted_at IS NULL"
    ).bind(organization).fetch_optional(&mut *c))?;
    let Some((text, updated_at)) = row else { return Ok(false) };
    let older = read(text.as_deref())?;
    let policy = older.clone().with(&read(Some(since))?);
    if policy == older {
        return Ok(false);
    }
    let now = tx.next_version(Time(updated_at));
    write(tx, organization, &policy, now).await?;
    Ok(true)
}

/// Writes the policy of the organization of the grant.
pub async fn set(tx: &mut Tx, grant: &Grant, policy: &TokenPolicy, now: Time) -> Result<()> {
    grant.permits(Management::OrganizationEdit)?;
    write(tx, grant.organization(), policy, now).await
}

async fn write(tx: &mut Tx, organization: Uuid, policy: &TokenPolicy, now: Time) -> Result<()> {
    let roles: Vec<(Uuid, StoredRules)> =
        policy.roles.iter().map(|(id, rules)| (*id, StoredRules::from(*rules))).collect();
    let on_reuse = Some(policy.on_reuse).filter(|it| *it != OnReuse::default());
    let all = StoredRules { on_reuse, attest_every: policy.attest_every, ..StoredRules::from(policy.all) };
    let text = serde_json::to_string(&(all, roles)).map_err(Error::internal)?;
    execute!(
        tx.conn(),
        sqlx::query("UPDATE organization SET token_policy = $2, updated_at = $3 WHERE id = $1 AND deleted_at IS NULL")
            .bind(organization)
            .bind(text)
            .bind(now.0)
    )?;
    Ok(())
}
