//! What a node remembers of the log outside of the database, so that what was taken away stays so when a database comes back
//! that does not know of it: an older copy, or a server that lagged.
//!
//! An [`Entry`] is an event that was applied. Where it takes away, or gives back what was taken away, it has the state of the
//! thing after it ([`After`]); the last such state is what counts, so that a revocation that was undone is none. What an
//! older copy must be told follows from the entries that it does not have: [`lost`] and [`net`].

mod rights;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::rights::{ApiContent, ApiRules, RoleRights, TokenBounds};
use crate::event::Kind;
use crate::sign_in::TwoFactors;
use crate::time::{Micros, Time};

/// An event that a node has applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Which log it stood in.
    pub log: Uuid,
    /// Where.
    pub position: i64,
    /// The log's hash there.
    #[serde(with = "hash")]
    pub hash: Vec<u8>,
    /// When.
    pub time: Time,
    /// What happened, as the log keeps it.
    pub kind: String,
    /// In which organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Uuid>,
    /// To what.
    pub target: Uuid,
    /// What it was like afterwards, where that is something to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
}

impl Entry {
    /// Must it be on the disk before anybody is told that it is done? What was made is not waited for: the database holds that its
    /// digest was used, and what stands here of it is for an older copy of that.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.after.is_some() && !makes(&self.kind)
    }

    /// Are both the same event?
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.position == other.position && self.hash == other.hash
    }
}

/// Does an event of this kind make what it is about?
#[must_use]
pub fn makes(kind: &str) -> bool {
    matches!(Kind::parse(kind), Some(Kind::TokenCreated | Kind::PolicyTokenCreated | Kind::RoleCreated))
}

/// What something was like after an event that took away, gave back, or used a digest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// A token.
    Token {
        /// When it was revoked.
        revoked_at: Option<Time>,
        /// Since when it was switched off.
        disabled_at: Option<Time>,
        /// When each of its secrets ends that has an end.
        ends: Vec<(u16, Time)>,
        /// What is kept for ever of the digests of its secrets, in hexadecimal: no older copy takes them for new ones.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        used: Vec<String>,
        /// What it was bound to. An entry of an older version does not say, nor does one of a token that was made or taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bounds: Option<Box<TokenBounds>>,
    },
    /// A custom role that allowed this.
    Role {
        /// What it allowed.
        rights: RoleRights,
    },
    /// An API with these routes; without any it is gone.
    Api {
        /// Its routes.
        rules: Option<ApiRules>,
    },
    /// An organization that asked this of the lives of its tokens.
    TokenPolicy {
        /// As its row kept it.
        kept: Option<String>,
    },
    /// A user, who had these sessions and no others.
    Sessions {
        /// Their ids.
        living: Vec<Uuid>,
        /// When those that were proven anew last were: then each got another text, and an older one opens nothing.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        proven: BTreeMap<Uuid, Time>,
        /// The sign-in links that worked still, and no others. An entry of an older version does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        links: Option<Vec<Uuid>>,
        /// What tells the password from any other, which tells nothing of it. An entry of an older version does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<String>,
        /// The changes of the address that could still be taken back, and no others. An entry of an older version does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undoable: Option<Vec<Uuid>>,
        /// For how long nobody had used those that an organization asks to be proved anew: an older copy would let them in there until
        /// that is found again.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        unused: BTreeMap<Uuid, Micros>,
    },
    /// A user, who had this authenticator and these recovery codes, and no others.
    SecondFactor {
        /// The authenticator.
        authenticator: Option<Uuid>,
        /// The codes.
        codes: Vec<Uuid>,
    },
    /// A user, whose account these identities opened, and no others.
    Identities {
        /// Their ids.
        living: Vec<Uuid>,
        /// Who vouched for each: one that was moved to another issuer opens nothing by the earlier one.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        issuers: BTreeMap<Uuid, String>,
    },
    /// A user, whose account these passkeys opened, and no others.
    Passkeys {
        /// Their ids.
        living: Vec<Uuid>,
    },
    /// An organization that asked one of these providers, and two factors, to prove its sessions.
    SignIn {
        /// Their keys; none where any session did.
        providers: Vec<String>,
        /// That it asked two factors.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        two_factors: Option<TwoFactors>,
        /// For how long a proof counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_lifetime: Option<Micros>,
        /// For how long a session could lie unused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_idle: Option<Micros>,
        /// That it refused sessions which were given to another machine by a typed code.
        #[serde(default)]
        forbids_device: bool,
    },
    /// An organization in which these rules make a provider's people members, in this order, and no others.
    Rules {
        /// Provider, value and role of each.
        rules: Vec<(String, String, Uuid)>,
    },
    /// Members of an organization: somebody and the role, or none any more.
    Member {
        /// The role.
        role: Option<Uuid>,
        /// The invitation that was accepted then: its links are spent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invitation: Option<Uuid>,
    },
    /// An invitation that was withdrawn or has other links: those of before open nothing.
    Invitation,
    /// An environment in this mode.
    Environment {
        /// As its row kept it.
        mode: String,
    },
    /// What is gone: an organization, a custom role, a project, an environment or a cluster, as the kind of the event says.
    Gone,
    /// An organization all of whose tokens were taken back that had been made up to a moment.
    Cut {
        /// The id of the last of them.
        through: Uuid,
        /// When they were taken back.
        at: Time,
    },
}

