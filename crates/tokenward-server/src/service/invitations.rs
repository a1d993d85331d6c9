//! Invitations: how somebody becomes a member.
//!
//! Only the secret of the link proves that somebody is meant; that the addresses are equal grants nothing. A link
//! never sets the password of an account that exists: its owner must be signed in to accept.

use std::sync::Arc;

use tokenward_core::caller::{Caller, Grant};
use tokenward_core::error::Faults;
use tokenward_core::event::{By, Event, Kind, MemberSnapshot, UserSnapshot};
use tokenward_core::name::{check_email, check_name};
use tokenward_core::time::DAY;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::accounts::{self, Account};
use tokenward_store::invitations::{self, Invitation};
use tokenward_store::members::{self, Membership};
use zeroize::Zeroizing;

use super::links::{link_digest, link_secret};
use super::passwords::check_password;
use super::{App, Written, assignable_role, detached};

/// How long an invitation is open.
const LIFETIME: i64 = 7 * DAY;

/// An invitation with its link, whose secret is shown only now.
#[derive(Debug)]
pub struct Sent {
    /// The invitation.
    pub invitation: Invitation,
    /// The link, with its secret.
    pub link: Zeroizing<String>,
}

/// How a person accepts.
pub enum Accepting {
    /// As the account that is signed in.
    SignedIn(Caller),
    /// With a new account.
    NewAccount {
        /// The person's name; may be empty.
        name: String,
        /// The password of the account.
        password: Zeroizing<String>,
        /// From where.
        by: By,
    },
}

/// The link of an invitation without its secret.
#[must_use]
pub fn plain_link(app: &App, id: Uuid) -> String {
    format!("{}/invitation/{id}", app.public_url)
}

/// The invitations, expired ones among them.
pub async fn list(app: &Arc<App>, grant: &Grant) -> Result<Vec<Invitation>> {
    let mut reader = app.store.read().await?;
    invitations::list(reader.conn(), grant).await
}

/// One invitation.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<Invitation> {
    let mut reader = app.store.read().await?;
    invitations::get(reader.conn(), grant, id).await
}

/// Invites somebody with a role, which may not hold more than the caller.
pub async fn create(app: &Arc<App>, grant: Grant, email: String, role: Uuid) -> Result<Written<Sent>> {
    let mut faults = Faults::default();
    faults.check("email", check_email(&email));
    let role = match assignable_role(app, grant.organization(), role) {
        Ok(role) => role,
        Err(error) => {
            error.faults.iter().for_each(|fault| faults.push(&fault.field, &fault.problem));
            faults.finish()?;
            return Err(error);
        }
    };
    faults.finish()?;
    grant.covers(&role)?;
    let app = Arc::clone(app);
    detached(async move {
        let now = app.now();
        let secret = link_secret(app.store.random());
        let mut tx = app.store.begin().await?;
        let all = members::list(tx.conn(), &grant).await?;
        if all.iter().any(|member| member.email.eq_ignore_ascii_case(&email)) {
            return Err(Error::conflict(format!("{email} is a member already.")));
        }
        let invitation = Invitation {
            id: app.store.new_id(),
            organization_id: grant.organization(),
            organization_name: String::new(),
            email,
            role_id: role.id,
            role_name: role.name.to_string(),
            role_kind: String::new(),
            inviter: grant.by().actor.name().to_owned(),
            expires_at: now.plus(LIFETIME).0,
            created_at: now.0,
            updated_at: now.0,
        };
        invitations::insert(&mut tx, &grant, &invitation, &link_digest(&secret), now).await?;
        let invitation = invitations::get(tx.conn(), &grant, invitation.id).await?;
        let event = event(Kind::InvitationCreated, &invitation).after(snapshot(&invitation));
        let sent = sent(&app, invitation, &secret);
        let written = app.commit(tx, grant.by(), &[event], sent).await?;
        if let Some(mailer) = &app.mailer {
            mailer.invite(&written.value.invitation, &written.value.link);
        }
        Ok(written)
    })
    .await
}

/// Makes a new link for an invitation; the old one is dead. What it gives may not be more than the caller holds.
pub async fn resend(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<Sent>> {
    let present = get(app, &grant, id).await?;
    grant.covers(&*assignable_role(app, grant.organization(), present.role_id)?)?;
    let app = Arc::clone(app);
    detached(async move {
        let now = app.now();
        let secret = link_secret(app.store.random());
        let mut tx = app.store.begin().await?;
        invitations::renew(&mut tx, &grant, id, &link_digest(&secret), now.plus(LIFETIME), now).await?;
        let invitation = invitations::get(tx.conn(), &grant, id).await?;
        let event = event(Kind::InvitationResent, &invitation).before(snapshot(&present)).after(snapshot(&invitation));
        let sent = sent(&app, invitation, &secret);
        let written = app.commit(tx, grant.by(), &[event], sent).await?;
        if let Some(mailer) = &app.mailer {
            mailer.invite(&written.value.invitation, &written.value.link);
        }
        Ok(written)
    })
    .await
}

/// Takes an invitation back.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<()>> {
    let app = Arc::clone(app);
    detached(async move {
        let mut tx = app.store.begin().await?;
        let invitation = invitations::get(tx.conn(), &grant, id).await?;
        invitations::delete(&mut tx, grant.organization(), id).await?;
        let event = event(Kind::InvitationDeleted, &invitation).before(snapshot(&invitation));
        app.commit(tx, grant.by(), &[event], ()).await
    })
    .await
}

