//! Times as people read them.

use chrono::DateTime;
use tokenward_core::time::{DAY, HOUR, MINUTE, SECOND, Time};

/// A moment, ready to be shown: exact for machines, in UTC for people, and how far from now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moment {
    /// RFC 3339, for `<time datetime>`.
    pub iso: String,
    /// `24 Nov 2026`.
    pub date: String,
    /// `24 Nov 2026, 23:20 UTC`.
    pub full: String,
    /// `2 min ago`, `in 6 days`.
    pub relative: String,
}

impl Moment {
    /// `at`, seen from `now`.
    #[must_use]
    pub fn new(at: Time, now: Time) -> Self {
        let format = |pattern| match DateTime::from_timestamp_micros(at.0) {
            Some(date) => date.format(pattern).to_string(),
            None => at.to_string(),
        };
        Self {
            iso: at.to_string(),
            date: format("%-d %b %Y"),
            full: format("%-d %b %Y, %H:%M UTC"),
            relative: relative(at, now),
        }
    }

    /// `2 min ago (24 Nov 2026, 23:20 UTC)`, for a sentence.
    #[must_use]
    pub fn both(&self) -> String {
        format!("{} ({})", self.relative, self.full)
    }
}

/// How far `at` is from `now`, in the one unit that matters. Rounded down: "1 day left" is never less than a day.
fn relative(at: Time, now: Time) -> String {
    let distance = at.0.saturating_sub(now.0);
    let (amount, one, many) = match distance.saturating_abs() {
        d if d < 45 * SECOND => return "just now".into(),
        d if d < HOUR => (d.max(MINUTE) / MINUTE, "min", "min"),
        d if d < DAY => (d / HOUR, "h", "h"),
        d if d < 60 * DAY => (d / DAY, "day", "days"),
        d if d < 730 * DAY => (d / (30 * DAY), "month", "months"),
        d => (d / (365 * DAY), "year", "years"),
    };
    let unit = if amount == 1 { one } else { many };
    if distance < 0 { format!("{amount} {unit} ago") } else { format!("in {amount} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_exact_for_machines_and_short_for_people() {
        let at = Time(1_795_562_400_123_456);
        let moment = Moment::new(at, at.plus(2 * MINUTE));
        assert_eq!(moment.iso, "2026-11-24T23:20:00.123456Z");
        assert_eq!(moment.date, "24 Nov 2026");
        assert_eq!(moment.full, "24 Nov 2026, 23:20 UTC");
        assert_eq!(moment.relative, "2 min ago");
        assert_eq!(moment.both(), "2 min ago (24 Nov 2026, 23:20 UTC)");
    }

    #[test]
    fn the_distance_is_told_in_one_unit() {
        let now = Time(1_795_562_400_000_000);
        for (micros, text) in [
            (0, "just now"),
            (-44 * SECOND, "just now"),
            (-50 * SECOND, "1 min ago"),
            (-59 * MINUTE, "59 min ago"),
            (-HOUR, "1 h ago"),
            (-23 * HOUR, "23 h ago"),
            (-DAY, "1 day ago"),
            (-59 * DAY, "59 days ago"),
            (-97 * DAY, "3 months ago"),
            (-800 * DAY, "2 years ago"),
            (6 * DAY + HOUR, "in 6 days"),
            (5 * MINUTE, "in 5 min"),
        ] {
            assert_eq!(Moment::new(now.plus(micros), now).relative, text);
        }
        assert!(!Moment::new(Time(i64::MAX), now).full.is_empty());
    }
}
