//! What a node looks at the log for.

/// What a look is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FeedMode {
    /// To learn what is new.
    Only,
    /// To learn what is new, and to write that one was here: what was committed before it began is known when its own commit
    /// is confirmed, since a server that was cut off or replaced confirms none.
    Renew,
    /// To read all there is, which may take long.
    Everything,
}
