//! What clients of several nodes saw, and whether that can be.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tokenward_store::log::Position;

/// What was seen of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// It was made, by the owner or by another token.
    Made { by: Option<usize>, at: Option<Position> },
    /// Its revocation was answered as done, and perhaps as counting everywhere.
    Revoked { everywhere: bool, at: Option<Position> },
    /// Its revocation was asked for, and not answered as done.
    Doubtful,
    /// A node accepted it.
    Accepted { node: usize },
    /// A node said that it has ended.
    Refused { node: usize },
    /// A node that was to know of its creation said that it knows of no such token.
    Unknown { node: usize },
    /// A node said nothing of it.
    Silent,
}

/// An operation, with its beginning and its end.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    pub token: usize,
    pub operation: Operation,
    pub begun: Instant,
    pub ended: Instant,
}

/// What is to hold.
#[derive(Clone, Debug)]
pub struct Demands {
    /// From so long after its answer on a revocation counts on every node.
    pub bound: Duration,
    /// From when to when it was not settled what a server knows that took over: what was revoked before, and not said to count
    /// everywhere, may be accepted by who did not hear of it.
    pub unsettled: Vec<(Instant, Instant)>,
    /// May what was made be lost with a server?
    pub may_lose: bool,
}

/// What was answered that cannot be.
pub fn impossible(recorded: &[Recorded], demands: &Demands) -> Vec<String> {
    let mut of: HashMap<usize, Vec<&Recorded>> = HashMap::new();
    for it in recorded {
        of.entry(it.token).or_default().push(it);
    }
    let mut wrong = Vec::new();
    for all in of.values() {
        wrong.extend(accepted_too_late(all, demands));
        wrong.extend(taken_away_unasked(all));
    }
    wrong.extend(places_of_two(recorded));
    wrong.extend(done_by_the_revoked(recorded, &of));
    wrong
}

/// What was revoked is refused everywhere after the bound; where it was said to count everywhere, at once.
fn accepted_too_late(all: &[&Recorded], demands: &Demands) -> Vec<String> {
    let mut wrong = Vec::new();
    for revoked in all {
        let Operation::Revoked { everywhere, .. } = revoked.operation else { continue };
        let from = if everywhere { revoked.ended } else { revoked.ended + demands.bound };
        let is_excused = |at: Instant| {
            let lost = |(began, until): &(Instant, Instant)| revoked.begun < *began && (*began..*until).contains(&at);
            !everywhere && demands.unsettled.iter().any(lost)
        };
        wrong.extend(all.iter().filter(|it| it.begun >= from && !is_excused(it.begun)).filter_map(|it| {
            let Operation::Accepted { node } = it.operation else { return None };
            let after = it.begun - revoked.ended;
            Some(format!("node {node} accepted {} {after:?} after its revocation (everywhere: {everywhere})", it.token))
        }));
    }
    wrong
}

/// Nothing is taken away that nobody asked for, and who is to know of a token knows of it.
fn taken_away_unasked(all: &[&Recorded]) -> Vec<String> {
    let asked = |it: &&&Recorded| matches!(it.operation, Operation::Revoked { .. } | Operation::Doubtful);
    let first = all.iter().filter(asked).map(|it| it.begun).min();
    let before = all.iter().filter(|it| first.is_none_or(|first| it.ended < first));
    let said = before.filter_map(|it| match it.operation {
        Operation::Refused { node } => Some(format!("node {node} refused {}, which nobody had revoked", it.token)),
        Operation::Unknown { node } => Some(format!("node {node} was to know of {}, and did not", it.token)),
        _ => None,
    });
    said.collect()
}

/// A position never means two things.
fn places_of_two(recorded: &[Recorded]) -> Vec<String> {
    let mut taken = HashSet::new();
    let at = |it: &Recorded| match it.operation {
        Operation::Made { at, .. } | Operation::Revoked { at, .. } => at,
        _ => None,
    };
    let two = recorded.iter().filter_map(at).filter(|at| !taken.insert((at.incarnation, at.number)));
    two.map(|at| format!("two changes stand at {at}")).collect()
}

/// What a credential does stands before its revocation.
fn done_by_the_revoked(recorded: &[Recorded], of: &HashMap<usize, Vec<&Recorded>>) -> Vec<String> {
    let ended = |by: usize| {
        of.get(&by)?.iter().find_map(|it| match it.operation {
            Operation::Revoked { at, .. } => at,
            _ => None,
        })
    };
    let done = recorded.iter().filter_map(|it| {
        let Operation::Made { by: Some(by), at: Some(at) } = it.operation else { return None };
        let ended = ended(by).filter(|ended| ended.incarnation == at.incarnation && ended.number < at.number)?;
        Some(format!("{by} was revoked at {ended} and made {} at {at}", it.token))
    });
    done.collect()
}

