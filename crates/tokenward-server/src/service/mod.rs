//! What can be done: every write once, for the API, the console and the command line alike.
//!
//! A write checks its input, runs one transaction with its event, and answers after the change counts in the
//! local index. It runs in a task of its own: a client that hangs up cancels nothing. Knows no HTTP.

pub mod accounts;
pub mod apis;
pub mod clusters;
pub mod decisions;
pub mod environments;
pub mod events;
pub mod invitations;
mod links;
pub mod mail;
pub mod members;
pub mod organizations;
pub mod passwords;
pub mod projects;
pub mod roles;
pub mod seal;
pub mod sessions;
pub mod set_up;
pub mod throttle;
pub mod tokens;
pub mod usage;
pub mod variables;

use std::future::Future;
use std::sync::Arc;

use tokenward_core::event::{By, Event};
use tokenward_core::role::{BuiltIn, Role, RoleKind};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::{Position, Store, Tx};

use tokenward_verify::{Verifier, gateway};

use crate::limits::Limits;

/// All that the service needs; shared by everything that runs.
pub struct App {
    /// Where everything is kept.
    pub store: Store,
    /// Who decides.
    pub verifier: Verifier,
    /// The only source of links, without a slash at the end.
    pub public_url: String,
    /// Peers that say truly for whom they ask.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// How gateways are listened to.
    pub gateways: gateway::Settings,
    /// The limits in force.
    pub limits: Limits,
    /// Passwords are hashed by few at a time.
    pub passwords: passwords::Passwords,
    /// Slows down guessing of passwords.
    pub throttle: throttle::Throttle,
    /// Who sends mail, where SMTP is configured.
    pub mailer: Option<mail::Mailer>,
    /// The first start's one-time link.
    pub set_up: set_up::SetUp,
}

/// The result of a write, and its place in the log.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// What was asked for.
    pub value: T,
    /// The position from which on it counts.
    pub position: Position,
}

impl App {
    /// The present time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.store.now()
    }

    /// Commits, and waits until the change counts here.
    pub(crate) async fn commit<T>(&self, tx: Tx, by: &By, events: &[Event], value: T) -> Result<Written<T>> {
        let position = tx.commit(by, events).await?;
        self.verifier.reached(position).await?;
        Ok(Written { value, position })
    }
}

/// Runs a write in a task of its own.
pub(crate) async fn detached<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Error::internal(error)))
}

/// Which version of a thing a change is meant for: the value of `If-Match`, when it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct IfMatch(pub Option<i64>);

impl IfMatch {
    /// 412 when the thing was changed since the caller read it.
    pub(crate) fn check(self, version: i64) -> Result<()> {
        match self.0 {
            Some(wanted) if wanted != version => Err(Error::new(
                Code::PreconditionFailed,
                "This was changed since you read it. Read it again, and send your change with the new ETag.",
            )),
            _ => Ok(()),
        }
    }
}

/// The role with this id in an organization, for a body that names one: 400 when it is absent or foreign, and
/// for the owner role, which is never given to anybody.
pub(crate) fn assignable_role(app: &Arc<App>, organization: Uuid, role: Uuid) -> Result<Arc<Role>> {
    let directory = app.verifier.directory();
    let role = directory.organization(organization).and_then(|organization| organization.role(role)).cloned();
    match role {
        Some(role) if role.is_owner() => {
            Err(Error::invalid("role_id", "is the owner role, which moves only by a transfer of ownership"))
        }
        Some(role) => Ok(role),
        None => Err(Error::invalid("role_id", "is not a role of this organization; see availableRole")),
    }
}

/// A built-in role of an organization.
pub(crate) fn built_in_role(app: &Arc<App>, organization: Uuid, wanted: BuiltIn) -> Result<Arc<Role>> {
    let directory = app.verifier.directory();
    let mut roles = directory.organization(organization).into_iter().flat_map(|organization| organization.roles());
    let found = roles.find(|role| role.kind == RoleKind::BuiltIn(wanted)).cloned();
    found.ok_or_else(|| Error::not_found("organization"))
}
