//! Accepting an invitation, and with it how an address gets to be somebody's.
//!
//! Whoever invites an address holds a link, and could accept in the place of the person. So a link proves the address only
//! where it was mailed. An account that comes from another link is marked as *address not proven*; whoever comes with a
//! mailed link takes it over, and what was done with it before ends. Nothing that is said before an invitation is accepted
//! tells whether its address has an account, but to somebody with a mailed link.

use std::sync::Arc;

use tokenward_core::caller::Caller;
use tokenward_core::error::Faults;
use tokenward_core::event::{Actor, Event, Kind};
use tokenward_core::name::{check_actor_name, fold_email};
use tokenward_core::notice::Notice;
use tokenward_core::right::Visitor;
use tokenward_core::{Code, Error, Result, Time, Uuid, password};
use tokenward_store::accounts::{self, Account};
use tokenward_store::identities;
use tokenward_store::invitations::{self, Invitation, OpenedInvitation};
use tokenward_store::members::{self, Membership};
use tokenward_store::{Conn, Tx, factors};
use tokenward_verify::server::Client;
use zeroize::Zeroizing;

use super::accounts::{changed, snapshot as account_snapshot};
use super::compare::{self, PasswordAttempt};
use super::identities::{ByProvider, linked};
use super::invitations::{event, snapshot};
use super::known::Known;
use super::links::link_digest;
use super::takeover::end_what_it_made;
use super::turns::Lane;
use super::{App, Written};
use crate::limits::{Limits, MEMBERS};

/// How a person accepts.
pub enum Accepting {
    /// As the account that is signed in.
    SignedIn(Caller),
    /// With a password: of the account that the address has, or of a new one.
    WithPassword {
        /// The person's name, for a new account; may be empty.
        name: String,
        /// The password.
        password: Zeroizing<String>,
        /// From where.
        client: Client,
    },
    /// As the holder of an identity that a provider has proved just now: of the account that it opens, or of a new one.
    WithIdentity {
        /// The identity.
        identity: ByProvider,
        /// From where.
        client: Client,
    },
}

/// What a link opens.
#[derive(Debug)]
pub struct Opened {
    /// The invitation.
    pub invitation: Invitation,
    /// Whether the address has an account; known to a page only by a link that was mailed.
    pub account: Option<InvitedAccount>,
}

/// What is known of the account that an invited address has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvitedAccount {
    /// It is the person's.
    Proven,
    /// It can be anybody's: nobody has proved to read what is sent to the address.
    NotProven,
}

