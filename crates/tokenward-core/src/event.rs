//! Events: what the log says of each change.
//!
//! A snapshot struct for each kind of thing is an allow-list: what is not a field of it can never reach the
//! log. None has a field for a token text, digest, link, password or the value of a variable.

mod account;
mod limits;

use serde::Serialize;
use uuid::Uuid;

pub use self::account::{
    EmailChangeSnapshot, IdentitySnapshot, IdleSessionSnapshot, PasskeySnapshot, SessionSnapshot,
    SignInFailuresSnapshot, SignInPolicySnapshot, UserSnapshot,
};
pub use self::limits::{ErasureSnapshot, LimitSnapshot, RetentionSnapshot};
pub use crate::actor::{Actor, ActorKind, By, Origin};
use crate::label::Labels;
use crate::life::{Attestation, DisabledBecause, OnReuse};
use crate::organization::{CloudProvider, Plan, VariableScope, VariableType};
use crate::path::Reading;
use crate::role::{ClusterLevel, EnvironmentLevel, Mode};
use crate::routes::Unknown;
use crate::time::{Time, length_text};
use crate::token::RevokeReason;
use crate::token_policy::{Rules, TokenPolicy};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $event_type:literal, $target_type:literal, $sub:expr;)*) => {
        /// What happened. The text is what the log keeps; the three words are the contract's (§1.5).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Kind { $($(#[$doc])* $name),* }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// `thing.verb`, as the log keeps it.
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(Self::$name => $text),* } }

            /// The contract's `event_type`.
            #[must_use]
            pub fn event_type(self) -> &'static str { match self { $(Self::$name => $event_type),* } }

            /// The contract's `target_type`.
            #[must_use]
            pub fn target_type(self) -> &'static str { match self { $(Self::$name => $target_type),* } }

            /// The contract's `sub_target_type`.
            #[must_use]
            pub fn sub_target_type(self) -> Option<&'static str> { match self { $(Self::$name => $sub),* } }

            /// The kind that the log keeps as `text`.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some(Self::$name),)* _ => None } }
        }
    };
}

