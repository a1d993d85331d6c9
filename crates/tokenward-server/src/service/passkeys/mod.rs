//! Passkeys: how one is added to an account, how it signs somebody in and proves who sits at a session, and how it goes.
//!
//! The library compares challenge, origin, host, flags and signature. Here is decided whose passkey it is, that each question is
//! answered once, and what a counter that falls means. A stranger learns nothing about accounts: of a passkey that is not known,
//! was removed, or is another account's the same is said.

mod attempt;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenward_core::caller::Caller;
use tokenward_core::error::Faults;
use tokenward_core::event::Kind;
use tokenward_core::method::Method;
use tokenward_core::name::check_name;
use tokenward_core::notice::Notice;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::accounts;
use tokenward_store::identities::Carried;
use tokenward_store::passkeys::{self, Passkey};
use tokenward_verify::server::Client;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey as Credential, PublicKeyCredential, RegisterPublicKeyCredential, WebauthnError,
};

use super::mail::unlinked;
use super::new_text::NewText;
use super::passkey_use::{
    Asserted, about, counter_fell, removed_event, snapshot, spend, take, unknown, unknown_attempt,
};
use super::proof::{self, ProvenAt, Renewed};
pub use super::relying_party::{RelyingParty, relying_party, works};
use super::sessions::{self, Begun, Proof};
use super::sign_in_methods::{self, SignInOffer};
use super::{App, Written, person_mail};
use crate::heavy;
use crate::limits::PASSKEYS;
use attempt::Purpose;

/// A question to an authenticator.
pub struct Challenge {
    /// What the browser is given: the options of `navigator.credentials`, bytes as base64url.
    pub options: Value,
    /// What the client carries until it is answered.
    pub state: String,
}

/// How many do not, since this server has another address than when they were made.
pub async fn stopped(app: &App) -> Result<u64> {
    let id = app.passkeys.as_ref().map(|own| own.id.as_str());
    passkeys::stopped(app.store.read().await?.conn(), id).await
}

/// The caller's own, the oldest first.
pub async fn list(app: &App, caller: &Caller) -> Result<Vec<Passkey>> {
    let user = caller.require_user()?;
    let mut reader = app.store.read().await?;
    passkeys::of_account(reader.conn(), user).await
}

/// One of the caller's own.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<Passkey> {
    let user = caller.require_user()?;
    let mut reader = app.store.read().await?;
    passkeys::get(reader.conn(), user, id).await?.ok_or_else(no_such_passkey)
}

/// Asks an authenticator for a new passkey, for somebody who has proved just now to sit there.
pub async fn begin_to_add(app: &Arc<App>, caller: &Caller) -> Result<Challenge> {
    let own = relying_party(app)?;
    let user = caller.require_whole()?;
    if !proof::is_fresh(app, caller).await? {
        return Err(Error::proof_required(proof::lifetime(app)));
    }
    let mut reader = app.store.read().await?;
    let account = accounts::get(reader.conn(), user).await?.ok_or_else(|| Error::not_found("account"))?;
    let all = passkeys::of_account(reader.conn(), user).await?;
    let handle = passkeys::handle(reader.conn(), user).await?;
    drop(reader);
    app.limits.room(&PASSKEYS, all.len() as u64, "Your account has as many passkeys as")?;
    let handle = match handle {
        Some(kept) => Uuid::from_slice(&kept).map_err(Error::internal)?,
        None => {
            let mut bytes = [0; 16];
            app.store.random().fill(&mut bytes);
            Uuid::from_bytes(bytes)
        }
    };
    let called = if account.name.is_empty() { &account.email } else { &account.name };
    let (asked, state) =
        own.webauthn.start_passkey_registration(handle, &account.email, called, None).map_err(Error::internal)?;
    let mut options = serde_json::to_value(asked).map_err(Error::internal)?;
    let asked = &mut options["publicKey"];
    // The library takes any; one that the authenticator cannot find by itself signs nobody in.
    asked["authenticatorSelection"]["residentKey"] = json!("required");
    asked["authenticatorSelection"]["requireResidentKey"] = json!(true);
    // Not in the state, which a cookie must hold: the database refuses what is there already.
    asked["excludeCredentials"] = named(&all);
    let purpose = Purpose::Add(caller.credential_id(), handle, state);
    Ok(Challenge { options, state: attempt::begin(app, purpose)? })
}

