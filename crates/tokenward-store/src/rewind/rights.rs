//! Rights that were made smaller since an older state: what roles allow, what tokens are bound to, the routes of APIs, and what is
//! asked of the lives of tokens. Nothing is given by it but where a person wrote one thing in the place of another.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::event::{Event, Kind, RoleSnapshot};
use tokenward_core::journal::{After, ApiRules, Entry, RoleRights, TokenBounds};
use tokenward_core::meter::Allowance;
use tokenward_core::network::{Networks, NotedNetwork};
use tokenward_core::role::{Role, RoleKind, Scope};
use tokenward_core::{Result, Uuid};

use super::credentials::lives;
use super::{KeptToken, of_token};
use crate::db::{execute, run};
use crate::tx::Tx;
use crate::{apis, restrictions, role_rows, roles, token_policies};

/// What roles allowed, as far as it was noted. Some of them are in no older state.
pub(super) type NotedRoles<'e> = HashMap<Uuid, &'e RoleRights>;

/// Those among the last states of things.
pub(super) fn noted_roles<'e>(net: impl Iterator<Item = &'e Entry>) -> NotedRoles<'e> {
    let of = |entry: &'e Entry| match &entry.after {
        Some(After::Role { rights }) => Some((entry.target, rights)),
        _ => None,
    };
    net.filter_map(of).collect()
}

/// What it was that somebody got another role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exchange {
    /// It took nothing away.
    Gave,
    /// It took something away.
    Took,
    /// It did, or that is not known; and the other role is lost.
    Lost,
}

/// Compares the role that is held with the one that came after it.
pub(super) async fn exchange(
    tx: &mut Tx,
    organization: Uuid,
    (held, since): (Uuid, Uuid),
    noted: &NotedRoles<'_>,
) -> Result<Exchange> {
    let before = role_rows::now(tx.conn(), organization, held).await?;
    let there = role_rows::now(tx.conn(), organization, since).await?;
    let is_there = there.is_some();
    let after = there.or_else(|| noted.get(&since).and_then(|rights| rights.role(since, "")).map(Arc::new));
    let gave = before.zip(after).is_some_and(|(before, after)| before.beyond(&after).is_none());
    Ok(match (gave, is_there) {
        (true, _) => Exchange::Gave,
        (false, true) => Exchange::Took,
        (false, false) => Exchange::Lost,
    })
}

/// Takes from a role what was taken from it since.
pub(super) async fn role(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    rights: &RoleRights,
    events: &mut Vec<Event>,
) -> Result<()> {
    if !lives(tx, organization).await? {
        return Ok(());
    }
    let held = role_rows::now(tx.conn(), organization, id).await?.filter(|it| it.kind == RoleKind::Custom);
    let Some(older) = held else { return Ok(()) };
    let Some(left) = rights.left_of(&older) else { return Ok(()) };
    let description: String = run!(tx.conn(), c => sqlx::query_scalar("SELECT description FROM role WHERE id = $1")
        .bind(id).fetch_one(&mut *c))?;
    roles::write_rights(tx, organization, &left).await?;
    if matches!(rights, RoleRights::Digest(_)) {
        tracing::warn!(
            role = %id, name = %left.name,
            "what a large role allowed last is not known: it allows nothing until it is written"
        );
    }
    let event = Event::new(Kind::RoleUpdated, Some(organization), id, &*left.name);
    events.push(event.before(snapshot(&older, &description)).after(snapshot(&left, &description)));
    Ok(())
}

pub(super) fn snapshot(role: &Role, description: &str) -> RoleSnapshot {
    RoleSnapshot {
        name: role.name.to_string(),
        description: description.to_owned(),
        permissions: role.named_permissions(),
        cluster_permissions: role.matrix().clusters.iter().map(|(id, level)| (*id, *level)).collect(),
        project_permissions: role.matrix().projects.iter().map(|(id, a)| (*id, a.is_admin, a.levels)).collect(),
    }
}

