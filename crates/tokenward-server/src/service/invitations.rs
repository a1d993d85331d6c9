//! Invitations: somebody is asked to become a member. How that is accepted is in `acceptance`.
//!
//! An invitation has two links where mail is sent: one that the inviter may pass on, and one that only the mail holds. So
//! whoever accepts by the latter has proved to read what is sent to the address.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::email;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, MemberSnapshot};
use tokenward_core::name::check_email;
use tokenward_core::time::DAY;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::invitations::{self, Invitation, LinkDigests};
use tokenward_store::{Tx, members, roles};
use zeroize::Zeroizing;

use super::links::{link_digest, link_secret};
use super::mail::Stamp;
use super::{App, Written};
use crate::limits::INVITATIONS;

/// How long an invitation is open.
const LIFETIME: i64 = 7 * DAY;

/// An invitation with its links, whose secrets are known only now.
#[derive(Debug)]
pub struct InvitationWithLinks {
    /// The invitation.
    pub invitation: Invitation,
    /// The link that the inviter may pass on. It proves nothing of the address.
    pub link: Zeroizing<String>,
    /// The link that is mailed, where mail is sent, and told to nobody else.
    mailed: Option<Zeroizing<String>>,
}

/// The link of an invitation without its secret.
#[must_use]
pub fn plain_link(app: &App, id: Uuid) -> String {
    format!("{}/invitation/{id}", app.public_url)
}

/// The invitations, expired ones among them.
pub async fn list(app: &Arc<App>, grant: &Grant) -> Result<Vec<Invitation>> {
    let mut reader = app.read_for(grant).await?;
    invitations::list(reader.conn(), grant).await
}

/// One invitation.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<Invitation> {
    let mut reader = app.read_for(grant).await?;
    invitations::get(reader.conn(), grant, id).await
}

/// Invites somebody with a role, which may not hold more than the caller.
pub async fn create(app: &Arc<App>, grant: Grant, email: String, role: Uuid) -> Result<Written<InvitationWithLinks>> {
    let email = email::ascii(&email).into_owned();
    let stamp = stamp(app, &grant, &email)?;
    let own = Arc::clone(app);
    let written = app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let mut faults = Faults::default();
            faults.check("email", check_email(&email));
            let role = faults.and(roles::assignable(tx, grant, "role_id", role).await)?;
            if members::has_email(tx.conn(), grant, &email).await? {
                return Err(Error::conflict(format!("{email} is a member already.")));
            }
            let count = invitations::count(tx.conn(), grant).await?;
            own.limits.room(&INVITATIONS, count, "The organization has as many invitations as")?;
            let (now, secrets) = (tx.now(), Secrets::new(&own, tx));
            let actor = &grant.by().actor;
            let invitation = Invitation {
                id: tx.new_id(),
                organization_id: grant.organization(),
                organization_name: String::new(),
                email,
                role_id: role.id,
                role_name: role.name.to_string(),
                role_kind: role.kind,
                inviter: actor.name().to_owned(),
                inviter_kind: Some(actor.kind()),
                inviter_id: actor.id(),
                expires_at: now.plus(LIFETIME),
                created_at: now,
                updated_at: now,
            };
            invitations::insert(tx, grant, &invitation, &secrets.digests(), now).await?;
            let invitation = invitations::get(tx.conn(), grant, invitation.id).await?;
            let event = event(Kind::InvitationCreated, &invitation).after(snapshot(&invitation));
            Ok((secrets.sent(&own, invitation), vec![event]))
        })
    });
    let written = written.await?;
    mail(stamp, &written.value);
    Ok(written)
}

/// Makes new links for an invitation; the old ones are dead. What it gives may not be more than the caller holds.
pub async fn resend(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<InvitationWithLinks>> {
    let stamp = match &app.live().mailer {
        Some(_) => stamp(app, &grant, &get(app, &grant, id).await?.email)?,
        None => None,
    };
    let own = Arc::clone(app);
    let written = app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let before = invitations::get(tx.conn(), grant, id).await?;
            roles::assignable(tx, grant, "role_id", before.role_id).await?;
            let (now, secrets) = (tx.now(), Secrets::new(&own, tx));
            invitations::renew(tx, grant, id, &secrets.digests(), now.plus(LIFETIME), now).await?;
            let invitation = invitations::get(tx.conn(), grant, id).await?;
            let event =
                event(Kind::InvitationResent, &invitation).before(snapshot(&before)).after(snapshot(&invitation));
            Ok((secrets.sent(&own, invitation), vec![event]))
        })
    });
    let written = written.await?;
    mail(stamp, &written.value);
    Ok(written)
}

