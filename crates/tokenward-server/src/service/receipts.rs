//! Where a change counts: what a write says of it, and what is said later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokenward_core::caller::Caller;
use tokenward_core::journal::Entry;
use tokenward_core::time::Micros;
use tokenward_core::{Code, Error, Result, Time, Uuid, lease};
use tokenward_store::log::{self, Skeleton};
use tokenward_store::nodes::Node;
use tokenward_store::{Conn, Position, events, nodes_applied};
use tokenward_verify::server::{FORGOTTEN, Reached};

use super::nodes::{self, Nodes};
use super::{App, TERMS, WriteTerms};
use crate::limits::{AT_LEAST_WAIT, RECEIPT_WAIT};

/// Where a change counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// On this node.
    Here,
    /// On every node that decides.
    Everywhere {
        /// So many.
        nodes: usize,
    },
    /// It is committed, and will count.
    Pending {
        /// From then on it counts everywhere, whatever happens.
        by: Time,
        /// The names of the nodes of which it is not known yet.
        missing: Vec<String>,
    },
}

/// A change that is committed, and when it surely was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    position: Position,
    /// By the clock of the database.
    at: Time,
    /// By the steady clock of this node.
    steady: Micros,
}

impl Committed {
    /// A change whose transaction began after `begun`, when it was `at` where the rows are, and that was committed before
    /// `steady`: what passed between the two, passed there too.
    pub(super) fn within(position: Position, begun: Micros, at: Time, steady: Micros) -> Self {
        Self { position, at: at.plus(steady.saturating_sub(begun)), steady }
    }

    /// Where it stands.
    pub(super) fn position(&self) -> Position {
        self.position
    }
}

/// Waits until the change counts here, and where `wait` says how long, until it counts everywhere. What it takes away, which is
/// `noted`, is known outside of the database by then. An error where it was lost with a database meanwhile.
pub(super) async fn effect(
    app: &App,
    committed: Committed,
    noted: Vec<Entry>,
    wait: Option<Duration>,
) -> Result<Effect> {
    let Committed { position, at, steady } = committed;
    if !app.verifier.reached(position).await && !app.verifier.answer_for(position, noted).await? {
        let own = app.verifier.terms();
        return Ok(Effect::Pending { by: at.plus(own.bound()), missing: vec![own.name.clone()] });
    }
    let Some(wait) = wait else { return Ok(Effect::Here) };
    Ok(match app.verifier.everywhere(position, steady, wait).await {
        Reached::Everywhere { nodes } => Effect::Everywhere { nodes },
        Reached::Missing { nodes, within } => Effect::Pending { by: at.plus(within), missing: nodes },
    })
}

/// What is known of a change afterwards.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Where it stands.
    pub position: Position,
    /// When it was made.
    pub committed_at: Time,
    /// From then on no node decides without it, where that is not known of all now.
    pub by: Option<Time>,
    /// Does it count on every node that decides?
    pub everywhere: bool,
    /// How far each node was.
    pub nodes: Nodes,
    /// When each of those that have it told that, as far as it is known.
    pub applied: HashMap<Uuid, Time>,
}

/// The receipt of a change, for those who may know of it: members of its organization, whose account it was about, and who
/// made it.
pub async fn find(app: &Arc<App>, caller: &Caller, position: Position) -> Result<Receipt> {
    same_log(app, position)?;
    let mut reader = app.store.read().await?;
    let row = log::at(reader.conn(), position.number).await?;
    let row = row.ok_or_else(|| Error::not_found("position in the log"))?;
    if !concerns(app, caller, &row) && events::actor_at(reader.conn(), row.position).await? != caller.by().actor.id() {
        return Err(Error::not_found("position in the log"));
    }
    // Read after the change, which is there: who has no row now has stopped, or will load it.
    let mut nodes = nodes::read(app, reader.conn()).await?;
    if let [only] = &mut nodes.nodes[..]
        && Some(only.id) == nodes.this
        && only.position < position.number
        && app.verifier.noted() >= position.number
    {
        // Where there is no other node, it has said where the change counts before its row told it.
        (only.position, only.applied_at) = (position.number, None);
    }
    let everywhere = nodes.all && lease::effective(nodes.nodes.iter().map(|node| node.position), position.number);
    let missing = nodes.nodes.iter().filter(|node| node.position < position.number);
    let longest = missing.map(|node| node.max_staleness).max().unwrap_or(app.verifier.terms().bound());
    let by = (!everywhere).then(|| row.time.plus(longest));
    let applied = applied(app, reader.conn(), &nodes, &row).await?;
    Ok(Receipt { position, committed_at: row.time, by, everywhere, nodes, applied })
}

