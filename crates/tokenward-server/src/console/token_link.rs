//! Links that fill the form of a new token: for a runbook, an error message, another page. They make nothing by themselves.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::permission::Permission;
use tokenward_core::role::{Role, Target};
use tokenward_core::time::{DAY, length};
use tokenward_core::{Error, Result, Uuid};

use super::form::{Pairs, Problems};
use super::person::SignedIn;
use crate::heavy;
use crate::limits::{DESCRIPTION, NAME, PERMISSION};
use crate::service::roles;

/// What an address may fill in.
const KNOWN: [&str; 5] = ["name", "role", "permission", "expires", "description"];

/// The fields of the form as `?name=&role=&permission=&expires=&description=` fills them, with what is wrong with it. A role is named by its id
/// or its name, or is the smallest that holds a permission; an end is a length such as `90d`, a date, or `never`.
pub(super) async fn filled(person: &SignedIn, grant: &Grant, query: &Pairs) -> Result<(Pairs, Problems)> {
    query.understood(&KNOWN)?;
    let bounds = [("name", &NAME), ("description", &DESCRIPTION), ("role", &NAME), ("permission", &PERMISSION)];
    for (field, limit) in bounds {
        limit.check_text(query.get(field)).map_err(|problem| Error::invalid(field, problem))?;
    }
    let mut problems = Problems::default();
    let mut fields = vec![("name", query.line("name")), ("description", query.get("description").to_owned())];
    let (role, permission) = (query.line("role"), query.line("permission"));
    if !permission.is_empty() {
        Permission::parse(&permission).map_err(|problem| Error::invalid("permission", problem))?;
    }
    let meant = match role.is_empty() && permission.is_empty() {
        true => Meant::default(),
        false => meant(person, grant, &role, &permission).await?,
    };
    if !role.is_empty() {
        match meant.named {
            None => problems.add("role_id", format!("The link names the role “{role}”, which cannot be given. Choose one.")),
            Some((id, beyond)) => match beyond {
                Some(missing) => problems.add(
                    "role_id",
                    format!("The link names the role “{role}”, which may more than you can do yourself: {missing}. Choose another one."),
                ),
                None => fields.push(("role_id", id.to_string())),
            },
        }
    }
    if !permission.is_empty() {
        match meant.smallest {
            // Who says the role as well means that.
            _ if !role.is_empty() => {}
            Some(id) => fields.push(("role_id", id.to_string())),
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

/// The roles that a link means.
#[derive(Default)]
struct Meant {
    /// The one that it names, with what that may beyond the own one.
    named: Option<(Uuid, Option<String>)>,
    /// The smallest that holds a permission and can be given.
    smallest: Option<Uuid>,
}

/// Looks for them among as many as an organization may have, each compared with the own one.
async fn meant(person: &SignedIn, grant: &Grant, role: &str, permission: &str) -> Result<Meant> {
    let (app, grant) = (Arc::clone(&person.app), grant.clone());
    let (role, permission) = (role.to_owned(), permission.to_owned());
    heavy::run(grant.organization(), move || -> Result<Meant> {
        let offered = roles::available(&app, &grant)?;
        let id = Uuid::try_parse(&role).ok();
        let named = offered.iter().find(|it| !role.is_empty() && (Some(it.id) == id || *it.name == *role));
        let smallest = Permission::parse(&permission).ok().and_then(|asked| {
            let would_do =
                |it: &&Arc<Role>| it.allows(asked, Target::Organization) && it.beyond(grant.role()).is_none();
            offered.iter().filter(would_do).min_by_key(|it| (it.permissions().len(), it.name.clone()))
        });
        Ok(Meant { named: named.map(|it| (it.id, it.beyond(grant.role()))), smallest: smallest.map(|it| it.id) })
    })
    .await?
}
