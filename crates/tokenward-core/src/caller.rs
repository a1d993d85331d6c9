//! Who calls, and what that gives a right to.
//!
//! A [`Caller`] is known; a [`Grant`] may. Only [`Caller::require`] makes grants, and it asks
//! [`decide`]. Functions that read or write an organization's data take the grant:
//! it carries the organization, so that a query cannot forget its tenant.

use std::sync::Arc;

use uuid::Uuid;

use crate::decision::{Ask, Credential, Facts, Standing, Subject, decide};
use crate::directory::{Directory, Organization};
use crate::error::{Code, Error, Result};
use crate::event::{Actor, By};
use crate::permission::{Own, Permission};
use crate::role::{BuiltIn, Role, Target};
use crate::time::Time;

/// Somebody whose credential was accepted.
#[derive(Clone, Debug)]
pub struct Caller {
    credential: Credential,
    /// For a token: its organization and role, as they were when it was accepted.
    token: Option<(Uuid, Uuid)>,
    by: Arc<By>,
}

/// The right of a caller to do one thing in one organization.
#[derive(Clone, Debug)]
pub struct Grant {
    organization: Uuid,
    permission: Own,
    role: Arc<Role>,
    by: Arc<By>,
}

impl Caller {
    /// A caller with a token of `organization` that acts as `role`.
    #[must_use]
    pub fn token(credential: Credential, organization: Uuid, role: Uuid, by: By) -> Self {
        Self { credential, token: Some((organization, role)), by: Arc::new(by) }
    }

    /// A signed-in user.
    #[must_use]
    pub fn user(credential: Credential, by: By) -> Self {
        Self { credential, token: None, by: Arc::new(by) }
    }

    /// Who it is and from where.
    #[must_use]
    pub fn by(&self) -> &Arc<By> {
        &self.by
    }

    /// The token's id, or the session's.
    #[must_use]
    pub fn credential_id(&self) -> Uuid {
        self.credential.id
    }

    /// When the credential ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<Time> {
        self.credential.expires_at
    }

    /// The signed-in user; a token is refused with `user_required`.
    pub fn require_user(&self) -> Result<Uuid> {
        match (self.credential.subject, &self.by.actor) {
            (Subject::User(id), Actor::User { .. }) => Ok(id),
            _ => Err(Error::new(Code::UserRequired, "Only a signed-in user may do this, not an API token.")),
        }
    }

    /// The organization of the token; `None` for a user, who can belong to several.
    #[must_use]
    pub fn token_organization(&self) -> Option<Uuid> {
        self.token.map(|(organization, _)| organization)
    }

    /// The caller's role in an organization; `None` where the caller does not belong to it.
    #[must_use]
    pub fn role_in<'a>(&self, organization: &'a Organization) -> Option<&'a Arc<Role>> {
        match (self.credential.subject, self.token) {
            (Subject::Token, Some((own, role))) if own == organization.id => organization.role(role),
            (Subject::User(user), None) => organization.role_of(user),
            _ => None,
        }
    }

    /// All organizations that the caller belongs to.
    pub fn organizations<'a>(&'a self, directory: &'a Directory) -> impl Iterator<Item = &'a Organization> {
        directory.organizations().filter(|organization| self.role_in(organization).is_some())
    }

    /// The organization, if the caller may know of it. Otherwise 404, as for one that does not exist.
    pub fn organization<'a>(&self, directory: &'a Directory, id: Uuid) -> Result<(&'a Organization, &'a Arc<Role>)> {
        directory
            .organization(id)
            .and_then(|organization| Some((organization, self.role_in(organization)?)))
            .ok_or_else(|| Error::not_found("organization"))
    }

    /// The right to do `permission` with `target` in an organization.
    ///
    /// 404 when the caller does not belong to the organization or cannot see the target, 403 with the missing
    /// permission when it can, 401 when the credential has ended meanwhile.
    pub fn require(
        &self,
        directory: &Directory,
        organization: Uuid,
        permission: Own,
        target: Target,
        now: Time,
    ) -> Result<Grant> {
        let (organization, role) = self.organization(directory, organization)?;
        let facts = Facts { credential: Some(self.credential), standing: Standing::Role(role), target };
        let may = |own| decide(&facts, Ask::Permission(Permission::Own(own)), now);
        if let Some((read, what)) = visibility(target)
            && !may(read).is_allow()
        {
            return Err(Error::not_found(what));
        }
        may(permission).require()?;
        Ok(Grant { organization: organization.id, permission, role: Arc::clone(role), by: Arc::clone(&self.by) })
    }
}

