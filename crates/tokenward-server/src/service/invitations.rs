//! Invitations: how somebody becomes a member.
//!
//! Only the secret of the link proves that somebody is meant; that the addresses are equal grants nothing. A link
//! never sets the password of an account that exists: its owner must be signed in to accept.

use std::sync::Arc;

use tokenward_core::caller::{Caller, Grant};
use tokenward_core::error::Faults;
use tokenward_core::event::{By, Event, Kind, MemberSnapshot, UserSnapshot};
use tokenward_core::name::{check_email, check_name};
use tokenward_core::right::Visitor;
use tokenward_core::time::DAY;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::accounts::{self, Account};
use tokenward_store::invitations::{self, Invitation};
use tokenward_store::members::{self, Membership};
use tokenward_store::{Conn, Tx, roles};
use zeroize::Zeroizing;

use super::links::{link_digest, link_secret};
use super::passwords::check_password;
use super::{App, Written};

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
    let own = Arc::clone(app);
    let written = app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let mut faults = Faults::default();
            faults.check("email", check_email(&email));
            let role = faults.and(roles::assignable(tx, grant, "role_id", role).await)?;
            grant.covers(&role)?;
            let all = members::list(tx.conn(), grant).await?;
            if all.iter().any(|member| member.email.eq_ignore_ascii_case(&email)) {
                return Err(Error::conflict(format!("{email} is a member already.")));
            }
            let (now, secret) = (tx.now(), link_secret(tx.random()));
            let invitation = Invitation {
                id: tx.new_id(),
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
            invitations::insert(tx, grant, &invitation, &link_digest(&secret), now).await?;
            let invitation = invitations::get(tx.conn(), grant, invitation.id).await?;
            let event = event(Kind::InvitationCreated, &invitation).after(snapshot(&invitation));
            Ok((sent(&own, invitation, &secret), vec![event]))
        })
    });
    let written = written.await?;
    mail(app, &written.value);
    Ok(written)
}

/// Makes a new link for an invitation; the old one is dead. What it gives may not be more than the caller holds.
pub async fn resend(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<Sent>> {
    let own = Arc::clone(app);
    let written = app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let before = invitations::get(tx.conn(), grant, id).await?;
            grant.covers(&*roles::assignable(tx, grant, "role_id", before.role_id).await?)?;
            let (now, secret) = (tx.now(), link_secret(tx.random()));
            invitations::renew(tx, grant, id, &link_digest(&secret), now.plus(LIFETIME), now).await?;
            let invitation = invitations::get(tx.conn(), grant, id).await?;
            let event =
                event(Kind::InvitationResent, &invitation).before(snapshot(&before)).after(snapshot(&invitation));
            Ok((sent(&own, invitation, &secret), vec![event]))
        })
    });
    let written = written.await?;
    mail(app, &written.value);
    Ok(written)
}

/// Takes an invitation back.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<()>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let invitation = invitations::get(tx.conn(), grant, id).await?;
            invitations::delete(tx, grant.organization(), id).await?;
            let event = event(Kind::InvitationDeleted, &invitation).before(snapshot(&invitation));
            Ok(((), vec![event]))
        })
    })
    .await
}