/// The ids of passkeys, as options name them.
fn named(all: &[Passkey]) -> Value {
    let id = |it: &Passkey| URL_SAFE_NO_PAD.encode(&it.credential_id);
    all.iter().map(|it| json!({ "type": "public-key", "id": id(it) })).collect()
}

/// Adds the passkey that an authenticator has made.
pub async fn add(
    app: &Arc<App>,
    caller: &Caller,
    state: &str,
    name: String,
    answer: Value,
) -> Result<Written<Passkey>> {
    let own = relying_party(app)?.clone();
    let mut faults = Faults::default();
    faults.check("name", check_name(&name));
    faults.finish()?;
    let attempt = attempt::open(app, state).ok_or_else(unknown_attempt)?;
    let spent_as = attempt.spent_as();
    let Purpose::Add(session, handle, state) = attempt.purpose else { return Err(unknown_attempt()) };
    if session != caller.credential_id() {
        return Err(unknown_attempt());
    }
    let answer: RegisterPublicKeyCredential = read(answer)?;
    if answer.extensions.cred_props.as_ref().is_some_and(|said| said.rk == Some(false)) {
        let problem = "is of a device that cannot keep passkeys, only answer for them; use another one";
        return Err(Error::invalid("credential", problem));
    }
    let webauthn = Arc::clone(&own.webauthn);
    let made =
        heavy::aside(caller.credential_id(), move || webauthn.finish_passkey_registration(&answer, &state)).await?;
    let (credential_id, credential, counter) = kept(&made.map_err(|why| not_made(app, &why))?)?;
    let (within, most) = (proof::lifetime(app), app.limits.clone());
    let added = app
        .write(caller.person()?, move |tx, person| {
            Box::pin(async move {
                proof::require(tx, person, within).await?;
                let account = person.account();
                spend(tx, &spent_as).await?;
                let all = passkeys::of_account(tx.conn(), account).await?;
                most.room(&PASSKEYS, all.len() as u64, "Your account has as many passkeys as")?;
                match passkeys::handle(tx.conn(), account).await? {
                    Some(known) if known == handle.as_bytes() => {}
                    // Two began before either was there; authenticators would take them for two accounts.
                    Some(_) => return Err(Error::conflict("Another passkey was added meanwhile. Add this one again.")),
                    None => passkeys::set_handle(tx, account, handle.as_bytes()).await?,
                }
                let passkey = Passkey {
                    id: tx.new_id(),
                    account_id: account,
                    credential_id,
                    credential,
                    name,
                    rp_id: own.id,
                    counter,
                    created_at: tx.now(),
                    last_used_at: None,
                };
                passkeys::insert(tx, &passkey).await?;
                let event = about(Kind::PasskeyAdded, &passkey).after(snapshot(&passkey, None));
                Ok((passkey, vec![event]))
            })
        })
        .await?;
    mail_person(app, &added.value, "was added to your account", "opens it from now on").await;
    Ok(added)
}

/// What is kept of a credential: its id, all of it, and its counter. That stands in a column alone and is compared in the transaction
/// in which it moves, so that the library finds none.
fn kept(credential: &Credential) -> Result<(Vec<u8>, String, i64)> {
    let mut all = serde_json::to_value(credential).map_err(Error::internal)?;
    let counter = all.pointer_mut("/cred/counter").ok_or_else(|| Error::internal("a passkey without a counter"))?;
    let counter =
        std::mem::replace(counter, json!(0)).as_i64().ok_or_else(|| Error::internal("a counter is no number"))?;
    Ok((credential.cred_id().to_vec(), all.to_string(), counter))
}

/// Why an authenticator's new passkey is not taken.
fn not_made(app: &App, why: &WebauthnError) -> Error {
    let problem = match why {
        WebauthnError::UserNotVerified | WebauthnError::UserNotPresent => {
            "is of a device that did not ask who uses it, by a PIN, a finger or a face; use one that does".to_owned()
        }
        WebauthnError::InvalidRPOrigin | WebauthnError::InvalidRPIDHash => {
            format!("was made for another address than {}", app.public_url)
        }
        _ => "is no answer to the question that was asked; begin again".to_owned(),
    };
    Error::invalid("credential", problem)
}

/// Asks whoever is there to sign in.
pub fn begin_sign_in(app: &App) -> Result<Challenge> {
    let (options, state) = question(app, None)?;
    Ok(Challenge { options, state: attempt::begin(app, Purpose::SignIn(state))? })
}