kinds! {
    /// An organization was made.
    OrganizationCreated = "organization.created", "CREATE", "ORGANIZATION", None;
    /// Its settings were changed.
    OrganizationUpdated = "organization.updated", "UPDATE", "ORGANIZATION", Some("CONFIG");
    /// It was deleted, with all that belonged to it.
    OrganizationDeleted = "organization.deleted", "DELETE", "ORGANIZATION", None;
    /// It has another owner.
    OwnershipTransferred = "ownership.transferred", "UPDATE", "MEMBERS_AND_ROLES", Some("TRANSFER_OWNERSHIP");
    /// A user became a member without an invitation (the first owner).
    MemberAdded = "member.added", "CREATE", "MEMBERS_AND_ROLES", Some("MEMBER_ROLE");
    /// A member has another role.
    MemberUpdated = "member.updated", "UPDATE", "MEMBERS_AND_ROLES", Some("MEMBER_ROLE");
    /// A member left or was removed.
    MemberRemoved = "member.removed", "DELETE", "MEMBERS_AND_ROLES", Some("MEMBER_ROLE");
    /// Somebody was invited.
    InvitationCreated = "invitation.created", "CREATE", "MEMBERS_AND_ROLES", Some("INVITATION");
    /// An invitation has a new link.
    InvitationResent = "invitation.resent", "UPDATE", "MEMBERS_AND_ROLES", Some("INVITATION");
    /// An invitation was accepted: a user became a member.
    InvitationAccepted = "invitation.accepted", "ACCEPT", "MEMBERS_AND_ROLES", Some("INVITATION");
    /// An invitation was taken back.
    InvitationDeleted = "invitation.deleted", "DELETE", "MEMBERS_AND_ROLES", Some("INVITATION");
    /// A custom role was made.
    RoleCreated = "role.created", "CREATE", "MEMBERS_AND_ROLES", Some("CUSTOM_ROLE");
    /// A custom role was changed.
    RoleUpdated = "role.updated", "UPDATE", "MEMBERS_AND_ROLES", Some("CUSTOM_ROLE");
    /// A custom role was deleted.
    RoleDeleted = "role.deleted", "DELETE", "MEMBERS_AND_ROLES", Some("CUSTOM_ROLE");
    /// An API token was made.
    TokenCreated = "token.created", "CREATE", "ORGANIZATION", Some("API_TOKEN");
    /// An API token was changed.
    TokenUpdated = "token.updated", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// An API token has a new secret; the earlier ones end.
    TokenRotated = "token.rotated", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// An earlier secret of an API token was ended before its time.
    TokenSecretEnded = "token_secret.ended", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// An API token was switched off: refused until it is switched on again.
    TokenDisabled = "token.disabled", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// An API token was switched on again.
    TokenEnabled = "token.enabled", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// The deletion of an API token was undone: the same secrets are accepted again.
    TokenRestored = "token.restored", "CREATE", "ORGANIZATION", Some("API_TOKEN");
    /// An API token was deleted: refused from now on.
    TokenDeleted = "token.deleted", "DELETE", "ORGANIZATION", Some("API_TOKEN");
    /// An API token that is in use ends soon: told 30, 7 and 1 days before. Ends in `.created`, since it takes nothing away from
    /// anybody.
    TokenEndsSoon = "token_warning.created", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// A secret of an API token came back that was replaced and whose overlap is over. Not every time: the first one, and then at
    /// most one an hour.
    TokenReused = "token.reused", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// The time is over in which an earlier secret of an API token was accepted beside the newest one.
    TokenOverlapEnded = "token.overlap_ended", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// An API token is refused for short times from then on, to learn who would miss it.
    TokenBrownoutStarted = "token.brownout_started", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// It is no more.
    TokenBrownoutEnded = "token.brownout_ended", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// The owner of an API token is asked whether it is still needed, or did not say so in time.
    TokenAttestationDue = "token.attestation_due", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// Somebody said that an API token is still needed.
    TokenAttested = "token.attested", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// Tokens that end soon and that nobody uses were listed in a mail, once a month.
    UnusedTokensTold = "token_digest.created", "UPDATE", "ORGANIZATION", Some("API_TOKEN");
    /// An organization, or a credential of it, has come near a limit: told once, until it is away from it again.
    LimitNear = "limit_warning.created", "UPDATE", "ORGANIZATION", Some("CONFIG");
    /// All tokens of the organization that were made up to a moment were taken back at once: refused from now on.
    TokensRevoked = "tokens.revoked", "DELETE", "ORGANIZATION", Some("API_TOKEN");
    /// A policy token was made.
    PolicyTokenCreated = "policy_token.created", "CREATE", "ORGANIZATION", Some("POLICY_API_TOKEN");
    /// A policy token was changed.
    PolicyTokenUpdated = "policy_token.updated", "UPDATE", "ORGANIZATION", Some("POLICY_API_TOKEN");
    /// A policy token has a new secret; the earlier ones end.
    PolicyTokenRotated = "policy_token.rotated", "UPDATE", "ORGANIZATION", Some("POLICY_API_TOKEN");
    /// A policy token was deleted: refused from now on.
    PolicyTokenDeleted = "policy_token.deleted", "DELETE", "ORGANIZATION", Some("POLICY_API_TOKEN");
    /// A policy has denied what was asked with its token. Not every time: the first one, and then at most one a minute.
    PolicyTokenDenied = "policy_denial.created", "POLICY_FAILED", "ORGANIZATION", Some("POLICY_API_TOKEN");
    /// What is asked of the lives of tokens was changed.
    TokenPolicyUpdated = "token_policy.updated", "UPDATE", "ORGANIZATION", Some("CONFIG");
    /// The rules about who becomes a member by a provider were written.
    SignInRulesUpdated = "sign_in_rules.updated", "UPDATE", "MEMBERS_AND_ROLES", Some("MEMBER_ROLE");
    /// What the organization asks of sessions was changed.
    SignInPolicyUpdated = "sign_in_policy.updated", "UPDATE", "ORGANIZATION", Some("CONFIG");
    /// A project was made.
    ProjectCreated = "project.created", "CREATE", "PROJECT", None;
    /// A project was changed.
    ProjectUpdated = "project.updated", "UPDATE", "PROJECT", None;
    /// A project was deleted, with its environments.
    ProjectDeleted = "project.deleted", "DELETE", "PROJECT", None;
    /// An environment was made.
    EnvironmentCreated = "environment.created", "CREATE", "ENVIRONMENT", None;
    /// An environment was changed.
    EnvironmentUpdated = "environment.updated", "UPDATE", "ENVIRONMENT", None;
    /// An environment was deleted.
    EnvironmentDeleted = "environment.deleted", "DELETE", "ENVIRONMENT", None;
    /// A cluster was made.
    ClusterCreated = "cluster.created", "CREATE", "CLUSTER", None;
    /// A cluster was changed.
    ClusterUpdated = "cluster.updated", "UPDATE", "CLUSTER", None;
    /// A cluster was deleted.
    ClusterDeleted = "cluster.deleted", "DELETE", "CLUSTER", None;
    /// A variable of a project was made.
    ProjectVariableCreated = "project_variable.created", "CREATE", "PROJECT", Some("VARIABLE");
    /// A variable of a project was changed.
    ProjectVariableUpdated = "project_variable.updated", "UPDATE", "PROJECT", Some("VARIABLE");
    /// A variable of a project was deleted.
    ProjectVariableDeleted = "project_variable.deleted", "DELETE", "PROJECT", Some("VARIABLE");
    /// A secret of a project was made.
    ProjectSecretCreated = "project_secret.created", "CREATE", "PROJECT", Some("SECRET");
    /// A secret of a project was changed.
    ProjectSecretUpdated = "project_secret.updated", "UPDATE", "PROJECT", Some("SECRET");
    /// A secret of a project was deleted.
    ProjectSecretDeleted = "project_secret.deleted", "DELETE", "PROJECT", Some("SECRET");
    /// A variable of an environment was made.
    EnvironmentVariableCreated = "environment_variable.created", "CREATE", "ENVIRONMENT", Some("VARIABLE");
    /// A variable of an environment was changed.
    EnvironmentVariableUpdated = "environment_variable.updated", "UPDATE", "ENVIRONMENT", Some("VARIABLE");
    /// A variable of an environment was deleted.
    EnvironmentVariableDeleted = "environment_variable.deleted", "DELETE", "ENVIRONMENT", Some("VARIABLE");
    /// A secret of an environment was made.
    EnvironmentSecretCreated = "environment_secret.created", "CREATE", "ENVIRONMENT", Some("SECRET");
    /// A secret of an environment was changed.
    EnvironmentSecretUpdated = "environment_secret.updated", "UPDATE", "ENVIRONMENT", Some("SECRET");
    /// A secret of an environment was deleted.
    EnvironmentSecretDeleted = "environment_secret.deleted", "DELETE", "ENVIRONMENT", Some("SECRET");
    /// The routes of the organization's API were written.
    ApiUpdated = "api.updated", "UPDATE", "ORGANIZATION", Some("CONFIG");
    /// The routes of the organization's API were deleted.
    ApiDeleted = "api.deleted", "DELETE", "ORGANIZATION", Some("CONFIG");
    /// A user came to be.
    UserCreated = "user.created", "CREATE", "MEMBERS_AND_ROLES", None;
    /// A user's name, e-mail address for mail, or password was changed.
    UserUpdated = "user.updated", "UPDATE", "MEMBERS_AND_ROLES", None;
    /// A user signed in.
    SessionCreated = "session.created", "CREATE", "MEMBERS_AND_ROLES", None;
    /// A user signed out, or sessions were ended.
    SessionEnded = "session.ended", "DELETE", "MEMBERS_AND_ROLES", None;
    /// A user proved to be at a session, by the password or a provider: it has another text from then on.
    SessionProven = "session.proven", "UPDATE", "MEMBERS_AND_ROLES", None;
    /// A session lay unused for longer than an organization of its user allows: there it counts again when it is proved anew.
    SessionIdle = "session.idle", "UPDATE", "MEMBERS_AND_ROLES", None;
    /// Sign-ins at an account failed: at most one event an account and ten minutes, with how many there were. Ends in `.created`,
    /// since it takes nothing away from anybody.
    SignInFailuresTold = "sign_in_failures.created", "UPDATE", "MEMBERS_AND_ROLES", None;
    /// A link to choose a new password was mailed to the address of an account.
    PasswordResetCreated = "password_reset.created", "CREATE", "MEMBERS_AND_ROLES", None;
    /// Somebody used one: the account has another password, which an event of its own tells.
    PasswordResetUsed = "password_reset.used", "ACCEPT", "MEMBERS_AND_ROLES", None;
    /// A person asked for another address of the account, which is mailed a link.
    EmailChangeCreated = "email_change.created", "CREATE", "MEMBERS_AND_ROLES", None;
    /// A change of an address was taken back by the address before.
    EmailChangeUndone = "email_change.undone", "UPDATE", "MEMBERS_AND_ROLES", None;
    /// The operator made a one-time sign-in link.
    SignInLinkCreated = "sign_in_link.created", "CREATE", "MEMBERS_AND_ROLES", None;
    /// Somebody used one.
    SignInLinkUsed = "sign_in_link.used", "ACCEPT", "MEMBERS_AND_ROLES", None;
    /// An identity of a provider opens an account from now on.
    IdentityLinked = "identity.created", "CREATE", "MEMBERS_AND_ROLES", None;
    /// It is one of another issuer from now on, with the same subject.
    IdentityMoved = "identity.updated", "UPDATE", "MEMBERS_AND_ROLES", None;
    /// It opens it no more.
    IdentityRemoved = "identity.deleted", "DELETE", "MEMBERS_AND_ROLES", None;
    /// A passkey opens an account from now on.
    PasskeyAdded = "passkey.created", "CREATE", "MEMBERS_AND_ROLES", None;
    /// It is called something else.
    PasskeyRenamed = "passkey.updated", "UPDATE", "MEMBERS_AND_ROLES", None;
    /// It opens it no more.
    PasskeyRemoved = "passkey.deleted", "DELETE", "MEMBERS_AND_ROLES", None;
    /// A passkey counted less than before, so that somebody may have a copy of it; it was refused.
    PasskeyCounterFell = "passkey.counter_fell", "UPDATE", "MEMBERS_AND_ROLES", None;
    /// An account has an authenticator from now on: its sign-ins ask for a code.
    SecondFactorAdded = "second_factor.created", "CREATE", "MEMBERS_AND_ROLES", None;
    /// It has none any more, and no recovery codes.
    SecondFactorRemoved = "second_factor.deleted", "DELETE", "MEMBERS_AND_ROLES", None;
    /// It has other recovery codes; those until now are none.
    RecoveryCodesReplaced = "recovery_codes.replaced", "UPDATE", "MEMBERS_AND_ROLES", None;
    /// One of them stood for the second factor, and is spent.
    RecoveryCodeUsed = "recovery_code.used", "ACCEPT", "MEMBERS_AND_ROLES", None;
    /// The log goes on at another place: after a failover, or in a database that was put back.
    LogMoved = "log.moved", "UPDATE", "ORGANIZATION", None;
    /// The log had forgotten what nodes know; what was taken away then is taken away again.
    LogRewound = "log.rewound", "UPDATE", "ORGANIZATION", None;
    /// An older state was put in place, and what was taken away since is not.
    LogRestored = "log.restored", "UPDATE", "ORGANIZATION", None;
    /// What events said was erased: it was older than it is kept. Ends in `.created`, since it takes nothing away from anybody.
    PayloadsErased = "erasure.created", "DELETE", "ORGANIZATION", Some("CONFIG");
    /// Somebody has read what became of the log.
    LogAcknowledged = "log.acknowledged", "UPDATE", "ORGANIZATION", Some("CONFIG");
}

