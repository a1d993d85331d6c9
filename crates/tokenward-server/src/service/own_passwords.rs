//! The password of the own account: where it gets another one, its first one, or loses it.

use std::sync::Arc;

use tokenward_core::caller::Caller;
use tokenward_core::method::{Method, Methods};
use tokenward_core::notice::Notice;
use tokenward_core::{Error, Result};
use tokenward_store::{accounts, sessions};
use zeroize::Zeroizing;

use super::accounts::{self as people, changed, check_password, own_account};
use super::compare::{self, PasswordAttempt};
use super::known::{Guesser, Known};
use super::sign_in_methods::{self, SignInOffer};
use super::turns::Lane;
use super::{App, Written, person_mail, proof};

/// Changes the caller's own password and ends all other sessions. The present one must be given; and
/// where the account has a second factor, a fresh proof.
pub async fn change_password(
    app: &Arc<App>,
    caller: &Caller,
    present: Zeroizing<String>,
    new: Zeroizing<String>,
) -> Result<Written<()>> {
    app.sign_in.require_passwords()?;
    let account = people::get(app, caller).await?;
    let mut reader = app.store.read().await?;
    let hash = accounts::password_hash(reader.conn(), account.id).await?;
    drop(reader);
    // A stolen session must not be able to try passwords either; but strangers at the same account hold nobody up here.
    let known = Known::Account(account.id);
    let guesser = Guesser::Known(known.clone());
    let tried =
        PasswordAttempt { notice: Notice::PasswordRefused, account: Some(account.id), address: caller.by().address };
    if !compare::is_right(app, &guesser, tried, Lane::from(&guesser), present, hash.clone()).await? {
        return Err(wrong());
    }
    check_password(app, &account, &new)?;
    let new = app.passwords.turn(Lane::Known(known)).await?.hash(new).await?;
    let within = proof::lifetime(app);
    let written = app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            let account = own_account(tx, person).await?;
            if accounts::password_hash(tx.conn(), account.id).await? != hash {
                return Err(wrong());
            }
            if !sessions::factors_in(tx, account.id).await?.are_met_by(&Methods::of([Method::Password])) {
                proof::require(tx, person, within).await?;
            }
            let now = tx.now();
            accounts::set_password(tx, account.id, &new, now).await?;
            sessions::delete_others(tx, account.id, Some(person.session())).await?;
            Ok(((), vec![changed(&account, true)]))
        })
    });
    let written = written.await?;
    person_mail::notify_of_password(app, &account.email);
    Ok(written)
}

/// Sets the password of the caller's account, which has none, by a fresh proof; and ends all other sessions.
pub async fn set_first_password(app: &Arc<App>, caller: &Caller, new: Zeroizing<String>) -> Result<Written<()>> {
    app.sign_in.require_passwords()?;
    let account = people::get(app, caller).await?;
    check_password(app, &account, &new)?;
    let hash = app.passwords.turn(Lane::Known(Known::Account(account.id))).await?.hash(new).await?;
    let within = proof::lifetime(app);
    let written = app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            proof::require(tx, person, within).await?;
            let account = own_account(tx, person).await?;
            if accounts::password_hash(tx.conn(), account.id).await?.is_some() {
                return Err(Error::invalid("present_password", "is missing; your account has a password"));
            }
            let now = tx.now();
            accounts::set_password(tx, account.id, &hash, now).await?;
            sessions::delete_others(tx, account.id, Some(person.session())).await?;
            Ok(((), vec![changed(&account, true)]))
        })
    });
    let written = written.await?;
    person_mail::notify_of_password(app, &account.email);
    Ok(written)
}

/// Takes the password of the caller's account away, by a fresh proof; and ends all other sessions. The last way to sign in stays.
pub async fn remove_password(app: &Arc<App>, caller: &Caller) -> Result<Written<()>> {
    let (within, doors) = (proof::lifetime(app), SignInOffer::of(app));
    let removed = app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            proof::require(tx, person, within).await?;
            let account = own_account(tx, person).await?;
            if accounts::password_hash(tx.conn(), account.id).await?.is_none() {
                return Err(Error::not_found("password"));
            }
            let before = sign_in_methods::of(tx.conn(), &doors, account.id).await?;
            let now = tx.now();
            accounts::remove_password(tx, account.id, now).await?;
            sign_in_methods::require_left(tx, &doors, account.id, &before).await?;
            sessions::delete_others(tx, account.id, Some(person.session())).await?;
            Ok((account.email.clone(), vec![changed(&account, true)]))
        })
    });
    let Written { value: email, position, effect } = removed.await?;
    let what = "The password of your account was taken away. All other sessions were signed out.";
    person_mail::notify_of_way(app, &email, "Your password was taken away", what);
    Ok(Written { value: (), position, effect })
}

fn wrong() -> Error {
    Error::invalid("present_password", "is not your present password")
}
