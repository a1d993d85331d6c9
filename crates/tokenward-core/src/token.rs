//! API tokens as everybody outside the store sees them.

use uuid::Uuid;

use crate::actor::ActorKind;
use crate::time::{DAY, Micros, Time};

/// How long a deleted token still answers `revoked`; afterwards it is `unknown`.
pub const TOMBSTONE: Micros = 90 * DAY;

/// An API token, without its secrets: what lists and details show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// The organization whose API it opens.
    pub organization_id: Uuid,
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
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// From when on it is refused.
    pub expires_at: Option<Time>,
    /// The last four characters of its newest secret.
    pub last_four: String,
    /// Which secret that is: 1 is a token's first.
    pub version: u16,
}

/// One secret of a token. A rotation adds one; those before it end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenVersion {
    /// The token.
    pub token_id: Uuid,
    /// 1 is the first.
    pub version: u16,
    /// When it was made.
    pub created_at: Time,
    /// From when on it is refused; `None` for as long as the token is accepted.
    pub expires_at: Option<Time>,
    /// The last four characters of its text.
    pub last_four: String,
}

/// When a secret ends, whose token ends at `token` and which a newer one replaces at `secret`; and whether the latter is
/// the reason.
#[must_use]
pub fn first_end(token: Option<Time>, secret: Option<Time>) -> (Option<Time>, bool) {
    let replaced = secret.is_some_and(|at| token.is_none_or(|end| at < end));
    (if replaced { secret } else { token }, replaced)
}

/// What a token can be in. A living token becomes `Revoked` once, and never anything else after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Accepted, within its time.
    Active,
    /// Switched off for now.
    Disabled,
    /// Taken back for good, since that moment.
    Revoked(Time),
}
