//! Codes of authenticators, and recovery codes: how they are kept, compared, and taken away. Whoever signs in, proves anew, or
//! takes an account over comes here.

pub(super) mod check;
pub(super) mod factor_mail;
pub(super) mod kept;
pub(super) mod totp;

use tokenward_core::event::{Event, Kind};
use tokenward_core::{Result, Uuid};
use tokenward_store::Tx;
use tokenward_store::second_factor::{self as store, Authenticator};

pub use totp::Qr;

/// Takes the second factor of an account away. The events; none where it had none.
pub(super) async fn take_away(tx: &mut Tx, account: Uuid, name: &str) -> Result<Vec<Event>> {
    let held = store::authenticator(tx.conn(), account).await?;
    store::remove(tx, account).await?;
    let event = |held: Authenticator| Event::new(Kind::SecondFactorRemoved, None, held.id, name).related(account);
    Ok(held.map(event).into_iter().collect())
}