impl Kind {
    /// The kind that says the same of a token of this kind: what happens to policy tokens most has names of its own,
    /// and the rest is told as of any token.
    #[must_use]
    pub fn of(self, token: crate::secret::Kind) -> Self {
        match (token, self) {
            (crate::secret::Kind::PolicyToken, Self::TokenCreated) => Self::PolicyTokenCreated,
            (crate::secret::Kind::PolicyToken, Self::TokenUpdated) => Self::PolicyTokenUpdated,
            (crate::secret::Kind::PolicyToken, Self::TokenRotated) => Self::PolicyTokenRotated,
            (crate::secret::Kind::PolicyToken, Self::TokenDeleted) => Self::PolicyTokenDeleted,
            (_, kind) => kind,
        }
    }

    /// Can it take from somebody what was allowed before? Who does that waits until every node has learned of it.
    #[must_use]
    pub fn takes_away(self) -> bool {
        match self {
            Self::OrganizationDeleted
            | Self::OwnershipTransferred
            | Self::MemberUpdated
            | Self::MemberRemoved
            | Self::SignInPolicyUpdated
            | Self::SignInRulesUpdated
            // Its link opens nothing any more.
            | Self::InvitationDeleted
            | Self::InvitationResent
            | Self::RoleUpdated
            | Self::RoleDeleted
            | Self::TokenUpdated
            | Self::TokenRotated
            | Self::TokenSecretEnded
            | Self::TokenDisabled
            | Self::TokenBrownoutStarted
            | Self::TokenDeleted
            | Self::TokensRevoked
            | Self::PolicyTokenUpdated
            | Self::PolicyTokenRotated
            | Self::PolicyTokenDeleted
            // It ends nothing by itself, but nobody is to set an end any more that it does not allow.
            | Self::TokenPolicyUpdated
            | Self::ProjectDeleted
            // It may have another mode, which other levels of a role are about.
            | Self::EnvironmentUpdated
            | Self::EnvironmentDeleted
            | Self::ClusterDeleted
            // A request may need another permission.
            | Self::ApiUpdated
            | Self::ApiDeleted
            // With a password all other sessions go.
            | Self::UserUpdated
            | Self::SessionEnded
            // The text until then opens nothing any more.
            | Self::SessionProven
            | Self::SessionIdle
            | Self::IdentityMoved
            | Self::IdentityRemoved
            | Self::PasskeyRemoved
            // What is spent or removed must be noted before anybody relies on it.
            | Self::SecondFactorRemoved
            | Self::RecoveryCodesReplaced
            | Self::RecoveryCodeUsed => true,
            Self::OrganizationCreated
            | Self::OrganizationUpdated
            | Self::MemberAdded
            | Self::InvitationCreated
            | Self::InvitationAccepted
            | Self::RoleCreated
            | Self::TokenCreated
            | Self::TokenEnabled
            | Self::TokenRestored
            | Self::PolicyTokenCreated
            | Self::PolicyTokenDenied
            | Self::TokenEndsSoon
            | Self::UnusedTokensTold
            | Self::LimitNear
            | Self::TokenAttestationDue
            | Self::TokenAttested
            | Self::TokenBrownoutEnded
            | Self::TokenReused
            // Its end was told before.
            | Self::TokenOverlapEnded
            | Self::ProjectCreated
            | Self::ProjectUpdated
            | Self::EnvironmentCreated
            | Self::ClusterCreated
            | Self::ClusterUpdated
            | Self::ProjectVariableCreated
            | Self::ProjectVariableUpdated
            | Self::ProjectVariableDeleted
            | Self::ProjectSecretCreated
            | Self::ProjectSecretUpdated
            | Self::ProjectSecretDeleted
            | Self::EnvironmentVariableCreated
            | Self::EnvironmentVariableUpdated
            | Self::EnvironmentVariableDeleted
            | Self::EnvironmentSecretCreated
            | Self::EnvironmentSecretUpdated
            | Self::EnvironmentSecretDeleted
            | Self::UserCreated
            | Self::SessionCreated
            | Self::IdentityLinked
            | Self::SignInFailuresTold
            | Self::PasskeyAdded
            | Self::PasskeyRenamed
            // It is refused there and then, and works on where it counts more.
            | Self::PasskeyCounterFell
            | Self::PasswordResetCreated
            // What they change is told by an event of the user.
            | Self::PasswordResetUsed
            | Self::EmailChangeCreated
            | Self::EmailChangeUndone
            | Self::SecondFactorAdded
            | Self::SignInLinkCreated
            | Self::SignInLinkUsed
            | Self::LogMoved
            | Self::LogRewound
            | Self::LogRestored
            | Self::PayloadsErased
            | Self::LogAcknowledged => false,
        }
    }
}