/// What it takes to see a target, and what to call it when it is not seen.
fn visibility(target: Target) -> Option<(Own, &'static str)> {
    match target {
        Target::Organization => None,
        Target::Project(_) => Some((Own::ProjectRead, "project")),
        Target::Environment { .. } => Some((Own::EnvironmentRead, "environment")),
        Target::Cluster(_) => Some((Own::ClusterRead, "cluster")),
        Target::Absent => Some((Own::OrganizationRead, "resource")),
    }
}

impl Grant {
    /// The right of the operator, who holds the machine and with it the database: for the offline commands.
    #[must_use]
    pub fn operator(organization: Uuid, permission: Own) -> Self {
        let role = Arc::new(Role::built_in(Uuid::nil(), BuiltIn::Owner));
        Self { organization, permission, role, by: Arc::new(By::operator()) }
    }

    /// The right of whoever holds a token's text to take that token back (RFC 7009 §2.1): holding it is the right,
    /// whatever its role may do. `by` is the token itself.
    #[must_use]
    pub fn of_bearer(organization: Uuid, role: Role, by: By) -> Self {
        Self { organization, permission: Own::TokenManage, role: Arc::new(role), by: Arc::new(by) }
    }

    /// The organization that the right is in.
    #[must_use]
    pub fn organization(&self) -> Uuid {
        self.organization
    }

    /// The permission that was asked for.
    #[must_use]
    pub fn permission(&self) -> Own {
        self.permission
    }

    /// The caller's role, for lists that show only what the caller sees.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Who acts.
    #[must_use]
    pub fn by(&self) -> &By {
        &self.by
    }

    /// Nobody hands out more than they have: an error that names what `role` may do and the caller may not.
    pub fn covers(&self, role: &Role) -> Result<()> {
        match role.beyond(&self.role) {
            None => Ok(()),
            Some(missing) => {
                let detail = format!(
                    "The role `{}` may do more than you may: it holds `{missing}`. Nobody can hand out more than they have.",
                    role.name
                );
                Err(Error { detail, ..Error::permission_denied(missing) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;
    use crate::token::State;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn by() -> By {
        By {
            actor: Actor::User { id: id(7), email: "a@b.c".into() },
            origin: Origin::Api,
            address: None,
            user_agent: None,
        }
    }

    fn credential(subject: Subject) -> Credential {
        Credential { id: id(5), subject, state: State::Active, not_before: None, expires_at: Some(Time(100)) }
    }

    /// Two organizations; the user is viewer of the first, the token is devops of the first.
    fn world() -> (Directory, Caller, Caller) {
        let mut directory = Directory::default();
        for organization in [id(1), id(2)] {
            directory.put_organization(organization, "o");
            for (n, role) in BuiltIn::ALL.into_iter().enumerate() {
                directory.put_role(organization, Role::built_in(id(10 + n as u128), role));
            }
        }
        directory.set_members(id(1), [(id(7), id(14))].into());
        let user = Caller::user(credential(Subject::User(id(7))), by());
        let token = Caller::token(credential(Subject::Token), id(1), id(12), by());
        (directory, user, token)
    }

    #[test]
    fn a_foreign_organization_is_not_found() {
        let (directory, user, token) = world();
        for caller in [user, token] {
            for organization in [id(2), id(3)] {
                let error =
                    caller.require(&directory, organization, Own::OrganizationRead, Target::Organization, Time(1));
                assert_eq!(error.map(|_| ()).map_err(|e| e.code), Err(Code::NotFound));
            }
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let (directory, user, token) = world();
        let error = user.require(&directory, id(1), Own::TokenManage, Target::Organization, Time(1)).map(|_| ());
        assert_eq!(error.map_err(|e| e.missing_permission), Err(Some("token:manage".to_owned())));
        assert!(token.require(&directory, id(1), Own::TokenManage, Target::Organization, Time(1)).is_ok());
        assert!(token.require(&directory, id(1), Own::TokenManage, Target::Organization, Time(100)).is_err());
    }

    #[test]
    fn nobody_hands_out_more_than_they_have() {
        let (directory, _, token) = world();
        let grant = token.require(&directory, id(1), Own::TokenManage, Target::Organization, Time(1));
        let grant = grant.unwrap_or_else(|e| panic!("{e}"));
        assert!(grant.covers(&Role::built_in(id(0), BuiltIn::Viewer)).is_ok());
        let error = grant.covers(&Role::built_in(id(0), BuiltIn::Admin));
        assert_eq!(error.map_err(|e| e.missing_permission), Err(Some("organization:edit".to_owned())));
    }

    #[test]
    fn a_token_is_no_user() {
        let (_, user, token) = world();
        assert_eq!(user.require_user().ok(), Some(id(7)));
        assert_eq!(token.require_user().map_err(|e| e.code), Err(Code::UserRequired));
    }
}
