//! What the organizations consist of, in memory: roles, members, projects, environments, clusters.
//!
//! A directory is never changed in place. The follower makes a changed copy and swaps it in, so a decision
//! sees one state from its first look-up to its last.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::decision::Ask;
use crate::permission::RequiredPermission;
use crate::reason::Reason;
use crate::role::{Mode, Role, Target};
use crate::routes::Routes;
use crate::scope_line::ScopeLines;
use crate::sign_in::SignInPolicy;
use crate::token::Cut;

/// All organizations.
#[derive(Clone, Default, Debug)]
pub struct Directory {
    /// By number: what token records refer to. A deleted organization leaves `None` behind.
    numbered: Vec<Option<Arc<Organization>>>,
    by_id: HashMap<Uuid, u32>,
    /// Which organization a project, environment or cluster belongs to.
    owners: HashMap<Uuid, u32>,
}

/// One organization.
#[derive(Clone, Default, Debug)]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: Box<str>,
    /// That all of its tokens were taken back which had been made up to a moment.
    pub cut: Option<Cut>,
    /// Does it refuse sessions that were given to another machine by a code?
    pub forbids_device: bool,
    roles: Vec<Option<Arc<Role>>>,
    role_numbers: HashMap<Uuid, u32>,
    members: HashMap<Uuid, Uuid>,
    /// The members whom a rule made so, each with the provider that the rule is about.
    by_rule: HashMap<Uuid, Box<str>>,
    /// What it asks of sessions.
    sign_in: SignInPolicy,
    projects: HashMap<Uuid, Box<str>>,
    environments: HashMap<Uuid, Environment>,
    clusters: HashMap<Uuid, Box<str>>,
    apis: HashMap<Box<str>, Arc<Routes>>,
    /// What introspection tells of the roles.
    scope_lines: ScopeLines,
}

/// Where an environment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Environment {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project: Uuid,
    /// Its mode.
    pub mode: Mode,
    /// The cluster it runs on.
    pub cluster: Uuid,
}

impl From<Environment> for Target {
    fn from(e: Environment) -> Self {
        Self::Environment { id: e.id, project: e.project, mode: e.mode, cluster: e.cluster }
    }
}

/// The ids that a question may name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Resource {
    /// A project.
    pub project_id: Option<Uuid>,
    /// An environment.
    pub environment_id: Option<Uuid>,
    /// A cluster.
    pub cluster_id: Option<Uuid>,
}

impl Resource {
    /// One project.
    #[must_use]
    pub fn project(id: Uuid) -> Self {
        Self { project_id: Some(id), ..Self::default() }
    }

    /// One environment.
    #[must_use]
    pub fn environment(id: Uuid) -> Self {
        Self { environment_id: Some(id), ..Self::default() }
    }

    /// One cluster.
    #[must_use]
    pub fn cluster(id: Uuid) -> Self {
        Self { cluster_id: Some(id), ..Self::default() }
    }
}

impl Directory {
    /// The organization with this id.
    #[must_use]
    pub fn organization(&self, id: Uuid) -> Option<&Organization> {
        self.by_id.get(&id).and_then(|number| self.numbered(*number))
    }

