//! Which factors an account has besides what it signs in with first: the one place that knows.

use std::collections::HashSet;

use tokenward_core::method::Methods;
use tokenward_core::{Result, Uuid};

use crate::db::{Conn, by_ids, run};

/// Those of an account.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Factors {
    /// An authenticator, with its recovery codes.
    pub authenticator: bool,
    /// A passkey that works here.
    pub passkey: bool,
}

impl Factors {
    /// Is there a second factor that is asked beside a first one? Then no password and no link is enough alone. A passkey is asked
    /// beside nothing: it is two factors by itself.
    #[must_use]
    pub fn has_second(self) -> bool {
        self.authenticator
    }

    /// Is what was proved in these ways as strong as the account can be proved?
    #[must_use]
    pub fn are_met_by(self, methods: &Methods) -> bool {
        !(self.authenticator || self.passkey) || methods.are_strong()
    }
}

/// Those of this account. Passkeys count that were made for this host.
pub async fn of(mut conn: Conn<'_>, account: Uuid, host: Option<&str>) -> Result<Factors> {
    let found: Option<Uuid> = run!(conn.reborrow(), c => sqlx::query_scalar("SELECT id FROM authenticator WHERE account_id = $1")
        .bind(account).fetch_optional(&mut *c))?;
    let passkey = match host {
        Some(host) => {
            let found: Option<Uuid> = run!(conn, c => sqlx::query_scalar(
                "SELECT id FROM passkey WHERE account_id = $1 AND rp_id = $2 LIMIT 1"
            ).bind(account).bind(host).fetch_optional(&mut *c))?;
            found.is_some()
        }
        None => false,
    };
    Ok(Factors { authenticator: found.is_some(), passkey })
}

/// Those of these accounts that have factors of ours beside a password: an authenticator, or a passkey for this host.
pub async fn having(mut conn: Conn<'_>, accounts: &[Uuid], host: Option<&str>) -> Result<HashSet<Uuid>> {
    let select = "SELECT account_id, id FROM authenticator WHERE account_id IN";
    let authenticators: Vec<(Uuid, Uuid)> = by_ids(conn.reborrow(), select, accounts).await?;
    let select = "SELECT account_id, rp_id FROM passkey WHERE account_id IN";
    let passkeys: Vec<(Uuid, String)> = by_ids(conn, select, accounts).await?;
    let of_here =
        passkeys.into_iter().filter(|(_, made_for)| host == Some(made_for.as_str())).map(|(account, _)| account);
    Ok(authenticators.into_iter().map(|(account, _)| account).chain(of_here).collect())
}
