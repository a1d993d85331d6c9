//! Projects, environments and clusters: what custom roles and tokens refer to.

use askama::Template;

use super::{Choice, FormField, ListFrame, Moment, Shell};

/// A project in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProjectRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// How many environments of it the person sees.
    pub environments: usize,
    /// When it was last changed.
    pub updated: Moment,
}

/// `…/projects`.
#[derive(Template, Clone, Debug)]
#[template(path = "projects.html")]
pub struct ProjectsPage {
    /// The frame.
    pub shell: Shell,
    /// The projects that the person sees, by name.
    pub projects: Vec<ProjectRow>,
    /// How they are sorted, and where they go on.
    pub list: ListFrame,
    /// May the person create one?
    pub may_create: bool,
}

/// What the form of a project holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProjectForm {
    /// Its name.
    pub name: FormField,
    /// Its description.
    pub description: FormField,
}

/// An environment in its project's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnvironmentRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its mode: the contract's word in lower case, for its colour.
    pub mode: String,
    /// Its mode as people read it.
    pub mode_label: String,
    /// Where it runs.
    pub cluster: String,
    /// When it was last changed.
    pub updated: Moment,
    /// By whom.
    pub updated_by: Option<String>,
}

/// `…/projects/new` (`project` is `None`) and `…/projects/<id>`; posts `name`, `description`.
/// Deleting is `…/projects/<id>/delete`; a new environment is `…/projects/<id>/environments/new`.
#[derive(Template, Clone, Debug)]
#[template(path = "project.html")]
pub struct ProjectPage {
    /// The frame.
    pub shell: Shell,
    /// The saved project; `None` for a new one.
    pub project: Option<ProjectRow>,
    /// What the form holds.
    pub form: ProjectForm,
    /// Its environments that the person sees.
    pub environments: Vec<EnvironmentRow>,
    /// How they are sorted, and where they go on.
    pub list: ListFrame,
    /// May the person change it?
    pub may_edit: bool,
    /// May the person delete it?
    pub may_delete: bool,
    /// May the person create an environment in it?
    pub may_create_environment: bool,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// What the form of an environment holds. It sends `name`, `mode`, `cluster`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct EnvironmentForm {
    /// Its name.
    pub name: FormField,
    /// The modes.
    pub modes: Vec<Choice>,
    /// What was wrong with the mode.
    pub mode_error: Option<String>,
    /// The clusters; fixed once it exists.
    pub clusters: Vec<Choice>,
    /// What was wrong with the cluster.
    pub cluster_error: Option<String>,
}

/// `…/projects/<id>/environments/new` and `…/projects/<id>/environments/<id>`.
/// Deleting is `…/projects/<id>/environments/<id>/delete`.
#[derive(Template, Clone, Debug)]
#[template(path = "environment.html")]
pub struct EnvironmentPage {
    /// The frame.
    pub shell: Shell,
    /// Its project's id.
    pub project_id: String,
    /// Its project's name.
    pub project_name: String,
    /// The saved environment; `None` for a new one.
    pub environment: Option<EnvironmentRow>,
    /// What the form holds.
    pub form: EnvironmentForm,
    /// May the person change it?
    pub may_edit: bool,
    /// May the person delete it?
    pub may_delete: bool,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// A cluster in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Who runs it, as people read it.
    pub provider: String,
    /// Where.
    pub region: String,
    /// Is it marked as carrying production?
    pub production: bool,
    /// When it was last changed.
    pub updated: Moment,
}

/// `…/clusters`.
#[derive(Template, Clone, Debug)]
#[template(path = "clusters.html")]
pub struct ClustersPage {
    /// The frame.
    pub shell: Shell,
    /// The clusters that the person sees, by name.
    pub clusters: Vec<ClusterRow>,
    /// How they are sorted, and where they go on.
    pub list: ListFrame,
    /// May the person create one?
    pub may_create: bool,
}

/// What the form of a cluster holds. It sends `name`, `description`, `cloud_provider`, `region`, `production` = `on`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ClusterForm {
    /// Its name.
    pub name: FormField,
    /// Its description.
    pub description: FormField,
    /// Who runs it.
    pub providers: Vec<Choice>,
    /// What was wrong with that.
    pub provider_error: Option<String>,
    /// Where.
    pub region: FormField,
    /// Does it carry production?
    pub production: bool,
}

/// `…/clusters/new` (`cluster` is `None`) and `…/clusters/<id>`. Deleting is `…/clusters/<id>/delete`.
#[derive(Template, Clone, Debug)]
#[template(path = "cluster.html")]
pub struct ClusterPage {
    /// The frame.
    pub shell: Shell,
    /// The saved cluster; `None` for a new one.
    pub cluster: Option<ClusterRow>,
    /// What the form holds.
    pub form: ClusterForm,
    /// May the person change it?
    pub may_edit: bool,
    /// May the person delete it?
    pub may_delete: bool,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
