//! What was deleted since an older state, and the modes that environments got: it is gone again, and whoever held a role that is has
//! the one that came after it.

use std::collections::HashMap;

use tokenward_core::event::{Event, Kind};
use tokenward_core::journal::{After, Entry};
use tokenward_core::role::{BuiltIn, Mode, RoleKind};
use tokenward_core::{Result, Uuid};

use super::credentials::{self, lives};
use super::rights::snapshot;
use super::{KeptToken, of_token};
use crate::db::{execute, row, run};
use crate::tx::Tx;
use crate::{organizations, role_rows, sign_in_rules};

/// Does the entry say that a role is gone?
pub(super) fn is_role(entry: &Entry) -> bool {
    matches!(entry.after, Some(After::Gone)) && Kind::parse(&entry.kind) == Some(Kind::RoleDeleted)
}

/// In which order what is gone is taken out, among all that is brought back: organizations before what belongs to them, which is gone by
/// that; environments before what they belong to; and these before roles (3) and the rest.
pub(super) fn rank(entry: &Entry) -> u8 {
    match Kind::parse(&entry.kind) {
        Some(Kind::OrganizationDeleted) => 0,
        Some(Kind::EnvironmentDeleted) => 1,
        Some(Kind::ProjectDeleted | Kind::ClusterDeleted) => 2,
        _ => 4,
    }
}

/// Is the entry about something of an organization that was deleted? Then it is gone too, and nothing more is written in the name of that
/// organization. What is kept for ever of tokens is another matter, and so is what people sign in with.
pub(super) async fn went_along(tx: &mut Tx, entry: &Entry) -> Result<bool> {
    let Some(organization) = entry.organization else { return Ok(false) };
    let belongs = match &entry.after {
        Some(After::Gone) => Kind::parse(&entry.kind) != Some(Kind::OrganizationDeleted),
        Some(
            After::Role { .. }
            | After::Api { .. }
            | After::TokenPolicy { .. }
            | After::SignIn { .. }
            | After::Rules { .. }
            | After::Invitation
            | After::Member { .. }
            | After::Cut { .. }
            | After::Environment { .. },
        ) => true,
        _ => false,
    };
    if !belongs {
        return Ok(false);
    }
    // One that the older state does not have was never there for it: what it had is lost.
    let deleted: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(
        "SELECT id FROM organization WHERE id = $1 AND deleted_at IS NOT NULL"
    ).bind(organization).fetch_optional(&mut *c))?;
    Ok(deleted.is_some())
}

/// Takes out what the entry says is gone; a role is taken out by [`role`].
pub(super) async fn again(tx: &mut Tx, entry: &Entry, events: &mut Vec<Event>) -> Result<()> {
    let (kind, target) = (Kind::parse(&entry.kind), entry.target);
    if kind == Some(Kind::OrganizationDeleted) {
        if organizations::end(tx, target, entry.time).await? {
            events.push(Event::new(Kind::OrganizationDeleted, Some(target), target, ""));
        }
        return Ok(());
    }
    let Some(organization) = entry.organization else { return Ok(()) };
    if !lives(tx, organization).await? {
        return Ok(());
    }
    match kind {
        Some(Kind::EnvironmentDeleted) => environments(tx, organization, target, events).await,
        Some(Kind::ProjectDeleted) => {
            environments(tx, organization, target, events).await?;
            let gone: Option<String> = run!(tx.conn(), c => sqlx::query_scalar(
                "DELETE FROM project WHERE organization_id = $1 AND id = $2 RETURNING name"
            ).bind(organization).bind(target).fetch_optional(&mut *c))?;
            let of = |name: String| {
                Event::new(Kind::ProjectDeleted, Some(organization), target, &name).in_project(target, name)
            };
            events.extend(gone.map(of));
            Ok(())
        }
        Some(Kind::ClusterDeleted) => {
            // It could not be deleted before they were.
            environments(tx, organization, target, events).await?;
            let gone: Option<String> = run!(tx.conn(), c => sqlx::query_scalar(
                "DELETE FROM cluster WHERE organization_id = $1 AND id = $2 RETURNING name"
            ).bind(organization).bind(target).fetch_optional(&mut *c))?;
            events.extend(gone.map(|name| Event::new(Kind::ClusterDeleted, Some(organization), target, name)));
            Ok(())
        }
        _ => Ok(()),
    }
}

row! {
    struct GoneEnvironment {
        id: Uuid,
        project_id: Uuid,
        project_name: String,
        name: String,
        mode: String,
    }
}

