//! Servers that take over with the whole log and without rows of nodes: who was forgotten decides on for a while, and whoever
//! reads the rows then may find its own alone among them.
//!
//! A node decides about a token; another one takes it back, reads the rows, and says when that counts everywhere. It may have
//! been there all the time, or begin on a server that has taken over. A reading is asked and answered at two moments, between
//! which a server may take over, or two; and the reading node may still be connected to the one before, which tells what it
//! had. Clocks differ by 20 % in pace. Of times only their age matters, as in `fresh`, where what a look can suffer on its way
//! is searched through; here a look is served at one moment.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tokenward_core::lease::{self, LogPlace};
use tokenward_core::time::Micros;

const BOUND: Micros = 100;
const TICK: Micros = 20;
/// How many servers take over, one after the other.
const SERVERS: u8 = 2;
/// What is so many ticks old is as good as older.
const OLD: u8 = 7;
/// The nodes, by the names of their rows.
const WRITER: char = 'w';
const OTHER: char = 'o';

/// The rules. Those of the product, or one of them broken.
#[derive(Clone, Copy)]
struct Rules {
    speaks_for_all: fn(Option<Micros>, Micros, Micros) -> bool,
    effective_for: fn(&[(char, i64)], i64) -> bool,
    /// Has another server gone on from this one, as far as is known of both?
    is_before: fn(&str, &str) -> bool,
    /// Another place is found when it is known; otherwise when it was asked.
    found_when_known: bool,
    /// Each time that another server has taken over counts; otherwise the first one.
    each_counts: bool,
    /// A node that begins where another server was before counts that as found.
    minds_earlier_turns: bool,
    /// A node whose row is gone stops; otherwise it goes on.
    stops_without_a_row: bool,
}

const RULES: Rules = Rules {
    speaks_for_all: lease::speaks_for_all,
    // The writer has applied and noted its change, which is the first one.
    effective_for: |rows, position| lease::effective_for(rows.iter().copied(), Some(WRITER), 1, position),
    is_before: |here, seen| match (LogPlace::parse(here), LogPlace::parse(seen)) {
        (Some(here), Some(seen)) => here.is_before(&seen),
        _ => false,
    },
    found_when_known: true,
    each_counts: true,
    minds_earlier_turns: true,
    stops_without_a_row: true,
};

/// A look of the other node, which was asked so long ago.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Look {
    Sent(u8),
    /// It was served, and the answer is on its way.
    Served(u8),
}

/// Rows that were asked for so long ago; since the change was answered?
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Reading {
    age: u8,
    after: bool,
}

/// The node that reads the rows.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Writer {
    /// On which server it last found the log.
    place: u8,
    /// The last server that it has written on.
    wrote_on: u8,
    /// So long ago it counts as found at another place.
    turned: Option<u8>,
    reading: Option<Reading>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Revocation {
    None,
    Visible,
    Answered,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    /// The pace of the clocks of the node that decides and of the writer, in tenths.
    paces: (u8, u8),
    server: u8,
    /// How old what the other node knows is.
    fresh: Option<u8>,
    look: Option<Look>,
    /// Does its memory refuse the token?
    applied: bool,
    /// Does it take itself for registered?
    registered: bool,
    /// Its row: does it tell the change?
    row: Option<bool>,
    /// The same on the server where the writer is, if another has taken over from it.
    old_row: Option<bool>,
    writer: Option<Writer>,
    revocation: Revocation,
    everywhere: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Tick,
    Register,
    Send,
    Serve,
    Hear,
    Lose,
    Tell,
    Begin,
    Revoke,
    Answer,
    Ask,
    Read { old: bool },
    GiveUp,
    TakeOver { loses_the_row: bool },
}

struct Rows {
    rules: Rules,
}

/// By a clock of this pace, what was so many ticks ago, if it is `now` at zero.
fn ago(ticks: u8, pace: u8) -> Micros {
    -(Micros::from(ticks) * TICK * Micros::from(pace) / 10)
}

/// A server tells where it is so.
fn place(server: u8) -> String {
    format!("71/{:08X}/9", server + 1)
}

fn older(age: &mut u8) {
    *age = (*age + 1).min(OLD);
}

impl Rows {
    fn decides(state: &State) -> bool {
        let fresh = state.fresh.map_or(lease::NEVER, |age| ago(age, state.paces.0));
        lease::may_decide(0, fresh, BOUND)
    }

