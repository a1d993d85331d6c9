//! Members: who belongs to the organization, and who owns it.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::event::{Event, Kind, MemberSnapshot};
use tokenward_core::role::{BuiltIn, Role};
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::invitations::{self, Invitation};
use tokenward_store::members::{self, Member, RoleAssignment};
use tokenward_store::{Tx, roles, sign_in_rules};

use super::invitations::end_sent_by;
use super::token_hand_over::Owned;
use super::tokens::counted;
use super::{App, IfMatch, Written, proof};
use crate::limits::ORGANIZATIONS;

/// The members, in the order in which they came.
pub async fn list(app: &Arc<App>, grant: &Grant) -> Result<Vec<Member>> {
    let mut reader = app.read_for(grant).await?;
    members::list(reader.conn(), grant).await
}

/// The addresses of the members who have a role.
pub async fn with_role(app: &Arc<App>, grant: &Grant, role: Uuid) -> Result<Vec<String>> {
    let mut reader = app.read_for(grant).await?;
    Ok(members::with_role(reader.conn(), grant, role).await?.into_iter().map(|it| it.email).collect())
}

/// How many members have each role.
pub async fn count_by_role(app: &Arc<App>, grant: &Grant) -> Result<HashMap<Uuid, usize>> {
    let mut reader = app.read_for(grant).await?;
    Ok(counted(members::count_by_role(reader.conn(), grant).await?))
}

/// One member.
pub async fn get(app: &Arc<App>, grant: &Grant, user: Uuid) -> Result<Member> {
    let mut reader = app.read_for(grant).await?;
    members::get(reader.conn(), grant, user).await
}

/// What becomes of the invitations that a member has sent, when the member leaves or gets a smaller role.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum InvitationFate {
    /// They end: what somebody gave who may not any more.
    #[default]
    End,
    /// They stay, because whoever takes the rights away says so.
    Stay,
}

impl InvitationFate {
    /// As requests say it; what they leave out is not kept.
    #[must_use]
    pub fn keep(keep: bool) -> Self {
        if keep { Self::Stay } else { Self::End }
    }
}

/// The pending invitations that a member has sent.
pub async fn invitations_of(app: &Arc<App>, grant: &Grant, user: Uuid) -> Result<Vec<Invitation>> {
    let mut reader = app.read_for(grant).await?;
    invitations::sent_by(reader.conn(), Some(grant.organization()), user, app.now()).await
}

/// Gives a member another role, which may not hold more than the caller. Where it holds less than the one before, the
/// invitations that the member has sent end.
///
/// Sessions go on: they are the person's, who can belong to several organizations, and what they may do here is asked
/// from the rows each time. Whoever was signed out could sign in again at once, with the same role.
///
/// Answers the version that the member has then.
pub async fn set_role(
    app: &Arc<App>,
    grant: Grant,
    user: Uuid,
    role: Uuid,
    (sent, owned): (InvitationFate, Owned),
    if_match: IfMatch,
) -> Result<Written<Time>> {
    let limits = app.limits.clone();
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let role = roles::assignable(tx, grant, "role_id", role).await?;
            let member = named(tx, grant, user).await?;
            if_match.check(member.updated_at)?;
            refuse_owner(&member, "demoted")?;
            refuse_ruled(&member)?;
            let before = roles::assignable(tx, grant, "role_id", member.role_id).await?;
            let version = tx.next_version(member.updated_at);
            members::set_role(tx, grant, user, role.id, version).await?;
            let after = MemberSnapshot { role_id: role.id, role_name: role.name.to_string(), ..snapshot(&member) };
            let mut events = vec![event(Kind::MemberUpdated, grant, &member).before(snapshot(&member)).after(after)];
            if sent == InvitationFate::End && before.beyond(&role).is_some() {
                events.extend(end_sent_by(tx, grant, user).await?);
            }
            events.extend(owned.settle(tx, grant, &limits, &member, false).await?);
            Ok((version, events))
        })
    })
    .await
}

/// Removes a member, and ends the invitations that the member has sent. Tokens that the member made or owns stay with the
/// organization: those that are owned go to somebody else where that is said, and single ones end or are taken back. And the person's
/// sessions go on: nothing of the organization opens for them any more.
pub async fn remove(
    app: &Arc<App>,
    grant: Grant,
    user: Uuid,
    (sent, owned): (InvitationFate, Owned),
) -> Result<Written<()>> {
    let limits = app.limits.clone();
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let member = named(tx, grant, user).await?;
            refuse_owner(&member, "removed")?;
            refuse_ruled(&member)?;
            // Before the member goes, who may be asking.
            let settled = owned.settle(tx, grant, &limits, &member, true).await?;
            members::delete(tx, grant, user).await?;
            let mut events = vec![event(Kind::MemberRemoved, grant, &member).before(snapshot(&member))];
            if sent == InvitationFate::End {
                events.extend(end_sent_by(tx, grant, user).await?);
            }
            events.extend(settled);
            Ok(((), events))
        })
    })
    .await
}

