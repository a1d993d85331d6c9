//! Rows of a table or of lines of JSON on their way to an import: what each says becomes a token, by names that people know.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use tokenward_api::token_table::{self, TableRow};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::label::Labels;
use tokenward_core::meter::{Allowance, Quota, Rate};
use tokenward_core::name::fold_email;
use tokenward_core::nearest::known_words;
use tokenward_core::network::NotedNetwork;
use tokenward_core::secret::{InnerDigest, Registration};
use tokenward_core::time::{Day, length};
use tokenward_core::token_policy::End;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::{environments, members, projects};

use super::token_allowance::{QUOTA, RATE};
use super::token_import::{TokenImportRow, Wrong, check_doubles};
use super::token_places::{self, ENVIRONMENTS, PROJECTS, PlacesWanted};
use super::token_scope::{self, FIELD};
use super::tokens::{self, NewToken};
use super::{App, token_labels, token_networks};
use crate::limits::TOKEN_IMPORT;

/// What a row can say.
const FIELDS: [&str; 17] = [
    "name",
    "role",
    "description",
    "expires_at",
    "not_before",
    "owner",
    "successor",
    "labels",
    "metadata",
    "networks",
    FIELD,
    PROJECTS,
    ENVIRONMENTS,
    RATE,
    QUOTA,
    "sha256",
    "last_four",
];

/// Reads them; all that is wrong is told with its line. The text of a secret is refused: it does not belong here.
pub async fn read(app: &Arc<App>, grant: &Grant, text: &str) -> Result<Vec<TokenImportRow>> {
    let table = token_table::rows(text).map_err(|problem| Error::invalid("rows", problem))?;
    let most = TOKEN_IMPORT.size();
    if table.len() > most {
        let problem = format!("has {} tokens, more than the limit `{}` ({most})", table.len(), TOKEN_IMPORT.name);
        return Err(Error::invalid("rows", problem));
    }
    let names = TableNames::of(app, grant, &table).await?;
    let (mut rows, mut wrong) = (Vec::with_capacity(table.len()), Wrong::default());
    for row in table {
        let mut faults = Faults::default();
        let new = names.token(&row, app.now(), &mut faults);
        let checked = tokens::check(&new, app.now()).and(faults.finish());
        match checked {
            Ok(()) => rows.push(TokenImportRow { line: row.line, new }),
            Err(error) => wrong.error(row.line, error)?,
        }
        if wrong.is_enough() {
            break;
        }
    }
    check_doubles(&rows, &mut wrong);
    wrong.finish()?;
    Ok(rows)
}

/// The roles and projects by name, the members by e-mail address, and environments as `project/environment`; all in small letters.
struct TableNames {
    roles: HashMap<String, Uuid>,
    members: HashMap<String, Uuid>,
    projects: HashMap<String, Uuid>,
    environments: HashMap<String, Uuid>,
}

impl TableNames {
    async fn of(app: &Arc<App>, grant: &Grant, table: &[TableRow]) -> Result<Self> {
        let roles = app
            .verifier
            .directory()
            .organization(grant.organization())
            .map(|it| it.roles().map(|role| (role.name.to_lowercase(), role.id)).collect())
            .unwrap_or_default();
        let mut reader = app.read_for(grant).await?;
        let all = members::list(reader.conn(), grant).await?;
        let members = all.into_iter().map(|it| (fold_email(&it.email), it.account_id)).collect();
        let named = |field: &str| table.iter().any(|row| row.fields.contains_key(field));
        let mut names = Self { roles, members, projects: HashMap::new(), environments: HashMap::new() };
        if named(PROJECTS) || named(ENVIRONMENTS) {
            let all = projects::names(reader.conn(), grant).await?;
            names.projects = all.into_iter().map(|(id, name)| (name.to_lowercase(), id)).collect();
        }
        // Of those projects alone of which one is named.
        let mut within = BTreeSet::new();
        for row in table {
            for text in token_table::names(row.fields.get(ENVIRONMENTS)).unwrap_or_default() {
                let project = text.rsplit_once('/').map(|(project, _)| project.to_lowercase());
                within.extend(project.and_then(|project| Some((*names.projects.get(&project)?, project))));
            }
        }
        for (id, project) in within {
            let all = environments::list(reader.conn(), grant, id).await?;
            let named = |it: environments::Environment| (format!("{project}/{}", it.name.to_lowercase()), it.id);
            names.environments.extend(all.into_iter().map(named));
        }
        Ok(names)
    }