    /// What the writer says by these rows, which it has read now.
    fn says_everywhere(&self, state: &State, row: Option<bool>) -> bool {
        let Some(writer) = &state.writer else { return false };
        let turned = writer.turned.map(|age| ago(age, state.paces.1));
        // Where there is another node the writer has told it; where there is none it has not.
        let rows = match row {
            Some(told) => vec![(WRITER, 1), (OTHER, i64::from(told))],
            None => vec![(WRITER, 0)],
        };
        (self.rules.speaks_for_all)(turned, BOUND, 0) && (self.rules.effective_for)(&rows, 1)
    }

    fn read(&self, before: &State, old: bool) -> Option<State> {
        let mut state = before.clone();
        let writer = state.writer.as_mut()?;
        let reading = writer.reading.take()?;
        if old && (self.rules.is_before)(&place(writer.place), &place(writer.place.max(writer.wrote_on))) {
            return Some(state);
        }
        if !old && writer.place != before.server {
            writer.place = before.server;
            let age = if self.rules.found_when_known { 0 } else { reading.age };
            writer.turned = if self.rules.each_counts { Some(age) } else { writer.turned.or(Some(age)) };
            state.old_row = None;
        }
        let row = if old { before.old_row } else { before.row };
        state.everywhere |= reading.after && self.says_everywhere(&state, row);
        Some(state)
    }

    fn next(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Tick => {
                if let Some(Look::Sent(age) | Look::Served(age)) = &mut state.look {
                    older(age);
                }
                state.fresh.iter_mut().for_each(older);
                if let Some(writer) = &mut state.writer {
                    writer.turned.iter_mut().for_each(older);
                    writer.reading.iter_mut().for_each(|reading| older(&mut reading.age));
                }
                if !Self::decides(&state) {
                    state.fresh = None;
                }
            }
            Action::Register => (state.registered, state.row) = (true, Some(state.applied)),
            Action::Send => state.look = Some(Look::Sent(0)),
            Action::Serve => {
                let Some(Look::Sent(age)) = before.look else { return None };
                if state.row.is_none() && self.rules.stops_without_a_row {
                    (state.look, state.registered, state.fresh) = (None, false, None);
                } else {
                    state.applied |= state.revocation != Revocation::None;
                    state.look = Some(Look::Served(age));
                }
            }
            Action::Hear => {
                let Some(Look::Served(age)) = before.look else { return None };
                state.look = None;
                state.fresh = Some(state.fresh.map_or(age, |before| before.min(age)));
                if !Self::decides(&state) {
                    state.fresh = None;
                }
            }
            Action::Lose => state.look = None,
            Action::Tell => state.row = Some(true),
            Action::Begin => {
                let turned = (state.server > 0 && self.rules.minds_earlier_turns).then_some(0);
                state.writer = Some(Writer { place: state.server, wrote_on: 0, turned, reading: None });
            }
            Action::Revoke => {
                state.revocation = Revocation::Visible;
                state.writer.as_mut()?.wrote_on = before.server;
            }
            Action::Answer => state.revocation = Revocation::Answered,
            Action::Ask => {
                let after = state.revocation == Revocation::Answered;
                state.writer.as_mut()?.reading = Some(Reading { age: 0, after });
            }
            Action::Read { old } => return self.read(before, old),
            Action::GiveUp => state.writer.as_mut()?.reading = None,
            Action::TakeOver { loses_the_row } => {
                if state.writer.as_ref().is_some_and(|writer| writer.place == before.server) {
                    state.old_row = before.row;
                }
                state.server += 1;
                if loses_the_row {
                    state.row = None;
                }
                // What was not served by then ends with the old server.
                if matches!(state.look, Some(Look::Sent(_))) {
                    state.look = None;
                }
            }
        }
        (state != *before).then_some(state)
    }
}

