//! The nodes that decide.

use askama::Template;

use super::{Moment, Shell};

/// A node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// `server` or `embedded`.
    pub kind: String,
    /// Its version.
    pub version: String,
    /// Is it the one that made the page?
    pub this: bool,
    /// Up to where it has the log.
    pub position: String,
    /// Events that it has not.
    pub behind: u64,
    /// Where it is on a line of a hundred that ends where the log ends.
    pub mark: u32,
    /// How long ago it gave a sign of life, in milliseconds.
    pub age_ms: u64,
    /// After so many seconds without its database it decides nothing.
    pub bound: i64,
    /// When it told that it had come there.
    pub applied: Option<Moment>,
    /// When it began.
    pub started: Moment,
}

/// `…/nodes`.
#[derive(Template, Clone, Debug)]
#[template(path = "nodes.html")]
pub struct NodesPage {
    /// The frame.
    pub shell: Shell,
    /// The nodes, by name.
    pub nodes: Vec<NodeRow>,
    /// Where the log ends.
    pub end: String,
}
