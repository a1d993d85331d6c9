//! The organization's log as people read it.

use std::collections::HashSet;

use axum::Extension;
use axum::http::StatusCode;
use chrono::{Days, NaiveDate};
use tokenward_core::caller::Grant;
use tokenward_core::event::{Kind, Origin};
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::events::{Event, EventFilter};

use super::form::{Pairs, Query};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::view::{
    Choice, ChoiceGroup, EventFilters, EventRow, EventsPage, FieldChange, Nav, Pager, Tone, event_label,
};
use super::way_back::{EVENT_FILTERS, EVENT_PLACES};
use crate::limits::QUERY;
use crate::service::{events, retention, tokens};

/// Events on a page.
const PAGE: i64 = 50;

/// Kinds of change: what the form sends, and its label.
const WHAT: [(&str, &str); 4] =
    [("", "Everything"), ("created", "Created"), ("changed", "Changed"), ("deleted", "Deleted")];

/// Kinds of things: what the form sends, and its label.
const TARGETS: [(&str, &str); 10] = [
    ("", "Anything"),
    ("token", "API tokens"),
    ("member", "Members and invitations"),
    ("role", "Roles"),
    ("project", "Projects"),
    ("environment", "Environments"),
    ("variable", "Variables and secrets"),
    ("cluster", "Clusters"),
    ("organization", "Settings"),
    ("api", "Your API"),
];

/// Clients: what the form sends, and its label.
const ORIGINS: [(Option<Origin>, &str); 6] = [
    (None, "Any client"),
    (Some(Origin::Console), "Console"),
    (Some(Origin::Api), "API"),
    (Some(Origin::Cli), "CLI"),
    (Some(Origin::Terraform), "Terraform"),
    (Some(Origin::Skill), "Agent skill"),
];

/// The thing that a kind of event is about, as [`TARGETS`] has it.
fn target_of(kind: Kind) -> &'static str {
    let thing = kind.as_str().split('.').next().unwrap_or_default();
    match thing {
        "invitation" | "member" | "ownership" | "sign_in_rules" => "member",
        "token_secret" | "tokens" | "token_warning" | "token_digest" | "policy_token" | "policy_denial" => "token",
        "token_policy" | "sign_in_policy" | "log" | "erasure" | "limit_warning" => "organization",
        it if it.ends_with("_variable") || it.ends_with("_secret") => "variable",
        it => TARGETS.iter().map(|(value, _)| *value).find(|value| *value == it).unwrap_or_default(),
    }
}

fn tone_word(kind: Kind) -> &'static str {
    match Tone::of(kind.event_type()) {
        Tone::Made => "created",
        Tone::Changed => "changed",
        Tone::Gone => "deleted",
    }
}

fn origin_label(origin: Origin) -> &'static str {
    ORIGINS.iter().find(|(known, _)| *known == Some(origin)).map_or(origin.as_str(), |(_, label)| label)
}

/// From the first moment of one day to the last one of another.
pub(super) fn days(query: &Pairs) -> Result<(Option<Time>, Option<Time>)> {
    let midnight = |day: NaiveDate| day.and_hms_opt(0, 0, 0).map(|at| Time(at.and_utc().timestamp_micros()));
    let day = |key| query.read(key, "a day such as 2026-11-25", |text| text.parse::<NaiveDate>().ok());
    let end = |day: NaiveDate| midnight(day.checked_add_days(Days::new(1))?).map(|at| at.plus(-1));
    Ok((day("from")?.and_then(midnight), day("to")?.and_then(end)))
}

/// The kinds of events of organizations to choose from, by what they are about.
fn kinds(chosen: &str) -> Vec<ChoiceGroup> {
    let group = |(target, label): &(&str, &str)| {
        let those = Kind::ALL.iter().copied().filter(|kind| target_of(*kind) == *target);
        let mut choices: Vec<Choice> = those
            .map(|kind| Choice {
                value: kind.as_str().to_owned(),
                label: event_label(kind),
                chosen: kind.as_str() == chosen,
            })
            .collect();
        choices.sort_by(|a, b| a.label.cmp(&b.label));
        ChoiceGroup { label: (*label).to_owned(), choices }
    };
    TARGETS.iter().filter(|(target, _)| !target.is_empty()).map(group).collect()
}

