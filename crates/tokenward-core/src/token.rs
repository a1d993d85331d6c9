//! API tokens as everybody outside the store sees them.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::actor::ActorKind;
use crate::brownout::Brownout;
use crate::label::Labels;
use crate::life::{DisabledBecause, Life};
use crate::meter::{Allowance, Meter};
use crate::network::{Networks, NotedNetwork};
use crate::role::{Places, Scope};
use crate::secret::Kind;
use crate::time::{Micros, Time};
use crate::word::words;

/// An API token, without its secrets: what lists and details show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// The organization whose API it opens.
    pub organization_id: Uuid,
    /// API token or policy token.
    pub kind: Kind,
    /// The role it acts as.
    pub role_id: Uuid,
    /// The name of that role now.
    pub role_name: String,
    /// Unique among the living tokens of the organization.
    pub name: String,
    /// For people; `None` when it was never given.
    pub description: Option<String>,
    /// Who made it, as shown to people; `None` after that person was erased.
    pub creator_name: Option<String>,
    /// What kind of actor made it.
    pub creator_kind: Option<ActorKind>,
    /// The id of the user or token that made it. Who made a token is compared by this, never by a name.
    pub creator_id: Option<Uuid>,
    /// The member who is accountable for it.
    pub owner_id: Option<Uuid>,
    /// That member's e-mail address.
    pub owner_name: Option<String>,
    /// The member who becomes its owner when that one leaves.
    pub successor_id: Option<Uuid>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// From when on it is accepted; `None` from the beginning.
    pub not_before: Option<Time>,
    /// From when on it is refused.
    pub expires_at: Option<Time>,
    /// The networks that it is bound to; from everywhere where there are none.
    pub networks: Vec<NotedNetwork>,
    /// Words by which it is found.
    pub labels: Labels,
    /// What else its users keep with it: a JSON object.
    pub metadata: Option<String>,
    /// The permissions that it is narrowed to; all of its role where there are none.
    pub permissions: Vec<String>,
    /// The projects and environments that it is narrowed to.
    pub places: Places,
    /// How fast and how much it may be used.
    pub allowance: Allowance,
    /// The last four characters of its newest secret.
    pub last_four: String,
    /// Which secret that is: 1 is a token's first.
    pub version: u16,
    /// Since when it is switched off; `None` while it is on.
    pub disabled_at: Option<Time>,
    /// What became of it over time.
    pub life: Life,
    /// That it was taken back; `None` while it lives.
    pub revocation: Option<Revocation>,
}

impl Token {
    /// One that is made at this moment, of which nothing else is said.
    #[must_use]
    pub fn new(
        id: Uuid,
        organization_id: Uuid,
        kind: Kind,
        (role_id, role_name): (Uuid, String),
        name: String,
        now: Time,
    ) -> Self {
        Self {
            id,
            organization_id,
            kind,
            role_id,
            role_name,
            name,
            description: None,
            creator_name: None,
            creator_kind: None,
            creator_id: None,
            owner_id: None,
            owner_name: None,
            successor_id: None,
            created_at: now,
            updated_at: now,
            not_before: None,
            expires_at: None,
            networks: Vec::new(),
            labels: Labels::new(),
            metadata: None,
            permissions: Vec::new(),
            places: Places::default(),
            allowance: Allowance::default(),
            last_four: String::new(),
            version: 1,
            disabled_at: None,
            life: Life::default(),
            revocation: None,
        }
    }

    /// From when on it is accepted, as things are now.
    #[must_use]
    pub fn begin(&self, now: Time) -> Time {
        begin(self.not_before, now)
    }

    /// The same, switched off at this moment or on, by hand.
    #[must_use]
    pub fn switched(&self, disabled_at: Option<Time>, updated_at: Time) -> Self {
        Self { disabled_at, updated_at, life: self.life.switched(disabled_at.is_some(), updated_at), ..self.clone() }
    }

