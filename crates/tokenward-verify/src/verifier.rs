//! The only verification path: text in, decision out, all from memory, nothing awaited.
//!
//! The HTTP endpoints, the gateways, the console and our own API's authentication come here, and so does
//! [`Embedded`](crate::Embedded).

mod ended;
mod keeping;
mod policies;
mod reached;
mod reuse;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenward_core::caller::Caller;
use tokenward_core::decision::{Ask, Decision, Facts, PolicyOutcome, Standing, decide};
use tokenward_core::directory::{Directory, Organization};
use tokenward_core::event::{Actor, By, Origin};
use tokenward_core::index::{FoundRecord, Index, Slot};
use tokenward_core::meter::{Meter, Metered};
use tokenward_core::permission::{Management, Permission};
use tokenward_core::reason::Reason;
use tokenward_core::role::{BuiltIn, Role, RoleKind, Target};
use tokenward_core::secret::{Digest, InnerDigest, Kind, Pepper, Prefixes, Presented};
use tokenward_core::sync::lock;
use tokenward_core::time::{HOUR, MINUTE, Micros};
use tokenward_core::token::{Cut, State};
use tokenward_core::{Clock, Code, Error, Result, Time, Uuid, lease};
use tokenward_store::quotas;
use tokenward_store::usage::TokenUsage;
use tokenward_store::{Places, Position, Reader, Store};
use tokio::task::JoinHandle;

use crate::credential::{TOKEN_IN_PATH, stands_in_path};
use crate::described::Description;
use crate::follow::Followed;
use crate::guard;
use crate::hints;
use crate::journal::{Journal, aside};
use crate::node::{Follower, NodeTerms};
use crate::pending::Exercised;
use crate::policy::asked::{AskedRequest, PolicyPass};
use crate::policy::denials::PolicyDenied;
use crate::question::{Asking, Presenter, Question, Request, SPANS};
use crate::record::{DecisionFact, KeptDecision};
use crate::refusals::{Refusals, Refused};
use crate::registry::{Reached, This};
use crate::rekey::Rekeys;
use crate::reuse::Reused;
use crate::sampled::Sampled;
use crate::session_uses::SessionUses;
use crate::trace::DecisionId;
use crate::usage::Uses;
use crate::watch::Watch;
use ended::Looked;

#[cfg(feature = "policies")]
pub use policies::TriedBy;

/// How long the follower may take to take its leave.
const LEAVE: Duration = Duration::from_secs(2);
/// How long a write waits for its own change to reach the index, before it says that it has not yet.
const CATCH_UP: Duration = Duration::from_secs(5);

/// How often nodes tell each other what was used of quotas.
const SHARE: Duration = Duration::from_secs(5);
/// Tokens whose use is written before a list that is sorted by it: more would hold it up.
const FEW_USES: usize = 1_000;
/// Quotas that one transaction writes: others wait for it.
const QUOTAS_AT_ONCE: usize = 500;

/// What was used of a quota and is not told yet. What is left of it goes back where it came from.
struct Untold {
    token: Uuid,
    meter: Arc<Meter>,
    window: u32,
    used: u32,
}

impl Untold {
    fn of((token, meter): (Uuid, Arc<Meter>)) -> Option<Self> {
        let (window, used) = meter.take_untold()?;
        Some(Self { token, meter, window, used })
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        if self.used > 0 {
            self.meter.put_back(self.window, self.used);
        }
    }
}

/// Decides about presented texts. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Arc<Shared>);

struct Shared {
    followed: Followed,
    /// May there be other nodes?
    shared: bool,
    terms: NodeTerms,
    peppers: Vec<Pepper>,
    prefixes: Prefixes,
    clock: Arc<dyn Clock>,
    uses: Uses,
    session_uses: SessionUses,
    rekeys: Rekeys,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    guard: guard::MissGuard,
    refusals: Refusals,
    denials: Sampled<PolicyDenied>,
    reuses: Sampled<Reused>,
    /// Do passwords prove nothing here?
    no_passwords: AtomicBool,
}

/// The answer, with what is known of the token. `found` is absent for `malformed`, `unknown`, and what has ended: of that no
/// more is in memory than why.
#[derive(Clone, Copy, Debug)]
pub struct CheckOutcome<'a> {
    /// The decision.
    pub decision: Decision<'a>,
    /// The token, its organization and its role.
    pub found: Option<(FoundRecord<'a>, &'a Organization, &'a Role)>,
    /// What is left of the limits of the token, where it has some and was used.
    pub metered: Option<Metered>,
    /// When it is refused next for some minutes, where that is so.
    pub brownout: Option<Time>,
    /// The name under which the decision is remembered for a while.
    pub id: DecisionId<'a>,
}

