//! How many tokens a credential makes in a minute, where the operator bounds it: a pipeline that has run away is stopped before
//! it has filled the organization. Counted in memory, by each node for itself.

use std::collections::HashMap;
use std::sync::Mutex;

use tokenward_core::event::Actor;
use tokenward_core::sync::lock;
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_core::{Code, Error, Result, Time, Uuid};

use crate::limits::{Limits, TOKEN_CREATES};

/// Counts what credentials make in the minute that runs.
#[derive(Default)]
pub struct Creates(Mutex<Counts>);

/// Each of them has made something, which took a write: there are no more in a minute than there were writes.
#[derive(Default)]
struct Counts {
    minute: i64,
    of: HashMap<Uuid, u64>,
    /// Those that have come near it and of which nobody was told yet.
    near: HashMap<(Uuid, Uuid), Near>,
}

/// A credential that makes nearly as many tokens a minute as it may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Near {
    /// Its organization.
    pub organization: Uuid,
    /// The token, or the user.
    pub credential: Uuid,
    /// Its name.
    pub name: String,
    /// How many it has made in the minute.
    pub count: u64,
}

/// Is so much of a limit so near to it that somebody is to be told: four fifths?
#[must_use]
pub fn is_near(count: u64, most: u64) -> bool {
    most > 0 && u128::from(count) * 5 >= u128::from(most) * 4
}

impl Creates {
    /// The credential makes one more, or is told when it may again.
    pub fn take(&self, limits: &Limits, organization: Uuid, actor: &Actor, now: Time) -> Result<()> {
        let most = limits.get(&TOKEN_CREATES);
        let (Some(credential), 1..) = (actor.id(), most) else { return Ok(()) };
        let mut counts = lock(&self.0);
        let minute = now.0.div_euclid(MINUTE);
        if counts.minute != minute {
            (counts.minute, counts.of) = (minute, HashMap::new());
        }
        let count = counts.of.entry(credential).or_default();
        let has_room = *count < most;
        *count += u64::from(has_room);
        let count = *count;
        if is_near(count, most) {
            let near = || Near { organization, credential, name: actor.name().to_owned(), count };
            counts.near.entry((organization, credential)).or_insert_with(near).count = count;
        }
        if has_room {
            return Ok(());
        }
        let wait = (minute + 1) * MINUTE - now.0;
        let seconds = u32::try_from((wait + SECOND - 1) / SECOND).unwrap_or(1);
        let advice = format!("Wait {seconds} s, or ask the operator to raise it.");
        let error =
            TOKEN_CREATES.exceeded(Code::Throttled, most, "This credential has made as many tokens as", &advice);
        Err(Error { retry_after: Some(seconds), ..error })
    }

    /// Those that have come near it since this was asked last.
    pub fn take_near(&self) -> Vec<Near> {
        std::mem::take(&mut lock(&self.0).near).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_has_its_number_a_minute_and_usually_there_is_none() {
        let (creates, mut limits) = (Creates::default(), Limits::default());
        let token = |id| Actor::Token { id: Uuid::from_u128(id), name: "ci".to_owned() };
        let (one, other) = (token(1), token(2));
        let take = |limits: &Limits, actor: &Actor, at| creates.take(limits, Uuid::nil(), actor, Time(at));
        assert!((0..10_000).all(|_| take(&limits, &one, 0).is_ok()));
        limits.set(&TOKEN_CREATES, 3);
        assert!((0..2).all(|_| take(&limits, &one, 15 * SECOND).is_ok()));
        assert_eq!(creates.take_near(), [], "two of three are fewer than four fifths");
        assert!(take(&limits, &one, 15 * SECOND).is_ok());
        let refused = take(&limits, &one, 15 * SECOND).unwrap_err();
        let near = creates.take_near();
        assert_eq!((near.len(), near[0].count, near[0].name.as_str()), (1, 3, "ci"));
        assert_eq!(creates.take_near(), []);
        assert_eq!((refused.code, refused.retry_after), (Code::Throttled, Some(45)));
        assert!(refused.detail.contains("`token_creates_per_minute`"), "{refused}");
        assert!(take(&limits, &other, 15 * SECOND).is_ok());
        assert!(take(&limits, &one, MINUTE).is_ok());
    }
}
