//! The rules of several nodes, searched through: every order in which looks, commits, answers and losses can happen, for as
//! long as one likes, with clocks that differ by 20 % and two servers that take over, one after the other, while the old ones
//! still answer.
//!
//! There is a token and one revocation of it; a node that decides about the token; and one that writes, watches the row of the
//! other, and says when the revocation counts everywhere. More nodes would add nothing: each decides by what it has itself,
//! and a receipt asks every row. Of times only their age matters, and beyond some bounds not even that, so that the states
//! come to an end and time does not.
//!
//! The functions of `lease` say who may decide, whose row may go and what counts everywhere; the rest is the protocol around
//! them, as the follower and the registry carry it out. Each rule is then broken on purpose, and the search must find what
//! comes of it: a rule whose breach nobody notices proves nothing.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tokenward_core::lease::{self, Sign};
use tokenward_core::time::Micros;

/// The bound, and what passes in a tick, in units of true time.
const BOUND: Micros = 100;
const TICK: Micros = 20;
const TICKS_OF_BOUND: u8 = 5;
/// How many servers take over, one after the other.
const SERVERS: u8 = 2;
/// What is so many ticks old is as good as older: beyond all that counts, for a slow clock too.
const OLD: u8 = 7;

/// The rules. Those of the product, or one of them broken.
#[derive(Clone, Copy)]
struct Rules {
    may_decide: fn(Micros, Micros, Micros) -> bool,
    may_delete: fn(Sign, Micros, Micros) -> bool,
    speaks_for_all: fn(Option<Micros>, Micros, Micros) -> bool,
    /// What the rows say must have passed the change.
    effective: fn(Option<i64>, i64) -> bool,
    /// What a node knows is as old as the moment before it asked; otherwise as the answer.
    fresh_when_asked: bool,
    /// A look counts once its commit is confirmed; otherwise once it was read.
    counts_when_confirmed: bool,
    /// A node whose row is gone stops; otherwise it goes on.
    stops_without_a_row: bool,
    /// A node registers, then loads; otherwise the other way round.
    registers_first: bool,
    /// What is told to others is applied; otherwise it was only read.
    applies_before_it_tells: bool,
    /// The rows are read after the commit was answered; otherwise at any time.
    reads_rows_after_the_commit: bool,
}

const RULES: Rules = Rules {
    may_decide: lease::may_decide,
    may_delete: lease::may_delete,
    speaks_for_all: lease::speaks_for_all,
    effective: |row, position| lease::effective(row, position),
    fresh_when_asked: true,
    counts_when_confirmed: true,
    stops_without_a_row: true,
    registers_first: true,
    applies_before_it_tells: true,
    reads_rows_after_the_commit: true,
};

/// A look at the log, on its way. `age` is how long ago it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Look {
    /// Sent, to the server that commits or to the old one.
    Sent { age: u8, old: bool },
    /// Read, in a transaction that is open; what it saw.
    Read { age: u8, old: bool, sees: bool },
    /// Committed; the answer is on its way.
    Committed { age: u8, sees: bool },
}

/// How far the revocation is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Revocation {
    /// Nobody wants it yet.
    None,
    /// It is visible to whoever reads; and whoever asked for it has heard so.
    Visible { age: u8, answered: bool },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    /// The pace of the clocks of the node that decides and of the one that watches, in tenths.
    paces: (u8, u8),
    /// Has the node that decides begun?
    up: bool,
    /// Does it take itself for registered?
    registered: bool,
    /// Does its memory refuse the token?
    applied: bool,
    /// How old what it knows is.
    fresh: Option<u8>,
    look: Option<Look>,
    /// Its row: is the revocation applied, by what it says?
    row: Option<bool>,
    /// How long ago the watching node saw the row change, and whether that is still what it says.
    sign: Option<(u8, bool)>,
    revocation: Revocation,
    /// Was it said that it counts everywhere?
    everywhere: bool,
    /// So long ago another server took over; did the first one know of the revocation? Of those that were taken over from it knows
    /// least.
    took_over: Option<(u8, bool)>,
    /// How many have taken over.
    servers: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Tick,
    /// The node begins, or registers anew.
    Register,
    Send {
        old: bool,
    },
    Read,
    Commit,
    Hear,
    Lose,
    /// The node tells how far it has come, between two looks.
    Tell,
    /// The other node reads the row.
    Watch,
    Revoke,
    Answer,
    Receipt,
    /// Another server goes on with the whole log, and with the row or without.
    TakeOver {
        loses_the_row: bool,
    },
}

struct Nodes {
    rules: Rules,
}

/// By a clock of this pace, what was so many ticks ago, if it is `now` at zero.
fn ago(ticks: u8, pace: u8) -> Micros {
    -(Micros::from(ticks) * TICK * Micros::from(pace) / 10)
}

fn older(age: &mut u8) {
    *age = (*age + 1).min(OLD);
}

