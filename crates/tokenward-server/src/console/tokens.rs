//! API tokens: the list, one token, and how it comes and goes.

use axum::Extension;
use axum::http::{HeaderValue, StatusCode};
use chrono::{Days, NaiveDate};
use tokenward_core::caller::Grant;
use tokenward_core::event::ActorKind;
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, RoleKind};
use tokenward_core::time::{DAY, Micros, length, length_text};
use tokenward_core::token::{Revocation, RevokeReason, Token, TokenState as Core, TokenVersion};
use tokenward_core::{Error, Result, Time, Uuid};

use super::confirm::Confirmation;
use super::decisions;
use super::done::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageError, PageResult, page};
use super::paging::{PAGE, place};
use super::person::SignedIn;
use super::proof;
use super::role_choices::role_choices;
use super::view::{
    Chip, Choice, DecisionRow, Expiry, ExpiryPreset, LastUsed, Nav, ReasonCount, RevocationView, TokenCreatedPage,
    TokenDeletePage, TokenEditPage, TokenEffect, TokenForm, TokenNewPage, TokenPage, TokenRotatePage, TokenRow,
    TokenState, TokenUsage, TokensPage, VersionRow,
};
use super::words::{agent, count, grouped, points, role_tag, token_state};
use crate::service::tokens::{self, Filter, NewToken, TokenChange};
use crate::service::usage::{self, TokenUsage as TokenUse};
use crate::service::{App, IfMatch};

/// Tokens that are looked at together.
const PART: usize = 500;
/// Decisions on a token's page.
const SHOWN: usize = 10;
/// From when on a token counts as unused.
const UNUSED: i64 = 90 * DAY;
/// A token that was used within this time is in use.
const IN_USE: i64 = 7 * DAY;
/// The lengths of life that are offered, in days.
const PRESETS: [(i64, &str); 3] = [(30, "30 days"), (90, "90 days"), (365, "1 year")];
/// The one that is chosen until somebody chooses.
const USUAL: &str = "90";
/// What stands for the end that a token has.
const KEEP: &str = "keep";

/// `GET …/tokens`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::TokenRead)?;
    let shell = person.shell(Some(organization), Nav::Tokens).await?;
    let base = format!("{}/tokens", shell.base());
    let search = query.understood(&["q", "filter", "page"])?.line("q");
    let filter = query.one_of("filter", FILTERS.iter().chain([&DELETED]).map(|(name, _)| *name))?.to_owned();
    let survey = Survey::of(&person, &grant, &search, &filter).await?;
    let chip = |(n, (name, label)): (usize, (&str, &str))| Chip {
        label: label.into(),
        href: address(&base, &search, name),
        count: Some(survey.counts[n].to_string()),
        current: name == filter,
    };
    let mut chips: Vec<Chip> = FILTERS.into_iter().enumerate().map(chip).collect();
    let (name, label) = DELETED;
    let href = address(&base, &search, name);
    chips.push(Chip { label: label.into(), href, count: None, current: name == filter });
    let (before, pager) = place(survey.found.len(), &base, &query, "page");
    let ids: Vec<Uuid> = survey.found.iter().skip(before).take(PAGE).map(|(_, id)| *id).collect();
    let mut on_page = if filter == DELETED.0 {
        let mut found = Vec::with_capacity(ids.len());
        for id in &ids {
            found.push(tokens::find(&person.app, &grant, *id).await?);
        }
        found
    } else {
        tokens::these(&person.app, &grant, &ids).await?
    };
    on_page.sort_by_key(|token| ids.iter().position(|id| *id == token.id));
    let used = usage::of(&person.app, &grant, &on_page).await?;
    let tokens = TokensPage {
        tokens: on_page.iter().map(|token| row(&person.app, token, used.get(&token.id))).collect(),
        total: survey.counts[0].max(survey.found.len()),
        pager,
        search,
        filter,
        chips,
        may_create: person.can(organization, Management::TokenManage),
        may_delete: person.can(organization, Management::TokenManage),
        shows_last_used: true,
        warning: survey.warning,
        shell,
    };
    page(StatusCode::OK, &tokens)
}

/// The filters of the list: what the query says, and what people read. The first takes all.
const FILTERS: [(&str, &str); 5] = [
    ("", "All"),
    ("soon", "Expiring"),
    ("unused", "Unused for 90 days"),
    ("expired", "Expired"),
    ("disabled", "Disabled"),
];
/// The filter for what was taken back, which the others leave out.
const DELETED: (&str, &str) = ("deleted", "Deleted");

