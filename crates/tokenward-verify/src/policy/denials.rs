//! What policies have denied, as the log is told of it: at most once a minute of a token.

use std::net::IpAddr;

use tokenward_core::Uuid;

use crate::sampled::Happening;

/// What the policy of a token has denied since it was last told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyDenied {
    /// The organization of the token.
    pub organization: Uuid,
    /// The token.
    pub token: Uuid,
    /// Its name.
    pub name: String,
    /// The last request.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// From which address it came.
    pub address: Option<IpAddr>,
    /// How many there were.
    pub count: u64,
}

impl Happening for PolicyDenied {
    fn token(&self) -> Uuid {
        self.token
    }

    fn count(&mut self) -> &mut u64 {
        &mut self.count
    }
}
