//! What can be done: every write once, for the API, the console and the command line alike.
//!
//! A write checks its input and goes through the one door, `App::write`. Knows no HTTP.

pub mod acceptance;
pub mod accounts;
pub mod apis;
pub mod checkpoints;
pub mod cluster_types;
pub mod clusters;
pub mod codes;
pub mod command_line;
mod compare;
pub mod decisions;
pub mod email_changes;
pub mod ended_tokens;
pub mod environments;
pub mod events;
pub mod half_way;
pub mod handed;
mod holders;
pub mod identities;
pub mod identity_moves;
pub mod invitations;
pub mod known;
pub mod limit_warnings;
mod links;
pub mod log;
pub mod log_check;
pub mod log_format;
pub mod mail;
mod mail_left;
mod mail_link;
pub mod members;
pub mod mends;
mod new_text;
pub mod nodes;
pub mod oidc;
pub mod old_secrets;
pub mod organization_creators;
pub mod organizations;
pub mod own_passwords;
mod passkey_use;
pub mod passkeys;
pub mod password_resets;
pub mod passwords;
pub mod pepper_rotation;
pub mod person_mail;
pub mod policy_denials;
pub mod policy_tokens;
pub mod projects;
pub mod proof;
pub mod receipts;
mod recent;
pub mod registration;
pub mod relying_party;
pub mod retention;
pub mod role_trial;
pub mod roles;
pub mod seal;
pub mod second_factor;
pub mod security;
pub mod session_limits;
pub mod sessions;
pub mod set_up;
mod shares;
pub mod sign_in_failures;
pub mod sign_in_methods;
pub mod sign_in_policy;
pub mod sign_in_rules;
pub mod status;
pub mod strangers;
mod takeover;
pub mod throttle;
mod together;
pub mod token_allowance;
pub mod token_attestation;
pub mod token_brownout;
pub mod token_bulk;
pub mod token_creates;
pub mod token_cut;
pub mod token_decision;
pub mod token_effect;
pub mod token_hand_over;
pub mod token_import;
mod token_kinds;
pub mod token_labels;
pub mod token_list;
pub mod token_networks;
pub mod token_order;
pub mod token_overview;
pub mod token_owners;
pub mod token_places;
pub mod token_policy;
pub mod token_refused;
pub mod token_rows;
pub mod token_scope;
pub mod token_use;
pub mod token_warnings;
pub mod tokens;
pub mod turns;
pub mod usage;
pub mod variables;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokenward_core::caller::Grant;
use tokenward_core::event::Event;
use tokenward_core::right::Right;
use tokenward_core::time::Micros;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::idempotency::{self, Claim};
use tokenward_store::{Appended, Position, Store, Tx, as_present, gave_way};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use tokenward_verify::server::{SPANS, Verifier, entries, gateway, of_change};

use crate::coming::Budget;
use crate::issuer::Providers;
use crate::limits::{Limits, RECEIPT_WAIT};
use crate::metrics::Metrics;
use receipts::Committed;
pub use receipts::Effect;
pub use shares::{Read, SharePermit, Shares};
pub use together::Together;

/// What is wrong while [`Live::clients_hidden`], and what to do.
pub const CLIENTS_HIDDEN: &str = "A proxy stands in front of this server, as its address begins with https and TLS is not its \
     own, but trusted_proxies is empty: everybody has the proxy's address, so that one guesser makes all others wait and \
     events name no client. Whoever runs the server sets trusted_proxies to the proxy's address.";

/// All that the service needs; shared by everything that runs.
pub struct App {
    /// What Prometheus is told.
    pub(crate) metrics: Metrics,
    /// Where everything is kept.
    pub store: Store,
    /// Who decides.
    pub verifier: Verifier,
    /// How many tokens each credential makes.
    pub(crate) creates: token_creates::Creates,
    /// What is kept for ever of digests.
    pub(crate) registrations: registration::Registrations,
    /// The only source of links, without a slash at the end.
    pub public_url: String,
    /// The same where the configuration says it: only then are strangers told where the console is.
    pub console_url: Option<String>,
    /// What can be another while it runs.
    pub live: ArcSwap<Live>,
    /// Gateways that ask and are not believed.
    pub strangers: strangers::Strangers,
    /// The limits in force.
    pub limits: Limits,
    /// How much of the database one organization may have at once.
    pub shares: Shares,
    /// Writes that share a commit.
    pub together: Together,
    /// How people sign in.
    pub sign_in: sign_in_methods::SignIn,
    /// How long sessions last.
    pub session_limits: session_limits::SessionLimits,
    /// For which host passkeys are made; `None` where this server is known by an address alone.
    pub passkeys: Option<passkeys::RelyingParty>,
    /// Who else says who somebody is.
    pub providers: Providers,
    /// Passwords are hashed by few at a time.
    pub passwords: passwords::Passwords,
    /// Who signs what the log is like.
    pub checkpoints: checkpoints::Checkpoints,
    /// How long what events say is kept, where an organization does not say less.
    pub event_retention: Option<Micros>,
    /// Whether the log was found to be what was written.
    pub log_check: log_check::LogCheck,
    /// Slows down guessing of passwords.
    pub throttle: throttle::Throttle,
    /// What was tried at accounts.
    pub security: security::Security,
    /// Who wants to choose a new password by mail.
    pub password_resets: password_resets::Queue,
    /// Browsers and networks in which somebody has signed in.
    pub devices: known::Devices,
    /// Was the process told to stop? It answers to the end, and says that it is not ready.
    pub stopping: AtomicBool,
}

