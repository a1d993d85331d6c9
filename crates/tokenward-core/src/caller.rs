//! Who calls, and what that gives a right to.
//!
//! A [`Caller`] is known; a [`Grant`] may. [`Caller::require`] makes grants (but for the operator's, and a bearer's to
//! revoke the own token), and it asks
//! [`decide`]. Functions that read or write an organization's data take the grant:
//! it carries the organization, so that a query cannot forget its tenant, and the permission, so that one that was
//! asked for something else opens nothing. A write asks again before it uses one: [`crate::right`].

use std::sync::Arc;

use uuid::Uuid;

use crate::decision::{Ask, Credential, Decision, Facts, PolicyOutcome, Standing, Subject, decide};
use crate::directory::{Directory, Organization, Resource};
use crate::error::{Code, Error, Result};
use crate::event::{Actor, By};
use crate::meter::Metered;
use crate::method::Method;
use crate::permission::{Management, Permission};
use crate::reach::Reach;
use crate::reason::Reason;
use crate::right::{Basis, Operator, RestsOn, Right, sealed};
use crate::role::{BuiltIn, Role, Target};
use crate::sign_in::{SessionProof, Shortfall, shortfall};
use crate::time::{Micros, Time};

/// After everything that is asked from some moment on.
const NEVER_SAID: Time = Time(i64::MAX);

/// Somebody whose credential was accepted.
#[derive(Clone, Debug)]
pub struct Caller {
    credential: Credential,
    /// For a token: its organization and role, as they were when it was accepted.
    token: Option<(Uuid, Uuid)>,
    /// What is left of that role to a token which is narrowed.
    narrowed: Option<Arc<Role>>,
    /// What is left of its limits, where it has some.
    metered: Option<Metered>,
    /// When it is refused next, to learn who would miss it.
    brownout: Option<Time>,
    /// Which version of its policy has allowed the request, where it has one.
    policy: Option<Time>,
    /// What a session proves; nothing where it does not say, and for a token.
    proof: Option<Arc<SessionProof>>,
    /// For a user: which organizations the session reaches.
    reach: Reach,
    /// When it was accepted: what an organization asks of sessions is compared as of then. Nobody has forgotten to say so who has all
    /// of it asked.
    accepted_at: Time,
    by: Arc<By>,
}

/// The right of a caller to do one thing in one organization.
#[derive(Clone, Debug)]
pub struct Grant {
    organization: Uuid,
    permission: Management,
    resource: Resource,
    role: Arc<Role>,
    holder: Holder,
    /// Which version of the token's policy has allowed the request, where it has one.
    policy: Option<Time>,
    /// When the person who holds it last typed the password; known once the grant was renewed from the rows.
    proven_at: Option<Time>,
    by: Arc<By>,
}

/// Who holds a grant.
#[derive(Clone, Copy, Debug)]
enum Holder {
    /// The holder of this credential, by the role that it has in the organization.
    Credential(Credential),
    /// Whoever presents this token, to take it back and for nothing else.
    Bearer(Uuid),
    /// Whoever holds the machine.
    Operator,
    /// The organization's rules about who is a member, while somebody signs in.
    Rules,
}

impl sealed::Sealed for Grant {}
impl sealed::Sealed for Person {}

/// A signed-in user who acts on the own account, or founds an organization: no role is asked for.
#[derive(Clone, Debug)]
pub struct Person {
    account: Uuid,
    session: Uuid,
    by: Arc<By>,
}

impl Person {
    /// The account.
    #[must_use]
    pub fn account(&self) -> Uuid {
        self.account
    }

    /// The session in which the user is signed in.
    #[must_use]
    pub fn session(&self) -> Uuid {
        self.session
    }
}

impl Caller {
    /// A caller with a token of `organization` that acts as `role`.
    #[must_use]
    pub fn token(credential: Credential, organization: Uuid, role: Uuid, by: By) -> Self {
        Self {
            credential,
            token: Some((organization, role)),
            narrowed: None,
            metered: None,
            brownout: None,
            policy: None,
            proof: None,
            reach: Reach::default(),
            accepted_at: NEVER_SAID,
            by: Arc::new(by),
        }
    }