/// What a link opens, and whether its address has an account already. `None` for a dead link.
pub async fn open(app: &Arc<App>, id: Uuid, secret: &str) -> Result<Option<(Invitation, Option<Account>)>> {
    let link = Link { organization: None, id, digest: link_digest(secret) };
    let mut reader = app.store.read().await?;
    match opened(reader.conn(), link, app.now()).await {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.code == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Accepts an invitation. Answers it, and the account that became a member.
pub async fn accept(
    app: &Arc<App>,
    organization: Option<Uuid>,
    id: Uuid,
    secret: &str,
    accepting: Accepting,
) -> Result<Written<(Invitation, Account)>> {
    let link = Link { organization, id, digest: link_digest(secret) };
    match accepting {
        Accepting::SignedIn(caller) => {
            app.write(caller.person()?, move |tx, person| Box::pin(accept_as(tx, link, person.account()))).await
        }
        Accepting::NewAccount { name, password, by } => {
            // Before the password is hashed, which is costly: what is wrong is known already.
            let mut reader = app.store.read().await?;
            let (invitation, existing) = opened(reader.conn(), link, app.now()).await?;
            drop(reader);
            refuse_existing(&invitation, existing.as_ref())?;
            let mut faults = Faults::default();
            if !name.is_empty() {
                faults.check("name", check_name(&name));
            }
            faults.check("password", check_password(&password));
            faults.finish()?;
            let hash = app.passwords.hash(password).await?;
            app.write(Visitor::new(by), move |tx, _| Box::pin(accept_new(tx, link, name, hash))).await
        }
    }
}

/// What a link says.
#[derive(Clone, Copy)]
struct Link {
    organization: Option<Uuid>,
    id: Uuid,
    digest: [u8; 32],
}

type Accepted = ((Invitation, Account), Vec<Event>);

/// Accepts as an account that exists.
async fn accept_as(tx: &mut Tx, link: Link, user: Uuid) -> Result<Accepted> {
    let now = tx.now();
    let (invitation, existing) = opened(tx.conn(), link, now).await?;
    if existing.is_some_and(|account| account.id != user) {
        let detail =
            format!("This invitation is for the account {}. Sign in with that one to accept.", invitation.email);
        return Err(Error::new(Code::UserRequired, detail));
    }
    let account = accounts::get(tx.conn(), user).await?.ok_or_else(|| Error::not_found("account"))?;
    join(tx, invitation, account, Vec::new()).await
}

/// Accepts with a new account.
async fn accept_new(tx: &mut Tx, link: Link, name: String, hash: String) -> Result<Accepted> {
    let now = tx.now();
    let (invitation, existing) = opened(tx.conn(), link, now).await?;
    refuse_existing(&invitation, existing.as_ref())?;
    let account = Account {
        id: tx.new_id(),
        email: invitation.email.clone(),
        name,
        communication_email: None,
        created_at: now.0,
        updated_at: now.0,
    };
    accounts::insert(tx, account.id, &account.email, &account.name, Some(&hash), now).await?;
    let user = UserSnapshot { email: account.email.clone(), name: account.name.clone(), password_changed: true };
    let created = Event::new(Kind::UserCreated, None, account.id, &account.email).after(user);
    join(tx, invitation, account, vec![created]).await
}

/// Spends the invitation and makes the account a member.
async fn join(tx: &mut Tx, invitation: Invitation, account: Account, mut events: Vec<Event>) -> Result<Accepted> {
    if !invitations::delete(tx, invitation.organization_id, invitation.id).await? {
        return Err(dead());
    }
    let membership =
        Membership { organization_id: invitation.organization_id, account_id: account.id, role_id: invitation.role_id };
    let now = tx.now();
    members::insert(tx, membership, false, now).await.map_err(|error| match error.code {
        Code::NameTaken => Error::conflict("This account is a member already."),
        _ => error,
    })?;
    events.push(event(Kind::InvitationAccepted, &invitation).related(account.id).after(snapshot(&invitation)));
    Ok(((invitation, account), events))
}

/// The invitation of a link, and the account that its address has.
async fn opened(mut conn: Conn<'_>, link: Link, now: Time) -> Result<(Invitation, Option<Account>)> {
    let invitation = invitations::by_link(conn.again(), link.id, &link.digest, now).await?;
    let meant = |it: &Invitation| link.organization.is_none_or(|organization| organization == it.organization_id);
    let invitation = invitation.filter(meant).ok_or_else(dead)?;
    let account = accounts::by_email(conn, &invitation.email).await?;
    Ok((invitation, account))
}

fn refuse_existing(invitation: &Invitation, existing: Option<&Account>) -> Result<()> {
    match existing {
        Some(_) => {
            let detail = format!("The account {} exists. Sign in with it to accept.", invitation.email);
            Err(Error::new(Code::UserRequired, detail))
        }
        None => Ok(()),
    }
}

fn dead() -> Error {
    Error::new(
        Code::NotFound,
        "This invitation is not valid: it was used, taken back or has expired, or the link is incomplete. Ask for a new one.",
    )
}

fn mail(app: &App, sent: &Sent) {
    if let Some(mailer) = &app.mailer {
        mailer.invite(&sent.invitation, &sent.link);
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