/// The settings that are read again while the service runs, all of one reading.
pub struct Live {
    /// Peers that say truly for whom they ask.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Is there a proxy in front that hides who asks?
    pub clients_hidden: bool,
    /// How gateways are listened to.
    pub gateways: gateway::GatewaySettings,
    /// Who may make organizations.
    pub organization_creators: organization_creators::OrganizationCreators,
    /// Who sends mail, where SMTP is configured.
    pub mailer: Option<mail::Mailer>,
}

impl App {
    /// The settings of now. Whoever asks twice in one request may get those of two readings.
    #[must_use]
    pub fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.live.load()
    }
}

/// The result of a write, and its place in the log. It is committed, whatever `effect` says.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// What was asked for.
    pub value: T,
    /// The position from which on it counts.
    pub position: Position,
    /// Where it counts by now.
    pub effect: Effect,
}

impl<T> Written<Result<T>> {
    /// What was granted. A refusal is one though something was written: what it says of who was refused.
    pub(crate) fn granted(self) -> Result<Written<T>> {
        let Self { value, position, effect } = self;
        Ok(Written { value: value?, position, effect })
    }
}

/// How a request wants its changes to be made.
#[derive(Clone, Default)]
pub(crate) struct WriteTerms {
    /// The right to carry it out, where it came with a key. The changes that it makes spend it.
    pub claim: Option<Claim>,
    /// How long to wait until they count on every node, where it says so.
    pub wait: Option<Duration>,
    /// What its body has of the memory for bodies, until they are made.
    pub body: Option<Budget>,
}

/// How often a write is made that had to let others through: in a deadlock, or because the server cannot put it in order.
const TRIES: usize = 4;

tokio::task_local! {
    /// Those of the request that is carried out.
    pub(crate) static TERMS: WriteTerms;
}

impl WriteTerms {
    /// Those of the request that is carried out.
    pub(crate) fn present() -> Self {
        TERMS.try_with(Self::clone).unwrap_or_default()
    }
}

impl App {
    /// What time it is for all who serve from the database: that of the database, where several do. Ends of links, codes and rights,
    /// what is sealed now and opened by another node, and budgets go by it; this node's own clock moves none of them.
    #[must_use]
    pub fn now(&self) -> Time {
        self.store.present()
    }

    /// A connection to read what belongs to an organization, in its turn among the others of that organization. What is read is for
    /// nobody of whom a right was asked: [`read_for`](Self::read_for) is for them.
    pub(crate) async fn read(&self, organization: Uuid) -> Result<Read> {
        let turn = self.shares.read(organization, &self.limits).await?;
        Ok(Read::new(self.store.read().await?, turn))
    }

    /// The same for whoever has a right there. Who had to wait for the turn is asked for it again: it may have been taken back
    /// meanwhile.
    pub(crate) async fn read_for(&self, grant: &Grant) -> Result<Read> {
        self.read_on(grant, None::<()>).await
    }

    /// The same for the part of a long list that comes after another one. The right is asked again: what was there when the
    /// list began may have been taken back since.
    pub(crate) async fn read_on(&self, grant: &Grant, after: Option<impl Sized>) -> Result<Read> {
        let turn = self.shares.read(grant.organization(), &self.limits).await?;
        let waited = turn.waited();
        let mut read = Read::new(self.store.read().await?, turn);
        if waited || after.is_some() {
            self.store.stands_in(read.conn(), grant).await?;
        }
        Ok(read)
    }

    /// A turn to write what the log does not tell, among the other writes of the same organization or user.
    pub(crate) async fn turn_to_write(&self, holder: Uuid) -> Result<SharePermit> {
        self.shares.write(holder, &self.limits).await
    }