/// Hands the organization over. The owner before becomes admin; there is exactly one owner, always. Needs a fresh proof.
pub async fn transfer(app: &Arc<App>, grant: Grant, user: Uuid) -> Result<Written<()>> {
    let (proof, limits) = (proof::lifetime(app), app.limits.clone());
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            grant.require_proof(proof, tx.now())?;
            let owner = roles::built_in(tx, grant, BuiltIn::Owner).await?;
            let admin = roles::built_in(tx, grant, BuiltIn::Admin).await?;
            let next = named(tx, grant, user).await?;
            refuse_ruled(&next)?;
            let count = members::count_owned(tx.conn(), user).await?;
            limits.room(&ORGANIZATIONS, count, "This member owns as many organizations as")?;
            if next.is_owner {
                return Err(Error::conflict("This member owns the organization already."));
            }
            let last = members::owner(tx.conn(), grant).await?;
            let (from, to) = (
                RoleAssignment { account: last.account_id, role: admin.id },
                RoleAssignment { account: user, role: owner.id },
            );
            let version = tx.next_version(last.updated_at.max(next.updated_at));
            members::transfer(tx, grant, from, to, version).await?;
            let after = MemberSnapshot { role_id: owner.id, role_name: owner.name.to_string(), ..snapshot(&next) };
            let event = event(Kind::OwnershipTransferred, grant, &next).before(snapshot(&last)).after(after);
            Ok(((), vec![event]))
        })
    })
    .await
}

/// A member that a body names: 400 when there is none.
async fn named(tx: &mut Tx, grant: &Grant, user: Uuid) -> Result<Member> {
    let found = members::find(tx.conn(), grant, user).await?;
    found.ok_or_else(|| Error::invalid("user_id", "is not a member of this organization"))
}

fn refuse_owner(member: &Member, done: &str) -> Result<()> {
    if member.is_owner {
        return Err(Error::conflict(format!("The owner cannot be {done}. Transfer the ownership first.")));
    }
    Ok(())
}

/// A membership that a rule made follows that, and no hand.
fn refuse_ruled(member: &Member) -> Result<()> {
    let (Some(provider), Some(value)) = (&member.rule_provider, &member.rule_value) else { return Ok(()) };
    Err(Error::conflict(format!(
        "The rule `{provider}:{value}` made this member, and gives the role at each sign-in. Change the rule, or detach the member \
         from it first."
    )))
}

/// Makes a membership that a rule made one that was made by hand: it stays as it is, whatever the provider says.
pub async fn detach(app: &Arc<App>, grant: Grant, user: Uuid) -> Result<Written<()>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let member = named(tx, grant, user).await?;
            if member.rule_provider.is_none() {
                return Err(Error::conflict("No rule made this member; there is nothing to detach from."));
            }
            // It outlives the rule from then on: who says so must be able to give the role.
            roles::assignable(tx, grant, "role_id", member.role_id).await?;
            let version = tx.next_version(member.updated_at);
            sign_in_rules::mark(tx, grant, user, None, version).await?;
            let after = MemberSnapshot { rule: None, ..snapshot(&member) };
            Ok(((), vec![event(Kind::MemberUpdated, grant, &member).before(snapshot(&member)).after(after)]))
        })
    })
    .await
}

/// What the log says of a member who was given this role.
pub(super) fn moved(grant: &Grant, member: &Member, role: &Role) -> Event {
    let after = MemberSnapshot { role_id: role.id, role_name: role.name.to_string(), ..snapshot(member) };
    event(Kind::MemberUpdated, grant, member).before(snapshot(member)).after(after)
}

pub(super) fn event(kind: Kind, grant: &Grant, member: &Member) -> Event {
    Event::new(kind, Some(grant.organization()), member.account_id, &member.email)
}

pub(super) fn snapshot(member: &Member) -> MemberSnapshot {
    let rule = member.rule_provider.as_ref().zip(member.rule_value.as_ref());
    MemberSnapshot {
        email: member.email.clone(),
        role_id: member.role_id,
        role_name: member.role_name.clone(),
        rule: rule.map(|(provider, value)| format!("{provider}:{value}")),
    }
}
