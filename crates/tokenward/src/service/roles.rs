//! Roles: which ones there are, and what they mean.

use std::sync::Arc;

use tokenward_core::Result;
use tokenward_core::caller::Grant;
use tokenward_core::role::{Role, RoleKind};

use super::App;

/// The roles that can be given to a token or a member: all but owner, the built-in ones first.
pub fn available(app: &Arc<App>, grant: &Grant) -> Result<Vec<Arc<Role>>> {
    let directory = app.verifier.directory();
    let organization = directory.organization(grant.organization());
    let roles = organization.into_iter().flat_map(|organization| organization.roles());
    Ok(roles.filter(|role| !role.is_owner()).cloned().collect())
}

/// What a role can do, in a sentence for people.
#[must_use]
pub fn meaning(role: &Role) -> String {
    match role.kind {
        RoleKind::BuiltIn(built_in) => built_in.meaning().to_owned(),
        RoleKind::Custom => {
            let matrix = role.matrix();
            let count = |n: usize, thing: &str| format!("{n} {thing}{}", if n == 1 { "" } else { "s" });
            format!(
                "Custom role: access to {} and more than reading on {}. Holds {}.",
                count(matrix.projects.len(), "project"),
                count(matrix.clusters.len(), "cluster"),
                role.permissions().join(", ")
            )
        }
    }
}