    /// The organization with this number.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Option<&Organization> {
        self.numbered.get(number as usize)?.as_deref()
    }

    /// The number of an organization.
    #[must_use]
    pub fn number(&self, id: Uuid) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// All organizations, in the order in which they were made.
    pub fn organizations(&self) -> impl Iterator<Item = &Organization> {
        self.numbered.iter().flatten().map(|organization| &**organization)
    }

    /// The organization that a project, environment or cluster belongs to.
    #[must_use]
    pub fn owner_of(&self, resource: Uuid) -> Option<&Organization> {
        self.owners.get(&resource).and_then(|number| self.numbered(*number))
    }

    /// Adds an organization, or changes its name.
    pub fn put_organization(&mut self, id: Uuid, name: &str) {
        match self.by_id.get(&id) {
            Some(number) => self.change(*number, |organization| organization.name = name.into()),
            None => {
                // Fewer than 2^32 organizations fit into memory.
                self.by_id.insert(id, self.numbered.len() as u32);
                let organization = Organization { id, name: name.into(), ..Organization::default() };
                self.numbered.push(Some(Arc::new(organization)));
            }
        }
    }

    /// All tokens of the organization were taken back which had been made up to a moment. What was taken back before stays so.
    pub fn put_cut(&mut self, id: Uuid, cut: Cut) {
        self.change_by_id(id, |organization| {
            if organization.cut.is_none_or(|before| before.through < cut.through) {
                organization.cut = Some(cut);
            }
        });
    }

    /// Whether the organization refuses sessions that were given to another machine by a code.
    pub fn put_device_rule(&mut self, id: Uuid, forbids: bool) {
        if self.organization(id).is_some_and(|organization| organization.forbids_device != forbids) {
            self.change_by_id(id, |organization| organization.forbids_device = forbids);
        }
    }

    /// The same numbers, and nothing behind them: to be filled anew, so that what refers to a number still means the same.
    #[must_use]
    pub fn hollow(&self) -> Self {
        let hollow = |o: &Organization| Organization {
            id: o.id,
            name: o.name.clone(),
            // What was taken back stays so, whatever an older copy says of it.
            cut: o.cut,
            forbids_device: o.forbids_device,
            roles: vec![None; o.roles.len()],
            role_numbers: o.role_numbers.clone(),
            ..Organization::default()
        };
        Self {
            numbered: self.numbered.iter().map(|o| o.as_deref().map(|o| Arc::new(hollow(o)))).collect(),
            by_id: self.by_id.clone(),
            owners: HashMap::new(),
        }
    }

    /// Takes out what was not filled: organizations that do not live, and roles that were not put.
    pub fn keep(&mut self, living: &HashSet<Uuid>) {
        let gone: Vec<Uuid> = self.by_id.keys().filter(|id| !living.contains(id)).copied().collect();
        for id in gone {
            self.remove_organization(id);
        }
        for id in living {
            self.change_by_id(*id, |o| {
                let roles = &o.roles;
                o.role_numbers.retain(|_, number| roles[*number as usize].is_some());
            });
        }
    }

    /// Takes an organization out, with all that belongs to it. Its number is not used again.
    pub fn remove_organization(&mut self, id: Uuid) {
        if let Some(number) = self.by_id.remove(&id) {
            self.numbered[number as usize] = None;
            self.owners.retain(|_, owner| *owner != number);
        }
    }

    /// Adds or replaces a role. Its number within the organization stays.
    pub fn put_role(&mut self, organization: Uuid, role: Role) {
        self.change_by_id(organization, |o| match o.role_numbers.get(&role.id) {
            Some(number) => o.roles[*number as usize] = Some(Arc::new(role)),
            None => {
                o.role_numbers.insert(role.id, o.roles.len() as u32);
                o.roles.push(Some(Arc::new(role)));
            }
        });
    }

    /// Takes a role out.
    pub fn remove_role(&mut self, organization: Uuid, role: Uuid) {
        self.change_by_id(organization, |o| {
            if let Some(number) = o.role_numbers.remove(&role) {
                o.roles[number as usize] = None;
            }
        });
    }

    /// Replaces the members of an organization: users with the ids of their roles.
    pub fn set_members(&mut self, organization: Uuid, members: HashMap<Uuid, Uuid>) {
        self.change_by_id(organization, |o| o.members = members);
    }

    /// Those of the members whom a rule made so, with the provider that it is about.
    pub fn set_members_by_rule(&mut self, organization: Uuid, by_rule: HashMap<Uuid, Box<str>>) {
        self.change_by_id(organization, |o| o.by_rule = by_rule);
    }

    /// What the organization asks of sessions.
    pub fn set_sign_in(&mut self, organization: Uuid, policy: SignInPolicy) {
        self.change_by_id(organization, |o| o.sign_in = policy);
    }

    /// Adds or renames a project.
    pub fn put_project(&mut self, organization: Uuid, project: Uuid, name: &str) {
        self.set_owner(organization, project);
        self.change_by_id(organization, |o| {
            o.projects.insert(project, name.into());
        });
    }

    /// Takes a project out, with its environments.
    pub fn remove_project(&mut self, organization: Uuid, project: Uuid) {
        let gone: Vec<Uuid> = self
            .organization(organization)
            .map(|o| o.environments.iter().filter(|(_, e)| e.project == project).map(|(id, _)| *id).collect())
            .unwrap_or_default();
        for environment in gone {
            self.remove_environment(organization, environment);
        }
        self.owners.remove(&project);
        self.change_by_id(organization, |o| {
            o.projects.remove(&project);
        });
    }

    /// Adds or changes an environment.
    pub fn put_environment(&mut self, organization: Uuid, id: Uuid, environment: Environment) {
        self.set_owner(organization, id);
        self.change_by_id(organization, |o| {
            o.environments.insert(id, environment);
        });
    }

    /// Takes an environment out.
    pub fn remove_environment(&mut self, organization: Uuid, id: Uuid) {
        self.owners.remove(&id);
        self.change_by_id(organization, |o| {
            o.environments.remove(&id);
        });
    }

    /// Adds or renames a cluster.
    pub fn put_cluster(&mut self, organization: Uuid, cluster: Uuid, name: &str) {
        self.set_owner(organization, cluster);
        self.change_by_id(organization, |o| {
            o.clusters.insert(cluster, name.into());
        });
    }

    /// Takes a cluster out.
    pub fn remove_cluster(&mut self, organization: Uuid, cluster: Uuid) {
        self.owners.remove(&cluster);
        self.change_by_id(organization, |o| {
            o.clusters.remove(&cluster);
        });
    }

    /// Adds or replaces the routes of an API of the organization.
    pub fn put_api(&mut self, organization: Uuid, name: &str, routes: Routes) {
        self.change_by_id(organization, |o| {
            o.apis.insert(name.into(), Arc::new(routes));
        });
    }

    /// Takes an API out.
    pub fn remove_api(&mut self, organization: Uuid, api: Uuid) {
        self.change_by_id(organization, |o| o.apis.retain(|_, routes| routes.id() != api));
    }

    fn set_owner(&mut self, organization: Uuid, resource: Uuid) {
        if let Some(number) = self.number(organization) {
            self.owners.insert(resource, number);
        }
    }

    fn change_by_id(&mut self, id: Uuid, change: impl FnOnce(&mut Organization)) {
        if let Some(number) = self.number(id) {
            self.change(number, change);
        }
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Organization)) {
        if let Some(Some(organization)) = self.numbered.get_mut(number as usize) {
            let organization = Arc::make_mut(organization);
            // They say what was before.
            organization.scope_lines = ScopeLines::default();
            change(organization);
        }
    }
}

