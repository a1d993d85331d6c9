//! A custom role to be read: what it may do, who has it, and what of it was used.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::directory::Organization;
use tokenward_core::nearest::nearest;
use tokenward_core::permission::{Management, Pattern};
use tokenward_core::role::{ClusterLevel, ProjectAccess, Role};
use tokenward_core::secret::Kind;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::apis::KeptRoute;
use tokenward_store::roles::Description;

use super::form::Pairs;
use super::overview;
use super::page::{PageResult, page};
use super::person::SignedIn;
use super::role_trial;
use super::view::{ApiPermissionRow, ApiVerbCell, HolderLink, Nav, OtherPermission, RolePage, Shell};
use super::words::{count, places};
use crate::heavy;
use crate::service::roles::CustomRole;
use crate::service::token_list::{self, Filter};
use crate::service::token_order::Order;
use crate::service::{apis, members, roles, token_use};

/// Holders that are named; of more it is said how many.
const NAMED: usize = 20;
/// APIs whose routes are counted.
const COUNTED: usize = 50;

/// The page of a custom role.
pub(super) async fn page_of(person: &SignedIn, grant: &Grant, id: Uuid, query: &Pairs) -> PageResult {
    let organization = grant.organization();
    let trial = role_trial::form(person, organization, id, query).await?;
    let days = overview::span(query)?;
    let CustomRole { role, description, .. } = roles::get(&person.app, grant, id).await?;
    let tokens = match person.may(organization, Management::TokenRead) {
        Ok(grant) => Some(holders(person, &grant, id, Kind::Token).await?),
        Err(_) => None,
    };
    let policy_tokens = match person.may(organization, Management::PolicyManage) {
        Ok(grant) => Some(holders(person, &grant, id, Kind::PolicyToken).await?),
        Err(_) => None,
    };
    let members = match person.may(organization, Management::MemberRead) {
        Ok(grant) => Some(members::with_role(&person.app, &grant, id).await?),
        Err(_) => None,
    };
    let granted = match person.may(organization, Management::TokenRead) {
        Ok(grant) => {
            let compared = token_use::of_role(&person.app, &grant, id, days).await?;
            let path = format!("/console/{organization}/roles/{id}");
            let mut granted = overview::granted(person, organization, &compared, (days, &path), Some(id));
            granted.other.1 = role_trial::kept(granted.other.1, query);
            Some(granted)
        }
        Err(_) => None,
    };
    let mut api = role.named_permissions();
    api.retain(|it| Management::ALL.iter().all(|own| own.as_str() != it.as_str()));
    let unknown = unknown(person, organization, api).await?;
    let shell = person.shell(Some(organization), Nav::Roles).await?;
    let directory = person.app.verifier.directory();
    let found = directory.organization(organization).ok_or_else(|| Error::not_found("organization"))?;
    let shown = said(shell, found, &role, &description);
    let shown = RolePage {
        unknown,
        tokens,
        policy_tokens,
        members,
        granted,
        trial,
        may_edit: person.can(organization, Management::RoleManage),
        ..shown
    };
    page(StatusCode::OK, &shown)
}

async fn holders(person: &SignedIn, grant: &Grant, role: Uuid, kind: Kind) -> Result<(Vec<HolderLink>, bool)> {
    let those = Filter { role: Some(role), ..Filter::of(kind) };
    let (part, more) = token_list::page(&person.app, grant, &those, Order::USUAL, None, NAMED).await?;
    let link = |id: Uuid, name: &str| HolderLink { id: id.to_string(), name: name.to_owned() };
    Ok((part.iter().map(|token| link(token.id, &token.name)).collect(), more.is_some()))
}

/// What a custom role may do, in words. What depends on the person is left out.
fn said(shell: Shell, organization: &Organization, role: &Role, description: &Description) -> RolePage {
    let (own, api): (Vec<String>, Vec<String>) =
        role.named_permissions().into_iter().partition(|it| Management::ALL.iter().any(|own| own.as_str() == it));
    let own = Management::ALL.iter().filter(|it| own.iter().any(|text| text == it.as_str()));
    let matrix = role.matrix();
    let clusters = organization.clusters().len();
    let mut cluster_lines =
        places(organization, std::iter::empty(), matrix.clusters.iter().map(|(id, level)| (*id, *level)));
    cluster_lines.insert(
        0,
        match clusters {
            0 => "there is none".to_owned(),
            1 => "sees the only one".to_owned(),
            all => format!("sees all {all}"),
        },
    );
    let projects: Vec<(Uuid, ProjectAccess)> = matrix.projects.iter().map(|(id, access)| (*id, *access)).collect();
    RolePage {
        shell,
        id: role.id.to_string(),
        name: role.name.to_string(),
        description: description.description.clone(),
        unknown: Vec::new(),
        api,
        own: own.map(|it| (it.to_string(), it.meaning().to_owned())).collect(),
        projects: places(organization, projects.into_iter(), std::iter::empty::<(Uuid, ClusterLevel)>()),
        clusters: cluster_lines,
        tokens: None,
        policy_tokens: None,
        members: None,
        granted: None,
        trial: None,
        may_edit: false,
    }
}

/// What of these permissions no imported route takes, with what will have been meant. The routes of an organization may name a
/// hundred thousand, and each of these is compared with all.
pub(super) async fn unknown(
    person: &SignedIn,
    organization: Uuid,
    permissions: Vec<String>,
) -> Result<Vec<OtherPermission>> {
    let directory = Arc::clone(&*person.app.verifier.directory());
    let look =
        move || directory.organization(organization).map(|found| unknown_of(found, &permissions)).unwrap_or_default();
    heavy::aside(organization, look).await
}

