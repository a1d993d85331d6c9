//! Servers that take over and have lost events: any of the last ones, and with them what was answered. Nobody measures time here;
//! the functions of [`lease`] say what a log is worth that was found again, and when what it holds may be decided by.
//!
//! One node revokes a token; another one lets the token make something, as long as it knows of no revocation; a third one begins
//! while all this happens. A commit is sent, visible, heard of (or not), noted and answered, each by itself. A node that finds its
//! log elsewhere compares it with what it has noted, brings back what is missing, and loads; between any two of these steps the
//! next server may take over. A server that was taken over from lets its log be read as it was: whoever reads it then learns what
//! could have been learned before.
//!
//! Three parts are searched, since all of it at once has too many states: *beginning* has three nodes and one server that takes
//! over, one of the nodes may die and come back; *writing* has two nodes and two servers that take over, one after the other,
//! answers to commits that are lost, and rows of nodes that are lost; *asking* has three nodes, of which one begins and none makes
//! anything, two servers, and receipts.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tokenward_core::lease::{self, Comparison};
use tokenward_core::time::Micros;

const BOUND: Micros = 100;
const NODES: usize = 3;
/// Who revokes, who lets the token make something, and who begins later.
const REVOKER: usize = 0;
const MAKER: usize = 1;
const LATER: usize = 2;
/// The name before of a log whose names a node does not know.
const NOBODY_KNOWS: u8 = u8::MAX;

/// The rules. Those of the product, or one of them broken.
#[derive(Clone, Copy)]
struct Rules {
    settled: fn(Option<Micros>, bool, Micros, Micros) -> bool,
    effective_for: fn(&[(usize, i64)], i64, i64) -> bool,
    /// The journal has what was committed; otherwise also what was only sent.
    notes_what_was_committed: bool,
    /// What was committed stands in the node's journal before it is answered, also where the node has not applied it yet.
    notes_before_it_answers: bool,
    /// A log that lacks what was noted is compared, also where all that was applied stands in it.
    compares_what_it_noted: bool,
    /// What was committed on a server that another has taken over from since is looked up before it is noted and answered.
    looks_up_what_may_be_lost: bool,
    /// What stood in the journal goes when what was brought back stands in it.
    notes_before_it_cuts: bool,
    /// What is loaded is the log that was compared.
    loads_what_it_compared: bool,
    /// A node that begins counts as a turn what was one before it began.
    minds_earlier_turns: bool,
    /// Whoever writes first on another server gives the log another name.
    begins_a_line: bool,
    /// Nothing is taken away that the rows say is.
    asks_before_it_takes_away: bool,
    /// The right is asked again by the rows, where the write is.
    asks_again_inside: bool,
    /// How far a node is it tells where it has learned it.
    tells_where_it_learned: bool,
    /// An older name, which comes back with a server that knows no newer one, says nothing of who has told what.
    waits_for_a_name_of_here: bool,
}

