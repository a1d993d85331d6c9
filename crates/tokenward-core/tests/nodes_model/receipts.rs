//! What counts everywhere, told by positions: three nodes, of which one writes and says how far its changes have come, and one
//! begins while that happens. There are two changes, and each may stand at the first position.
//!
//! A commit is sent, durable, visible and answered, each by itself; its answer may be lost at any of these steps, and whoever
//! asked for it then looks it up. Another server may take over with all that was visible, and with what was only durable or
//! without it; the one before goes on telling the rows that it had. The rows are read at one moment, and something is said by
//! them at any later one. What takes away is applied, noted and told in steps of their own; a journal that cannot be written
//! notes nothing, for as long as one likes.
//!
//! Nobody measures time here: who has no row does not decide (`fresh` sees to that), and no server has lost rows or what was
//! visible (`forgotten` and `lost` do).

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tokenward_core::lease;

const NODES: usize = 3;
/// Who writes and says how far that has come, and who begins later; the other one only decides.
const WRITER: usize = 0;
const LATER: usize = 2;
const CHANGES: usize = 2;

/// A node and what its row tells.
type Row = (usize, i64);

/// The rules. Those of the product, or one of them broken.
#[derive(Clone, Copy)]
struct Rules {
    effective_for: fn(&[Row], usize, i64, i64) -> bool,
    /// What is said of the node of a row when nobody waits any longer.
    lacks: fn(i64, Option<i64>, i64) -> bool,
    rows_are_read: WhenRead,
    /// Up to where the node has noted; otherwise applied.
    counts_what_it_noted: bool,
    /// It tells others what it has noted; otherwise what it has applied.
    tells_what_it_noted: bool,
    /// A node registers, then loads; otherwise the other way round.
    registers_first: bool,
    /// What is done about a commit of which nobody knows.
    unknown: Unknown,
    /// Nothing is read any more on a server that another has taken over from, once this node has written on that one.
    believes_no_earlier_server: bool,
    /// Only what has surely failed is sent again; otherwise also what nobody knows of.
    repeats_only_what_failed: bool,
}

/// From when on of a change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WhenRead {
    AnyTime,
    Durable,
    Answered,
}

/// A commit of which nobody knows what has become of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    IsLookedUpUnderTheLock,
    IsLookedUp,
    HasFailed,
}

const RULES: Rules = Rules {
    effective_for: |rows, own, kept, position| lease::effective_for(rows.iter().copied(), Some(own), kept, position),
    lacks: lease::lacks,
    rows_are_read: WhenRead::Answered,
    counts_what_it_noted: true,
    tells_what_it_noted: true,
    registers_first: true,
    unknown: Unknown::IsLookedUpUnderTheLock,
    believes_no_earlier_server: true,
    repeats_only_what_failed: true,
};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Off,
    /// It has a row, and has not loaded; the other way round where that rule is broken.
    Half,
    Decides,
    /// Its row is gone, which it will notice. It has stopped by then, as time sees to.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Node {
    phase: Phase,
    applied: u8,
    noted: u8,
    /// What its row tells on the server that commits.
    row: Option<u8>,
}

/// The transaction that holds the lock of the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Flight {
    Sent(usize),
    Durable(usize),
}

/// What the writer knows of a change that it has asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Known {
    NotAsked,
    Waits,
    /// The answer is lost.
    Unknown,
    Done,
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Change {
    known: Known,
    /// Where it stands.
    position: Option<u8>,
    /// How often it stands in the log.
    events: u8,
    repeated: bool,
    /// Was it said that it counts everywhere?
    everywhere: bool,
}

type Rows = [Option<u8>; NODES];

