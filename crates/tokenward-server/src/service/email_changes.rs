//! Another address for an account. The person asks for it with a fresh proof, a link that is mailed to the new address does it, and
//! one that is mailed to the old address undoes it for three days: so neither a session that was stolen nor a mistyped address
//! takes an account away from its person.

use std::sync::Arc;

use tokenward_core::caller::Caller;
use tokenward_core::event::{By, EmailChangeSnapshot, Event, Kind};
use tokenward_core::id::least_id;
use tokenward_core::name::{check_email, fold_email};
use tokenward_core::right::Visitor;
use tokenward_core::time::DAY;
use tokenward_core::{Code, Error, Result, Time, email};
use tokenward_store::account_links::{self, EmailChange};
use tokenward_store::accounts::{self, Account};
use tokenward_store::second_factor::KeptCode;
use tokenward_store::{Tx, identities, invitations, passkeys, second_factor, sessions};
use zeroize::Zeroizing;

use super::accounts::{self as people, changed, snapshot};
use super::codes::take_away;
use super::identities::removed;
use super::known::Known;
use super::links::{link_digest, link_secret};
use super::mail::Mailer;
use super::passkey_use::removed_event;
use super::turns::Lane;
use super::{App, Written, password_resets, proof};
use crate::limits::{EMAIL, EMAIL_CHANGE_TIME, EMAIL_UNDO_TIME, PASSWORD_RESET_TIME};

fn mailer(app: &App) -> Result<Mailer> {
    let none = || Error::conflict("This server sends no mail, and an address is proved by one. Ask whoever runs it.");
    app.live().mailer.clone().ok_or_else(none)
}

/// Asks for another address of the caller's account: it gets a link. Nothing is said of whether another account has it.
pub async fn ask(app: &Arc<App>, caller: &Caller, address: &str) -> Result<Written<()>> {
    EMAIL.check_text(address).map_err(|problem| Error::invalid("email", problem))?;
    let address = email::ascii(address.trim()).into_owned();
    check_email(&address).map_err(|problem| Error::invalid("email", problem))?;
    let mailer = mailer(app)?;
    let account = people::get(app, caller).await?;
    if fold_email(&account.email) == fold_email(&address) {
        return Err(Error::invalid("email", "is the address that your account has"));
    }
    let (within, lifetime, to) = (proof::lifetime(app), app.limits.micros(&EMAIL_CHANGE_TIME), address.clone());
    let payer = mailer.clone();
    let written = app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            proof::require(tx, person, within).await?;
            let account = accounts::get(tx.conn(), person.account()).await?;
            let account = account.ok_or_else(|| Error::not_found("account"))?;
            // What it was invited to, it was for the address: whoever came by a link that was passed on takes that nowhere else.
            if account.email_proven_at.is_none() {
                return Err(not_proven());
            }
            payer.pay_for_change(account.id, &to, tx.now())?;
            let (secret, now) = (link_secret(tx.random()), tx.now());
            let change = EmailChange {
                id: tx.new_id(),
                account_id: account.id,
                old_email: account.email.clone(),
                new_email: to.clone(),
                done_at: None,
                expires_at: now.plus(lifetime),
            };
            account_links::insert_change(tx, &change, &link_digest(&secret), now).await?;
            let event = Event::new(Kind::EmailChangeCreated, None, change.id, &account.email).related(account.id);
            Ok((secret, vec![event.after(EmailChangeSnapshot { email: to })]))
        })
    });
    let Written { value: secret, position, effect } = written.await?;
    let text = format!(
        "Somebody wants to use this address to sign in to an account of {url}. If that was you, say so within an \
         hour:\n\n{url}/sign-in/email/{}\n\nIf it was not you, ignore this mail: nothing has happened.\n",
        *secret,
        url = app.public_url
    );
    mailer.deliver(&address, "Your new address", text)?;
    Ok(Written { value: (), position, effect })
}

/// What a link does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Linked {
    /// It gives the account its new address.
    Confirms(EmailChange),
    /// It gives it the old one back.
    Undoes(EmailChange),
}

/// What a link does. `None` for one that is spent, has expired or never was.
pub async fn find(app: &Arc<App>, secret: &str) -> Result<Option<Linked>> {
    let mut reader = app.store.read().await?;
    let found = account_links::find_change(reader.conn(), &link_digest(secret), app.now()).await?;
    Ok(found.map(|it| if it.done_at.is_some() { Linked::Undoes(it) } else { Linked::Confirms(it) }))
}

/// Gives an account its new address, by the link that was mailed there. The links that were mailed to the old one end, but for the
/// one that undoes this, which goes there now. Answers the account.
pub async fn confirm(app: &Arc<App>, secret: &str, by: By) -> Result<Written<Account>> {
    let mailer = mailer(app)?;
    let Some(Linked::Confirms(change)) = find(app, secret).await? else {
        return Err(app.dead_link(by.address, invalid_link()));
    };
    // Who is not told of it could not undo it.
    mailer.pay_for_notice(&change.old_email, app.now())?;
    let (digest, keep) = (link_digest(secret), app.limits.micros(&EMAIL_UNDO_TIME));
    let written = app.write(Visitor::new(by), move |tx, _| {
        Box::pin(async move {
            let now = tx.now();
            let change = account_links::find_change(tx.conn(), &digest, now).await?;
            let change = change.filter(|it| it.done_at.is_none()).ok_or_else(invalid_link)?;
            let before = accounts::get(tx.conn(), change.account_id).await?.ok_or_else(invalid_link)?;
            if before.email != change.old_email {
                return Err(invalid_link());
            }
            let account = set(tx, &before, &change.new_email, now).await?;
            let undo = link_secret(tx.random());
            account_links::finish_change(tx, change.id, &link_digest(&undo), now.plus(keep), now).await?;
            account_links::end_all(tx, account.id).await?;
            let event = changed(&account, false).before(snapshot(&before, false));
            Ok(((account, undo), vec![event]))
        })
    });
    let Written { value: (account, undo), position, effect } = written.await?;
    let text = format!(
        "Your account signs in with {} from now on. If that was not you, take it back within three days:\n\n\
         {}/sign-in/email/{}\n\nThat gives the account this address again and signs out everybody.\n",
        account.email, app.public_url, *undo
    );
    mailer.deliver(&change.old_email, "Your account has another address", text)?;
    Ok(Written { value: account, position, effect })
}

