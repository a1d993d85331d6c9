//! How the service stands, for those who may read the log: what is true of the node and the database, and what of the organization
//! somebody should look after.

use std::sync::Arc;

use tokenward_core::Result;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::time::{DAY, length_text};
use tokenward_store::Position;

use super::token_overview::{self, Counts, Spans};
use super::{App, CLIENTS_HIDDEN, limit_warnings, log, nodes};

/// When a token ends soon, is unused, and is in use.
const SPANS: Spans = Spans { soon: 14 * DAY, unused: 90 * DAY, in_use: 7 * DAY };

/// How the service stands.
#[derive(Clone, Debug)]
pub struct OrganizationStatus {
    /// Where the log ends.
    pub position: Position,
    /// How many nodes have told of themselves.
    pub nodes: usize,
    /// How many tokens the organization has; `None` for those who may not see them.
    pub tokens: Option<Counts>,
    /// What somebody should look after, with a word for programs.
    pub warnings: Vec<(&'static str, String)>,
}

/// Asks memory and database.
pub async fn read(app: &Arc<App>, grant: &Grant) -> Result<OrganizationStatus> {
    let nodes = nodes::list(app, grant).await?;
    let mut warnings = Vec::new();
    if app.live().clients_hidden {
        warnings.push(("clients_hidden", CLIENTS_HIDDEN.to_owned()));
    }
    if let Some(ahead) = app.store.is_doubted() {
        let text = format!(
            "The clock of the database is {} ahead of the log and of this node, and is not believed: set it right.",
            length_text(ahead)
        );
        warnings.push(("database_clock", text));
    }
    if log::is_unread(app, grant.organization()).await? {
        let text =
            "The log has gone on under another name, and nobody has acknowledged it: see `tokenward log status`.";
        warnings.push(("log_turned", text.to_owned()));
    }
    for node in &nodes.nodes {
        let silent = nodes.now.0.saturating_sub(node.renewed_at.0);
        if Some(node.id) != nodes.this && silent > node.max_staleness {
            let text = format!(
                "The node {} has given no sign of life for {} s, and decides nothing.",
                node.name,
                silent / 1_000_000
            );
            warnings.push(("node_silent", text));
        }
    }
    let tokens = match grant.require_also(Management::TokenRead) {
        Ok(()) => Some(token_overview::count(app, grant, Kind::Token, SPANS).await?.1),
        Err(_) => None,
    };
    if let Some(ending) = tokens.as_ref().map(|counts| counts.ending).filter(|ending| *ending > 0) {
        let text = match ending {
            1 => "One token that is in use ends within 14 days".to_owned(),
            more => format!("{more} tokens that are in use end within 14 days"),
        };
        warnings.push(("tokens_end", format!("{text}: see `tokenward token list --ends-in 14d`.")));
    }
    if tokens.is_some() {
        let near = limit_warnings::sentences(app, grant).await?;
        warnings.extend(near.into_iter().map(|text| ("limit_near", text)));
    }
    Ok(OrganizationStatus { position: nodes.end, nodes: nodes.nodes.len(), tokens, warnings })
}
