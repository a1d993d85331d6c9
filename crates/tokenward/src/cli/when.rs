//! Moments as people type them. An error completes what clap begins: the value, and the option it was given to.

use chrono::NaiveDate;
use tokenward_core::time::{self, Day, Micros};
use tokenward_core::{Clock, Time};

use tokenward_verify::server::clock::SystemClock;

/// A moment that lies ahead, as clap reads it: of a date its first one.
pub fn ahead_argument(text: &str) -> Result<Time, String> {
    ahead(text, Day::Begins, &SystemClock::default())
}

/// A moment that is looked for among ends, as clap reads it: a length lies ahead, a date may be over.
pub fn end_bound_argument(text: &str) -> Result<Time, String> {
    match length(text) {
        Some(length) => Ok(SystemClock::default().now().plus(length?)),
        None => absolute(text, Day::Begins).ok_or_else(|| NO_MOMENT.to_owned()),
    }
}

/// The last moment of something, as clap reads it: a date is in it.
pub fn last_argument(text: &str) -> Result<Time, String> {
    ahead(text, Day::Ends, &SystemClock::default())
}

/// An end as clap reads it where there may be one already: `never` takes it away. A date is the last day.
pub fn end_argument(text: &str) -> Result<End, String> {
    match text {
        "never" => Ok(End(None)),
        text => last_argument(text).map(|at| End(Some(at))),
    }
}

/// An end that is the same whenever it is read: a date, which is the last day, or a date-time.
pub fn fixed_end(text: &str) -> Option<Time> {
    absolute(text, Day::Ends)
}

/// A beginning that is the same whenever it is read: a date, of which it is the first moment, or a date-time.
pub fn fixed_begin(text: &str) -> Option<Time> {
    absolute(text, Day::Begins)
}

/// When something ends from now on; `None` is never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End(pub Option<Time>);

/// When something begins, as clap reads it where there may be such a moment already: `now` takes it away.
pub fn begin_argument(text: &str) -> Result<Begin, String> {
    match text {
        "now" => Ok(Begin(None)),
        text => ahead_argument(text).map(|at| Begin(Some(at))),
    }
}

/// When something begins from now on; `None` is at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begin(pub Option<Time>);

/// The beginning of a period as clap reads it.
pub fn since_argument(text: &str) -> Result<Time, String> {
    since(text, &SystemClock::default())
}

/// The end of a period as clap reads it.
pub fn until_argument(text: &str) -> Result<Until, String> {
    match length(text) {
        Some(length) => length.map(Until::Length),
        None => match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            // The whole day.
            Ok(_) => {
                let end = absolute(text, Day::Ends).map(|end| Until::At(end.plus(-1)));
                end.ok_or_else(|| NO_MOMENT.to_owned())
            }
            Err(_) => absolute(text, Day::Ends).map(Until::At).ok_or_else(|| NO_MOMENT.to_owned()),
        },
    }
}

/// The end of a period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// So long ago, or from now on.
    Length(Micros),
    /// Then.
    At(Time),
}

impl Until {
    /// When it is: a length reaches ahead where something goes on, and back where it is looked up.
    pub fn at(self, now: Time, ahead: bool) -> Time {
        match self {
            Self::Length(length) => now.plus(if ahead { length } else { -length }),
            Self::At(at) => at,
        }
    }
}

/// A moment that lies ahead: `90d` from now, a date, or a date-time.
fn ahead(text: &str, day: Day, clock: &dyn Clock) -> Result<Time, String> {
    let now = clock.now();
    let at = match length(text) {
        Some(length) => now.plus(length?),
        None => absolute(text, day).ok_or(
            "write a length such as 12h, 90d, 6w or 1y, a date such as 2027-01-31, \
             or a date-time such as 2027-01-31T12:00:00Z",
        )?,
    };
    if at > now { Ok(at) } else { Err("it is not in the future".to_owned()) }
}

const NO_MOMENT: &str =
    "write a length such as 24h or 7d, a date such as 2027-01-31, or a date-time such as 2027-01-31T12:00:00Z";