/// From where a request came, for the log.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its own words for itself.
    pub user_agent: Option<String>,
    /// Which kind of client it is.
    pub origin: Origin,
    /// That the policy of its token has allowed the request; `None` where it was not asked.
    pub policy: Option<PolicyPass>,
}

impl Client {
    /// The actor's doing, from here.
    #[must_use]
    pub fn by(&self, actor: Actor) -> By {
        By { actor, origin: self.origin, address: self.address, user_agent: self.user_agent.clone() }
    }
}

impl AsRef<Followed> for Verifier {
    fn as_ref(&self) -> &Followed {
        &self.0.followed
    }
}

/// Where a secret lies in memory.
pub enum Placed<'a> {
    /// One of ours: by the last four characters of its text.
    LastFour(&'a str),
    /// One that somebody else made: by its digest.
    Digest(Digest),
}

impl Verifier {
    /// Becomes a node: loads everything into memory and follows the log from then on. Answers when it may decide.
    pub async fn start(store: Store, peppers: Vec<Pepper>, prefixes: Prefixes, terms: NodeTerms) -> Result<Self> {
        let journal = match &terms.journal {
            Some(path) => Journal::open(path, store.now()).map_err(|error| Error::unavailable(error.to_string()))?,
            None => Journal::in_memory(),
        };
        let verifier = Self(Arc::new(Shared {
            followed: Followed::noting(journal),
            shared: store.is_shared(),
            terms: terms.clone(),
            peppers,
            prefixes,
            clock: Arc::clone(store.clock()),
            uses: Uses::new(store.now(), store.random()),
            session_uses: SessionUses::default(),
            rekeys: Rekeys::default(),
            tasks: Mutex::default(),
            guard: guard::MissGuard::default(),
            refusals: Refusals::default(),
            denials: Sampled::every(MINUTE),
            reuses: Sampled::every(HOUR),
            no_passwords: AtomicBool::new(false),
        }));
        let listens = terms.listens(&store).then(|| store.clone());
        let watch = store.is_shared().then(|| Watch::new(&store, &terms));
        let newest = verifier.0.peppers.iter().map(|pepper| pepper.version).max().unwrap_or(0);
        let mut follower = Follower::new(store, terms, newest);
        follower.begin(&verifier.0.followed).await?;
        verifier.spawn(follower.run(verifier.clone()));
        if let Some(watch) = watch {
            verifier.spawn(watch.run(verifier.clone()));
        }
        if let Some(store) = listens {
            verifier.spawn(hints::hear(store, verifier.clone()));
        }
        Ok(verifier)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.0.tasks).push(tokio::spawn(task));
    }

    /// Stops following: from now on it answers 503. Answers when nothing of it uses the store any more.
    pub async fn stop(&self) {
        self.0.followed.stop();
        let _at_rest = self.0.uses.at_rest().await;
        let _written = self.0.uses.pending.at_rest().await;
        let tasks = std::mem::take(&mut *lock(&self.0.tasks));
        for mut task in tasks {
            // The follower takes its leave from the others, as far as the database lets it.
            if tokio::time::timeout(LEAVE, &mut task).await.is_ok() {
                continue;
            }
            task.abort();
            // An aborted task ends with an error; that is what was wanted.
            let _ = task.await;
        }
    }

    /// May it answer? While it may not, a caller must answer 503.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.require_ready().is_ok()
    }

    /// What the organizations consist of now.
    #[must_use]
    pub fn directory(&self) -> arc_swap::Guard<Arc<Directory>> {
        self.0.followed.index.directory()
    }

    /// The labels and the metadata of a token that was not taken back, where it has some.
    #[must_use]
    pub fn description(&self, token: Uuid) -> Option<Arc<Description>> {
        self.0.followed.descriptions.get(token)
    }

    /// The index, to measure it.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.0.followed.index
    }

    /// The guard against guessing, to set its budget.
    #[must_use]
    pub fn guard(&self) -> &guard::MissGuard {
        &self.0.guard
    }

    /// The accepted prefixes.
    #[must_use]
    pub fn prefixes(&self) -> &Prefixes {
        &self.0.prefixes
    }

    /// The pepper for new digests: the newest that every node holds.
    #[must_use]
    pub fn pepper(&self) -> &Pepper {
        let peppers = &self.0.peppers;
        // With what another node does not hold it would find nothing, and say so.
        let held = |pepper: &Pepper| !self.0.shared || pepper.version <= self.0.followed.registry.pepper();
        // `pepper::load` gives at least one or fails.
        let last = peppers.len() - 1;
        &peppers[peppers.iter().position(held).unwrap_or(last)]
    }

    /// All peppers, the newest first: with each of them something may still be digested or sealed.
    #[must_use]
    pub fn peppers(&self) -> &[Pepper] {
        &self.0.peppers
    }

    /// The position up to which changes count here.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.0.followed.position()
    }

    /// Bytes of its journal; none where there is no file.
    #[must_use]
    pub fn journal_bytes(&self) -> u64 {
        self.0.followed.journal.bytes()
    }

    /// Waits at most so long until what stands at `position` counts here. Does it?
    pub async fn look_for(&self, position: Position, patience: Duration) -> bool {
        self.0.followed.look_for(position.number, patience).await
    }

    /// Waits at most so long until the change at `position`, which counts here, counts on every node that decides. It was
    /// committed before `since`, by the steady clock.
    pub async fn everywhere(&self, position: Position, since: Micros, patience: Duration) -> Reached {
        if !self.0.shared {
            // Nobody else decides who is known.
            return Reached::Everywhere { nodes: 1 };
        }
        let this = This { id: self.node(), bound: self.0.terms.bound() };
        self.0.followed.registry.everywhere(this, position.number, since, patience).await
    }

    /// May be said that something counts everywhere, by rows that were read where the log is at these places?
    #[must_use]
    pub fn speaks_for_all(&self, places: Places, longest: Micros) -> bool {
        let now = self.0.clock.steady();
        self.0.followed.found_at(places, now);
        self.0.followed.speaks_for_all(longest.max(self.0.terms.bound()), now)
    }

    /// How old what is decided by may be at most, in microseconds. `None` where nobody else writes, or nothing is decided.
    #[must_use]
    pub fn age(&self) -> Option<Micros> {
        lease::age(self.0.clock.steady(), self.0.followed.until(), self.0.terms.bound())
    }

    /// What this node is to others.
    #[must_use]
    pub fn terms(&self) -> &NodeTerms {
        &self.0.terms
    }

    /// This node's id: that of its row, where there is one.
    #[must_use]
    pub fn node(&self) -> Option<Uuid> {
        self.0.followed.own()
    }

    /// Sets room aside for noting what is to be taken away. An error says why it cannot be noted, and what to do.
    pub async fn make_room(&self) -> Result<()> {
        let journal = &self.0.followed.journal;
        if journal.has_room() {
            return Ok(());
        }
        let journal = Arc::clone(journal);
        aside(move || journal.make_room()).await
    }

    /// Up to which number positions of the log with this name mean the same here; `None` where it is another log.
    #[must_use]
    pub fn holds_until(&self, incarnation: Uuid) -> Option<i64> {
        self.0.followed.holds_until(incarnation)
    }

    /// Has the log ever gone on under another name?
    #[must_use]
    pub fn has_turned(&self) -> bool {
        self.0.followed.has_turned()
    }

    /// Which log it is that is followed.
    #[must_use]
    pub fn incarnation(&self) -> Uuid {
        self.0.followed.incarnation()
    }

    /// Decides about a presented text and passes the answer to `read`, which must be short and must not ask the verifier
    /// again: it runs under a lock that the follower waits for.
    ///
    /// Not ready is an error, so that nobody can take it for a decision; so is a miss beyond the budget of its client.
    pub fn check<R>(&self, text: &str, question: &Question<'_>, read: impl FnOnce(CheckOutcome<'_>) -> R) -> Result<R> {
        self.require_ready()?;
        let span = tracing::trace_span!(target: SPANS, "decision", code = tracing::field::Empty);
        let _entered = span.enter();
        let read = |answer: CheckOutcome<'_>| {
            span.record("code", answer.decision.code());
            read(answer)
        };
        let directory = self.0.followed.index.directory();
        let cleaned = self.without_tokens(text, question);
        let kept = cleaned.as_ref().unwrap_or(question);
        let Some(presented) = self.parse(text) else {
            self.miss(Reason::Malformed, question.from.address)?;
            return Ok(read(self.refuse(Reason::Malformed, &directory, kept)));
        };
        let judged = question.request.and_then(|it| {
            let asked = AskedRequest { method: it.method, path: it.path, body: question.body, of_ours: false };
            self.ask_policy(&presented, question.asking, &asked, question.from.address)
        });
        let pass = judged.filter(|judged| judged.allowed).map(|judged| judged.pass);
        self.lookup(&presented, |looked| {
            let placed = looked.living().and_then(|found| belonging(&directory, found, question.asking));
            let Some((found, (organization, role))) = placed else {
                return Ok(read(self.answer_ended(&looked, &directory, (question, kept))?));
            };
            let now = self.0.clock.recent();
            let policy = self.policy_of(&found, pass);
            let (target, decision, route) = judge(&found, organization, role, (question, policy), now);
            let (decision, metered) = metered(&found, decision, now);
            if matches!(decision, Decision::Deny { reason: Reason::Unknown, .. }) {
                self.miss(Reason::Unknown, question.from.address)?;
                return Ok(read(self.refuse(Reason::Unknown, &directory, kept)));
            }
            if let Decision::Deny { reason, .. } = decision
                && reason.refuses_credential()
            {
                self.0.refusals.count(reason, question.from.address);
                if reason == Reason::Replaced {
                    self.note_reuse((found.token, found.version), organization.id, &question.from);
                }
            }
            let token = Some(found.token);
            let of = organization.id;
            let fact =
                DecisionFact { at: now, organization: of, token, decision, target, question: kept, of_ours: false };
            let exercised = keeping::exercised(&found, role, target, (route, question.ask));
            let id = self.0.uses.of_token((found.token, found.version), &fact, exercised);
            let brownout = found.credential().brownout.and_then(|it| it.next(now));
            // It is the same whether it has left the living ones already.
            let has_ended =
                matches!(decision, Decision::Deny { reason: Reason::Revoked | Reason::Expired | Reason::Replaced, .. });
            let found = Some((found, organization, role)).filter(|_| !has_ended);
            Ok(read(CheckOutcome { decision, found, metered, brownout, id }))
        })
    }

    /// Decides about a secret of a token as if its text had been presented, and passes the decision to `read`, under the terms
    /// of [`check`](Self::check); a policy is asked about `asked` before. Nothing is counted and nothing remembered: it was not
    /// presented.
    pub fn consider<R>(
        &self,
        (token, version): (Uuid, u16),
        place: &Placed<'_>,
        (question, asked): (&Question<'_>, Option<&AskedRequest<'_>>),
        read: impl FnOnce(Decision<'_>) -> R,
    ) -> Result<R> {
        self.require_ready()?;
        let directory = self.0.followed.index.directory();
        let pass = asked.and_then(|asked| self.consider_policy((token, version), place, question, asked));
        let place = self.slot(place);
        let found = place.find_secret(token, version);
        let placed = found.and_then(|found| belonging(&directory, found, question.asking));
        let Some((found, (organization, role))) = placed else {
            return Ok(read(Decision::Deny { reason: Reason::Unknown, missing: None }));
        };
        let policy = self.policy_of(&found, pass);
        Ok(read(judge(&found, organization, role, (question, policy), self.0.clock.recent()).1))
    }

    /// The place of a secret that is named. Not to be asked while another one is held.
    fn slot(&self, place: &Placed<'_>) -> Slot<'_> {
        let index = &self.0.followed.index;
        match place {
            Placed::LastFour(it) => index.place(it),
            Placed::Digest(digest) => index.place_of_registered(digest),
        }
    }

    /// The token of this organization that has this text, whatever became of it: for people who found one and look for what
    /// it is. It is no use of the token, and nothing is counted.
    pub fn find(&self, text: &str, organization: Uuid) -> Option<Uuid> {
        let directory = self.0.followed.index.directory();
        let presented = self.parse(text)?;
        let asking = Asking::Organization(organization);
        self.lookup(&presented, |looked| match looked.living() {
            Some(found) => belonging(&directory, found, asking).map(|(found, _)| found.token),
            None => looked.ended(&directory, asking).map(|(ended, _)| ended.token),
        })
    }

    /// A text that is no token, or none that is known.
    fn miss(&self, reason: Reason, client: Option<IpAddr>) -> Result<()> {
        self.0.refusals.count(reason, client);
        client.map_or(Ok(()), |address| self.0.guard.miss(address, self.0.clock.recent()))
    }

    /// A refused credential of our own API is a miss when nothing is known of it. Beyond the client's budget it is
    /// `throttled` instead.
    fn refused(&self, reason: Reason, client: Option<IpAddr>) -> Error {
        let missed = matches!(reason, Reason::Malformed | Reason::Unknown);
        let guarded = if missed {
            self.miss(reason, client)
        } else {
            self.0.refusals.count(reason, client);
            Ok(())
        };
        guarded.err().unwrap_or_else(|| Error::denied(reason))
    }

    /// The answer to what is no token, or none of those that the organization may know of.
    fn refuse<'a>(&'a self, reason: Reason, directory: &Directory, question: &Question<'_>) -> CheckOutcome<'a> {
        let decision = Decision::Deny { reason, missing: None };
        // Anybody can ask for an organization that does not exist, and would take the place of one that does.
        let asking = question.asking.organization().filter(|id| directory.organization(*id).is_some());
        let fact = asking.map(|organization| DecisionFact {
            at: self.0.clock.recent(),
            organization,
            token: None,
            decision,
            target: Target::Organization,
            question,
            of_ours: false,
        });
        CheckOutcome { decision, found: None, metered: None, brownout: None, id: self.0.uses.of_nobody(fact.as_ref()) }
    }

    /// The question as it may be remembered, where a token stands in its path: that is not for those who read decisions. One of
    /// another system cannot be told from other texts, but for the one that is presented.
    fn without_tokens<'q>(&self, text: &str, question: &Question<'q>) -> Option<Question<'q>> {
        let may_be_foreign =
            self.0.followed.index.has_registered() && Presented::foreign(text, &self.0.prefixes).is_some();
        let foreign = may_be_foreign.then_some(text);
        let request = question.request.filter(|it| stands_in_path(it.path, &self.0.prefixes, foreign))?;
        Some(Question { request: Some(Request { path: TOKEN_IN_PATH, ..request }), ..*question })
    }

    /// A remembered decision of an organization.
    #[must_use]
    pub fn decision(&self, id: &str, organization: Uuid) -> Option<KeptDecision> {
        self.0.uses.find(id, organization)
    }

    /// The last decisions that are remembered of an organization, or of one of its tokens; the newest first.
    #[must_use]
    pub fn decisions(&self, organization: Uuid, token: Option<Uuid>) -> Vec<KeptDecision> {
        match token {
            Some(token) => self.0.uses.last(token, organization),
            None => self.0.uses.recent(organization),
        }
    }

    /// How often everything was read into memory.
    #[must_use]
    pub fn loads(&self) -> u64 {
        self.0.followed.loads()
    }

    /// Of how many secrets the use is in memory alone, about, and how many uses were not recorded.
    #[must_use]
    pub fn uses_waiting(&self) -> (usize, u64) {
        self.0.uses.waiting()
    }

    /// Writes how tokens were used where few were since the last time, for whoever reads the database itself.
    pub async fn write_few_uses(&self, store: &Store) -> Result<()> {
        match self.0.uses.waiting().0 {
            1..=FEW_USES => self.flush_usage(store).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Since when decisions are remembered.
    #[must_use]
    pub fn remembers_since(&self) -> Time {
        self.0.uses.since()
    }

    /// Which tokens were refused since this was last asked, by reason and client; the most frequent first.
    #[must_use]
    pub fn take_refused(&self) -> Vec<Refused> {
        self.0.refusals.take()
    }

    /// How tokens were used up to now; those that never were are left out.
    pub async fn usage(&self, reader: &mut Reader, tokens: &[Uuid]) -> Result<HashMap<Uuid, TokenUsage>> {
        self.0.uses.read(reader, tokens).await
    }

    /// Tells the others how much of quotas was used here, and hears how much they have used. Answers how many quotas that was.
    pub async fn share_quotas(&self, store: &Store) -> Result<usize> {
        let mut told: Vec<_> = self.0.followed.index.meters.quotas().into_iter().filter_map(Untold::of).collect();
        if told.is_empty() {
            return Ok(0);
        }
        // In one order everywhere, so that two nodes never wait for each other in a circle.
        told.sort_by_key(|it| it.token);
        let count = told.len();
        for some in told.chunks_mut(QUOTAS_AT_ONCE) {
            let mut tx = store.begin_unlogged().await?;
            let mut heard = Vec::with_capacity(some.len());
            let now = tx.now().await?;
            for it in some.iter() {
                // Where this node's clock is ahead it counts in the window that there is, and not in one that others come to later.
                let present = it.meter.window_at(now).unwrap_or(it.window);
                heard.push(quotas::add(&mut tx, it.token, it.window.min(present), present, it.used).await?);
            }
            tx.commit().await?;
            for (it, all) in some.iter_mut().zip(heard) {
                it.used = 0;
                if let Some(all) = all {
                    it.meter.heard(it.window, u32::try_from(all.used).unwrap_or(u32::MAX));
                }
            }
        }
        Ok(count)
    }

    /// Writes how tokens were used, now: before the process ends. Those that were presented under an older pepper come under
    /// the newest. Answers how many tokens were written.
    pub async fn flush_usage(&self, store: &Store) -> Result<usize> {
        let written = self.0.uses.flush(store).await?;
        self.share_quotas(store).await?;
        let newest = &self.0.peppers[0];
        if self.pepper().version == newest.version {
            let rekeyed = self.0.rekeys.write(store, newest.version).await?;
            if rekeyed > 0 {
                tracing::info!(secrets = rekeyed, pepper = newest.version, "digested with the newest pepper");
            }
        }
        // It is tried again the next time, and nothing else waits for it.
        if let Err(error) = self.0.uses.write_pending(store).await {
            tracing::warn!(%error, cause = ?error.cause, "cannot write denials and uses by day");
        }
        Ok(written)
    }

    /// Who presents this text? For our own API: tokens and sessions over HTTP, not the console's.
    pub fn authenticate(&self, text: &str, client: &Client) -> Result<Caller> {
        let from = Presenter { address: client.address, agent: client.user_agent.as_deref() };
        let presented = self.present(text, &from)?;
        if presented.kind == Kind::Session {
            return self.session(&presented, client, false);
        }
        self.accept(&presented, &from, client.policy, |found, organization, (role, metered), now| {
            let name = match found.kind {
                // As the published contract names them in the log (§1.5).
                Kind::PolicyToken => format!("policy:{}:{}", found.token, found.name()),
                Kind::Token | Kind::Session => found.name().to_owned(),
            };
            let by = client.by(Actor::Token { id: found.token, name });
            let written_at = client.policy.map(|pass| pass.written_at).filter(|_| found.kind == Kind::PolicyToken);
            let narrowed = found.scope().map(|scope| role.narrowed(scope));
            let caller = Caller::token(found.credential(), organization.id, role.id, by);
            let next = found.credential().brownout.and_then(|it| it.next(now));
            Ok(caller.allowed_by(written_at).narrowed_to(narrowed).metered(metered).refused_next(next))
        })
    }

    /// The organization of the token that presents itself to our own API, if its role holds the permission there: what
    /// [`authenticate`](Self::authenticate) and [`Caller::require`] find out, without making either a caller or a grant.
    /// `None` for a session and for a token with a policy, which they must look at.
    pub fn permit(&self, text: &str, permission: Management, from: &Presenter<'_>) -> Result<Option<Uuid>> {
        let presented = self.present(text, from)?;
        if presented.kind != Kind::Token {
            return Ok(None);
        }
        self.accept(&presented, from, None, |found, organization, (role, _), now| {
            let facts = facts(found, role, Target::Organization, from.address, PolicyOutcome::NoPolicy);
            decide(&facts, Ask::Permission(Permission::Management(permission)), now).require()?;
            Ok(Some(organization.id))
        })
    }

    /// A text that has the form of a credential of ours.
    fn present<'t>(&self, text: &'t str, from: &Presenter<'_>) -> Result<Presented<'t>> {
        self.require_ready()?;
        self.parse(text).ok_or_else(|| self.refused(Reason::Malformed, from.address))
    }

    /// A text that may be known: one of ours, or of another system, where there are such.
    fn parse<'t>(&self, text: &'t str) -> Option<Presented<'t>> {
        Presented::parse(text, &self.0.prefixes).or_else(|| {
            let foreign = || Presented::foreign(text, &self.0.prefixes);
            self.0.followed.index.has_registered().then(foreign).flatten()
        })
    }

    /// Passes the token of a caller of our own API to `read`, if it is accepted.
    fn accept<R>(
        &self,
        presented: &Presented<'_>,
        from: &Presenter<'_>,
        pass: Option<PolicyPass>,
        read: impl FnOnce(&FoundRecord<'_>, &Organization, (&Role, Option<Metered>), Time) -> Result<R>,
    ) -> Result<R> {
        let directory = self.0.followed.index.directory();
        self.lookup(presented, |looked| {
            let placed = looked.living().and_then(|found| belonging(&directory, found, Asking::Any));
            let (found, (organization, role)) = placed.ok_or_else(|| self.refuse_ended(&looked, &directory, from))?;
            let target = Target::Organization;
            let policy = self.policy_of(&found, pass);
            let facts = facts(&found, role, target, from.address, policy);
            let now = self.0.clock.recent();
            let (decision, metered) = metered(&found, decide(&facts, Ask::Identity, now), now);
            match decision {
                Decision::Allow => {
                    // That it was accepted here tells nobody anything; what it then did is in the log.
                    // Where a policy was asked, it was counted with the request.
                    if policy == PolicyOutcome::NoPolicy {
                        self.0.uses.count((found.token, found.version), now, from, &decision);
                    }
                    read(&found, organization, (role, metered), now)
                }
                Decision::Deny { reason, .. } => {
                    let question = Question::new(Asking::Any, Ask::Identity).from(*from);
                    let (organization, token) = (organization.id, Some(found.token));
                    let question = &question;
                    let fact = DecisionFact { at: now, organization, token, decision, target, question, of_ours: true };
                    self.0.uses.of_token((found.token, found.version), &fact, Exercised::default());
                    if reason == Reason::Replaced {
                        self.note_reuse((found.token, found.version), organization, from);
                    }
                    let refused = self.refused(reason, from.address);
                    Err(metered.and_then(|it| Error::of_limits(&it)).unwrap_or(refused))
                }
            }
        })
    }

    /// Who presents this cookie? Only the console's sessions.
    pub fn authenticate_console(&self, text: &str, client: &Client) -> Result<Caller> {
        let presented = self.present(text, &Presenter { address: client.address, agent: None })?;
        self.session(&presented, client, true)
    }

    /// From now on a session counts only where something else than a password or a passkey proved it, also one that is there
    /// already.
    pub fn refuse_passwords(&self) {
        self.0.no_passwords.store(true, Ordering::Relaxed);
    }

    fn session(&self, presented: &Presented<'_>, client: &Client, console: bool) -> Result<Caller> {
        let inner = presented.inner_digest();
        let session = self
            .0
            .peppers
            .iter()
            .find_map(|pepper| self.0.followed.index.session(&pepper.digest(&inner)))
            .filter(|session| session.console == console)
            .filter(|session| !(session.proof.methods.by_own_means() && self.0.no_passwords.load(Ordering::Relaxed)))
            .ok_or_else(|| refused_session(self.refused(Reason::Unknown, client.address)))?;
        // A session alone belongs to no organization.
        let (standing, target) = (Standing::Bare, Target::Organization);
        let facts = Facts {
            credential: Some(session.credential()),
            standing,
            target,
            outside: false,
            policy: PolicyOutcome::NoPolicy,
        };
        let now = self.0.clock.recent();
        match decide(&facts, Ask::Identity, now) {
            Decision::Allow => {
                self.0.session_uses.used(session.id, now, client.address, client.user_agent.as_deref());
                let by = client.by(Actor::User { id: session.user, email: session.email.to_string() });
                let caller = Caller::user(session.credential(), by);
                Ok(caller.proven_by(Arc::clone(&session.proof)).reaching(session.reach).accepted_at(now))
            }
            Decision::Deny { reason, .. } => Err(refused_session(self.refused(reason, client.address))),
        }
    }

    /// The keyed digest for something new, and the version of its pepper.
    #[must_use]
    pub fn digest(&self, inner: &InnerDigest) -> (Digest, i32) {
        let pepper = self.pepper();
        (pepper.digest(inner), pepper.version)
    }

    fn lookup<R>(&self, presented: &Presented<'_>, read: impl FnOnce(Looked<'_>) -> R) -> R {
        // Before the hashing, so that the memory comes meanwhile.
        let index = &self.0.followed.index;
        let place = index.place(presented.last_four());
        let inner = presented.inner_digest();
        // `pepper::load` gives at least one or fails. Another one is there only while it retires.
        let (newest, older) = (self.0.peppers[0].digest(&inner), &self.0.peppers[1..]);
        let found = place.find(&newest).or_else(|| {
            let found = older.iter().find_map(|pepper| place.find(&pepper.digest(&inner)))?;
            self.0.rekeys.note((found.token, found.version), newest);
            Some(found)
        });
        if let Some(found) = found {
            return read(Looked::Living(found));
        }
        drop(place);
        if index.has_registered() {
            // One that the caller made lies where its digest says. Under another one it would lie elsewhere, and the record at
            // the older place would stay: so it keeps its pepper.
            for digest in self.0.peppers.iter().map(|pepper| pepper.digest(&inner)) {
                let place = index.place_of_registered(&digest);
                if let Some(found) = place.find(&digest) {
                    return read(Looked::Living(found));
                }
            }
        }
        // After the living ones: what has just ended is put there before it leaves them.
        let now = self.0.clock.recent();
        let mut digests = std::iter::once(newest).chain(older.iter().map(|pepper| pepper.digest(&inner)));
        let ended = digests.find_map(|digest| index.ended.find(&digest, now));
        read(ended.map_or(Looked::Unknown, Looked::Ended))
    }

    fn require_ready(&self) -> Result<()> {
        let until = self.0.followed.until();
        if until == lease::ALWAYS || self.0.clock.steady() < until {
            return Ok(());
        }
        Err(match until {
            lease::NEVER if self.0.followed.is_outgrown() => Error::unavailable(
                "A newer version has written what this node does not understand. Ask another node; this one needs that version.",
            ),
            lease::NEVER => Error::unavailable("Tokenward is loading; try again in a moment."),
            _ => Error::stale(),
        })
    }
}

