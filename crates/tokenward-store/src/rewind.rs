//! A log that has forgotten: what a node's journal knows beyond it is taken away again, and what else was lost is noted.

mod credentials;
mod gone;
mod rights;

use std::collections::HashSet;

use tokenward_core::event::{Event, Kind};
use tokenward_core::journal::{self, After, Entry, TokenBounds};
use tokenward_core::right::Keeper;
use tokenward_core::sign_in::SignInPolicy;
use tokenward_core::token::Cut;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Store, execute, row, run};
use crate::sessions::{self, Session};
use crate::tx::{Begins, Tx};
use crate::{cuts, lineage, tokens};
use gone::LastRoles;
use rights::{Exchange, NotedRoles};

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BroughtBack {
    /// Events that are not in the log.
    pub lost: usize,
    /// Of those, what was taken away again now.
    pub repaired: usize,
}

/// Makes the log know what these entries say, which are not in it, in their order; `common` is up to where it is the one in which
/// they stood. Whoever comes second with the same finds nothing to do.
pub async fn bring_back(store: &Store, keeper: &Keeper, lost: &[Entry], common: i64) -> Result<BroughtBack> {
    let Some(last) = lost.last() else { return Ok(BroughtBack::default()) };
    let mut tx = store.begin_knowing(keeper).await?;
    let mut events = Vec::new();
    let mut repaired = HashSet::new();
    let mut net: Vec<&Entry> = journal::net(lost).into_values().collect();
    // Organizations that are gone first: what they had is gone with them. Then places, then roles: what else is compared goes by what is
    // left of them.
    net.sort_by_key(|entry| match entry.after {
        Some(After::Gone) => gone::rank(entry),
        Some(After::Role { .. }) => 3,
        _ => 4,
    });
    let noted = rights::noted_roles(net.iter().copied());
    let last_roles = LastRoles::of(net.iter().copied());
    let gone_roles: Vec<&Entry> = net.iter().copied().filter(|entry| gone::is_role(entry)).collect();
    for entry in net {
        let Some(after) = &entry.after else { continue };
        if gone::went_along(&mut tx, entry).await? {
            repaired.insert(entry.position);
            continue;
        }
        let before = events.len();
        take_away(&mut tx, after, entry, &noted, &mut events).await?;
        if events.len() > before {
            repaired.insert(entry.position);
        }
    }
    // Whatever became of the membership since.
    for entry in lost {
        if let Some(After::Member { invitation: Some(id), .. }) = &entry.after
            && !gone::went_along(&mut tx, entry).await?
        {
            let before = events.len();
            credentials::invitation(&mut tx, entry.organization, *id, &mut events).await?;
            if events.len() > before {
                repaired.insert(entry.position);
            }
        }
    }
    // By now whoever is to have another role has it, where that is there.
    for entry in gone_roles {
        let before = events.len();
        // Once: where it stays, who comes later with the same would take it from those who got it since.
        if let Some(organization) = entry.organization
            && !is_noted(&mut tx, entry).await?
        {
            gone::role(&mut tx, organization, entry.target, &last_roles, &mut events).await?;
        }
        if events.len() > before {
            repaired.insert(entry.position);
        }
    }
    let mut new = 0;
    for entry in lost {
        new += note(&mut tx, entry, repaired.contains(&entry.position)).await?;
    }
    if events.is_empty() && new == 0 {
        return Ok(BroughtBack { lost: lost.len(), repaired: 0 });
    }
    credentials::spent(&mut tx, last.time).await?;
    // The positions behind the common part would mean two things; unless the log has begun another part of its line since.
    if lineage::all(tx.conn()).await?.last().is_none_or(|part| part.incarnation == last.log) || tx.begins.is_some() {
        tx.begins = Some(Begins::Rewound);
    }
    let about = format!("{} events of {} were lost after {common}", lost.len(), last.log);
    events.insert(0, Event::new(Kind::LogRewound, None, last.log, about));
    tx.commit(&events).await?;
    Ok(BroughtBack { lost: lost.len(), repaired: events.len() - 1 })
}

