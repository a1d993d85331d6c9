//! The nodes that follow the log, as their rows tell.

use tokenward_core::{Result, Time, Uuid};
use tokenward_store::Reader;
use tokenward_store::nodes::{self, Node};

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
}

/// Reads how far each node has told that it is: what was once said to count everywhere is said so by every node.
pub(super) async fn read(app: &App, reader: &mut Reader) -> Result<Nodes> {
    let mut nodes = nodes::all(reader.conn()).await?;
    let (now, this) = (app.store.time_at(reader.conn()).await?, app.verifier.node());
    if nodes.is_empty() {
        // The one server of an SQLite file has no row.
        nodes.extend(this.map(|id| unwritten(app, id, now)));
    }
    Ok(Nodes { now, nodes, this })
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
        started_at: app.verifier.remembers_since(),
        renewed_at: now,
    }
}
