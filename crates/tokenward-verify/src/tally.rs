//! How often and when last tokens of one part were used, since the last write.
//!
//! A token's sums are one cache line in a table, and that line is seldom in the cache. So uses wait in a short list and
//! enter the table together: the processor fetches the lines of all of them at once, where one after the other would
//! take as long as a decision.

use std::net::IpAddr;
use std::sync::Arc;

use prefetch_index::prefetch_index;
use tokenward_core::decision::Decision;
use tokenward_core::reason::Reason;
use tokenward_core::{Time, Uuid};
use tokenward_store::usage::Usage;
use tokenward_store::usage_days::DayUse;

/// Tokens in a part: with more in use at once, their use is not recorded until the next write.
const TOKENS: usize = 16_384;
/// Uses that enter the table together: about as many lines as a core can fetch at once.
const WAITING: usize = 16;
/// User agents in a part that are kept to be shared: few clients use many tokens.
const AGENTS: usize = 16;
/// Longest user agent that is kept, in characters.
const AGENT_MAX: usize = 256;

/// One secret of a token: the token, and which of its secrets it is.
pub(super) type Secret = (Uuid, u16);

/// What came of a secret since the last write. One cache line.
#[repr(align(64))]
#[derive(Default)]
pub(super) struct Sums {
    pub secret: Secret,
    /// When last; 0 in a free place of the table.
    at: i64,
    from: Option<IpAddr>,
    agent: Option<Agent>,
    allowed: u32,
    /// By the place of the reason in `Reason::ALL`. Few tokens are ever denied anything.
    denied: Option<Box<[u32; Reason::ALL.len()]>>,
}

const _: () = assert!(size_of::<Sums>() == 64, "sums are one cache line");

/// A client's own words for itself. A pointer of one word, where `Arc<str>` has two.
type Agent = Arc<Box<str>>;

/// A use that is not in the table yet, or several of the same kind one after the other.
struct WaitingUse {
    secret: Secret,
    at: i64,
    from: Option<IpAddr>,
    /// Its place among the agents.
    agent: Option<u8>,
    denied: Option<Reason>,
    times: u32,
}

/// The sums of a part's tokens.
#[derive(Default)]
pub(super) struct Tally {
    waiting: Vec<WaitingUse>,
    /// The table: open addressing, free places among the sums.
    table: Vec<Sums>,
    taken: usize,
    agents: Vec<Agent>,
    /// Uses that were not recorded since the last write.
    lost: u64,
    /// The part should be written soon, and nobody has been told yet.
    full: bool,
}

impl Tally {
    /// Counts a use. Says whether the part should be written soon.
    pub(super) fn count(
        &mut self,
        secret: Secret,
        at: Time,
        from: Option<IpAddr>,
        agent: Option<&str>,
        decision: &Decision<'_>,
    ) -> bool {
        let agent = agent.map(|agent| self.agent(agent));
        let denied = match decision {
            Decision::Allow => None,
            Decision::Deny { reason, .. } => Some(*reason),
        };
        // 0 says that there was none.
        let at = at.0.max(1);
        if let Some(last) = self.waiting.last_mut()
            && (last.secret, last.from, last.agent, last.denied) == (secret, from, agent, denied)
        {
            last.at = last.at.max(at);
            last.times = last.times.saturating_add(1);
            return false;
        }
        if self.waiting.len() >= WAITING {
            self.settle();
        }
        self.waiting.reserve_exact(WAITING - self.waiting.len());
        self.waiting.push(WaitingUse { secret, at, from, agent, denied, times: 1 });
        std::mem::take(&mut self.full)
    }

    /// How many secrets were used since the last write.
    pub(super) fn len(&self) -> usize {
        // Those in the list may be in the table too: a few more are said than there are.
        self.taken + self.waiting.len()
    }

