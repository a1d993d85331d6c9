//! Roles: six built in, any number of custom ones. A role compiles once; a check is a few reads.

mod beyond;
mod places;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::permission::{Management, ManagementSet, Pattern, Permission};
use crate::word::{UnknownWord, words};

pub use beyond::Beyond;
pub use places::{EnvironmentPlace, Places};
pub use scope::Scope;

words! {
    /// The built-in roles, the most powerful first. Each organization has its own id for each; the names are lowercase
    /// everywhere.
    BuiltIn {
        /// Everything; exactly one member.
        Owner = "owner",
        /// Everything but deleting and handing over the organization.
        Admin = "admin",
        /// Tokens, clusters, projects and all that runs in them.
        DevOps = "devops",
        /// Plan and bills.
        Billing = "billing",
        /// Reads.
        Viewer = "viewer",
        /// Asks what tokens may do, and nothing else: the role of a gateway.
        Verifier = "verifier",
    }
}

impl BuiltIn {
    /// What it holds of our own permissions (the table of the access model).
    #[must_use]
    pub fn management(self) -> ManagementSet {
        use Management::*;
        const VERIFIER: ManagementSet = ManagementSet::of(&[OrganizationRead, TokenVerify]);
        const VIEWER: ManagementSet = ManagementSet::of(&[
            OrganizationRead,
            MemberRead,
            RoleRead,
            TokenRead,
            ApiRead,
            ClusterRead,
            ProjectRead,
            EnvironmentRead,
            VariableRead,
        ]);
        const BILLING: ManagementSet =
            ManagementSet::of(&[OrganizationRead, BillingRead, BillingManage, MemberRead, ClusterRead]);
        const DEVOPS: ManagementSet = ManagementSet::of(&[
            OrganizationRead,
            MemberRead,
            RoleRead,
            TokenRead,
            TokenManage,
            TokenRotateSelf,
            TokenVerify,
            EventRead,
            ApiRead,
            ApiManage,
            ClusterRead,
            ClusterManage,
            ProjectCreate,
            ProjectRead,
            ProjectManage,
            EnvironmentRead,
            EnvironmentDeploy,
            EnvironmentManage,
            VariableRead,
            VariableManage,
        ]);
        const OWNER: ManagementSet = ManagementSet::of(Management::ALL);
        const ADMIN: ManagementSet = {
            let mut set = ManagementSet::of(&[]);
            let mut i = 0;
            while i < Management::ALL.len() {
                if !matches!(Management::ALL[i], OrganizationDelete | OrganizationTransfer) {
                    set = set.with(Management::ALL[i]);
                }
                i += 1;
            }
            set
        };
        match self {
            Self::Owner => OWNER,
            Self::Admin => ADMIN,
            Self::DevOps => DEVOPS,
            Self::Billing => BILLING,
            Self::Viewer => VIEWER,
            Self::Verifier => VERIFIER,
        }
    }

    /// What it holds of the organization's own API.
    fn api(self) -> Vec<Pattern> {
        match self {
            Self::Owner | Self::Admin | Self::DevOps => vec![Pattern::any()],
            Self::Viewer => vec![Pattern::any_noun("read")],
            Self::Billing | Self::Verifier => Vec::new(),
        }
    }
}

words! {
    /// The kind of an environment.
    Mode {
        /// For work in progress.
        Development = "DEVELOPMENT",
        /// For one change, made and removed with it.
        Preview = "PREVIEW",
        /// Before production.
        Staging = "STAGING",
        /// The real one.
        Production = "PRODUCTION",
    }
}

words! {
    /// What a custom role may do with a cluster. Each level holds the ones before it.
    ClusterLevel {
        /// See it: the default.
        Viewer = "VIEWER",
        /// Create and deploy environments on it.
        EnvCreator = "ENV_CREATOR",
        /// Change its settings.
        Admin = "ADMIN",
    }
}

words! {
    /// What a custom role may do with the environments of one mode in a project. Each level holds the ones before it.
    EnvironmentLevel {
        /// Not even see them: the default.
        NoAccess = "NO_ACCESS",
        /// Read them and their variables.
        Viewer = "VIEWER",
        /// Deploy and stop them.
        Deployer = "DEPLOYER",
        /// Create and change them and their variables.
        Manager = "MANAGER",
    }
}

/// What a custom role may do in one project.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProjectAccess {
    /// Everything in the project, also delete it.
    pub is_admin: bool,
    /// A level for each mode, in the order of [`Mode::ALL`]; what counts when `is_admin` is false.
    pub levels: [EnvironmentLevel; 4],
}

