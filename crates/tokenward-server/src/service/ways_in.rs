//! The ways in which an account is opened here, of which the last one stays.

use tokenward_core::{Error, Result, Uuid};
use tokenward_store::passkeys::Passkey;
use tokenward_store::{Tx, accounts, identities, passkeys};

use super::App;

/// What opens accounts on this server.
#[derive(Clone)]
pub(super) struct WaysIn {
    passwords: bool,
    /// The issuers of the providers.
    issuers: Vec<String>,
    /// For which host passkeys count; `None` where none do.
    rp_id: Option<String>,
}

impl WaysIn {
    /// Those of this server.
    pub(super) fn here(app: &App) -> Self {
        Self {
            passwords: app.sign_in.takes_passwords(),
            issuers: app.providers.iter().map(|it| it.issuer().to_owned()).collect(),
            rp_id: super::passkeys::relying_party(app).ok().map(|own| own.id.clone()),
        }
    }

    /// Does this passkey open its account?
    pub(super) fn takes_passkey(&self, passkey: &Passkey) -> bool {
        self.rp_id.as_ref() == Some(&passkey.rp_id)
    }

    /// An error where nothing opens the account any more, as the rows are in this transaction.
    pub(super) async fn require(&self, tx: &mut Tx, account: Uuid) -> Result<()> {
        if self.passwords && accounts::password_hash(tx.conn(), account).await?.is_some() {
            return Ok(());
        }
        if passkeys::of_account(tx.conn(), account).await?.iter().any(|it| self.takes_passkey(it)) {
            return Ok(());
        }
        if identities::of_account(tx.conn(), account).await?.iter().any(|it| self.issuers.contains(&it.issuer)) {
            return Ok(());
        }
        let detail =
            "This is the only way in which you sign in. Add another one first, or ask the operator for a sign-in link.";
        Err(Error::conflict(detail))
    }
}
