//! Where a person proves anew who sits at a session.

use askama::Template;

use super::{ProofFields, Shell};

/// `/console/account/proof`: where a person proves anew who sits there; posts `next`, `password`, `otp`.
#[derive(Template, Clone, Debug)]
#[template(path = "proof-asked.html")]
pub struct ProofAskedPage {
    /// The frame.
    pub shell: Shell,
    /// Where to go on to afterwards: a path of ours.
    pub next: String,
    /// The providers that prove it: name, and the way there and back.
    pub providers: Vec<(String, String)>,
    /// What is typed; values are never sent back.
    pub proof: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