    /// Enters what waits.
    pub(super) fn settle(&mut self) {
        let before = (self.taken, self.lost);
        for it in &self.waiting {
            prefetch_index(&self.table, self.home(it.secret.0));
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        for it in waiting.drain(..) {
            if self.taken >= TOKENS && self.get(it.secret).is_none() {
                self.lost += u64::from(it.times);
                continue;
            }
            let agent = it.agent.map(|agent| Arc::clone(&self.agents[usize::from(agent)]));
            let sums = self.of(it.secret);
            match it.denied {
                None => sums.allowed = sums.allowed.saturating_add(it.times),
                Some(reason) => {
                    let counts = sums.denied.get_or_insert_default();
                    // The order of `Reason::ALL` is that of the variants.
                    let count = &mut counts[reason as usize % Reason::ALL.len()];
                    *count = count.saturating_add(it.times);
                }
            }
            // Of two threads, the later one counts.
            if it.at >= sums.at {
                (sums.at, sums.from, sums.agent) = (it.at, it.from, agent);
            }
        }
        self.waiting = waiting;
        let nearly_full = TOKENS / 4 * 3;
        self.full |= (before.0 < nearly_full && nearly_full <= self.taken) || (before.1 == 0 && self.lost > 0);
    }

    /// The place of an agent that has been put among the known ones.
    fn agent(&mut self, agent: &str) -> u8 {
        let known = |agents: &[Agent], agent: &str| agents.iter().position(|known| ***known == *agent);
        if let Some(at) = known(&self.agents, agent) {
            return at as u8;
        }
        let agent = agent.char_indices().nth(AGENT_MAX).map_or(agent, |(end, _)| &agent[..end]);
        if let Some(at) = known(&self.agents, agent) {
            return at as u8;
        }
        if self.agents.len() >= AGENTS {
            // What waits refers to agents by their place. The oldest goes: what everybody uses comes back at once.
            self.settle();
            self.agents.remove(0);
        }
        self.agents.push(Arc::new(agent.into()));
        // At most `AGENTS`.
        (self.agents.len() - 1) as u8
    }

    /// The sums of a secret, as far as they are in the table.
    fn get(&self, secret: Secret) -> Option<&Sums> {
        if self.table.is_empty() {
            return None;
        }
        Some(&self.table[self.search(secret)]).filter(|sums| sums.at != 0)
    }

    /// The sums of all secrets of a token, as far as they are in the table: their search begins at the same place.
    pub(super) fn of_token(&self, token: Uuid) -> impl Iterator<Item = &Sums> {
        let start = if self.table.is_empty() { 0 } else { self.home(token) };
        let (before, behind) = self.table.split_at(start);
        behind.iter().chain(before).take_while(|sums| sums.at != 0).filter(move |sums| sums.secret.0 == token)
    }

    /// The sums of a secret. New ones take a place of the table.
    fn of(&mut self, secret: Secret) -> &mut Sums {
        if (self.taken + 1) * 4 > self.table.len() * 3 {
            self.grow();
        }
        let at = self.search(secret);
        let sums = &mut self.table[at];
        if sums.at == 0 {
            (sums.secret, sums.at) = (secret, 1);
            self.taken += 1;
        }
        sums
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(16);
        let mut table = Vec::with_capacity(size);
        table.resize_with(size, Sums::default);
        for sums in std::mem::replace(&mut self.table, table).into_iter().filter(|sums| sums.at != 0) {
            let at = self.search(sums.secret);
            self.table[at] = sums;
        }
    }

    /// Where the search for a token begins: random bytes of its UUIDv7 as a fraction of the table. The last byte is not
    /// among them: it chose the part.
    fn home(&self, token: Uuid) -> usize {
        let [.., a, b, c, d, _] = *token.as_bytes();
        let random = u64::from(u32::from_le_bytes([a, b, c, d]));
        ((random * self.table.len() as u64) >> 32) as usize
    }

    /// The place of a secret, or the free one where it would be put. A quarter of the table is free.
    fn search(&self, secret: Secret) -> usize {
        let mut at = self.home(secret.0);
        while self.table[at].at != 0 && self.table[at].secret != secret {
            at = if at + 1 == self.table.len() { 0 } else { at + 1 };
        }
        at
    }

    /// Takes all sums out, and says how many uses were not recorded. The memory goes with them: a burst must not hold
    /// it for ever.
    pub(super) fn take(&mut self, taken: &mut Vec<Sums>) -> u64 {
        self.settle();
        self.agents.clear();
        (self.taken, self.full) = (0, false);
        taken.extend(std::mem::take(&mut self.table).into_iter().filter(|sums| sums.at != 0));
        std::mem::take(&mut self.lost)
    }

    /// Adds sums that could not be written to what has come since.
    pub(super) fn put_back(&mut self, old: Sums) {
        let sums = self.of(old.secret);
        sums.allowed = sums.allowed.saturating_add(old.allowed);
        if let Some(counts) = old.denied {
            let all = sums.denied.get_or_insert_default();
            all.iter_mut().zip(counts.iter()).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
        }
        if sums.at < old.at {
            (sums.at, sums.from, sums.agent) = (old.at, old.from, old.agent);
        }
    }
}

impl Sums {
    /// When last.
    pub(super) fn last(&self) -> Time {
        Time(self.at)
    }

