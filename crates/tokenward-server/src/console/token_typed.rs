//! The fields of a token as they were typed. All that is wrong with them is told at once.

use chrono::{Days, NaiveDate};
use serde_json::{Map, Value};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::label::Labels;
use tokenward_core::meter::{Allowance, Quota, Rate};
use tokenward_core::network::NotedNetwork;
use tokenward_core::time::length;
use tokenward_core::{Error, Result, Time, Uuid};

use super::form::{Pairs, Problems};
use super::page::PageError;
use super::person::SignedIn;
use crate::limits::{
    Limit, TOKEN_LABELS_BYTES, TOKEN_METADATA_TEXT, TOKEN_NETWORKS_CHARACTERS, TOKEN_PERMISSIONS_CHARACTERS,
    TOKEN_PLACES_CHARACTERS,
};
use crate::service::token_places::PlacesWanted;
use crate::service::{token_allowance, token_labels, token_networks, token_places, token_scope, tokens};

/// What stands for the end that a token has.
pub(super) const KEEP: &str = "keep";

/// Is the form about a token that is there, whose end can stay as it is, or about a new one?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    New,
    Kept,
}

/// What was typed about a token. What is `None` the form does not have: it makes no token wider that is narrowed.
pub(super) struct TokenTyped {
    pub role_id: Uuid,
    /// When it is to end; an outer `None` is the end that it has.
    pub expires_at: Option<Option<Time>>,
    /// From when on it is to be accepted; an outer `None` is the beginning that it has.
    pub not_before: Option<Option<Time>>,
    pub networks: Option<Vec<NotedNetwork>>,
    pub labels: Option<Labels>,
    pub metadata: Option<Map<String, Value>>,
    pub permissions: Option<Vec<String>>,
    pub places: Option<PlacesWanted>,
    pub allowance: Option<Allowance>,
    pub owner_id: Option<Option<Uuid>>,
    pub successor_id: Option<Option<Uuid>>,
}

impl TokenTyped {
    /// Reads the form, or says all that is wrong with it, as far as that needs no look at the organization.
    pub(super) async fn read(
        person: &SignedIn,
        grant: &Grant,
        typed: &Pairs,
        about: About,
    ) -> Result<Result<Self, Problems>, PageError> {
        let mut problems = Problems::default();
        let words = tokens::check_words(Some(&typed.line("name")), typed.text("description").as_deref());
        problems.read(words.finish())?;
        let (role_id, expires_at) = typed_basics(person, typed, about, &mut problems);
        let not_before = beginning(typed, about, person.app.now()).unwrap_or_else(|problem| {
            problems.add("not_before", problem);
            None
        });
        let networks = problems.read(typed_networks(typed))?.flatten();
        let labels = problems.read(typed_labels(typed))?.flatten();
        let metadata = problems.read(typed_metadata(typed))?.flatten();
        let permissions = problems.read(typed_permissions(typed))?.flatten();
        let places = problems.read(typed_places(person, grant, typed).await)?.flatten();
        let allowance = problems.read(typed_allowance(typed))?.flatten();
        let owner_id = problems.read(typed_member(typed, "owner_id"))?.flatten();
        let successor_id = problems.read(typed_member(typed, "successor_id"))?.flatten();
        Ok(match role_id {
            Some(role_id) if problems.are_none() => Ok(Self {
                role_id,
                expires_at,
                not_before,
                networks,
                labels,
                metadata,
                permissions,
                places,
                allowance,
                owner_id,
                successor_id,
            }),
            _ => Err(problems.refused()),
        })
    }
}

/// The role and the end that were chosen. Never without a role: to the service none would mean admin.
fn typed_basics(
    person: &SignedIn,
    typed: &Pairs,
    about: About,
    problems: &mut Problems,
) -> (Option<Uuid>, Option<Option<Time>>) {
    let expires_at = match typed.get("expires") {
        KEEP if about == About::Kept => None,
        _ => match expiry(typed, person.app.now()) {
            Ok(expires_at) => Some(expires_at),
            Err(problem) => {
                problems.add("expires_at", problem);
                None
            }
        },
    };
    let role_id = typed.id("role_id");
    if role_id.is_none() {
        problems.add("role_id", "Choose what the token may do.");
    }
    (role_id, expires_at)
}

