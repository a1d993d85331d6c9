//! How long a node may answer by what it knows, and from when on what was taken away is refused everywhere.
//!
//! These rules, and nothing else, decide it; the follower and the registry give them times and positions. Each node measures
//! by its own clock, which nobody can set and which counts the time in which the machine sleeps. No rule compares the clocks
//! of two machines.
//!
//! *M* is a node's bound: what was committed up to *M* ago is known to it, or it does not answer. The node itself stops at
//! `0.9 M` after it **sent** the request whose commit was its last sign of life; others count from when they first **saw**
//! that sign, which was later, and wait for `1.12 M`. So the owner of a row has stopped before its row is taken away, even
//! where the two clocks differ by 20 % in pace: `0.9 / 0.9 = 1.0 < 1.12 / 1.1 ≈ 1.018`.

use crate::time::Micros;

/// The smallest bound that can be promised: polls, and the limits on their steps, must fit into it several times.
pub const LEAST: Micros = 2 * crate::time::SECOND;

/// A moment before every other: nothing may be decided.
pub const NEVER: Micros = Micros::MIN;
/// A moment after every other: nobody but this process can change what it knows.
pub const ALWAYS: Micros = Micros::MAX;

/// How long a node decides after the moment up to which it knows everything.
#[must_use]
pub const fn answers_for(bound: Micros) -> Micros {
    bound / 10 * 9
}

/// How long a sign of life counts for those who see it.
#[must_use]
pub const fn counts_for(bound: Micros) -> Micros {
    bound / 100 * 112
}

/// Until when a node may decide that knows everything which was committed before `fresh`.
#[must_use]
pub const fn decides_until(fresh: Micros, bound: Micros) -> Micros {
    fresh.saturating_add(answers_for(bound))
}

/// May a node decide now that knows everything which was committed before `fresh`?
#[must_use]
pub const fn may_decide(now: Micros, fresh: Micros, bound: Micros) -> bool {
    now < decides_until(fresh, bound)
}

/// How old what a node knows is, which may decide until then. `None` where it knows nothing, or nobody else writes.
#[must_use]
pub const fn age(now: Micros, until: Micros, bound: Micros) -> Option<Micros> {
    match until {
        NEVER | ALWAYS => None,
        until => Some(now.saturating_sub(until.saturating_sub(answers_for(bound)))),
    }
}

/// Another node's row, as this one sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sign {
    /// How often the node has shown that it lives.
    pub counter: i64,
    /// When that was first seen, by the clock of who saw it.
    pub seen_since: Micros,
}

impl Sign {
    /// What is known after the row was read now: an unchanged counter is no new sign.
    #[must_use]
    pub const fn observe(before: Option<Self>, counter: i64, now: Micros) -> Self {
        match before {
            Some(sign) if sign.counter == counter => sign,
            _ => Self { counter, seen_since: now },
        }
    }
}

/// May the row of a node with this bound be deleted, since it has surely stopped?
#[must_use]
pub const fn may_delete(sign: Sign, bound: Micros, now: Micros) -> bool {
    now.saturating_sub(sign.seen_since) >= counts_for(bound)
}

/// Is the change at `position` effective wherever a node decides? `applied` are the positions of all rows there are, read at
/// once after the change was committed. A node whose row is not there has stopped, or has not begun and will load the change.
#[must_use]
pub fn effective(applied: impl IntoIterator<Item = i64>, position: i64) -> bool {
    applied.into_iter().all(|at| at >= position)
}

/// The same as one of the nodes says it, which knows of itself that it has applied and noted all up to `kept`. Where its row is the only
/// one, that counts, whatever the row tells by now: there was nobody else, and whoever begins after the rows were read loads the
/// change. Where there are others its row counts as theirs do: what is said here is what they say when they are asked.
#[must_use]
pub fn effective_for<N: PartialEq>(
    applied: impl IntoIterator<Item = (N, i64)>,
    own: Option<N>,
    kept: i64,
    position: i64,
) -> bool {
    let mut rows = applied.into_iter();
    let Some((first, at)) = rows.next() else { return true };
    let Some((_, second)) = rows.next() else {
        let kept = (own == Some(first)).then_some(kept);
        return !lacks(at, kept, position);
    };
    effective([at, second], position) && effective(rows.map(|(_, at)| at), position)
}