    /// The same, switched off at this moment for a reason of its own.
    #[must_use]
    pub fn disabled_because(&self, because: DisabledBecause, at: Time, updated_at: Time) -> Self {
        let life = Life { disabled_because: Some(because), ..self.life };
        Self { disabled_at: Some(at), updated_at, life, ..self.clone() }
    }

    /// What it is in, at this moment.
    #[must_use]
    pub fn state(&self, now: Time) -> TokenState {
        if self.revocation.is_some() {
            TokenState::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            TokenState::Expired
        } else if self.disabled_at.is_some() {
            TokenState::Disabled
        } else if self.not_before.is_some_and(|at| now < at) {
            TokenState::NotYetValid
        } else if self.life.brownout.is_some_and(|it| it.refuses(now)) {
            TokenState::Brownout
        } else {
            TokenState::Active
        }
    }
}

/// From when on a token is accepted that is made or changed now.
#[must_use]
pub fn begin(not_before: Option<Time>, now: Time) -> Time {
    not_before.map_or(now, |at| at.max(now))
}

words! {
    /// What a token is in, as lists and answers say it.
    TokenState {
        /// It is accepted.
        Active = "active",
        /// It is switched off, and can be switched on again.
        Disabled = "disabled",
        /// Its time has not begun.
        NotYetValid = "not_yet_valid",
        /// It is refused for some minutes, to learn who would miss it.
        Brownout = "brownout",
        /// Its time is over.
        Expired = "expired",
        /// It was taken back.
        Revoked = "revoked",
    }
}

words! {
    /// Which tokens a list has.
    #[derive(Default)]
    TokenFilter {
        /// Those that have not ended: active, switched off, or not yet valid.
        #[default]
        Living = "living",
        /// Those that are accepted.
        Active = "active",
        /// Those that are switched off.
        Disabled = "disabled",
        /// Those whose time has not begun.
        NotYetValid = "not_yet_valid",
        /// Those that have a brownout: they are refused in its windows, now or later.
        Brownout = "brownout",
        /// Those whose time is over.
        Expired = "expired",
        /// Those that were taken back.
        Revoked = "revoked",
        /// Those that have ended: expired or revoked.
        Ended = "ended",
        /// Those that were not taken back.
        Kept = "kept",
        /// All of them.
        All = "all",
    }
}

impl TokenFilter {
    /// Is a token on the list, as it is at this moment?
    #[must_use]
    pub fn takes(self, token: &Token, now: Time) -> bool {
        let state = token.state(now);
        match self {
            Self::Living => !matches!(state, TokenState::Expired | TokenState::Revoked),
            Self::Active => state == TokenState::Active,
            Self::Disabled => state == TokenState::Disabled,
            Self::NotYetValid => state == TokenState::NotYetValid,
            // Between its windows too: a window is too short to look for who is in it.
            Self::Brownout => {
                let is_accepted_besides =
                    matches!(state, TokenState::Active | TokenState::NotYetValid | TokenState::Brownout);
                is_accepted_besides && token.life.brownout.is_some_and(|it| !it.is_over(now))
            }
            Self::Expired => state == TokenState::Expired,
            Self::Revoked => state == TokenState::Revoked,
            Self::Ended => matches!(state, TokenState::Expired | TokenState::Revoked),
            Self::Kept => state != TokenState::Revoked,
            Self::All => true,
        }
    }
}

words! {
    /// Why a token is taken back: those of X.509 (RFC 5280 §5.3.1) that fit a token.
    RevokeReason {
        /// Nobody said.
        Unspecified = "unspecified",
        /// Somebody else has its secret, or may have it.
        KeyCompromise = "key_compromise",
        /// Another token has taken its place.
        Superseded = "superseded",
        /// What used it is no more.
        Cessation = "cessation",
        /// Whoever used it may not any more.
        PrivilegeWithdrawn = "privilege_withdrawn",
    }
}

