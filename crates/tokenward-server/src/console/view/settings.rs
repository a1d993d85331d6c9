//! The organization itself.

use askama::Template;

use super::{Choice, FormField, Moment, Shell, TokenRow};

/// What the settings form holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SettingsForm {
    /// The organization's name.
    pub name: FormField,
    /// Its description.
    pub description: FormField,
    /// Its web site.
    pub website_url: FormField,
    /// Where its source code is.
    pub repository: FormField,
    /// Whom to write to, separated by commas.
    pub admin_emails: FormField,
    /// Does it refuse sessions that were given to another machine by a code?
    pub forbids_device: bool,
}

/// What `…/settings/event-retention` takes: `event_retention`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RetentionForm {
    /// What the organization says itself.
    pub own: FormField,
    /// What counts where it says nothing, in words.
    pub server: String,
}

/// `…/settings`; posts `name`, `description`, `website_url`, `repository`, `admin_emails`.
#[derive(Template, Clone, Debug)]
#[template(path = "settings.html")]
pub struct SettingsPage {
    /// The frame.
    pub shell: Shell,
    /// The organization's id, for scripts.
    pub id: String,
    /// What was typed.
    pub form: SettingsForm,
    /// How long what events say is kept, for those who may read them.
    pub retention: Option<RetentionForm>,
    /// Its plan, as people read it.
    pub plan: String,
    /// When it was made.
    pub created: Moment,
    /// The service's own address, for scripts.
    pub public_url: String,
    /// May the person change the settings?
    pub may_edit: bool,
    /// May the person say who becomes a member by a provider (`…/settings/sign-in`)?
    pub may_rule: bool,
    /// May the person hand it to another owner (`…/members/transfer`)?
    pub may_transfer: bool,
    /// May the person delete it (`…/settings/delete`)?
    pub may_delete: bool,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// What is asked besides of tokens with one role; `None` is what is asked of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RolePolicyRow {
    /// The role.
    pub name: String,
    /// `90 days`.
    pub max_lifetime: Option<String>,
    /// `30 days`.
    pub default_lifetime: Option<String>,
    /// Must a token have an end?
    pub end_required: bool,
    /// `24 hours`.
    pub max_overlap: Option<String>,
}

/// `…/settings/token-policy`; posts `version`, `max_lifetime`, `default_lifetime`, `max_overlap`, `end_required`, `on_reuse`, `attest_every`, and to
/// `…/shorten` nothing.
#[derive(Template, Clone, Debug)]
#[template(path = "token-policy.html")]
pub struct TokenPolicyPage {
    /// The frame.
    pub shell: Shell,
    /// Which version of the policy the form shows.
    pub version: String,
    /// How long a token may live at most.
    pub max_lifetime: FormField,
    /// How long one lives of which nobody says it.
    pub default_lifetime: FormField,
    /// Must a token have an end?
    pub end_required: bool,
    /// How long a secret may be kept at most.
    pub max_overlap: FormField,
    /// What is done when a replaced secret comes back.
    pub on_reuse: Vec<Choice>,
    /// What is wrong with that.
    pub on_reuse_error: Option<String>,
    /// How often owners are asked whether a token is still needed.
    pub attest_every: FormField,
    /// What is asked besides of tokens with a role.
    pub roles: Vec<RolePolicyRow>,
    /// Tokens that go beyond it.
    pub tokens: Vec<TokenRow>,
    /// Policy tokens that do, for those who see them.
    pub policy_tokens: Vec<TokenRow>,
    /// That there are more of them.
    pub more: bool,
    /// May the person change it?
    pub may_edit: bool,
    /// May the person change tokens?
    pub may_shorten: bool,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// `/console/new`: another organization; posts `name`, `description`.
#[derive(Template, Clone, Debug)]
#[template(path = "organization-new.html")]
pub struct OrganizationNewPage {
    /// The frame.
    pub shell: Shell,
    /// Its name.
    pub name: FormField,
    /// Its description.
    pub description: FormField,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