/// Could an event of this kind, which a newer version wrote, take something away that this version would go on to allow? Kinds
/// that only add end in `.created`. A version whose new kind takes away brings a step of the schema as well, so that an older
/// one does not even start.
#[must_use]
pub fn outgrows(kind: &str) -> bool {
    Kind::parse(kind).is_none() && !kind.ends_with(".created")
}

/// What an organization was like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // The fields are those of the API.
pub struct OrganizationSnapshot {
    pub name: String,
    pub description: Option<String>,
    pub plan: Plan,
    pub website_url: Option<String>,
    pub repository: Option<String>,
    pub logo_url: Option<String>,
    pub icon_url: Option<String>,
    pub admin_emails: Option<Vec<String>>,
    /// Said only where it refuses sessions that were given to another machine by a code.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forbids_device: bool,
}

/// What was asked of the lives of tokens: lengths such as `90d`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TokenPolicySnapshot {
    #[serde(flatten)]
    pub all: TokenRulesSnapshot,
    pub on_reuse: OnReuse,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attest_every: Option<String>,
    /// Of tokens with a role, besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<(Uuid, TokenRulesSnapshot)>,
}

/// The same of all tokens, or of those with one role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TokenRulesSnapshot {
    pub max_lifetime: Option<String>,
    pub default_lifetime: Option<String>,
    pub end_required: bool,
    pub max_overlap: Option<String>,
}