/// Asks the person of a session to prove anew who sits there, with one of their passkeys.
pub async fn begin_proof(app: &App, caller: &Caller) -> Result<Challenge> {
    relying_party(app)?;
    let mut all = list(app, caller).await?;
    all.retain(|passkey| works(app, passkey));
    if all.is_empty() {
        return Err(Error::conflict("Your account has no passkey that works here."));
    }
    let (options, state) = question(app, Some(&all))?;
    Ok(Challenge { options, state: attempt::begin(app, Purpose::Prove(caller.credential_id(), state))? })
}

/// A question to a passkey: of one of these, where they are known.
fn question(app: &App, of: Option<&[Passkey]>) -> Result<(Value, DiscoverableAuthentication)> {
    let own = relying_party(app)?;
    let (asked, state) = own.webauthn.start_discoverable_authentication().map_err(Error::internal)?;
    let mut options = serde_json::to_value(asked).map_err(Error::internal)?;
    // Whether the browser asks at once or waits for a field to be filled in is the page's affair.
    if let Some(options) = options.as_object_mut() {
        options.remove("mediation");
    }
    if let Some(all) = of {
        options["publicKey"]["allowCredentials"] = named(all);
    }
    Ok((options, state))
}

/// Signs somebody in by the answer of a passkey.
pub async fn sign_in(
    app: &Arc<App>,
    state: &str,
    answer: Value,
    client: Client,
    console: bool,
) -> Result<Written<Begun>> {
    relying_party(app)?;
    let attempt = attempt::open(app, state).ok_or_else(unknown_attempt)?;
    let spent_as = attempt.spent_as();
    let Purpose::SignIn(state) = attempt.purpose else { return Err(unknown_attempt()) };
    let answer: PublicKeyCredential = read(answer)?;
    let mut reader = app.store.read().await?;
    let passkey = passkeys::find(reader.conn(), answer.get_credential_id()).await?;
    let known = passkey.as_ref().map(|passkey| passkey.account_id);
    let (account, handle) = match known {
        Some(id) => (accounts::get(reader.conn(), id).await?, passkeys::handle(reader.conn(), id).await?),
        None => (None, None),
    };
    drop(reader);
    let refused = || {
        app.security.note(Notice::SignInFailed, known, client.address, app.now());
        app.throttle.dead_link(client.address, app.now(), unknown())
    };
    let (Some(passkey), Some(account), Some(handle)) = (passkey, account, handle) else { return Err(refused()) };
    // Without its handle a passkey says nobody's name: it must be the one that we gave to this account.
    if answer.get_user_unique_id() != Some(&handle[..]) {
        return Err(refused());
    }
    let asserted = check(app, &passkey, answer, state, spent_as).await?.ok_or_else(refused)?;
    sessions::begin(app, account, Proof::passkey(asserted), client, console).await
}

/// Proves by the answer of a passkey who sits at the session.
pub async fn prove(app: &Arc<App>, caller: &Caller, state: &str, answer: Value) -> Result<Written<Renewed>> {
    relying_party(app)?;
    let user = caller.require_user()?;
    let attempt = attempt::open(app, state).ok_or_else(unknown_attempt)?;
    let spent_as = attempt.spent_as();
    let Purpose::Prove(session, state) = attempt.purpose else { return Err(unknown_attempt()) };
    if session != caller.credential_id() {
        return Err(unknown_attempt());
    }
    let answer: PublicKeyCredential = read(answer)?;
    let mut reader = app.store.read().await?;
    let passkey = passkeys::find(reader.conn(), answer.get_credential_id()).await?;
    let handle = passkeys::handle(reader.conn(), user).await?;
    drop(reader);
    let address = caller.by().address;
    let refused = || {
        app.security.note(Notice::PasswordRefused, Some(user), address, app.now());
        unknown()
    };
    let passkey = passkey.filter(|passkey| passkey.account_id == user).ok_or_else(refused)?;
    if answer.get_user_unique_id().is_some_and(|said| Some(said) != handle.as_deref()) {
        return Err(refused());
    }
    let asserted = check(app, &passkey, answer, state, spent_as).await?.ok_or_else(refused)?;
    let (lifetime, new) = (proof::lifetime(app), Arc::new(NewText::make(app)));
    let renewed = app.write(caller.at_own_session()?, move |tx, person| {
        Box::pin(async move {
            if let Some(event) = take(tx, person.account(), &asserted).await? {
                return Ok((Err(counter_fell()), vec![event]));
            }
            let by = (&[Method::Passkey][..], ProvenAt::default());
            let (renewed, events) = proof::renew(tx, person, &new, by, lifetime).await?;
            Ok((Ok(renewed), events))
        })
    });
    renewed.await?.granted()
}

