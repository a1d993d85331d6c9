//! The roles that a form offers, with what each can do.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::role::{Role, RoleKind};
use tokenward_core::{Result, Uuid};

use super::form::Problems;
use super::person::SignedIn;
use super::view::{RoleChoice, RoleChoices};
use super::words::{points, role_name};
use crate::heavy;
use crate::service::roles;

/// The roles that a form offers to somebody with this right.
pub(super) async fn role_choices(
    person: &SignedIn,
    grant: &Grant,
    chosen: &str,
    problems: &mut Problems,
) -> Result<RoleChoices> {
    let described: HashMap<Uuid, String> =
        roles::brief(&person.app, grant).await?.into_iter().map(|(id, _, description)| (id, description)).collect();
    let (app, own) = (Arc::clone(&person.app), grant.clone());
    let offered = heavy::run(grant.organization(), move || roles::available(&app, &own)).await??;
    let directory = Arc::clone(&*person.app.verifier.directory());
    let grant = grant.clone();
    // As many roles as an organization may have, each compared with the own one.
    let (built_in, custom) = heavy::run(grant.organization(), move || {
        let organization = directory.organization(grant.organization());
        let description = |role: &Role| described.get(&role.id).cloned().filter(|text| !text.is_empty());
        let choice = |role: &Arc<Role>| RoleChoice {
            id: role.id.to_string(),
            name: role_name(role),
            meaning: description(role).unwrap_or_else(|| role.meaning()),
            points: organization.map(|organization| points(organization, role)).unwrap_or_default(),
            refused: role
                .beyond(grant.role())
                .map(|missing| format!("More than you can do yourself: it holds {missing}.")),
        };
        let (built_in, custom): (Vec<_>, Vec<_>) =
            offered.iter().partition(|role| matches!(role.kind, RoleKind::BuiltIn(_)));
        let choices = |roles: Vec<&Arc<Role>>| roles.into_iter().map(choice).collect::<Vec<_>>();
        (choices(built_in), choices(custom))
    })
    .await?;
    Ok(RoleChoices { chosen: chosen.to_owned(), error: problems.take("role_id"), built_in, custom })
}