/// Of which things an event says something that is to be kept: whose state, after it, the entry must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeps {
    /// That of the token.
    Token,
    /// What the role allows.
    Role,
    /// What the routes of the API are.
    Api,
    /// What the organization asks of the lives of its tokens.
    TokenPolicy,
    /// The sessions of the user, the links that work still, and which password it is.
    Sessions,
    /// The second factor of the user.
    SecondFactor,
    /// The identities of the user.
    Identities,
    /// The passkeys of the user.
    Passkeys,
    /// What the organization asks of sessions.
    SignIn,
    /// By which rules a provider's people are members.
    Rules,
    /// That of the member.
    Member,
    /// That the links of the invitation are none any more.
    Invitation,
    /// In which mode the environment is.
    Environment,
    /// That it is gone: an organization, a role, a project, an environment or a cluster.
    Gone,
    /// Which of its tokens were taken back at once.
    Cut,
    /// Nothing.
    Nothing,
}

impl Keeps {
    /// What an event of this kind says.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        match Kind::parse(kind) {
            Some(
                Kind::TokenCreated
                | Kind::TokenUpdated
                | Kind::TokenBrownoutStarted
                | Kind::TokenBrownoutEnded
                | Kind::TokenRotated
                | Kind::TokenSecretEnded
                | Kind::TokenDisabled
                | Kind::TokenEnabled
                | Kind::TokenRestored
                | Kind::TokenDeleted
                | Kind::PolicyTokenCreated
                | Kind::PolicyTokenUpdated
                | Kind::PolicyTokenRotated
                | Kind::PolicyTokenDeleted,
            ) => Self::Token,
            // Of one that is made, so that it can be told whether a role that is lost took away from whoever had another before.
            Some(Kind::RoleCreated | Kind::RoleUpdated) => Self::Role,
            Some(Kind::ApiUpdated | Kind::ApiDeleted) => Self::Api,
            Some(Kind::TokenPolicyUpdated) => Self::TokenPolicy,
            Some(
                Kind::SessionEnded
                | Kind::SessionProven
                | Kind::SessionIdle
                | Kind::UserUpdated
                | Kind::SignInLinkCreated
                | Kind::SignInLinkUsed
                // What was mailed before is replaced by it, or spent.
                | Kind::PasswordResetCreated
                | Kind::PasswordResetUsed
                | Kind::EmailChangeCreated
                | Kind::EmailChangeUndone,
            ) => Self::Sessions,
            Some(
                Kind::SecondFactorAdded
                | Kind::SecondFactorRemoved
                | Kind::RecoveryCodesReplaced
                | Kind::RecoveryCodeUsed,
            ) => Self::SecondFactor,
            Some(Kind::IdentityLinked | Kind::IdentityMoved | Kind::IdentityRemoved) => Self::Identities,
            Some(Kind::PasskeyAdded | Kind::PasskeyRemoved) => Self::Passkeys,
            Some(Kind::SignInPolicyUpdated) => Self::SignIn,
            Some(Kind::SignInRulesUpdated) => Self::Rules,
            Some(Kind::MemberUpdated | Kind::MemberRemoved | Kind::OwnershipTransferred | Kind::InvitationAccepted) => {
                Self::Member
            }
            Some(Kind::InvitationDeleted | Kind::InvitationResent) => Self::Invitation,
            Some(Kind::EnvironmentUpdated) => Self::Environment,
            Some(
                Kind::OrganizationDeleted
                | Kind::RoleDeleted
                | Kind::ProjectDeleted
                | Kind::EnvironmentDeleted
                | Kind::ClusterDeleted,
            ) => Self::Gone,
            Some(Kind::TokensRevoked) => Self::Cut,
            _ => Self::Nothing,
        }
    }
}