    /// The projects or environments of a cell.
    fn places(&self, row: &TableRow, field: &'static str, faults: &mut Faults) -> Vec<Uuid> {
        let (known, what) = match field {
            PROJECTS => (&self.projects, "no project of the organization"),
            _ => (&self.environments, "no environment of the organization; write it as project/environment"),
        };
        let texts = token_table::names(row.fields.get(field)).unwrap_or_else(|problem| {
            faults.push(field, problem);
            Vec::new()
        });
        let mut ids = Vec::with_capacity(texts.len());
        for text in &texts {
            match Uuid::parse_str(text).ok().or_else(|| known.get(&text.to_lowercase()).copied()) {
                Some(id) => ids.push(id),
                None => faults.push(field, format!("has `{text}`, which is {what}")),
            }
        }
        token_places::read(field, Some(ids).filter(|ids| !ids.is_empty()), faults)
    }

    fn token(&self, row: &TableRow, now: Time, faults: &mut Faults) -> NewToken {
        if row.fields.contains_key("secret") {
            faults.push(
                "secret",
                "does not belong here: send its `sha256` and `last_four`, or use `tokenward token import`, which sends these alone",
            );
        }
        if let Some(unknown) = row.fields.keys().find(|key| *key != "secret" && !FIELDS.contains(&key.as_str())) {
            let known = known_words(unknown, FIELDS.into_iter());
            faults.push("line", format!("has `{unknown}`, which is nothing that a token has; {known}"));
        }
        let said = |field: &'static str, faults: &mut Faults| match row.fields.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Some(_) => {
                faults.push(field, "is no text");
                None
            }
        };
        let name = said("name", faults).unwrap_or_default();
        let role = said("role", faults);
        if role.is_none() {
            faults.push("role", "is missing: without it a token would be an admin");
        }
        let role_id = role.and_then(|role| {
            let found = self.roles.get(&role.to_lowercase()).copied();
            if found.is_none() {
                faults.push("role", format!("is `{role}`, which is no role of the organization"));
            }
            found
        });
        let moment = |field, day: Day, faults: &mut Faults| -> Option<Option<Time>> {
            let text = said(field, faults)?;
            let read = if text == "never" { Some(None) } else { at(&text, day, now).map(Some) };
            if read.is_none() {
                faults.push(field, "is no date, date-time or length such as 90d");
            }
            read
        };
        let end = moment("expires_at", Day::Ends, faults).map_or(End::Usual, |at| at.map_or(End::Never, End::At));
        let not_before = moment("not_before", Day::Begins, faults).flatten();
        let member = |field, faults: &mut Faults| {
            let address = said(field, faults)?;
            let found = self.members.get(&fold_email(&address)).copied();
            if found.is_none() {
                faults.push(field, format!("is `{address}`, who is no member"));
            }
            found
        };
        let (owner_id, successor_id) = (member("owner", faults).map(Some), member("successor", faults));
        let rate = said(RATE, faults).and_then(|text| faults.read(RATE, Rate::parse_line(&text)));
        let quota = said(QUOTA, faults).and_then(|text| faults.read(QUOTA, Quota::parse(&text)));
        let permissions = token_table::words(row.fields.get(FIELD)).unwrap_or_else(|problem| {
            faults.push(FIELD, problem);
            Vec::new()
        });
        NewToken {
            name,
            description: said("description", faults),
            role_id,
            not_before,
            end,
            networks: networks(row.fields.get("networks"), faults),
            labels: labels(row.fields.get("labels"), faults),
            metadata: metadata(row.fields.get("metadata"), faults),
            owner_id,
            successor_id,
            permissions: token_scope::read(&permissions, |_| FIELD.to_owned(), faults),
            places: PlacesWanted {
                projects: self.places(row, PROJECTS, faults),
                environments: self.places(row, ENVIRONMENTS, faults),
            },
            allowance: Allowance { rate, quota },
            registration: registration(said("sha256", faults), said("last_four", faults), faults),
        }
    }
}

