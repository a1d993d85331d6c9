//! Who is accountable for a token: its owner, who is a member, and the successor of that one.

use tokenward_core::actor::Actor;
use tokenward_core::caller::Grant;
use tokenward_core::directory::Organization;
use tokenward_core::error::Faults;
use tokenward_core::event::Event;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::token::Token;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::members::{self, Member};
use tokenward_store::{Tx, tokens};

use super::tokens::{TokenChange, updated};
use crate::limits::{Limits, TOKENS_HANDED_OVER};

/// What is wrong with an owner or a successor.
pub(super) const NO_MEMBER: &str = "is not a member of this organization";

/// The owner of a token where nobody is named: who makes it, or the owner of the token that does, which `of_token` knows.
pub(super) fn usual(grant: &Grant, of_token: impl Fn(Uuid) -> Option<(Uuid, String)>) -> Option<(Uuid, String)> {
    match &grant.by().actor {
        Actor::User { id, email } => Some((*id, email.clone())),
        Actor::Token { id, .. } => of_token(*id),
        Actor::Operator | Actor::Visitor => None,
    }
}

/// Who owns a token cannot take it over.
pub(super) fn check_successor(owner: Option<Uuid>, successor: Uuid, faults: &mut Faults) {
    if owner == Some(successor) {
        faults.push("successor_id", "is the owner of the token; name somebody else, or nobody");
    }
}

/// Who is accountable for a token after a change.
pub(super) struct Accountable {
    pub id: Option<Uuid>,
    pub name: Option<String>,
    pub successor: Option<Uuid>,
}

/// The same, as the change says. Those that it names must be members; those that it leaves as they are may have left.
pub(super) async fn of_change(
    tx: &mut Tx,
    grant: &Grant,
    old: &Token,
    change: &TokenChange,
    faults: &mut Faults,
) -> Result<Accountable> {
    let mut now = Accountable { id: old.owner_id, name: old.owner_name.clone(), successor: old.successor_id };
    if let Some(owner) = change.owner_id.filter(|owner| *owner != old.owner_id) {
        let found = member(tx, grant, "owner_id", owner, faults).await?;
        (now.id, now.name) = (owner, found.map(|it| it.email));
        // Who takes it over early does not take it over once more.
        now.successor = now.successor.filter(|successor| Some(*successor) != owner);
    }
    if let Some(successor) = change.successor_id.filter(|successor| *successor != old.successor_id) {
        member(tx, grant, "successor_id", successor, faults).await?;
        now.successor = successor;
    }
    if let Some(successor) = now.successor {
        check_successor(now.id, successor, faults);
    }
    Ok(now)
}

async fn member(
    tx: &mut Tx,
    grant: &Grant,
    field: &str,
    id: Option<Uuid>,
    faults: &mut Faults,
) -> Result<Option<Member>> {
    let Some(id) = id else { return Ok(None) };
    let found = members::find(tx.conn(), grant, id).await?;
    if found.is_none() {
        faults.push(field, NO_MEMBER);
    }
    Ok(found)
}

/// Has the token's owner left the organization?
#[must_use]
pub fn owner_left(token: &Token, organization: Option<&Organization>) -> bool {
    let is_member = |id: Uuid| organization.is_some_and(|organization| organization.role_of(id).is_some());
    token.owner_id.is_some_and(|owner| !is_member(owner))
}

/// The member that a request names to take tokens over.
pub(super) async fn heir(tx: &mut Tx, grant: &Grant, field: &'static str, id: Uuid) -> Result<Member> {
    members::find(tx.conn(), grant, id).await?.ok_or_else(|| Error::invalid(field, NO_MEMBER))
}

/// Gives these tokens another owner, or none. One event each.
pub(super) async fn hand_over(tx: &mut Tx, grant: &Grant, all: &[Token], to: Option<&Member>) -> Result<Vec<Event>> {
    let moved: Vec<(Token, &Token)> = all
        .iter()
        .map(|old| {
            let owner_id = to.map(|to| to.account_id);
            let new = Token {
                owner_id,
                owner_name: to.map(|to| to.email.clone()),
                successor_id: old.successor_id.filter(|successor| Some(*successor) != owner_id),
                updated_at: tx.next_version(old.updated_at),
                ..old.clone()
            };
            (new, old)
        })
        .collect();
    write(tx, grant, moved).await
}

async fn write(tx: &mut Tx, grant: &Grant, moved: Vec<(Token, &Token)>) -> Result<Vec<Event>> {
    if moved.is_empty() {
        return Ok(Vec::new());
    }
    let events = moved.iter().map(|(new, old)| updated(old, new)).collect();
    let moved: Vec<Token> = moved.into_iter().map(|(new, _)| new).collect();
    tokens::hand_over(tx, grant, &moved).await?;
    Ok(events)
}

/// What becomes of the tokens that a member owns who leaves, or gets another role.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Owned {
    /// Those of somebody who leaves go to their successors, where these are members; the others are marked.
    #[default]
    AsPlanned,
    /// All go to this member.
    To(Uuid),
}

impl Owned {
    /// As requests say it.
    #[must_use]
    pub fn to(named: Option<Uuid>) -> Self {
        named.map_or(Self::AsPlanned, Self::To)
    }

    /// Does it to those of `member`. To name somebody takes the right to manage the tokens.
    pub(super) async fn settle(
        self,
        tx: &mut Tx,
        grant: &Grant,
        limits: &Limits,
        member: &Member,
        leaves: bool,
    ) -> Result<Vec<Event>> {
        if self == Self::AsPlanned && !leaves {
            return Ok(Vec::new());
        }
        let owned = tokens::owned_by(tx.conn(), grant, member.account_id).await?;
        let most = limits.size(&TOKENS_HANDED_OVER);
        let too_many = || {
            let (count, name) = (owned.len(), TOKENS_HANDED_OVER.name);
            Error::conflict(format!(
                "The member owns {count} tokens, more than the limit `{name}` ({most}). Hand them over before: POST \
                 …/apiToken/bulk with the action `hand_over`."
            ))
        };
        let Self::To(to) = self else {
            let heirs: Vec<Uuid> = owned.iter().filter_map(|token| token.successor_id).collect();
            if heirs.is_empty() {
                return Ok(Vec::new());
            }
            if owned.len() > most {
                return Err(too_many());
            }
            let heirs = members::emails(tx.conn(), &heirs).await?;
            let heir = |old: &Token| {
                let id = old.successor_id.filter(|id| *id != member.account_id)?;
                heirs.get(&(grant.organization(), id)).map(|email| (id, email.clone()))
            };
            let mut moved = Vec::new();
            for old in &owned {
                let Some((id, email)) = heir(old) else { continue };
                let updated_at = tx.next_version(old.updated_at);
                let new = Token {
                    owner_id: Some(id),
                    owner_name: Some(email),
                    successor_id: None,
                    updated_at,
                    ..old.clone()
                };
                moved.push((new, old));
            }
            return write(tx, grant, moved).await;
        };
        if to == member.account_id {
            return Err(Error::invalid("hand_over_to", "is the member whose tokens are handed over"));
        }
        let to = heir(tx, grant, "hand_over_to", to).await?;
        grant.require_also(Management::TokenManage)?;
        if owned.iter().any(|token| token.kind == Kind::PolicyToken) {
            grant.require_also(Management::PolicyManage)?;
        }
        if owned.len() > most {
            return Err(too_many());
        }
        hand_over(tx, grant, &owned, Some(&to)).await
    }
}
