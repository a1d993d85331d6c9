//! Mail to a person about the own second factor, where mail is set up: whoever did not do it learns of it. How many there can be
//! follows from what each takes: a fresh proof, or one of ten codes.

use tokenward_core::Uuid;
use tokenward_store::accounts;

use super::super::{App, person_mail};

/// One was set up.
pub(in crate::service) async fn added(app: &App, account: Uuid) {
    let text = "An authenticator was set up for your account: signing in asks for its code from now on.";
    mail_person(app, account, "A second factor was set up", text).await;
}

/// It was removed.
pub(in crate::service) async fn removed(app: &App, account: Uuid) {
    let text = "The authenticator of your account and its recovery codes were removed. All other sessions have ended.";
    mail_person(app, account, "Your second factor was removed", text).await;
}

/// A recovery code was used; so many are left.
pub(in crate::service) async fn used(app: &App, account: Uuid, left: u64) {
    let text = format!(
        "A recovery code was used in the place of the code of your authenticator. {left} are left; make new ones on your account \
         page."
    );
    mail_person(app, account, "A recovery code was used", &text).await;
}

/// Other recovery codes were made.
pub(in crate::service) async fn replaced(app: &App, account: Uuid) {
    let text = "The recovery codes of your account were replaced: those until now open nothing any more.";
    mail_person(app, account, "Your recovery codes were replaced", text).await;
}

async fn mail_person(app: &App, account: Uuid, subject: &str, what: &str) {
    let found = async {
        let mut reader = app.store.read().await?;
        accounts::get(reader.conn(), account).await
    };
    match found.await {
        Ok(Some(account)) => {
            let text = format!(
                "{what}\n\nIf you did not do this, change your password and look at your sessions:\n\n{}/console/account\n",
                app.public_url
            );
            person_mail::notify(app, &account.email, subject, text);
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, subject, "a mail about a second factor was not sent"),
    }
}
