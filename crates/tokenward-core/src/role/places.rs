//! The projects and environments that a token is narrowed to: what is elsewhere does not concern it.

use uuid::Uuid;

use super::Target;
use crate::permission::{Management, Permission};

/// An environment, and its project, which it never leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EnvironmentPlace {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project: Uuid,
}

/// Projects with all that is in them, and single environments. Without any it is everywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Places {
    projects: Vec<Uuid>,
    environments: Vec<(Uuid, Uuid)>,
}

impl Places {
    /// These, each once.
    #[must_use]
    pub fn of(mut projects: Vec<Uuid>, environments: impl IntoIterator<Item = EnvironmentPlace>) -> Self {
        projects.sort_unstable();
        projects.dedup();
        let mut environments: Vec<(Uuid, Uuid)> = environments.into_iter().map(|it| (it.id, it.project)).collect();
        environments.sort_unstable();
        environments.dedup();
        Self { projects, environments }
    }

    /// Is nothing narrowed?
    #[must_use]
    pub fn are_everywhere(&self) -> bool {
        self.projects.is_empty() && self.environments.is_empty()
    }

    /// The projects, in order.
    #[must_use]
    pub fn projects(&self) -> &[Uuid] {
        &self.projects
    }

    /// The environments, in order.
    pub fn environments(&self) -> impl ExactSizeIterator<Item = EnvironmentPlace> + Clone {
        self.environments.iter().map(|&(id, project)| EnvironmentPlace { id, project })
    }

    /// The ids of the environments, in order.
    #[must_use]
    pub fn environment_ids(&self) -> Vec<Uuid> {
        self.environments.iter().map(|(id, _)| *id).collect()
    }

    /// Is all of this project among it?
    #[must_use]
    pub fn have_project(&self, project: Uuid) -> bool {
        self.are_everywhere() || self.projects.binary_search(&project).is_ok()
    }

    /// Is this environment among it?
    fn have_environment(&self, id: Uuid, project: Uuid) -> bool {
        self.have_project(project) || self.environments.binary_search_by_key(&id, |it| it.0).is_ok()
    }

    /// Does a permission on this lie within?
    ///
    /// What is said of the organization as a whole is not of projects; but what is about projects, said of all of them, goes
    /// beyond some. To get at an environment one sees the project that it is in, and which environments of it one may see.
    #[must_use]
    pub fn admit(&self, permission: Permission<'_>, target: Target) -> bool {
        use Management as M;
        if self.are_everywhere() {
            return true;
        }
        match target {
            Target::Organization | Target::Cluster(_) => !matches!(
                permission,
                Permission::Management(
                    M::ProjectCreate
                        | M::ProjectRead
                        | M::ProjectManage
                        | M::EnvironmentRead
                        | M::EnvironmentDeploy
                        | M::EnvironmentManage
                        | M::VariableRead
                        | M::VariableManage
                )
            ),
            Target::Project(project) => {
                let leads_to_one = matches!(permission, Permission::Management(M::ProjectRead | M::EnvironmentRead));
                self.have_project(project) || leads_to_one && self.environments.iter().any(|(_, it)| *it == project)
            }
            Target::Environment { id, project, .. } => self.have_environment(id, project),
            Target::Absent => false,
        }
    }

    /// Does some of this lie outside of `others`?
    #[must_use]
    pub fn go_beyond(&self, others: &Self) -> bool {
        !others.are_everywhere()
            && (self.are_everywhere()
                || self.projects.iter().any(|it| !others.have_project(*it))
                || self.environments.iter().any(|(id, project)| !others.have_environment(*id, *project)))
    }

    /// Bytes that it takes besides itself, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.projects.len() * size_of::<Uuid>() + self.environments.len() * size_of::<(Uuid, Uuid)>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BuiltIn, Mode, Role, Scope};
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn places(projects: &[u128], environments: &[(u128, u128)]) -> Places {
        let environments =
            environments.iter().map(|&(it, project)| EnvironmentPlace { id: id(it), project: id(project) });
        Places::of(projects.iter().map(|it| id(*it)).collect(), environments)
    }

