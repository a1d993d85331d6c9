//! Writes that share a commit: tokens are made, taken back and given new secrets by many at once, and a commit waits for the disk.
//!
//! Such a write is data and no closure, so that a batch of them is a few statements, however many they are. What waits while
//! one batch is committed is the next one; who comes alone waits for nobody. In the transaction each right is asked again
//! from the rows, as in [`App::write`], and what is refused changes nothing of the others. Every answer waits for the commit,
//! refusals too: they may rest on what a neighbour has just written.
//!
//! Who waits is taken by turns of organizations. No two of a batch are about the same token, or about the one that another of
//! them acts with: so it does not matter which of them came first.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tokenward_core::caller::Grant;
use tokenward_core::event::{By, Event};
use tokenward_core::journal::Entry;
use tokenward_core::right::Right;
use tokenward_core::sync::lock;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::idempotency::{self, Claim};
use tokenward_store::{Appended, NotCommitted, Position, gave_way};
use tokenward_verify::server::{self, Fed, SPANS, of_change};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::receipts::{self, Committed};
use super::shares::too_many_wait;
use super::tokens::batches::{self, Refused, TokenWrite, TokenWritten};
use super::{App, TRIES, WriteTerms, Written, elapsed};
use crate::coming::Budget;
use crate::limits::{ORGANIZATION_WAITING, RECEIPT_WAIT, SHARE_WAIT};
use crate::metrics;

/// Most that share a commit. More of them would make each wait longer, and save little.
const MOST: usize = 64;

mod at_once;

/// Those who wait for the next commit.
#[derive(Default)]
pub struct Together {
    waiting: Mutex<Waiting>,
    /// Used by whoever carries out; there is one at a time.
    memory: tokio::sync::Mutex<at_once::Memory>,
    /// How many writes went the short way.
    at_once: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    /// By organization, in the order of their turns.
    turns: VecDeque<(Uuid, VecDeque<Request>)>,
    /// Does somebody carry them out?
    carried_out: bool,
}

/// A write that waits.
struct Request {
    grant: Grant,
    change: TokenWrite,
    claim: Option<Claim>,
    /// What its body has of the memory for bodies.
    _body: Option<Budget>,
    since: Instant,
    /// What is traced of it. The statements of a batch stand below that of its first.
    span: Span,
    answer: oneshot::Sender<Result<Committing>>,
}

/// What came of a write, and when.
struct Committing {
    done: TokenWritten,
    committed: Committed,
    /// What is to be noted of it, where it takes away and nodes share the database.
    noted: Vec<Entry>,
}

/// What came of one in a batch.
enum WriteOutcome {
    Done(Box<Committing>),
    Refused(Error),
    /// It may be refused because of a neighbour who is refused himself.
    Alone,
}

impl Together {
    /// How many writes were decided on before they were written, and written in one piece with others.
    #[must_use]
    pub fn at_once(&self) -> u64 {
        self.at_once.load(Ordering::Relaxed)
    }

    fn push(&self, request: Request) -> Result<bool> {
        let mut waiting = lock(&self.waiting);
        let organization = request.grant.organization();
        match waiting.turns.iter_mut().find(|(own, _)| *own == organization) {
            Some((_, of_one)) if of_one.len() >= ORGANIZATION_WAITING.size() => return Err(too_many_wait()),
            Some((_, of_one)) => of_one.push_back(request),
            None => waiting.turns.push_back((organization, VecDeque::from([request]))),
        }
        Ok(!std::mem::replace(&mut waiting.carried_out, true))
    }

    /// The next batch; `None` when nobody waits, and then nobody carries out any more.
    fn next(&self) -> Option<Vec<Request>> {
        let mut waiting = lock(&self.waiting);
        let mut batch = Vec::new();
        waiting.fill(&mut batch, |_| true);
        waiting.carried_out = !batch.is_empty();
        waiting.carried_out.then_some(batch)
    }

    /// Those that began to wait while a batch waited, if they may go with it.
    fn join(&self, batch: &mut Vec<Request>, may: impl FnMut(&Request) -> bool) {
        lock(&self.waiting).fill(batch, may);
    }
}