impl From<&TokenPolicy> for TokenPolicySnapshot {
    fn from(policy: &TokenPolicy) -> Self {
        let rules = |rules: &Rules| TokenRulesSnapshot {
            max_lifetime: rules.max_lifetime.map(length_text),
            default_lifetime: rules.default_lifetime.map(length_text),
            end_required: rules.end_required,
            max_overlap: rules.max_overlap.map(length_text),
        };
        Self {
            all: rules(&policy.all),
            on_reuse: policy.on_reuse,
            attest_every: policy.attest_every.map(length_text),
            roles: policy.roles.iter().map(|(id, it)| (*id, rules(it))).collect(),
        }
    }
}

/// What a token was like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TokenSnapshot {
    pub name: String,
    pub description: Option<String>,
    pub role_id: Uuid,
    pub role_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    pub expires_at: Option<Time>,
    /// The networks that it is bound to, without the notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// The member who is accountable for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// The permissions of its role that it is narrowed to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
    /// The projects and environments that it is narrowed to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<Uuid>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<Uuid>,
    /// How fast it may be used, such as `100/minute, 20 at once`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<String>,
    /// How much, such as `10000/day`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<String>,
    pub last_four: String,
    /// Which secret of the token is the newest.
    pub version: u16,
    /// Of a policy token: what its policy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opa_policy: Option<String>,
    /// Of a rotation: until when the secret before was accepted. Of an end of one: from when on it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_until: Option<Time>,
    /// Of a rotation: after how long a silence the secret before ends sooner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_when_silent: Option<String>,
    /// Why it was switched off, where nobody did it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_because: Option<DisabledBecause>,
    /// Of a deletion: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_reason: Option<RevokeReason>,
    /// Of a deletion: what was noted about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_note: Option<String>,
}

