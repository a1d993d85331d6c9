//! Mail to the owner and the admins of an organization when somebody has come in by the operator's link where providers alone are let.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokenward_core::{Result, Uuid};
use tokenward_store::members;

use super::App;
use super::mail::unlinked;
use super::person_mail;

/// Tells them that the link of this account was used, where mail is set up. Each is told once.
pub(super) async fn notify(app: &Arc<App>, account: Uuid, email: &str) -> Result<()> {
    if app.live().mailer.is_none() {
        return Ok(());
    }
    let everywhere = !app.sign_in.takes_passwords();
    let concerned: Vec<Uuid> = {
        let directory = app.verifier.directory();
        let own = directory.organizations().filter(|it| it.role_of(account).is_some());
        own.filter(|it| everywhere || !it.sign_in().providers.is_empty()).map(|it| it.id).collect()
    };
    let mut admins = BTreeSet::new();
    let mut reader = app.store.read().await?;
    for organization in concerned {
        admins.extend(members::admins(reader.conn(), organization).await?);
    }
    drop(reader);
    let text = format!(
        "The operator's sign-in link for {} was used. It opens the account without the provider that signs people in.\n\nIf nobody \
         asked for that, ask whoever runs the server, and look at what was done:\n\n{}/\n",
        unlinked(email),
        app.public_url
    );
    for admin in admins {
        person_mail::notify(app, &admin, "A sign-in link was used", text.clone());
    }
    Ok(())
}
