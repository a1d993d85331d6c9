//! Proving by a password who one is: the one place where passwords are compared.

use tokenward_core::Result;
use zeroize::Zeroizing;

use super::App;
use super::known::Guesser;
use super::turns::Lane;

/// Is it the password of this hash? Whoever has to wait, or finds no room in the line, is told so. It counts as failed
/// from just before it is compared until it is found to be right.
pub(super) async fn is_right(
    app: &App,
    guesser: &Guesser,
    lane: Lane,
    password: Zeroizing<String>,
    hash: Option<String>,
) -> Result<bool> {
    app.throttle.check(guesser, app.now())?;
    let turn = app.passwords.turn(lane).await?;
    app.throttle.attempt(guesser, app.now())?;
    let right = turn.fits(password, hash).await?;
    if right {
        app.throttle.succeeded(guesser, app.now());
    }
    Ok(right)
}
