//! The one place that says yes.
//!
//! [`decide`] is a pure function over facts that others have looked up. It has no default but *deny*: every
//! way out that is not the last line names a reason. HTTP, gRPC, the console and our own API translate its
//! answer; none of them decides anything itself.

use uuid::Uuid;

use crate::brownout::Brownout;
use crate::error::{Error, Result};
use crate::needs::Needs;
use crate::permission::{Permission, RequiredPermission};
use crate::reason::Reason;
use crate::role::Scope;
use crate::role::{Role, Target};
use crate::time::Time;
use crate::token::State;

/// Whose credential it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// A token, presented by this one of its secrets; belongs to one organization and acts as one role.
    Token(u16),
    /// A user's session; acts as the user's role in the organization that is asked about.
    User(Uuid),
}

/// What is known of a presented credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credential {
    /// The token's id, or the session's.
    pub id: Uuid,
    /// Whose it is.
    pub subject: Subject,
    /// Active, disabled, revoked.
    pub state: State,
    /// From when on it is accepted.
    pub not_before: Option<Time>,
    /// From when on it is refused.
    pub expires_at: Option<Time>,
    /// Is that end the end of an earlier secret, and not of the token?
    pub replaced: bool,
    /// In which minutes it is refused, to learn who would miss it.
    pub brownout: Option<Brownout>,
}

/// As what a credential acts where the question is about.
#[derive(Clone, Copy, Debug)]
pub enum Standing<'a> {
    /// The question is about an organization that it does not belong to.
    Foreign,
    /// The question is about no organization, only about the credential itself. It holds no permission.
    Bare,
    /// The question is about an organization in which it has this role.
    Role(&'a Role),
    /// The same of a token that is narrowed to these permissions of the role.
    Narrowed(&'a Role, &'a Scope),
}

impl<'a> Standing<'a> {
    /// As this role, narrowed to these permissions where it is.
    #[must_use]
    pub fn of(role: &'a Role, scope: Option<&'a Scope>) -> Self {
        scope.map_or(Self::Role(role), |scope| Self::Narrowed(role, scope))
    }

    /// The same without that by which it is narrowed; `None` where it is not.
    fn whole(self) -> Option<Self> {
        match self {
            Self::Role(role) => role.whole().map(Self::Role),
            Self::Narrowed(role, _) => Some(Self::Role(role)),
            Self::Foreign | Self::Bare => None,
        }
    }

    fn holds_any_of_api(self) -> bool {
        match self {
            Self::Role(role) => role.holds_any_of_api(),
            Self::Narrowed(role, scope) => role.holds_some_of(scope.api()),
            Self::Foreign | Self::Bare => false,
        }
    }

    /// Does it hold this permission there?
    #[must_use]
    pub fn allows(self, permission: Permission<'_>, target: Target) -> bool {
        match self {
            Self::Role(role) => role.allows(permission, target),
            Self::Narrowed(role, scope) => scope.admits(permission, target) && role.allows(permission, target),
            Self::Foreign | Self::Bare => false,
        }
    }

    /// The permission that it is narrowed away from, where all of its role (`whole`) would do for what is asked: the role holds it.
    fn narrowed_from<'q>(self, whole: Self, ask: Ask<'q>, target: Target) -> Option<Permission<'q>> {
        match ask {
            Ask::Permission(permission) => Some(permission),
            Ask::Route(needs) => {
                // Of the ways that the role can take: another one may lack less, and lack it of the role.
                let held = |it: &RequiredPermission| whole.allows(it.permission(), target);
                let missing = needs.missing_of(held, |it| self.allows(it.permission(), target));
                missing.map(RequiredPermission::permission)
            }
            Ask::Identity | Ask::AnyOfApi | Ask::Never(_) => None,
        }
    }

    /// The permission that is missing for what is asked, if one is: `Some(None)` where any would have done.
    #[allow(clippy::option_option, reason = "a question that needs no certain one can be refused too")]
    fn lacks<'q>(self, ask: Ask<'q>, target: Target) -> Option<Option<Permission<'q>>> {
        match ask {
            Ask::Permission(permission) => (!self.allows(permission, target)).then_some(Some(permission)),
            Ask::Route(needs) => {
                let missing = needs.missing(|it| self.allows(it.permission(), target));
                missing.map(|missing| Some(missing.permission()))
            }
            Ask::AnyOfApi => (!self.holds_any_of_api()).then_some(None),
            Ask::Identity | Ask::Never(_) => None,
        }
    }
}

