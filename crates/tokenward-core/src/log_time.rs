//! What time it is for those who write to one log.

use crate::time::{MINUTE, Micros, Time};

/// How far a database's clock may be ahead of all that can be compared with it, and is still believed.
pub const BELIEVED: Micros = 5 * MINUTE;

/// What time it is for those who write to one log, where the database's clock says `database`, the newest event `log` and this
/// node's own clock `own`.
///
/// It is the database's: one node's wrong clock moves nothing. But what is written with a time counts for ever, ends of tokens
/// among it, and no clock that is put right later gives them back. So a database that is minutes ahead of the log and of this
/// node as well is not believed, unless it is seen that the node is the one that is behind: the log is minutes ahead of it. Then
/// what the database itself has said before stands for the node's clock: `watched`, which is that and what has passed since by
/// a clock that nobody can set. Only a node that is behind and has just begun has nothing to compare it with.
#[must_use]
pub const fn time_of_log(database: Time, log: Time, own: Time, watched: Option<Time>) -> LogTime {
    let said = later(database, log);
    let (known, is_watched) = match watched {
        Some(watched) => (later(later(own, log), watched), true),
        None => (later(own, log), false),
    };
    let node_is_behind = log.0.saturating_sub(own.0) > BELIEVED && !is_watched;
    if database.0.saturating_sub(known.0) > BELIEVED && !node_is_behind {
        return LogTime { now: known, said, ahead: Some(database.0.saturating_sub(known.0)) };
    }
    LogTime { now: said, said, ahead: None }
}

/// The time of those who write to a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogTime {
    /// What is written, and what decides.
    pub now: Time,
    /// The latest that anybody says it is: for what must not be undone by somebody whose clock is behind.
    pub said: Time,
    /// How far the database's clock is ahead that is not believed.
    pub ahead: Option<Micros>,
}

const fn later(one: Time, other: Time) -> Time {
    if one.0 < other.0 { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY;

    #[test]
    fn a_database_clock_far_ahead_is_not_believed_and_a_node_that_is_behind_moves_nothing() {
        let now = |database: i64, log: i64, own: i64| {
            let time = time_of_log(Time(database), Time(log), Time(own), None);
            (time.now.0, time.ahead)
        };
        let year = 365 * DAY;
        assert_eq!(now(10, 5, 3), (10, None), "it is the database's");
        assert_eq!(now(5, 10, 3), (10, None), "and never earlier than the log");
        assert_eq!(now(5, 3, 10), (5, None), "a node that is ahead moves nothing");
        assert_eq!(now(BELIEVED + 10, 10, 5), (BELIEVED + 10, None));
        assert_eq!(now(BELIEVED + 11, 10, 5), (10, Some(BELIEVED + 1)));
        assert_eq!(now(year, 0, 7), (7, Some(year - 7)));
        assert_eq!(now(2 * year, year, 0), (2 * year, None), "the node is a year behind, as the log shows");
        let time = time_of_log(Time(year), Time(3), Time(7), None);
        assert_eq!((time.now, time.said), (Time(7), Time(year)), "what somebody says is known all the same");
    }

    #[test]
    fn a_node_that_is_behind_believes_no_database_whose_clock_steps_while_it_watches() {
        let (year, behind) = (365 * DAY, Time(0));
        let log = Time(year);
        let now = |database: i64, watched: i64| {
            let time = time_of_log(Time(database), log, behind, Some(Time(watched)));
            (time.now.0, time.ahead)
        };
        assert_eq!(now(year + DAY, year + DAY), (year + DAY, None), "the log is quiet, and a day has passed");
        assert_eq!(now(2 * year, year + DAY), (year + DAY, Some(year - DAY)), "it stepped");
        assert_eq!(now(year + 7, year + 9), (year + 7, None), "it is the database's all the same");
        // A node whose clock is right knows better than what was watched: a database that was behind is put right.
        let time = time_of_log(Time(2 * year), log, Time(2 * year - 1), Some(Time(year)));
        assert_eq!((time.now, time.ahead), (Time(2 * year), None));
    }
}