/// Takes an invitation back.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<()>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let invitation = invitations::get(tx.conn(), grant, id).await?;
            invitations::delete(tx, grant, id).await?;
            let event = event(Kind::InvitationDeleted, &invitation).before(snapshot(&invitation));
            Ok(((), vec![event]))
        })
    })
    .await
}

/// Takes back what somebody who loses rights has sent in the organization and is pending. Answers the events.
pub(super) async fn end_sent_by(tx: &mut Tx, grant: &Grant, inviter: Uuid) -> Result<Vec<Event>> {
    let now = tx.now();
    let sent = invitations::sent_by(tx.conn(), Some(grant.organization()), inviter, now).await?;
    end(tx, &sent).await
}

/// Ends the invitations with a role: nobody can be given it any more.
pub(super) async fn end_with_role(tx: &mut Tx, grant: &Grant, role: Uuid) -> Result<Vec<Event>> {
    let all = invitations::with_role(tx.conn(), grant, role).await?;
    end(tx, &all).await
}

/// The same as [`end_sent_by`] in every organization.
pub(super) async fn end_all_sent_by(tx: &mut Tx, inviter: Uuid) -> Result<Vec<Event>> {
    let now = tx.now();
    let sent = invitations::sent_by(tx.conn(), None, inviter, now).await?;
    end(tx, &sent).await
}

async fn end(tx: &mut Tx, all: &[Invitation]) -> Result<Vec<Event>> {
    let mut events = Vec::with_capacity(all.len());
    for invitation in all {
        invitations::end(tx, invitation.organization_id, invitation.id).await?;
        events.push(event(Kind::InvitationDeleted, invitation).before(snapshot(invitation)));
    }
    Ok(events)
}

/// The secrets of an invitation's links.
struct Secrets {
    passed_on: Zeroizing<String>,
    mailed: Option<Zeroizing<String>>,
}

impl Secrets {
    fn new(app: &App, tx: &Tx) -> Self {
        let mailed = app.live().mailer.as_ref().map(|_| link_secret(tx.random()));
        Self { passed_on: link_secret(tx.random()), mailed }
    }

    fn digests(&self) -> LinkDigests {
        LinkDigests {
            passed_on: link_digest(&self.passed_on),
            mailed: self.mailed.as_ref().map(|secret| link_digest(secret)),
        }
    }

    fn sent(self, app: &App, invitation: Invitation) -> InvitationWithLinks {
        let plain = plain_link(app, invitation.id);
        let link = |secret: &str| Zeroizing::new(format!("{plain}/{secret}"));
        InvitationWithLinks {
            link: link(&self.passed_on),
            mailed: self.mailed.as_ref().map(|secret| link(secret)),
            invitation,
        }
    }
}

/// What a mail to this address costs, where mail is sent; asked for before anything is written.
fn stamp(app: &App, grant: &Grant, email: &str) -> Result<Option<Stamp>> {
    app.live().mailer.as_ref().map(|mailer| mailer.stamp(grant, email, app.now())).transpose()
}

fn mail(stamp: Option<Stamp>, sent: &InvitationWithLinks) {
    if let (Some(stamp), Some(link)) = (stamp, &sent.mailed) {
        stamp.invite(&sent.invitation, link);
    }
}

pub(super) fn event(kind: Kind, invitation: &Invitation) -> Event {
    Event::new(kind, Some(invitation.organization_id), invitation.id, &invitation.email)
}

pub(super) fn snapshot(i: &Invitation) -> MemberSnapshot {
    MemberSnapshot { email: i.email.clone(), role_id: i.role_id, role_name: i.role_name.clone(), rule: None }
}