/// Begins another part of the line, for an older state that somebody wants as it is.
pub async fn accept(store: &Store, keeper: &Keeper) -> Result<()> {
    let mut tx = store.begin_knowing(keeper).await?;
    tx.begins = Some(Begins::Restored);
    let log = tx.head.incarnation;
    tx.commit(&[Event::new(Kind::LogRestored, None, log, "without the journal")]).await.map(|_| ())
}

/// Notes what was lost. Answers how many rows are new by that, or say more than they did.
async fn note(tx: &mut Tx, entry: &Entry, repaired: bool) -> Result<u64> {
    let new = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO log_lost (incarnation, position, organization_id, kind, target_id, time, repaired, known) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"
        ))
        .bind(entry.log)
        .bind(entry.position)
        .bind(entry.organization)
        .bind(&entry.kind)
        .bind(entry.target)
        .bind(entry.time.0)
        .bind(repaired)
        .bind(entry.after.is_some())
    )?;
    // Another node may have noted it, and not have known what it was like.
    if new == 0 && entry.after.is_some() {
        return execute!(
            tx.conn(),
            sqlx::query("UPDATE log_lost SET known = $3 WHERE incarnation = $1 AND position = $2 AND NOT known")
                .bind(entry.log)
                .bind(entry.position)
                .bind(true)
        );
    }
    Ok(new)
}

/// Was it noted before that this was lost, by a node that knew what it took away?
async fn is_noted(tx: &mut Tx, entry: &Entry) -> Result<bool> {
    let found: Option<i64> = run!(tx.conn(), c => sqlx::query_scalar(
        "SELECT position FROM log_lost WHERE incarnation = $1 AND position = $2 AND known"
    ).bind(entry.log).bind(entry.position).fetch_optional(&mut *c))?;
    Ok(found.is_some())
}