    /// The same with a policy, of which this version has allowed the request.
    #[must_use]
    pub fn allowed_by(self, policy: Option<Time>) -> Self {
        Self { policy, ..self }
    }

    /// The same where the token is narrowed to this of its role.
    #[must_use]
    pub fn narrowed_to(self, role: Option<Role>) -> Self {
        Self { narrowed: role.map(Arc::new), ..self }
    }

    /// The same where the token has limits, and this is left of them.
    #[must_use]
    pub fn metered(self, metered: Option<Metered>) -> Self {
        Self { metered, ..self }
    }

    /// What is left of the limits of a token, where it has some.
    #[must_use]
    pub fn limits(&self) -> Option<&Metered> {
        self.metered.as_ref()
    }

    /// The same where a token is refused from this moment on for some minutes.
    #[must_use]
    pub fn refused_next(self, brownout: Option<Time>) -> Self {
        Self { brownout, ..self }
    }

    /// When a token is refused next for some minutes, where that is so.
    #[must_use]
    pub fn brownout(&self) -> Option<Time> {
        self.brownout
    }

    /// A signed-in user.
    #[must_use]
    pub fn user(credential: Credential, by: By) -> Self {
        let reach = Reach::default();
        Self {
            credential,
            token: None,
            narrowed: None,
            metered: None,
            brownout: None,
            policy: None,
            proof: None,
            reach,
            accepted_at: NEVER_SAID,
            by: Arc::new(by),
        }
    }

    /// The same where the credential was accepted at this moment.
    #[must_use]
    pub fn accepted_at(self, accepted_at: Time) -> Self {
        Self { accepted_at, ..self }
    }

    /// The same where the session proves this.
    #[must_use]
    pub fn proven_by(self, proof: Arc<SessionProof>) -> Self {
        Self { proof: Some(proof), ..self }
    }