/// By what a receipt was given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum By {
    Rows,
    OldRows,
    /// Its own row did not tell it; there was no other one, or there was.
    ItselfAlone,
    ItselfAmongOthers,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    nodes: [Node; NODES],
    changes: [Change; CHANGES],
    flight: Option<Flight>,
    /// So many events whoever reads sees.
    visible: u8,
    /// The rows as the writer has read them, and of which changes that was after their commit, as a receipt asks.
    reading: Option<(Rows, [bool; CHANGES])>,
    /// The rows of the server that was taken over from, as long as the writer is connected to it.
    before: Option<Rows>,
    took_over: bool,
    /// By what a receipt was given last, for what is looked at.
    said: Option<By>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Send(usize),
    Flush,
    Publish,
    Hear(usize),
    LoseTheAnswer(usize),
    LookUp(usize),
    Look(usize),
    Note(usize),
    Tell(usize),
    Begin,
    Finish,
    /// The writer is taken for one that has stopped, as it has.
    TakeOut,
    ComeBack,
    Read {
        old: bool,
    },
    Say(usize),
    /// Nobody waits any longer.
    GiveUp(usize),
    TakeOver {
        keeps_what_is_durable: bool,
    },
}

struct Receipts {
    rules: Rules,
}

impl Receipts {
    fn rows(rows: Rows) -> Vec<Row> {
        rows.iter().enumerate().filter_map(|(node, at)| Some((node, i64::from((*at)?)))).collect()
    }

    fn kept(&self, node: Node) -> i64 {
        i64::from(if self.rules.counts_what_it_noted { node.noted } else { node.applied })
    }

    /// From when on the rows may be read for a receipt of this change?
    fn may_be_asked(&self, state: &State, change: usize) -> bool {
        let it = &state.changes[change];
        match self.rules.rows_are_read {
            WhenRead::AnyTime => true,
            WhenRead::Durable => it.position.is_some() || state.flight == Some(Flight::Durable(change)),
            WhenRead::Answered => it.known == Known::Done,
        }
    }

    fn publish(state: &mut State, change: usize) {
        state.visible += 1;
        state.flight = None;
        state.changes[change].events += 1;
        state.changes[change].position.get_or_insert(state.visible);
    }

    /// Where the writer may say something of a change, by which rows: it counts on the writer itself.
    fn asks(&self, state: &State, change: usize) -> Option<(Rows, u8)> {
        let it = &state.changes[change];
        let position = it.position.filter(|at| state.nodes[WRITER].applied >= *at && !it.everywhere)?;
        let (rows, after) = state.reading?;
        (it.known == Known::Done && after[change]).then_some((rows, position))
    }

    fn says(state: &mut State, change: usize, rows: Rows, position: u8) {
        state.changes[change].everywhere = true;
        let is_ahead = rows[WRITER].is_some_and(|at| at < position);
        state.said = Some(match Self::rows(rows).len() {
            1 if is_ahead => By::ItselfAlone,
            _ if is_ahead => By::ItselfAmongOthers,
            _ if state.before == Some(rows) => By::OldRows,
            _ => By::Rows,
        });
    }

