//! How what an organization asks of sessions stands in its row: read where lists are, and where a right is asked again.

use tokenward_core::Time;
use tokenward_core::sign_in::{SignInPolicy, TwoFactors};

/// What the columns of an organization say that it asks of sessions.
pub(crate) fn policy(providers: Option<&str>, (asked_at, grace_days): (Option<Time>, Option<i32>)) -> SignInPolicy {
    // A number that is none of days leaves no grace.
    let grace_days = grace_days.and_then(|days| u8::try_from(days).ok()).unwrap_or(0);
    SignInPolicy {
        providers: providers.into_iter().flat_map(str::split_whitespace).map(Into::into).collect(),
        two_factors: asked_at.map(|asked_at| TwoFactors { asked_at, grace_days }),
    }
}