/// What a query asks for.
fn filter(query: &Pairs) -> Result<EventFilter> {
    query.understood(&[&EVENT_FILTERS[..], &EVENT_PLACES].concat())?;
    let kind = query.one_of("kind", Kind::ALL.iter().map(|kind| kind.as_str()))?;
    let about = query.line("about");
    QUERY.check_text(&about).map_err(|problem| Error::invalid("about", problem))?;
    let named = Uuid::try_parse(&about).ok();
    let by_link = query.read("target_id", "an id", |text| Uuid::try_parse(text).ok())?;
    if by_link.is_some() && !about.is_empty() {
        return Err(Error::invalid("about", "goes not together with `target_id`, which says it already"));
    }
    let what = query.one_of("what", WHAT.iter().map(|(word, _)| *word))?;
    let target = query.one_of("target", TARGETS.iter().map(|(word, _)| *word))?;
    let narrowed = !what.is_empty() || !target.is_empty() || !kind.is_empty();
    let fits = |wanted: &str, have: &str| wanted.is_empty() || wanted == have;
    let kinds = Kind::ALL
        .iter()
        .copied()
        .filter(|k| fits(what, tone_word(*k)) && fits(target, target_of(*k)) && fits(kind, k.as_str()));
    let who = query.line("who");
    QUERY.check_text(&who).map_err(|problem| Error::invalid("who", problem))?;
    if who.contains('\0') {
        return Err(Error::invalid("who", "has the character U+0000, which no name has"));
    }
    let position = |key| query.read(key, "a position in the log", |text| text.parse().ok());
    let (from, to) = days(query)?;
    Ok(EventFilter {
        from,
        to,
        kinds: narrowed.then(|| kinds.collect()),
        target: by_link.or(named),
        target_part: Some(about).filter(|about| named.is_none() && !about.is_empty()),
        actor_part: Some(who).filter(|who| !who.is_empty()),
        address: query.read("address", "an address such as 203.0.113.7", |text| text.parse().ok())?,
        origin: query.read("origin", "a way in that we know", |text| Origin::parse(text).ok())?,
        before: position("before")?,
        after: position("after")?,
        ..EventFilter::default()
    })
}

/// `GET …/events`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::EventRead)?;
    let mut filter = filter(&query)?;
    if filter.before.is_some() {
        filter.after = None;
    }
    let places = events::page(&person.app, &grant, &filter, PAGE).await?;
    let found = events::part(&person.app, &grant, &places.positions, None).await?;
    let shell = person.shell(Some(organization), Nav::Events).await?;
    let base = shell.base();
    let reachable = Reachable::of(&person, organization, &found).await?;
    let go = |name: &str, position: i64| neighbour(&format!("{base}/events"), &query, name, position);
    let choices = |list: &[(&str, &str)], key: &str| -> Vec<Choice> {
        let choice = |(value, label): &(&str, &str)| Choice {
            value: (*value).into(),
            label: (*label).into(),
            chosen: *value == query.get(key),
        };
        list.iter().map(choice).collect()
    };
    let origins = ORIGINS.map(|(origin, label)| (origin.map_or("", Origin::as_str), label));
    let shown = EventsPage {
        events: found.into_iter().map(|event| row(&person, &base, &reachable, event)).collect(),
        filters: EventFilters {
            what: choices(&WHAT, "what"),
            target: choices(&TARGETS, "target"),
            origin: choices(&origins, "origin"),
            who: query.line("who"),
            address: query.line("address"),
            from: query.get("from").to_owned(),
            to: query.get("to").to_owned(),
            target_id: query.get("target_id").to_owned(),
            kinds: kinds(query.get("kind")),
            about: query.line("about"),
            active: EVENT_FILTERS.iter().any(|k| !query.get(k).is_empty()),
        },
        pager: Pager {
            newer: places.newer.map(|position| go("after", position)),
            older: places.older.map(|position| go("before", position)),
        },
        retention: retention::get(&person.app, &grant).await?.retention.sentence(),
        shell,
    };
    page(StatusCode::OK, &shown)
}