const RULES: Rules = Rules {
    settled: lease::settled,
    effective_for: |rows, kept, position| lease::effective_for(rows.iter().copied(), Some(REVOKER), kept, position),
    notes_what_was_committed: true,
    notes_before_it_answers: true,
    compares_what_it_noted: true,
    looks_up_what_may_be_lost: true,
    notes_before_it_cuts: true,
    loads_what_it_compared: true,
    minds_earlier_turns: true,
    begins_a_line: true,
    asks_before_it_takes_away: true,
    asks_again_inside: true,
    tells_where_it_learned: true,
    waits_for_a_name_of_here: true,
};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum What {
    /// The log goes on under another name.
    Begins,
    Revoked,
    RevokedAgain,
    /// The token made something.
    Made,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Event {
    what: What,
    /// The name of the log.
    line: u8,
    /// The server that it was written on first.
    place: u8,
}

/// An event where it stands.
type Entry = (usize, Event);

fn name_of(log: &[Event]) -> u8 {
    log.last().map_or(0, |event| event.line)
}

/// Where the log was written last.
fn written_at(log: &[Event]) -> u8 {
    log.last().map_or(0, |event| event.place)
}

fn takes_away(log: &[Event]) -> bool {
    log.iter().any(|event| matches!(event.what, What::Revoked | What::RevokedAgain))
}

/// How much of two logs is the same.
fn shared(one: &[Event], other: &[Event]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Covers all of it.
fn hash(log: &[Event]) -> Vec<u8> {
    log.iter().flat_map(|event| [event.what as u8, event.line, event.place]).collect()
}

fn is_lost(noted: Option<Entry>, log: &[Event]) -> bool {
    noted.is_some_and(|(at, event)| log.get(at) != Some(&event))
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Off,
    /// It has to compare the log with what it noted.
    Begun,
    /// It has to load the log, which it has compared on this server.
    Compared(u8),
    Loaded,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Node {
    phase: Phase,
    /// On which server it last found the log.
    place: Option<u8>,
    /// What it has applied and noted: its memory and its journal. Only the journal outlives it.
    seen: Vec<Event>,
    /// What it has noted beyond that: its own commit.
    noted: Option<Entry>,
    /// The name that the log had before it was found elsewhere.
    turned: Option<u8>,
    /// Has it taken the log for settled since?
    settled: bool,
    /// Does it decide? It does so from when it first has, and goes on by what it knew where the log is found elsewhere and goes on.
    decides: bool,
    has_row: bool,
    /// Has it ever known of the revocation?
    knew: bool,
}

/// How far the revocation is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Revocation {
    None,
    Sent,
    /// It is committed, and the answer on its way.
    Visible(Entry),
    /// The answer is lost.
    Unknown,
    /// The node knows that it is, or was, in the log of this server.
    Committed(Entry, u8),
    Answered,
    /// It was answered as not done, or nobody was there any more to answer it.
    Failed,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    /// The server that commits.
    here: u8,
    log: Vec<Event>,
    /// How many names the log has had, whoever remembers them.
    names: u8,
    nodes: [Node; NODES],
    revocation: Revocation,
    was_committed: bool,
    made: u8,
    everywhere: bool,
    rows_lost: bool,
    has_died: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Send,
    Commit,
    Hear,
    LoseTheAnswer,
    LookUp,
    Note,
    Answer,
    Receipt,
    Make,
    Look(usize),
    Compare(usize),
    Load(usize),
    Begin(usize),
    Die,
    /// Others take out the row of the one that died.
    Forget,
    TakeOver {
        keeps: usize,
        loses_the_rows: bool,
    },
}

/// What is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Beginning,
    Writing,
    Asking,
}

struct Logs {
    rules: Rules,
    part: Part,
}

/// What a node's row says.
struct Row {
    line: Option<u8>,
    applied: usize,
}

impl Logs {
    fn servers(&self) -> u8 {
        if self.part == Part::Beginning { 1 } else { 2 }
    }

    fn makes(&self) -> u8 {
        match self.part {
            Part::Beginning => 1,
            Part::Writing => 2,
            Part::Asking => 0,
        }
    }

    fn row(&self, state: &State, node: usize) -> Option<Row> {
        let node = &state.nodes[node];
        if !node.has_row {
            return None;
        }
        // One that has begun has told nothing yet.
        let Some(place) = node.place else { return Some(Row { line: None, applied: 0 }) };
        let is_told = node.phase == Phase::Loaded && place == state.here;
        if is_told || !self.rules.tells_where_it_learned {
            return Some(Row { line: Some(name_of(&node.seen)), applied: node.seen.len() });
        }
        // What a server that takes over has of a row is no newer than what it has of the log.
        let kept = shared(&node.seen, &state.log);
        Some(Row { line: Some(name_of(&state.log[..kept])), applied: kept })
    }

    /// Does the node take the log for one that holds all that it will hold of what came before?
    fn is_settled(&self, state: &State, node: usize) -> bool {
        let Some(before) = state.nodes[node].turned else { return (self.rules.settled)(None, false, BOUND, 0) };
        let name = name_of(&state.log);
        let mut others = (0..NODES).filter(|it| *it != node).filter_map(|it| self.row(state, it)).peekable();
        let is_of_here = written_at(&state.log) == state.here || !self.rules.waits_for_a_name_of_here;
        let is_new = name != before && is_of_here;
        let all_told = others.peek().is_none() || (is_new && others.all(|row| row.line == Some(name)));
        (self.rules.settled)(Some(0), all_told, BOUND, 0)
    }

    /// Does it know all of the log that is written now?
    fn is_up_to_date(state: &State, node: usize) -> bool {
        let node = &state.nodes[node];
        node.phase == Phase::Loaded && node.place == Some(state.here) && node.seen == state.log
    }

    fn decides(state: &State, node: usize) -> bool {
        state.nodes[node].phase == Phase::Loaded && state.nodes[node].decides
    }

    fn begin_a_line(&self, state: &mut State) {
        if self.rules.begins_a_line && written_at(&state.log) != state.here {
            state.names += 1;
            state.log.push(Event { what: What::Begins, line: state.names, place: state.here });
        }
    }

    fn append(&self, state: &mut State, what: What) -> Entry {
        self.begin_a_line(state);
        let event = Event { what, line: name_of(&state.log), place: state.here };
        state.log.push(event);
        (state.log.len() - 1, event)
    }

    /// Everybody who decides has a row, as time sees to where rows were lost.
    fn speaks_for_all(state: &State) -> bool {
        state.nodes.iter().all(|node| node.phase == Phase::Off || node.has_row)
    }

    fn look(&self, state: &mut State, at: usize) {
        let (here, log) = (state.here, state.log.clone());
        let node = &mut state.nodes[at];
        // One whose row is gone registers anew.
        node.has_row = true;
        if node.place != Some(here) {
            (node.place, node.turned, node.settled) = (Some(here), Some(name_of(&node.seen)), false);
        }
        let there = log.get(..node.seen.len()).map(hash);
        let position = node.seen.len() as i64;
        let goes = lease::compare(position, &hash(&node.seen), there.as_deref()) == Comparison::Goes;
        let lacks = is_lost(node.noted, &log);
        if !goes || (lacks && self.rules.compares_what_it_noted) {
            node.phase = Phase::Begun;
            return;
        }
        node.noted = node.noted.filter(|_| lacks);
        node.knew |= takes_away(&log);
        node.seen = log;
        let settled = self.is_settled(state, at);
        let node = &mut state.nodes[at];
        node.settled |= settled;
        node.decides |= node.settled;
    }

    fn compare(&self, state: &mut State, node: usize) {
        let here = state.here;
        let it = &mut state.nodes[node];
        if it.place.is_some_and(|place| place != here) {
            (it.place, it.turned) = (Some(here), Some(name_of(&it.seen)));
        }
        it.phase = Phase::Compared(here);
        let kept = shared(&it.seen, &state.log);
        let mut lost = it.seen[kept..].to_vec();
        lost.extend(it.noted.filter(|_| is_lost(it.noted, &state.log)).map(|(_, event)| event));
        if !self.rules.notes_before_it_cuts {
            it.seen.truncate(kept);
            it.noted = None;
        }
        let is_known = takes_away(&state.log) && self.rules.asks_before_it_takes_away;
        if takes_away(&lost) && !is_known {
            self.append(state, What::RevokedAgain);
        } else if !lost.is_empty() {
            self.begin_a_line(state);
        }
    }

    fn load(&self, state: &mut State, node: usize) {
        let (here, log) = (state.here, state.log.clone());
        let node = &mut state.nodes[node];
        match node.place {
            Some(place) if place != here => node.turned = Some(name_of(&node.seen)),
            None if written_at(&log) != here => node.turned = Some(name_of(&log)),
            _ if node.turned.is_none() && name_of(&log) != 0 && self.rules.minds_earlier_turns => {
                node.turned = Some(NOBODY_KNOWS);
            }
            _ => {}
        }
        (node.phase, node.place, node.noted) = (Phase::Loaded, Some(here), None);
        // It decides once it has looked again.
        (node.settled, node.decides) = (false, false);
        node.knew |= takes_away(&log);
        node.seen = log;
    }

    /// The revocation is in the journal of the node that asked for it.
    fn is_noted(state: &State) -> bool {
        let node = &state.nodes[REVOKER];
        node.noted.is_some() || takes_away(&node.seen)
    }

    /// It counts on the node that asked for it, which has the log that is written now.
    fn has_it_here(state: &State) -> bool {
        let node = &state.nodes[REVOKER];
        node.phase == Phase::Loaded && node.place == Some(state.here) && takes_away(&node.seen)
    }

    /// Where a receipt would find it, in the log that is there.
    fn position(state: &State) -> Option<i64> {
        let at = state.log.iter().position(|event| event.what == What::Revoked)?;
        Some(at as i64 + 1)
    }

    fn next(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Send => state.revocation = Revocation::Sent,
            Action::Commit => {
                // A log that ends before what is known is another one.
                let is_known = state.log.len() >= state.nodes[REVOKER].seen.len();
                state.was_committed |= is_known;
                state.revocation = if is_known {
                    Revocation::Visible(self.append(&mut state, What::Revoked))
                } else {
                    Revocation::Failed
                };
            }
            Action::Hear => {
                let Revocation::Visible(entry) = state.revocation else { return None };
                state.revocation = Revocation::Committed(entry, entry.1.place);
            }
            Action::LoseTheAnswer => state.revocation = Revocation::Unknown,
            Action::LookUp => {
                let found = state.log.iter().position(|event| event.what == What::Revoked);
                state.revocation = match found {
                    Some(at) => Revocation::Committed((at, state.log[at]), state.here),
                    None => Revocation::Failed,
                };
            }
            Action::Note => {
                let sent = Event { what: What::Revoked, line: name_of(&state.log), place: state.here };
                let (entry, at) = match state.revocation {
                    Revocation::Committed(entry, at) => (entry, at),
                    Revocation::Sent => ((state.log.len(), sent), state.here),
                    _ => return None,
                };
                let node = &mut state.nodes[REVOKER];
                if self.rules.looks_up_what_may_be_lost && node.place > Some(at) {
                    state.revocation = Revocation::Unknown;
                } else {
                    (node.noted, node.knew) = (Some(entry), true);
                }
            }
            Action::Answer => state.revocation = Revocation::Answered,
            Action::Receipt => {
                let told = |node: usize| Some((node, self.row(&state, node)?.applied as i64));
                let rows: Vec<(usize, i64)> = (0..NODES).filter_map(told).collect();
                let kept = state.nodes[REVOKER].seen.len() as i64;
                let passed = (self.rules.effective_for)(&rows, kept, Self::position(&state)?);
                state.everywhere = passed && Self::speaks_for_all(&state);
            }
            Action::Make => {
                self.append(&mut state, What::Made);
                state.made += 1;
            }
            Action::Look(node) => self.look(&mut state, node),
            Action::Compare(node) => self.compare(&mut state, node),
            Action::Load(node) => {
                let Phase::Compared(at) = state.nodes[node].phase else { return None };
                if at != state.here && self.rules.loads_what_it_compared {
                    state.nodes[node].phase = Phase::Begun;
                } else {
                    self.load(&mut state, node);
                }
            }
            Action::Begin(node) => {
                let node = &mut state.nodes[node];
                (node.phase, node.place, node.turned, node.has_row) = (Phase::Begun, None, None, true);
            }
            Action::Die => {
                state.nodes[REVOKER].phase = Phase::Off;
                state.has_died = true;
                if !matches!(state.revocation, Revocation::None | Revocation::Answered) {
                    state.revocation = Revocation::Failed;
                }
            }
            Action::Forget => state.nodes[REVOKER].has_row = false,
            Action::TakeOver { keeps, loses_the_rows } => {
                state.here += 1;
                state.log.truncate(keeps);
                if loses_the_rows {
                    state.rows_lost = true;
                    state.nodes.iter_mut().for_each(|node| node.has_row = false);
                }
                // Its transactions end with the old server.
                if state.revocation == Revocation::Sent {
                    state.revocation = Revocation::Failed;
                }
            }
        }
        (state != *before).then_some(state)
    }
}