impl ProjectAccess {
    /// The default: the project is invisible.
    pub const NONE: Self = Self { is_admin: false, levels: [EnvironmentLevel::NoAccess; 4] };
    /// The whole project.
    pub const ADMIN: Self = Self { is_admin: true, levels: [EnvironmentLevel::Manager; 4] };

    /// The level for one mode.
    #[must_use]
    pub fn level(&self, mode: Mode) -> EnvironmentLevel {
        if self.is_admin { EnvironmentLevel::Manager } else { self.levels[mode as usize] }
    }

    fn highest(&self) -> EnvironmentLevel {
        Mode::ALL.into_iter().map(|mode| self.level(mode)).max().unwrap_or(EnvironmentLevel::NoAccess)
    }

    fn lowest(&self) -> EnvironmentLevel {
        Mode::ALL.into_iter().map(|mode| self.level(mode)).min().unwrap_or(EnvironmentLevel::NoAccess)
    }

    fn within(&self, other: &Self) -> bool {
        (!self.is_admin || other.is_admin) && Mode::ALL.into_iter().all(|mode| self.level(mode) <= other.level(mode))
    }
}

/// What a custom role consists of: only what differs from the default is kept.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Matrix {
    /// Clusters above [`ClusterLevel::Viewer`].
    pub clusters: BTreeMap<Uuid, ClusterLevel>,
    /// Projects that are visible at all.
    pub projects: BTreeMap<Uuid, ProjectAccess>,
}

/// What a question is about, after its ids were looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// The organization as a whole.
    Organization,
    /// A project of it.
    Project(Uuid),
    /// An environment of it (or one to be created).
    Environment {
        /// Which; nil for one to be created.
        id: Uuid,
        /// Its project.
        project: Uuid,
        /// Its mode.
        mode: Mode,
        /// Where it runs.
        cluster: Uuid,
    },
    /// A cluster of it.
    Cluster(Uuid),
    /// Something that does not exist, or belongs to another organization. Nobody may do anything with it.
    Absent,
}

/// Built in or custom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleKind {
    /// One of the six.
    BuiltIn(BuiltIn),
    /// Made by the organization.
    Custom,
}

impl RoleKind {
    /// `custom`, or the name of a built-in role.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn(role) => role.as_str(),
            Self::Custom => "custom",
        }
    }
}

impl TryFrom<String> for RoleKind {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, UnknownWord> {
        if text == Self::Custom.as_str() { Ok(Self::Custom) } else { BuiltIn::parse(&text).map(Self::BuiltIn) }
    }
}

/// A role, compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// Its id in its organization.
    pub id: Uuid,
    /// Its name; lowercase for the built-in ones.
    pub name: Box<str>,
    /// Built in or custom.
    pub kind: RoleKind,
    own: ManagementSet,
    api: BTreeSet<Pattern>,
    matrix: Matrix,
    /// What `permissions` says, in one line: gateways ask for it with each request.
    list: Box<str>,
    /// That of a token which is narrowed: the role as it is, and our own permissions that the token may use of it.
    narrowed: Option<Box<(Self, ManagementSet)>>,
    /// The projects and environments to which it is narrowed.
    places: Places,
}

/// Our own permissions that a custom role may name.
pub const NAMEABLE: [Management; 3] = [Management::TokenVerify, Management::TokenRotateSelf, Management::EventRead];

impl Role {
    /// A built-in role with the id that it has in an organization.
    #[must_use]
    pub fn built_in(id: Uuid, role: BuiltIn) -> Self {
        Self {
            id,
            name: role.as_str().into(),
            kind: RoleKind::BuiltIn(role),
            own: role.management(),
            api: role.api().into_iter().collect(),
            matrix: Matrix::default(),
            list: Box::default(),
            narrowed: None,
            places: Places::default(),
        }
        .listed()
    }

    /// With the list of its permissions.
    fn listed(self) -> Self {
        let list = self.permissions().join(" ").into();
        Self { list, ..self }
    }

