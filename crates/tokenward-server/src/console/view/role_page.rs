//! A custom role to be read, and the boxes of its editor.

use askama::Template;

use super::{GrantedView, RoleTrialForm, Shell};

/// Somebody who has a role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HolderLink {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
}

/// A permission that no imported route takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtherPermission {
    /// The permission.
    pub permission: String,
    /// What will have been meant.
    pub meant: Option<String>,
}

/// A noun of the organization's own API in the editor, with its verbs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiPermissionRow {
    /// The noun: `invoices`.
    pub noun: String,
    /// Its verbs, *everything* first.
    pub verbs: Vec<ApiVerbCell>,
}

/// A verb. The form sends `api` = its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiVerbCell {
    /// The permission: `invoices:read`.
    pub value: String,
    /// The verb, as people read it.
    pub label: String,
    /// What it opens: `12 routes`.
    pub routes: String,
    /// Does the form hold it?
    pub held: bool,
    /// Does the saved role?
    pub saved: bool,
}

/// What is to be put right in a form: a link to the field, its label, and a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultLine {
    /// The id of the field.
    pub field: String,
    /// Its label.
    pub label: String,
    /// What is wrong.
    pub text: String,
}

/// `…/roles/<id>` of a custom role.
#[derive(Template, Clone, Debug)]
#[template(path = "role.html")]
pub struct RolePage {
    /// The frame.
    pub shell: Shell,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it holds of the organization's own API.
    pub api: Vec<String>,
    /// What of that no imported route takes.
    pub unknown: Vec<OtherPermission>,
    /// What it holds of Tokenward's own permissions, with their meaning.
    pub own: Vec<(String, String)>,
    /// Its projects, a line each.
    pub projects: Vec<String>,
    /// Its clusters, a line each.
    pub clusters: Vec<String>,
    /// The tokens that have it, and whether there are more; `None` for somebody who may not see tokens.
    pub tokens: Option<(Vec<HolderLink>, bool)>,
    /// The policy tokens that have it, likewise.
    pub policy_tokens: Option<(Vec<HolderLink>, bool)>,
    /// The members that have it; `None` for somebody who may not see members.
    pub members: Option<Vec<String>>,
    /// What of it was used.
    pub granted: Option<GrantedView>,
    /// What it says of a request.
    pub trial: Option<RoleTrialForm>,
    /// May the person change it?
    pub may_edit: bool,
}
