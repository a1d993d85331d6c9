//! The signed-in person's own account, and the one-time links that lead to it.

use std::sync::Arc;

use tokenward_core::caller::{Caller, Person};
use tokenward_core::email;
use tokenward_core::error::Faults;
use tokenward_core::event::{By, Event, Kind, UserSnapshot};
use tokenward_core::name::{check_actor_name, check_email};
use tokenward_core::right::Visitor;
use tokenward_core::{Error, Result, Time, Uuid, password};
use tokenward_store::accounts::{self, Account};
use tokenward_store::{Tx, second_factor, sessions};
use zeroize::Zeroizing;

use super::codes::{factor_mail, take_away};
use super::known::Known;
use super::links::{link_digest, link_secret};
use super::mail_link;
use super::passkey_use;
use super::takeover::end_what_it_made;
use super::turns::Lane;
use super::{App, IfMatch, Written};

/// The caller's own account. Tokens have none: `user_required`.
pub async fn get(app: &Arc<App>, caller: &Caller) -> Result<Account> {
    let user = caller.require_user()?;
    let mut reader = app.store.read().await?;
    accounts::get(reader.conn(), user).await?.ok_or_else(|| Error::not_found("account"))
}

/// Has the caller's own account a password?
pub async fn has_password(app: &Arc<App>, caller: &Caller) -> Result<bool> {
    let user = caller.require_user()?;
    let mut reader = app.store.read().await?;
    Ok(accounts::password_hash(reader.conn(), user).await?.is_some())
}

/// Changes name and mail address of the caller's own account; what is `None` stays.
pub async fn update(
    app: &Arc<App>,
    caller: &Caller,
    name: Option<String>,
    communication_email: Option<Option<String>>,
    if_match: IfMatch,
) -> Result<Written<Account>> {
    let communication_email = communication_email.map(|it| it.map(|email| email::ascii(&email).into_owned()));
    let mut faults = Faults::default();
    if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
        faults.check("name", check_actor_name(name));
    }
    if let Some(Some(email)) = &communication_email {
        faults.check("communication_email", check_email(email));
    }
    faults.finish()?;
    app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            let old = own_account(tx, person).await?;
            if_match.check(old.updated_at)?;
            // What the request leaves out is as it is now, not as it was when the request came.
            let new = Account {
                name: name.unwrap_or_else(|| old.name.clone()),
                communication_email: communication_email.unwrap_or_else(|| old.communication_email.clone()),
                updated_at: tx.next_version(old.updated_at),
                ..old.clone()
            };
            accounts::update(tx, new.id, &new.name, new.communication_email.as_deref(), new.updated_at).await?;
            let event = changed(&new, false).before(snapshot(&old, false));
            Ok((new, vec![event]))
        })
    })
    .await
}

pub(super) async fn own_account(tx: &mut Tx, person: &Person) -> Result<Account> {
    accounts::get(tx.conn(), person.account()).await?.ok_or_else(|| Error::not_found("account"))
}

/// Whose sign-in link is this? `None` for one that is spent, expired or never was.
pub async fn link_owner(app: &Arc<App>, secret: &str) -> Result<Option<Account>> {
    let mut reader = app.store.read().await?;
    match accounts::find_link(reader.conn(), &link_digest(secret), app.now()).await? {
        Some(id) => accounts::get(reader.conn(), id).await,
        None => Ok(None),
    }
}

/// What somebody does with a sign-in link.
pub struct Taking {
    /// The password that was chosen.
    pub password: Zeroizing<String>,
    /// Whoever used the account before was somebody else: what was made with it ends. Only for an account whose address
    /// was not proven.
    pub was_not_me: bool,
}

