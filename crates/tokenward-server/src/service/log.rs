//! What an organization is told of the log itself: that it went on under another name, and what was lost with that.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::event::{Event, Kind};
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::lineage::{self, LineageChange, Lost};
use tokenward_store::{Position, log, organizations};

use super::{App, Written};

/// Which log it is.
#[derive(Clone, Debug)]
pub struct LogStatus {
    /// Where it ends.
    pub end: Position,
    /// The hash there.
    pub hash: Vec<u8>,
    /// Where it went on under another name since there is the organization, the newest first.
    pub turns: Vec<LineageChange>,
    /// What of the organization's was lost, with the name of the log in which it stood.
    pub lost: Vec<Lost>,
}

/// For those who may read the log.
pub async fn status(app: &App, grant: &Grant) -> Result<LogStatus> {
    let mut read = app.read_for(grant).await?;
    let turns = lineage::turns(read.conn(), grant.organization()).await?;
    let lost = lineage::lost(read.conn(), grant.organization()).await?;
    let (end, hash) = log::end(read.conn()).await?;
    Ok(LogStatus { end, hash, turns, lost })
}

/// Is there something that nobody in the organization has acknowledged?
pub async fn is_unread(app: &App, organization: Uuid) -> Result<bool> {
    if !app.verifier.has_turned() {
        return Ok(false);
    }
    let mut reader = app.store.read().await?;
    Ok(lineage::turns(reader.conn(), organization).await?.iter().any(|turn| turn.read_at.is_none()))
}

/// Somebody has read all of it.
pub async fn acknowledge(app: &Arc<App>, grant: Grant) -> Result<Written<()>> {
    app.write(grant, |tx, grant| {
        Box::pin(async move {
            grant.permits(Management::OrganizationEdit)?;
            if lineage::read(tx, grant.organization()).await? == 0 {
                return Err(Error::conflict(
                    "There is nothing to acknowledge: the log has one name, or somebody has read it.",
                ));
            }
            let organization = organizations::get(tx.conn(), grant).await?;
            let event = Event::new(Kind::LogAcknowledged, Some(organization.id), organization.id, &organization.name);
            Ok(((), vec![event]))
        })
    })
    .await
}
