//! Proof that the person still sits at a session: the password, typed again.
//!
//! A session lasts for hours, and a stolen or forgotten one could hand an organization over or make a token that outlives
//! it. So these ask for the password unless it was typed a moment ago. API tokens are no persons and are not asked: what
//! they may do is what their role says, and no token can hand over or delete an organization.

use std::sync::Arc;

use tokenward_core::caller::{Caller, Person};
use tokenward_core::event::{Event, Kind};
use tokenward_core::method::Method;
use tokenward_core::notice::Notice;
use tokenward_core::right::Right as _;
use tokenward_core::secret::PlainText;
use tokenward_core::time::Micros;
use tokenward_core::{Error, Result, Time};
use tokenward_store::provider_sessions::{self, ProviderSession};
use tokenward_store::{Tx, accounts, sessions};
use zeroize::Zeroizing;

use super::compare::{self, Tried};
use super::known::{Guesser, Known};
use super::new_text::NewText;
use super::turns::Lane;
use super::{App, Written, accounts as people};
use crate::limits::PROOF_TIME;

/// How long a proof lasts here.
pub(super) fn lifetime(app: &App) -> Micros {
    app.limits.micros(&PROOF_TIME)
}

/// What a proof makes of the session: another text, so that whoever has got hold of the one until now is out.
pub struct Renewed {
    /// Until when the proof counts.
    pub proven_until: Time,
    /// The text from now on.
    pub text: Arc<PlainText>,
    /// When the session ends: a proof does not prolong it.
    pub expires_at: Time,
}

/// What a provider says at a proof, where one proves it.
#[derive(Default)]
pub(super) struct ProvenAt<'a> {
    /// Its own name of its session.
    pub session: Option<&'a str>,
    /// The claim that it was to say groups in, and did not.
    pub absent_claim: Option<&'a str>,
}

/// Notes in the transaction that the person has proved to be at the session, in this way too, and gives it another text.
pub(super) async fn renew(
    tx: &mut Tx,
    person: &Person,
    new: &NewText,
    (method, provider): (Method, ProvenAt<'_>),
    lifetime: Micros,
) -> Result<(Renewed, Vec<Event>)> {
    let (account, id, now) = (person.account(), person.session(), tx.now());
    let gone = || Error::not_found("session");
    let old = sessions::inherited(tx.conn(), account, id, now).await?.ok_or_else(gone)?;
    if let (Method::Oidc(key), Some(name)) = (&method, provider.session) {
        let there = ProviderSession { provider: key.to_string(), name: name.to_owned() };
        provider_sessions::note(tx, id, &there).await?;
    }
    let methods = old.methods.and(method);
    let NewText { text, digest, pepper_version } = new;
    let (digest, pepper_version) = (*digest, *pepper_version);
    let row = sessions::Renewed { digest, pepper_version, methods: &methods, absent_claim: provider.absent_claim };
    if !sessions::prove(tx, account, id, &row, now).await? {
        return Err(gone());
    }
    let renewed = Renewed { proven_until: now.plus(lifetime), text: Arc::clone(text), expires_at: old.expires_at };
    let event = Event::new(Kind::SessionProven, None, id, person.by().actor.name());
    Ok((renewed, vec![event.related(account)]))
}

/// Proves who sits at the session, by the password.
pub async fn prove(app: &Arc<App>, caller: &Caller, password: Zeroizing<String>) -> Result<Written<Renewed>> {
    app.sign_in.require_passwords()?;
    let account = people::get(app, caller).await?;
    let mut reader = app.store.read().await?;
    let hash = accounts::password_hash(reader.conn(), account.id).await?;
    drop(reader);
    // A stolen session must not be able to try passwords; what strangers try at the account holds nobody up here.
    let guesser = Guesser::Known(Known::Account(account.id));
    let tried = Tried { notice: Notice::PasswordRefused, account: Some(account.id), address: caller.by().address };
    if !compare::is_right(app, &guesser, tried, Lane::from(&guesser), password, hash.clone()).await? {
        return Err(wrong());
    }
    let (lifetime, new) = (lifetime(app), Arc::new(NewText::make(app)));
    app.write(caller.at_own_session()?, move |tx, person| {
        Box::pin(async move {
            if accounts::password_hash(tx.conn(), person.account()).await? != hash {
                return Err(wrong());
            }
            renew(tx, person, &new, (Method::Password, ProvenAt::default()), lifetime).await
        })
    })
    .await
}

/// Was it proven a moment ago who sits at this session? What a person does with the own account asks it of the rows, in the
/// transaction.
pub(super) async fn require(tx: &mut Tx, person: &Person, within: Micros) -> Result<()> {
    let at = sessions::proven_at(tx.conn(), person.session()).await?;
    if at.is_some_and(|at| tx.now().0.saturating_sub(at.0) < within) {
        return Ok(());
    }
    Err(Error::proof_required(within))
}

/// Would what asks for a proof be let? For what a page shows; the write asks again.
pub async fn is_fresh(app: &Arc<App>, caller: &Caller) -> Result<bool> {
    let mut reader = app.store.read().await?;
    let at = sessions::proven_at(reader.conn(), caller.credential_id()).await?;
    Ok(at.is_some_and(|at| app.now().0.saturating_sub(at.0) < lifetime(app)))
}

fn wrong() -> Error {
    Error::invalid("password", "is not your password")
}
