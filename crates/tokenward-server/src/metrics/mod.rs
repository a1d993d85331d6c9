//! What Prometheus is told: how much is decided, how fast, by what knowledge, and how the process is.
//!
//! Counted with plain numbers in memory, in parts by thread, so that the cores never wait for each other and a decision
//! allocates nothing for it. While nobody listens (`metrics_listen` is empty) nothing is counted. No label has values that
//! somebody else chooses: no token, organization, path or address.

mod histogram;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokenward_core::decision::Decision;
use tokenward_core::event::{Event, Kind};
use tokenward_core::reason::Reason;
use tokenward_core::{Code, Error, Time};

pub use histogram::{BOUNDS, Histogram, Times};

/// Parts of what is counted with every request. More threads than these share some.
const PARTS: usize = 16;
/// Of so many decisions one is timed: asking the clock twice costs more than all the counting.
const TIMED: u64 = 16;

/// Who asks for a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// `POST /verify`, and each question of a batch.
    Verify,
    /// RFC 7662.
    Introspect,
    /// A gateway with forward-auth.
    ForwardAuth,
    /// Envoy and its kin, over gRPC or HTTP.
    ExtAuthz,
}

impl Way {
    /// All, with their words.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Verify, "verify"),
        (Self::Introspect, "introspect"),
        (Self::ForwardAuth, "forward_auth"),
        (Self::ExtAuthz, "ext_authz"),
    ];
}

/// What is asked of the server, by who answers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Surface {
    /// Verification and forward-auth.
    Decisions,
    /// The rest of the API.
    Api,
    /// The console.
    Console,
    /// Envoy's questions.
    ExtAuthz,
}

impl Surface {
    /// All, with their words.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Decisions, "decisions"), (Self::Api, "api"), (Self::Console, "console"), (Self::ExtAuthz, "ext_authz")];

    /// Who answers this path.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        if path.starts_with("/console") { Self::Console } else { Self::Api }
    }
}

/// What came of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The token may.
    Allowed,
    /// It may not.
    Denied(Reason),
    /// Too many guesses.
    Throttled,
    /// The question itself is wrong.
    Misasked,
    /// Loading, stale, or a fault of ours.
    Failed,
}

/// Beside one for each reason.
const OTHERS: [Outcome; 4] = [Outcome::Allowed, Outcome::Throttled, Outcome::Misasked, Outcome::Failed];
const OUTCOMES: usize = OTHERS.len() + Reason::ALL.len();

impl Outcome {
    /// Where it is counted.
    pub fn place(self) -> usize {
        match self {
            Self::Allowed => 0,
            Self::Throttled => 1,
            Self::Misasked => 2,
            Self::Failed => 3,
            Self::Denied(reason) => OTHERS.len() + reason as usize,
        }
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        OTHERS.into_iter().chain(Reason::ALL.into_iter().map(Self::Denied))
    }

    /// Result and reason.
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Allowed => ("allow", ""),
            Self::Denied(reason) => ("deny", reason.as_str()),
            Self::Throttled => ("deny", "throttled"),
            Self::Misasked => ("error", "question"),
            Self::Failed => ("error", "unavailable"),
        }
    }

    fn of(code: Code) -> Self {
        match code {
            Code::Denied(reason) => Self::Denied(reason),
            Code::Throttled => Self::Throttled,
            Code::Unavailable | Code::Stale | Code::Behind | Code::Internal => Self::Failed,
            Code::MissingCredentials | Code::AmbiguousCredentials => Self::Denied(Reason::Malformed),
            _ => Self::Misasked,
        }
    }
}

/// How many were told that a line is too long, or that they have waited in it for too long. The lines are those of the process.
static OVERLOADS: AtomicU64 = AtomicU64::new(0);

/// Counts an error that says so.
#[must_use]
pub fn overload(error: Error) -> Error {
    OVERLOADS.fetch_add(1, Relaxed);
    error
}

/// How many there were since the start.
#[must_use]
pub fn overloads() -> u64 {
    OVERLOADS.load(Relaxed)
}

/// Classes of statuses: 1xx to 5xx.
pub const CLASSES: usize = 5;
const SURFACES: usize = Surface::ALL.len();

/// Ahead of which times tokens are counted that expire, in days.
pub const AHEAD: [i64; 3] = [7, 30, 90];

/// What only the database knows, as it was found last.
#[derive(Default)]
pub struct Sample {
    /// Did the database answer?
    pub answers: AtomicBool,
    /// Where the log ends.
    pub head: AtomicI64,
    /// Tokens that have expired.
    pub expired: AtomicI64,
    /// Tokens that expire within each of [`AHEAD`].
    pub expiring: [AtomicI64; AHEAD.len()],
}

/// What some of the threads have counted. Apart from the others' cache lines.
#[repr(align(128))]
#[derive(Default)]
pub struct ThreadCounters {
    /// By way and outcome.
    pub decisions: [[AtomicU64; OUTCOMES]; Way::ALL.len()],
    asked: AtomicU64,
    /// Of those that are timed.
    pub decision_time: Histogram,
    /// By surface and class of the status.
    pub request_time: [[Histogram; CLASSES]; SURFACES],
    /// Answers with 429.
    pub throttled: AtomicU64,
}

