//! A person's passkeys.

use askama::Template;

use super::{FormField, Moment, ProofFields, Shell};

/// A passkey of the person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasskeyRow {
    /// Its id.
    pub id: String,
    /// What the person calls it.
    pub name: String,
    /// The host, or parent domain of it, for which it was made.
    pub rp_id: String,
    /// Does it open the account here?
    pub works: bool,
    /// When it was added.
    pub added: Moment,
    /// When somebody last used it.
    pub used: Option<Moment>,
}

/// The part of the account page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasskeysSection {
    /// The person's passkeys, the oldest first.
    pub rows: Vec<PasskeyRow>,
    /// How many of them work no more.
    pub stopped: usize,
    /// Why none can be added here.
    pub why_not: Option<String>,
}

/// `…/passkeys/new`. Its script asks for the options by `…/passkeys/begin`; posts `name` and `credential` to `…/passkeys`.
#[derive(Template, Clone, Debug)]
#[template(path = "passkey-new.html")]
pub struct PasskeyNewPage {
    /// The frame.
    pub shell: Shell,
    /// What the person calls it.
    pub name: FormField,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// Where passkeys can be made.
    pub address: String,
    /// What was wrong.
    pub error: Option<String>,
}

/// `…/passkeys/<id>`: posts `name`.
#[derive(Template, Clone, Debug)]
#[template(path = "passkey.html")]
pub struct PasskeyPage {
    /// The frame.
    pub shell: Shell,
    /// Its id.
    pub id: String,
    /// What the person calls it.
    pub name: FormField,
    /// What was wrong.
    pub error: Option<String>,
}