/// The same by what is in memory. Nothing where there are no routes.
fn unknown_of(organization: &Organization, permissions: &[String]) -> Vec<OtherPermission> {
    let known: Vec<&str> = organization.route_permissions().into_iter().map(|it| it.as_str()).collect();
    if known.is_empty() {
        return Vec::new();
    }
    let opens = |text: &str| {
        Pattern::parse(text).is_ok_and(|pattern| {
            known.iter().any(|it| it.split_once(':').is_some_and(|(noun, verb)| pattern.matches(noun, verb)))
        })
    };
    let unknown = permissions.iter().filter(|text| Pattern::parse(text).is_ok() && !opens(text));
    unknown
        .map(|text| OtherPermission {
            permission: text.clone(),
            meant: nearest(text, known.iter().copied()).map(str::to_owned),
        })
        .collect()
}

/// How many routes take each permission, by noun and verb.
type TakenBy = BTreeMap<(String, String), usize>;

/// The permissions that imported routes take, noun by noun, as boxes to tick; and what the form holds that has none. `held` is what
/// the form holds.
pub(super) async fn boxes(
    person: &SignedIn,
    organization: Uuid,
    held: Vec<String>,
    saved: &[String],
) -> Result<(Vec<ApiPermissionRow>, Vec<String>)> {
    let Ok(grant) = person.may(organization, Management::ApiRead) else { return Ok((Vec::new(), held)) };
    let mut taken = TakenBy::new();
    for api in apis::list(&person.app, &grant).await?.into_iter().take(COUNTED) {
        let routes = apis::get(&person.app, &grant, &api.name).await?.routes;
        let count = move || {
            count_routes(routes, &mut taken);
            taken
        };
        taken = heavy::aside(organization, count).await?;
    }
    let saved = saved.to_vec();
    let rows = move || {
        let rows = rows_of(taken, &held.iter().collect(), &saved.iter().collect());
        let other: Vec<String> = {
            let boxed: HashSet<&str> = rows.iter().flat_map(|row| &row.verbs).map(|cell| cell.value.as_str()).collect();
            held.iter().filter(|it| !boxed.contains(it.as_str())).cloned().collect()
        };
        (rows, other)
    };
    heavy::aside(organization, rows).await
}

fn count_routes(routes: Vec<KeptRoute>, taken: &mut TakenBy) {
    for route in routes {
        let all: BTreeSet<String> = route.ways.into_iter().flatten().collect();
        for permission in all {
            if let Some((noun, verb)) = permission.split_once(':') {
                *taken.entry((noun.to_owned(), verb.to_owned())).or_default() += 1;
            }
        }
    }
}

fn rows_of(taken: TakenBy, held: &HashSet<&String>, saved: &HashSet<&String>) -> Vec<ApiPermissionRow> {
    let cell = |value: String, label: String, routes: usize| ApiVerbCell {
        held: held.contains(&value),
        saved: saved.contains(&value),
        routes: count(routes, "route"),
        value,
        label,
    };
    let mut rows: Vec<ApiPermissionRow> = Vec::new();
    for ((noun, verb), n) in taken {
        let value = format!("{noun}:{verb}");
        match rows.last_mut().filter(|row| row.noun == noun) {
            Some(row) => row.verbs.push(cell(value, verb, n)),
            None => {
                let every = cell(format!("{noun}:*"), "everything".to_owned(), 0);
                rows.push(ApiPermissionRow { verbs: vec![every, cell(value, verb, n)], noun });
            }
        }
    }
    // "Everything" opens what each of them opens, and what is yet to come.
    for row in &mut rows {
        let (every, verbs) = row.verbs.split_at_mut(1);
        if let Some(every) = every.first_mut() {
            every.routes =
                if verbs.len() == 1 { "also what is to come".to_owned() } else { format!("all {}", verbs.len()) };
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use tokenward_core::directory::Directory;
    use tokenward_core::needs::Needs;
    use tokenward_core::permission::RequiredPermission;
    use tokenward_core::routes::{Route, Routes, Unknown};

    use super::*;

    #[test]
    fn what_no_route_takes_is_told_with_what_was_meant() {
        let id = Uuid::from_u128(1);
        let mut directory = Directory::default();
        directory.put_organization(id, "Acme");
        let texts =
            ["invoices:wrte".to_owned(), "invoices:*".to_owned(), "zzz:zzz".to_owned(), "invoices:read".to_owned()];
        let unknown = |directory: &Directory| {
            let all = unknown_of(directory.organization(id).unwrap(), &texts);
            all.into_iter().map(|it| (it.permission, it.meant)).collect::<Vec<_>>()
        };
        assert_eq!(unknown(&directory), [], "without routes nothing is known");
        let route = |path: &str, permission: &str| Route {
            method: "GET".into(),
            path: path.into(),
            needs: Needs::from(RequiredPermission::parse(permission).unwrap()),
        };
        let routes = [route("/a", "invoices:write"), route("/b", "invoices:read")];
        directory.put_api(id, "shop", Routes::compile(Uuid::from_u128(2), Unknown::Deny, &routes).unwrap());
        let expected = [("invoices:wrte".to_owned(), Some("invoices:write".to_owned())), ("zzz:zzz".to_owned(), None)];
        assert_eq!(unknown(&directory), expected);
    }
}