    /// The same where the session reaches no more than this.
    #[must_use]
    pub fn reaching(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Is it a token with a policy, which has allowed the request?
    #[must_use]
    pub fn has_policy(&self) -> bool {
        self.policy.is_some()
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

    /// The signed-in user, whose session is not for one organization alone: what is about the account is about all of them.
    pub fn require_whole(&self) -> Result<Uuid> {
        let user = self.require_user()?;
        match self.reach.only {
            None => Ok(user),
            Some(_) => Err(Error::new(
                Code::UserRequired,
                "This session is for one organization alone. Sign in for all of yours to do this.",
            )),
        }
    }

    /// The signed-in user with the right to the own account; a token is refused with `user_required`, and so is a session that is
    /// for one organization alone.
    pub fn person(&self) -> Result<Person> {
        self.require_whole()?;
        self.at_own_session()
    }

    /// The same for what is about this very session, whatever it is for: proving who sits at it, and ending it.
    pub fn at_own_session(&self) -> Result<Person> {
        let account = self.require_user()?;
        Ok(Person { account, session: self.credential.id, by: Arc::clone(&self.by) })
    }

    /// The organization of the token; `None` for a user, who can belong to several.
    #[must_use]
    pub fn token_organization(&self) -> Option<Uuid> {
        self.token.map(|(organization, _)| organization)
    }

    /// The caller's role in an organization; `None` where the caller does not belong to it, or has not proved what it asks.
    #[must_use]
    pub fn role_in<'a>(&'a self, organization: &'a Organization) -> Option<&'a Arc<Role>> {
        self.membership_in(organization).filter(|_| self.lacks_in(organization).is_none())
    }

    /// The caller's role in an organization, whatever that asks of sessions: for the names of those that a person can open.
    #[must_use]
    pub fn membership_in<'a>(&'a self, organization: &'a Organization) -> Option<&'a Arc<Role>> {
        match (self.credential.subject, self.token) {
            (Subject::Token(_), Some((own, role))) if own == organization.id => {
                let role = organization.role(role)?;
                Some(self.narrowed.as_ref().unwrap_or(role))
            }
            (Subject::User(user), None) if self.reach.reaches(organization) => organization.role_of(user),
            _ => None,
        }
    }

    /// From when on the organization refuses this session, where it does not yet: it asks two factors, and the session proves one.
    #[must_use]
    pub fn refused_from(&self, organization: &Organization) -> Option<Time> {
        let strong = |it: &Arc<SessionProof>| it.methods.are_strong() || it.methods.has(&Method::Link);
        match self.credential.subject {
            Subject::User(_) if !self.proof.as_ref().is_some_and(strong) => {
                organization.sign_in().grace_until(self.accepted_at)
            }
            _ => None,
        }
    }

    /// Has the session shown two factors, to us or to a provider whose word counts?
    #[must_use]
    pub fn is_strong(&self) -> bool {
        self.proof.as_ref().is_some_and(|it| it.methods.are_strong())
    }

    /// Did the operator's link begin the session? Then it passes by what organizations ask of sign-ins.
    #[must_use]
    pub fn is_by_link(&self) -> bool {
        self.proof.as_ref().is_some_and(|it| it.methods.has(&Method::Link))
    }

    /// What the organization asks of the session beyond what it proves. A token is not asked.
    fn lacks_in(&self, organization: &Organization) -> Option<Shortfall> {
        match self.credential.subject {
            Subject::User(user) => {
                let none = SessionProof::default();
                let proof = self.proof.as_deref().unwrap_or(&none);
                shortfall(organization.sign_in(), organization.rule_provider(user), proof, self.accepted_at)
            }
            Subject::Token(_) => None,
        }
    }

    /// All organizations that the caller belongs to, and has proved what they ask.
    pub fn organizations<'a>(&'a self, directory: &'a Directory) -> impl Iterator<Item = &'a Organization> {
        directory.organizations().filter(|organization| self.role_in(organization).is_some())
    }

    /// The same with those that ask for more: for the names of them.
    pub fn memberships<'a>(&'a self, directory: &'a Directory) -> impl Iterator<Item = &'a Organization> {
        directory.organizations().filter(|organization| self.membership_in(organization).is_some())
    }

    /// The organization, if the caller may know of it. Otherwise 404, as for one that does not exist; 401 where it asks for more
    /// than the session proves.
    pub fn organization<'a>(&'a self, directory: &'a Directory, id: Uuid) -> Result<(&'a Organization, &'a Arc<Role>)> {
        let found = directory.organization(id).and_then(|it| Some((it, self.membership_in(it)?)));
        let (organization, role) = found.ok_or_else(|| Error::not_found("organization"))?;
        match self.lacks_in(organization) {
            Some(lacking) => Err(lacking.error()),
            None => Ok((organization, role)),
        }
    }

    /// The right to do `permission` with `resource` in an organization; about the organization itself where that names
    /// nothing.
    ///
    /// 404 when the caller does not belong to the organization or cannot see the resource, 403 with the missing
    /// permission when it can, 401 when the credential has ended meanwhile.
    pub fn require(
        &self,
        directory: &Directory,
        organization: Uuid,
        permission: Management,
        resource: Resource,
        now: Time,
    ) -> Result<Grant> {
        let (organization, role) = self.organization(directory, organization)?;
        // From where it comes, and its policy, was asked when it was accepted.
        let facts = Facts {
            credential: Some(self.credential),
            standing: Standing::Role(role),
            target: organization.target(&resource),
            outside: false,
            policy: PolicyOutcome::NoPolicy,
        };
        // Who has only the organization's own API may be anybody's customer, to whom nothing is told of the console.
        let told = self.token.is_none() || role.holds_more_of_ours_than(Management::OrganizationRead);
        judge(&facts, role, permission, now)
            .map_err(|error| if told { error.lacking_in(organization.id) } else { error })?;
        Ok(Grant {
            organization: organization.id,
            permission,
            resource,
            role: Arc::clone(role),
            holder: Holder::Credential(self.credential),
            policy: self.policy,
            proven_at: None,
            by: Arc::clone(&self.by),
        })
    }
}

/// May the holder of a credential that acts as `role` do `permission` with `target`? Asked by [`Caller::require`], and
/// again when the grant is used.
fn judge(facts: &Facts<'_>, role: &Role, permission: Management, now: Time) -> Result<()> {
    let target = facts.target;
    let decision = |own| decide(facts, Ask::Permission(Permission::Management(own)), now);
    if let Some((read, what)) = visibility(target)
        && matches!(decision(read), Decision::Deny { reason: Reason::PermissionDenied | Reason::ScopeDenied, .. })
    {
        return Err(Error::not_found(what));
    }
    match (permission, target) {
        // Asked of a project, it is about an environment to be made: held where that is possible in at least one mode.
        // In which one and on which cluster, the request says later.
        (Management::EnvironmentManage, Target::Project(project)) if role.manages_environments(project) => {
            decision(Management::ProjectRead).require()
        }
        _ => decision(permission).require(),
    }
}

/// The credential, if it still counts for itself, whatever it may do.
fn alive(basis: &Basis, now: Time) -> Result<Credential> {
    let Basis { credential, outside, policy, .. } = *basis;
    let facts = Facts { credential, standing: Standing::Bare, target: Target::Organization, outside, policy };
    decide(&facts, Ask::Identity, now).require()?;
    credential.ok_or_else(|| Error::denied(Reason::Unknown))
}

/// What it takes to see a target, and what to call it when it is not seen.
fn visibility(target: Target) -> Option<(Management, &'static str)> {
    match target {
        Target::Organization => None,
        Target::Project(_) => Some((Management::ProjectRead, "project")),
        Target::Environment { .. } => Some((Management::EnvironmentRead, "environment")),
        Target::Cluster(_) => Some((Management::ClusterRead, "cluster")),
        Target::Absent => Some((Management::OrganizationRead, "resource")),
    }
}

impl Grant {
    /// The right of the operator, who holds the machine and with it the database.
    #[must_use]
    pub fn operator(operator: &Operator, organization: Uuid, permission: Management) -> Self {
        let role = Arc::new(Role::built_in(Uuid::nil(), BuiltIn::Owner));
        let by = Arc::new(operator.by().clone());
        Self {
            organization,
            permission,
            resource: Resource::default(),
            role,
            holder: Holder::Operator,
            policy: None,
            proven_at: None,
            by,
        }
    }

