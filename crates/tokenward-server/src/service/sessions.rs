//! Signing in and out. [`begin`] is the only way to a session, whatever door somebody comes through: a test in `tidy.rs` lists
//! them.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenward_core::caller::{Caller, Person};
use tokenward_core::event::{Actor, Event, Kind, SessionSnapshot};
use tokenward_core::method::{Method, Methods};
use tokenward_core::notice::Notice;
use tokenward_core::provider_proofs::ProviderProofs;
use tokenward_core::right::{Right as _, Visitor};
use tokenward_core::second_factor::SecondFactor;
use tokenward_core::secret::{InnerDigest, PlainText};
use tokenward_core::time::{HOUR, MINUTE, Micros, SECOND};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::accounts::{self, Account};
use tokenward_store::identities::{self, Carried};
use tokenward_store::provider_sessions::{self, ProviderSession};
use tokenward_store::session_uses::{self, SessionUse};
use tokenward_store::sessions::{self, NewSession, Session};
use tokenward_store::{Tx, factors};
use zeroize::Zeroizing;

use super::codes::check::{self, Taken};
use super::codes::factor_mail;
use super::compare::{self, PasswordAttempt};
use super::handed::{Handed, HandedTerms};
use super::known::Guesser;
use super::new_text::NewText;
use super::passkey_use::{self, Asserted};
use super::session_limits::BY_PROVIDER;
use super::turns::Lane;
use super::{App, Written, person_mail};
use crate::limits::SESSIONS;
use tokenward_verify::server::Client;

/// How long after an account was made its first sign-in is none to tell of.
const NEW_ACCOUNT: Micros = 10 * MINUTE;

/// A session that has just begun; its text is shown to its client only now.
pub struct Begun {
    /// The address of the account that signed in.
    pub email: String,
    /// The text: the API's bearer token, or the console's cookie.
    pub text: Arc<PlainText>,
    /// When it ends.
    pub expires_at: Time,
    /// Is its person to be told, where it began with a device that is not known?
    pub is_told: bool,
}

/// How whoever begins a session has just proved who it is.
#[derive(Clone, Serialize, Deserialize)]
pub struct Proof {
    #[serde(with = "words")]
    methods: Methods,
    /// The digest of what a password was compared with: one that was changed since then opens nothing.
    compared: Option<[u8; 32]>,
    /// In which session of its own a provider proved it.
    there: Vec<ProviderSession>,
    /// The identity that was proven, which must open the account still.
    identity: Option<(String, String)>,
    /// The provider that proved it, by its key, when that was, and whether it says so.
    #[serde(default)]
    by_provider: Option<ByProvider>,
    /// The claim that the provider was to say groups in, where it did not.
    absent_claim: Option<String>,
    /// The passkey that signed, which must be there still and count on.
    #[serde(skip)]
    passkey: Option<Asserted>,
    /// How long the session lasts at most, where that is less than any.
    most: Option<Micros>,
    /// What another session hands over, whose proof it is then.
    #[serde(skip)]
    handed: Option<Handed>,
    /// Did a password come from a device that is not known for the account?
    #[serde(skip)]
    new_device: bool,
    /// At which door codes are counted, where it is not that of strangers: they know the password at most.
    #[serde(default)]
    door: Option<String>,
    /// The second factor, where it was given.
    #[serde(skip)]
    second: Option<SecondFactor>,
    /// What was carried since the first factor: it begins one session.
    #[serde(skip)]
    once: Option<Carried>,
}

/// That a provider proved it.
#[derive(Clone, Serialize, Deserialize)]
struct ByProvider {
    key: String,
    /// When it asked the person, in seconds, where it says so: it may have known them since the morning.
    auth_time: Option<i64>,
    /// When the person came back from it.
    came_at: i64,
}

impl ByProvider {
    /// When it asked the person, as far as it says, which is not later than now.
    fn asked_at(&self, now: Time) -> Option<Time> {
        self.auth_time.map(|seconds| Time(seconds.saturating_mul(SECOND)).min(now))
    }

