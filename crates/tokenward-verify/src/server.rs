//! The server's own entrance: answers that are read under a lock, without a copy; callers of our own API; what an
//! operator may look at. It changes with the server, and promises nothing to anybody else.

pub use crate::described::Description;
pub use crate::feeding::Fed;
pub use crate::noted::{Noted, entries, of_change};
pub use crate::pending::{DenialTerms, Lost};
pub use crate::policy::{AskedRequest, PolicyDenied, PolicyPass};
pub use crate::question::{SPANS, TraceId};
pub use crate::record::KeptDecision;
pub use crate::refusals::Refused;
pub use crate::registry::{FORGOTTEN, Reached};
pub use crate::reuse::Reused;
pub use crate::trace::{DecisionId, ID_LENGTH, OF_A_TOKEN, OF_AN_ORGANIZATION, Stamp};
#[cfg(feature = "policies")]
pub use crate::verifier::TriedBy;
pub use crate::verifier::{CheckOutcome, Client, Placed, Verifier};

/// The system's clock.
pub mod clock {
    pub use crate::clock::SystemClock;
}

/// What the journal knows, for the command that puts a copy in place.
pub mod journal {
    pub use crate::compare::bring_back;
}

/// What a gateway asks about a request that it holds.
pub mod gateway {
    pub use crate::gateway::*;
}

/// Policies of tokens: what may stand in one, and what it says of a request.
pub mod policy {
    pub use crate::policy::*;
}

/// The pepper of a server, which makes it where there is none.
pub mod pepper {
    pub use crate::pepper::{PepperError, add, describe, find, line, load, remove};
}

/// Who else gets at a file or directory.
pub mod reach {
    pub use crate::reach::{FileAccess, reach};
}

/// What a node is to others.
pub mod node {
    pub use crate::node::{NodeKind, NodeTerms, host_name};
}

/// The operating system's random source.
pub mod random {
    pub use crate::random::OsRandom;
}