/// When each node that has a change told so: the first time that it was there or beyond. What it tells now is not noted yet.
async fn applied(app: &App, conn: Conn<'_>, nodes: &Nodes, row: &Skeleton) -> Result<HashMap<Uuid, Time>> {
    if !app.store.is_shared() {
        // One that serves alone has what it commits, and what was there when it began.
        let of_one = |node: &Node| (node.id, row.time.max(node.started_at));
        return Ok(nodes.nodes.iter().map(of_one).collect());
    }
    let noted = nodes_applied::at_or_beyond(conn, row.position).await?;
    let there = nodes.nodes.iter().filter(|node| node.position >= row.position);
    Ok(there.filter_map(|node| Some((node.id, noted.get(&node.id).copied().or(node.applied_at)?))).collect())
}

/// How far a change of this log has come, for a page that follows it: on so many nodes, and the names of those of which it is
/// not known, with the longest time for which one of them may still not know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// All nodes.
    pub nodes: usize,
    /// Those that have not told that they have applied it.
    pub missing: Vec<String>,
    /// For so long from now one of them can decide without it.
    pub within: Micros,
    /// How long after it was made the last of them told that, where that is known of all.
    pub took: Option<Micros>,
}

/// Reads how far it has come.
pub async fn progress(app: &App, position: i64) -> Result<Progress> {
    let mut reader = app.store.read().await?;
    let read = nodes::read(app, reader.conn()).await?;
    let took = match log::at(reader.conn(), position).await? {
        Some(row) => {
            let applied = applied(app, reader.conn(), &read, &row).await?;
            let last = applied.values().max().filter(|_| applied.len() == read.nodes.len());
            last.map(|last| last.0.saturating_sub(row.time.0))
        }
        None => None,
    };
    let Nodes { nodes, this, all, .. } = read;
    // What this node has applied and noted it need not have told by now.
    let own = this.filter(|_| app.verifier.noted() >= position);
    let missing = || nodes.iter().filter(|node| node.position < position && Some(node.id) != own);
    let forgotten = (!all).then_some((FORGOTTEN, app.verifier.terms().bound()));
    let waited_for = || missing().map(|node| (node.name.as_str(), node.max_staleness)).chain(forgotten);
    Ok(Progress {
        within: waited_for().map(|(_, bound)| bound).max().unwrap_or_default(),
        missing: waited_for().map(|(name, _)| name.to_owned()).collect(),
        nodes: nodes.len(),
        took,
    })
}

/// Makes several changes of which none waits for other nodes. Whoever makes them waits for the last one, by
/// [`wait_for_all`].
pub async fn without_waiting<T>(changes: impl Future<Output = T>) -> T {
    TERMS.scope(WriteTerms { wait: Some(Duration::ZERO), ..WriteTerms::present() }, changes).await
}

/// Waits, as long as one change does, until this one and all before it count on every node.
pub async fn wait_for_all(app: &App, last: Position) {
    let now = app.store.clock().steady();
    app.verifier.everywhere(last, now, app.limits.time(&RECEIPT_WAIT)).await;
}

/// Does this node know what stands at a position that somebody read elsewhere?
pub fn knows(app: &App, position: Position) -> Result<bool> {
    same_log(app, position)?;
    Ok(app.verifier.position() >= position.number)
}

/// Waits a while until it does.
pub async fn until_known(app: &App, position: Position) -> Result<()> {
    if knows(app, position)? || app.verifier.look_for(position, app.limits.time(&AT_LEAST_WAIT)).await {
        return Ok(());
    }
    Err(Error::behind())
}

/// Learns what was committed until now, wherever it was written. Was there anything to learn? A node that serves alone knows
/// it all.
pub async fn catch_up(app: &App) -> Result<bool> {
    if !app.store.is_shared() {
        return Ok(false);
    }
    let mut reader = app.store.read().await?;
    let head = log::head(reader.conn()).await?;
    drop(reader);
    if knows(app, head)? {
        return Ok(false);
    }
    until_known(app, head).await?;
    Ok(true)
}

/// A position of another log means nothing here.
fn same_log(app: &App, position: Position) -> Result<()> {
    let own = app.verifier.incarnation();
    let detail = match app.verifier.holds_until(position.incarnation) {
        Some(until) if position.number <= until => return Ok(()),
        Some(until) => format!(
            "This log has gone on under another name ({own}) since position {until}: a server took over that did not have what \
             came after it, or the database was put back. What stood at {position} is not here."
        ),
        None => format!(
            "This position is one of another log ({}); this one is {own}. The database was made anew, or is another one: what \
             was written there is not here.",
            position.incarnation
        ),
    };
    Err(Error::new(Code::OtherLog, detail))
}

fn concerns(app: &App, caller: &Caller, row: &Skeleton) -> bool {
    let directory = app.verifier.directory();
    match row.organization_id {
        Some(id) => directory.organization(id).is_some_and(|organization| caller.role_in(organization).is_some()),
        None => caller.by().actor.id().is_some_and(|own| row.target_id == own || row.related_id == Some(own)),
    }
}