impl Model for Logs {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = |is_up: bool| Node {
            phase: if is_up { Phase::Loaded } else { Phase::Off },
            place: is_up.then_some(0),
            seen: Vec::new(),
            noted: None,
            turned: None,
            settled: is_up,
            decides: is_up,
            has_row: is_up,
            knew: false,
        };
        vec![State {
            here: 0,
            log: Vec::new(),
            names: 0,
            nodes: [node(true), node(true), node(false)],
            revocation: Revocation::None,
            was_committed: false,
            made: 0,
            everywhere: false,
            rows_lost: false,
            has_died: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_writing = self.part == Part::Writing;
        let may_ask = self.part != Part::Beginning;
        let revoker = &state.nodes[REVOKER];
        match state.revocation {
            Revocation::None if revoker.phase == Phase::Loaded => actions.push(Action::Send),
            Revocation::Sent => {
                actions.push(Action::Commit);
                if !self.rules.notes_what_was_committed && !Self::is_noted(state) {
                    actions.push(Action::Note);
                }
            }
            Revocation::Visible(_) => {
                actions.push(Action::Hear);
                if is_writing {
                    actions.push(Action::LoseTheAnswer);
                }
            }
            Revocation::Unknown => actions.push(Action::LookUp),
            Revocation::Committed(..) => {
                if !Self::is_noted(state) {
                    actions.push(Action::Note);
                }
                if Self::is_noted(state) || !self.rules.notes_before_it_answers {
                    actions.push(Action::Answer);
                }
            }
            Revocation::Answered if may_ask && !state.everywhere && Self::has_it_here(state) => {
                actions.push(Action::Receipt);
            }
            _ => {}
        }
        let maker = &state.nodes[MAKER];
        // It knows of no revocation, and the log does not end before what it knows.
        let may_make = maker.phase == Phase::Loaded && !takes_away(&maker.seen) && state.log.len() >= maker.seen.len();
        if state.made < self.makes() && may_make && !(self.rules.asks_again_inside && takes_away(&state.log)) {
            actions.push(Action::Make);
        }
        for (at, node) in state.nodes.iter().enumerate() {
            match node.phase {
                Phase::Off if at != MAKER && !is_writing => actions.push(Action::Begin(at)),
                Phase::Off => {}
                Phase::Begun => actions.push(Action::Compare(at)),
                Phase::Compared(_) => actions.push(Action::Load(at)),
                Phase::Loaded => actions.push(Action::Look(at)),
            }
        }
        if self.part == Part::Beginning && !state.has_died {
            actions.push(Action::Die);
        }
        if revoker.phase == Phase::Off && revoker.has_row {
            actions.push(Action::Forget);
        }
        if state.here < self.servers() {
            for keeps in 0..=state.log.len() {
                // A name begins in the transaction of what is written first under it.
                let cuts_one = keeps > 0
                    && state.log[keeps - 1].what == What::Begins
                    && state.log.get(keeps).is_some_and(|next| next.line == state.log[keeps - 1].line);
                if !cuts_one {
                    actions.push(Action::TakeOver { keeps, loses_the_rows: false });
                }
            }
            if is_writing {
                actions.push(Action::TakeOver { keeps: state.log.len(), loses_the_rows: true });
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        self.next(before, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always(SETTLED_HOLDS, |model: &Self, state: &State| {
                let lives = state.nodes.iter().any(|node| node.phase != Phase::Off && node.knew);
                let is_claimed = state.revocation == Revocation::Answered && lives && !state.rows_lost;
                let misses = |node: usize| {
                    Self::is_up_to_date(state, node) && model.is_settled(state, node) && !takes_away(&state.log)
                };
                !(is_claimed && (0..NODES).any(misses))
            }),
            Property::always(KNOWN_HOLDS, |_: &Self, state: &State| {
                let misses = |node: usize| {
                    let knew = state.nodes[node].knew || (node == REVOKER && state.revocation == Revocation::Answered);
                    knew && Self::is_up_to_date(state, node) && !takes_away(&state.log)
                };
                !(0..NODES).any(misses)
            }),
            Property::always(RECEIPT_HOLDS, |_: &Self, state: &State| {
                let accepts = |node: usize| Self::decides(state, node) && !takes_away(&state.nodes[node].seen);
                !(state.everywhere && !state.rows_lost && (0..NODES).any(accepts))
            }),
            Property::always(ONE_MEANING, |_: &Self, state: &State| {
                let seen = state.nodes.iter().map(|node| &node.seen);
                let logs: Vec<&Vec<Event>> = seen.chain([&state.log]).collect();
                let differs = |one: &Event, other: &Event| one.line == other.line && one != other;
                let differ = |one: &Vec<Event>, other: &Vec<Event>| one.iter().zip(other).any(|(a, b)| differs(a, b));
                !logs.iter().any(|one| logs.iter().any(|other| differ(one, other)))
            }),
            Property::always(ONCE, |_: &Self, state: &State| {
                state.log.iter().filter(|it| matches!(it.what, What::Revoked | What::RevokedAgain)).count() <= 1
            }),
            Property::always(NOTHING_AFTER, |_: &Self, state: &State| {
                let mut after =
                    state.log.iter().skip_while(|it| !matches!(it.what, What::Revoked | What::RevokedAgain));
                !after.any(|it| it.what == What::Made)
            }),
            Property::always(ASKED, |_: &Self, state: &State| state.was_committed || !takes_away(&state.log)),
            // What is looked at happens.
            Property::sometimes("it is answered before it is applied", |_: &Self, state: &State| {
                state.revocation == Revocation::Answered && !takes_away(&state.nodes[REVOKER].seen)
            }),
            Property::sometimes("what was answered and lost is brought back", |_: &Self, state: &State| {
                state.revocation == Revocation::Answered && state.log.iter().any(|it| it.what == What::RevokedAgain)
            }),
        ];
        match self.part {
            Part::Beginning => all.extend([
                Property::sometimes("a node that began on a log that lacked something decides", |_: &Self, state: &State| {
                    state.nodes[LATER].turned.is_some()
                        && Self::is_up_to_date(state, LATER)
                        && Self::decides(state, LATER)
                        && state.log.iter().any(|it| it.what == What::RevokedAgain)
                }),
                Property::sometimes("who died has brought it back", |_: &Self, state: &State| {
                    state.has_died && state.log.iter().any(|it| it.what == What::RevokedAgain)
                }),
            ]),
            Part::Asking => all.extend([
                Property::sometimes("a receipt is given while three nodes decide", |_: &Self, state: &State| {
                    state.everywhere && (0..NODES).all(|node| Self::decides(state, node))
                }),
                Property::sometimes("what counts everywhere is lost, and brought back", |_: &Self, state: &State| {
                    state.everywhere && state.log.iter().any(|it| it.what == What::RevokedAgain)
                }),
                Property::sometimes("a receipt is given that the row does not tell yet", |model: &Self, state: &State| {
                    let lacks = model.row(state, REVOKER).is_some_and(|row| row.applied == 0);
                    state.everywhere && lacks
                }),
            ]),
            Part::Writing => all.extend([
                Property::sometimes("it is brought back a second time", |_: &Self, state: &State| {
                    state.names >= 2 && state.log.iter().any(|it| it.what == What::RevokedAgain && it.place == 2)
                }),
                Property::sometimes("a receipt is given", |_: &Self, state: &State| state.everywhere),
                Property::sometimes("what was not heard of is found", |_: &Self, state: &State| {
                    matches!(state.revocation, Revocation::Committed((_, event), at) if event.place != at)
                }),
            ]),
        }
        all
    }
}

const SETTLED_HOLDS: &str = "what was answered, and is known to a node that lives, is refused by whoever is settled";
const KNOWN_HOLDS: &str = "what a node knew, or answered, is taken away in the log that it has loaded";
const RECEIPT_HOLDS: &str = "what counts everywhere is refused, whatever a server has lost";
const ONE_MEANING: &str = "a position under a name means one thing";
const ONCE: &str = "nothing is taken away twice";
const NOTHING_AFTER: &str = "a token makes nothing after its revocation";
const ASKED: &str = "nothing is taken away that was not";
const FAILURES: [&str; 7] = [SETTLED_HOLDS, KNOWN_HOLDS, RECEIPT_HOLDS, ONE_MEANING, ONCE, NOTHING_AFTER, ASKED];

#[test]
fn no_order_of_losses_brings_back_to_life_what_was_taken_away() {
    let parts = [("beginning", Part::Beginning), ("writing", Part::Writing), ("asking", Part::Asking)];
    for (what, part) in parts {
        let checker = Logs { rules: RULES, part }.checker().threads(2).spawn_bfs().join();
        checker.assert_properties();
        println!("{what}: {} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    }
}

#[test]
fn each_rule_of_lost_logs_is_needed() {
    use Part::{Asking, Beginning, Writing};
    let broken = [
        ("a node decides at once by another log", Beginning, Rules { settled: |_, _, _, _| true, ..RULES }),
        ("a receipt asks no rows", Writing, Rules { effective_for: |_, _, _| true, ..RULES }),
        ("a node speaks for the others", Asking, Rules { effective_for: |_, kept, at| kept >= at, ..RULES }),
        ("the journal has what was only sent", Writing, Rules { notes_what_was_committed: false, ..RULES }),
        ("a node decides at once by another log, which asks", Asking, Rules { settled: |_, _, _, _| true, ..RULES }),
        ("it is answered before it is noted", Writing, Rules { notes_before_it_answers: false, ..RULES }),
        ("what was noted and not applied is not compared", Writing, Rules { compares_what_it_noted: false, ..RULES }),
        ("what another server may have lost is noted", Writing, Rules { looks_up_what_may_be_lost: false, ..RULES }),
        ("the journal forgets before it is brought back", Writing, Rules { notes_before_it_cuts: false, ..RULES }),
        ("another log is loaded than was compared", Writing, Rules { loads_what_it_compared: false, ..RULES }),
        ("who begins minds no earlier turn", Beginning, Rules { minds_earlier_turns: false, ..RULES }),
        ("another server goes on under the old name", Writing, Rules { begins_a_line: false, ..RULES }),
        ("it is taken away again by each", Writing, Rules { asks_before_it_takes_away: false, ..RULES }),
        ("the right is not asked again", Writing, Rules { asks_again_inside: false, ..RULES }),
        ("an older name is taken for a new one", Writing, Rules { waits_for_a_name_of_here: false, ..RULES }),
        ("it is told elsewhere what was learned here", Writing, Rules { tells_where_it_learned: false, ..RULES }),
    ];
    for (how, part, rules) in broken {
        let failures = BTreeSet::from(FAILURES);
        let checker = Logs { rules, part }.checker().threads(2).finish_when(HasDiscoveries::AnyOf(failures));
        let mut found = checker.spawn_bfs().join().discoveries();
        let path = FAILURES.iter().find_map(|failure| Some((*failure, found.remove(failure)?)));
        let Some((failure, path)) = path else { panic!("nobody notices when {how}") };
        println!("{how}: {failure}: {:?}", path.into_actions());
    }
}