impl Nodes {
    fn decides(&self, state: &State) -> bool {
        let fresh = state.fresh.map_or(lease::NEVER, |age| ago(age, state.paces.0));
        state.up && (self.rules.may_decide)(0, fresh, BOUND)
    }

    /// Has a look written the row that has not ended? Nobody else changes it then.
    fn is_held(state: &State) -> bool {
        matches!(state.look, Some(Look::Read { old: false, .. }))
    }

    fn accepts(&self, state: &State) -> bool {
        self.decides(state) && !state.applied
    }
}

impl Model for Nodes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let begun = |(paces, up): ((u8, u8), bool)| State {
            paces,
            up,
            registered: up,
            applied: false,
            fresh: up.then_some(0),
            look: None,
            row: up.then_some(false),
            sign: None,
            revocation: Revocation::None,
            everywhere: false,
            took_over: None,
            servers: 0,
        };
        [(9, 11), (11, 9), (10, 10)].into_iter().flat_map(|paces| [(paces, true), (paces, false)]).map(begun).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        let may_register = if self.rules.registers_first { !state.registered } else { !state.up };
        if may_register && state.look.is_none() {
            actions.push(Action::Register);
        }
        match state.look {
            None if state.registered || (state.up && !self.rules.registers_first) => {
                actions.push(Action::Send { old: false });
                if state.took_over.is_some() {
                    actions.push(Action::Send { old: true });
                }
            }
            None => {}
            Some(look) => {
                actions.push(Action::Lose);
                match look {
                    Look::Sent { .. } => actions.push(Action::Read),
                    // A server that was taken over from confirms nothing.
                    Look::Read { old: true, .. } => {}
                    Look::Read { .. } => actions.push(Action::Commit),
                    Look::Committed { .. } => actions.push(Action::Hear),
                }
            }
        }
        if state.applied && state.row == Some(false) && !Self::is_held(state) {
            actions.push(Action::Tell);
        }
        if state.row.is_some() && !Self::is_held(state) {
            actions.push(Action::Watch);
        }
        match state.revocation {
            Revocation::None => actions.push(Action::Revoke),
            Revocation::Visible { answered: false, .. } => actions.push(Action::Answer),
            Revocation::Visible { .. } => {}
        }
        let answered = matches!(state.revocation, Revocation::Visible { answered: true, .. });
        if !state.everywhere && (answered || !self.rules.reads_rows_after_the_commit) {
            actions.push(Action::Receipt);
        }
        if state.servers < SERVERS {
            actions.extend([false, true].map(|loses_the_row| Action::TakeOver { loses_the_row }));
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Tick => {
                if let Some(Look::Sent { age, .. } | Look::Read { age, .. } | Look::Committed { age, .. }) =
                    &mut state.look
                {
                    older(age);
                }
                if let Revocation::Visible { age, .. } = &mut state.revocation {
                    *age = (*age + 1).min(TICKS_OF_BOUND);
                }
                state.fresh.iter_mut().for_each(older);
                state.sign.iter_mut().for_each(|(age, _)| older(age));
                state.took_over.iter_mut().for_each(|(age, _)| older(age));
                if !self.decides(&state) {
                    state.fresh = None;
                }
            }
            Action::Register => {
                state.up = true;
                if self.rules.registers_first {
                    state.registered = true;
                    (state.row, state.sign) = (Some(state.applied), None);
                }
            }
            Action::Send { old } => state.look = Some(Look::Sent { age: 0, old }),
            Action::Read => {
                let Some(Look::Sent { age, old }) = before.look else { return None };
                if state.row.is_none() && state.registered && !old && self.rules.stops_without_a_row {
                    (state.look, state.registered, state.fresh) = (None, false, None);
                } else {
                    let sees = if old { state.took_over?.1 } else { state.revocation != Revocation::None };
                    state.look = Some(Look::Read { age, old, sees });
                    state.applied |= sees && self.rules.applies_before_it_tells;
                    if !self.rules.counts_when_confirmed {
                        state.fresh = Some(age);
                    }
                }
            }
            Action::Commit => {
                let Some(Look::Read { age, sees, .. }) = before.look else { return None };
                state.look = Some(Look::Committed { age, sees });
                if let Some(applied) = &mut state.row {
                    *applied |= sees && !self.rules.applies_before_it_tells;
                    if let Some((_, current)) = &mut state.sign {
                        *current = false;
                    }
                }
            }
            Action::Hear => {
                let Some(Look::Committed { age, sees }) = before.look else { return None };
                (state.look, state.applied) = (None, state.applied || sees);
                let age = if self.rules.fresh_when_asked { age } else { 0 };
                state.fresh = Some(state.fresh.map_or(age, |before| before.min(age)));
                if !self.decides(&state) {
                    state.fresh = None;
                }
                if !state.registered {
                    state.registered = true;
                    (state.row, state.sign) = (Some(state.applied), None);
                }
            }
            Action::Lose => state.look = None,
            Action::Tell => state.row = Some(true),
            Action::Watch => {
                let seen = state.sign.map(|(age, current)| {
                    (Sign { counter: i64::from(!current), seen_since: ago(age, state.paces.1) }, age)
                });
                // Zero is what the row says now.
                let sign = Sign::observe(seen.map(|(sign, _)| sign), 0, 0);
                let age = seen.filter(|(before, _)| *before == sign).map_or(0, |(_, age)| age);
                state.sign = Some((age, true));
                if (self.rules.may_delete)(sign, BOUND, 0) {
                    (state.row, state.sign) = (None, None);
                }
            }
            Action::Revoke => state.revocation = Revocation::Visible { age: 0, answered: false },
            Action::Answer => {
                if let Revocation::Visible { answered, .. } = &mut state.revocation {
                    *answered = true;
                }
            }
            Action::Receipt => {
                let turned = state.took_over.map(|(age, _)| ago(age, state.paces.1));
                state.everywhere = (self.rules.speaks_for_all)(turned, BOUND, 0)
                    && (self.rules.effective)(state.row.map(i64::from), 1);
            }
            Action::TakeOver { loses_the_row } => {
                let knew = state.took_over.map_or(state.revocation != Revocation::None, |(_, knew)| knew);
                state.took_over = Some((0, knew));
                state.servers += 1;
                if loses_the_row {
                    (state.row, state.sign) = (None, None);
                }
                // Its transactions end with the old server.
                if !matches!(state.look, Some(Look::Committed { .. })) {
                    state.look = None;
                }
            }
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(BOUND_HOLDS, |model: &Self, state: &State| {
                let late = matches!(state.revocation, Revocation::Visible { age: TICKS_OF_BOUND.., .. });
                !(late && model.accepts(state))
            }),
            Property::always(RECEIPT_HOLDS, |model: &Self, state: &State| !(state.everywhere && model.accepts(state))),
            Property::always(ROW_IS_TRUE, |_: &Self, state: &State| state.row != Some(true) || state.applied),
            // What is looked at happens.
            Property::sometimes("a receipt is given while the node decides", |model: &Self, state: &State| {
                state.everywhere && model.decides(state) && state.row.is_some()
            }),
            Property::sometimes("a row is taken out whose owner has not noticed", |_: &Self, state: &State| {
                state.row.is_none() && state.registered && state.took_over.is_none()
            }),
            Property::sometimes("a receipt is given after a server took over", |_: &Self, state: &State| {
                state.everywhere && state.took_over.is_some_and(|(_, knew)| !knew)
            }),
        ]
    }
}

