//! Pages of links that are mailed to the person of an account.
//!
//! Those that hold the secret of a link cannot be written to a log: they have no `Debug`.

use askama::Template;

use super::FormField;

/// `/sign-in/forgot`; posts `email`.
#[derive(Template, Clone, Debug)]
#[template(path = "forgot.html")]
pub struct ForgotPage {
    /// Goes with the form.
    pub csrf: String,
    /// Can a new password be chosen by mail here?
    pub offered: bool,
    /// The address.
    pub email: FormField,
    /// Was it asked for just now?
    pub sent: bool,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// `/sign-in/reset/<secret>`: the form consumes the link and sets a password; posts `password`, `was_not_me`.
#[derive(Template, Clone)]
#[template(path = "password-reset.html")]
pub struct PasswordResetPage {
    /// The secret of the link, part of the form's address.
    pub secret: String,
    /// Goes with the form.
    pub csrf: String,
    /// Whose link it is.
    pub email: String,
    /// Does the form ask whether the person made the account? Nobody has proved its address.
    pub asks_whether_mine: bool,
    /// The new password; its value is never sent back.
    pub password: FormField,
    /// What a password must be like, in one sentence.
    pub password_rule: String,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// `/sign-in/email/<secret>`: the form gives an account its new address, or the old one back.
#[derive(Template, Clone)]
#[template(path = "email-link.html")]
pub struct EmailLinkPage {
    /// The secret of the link, part of the form's address.
    pub secret: String,
    /// Goes with the form.
    pub csrf: String,
    /// Does it give the old address back?
    pub undoes: bool,
    /// The address before.
    pub old_email: String,
    /// The new one.
    pub new_email: String,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
