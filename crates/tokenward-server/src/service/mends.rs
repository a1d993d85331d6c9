//! Denials for people who are to do something about them: equal ones together, and what would mend each.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::directory::Organization;
use tokenward_core::permission::Permission;
use tokenward_core::reason::Reason;
use tokenward_core::role::{Role, RoleKind, Target};
use tokenward_core::{Result, Time, Uuid};
use tokenward_store::denials;

use super::App;
use super::decisions::{self, DecisionQuery, Explained, KeptDecision, wanted};
use crate::heavy;
use crate::limits::DENIALS_LOOKED_THROUGH;

/// Decisions that are equal in all but their time and address.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The newest.
    pub newest: Explained,
    /// What was asked, with `{id}` for what is an id in the path: `DELETE /orders/{id}`.
    pub wanted: String,
    /// How many there are.
    pub count: usize,
    /// When the first of them was.
    pub first: Time,
    /// What would mend it.
    pub mend: Option<Mend>,
}

/// What would have allowed what was denied for want of a permission.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mend {
    /// The permissions of the organization's own API that the role lacks.
    pub missing: Vec<String>,
    /// The role of the token.
    pub role: Uuid,
    /// Can that role be changed?
    pub custom: bool,
    /// Another role that would do, and what it may besides.
    pub other: Option<(Uuid, Vec<String>)>,
}

/// What stands for an id in a path.
const AN_ID: &str = "{id}";

/// A path with its ids left out, so that requests for different things of one kind are equal.
fn shape(asked: &str) -> String {
    let is_id = |part: &str| {
        let hex = |text: &str| text.len() >= 16 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let digit = part.bytes().any(|b| b.is_ascii_digit());
        let long = part.len() >= 20 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        !part.is_empty() && (part.bytes().all(|b| b.is_ascii_digit()) || (digit && (hex(part) || long)))
    };
    let Some((method, path)) = asked.split_once(' ') else { return asked.to_owned() };
    let parts: Vec<&str> = path.split('/').map(|part| if is_id(part) { AN_ID } else { part }).collect();
    format!("{method} {}", parts.join("/"))
}

/// Decisions that are equal in all but their time and address.
struct Equal {
    newest: KeptDecision,
    wanted: String,
    count: usize,
    first: Time,
}

/// What was decided, equal ones together, the newest first: at most `limit` kinds. And how many there are of denials and of others,
/// as [`decisions::counts`] tells it.
pub async fn folded(
    app: &Arc<App>,
    grant: &Grant,
    filter: &DecisionQuery,
    limit: usize,
    most: usize,
) -> Result<(Vec<Folded>, (usize, usize))> {
    let (all, counts) = decisions::counted(app, grant, filter, DENIALS_LOOKED_THROUGH.size(), most).await?;
    // There may be ten thousand of them: not where others wait for their answers.
    let kinds = heavy::aside(grant.organization(), move || equal_together(all, limit)).await?;
    let newest = kinds.iter().map(|kind| kind.newest.clone()).collect();
    let explained = decisions::explained(app, grant, newest).await?;
    let kinds = kinds.into_iter().map(|Equal { wanted, count, first, .. }| (wanted, count, first));
    Ok((mended(app, grant, explained.into_iter().zip(kinds).collect()).await?, counts))
}

fn equal_together(all: Vec<KeptDecision>, limit: usize) -> Vec<Equal> {
    let mut places: HashMap<_, usize> = HashMap::new();
    let mut kinds: Vec<Equal> = Vec::new();
    for it in all {
        let shape = shape(&wanted(&it));
        let key = (it.denied, it.token, it.api.clone(), it.missing.clone(), shape.clone());
        match places.get(&key) {
            Some(place) => {
                let kind = &mut kinds[*place];
                kind.count += 1;
                kind.first = it.at.min(kind.first);
            }
            None if kinds.len() < limit => {
                places.insert(key, kinds.len());
                kinds.push(Equal { first: it.at, newest: it, wanted: shape, count: 1 });
            }
            None => {}
        }
    }
    kinds
}

/// One decision by its id, as long as it is remembered.
pub async fn find(app: &Arc<App>, grant: &Grant, id: &str) -> Result<Option<Folded>> {
    let Some(found) = decisions::find(app, grant, id).await? else { return Ok(None) };
    let kind = (wanted(&found.decision), 1, found.decision.at);
    Ok(mended(app, grant, vec![(found, kind)]).await?.pop())
}

async fn mended(app: &Arc<App>, grant: &Grant, all: Vec<(Explained, (String, usize, Time))>) -> Result<Vec<Folded>> {
    let tokens: Vec<Uuid> = all.iter().filter_map(|(it, _)| it.decision.token).collect();
    let roles = {
        let mut reader = app.read_for(grant).await?;
        denials::roles_of(reader.conn(), grant, &tokens).await?
    };
    let (app, id) = (Arc::clone(app), grant.organization());
    // Roles are compared for each of them.
    heavy::aside(id, move || {
        let directory = app.verifier.directory();
        let Some(organization) = directory.organization(id) else { return Vec::new() };
        let mend = |it: &Explained| {
            let role = organization.role(*roles.get(&it.decision.token?)?)?;
            mend(organization, it, role)
        };
        let folded = all.into_iter().map(|(newest, (wanted, count, first))| {
            let mend = mend(&newest);
            Folded { newest, wanted, count, first, mend }
        });
        folded.collect()
    })
    .await
}

fn mend(organization: &Organization, it: &Explained, role: &Role) -> Option<Mend> {
    if it.decision.denied != Some(Reason::PermissionDenied) {
        return None;
    }
    let lacks = |text: &&String| Permission::parse(text).is_ok_and(|asked| !role.allows(asked, Target::Organization));
    // Of several ways the one that lacks the least, as the decision says it.
    let ways = it.needs.iter().map(|way| way.iter().filter(lacks).cloned().collect::<Vec<_>>());
    let mut missing = ways.min_by_key(Vec::len).unwrap_or_default();
    missing.extend(it.decision.permission.iter().filter(lacks).cloned());
    missing.extend(it.decision.missing.iter().filter(|_| it.needs.is_empty()).filter(lacks).cloned());
    missing.sort_unstable();
    missing.dedup();
    // What Tokenward itself protects, and single projects, cannot be given by a line in a role.
    let of_api = |text: &String| matches!(Permission::parse(text), Ok(Permission::Api { .. }));
    if it.decision.target != Target::Organization || !missing.iter().all(of_api) {
        missing.clear();
    }
    let other =
        it.smallest_role.as_ref().and_then(|(id, _)| organization.role(*id)).filter(|other| other.id != role.id);
    let other = other.map(|other| {
        let beyond = other.all_beyond(role);
        let besides = beyond.permissions.into_iter().filter(|text| !missing.contains(text)).collect();
        (other.id, besides)
    });
    let nothing = missing.is_empty() && other.is_none();
    (!nothing).then(|| Mend { missing, role: role.id, custom: role.kind == RoleKind::Custom, other })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_paths_are_left_out() {
        for (asked, shown) in [
            ("DELETE /v1/orders/77812", "DELETE /v1/orders/{id}"),
            ("GET /orders/019ab000-0000-7000-8000-000000000000/lines", "GET /orders/{id}/lines"),
            ("GET /files/cus_Nv4bX1kL9q2ZzT7pQ", "GET /files/{id}"),
            ("GET /v1/invoices", "GET /v1/invoices"),
            ("GET /reports/2026-11", "GET /reports/2026-11"),
            ("invoices:read", "invoices:read"),
            ("", ""),
        ] {
            assert_eq!(shape(asked), shown);
        }
    }
}
