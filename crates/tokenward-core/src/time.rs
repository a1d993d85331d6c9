//! Time: UTC in whole microseconds, the finest unit that both databases keep.

use std::fmt;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the current time comes from. Tests set it by hand; everything else uses the system's.
pub trait Clock: Send + Sync + 'static {
    /// The current time. Never earlier than an earlier answer of the same clock.
    fn now(&self) -> Time;

    /// The current time or a few milliseconds before it, where that is cheaper; and never earlier than an earlier answer
    /// either.
    fn recent(&self) -> Time {
        self.now()
    }

    /// What this machine's clock says by itself, whatever anybody else has said: it may run backwards.
    fn own(&self) -> Time {
        self.now()
    }

    /// The time to go by for what several machines write, where they all know what time it is at `place`: that one. A clock
    /// that somebody sets by hand gives way to nobody.
    fn shared(&self, place: Time) -> Time {
        let _ = place;
        self.now()
    }

    /// It is at least this time: somebody who writes to the same log has said so. A clock that was set back revives nothing that
    /// had ended; one that somebody sets by hand gives way to nobody.
    fn not_before(&self, at: Time) {
        let _ = at;
    }

    /// Microseconds since some moment before the process began, which nobody can set: they pass at the same pace, and go
    /// on while the machine sleeps.
    fn steady(&self) -> Micros {
        self.now().0
    }
}

/// A moment: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Written as RFC 3339 with six decimals and `Z` wherever a person or a client sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Time(pub i64);

/// A length of time in microseconds.
pub type Micros = i64;

/// One second, in microseconds.
pub const SECOND: Micros = 1_000_000;
/// One minute, in microseconds.
pub const MINUTE: Micros = 60 * SECOND;
/// One hour, in microseconds.
pub const HOUR: Micros = 60 * MINUTE;
/// One day, in microseconds.
pub const DAY: Micros = 24 * HOUR;

/// Reads a length such as `90s`, `30m`, `24h`, `7d`, `6w`, `1y` (365 days) or `0`: a whole number and its unit. At most a
/// hundred years; `None` for everything else.
#[must_use]
pub fn length(text: &str) -> Option<Micros> {
    if text == "0" {
        return Some(0);
    }
    let unit = match text.as_bytes().last()? {
        b's' => SECOND,
        b'm' => MINUTE,
        b'h' => HOUR,
        b'd' => DAY,
        b'w' => 7 * DAY,
        b'y' => 365 * DAY,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok()?.checked_mul(unit).filter(|length| *length <= 36_525 * DAY)
}

/// A length as [`length`] reads it, in the largest unit that fits.
#[must_use]
pub fn length_text(length: Micros) -> String {
    let units = [(7 * DAY, "w"), (DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
    if length == 0 {
        return "0".to_owned();
    }
    let fits = units.into_iter().find(|(unit, _)| length >= *unit && length % unit == 0);
    fits.map_or_else(|| format!("{}s", length / SECOND), |(unit, letter)| format!("{}{letter}", length / unit))
}

/// What a date stands for that somebody has written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Day {
    /// Its first moment: it is the first day.
    Begins,
    /// The first moment after it: it is the last day.
    Ends,
}

impl Day {
    /// The moment that the date stands for which begins then.
    #[must_use]
    pub fn moment(self, begin: Time) -> Time {
        if self == Self::Ends { begin.plus(DAY) } else { begin }
    }
}

impl Time {
    /// This moment plus `micros`; saturates at the ends of the range.
    #[must_use]
    pub fn plus(self, micros: Micros) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Whole milliseconds since another moment; none before it.
    #[must_use]
    pub fn milliseconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0).max(0).unsigned_abs() / 1_000
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// Reads RFC 3339; what is finer than a microsecond is cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|at| Self(at.timestamp_micros()))
    }

    /// Reads what the clients of the contract send as a time in a query: RFC 3339, or a whole
    /// number of seconds, milliseconds, microseconds or nanoseconds, told apart by magnitude.
    ///
    /// 10^11 seconds lie in the year 5138, 10^11 milliseconds in 1973: one unit cannot be taken for another
    /// between those years.
    #[must_use]
    pub fn parse_query(text: &str) -> Option<Self> {
        let Some(number) = whole_number(text) else { return Self::parse(text) };
        Some(Self(match number.unsigned_abs() {
            0..100_000_000_000 => number * SECOND,
            100_000_000_000..100_000_000_000_000 => number * 1_000,
            100_000_000_000_000..100_000_000_000_000_000 => number,
            _ => number / 1_000,
        }))
    }
}

