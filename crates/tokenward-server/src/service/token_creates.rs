//! How many tokens a credential makes in a minute, where the operator bounds it: a pipeline that has run away is stopped before
//! it has filled the organization. Counted in memory, by each node for itself.

use std::collections::HashMap;
use std::sync::Mutex;

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
}

impl Creates {
    /// The credential makes one more, or is told when it may again.
    pub fn take(&self, limits: &Limits, credential: Option<Uuid>, now: Time) -> Result<()> {
        let most = limits.get(&TOKEN_CREATES);
        let (Some(credential), 1..) = (credential, most) else { return Ok(()) };
        let mut counts = lock(&self.0);
        let minute = now.0.div_euclid(MINUTE);
        if counts.minute != minute {
            *counts = Counts { minute, of: HashMap::new() };
        }
        let count = counts.of.entry(credential).or_default();
        if *count < most {
            *count += 1;
            return Ok(());
        }
        let wait = (minute + 1) * MINUTE - now.0;
        let seconds = u32::try_from((wait + SECOND - 1) / SECOND).unwrap_or(1);
        let advice = format!("Wait {seconds} s, or ask the operator to raise it.");
        let error =
            TOKEN_CREATES.exceeded(Code::Throttled, most, "This credential has made as many tokens as", &advice);
        Err(Error { retry_after: Some(seconds), ..error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_has_its_number_a_minute_and_usually_there_is_none() {
        let (creates, mut limits) = (Creates::default(), Limits::default());
        let (one, other) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        assert!((0..10_000).all(|_| creates.take(&limits, one, Time(0)).is_ok()));
        limits.set(&TOKEN_CREATES, 3);
        assert!((0..3).all(|_| creates.take(&limits, one, Time(15 * SECOND)).is_ok()));
        let refused = creates.take(&limits, one, Time(15 * SECOND)).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::Throttled, Some(45)));
        assert!(refused.detail.contains("`token_creates_per_minute`"), "{refused}");
        assert!(creates.take(&limits, other, Time(15 * SECOND)).is_ok());
        assert!(creates.take(&limits, one, Time(MINUTE)).is_ok());
    }
}
