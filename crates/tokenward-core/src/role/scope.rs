//! What a token is narrowed to besides its role: some of the permissions that the role holds, and some of the places.

use std::collections::BTreeSet;

use super::{Places, Role, Target};
use crate::permission::{Management, ManagementSet, Pattern, Permission};

/// Permissions and places to which a token is narrowed. It may do what its role allows and this names.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Scope {
    own: ManagementSet,
    api: Box<[Pattern]>,
    places: Places,
}

impl Scope {
    /// Reads permissions as roles name them: our own by name, and patterns of the organization's API. The error completes the
    /// sentence that begins with the field, and has the place of what is wrong.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, (usize, String)> {
        let (mut own, mut api) = (ManagementSet::default(), BTreeSet::new());
        for (at, text) in texts.iter().map(AsRef::as_ref).enumerate() {
            let named = text.split_once(':').is_some_and(|(noun, verb)| Management::reserves(noun) && verb != "*");
            let read = if named {
                match Permission::parse(text) {
                    Ok(Permission::Management(it)) => {
                        own = own.with(it);
                        Ok(())
                    }
                    Ok(Permission::Api { .. }) => Ok(()),
                    Err(problem) => Err(problem),
                }
            } else {
                Pattern::parse(text).map(|it| {
                    api.insert(it);
                })
            };
            read.map_err(|problem| (at, problem))?;
        }
        Ok(Self { own, api: api.into_iter().collect(), places: Places::default() })
    }

    /// What a token is narrowed to by these permissions, all where there are none, and these places; `None` where that is to
    /// nothing. The error has the place of the permission that is wrong.
    pub fn of<S: AsRef<str>>(permissions: &[S], places: &Places) -> Result<Option<Self>, (usize, String)> {
        let scope = match (permissions.is_empty(), places.are_everywhere()) {
            (true, true) => return Ok(None),
            (true, false) => Self::of_all_permissions(),
            (false, _) => Self::parse(permissions)?,
        };
        Ok(Some(Self { places: places.clone(), ..scope }))
    }

    fn of_all_permissions() -> Self {
        Self { own: ManagementSet::of(Management::ALL), api: Box::new([Pattern::any()]), places: Places::default() }
    }

    /// The places to which it narrows.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Does it name this, and is it about what is in its places?
    #[must_use]
    pub fn admits(&self, permission: Permission<'_>, target: Target) -> bool {
        self.allows(permission) && self.places.admit(permission, target)
    }

    /// Does it name this?
    #[must_use]
    pub fn allows(&self, permission: Permission<'_>) -> bool {
        match permission {
            Permission::Management(own) => self.own.has(own),
            Permission::Api { noun, verb } => self.api.iter().any(|pattern| pattern.matches(noun, verb)),
        }
    }

    /// Our own permissions among it.
    #[must_use]
    pub fn own(&self) -> ManagementSet {
        self.own
    }

    /// Patterns of the organization's API among it.
    #[must_use]
    pub fn api(&self) -> &[Pattern] {
        &self.api
    }

    /// Its permissions: ours first, then those of the organization's API, each once.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        self.own.iter().map(|it| it.to_string()).chain(self.api.iter().map(ToString::to_string)).collect()
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.api.len() * (size_of::<Pattern>() + 16) + self.places.bytes()
    }

    /// Does it name anything that the other one does not, or is it about more places?
    #[must_use]
    pub fn goes_beyond(&self, other: &Self) -> bool {
        let named = |mine: &Pattern| mine.covering().iter().any(|it| other.api.contains(it));
        self.own.beyond(other.own).is_some() || !self.api.iter().all(named) || self.places.go_beyond(&other.places)
    }

    /// The first of its permissions that a role does not hold.
    #[must_use]
    pub fn beyond(&self, role: &Role) -> Option<String> {
        let own = self.own.iter().find(|own| !role.may_hold(*own)).map(|own| own.to_string());
        own.or_else(|| self.api.iter().find(|it| !role.holds_all_of(it)).map(ToString::to_string))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::{BuiltIn, ClusterLevel, Matrix, ProjectAccess, Target};
    use super::*;

    fn scope(texts: &[&str]) -> Scope {
        Scope::parse(texts).unwrap_or_else(|(at, problem)| panic!("{at}: {problem}"))
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (texts, at) in [
            (&["invoices:read", "token:*"][..], 1),
            (&["token:frobnicate"], 0),
            (&["Invoices"], 0),
            (&["a:b", "*:read", "", "x:y"], 2),
        ] {
            assert_eq!(Scope::parse(texts).map_err(|(at, _)| at), Err(at), "{texts:?}");
        }
    }

    #[test]
    fn one_goes_beyond_another_by_what_it_names() {
        let wide = scope(&["*:read", "orders:write", "token:read"]);
        let narrow = scope(&["invoices:read", "token:read"]);
        assert!(wide.goes_beyond(&narrow) && !narrow.goes_beyond(&wide) && !wide.goes_beyond(&wide));
        assert!(scope(&["token:manage"]).goes_beyond(&wide) && scope(&["orders:*"]).goes_beyond(&wide));
        let shop = Places::of(vec![Uuid::from_u128(1)], []);
        let there = Scope::of(&["invoices:read"], &shop).unwrap().unwrap();
        assert!(!there.goes_beyond(&narrow) && narrow.goes_beyond(&there));
    }

    #[test]
    fn it_lies_within_a_role_or_names_what_does_not() {
        let viewer = Role::built_in(Uuid::nil(), BuiltIn::Viewer);
        assert_eq!(scope(&["*:read", "invoices:read", "project:read"]).beyond(&viewer), None);
        assert_eq!(scope(&["*:read", "invoices:write"]).beyond(&viewer).as_deref(), Some("invoices:write"));
        assert_eq!(scope(&["*"]).beyond(&viewer).as_deref(), Some("*"));
        assert_eq!(scope(&["token:manage"]).beyond(&viewer).as_deref(), Some("token:manage"));
    }

    #[test]
    fn a_narrowed_role_holds_what_both_hold_and_hands_out_no_more() {
        let devops = Role::built_in(Uuid::nil(), BuiltIn::DevOps);
        let all =
            [&["token:manage", "invoices:read"][..], &["*:read"], &["token:manage", "invoices:*", "project:read"]];
        for texts in all {
            let scope = scope(texts);
            let narrowed = devops.narrowed(&scope);
            for own in Management::ALL {
                let asked = Permission::Management(*own);
                let both = scope.allows(asked) && devops.allows(asked, Target::Organization);
                assert_eq!(narrowed.allows(asked, Target::Organization), both, "{own} of {texts:?}");
            }
            for (noun, verb) in [("invoices", "read"), ("invoices", "write"), ("orders", "read")] {
                let asked = Permission::Api { noun, verb };
                assert_eq!(narrowed.allows(asked, Target::Organization), scope.allows(asked), "{noun}:{verb}");
            }
            assert!(devops.beyond(&narrowed).is_some() && narrowed.beyond(&devops).is_none());
            assert_eq!(narrowed.beyond(&narrowed), None);
        }
    }

    #[test]
    fn a_custom_role_is_narrowed_in_its_matrix_too() {
        let (shop, lab) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut matrix = Matrix::default();
        matrix.projects.insert(shop, ProjectAccess::ADMIN);
        matrix.clusters.insert(lab, ClusterLevel::Admin);
        let role = Role::custom(Uuid::nil(), "r", &["invoices:read"], matrix).unwrap();
        assert_eq!(scope(&["project:read", "project:manage", "cluster:manage"]).beyond(&role), None);
        assert_eq!(scope(&["project:create"]).beyond(&role).as_deref(), Some("project:create"));
        let reads = role.narrowed(&scope(&["project:read", "environment:read"]));
        let may = |own| reads.allows(Permission::Management(own), Target::Project(shop));
        assert!(may(Management::ProjectRead) && !may(Management::ProjectManage) && !may(Management::VariableManage));
        assert!(!reads.allows(Permission::Management(Management::ClusterManage), Target::Cluster(lab)));
        assert!(!reads.manages_environments(shop));
        assert!(role.beyond(&reads).is_some());
        assert_eq!(reads.beyond(&role), None);
    }
}
