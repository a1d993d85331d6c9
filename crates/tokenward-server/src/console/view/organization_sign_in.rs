//! What an organization says of sign-ins.

use askama::Template;

use super::{Choice, FormField, Shell};

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
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<FormField>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
