//! How often a token may be used: a rate, and a quota that is filled again.
//!
//! A rate is the generic cell rate algorithm (GCRA, ITU-T I.371): one number, the moment at which all that was used would be
//! made good. A quota counts within a day or a month of UTC. Both are one atomic number each, so that nobody waits for anybody
//! and a token without them costs nothing.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chrono::{DateTime, Datelike, Months};

use crate::reason::Reason;
use crate::time::{DAY, HOUR, MINUTE, Micros, SECOND, Time};
use crate::word::words;

/// The highest rate, and the largest quota.
pub const MOST: u32 = 1_000_000_000;

words! {
    /// In which time so many requests are allowed.
    Period {
        /// One second.
        Second = "second",
        /// One minute.
        Minute = "minute",
        /// One hour.
        Hour = "hour",
    }
}

impl Period {
    fn length(self) -> Micros {
        match self {
            Self::Second => SECOND,
            Self::Minute => MINUTE,
            Self::Hour => HOUR,
        }
    }
}

words! {
    /// When a quota is full again.
    Refill {
        /// When a day begins, in UTC.
        Day = "day",
        /// When a month begins, in UTC.
        Month = "month",
    }
}

/// So many requests in a time, and so many at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many.
    pub requests: u32,
    /// In which time.
    pub per: Period,
    /// How many at once, where nothing was used before.
    pub burst: u32,
}

/// So many requests until the next refill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// How many.
    pub requests: u32,
    /// Until when.
    pub refill: Refill,
}

impl Rate {
    /// Reads `100/minute`; as many at once, unless `burst` says another number. The error completes the sentence that begins with
    /// what was read.
    pub fn parse(text: &str, burst: Option<u32>) -> Result<Self, String> {
        let (requests, per) =
            numbered(text).ok_or("is no rate; write one such as 100/minute (second, minute or hour)")?;
        let per = Period::parse(per).map_err(|problem| problem.to_string())?;
        Ok(Self { requests, per, burst: burst.unwrap_or(requests) })
    }

    /// Reads a line such as `100/minute, 20 at once`, as it is written out.
    pub fn parse_line(text: &str) -> Result<Self, String> {
        let Some((rate, burst)) = text.split_once(',') else { return Self::parse(text, None) };
        let burst = burst.trim().trim_end_matches("at once").trim().parse().ok();
        let burst = burst.ok_or("has no number of requests at once; write it as in 100/minute, 20 at once")?;
        Self::parse(rate, Some(burst))
    }

    /// Can it be kept? The error completes the sentence that begins with the field.
    pub fn check(&self) -> Result<(), String> {
        in_range(self.requests)?;
        in_range(self.burst).map_err(|problem| format!("has a `burst` that {problem}"))
    }
}

impl Quota {
    /// Reads `10000/day`. The error completes the sentence that begins with what was read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (requests, refill) = numbered(text).ok_or("is no quota; write one such as 10000/day (day or month)")?;
        let refill = Refill::parse(refill).map_err(|problem| problem.to_string())?;
        Ok(Self { requests, refill })
    }

    /// Can it be kept? The error completes the sentence that begins with the field.
    pub fn check(&self) -> Result<(), String> {
        in_range(self.requests)
    }
}

fn numbered(text: &str) -> Option<(u32, &str)> {
    let (number, word) = text.split_once('/')?;
    Some((number.trim().parse().ok()?, word.trim()))
}

fn in_range(requests: u32) -> Result<(), String> {
    if (1..=MOST).contains(&requests) { Ok(()) } else { Err(format!("is not from 1 to {MOST}")) }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.per)?;
        if self.burst == self.requests { Ok(()) } else { write!(f, ", {} at once", self.burst) }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.refill)
    }
}

/// What a token may use at most.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Allowance {
    /// How fast.
    pub rate: Option<Rate>,
    /// How much.
    pub quota: Option<Quota>,
}

impl Allowance {
    /// Is there no limit?
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.rate.is_none() && self.quota.is_none()
    }

    /// Does it allow at least as much as the other one, whatever is used?
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let rate = match (self.rate, other.rate) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(it)) => {
                let per_hour = |it: Rate| u64::from(it.requests) * (HOUR / it.per.length()).unsigned_abs();
                per_hour(it) <= per_hour(own) && it.burst <= own.burst
            }
        };
        let quota = match (self.quota, other.quota) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(it)) => it.refill >= own.refill && it.requests <= own.requests,
        };
        rate && quota
    }
}