/// That a token was taken back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revocation {
    /// When.
    pub at: Time,
    /// Why.
    pub reason: RevokeReason,
    /// What was noted about it.
    pub note: Option<String>,
    /// By whom, as shown to people.
    pub by_name: Option<String>,
    /// What kind of actor that was.
    pub by_kind: Option<ActorKind>,
    /// The id of that user or token.
    pub by_id: Option<Uuid>,
}

/// That all tokens of an organization were taken back at once which had been made up to a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The id of the last of them: ids are in the order of their creation.
    pub through: Uuid,
    /// When they were taken back.
    pub at: Time,
}

impl Cut {
    /// The state of a token of an organization with this cut, whose own is `state`.
    #[must_use]
    pub fn state_of(cut: Option<Self>, token: Uuid, state: State) -> State {
        match (cut, state) {
            // What was taken back before stays as it is.
            (_, State::Revoked(_)) => state,
            (Some(cut), _) if token <= cut.through => State::Revoked(cut.at),
            _ => state,
        }
    }
}

/// One secret of a token. A rotation adds one; those before it end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenVersion {
    /// 1 is the first.
    pub version: u16,
    /// When it was made.
    pub created_at: Time,
    /// From when on it is refused; `None` for as long as the token is accepted.
    pub expires_at: Option<Time>,
    /// The last four characters of its text.
    pub last_four: String,
    /// Of one that was replaced: it also ends after so long a silence.
    pub silent_for: Option<Micros>,
}

/// What a token is bound to besides its role and its end, ready to be asked. Few tokens are.
#[derive(Clone, Default, Debug)]
pub struct Restrictions {
    /// From when on it is accepted.
    pub not_before: Option<Time>,
    /// From which networks; `None` is from everywhere.
    pub networks: Option<Networks>,
    /// To which permissions of its role it is narrowed; `None` is to none.
    pub scope: Option<Box<Scope>>,
    /// How fast and how much it may be used.
    pub allowance: Allowance,
    /// In which minutes it is refused, to learn who would miss it.
    pub brownout: Option<Brownout>,
    /// How much it was; the index has it where there is an allowance.
    pub meter: Option<Arc<Meter>>,
}

impl Restrictions {
    /// The same where that is nothing: `None`.
    #[must_use]
    pub fn some(self) -> Option<Self> {
        let Self { not_before, networks, scope, allowance, brownout, .. } = &self;
        let bound = not_before.is_some()
            || networks.is_some()
            || scope.is_some()
            || brownout.is_some()
            || !allowance.is_unlimited();
        bound.then_some(self)
    }

    /// Does somebody stand outside the networks who comes from this address? Whoever comes from nowhere known does.
    #[must_use]
    pub fn exclude(&self, address: Option<IpAddr>) -> bool {
        let Some(networks) = &self.networks else { return false };
        !address.is_some_and(|address| networks.contains(address))
    }
}

/// When a secret ends, whose token ends at `token` and which a newer one replaces at `secret`; and whether the latter is
/// the reason.
#[must_use]
pub fn first_end(token: Option<Time>, secret: Option<Time>) -> (Option<Time>, bool) {
    let replaced = secret.is_some_and(|at| token.is_none_or(|end| at < end));
    (if replaced { secret } else { token }, replaced)
}

/// What a token can be in. A living token becomes `Revoked`, and nothing else after, unless somebody undoes that within the
/// hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Accepted, within its time.
    Active,
    /// Switched off for now.
    Disabled,
    /// Taken back, since that moment.
    Revoked(Time),
}

impl State {
    /// The state of a token that was taken back and switched off at these moments, if it was.
    #[must_use]
    pub fn of(revoked_at: Option<Time>, disabled_at: Option<Time>) -> Self {
        match (revoked_at, disabled_at) {
            (Some(at), _) => Self::Revoked(at),
            (None, Some(_)) => Self::Disabled,
            (None, None) => Self::Active,
        }
    }
}
