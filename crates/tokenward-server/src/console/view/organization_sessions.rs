//! For how long sessions count in an organization.

use askama::Template;

use super::{FormField, ProofFields, Shell};

/// The part of the page about sign-ins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionsState {
    /// For how long a proof counts, as a length; `None` where only the server says.
    pub lifetime: Option<String>,
    /// For how long a session may lie unused, as a length; `None` where only the server says.
    pub idle: Option<String>,
    /// The same on this server.
    pub servers: (String, String),
}

/// `…/settings/sign-in/sessions`; posts `version`, `session_lifetime`, `session_idle` and `password`.
#[derive(Template, Clone, Debug)]
#[template(path = "organization-sessions.html")]
pub struct OrganizationSessionsPage {
    /// The frame.
    pub shell: Shell,
    /// Where the form is posted.
    pub action: String,
    /// Which version of the organization the page shows.
    pub version: String,
    /// For how long a proof counts; empty for as long as on this server.
    pub lifetime: FormField,
    /// For how long a session may lie unused; empty for as long as on this server.
    pub idle: FormField,
    /// The same on this server.
    pub servers: (String, String),
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
