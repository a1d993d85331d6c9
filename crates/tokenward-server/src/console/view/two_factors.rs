//! Two factors that an organization asks of sessions.

use askama::Template;

use super::{FormField, Moment, ProofFields, Shell};

/// The part of the page about sign-ins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TwoFactorsState {
    /// From when on one factor is refused; `None` where two are not asked.
    pub refused_from: Option<Moment>,
}

/// Somebody who has no second factor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedRow {
    /// The address.
    pub email: String,
    /// The role.
    pub role: String,
    /// Is it the person who looks?
    pub is_you: bool,
    /// From when on.
    pub from: Moment,
}

/// `…/settings/sign-in/two-factors`: asks; posts `version`, `grace_days` or `one_factor`, and `password`.
#[derive(Template, Clone, Debug)]
#[template(path = "organization-two-factors.html")]
pub struct AskTwoFactorsPage {
    /// The frame.
    pub shell: Shell,
    /// Are they asked already?
    pub asked: bool,
    /// Where the person shows the second factor first, where the session has shown one.
    pub prove: Option<String>,
    /// Where the form is posted.
    pub action: String,
    /// Which version of the organization the page shows.
    pub version: String,
    /// Whom it refuses.
    pub kept_out: Vec<RefusedRow>,
    /// For how many days nobody is refused.
    pub grace_days: FormField,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// Why it did not happen, with what to do.
    pub error: Option<String>,
}

/// `/console/account/two-factors`: where a person shows the second factor, or sets one up; posts `next`, `password`, `otp`.
#[derive(Template, Clone, Debug)]
#[template(path = "second-factor-asked.html")]
pub struct SecondFactorAskedPage {
    /// The frame.
    pub shell: Shell,
    /// Where to go on to afterwards: a path of ours.
    pub next: String,
    /// Where an authenticator is set up, on the way there.
    pub set_up: String,
    /// Has the account an authenticator?
    pub has_code: bool,
    /// Has it a passkey that works here?
    pub has_passkey: bool,
    /// Can one be made here?
    pub takes_passkeys: bool,
    /// What is typed; values are never sent back.
    pub proof: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
