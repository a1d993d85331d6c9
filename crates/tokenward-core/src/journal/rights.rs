//! What is noted of rights that were made smaller, and what is left by that of an older state: of a role, and of a token.
//!
//! A state that takes much room is noted by a digest. It tells that an older state is another one, and not what was taken away of
//! it: then nothing of it is left.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::role::{ClusterLevel, EnvironmentLevel, Matrix, ProjectAccess, Role};
use crate::time::Time;

/// So many bytes of a role are noted; of a larger one a digest.
const ROLE_BYTES: usize = 32 << 10;
/// The same of what binds a token: many may be changed at once.
const TOKEN_BYTES: usize = 4 << 10;

/// What a custom role allowed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleRights {
    /// These, besides what every custom role has.
    Those {
        /// What it named.
        permissions: Vec<String>,
        /// Clusters above the lowest level.
        clusters: Vec<(Uuid, ClusterLevel)>,
        /// Projects that it saw.
        projects: Vec<(Uuid, ProjectAccess)>,
    },
    /// More than is noted; this tells it from anything else.
    Digest(String),
}

impl RoleRights {
    /// Those of a custom role.
    #[must_use]
    pub fn of(role: &Role) -> Self {
        let text = text_of(role);
        if text.len() > ROLE_BYTES {
            return Self::Digest(digest_of(&text));
        }
        let matrix = role.matrix();
        Self::Those {
            permissions: role.named_permissions(),
            clusters: matrix.clusters.iter().map(|(id, level)| (*id, *level)).collect(),
            projects: matrix.projects.iter().map(|(id, access)| (*id, *access)).collect(),
        }
    }

    /// A role with these rights; `None` where it is not known which they are.
    #[must_use]
    pub fn role(&self, id: Uuid, name: &str) -> Option<Role> {
        let Self::Those { permissions, clusters, projects } = self else { return None };
        let matrix =
            Matrix { clusters: clusters.iter().copied().collect(), projects: projects.iter().copied().collect() };
        Role::custom(id, name, permissions, matrix).ok()
    }

    /// What is left of an older state of the role; `None` where that allows nothing beyond these.
    #[must_use]
    pub fn left_of(&self, older: &Role) -> Option<Role> {
        if let Self::Digest(digest) = self
            && *digest == digest_of(&text_of(older))
        {
            return None;
        }
        let left = older.within(self.role(older.id, &older.name).as_ref());
        older.beyond(&left).is_some().then_some(left)
    }
}

/// All that a custom role allows, in one way to be written.
fn text_of(role: &Role) -> String {
    let matrix = role.matrix();
    let clusters = matrix.clusters.iter().map(|(id, level)| format!("{id} {level}"));
    let projects = matrix.projects.iter().map(|(id, access)| {
        let levels = access.levels.map(EnvironmentLevel::as_str).join(",");
        format!("{id} {} {levels}", access.is_admin)
    });
    role.named_permissions().into_iter().chain(clusters).chain(projects).collect::<Vec<_>>().join("\n")
}

fn digest_of(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// What a token was bound to, as its row kept it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct TokenBounds {
    /// The role it acted as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Uuid>,
    /// From when on it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// From when on it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Which version of its policy was asked, where it is a policy token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Time>,
    /// From which networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<String>,
    /// To which permissions and places it was narrowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// How fast and how much it could be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<String>,
    /// In which minutes it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brownout: Option<String>,
    /// In the place of the last four, where they take much room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl TokenBounds {
    /// It, as it is noted.
    #[must_use]
    pub fn noted(self) -> Self {
        if self.texts().into_iter().flatten().map(String::len).sum::<usize>() <= TOKEN_BYTES {
            return self;
        }
        let digest = Some(self.digest_of_texts());
        Self { networks: None, permissions: None, allowance: None, brownout: None, digest, ..self }
    }

    /// What tells these texts from any others.
    #[must_use]
    pub fn digest_of_texts(&self) -> String {
        let lines = self.texts().map(|text| text.map_or("-", String::as_str));
        digest_of(&lines.join("\n"))
    }

    fn texts(&self) -> [Option<&String>; 4] {
        [self.networks.as_ref(), self.permissions.as_ref(), self.allowance.as_ref(), self.brownout.as_ref()]
    }
}