/// Is it not known of the node of a row that it has the change at `position`? Of itself a node knows it once it has noted all up to
/// `kept`, whether or not it has told that; of others it knows what they have told.
#[must_use]
pub fn lacks(at: i64, kept: Option<i64>, position: i64) -> bool {
    at < position && kept.is_none_or(|kept| kept < position)
}

/// Where a log is written, as far as the database tells: which server, which of its timelines, which table. A server that takes
/// over begins another timeline, with a higher number; a table that is put back is another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPlace<'p> {
    system: &'p str,
    timeline: u32,
    table: &'p str,
}

impl<'p> LogPlace<'p> {
    /// Reads it; `None` where it is none.
    #[must_use]
    pub fn parse(text: &'p str) -> Option<Self> {
        let mut parts = text.split('/');
        let (system, timeline, table) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { system, timeline: u32::from_str_radix(timeline, 16).ok()?, table })
    }

    /// Is it one that others have gone on from? Then nothing is learned or written there: whoever follows it sees a past that
    /// is over, or a second present.
    #[must_use]
    pub fn is_before(&self, seen: &Self) -> bool {
        self.system == seen.system && self.timeline < seen.timeline
    }
}

/// May be said that a change counts everywhere, since the log was last found at another place at `turned`? With events a
/// server that took over may have lost rows of nodes, which decide on: until the longest of their bounds is over, nobody
/// speaks for those that have no row. `bound` is the longest that is known. `turned` is when the place was known, and not when it
/// was asked: the other server may have taken over in between, and those that it forgot have shown until then that they live.
#[must_use]
pub const fn speaks_for_all(turned: Option<Micros>, bound: Micros, now: Micros) -> bool {
    match turned {
        Some(turned) => now.saturating_sub(turned) >= counts_for(bound),
        None => true,
    }
}

/// Is what a log holds that was found at another place at `turned` all that it will hold of what came before? Every server
/// tells it what it knows beyond it; one that does not come is waited for no longer than half of the bound.
#[must_use]
pub const fn settled(turned: Option<Micros>, all_told: bool, bound: Micros, now: Micros) -> bool {
    match turned {
        Some(turned) => all_told || now.saturating_sub(turned) >= bound / 2,
        None => true,
    }
}

/// What a log is to a node that has followed one up to `position`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// The same, or what came of it.
    Goes,
    /// One that does not reach so far: an older copy.
    Shorter,
    /// One that went another way.
    Differs,
}

