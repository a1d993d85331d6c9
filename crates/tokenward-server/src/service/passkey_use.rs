//! What counts of a passkey inside of a transaction: that it has signed, and that it goes.

use tokenward_core::event::{Event, Kind, PasskeySnapshot};
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::Tx;
use tokenward_store::accounts::Account;
use tokenward_store::identities::{self, Carried};
use tokenward_store::passkeys::{self, Passkey};

/// A passkey that has just signed the answer to a question of ours.
#[derive(Clone)]
pub(super) struct Asserted {
    /// Which.
    pub(super) passkey: Uuid,
    /// How often it says to have been used.
    pub(super) counter: i64,
    /// By what the question is remembered as answered, and until when.
    pub(super) spent_as: Carried,
}

/// Takes what a passkey has signed, in the transaction in which it counts: its question is answered, it is still there, and it counts
/// on. Where it counts less than before there may be a copy of it: then it answers the event, and what was asked is refused ([`fell`]).
pub(super) async fn take(tx: &mut Tx, account: Uuid, by: &Asserted) -> Result<Option<Event>> {
    spend(tx, &by.spent_as).await?;
    let passkey = passkeys::get(tx.conn(), account, by.passkey).await?.ok_or_else(unknown)?;
    if (by.counter > 0 || passkey.counter > 0) && by.counter <= passkey.counter {
        let event = about(Kind::PasskeyCounterFell, &passkey);
        let event = event.before(snapshot(&passkey, Some(passkey.counter)));
        return Ok(Some(event.after(snapshot(&passkey, Some(by.counter)))));
    }
    let now = tx.now();
    passkeys::used(tx, passkey.id, by.counter, now).await?;
    Ok(None)
}

/// Each question is answered once, on whichever node.
pub(super) async fn spend(tx: &mut Tx, spent_as: &Carried) -> Result<()> {
    if identities::spend_carried(tx, spent_as).await? { Ok(()) } else { Err(unknown_attempt()) }
}

/// Removes all of an account that gets to be another person's, and what authenticators called it.
pub(super) async fn remove_all(tx: &mut Tx, account: &Account) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for passkey in passkeys::of_account(tx.conn(), account.id).await? {
        passkeys::delete(tx, account.id, passkey.id).await?;
        events.push(removed_event(&passkey));
    }
    passkeys::forget_handle(tx, account.id).await?;
    Ok(events)
}

/// The event of one that was removed.
pub(super) fn removed_event(passkey: &Passkey) -> Event {
    about(Kind::PasskeyRemoved, passkey).before(snapshot(passkey, None))
}

/// An event about one.
pub(super) fn about(kind: Kind, passkey: &Passkey) -> Event {
    Event::new(kind, None, passkey.id, &passkey.name).related(passkey.account_id)
}

/// What the log may say of one.
pub(super) fn snapshot(passkey: &Passkey, counter: Option<i64>) -> PasskeySnapshot {
    PasskeySnapshot { name: passkey.name.clone(), rp_id: passkey.rp_id.clone(), counter }
}

/// The question is none that waits here.
pub(super) fn unknown_attempt() -> Error {
    let detail =
        "This was not begun in this browser, or more than five minutes ago, or it is done already. Begin it again.";
    Error::new(Code::SignInFailed, detail)
}

/// The same for a passkey that is not known, was removed, is another account's or another server's, and has not verified its user.
pub(super) fn unknown() -> Error {
    Error::new(Code::SignInFailed, "This passkey opens no account here. Sign in in another way.")
}

/// The refusal of a passkey whose counter fell.
pub(super) fn counter_fell() -> Error {
    let detail = "This passkey has counted less than before, so that there may be a copy of it. It was refused. Sign in in another \
                  way, and remove it on your account page.";
    Error::new(Code::SignInFailed, detail)
}