    fn next(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Send(change) => {
                let it = &mut state.changes[change];
                it.repeated |= it.known != Known::NotAsked;
                it.known = Known::Waits;
                state.flight = Some(Flight::Sent(change));
                if self.rules.believes_no_earlier_server {
                    state.before = None;
                }
            }
            Action::Flush => {
                let Some(Flight::Sent(change)) = before.flight else { return None };
                state.flight = Some(Flight::Durable(change));
            }
            Action::Publish => {
                let Some(Flight::Durable(change)) = before.flight else { return None };
                Self::publish(&mut state, change);
            }
            Action::Hear(change) => state.changes[change].known = Known::Done,
            Action::LoseTheAnswer(change) => state.changes[change].known = Known::Unknown,
            Action::LookUp(change) => {
                let it = &mut state.changes[change];
                let is_found = it.position.is_some() && self.rules.unknown != Unknown::HasFailed;
                it.known = if is_found { Known::Done } else { Known::Failed };
                // Whoever looks it up comes to the server that commits.
                state.before = None;
            }
            Action::Look(node) => {
                state.nodes[node].applied = state.visible;
                if node == WRITER {
                    state.before = None;
                }
            }
            Action::Note(node) => state.nodes[node].noted = state.nodes[node].applied,
            Action::Tell(node) => {
                let it = &mut state.nodes[node];
                it.row = Some(if self.rules.tells_what_it_noted { it.noted } else { it.applied });
                if node == WRITER {
                    state.before = None;
                }
            }
            Action::Begin | Action::Finish => {
                let visible = state.visible;
                let it = &mut state.nodes[LATER];
                if (action == Action::Begin) == self.rules.registers_first {
                    it.row = Some(it.noted);
                } else {
                    (it.applied, it.noted) = (visible, visible);
                }
                it.phase = if action == Action::Begin { Phase::Half } else { Phase::Decides };
            }
            Action::TakeOut => (state.nodes[WRITER].phase, state.nodes[WRITER].row) = (Phase::Stopped, None),
            Action::ComeBack => {
                let visible = state.visible;
                let it = &mut state.nodes[WRITER];
                // It registers by what it had noted; what it learns then it notes before it decides.
                (it.row, it.applied, it.noted, it.phase) = (Some(it.noted), visible, visible, Phase::Decides);
                state.before = None;
            }
            Action::Read { old } => {
                let rows = if old { before.before? } else { before.nodes.map(|node| node.row) };
                state.reading = Some((rows, [0, 1].map(|change| self.may_be_asked(before, change))));
                if !old {
                    state.before = None;
                }
            }
            Action::Say(change) => {
                let (rows, position) = self.asks(before, change)?;
                let kept = self.kept(before.nodes[WRITER]);
                if (self.rules.effective_for)(&Self::rows(rows), WRITER, kept, i64::from(position)) {
                    Self::says(&mut state, change, rows, position);
                }
            }
            Action::GiveUp(change) => {
                let (rows, position) = self.asks(before, change)?;
                let kept = self.kept(before.nodes[WRITER]);
                let lacks =
                    |(node, at): Row| (self.rules.lacks)(at, (node == WRITER).then_some(kept), i64::from(position));
                if !Self::rows(rows).into_iter().any(lacks) {
                    Self::says(&mut state, change, rows, position);
                }
            }
            Action::TakeOver { keeps_what_is_durable } => {
                state.took_over = true;
                state.before = Some(before.nodes.map(|node| node.row));
                match before.flight {
                    Some(Flight::Durable(change)) if keeps_what_is_durable => Self::publish(&mut state, change),
                    // Its transactions end with the old server.
                    _ => state.flight = None,
                }
            }
        }
        (state != *before).then_some(state)
    }
}