/// The last events of the organization, for another page.
pub(super) async fn last(person: &SignedIn, grant: &Grant, base: &str, count: i64) -> Result<Vec<EventRow>> {
    let places = events::page(&person.app, grant, &EventFilter::default(), count).await?;
    let found = events::part(&person.app, grant, &places.positions, None).await?;
    let reachable = Reachable::of(person, grant.organization(), &found).await?;
    Ok(found.into_iter().map(|event| row(person, base, &reachable, event)).collect())
}

/// The same query with another place to go on from.
fn neighbour(path: &str, query: &Pairs, name: &str, position: i64) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for (key, value) in query.below("") {
        if key != "before" && key != "after" && !value.is_empty() {
            pairs.append_pair(key, value);
        }
    }
    pairs.append_pair(name, &position.to_string());
    format!("{path}?{}", pairs.finish())
}

fn row(person: &SignedIn, base: &str, reachable: &Reachable, event: Event) -> EventRow {
    let target_href = reachable.href(person, base, &event);
    let payload = event.payload.as_ref();
    let changes = payload.map(|p| FieldChange::between(p.before.as_ref(), p.after.as_ref())).unwrap_or_default();
    EventRow {
        position: event.position.to_string(),
        at: person.moment(event.time),
        who: if event.payload.is_none() { "erased".into() } else { event.actor },
        erased: event.payload.is_none(),
        who_kind: payload.map(|p| p.actor_kind.as_str().to_owned()).unwrap_or_default(),
        who_id: payload.and_then(|p| p.actor_id).map(|id| id.to_string()),
        what: event_label(event.kind),
        tone: Tone::of(event.kind.event_type()),
        target: payload.map(|p| p.target_name.clone()).unwrap_or_default(),
        target_href,
        origin: event.origin.map(origin_label).unwrap_or_default().to_owned(),
        kind: event.kind.as_str().to_owned(),
        target_id: Some(event.target_id.to_string()),
        address: payload.and_then(|p| p.address.clone()),
        user_agent: payload.and_then(|p| p.user_agent.clone()),
        changes,
    }
}

/// What an event may link to: things that exist still, and that the person may open.
struct Reachable {
    organization: Uuid,
    tokens: HashSet<Uuid>,
}

impl Reachable {
    async fn of(person: &SignedIn, organization: Uuid, events: &[Event]) -> Result<Self> {
        let about_tokens = events.iter().filter(|event| target_of(event.kind) == "token");
        let ids: Vec<Uuid> = about_tokens.map(|event| event.target_id).collect();
        let tokens = match person.may(organization, Management::TokenRead) {
            Ok(grant) if !ids.is_empty() => tokens::living(&person.app, &grant, &ids).await?,
            _ => HashSet::new(),
        };
        Ok(Self { organization, tokens })
    }

