//! Mail to the owner and the admins of an organization when a rule has ended somebody's membership.

use std::sync::Arc;

use tokenward_core::{Result, Uuid};
use tokenward_store::{members, organizations};

use super::App;

/// Tells them, where mail is set up. Each in a task of its own; a budget that is spent is no reason to tell the others nothing.
pub(super) async fn notify(app: &Arc<App>, organization: Uuid, email: &str) -> Result<()> {
    let Some(mailer) = app.live().mailer.clone() else { return Ok(()) };
    let mut reader = app.store.read().await?;
    let name = organizations::names(reader.conn(), Some(&[organization])).await?.pop().map(|(_, name)| name);
    let admins = members::admins(reader.conn(), organization).await?;
    drop(reader);
    let place = format!("{}/console/{organization}/members", app.public_url);
    for admin in admins {
        let name = name.as_deref().unwrap_or_default();
        if let Err(error) = mailer.tell_of_member(organization, (name, email), &admin, &place, app.now()) {
            tracing::warn!(%error, "a mail about a member who left was not sent");
        }
    }
    Ok(())
}
