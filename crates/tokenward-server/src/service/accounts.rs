//! The signed-in person's own account, and the one-time links that lead to it.

use std::sync::Arc;

use tokenward_core::caller::{Caller, Person};
use tokenward_core::error::Faults;
use tokenward_core::event::{By, Event, Kind, UserSnapshot};
use tokenward_core::name::{check_email, check_name};
use tokenward_core::right::Visitor;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::accounts::{self, Account};
use tokenward_store::{Tx, sessions};
use zeroize::Zeroizing;

use super::links::{link_digest, link_secret};
use super::passwords::check_password;
use super::{App, Written};

/// The caller's own account. Tokens have none: `user_required`.
pub async fn get(app: &Arc<App>, caller: &Caller) -> Result<Account> {
    let user = caller.require_user()?;
    let mut reader = app.store.read().await?;
    accounts::get(reader.conn(), user).await?.ok_or_else(|| Error::not_found("account"))
}

/// Changes name and mail address of the caller's own account; what is `None` stays.
pub async fn update(
    app: &Arc<App>,
    caller: &Caller,
    name: Option<String>,
    communication_email: Option<Option<String>>,
) -> Result<Written<Account>> {
    let mut faults = Faults::default();
    if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
        faults.check("name", check_name(name));
    }
    if let Some(Some(email)) = &communication_email {
        faults.check("communication_email", check_email(email));
    }
    faults.finish()?;
    app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            let old = own(tx, person).await?;
            // What the request leaves out is as it is now, not as it was when the request came.
            let new = Account {
                name: name.unwrap_or_else(|| old.name.clone()),
                communication_email: communication_email.unwrap_or_else(|| old.communication_email.clone()),
                ..old.clone()
            };
            let now = tx.now();
            accounts::update(tx, new.id, &new.name, new.communication_email.as_deref(), now).await?;
            let before = UserSnapshot { email: old.email, name: old.name, password_changed: false };
            let event = changed(&new, false).before(before);
            Ok((new, vec![event]))
        })
    })
    .await
}

/// Changes the caller's own password and ends all other sessions. The present one must be given.
pub async fn change_password(
    app: &Arc<App>,
    caller: &Caller,
    present: Zeroizing<String>,
    new: Zeroizing<String>,
) -> Result<Written<()>> {
    let account = get(app, caller).await?;
    let mut reader = app.store.read().await?;
    let hash = accounts::password_hash(reader.conn(), account.id).await?;
    drop(reader);
    // A stolen session must not be able to try passwords either.
    let address = caller.by().address;
    app.throttle.check(&account.email, address, app.now())?;
    if !app.passwords.fits(present, hash.clone()).await? {
        app.throttle.failed(&account.email, address, app.now());
        return Err(wrong());
    }
    let mut faults = Faults::default();
    faults.check("password", check_password(&new));
    faults.finish()?;
    let new = app.passwords.hash(new).await?;
    app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            let account = own(tx, person).await?;
            if accounts::password_hash(tx.conn(), account.id).await? != hash {
                return Err(wrong());
            }
            let now = tx.now();
            accounts::set_password(tx, account.id, &new, now).await?;
            sessions::delete_others(tx, account.id, Some(person.session())).await?;
            Ok(((), vec![changed(&account, true)]))
        })
    })
    .await
}

async fn own(tx: &mut Tx, person: &Person) -> Result<Account> {
    accounts::get(tx.conn(), person.account()).await?.ok_or_else(|| Error::not_found("account"))
}

fn wrong() -> Error {
    Error::invalid("present_password", "is not your present password")
}

/// Whose sign-in link is this? `None` for one that is spent, expired or never was.
pub async fn link_owner(app: &Arc<App>, secret: &str) -> Result<Option<Account>> {
    let mut reader = app.store.read().await?;
    match accounts::find_link(reader.conn(), &link_digest(secret), app.now()).await? {
        Some(id) => accounts::get(reader.conn(), id).await,
        None => Ok(None),
    }
}

/// Spends a sign-in link: sets the password that was chosen, and ends all sessions. Answers the account.
pub async fn take_link(app: &Arc<App>, secret: &str, password: Zeroizing<String>, by: By) -> Result<Written<Account>> {
    let mut faults = Faults::default();
    faults.check("password", check_password(&password));
    faults.finish()?;
    let hash = app.passwords.hash(password).await?;
    let digest = link_digest(secret);
    app.write(Visitor::new(by), move |tx, _| {
        Box::pin(async move {
            let dead = || Error::conflict("This link was used already or has expired. Ask the operator for a new one.");
            let now = tx.now();
            let id = accounts::take_link(tx, &digest, now).await?.ok_or_else(dead)?;
            let account = accounts::get(tx.conn(), id).await?.ok_or_else(dead)?;
            accounts::set_password(tx, id, &hash, now).await?;
            sessions::delete_others(tx, id, None).await?;
            let event = changed(&account, true);
            Ok((account, vec![event]))
        })
    })
    .await
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

fn changed(account: &Account, password_changed: bool) -> Event {
    let snapshot = UserSnapshot { email: account.email.clone(), name: account.name.clone(), password_changed };
    Event::new(Kind::UserUpdated, None, account.id, &account.email).after(snapshot)
}
