//! How tokens are used, in memory between two writes: when last, from where, how often with which answer.
//!
//! Recording runs on every verification: a lock of one part and a few stores. What repeats itself (the same client, a
//! decision like the one before it) allocates nothing. A worker carries the sums to the database, at most once a token
//! and minute; a crash loses what came since.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokenward_core::caller::Grant;
use tokenward_core::decision::Decision;
use tokenward_core::reason::Reason;
use tokenward_core::sync::lock;
use tokenward_core::{Random, Result, Time, Uuid};
use tokenward_store::usage::{self, TokenUsage};
use tokenward_store::usage_days::{self, DayUse, day};
use tokenward_store::{Reader, Store};
use tokio::sync::Notify;

use crate::pending::{Exercised, Pending};
use crate::question::Presenter;
use crate::record::{DecisionFact, KeptDecision};
use crate::tally::{Secret, Sums, Tally};
use crate::trace::{DecisionId, Denials, PLACE_BITS, Stamp, Traced};

/// How often the sums are written.
const EVERY: Duration = Duration::from_secs(60);
/// Parts, so that threads seldom wait for each other.
const PARTS: usize = 64;
/// Rows that one transaction writes, about: others wait for it.
const WRITTEN_AT_ONCE: usize = 1_000;

/// The use of tokens since the last write, and the last decisions.
pub(super) struct Uses {
    parts: Box<[Mutex<UsageShard>]>,
    denials: Denials,
    pub(super) pending: Pending,
    stamp: Stamp,
    since: Time,
    /// Uses that were not recorded, up to the last write.
    lost: AtomicU64,
    /// Told when a part is nearly full.
    full: Notify,
    /// Held from the moment when sums leave the memory until they are in the database, so that nobody reads neither.
    moving: tokio::sync::Mutex<()>,
}

/// The tokens whose ids end alike.
#[derive(Default)]
struct UsageShard {
    tally: Tally,
    last: Traced,
    decisions: u64,
}

impl Uses {
    pub(super) fn new(now: Time, random: &dyn Random) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            denials: Denials::default(),
            pending: Pending::default(),
            stamp: Stamp::new(random),
            since: now,
            lost: AtomicU64::new(0),
            full: Notify::new(),
            moving: tokio::sync::Mutex::new(()),
        }
    }

    /// Since when decisions are remembered.
    pub(super) fn since(&self) -> Time {
        self.since
    }

    /// Records a decision about a known token, presented by this secret of it.
    pub(super) fn of_token(&self, secret: Secret, fact: &DecisionFact<'_>, exercised: Exercised<'_>) -> DecisionId<'_> {
        let token = secret.0;
        let place = place(token);
        let mut part = self.part(place);
        part.decisions += 1;
        let number = part.decisions << PLACE_BITS | place as u64;
        let from = &fact.question.from;
        let nearly_full = part.tally.count(secret, fact.at, from.address, from.agent, &fact.decision);
        part.last.push(token, number, fact);
        drop(part);
        if nearly_full {
            self.full.notify_one();
        }
        if fact.decision.is_allow() {
            self.pending.used(token, fact.at, exercised);
        } else {
            self.denials.push(number, fact);
            self.pending.denied(number, fact);
        }
        DecisionId { stamp: &self.stamp, number }
    }

    /// Counts a use that nobody will ask about.
    pub(super) fn count(&self, secret: Secret, at: Time, from: &Presenter<'_>, decision: &Decision<'_>) {
        let nearly_full = self.part(place(secret.0)).tally.count(secret, at, from.address, from.agent, decision);
        if nearly_full {
            self.full.notify_one();
        }
    }

    /// Records a denial of something that is no token, or not one of the organization that asks. With nobody asking,
    /// nobody could read it: it only gets an id.
    pub(super) fn of_nobody(&self, fact: Option<&DecisionFact<'_>>) -> DecisionId<'_> {
        let number = self.denials.number();
        if let Some(fact) = fact {
            self.denials.push(number, fact);
            self.pending.denied(number, fact);
        }
        DecisionId { stamp: &self.stamp, number }
    }

    /// A decision of the organization, as long as it is remembered.
    pub(super) fn find(&self, id: &str, organization: Uuid) -> Option<KeptDecision> {
        let number = self.stamp.number(id)?;
        if let Some(kept) = self.denials.find(number, organization, &self.stamp) {
            return Some(kept);
        }
        let place = (number & ((1 << PLACE_BITS) - 1)) as usize;
        let mut part = (place < PARTS).then(|| self.part(place))?;
        part.last.find(number, organization, &self.stamp)
    }

    /// The last decisions of a token, the newest first: of its own, and its denials among the organization's.
    pub(super) fn last(&self, token: Uuid, organization: Uuid) -> Vec<KeptDecision> {
        let rings = self.part(place(token)).last.copied(organization, Some(token));
        let own = rings.iter().flat_map(|(token, ring)| ring.of_token(*token, &self.stamp));
        let denials = self.denials.of(organization, &self.stamp).into_iter().filter(|it| it.token == Some(token));
        newest_first(denials.chain(own).collect())
    }

    /// The last decisions of an organization, the newest first: its denials, and what is remembered of its tokens.
    pub(super) fn recent(&self, organization: Uuid) -> Vec<KeptDecision> {
        let mut all = self.denials.of(organization, &self.stamp);
        for place in 0..PARTS {
            let rings = self.part(place).last.copied(organization, None);
            all.extend(rings.iter().flat_map(|(token, ring)| ring.of_token(*token, &self.stamp)));
        }
        newest_first(all)
    }

    /// The use of these tokens: what the database says, and what is to come.
    pub(super) async fn read(&self, reader: &mut Reader, tokens: &[Uuid]) -> Result<HashMap<Uuid, TokenUsage>> {
        let _moving = self.moving.lock().await;
        let mut all = usage::of(reader.conn(), tokens).await?;
        for token in tokens {
            let mut part = self.part(place(*token));
            part.tally.settle();
            for sums in part.tally.of_token(*token) {
                all.entry(*token).or_default().add(sums.secret.1, &sums.usage());
            }
        }
        Ok(all)
    }

    /// How often a token was refused for this reason from a day on: what the database says, and what is to come.
    pub(super) async fn denied_since(
        &self,
        reader: &mut Reader,
        grant: &Grant,
        token: Uuid,
        (reason, from): (Reason, i64),
    ) -> Result<i64> {
        let _moving = self.moving.lock().await;
        let kept = usage_days::denied_since(reader.conn(), grant, token, reason.as_str(), from).await?;
        let mut part = self.part(place(token));
        part.tally.settle();
        let to_come = part.tally.of_token(token).filter(|sums| from <= day(sums.last()));
        Ok(to_come.map(|sums| sums.denied_for(reason)).fold(kept, i64::saturating_add))
    }

    /// Waits until the sums are to be carried to the database.
    pub(super) async fn due(&self) {
        let _ = tokio::time::timeout(EVERY, self.full.notified()).await;
    }

    /// Writes the sums. What cannot be written stays in memory. Answers how many tokens were written.
    pub(super) async fn flush(&self, store: &Store) -> Result<usize> {
        let (mut place, mut lost, mut written) = (0, 0, 0);
        while place < PARTS {
            let moving = self.moving.lock().await;
            let mut taken = SumsTaken { uses: self, sums: Vec::new() };
            while place < PARTS && taken.sums.len() < WRITTEN_AT_ONCE {
                lost += self.part(place).tally.take(&mut taken.sums);
                place += 1;
            }
            write(store, &taken.sums).await?;
            written += taken.sums.len();
            taken.sums.clear();
            drop(moving);
        }
        if lost > 0 {
            self.lost.fetch_add(lost, Ordering::Relaxed);
            tracing::warn!(verifications = lost, "more tokens were in use at once than are counted; some use is not");
        }
        Ok(written)
    }

    /// How many secrets' use is in memory alone, about, and how many uses were not recorded.
    pub(super) fn waiting(&self) -> (usize, u64) {
        let waiting = (0..PARTS).map(|place| self.part(place).tally.len()).sum();
        (waiting, self.lost.load(Ordering::Relaxed))
    }

    /// Writes denials, and which permissions were used.
    pub(super) async fn write_pending(&self, store: &Store) -> Result<()> {
        self.pending.write(store, &self.stamp).await
    }

    /// Waits until no sums are on their way, so that the one who carries them can be ended.
    pub(super) async fn at_rest(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.moving.lock().await
    }

    fn part(&self, place: usize) -> MutexGuard<'_, UsageShard> {
        lock(&self.parts[place])
    }
}

