//! The permissions of its role that a token is narrowed to: read as they were sent, and within the role.

use tokenward_core::error::Faults;
use tokenward_core::role::Role;
use tokenward_core::role::Scope;
use tokenward_core::token::Token;
use tokenward_core::{Error, Result};

use crate::limits::TOKEN_PERMISSIONS;

/// The field of bodies and forms.
pub const FIELD: &str = "permissions";

/// Reads permissions, each once and in order. `field` names the one at a place.
pub fn read(sent: &[String], field: impl Fn(usize) -> String, faults: &mut Faults) -> Vec<String> {
    if let Err(problem) = TOKEN_PERMISSIONS.check_list(sent) {
        faults.push(FIELD, problem);
        return Vec::new();
    }
    match Scope::parse(sent) {
        Ok(scope) => scope.list(),
        Err((at, problem)) => {
            faults.push(field(at), problem);
            Vec::new()
        }
    }
}

/// A token is narrowed to permissions that its role holds. One whose role has lost some since keeps the others.
pub(super) fn within(permissions: &[String], role: &Role) -> Result<()> {
    let scope = Scope::parse(permissions).map_err(|(_, problem)| Error::invalid(FIELD, problem))?;
    let Some(missing) = scope.beyond(role) else { return Ok(()) };
    let problem = format!(
        "has `{missing}`, which the role `{}` does not hold: a token is narrowed to permissions of its role",
        role.name
    );
    Err(Error::invalid(FIELD, problem))
}

/// May a token do more than before, with the same role?
pub(super) fn admits_more(new: &Token, old: &Token) -> bool {
    let held = |it: &String| old.permissions.contains(it);
    !old.permissions.is_empty() && (new.permissions.is_empty() || !new.permissions.iter().all(held))
}