impl Organization {
    /// The role with this id.
    #[must_use]
    pub fn role(&self, id: Uuid) -> Option<&Arc<Role>> {
        self.role_numbers.get(&id).and_then(|number| self.roles.get(*number as usize)?.as_ref())
    }

    /// The role with this number: what token records refer to.
    #[must_use]
    pub fn numbered_role(&self, number: u32) -> Option<&Arc<Role>> {
        self.roles.get(number as usize)?.as_ref()
    }

    /// The number of a role.
    #[must_use]
    pub fn role_number(&self, id: Uuid) -> Option<u32> {
        self.role_numbers.get(&id).copied()
    }

    /// All roles, the built-in ones first.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.roles.iter().flatten()
    }

    /// The role of a member; `None` for everybody else.
    #[must_use]
    pub fn role_of(&self, user: Uuid) -> Option<&Arc<Role>> {
        self.members.get(&user).and_then(|role| self.role(*role))
    }

    /// The provider that the rule is about which made somebody a member; `None` of whom a person made one.
    #[must_use]
    pub fn rule_provider(&self, user: Uuid) -> Option<&str> {
        self.by_rule.get(&user).map(|provider| &**provider)
    }

    /// What it asks of sessions.
    #[must_use]
    pub fn sign_in(&self) -> &SignInPolicy {
        &self.sign_in
    }

    /// How many members there are.
    #[must_use]
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// The projects, with their names.
    #[must_use]
    pub fn projects(&self) -> &HashMap<Uuid, Box<str>> {
        &self.projects
    }

    /// The environments.
    #[must_use]
    pub fn environments(&self) -> &HashMap<Uuid, Environment> {
        &self.environments
    }

    /// The clusters, with their names.
    #[must_use]
    pub fn clusters(&self) -> &HashMap<Uuid, Box<str>> {
        &self.clusters
    }

    /// The routes of one of its APIs.
    #[must_use]
    pub fn api(&self, name: &str) -> Option<&Arc<Routes>> {
        self.apis.get(name)
    }

    /// What the routes of all APIs need, each once and in order.
    #[must_use]
    pub fn route_permissions(&self) -> BTreeSet<&RequiredPermission> {
        self.apis.values().flat_map(|routes| routes.permissions()).collect()
    }

    /// How many permissions the routes of all APIs name: what it costs to go through them.
    #[must_use]
    pub fn named_by_routes(&self) -> usize {
        self.apis.values().map(|routes| routes.named()).sum()
    }

    /// The line of one of its own roles, if [`scope_line`](Self::scope_line) has made it and it is kept.
    #[must_use]
    pub fn kept_scope_line(&self, role: &Role) -> Option<&str> {
        self.scope_lines.kept(self.own_number(role)?)
    }

    /// The number of a role that is one of its own. What a narrowed token may use of a role has the role's id, and is another
    /// one.
    fn own_number(&self, role: &Role) -> Option<u32> {
        let is_own = |number: &u32| self.numbered_role(*number).is_some_and(|own| std::ptr::eq(&**own, role));
        self.role_number(role.id).filter(is_own)
    }

    /// What a role may do, as one line of words in order: the permissions that it names, and what `*` means of the routes that
    /// there are. That of one of its own roles is made once.
    #[must_use]
    pub fn scope_line(&self, role: &Role) -> Cow<'_, str> {
        let make = || {
            let holds = |needed: &&RequiredPermission| role.allows(needed.permission(), Target::Organization);
            let of_routes = self.route_permissions().into_iter().filter(holds).map(|it| it.as_str().to_owned());
            let words: BTreeSet<String> = role.permissions().into_iter().chain(of_routes).collect();
            words.into_iter().collect::<Vec<_>>().join(" ")
        };
        let kept = self.own_number(role).and_then(|number| self.scope_lines.line(number, self.roles.len(), make));
        kept.map_or_else(|| make().into(), Cow::Borrowed)
    }

    /// What a request to one of its APIs takes: the question to decide, which is a denial where the API, the route
    /// or the meaning of the path is not known.
    #[must_use]
    pub fn ask_route(&self, api: &str, method: &str, path: &str) -> Ask<'_> {
        self.apis.get(api).map_or(Ask::Never(Reason::ApiUnknown), |routes| routes.ask(method, path))
    }

    /// Looks up the ids of a question. The most specific one counts; ids that contradict each other, or of
    /// which one does not exist here, are [`Target::Absent`].
    #[must_use]
    pub fn target(&self, resource: &Resource) -> Target {
        let Resource { project_id, environment_id, cluster_id } = *resource;
        if let Some(id) = environment_id {
            return match self.environments.get(&id) {
                Some(e) if project_id.is_none_or(|p| p == e.project) && cluster_id.is_none_or(|c| c == e.cluster) => {
                    (*e).into()
                }
                _ => Target::Absent,
            };
        }
        match (project_id, cluster_id) {
            (None, None) => Target::Organization,
            (Some(project), None) if self.projects.contains_key(&project) => Target::Project(project),
            (None, Some(cluster)) if self.clusters.contains_key(&cluster) => Target::Cluster(cluster),
            // A project and a cluster without the environment that joins them is no one thing.
            _ => Target::Absent,
        }
    }
}
