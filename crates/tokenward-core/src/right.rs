//! On what a write rests, and how it is asked again.
//!
//! A right is checked when a request comes, against what is in memory. By the time its body is there and its
//! transaction has begun, the token may be revoked, the role changed, the member removed. So the store asks once more,
//! inside the transaction: it looks up what a [`Right`] rests on and has the right judge that [`Basis`].
//! Nobody outside this crate can invent a right: the trait is sealed, and what rests on a credential
//! ([`Grant`](crate::caller::Grant), [`Person`](crate::caller::Person)) comes only from a [`Caller`](crate::caller::Caller).

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::decision::{Credential, PolicyOutcome, Subject};
use crate::directory::Resource;
use crate::error::Result;
use crate::event::{Actor, By};
use crate::role::{Role, Target};
use crate::sign_in::Shortfall;
use crate::time::Time;

pub(crate) mod sealed {
    /// Only this crate says what is a right.
    pub trait Sealed {}
}

impl sealed::Sealed for Visitor {}
impl sealed::Sealed for Operator {}
impl sealed::Sealed for Keeper {}

/// Somebody's right to write something.
pub trait Right: sealed::Sealed + Clone + Send + Sync + 'static {
    /// Who acts, for the log.
    fn by(&self) -> &By;

    /// What to look up before the right is used; `None` where there is no credential that could have ended.
    fn rests_on(&self) -> Option<RestsOn>;

    /// The right as it is now, after what it rests on was looked up. The error says what became of it.
    fn renewed(&self, basis: Basis, now: Time) -> Result<Self>;
}

/// What a right rests on, by the ids under which the store keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RestsOn {
    /// The token or session.
    pub credential: Uuid,
    /// Which of the two it is, and whose.
    pub subject: Subject,
    /// Where the right holds; `None` for what somebody does with the own account.
    pub organization: Option<Uuid>,
    /// What it is about there.
    pub resource: Resource,
    /// From where it is used.
    pub address: Option<IpAddr>,
    /// Which version of the token's policy has allowed the request.
    pub policy: Option<Time>,
}

/// What the rows say of it, inside the transaction.
#[derive(Clone, Debug)]
pub struct Basis {
    /// The credential; `None` when it is gone.
    pub credential: Option<Credential>,
    /// Its role in the organization; `None` when it has none there any more, or none was asked for.
    pub role: Option<Arc<Role>>,
    /// What the right is about.
    pub target: Target,
    /// Is it used from outside the networks that the credential is bound to?
    pub outside: bool,
    /// What the policy of the credential says: that which has allowed the request may be another one by now.
    pub policy: PolicyOutcome,
    /// When whoever is signed in last proved by the password who it is; `None` for a token, which is no person.
    pub proven_at: Option<Time>,
    /// What the organization asks of the session beyond what it proves.
    pub shortfall: Option<Shortfall>,
}

/// Somebody without a credential, who proves the right in the transaction itself: by a link or a password that is
/// compared and spent there.
#[derive(Clone, Debug)]
pub struct Visitor(By);

impl Visitor {
    /// Whoever came from there.
    #[must_use]
    pub fn new(by: By) -> Self {
        Self(by)
    }

    /// A visitor who has just proved to be this user.
    #[must_use]
    pub fn proven(self, id: Uuid, email: &str) -> Self {
        Self(By { actor: Actor::User { id, email: email.to_owned() }, ..self.0 })
    }
}

impl Right for Visitor {
    fn by(&self) -> &By {
        &self.0
    }

    fn rests_on(&self) -> Option<RestsOn> {
        None
    }

    fn renewed(&self, _: Basis, _: Time) -> Result<Self> {
        Ok(self.clone())
    }
}

/// Whoever may run commands on the machine that holds the database.
#[derive(Clone, Debug)]
pub struct Operator(By);

impl Operator {
    /// For the commands that need no server, and for nothing else: a test holds the list of those who call this.
    #[must_use]
    pub fn at_this_machine() -> Self {
        Self(By::operator())
    }
}

impl Right for Operator {
    fn by(&self) -> &By {
        &self.0
    }

    fn rests_on(&self) -> Option<RestsOn> {
        None
    }

    fn renewed(&self, _: Basis, _: Time) -> Result<Self> {
        Ok(self.clone())
    }
}

/// A node, for what its journal knows and the database has forgotten: it takes away again what was taken away, and nothing
/// else.
#[derive(Clone, Debug)]
pub struct Keeper(By);

impl Keeper {
    /// The node of this name.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self(By { user_agent: Some(format!("node {node}")), ..By::operator() })
    }
}

impl Right for Keeper {
    fn by(&self) -> &By {
        &self.0
    }

    fn rests_on(&self) -> Option<RestsOn> {
        None
    }

    fn renewed(&self, _: Basis, _: Time) -> Result<Self> {
        Ok(self.clone())
    }
}