/// A moment as people write it: a date-time, a date, or a length from now on.
fn at(text: &str, day: Day, now: Time) -> Option<Time> {
    let of_day = || Time::parse(&format!("{text}T00:00:00Z")).map(|begin| day.moment(begin));
    Time::parse(text).or_else(of_day).or_else(|| length(text).map(|life| now.plus(life)))
}

fn registration(sha256: Option<String>, last_four: Option<String>, faults: &mut Faults) -> Option<Registration> {
    let Some(sha256) = sha256 else {
        faults.push("sha256", "is missing: an import registers secrets that are there already");
        return None;
    };
    let shown = last_four.as_deref().and_then(Registration::last_four);
    if last_four.is_some() && shown.is_none() {
        faults.push("last_four", "is not four letters, digits or signs of ASCII");
    }
    let mut bytes = [0; 32];
    if hex::decode_to_slice(&sha256, &mut bytes).is_err() {
        faults.push("sha256", "is not 64 hexadecimal digits. It must be the SHA-256 of the whole text of the token");
        return None;
    }
    Some(Registration { inner: InnerDigest::new(bytes), last_four: shown })
}

/// An object, or in a cell `team=shop, env=prod`.
fn labels(said: Option<&Value>, faults: &mut Faults) -> Labels {
    let mut labels = Labels::new();
    match said {
        None | Some(Value::Null) => {}
        Some(Value::Object(all)) => {
            for (key, value) in all {
                match value {
                    Value::String(value) => drop(labels.insert(key.clone(), value.clone())),
                    _ => faults.push("labels", format!("has `{key}`, whose value is no text")),
                }
            }
        }
        Some(Value::String(text)) => {
            for pair in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                labels.insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
        Some(_) => faults.push("labels", "are neither an object nor `key=value` with commas between"),
    }
    labels
}

/// An object, which in a cell is a text of JSON.
fn metadata(said: Option<&Value>, faults: &mut Faults) -> Option<String> {
    let read = match said {
        None | Some(Value::Null) => return None,
        Some(Value::String(text)) if text.trim().is_empty() => return None,
        Some(Value::Object(all)) => Some(all.clone()),
        Some(Value::String(text)) => serde_json::from_str(text).ok(),
        Some(_) => None,
    };
    match read {
        Some(all) => token_labels::metadata_text(&all, faults),
        None => {
            faults.push("metadata", "is no object of JSON, such as {\"ticket\": \"OPS-1204\"}");
            None
        }
    }
}

/// A list, or in a cell several with spaces between.
fn networks(said: Option<&Value>, faults: &mut Faults) -> Vec<NotedNetwork> {
    let texts: Vec<String> = match said {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(all)) if all.iter().all(Value::is_string) => {
            all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(Value::String(text)) => text.split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect(),
        Some(_) => {
            faults.push("networks", "are neither a list of texts nor one text");
            Vec::new()
        }
    };
    token_networks::read(texts.into_iter().map(|it| (it, None)), |_| "networks".to_owned(), faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_last_day_of_a_token_or_its_first() {
        let now = Time::parse("2026-11-24T12:00:00Z").unwrap();
        let of = |text: &str, day| at(text, day, now).map(|at| at.to_string());
        assert_eq!(of("2027-01-31", Day::Ends).as_deref(), Some("2027-02-01T00:00:00.000000Z"));
        assert_eq!(of("2027-01-31", Day::Begins).as_deref(), Some("2027-01-31T00:00:00.000000Z"));
        for day in [Day::Begins, Day::Ends] {
            assert_eq!(of("2027-01-31T12:00:00Z", day).as_deref(), Some("2027-01-31T12:00:00.000000Z"));
            assert_eq!(of("2d", day).as_deref(), Some("2026-11-26T12:00:00.000000Z"));
            assert_eq!(of("soon", day), None);
        }
    }
}
