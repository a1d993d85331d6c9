//! How what an organization asks of sessions stands in its row: read where lists are, and where a right is asked again.

use tokenward_core::Time;
use tokenward_core::sign_in::{SignInPolicy, TwoFactors};
use tokenward_core::time::Micros;

/// The columns of an organization that say what it asks of sessions.
pub(crate) struct Columns<'a> {
    pub providers: Option<&'a str>,
    pub two_factors_at: Option<Time>,
    pub two_factors_grace: Option<i32>,
    pub session_lifetime: Option<Micros>,
    pub session_idle: Option<Micros>,
}

impl Columns<'_> {
    pub(crate) fn policy(&self) -> SignInPolicy {
        // A number that is none of days leaves no grace.
        let grace_days = self.two_factors_grace.and_then(|days| u8::try_from(days).ok()).unwrap_or(0);
        SignInPolicy {
            providers: self.providers.into_iter().flat_map(str::split_whitespace).map(Into::into).collect(),
            two_factors: self.two_factors_at.map(|asked_at| TwoFactors { asked_at, grace_days }),
            session_lifetime: self.session_lifetime,
            session_idle: self.session_idle,
        }
    }
}
