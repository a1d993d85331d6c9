//! How tokens were used from day to day, and which permissions of the organization's own API were used of those that were granted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate};
use tokenward_core::caller::Grant;
use tokenward_core::permission::{Pattern, Permission};
use tokenward_core::role::{Role, Scope};
use tokenward_core::time::DAY;
use tokenward_core::{Error, Result, Time, Uuid};
pub use tokenward_store::usage_days::{Group, Sum, UsageFilter, Used, day};
use tokenward_store::{denials, tokens, usage_days};
use tokenward_verify::server::DenialTerms;

use super::App;
use crate::limits::{DENIAL_DAYS, DENIALS, PERMISSIONS_USED, USAGE_DAYS};

/// How often what is kept no longer is deleted.
const EVERY: Duration = Duration::from_secs(3_600);

/// The date of a day, as in 2026-11-30.
#[must_use]
pub fn date(day: i64) -> String {
    let at = DateTime::from_timestamp(day.saturating_mul(DAY / 1_000_000), 0);
    at.map(|at| at.date_naive().to_string()).unwrap_or_default()
}

/// The day of a date; `None` for what is none.
#[must_use]
pub fn read_date(text: &str) -> Option<i64> {
    let date: NaiveDate = text.parse().ok()?;
    // The form that is written, and no other one.
    (date.to_string() == text).then(|| day(Time(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())))
}

/// Sums with the names of what they are about.
#[derive(Clone, Default, Debug)]
pub struct Sums {
    /// The sums.
    pub rows: Vec<Sum>,
    /// Are there more than were asked for?
    pub more: bool,
    /// The names of the tokens.
    pub tokens: HashMap<Uuid, String>,
    /// The names of the roles.
    pub roles: HashMap<Uuid, String>,
}

/// The use of the organization's tokens.
pub async fn sums(app: &Arc<App>, grant: &Grant, sought: UsageFilter) -> Result<Sums> {
    let mut reader = app.read_for(grant).await?;
    let wanted = usize::try_from(sought.limit).unwrap_or(usize::MAX);
    let mut rows =
        usage_days::sums(reader.conn(), grant, &UsageFilter { limit: sought.limit.saturating_add(1), ..sought })
            .await?;
    let more = rows.len() > wanted;
    rows.truncate(wanted);
    let mut ids: Vec<Uuid> = rows.iter().filter_map(|row| row.token_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let tokens = tokens::names(reader.conn(), grant, &ids).await?;
    let directory = app.verifier.directory();
    let organization = directory.organization(grant.organization()).ok_or_else(|| Error::not_found("organization"))?;
    let role = |id: Uuid| Some((id, organization.role(id)?.name.to_string()));
    let roles = rows.iter().filter_map(|row| row.role_id).filter_map(role).collect();
    Ok(Sums { rows, more, tokens, roles })
}

/// What came of something on one day.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// How often the answer was yes.
    pub allowed: i64,
    /// How often it was no.
    pub denied: i64,
}

/// The use of tokens on the last `days` days, today last.
pub async fn last_days(app: &Arc<App>, grant: &Grant, ids: &[Uuid], days: usize) -> Result<HashMap<Uuid, Vec<Count>>> {
    let today = day(app.now());
    let from = today + 1 - i64::try_from(days).unwrap_or(i64::MAX);
    let mut reader = app.read_for(grant).await?;
    let mut all: HashMap<Uuid, Vec<Count>> = HashMap::new();
    for row in usage_days::of_tokens(reader.conn(), grant, ids, from).await? {
        let counts = all.entry(row.token_id).or_insert_with(|| vec![Count::default(); days]);
        let at = usize::try_from(row.day - from).unwrap_or(usize::MAX);
        if let Some(count) = counts.get_mut(at) {
            *count = Count { allowed: row.allowed, denied: row.denied };
        }
    }
    Ok(all)
}

/// A permission that was granted, and what was used of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// The permission, as the role names it: `invoices:*`.
    pub permission: String,
    /// What was used of it.
    pub used: Vec<Used>,
}

/// What was granted, and what was used of it.
#[derive(Clone, Default, Debug)]
pub struct GrantedUsed {
    /// Each permission of your API that is granted.
    pub granted: Vec<Granted>,
    /// What was used and is not granted any more.
    pub gone: Vec<Used>,
    /// Since which day: nothing is known of earlier ones.
    pub since: i64,
    /// So many tokens were looked at.
    pub tokens: usize,
}

