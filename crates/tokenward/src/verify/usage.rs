//! How tokens are used, in memory between two writes: when last, from where, how often with which answer.
//!
//! Recording runs on every verification: a lock of one part, a look-up, a few stores. What repeats itself (the same
//! client, a decision like the one before it) allocates nothing. A worker carries the sums to the database, at most
//! once a token and minute; a crash loses what came since.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenward_core::decision::{Decision, Reason};
use tokenward_core::{Random, Result, Time, Uuid};
use tokenward_store::usage::{self, Usage};
use tokenward_store::{Reader, Store};
use tokio::sync::Notify;

use super::trace::{DecisionId, Denials, Fact, Kept, OF_A_TOKEN, PLACE_BITS, Ring, Stamp};

/// How often the sums are written.
const EVERY: Duration = Duration::from_secs(60);
/// Parts, so that threads seldom wait for each other.
const PARTS: usize = 64;
/// Tokens in a part: with more in use at once, their use is not recorded until the next write.
const TOKENS: usize = 4_096;
/// Tokens in a part of which the last decisions are kept.
const TRACED: usize = 64;
/// User agents in a part that are kept to be shared.
const AGENTS: usize = 16;
/// Longest user agent that is kept, in characters.
const AGENT_MAX: usize = 256;
/// Rows that one transaction writes, about: others wait for it.
const WRITTEN_AT_ONCE: usize = 1_000;

/// The use of tokens since the last write, and the last decisions.
pub(super) struct Uses {
    parts: Box<[Mutex<Part>]>,
    denials: Denials,
    stamp: Stamp,
    since: Time,
    /// Told when a part is nearly full.
    full: Notify,
    /// Held from the moment when sums leave the memory until they are in the database, so that nobody reads neither.
    moving: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Part {
    tokens: HashMap<Uuid, Token, BuildHasherDefault<ById>>,
    agents: Vec<Arc<str>>,
    traced: usize,
    counted: u64,
    lost: u64,
}

#[derive(Default)]
struct Token {
    since: Sums,
    last: Option<Box<Ring>>,
}

/// What came since the last write.
#[derive(Default)]
struct Sums {
    /// When last; 0 when not at all.
    at: i64,
    from: Option<IpAddr>,
    agent: Option<Arc<str>>,
    allowed: u32,
    /// By the place of the reason in `Reason::ALL`. Few tokens are ever denied anything.
    denied: Option<Box<[u32; Reason::ALL.len()]>>,
}

/// Ids are random at their end already.
#[derive(Default)]
struct ById(u64);

impl Hasher for ById {
    fn write(&mut self, bytes: &[u8]) {
        let end = bytes.last_chunk::<8>().map_or(0, |end| u64::from_le_bytes(*end));
        // The table takes its place from the low bits and its tag from the high ones; the two highest of an id's last
        // half are fixed.
        self.0 = end.rotate_left(8).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Uses {
    pub(super) fn new(now: Time, random: &dyn Random) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            denials: Denials::default(),
            stamp: Stamp::new(random),
            since: now,
            full: Notify::new(),
            moving: tokio::sync::Mutex::new(()),
        }
    }

    /// Since when decisions are remembered.
    pub(super) fn since(&self) -> Time {
        self.since
    }

