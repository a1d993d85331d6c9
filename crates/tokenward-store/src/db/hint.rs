//! What is heard of other nodes.

use tokenward_core::Uuid;

/// What a node hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hint {
    /// Somebody has written, up to this position.
    Written(i64),
    /// A node has told that it has applied what was written; which, one of an older version does not say.
    Applied(Option<Uuid>),
    /// What this node said to itself, to find out whether it hears.
    Echo,
}