/// Binds a token again to what it was bound to since. Where that is not known, or lost, it is switched off. `is_off` says that it is.
pub(super) async fn token(
    tx: &mut Tx,
    token: &KeptToken,
    since: &TokenBounds,
    is_off: bool,
    noted: &NotedRoles<'_>,
    events: &mut Vec<Event>,
) -> Result<()> {
    let exchange = match (token.role_id, since.role) {
        (Some(held), Some(role)) if held != role => exchange(tx, token.organization_id, (held, role), noted).await?,
        _ => Exchange::Gave,
    };
    let older = token.bounds();
    let (left, is_known) = narrowed(&older, since, exchange);
    let now = tx.now();
    if left != older {
        execute!(
            tx.conn(),
            sqlx::query(concat!(
                "UPDATE token SET role_id = $2, not_before = $3, expires_at = $4, networks = $5, permissions = $6, ",
                "allowance = $7, brownout = $8, ",
                "updated_at = CASE WHEN updated_at < $9 THEN $9 ELSE updated_at + 1 END WHERE id = $1"
            ))
            .bind(token.id)
            .bind(left.role)
            .bind(left.not_before.map(|at| at.0))
            .bind(left.expires_at.map(|at| at.0))
            .bind(left.networks.as_deref())
            .bind(left.permissions.as_deref())
            .bind(left.allowance.as_deref())
            .bind(left.brownout.as_deref())
            .bind(now.0)
        )?;
        events.push(of_token(Kind::TokenUpdated, token));
    }
    if !is_known && !is_off {
        execute!(
            tx.conn(),
            sqlx::query(concat!(
                "UPDATE token SET disabled_at = $2, ",
                "updated_at = CASE WHEN updated_at < $2 THEN $2 ELSE updated_at + 1 END WHERE id = $1"
            ))
            .bind(token.id)
            .bind(now.0)
        )?;
        tracing::warn!(
            token = %token.id, name = %token.name,
            "what a token was bound to last is lost: it is switched off until somebody has looked"
        );
        events.push(of_token(Kind::TokenDisabled, token));
    }
    Ok(())
}

/// What a token of an older state is bound to with what was taken from it since, and whether that is all that was taken.
fn narrowed(older: &TokenBounds, since: &TokenBounds, exchange: Exchange) -> (TokenBounds, bool) {
    let mut left = older.clone();
    if exchange == Exchange::Took {
        left.role = since.role;
    }
    if since.expires_at.is_some_and(|at| older.expires_at.is_none_or(|end| at < end)) {
        left.expires_at = since.expires_at;
    }
    left.not_before = older.not_before.max(since.not_before);
    // Another policy may deny what this one allows.
    let is_known = exchange != Exchange::Lost && since.policy <= older.policy;
    if let Some(digest) = &since.digest {
        let is_same = *digest == older.digest_of_texts();
        return (left, is_known && is_same);
    }
    let wider = |older: &Vec<NotedNetwork>, since: &Vec<NotedNetwork>| {
        let since = Networks::of(since.iter().map(|it| &it.network));
        older.iter().any(|it| !since.cover(&it.network))
    };
    if goes_beyond((&older.networks, &since.networks), read_networks, wider) {
        left.networks.clone_from(&since.networks);
    }
    if goes_beyond((&older.permissions, &since.permissions), read_scope, Scope::goes_beyond) {
        left.permissions.clone_from(&since.permissions);
    }
    let read_allowance = |text: &str| restrictions::allowance(Some(text));
    let more = |older: &Allowance, since: &Allowance| !since.covers(older);
    if goes_beyond((&older.allowance, &since.allowance), read_allowance, more) {
        left.allowance.clone_from(&since.allowance);
    }
    left.brownout = since.brownout.clone().or(left.brownout);
    (left, is_known)
}

fn read_networks(text: &str) -> Option<Vec<NotedNetwork>> {
    restrictions::networks(Some(text))
}

fn read_scope(text: &str) -> Option<Scope> {
    let (permissions, places) = restrictions::narrowed(Some(text))?;
    Scope::of(&permissions, &places).ok()?
}

/// Does what an older state allows go beyond what was kept since? Without a text everything is allowed; one that cannot be read
/// allows nothing.
fn goes_beyond<T>(
    (older, since): (&Option<String>, &Option<String>),
    read: impl Fn(&str) -> Option<T>,
    compare: impl Fn(&T, &T) -> bool,
) -> bool {
    let Some(since) = since.as_deref() else { return false };
    match older.as_deref() {
        None => true,
        Some(older) if older == since => false,
        Some(older) => match (read(older), read(since)) {
            (Some(older), Some(since)) => compare(&older, &since),
            _ => true,
        },
    }
}

/// Makes the routes of an API what they were last, or takes it out where that is not known.
pub(super) async fn api(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    since: Option<&ApiRules>,
    events: &mut Vec<Event>,
) -> Result<()> {
    let Some((name, is_there)) = apis::put_back(tx, organization, id, since).await? else { return Ok(()) };
    if !is_there && since.is_some() {
        tracing::warn!(
            %organization, name,
            "what the routes of an API were last is lost: it is denied until it is imported again"
        );
    }
    let kind = if is_there { Kind::ApiUpdated } else { Kind::ApiDeleted };
    events.push(Event::new(kind, Some(organization), id, name));
    Ok(())
}