/// All that is counted.
pub struct Metrics {
    on: bool,
    /// When the process began.
    pub begun: Time,
    /// By thread.
    pub parts: Box<[ThreadCounters]>,
    /// Events by the place of their kind in `Kind::ALL`.
    pub writes: Box<[AtomicU64]>,
    /// Of whole changes.
    pub write_time: Histogram,
    /// Of their events and commits.
    pub append_time: Histogram,
    /// What only the database knows.
    pub sample: Sample,
    /// Is all in memory that has ended?
    knows_ended: Arc<AtomicBool>,
}

thread_local! {
    /// This thread's part.
    static PART: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Relaxed) % PARTS
    };
}

impl Metrics {
    /// Counts, if somebody is to be told. The process began at `begun`. What is not known counts as soon as all is that has ended.
    #[must_use]
    pub fn new(on: bool, begun: Time, knows_ended: Arc<AtomicBool>) -> Self {
        let parts = if on { PARTS } else { 0 };
        Self {
            on,
            begun,
            parts: (0..parts).map(|_| ThreadCounters::default()).collect(),
            writes: Kind::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            write_time: Histogram::default(),
            append_time: Histogram::default(),
            sample: Sample::default(),
            knows_ended,
        }
    }

    /// `None` while nobody listens.
    fn part(&self) -> Option<&ThreadCounters> {
        // There are none then.
        self.parts.get(PART.with(|part| *part))
    }

    /// A decision was made.
    pub fn decided(&self, way: Way, decision: &Decision<'_>) {
        self.count(
            way,
            match decision {
                Decision::Allow => Outcome::Allowed,
                Decision::Deny { reason, .. } => Outcome::Denied(*reason),
            },
        );
    }

    /// A question was answered: allowed, or refused with this code.
    pub fn answered(&self, way: Way, answer: Result<(), Code>) {
        self.count(way, answer.map_or_else(Outcome::of, |()| Outcome::Allowed));
    }

    fn count(&self, way: Way, outcome: Outcome) {
        // It may be one that has ended: that is read soon after the start.
        if matches!(outcome, Outcome::Denied(Reason::Unknown)) && !self.knows_ended.load(Relaxed) {
            return;
        }
        if let Some(part) = self.part() {
            part.decisions[way as usize][outcome.place()].fetch_add(1, Relaxed);
        }
    }

    /// The time, where the decision that now begins is one of those that are timed.
    #[must_use]
    pub fn decision_begins(&self) -> Option<Instant> {
        let asked = self.part()?.asked.fetch_add(1, Relaxed);
        asked.is_multiple_of(TIMED).then(Instant::now)
    }

    /// It ends.
    pub fn decision_ends(&self, begun: Option<Instant>) {
        if let (Some(begun), Some(part)) = (begun, self.part()) {
            part.decision_time.record(begun.elapsed());
        }
    }

    /// The time, where somebody wants to know how long requests take.
    #[must_use]
    pub fn request_begins(&self) -> Option<Instant> {
        self.on.then(Instant::now)
    }

    /// A request was answered.
    pub fn request_ends(&self, begun: Option<Instant>, surface: Surface, status: StatusCode) {
        let (Some(begun), Some(part)) = (begun, self.part()) else { return };
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES) - 1;
        part.request_time[surface as usize][class].record(begun.elapsed());
        if status == StatusCode::TOO_MANY_REQUESTS {
            part.throttled.fetch_add(1, Relaxed);
        }
    }

    /// A change was committed: its events, how long all of it took, and how long the log and the commit did.
    pub fn wrote(&self, events: &[Event], whole: Duration, append: Duration) {
        if !self.on {
            return;
        }
        for event in events {
            if let Some(place) = Kind::ALL.iter().position(|kind| *kind == event.kind) {
                self.writes[place].fetch_add(1, Relaxed);
            }
        }
        self.write_time.record(whole);
        self.append_time.record(append);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_surface_and_outcome_has_a_place_of_its_own() {
        for (at, (way, _)) in Way::ALL.into_iter().enumerate() {
            assert_eq!(way as usize, at);
        }
        for (at, (surface, _)) in Surface::ALL.into_iter().enumerate() {
            assert_eq!(surface as usize, at);
        }
        let places: Vec<usize> = Outcome::all().map(Outcome::place).collect();
        assert_eq!(places, (0..OUTCOMES).collect::<Vec<_>>());
    }

    #[test]
    fn while_nobody_listens_nothing_is_counted() {
        let metrics = Metrics::new(false, Time(0), Arc::default());
        metrics.answered(Way::Verify, Ok(()));
        assert!(metrics.part().is_none() && metrics.decision_begins().is_none() && metrics.request_begins().is_none());
    }

    #[test]
    fn one_of_sixteen_decisions_is_timed() {
        let metrics = Metrics::new(true, Time(0), Arc::new(AtomicBool::new(true)));
        let timed = (0..160).filter(|_| metrics.decision_begins().is_some()).count();
        assert_eq!(timed, 10);
    }
}