    /// Records a decision about a known token.
    pub(super) fn of_token(&self, token: Uuid, fact: &Fact<'_>) -> DecisionId<'_> {
        let place = place(token);
        let mut part = self.part(place);
        part.counted += 1;
        let number = part.counted << PLACE_BITS | place as u64;
        let nearly_full = part.record(token, number, fact);
        drop(part);
        if nearly_full {
            self.full.notify_one();
        }
        if !fact.decision.is_allow() {
            self.denials.push(number, fact);
        }
        DecisionId { stamp: &self.stamp, number }
    }

    /// Records a denial of something that is no token, or not one of the organization that asks. With nobody asking,
    /// nobody could read it: it only gets an id.
    pub(super) fn of_nobody(&self, fact: Option<&Fact<'_>>) -> DecisionId<'_> {
        let number = self.denials.number();
        if let Some(fact) = fact {
            self.denials.push(number, fact);
        }
        DecisionId { stamp: &self.stamp, number }
    }

    /// A decision of the organization, as long as it is remembered.
    pub(super) fn find(&self, id: &str, organization: Uuid) -> Option<Kept> {
        let number = self.stamp.number(id)?;
        if let Some(kept) = self.denials.find(number, organization, &self.stamp) {
            return Some(kept);
        }
        let place = (number & ((1 << PLACE_BITS) - 1)) as usize;
        let part = (place < PARTS).then(|| self.part(place))?;
        let mut rings = part.tokens.values().filter_map(|token| token.last.as_ref());
        rings.find_map(|ring| ring.find(number, organization, &self.stamp))
    }

    /// The last decisions of a token, the newest first.
    pub(super) fn last(&self, token: Uuid, organization: Uuid) -> Vec<Kept> {
        let part = self.part(place(token));
        let ring = part.tokens.get(&token).and_then(|token| token.last.as_ref());
        let mut all: Vec<Kept> = ring.map(|ring| ring.of(organization, &self.stamp).collect()).unwrap_or_default();
        all.sort_by_key(|it| std::cmp::Reverse(it.at));
        all
    }

    /// The last decisions of an organization, the newest first: its denials, and what is remembered of its tokens.
    pub(super) fn recent(&self, organization: Uuid) -> Vec<Kept> {
        let mut all = self.denials.of(organization, &self.stamp);
        for place in 0..PARTS {
            let part = self.part(place);
            for ring in part.tokens.values().filter_map(|token| token.last.as_ref()) {
                all.extend(ring.of(organization, &self.stamp).filter(|it| it.denied.is_none()));
            }
        }
        all.sort_by_key(|it| std::cmp::Reverse(it.at));
        all
    }

    /// The use of these tokens: what the database says, and what is to come.
    pub(super) async fn read(&self, reader: &mut Reader, tokens: &[Uuid]) -> Result<HashMap<Uuid, Usage>> {
        let _moving = self.moving.lock().await;
        let mut all: HashMap<Uuid, Usage> = usage::of(reader.conn(), tokens).await?.into_iter().collect();
        for token in tokens {
            let part = self.part(place(*token));
            if let Some(sums) = part.tokens.get(token).map(|it| &it.since).filter(|sums| sums.at != 0) {
                all.entry(*token).or_default().add(&sums.usage());
            }
        }
        Ok(all)
    }

    /// Carries the sums to the database, until the process ends.
    pub(super) async fn keep(&self, store: Store) {
        loop {
            let _ = tokio::time::timeout(EVERY, self.full.notified()).await;
            if let Err(error) = self.flush(&store).await {
                tracing::error!(%error, cause = ?error.cause, "cannot write how tokens were used; trying again in a minute");
            }
        }
    }

    /// Writes the sums. What cannot be written stays in memory. Answers how many tokens were written.
    pub(super) async fn flush(&self, store: &Store) -> Result<usize> {
        let (mut place, mut lost, mut written) = (0, 0, 0);
        while place < PARTS {
            let moving = self.moving.lock().await;
            let mut taken = Taken { uses: self, sums: Vec::new() };
            while place < PARTS && taken.sums.len() < WRITTEN_AT_ONCE {
                let mut part = self.part(place);
                lost += std::mem::take(&mut part.lost);
                part.take(&mut taken.sums);
                place += 1;
            }
            write(store, &taken.sums).await?;
            written += taken.sums.len();
            taken.sums.clear();
            drop(moving);
        }
        if lost > 0 {
            tracing::warn!(verifications = lost, "more tokens were in use at once than are counted; some use is not");
        }
        Ok(written)
    }

    /// Waits until no sums are on their way, so that the one who carries them can be ended.
    pub(super) async fn at_rest(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.moving.lock().await
    }

    fn part(&self, place: usize) -> MutexGuard<'_, Part> {
        self.parts[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sums on their way. What is left of them when the way ends goes back into memory.
struct Taken<'a> {
    uses: &'a Uses,
    sums: Vec<(Uuid, Sums)>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for (token, sums) in self.sums.drain(..) {
            self.uses.part(place(token)).put_back(token, sums);
        }
    }
}

/// The part of a token. The last byte of a UUIDv7 is random.
fn place(token: Uuid) -> usize {
    usize::from(token.as_bytes()[15]) % PARTS
}

async fn write(store: &Store, taken: &[(Uuid, Sums)]) -> Result<()> {
    if taken.is_empty() {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    for (token, sums) in taken {
        usage::add(&mut tx, *token, &sums.usage()).await?;
    }
    tx.commit_unlogged().await
}

impl Part {
    /// Records a use. Says whether this part should be written soon.
    fn record(&mut self, id: Uuid, number: u64, fact: &Fact<'_>) -> bool {
        let crowded = self.tokens.len();
        let token = match self.tokens.get_mut(&id) {
            Some(token) => token,
            None if crowded >= TOKENS => {
                self.lost += 1;
                return self.lost == 1;
            }
            None => self.tokens.entry(id).or_default(),
        };
        let sums = &mut token.since;
        // Of two threads, the later one counts; 0 says that there was none.
        sums.at = sums.at.max(fact.at.0).max(1);
        match fact.decision {
            Decision::Allow => sums.allowed = sums.allowed.saturating_add(1),
            Decision::Deny { reason, .. } => {
                let counts = sums.denied.get_or_insert_default();
                // The order of `Reason::ALL` is that of the variants.
                let count = &mut counts[reason as usize % Reason::ALL.len()];
                *count = count.saturating_add(1);
            }
        }
        let from = &fact.question.from;
        sums.from = from.address;
        if sums.agent.as_deref() != from.agent {
            sums.agent = from.agent.map(|agent| shared(&mut self.agents, agent));
        }
        match &mut token.last {
            Some(ring) => ring.push(OF_A_TOKEN, number, fact),
            None if self.traced < TRACED => {
                self.traced += 1;
                token.last.get_or_insert_default().push(OF_A_TOKEN, number, fact);
            }
            None => {}
        }
        crowded == TOKENS / 4 * 3
    }

    /// Takes the sums out. Tokens whose last decisions are kept stay, and of those only the later half when they are
    /// many: the others get their turn.
    fn take(&mut self, taken: &mut Vec<(Uuid, Sums)>) {
        let mut newest: Vec<Time> =
            self.tokens.values().filter_map(|it| it.last.as_ref()).map(|it| it.newest()).collect();
        newest.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
        let oldest_to_stay = newest.get(TRACED / 2).copied();
        let mut traced = 0;
        self.tokens.retain(|id, token| {
            let sums = std::mem::take(&mut token.since);
            if sums.at != 0 {
                taken.push((*id, sums));
            }
            let stays = token.last.as_ref().is_some_and(|it| oldest_to_stay.is_none_or(|oldest| it.newest() > oldest));
            traced += usize::from(stays);
            stays
        });
        self.traced = traced;
        // A burst must not hold memory for ever.
        self.tokens.shrink_to(TRACED);
    }

    fn put_back(&mut self, id: Uuid, old: Sums) {
        let since = &mut self.tokens.entry(id).or_default().since;
        since.allowed = since.allowed.saturating_add(old.allowed);
        if let Some(counts) = old.denied {
            let sums = since.denied.get_or_insert_default();
            sums.iter_mut().zip(counts.iter()).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
        }
        if since.at < old.at {
            (since.at, since.from, since.agent) = (old.at, old.from, old.agent);
        }
    }
}

impl Sums {
    fn usage(&self) -> Usage {
        let counts = self.denied.iter().flat_map(|counts| Reason::ALL.iter().zip(counts.iter()));
        Usage {
            last_used_at: self.at,
            last_used_from: self.from.map(|address| address.to_string()),
            last_used_agent: self.agent.as_deref().map(str::to_owned),
            allowed: self.allowed.into(),
            denied: counts.filter(|(_, n)| **n > 0).map(|(reason, n)| (reason.to_string(), (*n).into())).collect(),
        }
    }
}

/// The agent as one text for all tokens of a part: few clients use many tokens.
fn shared(agents: &mut Vec<Arc<str>>, agent: &str) -> Arc<str> {
    let agent = agent.char_indices().nth(AGENT_MAX).map_or(agent, |(end, _)| &agent[..end]);
    if let Some(known) = agents.iter().find(|known| ***known == *agent) {
        return Arc::clone(known);
    }
    if agents.len() >= AGENTS {
        agents.swap_remove(0);
    }
    let new: Arc<str> = agent.into();
    agents.push(Arc::clone(&new));
    new
}
