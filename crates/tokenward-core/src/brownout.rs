//! A token that is refused for short times, to learn who would miss it: a pure function of the time, so that every node agrees
//! without a write.

use std::num::NonZeroU8;

use crate::time::{MINUTE, Micros, Time};

/// In which minutes a token is refused. Few bytes, since it goes with each decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Brownout {
    /// When the first window begins, in minutes since 1970.
    from: u32,
    /// From when on there is none.
    until: u32,
    /// From the beginning of one window to that of the next.
    every: u16,
    /// How long each is.
    length: NonZeroU8,
}

/// The minute in which a moment lies.
fn minute(at: Time) -> u32 {
    u32::try_from(at.0.div_euclid(MINUTE)).unwrap_or(if at.0 < 0 { 0 } else { u32::MAX })
}

fn moment(minute: u32) -> Time {
    Time(i64::from(minute) * MINUTE)
}

impl Brownout {
    /// Windows of so many minutes, the first from `from` on, one each time that `every` has passed, until `until`. All of it counts
    /// in whole minutes: what lies within one is put off to the next. `None` where there would be no window, or nothing beside it.
    #[must_use]
    pub fn new(from: Time, until: Time, every: Micros, length: u8) -> Option<Self> {
        let up = |at: Time| minute(at.plus(MINUTE - 1));
        let it = Self {
            from: up(from),
            until: up(until),
            every: u16::try_from(every / MINUTE).ok()?,
            length: NonZeroU8::new(length)?,
        };
        (it.from < it.until && it.every > u16::from(length)).then_some(it)
    }

    /// When the first window begins.
    #[must_use]
    pub fn from(&self) -> Time {
        moment(self.from)
    }

    /// From when on there is none.
    #[must_use]
    pub fn until(&self) -> Time {
        moment(self.until)
    }

    /// From the beginning of one window to that of the next.
    #[must_use]
    pub fn every(&self) -> Micros {
        i64::from(self.every) * MINUTE
    }

    /// How many minutes each is long.
    #[must_use]
    pub fn minutes(&self) -> u8 {
        self.length.get()
    }

    /// Is the token refused at this moment?
    #[must_use]
    pub fn refuses(&self, now: Time) -> bool {
        let now = minute(now);
        (self.from..self.until).contains(&now)
            && (now - self.from) % u32::from(self.every) < u32::from(self.length.get())
    }

    /// When the next window begins, after this moment.
    #[must_use]
    pub fn next(&self, now: Time) -> Option<Time> {
        let now = minute(now);
        let next = match now.checked_sub(self.from) {
            None => self.from,
            Some(since) => self.from + (since / u32::from(self.every) + 1) * u32::from(self.every),
        };
        (next < self.until).then(|| moment(next))
    }

    /// Will it never refuse again?
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        minute(now) >= self.until
    }

    /// The text that is kept of it.
    #[must_use]
    pub fn kept(&self) -> String {
        format!("{} {} {} {}", self.from, self.until, self.every, self.length)
    }

    /// Reads that. What cannot be read refuses in nearly every minute: nothing is allowed by what nobody understands.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let numbers: Option<Vec<u32>> = text.split(' ').map(|number| number.parse().ok()).collect();
        let read = match numbers.as_deref() {
            Some([from, until, every, length]) if from < until => (|| {
                let (every, length) = (u16::try_from(*every).ok()?, u8::try_from(*length).ok()?);
                let length = NonZeroU8::new(length).filter(|length| every > u16::from(length.get()))?;
                Some(Self { from: *from, until: *until, every, length })
            })(),
            _ => None,
        };
        read.unwrap_or(Self { from: 0, until: u32::MAX, every: u16::MAX, length: NonZeroU8::MAX })
    }
}

const _: () = assert!(size_of::<Option<Brownout>>() == 12, "it goes with each decision");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::{DAY, HOUR};

    const NOON: Time = Time(20_000 * DAY + 12 * HOUR);

    #[test]
    fn five_minutes_each_hour() {
        let it = Brownout::new(NOON.plus(HOUR), NOON.plus(3 * HOUR), HOUR, 5).unwrap();
        assert!(!it.refuses(NOON) && it.next(NOON) == Some(NOON.plus(HOUR)));
        for hour in [1, 2] {
            let begin = NOON.plus(hour * HOUR);
            assert!(!it.refuses(begin.plus(-1)) && it.refuses(begin));
            assert!(it.refuses(begin.plus(5 * MINUTE - 1)) && !it.refuses(begin.plus(5 * MINUTE)));
        }
        assert_eq!(it.next(NOON.plus(HOUR)), Some(NOON.plus(2 * HOUR)));
        assert_eq!(it.next(NOON.plus(2 * HOUR)), None, "that one would begin when it is over");
        assert!(!it.refuses(NOON.plus(3 * HOUR)) && it.is_over(NOON.plus(3 * HOUR)));
    }

    #[test]
    fn what_has_no_window_or_nothing_beside_it_is_none() {
        assert_eq!(Brownout::new(NOON, NOON, HOUR, 5), None);
        assert_eq!(Brownout::new(NOON, NOON.plus(DAY), 5 * MINUTE, 5), None);
        assert_eq!(Brownout::new(NOON, NOON.plus(DAY), HOUR, 0), None);
        assert_eq!(Brownout::new(NOON, NOON.plus(DAY), 100 * DAY, 5), None);
    }

    #[test]
    fn what_cannot_be_read_lets_nobody_in() {
        for text in ["", "1", "1 2 3", "5 4 60 5", "1 9 60 0", "1 9 5 5", "1 9 60 5 1", "x 9 60 5"] {
            assert!(Brownout::read(text).refuses(Time(100 * MINUTE)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_what_was_kept_and_next_is_the_first_minute_that_is_refused(
            from in 0i64..10_000, lasts in 1i64..5_000, every in 2i64..600, length in 1u8..60, now in 0i64..16_000,
        ) {
            let (from, now) = (Time(from * MINUTE), Time(now * MINUTE));
            let Some(it) = Brownout::new(from, from.plus(lasts * MINUTE), every * MINUTE, length) else { return Ok(()) };
            prop_assert_eq!(Brownout::read(&it.kept()), it);
            let begins = |at: &Time| it.refuses(*at) && (!it.refuses(at.plus(-MINUTE)) || *at == it.from());
            let next = (1..16_000).map(|n| now.plus(n * MINUTE)).find(begins);
            prop_assert_eq!(it.next(now), next);
        }
    }
}
