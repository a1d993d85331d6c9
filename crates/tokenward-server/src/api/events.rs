//! The event log (contract §1.5).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use tokenward_api::events::{Event, EventPage, EventTarget, Links, TargetList};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::Kind;
use tokenward_core::event::Origin;
use tokenward_core::nearest::known_words;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::events::{Event as Row, EventFilter};

use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use super::event_words::{EVENT_TYPES, ORIGINS, SUB_TARGET_TYPES, TARGET_TYPES};
use super::extract::Params;
use super::json;
use super::pieces::{self, Piece};
use super::right::PathResource;
use super::understood::{NO_MOMENT, QueryKind};
use crate::limits::EVENT_PAGE;
use crate::service::{App, events};

/// Events on a page when nothing else is asked for (contract §1.5).
const PAGE: i64 = 10;

/// Events of a page that are in memory at once: one may have `event_bytes` in the log, and several times that here.
const PIECE: usize = 50;

fn event(row: Row) -> Event {
    let text = |value: Option<&Value>| value.map(Value::to_string);
    let payload = row.payload.as_ref();
    let (before, after) = (payload.and_then(|p| p.before.as_ref()), payload.and_then(|p| p.after.as_ref()));
    let place = |pair: Option<&(Uuid, String)>| match pair {
        Some((id, name)) => (Some(*id), name.clone()),
        None => (None, String::new()),
    };
    let (project_id, project_name) = place(payload.and_then(|p| p.project.as_ref()));
    let (environment_id, environment_name) = place(payload.and_then(|p| p.environment.as_ref()));
    Event {
        id: row.id,
        timestamp: row.time,
        event_type: row.kind.event_type().into(),
        target_id: Some(row.target_id),
        target_name: payload.map(|p| p.target_name.clone()).unwrap_or_default(),
        target_type: row.kind.target_type().into(),
        sub_target_type: row.kind.sub_target_type().map(Into::into),
        // The published console parses it without a guard: it must always be JSON.
        change: text(after.or(before)).unwrap_or_else(|| "{}".to_owned()),
        original_change: text(after.and(before)),
        erased: payload.is_none(),
        origin: row.origin.map_or("", Origin::as_str).into(),
        triggered_by: row.actor,
        actor_kind: payload.map(|p| p.actor_kind),
        actor_id: payload.and_then(|p| p.actor_id),
        address: payload.and_then(|p| p.address.clone()),
        project_id,
        project_name,
        environment_id,
        environment_name,
        environment_type: payload.and_then(|p| p.environment_mode),
        user_agent: payload.and_then(|p| p.user_agent.clone()),
        position: row.position,
        hash: hex::encode(&row.hash),
        kind: row.kind.as_str().into(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventQuery {
    page_size: Option<String>,
    from_timestamp: Option<String>,
    to_timestamp: Option<String>,
    continue_token: Option<String>,
    step_back_token: Option<String>,
    event_type: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
    sub_target_type: Option<String>,
    triggered_by: Option<String>,
    kind: Option<String>,
    target_name: Option<String>,
    actor_name: Option<String>,
    address: Option<String>,
    origin: Option<String>,
    service_project_id: Option<String>,
    service_environment_id: Option<String>,
    project_id: Option<String>,
    environment_id: Option<String>,
    target_level_to_fetch: Option<String>,
}

impl EventQuery {
    fn read(self) -> Result<(EventFilter, i64)> {
        let mut faults = Faults::default();
        let mut filter = EventFilter {
            actor: full(self.triggered_by),
            actor_part: full(self.actor_name),
            target_part: full(self.target_name),
            ..EventFilter::default()
        };
        // One of the databases takes no text with U+0000.
        for (name, text) in [("triggeredBy", &filter.actor), ("actorName", &filter.actor_part)] {
            if text.as_ref().is_some_and(|it| it.contains('\0')) {
                faults.push(name, "has the character U+0000, which no name has");
            }
        }
        if let Some(text) = full(self.address) {
            filter.address = text.parse::<IpAddr>().ok();
            if filter.address.is_none() {
                faults.push("address", "is not an address such as 203.0.113.7");
            }
        }
        let word = full(self.kind);
        let words = Kind::ALL.iter().map(|kind| kind.as_str());
        if let Some(word) = word.as_deref().filter(|word| Kind::parse(word).is_none()) {
            faults.push("kind", format!("has a value that it cannot have; {}", known_words(word, words)));
        }
        let mut size = PAGE;
        if let Some(text) = full(self.page_size) {
            // The contract calls it a number: `10.0` is ten.
            let whole = text.split_once('.').filter(|(_, rest)| !rest.is_empty() && rest.bytes().all(|it| it == b'0'));
            let digits = whole.map_or(text.as_str(), |(whole, _)| whole);
            let number = digits.bytes().all(|it| it.is_ascii_digit()).then(|| digits.parse::<i64>().ok()).flatten();
            match number.unwrap_or_default() {
                n @ 1.. if n.unsigned_abs() <= EVENT_PAGE.default => size = n,
                _ => {
                    let (name, most) = (EVENT_PAGE.name, EVENT_PAGE.default);
                    faults.push("pageSize", format!("is not a number from 1 to the limit `{name}` ({most})"));
                }
            }
        }
        let from: fn(&str) -> Option<Time> = Time::parse_query;
        for (name, text, read, field) in [
            ("fromTimestamp", self.from_timestamp, from, &mut filter.from),
            ("toTimestamp", self.to_timestamp, Time::parse_query_end, &mut filter.to),
        ] {
            if let Some(text) = full(text) {
                *field = read(&text);
                if field.is_none() {
                    faults.push(name, NO_MOMENT);
                }
            }
        }
        for (name, text, field) in [
            ("continueToken", self.continue_token, &mut filter.before),
            ("stepBackToken", self.step_back_token, &mut filter.after),
        ] {
            if let Some(text) = full(text) {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                *field = text.parse().ok().filter(|_| digits);
                if field.is_none() {
                    faults.push(name, "is not one that this log gave out");
                }
            }
        }
        // The list of targets calls them otherwise; no address has both.
        let project = if self.project_id.is_some() { "projectId" } else { "serviceProjectId" };
        let environment = if self.environment_id.is_some() { "environmentId" } else { "serviceEnvironmentId" };
        for (name, text, field) in [
            ("targetId", self.target_id, &mut filter.target),
            (project, self.service_project_id.or(self.project_id), &mut filter.project),
            (environment, self.service_environment_id.or(self.environment_id), &mut filter.environment),
        ] {
            if let Some(text) = full(text) {
                *field = Uuid::try_parse(&text).ok();
                if field.is_none() {
                    faults.push(name, "is not a UUID");
                }
            }
        }
        let (event_type, target_type, sub) =
            (full(self.event_type), full(self.target_type), full(self.sub_target_type));
        if event_type.is_some() || target_type.is_some() || sub.is_some() || word.is_some() {
            let fits = |wanted: &Option<String>, have: Option<&str>| wanted.as_deref().is_none_or(|w| Some(w) == have);
            let kinds = Kind::ALL.iter().copied().filter(|kind| {
                fits(&event_type, Some(kind.event_type()))
                    && fits(&target_type, Some(kind.target_type()))
                    && fits(&sub, kind.sub_target_type())
                    && fits(&word, Some(kind.as_str()))
            });
            filter.kinds = Some(kinds.collect());
        }
        match full(self.origin).map(Origin::try_from) {
            None => {}
            Some(Ok(origin)) => filter.origin = Some(origin),
            // One from where nothing comes here.
            Some(Err(_)) => filter.kinds = Some(Vec::new()),
        }
        faults.finish()?;
        Ok((filter, size))
    }
}

/// The parameters that take one of a few words.
const WORDS: &[(&str, QueryKind)] = &[
    ("eventType", QueryKind::OneOf(&EVENT_TYPES)),
    ("targetType", QueryKind::OneOf(&TARGET_TYPES)),
    ("subTargetType", QueryKind::OneOf(&SUB_TARGET_TYPES)),
    ("origin", QueryKind::OneOf(&ORIGINS)),
    ("targetLevelToFetch", QueryKind::OneOf(&["PROJECT", "ENVIRONMENT"])),
];

/// Clients send empty parameters for "no filter".
fn full(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/events", list)
            .needs(Management::EventRead, PathResource::Organization)
            .about("Events", "What happened in the organization, newest first.")
            .query(&[
                ("pageSize", "How many, from 1 to 1000; 10 when absent."),
                (
                    "fromTimestamp",
                    "Not before: RFC 3339, or a Unix time in seconds, milliseconds, microseconds or nanoseconds.",
                ),
                (
                    "toTimestamp",
                    "Not after: as above, with all of the second, millisecond or microsecond that it names.",
                ),
                ("continueToken", "From `links.next`: older events."),
                ("stepBackToken", "From `links.previous`: newer events."),
                ("eventType", "Such as CREATE."),
                ("targetType", "Such as ORGANIZATION."),
                ("targetId", "About this."),
                ("subTargetType", "Such as API_TOKEN."),
                ("triggeredBy", "By this user or token."),
                ("kind", "This kind alone, such as `token.created`."),
                ("targetName", "About something with this in its name, whatever its case."),
                ("actorName", "By a user or token with this in the name, whatever its case."),
                ("address", "From this address."),
                ("origin", "Such as CLI."),
                ("serviceProjectId", "In this project."),
                ("serviceEnvironmentId", "In this environment."),
            ])
            .query_kinds(WORDS)
            .answers::<EventPage>(200)
            .errors(&[400]),
        get("/organization/{organizationId}/targets", targets)
            .needs(Management::EventRead, PathResource::Organization)
            .about("Events", "What the events are about, for a filter.")
            .query(&[
                ("fromTimestamp", "Not before; as for events."),
                ("toTimestamp", "Not after; as for events."),
                ("eventType", "Such as CREATE."),
                ("targetType", "Such as ORGANIZATION."),
                ("triggeredBy", "By this user or token."),
                ("origin", "Such as CLI."),
                ("projectId", "In this project."),
                ("environmentId", "In this environment."),
                (
                    "targetLevelToFetch",
                    "PROJECT or ENVIRONMENT: where the events happened, rather than what they are about.",
                ),
            ])
            .query_kinds(WORDS)
            .answers::<TargetList>(200)
            .errors(&[400]),
    ]
}

async fn targets(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<EventQuery>,
) -> Result<Response, ApiError> {
    let level = match query.target_level_to_fetch.as_deref() {
        None | Some("") => events::TargetLevel::Target,
        Some("PROJECT") => events::TargetLevel::Project,
        Some(_) => events::TargetLevel::Environment,
    };
    let (filter, _) = query.read()?;
    let targets = events::targets(&app, &grant, &filter, level).await?;
    let list = move |targets: Vec<(Uuid, String)>| TargetList {
        targets: targets.into_iter().map(|(id, name)| EventTarget { id, name }).collect(),
    };
    Ok(json::listed(grant.organization(), targets.len(), move || list(targets)).await?)
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    axum::extract::RawQuery(raw): axum::extract::RawQuery,
    Params(query): Params<EventQuery>,
) -> Result<Response, ApiError> {
    let (filter, size) = query.read()?;
    if filter.before.is_some() && filter.after.is_some() {
        return Err(Error::invalid("continueToken", "and `stepBackToken` go in opposite directions; send one").into());
    }
    let page = events::page(&app, &grant, &filter, size).await?;
    let path = format!("{}/organization/{}/events", app.public_url, grant.organization());
    let link = |name: &str, position: i64| neighbour(&path, raw.as_deref().unwrap_or_default(), name, position);
    let empty = EventPage {
        links: Links {
            previous: page.newer.map(|position| link("stepBackToken", position)),
            next: page.older.map(|position| link("continueToken", position)),
        },
        organization_max_limit_reached: false,
        events: Vec::new(),
    };
    let positions: Arc<[i64]> = page.positions.into();
    let piece = move |after: Option<usize>| {
        let (app, grant, positions) = (Arc::clone(&app), grant.clone(), Arc::clone(&positions));
        async move {
            let begin = after.unwrap_or(0).min(positions.len());
            let end = (begin + PIECE).min(positions.len());
            let part = events::part(&app, &grant, &positions[begin..end], after).await?;
            let last = Some(end).filter(|end| *end < positions.len());
            Ok(Piece { entries: part.into_iter().map(event).collect(), last })
        }
    };
    Ok(pieces::list(&empty, piece).await?)
}

/// The same query with another place to go on from.
fn neighbour(path: &str, query: &str, name: &str, position: i64) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key != "continueToken" && key != "stepBackToken" {
            pairs.append_pair(&key, &value);
        }
    }
    pairs.append_pair(name, &position.to_string());
    format!("{path}?{}", pairs.finish())
}