async fn take_away(
    tx: &mut Tx,
    after: &After,
    entry: &Entry,
    noted: &NotedRoles<'_>,
    events: &mut Vec<Event>,
) -> Result<()> {
    let (organization, target) = (entry.organization, entry.target);
    match after {
        After::Token { revoked_at, disabled_at, ends, used, bounds } => {
            tokens::ended::keep_used(tx, used).await?;
            let Some(token) = token(tx, target).await? else { return Ok(()) };
            if let (Some(at), None) = (revoked_at, token.revoked_at) {
                events.push(revoke(tx, &token, *at).await?);
            } else if token.revoked_at.is_none() {
                if let (Some(at), None) = (disabled_at, token.disabled_at) {
                    execute!(
                        tx.conn(),
                        sqlx::query("UPDATE token SET disabled_at = $2 WHERE id = $1").bind(target).bind(at.0)
                    )?;
                    events.push(of_token(Kind::TokenDisabled, &token));
                }
                for (version, end) in ends {
                    let ended = execute!(
                        tx.conn(),
                        sqlx::query(concat!(
                            "UPDATE token_secret SET expires_at = $3 WHERE token_id = $1 AND version = $2 ",
                            "AND (expires_at IS NULL OR expires_at > $3)"
                        ))
                        .bind(target)
                        .bind(i32::from(*version))
                        .bind(end.0)
                    )?;
                    if ended > 0 {
                        events.push(of_token(Kind::TokenSecretEnded, &token));
                    }
                }
                // Once: who comes later with the same would undo what somebody gave since.
                if let Some(bounds) = bounds
                    && !is_noted(tx, entry).await?
                {
                    let is_off = token.disabled_at.is_some() || disabled_at.is_some();
                    rights::token(tx, &token, bounds, is_off, noted, events).await?;
                }
            }
        }
        After::Role { rights } => {
            if let Some(organization) = organization
                && !is_noted(tx, entry).await?
            {
                rights::role(tx, organization, target, rights, events).await?;
            }
        }
        After::Api { rules } => {
            if let Some(organization) = organization {
                rights::api(tx, organization, target, rules.as_ref(), events).await?;
            }
        }
        After::TokenPolicy { kept } => {
            if let Some(kept) = kept
                && !is_noted(tx, entry).await?
            {
                rights::token_policy(tx, target, kept, events).await?;
            }
        }
        After::Sessions { living, proven, links, password, undoable, unused } => {
            let all = sessions::of_accounts(tx.conn(), &[target]).await?;
            // One that was proven anew since has its older text in the copy: whoever got hold of that would be in again.
            let ended =
                |it: &Session| !living.contains(&it.id) || proven.get(&it.id).is_some_and(|at| it.proven_at < *at);
            for id in all.iter().filter(|it| ended(it)).map(|it| it.id) {
                execute!(tx.conn(), sqlx::query("DELETE FROM session WHERE id = $1").bind(id))?;
                events.push(Event::new(Kind::SessionEnded, None, id, "").related(target));
            }
            for session in all.iter().filter(|it| !ended(it)) {
                // What was proved anew since is in use.
                let laid = unused.get(&session.id).filter(|_| session.proven_at <= entry.time);
                if let Some(idle) = laid.filter(|idle| **idle > session.idle) {
                    sessions::lay_idle(tx, target, session.id, *idle).await?;
                    events.push(Event::new(Kind::SessionIdle, None, session.id, "").related(target));
                }
            }
            credentials::mailed(tx, target).await?;
            if let Some(links) = links {
                credentials::links(tx, target, links, events).await?;
            }
            // Once: who comes later with the same may find a password that was chosen since.
            if let Some(mark) = password
                && !is_noted(tx, entry).await?
            {
                credentials::password(tx, target, mark, events).await?;
            }
            if let Some(living) = undoable
                && !is_noted(tx, entry).await?
            {
                credentials::undone(tx, target, living, entry.time, events).await?;
            }
        }
        // These once: who comes later with the same would take what was set up since.
        After::SecondFactor { authenticator, codes } => {
            if !is_noted(tx, entry).await? {
                credentials::second_factor(tx, target, *authenticator, codes, events).await?;
            }
        }
        After::Identities { living, issuers } => {
            if !is_noted(tx, entry).await? {
                credentials::identities(tx, target, living, issuers, events).await?;
            }
        }
        After::Passkeys { living } => {
            if !is_noted(tx, entry).await? {
                credentials::passkeys(tx, target, living, events).await?;
            }
        }
        After::SignIn { providers, two_factors, session_lifetime, session_idle, forbids_device } => {
            let asked = SignInPolicy {
                providers: providers.iter().map(|key| key.as_str().into()).collect(),
                two_factors: *two_factors,
                session_lifetime: *session_lifetime,
                session_idle: *session_idle,
            };
            credentials::sign_in(tx, target, asked, events).await?;
            if *forbids_device {
                credentials::forbid_device(tx, target, events).await?;
            }
        }
        After::Rules { rules } => {
            // Once, as the password: who comes later with the same would put back what was taken out since.
            if !is_noted(tx, entry).await? {
                credentials::rules(tx, target, rules, events).await?;
            }
        }
        After::Invitation => credentials::invitation(tx, organization, target, events).await?,
        After::Member { role, .. } => {
            let Some(organization) = organization else { return Ok(()) };
            // Once: who comes later with the same would undo what somebody gave since.
            if !is_noted(tx, entry).await? {
                member(tx, (organization, target), *role, noted, events).await?;
            }
        }
        After::Cut { through, at } => {
            if cuts::set_again(tx, target, Cut { through: *through, at: *at }).await? {
                events.push(Event::new(Kind::TokensRevoked, Some(target), target, ""));
            }
        }
        After::Environment { mode } => {
            // Once: who comes later with the same may find another one that somebody chose since.
            if let Some(organization) = organization
                && !is_noted(tx, entry).await?
            {
                gone::mode(tx, organization, target, mode, events).await?;
            }
        }
        After::Gone => gone::again(tx, entry, events).await?,
    }
    Ok(())
}