/// What the routes of an API were.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiRules {
    /// Which version of them it was.
    pub version: Time,
    /// All of it; `None` where that takes much room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ApiContent>,
}

/// The same, as its row kept it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The fields are those of the row.
pub struct ApiContent {
    pub unknown_route: String,
    pub allow_paths: String,
    pub routes: String,
    pub route_count: i64,
    pub left_out: i64,
    pub notes: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: Uuid = Uuid::from_u128(1);
    const LAB: Uuid = Uuid::from_u128(2);

    fn role(permissions: &[&str], shop: ProjectAccess, lab: ClusterLevel) -> Role {
        let mut matrix = Matrix::default();
        if shop != ProjectAccess::NONE {
            matrix.projects.insert(SHOP, shop);
        }
        if lab != ClusterLevel::Viewer {
            matrix.clusters.insert(LAB, lab);
        }
        Role::custom(Uuid::from_u128(9), "own", permissions, matrix).unwrap()
    }

    fn deploys() -> ProjectAccess {
        ProjectAccess { is_admin: false, levels: [EnvironmentLevel::Deployer; 4] }
    }

    #[test]
    fn what_was_taken_from_a_role_is_not_left_and_nothing_is_given() {
        let older = role(&["*:read", "orders:write", "event:read"], ProjectAccess::ADMIN, ClusterLevel::Admin);
        let since = role(&["invoices:*", "orders:write", "token:verify"], deploys(), ClusterLevel::EnvCreator);
        let left = RoleRights::of(&since).left_of(&older).unwrap();
        assert_eq!(left.named_permissions(), ["invoices:read", "orders:write"]);
        assert_eq!((left.project_access(SHOP), left.cluster_level(LAB)), (deploys(), Some(ClusterLevel::EnvCreator)));
        assert!(left.beyond(&older).is_none() && left.beyond(&since).is_none());
        assert_eq!(RoleRights::of(&since).left_of(&left), None, "once is enough");
        assert_eq!(RoleRights::of(&older).left_of(&older), None);
    }

    #[test]
    fn what_was_given_to_a_role_is_not_given_again() {
        let older = role(&["invoices:read"], ProjectAccess::NONE, ClusterLevel::Viewer);
        let since = role(&["*"], ProjectAccess::ADMIN, ClusterLevel::Admin);
        assert_eq!(RoleRights::of(&since).left_of(&older), None);
    }

    #[test]
    fn of_a_role_that_is_too_large_to_be_noted_nothing_is_left_where_it_is_another_one() {
        let many = |more: u128| {
            let mut matrix = Matrix::default();
            matrix.projects.extend((0..2_000 + more).map(|n| (Uuid::from_u128(n), deploys())));
            Role::custom(Uuid::from_u128(9), "own", &["invoices:read"], matrix).unwrap()
        };
        let noted = RoleRights::of(&many(0));
        assert!(matches!(noted, RoleRights::Digest(_)));
        assert_eq!(noted.left_of(&many(0)), None, "it is the same one");
        let left = noted.left_of(&many(1)).unwrap();
        assert!(left.named_permissions().is_empty() && *left.matrix() == Matrix::default());
        assert_eq!(noted.left_of(&left), None, "once is enough");
    }

    #[test]
    fn long_texts_of_a_token_are_noted_by_a_digest() {
        let short = TokenBounds { networks: Some("[]".to_owned()), ..TokenBounds::default() };
        assert_eq!(short.clone().noted(), short);
        let long = TokenBounds { networks: Some("x".repeat(5_000)), role: Some(SHOP), ..TokenBounds::default() };
        let noted = long.clone().noted();
        assert_eq!((noted.networks, noted.role, noted.digest), (None, Some(SHOP), Some(long.digest_of_texts())));
        assert_ne!(long.digest_of_texts(), short.digest_of_texts());
    }
}
