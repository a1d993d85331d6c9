//! An account gets to be another person's: what the one before could go on with.

use tokenward_core::Result;
use tokenward_core::event::{Event, IdentitySnapshot, Kind};
use tokenward_store::accounts::Account;
use tokenward_store::identities::Identity;
use tokenward_store::{Tx, accounts, identities, sessions, tokens};

use super::codes::take_away;
use super::invitations::end_all_sent_by;
use super::passkey_use;

/// Ends all that whoever used an account until now could go on with: its sessions, identities, passkeys and second factor, the tokens
/// that it made, those that
/// were made with them, and the invitations that any of these have sent. Memberships stay: they are for the address.
pub(super) async fn end_what_it_made(tx: &mut Tx, account: &Account) -> Result<Vec<Event>> {
    let now = tx.now();
    sessions::delete_others(tx, account.id, None).await?;
    let mut events = end_all_sent_by(tx, account.id).await?;
    events.extend(take_away(tx, account.id, &account.email).await?);
    // The other address was that of whoever was there before.
    accounts::update(tx, account.id, &account.name, None, now).await?;
    for identity in identities::of_account(tx.conn(), account.id).await? {
        identities::delete(tx, account.id, identity.id).await?;
        let removed = Event::new(Kind::IdentityRemoved, None, identity.id, &identity.subject).related(account.id);
        let Identity { issuer, subject, email, .. } = identity;
        events.push(removed.before(IdentitySnapshot { issuer, subject, email }));
    }
    events.extend(passkey_use::remove_all(tx, account).await?);
    for token in tokens::revoke_made_by(tx, account.id, now).await? {
        events.extend(end_all_sent_by(tx, token.id).await?);
        events.push(Event::new(Kind::TokenDeleted.of(token.kind), Some(token.organization_id), token.id, token.name));
    }
    Ok(events)
}
