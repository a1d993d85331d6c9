//! All that one role may do and another may not: what is gained and lost where somebody gets another role. And what both may.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{ClusterLevel, Matrix, Mode, ProjectAccess, Role, RoleKind};
use crate::permission::{Management, ManagementSet};

/// What one role holds and another does not.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Beyond {
    /// Permissions, ours first, then those of the organization's API.
    pub permissions: Vec<String>,
    /// Clusters on which it goes further.
    pub clusters: Vec<(Uuid, ClusterLevel)>,
    /// Projects in which it goes further.
    pub projects: Vec<(Uuid, ProjectAccess)>,
}

/// Patterns that two roles may have in common at most: each of one with each of the other is more than any role has.
const MOST: usize = 4_096;

impl Beyond {
    /// Is there nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permissions.is_empty() && self.clusters.is_empty() && self.projects.is_empty()
    }
}

impl Role {
    /// All that `self` may do and `other` may not. It is empty where [`beyond`](Self::beyond) says nothing.
    #[must_use]
    pub fn all_beyond(&self, other: &Self) -> Beyond {
        let own = self.own.iter().filter(|own| !other.own.has(*own));
        // Seeing every cluster comes with every custom role.
        let sees = self.kind == RoleKind::Custom && other.cluster_level(Uuid::nil()).is_none();
        let api = self.api.iter().filter(|mine| !mine.covering().iter().any(|it| other.api.contains(it)));
        let own = own.chain(sees.then_some(Management::ClusterRead)).map(|own| own.to_string());
        let clusters = self.matrix.clusters.iter().filter(|(id, level)| Some(**level) > other.cluster_level(**id));
        let projects = self.matrix.projects.iter().filter(|(id, access)| !access.within(&other.access_anywhere(**id)));
        Beyond {
            permissions: own.chain(api.map(ToString::to_string)).collect(),
            clusters: clusters.map(|(id, level)| (*id, *level)).collect(),
            projects: projects.map(|(id, access)| (*id, *access)).collect(),
        }
    }

    /// This custom role as far as the other one allows the same; without one, what every custom role may do.
    #[must_use]
    pub fn within(&self, other: Option<&Self>) -> Self {
        let (mut api, mut matrix) = (BTreeSet::new(), Matrix::default());
        let Some(other) = other else {
            let own = self.own.and(ManagementSet::of(&[Management::OrganizationRead]));
            return Self { own, api, matrix, ..self.clone() }.listed();
        };
        let both = self.api.iter().flat_map(|mine| other.api.iter().filter_map(|it| mine.and(it)));
        api.extend(both.take(MOST + 1));
        // Too many to be a role: what is left out is denied.
        if api.len() > MOST {
            api.clear();
        }
        for (id, level) in &self.matrix.clusters {
            let both = other.cluster_level(*id).map_or(ClusterLevel::Viewer, |it| it.min(*level));
            if both != ClusterLevel::Viewer {
                matrix.clusters.insert(*id, both);
            }
        }
        for (id, access) in &self.matrix.projects {
            let theirs = other.access_anywhere(*id);
            let levels = Mode::ALL.map(|mode| access.level(mode).min(theirs.level(mode)));
            let both = ProjectAccess { is_admin: access.is_admin && theirs.is_admin, levels };
            if both != ProjectAccess::NONE {
                matrix.projects.insert(*id, both);
            }
        }
        Self { own: self.own.and(other.own), api, matrix, ..self.clone() }.listed()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{BuiltIn, EnvironmentLevel};
    use super::*;

    const LAB: Uuid = Uuid::from_u128(1);
    const SHOP: Uuid = Uuid::from_u128(2);

    fn custom(permissions: &[&str], lab: ClusterLevel, shop: ProjectAccess) -> Role {
        let mut matrix = Matrix::default();
        if lab != ClusterLevel::Viewer {
            matrix.clusters.insert(LAB, lab);
        }
        if shop != ProjectAccess::NONE {
            matrix.projects.insert(SHOP, shop);
        }
        Role::custom(Uuid::nil(), "custom", permissions, matrix).unwrap()
    }

    #[test]
    fn what_a_wider_role_covers_is_not_lost() {
        let deployer = custom(&["invoices:read", "event:read"], ClusterLevel::EnvCreator, ProjectAccess::ADMIN);
        let admin = Role::built_in(Uuid::nil(), BuiltIn::Admin);
        assert!(deployer.all_beyond(&admin).is_empty());
        assert!(admin.all_beyond(&deployer).permissions.iter().any(|it| it == "*"));
        let viewer = Role::built_in(Uuid::nil(), BuiltIn::Viewer);
        let lost = deployer.all_beyond(&viewer);
        assert_eq!(lost.permissions, ["event:read"], "`*:read` covers the invoices");
        assert_eq!(lost.clusters, [(LAB, ClusterLevel::EnvCreator)]);
        assert_eq!(lost.projects, [(SHOP, ProjectAccess::ADMIN)]);
        let verifier = Role::built_in(Uuid::nil(), BuiltIn::Verifier);
        assert_eq!(deployer.all_beyond(&verifier).permissions, ["event:read", "cluster:read", "invoices:read"]);
    }

    fn role() -> impl Strategy<Value = Role> {
        let permissions =
            prop::sample::subsequence(vec!["invoices:read", "*:read", "token:verify", "event:read"], 0..=4);
        let lab = prop::sample::select(&ClusterLevel::ALL[..]);
        let level = prop::sample::select(&EnvironmentLevel::ALL[..]);
        let shop = (any::<bool>(), level).prop_map(|(is_admin, level)| ProjectAccess { is_admin, levels: [level; 4] });
        let custom = (permissions, lab, shop).prop_map(|(permissions, lab, shop)| custom(&permissions, lab, shop));
        let built_in = prop::sample::select(&BuiltIn::ALL[..]).prop_map(|it| Role::built_in(Uuid::nil(), it));
        prop_oneof![custom, built_in]
    }

    fn own_role() -> impl Strategy<Value = Role> {
        role().prop_filter("built in", |it| it.kind == RoleKind::Custom)
    }

    proptest! {
        #[test]
        fn what_is_left_of_a_role_within_another_is_what_both_allow(a in own_role(), b in own_role()) {
            let both = a.within(Some(&b));
            prop_assert!(both.beyond(&a).is_none() && both.beyond(&b).is_none());
            prop_assert_eq!(a.beyond(&both).is_none(), a.beyond(&b).is_none());
            prop_assert!(a.within(None).beyond(&both).is_none());
        }

        #[test]
        fn there_is_something_beyond_where_there_is_a_first_thing(a in role(), b in role()) {
            prop_assert_eq!(a.all_beyond(&b).is_empty(), a.beyond(&b).is_none());
        }
    }
}