impl Waiting {
    /// Takes those whose turn it is into a batch, until one of them may not be in it.
    fn fill(&mut self, batch: &mut Vec<Request>, mut may: impl FnMut(&Request) -> bool) {
        let mut apart = Apart::default();
        for request in &*batch {
            apart.admits(request);
        }
        while batch.len() < MOST {
            let Some((organization, mut of_one)) = self.turns.pop_front() else { break };
            let Some(request) = of_one.pop_front() else { continue };
            if !may(&request) || !apart.admits(&request) {
                of_one.push_front(request);
                self.turns.push_front((organization, of_one));
                break;
            }
            batch.push(request);
            if !of_one.is_empty() {
                self.turns.push_back((organization, of_one));
            }
        }
    }
}

/// What a batch is about, and with what it acts.
#[derive(Default)]
struct Apart {
    about: HashSet<Uuid>,
    acting: HashSet<Uuid>,
}

impl Apart {
    /// May it be in the batch? Then it is.
    fn admits(&mut self, request: &Request) -> bool {
        let acts = request.grant.rests_on().map(|on| on.credential);
        let about = request.change.about();
        let meets = about.is_some_and(|id| self.about.contains(&id) || self.acting.contains(&id))
            || acts.is_some_and(|id| self.about.contains(&id));
        if !meets {
            self.about.extend(about);
            self.acting.extend(acts);
        }
        !meets
    }
}

impl App {
    /// Writes with whoever else writes now, and answers as [`App::write`] does.
    pub(super) async fn write_together(
        self: &Arc<Self>,
        grant: Grant,
        change: TokenWrite,
    ) -> Result<Written<TokenWritten>> {
        let WriteTerms { claim, wait, body } = WriteTerms::present();
        let wait = wait.or(change.about().map(|_| self.limits.time(&RECEIPT_WAIT)));
        let (answer, answered) = oneshot::channel();
        let span = tracing::trace_span!(target: SPANS, "write", events = tracing::field::Empty);
        let request = Request { grant, change, claim, _body: body, since: Instant::now(), span: span.clone(), answer };
        if self.together.push(request)? {
            tokio::spawn(carry_out(Arc::clone(self)));
        }
        let Committing { done, committed, noted } =
            answered.await.unwrap_or_else(|_| Err(Error::internal("a write broke off")))?;
        let effect = receipts::effect(self, committed, noted, wait).instrument(span).await?;
        Ok(Written { value: done, position: committed.position(), effect })
    }
}

/// Carries out what waits, until nobody does.
async fn carry_out(app: Arc<App>) {
    while let Some(batch) = app.together.next() {
        // Whoever waits for one that panics hears that it broke off, and the next ones have their turn.
        let span = batch.first().map_or_else(Span::none, |first| first.span.clone());
        let carried = AssertUnwindSafe(one_batch(&app, batch).instrument(span)).catch_unwind().await;
        if carried.is_err() {
            tracing::error!("a batch of writes broke off; none of it was committed, or all of it");
        }
    }
}

