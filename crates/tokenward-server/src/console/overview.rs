//! An organization at a glance: how its tokens are used, what ends soon, what was changed last.

use std::collections::HashMap;

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::time::{DAY, Micros};
use tokenward_core::token::TokenState;
use tokenward_core::{Result, Time, Uuid};

use super::decisions::reason_words;
use super::events;
use super::form::{Pairs, Query};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::view::{Bars, EndMark, GrantedView, Nav, OverviewPage, PartRow};
use super::words::{grouped, role_name};
use crate::service::limit_warnings;
use crate::service::token_list::{self, Filter};
use crate::service::token_use::{self, Count, GrantedUsed, Group, UsageFilter, date, day};
use crate::service::usage;

/// Days that pictures show.
pub(super) const DAYS: usize = 30;
/// Days in which an end is soon enough for the strip.
const AHEAD: i64 = 90;
/// Tokens that are named on the strip.
const NAMED: usize = 12;
/// Roles that are named.
const ROLES: usize = 10;
/// Changes that are shown.
const CHANGES: i64 = 8;
/// The spans of last use, up to so long ago.
const AGES: [(&str, Micros); 4] =
    [("today", DAY), ("in 7 days", 7 * DAY), ("in 30 days", 30 * DAY), ("in 90 days", 90 * DAY)];

/// What is to be known of all tokens: looked through part by part.
#[derive(Default)]
struct OverviewCounts {
    tokens: usize,
    ends: Vec<(Time, String, Uuid)>,
    roles: HashMap<Uuid, i64>,
    /// As [`AGES`], then longer ago, then never.
    ages: [i64; AGES.len() + 2],
}

impl OverviewCounts {
    async fn of(person: &SignedIn, grant: &Grant) -> Result<Self> {
        let (mut survey, now, mut after) = (Self::default(), person.app.now(), None);
        let living = Filter::of(Kind::Token);
        loop {
            let (part, last) = token_list::part(&person.app, grant, &living, after, 500).await?;
            let used = usage::of(&person.app, grant, &part).await?;
            for token in &part {
                survey.tokens += 1;
                *survey.roles.entry(token.role_id).or_default() += 1;
                let age = used.get(&token.id).and_then(|it| it.total.last_used_at).map(|at| now.0 - at.0);
                let place = match age {
                    None => AGES.len() + 1,
                    Some(age) => AGES.iter().position(|(_, most)| age < *most).unwrap_or(AGES.len()),
                };
                survey.ages[place] += 1;
                let ends = token.expires_at.filter(|at| now < *at && *at < now.plus(AHEAD * DAY));
                if let Some(at) = ends.filter(|_| token.state(now) != TokenState::Disabled) {
                    survey.ends.push((at, token.name.clone(), token.id));
                }
            }
            after = last;
            if after.is_none() {
                survey.ends.sort_unstable();
                return Ok(survey);
            }
        }
    }
}

