//! Whose turn it is to have a password hashed. Hashing is costly, so few do it at once and the others wait, but not long:
//! the lines are short, by client network and in all. Networks take turns, so that one with many in line delays only
//! itself. Whoever is [`Known`] waits apart and has every second turn.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokenward_core::sync::lock;
use tokenward_core::{Code, Error, Result, network};
use tokio::sync::oneshot;

use super::known::{Guesser, Known};
use crate::limits::{HASHES, HASHES_WAITING, HASHES_WAITING_KNOWN, HASHES_WAITING_PER_ADDRESS, Limit, Limits};
use crate::metrics;

/// Who stands in a line together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lane {
    /// One that is known.
    Known(Known),
    /// The strangers of one network.
    Strangers(Option<IpAddr>),
}

impl Lane {
    /// The strangers at an address.
    #[must_use]
    pub fn strangers(address: Option<IpAddr>) -> Self {
        Self::Strangers(address.map(network::of_client))
    }
}

impl From<&Guesser> for Lane {
    fn from(guesser: &Guesser) -> Self {
        match guesser {
            Guesser::Known(known) => Self::Known(known.clone()),
            Guesser::Stranger { network, .. } => Self::Strangers(*network),
        }
    }
}

/// Gives turns.
#[derive(Clone)]
pub(super) struct Turns(Arc<TurnsShared>);

struct TurnsShared {
    limits: Limits,
    lines: Mutex<Lines>,
}

struct Lines {
    free: usize,
    known: Line,
    strangers: Line,
    /// Who has the next turn when both wait.
    known_first: bool,
}

/// One after the other, lane by lane: the first of the lane in front goes, and the lane moves to the back.
#[derive(Default)]
struct Line(VecDeque<(Lane, VecDeque<oneshot::Sender<LanePermit>>)>);

/// A turn; the next one has it when this is dropped.
pub(super) struct LanePermit(Option<Turns>);

impl Turns {
    pub(super) fn new(limits: &Limits) -> Self {
        let lines =
            Lines { free: limits.size(&HASHES), known: Line::default(), strangers: Line::default(), known_first: true };
        Self(Arc::new(TurnsShared { limits: limits.clone(), lines: Mutex::new(lines) }))
    }

    /// Waits for a turn; `unavailable` when too many wait already.
    pub(super) async fn turn(&self, lane: Lane) -> Result<LanePermit> {
        let waiting = {
            let mut lines = lock(&self.0.lines);
            if lines.free > 0 {
                lines.free -= 1;
                return Ok(LanePermit(Some(self.clone())));
            }
            self.enter(&mut lines, lane)?
        };
        // Whoever is sent away after all: a line was full, and somebody came of whom fewer were in it.
        waiting.await.map_err(|_| self.full(&HASHES_WAITING))
    }

    fn enter(&self, lines: &mut Lines, lane: Lane) -> Result<oneshot::Receiver<LanePermit>> {
        let (line, most) = match lane {
            Lane::Known(_) => (&mut lines.known, &HASHES_WAITING_KNOWN),
            Lane::Strangers(_) => (&mut lines.strangers, &HASHES_WAITING),
        };
        line.forget_those_who_left();
        let own = line.of(&lane);
        if own >= self.0.limits.size(&HASHES_WAITING_PER_ADDRESS) {
            return Err(self.full(&HASHES_WAITING_PER_ADDRESS));
        }
        if line.len() >= self.0.limits.size(most) && !line.make_room(own + 1) {
            return Err(self.full(most));
        }
        let (turn, waiting) = oneshot::channel();
        line.push(lane, turn);
        Ok(waiting)
    }

    fn full(&self, limit: &Limit) -> Error {
        let most = self.0.limits.get(limit);
        let what = "At this moment more passwords wait to be checked than";
        let error = limit.exceeded(Code::Unavailable, most, what, "Try again in a moment.");
        metrics::overload(Error { retry_after: Some(1), ..error })
    }

    /// Passes a turn on.
    fn pass(self) {
        let mut lines = lock(&self.0.lines);
        while let Some(next) = lines.next() {
            match next.send(LanePermit(Some(self.clone()))) {
                Ok(()) => return,
                // It went away; the turn must not be passed on by being dropped here.
                Err(mut turn) => drop(turn.0.take()),
            }
        }
        lines.free += 1;
    }
}

impl Drop for LanePermit {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass();
        }
    }
}

impl Lines {
    fn next(&mut self) -> Option<oneshot::Sender<LanePermit>> {
        let (first, second) = match self.known_first {
            true => (&mut self.known, &mut self.strangers),
            false => (&mut self.strangers, &mut self.known),
        };
        self.known_first = !self.known_first;
        first.pop().or_else(|| second.pop())
    }
}

impl Line {
    fn len(&self) -> usize {
        self.0.iter().map(|(_, waiting)| waiting.len()).sum()
    }

    fn of(&self, lane: &Lane) -> usize {
        self.0.iter().find(|(own, _)| own == lane).map_or(0, |(_, waiting)| waiting.len())
    }

    fn push(&mut self, lane: Lane, turn: oneshot::Sender<LanePermit>) {
        match self.0.iter_mut().find(|(own, _)| *own == lane) {
            Some((_, waiting)) => waiting.push_back(turn),
            None => self.0.push_back((lane, VecDeque::from([turn]))),
        }
    }

