//! Which factors an account has besides what it signs in with first: the one place that knows.

use tokenward_core::method::Methods;
use tokenward_core::{Result, Uuid};

use crate::db::{Conn, run};

/// Those of an account.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Factors {
    /// An authenticator, with its recovery codes.
    pub authenticator: bool,
}

impl Factors {
    /// Is there a second factor? Then no password and no link is enough alone.
    #[must_use]
    pub fn has_second(self) -> bool {
        self.authenticator
    }

    /// Is what was proved in these ways as strong as the account can be proved?
    #[must_use]
    pub fn are_met_by(self, methods: &Methods) -> bool {
        !self.has_second() || methods.are_strong()
    }
}

/// Those of this account.
pub async fn of(conn: Conn<'_>, account: Uuid) -> Result<Factors> {
    let found: Option<Uuid> = run!(conn, c => sqlx::query_scalar("SELECT id FROM authenticator WHERE account_id = $1")
        .bind(account).fetch_optional(&mut *c))?;
    Ok(Factors { authenticator: found.is_some() })
}