/// What the policy of a credential says of the request.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PolicyOutcome {
    /// It has none.
    #[default]
    NoPolicy,
    /// It allows it.
    Allowed,
    /// It does not, or it could not be asked.
    Denied,
}

/// All that a decision depends on, besides the question and the time.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The credential; `None` when the text is well formed but nothing is known of it.
    pub credential: Option<Credential>,
    /// As what it acts.
    pub standing: Standing<'a>,
    /// What the question is about, its ids looked up.
    pub target: Target,
    /// Does it come from outside the networks that the credential is bound to?
    pub outside: bool,
    /// What its policy says.
    pub policy: PolicyOutcome,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask<'a> {
    /// Whose is it?
    Identity,
    /// May it do this?
    Permission(Permission<'a>),
    /// May it do what a route needs?
    Route(&'a Needs),
    /// Does its role hold anything at all in the organization's own API? Less than that is no customer of it.
    AnyOfApi,
    /// What no token may do: a request that is on no route.
    Never(Reason),
}

impl<'a> Ask<'a> {
    /// May it do what this text says, such as `invoices:read`?
    pub fn permission(text: &'a str) -> Result<Self> {
        Permission::parse(text).map(Self::Permission).map_err(|problem| Error::invalid("permission", problem))
    }
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision<'a> {
    /// Yes.
    Allow,
    /// No, and why.
    Deny {
        /// The first check that failed.
        reason: Reason,
        /// The permission that was missing, for `permission_denied` (to the role) and `scope_denied` (to what the token is narrowed
        /// to) and for nothing else; absent where any would have done.
        missing: Option<Permission<'a>>,
    },
}

impl Decision<'_> {
    /// Is it a yes?
    #[must_use]
    pub fn is_allow(self) -> bool {
        self == Self::Allow
    }

    /// A no as the error that tells it.
    pub fn require(self) -> Result<()> {
        match self {
            Self::Allow => Ok(()),
            Self::Deny { reason, missing: Some(missing) } => Err(Error::lacks(reason, missing.to_string())),
            Self::Deny { reason, missing: None } => Err(Error::denied(reason)),
        }
    }

    /// `valid`, or the reason.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Allow => "valid",
            Self::Deny { reason, .. } => reason.as_str(),
        }
    }
}