/// The member that was chosen in a field; an inner `None` is nobody, and an outer one a form without the field.
pub(super) fn typed_member(typed: &Pairs, field: &'static str) -> Result<Option<Option<Uuid>>> {
    if typed.all(field).next().is_none() {
        return Ok(None);
    }
    typed.read(field, "a member of this organization", |text| Uuid::try_parse(text).ok()).map(Some)
}

/// When the token is to end; the error is a sentence about the field.
pub(super) fn expiry(typed: &Pairs, now: Time) -> Result<Option<Time>, &'static str> {
    match typed.get("expires") {
        "never" => Ok(None),
        "date" => {
            let last_day: NaiveDate = typed.get("expires_on").parse().map_err(|_| "Choose a day, as in 2027-01-31.")?;
            let end = last_day.checked_add_days(Days::new(1)).and_then(|day| day.and_hms_opt(0, 0, 0));
            let end = end.ok_or("Choose a day that is nearer.")?.and_utc().timestamp_micros();
            if end <= now.0 { Err("This day is over. Choose a later one.") } else { Ok(Some(Time(end))) }
        }
        life => {
            length(life).filter(|life| *life > 0).map(|life| Some(now.plus(life))).ok_or("Choose when the token ends.")
        }
    }
}

/// From when on the token is to be accepted: `None` is as it is, and in a form without the field; the error is a sentence about it.
fn beginning(typed: &Pairs, about: About, now: Time) -> Result<Option<Option<Time>>, &'static str> {
    match typed.get("begins") {
        "" => Ok(None),
        KEEP if about == About::Kept => Ok(None),
        "now" => Ok(Some(None)),
        "date" => {
            let first_day: NaiveDate = typed.get("begins_on").parse().map_err(|_| "Choose a day, as in 2027-01-31.")?;
            let midnight = |day: NaiveDate| day.and_hms_opt(0, 0, 0).map(|at| at.and_utc().timestamp_micros());
            let begin = midnight(first_day).ok_or("Choose a day that is nearer.")?;
            let over = first_day.checked_add_days(Days::new(1)).and_then(midnight).is_none_or(|end| end <= now.0);
            if over {
                return Err("This day is over. Choose a later one, or let the token begin at once.");
            }
            Ok(Some(Some(Time(begin))))
        }
        _ => Err("Choose when the token begins."),
    }
}

/// What was typed into a field of several lines, which are not taken apart where they are too many. `None` where the form has no such
/// field.
fn text<'t>(typed: &'t Pairs, field: &'static str, limit: &Limit) -> Result<Option<&'t str>> {
    let Some(text) = typed.all(field).next() else { return Ok(None) };
    limit.check_text(text).map_err(|problem| Error::invalid(field, problem))?;
    Ok(Some(text))
}

/// The networks that were typed: one a line, and behind it what it is. `None` where the form has no such field, which must
/// free no token of those that it has.
fn typed_networks(typed: &Pairs) -> Result<Option<Vec<NotedNetwork>>> {
    let Some(lines) = text(typed, "networks", &TOKEN_NETWORKS_CHARACTERS)? else { return Ok(None) };
    let mut faults = Faults::default();
    let lines = lines.lines().filter(|line| !line.trim().is_empty()).map(NotedNetwork::split);
    let sent: Vec<_> = lines.map(|(network, note)| (network.to_owned(), note.map(str::to_owned))).collect();
    let networks = token_networks::read(sent.into_iter(), |_| "networks".to_owned(), &mut faults);
    faults.finish()?;
    Ok(Some(networks))
}

/// The labels that were typed: `key=value`, one a line. `None` where the form has no such field.
fn typed_labels(typed: &Pairs) -> Result<Option<Labels>> {
    let Some(lines) = text(typed, "labels", &TOKEN_LABELS_BYTES)? else { return Ok(None) };
    let mut labels = Labels::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if labels.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
            return Err(Error::invalid("labels", format!("has the key `{}` twice", key.trim())));
        }
    }
    let mut faults = Faults::default();
    token_labels::check_labels(&labels, &mut faults);
    faults.finish()?;
    Ok(Some(labels))
}

