//! How tokens were used from day to day, and what of their permissions.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde::Deserialize;
use tokenward_api::decisions::{RoleReference, TokenReference};
use tokenward_api::usage::{GrantedPermission, NotCounted, PermissionUse, Usage, UsageSum, UsedPermission};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Uuid};

use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use super::extract::Params;
use super::json;
use super::pieces::{self, Piece};
use super::right::PathResource;
use super::token_csv::is_wanted;
use super::understood::QueryKind;
use crate::limits::{USAGE_DAYS, USAGE_ROWS};
use crate::service::App;
use crate::service::log_format::csv_line;
use crate::service::token_use::{self, GrantedUsed, Group, Sum, Sums, UsageFilter, Used, date, day, read_date};

/// Days in an answer where nobody says which.
const USUAL: i64 = 30;
/// The words by which sums are told apart.
const WORDS: [&str; 4] = ["day", "token", "role", "reason"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/usage", list)
            .needs(Management::TokenRead, PathResource::Organization)
            .about(
                "API tokens",
                "How tokens were used from day to day: sums of what was allowed and denied, kept for 90 days. With `Accept: \
                 text/csv` they are a table. A use counts within a minute.",
            )
            .query(&[
                ("from", "The first day (UTC), as in 2026-11-01. Default: 29 days before `to`."),
                ("to", "The last day, which is among them. Default: today."),
                ("group", "By what sums are told apart: `day`, `token`, `role`, `reason`, with commas between them. Default: `day`."),
            ])
            .answers::<Usage>(200),
        get("/organization/{organizationId}/usage/permissions", permissions)
            .needs(Management::TokenRead, PathResource::Organization)
            .about(
                "API tokens",
                "Which permissions of your API were used of those that a role or a token has, and which were not.",
            )
            .query(&[
                ("role_id", "Of this role: by all tokens that have it."),
                ("token_id", "Of this token."),
                ("days", "In how many days, up to 90. Default: 30."),
            ])
            .query_kinds(&[("role_id", QueryKind::Id), ("token_id", QueryKind::Id), ("days", QueryKind::Number)])
            .answers::<PermissionUse>(200)
            .errors(&[404]),
    ]
}

#[derive(Deserialize)]
struct ListQuery {
    from: Option<String>,
    to: Option<String>,
    group: Option<String>,
}

impl ListQuery {
    fn sought(&self, today: i64) -> Result<UsageFilter, Error> {
        let mut faults = Faults::default();
        let mut read = |name: &str, text: &Option<String>| {
            let text = text.as_deref().filter(|text| !text.is_empty())?;
            let day = read_date(text);
            if day.is_none() {
                faults.push(name, "is no day, such as 2026-11-30");
            }
            day
        };
        let (from, to) = (read("from", &self.from), read("to", &self.to));
        let to = to.unwrap_or(today);
        let from = from.unwrap_or(to.saturating_sub(USUAL - 1));
        if from > to {
            faults.push("from", "is later than `to`");
        }
        let mut group = Group::default();
        for word in self.group.as_deref().filter(|it| !it.is_empty()).unwrap_or("day").split(',') {
            match word {
                "day" => group.day = true,
                "token" => group.token = true,
                "role" => group.role = true,
                "reason" => group.reason = true,
                _ => {
                    let problem =
                        format!("holds what sums cannot be told apart by; it is some of {}", WORDS.join(", "));
                    faults.push("group", problem);
                    break;
                }
            }
        }
        faults.finish()?;
        let limit = i64::try_from(USAGE_ROWS.default).unwrap_or(i64::MAX);
        Ok(UsageFilter { from, to, group, limit })
    }
}

fn words(group: Group) -> Vec<String> {
    let held = [group.day, group.token, group.role, group.reason];
    WORDS.iter().zip(held).filter(|(_, held)| *held).map(|(word, _)| (*word).to_owned()).collect()
}

