//! What an organization says of sign-ins.

use askama::Template;

use super::{Choice, FormField, ProofFields, SessionsState, Shell, TwoFactorsState};

/// A rule in the form; the last ones are empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleFields {
    /// Its number, from 1.
    pub number: usize,
    /// The providers, one of them chosen.
    pub providers: Vec<Choice>,
    /// What the provider says.
    pub value: FormField,
    /// The roles, one of them chosen.
    pub roles: Vec<Choice>,
}

/// By what people sign in.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SignInChoice {
    /// The names of the providers that it is restricted to; none where it is not.
    pub only: Vec<String>,
    /// The providers that it can be restricted to: key and name.
    pub providers: Vec<(String, String)>,
}

/// Somebody whom a restriction keeps out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptOutRow {
    /// The address.
    pub email: String,
    /// The role.
    pub role: String,
    /// Is it the person who looks?
    pub is_you: bool,
}

/// `…/settings/sign-in/only/<key>` and `…/settings/sign-in/any`: asks; posts `version` and `password`.
#[derive(Template, Clone, Debug)]
#[template(path = "organization-sign-in-only.html")]
pub struct SignInOnlyPage {
    /// The frame.
    pub shell: Shell,
    /// The provider that everybody is to sign in by; `None` to take it back.
    pub provider: Option<String>,
    /// Where the form is posted.
    pub action: String,
    /// Where the provider proves the person first, where it has not a moment ago.
    pub prove: Option<String>,
    /// Which version of the organization the page shows.
    pub version: String,
    /// Whom it keeps out.
    pub kept_out: Vec<KeptOutRow>,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// Why it did not happen, with what to do.
    pub error: Option<String>,
}

/// `…/settings/sign-in`; posts `version`, `password`, and `provider`, `value`, `role_id` once for each rule.
#[derive(Template, Clone, Debug)]
#[template(path = "organization-sign-in.html")]
pub struct OrganizationSignInPage {
    /// The frame.
    pub shell: Shell,
    /// Which version of the rules the form shows.
    pub version: String,
    /// The rules; none where no provider says groups.
    pub rules: Vec<RuleFields>,
    /// May the person write them?
    pub may_rule: bool,
    /// The providers that the person can try: key, name, and the address of return that each must know.
    pub trials: Vec<(String, String, String)>,
    /// By what people sign in, for those who may say so.
    pub policy: Option<SignInChoice>,
    /// Two factors, for those who may say so.
    pub two_factors: Option<TwoFactorsState>,
    /// For how long sessions count, for those who may say so.
    pub sessions: Option<SessionsState>,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