/// That a token ends soon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TokenEndSnapshot {
    pub name: String,
    pub expires_at: Time,
    /// In so many days at most.
    pub days_left: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// That a replaced secret of a token came back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TokenReuseSnapshot {
    pub name: String,
    /// Which of its secrets.
    pub version: u16,
    /// From where it came the last time, and with which client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// How often since the event before.
    pub count: u64,
}

/// In which minutes a token is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TokenBrownoutSnapshot {
    pub name: String,
    pub minutes: u8,
    /// A length such as `1h`.
    pub every: String,
    pub from: Time,
    pub until: Time,
}

/// What is known of whether a token is still needed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TokenAttestationSnapshot {
    pub name: String,
    pub attestation: Attestation,
    /// Until when an answer is to come: then it is marked, or switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Which tokens end soon that nobody uses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct UnusedTokensSnapshot {
    pub count: u64,
    /// The names of the first of them.
    pub first: Vec<String>,
}

/// That an overlap of two secrets is over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TokenOverlapSnapshot {
    pub name: String,
    /// Which secret is refused from then on.
    pub version: u16,
    pub ended_at: Time,
    /// Whether it was used within the last hour before.
    pub still_used: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_agent: Option<String>,
}

/// Which tokens were taken back at once, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TokensRevokedSnapshot {
    /// How many there were, of all kinds.
    pub count: u64,
    /// Those that were made before; none where it was all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Time>,
    pub revoked_reason: RevokeReason,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_note: Option<String>,
}