    /// When it proved it.
    fn proofs(&self, now: Time) -> ProviderProofs {
        ProviderProofs::by(&self.key, self.asked_at(now).unwrap_or(Time(self.came_at).min(now)))
    }
}

/// What a provider says of a sign-in.
#[derive(Clone, Copy)]
pub struct ProviderSignIn<'a> {
    /// The provider, by its key.
    pub key: &'a str,
    /// What it calls its session.
    pub session: Option<&'a str>,
    /// When it asked the person, in seconds, where it says so.
    pub auth_time: Option<i64>,
    /// When the person came back from it.
    pub came_at: Time,
    /// In which ways that proves who somebody is.
    pub methods: &'a Methods,
}

impl ProviderSignIn<'_> {
    fn proof(self) -> ByProvider {
        ByProvider { key: self.key.to_owned(), auth_time: self.auth_time, came_at: self.came_at.0 }
    }
}

/// Methods as their words.
mod words {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};
    use tokenward_core::method::Methods;

    pub(super) fn serialize<S: Serializer>(methods: &Methods, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(methods)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Methods, D::Error> {
        Methods::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// What stands for the hash of a password, or for none, where it is only to be seen whether it is the same still.
fn mark(hash: Option<&str>) -> [u8; 32] {
    InnerDigest::of(hash.unwrap_or_default()).to_bytes()
}

impl Proof {
    /// By a password that fits this hash.
    fn password(hash: Option<&str>) -> Self {
        Self { compared: Some(mark(hash)), ..Self::of([Method::Password]) }
    }

    /// The same with what was given in the place of a second factor.
    #[must_use]
    pub fn with(self, second: SecondFactor) -> Self {
        Self { second: Some(second), ..self }
    }

    /// The same where it was carried since the first factor: this begins one session.
    pub(super) fn once(self, carried: Carried) -> Self {
        Self { once: Some(carried), ..self }
    }

    /// Is a second factor asked where the account has one? Not where another session has shown it, or two were.
    fn asks_second(&self) -> bool {
        self.handed.is_none() && !self.methods.are_strong()
    }

    /// By a one-time link of the operator's.
    #[must_use]
    pub fn link() -> Self {
        Self { door: Some("link".to_owned()), ..Self::of([Method::Link]) }
    }

    /// By the same in the console: for an hour, to put right what keeps people out.
    #[must_use]
    pub fn break_glass() -> Self {
        Self { most: Some(HOUR), ..Self::link() }
    }

    /// By the link of an invitation and the password that was chosen, or typed, with it.
    #[must_use]
    pub fn invitation() -> Self {
        Self::of([Method::Invitation, Method::Password])
    }

    /// By an invitation that somebody took whom a provider knows.
    #[must_use]
    pub fn invitation_by(said: ProviderSignIn<'_>) -> Self {
        Self {
            there: there(said.key, said.session),
            by_provider: Some(said.proof()),
            most: Some(BY_PROVIDER),
            methods: said.methods.and(Method::Invitation),
            ..Self::of([])
        }
    }

    /// By a provider, as the holder of this identity: an issuer and a subject.
    #[must_use]
    pub fn provider(said: ProviderSignIn<'_>, (issuer, subject): (&str, &str)) -> Self {
        Self {
            there: there(said.key, said.session),
            by_provider: Some(said.proof()),
            identity: Some((issuer.to_owned(), subject.to_owned())),
            most: Some(BY_PROVIDER),
            door: Some("provider".to_owned()),
            methods: said.methods.clone(),
            ..Self::of([])
        }
    }

    /// By a passkey that has signed our question, and verified who uses it.
    pub(super) fn passkey(asserted: Asserted) -> Self {
        Self { passkey: Some(asserted), ..Self::of([Method::Passkey]) }
    }

    /// The same where the provider did not say this claim.
    #[must_use]
    pub fn without(self, absent_claim: Option<String>) -> Self {
        Self { absent_claim, ..self }
    }

    /// By what another session of the account hands over.
    #[must_use]
    pub fn handed(handed: Handed) -> Self {
        Self { handed: Some(handed), ..Self::of([]) }
    }

    fn of<const N: usize>(methods: [Method; N]) -> Self {
        Self {
            methods: Methods::of(methods),
            compared: None,
            there: Vec::new(),
            identity: None,
            by_provider: None,
            absent_claim: None,
            passkey: None,
            most: None,
            handed: None,
            new_device: false,
            door: None,
            second: None,
            once: None,
        }
    }
}

/// What this provider calls its session, where it said so.
fn there(key: &str, name: Option<&str>) -> Vec<ProviderSession> {
    name.map(|name| ProviderSession { provider: key.to_owned(), name: name.to_owned() }).into_iter().collect()
}

/// Whose e-mail address and password these are. `device` is what the browser kept of earlier times, if it is one.
pub async fn by_password(
    app: &Arc<App>,
    email: &str,
    password: Zeroizing<String>,
    client: &Client,
    device: Option<&str>,
) -> Result<(Account, Proof)> {
    app.sign_in.require_passwords()?;
    let guesser = app.devices.guesser(email, device, client.address, app.now());
    // Whoever has to wait is told so before anything is looked up.
    let note = |notice| app.security.note(notice, None, client.address, app.now());
    app.throttle.check(&guesser, app.now()).inspect_err(|_| note(Notice::Throttled))?;
    let mut reader = app.store.read().await?;
    let account = accounts::by_email(reader.conn(), email).await?;
    let hash = match &account {
        Some(account) => accounts::password_hash(reader.conn(), account.id).await?,
        None => None,
    };
    drop(reader);
    let known = account.as_ref().map(|account| account.id);
    let tried = PasswordAttempt { notice: Notice::SignInFailed, account: known, address: client.address };
    let right = compare::is_right(app, &guesser, tried, Lane::from(&guesser), password, hash.clone()).await?;
    let account = account.filter(|_| right).ok_or_else(wrong)?;
    // A program keeps no cookie: it is known by its network.
    let (new_device, door) = match app.devices.guesser(email, device, client.address, app.now()) {
        Guesser::Known(known) => (false, known.door()),
        Guesser::Stranger { .. } => (true, None),
    };
    Ok((account, Proof { new_device, door, ..Proof::password(hash.as_deref()) }))
}

/// Begins a session for somebody who has just proved who it is. Where the account has a second factor, and neither it was given
/// nor two were shown, none begins ([`Code::SecondFactorRequired`]).
pub async fn begin(
    app: &Arc<App>,
    account: Account,
    proof: Proof,
    client: Client,
    console: bool,
) -> Result<Written<Begun>> {
    let NewText { text, digest, pepper_version } = NewText::make(app);
    let most = app.limits.get(&SESSIONS);
    let lifetime = app.session_limits.lifetime.min(proof.most.unwrap_or(Micros::MAX));
    let (who, address) = (account.id, client.address);
    ask_second(app, &account, &proof, address).await?;
    let (own, by_password) = (Arc::clone(app), proof.compared.is_some());
    // The console knows more of the device: it tells by itself.
    let told = (proof.new_device && !console).then(|| client.clone());
    let visitor = Visitor::new(client.by(Actor::Visitor)).proven(account.id, &account.email);
    let begun = app.write(visitor, move |tx, _| {
        Box::pin(async move {
            if let Some(compared) = proof.compared
                && mark(accounts::password_hash(tx.conn(), account.id).await?.as_deref()) != compared
            {
                return Err(wrong());
            }
            if let Some(carried) = &proof.once
                && !identities::spend_carried(tx, carried).await?
            {
                return Err(sign_in_over());
            }
            if let Some(asserted) = &proof.passkey
                && let Some(event) = passkey_use::take(tx, account.id, asserted).await?
            {
                return Ok((Err(passkey_use::counter_fell()), vec![event]));
            }
            // Asked again: it may have been set up, or removed, since.
            let second = second_factor(tx, &own, &account, &proof).await?;
            let (id, now) = (tx.new_id(), tx.now());
            if let Some((issuer, subject)) = &proof.identity {
                let identity = identities::find(tx.conn(), issuer, subject).await?;
                let identity = identity.filter(|it| it.account_id == account.id);
                let gone = || Error::new(Code::SignInFailed, "This identity opens no account any more.");
                identities::used(tx, identity.ok_or_else(gone)?.id, now).await?;
            }
            // It was given just now, beside a provider's word that may be older.
            let proves_anew = second.is_some() && proof.by_provider.is_some() && {
                let hash = accounts::password_hash(tx.conn(), account.id).await?;
                own.sign_in.takes_code_alone(hash.as_deref())
            };
            let terms = match &proof.handed {
                Some(handed) => handed.take(tx, account.id).await?,
                None => HandedTerms {
                    methods: proof.methods,
                    proven_at: now,
                    // The word of a provider is as old as it says, and no fresh proof where it does not.
                    auth_time: match &proof.by_provider {
                        Some(it) if !proves_anew => it.asked_at(now),
                        _ => Some(now),
                    },
                    provider_proofs: proof.by_provider.as_ref().map(|it| it.proofs(now)).unwrap_or_default(),
                    there: proof.there,
                    absent_claim: proof.absent_claim,
                    organization: None,
                    expires_at: now.plus(lifetime),
                },
            };
            let HandedTerms { methods, proven_at, there, absent_claim, organization, expires_at, .. } = terms;
            let (methods, mut events, left) = match second {
                Some(taken) => (methods.and(taken.method), taken.events, taken.left),
                None => (methods, Vec::new(), None),
            };
            let new = NewSession {
                id,
                account: account.id,
                digest,
                pepper_version,
                console,
                expires_at,
                address: client.address.map(|address| address.to_string()),
                user_agent: client.user_agent.as_deref(),
                methods: &methods,
                proven_at,
                auth_time: terms.auth_time,
                provider_proofs: &terms.provider_proofs,
                absent_claim: absent_claim.as_deref(),
                organization,
            };
            sessions::insert(tx, &new, now).await?;
            for it in &there {
                provider_sessions::note(tx, id, it).await?;
            }
            // A browser that never signs out must not keep its person out for good: the oldest gives way.
            for oldest in sessions::beyond(tx.conn(), account.id, most).await? {
                sessions::delete(tx, account.id, oldest).await?;
                events.push(Event::new(Kind::SessionEnded, None, oldest, &account.email).related(account.id));
            }
            let (user_id, methods) = (account.id, methods.words());
            let snapshot = SessionSnapshot { user_id, console, expires_at, methods, organization_id: organization };
            let email = account.email.clone();
            // Of a new account nobody knows a device, and what another session hands over it had proved.
            let is_told = proof.handed.is_none() && now.0 - account.created_at.0 > NEW_ACCOUNT;
            events.push(Event::new(Kind::SessionCreated, None, id, account.email).related(account.id).after(snapshot));
            Ok((Ok((Begun { email, text, expires_at, is_told }, left)), events))
        })
    });
    let begun = begun.await.inspect_err(|error| {
        if error.code == Code::SignInFailed && error.field == Some("otp") {
            check::note(app, who, address);
        }
    })?;
    let Written { value: (value, left), position, effect } = begun.granted()?;
    if by_password {
        // Now that all that is asked was given: a password alone makes no network a known one.
        app.devices.remember(&value.email, address, app.now());
    }
    if let Some(from) = told.filter(|_| value.is_told) {
        person_mail::notify_of_new_device(app, &value.email, &from);
    }
    if let Some(left) = left {
        factor_mail::used(app, who, left).await;
    }
    Ok(Written { value, position, effect })
}

/// What is missing or too much of a second factor, before anything is written; one that is given is counted as an attempt.
async fn ask_second(app: &App, account: &Account, proof: &Proof, address: Option<IpAddr>) -> Result<()> {
    if !proof.asks_second() {
        return Ok(());
    }
    let mut reader = app.store.read().await?;
    let has_second = factors::of(reader.conn(), account.id, None).await?.has_second();
    drop(reader);
    match (has_second, &proof.second) {
        (true, None) => Err(Error::second_factor_required()),
        (true, Some(_)) => check::attempt(app, account.id, proof.door.as_deref(), address).await,
        (false, Some(_)) => Err(Error::invalid("otp", "is of no use: this account has no authenticator; leave it out")),
        (false, None) => Ok(()),
    }
}

/// Takes the second factor, where the account has one and it is asked.
async fn second_factor(tx: &mut Tx, app: &App, account: &Account, proof: &Proof) -> Result<Option<Taken>> {
    if !proof.asks_second() || !factors::of(tx.conn(), account.id, None).await?.has_second() {
        return Ok(None);
    }
    let given = proof.second.as_ref().ok_or_else(Error::second_factor_required)?;
    let door = proof.door.as_deref();
    let taken = check::take(tx, app.verifier.peppers(), account.id, &account.email, door, given).await?;
    let wrong = || Error::new(Code::SignInFailed, format!("The code {}.", check::WRONG)).about("otp");
    taken.map(Some).ok_or_else(wrong)
}

/// What is said where what was carried since the first factor begins no session.
pub(super) fn sign_in_over() -> Error {
    let detail = "This sign-in is over: it waits for five minutes, in the browser in which it began, and works once. Sign in again.";
    Error::new(Code::Conflict, detail)
}

fn wrong() -> Error {
    Error::new(Code::SignInFailed, "The e-mail address or the password is wrong.")
}

/// A session, and its last use as far as that was written.
pub struct ListedSession {
    /// The session.
    pub session: Session,
    /// When it was last used, from where and with what.
    pub last_use: Option<SessionUse>,
}

/// The caller's own sessions, the newest first.
pub async fn list(app: &Arc<App>, caller: &Caller) -> Result<Vec<ListedSession>> {
    let user = caller.require_user()?;
    let mut reader = app.store.read().await?;
    let mut all = sessions::of_accounts(reader.conn(), &[user]).await?;
    all.retain(|session| session.expires_at > app.now());
    all.sort_by_key(|session| std::cmp::Reverse(session.created_at));
    let ids: Vec<Uuid> = all.iter().map(|session| session.id).collect();
    let mut uses = session_uses::of(reader.conn(), &ids).await?;
    Ok(all.into_iter().map(|session| ListedSession { last_use: uses.remove(&session.id), session }).collect())
}

/// Ends all of the caller's sessions but the one that asks, in one write. Answers how many; `None` where there was no other.
pub async fn end_others(app: &Arc<App>, caller: &Caller) -> Result<Option<Written<usize>>> {
    let written = app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            let events = end_other(tx, person, |_| true).await?;
            if events.is_empty() {
                return Err(Error::conflict("There is no other session."));
            }
            Ok((events.len(), events))
        })
    });
    match written.await {
        Ok(written) => Ok(Some(written)),
        Err(error) if error.code == Code::Conflict => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends those of the person's other sessions of which this is true, each with its event.
pub(super) async fn end_other(tx: &mut Tx, person: &Person, which: impl Fn(&Session) -> bool) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for session in sessions::of_accounts(tx.conn(), &[person.account()]).await? {
        if session.id != person.session() && which(&session) {
            sessions::delete(tx, person.account(), session.id).await?;
            let event = Event::new(Kind::SessionEnded, None, session.id, person.by().actor.name());
            events.push(event.related(person.account()));
        }
    }
    Ok(events)
}

/// Ends one of the caller's own sessions. One that is for one organization alone ends no other than itself.
pub async fn end(app: &Arc<App>, caller: &Caller, id: Uuid) -> Result<Written<()>> {
    let person = if id == caller.credential_id() { caller.at_own_session() } else { caller.person() };
    app.write(person?, move |tx, person| {
        Box::pin(async move {
            if !sessions::delete(tx, person.account(), id).await? {
                return Err(Error::not_found("session"));
            }
            let event = Event::new(Kind::SessionEnded, None, id, person.by().actor.name()).related(person.account());
            Ok(((), vec![event]))
        })
    })
    .await
}