/// Compares what a node has applied with the log that it finds: its hash there, if it reaches so far. Before the first event
/// every log is the same.
#[must_use]
pub fn compare(position: i64, hash: &[u8], found: Option<&[u8]>) -> Comparison {
    match found {
        _ if position == 0 => Comparison::Goes,
        None => Comparison::Shorter,
        Some(found) if found == hash => Comparison::Goes,
        Some(_) => Comparison::Differs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    #[test]
    fn a_node_decides_for_nine_tenths_of_its_bound_and_not_longer() {
        let bound = 60 * SECOND;
        assert!(may_decide(0, 0, bound) && may_decide(54 * SECOND - 1, 0, bound));
        assert!(!may_decide(54 * SECOND, 0, bound));
        assert!(!may_decide(0, NEVER, bound), "nothing was ever learned");
        assert!(may_decide(Micros::MAX - 1, ALWAYS, bound), "nobody else writes");
    }

    #[test]
    fn what_a_node_knows_has_the_age_of_its_last_look() {
        let bound = 60 * SECOND;
        assert_eq!(age(107, decides_until(100, bound), bound), Some(7));
        assert_eq!(age(107, NEVER, bound), None);
        assert_eq!(age(107, ALWAYS, bound), None);
    }

    #[test]
    fn a_node_has_stopped_before_its_row_goes_whatever_the_pace_of_the_two_clocks() {
        for bound in [LEAST, 3 * SECOND + 7, 60 * SECOND, 3_600 * SECOND] {
            // In true time, paces from 0.9 to 1.1: 20 % between the slowest owner and the fastest observer, and more.
            for owner in [90, 95, 100, 105, 110] {
                for observer in [90, 95, 100, 105, 110] {
                    let stops = answers_for(bound) * 100 / owner;
                    let deleted = counts_for(bound) * 100 / observer;
                    assert!(stops < deleted, "{bound}: owner {owner} %, observer {observer} %");
                }
            }
        }
    }

    #[test]
    fn only_a_new_count_is_a_sign_of_life() {
        let first = Sign::observe(None, 5, 100);
        assert_eq!(first, Sign { counter: 5, seen_since: 100 });
        assert_eq!(Sign::observe(Some(first), 5, 900), first);
        assert_eq!(Sign::observe(Some(first), 6, 900), Sign { counter: 6, seen_since: 900 });
        // A row that was made anew counts from the beginning, and lives.
        assert_eq!(Sign::observe(Some(first), 0, 900).seen_since, 900);
        let bound = 10 * SECOND;
        assert!(!may_delete(first, bound, 100 + counts_for(bound) - 1));
        assert!(may_delete(first, bound, 100 + counts_for(bound)));
    }

    #[test]
    fn effective_is_what_every_row_has_passed() {
        assert!(effective([7, 9], 7) && effective([], 7));
        assert!(!effective([7, 6, 9], 7));
    }

    #[test]
    fn what_a_node_knows_of_itself_counts_where_it_is_the_only_one() {
        assert!(effective_for([('a', 3)], Some('a'), 7, 7));
        assert!(!effective_for([('a', 3)], Some('a'), 6, 7), "it has not noted it");
        assert!(effective_for([('a', 7)], Some('a'), i64::MIN, 7), "it has told it");
        for (own, rows) in [
            (Some('a'), &[('b', 3)][..]),
            (None, &[('b', 3)]),
            (Some('a'), &[('a', 3), ('b', 7)]),
            (Some('a'), &[('b', 7), ('a', 3)]),
            (Some('a'), &[('a', 7), ('b', 7), ('c', 3)]),
        ] {
            assert!(!effective_for(rows.iter().copied(), own, 9, 7), "{own:?} {rows:?}");
        }
        assert!(effective_for([('a', 7), ('b', 7), ('c', 9)], Some('a'), 9, 7));
        assert!(effective_for([], None::<char>, 0, 7), "whoever has no row has stopped");
    }

    #[test]
    fn who_gives_up_waiting_leaves_itself_out_only_where_it_has_noted_the_change() {
        assert!(!lacks(3, Some(7), 7) && !lacks(7, Some(i64::MIN), 7) && !lacks(7, None, 7));
        assert!(lacks(3, Some(6), 7), "it has not noted it");
        assert!(lacks(3, None, 7), "nobody knows what others have and did not tell");
    }

    #[test]
    fn a_server_that_was_taken_over_from_is_known_by_its_timeline() {
        let before = |here, seen| LogPlace::parse(here).unwrap().is_before(&LogPlace::parse(seen).unwrap());
        assert!(before("71/00000001/9", "71/00000002/9") && before("71/00000009/9", "71/0000000A/8"));
        assert!(!before("71/00000002/9", "71/00000002/7"), "the table was put back there");
        assert!(!before("71/00000002/9", "71/00000001/9") && !before("72/00000001/9", "71/00000002/9"));
        assert_eq!((LogPlace::parse(""), LogPlace::parse("71/x/9")), (None, None));
    }

    #[test]
    fn nobody_speaks_for_all_until_the_rows_that_were_lost_have_surely_ended() {
        let bound = 10 * SECOND;
        assert!(speaks_for_all(None, bound, 0));
        assert!(!speaks_for_all(Some(100), bound, 100 + counts_for(bound) - 1));
        assert!(speaks_for_all(Some(100), bound, 100 + counts_for(bound)));
    }

    #[test]
    fn a_log_at_another_place_is_settled_when_all_have_told_or_half_of_the_bound_is_over() {
        let bound = 10 * SECOND;
        assert!(settled(None, false, bound, 0) && settled(Some(100), true, bound, 100));
        assert!(!settled(Some(100), false, bound, 100 + bound / 2 - 1));
        assert!(settled(Some(100), false, bound, 100 + bound / 2));
        // Whoever waits for it still decides by what was known before.
        assert!(bound / 2 < answers_for(bound));
    }

    #[test]
    fn a_log_is_told_by_the_hash_where_the_node_stands() {
        assert_eq!(compare(7, b"a", Some(b"a")), Comparison::Goes);
        assert_eq!(compare(7, b"a", Some(b"b")), Comparison::Differs);
        assert_eq!(compare(7, b"a", None), Comparison::Shorter);
        assert_eq!(compare(0, b"", None), Comparison::Goes);
    }
}