impl Model for Rows {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let begun = |(paces, is_up): ((u8, u8), bool)| State {
            paces,
            server: 0,
            fresh: Some(0),
            look: None,
            applied: false,
            registered: true,
            row: Some(false),
            old_row: None,
            writer: is_up.then_some(Writer { place: 0, wrote_on: 0, turned: None, reading: None }),
            revocation: Revocation::None,
            everywhere: false,
        };
        [(9, 11), (11, 9), (10, 10)].into_iter().flat_map(|paces| [(paces, true), (paces, false)]).map(begun).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        match state.look {
            None if state.registered => actions.push(Action::Send),
            None => actions.push(Action::Register),
            Some(Look::Sent(_)) => actions.extend([Action::Serve, Action::Lose]),
            Some(Look::Served(_)) => actions.extend([Action::Hear, Action::Lose]),
        }
        if state.applied && state.row == Some(false) {
            actions.push(Action::Tell);
        }
        match &state.writer {
            None => actions.push(Action::Begin),
            Some(writer) => {
                match state.revocation {
                    Revocation::None => actions.push(Action::Revoke),
                    Revocation::Visible => actions.push(Action::Answer),
                    Revocation::Answered => {}
                }
                if writer.reading.is_some() {
                    actions.extend([Action::Read { old: false }, Action::GiveUp]);
                    if writer.place < state.server {
                        actions.push(Action::Read { old: true });
                    }
                } else if !state.everywhere {
                    actions.push(Action::Ask);
                }
            }
        }
        if state.server < SERVERS {
            actions.extend([false, true].map(|loses_the_row| Action::TakeOver { loses_the_row }));
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        self.next(before, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(RECEIPT_HOLDS, |_: &Self, state: &State| {
                !(state.everywhere && Self::decides(state) && !state.applied)
            }),
            // What is looked at happens.
            Property::sometimes("a node decides on that was forgotten", |_: &Self, state: &State| {
                state.row.is_none()
                    && Self::decides(state)
                    && !state.applied
                    && state.revocation == Revocation::Answered
            }),
            Property::sometimes("who was forgotten comes back and hears of it", |_: &Self, state: &State| {
                state.server > 0 && state.applied && state.row == Some(true) && Self::decides(state) && state.everywhere
            }),
            Property::sometimes(
                "it is said by a node that began after two servers took over",
                |_: &Self, state: &State| {
                    let is_new = |it: &Writer| it.place == SERVERS && it.turned == Some(OLD);
                    state.everywhere && state.row.is_none() && state.writer.as_ref().is_some_and(is_new)
                },
            ),
            Property::sometimes(
                "it is said by rows of a server that was taken over from",
                |_: &Self, state: &State| {
                    let is_behind = |it: &Writer| it.place < state.server && it.turned.is_none();
                    state.everywhere && state.row.is_none() && state.writer.as_ref().is_some_and(is_behind)
                },
            ),
        ]
    }
}

const RECEIPT_HOLDS: &str = "what counts everywhere is refused by who was forgotten, too";

#[test]
fn nobody_who_was_forgotten_accepts_what_counts_everywhere() {
    let checker = Rows { rules: RULES }.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    println!("forgotten: {} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
}

#[test]
fn each_rule_of_lost_rows_is_needed() {
    let broken = [
        ("receipts go on at once where a server took over", Rules { speaks_for_all: |_, _, _| true, ..RULES }),
        (
            "they go on after three quarters of the bound",
            Rules { speaks_for_all: |turned, bound, now| turned.is_none_or(|at| now - at >= bound / 4 * 3), ..RULES },
        ),
        ("an earlier server is believed", Rules { is_before: |_, _| false, ..RULES }),
        ("another place was found when it was asked", Rules { found_when_known: false, ..RULES }),
        ("the first server that took over is the last one that counts", Rules { each_counts: false, ..RULES }),
        ("who begins minds no earlier turn", Rules { minds_earlier_turns: false, ..RULES }),
        (
            "whoever has noted a change says that it counts everywhere",
            Rules { effective_for: |rows, position| rows.iter().any(|(_, at)| *at >= position), ..RULES },
        ),
        ("a node goes on without a row", Rules { stops_without_a_row: false, ..RULES }),
    ];
    for (how, rules) in broken {
        let breach = HasDiscoveries::AnyOf(BTreeSet::from([RECEIPT_HOLDS]));
        let checker = Rows { rules }.checker().threads(2).finish_when(breach);
        let path = checker.spawn_bfs().join().discoveries().remove(RECEIPT_HOLDS);
        let Some(path) = path else { panic!("nobody notices when {how}") };
        println!("{how}: {:?}", path.into_actions());
    }
}
