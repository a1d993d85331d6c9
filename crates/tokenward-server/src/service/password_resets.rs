//! A new password by mail: for people who have forgotten theirs.
//!
//! Whoever asks hears the same for every address, and as soon: the request only takes its place in a queue, and what an address is
//! worth is found out later, by a worker. The link proves that somebody reads what is sent to the address, and nothing more: it
//! sets a password and begins no session, so that it never gets past a second factor, nor past what an organization asks for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenward_core::event::{Actor, By, Event, Kind};
use tokenward_core::name::check_email;
use tokenward_core::right::Visitor;
use tokenward_core::sync::lock;
use tokenward_core::time::Micros;
use tokenward_core::{Code, Error, Result, email};
use tokenward_store::accounts::{self, Account};
use tokenward_store::{Tx, account_links, factors, sessions};
use tokenward_verify::server::Client;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use super::accounts::{Taking, changed, check_password, snapshot};
use super::known::Known;
use super::links::{link_digest, link_secret};
use super::sign_in_methods::{self, SignInOffer};
use super::takeover::end_what_it_made;
use super::turns::Lane;
use super::{App, Written, person_mail};
use crate::limits::{EMAIL, PASSWORD_RESET_TIME, PASSWORD_RESETS_WAITING};

/// How often a request is tried for which there is no database.
const TRIES: u32 = 3;
/// How long after such a try the next one comes.
const AGAIN: Duration = Duration::from_secs(5);

/// Requests that wait for their mail.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<VecDeque<ResetRequest>>,
    told: Notify,
}

struct ResetRequest {
    email: String,
    client: Client,
}