    /// The right of an organization's rules, which members who manage members wrote, while `by` signs in: to make memberships
    /// and to end those that they made.
    #[must_use]
    pub fn of_rules(organization: Uuid, by: By) -> Self {
        Self {
            organization,
            permission: Management::MemberManage,
            resource: Resource::default(),
            role: Arc::new(Role::built_in(Uuid::nil(), BuiltIn::Admin)),
            holder: Holder::Rules,
            policy: None,
            proven_at: None,
            by: Arc::new(by),
        }
    }

    /// The right of whoever holds a token's text to take that token back (RFC 7009 §2.1), whatever its role may do: to
    /// revoke `token`, which `by` names, and nothing else.
    #[must_use]
    pub fn of_bearer(organization: Uuid, token: Uuid, role: Arc<Role>, by: By) -> Self {
        Self {
            organization,
            permission: Management::TokenManage,
            resource: Resource::default(),
            role,
            holder: Holder::Bearer(token),
            policy: None,
            proven_at: None,
            by: Arc::new(by),
        }
    }

    /// Is this the right to do `permission`? A function that writes asks, so that a grant for something else that
    /// reaches it by mistake changes nothing: a fault of ours, never of the caller.
    pub fn permits(&self, permission: Management) -> Result<()> {
        match self.holder {
            Holder::Credential(_) | Holder::Operator | Holder::Rules if self.permission == permission => Ok(()),
            _ => Err(Error::internal(format!("a grant for {} was used for {permission}", self.permission))),
        }
    }

    /// Does the role hold this in the whole organization as well? For what is done besides what the right is about.
    pub fn require_also(&self, permission: Management) -> Result<()> {
        self.require_that(permission, |role| role.allows(Permission::Management(permission), Target::Organization))
    }

    /// Does `holds` say of the role that it has this? Where it says so of all of the role alone, the token is narrowed away from it.
    pub fn require_that(&self, permission: Management, holds: impl Fn(&Role) -> bool) -> Result<()> {
        if holds(&self.role) {
            return Ok(());
        }
        let narrowed = self.role.whole().is_some_and(holds);
        let reason = if narrowed { Reason::ScopeDenied } else { Reason::PermissionDenied };
        Err(Error::lacks(reason, permission.as_str()))
    }