/// What a link opens, and whether its address has an account already. `None` for a dead link.
pub async fn open(app: &Arc<App>, id: Uuid, secret: &str) -> Result<Option<(Invitation, Option<Account>)>> {
    let mut reader = app.store.read().await?;
    let Some(invitation) = invitations::by_link(reader.conn(), id, &link_digest(secret), app.now()).await? else {
        return Ok(None);
    };
    let account = accounts::by_email(reader.conn(), &invitation.email).await?;
    Ok(Some((invitation, account)))
}

/// Accepts an invitation. Answers it, and the account that became a member.
pub async fn accept(
    app: &Arc<App>,
    organization: Option<Uuid>,
    id: Uuid,
    secret: &str,
    accepting: Accepting,
) -> Result<Written<(Invitation, Account)>> {
    let dead = || {
        Error::new(
            Code::NotFound,
            "This invitation is not valid: it was used, taken back or has expired, or the link is incomplete. Ask for a new one.",
        )
    };
    let (invitation, existing) = open(app, id, secret).await?.ok_or_else(dead)?;
    if organization.is_some_and(|organization| organization != invitation.organization_id) {
        return Err(dead());
    }
    let (account, hash, by) = who(app, &invitation, existing, accepting).await?;
    let (app, digest) = (Arc::clone(app), link_digest(secret));
    detached(async move {
        let now = app.now();
        let mut tx = app.store.begin().await?;
        let mut events = Vec::new();
        if let Some(hash) = &hash {
            accounts::insert(&mut tx, account.id, &account.email, &account.name, Some(hash), now).await?;
            let user =
                UserSnapshot { email: account.email.clone(), name: account.name.clone(), password_changed: true };
            events.push(Event::new(Kind::UserCreated, None, account.id, &account.email).after(user));
        }
        // Read again inside the transaction: of two who accept at once, one finds nothing.
        let invitation = invitations::by_link(tx.conn(), id, &digest, now).await?.ok_or_else(dead)?;
        if !invitations::delete(&mut tx, invitation.organization_id, id).await? {
            return Err(dead());
        }
        let membership = Membership {
            organization_id: invitation.organization_id,
            account_id: account.id,
            role_id: invitation.role_id,
        };
        members::insert(&mut tx, membership, false, now).await.map_err(|error| match error.code {
            Code::NameTaken => Error::conflict("This account is a member already."),
            _ => error,
        })?;
        events.push(event(Kind::InvitationAccepted, &invitation).related(account.id).after(snapshot(&invitation)));
        app.commit(tx, &by, &events, (invitation, account)).await
    })
    .await
}

/// The account that accepts: the one that is signed in, or a new one with the hash of its password.
async fn who(
    app: &Arc<App>,
    invitation: &Invitation,
    existing: Option<Account>,
    accepting: Accepting,
) -> Result<(Account, Option<String>, By)> {
    match accepting {
        Accepting::SignedIn(caller) => {
            let user = caller.require_user()?;
            if existing.is_some_and(|account| account.id != user) {
                let detail = format!(
                    "This invitation is for the account {}. Sign in with that one to accept.",
                    invitation.email
                );
                return Err(Error::new(Code::UserRequired, detail));
            }
            let mut reader = app.store.read().await?;
            let account = accounts::get(reader.conn(), user).await?.ok_or_else(|| Error::not_found("account"))?;
            Ok((account, None, By::clone(caller.by())))
        }
        Accepting::NewAccount { .. } if existing.is_some() => {
            let detail = format!("The account {} exists. Sign in with it to accept.", invitation.email);
            Err(Error::new(Code::UserRequired, detail))
        }
        Accepting::NewAccount { name, password, by } => {
            let mut faults = Faults::default();
            if !name.is_empty() {
                faults.check("name", check_name(&name));
            }
            faults.check("password", check_password(&password));
            faults.finish()?;
            let hash = app.passwords.hash(password).await?;
            let now = app.now().0;
            let account = Account {
                id: app.store.new_id(),
                email: invitation.email.clone(),
                name,
                communication_email: None,
                created_at: now,
                updated_at: now,
            };
            Ok((account, Some(hash), by))
        }
    }
}

fn sent(app: &App, invitation: Invitation, secret: &str) -> Sent {
    let link = format!("{}/{secret}", plain_link(app, invitation.id)).into();
    Sent { invitation, link }
}

fn event(kind: Kind, invitation: &Invitation) -> Event {
    Event::new(kind, Some(invitation.organization_id), invitation.id, &invitation.email)
}

fn snapshot(i: &Invitation) -> MemberSnapshot {
    MemberSnapshot { email: i.email.clone(), role_id: i.role_id, role_name: i.role_name.clone() }
}