/// Does a token fit a filter?
fn fits(filter: &str, token: &Token, used: Option<&TokenUse>, now: Time) -> bool {
    match (filter, state_of(token, now)) {
        ("soon", state) => matches!(state, TokenState::Soon(_)),
        ("expired", state) => state == TokenState::Expired,
        ("disabled", state) => state == TokenState::Disabled,
        ("deleted", state) => state == TokenState::Revoked,
        ("unused", _) => unused(token, used, now),
        _ => true,
    }
}

/// What a token is in, as pages show it.
fn state_of(token: &Token, now: Time) -> TokenState {
    match token.state(now) {
        Core::Revoked => TokenState::Revoked,
        Core::Disabled => TokenState::Disabled,
        Core::Active | Core::Expired => token_state(token.expires_at, now),
    }
}

/// What is to be known of all tokens for a page of some: looked through part by part, and never kept as a whole.
#[derive(Default)]
struct Survey {
    /// How many fit each filter.
    counts: [usize; FILTERS.len()],
    /// Those that are wanted, by name.
    found: Vec<(String, Uuid)>,
    /// The first that is worth one: its id, and what is said of it.
    warning: Option<(String, String)>,
}

impl Survey {
    async fn of(person: &SignedIn, grant: &Grant, search: &str, filter: &str) -> Result<Self> {
        let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
        let (now, mut survey, mut after) = (person.app.now(), Self::default(), None);
        if filter == DELETED.0 {
            survey.find_deleted(person, grant, &words).await?;
        }
        loop {
            let (part, last) = tokens::part(&person.app, grant, &Filter::default(), after, PART).await?;
            let used = usage::of(&person.app, grant, &part).await?;
            for token in &part {
                let used = used.get(&token.id);
                for (count, (name, _)) in survey.counts.iter_mut().zip(FILTERS) {
                    *count += usize::from(fits(name, token, used, now));
                }
                if fits(filter, token, used, now) && words.iter().all(|word| matches(token, word)) {
                    survey.found.push((token.name.to_lowercase(), token.id));
                }
                if survey.warning.is_none() {
                    survey.warning = used.and_then(|used| Some((token.id.to_string(), warning(person, token, used)?)));
                }
            }
            after = last;
            if after.is_none() {
                survey.found.sort();
                return Ok(survey);
            }
        }
    }
}