/// What a policy has denied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct PolicyDenialSnapshot {
    pub name: String,
    /// The last request, without its query.
    pub method: String,
    pub path: String,
    /// How often something was denied since the event before.
    pub count: u64,
}

/// What a custom role was like: only what differs from the default.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct RoleSnapshot {
    pub name: String,
    pub description: String,
    pub permissions: Vec<String>,
    pub cluster_permissions: Vec<(Uuid, ClusterLevel)>,
    pub project_permissions: Vec<(Uuid, bool, [EnvironmentLevel; 4])>,
}

/// What a membership or an invitation was like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct MemberSnapshot {
    pub email: String,
    pub role_id: Uuid,
    pub role_name: String,
    /// The rule that made it, as `provider:value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// The rules about who becomes a member by a provider, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SignInRulesSnapshot {
    pub rules: Vec<SignInRuleSnapshot>,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SignInRuleSnapshot {
    pub provider: String,
    pub value: String,
    pub role_id: Uuid,
    pub role_name: String,
}

/// What a project was like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ProjectSnapshot {
    pub name: String,
    pub description: String,
    /// How many variables and secrets of its own went with it; only where it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<u64>,
}

/// What an environment was like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct EnvironmentSnapshot {
    pub name: String,
    pub mode: Mode,
    pub cluster_id: Uuid,
    /// How many variables and secrets went with it; only where it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<u64>,
}

/// What a cluster was like; the many optional fields of its body are not interpreted and not logged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ClusterSnapshot {
    pub name: String,
    pub region: String,
    pub cloud_provider: CloudProvider,
}

/// What a variable or secret was like, without its value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct VariableSnapshot {
    pub key: String,
    pub scope: VariableScope,
    pub variable_type: VariableType,
    pub description: Option<String>,
    pub mount_path: Option<String>,
    /// The variable that an alias stands for or an override covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<Uuid>,
    /// It has another value than before. Which one, the log never says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub value_changed: bool,
}

/// What the routes of an API were like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ApiSnapshot {
    pub name: String,
    pub routes: usize,
    pub unknown_route: Unknown,
    pub allow_paths: Vec<Reading>,
    /// SHA-256 of the routes in their canonical form, in hexadecimal.
    pub sha256: String,
}

/// What a thing was like, before or after.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Snapshot {
    Organization(OrganizationSnapshot),
    Token(Box<TokenSnapshot>),
    TokensRevoked(TokensRevokedSnapshot),
    TokenPolicy(TokenPolicySnapshot),
    PolicyDenial(PolicyDenialSnapshot),
    TokenEnd(TokenEndSnapshot),
    TokenReuse(TokenReuseSnapshot),
    TokenOverlap(TokenOverlapSnapshot),
    TokenBrownout(TokenBrownoutSnapshot),
    UnusedTokens(UnusedTokensSnapshot),
    TokenAttestation(TokenAttestationSnapshot),
    Retention(RetentionSnapshot),
    Limit(LimitSnapshot),
    Erasure(ErasureSnapshot),
    Role(RoleSnapshot),
    Member(MemberSnapshot),
    SignInRules(SignInRulesSnapshot),
    SignInPolicy(SignInPolicySnapshot),
    Project(ProjectSnapshot),
    Environment(EnvironmentSnapshot),
    Cluster(ClusterSnapshot),
    Variable(VariableSnapshot),
    Api(ApiSnapshot),
    User(UserSnapshot),
    Session(SessionSnapshot),
    IdleSession(IdleSessionSnapshot),
    SignInFailures(SignInFailuresSnapshot),
    EmailChange(EmailChangeSnapshot),
    Identity(IdentitySnapshot),
    Passkey(PasskeySnapshot),
}

