//! The same done to many tokens of a kind: deleted, switched off or on, given an end or an owner. What is looked at first is what it is
//! done to.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use sha2::{Digest, Sha256};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind};
use tokenward_core::permission::Management;
use tokenward_core::role::{Places, Role};
use tokenward_core::secret;
use tokenward_core::time::Micros;
use tokenward_core::token::{self, Token};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::tokens::pages::Version;
use tokenward_store::{Tx, roles, token_policies, tokens};

use super::token_list::{self, Filter};
use super::tokens::{Why, all_deleted, check_begin, event, lives_longer, prove_admin, snapshot, updated};
use super::{App, Written, proof, receipts, token_allowance, token_hand_over, token_networks, token_owners};
use crate::limits::TOKEN_BULK;

/// Tokens that are looked at in one read, and those of which only the version is.
const LOOKED_AT: usize = 500;
const VERSIONS_LOOKED_AT: usize = 5_000;
/// Tokens that one write is about: with fewer the disk is waited for more often, and more would hold up who writes besides.
const AT_ONCE: usize = 2_000;
/// Policy tokens that are deleted in one write: the log tells each policy, which is a text of 64 KiB at most.
const POLICIES_AT_ONCE: usize = 200;
/// Parts that are under way at once.
const WRITTEN_AHEAD: usize = 2;
/// Tokens that are named in an answer, or in the error about a set that has changed.
const NAMED: usize = 20;

/// What is done to each.
#[derive(Clone, Debug)]
pub enum Action {
    /// It is taken back.
    Delete(Why),
    /// It is refused until it is switched on again.
    Disable,
    /// It is accepted again.
    Enable,
    /// It ends then, or never.
    SetEnd(Option<Time>),
    /// This member is accountable for it, or nobody.
    HandOver(Option<Uuid>),
}

impl Action {
    /// Is there anything to be done to it?
    fn changes(&self, it: &Token, now: Time) -> bool {
        let is_open = it.expires_at.is_none_or(|at| now < at);
        match self {
            Self::Delete(_) => true,
            // One that has ended is refused for good.
            Self::Disable => it.disabled_at.is_none() && is_open,
            Self::Enable => it.disabled_at.is_some() && is_open,
            // An end is final, as for an edit of one.
            Self::HandOver(owner) => it.owner_id != *owner && is_open,
            Self::SetEnd(end) => it.expires_at != *end && is_open,
        }
    }
}

fn version(token: &Token) -> Version {
    Version { id: token.id, name: token.name.clone(), updated_at: token.updated_at }
}

/// The tokens that something is to be done to, as they were looked at.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Set(Vec<Version>);

impl Set {
    /// These tokens.
    #[must_use]
    pub fn of(tokens: &[Token]) -> Self {
        Self::sorted(tokens.iter().map(version).collect())
    }

