//! Replaced secrets that came back after their overlap, as the log is told of them: at most once an hour of a token.

use std::net::IpAddr;

use tokenward_core::Uuid;

use crate::sampled::Happening;

/// How a replaced secret of a token came back since that was last told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reused {
    /// The organization of the token.
    pub organization: Uuid,
    /// The token.
    pub token: Uuid,
    /// Which of its secrets came the last time.
    pub version: u16,
    /// From which address.
    pub address: Option<IpAddr>,
    /// With which client.
    pub agent: Option<String>,
    /// How often it was.
    pub count: u64,
}

impl Happening for Reused {
    fn token(&self) -> Uuid {
        self.token
    }

    fn count(&mut self) -> &mut u64 {
        &mut self.count
    }
}
