//! Roles: the list, a built-in one, and the editor of a custom one.

use askama::Template;
use tokenward_core::role::{ClusterLevel, EnvironmentLevel, Mode};

use super::{ApiPermissionRow, FaultLine, FormField, ListFrame, OtherPermission, RoleTrialForm, Shell};

/// A role in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleRow {
    /// Its id.
    pub id: String,
    /// Its name, as people read it.
    pub name: String,
    /// What it can do (built in) or its description (custom).
    pub meaning: String,
    /// How many members have it.
    pub members: usize,
    /// How many tokens have it.
    pub tokens: usize,
    /// Is it one of those that every organization has?
    pub built_in: bool,
}

/// `…/roles`.
#[derive(Template, Clone, Debug)]
#[template(path = "roles.html")]
pub struct RolesPage {
    /// The frame.
    pub shell: Shell,
    /// The built-in ones, and those that the organization has made.
    pub roles: Vec<RoleRow>,
    /// Has it made one?
    pub has_custom: bool,
    /// How they are sorted, and where they go on.
    pub list: ListFrame,
    /// May the person create and change roles?
    pub may_manage: bool,
}

/// `…/roles/<id>` of a built-in role.
#[derive(Template, Clone, Debug)]
#[template(path = "role-built-in.html")]
pub struct BuiltInRolePage {
    /// The frame.
    pub shell: Shell,
    /// The role.
    pub role: RoleRow,
    /// What it holds: permission and what that means, in words.
    pub permissions: Vec<(String, String)>,
    /// What it holds of the organization's own API, in words.
    pub api: String,
    /// What it says of a request.
    pub trial: Option<RoleTrialForm>,
}

/// One step of a scale, as the editor offers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LevelChoice {
    /// What the form sends: the contract's word.
    pub value: &'static str,
    /// What people read.
    pub label: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// The scale of a cluster, in the contract's words (§3.2).
#[must_use]
pub fn cluster_levels() -> [LevelChoice; 3] {
    [ClusterLevel::Viewer, ClusterLevel::EnvCreator, ClusterLevel::Admin].map(|level| match level {
        ClusterLevel::Viewer => LevelChoice { value: "VIEWER", label: "Read-Only", meaning: "See the cluster." },
        ClusterLevel::EnvCreator => LevelChoice {
            value: "ENV_CREATOR",
            label: "Create Environment",
            meaning: "Also create and deploy environments on it. Its settings stay read-only.",
        },
        ClusterLevel::Admin => {
            LevelChoice { value: "ADMIN", label: "Full-Access", meaning: "Also change the cluster’s settings." }
        }
    })
}

/// The scale of the environments of one mode, in the contract's words (§3.2).
#[must_use]
pub fn environment_levels() -> [LevelChoice; 4] {
    use EnvironmentLevel as E;
    [E::NoAccess, E::Viewer, E::Deployer, E::Manager].map(|level| match level {
        E::NoAccess => LevelChoice { value: "NO_ACCESS", label: "No Access", meaning: "Not even see them." },
        E::Viewer => {
            LevelChoice { value: "VIEWER", label: "Read-Only", meaning: "Read environments and their variables." }
        }
        E::Deployer => LevelChoice {
            value: "DEPLOYER",
            label: "Deploy",
            meaning: "Also deploy and stop; needs Create Environment on the cluster.",
        },
        E::Manager => LevelChoice {
            value: "MANAGER",
            label: "Manage",
            meaning: "Also create and change environments, variables and secrets.",
        },
    })
}

/// A mode as people read it.
#[must_use]
pub fn mode_label(mode: Mode) -> &'static str {
    match mode {
        Mode::Development => "Development",
        Mode::Preview => "Preview",
        Mode::Staging => "Staging",
        Mode::Production => "Production",
    }
}

/// A cluster's row of the editor. The form sends `cluster.<id>` = a [`LevelChoice::value`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterCell {
    /// The cluster's id.
    pub id: String,
    /// The cluster's name.
    pub name: String,
    /// The level that the form holds.
    pub level: String,
    /// The level that is saved; what differs from it is marked.
    pub saved: String,
}