/// What is left of one limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remaining {
    /// So many of them.
    pub requests: u32,
    /// Seconds until it is full again.
    pub full_in: u32,
}

/// What came of a use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metered {
    /// Why it is refused, if it is, and after how many seconds another attempt makes sense.
    pub refused: Option<(Reason, u32)>,
    /// The limits.
    pub allowance: Allowance,
    /// What is left of the rate.
    pub rate: Option<Remaining>,
    /// What is left of the quota.
    pub quota: Option<Remaining>,
}

impl Metered {
    /// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): each limit, with its number and its time in
    /// seconds.
    #[must_use]
    pub fn policies(&self) -> String {
        let rate = self.allowance.rate.map(|it| format!("\"rate\";q={};w={}", it.requests, it.per.length() / SECOND));
        let quota = self.allowance.quota.map(|it| {
            let days = if it.refill == Refill::Day { 1 } else { 30 };
            format!("\"quota\";q={};w={}", it.requests, days * DAY / SECOND)
        });
        rate.into_iter().chain(quota).collect::<Vec<_>>().join(", ")
    }

    /// The value of `RateLimit`: what is left of each, and in how many seconds it is full again.
    #[must_use]
    pub fn left(&self) -> String {
        let one = |name, of: Option<Remaining>| of.map(|it| format!("\"{name}\";r={};t={}", it.requests, it.full_in));
        one("rate", self.rate).into_iter().chain(one("quota", self.quota)).collect::<Vec<_>>().join(", ")
    }
}

/// How much of its allowance a token has used, on this node and as far as others have told.
#[derive(Debug)]
pub struct Meter {
    allowance: Allowance,
    /// When all that was used would be made good, in nanoseconds.
    made_good: AtomicI64,
    /// The window in the upper half, how much was used in it in the lower.
    used: AtomicU64,
    /// The same of what others do not know of.
    untold: AtomicU64,
}

impl Meter {
    /// Nothing was used.
    #[must_use]
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, made_good: AtomicI64::new(i64::MIN), used: AtomicU64::new(0), untold: AtomicU64::new(0) }
    }

    /// The limits.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Goes on from what another one knew, whose limits were others.
    pub fn adopt(&self, before: &Self) {
        self.made_good.store(before.made_good.load(Ordering::Relaxed), Ordering::Relaxed);
        // In windows of another length it means nothing.
        if self.allowance.quota.map(|it| it.refill) == before.allowance.quota.map(|it| it.refill) {
            // The rows may know more.
            self.used.fetch_max(before.used.load(Ordering::Relaxed), Ordering::Relaxed);
            self.untold.store(before.untold.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Uses it once, if that is allowed.
    pub fn take(&self, now: Time) -> Metered {
        let mut metered = Metered { refused: None, allowance: self.allowance, rate: None, quota: None };
        if let Some(rate) = self.allowance.rate {
            let (left, wait) = self.take_rate(rate, now);
            metered.rate = Some(left);
            metered.refused = wait.map(|seconds| (Reason::RateLimited, seconds));
        }
        if let Some(quota) = self.allowance.quota {
            // What the rate refuses uses nothing up.
            let (left, full) = self.take_quota(quota, now, metered.refused.is_none());
            metered.quota = Some(left);
            if full && metered.refused.is_none() {
                metered.refused = Some((Reason::QuotaExceeded, left.full_in.max(1)));
            }
        }
        metered
    }

    /// What is left of a rate after this use; and after how many seconds another one is allowed, where this one is not.
    fn take_rate(&self, rate: Rate, now: Time) -> (Remaining, Option<u32>) {
        const NANOS: i64 = 1_000;
        const SECOND_NANOS: i64 = SECOND * NANOS;
        let now = now.0.saturating_mul(NANOS);
        let each = (rate.per.length() * NANOS / i64::from(rate.requests.max(1))).max(1);
        let most = each.saturating_mul(i64::from(rate.burst.max(1)));
        let next = |made_good: i64| made_good.max(now).saturating_add(each);
        let taken = self.made_good.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made_good| {
            Some(next(made_good)).filter(|next| next - now <= most)
        });
        let (made_good, wait) = match taken {
            Ok(before) => (next(before), None),
            Err(before) => (before, Some(seconds(next(before) - now - most, SECOND_NANOS).max(1))),
        };
        let owed = (made_good - now).max(0);
        let requests = u32::try_from((most - owed).max(0) / each).unwrap_or(u32::MAX);
        (Remaining { requests, full_in: seconds(owed, SECOND_NANOS) }, wait)
    }

    /// What is left of a quota after this use, and whether that was too much.
    fn take_quota(&self, quota: Quota, now: Time, takes: bool) -> (Remaining, bool) {
        let (window, full_in) = window(quota.refill, now);
        let used_in = |packed: u64| if packed >> 32 == u64::from(window) { packed as u32 } else { 0 };
        let more = |packed: u64| u64::from(window) << 32 | u64::from(used_in(packed).saturating_add(1));
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            (takes && used_in(packed) < quota.requests).then(|| more(packed))
        });
        let used = match taken {
            Ok(before) => {
                // It always has room: fewer than were used in all.
                let _ = self.untold.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| Some(more(packed)));
                used_in(before) + 1
            }
            Err(before) => used_in(before),
        };
        (Remaining { requests: quota.requests.saturating_sub(used), full_in }, taken.is_err() && takes)
    }

    /// The window of its quota in which a moment lies; `None` without one.
    #[must_use]
    pub fn window_at(&self, now: Time) -> Option<u32> {
        self.allowance.quota.map(|quota| window(quota.refill, now).0)
    }

    /// What is to be told to others: the window, and how much was used in it since this was last asked.
    pub fn take_untold(&self) -> Option<(u32, u32)> {
        let packed = self.untold.fetch_and(!0 << 32, Ordering::Relaxed);
        (packed as u32 > 0).then_some(((packed >> 32) as u32, packed as u32))
    }

    /// What could not be told is told later.
    pub fn put_back(&self, window: u32, used: u32) {
        let _ = self.untold.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            (packed >> 32 == u64::from(window)).then(|| packed.saturating_add(u64::from(used)))
        });
    }

    /// All nodes together have used so much in a window, without what this one has not told yet.
    pub fn heard(&self, window: u32, used: u32) {
        let untold = self.untold.load(Ordering::Relaxed);
        let own = if untold >> 32 == u64::from(window) { untold as u32 } else { 0 };
        let all = u64::from(window) << 32 | u64::from(used.saturating_add(own));
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            // A window goes forward, and what was used in one does not become less.
            (packed < all).then_some(all)
        });
    }
}

