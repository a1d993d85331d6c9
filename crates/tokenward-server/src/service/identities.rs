//! The identities that open an account, as its person sees and changes them.

use std::sync::Arc;

use tokenward_core::caller::{Caller, Person};
use tokenward_core::event::{Event, IdentitySnapshot, Kind};
use tokenward_core::method::Method;
use tokenward_core::name::fold_email;
use tokenward_core::sign_in::Shortfall;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::identities::{self, Identity};
use tokenward_store::{Tx, accounts, sessions, sign_in_rules};

use super::sign_in_methods::{self, SignInOffer};
use super::{App, Written, accounts as people, person_mail, proof};

/// An identity that a provider has proved just now.
#[derive(Clone, Debug)]
pub struct ByProvider {
    /// Its issuer.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// The address that it gives.
    pub email: Option<String>,
    /// Is that proven?
    pub email_proven: bool,
    /// What the person is called.
    pub name: Option<String>,
}

impl ByProvider {
    /// Does it prove this address?
    pub(super) fn proves(&self, email: &str) -> bool {
        self.email_proven && self.email.as_deref().is_some_and(|own| fold_email(own) == fold_email(email))
    }
}

fn snapshot(identity: &Identity) -> IdentitySnapshot {
    let Identity { issuer, subject, email, .. } = identity.clone();
    IdentitySnapshot { issuer, subject, email }
}

/// Links an identity to an account. Answers the event.
pub(super) async fn linked(tx: &mut Tx, account: Uuid, by: &ByProvider) -> Result<Event> {
    let ByProvider { issuer, subject, email, .. } = by.clone();
    let (id, now) = (tx.new_id(), tx.now());
    let identity = Identity { id, account_id: account, issuer, subject, email, created_at: now, last_used_at: None };
    identities::insert(tx, &identity).await?;
    let event = Event::new(Kind::IdentityLinked, None, id, &identity.subject).related(account);
    Ok(event.after(snapshot(&identity)))
}

/// The caller's own, the oldest first.
pub async fn list(app: &App, caller: &Caller) -> Result<Vec<Identity>> {
    let user = caller.require_user()?;
    let mut reader = app.store.read().await?;
    identities::of_account(reader.conn(), user).await
}

/// Links an identity of the provider `key` that was proven just now to the caller's account, whose person must have been proven
/// just now too. Where an organization of theirs takes this provider's word alone, a password is no way to become somebody
/// there whom the provider does not know as the owner of the address.
pub async fn link(app: &Arc<App>, caller: &Caller, by: ByProvider, key: &str) -> Result<Written<()>> {
    let (within, key) = (proof::lifetime(app), key.to_owned());
    let written = app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            proof::require(tx, person, within).await?;
            let now = tx.now();
            let mut events = vec![linked(tx, person.account(), &by).await?];
            let account = accounts::get(tx.conn(), person.account()).await?;
            let mut account = account.ok_or_else(|| Error::not_found("account"))?;
            let session = sessions::inherited(tx.conn(), account.id, person.session(), now).await?;
            let methods = session.ok_or_else(|| Error::not_found("session"))?.methods;
            let known = methods.by(&key) || methods.has(&Method::Link) || by.proves(&account.email);
            if !known && sign_in_rules::asked_of(tx.conn(), account.id, &key).await? {
                return Err(Shortfall::Providers([key.as_str().into()].into()).error());
            }
            if by.proves(&account.email) && account.email_proven_at.is_none() {
                let before = people::snapshot(&account, false);
                accounts::prove_email(tx, account.id, now).await?;
                account.email_proven_at = Some(now);
                events.push(people::changed(&account, false).before(before));
            }
            Ok(((account.email, by.issuer), events))
        })
    });
    let Written { value: (email, issuer), position, effect } = written.await?;
    let what = format!("An identity of {issuer} was linked to your account, and opens it from now on.");
    person_mail::notify_of_way(app, &email, "An identity was linked to your account", &what);
    Ok(Written { value: (), position, effect })
}

/// Unlinks one of the caller's identities, and ends the other sessions that it proved. The last way to sign in stays.
pub async fn remove(app: &Arc<App>, caller: &Caller, id: Uuid) -> Result<Written<()>> {
    let within = proof::lifetime(app);
    let keys: Vec<(String, String)> = app.providers.iter().map(|it| (it.issuer().to_owned(), it.key.clone())).collect();
    let doors = SignInOffer::of(app);
    let unlinked = app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            proof::require(tx, person, within).await?;
            let before = sign_in_methods::of(tx.conn(), &doors, person.account()).await?;
            let identity = identities::delete(tx, person.account(), id).await?;
            let identity = identity.ok_or_else(|| Error::not_found("identity"))?;
            sign_in_methods::require_left(tx, &doors, person.account(), &before).await?;
            let key = keys.iter().find(|(issuer, _)| *issuer == identity.issuer).map(|(_, key)| key.as_str());
            let mut events = ended(tx, person, key).await?;
            events.push(removed(&identity));
            let account = accounts::get(tx.conn(), person.account()).await?;
            let account = account.ok_or_else(|| Error::not_found("account"))?;
            Ok(((account.email, identity.issuer), events))
        })
    });
    let Written { value: (email, issuer), position, effect } = unlinked.await?;
    let what = format!("An identity of {issuer} was unlinked from your account, and opens it no more.");
    person_mail::notify_of_way(app, &email, "An identity was unlinked from your account", &what);
    Ok(Written { value: (), position, effect })
}

/// The event of an identity that was unlinked.
pub(super) fn removed(identity: &Identity) -> Event {
    let event = Event::new(Kind::IdentityRemoved, None, identity.id, &identity.subject).related(identity.account_id);
    event.before(snapshot(identity))
}

/// Ends the person's other sessions that this provider proved.
async fn ended(tx: &mut Tx, person: &Person, key: Option<&str>) -> Result<Vec<Event>> {
    let Some(key) = key else { return Ok(Vec::new()) };
    let method = Method::Oidc(key.into());
    super::sessions::end_other(tx, person, |session| session.methods.has(&method)).await
}
