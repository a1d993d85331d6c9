//! The second factor: at a sign-in, and on a person's own account.

use askama::Template;

use super::{FormField, Moment, ProofFields, Shell};
use crate::service::codes::Qr;

/// `/sign-in/code`: the first factor was right; posts `otp`.
#[derive(Template, Clone, Debug)]
#[template(path = "sign-in-code.html")]
pub struct SignInCodePage {
    /// Goes with the form.
    pub csrf: String,
    /// Is a recovery code asked, in the place of one of the authenticator?
    pub recovery: bool,
    /// The code; its value is never sent back.
    pub otp: FormField,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// The part of the account page that is about it.
#[derive(Clone, Default, Debug)]
pub struct SecondFactorView {
    /// Since when there is an authenticator; none where there is none.
    pub since: Option<Moment>,
    /// When one of its codes was last taken.
    pub used: Option<Moment>,
    /// Recovery codes that were not used.
    pub codes_left: u64,
}

/// `/console/account/second-factor`: sets an authenticator up; posts `set_up`, `otp`, `next`, `password`. It holds a seed, and
/// has no `Debug`.
#[derive(Template, Clone)]
#[template(path = "second-factor.html")]
pub struct SecondFactorPage {
    /// The frame.
    pub shell: Shell,
    /// The seed, in groups.
    pub seed: String,
    /// The same for a program.
    pub otpauth: String,
    /// The same as a picture.
    pub qr: Qr,
    /// What comes back with the code.
    pub set_up: String,
    /// Where to go on to afterwards: a path of the console, or empty.
    pub next: String,
    /// The first code; its value is never sent back.
    pub otp: FormField,
    /// The password again, where it is asked for.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// Recovery codes, shown once. It has no `Debug`.
#[derive(Template, Clone)]
#[template(path = "recovery-codes.html")]
pub struct RecoveryCodesPage {
    /// The frame.
    pub shell: Shell,
    /// The codes.
    pub codes: Vec<String>,
    /// Was the authenticator set up just now?
    pub first: bool,
    /// Where to go on to.
    pub next: String,
}
