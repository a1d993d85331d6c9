//! Turns at what only few may do at once. Whoever waits stands in a line with those of the same organization, or of the same
//! client where none is known. Lines take turns, none has more than its share at once, and each is short: so nobody's load
//! is in the way of a neighbour, however much of it there is.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenward_core::sync::lock;
use tokenward_core::{Code, Error, Result, Uuid, network};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::limits::{LARGE_WORK_WAIT, LARGE_WORKS};
use crate::metrics;

/// Who stands in a line together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Lane {
    /// The server itself, for everybody: it has no share and no patience.
    Own,
    /// An organization; where none is known, a credential.
    Holder(Uuid),
    /// The clients of one network.
    Client(Option<IpAddr>),
}

impl Lane {
    /// Those at an address.
    pub(crate) fn client(address: Option<IpAddr>) -> Self {
        Self::Client(address.map(network::of_client))
    }
}

impl From<Uuid> for Lane {
    fn from(holder: Uuid) -> Self {
        Self::Holder(holder)
    }
}

/// Gives turns.
#[derive(Clone)]
pub(crate) struct Fair(Arc<FairShared>);

struct FairShared {
    all: usize,
    of_one: usize,
    state: Mutex<FairState>,
}

#[derive(Default)]
struct FairState {
    taken: usize,
    /// How many turns each lane has that has any.
    by: HashMap<Lane, usize>,
    /// Who waits, by lane; none is empty.
    lines: HashMap<Lane, VecDeque<oneshot::Sender<FairTurn>>>,
    /// The lanes of these, in the order in which they are served.
    order: VecDeque<Lane>,
}

/// A turn; the next one has it when this is dropped.
pub(crate) struct FairTurn(Option<(Fair, Lane)>);

impl Fair {
    /// So many turns at once, and so many of one lane.
    pub(crate) fn new(all: usize, of_one: usize) -> Self {
        Self(Arc::new(FairShared { all, of_one, state: Mutex::default() }))
    }

    /// Waits for a turn; `unavailable` where too many of the same lane wait, or it takes too long.
    pub(crate) async fn turn(&self, lane: Lane) -> Result<FairTurn> {
        self.turn_within(lane, LARGE_WORKS.size(), LARGE_WORK_WAIT.time()).await
    }

    async fn turn_within(&self, lane: Lane, most: usize, patience: Duration) -> Result<FairTurn> {
        let waiting = {
            let mut state = lock(&self.0.state);
            state.forget_those_who_left(lane);
            let waits = state.lines.get(&lane).map_or(0, VecDeque::len);
            if waits == 0 && state.taken < self.0.all && self.may_have_another(&state, lane) {
                state.take(lane);
                return Ok(self.given(lane));
            }
            if lane != Lane::Own && waits >= most {
                let what = "At this moment more large bodies, batches and documents of yours wait than";
                let error = LARGE_WORKS.exceeded(Code::Unavailable, most as u64, what, "Send fewer at once.");
                return Err(metrics::overload(Error { retry_after: Some(1), ..error }));
            }
            state.enter(lane)
        };
        let given = match lane {
            Lane::Own => waiting.await,
            _ => timeout(patience, waiting).await.map_err(|_| {
                let what = "What is to be done for this waited as long as";
                let most = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
                let error =
                    LARGE_WORK_WAIT.exceeded(Code::Unavailable, most, what, "Send fewer at once, and try again.");
                metrics::overload(Error { retry_after: Some(1), ..error })
            })?,
        };
        // Nobody who waits is sent away.
        given.map_err(Error::internal)
    }

    fn may_have_another(&self, state: &FairState, lane: Lane) -> bool {
        let most = if lane == Lane::Own { self.0.all } else { self.0.of_one };
        state.by.get(&lane).copied().unwrap_or(0) < most
    }

    fn given(&self, lane: Lane) -> FairTurn {
        FairTurn(Some((self.clone(), lane)))
    }

    /// Gives what is free to those who wait.
    fn serve(&self) {
        let mut state = lock(&self.0.state);
        while state.taken < self.0.all {
            // Few lanes have all that they may, so that this looks at few.
            let Some(at) = state.order.iter().position(|lane| self.may_have_another(&state, *lane)) else { return };
            let Some((lane, next)) = state.leave(at) else { return };
            state.take(lane);
            if let Err(mut turn) = next.send(self.given(lane)) {
                // It went away. The turn must not be passed on by being dropped here.
                drop(turn.0.take());
                state.give_back(lane);
            }
        }
    }
}

impl Drop for FairTurn {
    fn drop(&mut self) {
        if let Some((fair, lane)) = self.0.take() {
            lock(&fair.0.state).give_back(lane);
            fair.serve();
        }
    }
}

impl FairState {
    fn take(&mut self, lane: Lane) {
        self.taken += 1;
        *self.by.entry(lane).or_default() += 1;
    }

    fn give_back(&mut self, lane: Lane) {
        self.taken -= 1;
        match self.by.get_mut(&lane) {
            Some(has) if *has > 1 => *has -= 1,
            _ => _ = self.by.remove(&lane),
        }
    }