impl Survey {
    /// Finds those that were taken back.
    async fn find_deleted(&mut self, person: &SignedIn, grant: &Grant, words: &[String]) -> Result<()> {
        let deleted = Filter { state: Some(Core::Revoked), ..Filter::default() };
        let mut after = None;
        loop {
            let (part, last) = tokens::part(&person.app, grant, &deleted, after, PART).await?;
            let wanted = part.iter().filter(|token| words.iter().all(|word| matches(token, word)));
            self.found.extend(wanted.map(|token| (token.name.to_lowercase(), token.id)));
            after = last;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Was the token there for 90 days and never used in them?
fn unused(token: &Token, used: Option<&TokenUse>, now: Time) -> bool {
    let last = used.and_then(|used| used.total.last_used_at).unwrap_or(token.created_at);
    now >= last.max(token.created_at).plus(UNUSED)
}

/// What to say of a token that is in use and ends soon.
fn warning(person: &SignedIn, token: &Token, used: &TokenUse) -> Option<String> {
    let now = person.app.now();
    let last = used.total.last_used_at.filter(|last| now < last.plus(IN_USE))?;
    let TokenState::Soon(left) = state_of(token, now) else { return None };
    Some(format!("“{}” is in use (last: {}) and ends soon: {left}.", token.name, person.moment(last).relative))
}

/// Does a word stand in the name, the creator, or the end of the text?
fn matches(token: &Token, word: &str) -> bool {
    let contains = |text: &str| text.to_lowercase().contains(word);
    contains(&token.name) || token.creator_name.as_deref().is_some_and(contains) || contains(&token.last_four)
}

fn address(base: &str, search: &str, filter: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in [("q", search), ("filter", filter)] {
        if !value.is_empty() {
            query.append_pair(key, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

/// A token as lists and pages show it.
pub(super) fn row(app: &App, token: &Token, used: Option<&TokenUse>) -> TokenRow {
    let now = app.now();
    let moment = |at| super::view::Moment::new(at, now);
    let directory = app.verifier.directory();
    TokenRow {
        id: token.id.to_string(),
        name: token.name.clone(),
        description: token.description.clone(),
        hint: format!("…{}", token.last_four),
        role: role_tag(directory.organization(token.organization_id), token.role_id, &token.role_name),
        creator: token.creator_name.as_ref().map(|name| match token.creator_kind {
            Some(ActorKind::Token) => format!("{name} (token)"),
            _ => name.clone(),
        }),
        created: moment(token.created_at),
        expires: token.expires_at.map(moment),
        state: state_of(token, now),
        last_used: used.and_then(|TokenUse { total, .. }| {
            last_used(total.last_used_at?, total.last_used_from.as_deref(), total.last_used_agent.as_deref(), now)
        }),
    }
}

fn last_used(at: Time, from: Option<&str>, by: Option<&str>, now: Time) -> Option<LastUsed> {
    let agent = by.map(|words| agent(Some(words)));
    Some(LastUsed { at: super::view::Moment::new(at, now), from: from.map(str::to_owned), agent })
}

/// The secrets of a token as its page shows them.
fn version_rows(token: &Token, versions: Vec<TokenVersion>, used: Option<&TokenUse>, now: Time) -> Vec<VersionRow> {
    let newest = versions.first().map(|it| it.created_at);
    let moment = |at| super::view::Moment::new(at, now);
    let row = |it: TokenVersion| {
        let used = used.and_then(|used| used.versions.get(&it.version));
        let last = used.and_then(|used| used.last_used_at);
        let (from, by) =
            (used.and_then(|it| it.last_used_from.as_deref()), used.and_then(|it| it.last_used_agent.as_deref()));
        VersionRow {
            version: it.version,
            hint: format!("…{}", it.last_four),
            newest: it.version == token.version,
            created: moment(it.created_at),
            ends: it.expires_at.map(moment),
            last_used: last.and_then(|at| last_used(at, from, by, now)),
            still_used: last.zip(newest).is_some_and(|(last, newest)| last > newest),
        }
    };
    versions.into_iter().map(row).collect()
}

/// `GET …/tokens/new`.
pub(super) async fn new(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    new_page(&person, &grant, &Pairs::default(), Problems::default()).await
}

async fn new_page(person: &SignedIn, grant: &Grant, typed: &Pairs, mut problems: Problems) -> PageResult {
    let form = token_form(person, grant, typed, &mut problems, None).await?;
    let shell = person.shell(Some(grant.organization()), Nav::Tokens).await?;
    let password = proof::field_if_asked(&mut problems);
    page(problems.status, &TokenNewPage { shell, form, password, error: problems.rest() })
}

/// The fields of a token, with what was typed; `kept` is when it ends as it is.
async fn token_form(
    person: &SignedIn,
    grant: &Grant,
    typed: &Pairs,
    problems: &mut Problems,
    kept: Option<String>,
) -> Result<TokenForm> {
    let now = person.app.now();
    let usual = if kept.is_some() { KEEP } else { USUAL };
    let chosen = Some(typed.get("expires")).filter(|chosen| !chosen.is_empty()).unwrap_or(usual);
    let until = |days: i64| super::view::Moment::new(now.plus(days * DAY), now).date;
    Ok(TokenForm {
        name: problems.field("name", typed.line("name")),
        description: problems.field("description", typed.text("description").unwrap_or_default()),
        roles: role_choices(person, grant, typed.get("role_id"), problems).await?,
        expiry: Expiry {
            chosen: chosen.to_owned(),
            kept,
            presets: PRESETS
                .map(|(days, label)| ExpiryPreset { value: days.to_string(), label: label.into(), until: until(days) })
                .into(),
            date: problems.field("expires_at", typed.get("expires_on")),
            first_day: day(now).map(|day| day.to_string()).unwrap_or_default(),
        },
    })
}

/// The day on which a moment lies, in UTC.
fn day(at: Time) -> Option<NaiveDate> {
    chrono::DateTime::from_timestamp_micros(at.0).map(|at| at.date_naive())
}

/// When the token is to end; the error is a sentence about the field.
fn expiry(typed: &Pairs, now: Time) -> Result<Option<Time>, &'static str> {
    match typed.get("expires") {
        "never" => Ok(None),
        "date" => {
            let last_day: NaiveDate = typed.get("expires_on").parse().map_err(|_| "Choose a day, as in 2027-01-31.")?;
            let end = last_day.checked_add_days(Days::new(1)).and_then(|day| day.and_hms_opt(0, 0, 0));
            let end = end.ok_or("Choose a day that is nearer.")?.and_utc().timestamp_micros();
            if end <= now.0 { Err("This day is over. Choose a later one.") } else { Ok(Some(Time(end))) }
        }
        days => {
            let preset = PRESETS.iter().find(|(preset, _)| preset.to_string() == days);
            preset.map(|(days, _)| Some(now.plus(days * DAY))).ok_or("Choose when the token ends.")
        }
    }
}

/// `POST …/tokens`: makes the token, and shows its text in the answer, once.
pub(super) async fn create(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let expires_at = match expiry(&typed, person.app.now()) {
        Ok(expires_at) => expires_at,
        Err(problem) => return new_page(&person, &grant, &typed, Problems::one("expires_at", problem)).await,
    };
    // Never without a role: to the service none would mean admin.
    let Some(role_id) = typed.id("role_id") else {
        return new_page(&person, &grant, &typed, Problems::one("role_id", "Choose what the token may do.")).await;
    };
    let new = NewToken {
        name: typed.line("name"),
        description: typed.text("description"),
        role_id: Some(role_id),
        expires_at,
    };
    let created = match proof::given(&person, &typed).await {
        Ok(()) => tokens::create(&person.app, grant.clone(), new).await,
        Err(error) => Err(error),
    };
    match created {
        Ok(created) => secret_page(&person, created.value, StatusCode::CREATED, None).await,
        Err(error) => new_page(&person, &grant, &typed, Problems::of(error)?).await,
    }
}

/// Shows the text of a new secret, once.
async fn secret_page(
    person: &SignedIn,
    created: tokens::Created,
    status: StatusCode,
    rotated: Option<String>,
) -> PageResult {
    let tokens::Created { token, text } = created;
    let TokenRow { id, name, role, expires, .. } = row(&person.app, &token, None);
    let shown = TokenCreatedPage {
        shell: person.shell(Some(token.organization_id), Nav::Tokens).await?,
        id,
        name,
        secret: text.expose().to_owned(),
        role,
        expires,
        rotated,
        public_url: person.app.public_url.clone(),
    };
    let mut response = page(status, &shown)?;
    // Not even the browser's own memory of pages may keep it.
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store, max-age=0"));
    Ok(response)
}

/// How long the secret before is kept after a rotation: what the form sends, what people read, and what it is for.
const OVERLAPS: [(&str, &str, &str); 4] = [
    ("0", "Not at all", "It has leaked: refuse it from this moment on. Whatever uses it stops working."),
    ("1h", "For an hour", "Whatever uses it gets the new one now, by hand or by a pipeline."),
    ("24h", "For a day", "Time to hand on the new one. The token's page says whether the old one is still used."),
    ("7d", "For a week", "Several people or places must be told."),
];

/// `GET …/tokens/{id}/rotate`.
pub(super) async fn ask_rotate(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    rotate_page(&person, &grant, id, "24h", Problems::default()).await
}

async fn rotate_page(person: &SignedIn, grant: &Grant, id: Uuid, chosen: &str, mut problems: Problems) -> PageResult {
    let token = tokens::get(&person.app, grant, id).await?;
    let used = usage::of(&person.app, grant, std::slice::from_ref(&token)).await?;
    let shown = TokenRotatePage {
        shell: person.shell(Some(grant.organization()), Nav::Tokens).await?,
        token: row(&person.app, &token, used.get(&id)),
        choices: OVERLAPS.into_iter().filter(|(keep, ..)| overlap(&person.app, keep).is_ok()).collect(),
        chosen: chosen.to_owned(),
        password: proof::field_if_asked(&mut problems),
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// One of the choices.
fn overlap(app: &App, keep: &str) -> Result<Micros> {
    let offered = OVERLAPS.into_iter().any(|(it, ..)| it == keep);
    let keep = length(keep).filter(|_| offered);
    let keep = keep.ok_or_else(|| Error::invalid("keep", "is none of the choices"))?;
    tokens::check_overlap(app, keep)?;
    Ok(keep)
}

/// `POST …/tokens/{id}/rotate`: makes the new secret, and shows it in the answer, once.
pub(super) async fn rotate(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let chosen = typed.get("keep");
    let rotated = async {
        let keep = overlap(&person.app, chosen)?;
        let before = tokens::get(&person.app, &grant, id).await?.last_four;
        proof::given(&person, &typed).await?;
        Ok((tokens::rotate(&person.app, grant.clone(), id, keep).await?.value, before, keep))
    };
    match rotated.await {
        Ok((created, before, keep)) => {
            let told = match keep {
                0 => format!("The secret before (…{before}) is refused from now on."),
                _ => {
                    let until = person.app.now().plus(keep).min(created.token.expires_at.unwrap_or(Time(i64::MAX)));
                    format!("The secret before (…{before}) is accepted until {}.", person.moment(until).full)
                }
            };
            secret_page(&person, created, StatusCode::OK, Some(told)).await
        }
        Err(error) => rotate_page(&person, &grant, id, chosen, Problems::of(error)?).await,
    }
}

/// `GET …/tokens/{id}/secrets/{version}/end`.
pub(super) async fn ask_end_version(
    Extension(person): Extension<SignedIn>,
    At((organization, id, version)): At<(Uuid, Uuid, u16)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let question = end_question(&person, &grant, id, version).await?;
    question.ask(&person, organization, &Pairs::default(), Problems::default()).await
}

async fn end_question(person: &SignedIn, grant: &Grant, id: Uuid, version: u16) -> Result<Confirmation> {
    let token = tokens::get(&person.app, grant, id).await?;
    let of = std::slice::from_ref(&token);
    let versions = tokens::versions(&person.app, grant, of).await?.remove(&id).unwrap_or_default();
    let used = usage::of(&person.app, grant, of).await?.remove(&id);
    let rows = version_rows(&token, versions, used.as_ref(), person.app.now());
    let found = rows.into_iter().find(|it| it.version == version && !it.newest);
    let secret = found.ok_or_else(|| Error::not_found("earlier secret of this token"))?;
    let last = match secret.last_used {
        Some(LastUsed { at, from, .. }) => {
            let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
            format!("It was last used {}{from}. Whatever that is stops working.", at.relative)
        }
        None => "It was never used.".to_owned(),
    };
    Ok(Confirmation {
        nav: Nav::Tokens,
        from: (token.name.clone(), format!("tokens/{id}")),
        question: format!("End the secret {} of “{}” now?", secret.hint, token.name),
        consequences: vec![last, "The newest secret stays as it is.".to_owned()],
        facts: vec![
            ("Made", secret.created.full),
            ("Ends otherwise", secret.ends.map(|at| at.full).unwrap_or_default()),
        ],
        action: format!("tokens/{id}/secrets/{version}/end"),
        button: "End it now",
        name: None,
        needs_proof: false,
        roles: None,
    })
}

/// `POST …/tokens/{id}/secrets/{version}/end`.
pub(super) async fn end_version(
    Extension(person): Extension<SignedIn>,
    At((organization, id, version)): At<(Uuid, Uuid, u16)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    tokens::end_version(&person.app, grant, id, version).await?;
    person.done(&format!("/console/{organization}/tokens/{id}"), Flashed::SecretEnded)
}

/// `GET …/tokens/{id}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::TokenRead)?;
    let token = tokens::find(&person.app, &grant, id).await?;
    let shell = person.shell(Some(organization), Nav::Tokens).await?;
    let used = usage::of(&person.app, &grant, std::slice::from_ref(&token)).await?.remove(&id);
    let row = row(&person.app, &token, used.as_ref());
    let versions = tokens::versions(&person.app, &grant, std::slice::from_ref(&token)).await?.remove(&id);
    let versions = version_rows(&token, versions.unwrap_or_default(), used.as_ref(), person.app.now());
    let (meaning, points) = meaning(&person, organization, token.role_id);
    let of_token = crate::service::decisions::Filter { token: Some(id), valid: None };
    let decisions = match person.may(organization, Management::TokenVerify) {
        Ok(grant) => Some(decisions::rows(&person, &grant, of_token, SHOWN).await?),
        Err(_) => None,
    };
    let shown = TokenPage {
        token: row,
        revocation: token.revocation.as_ref().map(|it| revocation(&person, it)),
        meaning,
        points,
        versions,
        usage: Some(counts(&used.map(|it| it.total).unwrap_or_default(), decisions)),
        live: query.understood(&["live"])?.get("live") == "1",
        may_manage: person.can(organization, Management::TokenManage),
        may_read_events: person.can(organization, Management::EventRead),
        public_url: person.app.public_url.clone(),
        shell,
    };
    page(StatusCode::OK, &shown)
}

/// How often a token was used.
fn counts(used: &usage::Usage, decisions: Option<Vec<DecisionRow>>) -> TokenUsage {
    let reasons = used.denied.iter().filter(|(_, count)| *count > 0);
    TokenUsage {
        allowed: grouped(used.allowed),
        denied: grouped(used.denied_count()),
        reasons: reasons
            .map(|(reason, count)| ReasonCount { reason: reason.replace('_', " "), count: grouped(*count) })
            .collect(),
        decisions,
    }
}

/// What a role of the organization can do: in a sentence, and in detail.
fn meaning(person: &SignedIn, organization: Uuid, role: Uuid) -> (String, Vec<String>) {
    let directory = person.app.verifier.directory();
    let found = directory.organization(organization).and_then(|o| Some((o, o.role(role)?)));
    found.map(|(organization, role)| (role.meaning(), points(organization, role))).unwrap_or_default()
}

/// `GET …/tokens/{id}/edit`.
pub(super) async fn edit(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let token = tokens::get(&person.app, &grant, id).await?;
    let saved = Pairs::from([
        ("name", token.name.clone()),
        ("description", token.description.clone().unwrap_or_default()),
        ("role_id", token.role_id.to_string()),
        ("version", token.updated_at.0.to_string()),
    ]);
    edit_page(&person, &grant, &token, &saved, None, Problems::default()).await
}

async fn edit_page(
    person: &SignedIn,
    grant: &Grant,
    token: &Token,
    typed: &Pairs,
    effect: Option<TokenEffect>,
    mut problems: Problems,
) -> PageResult {
    let used = usage::of(&person.app, grant, std::slice::from_ref(token)).await?.remove(&token.id);
    let row = row(&person.app, token, used.as_ref());
    let kept = row.expires.as_ref().map_or_else(|| "never".to_owned(), |at| at.date.clone());
    let use_so_far = match (&row.last_used, &used) {
        (Some(last), Some(used)) => {
            format!("It was allowed {} times, and last used {}.", grouped(used.total.allowed), last.at.relative)
        }
        _ => "It was never used.".to_owned(),
    };
    let shown = TokenEditPage {
        form: token_form(person, grant, typed, &mut problems, Some(kept)).await?,
        shell: person.shell(Some(grant.organization()), Nav::Tokens).await?,
        token: row,
        version: typed.get("version").to_owned(),
        use_so_far,
        effect,
        password: proof::field_if_asked(&mut problems),
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// What the chosen role would take from the token, unless that was shown already.
async fn effect_of(person: &SignedIn, token: &Token, typed: &Pairs) -> Result<Option<TokenEffect>> {
    let Some(role) = typed.id("role_id").filter(|role| *role != token.role_id) else { return Ok(None) };
    if typed.id("sure") == Some(role) {
        return Ok(None);
    }
    // What was decided is not for everybody who may change tokens.
    let Ok(grant) = person.may(token.organization_id, Management::TokenVerify) else { return Ok(None) };
    let effect = crate::service::decisions::effect(&person.app, &grant, token.id, role).await?;
    let sentence = format!(
        "With this role {} of its last {} would be refused:",
        effect.refused_count,
        count(effect.looked_at, "allowed request")
    );
    let shown = TokenEffect { sentence, refused: effect.refused, role: role.to_string() };
    Ok((effect.refused_count > 0).then_some(shown))
}

/// `POST …/tokens/{id}/edit`: saves. What would be refused from then on is shown first.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let token = tokens::get(&person.app, &grant, id).await?;
    let again = |problems| edit_page(&person, &grant, &token, &typed, None, problems);
    let expires_at = match typed.get("expires") {
        KEEP => None,
        _ => match expiry(&typed, person.app.now()) {
            Ok(expires_at) => Some(expires_at),
            Err(problem) => return again(Problems::one("expires_at", problem)).await,
        },
    };
    let Some(role_id) = typed.id("role_id") else {
        return again(Problems::one("role_id", "Choose what the token may do.")).await;
    };
    if let Some(effect) = effect_of(&person, &token, &typed).await? {
        return edit_page(&person, &grant, &token, &typed, Some(effect), Problems::default()).await;
    }
    let change = TokenChange {
        name: Some(typed.line("name")),
        description: Some(typed.text("description")),
        role_id: Some(role_id),
        expires_at,
    };
    // A form without its version could overwrite what somebody else saved: it fits none.
    let version = IfMatch(Some(Time(typed.get("version").parse().unwrap_or_default())));
    let saved = match proof::given(&person, &typed).await {
        Ok(()) => tokens::update(&person.app, grant.clone(), id, change, version).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(_) => person.done(&format!("/console/{organization}/tokens/{id}"), Flashed::TokenSaved),
        Err(error) => again(Problems::of(error)?).await,
    }
}

/// `GET …/tokens/{id}/delete`: asks once more.
pub(super) async fn ask_delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    delete_page(&person, &grant, id, &Pairs::default(), Problems::default()).await
}

/// The reasons for which a token is deleted, as people read them.
const REASONS: [(RevokeReason, &str); 5] = [
    (RevokeReason::Unspecified, "No reason in particular"),
    (RevokeReason::Cessation, "What used it is no more"),
    (RevokeReason::Superseded, "Another token has taken its place"),
    (RevokeReason::PrivilegeWithdrawn, "Whoever used it may not any more"),
    (RevokeReason::KeyCompromise, "It has leaked, or may have"),
];

fn revocation(person: &SignedIn, it: &Revocation) -> RevocationView {
    let reason = REASONS.into_iter().find(|(reason, _)| *reason == it.reason && it.reason != RevokeReason::Unspecified);
    let by = it.by_name.as_ref().map(|name| match it.by_kind {
        Some(ActorKind::Token) => format!("{name} (token)"),
        _ => name.clone(),
    });
    RevocationView {
        at: person.moment(it.at),
        by,
        reason: reason.map(|(_, text)| format!("{text}.")).unwrap_or_default(),
        note: it.note.clone(),
        undo_until: tokens::undo_until(&person.app, it).map(|until| person.moment(until)),
    }
}

async fn delete_page(person: &SignedIn, grant: &Grant, id: Uuid, typed: &Pairs, mut problems: Problems) -> PageResult {
    let token = tokens::get(&person.app, grant, id).await?;
    let used = usage::of(&person.app, grant, std::slice::from_ref(&token)).await?;
    let shell = person.shell(Some(grant.organization()), Nav::Tokens).await?;
    let chosen = typed.get("reason");
    let reasons = REASONS.into_iter().map(|(reason, label)| Choice {
        value: reason.to_string(),
        label: label.into(),
        chosen: reason.as_str() == chosen,
    });
    let within = length_text(person.app.limits.micros(&crate::limits::TOKEN_UNDO));
    let asked = TokenDeletePage {
        shell,
        token: row(&person.app, &token, used.get(&id)),
        reasons: reasons.collect(),
        note: problems.field("note", typed.text("note").unwrap_or_default()),
        undo: format!("Within {within} that can be undone, unless it has leaked."),
        error: problems.rest(),
    };
    page(problems.status, &asked)
}

/// `POST …/tokens/{id}/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let reason = match typed.get("reason") {
        "" => Ok(RevokeReason::Unspecified),
        word => RevokeReason::parse(word).map_err(|problem| Error::invalid("reason", problem.to_string())),
    };
    let deleted = match reason {
        Ok(reason) => {
            let why = tokens::Why { reason, note: typed.text("note") };
            tokens::delete(&person.app, grant.clone(), id, why).await.map(|_| ())
        }
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => person.done(&format!("/console/{organization}/tokens"), Flashed::TokenDeleted),
        Err(error) => match Problems::of(error) {
            Ok(problems) => delete_page(&person, &grant, id, &typed, problems).await,
            Err(PageError(error)) => Err(error.into()),
        },
    }
}

/// What is asked before a token is switched off or on, or a deletion is undone.
#[derive(Clone, Copy)]
enum Switch {
    Off,
    On,
    Undo,
}

impl Switch {
    async fn question(self, person: &SignedIn, grant: &Grant, id: Uuid) -> Result<Confirmation> {
        let token = tokens::find(&person.app, grant, id).await?;
        let name = &token.name;
        let (action, question, consequence, button) = match self {
            Self::Off => (
                "disable",
                format!("Switch off “{name}”?"),
                "It is refused until somebody switches it on again. Nothing of it is lost.",
                "Disable",
            ),
            Self::On => {
                ("enable", format!("Switch on “{name}” again?"), "It is accepted from the next request on.", "Enable")
            }
            Self::Undo => (
                "undo",
                format!("Take back the deletion of “{name}”?"),
                "The same secrets are accepted again, with the same role.",
                "Undo the deletion",
            ),
        };
        let admin = {
            let directory = person.app.verifier.directory();
            let role = directory.organization(grant.organization()).and_then(|it| it.role(token.role_id));
            role.is_some_and(|role| role.kind == RoleKind::BuiltIn(BuiltIn::Admin))
        };
        Ok(Confirmation {
            nav: Nav::Tokens,
            from: (name.clone(), format!("tokens/{id}")),
            question,
            consequences: vec![consequence.to_owned()],
            facts: vec![("Role", token.role_name.clone()), ("Id", id.to_string())],
            action: format!("tokens/{id}/{action}"),
            button,
            name: None,
            // What makes an admin again is as much as making one.
            needs_proof: admin && !matches!(self, Self::Off),
            roles: None,
        })
    }

    async fn ask(self, person: &SignedIn, organization: Uuid, id: Uuid) -> PageResult {
        let grant = person.may(organization, Management::TokenManage)?;
        let question = self.question(person, &grant, id).await?;
        question.ask(person, organization, &Pairs::default(), Problems::default()).await
    }

    async fn act(self, person: &SignedIn, organization: Uuid, id: Uuid, typed: &Pairs) -> PageResult {
        let grant = person.may(organization, Management::TokenManage)?;
        let (app, right) = (&person.app, grant.clone());
        let done = match (proof::given(person, typed).await, self) {
            (Err(error), _) => Err(error),
            (Ok(()), Self::Off) => tokens::disable(app, right, id).await.map(|_| Flashed::TokenDisabled),
            (Ok(()), Self::On) => tokens::enable(app, right, id).await.map(|_| Flashed::TokenEnabled),
            (Ok(()), Self::Undo) => tokens::undo(app, right, id).await.map(|_| Flashed::TokenRestored),
        };
        match done {
            Ok(flash) => person.done(&format!("/console/{organization}/tokens/{id}"), flash),
            Err(error) => {
                let problems = Problems::of(error)?;
                self.question(person, &grant, id).await?.ask(person, organization, typed, problems).await
            }
        }
    }
}

/// `GET …/tokens/{id}/disable`.
pub(super) async fn ask_disable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    Switch::Off.ask(&person, organization, id).await
}

/// `POST …/tokens/{id}/disable`.
pub(super) async fn disable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    Switch::Off.act(&person, organization, id, &typed).await
}

/// `GET …/tokens/{id}/enable`.
pub(super) async fn ask_enable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    Switch::On.ask(&person, organization, id).await
}

/// `POST …/tokens/{id}/enable`.
pub(super) async fn enable(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    Switch::On.act(&person, organization, id, &typed).await
}

/// `GET …/tokens/{id}/undo`.
pub(super) async fn ask_undo(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    Switch::Undo.ask(&person, organization, id).await
}

/// `POST …/tokens/{id}/undo`.
pub(super) async fn undo(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    Switch::Undo.act(&person, organization, id, &typed).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_795_562_400_000_000); // 2026-11-24T23:20:00Z

    #[test]
    fn a_chosen_day_counts_to_its_end() {
        let at = |form: &str| expiry(&Pairs::parse(form.as_bytes()), NOW).map(|at| at.map(|at| at.to_string()));
        assert_eq!(at("expires=date&expires_on=2026-11-24"), Ok(Some("2026-11-25T00:00:00.000000Z".into())));
        assert_eq!(at("expires=never"), Ok(None));
        assert_eq!(at("expires=30"), Ok(Some("2026-12-24T23:20:00.000000Z".into())));
        for bad in ["expires=date&expires_on=2026-11-23", "expires=date&expires_on=soon", "expires=9999", ""] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_keeps_search_and_filter() {
        assert_eq!(address("/t", "", ""), "/t");
        assert_eq!(address("/t", "a b", "soon"), "/t?q=a+b&filter=soon");
    }
}