/// Is it the answer of this passkey to our question, by somebody whom it has verified? `None` where it is not.
async fn check(
    app: &App,
    passkey: &Passkey,
    answer: PublicKeyCredential,
    state: DiscoverableAuthentication,
    spent_as: Carried,
) -> Result<Option<Asserted>> {
    if !works(app, passkey) {
        return Ok(None);
    }
    let credential: Credential = serde_json::from_str(&passkey.credential).map_err(Error::internal)?;
    let webauthn = Arc::clone(&relying_party(app)?.webauthn);
    let checked =
        heavy::run(passkey.id, move || webauthn.finish_discoverable_authentication_v2(&answer, state, &credential))
            .await?;
    // The flag is asked here too: a passkey counts as two factors because of it.
    let counter = checked.ok().filter(|it| it.user_verified()).map(|it| i64::from(it.counter()));
    Ok(counter.map(|counter| Asserted { passkey: passkey.id, counter, spent_as }))
}

/// Calls one of the caller's own something else.
pub async fn rename(app: &Arc<App>, caller: &Caller, id: Uuid, name: String) -> Result<Written<Passkey>> {
    let mut faults = Faults::default();
    faults.check("name", check_name(&name));
    faults.finish()?;
    app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            let old = passkeys::get(tx.conn(), person.account(), id).await?.ok_or_else(no_such_passkey)?;
            passkeys::rename(tx, id, &name).await?;
            let new = Passkey { name, ..old.clone() };
            let event = about(Kind::PasskeyRenamed, &new).before(snapshot(&old, None)).after(snapshot(&new, None));
            Ok((new, vec![event]))
        })
    })
    .await
}

/// Removes one of the caller's own, and ends their other sessions. The last way to sign in stays.
pub async fn remove(app: &Arc<App>, caller: &Caller, id: Uuid) -> Result<Written<Passkey>> {
    let (within, doors) = (proof::lifetime(app), SignInOffer::of(app));
    let removed = app
        .write(caller.person()?, move |tx, person| {
            Box::pin(async move {
                proof::require(tx, person, within).await?;
                let before = sign_in_methods::of(tx.conn(), &doors, person.account()).await?;
                let passkey = passkeys::delete(tx, person.account(), id).await?.ok_or_else(no_such_passkey)?;
                // One that opens nothing any more is no way in.
                if before.passkey {
                    sign_in_methods::require_left(tx, &doors, person.account(), &before).await?;
                }
                let mut events = sessions::end_other(tx, person, |_| true).await?;
                events.push(removed_event(&passkey));
                Ok((passkey, events))
            })
        })
        .await?;
    mail_person(
        app,
        &removed.value,
        "was removed from your account",
        "opens it no more, and your other sessions have ended",
    )
    .await;
    Ok(removed)
}

/// Tells the person by mail, where mail is set up. What was done is done, whatever becomes of the mail.
async fn mail_person(app: &App, passkey: &Passkey, what: &str, follows: &str) {
    let recipient = async {
        let mut reader = app.store.read().await?;
        accounts::get(reader.conn(), passkey.account_id).await
    };
    match recipient.await {
        Ok(Some(account)) => {
            let name = unlinked(&passkey.name);
            let text = format!(
                "The passkey {name} {what}: it {follows}.\n\nIf that was not you, look at your passkeys and sessions, and tell \
                 whoever runs the server.\n\n{}/console/account\n",
                app.public_url
            );
            person_mail::notify(app, &account.email, &format!("A passkey {what}"), text);
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "a mail about a passkey was not sent"),
    }
}

/// Reads what a browser says that an authenticator said. A wrong one is not repeated.
fn read<T: DeserializeOwned>(answer: Value) -> Result<T> {
    serde_json::from_value(answer).map_err(|_| Error::invalid("credential", "is not what an authenticator answers"))
}

fn no_such_passkey() -> Error {
    Error::not_found("passkey")
}
