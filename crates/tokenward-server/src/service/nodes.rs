//! The nodes that follow the log, as their rows tell.

use tokenward_core::caller::Grant;
use tokenward_core::{Result, Time, Uuid};
use tokenward_store::nodes::{self, Node};
use tokenward_store::{Conn, Position, log};

use super::App;

/// All nodes at one moment.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// When that was, by the clock that their rows go by.
    pub now: Time,
    /// By name.
    pub nodes: Vec<Node>,
    /// Which of them is this one.
    pub this: Option<Uuid>,
    /// Where the log ended then, or a little later.
    pub end: Position,
    /// Are these all that decide? Not known for a while where a server took over.
    pub all: bool,
}

impl Nodes {
    /// How many events of the log are missing on a node.
    #[must_use]
    pub fn behind(&self, node: &Node) -> u64 {
        (self.end.number - node.position).max(0).unsigned_abs()
    }
}

/// All nodes, for those who may read the log. The grant is the proof of that; what nodes are belongs to no organization.
pub async fn list(app: &App, grant: &Grant) -> Result<Nodes> {
    let mut read = app.read_for(grant).await?;
    self::read(app, read.conn()).await
}

/// Reads how far each node has told that it is: what was once said to count everywhere is said so by every node. The only one there is
/// says it a moment before its row does.
pub(super) async fn read(app: &App, mut conn: Conn<'_>) -> Result<Nodes> {
    let mut nodes = nodes::all(conn.reborrow()).await?;
    let end = log::head(conn.reborrow()).await?;
    let places = app.store.places(conn.reborrow()).await?;
    let all =
        app.verifier.speaks_for_all(places, nodes.iter().map(|node| node.max_staleness).max().unwrap_or_default());
    let (now, this) = (app.store.time_at(conn).await?, app.verifier.node());
    if nodes.is_empty() {
        // The one server of an SQLite file has no row.
        nodes.extend(this.map(|id| unwritten(app, id, now)));
    }
    Ok(Nodes { now, nodes, this, end, all })
}

fn unwritten(app: &App, id: Uuid, now: Time) -> Node {
    let terms = app.verifier.terms();
    Node {
        id,
        name: terms.name.clone(),
        kind: terms.kind.as_str().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_staleness: terms.bound(),
        counter: 0,
        position: app.verifier.position(),
        hash: Vec::new(),
        log: None,
        pepper: None,
        started_at: app.verifier.remembers_since(),
        renewed_at: now,
        applied_at: None,
    }
}