/// The metadata that was typed, an object of JSON. `None` where the form has no such field.
fn typed_metadata(typed: &Pairs) -> Result<Option<Map<String, Value>>> {
    let Some(text) = text(typed, "metadata", &TOKEN_METADATA_TEXT)? else { return Ok(None) };
    if text.trim().is_empty() {
        return Ok(Some(Map::new()));
    }
    let no_object = |_| Error::invalid("metadata", "is no JSON object, such as {\"ticket\": \"OPS-1204\"}");
    serde_json::from_str(text).map(Some).map_err(no_object)
}

/// The permissions that were typed, one a line or with spaces between them. `None` where the form has no such field, which must
/// widen no token that is narrowed.
fn typed_permissions(typed: &Pairs) -> Result<Option<Vec<String>>> {
    let Some(text) = text(typed, token_scope::FIELD, &TOKEN_PERMISSIONS_CHARACTERS)? else { return Ok(None) };
    let mut faults = Faults::default();
    let sent: Vec<String> =
        text.split([' ', ',', '\n', '\r', '\t']).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    let permissions = token_scope::read(&sent, |_| token_scope::FIELD.to_owned(), &mut faults);
    faults.finish()?;
    Ok(Some(permissions))
}

/// The projects and environments that were typed, one a line. `None` where the form has no such field, which must widen no token
/// that is narrowed.
async fn typed_places(person: &SignedIn, grant: &Grant, typed: &Pairs) -> Result<Option<PlacesWanted>> {
    let Some(text) = text(typed, "projects", &TOKEN_PLACES_CHARACTERS)? else { return Ok(None) };
    let lines: Vec<String> = text.lines().map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    let mut faults = Faults::default();
    let wanted = token_places::named(&person.app, grant, &lines, &mut faults).await?;
    faults.finish()?;
    Ok(Some(wanted))
}

/// The limits that were typed, such as `100/minute, 20 at once` and `10000/day`. `None` where the form has no such fields, which
/// must free no token of those that it has.
fn typed_allowance(typed: &Pairs) -> Result<Option<Allowance>> {
    match ["rate_limit", "quota"].map(|field| typed.all(field).next().is_none()) {
        [true, true] => return Ok(None),
        // Half a form would take away a limit that it does not name.
        [true, false] => {
            return Err(Error::invalid("rate_limit", "is missing; a form with `quota` has it, maybe empty"));
        }
        [false, true] => {
            return Err(Error::invalid("quota", "is missing; a form with `rate_limit` has it, maybe empty"));
        }
        [false, false] => {}
    }
    let (rate, quota) = (typed.line("rate_limit"), typed.line("quota"));
    let mut faults = Faults::default();
    let rate =
        Some(rate).filter(|it| !it.is_empty()).and_then(|text| faults.read("rate_limit", Rate::parse_line(&text)));
    let quota = Some(quota).filter(|it| !it.is_empty()).and_then(|text| faults.read("quota", Quota::parse(&text)));
    let allowance = Allowance { rate, quota };
    token_allowance::check(&allowance, &mut faults);
    faults.finish()?;
    Ok(Some(allowance))
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
        assert_eq!(at("expires=30d"), Ok(Some("2026-12-24T23:20:00.000000Z".into())));
        for bad in [
            "expires=date&expires_on=2026-11-23",
            "expires=date&expires_on=soon",
            "expires=30",
            "expires=0",
            "expires=999999y",
            "",
        ] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_chosen_day_begins_at_its_midnight() {
        let at = |form: &str, about| beginning(&Pairs::parse(form.as_bytes()), about, NOW);
        let day = |text: &str| Some(Some(Time::parse(text).unwrap()));
        assert_eq!(at("begins=date&begins_on=2027-01-31", About::New), Ok(day("2027-01-31T00:00:00Z")));
        let today = at("begins=date&begins_on=2026-11-24", About::New);
        assert_eq!(today, Ok(day("2026-11-24T00:00:00Z")), "the day that it is has begun");
        assert_eq!(at("begins=now", About::Kept), Ok(Some(None)));
        for as_it_is in ["", "begins=keep", "begins_on=2027-01-31"] {
            assert_eq!(at(as_it_is, About::Kept), Ok(None), "{as_it_is}");
        }
        for bad in ["begins=keep", "begins=soon", "begins=date", "begins=date&begins_on=2026-11-23"] {
            assert!(at(bad, About::New).is_err(), "{bad}");
        }
    }
}