/// The beginning of a period that ends now: `24h` ago, a date, or a date-time.
fn since(text: &str, clock: &dyn Clock) -> Result<Time, String> {
    match length(text) {
        Some(length) => Ok(clock.now().plus(-length?)),
        None => absolute(text, Day::Begins).ok_or_else(|| NO_MOMENT.to_owned()),
    }
}

/// A length of time as clap reads it.
pub fn length_argument(text: &str) -> Result<Micros, String> {
    time::length(text).ok_or_else(|| "write a length such as 24h, 30m or 7d, or 0".to_owned())
}

/// `None` when the text is no length at all. Minutes are left out: `m` could be months.
fn length(text: &str) -> Option<Result<Micros, String>> {
    let digits = text.strip_suffix(['h', 'd', 'w', 'y'])?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(time::length(text).ok_or_else(|| "it is more than a hundred years".to_owned()))
}

fn absolute(text: &str, day: Day) -> Option<Time> {
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let begin = Time(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros());
        return Some(day.moment(begin));
    }
    Time::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24T12:00:00Z.
    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Time {
            Time::parse("2026-11-24T12:00:00Z").unwrap()
        }
    }

    #[test]
    fn what_lies_ahead_is_a_length_a_date_or_a_moment() {
        for (text, at) in [
            ("12h", "2026-11-25T00:00:00.000000Z"),
            ("90d", "2027-02-22T12:00:00.000000Z"),
            ("2w", "2026-12-08T12:00:00.000000Z"),
            ("1y", "2027-11-24T12:00:00.000000Z"),
            ("2027-01-31T12:00:00+02:00", "2027-01-31T10:00:00.000000Z"),
        ] {
            for day in [Day::Begins, Day::Ends] {
                assert_eq!(ahead(text, day, &Noon).map(|at| at.to_string()), Ok(at.to_owned()), "{text}");
            }
        }
        let of_day = |text: &str, day| ahead(text, day, &Noon).map(|at| at.to_string());
        assert_eq!(of_day("2027-01-31", Day::Begins), Ok("2027-01-31T00:00:00.000000Z".to_owned()));
        // As in the console: the day is in it.
        assert_eq!(of_day("2027-01-31", Day::Ends), Ok("2027-02-01T00:00:00.000000Z".to_owned()));
        assert_eq!(of_day("2026-11-24", Day::Ends), Ok("2026-11-25T00:00:00.000000Z".to_owned()), "today");
        assert!(of_day("2026-11-24", Day::Begins).is_err());
        assert_eq!(fixed_end("2027-01-31").map(|at| at.to_string()).as_deref(), Some("2027-02-01T00:00:00.000000Z"));
        assert_eq!(fixed_end("90d"), None);
    }

    #[test]
    fn anything_else_is_no_moment_ahead() {
        let bad = ["", "d", "90", "90m", "-1d", "+1d", "1.5d", "٣d", "2027-02-30", "tomorrow", "9999999999999999d"];
        for text in bad.into_iter().chain(["0d", "2026-11-23", "2020-01-01", "2026-11-24T12:00:00Z", "999y"]) {
            for day in [Day::Begins, Day::Ends] {
                assert!(ahead(text, day, &Noon).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn a_period_ends_with_a_day_or_a_moment() {
        let at = |text: &str, ahead| until_argument(text).map(|until| until.at(Noon.now(), ahead).to_string());
        assert_eq!(at("24h", false), Ok("2026-11-23T12:00:00.000000Z".to_owned()));
        assert_eq!(at("24h", true), Ok("2026-11-25T12:00:00.000000Z".to_owned()));
        assert_eq!(at("2027-01-31", false), Ok("2027-01-31T23:59:59.999999Z".to_owned()));
        assert_eq!(at("2027-01-31T12:00:00Z", true), Ok("2027-01-31T12:00:00.000000Z".to_owned()));
        assert!(until_argument("soon").is_err());
    }

    #[test]
    fn a_period_reaches_back() {
        assert_eq!(since("24h", &Noon).map(|at| at.to_string()), Ok("2026-11-23T12:00:00.000000Z".to_owned()));
        assert!(since("yesterday", &Noon).is_err());
    }
}
