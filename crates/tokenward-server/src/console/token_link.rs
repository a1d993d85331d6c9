//! Links that fill the form of a new token: for a runbook, an error message, another page. They make nothing by themselves.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::permission::Permission;
use tokenward_core::role::{Role, Target};
use tokenward_core::time::{DAY, length};
use tokenward_core::{Error, Result, Uuid};

use super::form::{Pairs, Problems};
use super::person::SignedIn;
use crate::limits::{DESCRIPTION, NAME, PERMISSION};
use crate::service::roles;

/// What an address may fill in.
const KNOWN: [&str; 5] = ["name", "role", "permission", "expires", "description"];

/// The fields of the form as `?name=&role=&permission=&expires=&description=` fills them, with what is wrong with it. A role is named by its id
/// or its name, or is the smallest that holds a permission; an end is a length such as `90d`, a date, or `never`.
pub(super) fn filled(person: &SignedIn, grant: &Grant, query: &Pairs) -> Result<(Pairs, Problems)> {
    query.understood(&KNOWN)?;
    let bounds = [("name", &NAME), ("description", &DESCRIPTION), ("role", &NAME), ("permission", &PERMISSION)];
    for (field, limit) in bounds {
        limit.check_text(query.get(field)).map_err(|problem| Error::invalid(field, problem))?;
    }
    let mut problems = Problems::default();
    let mut fields = vec![("name", query.line("name")), ("description", query.get("description").to_owned())];
    let role = query.line("role");
    if !role.is_empty() {
        let offered = roles::available(&person.app, grant)?;
        let id = Uuid::try_parse(&role).ok();
        let named = offered.iter().find(|it| Some(it.id) == id || *it.name == *role);
        match named {
            None => problems.add("role_id", format!("The link names the role “{role}”, which cannot be given. Choose one.")),
            Some(found) => match found.beyond(grant.role()) {
                Some(missing) => problems.add(
                    "role_id",
                    format!("The link names the role “{role}”, which may more than you can do yourself: {missing}. Choose another one."),
                ),
                None => fields.push(("role_id", found.id.to_string())),
            },
        }
    }
    let permission = query.line("permission");
    if !permission.is_empty() {
        let asked = Permission::parse(&permission).map_err(|problem| Error::invalid("permission", problem))?;
        let offered = roles::available(&person.app, grant)?;
        let would_do = |it: &&Arc<Role>| it.allows(asked, Target::Organization) && it.beyond(grant.role()).is_none();
        let smallest = offered.iter().filter(would_do).min_by_key(|it| (it.permissions().len(), it.name.clone()));
        match smallest {
            // Who says the role as well means that.
            _ if !role.is_empty() => {}
            Some(found) => fields.push(("role_id", found.id.to_string())),
            None => problems.add(
                "role_id",
                format!(
                    "The link asks for {permission}, which no role holds that you may give. Make such a role first."
                ),
            ),
        }
    }
    let expires = query.line("expires");
    match expires.as_str() {
        "" => {}
        "never" => fields.push(("expires", expires.clone())),
        text if text.parse::<chrono::NaiveDate>().is_ok() => {
            fields.push(("expires", "date".to_owned()));
            fields.push(("expires_on", expires.clone()));
        }
        text => match length(text).filter(|life| *life > 0) {
            Some(life) => match person
                .app
                .now()
                .plus(life)
                .0
                .checked_div(DAY)
                .and_then(|day| chrono::DateTime::from_timestamp(day.checked_mul(DAY / 1_000_000)?, 0))
            {
                // Lengths that the form does not offer are shown as the day on which they end.
                Some(day) if !["30d", "90d", "365d", "1y"].contains(&text) => {
                    fields.push(("expires", "date".to_owned()));
                    fields.push(("expires_on", day.date_naive().to_string()));
                }
                _ => fields.push(("expires", if text == "1y" { "365d".to_owned() } else { text.to_owned() })),
            },
            None => problems.add(
                "expires_at",
                "The link has no end that can be read, such as 90d, 2027-01-31 or never. Choose one.",
            ),
        },
    }
    Ok((fields.into_iter().collect(), problems))
}