/// What was undone.
pub struct Undone {
    /// The account, with the address that it had.
    pub account: Account,
    /// A link to choose another password, where passwords count and the account has one: whoever changed the address may know it.
    pub reset: Option<Zeroizing<String>>,
}

/// Gives an account the address back that it had, by the link that was mailed there, whatever came after. All sessions and links end,
/// and so do the password, and the identities, passkeys, authenticator and recovery codes that came since or on the day before: each
/// would be a way back in, or a part of one.
pub async fn undo(app: &Arc<App>, secret: &str, by: By) -> Result<Written<Undone>> {
    let Some(Linked::Undoes(_)) = find(app, secret).await? else {
        return Err(app.dead_link(by.address, invalid_link()));
    };
    let (digest, lifetime) = (link_digest(secret), app.limits.micros(&PASSWORD_RESET_TIME));
    let passwords = app.sign_in.takes_passwords();
    // Nobody knows it: whoever changed the address may know the one until now. There is one still, so that it can be forgotten.
    let unusable = link_secret(app.store.random());
    let unusable = app.passwords.turn(Lane::Known(Known::Link(digest))).await?.hash(unusable).await?;
    app.write(Visitor::new(by), move |tx, _| {
        Box::pin(async move {
            let now = tx.now();
            let change = account_links::find_change(tx.conn(), &digest, now).await?;
            let change = change.and_then(|it| Some((it.done_at?, it)));
            let (done_at, change) = change.ok_or_else(invalid_link)?;
            let before = accounts::get(tx.conn(), change.account_id).await?.ok_or_else(invalid_link)?;
            let account = set(tx, &before, &change.old_email, now).await?;
            account_links::forget_changes_from(tx, account.id, done_at).await?;
            account_links::end_all(tx, account.id).await?;
            sessions::delete_others(tx, account.id, None).await?;
            let undone = Event::new(Kind::EmailChangeUndone, None, change.id, &account.email).related(account.id);
            let mut events = vec![undone, changed(&account, false).before(snapshot(&before, false))];
            // Whatever was prepared for a way back in, also on the day before.
            let since = done_at.plus(-DAY);
            for identity in identities::of_account(tx.conn(), account.id).await? {
                if identity.created_at >= since {
                    identities::delete(tx, account.id, identity.id).await?;
                    events.push(removed(&identity));
                }
            }
            for passkey in passkeys::of_account(tx.conn(), account.id).await? {
                if passkey.created_at >= since {
                    passkeys::delete(tx, account.id, passkey.id).await?;
                    events.push(removed_event(&passkey));
                }
            }
            if second_factor::authenticator(tx.conn(), account.id).await?.is_some_and(|it| it.created_at >= since) {
                events.extend(take_away(tx, account.id, &account.email).await?);
            }
            // Who had recovery codes made since then has them.
            let codes = second_factor::recovery_codes(tx.conn(), account.id).await?;
            let older: Vec<KeptCode> = codes.iter().filter(|it| it.id < least_id(since)).cloned().collect();
            if older.len() < codes.len() {
                second_factor::replace_recovery_codes(tx, account.id, &older).await?;
                events.push(Event::new(Kind::RecoveryCodesReplaced, None, account.id, &account.email));
            }
            let has_password = accounts::password_hash(tx.conn(), account.id).await?.is_some();
            if has_password {
                accounts::set_password(tx, account.id, &unusable, now).await?;
            }
            let reset = if passwords && has_password {
                let (secret, event) = password_resets::insert(tx, &account, lifetime).await?;
                events.push(event);
                Some(secret)
            } else {
                None
            };
            Ok((Undone { account, reset }, events))
        })
    })
    .await
}

/// Gives an account an address that its person has just proved to read, if it is free now. What names the person by the address says
/// the new one.
pub(super) async fn set(tx: &mut Tx, before: &Account, address: &str, now: Time) -> Result<Account> {
    accounts::set_email(tx, before.id, address, now).await.map_err(|error| match error.code {
        Code::NameTaken => Error::conflict("Another account has this address. Nothing was changed."),
        _ => error,
    })?;
    invitations::rename_inviter(tx, before.id, address).await?;
    Ok(Account { email: address.to_owned(), email_proven_at: Some(now), updated_at: now, ..before.clone() })
}

fn not_proven() -> Error {
    let detail = "Nobody has proved that the present address of this account is yours. Choose a new password by mail first, or \
                  take a sign-in link of the operator: either proves it.";
    Error::conflict(detail)
}

fn invalid_link() -> Error {
    Error::conflict("This link was used already or has expired.")
}