    /// How often it was refused for this reason.
    pub(super) fn denied_for(&self, reason: Reason) -> i64 {
        // The order of `Reason::ALL` is that of the variants.
        self.denied.as_ref().map_or(0, |counts| i64::from(counts[reason as usize % Reason::ALL.len()]))
    }

    /// Adds them to those of a day.
    pub(super) fn add_to(&self, day: &mut DayUse) {
        day.allowed += i64::from(self.allowed);
        let counts = self.denied.iter().flat_map(|counts| Reason::ALL.iter().zip(counts.iter()));
        for (reason, count) in counts.filter(|(_, count)| **count > 0) {
            *day.denied.entry(reason.as_str()).or_default() += i64::from(*count);
        }
    }

    /// In the words of the store.
    pub(super) fn usage(&self) -> Usage {
        let counts = self.denied.iter().flat_map(|counts| Reason::ALL.iter().zip(counts.iter()));
        Usage {
            last_used_at: Some(Time(self.at)),
            last_used_from: self.from.map(|address| address.to_string()),
            last_used_agent: self.agent.as_ref().map(|agent| agent.to_string()),
            allowed: self.allowed.into(),
            denied: counts.filter(|(_, n)| **n > 0).map(|(reason, n)| (reason.to_string(), (*n).into())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: Decision<'_> = Decision::Deny { reason: Reason::Expired, missing: None };

    /// Ids as they are made: random in all but the first bytes.
    fn id(n: u64) -> Secret {
        (Uuid::from_u64_pair(7, n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)), 1)
    }

    fn at(address: u8) -> Option<IpAddr> {
        Some([203, 0, 113, address].into())
    }

    #[test]
    fn every_use_is_counted_in_whatever_order() {
        let mut tally = Tally::default();
        for round in 0..7 {
            for n in 0..1_000 {
                // Agents without end: what waits must not be given another one's.
                let agent = format!("agent {}", n % 40);
                tally.count(id(n), Time(round), at(n as u8), Some(&agent), &Decision::Allow);
                tally.count(id(n), Time(round), at(n as u8), Some(&agent), &Decision::Allow);
                tally.count(id(n), Time(round), at(n as u8), Some(&agent), &DENIED);
            }
        }
        tally.settle();
        for n in 0..1_000 {
            let usage = tally.get(id(n)).map(Sums::usage).unwrap_or_else(|| panic!("{n} is missing"));
            assert_eq!((usage.allowed, &usage.denied[..]), (14, &[("expired".to_owned(), 7)][..]), "{n}");
            let sums = |reason| tally.get(id(n)).map(|it| it.denied_for(reason));
            assert_eq!((sums(Reason::Expired), sums(Reason::Revoked)), (Some(7), Some(0)), "{n}");
            assert_eq!(usage.last_used_at, Some(Time(6)));
            assert_eq!(usage.last_used_from, at(n as u8).map(|it| it.to_string()));
            assert_eq!(usage.last_used_agent, Some(format!("agent {}", n % 40)));
        }
        assert!(tally.get(id(1_000)).is_none());
    }

    #[test]
    fn the_last_use_is_the_latest_one() {
        let mut tally = Tally::default();
        for (time, address) in [(5, 1), (9, 2), (7, 3)] {
            tally.count(id(1), Time(time), at(address), None, &Decision::Allow);
        }
        tally.settle();
        let usage = tally.get(id(1)).map(Sums::usage).unwrap_or_default();
        assert_eq!((usage.last_used_at, usage.last_used_from), (Some(Time(9)), at(2).map(|it| it.to_string())));
    }

    #[test]
    fn the_secrets_of_a_token_are_counted_each_for_itself_and_found_together() {
        let mut tally = Tally::default();
        for n in 0..500 {
            let (token, _) = id(n);
            for version in [1, 2, 40_000] {
                (0..version % 7).for_each(|_| {
                    tally.count((token, version), Time(1), None, None, &Decision::Allow);
                });
            }
        }
        tally.settle();
        for n in 0..500 {
            let mut found: Vec<_> = tally.of_token(id(n).0).map(|sums| (sums.secret.1, sums.usage().allowed)).collect();
            found.sort_unstable();
            assert_eq!(found, [(1, 1), (2, 2), (40_000, 2)], "{n}");
        }
        assert_eq!(tally.of_token(id(500).0).count(), 0);
        assert_eq!(Tally::default().of_token(id(0).0).count(), 0);
    }

    #[test]
    fn what_is_taken_is_gone_and_what_is_put_back_is_added() {
        let mut tally = Tally::default();
        let mut taken = Vec::new();
        tally.count(id(1), Time(5), at(1), Some("first"), &Decision::Allow);
        assert_eq!((tally.take(&mut taken), taken.len()), (0, 1));
        assert!(tally.get(id(1)).is_none());
        tally.count(id(1), Time(4), at(2), Some("second"), &DENIED);
        tally.settle();
        taken.drain(..).for_each(|sums| tally.put_back(sums));
        let usage = tally.get(id(1)).map(Sums::usage).unwrap_or_default();
        assert_eq!((usage.allowed, &usage.denied[..]), (1, &[("expired".to_owned(), 1)][..]));
        assert_eq!(usage.last_used_at, Some(Time(5)));
        assert_eq!(usage.last_used_agent.as_deref(), Some("first"));
    }

    #[test]
    fn tokens_without_end_take_no_memory_without_end() {
        let mut tally = Tally::default();
        let told =
            (0..3 * TOKENS as u64).filter(|n| tally.count(id(*n), Time(1), None, None, &Decision::Allow)).count();
        assert_eq!(told, 2, "once when nearly full, once when full");
        let mut taken = Vec::new();
        let lost = tally.take(&mut taken);
        assert_eq!((taken.len(), lost), (TOKENS, 2 * TOKENS as u64));
        assert_eq!(tally.table.capacity(), 0);
    }

    #[test]
    fn a_long_agent_is_cut() {
        let mut tally = Tally::default();
        tally.count(id(1), Time(1), None, Some(&"é".repeat(1_000)), &Decision::Allow);
        tally.count(id(1), Time(1), None, Some(&"é".repeat(900)), &Decision::Allow);
        tally.settle();
        assert_eq!(tally.agents.len(), 1);
        let usage = tally.get(id(1)).map(Sums::usage).unwrap_or_default();
        assert_eq!(usage.last_used_agent, Some("é".repeat(AGENT_MAX)));
    }
}
