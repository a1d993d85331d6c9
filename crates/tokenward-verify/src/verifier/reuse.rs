//! Replaced secrets that come back: noted beside the decision, told by whoever writes the log.

use tokenward_core::{Time, Uuid};

use super::Verifier;
use crate::question::Presenter;
use crate::reuse::Reused;

/// What is kept of the words of a client for itself.
const AGENT: usize = 256;

impl Verifier {
    /// A replaced secret of this token was presented after its overlap.
    #[cold]
    pub(super) fn note_reuse(&self, (token, version): (Uuid, u16), organization: Uuid, from: &Presenter<'_>) {
        self.0.reuses.note(Reused {
            organization,
            token,
            version,
            address: from.address,
            agent: from.agent.map(|agent| agent.chars().take(AGENT).collect()),
            count: 1,
        });
    }

    /// Which replaced secrets came back and the log was not told of; of each token at most once an hour.
    #[must_use]
    pub fn take_reused(&self) -> Vec<Reused> {
        self.0.reuses.take(self.0.clock.now())
    }

    /// All of it, however soon: before the process ends.
    #[must_use]
    pub fn take_last_reused(&self) -> Vec<Reused> {
        self.0.reuses.take(Time(i64::MAX))
    }

    /// What could not be told is told later.
    pub fn keep_reused(&self, reused: Reused) {
        self.0.reuses.keep(reused);
    }
}