/// The entries that a log does not have, which shares all up to `common` with them.
pub fn lost(entries: &[Entry], common: i64) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| entry.position > common)
}

/// What tells things apart of which the last state counts; a member is one of an organization.
pub type Thing = (Option<Uuid>, Uuid, u8);

/// Of which thing an entry has a state.
#[must_use]
pub fn thing(entry: &Entry) -> Option<Thing> {
    let what = match entry.after.as_ref()? {
        After::Token { .. } => 0,
        After::Sessions { .. } => 1,
        After::Member { .. } => 2,
        After::Gone => 3,
        After::Cut { .. } => 4,
        After::SecondFactor { .. } => 5,
        After::Identities { .. } => 6,
        After::SignIn { .. } => 7,
        After::Passkeys { .. } => 8,
        After::Invitation => 9,
        After::Rules { .. } => 10,
        After::Role { .. } => 11,
        After::Api { .. } => 12,
        After::TokenPolicy { .. } => 13,
        After::Environment { .. } => 14,
    };
    Some((entry.organization, entry.target, what))
}

/// What must hold after these: the last state of each thing.
#[must_use]
pub fn net<'e>(lost: impl IntoIterator<Item = &'e Entry>) -> BTreeMap<Thing, &'e Entry> {
    lost.into_iter().filter_map(|entry| Some((thing(entry)?, entry))).collect()
}

/// Lets go of the state of a thing that has a later one in the same journal. What is kept for ever of digests stays, and that links were
/// spent. Is it another entry by that?
pub fn outdate(entry: &mut Entry) -> bool {
    match &mut entry.after {
        Some(After::Token { bounds, .. }) => bounds.take().is_some(),
        Some(After::Member { invitation: Some(_), .. } | After::Invitation | After::Gone) => false,
        after => after.take().is_some(),
    }
}

