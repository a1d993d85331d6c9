//! Who is accountable for a token: its owner, who is a member, and the successor of that one.

use tokenward_core::actor::Actor;
use tokenward_core::caller::Grant;
use tokenward_core::directory::Organization;
use tokenward_core::error::Faults;
use tokenward_core::token::Token;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::Tx;
use tokenward_store::members::{self, Member};

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

/// What is to be different about that; what is `None` stays as it is.
#[derive(Clone, Copy)]
pub(super) struct OwnerChange {
    pub owner: Option<Option<Uuid>>,
    pub successor: Option<Option<Uuid>>,
}

/// The same, as the change says. Those that it names must be members; those that it leaves as they are may have left.
pub(super) async fn of_change(
    tx: &mut Tx,
    grant: &Grant,
    old: &Token,
    change: OwnerChange,
    faults: &mut Faults,
) -> Result<Accountable> {
    let mut now = Accountable { id: old.owner_id, name: old.owner_name.clone(), successor: old.successor_id };
    if let Some(owner) = change.owner.filter(|owner| *owner != old.owner_id) {
        let found = member(tx, grant, "owner_id", owner, faults).await?;
        (now.id, now.name) = (owner, found.map(|it| it.email));
        // Who takes it over early does not take it over once more.
        now.successor = now.successor.filter(|successor| Some(*successor) != owner);
    }
    if let Some(successor) = change.successor.filter(|successor| *successor != old.successor_id) {
        member(tx, grant, "successor_id", successor, faults).await?;
        now.successor = successor;
    }
    if let Some(successor) = now.successor {
        check_successor(now.id, successor, faults);
    }
    Ok(now)
}

/// The member that a field names, where it names one.
pub(super) async fn member(
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
