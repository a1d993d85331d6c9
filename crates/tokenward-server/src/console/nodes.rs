//! The nodes: who decides, and how far each has come.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::permission::Management;
use tokenward_core::time::SECOND;
use tokenward_core::{Time, Uuid};

use super::form::Query;
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::view::{Moment, Nav, NodeRow, NodesPage};
use super::words::grouped;
use crate::service::nodes;

/// `GET …/nodes`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::EventRead)?;
    query.understood(&[])?;
    let all = nodes::list(&person.app, &grant).await?;
    let row = |node: &tokenward_store::nodes::Node| {
        let behind = all.behind(node);
        NodeRow {
            name: node.name.clone(),
            kind: node.kind.clone(),
            version: node.version.clone(),
            this: Some(node.id) == all.this,
            position: grouped(node.position),
            behind,
            mark: mark(behind),
            age_ms: all.now.milliseconds_since(node.renewed_at),
            bound: node.max_staleness / SECOND,
            applied: node.applied_at.map(|at| Moment::new(at, Time(all.now.0))),
            started: Moment::new(node.started_at, Time(all.now.0)),
        }
    };
    let shown = NodesPage {
        shell: person.shell(Some(organization), Nav::Nodes).await?,
        end: grouped(all.end.number),
        nodes: all.nodes.iter().map(row).collect(),
    };
    page(StatusCode::OK, &shown)
}

/// Where a node is drawn on a line of a hundred that ends where the log ends: each doubling of what is missing is a step.
fn mark(behind: u64) -> u32 {
    let steps = behind.checked_add(1).map_or(64, u64::ilog2);
    96 - 6 * steps.min(15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_further_behind_is_drawn_further_from_the_end() {
        assert_eq!([0, 1, 3, 1_000, u64::MAX].map(mark), [96, 90, 84, 42, 6]);
    }
}