impl Model for Receipts {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = |phase| Node { phase, applied: 0, noted: 0, row: (phase == Phase::Decides).then_some(0) };
        let change = Change { known: Known::NotAsked, position: None, events: 0, repeated: false, everywhere: false };
        // The writer alone, or beside another one.
        [Phase::Off, Phase::Decides]
            .map(|other| State {
                nodes: [node(Phase::Decides), node(other), node(Phase::Off)],
                changes: [change; CHANGES],
                flight: None,
                visible: 0,
                reading: None,
                before: None,
                took_over: false,
                said: None,
            })
            .to_vec()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_over = |change: &Change| matches!(change.known, Known::Done | Known::Failed);
        for (at, change) in state.changes.iter().enumerate() {
            // The second one is asked for once it is known what has become of the first.
            let is_next = state.changes[..at].iter().all(is_over);
            let is_free = state.flight.is_none() && state.nodes[WRITER].phase == Phase::Decides;
            let is_unknown = change.known == Known::Unknown && !self.rules.repeats_only_what_failed;
            let again = !change.repeated && at == 0 && (change.known == Known::Failed || is_unknown);
            if is_next && is_free && (change.known == Known::NotAsked || again) {
                actions.push(Action::Send(at));
            }
            match change.known {
                Known::Waits => {
                    if change.position.is_some() {
                        actions.push(Action::Hear(at));
                    }
                    actions.push(Action::LoseTheAnswer(at));
                }
                Known::Unknown => {
                    let is_locked = state.flight.is_some() && self.rules.unknown == Unknown::IsLookedUpUnderTheLock;
                    if !is_locked {
                        actions.push(Action::LookUp(at));
                    }
                }
                Known::NotAsked | Known::Done | Known::Failed => {}
            }
            if self.asks(state, at).is_some() {
                actions.extend([Action::Say(at), Action::GiveUp(at)]);
            }
        }
        match state.flight {
            Some(Flight::Sent(_)) => actions.push(Action::Flush),
            Some(Flight::Durable(_)) => actions.push(Action::Publish),
            None => {}
        }
        for (at, node) in state.nodes.iter().enumerate() {
            if node.phase == Phase::Decides {
                actions.extend([Action::Look(at), Action::Note(at), Action::Tell(at)]);
            }
        }
        match state.nodes[LATER].phase {
            Phase::Off => actions.push(Action::Begin),
            Phase::Half => actions.push(Action::Finish),
            Phase::Decides | Phase::Stopped => {}
        }
        match state.nodes[WRITER].phase {
            Phase::Decides => actions.push(Action::TakeOut),
            Phase::Stopped => actions.push(Action::ComeBack),
            Phase::Off | Phase::Half => {}
        }
        actions.push(Action::Read { old: false });
        if state.before.is_some() {
            actions.push(Action::Read { old: true });
        }
        if !state.took_over {
            actions.extend([false, true].map(|keeps| Action::TakeOver { keeps_what_is_durable: keeps }));
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        self.next(before, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // What was said to count everywhere, and whoever decides.
        fn all(state: &State, has: impl Fn(&Node, u8) -> bool) -> bool {
            let mut said = state.changes.iter().filter(|it| it.everywhere).filter_map(|it| it.position);
            said.all(|at| state.nodes.iter().filter(|it| it.phase == Phase::Decides).all(|it| has(it, at)))
        }
        vec![
            Property::always(APPLIED, |_: &Self, state: &State| all(state, |node, at| node.applied >= at)),
            Property::always(NOTED, |_: &Self, state: &State| all(state, |node, at| node.noted >= at)),
            Property::always(ROW_IS_TRUE, |_: &Self, state: &State| {
                state
                    .nodes
                    .iter()
                    .all(|node| node.row.is_none_or(|row| row <= node.noted) && node.noted <= node.applied)
            }),
            Property::always(ANSWERED_IS_DONE, |_: &Self, state: &State| {
                let is_true = |it: &Change| match it.known {
                    Known::Done => it.events > 0,
                    Known::Failed => it.events == 0,
                    Known::NotAsked | Known::Waits | Known::Unknown => true,
                };
                state.changes.iter().all(is_true)
            }),
            Property::always(DONE_ONCE, |_: &Self, state: &State| state.changes.iter().all(|it| it.events <= 1)),
            // What is looked at happens.
            Property::sometimes("the only node says it before its row does", |_: &Self, state: &State| {
                state.said == Some(By::ItselfAlone)
            }),
            Property::sometimes("three nodes have told both changes", |_: &Self, state: &State| {
                state.changes.iter().all(|it| it.everywhere) && state.nodes.iter().all(|it| it.row == Some(2))
            }),
            Property::sometimes(
                "it is said by rows of a server that was taken over from",
                |_: &Self, state: &State| state.said == Some(By::OldRows),
            ),
            Property::sometimes("it is said by who waited long enough, of others", |_: &Self, state: &State| {
                state.said == Some(By::ItselfAmongOthers)
            }),
            Property::sometimes("a change stands where another one was lost", |_: &Self, state: &State| {
                state.changes[0].known == Known::Failed && state.changes[1].position == Some(1)
            }),
            Property::sometimes("what has failed is done by its repetition", |_: &Self, state: &State| {
                state.changes[0].repeated && state.changes[0].known == Known::Done
            }),
            Property::sometimes("nobody had heard of what is found", |_: &Self, state: &State| {
                state.took_over && state.changes[0].known == Known::Unknown && state.changes[0].position.is_some()
            }),
        ]
    }
}

const APPLIED: &str = "what counts everywhere whoever decides has applied";
const NOTED: &str = "what counts everywhere whoever decides has noted";
const ROW_IS_TRUE: &str = "what a row says is noted, and what is noted is applied";
const ANSWERED_IS_DONE: &str = "what was answered as done is done, and what as failed is not";
const DONE_ONCE: &str = "what was asked for once is done once";

#[test]
fn a_receipt_holds_on_three_nodes_and_each_answer_is_true() {
    let checker = Receipts { rules: RULES }.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    println!("receipts: {} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
}

#[test]
fn each_rule_of_receipts_is_needed() {
    let broken = [
        (
            "the only row counts as the own one, whosever it is",
            APPLIED,
            Rules {
                effective_for: |rows, _, kept, position| match rows {
                    [(_, at)] => (*at).max(kept) >= position,
                    rows => lease::effective(rows.iter().map(|(_, at)| *at), position),
                },
                ..RULES
            },
        ),
        (
            "a node speaks for itself, and others are not asked",
            APPLIED,
            Rules { effective_for: |_, _, kept, position| kept >= position, ..RULES },
        ),
        (
            "only one row is asked",
            APPLIED,
            Rules {
                effective_for: |rows, own, kept, position| {
                    lease::effective_for(rows.iter().copied().take(1), Some(own), kept, position)
                },
                ..RULES
            },
        ),
        (
            "the only node need not have noted it",
            NOTED,
            Rules {
                effective_for: |rows, own, _, position| {
                    lease::effective_for(rows.iter().copied(), Some(own), i64::MAX, position)
                },
                ..RULES
            },
        ),
        (
            "who has waited long enough leaves itself out",
            NOTED,
            Rules { lacks: |at, own, position| own.is_none() && lease::lacks(at, own, position), ..RULES },
        ),
        (
            "who has waited long enough asks nobody else",
            APPLIED,
            Rules { lacks: |at, own, position| own.is_some() && lease::lacks(at, own, position), ..RULES },
        ),
        ("what is applied counts as noted", NOTED, Rules { counts_what_it_noted: false, ..RULES }),
        ("a node tells what it has not noted", ROW_IS_TRUE, Rules { tells_what_it_noted: false, ..RULES }),
        ("the rows are read at any time", APPLIED, Rules { rows_are_read: WhenRead::AnyTime, ..RULES }),
        ("the rows are read once it is durable", APPLIED, Rules { rows_are_read: WhenRead::Durable, ..RULES }),
        ("a node loads before it registers", APPLIED, Rules { registers_first: false, ..RULES }),
        ("what nobody knows of has failed", ANSWERED_IS_DONE, Rules { unknown: Unknown::HasFailed, ..RULES }),
        ("it is looked up without the lock", ANSWERED_IS_DONE, Rules { unknown: Unknown::IsLookedUp, ..RULES }),
        (
            "an earlier server is believed after something was written on the next one",
            APPLIED,
            Rules { believes_no_earlier_server: false, ..RULES },
        ),
        ("what nobody knows of is sent again", DONE_ONCE, Rules { repeats_only_what_failed: false, ..RULES }),
    ];
    for (how, breach, rules) in broken {
        let checker =
            Receipts { rules }.checker().threads(2).finish_when(HasDiscoveries::AnyOf(BTreeSet::from([breach])));
        let path = checker.spawn_bfs().join().discoveries().remove(breach);
        let Some(path) = path else { panic!("nobody notices when {how}") };
        println!("{how}: {breach}: {:?}", path.into_actions());
    }
}