    /// A custom role. `permissions` are patterns of the organization's API, or of [`NAMEABLE`].
    /// The error names the first permission that a custom role cannot hold.
    pub fn custom<S: AsRef<str>>(id: Uuid, name: &str, permissions: &[S], matrix: Matrix) -> Result<Self, String> {
        let mut role = Self {
            id,
            name: name.into(),
            kind: RoleKind::Custom,
            // A custom role always reads the organization and sees its clusters (contract §3.2).
            own: ManagementSet::of(&[Management::OrganizationRead]),
            api: BTreeSet::new(),
            matrix,
            list: Box::default(),
            narrowed: None,
            places: Places::default(),
        };
        for permission in permissions.iter().map(AsRef::as_ref) {
            match NAMEABLE.into_iter().find(|own| own.as_str() == permission) {
                Some(own) => role.own = role.own.with(own),
                None => {
                    role.api.insert(Pattern::parse(permission)?);
                }
            }
        }
        Ok(role.listed())
    }

    /// The role of a token that is narrowed to these permissions and places: it holds what both hold.
    #[must_use]
    pub fn narrowed(&self, scope: &Scope) -> Self {
        let both = self.api.iter().flat_map(|mine| scope.api().iter().filter_map(|it| mine.and(it)));
        Self {
            own: self.own.and(scope.own()),
            api: both.collect(),
            narrowed: Some(Box::new((self.clone(), scope.own()))),
            places: scope.places().clone(),
            ..self.clone()
        }
        .listed()
    }

    /// The role of which this is what a narrowed token may use; `None` where it is no such one.
    #[must_use]
    pub fn whole(&self) -> Option<&Self> {
        self.narrowed.as_ref().map(|narrowed| &narrowed.0)
    }

    /// May a token use this of what the matrix says?
    fn leaves(&self, own: Management) -> bool {
        self.narrowed.as_ref().is_none_or(|narrowed| narrowed.1.has(own))
    }

    /// Does the role hold this of ours anywhere?
    #[must_use]
    pub fn may_hold(&self, own: Management) -> bool {
        let clusters = || self.matrix.clusters.keys().copied().chain([Uuid::nil()]);
        let of_project = |project: Uuid| {
            let on =
                move |cluster| Mode::ALL.map(|mode| Target::Environment { id: Uuid::nil(), project, mode, cluster });
            clusters().flat_map(on).chain([Target::Project(project)])
        };
        let asked = Permission::Management(own);
        self.allows(asked, Target::Organization)
            || clusters().any(|it| self.allows(asked, Target::Cluster(it)))
            || self.matrix.projects.keys().any(|it| of_project(*it).any(|target| self.allows(asked, target)))
    }

    /// Does the role hold anything of what these patterns allow?
    #[must_use]
    pub fn holds_some_of(&self, patterns: &[Pattern]) -> bool {
        self.api.iter().any(|mine| patterns.iter().any(|it| mine.meets(it)))
    }

    /// Does the role hold all that a pattern of the organization's API allows?
    #[must_use]
    pub fn holds_all_of(&self, pattern: &Pattern) -> bool {
        pattern.covering().iter().any(|it| self.api.contains(it))
    }