row! {
    struct KeptToken {
        id: Uuid,
        organization_id: Uuid,
        kind: tokenward_core::secret::Kind,
        name: String,
        revoked_at: Option<Time>,
        disabled_at: Option<Time>,
        name_freed_at: Option<Time>,
        role_id: Option<Uuid>,
        not_before: Option<Time>,
        expires_at: Option<Time>,
        networks: Option<String>,
        permissions: Option<String>,
        allowance: Option<String>,
        brownout: Option<String>,
        policy_written_at: Option<Time>,
    }
}

impl KeptToken {
    /// What it is bound to.
    fn bounds(&self) -> TokenBounds {
        TokenBounds {
            role: self.role_id,
            not_before: self.not_before,
            expires_at: self.expires_at,
            policy: self.policy_written_at,
            networks: self.networks.clone(),
            permissions: self.permissions.clone(),
            allowance: self.allowance.clone(),
            brownout: self.brownout.clone(),
            digest: None,
        }
    }
}

async fn token(tx: &mut Tx, id: Uuid) -> Result<Option<KeptToken>> {
    run!(tx.conn(), c => sqlx::query_as(concat!(
        "SELECT t.id, t.organization_id, t.kind, t.name, t.revoked_at, t.disabled_at, t.name_freed_at, t.role_id, t.not_before, ",
        "t.expires_at, t.networks, t.permissions, t.allowance, t.brownout, p.written_at AS policy_written_at ",
        "FROM token t LEFT JOIN rego_policy p ON p.token_id = t.id WHERE t.id = $1"
    )).bind(id).fetch_optional(&mut *c))
}

fn of_token(kind: Kind, token: &KeptToken) -> Event {
    Event::new(kind.of(token.kind), Some(token.organization_id), token.id, &token.name)
}

async fn revoke(tx: &mut Tx, token: &KeptToken, at: Time) -> Result<Event> {
    let now = tx.now();
    execute!(
        tx.conn(),
        sqlx::query("UPDATE token SET revoked_at = $2, updated_at = $3 WHERE id = $1")
            .bind(token.id)
            .bind(at.0)
            .bind(now.0)
    )?;
    if token.name_freed_at.is_none() {
        tokens::fewer(tx, token.organization_id, 1).await?;
    }
    Ok(of_token(Kind::TokenDeleted, token))
}

/// Takes the membership away again, or what the role had beyond the one that came after it; where that one is lost, the membership. An
/// owner stays: nobody else could do what only an owner may.
async fn member(
    tx: &mut Tx,
    (organization, account): (Uuid, Uuid),
    role: Option<Uuid>,
    noted: &NotedRoles<'_>,
    events: &mut Vec<Event>,
) -> Result<()> {
    let held: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(
        "SELECT role_id FROM member WHERE organization_id = $1 AND account_id = $2 AND NOT is_owner"
    ).bind(organization).bind(account).fetch_optional(&mut *c))?;
    let Some(held) = held else { return Ok(()) };
    let email: Option<String> = run!(tx.conn(), c => sqlx::query_scalar("SELECT email FROM account WHERE id = $1")
        .bind(account).fetch_optional(&mut *c))?;
    let event =
        |kind| Event::new(kind, Some(organization), account, email.clone().unwrap_or_default()).related(account);
    let now = tx.now();
    let exchange = match role {
        Some(role) if role != held => rights::exchange(tx, organization, (held, role), noted).await?,
        Some(_) => Exchange::Gave,
        None => Exchange::Lost,
    };
    match exchange {
        Exchange::Lost => {
            execute!(
                tx.conn(),
                sqlx::query("DELETE FROM member WHERE organization_id = $1 AND account_id = $2")
                    .bind(organization)
                    .bind(account)
            )?;
            events.push(event(Kind::MemberRemoved));
        }
        Exchange::Took => {
            execute!(
                tx.conn(),
                sqlx::query(
                    "UPDATE member SET role_id = $3, updated_at = $4 WHERE organization_id = $1 AND account_id = $2"
                )
                .bind(organization)
                .bind(account)
                .bind(role)
                .bind(now.0)
            )?;
            events.push(event(Kind::MemberUpdated));
        }
        // It took nothing.
        Exchange::Gave => {}
    }
    Ok(())
}