/// What is wrong with what each node says of each token when all is quiet again.
pub fn unsettled(recorded: &[Recorded], said: &[Vec<String>], demands: &Demands) -> Vec<String> {
    let tokens = |which: fn(&Operation) -> bool| -> HashSet<usize> {
        recorded.iter().filter(|it| which(&it.operation)).map(|it| it.token).collect()
    };
    let revoked = tokens(|it| matches!(it, Operation::Revoked { .. }));
    let doubtful = tokens(|it| matches!(it, Operation::Doubtful));
    let mut wrong = Vec::new();
    for (token, codes) in said.iter().enumerate() {
        let first = codes[0].as_str();
        let may_be: &[&str] = match (revoked.contains(&token), doubtful.contains(&token)) {
            (true, _) => &["revoked"],
            (false, true) => &["valid", "revoked"],
            (false, false) => &["valid"],
        };
        // What was made and revoked behind the end of the log that goes on has no row: those who heard of it know that it was revoked,
        // others know nothing of it. It is refused by all.
        let is_gone =
            demands.may_lose && codes.iter().all(|it| it == "unknown" || (it == "revoked" && may_be != ["valid"]));
        let is_one = may_be.contains(&first) && codes.iter().all(|it| it == first);
        if !is_one && !is_gone {
            wrong.push(format!("of {token}, which is to be {may_be:?}, the nodes say {codes:?}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use tokenward_core::Uuid;

    use super::*;

    const DEMANDS: Demands = Demands { bound: Duration::from_secs(2), unsettled: Vec::new(), may_lose: false };

    fn place(number: i64) -> Option<Position> {
        Some(Position { incarnation: Uuid::from_u128(1), number })
    }

    /// Each with the milliseconds at which it began and ended.
    fn seen(all: &[(usize, Operation, u64, u64)]) -> Vec<Recorded> {
        let zero = Instant::now();
        let at = |ms: &u64| zero + Duration::from_millis(*ms);
        let one = |(token, operation, begun, ended): &(usize, Operation, u64, u64)| Recorded {
            token: *token,
            operation: *operation,
            begun: at(begun),
            ended: at(ended),
        };
        all.iter().map(one).collect()
    }

    fn found(all: &[(usize, Operation, u64, u64)]) -> usize {
        impossible(&seen(all), &DEMANDS).len()
    }

    #[test]
    fn what_cannot_be_is_found_and_what_can_be_is_not() {
        let accepted = Operation::Accepted { node: 1 };
        let refused = Operation::Refused { node: 1 };
        let pending = Operation::Revoked { everywhere: false, at: place(7) };
        let everywhere = Operation::Revoked { everywhere: true, at: place(7) };
        // It may be accepted until the bound is over, by requests that began before.
        assert_eq!(found(&[(0, pending, 0, 10), (0, accepted, 2_009, 3_000)]), 0);
        assert_eq!(found(&[(0, pending, 0, 10), (0, accepted, 2_010, 3_000)]), 1);
        assert_eq!(found(&[(0, pending, 0, 10), (1, accepted, 2_010, 3_000)]), 0, "it is another one");
        assert_eq!(found(&[(0, everywhere, 0, 10), (0, accepted, 9, 20)]), 0);
        assert_eq!(found(&[(0, everywhere, 0, 10), (0, accepted, 10, 20)]), 1);
        // Nobody had revoked it.
        assert_eq!(found(&[(0, refused, 0, 10)]), 1);
        assert_eq!(found(&[(0, Operation::Doubtful, 5, 90), (0, refused, 6, 10)]), 0);
        assert_eq!(found(&[(0, Operation::Doubtful, 15, 90), (0, refused, 6, 10)]), 1);
        assert_eq!(found(&[(0, Operation::Unknown { node: 2 }, 0, 10)]), 1);
        // One position for two, and a child of a token that was revoked before.
        let made = |by, number| Operation::Made { by, at: place(number) };
        assert_eq!(found(&[(0, made(None, 6), 0, 1), (1, made(None, 7), 0, 1), (2, made(None, 8), 0, 1)]), 0);
        assert_eq!(found(&[(0, made(None, 7), 0, 1), (1, made(None, 7), 0, 1)]), 1);
        assert_eq!(found(&[(0, pending, 0, 9), (1, made(Some(0), 6), 0, 9)]), 0);
        assert_eq!(found(&[(0, pending, 0, 9), (1, made(Some(0), 8), 0, 9)]), 1);
    }

    #[test]
    fn what_a_server_lacks_that_took_over_is_excused_until_it_is_settled_and_no_receipt_is() {
        let accepted = Operation::Accepted { node: 1 };
        for (everywhere, at, wrong) in [(false, 5_000, 0), (false, 9_500, 1), (true, 5_000, 1)] {
            let revoked = Operation::Revoked { everywhere, at: None };
            let all = seen(&[(0, revoked, 0, 10), (0, accepted, at, at + 1)]);
            let from = |ms| all[0].begun + Duration::from_millis(ms);
            let demands = Demands { unsettled: vec![(from(4_000), from(9_000))], ..DEMANDS };
            assert_eq!(impossible(&all, &demands).len(), wrong, "{everywhere} {at}");
        }
    }

    #[test]
    fn in_the_end_all_nodes_say_the_same_and_what_was_done() {
        let revoked = Operation::Revoked { everywhere: false, at: None };
        let all = seen(&[(0, revoked, 0, 1), (1, Operation::Doubtful, 0, 1)]);
        let wrong = |of: [&str; 3], may_lose: bool| {
            let said: Vec<_> = of.iter().map(|code| vec![(*code).to_owned(); 3]).collect();
            unsettled(&all, &said, &Demands { may_lose, ..DEMANDS }).len()
        };
        assert_eq!(wrong(["revoked", "valid", "valid"], false), 0);
        assert_eq!(wrong(["revoked", "revoked", "valid"], false), 0);
        assert_eq!(wrong(["valid", "valid", "revoked"], true), 2);
        assert_eq!((wrong(["unknown"; 3], false), wrong(["unknown"; 3], true)), (3, 0));
        let differ = |codes: [&str; 3], may_lose: bool| {
            let said = vec![codes.map(str::to_owned).to_vec()];
            unsettled(&all, &said, &Demands { may_lose, ..DEMANDS }).len()
        };
        assert_eq!(differ(["revoked", "revoked", "valid"], false), 1);
        assert_eq!(differ(["revoked", "valid", "unknown"], true), 1);
        assert_eq!(differ(["revoked", "unknown", "revoked"], true), 0, "what was lost with a server was revoked there");
        assert_eq!(differ(["revoked", "unknown", "revoked"], false), 1);
    }
}