/// What a link opens. `None` for a dead link.
pub async fn open(app: &Arc<App>, id: Uuid, secret: &str) -> Result<Option<Opened>> {
    let link = Link { organization: None, id, right: Right::Secret(link_digest(secret)) };
    let mut reader = app.store.read().await?;
    let OpenedInvitation { invitation, mailed } = match opened(reader.conn(), link, app.now()).await {
        Ok(held) => held,
        Err(error) if error.code == Code::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let account = if mailed { accounts::by_email(reader.conn(), &invitation.email).await? } else { None };
    let standing = |account: Account| match account.email_proven_at {
        Some(_) => InvitedAccount::Proven,
        None => InvitedAccount::NotProven,
    };
    Ok(Some(Opened { invitation, account: account.map(standing) }))
}

/// Accepts an invitation. Answers it, and the account that became a member.
pub async fn accept(
    app: &Arc<App>,
    organization: Option<Uuid>,
    id: Uuid,
    secret: &str,
    accepting: Accepting,
) -> Result<Written<(Invitation, Account)>> {
    let link = Link { organization, id, right: Right::Secret(link_digest(secret)) };
    let (accepted, address) = match accepting {
        Accepting::SignedIn(caller) => {
            let (address, limits) = (caller.by().address, app.limits.clone());
            let person = caller.person()?;
            let joined =
                app.write(person, move |tx, person| Box::pin(join_as(tx, link, person.account(), None, limits)));
            (joined.await, address)
        }
        Accepting::WithPassword { name, password, client } => {
            let address = client.address;
            (with_password(app, link, name, password, client).await, address)
        }
        Accepting::WithIdentity { identity, client } => {
            (with_identity(app, link, identity, &client).await, client.address)
        }
    };
    accepted.map_err(|error| match error.code {
        Code::NotFound => app.dead_link(address, error),
        _ => error,
    })
}

/// Accepts an invitation for the address that a provider proves, without its link: whoever reads that mail could have had one.
pub(super) async fn accept_by_address(
    app: &Arc<App>,
    id: Uuid,
    identity: ByProvider,
    client: &Client,
) -> Result<Written<(Invitation, Account)>> {
    with_identity(app, Link { organization: None, id, right: Right::Address }, identity, client).await
}

async fn with_identity(
    app: &Arc<App>,
    link: Link,
    identity: ByProvider,
    client: &Client,
) -> Result<Written<(Invitation, Account)>> {
    let limits = app.limits.clone();
    app.write(Visitor::new(client.by(Actor::Visitor)), move |tx, _| Box::pin(join_by(tx, link, identity, limits))).await
}

/// Accepts as the holder of an identity.
async fn join_by(tx: &mut Tx, link: Link, identity: ByProvider, limits: Limits) -> Result<Accepted> {
    let now = tx.now();
    let held = match link.right {
        Right::Secret(_) => opened(tx.conn(), link, now).await?,
        Right::Address => {
            let email = identity.email.as_deref().filter(|_| identity.email_proven).ok_or_else(invalid_invitation)?;
            let mut all = invitations::of_address(tx.conn(), email, now).await?;
            all.retain(|invitation| invitation.id == link.id);
            // As if it had been mailed: the provider says that the person reads that mail.
            OpenedInvitation { invitation: all.pop().ok_or_else(invalid_invitation)?, mailed: true }
        }
    };
    let OpenedInvitation { invitation, mailed } = held;
    if let Some(known) = identities::find(tx.conn(), &identity.issuer, &identity.subject).await? {
        let account = accounts::get(tx.conn(), known.account_id).await?.ok_or_else(|| Error::not_found("account"))?;
        require_same_address(&account, &invitation)?;
        return join(tx, invitation, account, Vec::new(), &limits).await;
    }
    let proves = mailed || identity.proves(&invitation.email);
    let (account, mut events) = match accounts::by_email(tx.conn(), &invitation.email).await? {
        Some(mut account) if account.email_proven_at.is_none() && proves => {
            let before = account_snapshot(&account, false);
            accounts::remove_password(tx, account.id, now).await?;
            accounts::prove_email(tx, account.id, now).await?;
            account.email_proven_at = Some(now);
            let mut events = vec![changed(&account, true).before(before)];
            events.extend(end_what_it_made(tx, &account).await?);
            (account, events)
        }
        // The same whether or not somebody has proved it: nothing is said of an account before it is opened.
        Some(_) => {
            let detail =
                "Sign in as you do now, and link this identity on your account page. Then open the invitation again.";
            return Err(Error::conflict(detail));
        }
        None => {
            let name = identity.name.clone().filter(|name| check_actor_name(name).is_ok()).unwrap_or_default();
            let account = Account {
                id: tx.new_id(),
                email: invitation.email.clone(),
                name,
                communication_email: None,
                email_proven_at: proves.then_some(now),
                created_at: now,
                updated_at: now,
            };
            accounts::insert(tx, account.id, &account.email, &account.name, None, now).await?;
            if proves {
                accounts::prove_email(tx, account.id, now).await?;
            }
            let created = Event::new(Kind::UserCreated, None, account.id, &account.email);
            let created = created.after(account_snapshot(&account, false));
            (account, vec![created])
        }
    };
    events.push(linked(tx, account.id, &identity).await?);
    join(tx, invitation, account, events, &limits).await
}

async fn with_password(
    app: &Arc<App>,
    link: Link,
    name: String,
    password: Zeroizing<String>,
    client: Client,
) -> Result<Written<(Invitation, Account)>> {
    app.sign_in.require_passwords()?;
    // Before anything is hashed, which is costly: what is wrong is known already. The order is the same for an address
    // with an account and for one without.
    let mut reader = app.store.read().await?;
    let OpenedInvitation { invitation, mailed } = opened(reader.conn(), link, app.now()).await?;
    let mut faults = Faults::default();
    if !name.is_empty() {
        faults.check("name", check_actor_name(&name));
    }
    let organization = invitation.organization_name.as_str();
    faults.check("password", password::check(&password, &invitation.email, &[organization]));
    faults.finish()?;
    let account = accounts::by_email(reader.conn(), &invitation.email).await?;
    let hash = match &account {
        Some(account) => accounts::password_hash(reader.conn(), account.id).await?,
        None => None,
    };
    drop(reader);
    let lane = Lane::Known(Known::Link(link.digest()));
    let limits = app.limits.clone();
    let Some(account) = account else {
        let hash = app.passwords.turn(lane).await?.hash(password).await?;
        let visitor = Visitor::new(client.by(Actor::Visitor));
        return app.write(visitor, move |tx, _| Box::pin(join_anew(tx, link, name, hash, limits))).await;
    };
    let guesser = app.devices.guesser(&account.email, None, client.address, app.now());
    let tried = PasswordAttempt { notice: Notice::SignInFailed, account: Some(account.id), address: client.address };
    let right = compare::is_right(app, &guesser, tried, lane.clone(), password.clone(), hash.clone()).await?;
    let visitor = Visitor::new(client.by(Actor::Visitor)).proven(account.id, &account.email);
    if right {
        return app.write(visitor, move |tx, _| Box::pin(join_as(tx, link, account.id, Some(hash), limits))).await;
    }
    if mailed && account.email_proven_at.is_none() {
        app.throttle.succeeded(&guesser, app.now()).await?;
        let new = app.passwords.turn(lane).await?.hash(password).await?;
        return app.write(visitor, move |tx, _| Box::pin(take_over(tx, link, account.id, name, new, limits))).await;
    }
    Err(not_theirs())
}

/// What a link says.
#[derive(Clone, Copy)]
struct Link {
    organization: Option<Uuid>,
    id: Uuid,
    right: Right,
}

/// What opens an invitation.
#[derive(Clone, Copy)]
enum Right {
    /// The secret of a link, by its digest.
    Secret([u8; 32]),
    /// To have the invited address, which a provider proves.
    Address,
}

impl Link {
    /// Of the secret; of an address none has this one.
    fn digest(&self) -> [u8; 32] {
        match self.right {
            Right::Secret(digest) => digest,
            Right::Address => [0; 32],
        }
    }
}

type Accepted = ((Invitation, Account), Vec<Event>);

/// Accepts as an account that exists, which must be that of the address. `hash` is what a password was compared with: one
/// that was changed since then opens nothing.
async fn join_as(
    tx: &mut Tx,
    link: Link,
    account: Uuid,
    hash: Option<Option<String>>,
    limits: Limits,
) -> Result<Accepted> {
    let now = tx.now();
    let OpenedInvitation { invitation, mailed } = opened(tx.conn(), link, now).await?;
    let mut account = accounts::get(tx.conn(), account).await?.ok_or_else(|| Error::not_found("account"))?;
    require_same_address(&account, &invitation)?;
    if let Some(hash) = hash {
        if accounts::password_hash(tx.conn(), account.id).await? != hash {
            return Err(not_theirs());
        }
        if factors::of(tx.conn(), account.id, None).await?.has_second() {
            // A link and a password are not all that the account has; who is signed in accepts without either.
            let detail =
                "This account has a second factor, which is not asked here. Sign in first, and open the link again.";
            return Err(Error::new(Code::SecondFactorRequired, detail));
        }
    }
    let mut events = Vec::new();
    if mailed && account.email_proven_at.is_none() {
        let before = account_snapshot(&account, false);
        accounts::prove_email(tx, account.id, now).await?;
        account.email_proven_at = Some(now);
        events.push(changed(&account, false).before(before));
    }
    join(tx, invitation, account, events, &limits).await
}

/// The same whether or not the invited address has an account.
fn require_same_address(account: &Account, invitation: &Invitation) -> Result<()> {
    if fold_email(&account.email) == fold_email(&invitation.email) {
        return Ok(());
    }
    let detail = format!(
        "This invitation is for {}, and you are signed in as {}. Sign out, and open its link again.",
        invitation.email, account.email
    );
    Err(Error::new(Code::UserRequired, detail))
}

/// Accepts with a new account, whose address is proven by a link that was mailed.
async fn join_anew(tx: &mut Tx, link: Link, name: String, hash: String, limits: Limits) -> Result<Accepted> {
    let now = tx.now();
    let OpenedInvitation { invitation, mailed } = opened(tx.conn(), link, now).await?;
    if accounts::by_email(tx.conn(), &invitation.email).await?.is_some() {
        return Err(Error::conflict("Somebody accepts an invitation to this address at this moment. Try again."));
    }
    let account = Account {
        id: tx.new_id(),
        email: invitation.email.clone(),
        name,
        communication_email: None,
        email_proven_at: mailed.then_some(now),
        created_at: now,
        updated_at: now,
    };
    accounts::insert(tx, account.id, &account.email, &account.name, Some(&hash), now).await?;
    if mailed {
        accounts::prove_email(tx, account.id, now).await?;
    }
    let created =
        Event::new(Kind::UserCreated, None, account.id, &account.email).after(account_snapshot(&account, true));
    join(tx, invitation, account, vec![created], &limits).await
}

/// Accepts with an account that somebody else made before the address was proven: from now on it is the person's.
async fn take_over(
    tx: &mut Tx,
    link: Link,
    account: Uuid,
    name: String,
    hash: String,
    limits: Limits,
) -> Result<Accepted> {
    let now = tx.now();
    let OpenedInvitation { invitation, mailed } = opened(tx.conn(), link, now).await?;
    let mut account = accounts::get(tx.conn(), account).await?.ok_or_else(|| Error::not_found("account"))?;
    if !mailed || account.email_proven_at.is_some() {
        return Err(not_theirs());
    }
    let before = account_snapshot(&account, false);
    if !name.is_empty() {
        account.name = name;
        accounts::update(tx, account.id, &account.name, account.communication_email.as_deref(), now).await?;
    }
    accounts::set_password(tx, account.id, &hash, now).await?;
    accounts::prove_email(tx, account.id, now).await?;
    account.email_proven_at = Some(now);
    let mut events = vec![changed(&account, true).before(before)];
    events.extend(end_what_it_made(tx, &account).await?);
    join(tx, invitation, account, events, &limits).await
}

/// Spends the invitation and makes the account a member.
async fn join(
    tx: &mut Tx,
    invitation: Invitation,
    account: Account,
    mut events: Vec<Event>,
    limits: &Limits,
) -> Result<Accepted> {
    let count = members::count(tx.conn(), invitation.organization_id).await?;
    limits.room(&MEMBERS, count, "The organization has as many members as")?;
    if !invitations::end(tx, invitation.organization_id, invitation.id).await? {
        return Err(invalid_invitation());
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

/// The invitation of a link.
async fn opened(conn: Conn<'_>, link: Link, now: Time) -> Result<OpenedInvitation> {
    let held = invitations::by_link(conn, link.id, &link.digest(), now).await?;
    let meant = |it: &OpenedInvitation| {
        link.organization.is_none_or(|organization| organization == it.invitation.organization_id)
    };
    held.filter(meant).ok_or_else(invalid_invitation)
}

fn not_theirs() -> Error {
    Error::new(
        Code::SignInFailed,
        "This is not the password that belongs to the address. If it is yours and you have an account here, use its password.",
    )
}

/// What whoever comes with a dead link is told.
pub(crate) fn invalid_invitation() -> Error {
    Error::new(
        Code::NotFound,
        "This invitation is not valid: it was used, taken back or has expired, or the link is incomplete. Ask for a new one.",
    )
}