/// A number as programs write one, without a sign that says nothing.
fn whole_number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

impl Time {
    /// The last moment of the unit that a client has written: a second as such means all of that second. `None` for a text
    /// that [`Time::parse_query`] cannot read.
    #[must_use]
    pub fn parse_query_end(text: &str) -> Option<Self> {
        let begin = Self::parse_query(text)?;
        let unit = match whole_number(text) {
            Some(number) => match number.unsigned_abs() {
                0..100_000_000_000 => SECOND,
                100_000_000_000..100_000_000_000_000 => 1_000,
                _ => 1,
            },
            // What stands behind the point, up to the zone.
            None => {
                let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
                let digits = fraction.chars().take_while(char::is_ascii_digit).count();
                SECOND / 10_i64.pow(u32::try_from(digits.min(6)).unwrap_or(6))
            }
        };
        Some(begin.plus(unit - 1))
    }
}

/// From microseconds, as the databases keep them.
impl From<i64> for Time {
    fn from(micros: i64) -> Self {
        Self(micros)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is not a date-time; write it as 2027-01-31T12:00:00Z"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_and_written_in_the_largest_unit_that_fits() {
        for (text, length, written) in [
            ("0", 0, "0"),
            ("90s", 90 * SECOND, "90s"),
            ("120m", 2 * HOUR, "2h"),
            ("24h", DAY, "1d"),
            ("14d", 14 * DAY, "2w"),
            ("1y", 365 * DAY, "365d"),
            ("36525d", 36_525 * DAY, "36525d"),
        ] {
            assert_eq!((super::length(text), length_text(length)), (Some(length), written.to_owned()), "{text}");
        }
        for bad in ["", "h", "1", "-1h", "+1h", "1.5h", "1 h", "36526d", "999999999999999999h", "1H", "٣d"] {
            assert_eq!(super::length(bad), None, "{bad}");
        }
    }

    #[test]
    fn text_keeps_microseconds() {
        let at = Time(1_795_562_400_123_456);
        assert_eq!(at.to_string(), "2026-11-24T23:20:00.123456Z");
        assert_eq!(Time::parse(&at.to_string()), Some(at));
    }

    #[test]
    fn a_query_tells_the_unit_by_magnitude() {
        let at = Some(Time(1_795_562_400_000_000));
        for text in
            ["1795562400", "1795562400000", "1795562400000000", "1795562400000000000", "2026-11-25T00:20:00+01:00"]
        {
            assert_eq!(Time::parse_query(text), at, "{text}");
        }
        for bad in
            ["yesterday", "", "+1795562400", "1795562400.5", "1e9", " 1795562400", "2026-11-25", "99999999999999999999"]
        {
            assert_eq!(Time::parse_query(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_end_of_what_is_written_is_the_end_of_its_unit() {
        for (text, end) in [
            ("1795562400", 1_795_562_400_999_999),
            ("1795562400000", 1_795_562_400_000_999),
            ("1795562400000000", 1_795_562_400_000_000),
            ("1795562400000000999", 1_795_562_400_000_000),
            ("2026-11-24T23:20:00Z", 1_795_562_400_999_999),
            ("2026-11-24T23:20:00.0Z", 1_795_562_400_099_999),
            ("2026-11-24T23:20:00.000Z", 1_795_562_400_000_999),
            ("2026-11-24T23:20:00.000000000Z", 1_795_562_400_000_000),
        ] {
            assert_eq!(Time::parse_query_end(text), Some(Time(end)), "{text}");
        }
    }
}