    fn pop(&mut self) -> Option<oneshot::Sender<LanePermit>> {
        let (lane, mut waiting) = self.0.pop_front()?;
        let first = waiting.pop_front();
        if !waiting.is_empty() {
            self.0.push_back((lane, waiting));
        }
        first
    }

    /// Sends the last one of the longest lane away, if more than `own` wait in it.
    fn make_room(&mut self, own: usize) -> bool {
        let longest = self.0.iter_mut().map(|(_, waiting)| waiting).max_by_key(|waiting| waiting.len());
        longest.filter(|waiting| waiting.len() > own).is_some_and(|waiting| waiting.pop_back().is_some())
    }

    /// Clients that hung up take no room.
    fn forget_those_who_left(&mut self) {
        for (_, waiting) in &mut self.0 {
            waiting.retain(|turn| !turn.is_closed());
        }
        self.0.retain(|(_, waiting)| !waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;

    use futures_util::FutureExt;
    use tokenward_core::Uuid;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Result<LanePermit>>>>;

    /// One turn at once; six strangers wait, three of a network, and two of the known.
    fn turns() -> Turns {
        let mut limits = Limits::default();
        limits.set(&HASHES, 1);
        limits.set(&HASHES_WAITING, 6);
        limits.set(&HASHES_WAITING_PER_ADDRESS, 3);
        limits.set(&HASHES_WAITING_KNOWN, 2);
        Turns::new(&limits)
    }

    fn stranger(n: u8) -> Lane {
        Lane::strangers(Some(IpAddr::from([192, 0, 2, n])))
    }

    fn known(n: u128) -> Lane {
        Lane::Known(Known::Account(Uuid::from_u128(n)))
    }

    /// Stands in line, where the future waits from now on; or says what is full.
    fn wait(turns: &Turns, lane: Lane) -> Result<Waiting, String> {
        let turns = turns.clone();
        let mut waiting: Waiting = Box::pin(async move { turns.turn(lane).await });
        match waiting.as_mut().now_or_never() {
            None => Ok(waiting),
            Some(Err(error)) => Err(error.detail.into()),
            Some(Ok(_)) => Err("has a turn".to_owned()),
        }
    }

    fn has_turn(waiting: &mut Waiting) -> Option<LanePermit> {
        waiting.as_mut().now_or_never().map(Result::unwrap)
    }

    #[tokio::test]
    async fn networks_take_turns_and_the_known_have_every_second() {
        let turns = turns();
        let mut held = turns.turn(stranger(1)).await.ok();
        let lanes = [stranger(1), stranger(1), stranger(1), stranger(2), known(1), known(2)];
        let mut waiting = lanes.map(|lane| wait(&turns, lane).ok().unwrap());
        let mut order = Vec::new();
        while order.len() < waiting.len() {
            drop(held.take());
            let next = waiting.iter_mut().enumerate().filter(|(at, _)| !order.contains(at));
            let mut next = next.filter_map(|(at, waiting)| Some((at, has_turn(waiting)?)));
            let (at, turn) = next.next().unwrap();
            assert!(next.next().is_none(), "one at once");
            drop(next);
            order.push(at);
            held = Some(turn);
        }
        assert_eq!(order, [4, 0, 5, 3, 1, 2]);
        drop(held);
        assert_eq!(lock(&turns.0.lines).free, 1);
    }

    #[tokio::test]
    async fn lines_are_short_and_a_full_one_makes_room_for_a_newcomer() {
        let turns = turns();
        let held = turns.turn(stranger(1)).await.ok();
        let mut crowd: Vec<Waiting> =
            [1, 1, 1, 2, 2, 2].into_iter().map(|n| wait(&turns, stranger(n)).ok().unwrap()).collect();
        let refused = wait(&turns, stranger(1)).err().unwrap();
        assert!(refused.contains("`hashes_waiting_per_address` (3 count)"), "{refused}");
        let _newcomers = [3, 4, 5, 6].map(|n| wait(&turns, stranger(n)).ok().unwrap());
        let sent_away = crowd.iter_mut().filter_map(|waiting| waiting.as_mut().now_or_never()?.err());
        assert_eq!(sent_away.inspect(|error| assert_eq!(error.retry_after, Some(1))).count(), 4);
        let refused = wait(&turns, stranger(7)).err().unwrap();
        assert!(refused.contains("`hashes_waiting` (6 count)"), "nobody has more than one: {refused}");
        let _known = [known(1), known(2)].map(|lane| wait(&turns, lane).ok().unwrap());
        let refused = wait(&turns, known(3)).err().unwrap();
        assert!(refused.contains("`hashes_waiting_known` (2 count)"), "{refused}");
        drop(held);
    }

    #[tokio::test]
    async fn clients_that_hang_up_take_no_room_and_lose_no_turn() {
        let turns = turns();
        let held = turns.turn(stranger(1)).await.ok();
        for _ in 0..100 {
            drop(wait(&turns, stranger(1)).ok().unwrap());
        }
        let left = wait(&turns, stranger(1)).ok().unwrap();
        let given = wait(&turns, stranger(1)).ok().unwrap();
        let mut last = wait(&turns, stranger(1)).ok().unwrap();
        drop(left);
        drop(held);
        // The turn was given to one that hung up before it knew.
        drop(given);
        assert!(has_turn(&mut last).is_some());
    }
}
