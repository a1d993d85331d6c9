//! The organization itself.

use askama::Template;

use super::{FormField, Moment, Shell};

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
    /// Its plan, as people read it.
    pub plan: String,
    /// When it was made.
    pub created: Moment,
    /// The service's own address, for scripts.
    pub public_url: String,
    /// May the person change the settings?
    pub may_edit: bool,
    /// May the person hand it to another owner (`…/members/transfer`)?
    pub may_transfer: bool,
    /// May the person delete it (`…/settings/delete`)?
    pub may_delete: bool,
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