    /// [`permits`](Self::permits) taking back `token`: as whoever manages tokens, or as its bearer.
    pub fn permits_revoking(&self, token: Uuid) -> Result<()> {
        match self.holder {
            Holder::Bearer(own) if own == token => Ok(()),
            _ => self.permits(Management::TokenManage),
        }
    }

    /// Is holding the text of this token the right?
    #[must_use]
    pub fn is_of_bearer(&self, token: Uuid) -> bool {
        matches!(self.holder, Holder::Bearer(own) if own == token)
    }

    /// [`permits`](Self::permits) giving `token` a new secret: as whoever manages tokens, or as that token.
    pub fn permits_rotating(&self, token: Uuid) -> Result<()> {
        if self.permission == Management::TokenRotateSelf && self.token().is_some_and(|(own, _)| own == token) {
            return Ok(());
        }
        self.permits(Management::TokenManage)
    }

    /// The token that holds it, and which of its secrets was presented; `None` when it is not a token's.
    #[must_use]
    pub fn token(&self) -> Option<(Uuid, u16)> {
        match self.holder {
            Holder::Credential(Credential { id, subject: Subject::Token(version), .. }) => Some((id, version)),
            _ => None,
        }
    }

    /// The account and the session of the person who holds it; `None` when it is no person's.
    #[must_use]
    pub fn session(&self) -> Option<(Uuid, Uuid)> {
        match self.holder {
            Holder::Credential(Credential { id, subject: Subject::User(account), .. }) => Some((account, id)),
            _ => None,
        }
    }

    /// The organization that the right is in.
    #[must_use]
    pub fn organization(&self) -> Uuid {
        self.organization
    }

    /// The permission that was asked for.
    #[must_use]
    pub fn permission(&self) -> Management {
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

    /// Was the password typed within this time? Asked of people, before what outlives their session or takes much with it:
    /// somebody else may sit at their open session. A token is no person and cannot be asked; its role is all there is to
    /// ask of it, and the operator holds the machine. A write asks it of the grant that it was given.
    pub fn require_proof(&self, within: Micros, now: Time) -> Result<()> {
        let Holder::Credential(Credential { subject: Subject::User(_), .. }) = self.holder else { return Ok(()) };
        if self.proven_at.is_some_and(|at| now.0.saturating_sub(at.0) < within) {
            return Ok(());
        }
        Err(Error::proof_required(within))
    }

    /// Nobody hands out more than they have: an error that names what `role` may do and the caller may not.
    ///
    /// What a policy bounds cannot be compared with what another credential may do: with one, nothing is handed out.
    pub fn covers(&self, role: &Role) -> Result<()> {
        if self.policy.is_some() {
            let detail = "A token with a policy cannot hand out rights: nothing would bound them as its policy bounds it. Use \
                          an API token, or sign in.";
            return Err(Error { detail: detail.into(), ..Error::denied(Reason::PermissionDenied) });
        }
        if role.is_elsewhere(&self.role) {
            let detail = "You are narrowed to some projects and environments. What you hand out must be a token that is narrowed to \
                          some of these (`projects`, `environments`).";
            return Err(Error { detail: detail.into(), ..Error::denied(Reason::ScopeDenied) });
        }
        match role.beyond(&self.role) {
            None => Ok(()),
            Some(missing) => {
                let detail = format!(
                    "The role `{}` may do more than you may: it holds `{missing}`. Nobody can hand out more than they have.",
                    role.name
                );
                Err(Error { detail: detail.into(), ..Error::permission_denied(missing) })
            }
        }
    }
}

impl Right for Person {
    fn by(&self) -> &By {
        &self.by
    }

    fn rests_on(&self) -> Option<RestsOn> {
        let (credential, subject) = (self.session, Subject::User(self.account));
        let (organization, resource, address) = (None, Resource::default(), self.by.address);
        Some(RestsOn { credential, subject, organization, resource, address, policy: None })
    }

    fn renewed(&self, basis: Basis, now: Time) -> Result<Self> {
        alive(&basis, now)?;
        Ok(self.clone())
    }
}

impl Right for Grant {
    fn by(&self) -> &By {
        &self.by
    }