macro_rules! into_snapshot {
    ($($variant:ident($ty:ty)),* $(,)?) => {
        $(impl From<$ty> for Snapshot { fn from(value: $ty) -> Self { Self::$variant(value) } })*
    };
}

impl From<TokenSnapshot> for Snapshot {
    fn from(snapshot: TokenSnapshot) -> Self {
        Self::Token(Box::new(snapshot))
    }
}

into_snapshot!(
    Organization(OrganizationSnapshot),
    TokensRevoked(TokensRevokedSnapshot),
    TokenPolicy(TokenPolicySnapshot),
    PolicyDenial(PolicyDenialSnapshot),
    TokenEnd(TokenEndSnapshot),
    TokenReuse(TokenReuseSnapshot),
    TokenOverlap(TokenOverlapSnapshot),
    TokenBrownout(TokenBrownoutSnapshot),
    UnusedTokens(UnusedTokensSnapshot),
    TokenAttestation(TokenAttestationSnapshot),
    Retention(RetentionSnapshot),
    Limit(LimitSnapshot),
    Erasure(ErasureSnapshot),
    Role(RoleSnapshot),
    Member(MemberSnapshot),
    SignInRules(SignInRulesSnapshot),
    SignInPolicy(SignInPolicySnapshot),
    Project(ProjectSnapshot),
    Environment(EnvironmentSnapshot),
    Cluster(ClusterSnapshot),
    Variable(VariableSnapshot),
    Api(ApiSnapshot),
    User(UserSnapshot),
    Session(SessionSnapshot),
    IdleSession(IdleSessionSnapshot),
    SignInFailures(SignInFailuresSnapshot),
    EmailChange(EmailChangeSnapshot),
    Identity(IdentitySnapshot),
    Passkey(PasskeySnapshot),
);

/// An event before it has a position.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// In which organization; `None` for users and their sessions.
    pub organization: Option<Uuid>,
    /// What it happened to.
    pub target: Uuid,
    /// A second id that followers need to find the rows again: the user of a session, the member's user.
    pub related: Option<Uuid>,
    /// The name of the target, for people.
    pub target_name: String,
    /// What it was like before; for changes and deletions.
    pub before: Option<Snapshot>,
    /// What it is like now; for creations and changes.
    pub after: Option<Snapshot>,
    /// The project and environment it lies in, with their names.
    pub project: Option<(Uuid, String)>,
    /// See `project`.
    pub environment: Option<(Uuid, String)>,
    /// The mode of that environment.
    pub environment_mode: Option<Mode>,
}

impl Event {
    /// An event about `target`; add what is known of it with the functions below.
    pub fn new(kind: Kind, organization: Option<Uuid>, target: Uuid, target_name: impl Into<String>) -> Self {
        Self {
            kind,
            organization,
            target,
            related: None,
            target_name: target_name.into(),
            before: None,
            after: None,
            project: None,
            environment: None,
            environment_mode: None,
        }
    }

    /// With the state before.
    #[must_use]
    pub fn before(mut self, snapshot: impl Into<Snapshot>) -> Self {
        self.before = Some(snapshot.into());
        self
    }

    /// With the state after.
    #[must_use]
    pub fn after(mut self, snapshot: impl Into<Snapshot>) -> Self {
        self.after = Some(snapshot.into());
        self
    }

    /// With a second id.
    #[must_use]
    pub fn related(mut self, id: Uuid) -> Self {
        self.related = Some(id);
        self
    }

    /// In a project.
    #[must_use]
    pub fn in_project(mut self, id: Uuid, name: impl Into<String>) -> Self {
        self.project = Some((id, name.into()));
        self
    }

    /// In an environment.
    #[must_use]
    pub fn in_environment(mut self, id: Uuid, name: impl Into<String>, mode: Mode) -> Self {
        self.environment = Some((id, name.into()));
        self.environment_mode = Some(mode);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_created_takes_nothing_away_and_the_unknown_might() {
        for kind in Kind::ALL {
            assert!(!outgrows(kind.as_str()), "{}", kind.as_str());
            assert!(!(kind.as_str().ends_with(".created") && kind.takes_away()), "{}", kind.as_str());
        }
        assert!(outgrows("token.suspended") && outgrows("log.forked") && !outgrows("policy.created"));
    }
}