    fn enter(&mut self, lane: Lane) -> oneshot::Receiver<FairTurn> {
        let (turn, waiting) = oneshot::channel();
        let line = self.lines.entry(lane).or_default();
        if line.is_empty() {
            self.order.push_back(lane);
        }
        line.push_back(turn);
        waiting
    }

    /// The first one of the lane at this place of the order, which goes to its end.
    fn leave(&mut self, at: usize) -> Option<(Lane, oneshot::Sender<FairTurn>)> {
        let lane = self.order.remove(at)?;
        let line = self.lines.get_mut(&lane)?;
        let next = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&lane);
        } else {
            self.order.push_back(lane);
        }
        Some((lane, next))
    }

    /// Clients that hung up take no room in their line.
    fn forget_those_who_left(&mut self, lane: Lane) {
        let Some(line) = self.lines.get_mut(&lane) else { return };
        line.retain(|turn| !turn.is_closed());
        if line.is_empty() {
            self.lines.remove(&lane);
            self.order.retain(|other| *other != lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Result<FairTurn>>>>;

    const LONG: Duration = Duration::from_secs(600);

    fn holder(n: u128) -> Lane {
        Lane::Holder(Uuid::from_u128(n))
    }

    /// Stands in line, where the future waits from now on; or has a turn, or hears why not.
    fn wait(fair: &Fair, lane: Lane) -> Result<Waiting, Result<FairTurn>> {
        let fair = fair.clone();
        let mut waiting: Waiting = Box::pin(async move { fair.turn_within(lane, 3, LONG).await });
        match waiting.as_mut().now_or_never() {
            None => Ok(waiting),
            Some(at_once) => Err(at_once),
        }
    }

    fn at_once(fair: &Fair, lane: Lane) -> FairTurn {
        wait(fair, lane).err().unwrap().unwrap()
    }

    fn waits(fair: &Fair, lane: Lane) -> Waiting {
        wait(fair, lane).ok().unwrap()
    }

    #[tokio::test]
    async fn one_lane_leaves_turns_for_others_and_lanes_take_turns() {
        let fair = Fair::new(2, 1);
        let first = at_once(&fair, holder(1));
        let mut again = waits(&fair, holder(1));
        let neighbour = at_once(&fair, holder(2));
        let mut third = waits(&fair, holder(3));
        drop(neighbour);
        assert!((&mut again).now_or_never().is_none(), "it has its share");
        let third = (&mut third).now_or_never().unwrap().unwrap();
        drop(first);
        let again = (&mut again).now_or_never().unwrap().unwrap();
        let (mut more, mut other) = (waits(&fair, holder(1)), waits(&fair, holder(4)));
        let mut last = waits(&fair, holder(1));
        drop(again);
        let more = (&mut more).now_or_never().unwrap().unwrap();
        drop(more);
        let other = (&mut other).now_or_never().expect("the lane went to the end of the order").unwrap();
        assert!((&mut last).now_or_never().is_none());
        drop((third, other));
        drop((&mut last).now_or_never().unwrap().unwrap());
        let state = lock(&fair.0.state);
        assert_eq!((state.taken, state.by.len(), state.lines.len(), state.order.len()), (0, 0, 0, 0));
    }

    #[tokio::test]
    async fn the_server_itself_has_no_share_and_a_line_is_short() {
        let fair = Fair::new(2, 1);
        let own = [at_once(&fair, Lane::Own), at_once(&fair, Lane::Own)];
        let crowd: Vec<Waiting> = (0..3).map(|_| waits(&fair, holder(1))).collect();
        let counted = metrics::overloads();
        let refused = wait(&fair, holder(1)).err().unwrap().err().unwrap();
        assert!(metrics::overloads() > counted);
        assert_eq!((refused.code, refused.retry_after), (Code::Unavailable, Some(1)));
        assert!(refused.detail.contains("`large_works_waiting` (3 count)"), "{refused}");
        let _neighbour = waits(&fair, holder(2));
        let _own: Vec<Waiting> = (0..9).map(|_| waits(&fair, Lane::Own)).collect();
        drop(crowd);
        let _room = waits(&fair, holder(1));
        drop(own);
    }

    #[tokio::test]
    async fn whoever_waits_too_long_or_hangs_up_loses_no_turn() {
        let fair = Fair::new(1, 1);
        let held = at_once(&fair, holder(1));
        let late = fair.turn_within(holder(2), 3, Duration::from_millis(20)).await.err().unwrap();
        assert!(late.detail.contains("`large_work_wait_ms` (20 ms)"), "{late}");
        let (left, given) = (waits(&fair, holder(2)), waits(&fair, holder(3)));
        let mut last = waits(&fair, holder(4));
        drop(left);
        drop(held);
        // The turn was given to one that hung up before it knew.
        drop(given);
        assert!((&mut last).now_or_never().is_some());
    }

    #[test]
    fn clients_count_by_network() {
        let lane = |text: &str| Lane::client(Some(text.parse().unwrap()));
        assert_eq!(lane("2001:db8::1"), lane("2001:db8::2"));
        assert_ne!(lane("192.0.2.1"), lane("192.0.2.2"));
    }
}