/// What is known of a token that somebody presents from this address, about this target.
fn facts<'a>(
    found: &FoundRecord<'a>,
    role: &'a Role,
    target: Target,
    address: Option<IpAddr>,
    policy: PolicyOutcome,
) -> Facts<'a> {
    let (credential, standing) = (Some(found.credential()), found.standing(role));
    Facts { credential, standing, target, outside: found.excludes(address), policy }
}

/// Uses a token that has limits once, where it would be allowed.
fn metered<'d>(found: &FoundRecord<'_>, decision: Decision<'d>, now: Time) -> (Decision<'d>, Option<Metered>) {
    let Some(meter) = found.meter().filter(|_| decision.is_allow()) else { return (decision, None) };
    let metered = meter.take(now);
    match metered.refused {
        Some((reason, _)) => (Decision::Deny { reason, missing: None }, Some(metered)),
        None => (decision, Some(metered)),
    }
}

/// What is decided about a token that is known, and about what.
fn judge<'a>(
    found: &FoundRecord<'_>,
    organization: &'a Organization,
    role: &Role,
    (question, policy): (&Question<'a>, PolicyOutcome),
    now: Time,
) -> (Target, Decision<'a>, Option<Ask<'a>>) {
    let target = organization.target(&question.resource);
    let facts = facts(found, role, target, question.from.address, policy);
    // What the request needs, and then what is asked beside it.
    let route = question.request.and_then(|it| Some(organization.ask_route(it.api?, it.method, it.path)));
    let decision = match route.map(|route| decide(&facts, route, now)) {
        None | Some(Decision::Allow) => decide(&facts, question.ask, now),
        Some(denied) => denied,
    };
    (target, decision, route)
}

