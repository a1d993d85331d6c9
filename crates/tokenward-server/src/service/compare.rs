//! Proving by a password who one is: the one place where passwords are compared.

use std::net::IpAddr;

use tokenward_core::notice::Notice;
use tokenward_core::{Code, Result, Uuid};
use zeroize::Zeroizing;

use super::App;
use super::known::Guesser;
use super::turns::Lane;

/// What the security log says of a password that is wrong.
#[derive(Clone, Copy)]
pub(super) struct PasswordAttempt {
    /// What was tried.
    pub notice: Notice,
    /// At which account; `None` where the address has none.
    pub account: Option<Uuid>,
    /// From where.
    pub address: Option<IpAddr>,
}

/// Is it the password of this hash? Whoever has to wait, or finds no room in the line, is told so. It counts as failed
/// from just before it is compared until it is found to be right.
pub(super) async fn is_right(
    app: &App,
    guesser: &Guesser,
    tried: PasswordAttempt,
    lane: Lane,
    password: Zeroizing<String>,
    hash: Option<String>,
) -> Result<bool> {
    let right = compare(app, guesser, lane, password, hash).await;
    let notice = match &right {
        Ok(false) => Some(tried.notice),
        Err(error) if error.code == Code::Throttled => Some(Notice::Throttled),
        _ => None,
    };
    if let Some(notice) = notice {
        app.security.note(notice, tried.account, tried.address, app.now());
    }
    right
}

async fn compare(
    app: &App,
    guesser: &Guesser,
    lane: Lane,
    password: Zeroizing<String>,
    hash: Option<String>,
) -> Result<bool> {
    app.throttle.check(guesser, app.now())?;
    let turn = app.passwords.turn(lane).await?;
    app.throttle.attempt(guesser, app.now()).await?;
    let right = turn.fits(password, hash).await?;
    if right {
        app.throttle.succeeded(guesser, app.now()).await?;
    }
    Ok(right)
}