async fn one_batch(app: &Arc<App>, batch: Vec<Request>) {
    let patience: Duration = app.limits.time(&SHARE_WAIT);
    let (late, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(|request| request.since.elapsed() > patience);
    for request in late {
        let error = Error::unavailable("The database takes changes too slowly now. Nothing was changed; try again.");
        let _ = request.answer.send(Err(metrics::overload(Error { retry_after: Some(1), ..error })));
    }
    let batch = at_once::carry_out(app, batch).await;
    if batch.is_empty() {
        return;
    }
    for request in attempt(app, batch).await {
        // What is refused alone, is.
        for left in attempt(app, vec![request]).await {
            let _ = left.answer.send(Err(Error::internal("a write was neither done nor refused")));
        }
    }
}

/// Carries out a batch and answers for it, but for those of which each is to be tried alone: these are returned.
async fn attempt(app: &Arc<App>, batch: Vec<Request>) -> Vec<Request> {
    let mut tries = TRIES;
    let outcomes = loop {
        tries -= 1;
        match write(app, &batch).await {
            Err(NotCommitted::Nothing(error)) if tries > 0 && gave_way(&error) => {}
            // The fault of one of them, perhaps. Where it is the database's, it would be the same for each.
            Err(NotCommitted::Nothing(error)) if batch.len() > 1 && error.code != Code::Unavailable => return batch,
            Err(NotCommitted::Nothing(error) | NotCommitted::Unknown(error)) => {
                tracing::warn!(cause = ?error.cause, writes = batch.len(), "a batch of writes failed: {error}");
                let (code, detail, retry_after) = (error.code, error.detail.clone(), error.retry_after);
                let mut batch = batch.into_iter();
                // Who is alone hears all of it.
                if let Some(first) = batch.next() {
                    let _ = first.answer.send(Err(error));
                }
                for request in batch {
                    let _ = request.answer.send(Err(Error { retry_after, ..Error::new(code, detail.clone()) }));
                }
                return Vec::new();
            }
            Ok(outcomes) => break outcomes,
        }
    };
    let mut alone = Vec::new();
    for (request, outcome) in batch.into_iter().zip(outcomes) {
        // Who asked may have gone away.
        let _ = match outcome {
            WriteOutcome::Done(done) => request.answer.send(Ok(*done)),
            WriteOutcome::Refused(error) => request.answer.send(Err(error)),
            WriteOutcome::Alone => {
                alone.push(request);
                continue;
            }
        };
    }
    alone
}

/// One transaction for all of them.
async fn write(app: &Arc<App>, batch: &[Request]) -> Result<Vec<WriteOutcome>, NotCommitted> {
    let begun = app.store.clock().steady();
    let grants: Vec<Grant> = batch.iter().map(|request| request.grant.clone()).collect();
    if grants.is_empty() {
        return Ok(Vec::new());
    }
    let (mut tx, rights) = app.store.begin_shared(&grants).await?;
    let at = tx.now();
    let asked: Vec<(Result<Grant>, &TokenWrite)> =
        rights.into_iter().zip(batch.iter().map(|request| &request.change)).collect();
    let made = batches::make(app, &mut tx, asked).await?;
    let mut told: Vec<(&By, &Event)> = Vec::with_capacity(batch.len());
    let mut claims: Vec<(&Claim, i64)> = Vec::new();
    for (request, made) in batch.iter().zip(&made) {
        if let Ok((_, event)) = made {
            let nth = i64::try_from(told.len()).map_err(Error::internal)?;
            claims.extend(request.claim.as_ref().map(|claim| (claim, nth)));
            told.push((request.grant.by(), event));
            request.span.record("events", event.kind.as_str());
        }
    }
    if let [(claim, _)] = claims[..] {
        idempotency::spend(&mut tx, claim).await?;
    } else if !idempotency::spend_all(&mut tx, &claims).await? {
        return Err(Error::internal("one of several claims was lost").into());
    }
    let after = batches::rows(&mut tx, &made).await?;
    let mut noted = Vec::new();
    if app.store.is_shared() {
        noted = of_change(tx.conn(), told.iter().map(|(_, event)| *event)).await?;
    }
    let appends = app.store.clock().steady();
    let mut entries = Vec::new();
    let last = match told.len() {
        // Nothing to commit: what they were refused for was committed before.
        0 => None,
        _ => {
            let _coming = after.is_some().then(|| app.verifier.expects_commit());
            let Appended { position, events, goes_on } = tx.commit_shared(&told).await?;
            entries = server::entries(noted, position.incarnation, &events);
            if let Some((rows, described, used)) = after
                && goes_on
            {
                app.verifier.feed(Fed { events, rows, described, used });
            }
            Some(position)
        }
    };
    let ends = app.store.clock().steady();
    if last.is_some() && batch.iter().any(|request| request.change.about().is_some()) {
        app.verifier.will_be_asked(ends);
    }
    let mut left = i64::try_from(told.len()).map_err(Error::internal)?;
    let alone = batch.len() == 1;
    let outcomes = made.into_iter().map(|made| match made {
        Ok((done, event)) => {
            left -= 1;
            let Some(last) = last else { return WriteOutcome::Alone };
            let position = Position { number: last.number - left, ..last };
            app.metrics.wrote(std::slice::from_ref(&event), elapsed(begun, ends), elapsed(appends, ends));
            let noted = entries.extract_if(.., |entry| entry.position == position.number).collect();
            let committed = Committed::within(position, begun, at, ends);
            WriteOutcome::Done(Box::new(Committing { done, committed, noted }))
        }
        Err(Refused::ForOthers(_)) if !alone => WriteOutcome::Alone,
        Err(Refused::Itself(error) | Refused::ForOthers(error)) => WriteOutcome::Refused(error),
    });
    Ok(outcomes.collect())
}

#[cfg(test)]
mod tests {
    use tokenward_core::Time;
    use tokenward_core::caller::Caller;
    use tokenward_core::decision::{Credential, Subject};
    use tokenward_core::directory::{Directory, Resource};
    use tokenward_core::event::{Actor, Origin};
    use tokenward_core::permission::Management;
    use tokenward_core::role::{BuiltIn, Role};
    use tokenward_core::token::{RevokeReason, State};

    use super::super::tokens::Why;
    use super::*;

    /// The right of a token in an organization to take back another one.
    fn revoke(organization: u128, acting: u128, id: u128) -> Request {
        let [organization, acting, id] = [organization, acting, id].map(Uuid::from_u128);
        let mut directory = Directory::default();
        directory.put_organization(organization, "o");
        directory.put_role(organization, Role::built_in(Uuid::nil(), BuiltIn::Admin));
        let credential = Credential {
            id: acting,
            subject: Subject::Token(1),
            state: State::Active,
            not_before: None,
            expires_at: None,
            replaced: false,
            brownout: None,
        };
        let actor = Actor::Token { id: acting, name: String::new() };
        let by = By { actor, origin: Origin::Api, address: None, user_agent: None };
        let caller = Caller::token(credential, organization, Uuid::nil(), by);
        let grant = caller.require(&directory, organization, Management::TokenManage, Resource::default(), Time(0));
        let why = Why { reason: RevokeReason::Unspecified, note: None };
        Request {
            grant: grant.unwrap(),
            change: TokenWrite::Revoke { id, why },
            claim: None,
            _body: None,
            since: Instant::now(),
            span: Span::none(),
            answer: oneshot::channel().0,
        }
    }

    /// The tokens of the next batch.
    fn next(together: &Together) -> Option<Vec<u128>> {
        let batch = together.next()?;
        Some(batch.iter().filter_map(|it| it.change.about()).map(|id| id.as_u128()).collect())
    }

    #[test]
    fn no_more_of_an_organization_wait_than_the_limit_says() {
        let together = Together::default();
        for id in 0..ORGANIZATION_WAITING.default {
            together.push(revoke(1, 9, 1_000 + u128::from(id))).unwrap();
        }
        let error = together.push(revoke(1, 9, 1)).unwrap_err();
        assert!(error.detail.contains("`organization_waiting`"), "{error}");
        assert!(!together.push(revoke(2, 8, 1)).unwrap(), "a neighbour has a line of its own");
    }

    #[test]
    fn organizations_take_turns_and_a_batch_has_an_end() {
        let together = Together::default();
        assert!(together.push(revoke(1, 9, 1_000)).unwrap(), "the first one has it carried out");
        for id in 1_001..1_100 {
            assert!(!together.push(revoke(1, 9, id)).unwrap());
        }
        together.push(revoke(2, 8, 1)).unwrap();
        together.push(revoke(2, 8, 2)).unwrap();
        let first = next(&together).unwrap();
        assert_eq!((first.len(), &first[..5]), (MOST, &[1_000, 1, 1_001, 2, 1_002][..]));
        assert_eq!(next(&together).map(|batch| batch.len()), Some(38));
        assert_eq!(next(&together), None);
        assert!(together.push(revoke(1, 9, 5)).unwrap(), "nobody carries out any more");
    }

    #[test]
    fn no_two_of_a_batch_are_about_the_same_token_or_about_one_that_acts_in_it() {
        for (first, second, together_in_one) in [
            ((7, 1), (8, 2), true),
            ((7, 1), (7, 2), true),
            ((7, 1), (8, 1), false),
            ((7, 8), (8, 1), false),
            ((8, 1), (7, 8), false),
            // Each may take itself back.
            ((7, 7), (8, 8), true),
        ] {
            let together = Together::default();
            for (acting, id) in [first, second] {
                together.push(revoke(1, acting, id)).unwrap();
            }
            let batches = std::iter::from_fn(|| next(&together)).count();
            assert_eq!(batches == 1, together_in_one, "{first:?} {second:?}");
        }
    }
}