    fn sorted(mut members: Vec<Version>) -> Self {
        members.sort_unstable_by_key(|it| it.id);
        members.dedup_by_key(|it| it.id);
        Self(members)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Some of them, to be named.
    #[must_use]
    pub fn named(&self) -> &[Version] {
        &self.0[..self.0.len().min(NAMED)]
    }

    fn last_change(&self) -> Time {
        self.0.iter().map(|it| it.updated_at).max().unwrap_or(Time(0))
    }

    /// The text that stands for exactly these tokens as they are: how many, when one of them was changed last, and a digest of
    /// ids and versions.
    #[must_use]
    pub fn mark(&self) -> String {
        let mut digest = Sha256::new();
        for it in &self.0 {
            digest.update(it.id.as_bytes());
            digest.update(it.updated_at.0.to_be_bytes());
        }
        format!("{}.{}.{}", self.0.len(), self.last_change().0, hex::encode(&digest.finalize()[..16]))
    }

    /// Refuses a mark of another set, with what is different.
    fn require(&self, mark: &str) -> Result<()> {
        if mark == self.mark() {
            return Ok(());
        }
        let mut parts = mark.split('.');
        let then = parts.next().and_then(|count| count.parse::<usize>().ok());
        let last = parts.next().and_then(|at| at.parse().ok()).map(Time);
        let (Some(then), Some(last)) = (then, last) else {
            return Err(Error::invalid("set", "is none of ours; send the one of a `dry_run`"));
        };
        let newer: Vec<&str> = self.0.iter().filter(|it| last < it.updated_at).map(|it| it.name.as_str()).collect();
        let mut detail =
            format!("The tokens have changed since they were looked at: {then} then, {} now", self.0.len());
        if !newer.is_empty() {
            let names: Vec<String> = newer.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
            let more = if newer.len() > NAMED { ", …" } else { "" };
            detail += &format!("; new or changed: {}{more}", names.join(", "));
        }
        Err(Error::conflict(detail + ". Nothing was done: look again with `dry_run`."))
    }
}

/// The tokens that fit, or those of these ids that do; never one that was taken back.
pub async fn choose(app: &Arc<App>, grant: &Grant, filter: &Filter, ids: Option<&[Uuid]>) -> Result<Set> {
    if let Some(ids) = ids {
        return Ok(Set::of(&token_list::these(app, grant, filter, ids).await?));
    }
    let most = app.limits.size(&TOKEN_BULK);
    let mut found: Vec<Version> = Vec::new();
    let mut after = None;
    loop {
        let last = match token_list::versions(app, grant, filter, after, VERSIONS_LOOKED_AT).await? {
            Some(part) => {
                let last = part.last().map(|it| it.id).filter(|_| part.len() == VERSIONS_LOOKED_AT);
                found.extend(part);
                last
            }
            None => {
                let (part, last) = token_list::part(app, grant, filter, after, LOOKED_AT).await?;
                found.extend(part.iter().filter(|token| token.revocation.is_none()).map(version));
                last
            }
        };
        if found.len() > most {
            let name = TOKEN_BULK.name;
            let detail =
                format!("More than {most} tokens fit, the limit `{name}`. Narrow the filters, and do it in parts.");
            return Err(Error::conflict(detail));
        }
        if last.is_none() {
            break;
        }
        after = last;
    }
    Ok(Set::sorted(found))
}

/// Does it to all of the set, which must be the one with this mark; one event each. Answers to how many: who was changed in the
/// very moment is left as it is. It goes on when whoever asked goes away.
pub async fn apply(app: &Arc<App>, grant: Grant, set: Set, mark: &str, action: Action) -> Result<Written<usize>> {
    if let Action::Delete(why) = &action {
        why.check()?;
    }
    set.require(mark)?;
    if matches!(action, Action::SetEnd(Some(at)) if at <= app.now()) {
        return Err(Error::invalid("expires_at", "is in the past. To end tokens now, delete them"));
    }
    // Whoever takes back the token that is asked with does it last.
    let own = grant.token().map(|(id, _)| id);
    let mut all: Vec<(Uuid, Time)> = set.0.iter().map(|it| (it.id, it.updated_at)).collect();
    all.sort_by_key(|(id, _)| Some(*id) == own);
    let app = Arc::clone(app);
    let task = receipts::without_waiting(async move {
        let done = in_parts(&app, &grant, &all, &action).await?;
        receipts::wait_for_all(&app, done.position).await;
        Ok(done)
    });
    tokio::spawn(task).await.map_err(Error::internal)?
}

async fn in_parts(app: &Arc<App>, grant: &Grant, all: &[(Uuid, Time)], action: &Action) -> Result<Written<usize>> {
    let tells_policies = matches!(action, Action::Delete(_)) && grant.permits(Management::PolicyManage).is_ok();
    let mut parts = all.chunks(if tells_policies { POLICIES_AT_ONCE } else { AT_ONCE });
    let mut running = FuturesOrdered::new();
    let (mut done, mut failed): (Option<Written<usize>>, _) = (None, None);
    loop {
        // While one part comes to count, the next one is written. The last may take away what is asked with: it waits for the others.
        while failed.is_none() && (running.is_empty() || (running.len() < WRITTEN_AHEAD && parts.len() > 1)) {
            let Some(some) = parts.next() else { break };
            running.push_back(apply_to(app, grant.clone(), some.iter().copied().collect(), action.clone()));
        }
        let Some(result) = running.next().await else { break };
        match result {
            // Either of two may have come first.
            Ok(more) => {
                let so_far = done.as_ref().map_or(0, |done| done.value);
                let last = match done.take() {
                    Some(before) if before.position.number > more.position.number => {
                        Written { value: more.value, ..before }
                    }
                    _ => more,
                };
                done = Some(Written { value: so_far + last.value, ..last });
            }
            // Nothing of this part is to be done; of another one perhaps.
            Err(error) if error.code == Code::Conflict => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match (done, failed) {
        (Some(done), None) => Ok(done),
        (None, None) => Err(nothing()),
        (None, Some(error)) => Err(error),
        (Some(done), Some(error)) => {
            let (done, all) = (done.value, all.len());
            let detail = format!("{} {done} of {all} are done; look again with `dry_run`.", error.detail);
            Err(Error { detail: detail.into(), ..error })
        }
    }
}

fn nothing() -> Error {
    Error::conflict("The tokens are so already, or were changed meanwhile; there is nothing to do.")
}

async fn apply_to(app: &Arc<App>, grant: Grant, some: HashMap<Uuid, Time>, action: Action) -> Result<Written<usize>> {
    let proof = proof::lifetime(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let ids: Vec<Uuid> = some.keys().copied().collect();
            let mut all = tokens::these(tx.conn(), grant, &ids, false).await?;
            // By the latest that anybody says: who is behind undoes no end.
            let now = tx.said();
            all.retain(|token| some.get(&token.id) == Some(&token.updated_at) && action.changes(token, now));
            all.sort_unstable_by_key(|token| token.id);
            let events = match action {
                Action::Delete(why) => delete(tx, grant, &all, &why).await?,
                Action::Disable => disable(tx, grant, &all).await?,
                Action::Enable => enable(tx, grant, &all, proof).await?,
                Action::SetEnd(end) => set_end(tx, grant, &all, end, proof).await?,
                Action::HandOver(owner) => {
                    let to = match owner {
                        Some(owner) => Some(token_owners::heir(tx, grant, "owner_id", owner).await?),
                        None => None,
                    };
                    token_hand_over::hand_over(tx, grant, &all, to.as_ref()).await?
                }
            };
            if events.is_empty() {
                return Err(nothing());
            }
            Ok((events.len(), events))
        })
    })
    .await
}