/// Decides. The checks stand in the order of their reasons; the first that fails is the answer.
#[must_use]
pub fn decide<'a>(facts: &Facts<'_>, ask: Ask<'a>, now: Time) -> Decision<'a> {
    let deny = |reason| Decision::Deny { reason, missing: None };
    let Some(credential) = facts.credential else { return deny(Reason::Unknown) };
    if matches!(facts.standing, Standing::Foreign) {
        return deny(Reason::Unknown);
    }
    match credential.state {
        State::Active => {}
        State::Revoked(_) => return deny(Reason::Revoked),
        State::Disabled => return deny(Reason::Disabled),
    }
    if credential.not_before.is_some_and(|at| now < at) {
        return deny(Reason::NotYetValid);
    }
    if credential.expires_at.is_some_and(|at| now >= at) {
        return deny(if credential.replaced { Reason::Replaced } else { Reason::Expired });
    }
    if credential.brownout.is_some_and(|it| it.refuses(now)) {
        return deny(Reason::Brownout);
    }
    if facts.outside {
        return deny(Reason::NetworkDenied);
    }
    if facts.policy == PolicyOutcome::Denied {
        return deny(Reason::PolicyDenied);
    }
    if let Ask::Never(reason) = ask {
        return deny(reason);
    }
    match facts.standing.lacks(ask, facts.target) {
        None => Decision::Allow,
        Some(missing) => match facts.standing.whole() {
            // All of the role would do.
            Some(whole) if whole.lacks(ask, facts.target).is_none() => {
                let missing = facts.standing.narrowed_from(whole, ask, facts.target);
                Decision::Deny { reason: Reason::ScopeDenied, missing }
            }
            _ => Decision::Deny { reason: Reason::PermissionDenied, missing },
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permission::Management;
    use crate::role::BuiltIn;
    use crate::time::{DAY, HOUR};

    fn state() -> impl Strategy<Value = State> {
        prop_oneof![Just(State::Active), Just(State::Disabled), (0i64..1 << 50).prop_map(|at| State::Revoked(Time(at)))]
    }

    fn moment() -> impl Strategy<Value = Option<Time>> {
        prop::option::of((0i64..1 << 50).prop_map(Time))
    }

    fn target() -> impl Strategy<Value = Target> {
        prop_oneof![
            Just(Target::Organization),
            Just(Target::Absent),
            any::<u128>().prop_map(|n| Target::Project(Uuid::from_u128(n))),
            any::<u128>().prop_map(|n| Target::Cluster(Uuid::from_u128(n))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn nothing_revoked_expired_or_foreign_is_ever_allowed(
            known in prop::bool::weighted(0.9), own in prop::bool::weighted(0.9), bare in prop::bool::weighted(0.1),
            state in state(),
            not_before in moment(), expires_at in moment(), now in (0i64..1 << 50).prop_map(Time),
            role in 0usize..6, asked in 0usize..Management::ALL.len(), target in target(), identity: bool, replaced: bool,
            outside in prop::bool::weighted(0.2), brown in prop::option::weighted(0.2, (0i64..1 << 50, 1u8..60)),
            policy in prop_oneof![Just(PolicyOutcome::NoPolicy), Just(PolicyOutcome::Allowed), Just(PolicyOutcome::Denied)],
        ) {
            let role = Role::built_in(Uuid::nil(), BuiltIn::ALL[role]);
            let brownout = brown.and_then(|(from, length)| {
                Brownout::new(Time(from), Time(from).plus(DAY), HOUR, length)
            });
            let credential = Credential { id: Uuid::nil(), subject: Subject::Token(1), state, not_before, expires_at, replaced, brownout };
            let standing = if bare { Standing::Bare } else if own { Standing::Role(&role) } else { Standing::Foreign };
            let facts = Facts { credential: known.then_some(credential), standing, target, outside, policy };
            let permission = Permission::Management(Management::ALL[asked]);
            let ask = if identity { Ask::Identity } else { Ask::Permission(permission) };
            let alive = known && (own || bare) && state == State::Active
                && not_before.is_none_or(|at| at <= now) && expires_at.is_none_or(|at| now < at)
                && brownout.is_none_or(|it| !it.refuses(now));
            let holds = identity || (!bare && role.allows(permission, target));
            let decision = decide(&facts, ask, now);
            prop_assert_eq!(decision.is_allow(), alive && !outside && policy != PolicyOutcome::Denied && holds);
            if let Decision::Deny { reason, missing } = decision {
                prop_assert_eq!(reason.refuses_credential(), !alive);
                prop_assert_eq!(missing.is_some(), reason == Reason::PermissionDenied);
            }
        }
    }

    #[test]
    fn a_role_that_holds_nothing_of_the_api_is_no_customer_of_it() {
        let credential = Credential {
            id: Uuid::nil(),
            subject: Subject::Token(1),
            state: State::Active,
            not_before: None,
            expires_at: None,
            replaced: false,
            brownout: None,
        };
        let code = |standing: Standing<'_>| {
            let (target, policy) = (Target::Organization, PolicyOutcome::NoPolicy);
            let facts = Facts { credential: Some(credential), standing, target, outside: false, policy };
            decide(&facts, Ask::AnyOfApi, Time(1)).code()
        };
        for (role, expected) in [
            (BuiltIn::Admin, "valid"),
            (BuiltIn::Viewer, "valid"),
            (BuiltIn::Billing, "permission_denied"),
            (BuiltIn::Verifier, "permission_denied"),
        ] {
            let built_in = Role::built_in(Uuid::nil(), role);
            assert_eq!(code(Standing::Role(&built_in)), expected, "{role:?}");
        }
        assert_eq!(code(Standing::Bare), "permission_denied");
    }

    #[test]
    fn a_route_needs_all_permissions_of_any_one_of_its_ways() {
        let permission = |text: &str| RequiredPermission::parse(text).unwrap();
        let needs = |ways: &[&[&str]]| {
            Needs::any_of(ways.iter().map(|way| way.iter().map(|it| permission(it)).collect()).collect()).unwrap()
        };
        let all = needs(&[&["a:read", "b:write"]]);
        let either = needs(&[&["a:write"], &["a:read", "b:read"]]);
        let neither = needs(&[&["a:write", "b:write"], &["a:read", "c:write"]]);
        let credential = Credential {
            id: Uuid::nil(),
            subject: Subject::Token(1),
            state: State::Active,
            not_before: None,
            expires_at: None,
            replaced: false,
            brownout: None,
        };
        fn decided<'a>(credential: Credential, role: &Role, ask: Ask<'a>) -> Decision<'a> {
            let standing = Standing::Role(role);
            let (target, policy) = (Target::Organization, PolicyOutcome::NoPolicy);
            decide(&Facts { credential: Some(credential), standing, target, outside: false, policy }, ask, Time(1))
        }
        let admin = Role::built_in(Uuid::nil(), BuiltIn::Admin);
        let viewer = Role::built_in(Uuid::nil(), BuiltIn::Viewer);
        assert!(decided(credential, &admin, Ask::Route(&all)).is_allow());
        let lacks = |needs| match decided(credential, &viewer, Ask::Route(needs)) {
            Decision::Deny { reason: Reason::PermissionDenied, missing } => missing.map(|it| it.to_string()),
            _ => None,
        };
        assert_eq!(lacks(&all).as_deref(), Some("b:write"));
        assert!(decided(credential, &viewer, Ask::Route(&either)).is_allow());
        assert_eq!(lacks(&neither).as_deref(), Some("c:write"), "the way that lacks the least");
        assert_eq!(decided(credential, &admin, Ask::Never(Reason::RouteUnknown)).code(), "route_unknown");
    }

    #[test]
    fn a_narrowed_token_may_do_what_both_its_role_and_its_scope_say() {
        let credential = Credential {
            id: Uuid::nil(),
            subject: Subject::Token(1),
            state: State::Active,
            not_before: None,
            expires_at: None,
            replaced: false,
            brownout: None,
        };
        let viewer = Role::built_in(Uuid::nil(), BuiltIn::Viewer);
        // The role has shrunk since: `invoices:write` is no more in it.
        let scope = Scope::parse(&["invoices:read", "invoices:write", "project:read"]).unwrap();
        let narrowed = viewer.narrowed(&scope);
        let decided = |standing: Standing<'_>, ask: Ask<'_>| {
            let (target, policy) = (Target::Organization, PolicyOutcome::NoPolicy);
            let facts = Facts { credential: Some(credential), standing, target, outside: false, policy };
            match decide(&facts, ask, Time(1)) {
                Decision::Allow => ("valid", None),
                Decision::Deny { reason, missing } => (reason.as_str(), missing.map(|it| it.to_string())),
            }
        };
        for standing in [Standing::of(&viewer, Some(&scope)), Standing::Role(&narrowed)] {
            for (asked, expected) in [
                ("invoices:read", "valid"),
                ("orders:read", "scope_denied"),
                ("invoices:write", "permission_denied"),
                ("project:read", "valid"),
                ("token:read", "scope_denied"),
                ("token:manage", "permission_denied"),
            ] {
                let missing = (expected != "valid").then(|| asked.to_owned());
                assert_eq!(decided(standing, Ask::permission(asked).unwrap()), (expected, missing), "{asked}");
            }
            assert_eq!(decided(standing, Ask::Identity), ("valid", None));
            assert_eq!(decided(standing, Ask::AnyOfApi), ("valid", None));
            // Of a route with several ways it is what is missing of one that the role can take, though another lacks less.
            let permission = |text| RequiredPermission::parse(text).unwrap();
            let open = ["invoices:read", "orders:read", "teams:read"].map(permission);
            let needs = Needs::any_of(vec![vec![permission("b:write")], open.into()]).unwrap();
            assert_eq!(decided(standing, Ask::Route(&needs)), ("scope_denied", Some("orders:read".to_owned())));
        }
        let none = Scope::parse(&["project:read"]).unwrap();
        assert_eq!(decided(Standing::of(&viewer, Some(&none)), Ask::AnyOfApi), ("scope_denied", None));
    }

    #[test]
    fn what_was_taken_back_stays_so() {
        let role = Role::built_in(Uuid::nil(), BuiltIn::Admin);
        let credential = Credential {
            id: Uuid::nil(),
            subject: Subject::Token(1),
            state: State::Revoked(Time(1_000)),
            not_before: None,
            expires_at: None,
            replaced: false,
            brownout: None,
        };
        let facts = Facts {
            credential: Some(credential),
            standing: Standing::Role(&role),
            target: Target::Organization,
            outside: false,
            policy: PolicyOutcome::NoPolicy,
        };
        assert_eq!(decide(&facts, Ask::Identity, Time(1_000)).code(), "revoked");
        assert_eq!(decide(&facts, Ask::Identity, Time(i64::MAX)).code(), "revoked");
    }
}