/// A project's row of the editor. The form sends `project.<id>.admin` = `on` when the whole project is given, and
/// `project.<id>.<MODE>` = a [`LevelChoice::value`] for each mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProjectCell {
    /// The project's id.
    pub id: String,
    /// The project's name.
    pub name: String,
    /// Is the whole project given, in the form?
    pub is_admin: bool,
    /// Is it, as saved?
    pub saved_is_admin: bool,
    /// The level of each mode in the form, in the order of `Mode::ALL`.
    pub levels: [String; 4],
    /// The same, as saved.
    pub saved: [String; 4],
}

impl ProjectCell {
    /// Mode (the contract's word), its label, the level in the form, the level as saved.
    #[must_use]
    pub fn cells(&self) -> [(&'static str, &'static str, &str, &str); 4] {
        Mode::ALL.map(|mode| {
            let at = mode as usize;
            (mode.as_str(), mode_label(mode), self.levels[at].as_str(), self.saved[at].as_str())
        })
    }
}

/// A box for one of our own permissions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnPermissionCell {
    /// What the form sends as `on`.
    pub field: &'static str,
    /// The permission.
    pub permission: &'static str,
    /// What it is, in a few words.
    pub label: &'static str,
    /// What for.
    pub hint: &'static str,
    /// Does the role hold it?
    pub held: bool,
    /// The same, as saved.
    pub saved: bool,
}

/// What the editor holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RoleForm {
    /// Its name.
    pub name: FormField,
    /// Its description.
    pub description: FormField,
    /// Permissions of the organization's own API, one a line.
    pub permissions: FormField,
    /// What of our own permissions a custom role may hold.
    pub own: Vec<OwnPermissionCell>,
    /// All clusters, by name.
    pub clusters: Vec<ClusterCell>,
    /// The projects in which it has access, by name.
    pub projects: Vec<ProjectCell>,
    /// The others.
    pub more_projects: Vec<ProjectCell>,
    /// What imported routes take.
    pub api: Vec<ApiPermissionRow>,
    /// What is typed beside them, and no route takes.
    pub unknown: Vec<OtherPermission>,
}

/// A change that saving would make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleChange {
    /// What: `web-shop, Staging`.
    pub what: String,
    /// From: `No Access`.
    pub before: String,
    /// To: `Deploy`.
    pub after: String,
    /// Does the role get more by it?
    pub more: bool,
}

/// `…/roles/new` and `…/roles/<id>/edit` of a custom role. Posts all of [`RoleForm`], and `action` = `preview` or `save`.
#[derive(Template, Clone, Debug)]
#[template(path = "role-editor.html")]
pub struct RoleEditorPage {
    /// The frame.
    pub shell: Shell,
    /// The role's id; `None` for a new one.
    pub id: Option<String>,
    /// Its saved name, for the title.
    pub saved_name: String,
    /// What the form holds.
    pub form: RoleForm,
    /// What saving would change; `None` before a preview was asked for.
    pub changes: Option<Vec<RoleChange>>,
    /// Who has the role: `2 members and 3 tokens`. `None` when nobody has.
    pub used_by: Option<String>,
    /// May the person change it? Otherwise it is shown, and nothing can be sent.
    pub may_edit: bool,
    /// The version that the form is based on, sent as `version`, so that two people cannot overwrite each other.
    pub version: String,
    /// What is to be put right.
    pub faults: Vec<FaultLine>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_editor_sends_the_words_of_the_contract() {
        for level in cluster_levels() {
            assert!(serde_json::from_value::<ClusterLevel>(level.value.into()).is_ok(), "{}", level.value);
        }
        for level in environment_levels() {
            assert!(serde_json::from_value::<EnvironmentLevel>(level.value.into()).is_ok(), "{}", level.value);
        }
    }
}