/// A refusal in words that fit a session: nobody hands out a new one.
fn refused_session(refusal: Error) -> Error {
    let detail = match refusal.code {
        Code::Denied(Reason::Unknown) => "This session has ended. Sign in again.",
        Code::Denied(Reason::Expired) => "This session has expired. Sign in again.",
        // Too many refusals from one address, say: that has its own words.
        _ => return refusal,
    };
    Error { detail: detail.into(), ..refusal }
}

/// A token in the state that it is in, its organization and its role; `None` when it belongs to another organization than the
/// one that asks.
fn belonging<'f, 'd>(
    directory: &'d Directory,
    mut found: FoundRecord<'f>,
    asking: Asking,
) -> Option<(FoundRecord<'f>, (&'d Organization, &'d Role))> {
    let organization = directory.numbered(found.organization)?;
    if !asking.may_see(organization.id) {
        return None;
    }
    found.state = Cut::state_of(organization.cut, found.token, found.state);
    let role = organization.numbered_role(found.role).or_else(|| {
        // The role of a revoked token may have been deleted since; the answer is still `revoked`.
        let revoked = matches!(found.state, State::Revoked(_));
        organization.roles().find(|role| revoked && role.kind == RoleKind::BuiltIn(BuiltIn::Verifier))
    })?;
    Some((found, (organization, role)))
}
