//! The second factor of an account: an authenticator (RFC 6238) and its recovery codes.
//!
//! A seed is made here, shown, and kept only once a code of it was right: until then the person carries it, sealed, in the form.
//! What it takes to sign in is asked in `sessions::begin`, and what a fresh proof takes in `proof`; both take codes by
//! `codes::check`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokenward_core::caller::{Caller, Person};
use tokenward_core::event::{Event, Kind};
use tokenward_core::method::Method;
use tokenward_core::right::Right as _;
use tokenward_core::second_factor::{OneTimeCode, RECOVERY_BYTES, RecoveryCode, base32};
use tokenward_core::time::{Micros, SECOND};
use tokenward_core::{Error, Random, Result, Time, Uuid};
use tokenward_store::accounts::{self, Account};
use tokenward_store::second_factor::{self as store, Authenticator, KeptCode};
use tokenward_store::{Tx, factors, sessions};
use zeroize::Zeroizing;

pub use super::codes::Qr;
use super::codes::kept::{SEED, Seed};
use super::codes::{check, factor_mail, kept, take_away, totp};
use super::new_text::NewText;
use super::proof::{self, ProvenAt, Renewed};
use super::sessions::end_other;
use super::sign_in_methods::{self, SignInOffer};
use super::{App, Written, seal};
use crate::limits::{RECOVERY_CODES, SECOND_FACTOR_SET_UP};

/// What the key of a set-up is derived for.
const SET_UP: &str = "authenticator-set-up";

/// What the account has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Since when it has an authenticator, and when a code was last taken.
    pub authenticator: Option<(Time, Option<Time>)>,
    /// Recovery codes that were not used.
    pub recovery_codes: u64,
}

/// An authenticator that is being set up. Nothing of it is kept here.
pub struct SetUp {
    /// Its seed, to be typed.
    pub seed: Zeroizing<String>,
    /// The same for a program.
    pub otpauth: Zeroizing<String>,
    /// The same as a picture.
    pub qr: Qr,
    /// What is to come back with the first code.
    pub sealed: String,
    /// Until when.
    pub ends_at: Time,
}

#[derive(Serialize, Deserialize)]
struct SetUpBegun {
    account: Uuid,
    seed: [u8; SEED],
    begun: i64,
}

/// What the caller's own account has.
pub async fn get(app: &App, caller: &Caller) -> Result<State> {
    let account = caller.require_user()?;
    let mut reader = app.store.read().await?;
    let authenticator = store::authenticator(reader.conn(), account).await?;
    let recovery_codes = store::count_recovery_codes(reader.conn(), account).await?;
    Ok(State { authenticator: authenticator.map(|it| (it.created_at, it.last_used_at)), recovery_codes })
}

/// Has the caller's account a second factor, of whichever kind?
pub async fn is_asked(app: &App, caller: &Caller) -> Result<bool> {
    let account = caller.require_user()?;
    let mut reader = app.store.read().await?;
    Ok(factors::of(reader.conn(), account, None).await?.has_second())
}

async fn own_account(app: &App, caller: &Caller) -> Result<Account> {
    let account = caller.require_whole()?;
    let mut reader = app.store.read().await?;
    accounts::get(reader.conn(), account).await?.ok_or_else(|| Error::not_found("account"))
}

fn lifetime() -> Micros {
    SECOND_FACTOR_SET_UP.time().as_secs().cast_signed() * SECOND
}

/// Begins to set one up: makes a seed.
pub async fn begin(app: &App, caller: &Caller) -> Result<SetUp> {
    let account = own_account(app, caller).await?;
    let mut seed: Seed = Zeroizing::new([0; SEED]);
    app.store.random().fill(&mut *seed);
    let begun = SetUpBegun { account: account.id, seed: *seed, begun: app.now().0 };
    let plain = Zeroizing::new(serde_json::to_vec(&begun).map_err(Error::internal)?);
    let key = app.verifier.pepper().derive(SET_UP);
    let sealed = URL_SAFE_NO_PAD.encode(seal::seal(&key, &plain, app.store.random())?);
    shown(app, &account.email, &begun, sealed)
}

/// The same seed once more, for a form that comes back. `None` where it is over, or another account's.
pub async fn reopen(app: &App, caller: &Caller, sealed: &str) -> Result<Option<SetUp>> {
    let account = own_account(app, caller).await?;
    match open(app, sealed, account.id) {
        Some(begun) => shown(app, &account.email, &begun, sealed.to_owned()).map(Some),
        None => Ok(None),
    }
}

fn shown(app: &App, email: &str, begun: &SetUpBegun, sealed: String) -> Result<SetUp> {
    let seed: Seed = Zeroizing::new(begun.seed);
    let host = app.public_url.split_once("://").map_or(app.public_url.as_str(), |(_, host)| host);
    let otpauth = totp::otpauth(&seed, host, email);
    let qr = totp::qr(&otpauth)?;
    Ok(SetUp { seed: base32(&*seed), otpauth, qr, sealed, ends_at: Time(begun.begun).plus(lifetime()) })
}

fn open(app: &App, sealed: &str, account: Uuid) -> Option<SetUpBegun> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let plain = app.verifier.peppers().iter().find_map(|pepper| seal::open(&pepper.derive(SET_UP), &sealed))?;
    let begun: SetUpBegun = serde_json::from_slice(&plain).ok()?;
    let (from, now) = (Time(begun.begun), app.now());
    (begun.account == account && from <= now.plus(lifetime()) && now < from.plus(lifetime())).then_some(begun)
}