    fn href(&self, person: &SignedIn, base: &str, event: &Event) -> Option<String> {
        let directory = person.app.verifier.directory();
        let organization = directory.organization(self.organization)?;
        let id = event.target_id;
        let can = |own| person.can(self.organization, own);
        match target_of(event.kind) {
            "token" => self.tokens.contains(&id).then(|| format!("{base}/tokens/{id}")),
            "role" => {
                (organization.role(id).is_some() && can(Management::RoleRead)).then(|| format!("{base}/roles/{id}"))
            }
            "member" => can(Management::MemberRead).then(|| format!("{base}/members")),
            "project" => (organization.projects().contains_key(&id) && can(Management::ProjectRead))
                .then(|| format!("{base}/projects/{id}")),
            "environment" => {
                let environment = organization.environments().get(&id).filter(|_| can(Management::EnvironmentRead))?;
                Some(format!("{base}/projects/{}/environments/{id}", environment.project))
            }
            "cluster" => (organization.clusters().contains_key(&id) && can(Management::ClusterRead))
                .then(|| format!("{base}/clusters/{id}")),
            "organization" => Some(format!("{base}/settings")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_an_organization_is_found_by_what_it_is_about() {
        for kind in Kind::ALL.iter().copied() {
            let of_accounts = [
                "user",
                "session",
                "sign_in_link",
                "sign_in_failures",
                "identity",
                "passkey",
                "second_factor",
                "recovery_codes",
                "recovery_code",
                "password_reset",
                "email_change",
            ];
            let outside = of_accounts.contains(&kind.as_str().split('.').next().unwrap());
            assert_eq!(target_of(kind).is_empty(), outside, "{}", kind.as_str());
        }
        let of = [Kind::TokenSecretEnded, Kind::ProjectSecretDeleted, Kind::TokenPolicyUpdated].map(target_of);
        assert_eq!(of, ["token", "variable", "organization"]);
    }

    #[test]
    fn a_day_is_meant_whole() {
        let filter = filter(&Pairs::parse(b"from=2026-11-24&to=2026-11-24&what=deleted&target=token&who=+a+&before=7"));
        let filter = filter.unwrap();
        assert_eq!(filter.from.map(|at| at.to_string()).as_deref(), Some("2026-11-24T00:00:00.000000Z"));
        assert_eq!(filter.to.map(|at| at.to_string()).as_deref(), Some("2026-11-24T23:59:59.999999Z"));
        assert_eq!(filter.kinds, Some(vec![Kind::TokenDeleted, Kind::TokensRevoked, Kind::PolicyTokenDeleted]));
        assert_eq!((filter.actor_part.as_deref(), filter.before), (Some("a"), Some(7)));
    }

    #[test]
    fn one_kind_is_picked_and_a_target_is_typed_by_its_name_or_its_id() {
        let read = |query: &str| filter(&Pairs::parse(query.as_bytes())).unwrap();
        assert_eq!(read("kind=role.updated").kinds, Some(vec![Kind::RoleUpdated]));
        assert_eq!(read("kind=role.updated&what=deleted").kinds, Some(Vec::new()), "none is both");
        let id = "019ab000-0000-7000-8000-000000000000";
        assert_eq!(read(&format!("about=+{id}+")).target.map(|id| id.to_string()).as_deref(), Some(id));
        let named = read("about=+ci+main+");
        assert_eq!((named.target, named.target_part.as_deref()), (None, Some("ci main")));
        assert!(filter(&Pairs::parse(format!("about={}", "x".repeat(10_000)).as_bytes())).is_err());
        // All that can be picked are those of an organization, each once.
        let all: Vec<String> = kinds("").into_iter().flat_map(|it| it.choices).map(|it| it.value).collect();
        let of_organizations = Kind::ALL.iter().filter(|kind| !target_of(**kind).is_empty()).count();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), of_organizations);
        assert_eq!(all.len(), of_organizations);
    }

    #[test]
    fn a_filter_that_is_not_understood_is_refused_by_its_name() {
        for (query, field) in [
            ("form=2026-11-24", "form"),
            ("from=yesterday", "from"),
            ("to=24.11.2026", "to"),
            ("what=delete", "what"),
            ("target=tokens", "target"),
            ("origin=CLIENT", "origin"),
            ("target_id=7", "target_id"),
            ("kind=token.create", "kind"),
            ("kind=token", "kind"),
            ("about=a&target_id=019ab000-0000-7000-8000-000000000000", "about"),
            ("before=x", "before"),
        ] {
            let refused = filter(&Pairs::parse(query.as_bytes())).err().map(|error| error.faults[0].field.to_string());
            assert_eq!(refused.as_deref(), Some(field), "{query}");
        }
        assert!(filter(&Pairs::parse(b"what=&target=&from=&origin=&who=")).is_ok(), "an empty field asks for nothing");
    }
}