    /// The only way to write: one transaction that asks the right again, changes rows, and tells the log.
    ///
    /// `work` gets the transaction and the right as it is now, which is what it must use and not the one it was made
    /// from; it answers its result and the events of the change. Everything that the change depends on is read there,
    /// since nobody else writes until it is committed. It runs in a task of its own, so that a client that hangs up
    /// cancels nothing, and answers when the change counts in the local index, or when that takes too long; where it takes
    /// something away, when it counts on every node, or that takes too long. What is committed is never answered as if it
    /// were not.
    pub(crate) async fn write<R, T, W>(self: &Arc<Self>, right: R, work: W) -> Result<Written<T>>
    where
        R: Right,
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx, &'t R) -> Work<'t, T> + Clone + Send + Sync + 'static,
    {
        let app = Arc::clone(self);
        let terms = WriteTerms::present();
        let (done, written) = oneshot::channel();
        let span = tracing::trace_span!(target: SPANS, "write", events = tracing::field::Empty);
        let told = span.clone();
        // A box, so that the runtime's part of a task is compiled once and not for every write there is.
        let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            let _body = terms.body.clone();
            let write = async {
                let turn = match right.rests_on().and_then(|on| on.organization) {
                    Some(organization) => Some(app.shares.write(organization, &app.limits).await?),
                    None => None,
                };
                let attempt = async |work: W| {
                    let begun = app.store.clock().steady();
                    let (mut tx, right) = app.store.begin(&right).await?;
                    let at = tx.now();
                    if let Some(claim) = &terms.claim {
                        idempotency::spend(&mut tx, claim).await?;
                    }
                    let (value, events) = work(&mut tx, &right).await?;
                    if events.iter().any(|event| event.kind.takes_away()) {
                        // Before it is done: what is taken away must be noted where no restored database brings it back.
                        app.verifier.make_room().await?;
                    }
                    // Where the database can be lost to a server that lacks it, it is noted by whoever answers for it.
                    let noted =
                        if app.store.is_shared() { of_change(tx.conn(), events.iter()).await? } else { Vec::new() };
                    let appends = app.store.clock().steady();
                    let told: Vec<_> = events.iter().map(|event| (right.by(), event)).collect();
                    let Appended { position, events: rows, .. } = tx.commit_shared(&told).await?;
                    let noted = entries(noted, position.incarnation, &rows);
                    let ends = app.store.clock().steady();
                    if events.iter().any(|event| event.kind.takes_away()) {
                        app.verifier.will_be_asked(ends);
                    }
                    app.metrics.wrote(&events, elapsed(begun, ends), elapsed(appends, ends));
                    let committed = Committed::within(position, begun, at, ends);
                    Ok::<_, Error>((value, events, noted, committed))
                };
                let mut tries = TRIES;
                let (value, events, noted, committed) = loop {
                    tries -= 1;
                    match attempt(work.clone()).await {
                        // All of it was taken back, and what it was in the way of is done.
                        Err(error) if tries > 0 && gave_way(&error) => {}
                        attempted => break attempted?,
                    }
                };
                // The next one need not wait until this one counts.
                drop(turn);
                if !told.is_disabled() {
                    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
                    told.record("events", kinds.join(" "));
                }
                app.security.note_events(&events, right.by());
                let takes_away = events.iter().any(|event| event.kind.takes_away());
                let wait = terms.wait.or(takes_away.then(|| app.limits.time(&RECEIPT_WAIT)));
                let effect = receipts::effect(&app, committed, noted, wait).await?;
                Ok(Written { value, position: committed.position(), effect })
            };
            // Who asked may have gone away.
            let _ = done.send(write.await);
        });
        tokio::spawn(as_present(task.instrument(span)));
        written.await.unwrap_or_else(|_| Err(Error::internal("a write broke off")))
    }
}

/// Between two times of the steady clock.
fn elapsed(begun: Micros, ends: Micros) -> Duration {
    Duration::from_micros((ends - begun).max(0).unsigned_abs())
}

/// What a write does inside its transaction. A box, because no bound can say of an `async` closure that what it makes
/// may go to another thread.
pub(crate) type Work<'t, T> = Pin<Box<dyn Future<Output = Result<(T, Vec<Event>)>> + Send + 't>>;

/// Which version of a thing a change is meant for: the value of `If-Match`, when it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct IfMatch(pub Option<Time>);

impl IfMatch {
    /// 412 when the thing was changed since the caller read it.
    pub(crate) fn check(self, version: Time) -> Result<()> {
        match self.0 {
            Some(wanted) if wanted != version => Err(Error::new(
                Code::PreconditionFailed,
                "This was changed since you read it. Read it again, and send your change with the new ETag.",
            )),
            _ => Ok(()),
        }
    }
}