/// Spends a sign-in link: sets the password that was chosen, where passwords count, and ends all sessions. Whoever runs the server gave it to the
/// person, so the address counts as proven. Answers the account.
pub async fn take_link(app: &Arc<App>, secret: &str, taking: Taking, by: By) -> Result<Written<Account>> {
    // Before anything is hashed: a link that is dead costs nothing.
    let Some(account) = link_owner(app, secret).await? else {
        return Err(app.dead_link(by.address, invalid_link()));
    };
    let (digest, was_not_me) = (link_digest(secret), taking.was_not_me);
    let hash = if app.sign_in.takes_passwords() {
        check_password(app, &account, &taking.password)?;
        Some(app.passwords.turn(Lane::Known(Known::Link(digest))).await?.hash(taking.password).await?)
    } else {
        None
    };
    let taken = app.write(Visitor::new(by), move |tx, _| {
        Box::pin(async move {
            let now = tx.now();
            let resets = second_factor::link_resets(tx.conn(), &digest).await?;
            let id = accounts::take_link(tx, &digest, now).await?.ok_or_else(invalid_link)?;
            let mut account = accounts::get(tx.conn(), id).await?.ok_or_else(invalid_link)?;
            let before = snapshot(&account, false);
            let proven = account.email_proven_at.is_some();
            if let Some(hash) = &hash {
                accounts::set_password(tx, id, hash, now).await?;
            } else if was_not_me && !proven {
                accounts::remove_password(tx, id, now).await?;
            }
            accounts::prove_email(tx, id, now).await?;
            account.email_proven_at = account.email_proven_at.or(Some(now));
            let used = Event::new(Kind::SignInLinkUsed, None, id, &account.email);
            let mut events = vec![used, changed(&account, hash.is_some()).before(before)];
            let mut removed = Vec::new();
            if resets {
                removed = take_away(tx, id, &account.email).await?;
                // A fresh proof takes a passkey where there is one: one that is lost is in the way as an authenticator is.
                removed.extend(passkey_use::remove_all(tx, &account).await?);
            }
            let reset = !removed.is_empty();
            events.extend(removed);
            if was_not_me && !proven {
                events.extend(end_what_it_made(tx, &account).await?);
            } else {
                sessions::delete_others(tx, id, None).await?;
            }
            Ok(((account, reset), events))
        })
    });
    let Written { value: (account, reset), position, effect } = taken.await?;
    if reset {
        factor_mail::removed(app, account.id).await;
    }
    if let Err(error) = mail_link::notify(app, account.id, &account.email).await {
        tracing::warn!(%error, "a mail about a sign-in link was not sent");
    }
    Ok(Written { value: account, position, effect })
}

fn invalid_link() -> Error {
    Error::conflict("This link was used already or has expired. Ask the operator for a new one.")
}

/// Adds a sign-in link for an account. Answers its secret and the event.
pub(crate) async fn insert_link(
    tx: &mut Tx,
    account: Uuid,
    email: &str,
    expires_at: Time,
) -> Result<(Zeroizing<String>, Event)> {
    let secret = link_secret(tx.random());
    let (id, now) = (tx.new_id(), tx.now());
    accounts::insert_link(tx, id, account, &link_digest(&secret), expires_at, now).await?;
    Ok((secret, Event::new(Kind::SignInLinkCreated, None, id, email).related(account)))
}

pub(super) fn changed(account: &Account, password_changed: bool) -> Event {
    Event::new(Kind::UserUpdated, None, account.id, &account.email).after(snapshot(account, password_changed))
}

pub(super) fn snapshot(account: &Account, password_changed: bool) -> UserSnapshot {
    let email_proven = account.email_proven_at.is_some();
    UserSnapshot { email: account.email.clone(), name: account.name.clone(), password_changed, email_proven }
}

/// The names of the organizations that a person belongs to: no password is made of them.
fn organization_names(app: &App, account: Uuid) -> Vec<String> {
    let directory = app.verifier.directory();
    let own = directory.organizations().filter(|organization| organization.role_of(account).is_some());
    own.map(|organization| organization.name.to_string()).collect()
}

pub(super) fn check_password(app: &App, account: &Account, password: &str) -> Result<()> {
    let names = organization_names(app, account.id);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut faults = Faults::default();
    faults.check("password", password::check(password, &account.email, &names));
    faults.finish()
}