/// Whole seconds, rounded up.
fn seconds(nanos: i64, second: i64) -> u32 {
    u32::try_from(nanos.max(0).saturating_add(second - 1) / second).unwrap_or(u32::MAX)
}

/// The number of the window in which a moment lies, and in how many seconds it ends.
fn window(refill: Refill, now: Time) -> (u32, u32) {
    let until_seconds = |end: i64| u32::try_from((end - now.0 + SECOND - 1) / SECOND).unwrap_or(u32::MAX);
    let day = now.0.div_euclid(DAY);
    match refill {
        Refill::Day => (u32::try_from(day).unwrap_or(0), until_seconds((day + 1) * DAY)),
        Refill::Month => {
            let Some(at) = DateTime::from_timestamp_micros(now.0) else { return (0, u32::MAX) };
            let month = u32::try_from(at.year()).unwrap_or(0) * 12 + at.month0();
            let first = at.date_naive().with_day(1).and_then(|day| day.checked_add_months(Months::new(1)));
            let end = first.and_then(|day| day.and_hms_opt(0, 0, 0)).map(|at| at.and_utc().timestamp_micros());
            (month, end.map_or(u32::MAX, until_seconds))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    fn rate(requests: u32, per: Period, burst: u32) -> Meter {
        Meter::new(Allowance { rate: Some(Rate { requests, per, burst }), quota: None })
    }

    #[test]
    fn a_rate_allows_a_burst_and_then_one_after_the_other() {
        let meter = rate(60, Period::Minute, 3);
        let begin = at("2026-11-24T12:00:00Z");
        let left: Vec<_> = (0..3).map(|_| meter.take(begin).rate.unwrap().requests).collect();
        assert_eq!(left, [2, 1, 0]);
        assert_eq!(meter.take(begin).refused, Some((Reason::RateLimited, 1)));
        assert_eq!(meter.take(begin.plus(SECOND - 1)).refused, Some((Reason::RateLimited, 1)));
        assert_eq!(meter.take(begin.plus(SECOND)).refused, None);
        assert_eq!(meter.take(begin.plus(SECOND)).refused, Some((Reason::RateLimited, 1)));
        // After a pause there is a burst again, and no more than one.
        let later = begin.plus(HOUR);
        assert_eq!((0..10).filter(|_| meter.take(later).refused.is_none()).count(), 3);
    }

    #[test]
    fn in_the_long_run_a_rate_is_what_it_says() {
        for (requests, per) in [(7, Period::Second), (100, Period::Minute), (5_000, Period::Hour)] {
            let meter = rate(requests, per, 1);
            let begin = at("2026-11-24T12:00:00Z");
            let steps = 10_000;
            let allowed = (0..steps).filter(|n| meter.take(begin.plus(per.length() * n / steps)).refused.is_none());
            let allowed = u32::try_from(allowed.count()).unwrap();
            assert!(allowed <= requests && allowed * 10 >= requests * 5, "{allowed} of {requests}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let meter = rate(1, Period::Hour, 1);
        let begin = at("2026-11-24T12:00:00Z");
        assert_eq!(meter.take(begin).refused, None);
        assert!(meter.take(begin.plus(-DAY)).refused.is_some());
    }

    #[test]
    fn a_moment_lies_in_the_window_in_which_a_use_then_counts() {
        for (refill, now) in [(Refill::Day, "2026-11-24T23:59:59Z"), (Refill::Month, "2027-01-31T23:59:59Z")] {
            let meter = Meter::new(Allowance { rate: None, quota: Some(Quota { requests: 2, refill }) });
            meter.take(at(now));
            let window = meter.window_at(at(now)).unwrap();
            assert_eq!(meter.take_untold(), Some((window, 1)), "{refill}");
            assert_eq!(meter.window_at(at(now).plus(SECOND)), Some(window + 1), "{refill}");
        }
        assert_eq!(rate(1, Period::Hour, 1).window_at(at("2026-11-24T12:00:00Z")), None);
    }

    #[test]
    fn a_quota_is_full_again_when_its_window_begins() {
        let quota = |refill| Meter::new(Allowance { rate: None, quota: Some(Quota { requests: 2, refill }) });
        for (refill, last, next) in [
            (Refill::Day, "2026-11-24T23:59:59Z", "2026-11-25T00:00:00Z"),
            (Refill::Month, "2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z"),
            (Refill::Month, "2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z"),
            (Refill::Month, "2027-01-31T23:59:59Z", "2027-02-01T00:00:00Z"),
            (Refill::Month, "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ] {
            let meter = quota(refill);
            let left = |at| meter.take(at).quota.unwrap();
            assert_eq!(left(at(last)), Remaining { requests: 1, full_in: 1 }, "{last}");
            assert_eq!(meter.take(at(last)).refused, None);
            assert_eq!(meter.take(at(last)).refused, Some((Reason::QuotaExceeded, 1)));
            assert_eq!(meter.take(at(next)).refused, None, "{next}");
        }
        let early = quota(Refill::Month).take(at("2026-11-01T00:00:00Z")).quota.unwrap();
        assert_eq!(early.full_in, 30 * 86_400);
    }

    #[test]
    fn nodes_tell_each_other_what_was_used() {
        let quota = || Meter::new(Allowance { rate: None, quota: Some(Quota { requests: 10, refill: Refill::Day }) });
        let (here, there, now) = (quota(), quota(), at("2026-11-24T12:00:00Z"));
        (0..4).for_each(|_| assert_eq!(here.take(now).refused, None));
        let (window, used) = here.take_untold().unwrap();
        assert_eq!((used, here.take_untold()), (4, None));
        (0..5).for_each(|_| assert_eq!(there.take(now).refused, None));
        // The database knows of the four; the five are still to be told.
        there.heard(window, 4);
        assert_eq!(there.take(now).refused, None);
        assert!(there.take(now).refused.is_some());
        assert_eq!(there.take_untold(), Some((window, 6)));
        here.heard(window, 10);
        assert!(here.take(now).refused.is_some());
        here.put_back(window, 3);
        assert_eq!(here.take_untold(), Some((window, 3)));
    }

    #[test]
    fn at_once_from_many_threads_no_more_than_allowed() {
        let meter = Meter::new(Allowance {
            rate: Some(Rate { requests: 1, per: Period::Hour, burst: 500 }),
            quota: Some(Quota { requests: 300, refill: Refill::Day }),
        });
        let now = at("2026-11-24T12:00:00Z");
        let allowed: usize = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..200).filter(|_| meter.take(now).refused.is_none()).count()))
                .collect();
            all.into_iter().map(|it| it.join().unwrap()).sum()
        });
        assert_eq!(allowed, 300);
    }
}
