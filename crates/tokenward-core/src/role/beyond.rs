//! All that one role may do and another may not: what is gained and lost where somebody gets another role.

use uuid::Uuid;

use super::{ClusterLevel, ProjectAccess, Role, RoleKind};
use crate::permission::Management;

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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{BuiltIn, EnvironmentLevel, Matrix};
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

    proptest! {
        #[test]
        fn there_is_something_beyond_where_there_is_a_first_thing(a in role(), b in role()) {
            prop_assert_eq!(a.all_beyond(&b).is_empty(), a.beyond(&b).is_none());
        }
    }
}