fn body(sum: &Sum, sums: &Sums) -> UsageSum {
    let token = |id: Uuid| TokenReference { id, name: sums.tokens.get(&id).cloned() };
    let role = |id: Uuid| Some(RoleReference { id, name: sums.roles.get(&id)?.clone() });
    UsageSum {
        day: sum.day.map(date),
        token: sum.token_id.filter(|id| !id.is_nil()).map(token),
        role: sum.role_id.and_then(role),
        reason: sum.reason.clone(),
        allowed: sum.allowed,
        denied: sum.denied,
    }
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let sought = query.sought(day(app.now()))?;
    let sums = token_use::sums(&app, &grant, sought).await?;
    let results: Vec<UsageSum> = sums.rows.iter().map(|sum| body(sum, &sums)).collect();
    if is_wanted(&headers) {
        return Ok(table(&results).await?);
    }
    let lost = app.verifier.lost();
    let not_counted = NotCounted {
        uses: app.verifier.uses_waiting().1,
        strangers: lost.strangers,
        denials: lost.denials,
        permissions: lost.permissions,
    };
    let group = words(sought.group);
    let (from, to) = (date(sought.from), date(sought.to));
    let answer = Usage { from, to, group, results, truncated: sums.more, not_counted };
    Ok(json::listed(grant.organization(), answer.results.len(), move || answer).await?)
}

/// The same as a table (RFC 4180).
async fn table(sums: &[UsageSum]) -> tokenward_core::Result<Response> {
    let head = csv_line(["day", "token_id", "token_name", "role_id", "role_name", "reason", "allowed", "denied"]);
    let line = |sum: &UsageSum| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let token = sum.token.as_ref();
        let role = sum.role.as_ref();
        let cells = [
            text(&sum.day),
            token.map(|it| it.id.to_string()).unwrap_or_default(),
            token.and_then(|it| it.name.clone()).unwrap_or_default(),
            role.map(|it| it.id.to_string()).unwrap_or_default(),
            role.map(|it| it.name.clone()).unwrap_or_default(),
            text(&sum.reason),
            sum.allowed.to_string(),
            sum.denied.to_string(),
        ];
        csv_line(cells.iter().map(String::as_str))
    };
    let lines: Vec<String> = sums.iter().map(line).collect();
    let all = move |_: Option<Uuid>| {
        let entries = lines.clone();
        async move { Ok(Piece { entries, last: None }) }
    };
    let mut response = pieces::lines("text/csv; charset=utf-8", head, all).await?;
    let name = HeaderValue::from_static("attachment; filename=\"usage.csv\"");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

#[derive(Deserialize)]
struct PermissionQuery {
    role_id: Option<Uuid>,
    token_id: Option<Uuid>,
    days: Option<u64>,
}

async fn permissions(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<PermissionQuery>,
) -> Result<Json<PermissionUse>, ApiError> {
    let days = query.days.unwrap_or(30);
    if !(1..=USAGE_DAYS.default).contains(&days) {
        let problem = format!("must be at least 1; {}", USAGE_DAYS.in_words(USAGE_DAYS.default));
        return Err(Error::invalid("days", problem).into());
    }
    let days = i64::try_from(days).unwrap_or(i64::MAX);
    let compared = match (query.role_id, query.token_id) {
        (Some(role), None) => token_use::of_role(&app, &grant, role, days).await?,
        (None, Some(token)) => token_use::of_token(&app, &grant, token, days).await?,
        (None, None) => return Err(Error::invalid("role_id", "is missing, or `token_id` is").into()),
        (Some(_), Some(_)) => return Err(Error::invalid("token_id", "does not go with `role_id`").into()),
    };
    let GrantedUsed { granted, gone, since, tokens } = &compared;
    let used =
        |it: &Used| UsedPermission { permission: it.permission.clone(), last_used_on: date(it.day), tokens: it.tokens };
    let granted = granted
        .iter()
        .map(|it| GrantedPermission { permission: it.permission.clone(), used: it.used.iter().map(used).collect() });
    Ok(Json(PermissionUse {
        since: date(*since),
        tokens: *tokens as u64,
        granted: granted.collect(),
        unused: compared.unused().map(str::to_owned).collect(),
        least: compared.least(),
        gone: gone.iter().map(used).collect(),
    }))
}