    fn environment(n: u128, project: u128) -> Target {
        Target::Environment { id: id(n), project: id(project), mode: Mode::Staging, cluster: id(9) }
    }

    #[test]
    fn it_is_within_projects_and_environments_and_nowhere_else() {
        let some = places(&[1], &[(20, 2)]);
        let may = |own, target| some.admit(Permission::Management(own), target);
        let api = |target| some.admit(Permission::Api { noun: "invoices", verb: "read" }, target);
        use Management as M;
        for own in [M::ProjectRead, M::ProjectManage, M::EnvironmentManage, M::VariableManage, M::VariableRead] {
            assert!(may(own, Target::Project(id(1))) && may(own, environment(10, 1)) && may(own, environment(20, 2)));
            assert!(
                !may(own, Target::Project(id(3))) && !may(own, environment(21, 2)) && !may(own, environment(30, 3))
            );
            assert!(!may(own, Target::Organization) && !may(own, Target::Absent), "{own}");
        }
        assert!(may(M::ProjectRead, Target::Project(id(2))) && may(M::EnvironmentRead, Target::Project(id(2))));
        assert!(!may(M::VariableRead, Target::Project(id(2))) && !may(M::EnvironmentManage, Target::Project(id(2))));
        assert!(!may(M::EnvironmentManage, environment(0, 2)), "one that is to be made is none of those");
        assert!(may(M::EnvironmentManage, environment(0, 1)));
        assert!(may(M::TokenRead, Target::Organization) && may(M::ClusterManage, Target::Cluster(id(9))));
        assert!(api(Target::Organization) && api(Target::Project(id(1))) && api(environment(20, 2)));
        assert!(!api(Target::Project(id(2))) && !api(Target::Project(id(3))) && !api(environment(21, 2)));
        assert!(Places::default().admit(Permission::Management(M::ProjectCreate), Target::Organization));
    }

    #[test]
    fn nothing_of_it_lies_beyond_what_holds_all_of_it() {
        let everywhere = Places::default();
        let some = places(&[1], &[(20, 2)]);
        for within in [&some, &places(&[1], &[]), &places(&[], &[(20, 2)]), &places(&[], &[(10, 1), (20, 2)])] {
            assert!(!within.go_beyond(&some) && !within.go_beyond(&everywhere), "{within:?}");
        }
        for beyond in [&everywhere, &places(&[2], &[]), &places(&[1, 3], &[]), &places(&[], &[(21, 2)])] {
            assert!(beyond.go_beyond(&some), "{beyond:?}");
        }
        assert_eq!(places(&[2, 1, 2], &[]), places(&[1, 2], &[]));
    }

    #[test]
    fn a_role_that_is_narrowed_to_places_is_so_in_all_that_it_says() {
        let devops = Role::built_in(Uuid::nil(), BuiltIn::DevOps);
        let some = devops.narrowed(&Scope::of(&[] as &[&str], &places(&[1], &[(20, 2)])).unwrap().unwrap());
        let may = |own, target| some.allows(Permission::Management(own), target);
        assert!(
            may(Management::EnvironmentDeploy, environment(20, 2))
                && may(Management::TokenManage, Target::Organization)
        );
        assert!(
            !may(Management::ProjectCreate, Target::Organization)
                && !may(Management::ProjectRead, Target::Project(id(3)))
        );
        assert!(some.may_create_environment(id(1), Mode::Staging, id(9)));
        assert!(!some.may_create_environment(id(2), Mode::Staging, id(9)));
        assert!(some.manages_environments(id(1)) && !some.manages_environments(id(2)));
        assert_eq!(some.permissions(), devops.permissions());
        assert!(devops.beyond(&some).is_some() && some.beyond(&devops).is_none() && some.beyond(&some).is_none());
        let fewer = devops.narrowed(&Scope::of(&[] as &[&str], &places(&[1], &[])).unwrap().unwrap());
        assert!(fewer.beyond(&some).is_none() && some.beyond(&fewer).is_some());
        assert_eq!(Scope::of(&[] as &[&str], &Places::default()), Ok(None));
    }
}