impl Queue {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// Does none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Can somebody choose a new password by mail on this server?
#[must_use]
pub fn are_offered(app: &App) -> bool {
    app.sign_in.takes_passwords() && app.live().mailer.is_some()
}

/// Asks for a link to an address. What comes of it is found in the mail, where there is one.
pub fn ask(app: &App, address: &str, client: Client) -> Result<()> {
    EMAIL.check_text(address).map_err(|problem| Error::invalid("email", problem))?;
    let address = email::ascii(address.trim()).into_owned();
    check_email(&address).map_err(|problem| Error::invalid("email", problem))?;
    app.sign_in.require_passwords()?;
    let Some(mailer) = app.live().mailer.clone() else {
        let detail = "This server sends no mail. Ask whoever runs it for a sign-in link (tokenward sign-in-link).";
        return Err(Error::conflict(detail));
    };
    mailer.allow_reset(client.address, app.now())?;
    let mut waiting = lock(&app.password_resets.waiting);
    if waiting.len() >= PASSWORD_RESETS_WAITING.size() {
        return Err(Error::unavailable("Too many ask for a new password now. Try again later."));
    }
    waiting.push_back(ResetRequest { email: address, client });
    drop(waiting);
    app.password_resets.told.notify_one();
    Ok(())
}

/// Answers what was asked for, until it is dropped.
pub async fn run(app: Arc<App>) {
    loop {
        let next = lock(&app.password_resets.waiting).pop_front();
        match next {
            Some(asked) => answer(&app, &asked).await,
            None => app.password_resets.told.notified().await,
        }
    }
}

async fn answer(app: &Arc<App>, asked: &ResetRequest) {
    for left in (0..TRIES).rev() {
        match mail(app, asked).await {
            Ok(()) => return,
            Err(error) if error.code == Code::Throttled => {
                tracing::info!(%error, "a mail about a new password was asked for and not sent");
                return;
            }
            Err(error) => {
                tracing::error!(%error, cause = ?error.cause, left, "a mail about a new password could not be made");
                if left > 0 {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

async fn mail(app: &Arc<App>, asked: &ResetRequest) -> Result<()> {
    let Some(mailer) = app.live().mailer.clone() else { return Ok(()) };
    let mut reader = app.store.read().await?;
    let Some(account) = accounts::by_email(reader.conn(), &asked.email).await? else { return Ok(()) };
    let ways = sign_in_methods::of(reader.conn(), &SignInOffer::of(app), account.id).await?;
    let second_factor = factors::of(reader.conn(), account.id, None).await?.has_second();
    drop(reader);
    mailer.pay_for_reset(&account.email, app.now())?;
    let from = asked.client.address.map_or_else(String::new, |address| format!(" from {address}"));
    if !ways.password {
        let names = ways.providers.iter().filter_map(|key| app.providers.get(key).ok()).map(|it| it.name().to_owned());
        let mut names: Vec<String> = names.collect();
        if ways.passkey {
            names.push("your passkey".to_owned());
        }
        let how = if names.is_empty() {
            "Ask whoever runs the server for a sign-in link.".to_owned()
        } else {
            format!("You sign in with {}.", names.join(" or "))
        };
        let text = format!(
            "Somebody{from} has asked for a new password of your account. It has none: there is nothing to choose anew. \
             {how}\n\n{}/sign-in\n",
            app.public_url
        );
        return mailer.deliver(&account.email, "How you sign in", text);
    }
    let lifetime = app.limits.micros(&PASSWORD_RESET_TIME);
    let (id, address) = (account.id, account.email.clone());
    let written = app.write(Visitor::new(asked.client.by(Actor::Visitor)), move |tx, _| {
        Box::pin(async move {
            // The link goes to the address that was asked for: an account that has another one by now is not opened by it.
            let account = accounts::get(tx.conn(), id).await?.filter(|account| account.email == address);
            let account = account.ok_or_else(|| Error::not_found("account"))?;
            if accounts::password_hash(tx.conn(), id).await?.is_none() {
                return Err(Error::not_found("password"));
            }
            let (secret, event) = insert(tx, &account, lifetime).await?;
            Ok((secret, vec![event]))
        })
    });
    let secret = match written.await {
        Ok(written) => written.value,
        Err(error) if error.code == Code::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let then =
        if second_factor { " Your second factor stays as it is, and is asked for when you sign in." } else { "" };
    let text = format!(
        "Somebody{from} has asked for a new password of your account. If that was you, choose it within half an \
         hour:\n\n{}/sign-in/reset/{}\n\nThe link works once; all sessions of the account end.{then} If it was not you, \
         ignore this mail: nothing has happened.\n",
        app.public_url, *secret
    );
    mailer.deliver(&account.email, "A new password", text)
}

/// Whose link is this? `None` for one that is spent, has expired or never was.
pub async fn owner(app: &Arc<App>, secret: &str) -> Result<Option<Account>> {
    let mut reader = app.store.read().await?;
    match account_links::find_reset(reader.conn(), &link_digest(secret), app.now()).await? {
        Some(id) => accounts::get(reader.conn(), id).await,
        None => Ok(None),
    }
}

/// Spends a link: sets the password that was chosen, and ends all sessions and the other links of the account. Whoever reads the mail
/// has proved the address. It begins no session.
pub async fn take(app: &Arc<App>, secret: &str, taking: Taking, by: By) -> Result<Written<Account>> {
    app.sign_in.require_passwords()?;
    // Before anything is hashed: a link that is dead costs nothing.
    let Some(account) = owner(app, secret).await? else {
        return Err(app.dead_link(by.address, invalid_link()));
    };
    let (digest, was_not_me) = (link_digest(secret), taking.was_not_me);
    check_password(app, &account, &taking.password)?;
    let hash = app.passwords.turn(Lane::Known(Known::Link(digest))).await?.hash(taking.password).await?;
    let written = app.write(Visitor::new(by), move |tx, _| {
        Box::pin(async move {
            let now = tx.now();
            let id = account_links::take_reset(tx, &digest, now).await?.ok_or_else(invalid_link)?;
            let mut account = accounts::get(tx.conn(), id).await?.ok_or_else(invalid_link)?;
            let before = snapshot(&account, false);
            let proven = account.email_proven_at.is_some();
            accounts::set_password(tx, id, &hash, now).await?;
            accounts::prove_email(tx, id, now).await?;
            account.email_proven_at = account.email_proven_at.or(Some(now));
            let used = Event::new(Kind::PasswordResetUsed, None, id, &account.email);
            let mut events = vec![used, changed(&account, true).before(before)];
            if was_not_me && !proven {
                events.extend(end_what_it_made(tx, &account).await?);
            } else {
                sessions::delete_others(tx, id, None).await?;
            }
            Ok((account, events))
        })
    });
    let written = written.await?;
    person_mail::notify_of_password(app, &written.value.email);
    Ok(written)
}

/// A link for an account: its secret and the event.
pub(super) async fn insert(tx: &mut Tx, account: &Account, lifetime: Micros) -> Result<(Zeroizing<String>, Event)> {
    let (secret, id, now) = (link_secret(tx.random()), tx.new_id(), tx.now());
    account_links::insert_reset(tx, id, account.id, &link_digest(&secret), now.plus(lifetime), now).await?;
    let event = Event::new(Kind::PasswordResetCreated, None, id, &account.email).related(account.id);
    Ok((secret, event))
}

fn invalid_link() -> Error {
    Error::conflict("This link was used already or has expired. Ask for a new one.")
}
