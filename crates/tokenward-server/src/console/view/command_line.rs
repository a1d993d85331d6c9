//! Signing a command line in.

use askama::Template;

use super::{Choice, FormField, ProofFields, ProviderLink, Shell};

/// From where a machine asks, beside where the person is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingMachine {
    /// Its address.
    pub address: String,
    /// That of the person.
    pub own_address: String,
    /// Are they two? Then somebody else may have sent the code.
    pub elsewhere: bool,
}

/// Asks before a command line is signed in. Posts `organization`, `hours`, `password`, and what the command line has sent; for
/// another machine also `do`: `approve` or `refuse`.
#[derive(Template, Clone, Debug)]
#[template(path = "command-line.html")]
pub struct CommandLinePage {
    /// The frame.
    pub shell: Shell,
    /// The program, as people read it.
    pub client: String,
    /// What the machine calls itself.
    pub host: String,
    /// Of another machine: where it is.
    pub waiting: Option<WaitingMachine>,
    /// Where the form is posted.
    pub action: String,
    /// What goes with it unseen.
    pub fields: Vec<(String, String)>,
    /// What tells the command line that nothing comes.
    pub cancel: Option<String>,
    /// What it can reach.
    pub organizations: Vec<Choice>,
    /// For how long.
    pub hours: Vec<Choice>,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// The providers that can prove anew who sits here, where that is asked for.
    pub provers: Vec<ProviderLink>,
    /// As whom.
    pub account: String,
    /// What was wrong.
    pub error: Option<String>,
}

/// The command line is signed in.
#[derive(Template, Clone)]
#[template(path = "command-line-done.html")]
pub struct HandedPage {
    /// The frame.
    pub shell: Shell,
    /// What the machine calls itself.
    pub host: String,
    /// What brings the code to it, of the same machine.
    pub href: Option<String>,
}

/// `/console/device`; posts `code`.
#[derive(Template, Clone, Debug)]
#[template(path = "device.html")]
pub struct DevicePage {
    /// The frame.
    pub shell: Shell,
    /// What was typed.
    pub code: FormField,
    /// What was wrong.
    pub error: Option<String>,
}