async fn delete(tx: &mut Tx, grant: &Grant, all: &[Token], why: &Why) -> Result<Vec<Event>> {
    let revocation = why.revocation(grant, tx.now());
    let gone = match all.first() {
        // All are of one kind, and each kind has a right of its own.
        Some(Token { kind: secret::Kind::PolicyToken, .. }) => {
            let ids: Vec<Uuid> = all.iter().map(|token| token.id).collect();
            tokens::revoke_policy_tokens(tx, grant, &ids, &revocation).await?
        }
        _ => {
            let gone: Vec<_> = all.iter().map(|token| (grant, token.id, &revocation)).collect();
            tokens::revoke_all(tx, &gone).await?
        }
    };
    let those: Vec<&Token> = all.iter().filter(|token| gone.contains(&token.id)).collect();
    all_deleted(tx.conn(), &those, &revocation).await
}

async fn disable(tx: &mut Tx, grant: &Grant, all: &[Token]) -> Result<Vec<Event>> {
    let now = tx.now();
    let off = |old: &Token| old.switched(Some(now), tx.next_version(old.updated_at));
    let new: Vec<Token> = all.iter().map(off).collect();
    tokens::switch_all(tx, grant, &new).await?;
    Ok(changes(Kind::TokenDisabled, all, &new))
}

async fn enable(tx: &mut Tx, grant: &Grant, all: &[Token], proof: Micros) -> Result<Vec<Event>> {
    let mut roles = Assignable::default();
    for old in all {
        roles.may_hand_out(tx, grant, old, proof).await?;
    }
    let on = |old: &Token| old.switched(None, tx.next_version(old.updated_at));
    let new: Vec<Token> = all.iter().map(on).collect();
    tokens::switch_all(tx, grant, &new).await?;
    Ok(changes(Kind::TokenEnabled, all, &new))
}

/// What whoever asks may hand out: each is looked up once, however many tokens there are.
#[derive(Default)]
struct Assignable {
    /// The roles of tokens, as they are narrowed.
    roles: HashMap<(Uuid, Vec<String>, Places), Arc<Role>>,
    /// The token that is asked with: it hands out no more than it has.
    own: Option<Token>,
}

