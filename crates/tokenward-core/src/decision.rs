//! The one place that says yes.
//!
//! [`decide`] is a pure function over facts that others have looked up. It has no default but *deny*: every
//! way out that is not the last line names a reason. HTTP, gRPC, the console and our own API translate its
//! answer; none of them decides anything itself.

use std::fmt;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::permission::{Needed, Permission};
use crate::role::{Role, Target};
use crate::time::Time;
use crate::token::{State, TOMBSTONE};

/// Why a decision is a deny. The strings are part of the API and never change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// The text does not have the form of a token, or its checksum is wrong.
    Malformed,
    /// No such token; also every token of another organization.
    Unknown,
    /// It was taken back.
    Revoked,
    /// It is switched off.
    Disabled,
    /// Its time has not begun.
    NotYetValid,
    /// Its time is over.
    Expired,
    /// The path of the request can be read in more than one way.
    PathAmbiguous,
    /// A token stands in the query of the request.
    TokenInQuery,
    /// The organization has no API of that name.
    ApiUnknown,
    /// The request is on no route of the API, and the API denies such requests.
    RouteUnknown,
    /// Its role does not hold the permission, or the resource is absent.
    PermissionDenied,
}

impl Reason {
    /// All, in the order in which they are checked.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::Unknown,
        Self::Revoked,
        Self::Disabled,
        Self::NotYetValid,
        Self::Expired,
        Self::PathAmbiguous,
        Self::TokenInQuery,
        Self::ApiUnknown,
        Self::RouteUnknown,
        Self::PermissionDenied,
    ];

    /// The stable string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::PathAmbiguous => "path_ambiguous",
            Self::TokenInQuery => "token_in_query",
            Self::ApiUnknown => "api_unknown",
            Self::RouteUnknown => "route_unknown",
            Self::PermissionDenied => "permission_denied",
        }
    }

    /// What to tell the person who holds the token.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => {
                "This is not a token: its form or its checksum is wrong. Was a part of it lost in copying?"
            }
            Self::Unknown => "No such token is known here.",
            Self::Revoked => "This token was revoked. Ask for a new one.",
            Self::Disabled => "This token is switched off.",
            Self::NotYetValid => "This token is not valid yet.",
            Self::Expired => "This token has expired. Ask for a new one.",
            Self::PathAmbiguous => {
                "The path of the request can be read in more than one way (`//`, `..`, `%2f` and the like)."
            }
            Self::TokenInQuery => {
                "A token stands in the query, where logs keep it. Send it in a header, and replace this one."
            }
            Self::ApiUnknown => "There is no API of that name. Import its routes first.",
            Self::RouteUnknown => "The request is on no route of the API, and what no route describes is denied.",
            Self::PermissionDenied => "The role of this token does not allow this.",
        }
    }

    /// Is the credential itself refused, whatever was asked?
    #[must_use]
    pub fn refuses_credential(self) -> bool {
        !matches!(self, Self::PathAmbiguous | Self::ApiUnknown | Self::RouteUnknown | Self::PermissionDenied)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose credential it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A token; belongs to one organization and acts as one role.
    Token,
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
}

