//! What a provider says of the person who looks.

use askama::Template;

use super::{DetailLine, Shell};

/// The answer to a sign-in that begins nothing; its way back is `/sign-in/with/<key>/callback`.
#[derive(Template, Clone, Debug)]
#[template(path = "sign-in-trial.html")]
pub struct SignInTrialPage {
    /// The frame.
    pub shell: Shell,
    /// What the provider is called.
    pub provider: String,
    /// What it says without a person, and of this one.
    pub facts: Vec<DetailLine>,
    /// What the rules would give, in a sentence.
    pub gives: String,
    /// Would they give something?
    pub gives_role: bool,
    /// All that it says, as JSON.
    pub claims: String,
    /// Where it is tried again.
    pub again: String,
}