/// Takes out the environment with this id, or those of the project or the cluster with it.
async fn environments(tx: &mut Tx, organization: Uuid, id: Uuid, events: &mut Vec<Event>) -> Result<()> {
    let all: Vec<GoneEnvironment> = run!(tx.conn(), c => sqlx::query_as(concat!(
        "SELECT e.id, e.project_id, p.name AS project_name, e.name, e.mode FROM environment e ",
        "JOIN project p ON p.id = e.project_id WHERE e.organization_id = $1 ",
        "AND (e.id = $2 OR e.project_id = $2 OR e.cluster_id = $2) ORDER BY e.id"
    )).bind(organization).bind(id).fetch_all(&mut *c))?;
    for environment in all {
        execute!(tx.conn(), sqlx::query("DELETE FROM environment WHERE id = $1").bind(environment.id))?;
        events.push(of_environment(Kind::EnvironmentDeleted, organization, environment));
    }
    Ok(())
}

fn of_environment(kind: Kind, organization: Uuid, it: GoneEnvironment) -> Event {
    let event = Event::new(kind, Some(organization), it.id, &it.name).in_project(it.project_id, it.project_name);
    match Mode::parse(&it.mode) {
        Ok(mode) => event.in_environment(it.id, it.name, mode),
        Err(_) => event,
    }
}

/// Lets an environment have the mode that it had last: what roles allow there is by its mode.
pub(super) async fn mode(tx: &mut Tx, organization: Uuid, id: Uuid, mode: &str, events: &mut Vec<Event>) -> Result<()> {
    let now = tx.now();
    let changed = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE environment SET mode = $3, ",
            "updated_at = CASE WHEN updated_at < $4 THEN $4 ELSE updated_at + 1 END ",
            "WHERE organization_id = $1 AND id = $2 AND mode <> $3"
        ))
        .bind(organization)
        .bind(id)
        .bind(mode)
        .bind(now.0)
    )?;
    if changed == 0 {
        return Ok(());
    }
    let found: Option<GoneEnvironment> = run!(tx.conn(), c => sqlx::query_as(concat!(
        "SELECT e.id, e.project_id, p.name AS project_name, e.name, e.mode FROM environment e ",
        "JOIN project p ON p.id = e.project_id WHERE e.id = $1"
    )).bind(id).fetch_optional(&mut *c))?;
    events.extend(found.map(|it| of_environment(Kind::EnvironmentUpdated, organization, it)));
    Ok(())
}

/// Which role each had last, as far as it was noted: tokens, and members of an organization.
#[derive(Default)]
pub(super) struct LastRoles {
    tokens: HashMap<Uuid, Uuid>,
    members: HashMap<(Uuid, Uuid), Uuid>,
}

impl LastRoles {
    /// Of the last states of things.
    pub(super) fn of<'e>(net: impl Iterator<Item = &'e Entry>) -> Self {
        let mut last = Self::default();
        for entry in net {
            match (&entry.after, entry.organization) {
                (Some(After::Token { bounds: Some(bounds), .. }), _) => {
                    last.tokens.extend(bounds.role.map(|role| (entry.target, role)));
                }
                (Some(After::Member { role: Some(role), .. }), Some(organization)) => {
                    last.members.insert((organization, entry.target), *role);
                }
                _ => {}
            }
        }
        last
    }
}

/// Takes a role out. Those who have it in the older state get the one that came after it: a person has written that in its place. Where
/// that one is lost too, who had all by it that this one allows keeps this one; anybody else has been switched off or taken out, and
/// is where nothing is known of what came after.
pub(super) async fn role(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    last: &LastRoles,
    events: &mut Vec<Event>,
) -> Result<()> {
    if !lives(tx, organization).await? {
        return Ok(());
    }
    let held = role_rows::now(tx.conn(), organization, id).await?.filter(|it| it.kind == RoleKind::Custom);
    let Some(role) = held else { return Ok(()) };
    let invited: Vec<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(
        "SELECT id FROM invitation WHERE organization_id = $1 AND role_id = $2 ORDER BY id"
    ).bind(organization).bind(id).fetch_all(&mut *c))?;
    for invitation in invited {
        credentials::invitation(tx, Some(organization), invitation, events).await?;
    }
    let rules = sign_in_rules::list(tx.conn(), organization).await?;
    if rules.iter().any(|rule| rule.role_id == id) {
        // Behind it nobody is given what it would have kept from them.
        let before = rules.into_iter().take_while(|rule| rule.role_id != id);
        let before: Vec<_> = before.map(|rule| (rule.provider, rule.value, rule.role_id)).collect();
        credentials::rules(tx, organization, &before, events).await?;
    }
    let all_moved = tokens(tx, (organization, id), last, events).await?;
    let all_moved = members(tx, (organization, id), last, events).await? && all_moved;
    if !all_moved {
        tracing::warn!(
            role = %id, name = %role.name,
            "a role that was deleted stays: what its holders had after it is lost, and they are not to have less"
        );
        return Ok(());
    }
    let description: String = run!(tx.conn(), c => sqlx::query_scalar("SELECT description FROM role WHERE id = $1")
        .bind(id).fetch_one(&mut *c))?;
    let gone = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "DELETE FROM role WHERE organization_id = $1 AND id = $2 AND kind = 'custom' ",
            "AND NOT EXISTS (SELECT 1 FROM token t WHERE t.role_id = $2) ",
            "AND NOT EXISTS (SELECT 1 FROM member m WHERE m.role_id = $2)"
        ))
        .bind(organization)
        .bind(id)
    )?;
    if gone > 0 {
        let event = Event::new(Kind::RoleDeleted, Some(organization), id, &*role.name);
        events.push(event.before(snapshot(&role, &description)));
    }
    Ok(())
}

