//! Mail to a person about the own account. It goes to the address that signs in, never to the one for other mail: whoever has got
//! hold of a session can change that.

use tokenward_core::Time;
use tokenward_verify::server::Client;

use super::App;
use super::mail::unlinked;

/// Tells whose session has just begun with a device that is not known, where mail is sent.
pub(crate) fn notify_of_new_device(app: &App, email: &str, client: &Client) {
    notify(app, email, "A sign-in with a new device", new_device(&app.public_url, app.now(), client));
}

fn new_device(public_url: &str, at: Time, client: &Client) -> String {
    let from = client.address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
    let with = client.user_agent.as_deref().map_or_else(|| "an unknown client".to_owned(), said);
    format!(
        "Somebody has signed in to your account with a device that was not known for it.\n\nWhen: {at}\nFrom: {from}\nWith: \
         {with}\n\nIf that was you, nothing need be done. If not, sign out all other sessions and choose another password:\n\n\
         {public_url}/console/account\n"
    )
}

/// Tells a person that the account has another password.
pub(super) fn notify_of_password(app: &App, address: &str) {
    notify(app, address, "Your password was changed", other_password(&app.public_url));
}

fn other_password(public_url: &str) -> String {
    format!(
        "Your account has another password. All other sessions were signed out.\n\nIf that was not you, ask for a new one \
         at once:\n\n{public_url}/sign-in/forgot\n"
    )
}

/// Tells a person that there is one more way into the account, or one less.
pub(super) fn notify_of_way(app: &App, address: &str, subject: &str, what: &str) {
    notify(app, address, subject, other_way(&app.public_url, what));
}

fn other_way(public_url: &str, what: &str) -> String {
    format!(
        "{what}\n\nIf you did not do this, look at the ways to sign in to your account and at its sessions at \
         once:\n\n{public_url}/console/account\n"
    )
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

#[cfg(test)]
mod tests {
    use tokenward_core::event::Origin;

    use super::*;

    const URL: &str = "https://tokens.acme.example";

    #[test]
    fn a_person_is_told_when_and_from_where_and_no_program_names_a_link() {
        let client = Client {
            address: Some([203, 0, 113, 7].into()),
            user_agent: Some("Mail at evil.example\n".to_owned()),
            origin: Origin::Console,
            policy: None,
        };
        insta::assert_snapshot!(new_device(URL, Time(1_795_562_400_000_000), &client), @r"
        Somebody has signed in to your account with a device that was not known for it.

        When: 2026-11-24T23:20:00.000000Z
        From: 203.0.113.7
        With: Mail at evil. example

        If that was you, nothing need be done. If not, sign out all other sessions and choose another password:

        https://tokens.acme.example/console/account
        ");
    }

    #[test]
    fn a_person_is_told_of_a_way_that_came_or_went() {
        insta::assert_snapshot!(other_way(URL, "The password of your account was taken away."), @r"
        The password of your account was taken away.

        If you did not do this, look at the ways to sign in to your account and at its sessions at once:

        https://tokens.acme.example/console/account
        ");
    }

    #[test]
    fn a_person_is_told_of_another_password() {
        insta::assert_snapshot!(other_password(URL), @r"
        Your account has another password. All other sessions were signed out.

        If that was not you, ask for a new one at once:

        https://tokens.acme.example/sign-in/forgot
        ");
    }
}