/// Recovery codes, as they are shown, once.
pub type Codes = Vec<Zeroizing<String>>;

/// What is shown once after an authenticator was set up.
pub struct EnrolledAuthenticator {
    /// The recovery codes.
    pub codes: Codes,
    /// The session, which proves two factors from now on.
    pub renewed: Renewed,
}

/// Turns the authenticator on that was begun, by its first right code and a fresh proof of the person. Its recovery codes are
/// shown now, and the session proves two factors from now on.
pub async fn turn_on(
    app: &Arc<App>,
    caller: &Caller,
    sealed: &str,
    code: OneTimeCode,
) -> Result<Written<EnrolledAuthenticator>> {
    let person = caller.person()?;
    let begun = open(app, sealed, person.account());
    let begun = begun
        .ok_or_else(|| Error::invalid("set_up", "is over: begin the set-up again, and go on within ten minutes"))?;
    let seed: Seed = Zeroizing::new(begun.seed);
    let (within, own, new) = (proof::lifetime(app), Arc::clone(app), Arc::new(NewText::make(app)));
    let written = app.write(person, move |tx, person| {
        Box::pin(async move {
            proof::require(tx, person, within).await?;
            let account = person.account();
            if store::authenticator(tx.conn(), account).await?.is_some() {
                return Err(Error::conflict("This account has an authenticator already. Remove it first."));
            }
            let Some(step) = totp::step_of(&seed, &code, tx.now()) else {
                return Err(Error::invalid("otp", check::WRONG));
            };
            let pepper = own.verifier.pepper();
            let (id, now) = (tx.new_id(), tx.now());
            let authenticator = Authenticator {
                id,
                sealed: kept::close_seed(pepper, account, &seed, tx.random())?,
                pepper_version: pepper.version,
                last_step: step,
                created_at: now,
                last_used_at: Some(now),
            };
            store::insert(tx, account, &authenticator).await?;
            let name = person.by().actor.name().to_owned();
            let mut events = vec![Event::new(Kind::SecondFactorAdded, None, id, &name).related(account)];
            let (codes, event) = replace_codes(tx, &own, person).await?;
            events.push(event);
            // What a password alone has opened ends: whoever has that would be in for as long as it lasts.
            events.extend(end_other(tx, person, |it| !it.methods.are_strong()).await?);
            let (renewed, proven) =
                proof::renew(tx, person, &new, (&[Method::Otp], ProvenAt::default()), within).await?;
            events.extend(proven);
            Ok((EnrolledAuthenticator { codes, renewed }, events))
        })
    });
    let written = written.await?;
    factor_mail::added(app, caller.require_user()?).await;
    Ok(written)
}

/// Makes recovery codes in the place of those before.
async fn replace_codes(tx: &mut Tx, app: &App, person: &Person) -> Result<(Codes, Event)> {
    let (account, pepper) = (person.account(), app.verifier.pepper());
    let (mut shown, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..RECOVERY_CODES.size() {
        let code = new_code(tx.random());
        let sealed = kept::close_code(pepper, account, &code, tx.random())?;
        rows.push(KeptCode { id: tx.new_id(), sealed, pepper_version: pepper.version });
        shown.push(code.shown());
    }
    store::replace_recovery_codes(tx, account, &rows).await?;
    Ok((shown, Event::new(Kind::RecoveryCodesReplaced, None, account, person.by().actor.name())))
}

fn new_code(random: &dyn Random) -> RecoveryCode {
    let mut bytes = Zeroizing::new([0u8; RECOVERY_BYTES]);
    random.fill(&mut *bytes);
    RecoveryCode::of(&bytes)
}

/// Makes other recovery codes, by a fresh proof; those until now are none any more.
pub async fn new_codes(app: &Arc<App>, caller: &Caller) -> Result<Written<Codes>> {
    let (within, own) = (proof::lifetime(app), Arc::clone(app));
    let written = app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            proof::require(tx, person, within).await?;
            if store::authenticator(tx.conn(), person.account()).await?.is_none() {
                return Err(Error::conflict("This account has no authenticator. Set one up first."));
            }
            let (codes, event) = replace_codes(tx, &own, person).await?;
            Ok((codes, vec![event]))
        })
    });
    let written = written.await?;
    factor_mail::replaced(app, caller.require_user()?).await;
    Ok(written)
}

/// Takes the authenticator and the recovery codes of the caller away, by a fresh proof, which takes a code. All other sessions
/// end. The last factor stays where an organization of theirs asks two.
pub async fn remove(app: &Arc<App>, caller: &Caller) -> Result<Written<()>> {
    let (within, doors) = (proof::lifetime(app), SignInOffer::of(app));
    let removed = app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            proof::require(tx, person, within).await?;
            let name = person.by().actor.name().to_owned();
            let before = sign_in_methods::of(tx.conn(), &doors, person.account()).await?;
            let mut events = take_away(tx, person.account(), &name).await?;
            if events.is_empty() {
                return Err(Error::not_found("authenticator"));
            }
            sign_in_methods::require_left(tx, &doors, person.account(), &before).await?;
            for session in sessions::of_accounts(tx.conn(), &[person.account()]).await? {
                if session.id != person.session() {
                    sessions::delete(tx, person.account(), session.id).await?;
                    events.push(Event::new(Kind::SessionEnded, None, session.id, &name).related(person.account()));
                }
            }
            Ok(((), events))
        })
    });
    let removed = removed.await?;
    factor_mail::removed(app, caller.require_user()?).await;
    Ok(removed)
}