/// A role that can be given, where it is there.
async fn assignable(tx: &mut Tx, organization: Uuid, id: Uuid) -> Result<Option<Uuid>> {
    let found = role_rows::now(tx.conn(), organization, id).await?;
    Ok(found.filter(|role| !role.is_owner()).map(|role| role.id))
}

/// Gives the tokens of a role that is gone another one. Have all got one?
async fn tokens(
    tx: &mut Tx,
    (organization, role): (Uuid, Uuid),
    last: &LastRoles,
    events: &mut Vec<Event>,
) -> Result<bool> {
    let least: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(
        "SELECT id FROM role WHERE organization_id = $1 AND kind = $2"
    ).bind(organization).bind(BuiltIn::Viewer.as_str()).fetch_optional(&mut *c))?;
    let Some(least) = least else { return Ok(false) };
    let now = tx.now();
    // As at the deletion: what has ended does nothing with any role.
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE token SET role_id = CASE WHEN revoked_at IS NULL THEN $3 END ",
            "WHERE organization_id = $1 AND role_id = $2 AND (revoked_at IS NOT NULL OR expires_at <= $4)"
        ))
        .bind(organization)
        .bind(role)
        .bind(least)
        .bind(now.0)
    )?;
    let holders: Vec<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(
        "SELECT id FROM token WHERE organization_id = $1 AND role_id = $2 ORDER BY id"
    ).bind(organization).bind(role).fetch_all(&mut *c))?;
    let mut all = true;
    for id in holders {
        let Some(token) = super::token(tx, id).await? else { continue };
        let after = last.tokens.get(&id).copied().filter(|after| *after != role);
        let there = match after {
            Some(after) => assignable(tx, organization, after).await?,
            None => None,
        };
        match there {
            Some(there) => give(tx, &token, there, false, events).await?,
            None if after.is_some() && token.disabled_at.is_none() => all = false,
            None => give(tx, &token, least, true, events).await?,
        }
    }
    Ok(all)
}

/// Gives a token another role, and switches it off where it has not been.
async fn give(tx: &mut Tx, token: &KeptToken, role: Uuid, off: bool, events: &mut Vec<Event>) -> Result<()> {
    let now = tx.now();
    let disabled_at = token.disabled_at.or(off.then_some(now));
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE token SET role_id = $2, disabled_at = $3, ",
            "updated_at = CASE WHEN updated_at < $4 THEN $4 ELSE updated_at + 1 END WHERE id = $1"
        ))
        .bind(token.id)
        .bind(role)
        .bind(disabled_at.map(|at| at.0))
        .bind(now.0)
    )?;
    events.push(of_token(Kind::TokenUpdated, token));
    if disabled_at != token.disabled_at {
        events.push(of_token(Kind::TokenDisabled, token));
    }
    Ok(())
}

/// Gives the members with a role that is gone another one, or takes the membership away. Has nobody this one any more?
async fn members(
    tx: &mut Tx,
    (organization, role): (Uuid, Uuid),
    last: &LastRoles,
    events: &mut Vec<Event>,
) -> Result<bool> {
    let holders: Vec<(Uuid, String)> = run!(tx.conn(), c => sqlx::query_as(concat!(
        "SELECT m.account_id, a.email FROM member m JOIN account a ON a.id = m.account_id ",
        "WHERE m.organization_id = $1 AND m.role_id = $2 AND NOT m.is_owner ORDER BY m.account_id"
    )).bind(organization).bind(role).fetch_all(&mut *c))?;
    let now = tx.now();
    let mut all = true;
    for (account, email) in holders {
        let after = last.members.get(&(organization, account)).copied().filter(|after| *after != role);
        let there = match after {
            Some(after) => assignable(tx, organization, after).await?,
            None => None,
        };
        let kind = match there {
            Some(there) => {
                execute!(
                    tx.conn(),
                    sqlx::query(
                        "UPDATE member SET role_id = $3, updated_at = $4 WHERE organization_id = $1 AND account_id = $2"
                    )
                    .bind(organization)
                    .bind(account)
                    .bind(there)
                    .bind(now.0)
                )?;
                Kind::MemberUpdated
            }
            None if after.is_some() => {
                all = false;
                continue;
            }
            None => {
                execute!(
                    tx.conn(),
                    sqlx::query("DELETE FROM member WHERE organization_id = $1 AND account_id = $2")
                        .bind(organization)
                        .bind(account)
                )?;
                Kind::MemberRemoved
            }
        };
        events.push(Event::new(kind, Some(organization), account, email).related(account));
    }
    Ok(all)
}
