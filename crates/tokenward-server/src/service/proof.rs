//! Proof that the person still sits at a session: the password, typed again, and a code where the account has a second factor.
//!
//! A session lasts for hours, and a stolen or forgotten one could hand an organization over or make a token that outlives
//! it. So these ask for the password unless it was typed a moment ago. API tokens are no persons and are not asked: what
//! they may do is what their role says, and no token can hand over or delete an organization.

use std::sync::Arc;

use tokenward_core::caller::{Caller, Person};
use tokenward_core::event::{Event, Kind};
use tokenward_core::method::{Method, Methods};
use tokenward_core::notice::Notice;
use tokenward_core::right::Right as _;
use tokenward_core::second_factor::SecondFactor;
use tokenward_core::secret::PlainText;
use tokenward_core::time::Micros;
use tokenward_core::{Error, Result, Time};
use tokenward_store::provider_sessions::{self, ProviderSession};
use tokenward_store::{Tx, accounts, factors, sessions};
use zeroize::Zeroizing;

use super::codes::check;
use super::codes::factor_mail;
use super::compare::{self, PasswordAttempt};
use super::known::{Guesser, Known};
use super::new_text::NewText;
use super::session_limits::BY_PROVIDER;
use super::sign_in_methods::{self, SignInMethods, SignInOffer};
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
    /// When it asked the person.
    pub auth_time: Option<Time>,
}