/// Hashes in hexadecimal.
mod hash {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(|_| D::Error::custom("no hash in hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(position: i64, target: u128, after: Option<After>) -> Entry {
        Entry {
            log: Uuid::from_u128(1),
            position,
            hash: vec![u8::try_from(position).unwrap()],
            time: Time(position),
            kind: "token.deleted".into(),
            organization: None,
            target: Uuid::from_u128(target),
            after,
        }
    }

    fn token(revoked_at: Option<i64>) -> Option<After> {
        let (ends, used) = (Vec::new(), Vec::new());
        Some(After::Token { revoked_at: revoked_at.map(Time), disabled_at: None, ends, used, bounds: None })
    }

    #[test]
    fn what_was_made_is_noted_and_not_waited_for() {
        let made = Entry { kind: "token.created".into(), ..entry(1, 7, token(None)) };
        assert_eq!(Keeps::of(&made.kind), Keeps::Token);
        assert!(!made.lasts() && entry(1, 7, token(Some(1))).lasts() && !entry(1, 7, None).lasts());
    }

    #[test]
    fn whatever_makes_a_right_smaller_is_noted() {
        for (kind, keeps) in [
            (Kind::RoleUpdated, Keeps::Role),
            (Kind::TokenUpdated, Keeps::Token),
            (Kind::PolicyTokenUpdated, Keeps::Token),
            (Kind::TokenBrownoutStarted, Keeps::Token),
            (Kind::ApiUpdated, Keeps::Api),
            (Kind::ApiDeleted, Keeps::Api),
            (Kind::TokenPolicyUpdated, Keeps::TokenPolicy),
            (Kind::EnvironmentUpdated, Keeps::Environment),
            (Kind::RoleDeleted, Keeps::Gone),
            (Kind::ProjectDeleted, Keeps::Gone),
            (Kind::EnvironmentDeleted, Keeps::Gone),
            (Kind::ClusterDeleted, Keeps::Gone),
        ] {
            assert_eq!(Keeps::of(kind.as_str()), keeps);
            assert!(kind.takes_away(), "{}", kind.as_str());
        }
        let not_noted = Kind::ALL.iter().filter(|it| it.takes_away() && Keeps::of(it.as_str()) == Keeps::Nothing);
        let not_noted: Vec<&str> = not_noted.map(|it| it.as_str()).collect();
        assert!(not_noted.is_empty(), "{not_noted:?}");
    }

    #[test]
    fn a_mailed_link_that_another_one_replaced_or_that_was_spent_is_noted() {
        for kind in [
            Kind::SignInLinkCreated,
            Kind::SignInLinkUsed,
            Kind::PasswordResetCreated,
            Kind::PasswordResetUsed,
            Kind::EmailChangeCreated,
            Kind::EmailChangeUndone,
        ] {
            assert_eq!(Keeps::of(kind.as_str()), Keeps::Sessions, "{}", kind.as_str());
        }
    }

    #[test]
    fn an_identity_that_was_moved_is_noted_as_one_that_was_linked() {
        for kind in [Kind::IdentityLinked, Kind::IdentityMoved, Kind::IdentityRemoved] {
            assert_eq!(Keeps::of(kind.as_str()), Keeps::Identities);
        }
    }

    #[test]
    fn what_was_undone_was_not_taken_away() {
        let entries = [entry(1, 7, token(Some(1))), entry(2, 8, token(Some(2))), entry(3, 7, token(None))];
        let net = net(lost(&entries, 0));
        let states: Vec<_> = net.values().map(|entry| entry.position).collect();
        assert_eq!(states, [3, 2], "of each token the last");
        assert_eq!(super::net(lost(&entries, 3)).len(), 0, "the log has all of it");
    }

    #[test]
    fn of_a_state_that_has_a_later_one_only_stays_what_is_final() {
        let bounds = Some(Box::new(TokenBounds::default()));
        let bound = |bounds| After::Token {
            revoked_at: None,
            disabled_at: None,
            ends: Vec::new(),
            used: vec!["00ff".into()],
            bounds,
        };
        let mut token = entry(1, 7, Some(bound(bounds)));
        assert!(outdate(&mut token) && !outdate(&mut token));
        assert_eq!(token.after, Some(bound(None)), "no digest is forgotten");
        let mut role = entry(1, 7, Some(After::Role { rights: RoleRights::Digest(String::new()) }));
        assert!(outdate(&mut role) && role.after.is_none());
        let accepted = After::Member { role: None, invitation: Some(Uuid::from_u128(1)) };
        for last in [After::Gone, After::Invitation, accepted] {
            let mut entry = entry(1, 7, Some(last.clone()));
            assert!(!outdate(&mut entry) && entry.after == Some(last));
        }
    }
}
