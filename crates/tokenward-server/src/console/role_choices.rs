//! The roles that a form offers, with what each can do.

use tokenward_core::Result;
use tokenward_core::caller::Grant;
use tokenward_core::role::{Role, RoleKind};

use super::form::Problems;
use super::person::Person;
use super::view::{RoleChoice, RoleChoices};
use super::words::{points, role_name};
use crate::service::roles::{self, CustomRole};

/// The roles that a form offers to somebody with this right.
pub(super) async fn role_choices(
    person: &Person,
    grant: &Grant,
    chosen: &str,
    problems: &mut Problems,
) -> Result<RoleChoices> {
    let custom = roles::list(&person.app, grant).await?;
    let directory = person.app.verifier.directory();
    let organization = directory.organization(grant.organization());
    let description = |role: &Role| {
        let found = custom.iter().find(|custom| custom.role.id == role.id);
        found.map(|CustomRole { description, .. }| description.description.clone()).filter(|text| !text.is_empty())
    };
    let mut choices =
        RoleChoices { chosen: chosen.to_owned(), error: problems.take("role_id"), ..RoleChoices::default() };
    for role in roles::available(&person.app, grant)? {
        let choice = RoleChoice {
            id: role.id.to_string(),
            name: role_name(&role),
            meaning: description(&role).unwrap_or_else(|| role.meaning()),
            points: organization.map(|organization| points(organization, &role)).unwrap_or_default(),
            refused: role
                .beyond(grant.role())
                .map(|missing| format!("More than you can do yourself: it holds {missing}.")),
        };
        match role.kind {
            RoleKind::BuiltIn(_) => choices.built_in.push(choice),
            RoleKind::Custom => choices.custom.push(choice),
        }
    }
    Ok(choices)
}