    /// Is this the owner role, which is never given to anybody?
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.kind == RoleKind::BuiltIn(BuiltIn::Owner)
    }

    /// What differs from the default, for a custom role.
    #[must_use]
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// The permissions that the role names, sorted: ours first, then patterns of the organization's API.
    #[must_use]
    pub fn permissions(&self) -> Vec<String> {
        self.own.iter().map(|own| own.to_string()).chain(self.api.iter().map(ToString::to_string)).collect()
    }

    /// The same in one line, with a space between them.
    #[must_use]
    pub fn permission_list(&self) -> &str {
        &self.list
    }

    /// What a custom role was given by name: without what every custom role has.
    #[must_use]
    pub fn named_permissions(&self) -> Vec<String> {
        let own = self.own.iter().filter(|own| NAMEABLE.contains(own)).map(|own| own.to_string());
        own.chain(self.api.iter().map(ToString::to_string)).collect()
    }

    /// Does the role hold any of our own permissions besides this one?
    #[must_use]
    pub fn holds_more_of_ours_than(&self, permission: Management) -> bool {
        Management::ALL.iter().any(|own| *own != permission && self.own.has(*own))
    }

    /// Does the role hold anything of the organization's own API?
    #[must_use]
    pub fn holds_any_of_api(&self) -> bool {
        !self.api.is_empty()
    }

    /// May the role do this with that? A pure look-up; a `Target::Absent` is refused whatever is asked.
    #[must_use]
    pub fn allows(&self, permission: Permission<'_>, target: Target) -> bool {
        if target == Target::Absent || !self.places.admit(permission, target) {
            return false;
        }
        match permission {
            Permission::Api { noun, verb } => {
                // A resource narrows the question: what the role cannot see, it cannot act on.
                self.sees(target) && self.api.iter().any(|pattern| pattern.matches(noun, verb))
            }
            Permission::Management(own) => self.own.has(own) || self.leaves(own) && self.allows_by_matrix(own, target),
        }
    }

    fn sees(&self, target: Target) -> bool {
        match target {
            Target::Organization => true,
            Target::Project(_) => self.allows(Permission::Management(Management::ProjectRead), target),
            Target::Environment { .. } => self.allows(Permission::Management(Management::EnvironmentRead), target),
            Target::Cluster(_) => self.allows(Permission::Management(Management::ClusterRead), target),
            Target::Absent => false,
        }
    }

    /// The rules of contract §3.2. A built-in role has no matrix: all it holds is in `own`.
    fn allows_by_matrix(&self, own: Management, target: Target) -> bool {
        use EnvironmentLevel as E;
        if self.kind != RoleKind::Custom {
            return false;
        }
        match target {
            // Every custom role sees every cluster, so the list as a whole is open to it.
            Target::Organization => own == Management::ClusterRead,
            Target::Cluster(cluster) => match own {
                Management::ClusterRead => true,
                Management::ClusterManage => self.level_on(cluster) >= Some(ClusterLevel::Admin),
                _ => false,
            },
            Target::Project(project) => {
                let access = self.access_to(project);
                match own {
                    Management::ProjectRead | Management::EnvironmentRead | Management::VariableRead => {
                        access.highest() >= E::Viewer
                    }
                    // A variable of the project reaches the environments of every mode.
                    Management::VariableManage => access.lowest() >= E::Manager,
                    Management::ProjectManage => access.is_admin,
                    _ => false,
                }
            }
            Target::Environment { project, mode, cluster, .. } => {
                let access = self.access_to(project);
                let level = access.level(mode);
                let may_run = self.level_on(cluster) >= Some(ClusterLevel::EnvCreator);
                match own {
                    Management::ProjectRead | Management::EnvironmentRead | Management::VariableRead => {
                        level >= E::Viewer
                    }
                    Management::EnvironmentDeploy => level >= E::Deployer && may_run,
                    Management::EnvironmentManage | Management::VariableManage => level >= E::Manager,
                    Management::ProjectManage => access.is_admin,
                    _ => false,
                }
            }
            Target::Absent => false,
        }
    }

    /// May the role make or change environments of at least one mode in a project?
    #[must_use]
    pub fn manages_environments(&self, project: Uuid) -> bool {
        self.leaves(Management::EnvironmentManage)
            && self.places.have_project(project)
            && self.access_to(project).highest() >= EnvironmentLevel::Manager
    }

    /// May the role create an environment there? MANAGER on the mode and ENV_CREATOR on the cluster.
    #[must_use]
    pub fn may_create_environment(&self, project: Uuid, mode: Mode, cluster: Uuid) -> bool {
        let target = Target::Environment { id: Uuid::nil(), project, mode, cluster };
        self.allows(Permission::Management(Management::EnvironmentManage), target)
            && self.allows(Permission::Management(Management::EnvironmentDeploy), target)
    }

    /// The level on a cluster; `None` for a role that does not see clusters at all. Of a narrowed one no more than all of which it
    /// may use.
    #[must_use]
    pub fn cluster_level(&self, cluster: Uuid) -> Option<ClusterLevel> {
        let level = self.level_on(cluster)?;
        if !self.leaves(Management::ClusterRead) {
            return None;
        }
        let runs = self.leaves(Management::EnvironmentDeploy) && self.leaves(Management::EnvironmentManage);
        Some(match level {
            ClusterLevel::Admin if self.leaves(Management::ClusterManage) && runs => level,
            ClusterLevel::Admin | ClusterLevel::EnvCreator if runs => ClusterLevel::EnvCreator,
            _ => ClusterLevel::Viewer,
        })
    }

    fn level_on(&self, cluster: Uuid) -> Option<ClusterLevel> {
        match self.kind {
            RoleKind::Custom => Some(self.matrix.clusters.get(&cluster).copied().unwrap_or(ClusterLevel::Viewer)),
            RoleKind::BuiltIn(_) if self.own.has(Management::ClusterManage) => Some(ClusterLevel::Admin),
            RoleKind::BuiltIn(_) if self.own.has(Management::ClusterRead) => Some(ClusterLevel::Viewer),
            RoleKind::BuiltIn(_) => None,
        }
    }

    /// The access to a project. Of a narrowed one no more than all of which it may use.
    #[must_use]
    pub fn project_access(&self, project: Uuid) -> ProjectAccess {
        if self.places.have_project(project) { self.access_anywhere(project) } else { ProjectAccess::NONE }
    }

    /// The same wherever the project is.
    fn access_anywhere(&self, project: Uuid) -> ProjectAccess {
        use Management as M;
        let access = self.access_to(project);
        let all = |some: &[Management]| some.iter().all(|own| self.leaves(*own));
        let most = if !all(&[M::ProjectRead, M::EnvironmentRead, M::VariableRead]) {
            EnvironmentLevel::NoAccess
        } else if !all(&[M::EnvironmentDeploy]) {
            EnvironmentLevel::Viewer
        } else if !all(&[M::EnvironmentManage, M::VariableManage]) {
            EnvironmentLevel::Deployer
        } else if all(&[M::ProjectManage]) {
            return access;
        } else {
            EnvironmentLevel::Manager
        };
        ProjectAccess { is_admin: false, levels: Mode::ALL.map(|mode| access.level(mode).min(most)) }
    }

    fn access_to(&self, project: Uuid) -> ProjectAccess {
        match self.kind {
            RoleKind::Custom => self.matrix.projects.get(&project).copied().unwrap_or(ProjectAccess::NONE),
            RoleKind::BuiltIn(_) if self.own.has(Management::ProjectManage) => ProjectAccess::ADMIN,
            RoleKind::BuiltIn(_) if self.own.has(Management::EnvironmentRead) => {
                ProjectAccess { is_admin: false, levels: [EnvironmentLevel::Viewer; 4] }
            }
            RoleKind::BuiltIn(_) => ProjectAccess::NONE,
        }
    }

    /// Is it that of a token which is narrowed to projects or environments?
    #[must_use]
    pub fn is_somewhere(&self) -> bool {
        !self.places.are_everywhere()
    }

    /// Is `other` narrowed to projects and environments, and this to others, or to none?
    #[must_use]
    pub fn is_elsewhere(&self, other: &Self) -> bool {
        self.places.go_beyond(&other.places)
    }

    /// The first thing that `self` may do and `other` may not; `None` when `self` is a subset of `other`.
    ///
    /// This is the rule that nobody hands out more than they have. The text names a permission.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Option<String> {
        if let Some(own) = self.own.beyond(other.own) {
            return Some(own.to_string());
        }
        // Of the rest it is compared what each may do where it is; so where that is comes first.
        if self.is_elsewhere(other) {
            return Some(Management::ProjectRead.to_string());
        }
        if let Some(pattern) = self.api.iter().find(|mine| !mine.covering().iter().any(|it| other.api.contains(it))) {
            return Some(pattern.to_string());
        }
        if self.kind != RoleKind::Custom {
            return None;
        }
        // Seeing every cluster comes with every custom role.
        if other.cluster_level(Uuid::nil()).is_none() {
            return Some(Management::ClusterRead.to_string());
        }
        if self.matrix.clusters.iter().any(|(id, level)| Some(*level) > other.cluster_level(*id)) {
            return Some(Management::ClusterManage.to_string());
        }
        self.matrix
            .projects
            .iter()
            .any(|(id, access)| !access.within(&other.access_anywhere(*id)))
            .then(|| Management::ProjectManage.to_string())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in(role: BuiltIn) -> Role {
        Role::built_in(Uuid::nil(), role)
    }

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    /// The table of design §6, written down a second time, row by row: o, a, d, b, v, f (verifier).
    const TABLE: &str = "
        organization:read oadbvf
        organization:edit oa
        organization:delete o
        organization:transfer o
        billing:read oab
        billing:manage oab
        member:read oadbv
        member:manage oa
        role:manage oa
        policy:manage oa
        role:read oadv
        token:read oadv
        token:manage oad
        token:rotate-self oad
        token:verify oadf
        event:read oad
        api:read oadv
        api:manage oad
        cluster:read oadbv
        cluster:manage oad
        project:create oad
        project:read oadv
        environment:read oadv
        variable:read oadv
        project:manage oad
        environment:deploy oad
        environment:manage oad
        variable:manage oad
        invoices:read oadv
        invoices:pay oad";

    #[test]
    fn built_in_roles_hold_what_the_table_says() {
        let mut rows = 0;
        for row in TABLE.trim().lines() {
            let (permission, holders) = row.trim().split_once(' ').unwrap_or_default();
            let asked = Permission::parse(permission).unwrap_or_else(|e| panic!("{e}"));
            for (role, letter) in BuiltIn::ALL.into_iter().zip("oadbvf".chars()) {
                let holds = built_in(role).allows(asked, Target::Organization);
                assert_eq!(holds, holders.contains(letter), "{permission} for {}", role.as_str());
            }
            rows += 1;
        }
        assert_eq!(rows, Management::ALL.len() + 2);
    }

    #[test]
    fn an_absent_target_is_refused_to_the_owner_too() {
        assert!(!built_in(BuiltIn::Owner).allows(Permission::Management(Management::OrganizationRead), Target::Absent));
        assert!(!built_in(BuiltIn::Owner).allows(Permission::Api { noun: "x", verb: "y" }, Target::Absent));
    }

    #[test]
    fn a_custom_role_does_what_its_matrix_says() {
        let levels = [
            EnvironmentLevel::Manager,
            EnvironmentLevel::NoAccess,
            EnvironmentLevel::Deployer,
            EnvironmentLevel::Viewer,
        ];
        let matrix = Matrix {
            clusters: [(id(1), ClusterLevel::EnvCreator)].into(),
            projects: [(id(2), ProjectAccess { is_admin: false, levels })].into(),
        };
        let role = Role::custom(id(9), "deployer", &["invoices:read", "token:verify"], matrix)
            .unwrap_or_else(|e| panic!("{e}"));
        let environment = |mode, cluster| Target::Environment { id: id(7), project: id(2), mode, cluster: id(cluster) };
        let may = |own, target| role.allows(Permission::Management(own), target);
        assert!(may(Management::EnvironmentManage, environment(Mode::Development, 1)));
        assert!(!may(Management::EnvironmentRead, environment(Mode::Preview, 1)));
        assert!(may(Management::EnvironmentDeploy, environment(Mode::Staging, 1)));
        assert!(!may(Management::EnvironmentDeploy, environment(Mode::Staging, 3)), "needs ENV_CREATOR on the cluster");
        assert!(!may(Management::VariableManage, environment(Mode::Staging, 1)), "a deployer edits no variables");
        assert!(may(Management::VariableRead, environment(Mode::Production, 1)));
        assert!(!may(Management::EnvironmentDeploy, environment(Mode::Production, 1)));
        assert!(
            !may(Management::ProjectManage, Target::Project(id(2)))
                && may(Management::ProjectRead, Target::Project(id(2)))
        );
        assert!(!may(Management::ProjectRead, Target::Project(id(4))));
        assert!(
            may(Management::TokenVerify, Target::Organization) && !may(Management::TokenManage, Target::Organization)
        );
        assert!(
            may(Management::ClusterRead, Target::Cluster(id(77)))
                && !may(Management::ClusterManage, Target::Cluster(id(1)))
        );
        assert!(role.may_create_environment(id(2), Mode::Development, id(1)));
        assert!(!role.may_create_environment(id(2), Mode::Development, id(3)));
        let api = Permission::Api { noun: "invoices", verb: "read" };
        assert!(role.allows(api, Target::Project(id(2))) && !role.allows(api, Target::Project(id(4))));
    }

    #[test]
    fn reserved_permissions_are_refused_in_a_custom_role() {
        for bad in ["token:manage", "project:read", "member:*", "nonsense"] {
            assert!(Role::custom(id(1), "r", &[bad], Matrix::default()).is_err(), "{bad}");
        }
    }

    #[test]
    fn subset_follows_power() {
        let [owner, admin, devops, billing, viewer, verifier] = BuiltIn::ALL.map(built_in);
        assert_eq!(admin.beyond(&owner), None);
        assert_eq!(devops.beyond(&admin), None);
        assert_eq!(viewer.beyond(&devops), None);
        assert_eq!(verifier.beyond(&devops), None);
        assert_eq!(admin.beyond(&devops).as_deref(), Some("organization:edit"));
        assert_eq!(billing.beyond(&devops).as_deref(), Some("billing:read"));
        assert!(owner.beyond(&admin).is_some());
        let custom = |matrix| Role::custom(id(1), "c", &["a:*"], matrix).unwrap_or_else(|e| panic!("{e}"));
        let wide = custom(Matrix { projects: [(id(2), ProjectAccess::ADMIN)].into(), ..Matrix::default() });
        let none = custom(Matrix::default());
        assert_eq!(wide.beyond(&devops), None);
        assert_eq!(none.beyond(&wide), None);
        assert_eq!(wide.beyond(&none).as_deref(), Some("project:manage"));
        assert_eq!(wide.beyond(&viewer).as_deref(), Some("a:*"));
    }
}
