//! A person's own account.

use askama::Template;

use super::{Field, Moment, Shell};

/// A session of the person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// The program, as people read it: `Firefox on Linux`, `tokenward (command line)`.
    pub client: String,
    /// From which address it was opened.
    pub address: Option<String>,
    /// When it was opened.
    pub created: Moment,
    /// When it was last used.
    pub last_seen: Option<Moment>,
    /// When it ends by itself.
    pub expires: Moment,
    /// Is it the one that shows this page?
    pub current: bool,
}

/// `/console/account`. Posts below it: `name` to `name`, `current_password` and `new_password` to `password`;
/// `sessions/<id>/end` and `sessions/end-others` sign out.
#[derive(Template, Clone, Debug)]
#[template(path = "account.html")]
pub struct AccountPage {
    /// The frame.
    pub shell: Shell,
    /// The person's name.
    pub name: Field,
    /// The e-mail address that the person signs in with.
    pub email: String,
    /// Has somebody proved to read what is sent there?
    pub email_proven: bool,
    /// Has the account a password already (or only ever used a one-time link)?
    pub has_password: bool,
    /// The password until now; its value is never sent back.
    pub current_password: Field,
    /// The new one; its value is never sent back.
    pub new_password: Field,
    /// What a password must be like, in one sentence.
    pub password_rule: String,
    /// The person's sessions, the current one first.
    pub sessions: Vec<SessionRow>,
}