/// All that a decision depends on, besides the question and the time.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The credential; `None` when the text is well formed but nothing is known of it.
    pub credential: Option<Credential>,
    /// The role in the organization that is asked about; `None` when the credential does not belong to it.
    pub role: Option<&'a Role>,
    /// What the question is about, its ids looked up.
    pub target: Target,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask<'a> {
    /// Whose is it?
    Identity,
    /// May it do this?
    Permission(Permission<'a>),
    /// May it do all of these? What a route needs.
    All(&'a [Needed]),
    /// What no token may do: a request that is on no route.
    Never(Reason),
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
        /// The permission that was missing, for `permission_denied` and for nothing else.
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
            Self::Deny { missing: Some(missing), .. } => Err(Error::permission_denied(missing.to_string())),
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
    let (Some(credential), Some(role)) = (facts.credential, facts.role) else { return deny(Reason::Unknown) };
    match credential.state {
        State::Active => {}
        State::Revoked(at) if now >= at.plus(TOMBSTONE) => return deny(Reason::Unknown),
        State::Revoked(_) => return deny(Reason::Revoked),
        State::Disabled => return deny(Reason::Disabled),
    }
    if credential.not_before.is_some_and(|at| now < at) {
        return deny(Reason::NotYetValid);
    }
    if credential.expires_at.is_some_and(|at| now >= at) {
        return deny(Reason::Expired);
    }
    match ask {
        Ask::Identity => Decision::Allow,
        Ask::Permission(permission) if role.allows(permission, facts.target) => Decision::Allow,
        Ask::Permission(permission) => Decision::Deny { reason: Reason::PermissionDenied, missing: Some(permission) },
        Ask::All(all) => match all.iter().map(Needed::permission).find(|it| !role.allows(*it, facts.target)) {
            None => Decision::Allow,
            missing => Decision::Deny { reason: Reason::PermissionDenied, missing },
        },
        Ask::Never(reason) => deny(reason),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permission::Own;
    use crate::role::BuiltIn;

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
            known in prop::bool::weighted(0.9), own in prop::bool::weighted(0.9), state in state(),
            not_before in moment(), expires_at in moment(), now in (0i64..1 << 50).prop_map(Time),
            role in 0usize..6, asked in 0usize..Own::ALL.len(), target in target(), identity: bool,
        ) {
            let role = Role::built_in(Uuid::nil(), BuiltIn::ALL[role]);
            let credential = Credential { id: Uuid::nil(), subject: Subject::Token, state, not_before, expires_at };
            let facts = Facts { credential: known.then_some(credential), role: own.then_some(&role), target };
            let permission = Permission::Own(Own::ALL[asked]);
            let ask = if identity { Ask::Identity } else { Ask::Permission(permission) };
            let alive = known && own && state == State::Active
                && not_before.is_none_or(|at| at <= now) && expires_at.is_none_or(|at| now < at);
            let holds = identity || role.allows(permission, target);
            let decision = decide(&facts, ask, now);
            prop_assert_eq!(decision.is_allow(), alive && holds);
            if let Decision::Deny { reason, missing } = decision {
                prop_assert_eq!(reason.refuses_credential(), !alive);
                prop_assert_eq!(missing.is_some(), reason == Reason::PermissionDenied);
            }
        }
    }

    #[test]
    fn a_route_needs_all_of_its_permissions() {
        let all = ["a:read", "b:write"].map(|text| Needed::parse(text).unwrap());
        let credential = Credential {
            id: Uuid::nil(),
            subject: Subject::Token,
            state: State::Active,
            not_before: None,
            expires_at: None,
        };
        let decided = |role: &Role, ask| {
            decide(
                &Facts { credential: Some(credential), role: Some(role), target: Target::Organization },
                ask,
                Time(1),
            )
        };
        let admin = Role::built_in(Uuid::nil(), BuiltIn::Admin);
        let viewer = Role::built_in(Uuid::nil(), BuiltIn::Viewer);
        assert!(decided(&admin, Ask::All(&all)).is_allow());
        let missing = Some(all[1].permission());
        let reason = Reason::PermissionDenied;
        assert_eq!(decided(&viewer, Ask::All(&all)), Decision::Deny { reason, missing });
        assert_eq!(decided(&admin, Ask::Never(Reason::RouteUnknown)).code(), "route_unknown");
    }

    #[test]
    fn a_tombstone_becomes_unknown_after_ninety_days() {
        let role = Role::built_in(Uuid::nil(), BuiltIn::Admin);
        let credential = Credential {
            id: Uuid::nil(),
            subject: Subject::Token,
            state: State::Revoked(Time(1_000)),
            not_before: None,
            expires_at: None,
        };
        let facts = Facts { credential: Some(credential), role: Some(&role), target: Target::Organization };
        assert_eq!(decide(&facts, Ask::Identity, Time(1_000)).code(), "revoked");
        assert_eq!(decide(&facts, Ask::Identity, Time(999 + TOMBSTONE)).code(), "revoked");
        assert_eq!(decide(&facts, Ask::Identity, Time(1_000 + TOMBSTONE)).code(), "unknown");
    }
}