    /// `None` for the operator and for a bearer, whose right is the text itself.
    fn rests_on(&self) -> Option<RestsOn> {
        match self.holder {
            Holder::Credential(Credential { id, subject, .. }) => Some(RestsOn {
                credential: id,
                subject,
                organization: Some(self.organization),
                resource: self.resource,
                address: self.by.address,
                policy: self.policy,
            }),
            Holder::Bearer(_) | Holder::Operator | Holder::Rules => None,
        }
    }

    fn renewed(&self, basis: Basis, now: Time) -> Result<Self> {
        if self.rests_on().is_none() {
            return Ok(self.clone());
        }
        let credential = alive(&basis, now)?;
        if let Some(lacking) = &basis.shortfall {
            return Err(lacking.error());
        }
        let Some(role) = basis.role else { return Err(Error::not_found("organization")) };
        let standing = Standing::Role(&role);
        let Basis { target, outside, policy, .. } = basis;
        let facts = Facts { credential: Some(credential), standing, target, outside, policy };
        judge(&facts, &role, self.permission, now)?;
        Ok(Self { role, holder: Holder::Credential(credential), proven_at: basis.proven_at, ..self.clone() })
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
        Credential {
            id: id(5),
            subject,
            state: State::Active,
            not_before: None,
            expires_at: Some(Time(100)),
            replaced: false,
            brownout: None,
        }
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
        let token = Caller::token(credential(Subject::Token(1)), id(1), id(12), by());
        (directory, user, token)
    }

    #[test]
    fn a_foreign_organization_is_not_found() {
        let (directory, user, token) = world();
        for caller in [user, token] {
            for organization in [id(2), id(3)] {
                let error = caller.require(
                    &directory,
                    organization,
                    Management::OrganizationRead,
                    Resource::default(),
                    Time(1),
                );
                assert_eq!(error.map(|_| ()).map_err(|e| e.code), Err(Code::NotFound));
            }
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let (directory, user, token) = world();
        let error = user.require(&directory, id(1), Management::TokenManage, Resource::default(), Time(1)).map(|_| ());
        assert_eq!(error.map_err(|e| e.missing_permission), Err(Some("token:manage".into())));
        assert!(token.require(&directory, id(1), Management::TokenManage, Resource::default(), Time(1)).is_ok());
        assert!(token.require(&directory, id(1), Management::TokenManage, Resource::default(), Time(100)).is_err());
    }

    #[test]
    fn nobody_hands_out_more_than_they_have() {
        let (directory, _, token) = world();
        let grant = token.require(&directory, id(1), Management::TokenManage, Resource::default(), Time(1));
        let grant = grant.unwrap_or_else(|e| panic!("{e}"));
        assert!(grant.covers(&Role::built_in(id(0), BuiltIn::Viewer)).is_ok());
        let error = grant.covers(&Role::built_in(id(0), BuiltIn::Admin));
        assert_eq!(error.map_err(|e| e.missing_permission), Err(Some("organization:edit".into())));
    }

    #[test]
    fn a_session_for_one_organization_finds_no_other() {
        let (mut directory, user, _) = world();
        directory.set_members(id(2), [(id(7), id(14))].into());
        let found = |caller: &Caller| caller.organizations(&directory).map(|it| it.id).collect::<Vec<_>>();
        assert_eq!(found(&user), [id(1), id(2)]);
        let narrow = user.reaching(Reach { only: Some(id(2)), by_device: false });
        assert_eq!(found(&narrow), [id(2)]);
        let read = |organization| {
            let resource = Resource::default();
            let asked = narrow.require(&directory, organization, Management::OrganizationRead, resource, Time(1));
            asked.map(|_| ()).map_err(|error| error.code)
        };
        assert_eq!((read(id(1)), read(id(2))), (Err(Code::NotFound), Ok(())));
        assert_eq!(narrow.person().map(|_| ()).map_err(|error| error.code), Err(Code::UserRequired));
        assert!(narrow.at_own_session().is_ok());
    }

    #[test]
    fn a_token_is_no_user() {
        let (_, user, token) = world();
        assert_eq!(user.require_user().ok(), Some(id(7)));
        assert_eq!(token.require_user().map_err(|e| e.code), Err(Code::UserRequired));
    }
}
