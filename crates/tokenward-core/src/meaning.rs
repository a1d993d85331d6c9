//! What a role can do, in words for people: the only place for them.

use crate::permission::{Management, Permission};
use crate::role::{BuiltIn, Role, RoleKind, Target};

impl BuiltIn {
    /// What the role can do, in one sentence for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Owner => "Can do everything, also delete the organization or hand it over. Never given to a token.",
            Self::Admin => {
                "Can do everything in the organization and in your API, except delete or hand over the organization."
            }
            Self::DevOps => {
                "Manages API tokens, clusters, projects and everything in them, and can do everything in your API. No members, roles or billing."
            }
            Self::Billing => "Reads the organization and manages plan and bills. Nothing in your API.",
            Self::Viewer => {
                "Reads everything, also in your API (every permission that ends in :read). Changes nothing."
            }
            Self::Verifier => {
                "Asks Tokenward whether a presented token is valid, and nothing else. For gateways and services."
            }
        }
    }
}

impl Role {
    /// What the role can do, in one sentence for people.
    #[must_use]
    pub fn meaning(&self) -> String {
        if let RoleKind::BuiltIn(role) = self.kind {
            return role.meaning().to_owned();
        }
        let count = |n: usize, thing: &str| match n {
            0 => format!("no {thing}"),
            1 => format!("1 {thing}"),
            n => format!("{n} {thing}s"),
        };
        let named = match self.named_permissions() {
            list if list.is_empty() => "no permission of your API".to_owned(),
            list => list.join(", "),
        };
        let matrix = self.matrix();
        format!(
            "Custom role: sees {}, does more than read on {}, and holds {named}.",
            count(matrix.projects.len(), "project"),
            count(matrix.clusters.len(), "cluster"),
        )
    }

    /// What the role can do with the organization as a whole, from its permissions, a line a matter: what it may change,
    /// or else what it sees. Empty when it has little to do with people's work.
    #[must_use]
    pub fn points(&self) -> Vec<&'static str> {
        use Management::*;
        let holds =
            |all: &[Management]| all.iter().all(|own| self.allows(Permission::Management(*own), Target::Organization));
        let reads = self.allows(Permission::Api { noun: "anything", verb: "read" }, Target::Organization);
        let writes = self.allows(Permission::Api { noun: "anything", verb: "write" }, Target::Organization);
        let lines = [
            (reads && writes, "Your API: everything"),
            (reads && !writes, "Your API: whatever ends in :read"),
            (
                holds(&[TokenManage, MemberManage, RoleManage, OrganizationEdit]),
                "API tokens, members, roles and settings",
            ),
            (holds(&[TokenManage]) && !holds(&[MemberManage]), "Create and delete API tokens"),
            (
                holds(&[ClusterManage, ProjectManage, EnvironmentManage, VariableManage]),
                "Clusters, projects, environments and variables",
            ),
            (
                holds(&[TokenRead, MemberRead, RoleRead, ProjectRead, ClusterRead]) && !holds(&[TokenManage]),
                "Sees tokens, members, roles, projects and clusters",
            ),
        ];
        lines.into_iter().filter(|(holds, _)| *holds).map(|(_, line)| line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Uuid;

    #[test]
    fn the_points_of_a_built_in_role_follow_from_its_permissions() {
        let points = |role| Role::built_in(Uuid::nil(), role).points();
        let resources = "Clusters, projects, environments and variables";
        let all = ["Your API: everything", "API tokens, members, roles and settings", resources];
        assert_eq!([points(BuiltIn::Owner), points(BuiltIn::Admin)], [all, all]);
        assert_eq!(points(BuiltIn::DevOps), ["Your API: everything", "Create and delete API tokens", resources]);
        let sees = ["Your API: whatever ends in :read", "Sees tokens, members, roles, projects and clusters"];
        assert_eq!(points(BuiltIn::Viewer), sees);
        assert!(points(BuiltIn::Billing).is_empty() && points(BuiltIn::Verifier).is_empty());
    }
}