impl Assignable {
    async fn role(&mut self, tx: &mut Tx, grant: &Grant, of: &Token) -> Result<Arc<Role>> {
        let key = (of.role_id, of.permissions.clone(), of.places.clone());
        if let Some(role) = self.roles.get(&key) {
            return Ok(Arc::clone(role));
        }
        let role = roles::assignable_to(tx, grant, of.role_id, &of.permissions, &of.places).await?;
        self.roles.insert(key, Arc::clone(&role));
        Ok(role)
    }

    /// What a token may do is handed out, as [`super::tokens::may_hand_out`] has it.
    async fn may_hand_out(&mut self, tx: &mut Tx, grant: &Grant, of: &Token, proof: Micros) -> Result<()> {
        let role = self.role(tx, grant, of).await?.kind;
        let unread = grant.token().map(|(own, _)| own).filter(|_| self.own.is_none());
        if let Some(own) = unread {
            self.own = Some(tokens::get(tx.conn(), grant, own).await?);
        }
        if let Some(own) = &self.own {
            token_networks::within(&own.networks, &of.networks)?;
            token_allowance::within(&own.allowance, &of.allowance)?;
        }
        prove_admin(grant, role, proof, tx.now())
    }
}

/// An event for each of them, of before and after.
fn changes(kind: Kind, all: &[Token], new: &[Token]) -> Vec<Event> {
    all.iter().zip(new).map(|(old, new)| event(kind, new).before(snapshot(old)).after(snapshot(new))).collect()
}

async fn set_end(tx: &mut Tx, grant: &Grant, all: &[Token], end: Option<Time>, proof: Micros) -> Result<Vec<Event>> {
    let now = tx.now();
    let (policy, _) = token_policies::get(tx.conn(), grant).await?;
    let mut roles = Assignable::default();
    let mut changed = Vec::with_capacity(all.len());
    for old in all {
        let role = roles.role(tx, grant, old).await?;
        let mut faults = Faults::default();
        check_begin(old.not_before, end, &mut faults);
        faults.check("expires_at", policy.of_role(role.id).check_end(end, token::begin(old.not_before, now)));
        // Which of them it is: many are asked about.
        faults.finish().map_err(|error| {
            let said: Vec<String> =
                error.faults.iter().map(|it| format!("its `{}` {}", it.field, it.problem)).collect();
            Error::invalid("expires_at", format!("does not fit the token `{}`: {}", old.name, said.join("; ")))
        })?;
        if lives_longer(old, end) {
            roles.may_hand_out(tx, grant, old, proof).await?;
        }
        changed.push(Token { expires_at: end, updated_at: tx.next_version(old.updated_at), ..old.clone() });
    }
    tokens::set_ends(tx, grant, &changed).await?;
    Ok(all.iter().zip(&changed).map(|(old, new)| updated(old, new)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(members: &[(u128, &str, i64)]) -> Set {
        let member = |(id, name, at): &(u128, &str, i64)| Version {
            id: Uuid::from_u128(*id),
            name: (*name).to_owned(),
            updated_at: Time(*at),
        };
        Set(members.iter().map(member).collect())
    }

    #[test]
    fn a_mark_stands_for_these_tokens_as_they_are() {
        let before = set(&[(1, "a", 10), (2, "b", 20)]);
        assert!(before.require(&before.mark()).is_ok());
        for (after, said) in [
            (set(&[(1, "a", 10), (2, "b", 20), (3, "c", 30)]), "2 then, 3 now; new or changed: `c`"),
            (set(&[(1, "a", 10), (2, "b", 21)]), "2 then, 2 now; new or changed: `b`"),
            (set(&[(1, "a", 10)]), "2 then, 1 now."),
            (set(&[]), "2 then, 0 now."),
        ] {
            let refused = after.require(&before.mark()).unwrap_err();
            assert!(refused.detail.contains(said), "{}", refused.detail);
        }
        for mark in ["", "2", "x.y.z", "2.x.abc"] {
            assert_eq!(before.require(mark).unwrap_err().code, tokenward_core::Code::InvalidRequest, "{mark}");
        }
        assert!(before.require("2.20.0").is_err(), "a digest that was made up");
    }
}