impl GrantedUsed {
    /// What was granted and never used.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        self.granted.iter().filter(|it| it.used.is_empty()).map(|it| it.permission.as_str())
    }

    /// The permissions that were used and are granted: what a role has to hold at least.
    #[must_use]
    pub fn least(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.granted.iter().flat_map(|it| it.used.iter().map(|used| used.permission.clone())).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What the tokens with a role have used of it in the last `days` days.
pub async fn of_role(app: &Arc<App>, grant: &Grant, role: Uuid, days: i64) -> Result<GrantedUsed> {
    let today = day(app.now());
    let most = i64::try_from(PERMISSIONS_USED.default).unwrap_or(i64::MAX);
    let mut reader = app.read_for(grant).await?;
    let used = usage_days::used_by_role(reader.conn(), grant, role, today + 1 - days, most).await?;
    let first = usage_days::first_day(reader.conn(), grant).await?;
    let counts = tokens::count_by_role(reader.conn(), grant).await?;
    let tokens = counts.into_iter().find(|(id, _)| *id == role).map_or(0, |(_, count)| count);
    let role = role_of(app, grant, role)?;
    let patterns: Vec<Pattern> = patterns_of(&role);
    let tokens = usize::try_from(tokens).unwrap_or_default();
    Ok(GrantedUsed { tokens, ..compare(&patterns, used, since(first, today, days)) })
}

/// What a token has used of what it may, in the last `days` days.
pub async fn of_token(app: &Arc<App>, grant: &Grant, token: Uuid, days: i64) -> Result<GrantedUsed> {
    let today = day(app.now());
    let mut reader = app.read_for(grant).await?;
    let token = tokens::find(reader.conn(), grant, token, app.now()).await?;
    let used = usage_days::used_by_token(reader.conn(), grant, token.id, today + 1 - days).await?;
    let first = usage_days::first_day(reader.conn(), grant).await?;
    let since = since(first, today, days).max(day(token.created_at));
    let role = role_of(app, grant, token.role_id)?;
    let mut patterns = patterns_of(&role);
    if !token.permissions.is_empty()
        && let Ok(scope) = Scope::parse(&token.permissions)
    {
        patterns = patterns.iter().flat_map(|held| scope.api().iter().filter_map(move |it| held.and(it))).collect();
        patterns.sort_unstable();
        patterns.dedup();
    }
    Ok(GrantedUsed { tokens: 1, ..compare(&patterns, used, since) })
}

fn role_of(app: &App, grant: &Grant, role: Uuid) -> Result<Arc<Role>> {
    let directory = app.verifier.directory();
    let found = directory.organization(grant.organization()).and_then(|it| it.role(role)).cloned();
    found.ok_or_else(|| Error::not_found("role"))
}

/// The permissions of the organization's own API that a role holds.
fn patterns_of(role: &Role) -> Vec<Pattern> {
    role.permissions().iter().filter_map(|text| Pattern::parse(text).ok()).collect()
}

fn since(first: Option<i64>, today: i64, days: i64) -> i64 {
    first.unwrap_or(today).max(today + 1 - days)
}

fn compare(patterns: &[Pattern], used: Vec<Used>, since: i64) -> GrantedUsed {
    let parts = |it: &Used| match Permission::parse(&it.permission) {
        Ok(Permission::Api { noun, verb }) => Some((noun.to_owned(), verb.to_owned())),
        _ => None,
    };
    let covers = |pattern: &Pattern, it: &Used| parts(it).is_some_and(|(noun, verb)| pattern.matches(&noun, &verb));
    let granted = patterns.iter().map(|pattern| Granted {
        permission: pattern.to_string(),
        used: used.iter().filter(|it| covers(pattern, it)).cloned().collect(),
    });
    let granted = granted.collect();
    let gone = used.into_iter().filter(|it| !patterns.iter().any(|pattern| covers(pattern, it))).collect();
    GrantedUsed { granted, gone, since, tokens: 0 }
}

/// The terms of denials, as the limits say.
#[must_use]
pub fn denial_terms(app: &App) -> DenialTerms {
    let number = |limit| i64::try_from(app.limits.get(limit)).unwrap_or(i64::MAX);
    DenialTerms { most: number(&DENIALS), age: number(&DENIAL_DAYS).saturating_mul(DAY) }
}

/// Deletes what is kept no longer, again and again, until it is dropped.
pub async fn run(app: Arc<App>) {
    loop {
        app.verifier.set_denial_terms(denial_terms(&app));
        match prune(&app).await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "counts and denials that are kept no longer are deleted"),
            Err(error) => {
                let cause = &error.cause;
                tracing::error!(%error, ?cause, "cannot delete counts and denials that are kept no longer; trying again in an hour");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Deletes what is kept no longer. Answers how many rows that were.
pub async fn prune(app: &Arc<App>) -> Result<u64> {
    let now = app.now();
    let mut tx = app.store.begin_unlogged().await?;
    let days = i64::try_from(USAGE_DAYS.default).unwrap_or(i64::MAX);
    let counts = usage_days::prune(&mut tx, day(now) + 1 - days).await?;
    let denials = denials::prune(&mut tx, now.plus(-denial_terms(app).age)).await?;
    tx.commit().await?;
    Ok(counts + denials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_day_and_nothing_else() {
        assert_eq!(read_date("1970-01-02"), Some(1));
        assert_eq!(date(1), "1970-01-02");
        for text in ["", "1970-1-2", "1970-01-02T00:00:00Z", "1970-02-30", "+1970-01-02"] {
            assert_eq!(read_date(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_used_is_found_below_what_was_granted() {
        let used = |permission: &str| Used { permission: permission.into(), day: 7, tokens: 1 };
        let patterns = ["invoices:*", "orders:read", "refunds:write"].map(|it| Pattern::parse(it).unwrap());
        let all = vec![used("invoices:read"), used("orders:read"), used("users:read")];
        let compared = compare(&patterns, all, 3);
        assert_eq!(compared.unused().collect::<Vec<_>>(), ["refunds:write"]);
        assert_eq!(compared.least(), ["invoices:read", "orders:read"]);
        assert_eq!(compared.gone, [used("users:read")]);
    }
}
