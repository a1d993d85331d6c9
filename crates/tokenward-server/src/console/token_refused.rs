//! How often something was presented that is refused, as the page of a token says it.

use tokenward_core::Time;

use super::person::SignedIn;
use super::view::{LastUsed, Moment, RefusedView};
use super::words::{agent, grouped};
use crate::service::token_refused::Refused;

/// As the page says it.
pub(super) fn refused_view(person: &SignedIn, it: Refused) -> RefusedView {
    let often = match it.count {
        1 => "once".to_owned(),
        count => format!("{} times", grouped(count)),
    };
    let now = person.app.now();
    let last = it.last.and_then(|last| last_used(last.at, last.from.as_deref(), last.agent.as_deref(), now));
    RefusedView { often, any: it.count > 0, whole: it.whole, since: person.moment(it.since), last }
}

/// The last use of something.
pub(super) fn last_used(at: Time, from: Option<&str>, by: Option<&str>, now: Time) -> Option<LastUsed> {
    let agent = by.map(|words| agent(Some(words)));
    Some(LastUsed { at: Moment::new(at, now), from: from.map(str::to_owned), agent })
}
