//! Whether what was given in the place of a second factor is right: the one place where codes are compared. Each is counted on
//! all nodes before it is looked at, and taken in the transaction that relies on it, so that it counts once. Who has proved nothing but
//! the password waits with all others of that kind; who is known has a door of their own ([`Known::door`](super::super::known::Known::door)).

use std::net::IpAddr;

use tokenward_core::event::{Event, Kind};
use tokenward_core::method::Method;
use tokenward_core::notice::Notice;
use tokenward_core::second_factor::SecondFactor;
use tokenward_core::secret::Pepper;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::second_factor::Door;
use tokenward_store::{Tx, second_factor as store};

use super::super::App;
use super::{kept, totp};
use crate::limits::{CODE_ATTEMPTS, CODE_PAUSE};

/// What came of a code that was right.
pub(in crate::service) struct Taken {
    /// By what it was proved.
    pub method: Method,
    /// What the log is told.
    pub events: Vec<Event>,
    /// How many recovery codes are left, where one was spent.
    pub left: Option<u64>,
}

/// Counts an attempt as failed until [`take`] says otherwise. Whoever has to wait is told so.
pub(in crate::service) async fn attempt(
    app: &App,
    account: Uuid,
    door: Door<'_>,
    address: Option<IpAddr>,
) -> Result<()> {
    let (most, pause) = (app.limits.get(&CODE_ATTEMPTS), app.limits.micros(&CODE_PAUSE));
    let mut tx = app.store.begin_unlogged().await?;
    let until = store::attempt(&mut tx, account, door, most, pause).await?;
    let now = tx.now().await?;
    tx.commit().await?;
    let Some(until) = until else { return Ok(()) };
    app.security.note(Notice::Throttled, Some(account), address, app.now());
    let seconds = u32::try_from((until.0 - now.0).max(0).div_euclid(1_000_000) + 1).unwrap_or(u32::MAX);
    let advice = format!("Wait {seconds} s and try again.");
    let error = CODE_ATTEMPTS.exceeded(Code::Throttled, most, "As many codes in a row were wrong as", &advice);
    Err(Error { retry_after: Some(seconds), ..error })
}

/// Takes a code of this account, once; `None` where it is wrong or was taken before.
pub(in crate::service) async fn take(
    tx: &mut Tx,
    peppers: &[Pepper],
    account: Uuid,
    email: &str,
    door: Door<'_>,
    given: &SecondFactor,
) -> Result<Option<Taken>> {
    let taken = match given {
        SecondFactor::Otp(code) => {
            let Some(held) = store::authenticator(tx.conn(), account).await? else { return Ok(None) };
            let seed = kept::open_seed(peppers, held.pepper_version, account, &held.sealed);
            let step = seed.and_then(|seed| totp::step_of(&seed, code, tx.now()));
            let Some(step) = step else { return Ok(None) };
            if !store::take_step(tx, account, step).await? {
                return Ok(None);
            }
            Taken { method: Method::Otp, events: Vec::new(), left: None }
        }
        SecondFactor::Recovery(code) => {
            let all = store::recovery_codes(tx.conn(), account).await?;
            let fits = |it: &&store::KeptCode| kept::is_code(peppers, it.pepper_version, account, &it.sealed, code);
            let Some(held) = all.iter().find(fits) else { return Ok(None) };
            if !store::spend_recovery_code(tx, account, held.id).await? {
                return Ok(None);
            }
            let spent = Event::new(Kind::RecoveryCodeUsed, None, held.id, email).related(account);
            Taken { method: Method::RecoveryCode, events: vec![spent], left: Some(all.len() as u64 - 1) }
        }
    };
    store::forgive(tx, account, door).await?;
    Ok(Some(taken))
}

/// What is said of a code that was not taken.
pub(in crate::service) const WRONG: &str = "is wrong, or was used already. A code is good for half a minute and counts once; if yours are \
     refused again and again, set the clock of the device that shows them";

/// A code was not taken: it is noted, whatever is said of it.
pub(in crate::service) fn note(app: &App, account: Uuid, address: Option<IpAddr>) {
    app.security.note(Notice::CodeRefused, Some(account), address, app.now());
}