/// Each decision once. Of those of one moment, which is some milliseconds long, what was kept later comes first.
fn newest_first(mut all: Vec<KeptDecision>) -> Vec<KeptDecision> {
    all.reverse();
    all.sort_by_key(|it| std::cmp::Reverse(it.at));
    let mut seen = HashSet::with_capacity(all.len());
    all.retain(|it| seen.insert(it.id.clone()));
    all
}

/// Sums on their way. What is left of them when the way ends goes back into memory.
struct SumsTaken<'a> {
    uses: &'a Uses,
    sums: Vec<Sums>,
}

impl Drop for SumsTaken<'_> {
    fn drop(&mut self) {
        for sums in self.sums.drain(..) {
            self.uses.part(place(sums.secret.0)).tally.put_back(sums);
        }
    }
}

/// The part of a token. The last byte of a UUIDv7 is random.
fn place(token: Uuid) -> usize {
    usize::from(token.as_bytes()[15]) % PARTS
}

async fn write(store: &Store, taken: &[Sums]) -> Result<()> {
    if taken.is_empty() {
        return Ok(());
    }
    // In one order everywhere: two nodes that write the sums of the same tokens never wait for each other in a circle.
    let mut ordered: Vec<&Sums> = taken.iter().collect();
    ordered.sort_by_key(|sums| sums.secret);
    let mut tx = store.begin_unlogged().await?;
    for sums in ordered {
        usage::add(&mut tx, sums.secret.0, sums.secret.1, &sums.usage()).await?;
    }
    // What came in the minute around midnight counts for the day of its last use. The rows above are locked in one order, and
    // these with them.
    let mut days: BTreeMap<(Uuid, i64), DayUse> = BTreeMap::new();
    for sums in taken {
        sums.add_to(days.entry((sums.secret.0, day(sums.last()))).or_default());
    }
    usage_days::add(&mut tx, &days).await?;
    let mut last: HashMap<Uuid, Time> = HashMap::new();
    for sums in taken {
        let Some(at) = sums.usage().last_used_at else { continue };
        last.entry(sums.secret.0).and_modify(|it| *it = (*it).max(at)).or_insert(at);
    }
    usage::note(&mut tx, &last.into_iter().collect::<Vec<_>>()).await?;
    tx.commit().await
}