const BOUND_HOLDS: &str = "what was revoked a bound ago is refused";
const RECEIPT_HOLDS: &str = "what counts everywhere is refused";
const ROW_IS_TRUE: &str = "what a row says is applied";

#[test]
fn no_order_of_events_lets_a_node_accept_what_it_may_not() {
    let checker = Nodes { rules: RULES }.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    println!("{} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
}

#[test]
fn each_rule_is_needed() {
    let broken = [
        (
            "a node decides as long as its sign counts",
            Rules { may_decide: |now, fresh, bound| now < fresh.saturating_add(lease::counts_for(bound)), ..RULES },
        ),
        (
            "a row goes after three quarters of the bound",
            Rules { may_delete: |sign, bound, now| now - sign.seen_since >= bound / 4 * 3, ..RULES },
        ),
        ("a receipt asks no rows", Rules { effective: |_, _| true, ..RULES }),
        ("receipts go on at once where a server took over", Rules { speaks_for_all: |_, _, _| true, ..RULES }),
        ("what is known is as old as the answer", Rules { fresh_when_asked: false, ..RULES }),
        ("a look counts that nobody confirmed", Rules { counts_when_confirmed: false, ..RULES }),
        ("a node goes on without a row", Rules { stops_without_a_row: false, ..RULES }),
        ("a node loads before it registers", Rules { registers_first: false, ..RULES }),
        ("a node tells what it has not applied", Rules { applies_before_it_tells: false, ..RULES }),
        ("the rows are read before the commit", Rules { reads_rows_after_the_commit: false, ..RULES }),
    ];
    for (how, rules) in broken {
        let failures = BTreeSet::from([BOUND_HOLDS, RECEIPT_HOLDS]);
        let checker = Nodes { rules }.checker().threads(2).finish_when(HasDiscoveries::AnyOf(failures));
        let mut found = checker.spawn_bfs().join().discoveries();
        let path = found.remove(BOUND_HOLDS).or_else(|| found.remove(RECEIPT_HOLDS));
        let Some(path) = path else { panic!("nobody notices when {how}") };
        println!("{how}: {:?}", path.into_actions());
    }
}