/// Notes in the transaction that the person has proved to be at the session, in these ways too, and gives it another text.
pub(super) async fn renew(
    tx: &mut Tx,
    person: &Person,
    new: &NewText,
    (by, provider): (&[Method], ProvenAt<'_>),
    lifetime: Micros,
) -> Result<(Renewed, Vec<Event>)> {
    let (account, id, now) = (person.account(), person.session(), tx.now());
    let gone = || Error::not_found("session");
    let old = sessions::inherited(tx.conn(), account, id, now).await?.ok_or_else(gone)?;
    for method in by {
        if let (Method::Oidc(key), Some(name)) = (method, provider.session) {
            let there = ProviderSession { provider: key.to_string(), name: name.to_owned() };
            provider_sessions::note(tx, id, &there).await?;
        }
    }
    let methods = Methods::of(old.methods.iter().chain(by).cloned());
    let asked_at = provider.auth_time.unwrap_or(now).min(now);
    // What proves it besides makes no proof by a provider later.
    let mut provider_proofs = old.provider_proofs.after(old.idle);
    for method in by {
        if let Method::Oidc(key) = method {
            provider_proofs = provider_proofs.and(key, asked_at);
        }
    }
    let auth_time = old.auth_time.map_or(asked_at, |before| before.max(asked_at));
    let NewText { text, digest, pepper_version } = new;
    let (digest, pepper_version) = (*digest, *pepper_version);
    let by_provider = by.iter().any(|method| matches!(method, Method::Oidc(_)));
    let expires_at = if by_provider { old.expires_at.min(now.plus(BY_PROVIDER)) } else { old.expires_at };
    let absent_claim = provider.absent_claim;
    let row = sessions::Renewed {
        digest,
        pepper_version,
        methods: &methods,
        auth_time,
        provider_proofs: &provider_proofs,
        absent_claim,
        expires_at,
    };
    if !sessions::prove(tx, account, id, &row, now).await? {
        return Err(gone());
    }
    let renewed = Renewed { proven_until: auth_time.plus(lifetime), text: Arc::clone(text), expires_at };
    let event = Event::new(Kind::SessionProven, None, id, person.by().actor.name());
    Ok((renewed, vec![event.related(account)]))
}

/// What a person gives to prove it anew. What is asked depends on what the account has.
#[derive(Default)]
pub struct ProofInput {
    /// The password.
    pub password: Option<Zeroizing<String>>,
    /// A code of the authenticator, or a recovery code.
    pub second: Option<SecondFactor>,
}

/// Proves who sits at the session, as strongly as the account can be proved: by the password, and by a code where there is a
/// second factor; by the code alone where the account has no password, since the session has shown what came first. Beside a passkey
/// no password is enough.
pub async fn prove(app: &Arc<App>, caller: &Caller, given: ProofInput) -> Result<Written<Renewed>> {
    let account = people::get(app, caller).await?;
    let mut reader = app.store.read().await?;
    let hash = accounts::password_hash(reader.conn(), account.id).await?;
    let own_factors = factors::of(reader.conn(), account.id, app.store.passkey_host()).await?;
    let has_second = own_factors.has_second();
    drop(reader);
    let ProofInput { password, second } = given;
    let (address, door) = (caller.by().address, Known::Account(account.id).door());
    if own_factors.passkey && !has_second {
        return Err(passkey_instead());
    }
    if second.is_some() && !has_second {
        return Err(Error::invalid("otp", "is of no use: this account has no authenticator; leave it out"));
    }
    let by_password = match password {
        Some(password) => {
            app.sign_in.require_passwords()?;
            // A stolen session must not be able to try passwords; what strangers try at the account holds nobody up here.
            let guesser = Guesser::Known(Known::Account(account.id));
            let tried = PasswordAttempt { notice: Notice::PasswordRefused, account: Some(account.id), address };
            if !compare::is_right(app, &guesser, tried, Lane::from(&guesser), password, hash.clone()).await? {
                return Err(wrong());
            }
            true
        }
        None if has_second && app.sign_in.takes_code_alone(hash.as_deref()) => false,
        None => return Err(Error::invalid("password", "is missing")),
    };
    if has_second {
        if second.is_none() {
            return Err(Error::second_factor_required());
        }
        check::attempt(app, account.id, door.as_deref(), address).await?;
    }
    let (lifetime, new, own, id) = (lifetime(app), Arc::new(NewText::make(app)), Arc::clone(app), account.id);
    let proven = app.write(caller.at_own_session()?, move |tx, person| {
        Box::pin(async move {
            if by_password && accounts::password_hash(tx.conn(), person.account()).await? != hash {
                return Err(wrong());
            }
            let (mut methods, mut told, mut left) = (Vec::new(), Vec::new(), None);
            if by_password {
                methods.push(Method::Password);
            }
            match &second {
                Some(second) => {
                    let peppers = own.verifier.peppers();
                    let taken = check::take(tx, peppers, account.id, &account.email, door.as_deref(), second).await?;
                    let taken = taken.ok_or_else(|| Error::invalid("otp", check::WRONG))?;
                    methods.push(taken.method);
                    (told, left) = (taken.events, taken.left);
                }
                // One may have been set up since.
                None => {
                    let own = sessions::factors_in(tx, account.id).await?;
                    if own.has_second() {
                        return Err(Error::second_factor_required());
                    }
                    if own.passkey {
                        return Err(passkey_instead());
                    }
                }
            }
            let (renewed, events) = renew(tx, person, &new, (&methods, ProvenAt::default()), lifetime).await?;
            told.extend(events);
            Ok(((renewed, left), told))
        })
    });
    let proven = proven.await.inspect_err(|error| {
        if error.faults.iter().any(|fault| fault.field == "otp" && fault.problem == check::WRONG) {
            check::note(app, id, address);
        }
    })?;
    let Written { value: (renewed, left), position, effect } = proven;
    if let Some(left) = left {
        factor_mail::used(app, id, left).await;
    }
    Ok(Written { value: renewed, position, effect })
}

/// Was it proven a moment ago who sits at this session, as strongly as the account can be proved? What a person does with the own account asks it of the rows, in the
/// transaction.
pub(super) async fn require(tx: &mut Tx, person: &Person, within: Micros) -> Result<()> {
    let at = sessions::proven_in(tx, person.session()).await?;
    if at.is_some_and(|at| tx.now().0.saturating_sub(at.0) < within) {
        return Ok(());
    }
    Err(Error::proof_required(within))
}

/// Has the caller's account a passkey that works here?
pub async fn takes_passkey(app: &App, caller: &Caller) -> Result<bool> {
    let mut reader = app.store.read().await?;
    Ok(factors::of(reader.conn(), caller.require_user()?, app.store.passkey_host()).await?.passkey)
}

/// Would what asks for a proof be let? For what a page shows; the write asks again.
pub async fn is_fresh(app: &Arc<App>, caller: &Caller) -> Result<bool> {
    let mut reader = app.store.read().await?;
    let at = sessions::proven_at(reader.conn(), caller.credential_id(), app.store.passkey_host()).await?;
    Ok(at.is_some_and(|at| app.now().0.saturating_sub(at.0) < lifetime(app)))
}

/// In which ways the caller can prove anew who sits at the session: the words of methods, with `+` between those that go together.
pub async fn ways(app: &App, caller: &Caller) -> Result<Vec<String>> {
    let mut reader = app.store.read().await?;
    Ok(words(&sign_in_methods::of(reader.conn(), &SignInOffer::of(app), caller.require_user()?).await?))
}

fn words(ways: &SignInMethods) -> Vec<String> {
    let mut all = Vec::new();
    match (ways.password, ways.authenticator) {
        (true, true) => all.push(format!("{}+{}", Method::Password, Method::Otp)),
        (false, true) => all.push(Method::Otp.to_string()),
        // Beside a passkey no password is enough.
        (true, false) if !ways.passkey => all.push(Method::Password.to_string()),
        (_, false) => {}
    }
    if ways.passkey {
        all.push(Method::Passkey.to_string());
    }
    // Nor is a provider that asks for less.
    if ways.vouched || !(ways.passkey || ways.authenticator) {
        all.extend(ways.providers.iter().map(|key| Method::Oidc(key.as_str().into()).to_string()));
    }
    all
}

/// The account has a passkey and no authenticator: a password proves less than it can.
fn passkey_instead() -> Error {
    let problem = "is not enough: this account has a passkey, which proves more. Use that in the console; a program signs in anew by \
                   `tokenward login`, where the browser asks for it";
    Error::invalid("password", problem)
}

fn wrong() -> Error {
    Error::invalid("password", "is not your password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_prove_it_anew_are_as_strong_as_the_account() {
        let by = |password, authenticator, passkey, vouched| {
            let providers = ["corp".to_owned()].into();
            words(&SignInMethods { password, providers, passkey, authenticator, vouched }).join(" ")
        };
        assert_eq!(by(true, false, false, false), "password oidc:corp");
        assert_eq!(by(false, false, false, false), "oidc:corp");
        assert_eq!(by(true, true, false, false), "password+otp");
        assert_eq!(by(false, true, false, false), "otp");
        assert_eq!(by(true, false, true, false), "passkey");
        assert_eq!(by(true, true, true, true), "password+otp passkey oidc:corp");
        assert_eq!(words(&SignInMethods::default()), [""; 0]);
    }
}