/// `GET …/overview`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::TokenRead)?;
    query.understood(&[])?;
    let now = person.app.now();
    let today = day(now);
    let from = today + 1 - DAYS as i64;
    let sought = |group| UsageFilter { from, to: today, group, limit: 1_000 };
    let by_day = token_use::sums(&person.app, &grant, sought(Group { day: true, ..Group::default() })).await?;
    let by_reason = token_use::sums(&person.app, &grant, sought(Group { reason: true, ..Group::default() })).await?;
    let mut days = vec![(0, 0); DAYS];
    for row in &by_day.rows {
        let at = row.day.and_then(|day| usize::try_from(day - from).ok());
        if let Some(count) = at.and_then(|at| days.get_mut(at)) {
            *count = (row.allowed, row.denied);
        }
    }
    let sum = |part: fn(&(i64, i64)) -> i64| grouped(days.iter().map(part).sum());
    let shell = person.shell(Some(organization), Nav::Overview).await?;
    let base = shell.base();
    let may_see = person.can(organization, Management::TokenVerify);
    let mut reasons: Vec<_> =
        by_reason.rows.iter().filter_map(|row| Some((row.reason.as_deref()?, row.denied))).collect();
    reasons.sort_by_key(|(reason, count)| (-count, *reason));
    let reasons = reasons.into_iter().map(|(reason, count)| {
        (reason_words(reason), may_see.then(|| format!("{base}/decisions?reason={reason}")), count)
    });
    let survey = OverviewCounts::of(&person, &grant).await?;
    let mut roles: Vec<_> = {
        let directory = person.app.verifier.directory();
        let found = directory.organization(organization);
        let name = |id: Uuid| found.and_then(|it| it.role(id)).map(|role| role_name(role)).unwrap_or_default();
        let may = person.can(organization, Management::RoleRead);
        survey.roles.iter().map(|(id, n)| (name(*id), may.then(|| format!("{base}/roles/{id}")), *n)).collect()
    };
    roles.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    if let Some(rest) = roles.get(ROLES..).filter(|rest| !rest.is_empty()) {
        let others = (format!("{} other roles", rest.len()), None, rest.iter().map(|it| it.2).sum());
        roles.truncate(ROLES);
        roles.push(others);
    }
    let labels = AGES.iter().map(|(label, _)| (*label).to_owned()).chain(["longer ago".to_owned(), "never".to_owned()]);
    let ages = labels.zip(survey.ages).map(|(label, count)| (label, None, count));
    let changes = match person.may(organization, Management::EventRead) {
        Ok(grant) => Some(events::last(&person, &grant, &base, CHANGES).await?),
        Err(_) => None,
    };
    let top = Bars::top(&days);
    let mark = |(at, name, id): &(Time, String, Uuid)| EndMark {
        id: id.to_string(),
        name: name.clone(),
        ends: person.moment(*at),
        x: usize::try_from((at.0 - now.0).max(0) / (AHEAD * DAY / 896)).unwrap_or(896).min(896),
    };
    let shown = OverviewPage {
        uses: Bars::new(&days, top, 100),
        sums: (sum(|it| it.0), sum(|it| it.1)),
        top: grouped(top),
        since: date(from),
        reasons: PartRow::rows(reasons.collect(), grouped),
        ends: survey.ends.iter().take(NAMED).map(mark).collect(),
        ending: survey.ends.len(),
        roles: PartRow::rows(roles, grouped),
        ages: PartRow::rows(ages.collect(), grouped),
        tokens: survey.tokens,
        changes,
        limits: limit_warnings::sentences(&person.app, &grant).await?,
        shell,
    };
    page(StatusCode::OK, &shown)
}

/// The uses of each of these tokens in the last 30 days as pictures on one axis. Of those that were not used there is none.
pub(super) async fn pictures(
    person: &SignedIn,
    grant: &Grant,
    tokens: &[Uuid],
    height: usize,
) -> Result<HashMap<Uuid, Bars>> {
    let all = token_use::last_days(&person.app, grant, tokens, DAYS).await?;
    let pairs = |counts: &[Count]| counts.iter().map(|it| (it.allowed, it.denied)).collect::<Vec<_>>();
    let all: HashMap<Uuid, Vec<(i64, i64)>> = all.iter().map(|(id, counts)| (*id, pairs(counts))).collect();
    let top = all.values().map(|days| Bars::top(days)).max().unwrap_or_default();
    Ok(all.into_iter().map(|(id, days)| (id, Bars::new(&days, top, height))).collect())
}

/// The spans of time in which is looked for what was used.
pub(super) const SPANS: [i64; 2] = [30, 90];

/// In how many days a page asks what was used.
pub(super) fn span(query: &Pairs) -> Result<i64> {
    let word = query.one_of("days", ["30", "90"].into_iter())?;
    Ok(if word == "90" { SPANS[1] } else { SPANS[0] })
}

/// What was granted and what of it was used, for the page at `path`. `like` is the role that another one can be made of.
pub(super) fn granted(
    person: &SignedIn,
    organization: Uuid,
    compared: &GrantedUsed,
    (days, path): (i64, &str),
    like: Option<Uuid>,
) -> GrantedView {
    let mut used: Vec<(String, String, i64)> = compared
        .granted
        .iter()
        .flat_map(|it| it.used.iter().map(|used| (used.permission.clone(), date(used.day), used.tokens)))
        .collect();
    used.sort();
    used.dedup();
    let least = compared.least();
    let same =
        compared.granted.len() == least.len() && compared.granted.iter().all(|it| least.contains(&it.permission));
    let make =
        like.filter(|_| !least.is_empty() && !same && person.can(organization, Management::RoleManage)).map(|role| {
            let like = role.to_string();
            let pairs = [("like", like.as_str()), ("only", &least.join(" "))];
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            format!("/console/{organization}/roles/new?{query}")
        });
    let other = SPANS.into_iter().find(|it| *it != days).unwrap_or(days);
    GrantedView {
        used,
        unused: compared.unused().map(str::to_owned).collect(),
        gone: compared.gone.iter().map(|it| it.permission.clone()).collect(),
        since: date(compared.since),
        days,
        other: (other, format!("{path}?days={other}")),
        make,
    }
}
