//! Mail to a person about the own account. It goes to the address that signs in, never to the one for other mail: whoever has got
//! hold of a session can change that.

use tokenward_verify::server::Client;

use super::App;
use super::mail::unlinked;

/// Tells whose session has just begun with a device that is not known, where mail is sent.
pub(crate) fn notify_of_new_device(app: &App, email: &str, client: &Client) {
    let at = app.now();
    let from = client.address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
    let with = client.user_agent.as_deref().map_or_else(|| "an unknown client".to_owned(), said);
    let text = format!(
        "Somebody has signed in to your account with a device that was not known for it.\n\nWhen: {at}\nFrom: {from}\nWith: \
         {with}\n\nIf that was you, nothing need be done. If not, sign out all other sessions and choose another password:\n\n\
         {}/console/account\n",
        app.public_url
    );
    notify(app, email, "A sign-in with a new device", text);
}

/// Tells a person that the account has another password.
pub(super) fn notify_of_password(app: &App, address: &str) {
    let text = format!(
        "Your account has another password. All other sessions were signed out.\n\nIf that was not you, ask for a new one \
         at once:\n\n{}/sign-in/forgot\n",
        app.public_url
    );
    notify(app, address, "Your password was changed", text);
}

/// Sends a notice, where mail is sent. The log says where none could be.
pub(super) fn notify(app: &App, recipient: &str, subject: &str, text: String) {
    let Some(mailer) = app.live().mailer.clone() else { return };
    if let Err(error) = mailer.notice(recipient, subject, text, app.now()) {
        tracing::warn!(%error, subject, "a person was not told of the own account");
    }
}

/// What a client says of itself, on one line, and nothing in it a link.
fn said(words: &str) -> String {
    let plain: String = words.chars().filter(|letter| !letter.is_control()).take(256).collect();
    unlinked(&plain)
}