/// Asks again of the lives of tokens what was asked last.
pub(super) async fn token_policy(tx: &mut Tx, organization: Uuid, since: &str, events: &mut Vec<Event>) -> Result<()> {
    if token_policies::tighten(tx, organization, since).await? {
        events.push(Event::new(Kind::TokenPolicyUpdated, Some(organization), organization, ""));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokenward_core::Time;

    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// What is left of an older state, of which all is known that was taken.
    fn left(older: &TokenBounds, since: &TokenBounds) -> TokenBounds {
        let (left, is_known) = narrowed(older, since, Exchange::Gave);
        assert!(is_known);
        left
    }

    #[test]
    fn a_token_is_bound_again_to_what_is_less_and_not_to_what_is_more() {
        let wide = TokenBounds { expires_at: Some(Time(9)), ..TokenBounds::default() };
        let narrow = TokenBounds {
            expires_at: Some(Time(5)),
            not_before: Some(Time(3)),
            networks: text(r#"[["203.0.113.0/24",null]]"#),
            permissions: text(r#"["invoices:read"]"#),
            allowance: text(r#"{"rate":[5,"minute",5],"quota":null}"#),
            brownout: text("x"),
            ..TokenBounds::default()
        };
        assert_eq!(left(&wide, &narrow), narrow);
        let once_more = TokenBounds { brownout: None, ..wide.clone() };
        assert_eq!(left(&narrow, &once_more), narrow);
        assert_eq!(left(&narrow, &narrow), narrow);
    }

    #[test]
    fn each_text_is_compared_by_what_it_allows() {
        let networks = |it: &str| TokenBounds { networks: text(it), ..TokenBounds::default() };
        let (office, net) = (networks(r#"[["203.0.113.7",null]]"#), networks(r#"[["203.0.113.0/24","all"]]"#));
        assert_eq!((left(&office, &net), left(&net, &office)), (office.clone(), office.clone()));
        assert_eq!(left(&office, &networks("?")), networks("?"), "what cannot be read lets nobody in");
        let scope = |it: &str| TokenBounds { permissions: text(it), ..TokenBounds::default() };
        let (reads, all) = (scope(r#"["invoices:read"]"#), scope(r#"["*:read","orders:write"]"#));
        assert_eq!((left(&reads, &all), left(&all, &reads)), (reads.clone(), reads.clone()));
        let places = r#"{"permissions":[],"projects":["00000000-0000-0000-0000-000000000001"],"environments":[]}"#;
        assert_eq!(left(&reads, &scope(places)), scope(places), "it was bound to a project since");
        let allowance = |it: &str| TokenBounds { allowance: text(it), ..TokenBounds::default() };
        let slow = allowance(r#"{"rate":[5,"minute",5],"quota":null}"#);
        let fast = allowance(r#"{"rate":[5,"second",5],"quota":null}"#);
        assert_eq!((left(&slow, &fast), left(&fast, &slow)), (slow.clone(), slow.clone()));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let (held, other) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let of = |role, policy: Option<i64>| TokenBounds { role, policy: policy.map(Time), ..TokenBounds::default() };
        let known = |older: &TokenBounds, since: &TokenBounds, exchange| {
            let (left, is_known) = narrowed(older, since, exchange);
            (left.role, is_known)
        };
        let (older, since) = (of(held, None), of(other, None));
        assert_eq!(known(&older, &since, Exchange::Gave), (held, true));
        assert_eq!(known(&older, &since, Exchange::Took), (other, true));
        assert_eq!(known(&older, &since, Exchange::Lost), (held, false));
        assert_eq!(known(&of(held, Some(1)), &of(held, Some(2)), Exchange::Gave), (held, false), "another policy");
        assert_eq!(known(&of(held, Some(2)), &of(held, Some(2)), Exchange::Gave), (held, true));
        let long = TokenBounds { networks: Some("x".repeat(5_000)), ..TokenBounds::default() };
        assert!(narrowed(&long, &long.clone().noted(), Exchange::Gave).1);
        let (left, is_known) = narrowed(&of(held, None), &long.clone().noted(), Exchange::Gave);
        assert!(!is_known && left.networks.is_none());
    }
}
