//! What a node is to others and to itself: its name, its kind, its bound, and how often it looks.

use std::path::PathBuf;
use std::time::Duration;

use tokenward_core::time::Micros;
use tokenward_store::Store;

/// Looks at the log in one bound, at least: so many may fail before the node stops.
const LOOKS: u32 = 30;
/// So many times as often a node looks that hears no hints, and how often at most.
const UNTOLD: u32 = 4;
const LEAST_PAUSE: Duration = Duration::from_millis(50);
/// How often to tell others at most how far one has come.
pub(super) const TELL: Micros = 50_000;

/// What kind of node it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeKind {
    /// A server.
    Server,
    /// A service that decides by itself.
    Embedded,
}

impl NodeKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Embedded => "embedded",
        }
    }
}

/// What a node is to others, and to itself.
#[derive(Clone, Debug)]
pub struct NodeTerms {
    /// Its name, for people.
    pub name: String,
    /// What kind it is.
    pub kind: NodeKind,
    /// Its bound: what was committed so long ago is known, or it does not decide.
    pub max_staleness: Duration,
    /// How often to look for changes that nobody hinted at.
    pub poll: Duration,
    /// Does it listen for hints of those who write?
    pub hints: bool,
    /// Where it notes what was taken away; a server has one where it has a data directory.
    pub journal: Option<PathBuf>,
}

impl NodeTerms {
    /// The bound in microseconds.
    #[must_use]
    pub fn bound(&self) -> Micros {
        Micros::try_from(self.max_staleness.as_micros()).unwrap_or(Micros::MAX)
    }

    /// How often to look at least; more often where hints are wanted and none is heard.
    pub(super) fn pause(&self, is_told: bool) -> Duration {
        let longest = self.poll.min(self.max_staleness / LOOKS);
        if self.hints && !is_told { longest.min((longest / UNTOLD).max(LEAST_PAUSE)) } else { longest }
    }

    /// How often to write at most that one was here.
    pub(super) fn renews_every(&self) -> Micros {
        (micros(self.pause(true)) / 2).max(TELL)
    }

    /// Is there anything to listen for?
    pub(crate) fn listens(&self, store: &Store) -> bool {
        self.hints && store.is_shared()
    }

    /// How long one step of a look may take: a few can fail before the bound is over.
    pub(crate) fn patience(&self) -> Duration {
        (self.max_staleness / 4).clamp(Duration::from_secs(1), Duration::from_secs(5))
    }
}

/// The name of this machine.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn micros(time: Duration) -> Micros {
    Micros::try_from(time.as_micros()).unwrap_or(Micros::MAX)
}
