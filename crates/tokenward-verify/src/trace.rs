//! What was decided, for as long as memory lasts: the last decisions of tokens in use, and the last denials of each
//! organization. Bounded in every direction; `pending.rs` gathers what of it is written down.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use prefetch_index::prefetch_index;
use tokenward_core::sync::lock;
use tokenward_core::{Random, Time, Uuid};

use crate::record::{self, DecisionFact, DecisionRecord, KeptDecision};

/// Decisions kept of one token.
pub const OF_A_TOKEN: usize = 20;
/// Denials kept of one organization: its share.
pub const OF_AN_ORGANIZATION: usize = 256;
/// Organizations of which denials are kept, in each of the parts.
const ORGANIZATIONS: usize = 32;
/// Tokens of which decisions are kept, in each part of the uses.
const TOKENS: usize = 64;
/// A token gives up its place to another one when it has been quiet for this long, in microseconds. While more tokens
/// than there are places are busier than that, keeping track of all would cost more than it tells.
const QUIET: i64 = 1_000_000;
/// Decisions that go to the rings of their tokens together.
const WAITING: usize = 16;
/// Parts, so that threads seldom wait for each other.
const PARTS: usize = 16;

/// Below this many bits of a decision's number stands where it was counted.
pub(super) const PLACE_BITS: u32 = 7;
/// The places from here on count denials without a token.
const NO_TOKEN: u64 = 64;

/// Turns the number of a decision into its id and back. The numbers count up; the ids tell nobody how many there were,
/// and cannot be guessed.
pub struct Stamp {
    key: RandomState,
    node: u32,
}

impl Stamp {
    /// A new one: ids of another are none of its own.
    #[must_use]
    pub fn new(random: &dyn Random) -> Self {
        let mut node = [0; 4];
        random.fill(&mut node);
        // Keyed by the operating system's random source.
        Self { key: RandomState::new(), node: u32::from_be_bytes(node) }
    }

    fn keyed(&self, purpose: u8, value: u64) -> u64 {
        let mut hasher = self.key.build_hasher();
        hasher.write_u8(purpose);
        hasher.write_u64(value);
        hasher.finish()
    }

    /// The number of an id of this node; `None` for every other text.
    pub(super) fn number(&self, id: &str) -> Option<u64> {
        if id.len() != ID_LENGTH || !id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return None;
        }
        let node = u32::from_str_radix(&id[..8], 16).ok()?;
        let hidden = u64::from_str_radix(&id[8..24], 16).ok()?;
        let proof = u64::from_str_radix(&id[24..], 16).ok()?;
        let number = hidden ^ self.keyed(2, proof);
        (node == self.node && self.keyed(1, number) == proof).then_some(number)
    }
}

/// Characters of the id of a decision.
pub const ID_LENGTH: usize = 40;

/// The id of a decision: 40 hexadecimal digits, of which the first 8 name the node. Made only when it is written.
#[derive(Clone, Copy)]
pub struct DecisionId<'a> {
    /// Who gave it.
    pub stamp: &'a Stamp,
    /// Which of the decisions it is.
    pub number: u64,
}

impl fmt::Display for DecisionId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; ID_LENGTH]))
    }
}

impl DecisionId<'_> {
    /// Writes the id. Without the machinery of formatting: there is one in every answer.
    pub fn encode<'b>(&self, text: &'b mut [u8; ID_LENGTH]) -> &'b str {
        let proof = self.stamp.keyed(1, self.number);
        hex(self.stamp.node.into(), &mut text[..8]);
        hex(self.number ^ self.stamp.keyed(2, proof), &mut text[8..24]);
        hex(proof, &mut text[24..]);
        // Digits are UTF-8.
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// The last digits of a number in hexadecimal, as many as there is room for.
fn hex(number: u64, text: &mut [u8]) {
    let digits = text.len();
    for (at, digit) in text.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * (digits - 1 - at)) & 0xf) as usize];
    }
}

impl fmt::Debug for DecisionId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The last decisions, one behind the other.
#[derive(Clone, Default)]
pub(super) struct Ring {
    organization: Uuid,
    bytes: Vec<u8>,
    /// Those in `bytes`. There may be more than are kept: the oldest go together, when there is no more room.
    count: usize,
    newest: i64,
}

impl Ring {
    fn of_organization(organization: Uuid) -> Self {
        Self { organization, ..Self::default() }
    }

    /// Puts a record behind the others. At least the last `most` stay.
    fn push(&mut self, most: usize, record: &[u8], at: Time) {
        if self.bytes.len() + record.len() > self.bytes.capacity() {
            let old = self.count.saturating_sub(most - 1);
            let end: usize = DecisionRecord::all(&self.bytes).take(old).map(DecisionRecord::len).sum();
            self.bytes.drain(..end);
            self.count -= old;
            // Some room, so that not every record has to make some.
            let wanted = self.bytes.len() + record.len();
            self.bytes.reserve_exact(record.len() + (wanted / 2).max(512));
        }
        self.bytes.extend_from_slice(record);
        self.count += 1;
        self.newest = self.newest.max(at.0);
    }

    /// The last `most` records.
    fn records(&self, most: usize) -> impl Iterator<Item = DecisionRecord<'_>> {
        DecisionRecord::all(&self.bytes).skip(self.count.saturating_sub(most))
    }

    /// The decisions about a token that is known, the oldest first.
    pub(super) fn of_token(&self, token: Uuid, stamp: &Stamp) -> impl Iterator<Item = KeptDecision> {
        self.records(OF_A_TOKEN).filter_map(move |record| self.kept(record, Some(token), stamp))
    }

    fn find(
        &self,
        most: usize,
        number: u64,
        organization: Uuid,
        token: Option<Uuid>,
        stamp: &Stamp,
    ) -> Option<KeptDecision> {
        let own = self.organization == organization;
        let record = own.then(|| self.records(most).find(|record| record.number() == number))??;
        self.kept(record, token, stamp)
    }

    fn kept(&self, record: DecisionRecord<'_>, token: Option<Uuid>, stamp: &Stamp) -> Option<KeptDecision> {
        record.read(DecisionId { stamp, number: record.number() }.to_string(), self.organization, token)
    }
}

/// The last decisions of the tokens that were used last.
///
/// What lies in a ring is seldom in the cache. So decisions wait in one list and go to their rings together: the processor
/// fetches the ends of all rings at once.
#[derive(Default)]
pub(super) struct Traced {
    waiting: Vec<WaitingDecision>,
    /// The records of those that wait.
    bytes: Vec<u8>,
    rings: Vec<(Uuid, Ring)>,
    /// Where each token's ring is.
    places: HashMap<Uuid, usize, BuildHasherDefault<ById>>,
    /// The ring that was written last.
    latest: usize,
    /// Until then no token will have been quiet for long enough to give up its place.
    busy_until: i64,
}

/// A decision that is in no ring yet.
struct WaitingDecision {
    token: Uuid,
    organization: Uuid,
    at: Time,
    /// Where its record ends.
    end: usize,
    /// Its ring, as soon as it is known.
    place: Option<usize>,
}

impl Traced {
    /// Keeps a decision, if there is a place for its token.
    pub(super) fn push(&mut self, token: Uuid, number: u64, fact: &DecisionFact<'_>) {
        let again = self.waiting.last().is_some_and(|it| it.token == token);
        if again || self.waiting.len() >= WAITING {
            self.settle();
        }
        // The ring that was written last is in the cache.
        if self.waiting.is_empty()
            && let Some((_, ring)) = self.rings.get_mut(self.latest).filter(|(id, _)| *id == token)
        {
            record::write(&mut self.bytes, number, None, fact);
            ring.push(OF_A_TOKEN, &self.bytes, fact.at);
            self.bytes.clear();
            return;
        }
        if fact.at.0 < self.busy_until && !self.places.contains_key(&token) {
            return;
        }
        self.waiting.reserve_exact(WAITING - self.waiting.len());
        record::write(&mut self.bytes, number, None, fact);
        let end = self.bytes.len();
        self.waiting.push(WaitingDecision { token, organization: fact.organization, at: fact.at, end, place: None });
    }

    /// Puts what waits into the rings.
    pub(super) fn settle(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for it in &mut waiting {
            it.place = self.places.get(&it.token).copied().or_else(|| self.make_room(it));
            if let Some(place) = it.place {
                let ring = &mut self.rings[place].1;
                // Those behind it must not take its place for a quiet one.
                ring.newest = ring.newest.max(it.at.0);
                prefetch_index(&ring.bytes, ring.bytes.len());
            }
        }
        let mut start = 0;
        for it in waiting.drain(..) {
            let record = &self.bytes[std::mem::replace(&mut start, it.end)..it.end];
            // One that has waited for as long as a token must be quiet may have lost its place to another of these.
            self.latest = it.place.unwrap_or(self.latest);
            if let Some((_, ring)) = it.place.map(|at| &mut self.rings[at]).filter(|(token, _)| *token == it.token) {
                ring.push(OF_A_TOKEN, record, it.at);
            }
        }
        self.bytes.clear();
        self.waiting = waiting;
    }

    /// A place for another token.
    fn make_room(&mut self, new: &WaitingDecision) -> Option<usize> {
        let ring = Ring::of_organization(new.organization);
        if self.rings.len() < TOKENS {
            self.rings.push((new.token, ring));
            self.places.insert(new.token, self.rings.len() - 1);
            return Some(self.rings.len() - 1);
        }
        if new.at.0 < self.busy_until {
            return None;
        }
        let newest = self.rings.iter().map(|(_, ring)| ring.newest);
        let (place, since) = newest.enumerate().min_by_key(|(_, at)| *at)?;
        self.busy_until = since.saturating_add(QUIET);
        if new.at.0 < self.busy_until {
            return None;
        }
        let (quiet, _) = std::mem::replace(&mut self.rings[place], (new.token, ring));
        self.places.remove(&quiet);
        self.places.insert(new.token, place);
        Some(place)
    }

    /// Copies of the rings of an organization, or of one of its tokens: reading them takes longer than verifications may
    /// wait.
    pub(super) fn copied(&mut self, organization: Uuid, token: Option<Uuid>) -> Vec<(Uuid, Ring)> {
        self.settle();
        let all = self.rings.iter().filter(|(_, ring)| ring.organization == organization);
        all.filter(|(id, _)| token.is_none_or(|token| token == *id)).cloned().collect()
    }

    pub(super) fn find(&mut self, number: u64, organization: Uuid, stamp: &Stamp) -> Option<KeptDecision> {
        self.settle();
        self.rings.iter().find_map(|(token, ring)| ring.find(OF_A_TOKEN, number, organization, Some(*token), stamp))
    }
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

/// The last denials, with a share for each organization: a flood of one takes nothing from another.
#[derive(Default)]
pub(super) struct Denials {
    parts: [Mutex<HashMap<Uuid, Ring>>; PARTS],
    counted: AtomicU64,
}

impl Denials {
    /// A number for a denial of no known token.
    pub(super) fn number(&self) -> u64 {
        self.counted.fetch_add(1, Ordering::Relaxed) << PLACE_BITS | NO_TOKEN
    }

    pub(super) fn push(&self, number: u64, fact: &DecisionFact<'_>) {
        let mut record = Vec::with_capacity(128);
        record::write(&mut record, number, fact.token, fact);
        let mut part = lock(self.part(fact.organization));
        if part.len() >= ORGANIZATIONS && !part.contains_key(&fact.organization) {
            // The one that has been quiet for the longest time makes room.
            let quiet = part.iter().min_by_key(|(_, ring)| ring.newest).map(|(id, _)| *id);
            quiet.map(|id| part.remove(&id));
        }
        let ring = part.entry(fact.organization).or_insert_with(|| Ring::of_organization(fact.organization));
        ring.push(OF_AN_ORGANIZATION, &record, fact.at);
    }

    pub(super) fn of(&self, organization: Uuid, stamp: &Stamp) -> Vec<KeptDecision> {
        let part = lock(self.part(organization));
        let ring = part.get(&organization).cloned().unwrap_or_default();
        drop(part);
        ring.records(OF_AN_ORGANIZATION).filter_map(|record| ring.kept(record, None, stamp)).collect()
    }

    pub(super) fn find(&self, number: u64, organization: Uuid, stamp: &Stamp) -> Option<KeptDecision> {
        let part = lock(self.part(organization));
        part.get(&organization)?.find(OF_AN_ORGANIZATION, number, organization, None, stamp)
    }

    fn part(&self, organization: Uuid) -> &Mutex<HashMap<Uuid, Ring>> {
        // The last byte of a UUIDv7 is random.
        &self.parts[usize::from(organization.as_bytes()[15]) % PARTS]
    }
}

#[cfg(test)]
mod tests {
    use tokenward_core::decision::{Ask, Decision};
    use tokenward_core::reason::Reason;
    use tokenward_core::role::Target;

    use super::*;
    use crate::question::{Asking, Question};
    use crate::random::OsRandom;

    fn fact<'a>(organization: u128, question: &'a Question<'a>) -> DecisionFact<'a> {
        DecisionFact {
            at: Time(7),
            organization: Uuid::from_u128(organization),
            token: None,
            decision: Decision::Deny { reason: Reason::Unknown, missing: None },
            target: Target::Organization,
            question,
            of_ours: false,
        }
    }

    #[test]
    fn an_id_is_known_to_its_node_alone_and_tells_nothing() {
        let (stamp, other) = (Stamp::new(&OsRandom), Stamp::new(&OsRandom));
        let id = |number| DecisionId { stamp: &stamp, number }.to_string();
        for number in [0, 1, 2, u64::MAX] {
            assert_eq!(stamp.number(&id(number)), Some(number));
            assert_eq!(other.number(&id(number)), None);
        }
        assert_eq!(id(1)[..8], id(2)[..8]);
        assert_ne!(id(1)[8..24], id(2)[8..24]);
        let guess = format!("{}{}", &id(1)[..24], &id(2)[24..]);
        for text in ["", "x", &guess, &id(1)[..39], &id(1).to_uppercase(), &format!("{}é", &id(1)[..38])] {
            assert_eq!(stamp.number(text), None, "{text}");
        }
    }

    #[test]
    fn a_flood_of_one_organization_takes_nothing_from_another() {
        let (denials, stamp) = (Denials::default(), Stamp::new(&OsRandom));
        let question = Question::new(Asking::Any, Ask::Identity);
        let quiet = denials.number();
        denials.push(quiet, &fact(1, &question));
        for _ in 0..10_000 {
            denials.push(denials.number(), &fact(17, &question));
        }
        assert!(denials.find(quiet, Uuid::from_u128(1), &stamp).is_some());
        assert!(denials.find(quiet, Uuid::from_u128(17), &stamp).is_none());
        let kept = denials.of(Uuid::from_u128(17), &stamp);
        assert_eq!(kept.len(), OF_AN_ORGANIZATION);
    }

    #[test]
    fn organizations_without_end_take_no_memory_without_end() {
        let denials = Denials::default();
        let question = Question::new(Asking::Any, Ask::Identity);
        for organization in 0..5_000 {
            denials.push(denials.number(), &fact(organization, &question));
        }
        let kept: usize = denials.parts.iter().map(|part| part.lock().unwrap().len()).sum();
        assert_eq!(kept, ORGANIZATIONS * PARTS);
    }

    #[test]
    fn a_quiet_token_makes_room_and_a_busy_one_does_not() {
        let (mut traced, question) = (Traced::default(), Question::new(Asking::Any, Ask::Identity));
        let mut use_at = |token: usize, at: i64| {
            let fact = DecisionFact { at: Time(at), ..fact(1, &question) };
            traced.push(Uuid::from_u128(token as u128), 0, &fact);
            traced.settle();
            assert_eq!(traced.rings.len(), traced.places.len());
            traced.places.keys().map(|id| id.as_u128() as usize).collect::<std::collections::BTreeSet<_>>()
        };
        let all: std::collections::BTreeSet<_> = (0..TOKENS).collect();
        (0..TOKENS).for_each(|token| _ = use_at(token, 1_000 + token as i64));
        assert_eq!(use_at(TOKENS, 1_100), all, "all are busy");
        assert_eq!(use_at(0, 1_200), all);
        // The first has been used since, the second has not.
        let kept = use_at(TOKENS, 1_001 + QUIET);
        assert_eq!(kept.symmetric_difference(&all).copied().collect::<Vec<_>>(), [1, TOKENS]);
        assert_eq!(use_at(TOKENS + 1, 1_001 + QUIET), kept, "the third was used a microsecond later");
        assert!(use_at(TOKENS + 1, 1_002 + QUIET).contains(&(TOKENS + 1)));
    }

    #[test]
    fn those_that_wait_together_get_a_place_each() {
        let (mut traced, question) = (Traced::default(), Question::new(Asking::Any, Ask::Identity));
        let mut push = |token: usize, at: i64| {
            traced.push(Uuid::from_u128(token as u128), 0, &DecisionFact { at: Time(at), ..fact(1, &question) });
        };
        (0..TOKENS).for_each(|token| push(token, token as i64));
        // One of the quiet ones is used again, and fifteen are new.
        let later = 2 * QUIET;
        push(0, later);
        (TOKENS..TOKENS + WAITING - 1).for_each(|token| push(token, later));
        traced.settle();
        let kept: std::collections::BTreeSet<_> = traced.places.keys().map(|id| id.as_u128() as usize).collect();
        let expected: std::collections::BTreeSet<_> = [0].into_iter().chain(WAITING..TOKENS + WAITING - 1).collect();
        assert_eq!(kept, expected);
        assert!(traced.rings.iter().all(|(_, ring)| ring.count > 0));
    }

    #[test]
    fn the_last_twenty_decisions_of_each_token_are_kept() {
        let (mut traced, stamp, organization) = (Traced::default(), Stamp::new(&OsRandom), Uuid::from_u128(1));
        let token = |n: u64| Uuid::from_u64_pair(7, n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut pushed: HashMap<Uuid, Vec<String>> = HashMap::new();
        for n in 0..5_000_u64 {
            // Records of every length, and some tokens far oftener than others.
            let path = format!("/{}", "x".repeat((n * 7 % 251) as usize));
            let request = Some(crate::Request { api: None, method: "GET", path: &path });
            let question = Question::new(Asking::Any, Ask::Identity).request(request);
            let token = token((n * n) % 37);
            traced.push(token, n, &DecisionFact { at: Time(n as i64), token: Some(token), ..fact(1, &question) });
            pushed.entry(token).or_default().push(path);
            if n % 97 == 0 {
                let last = &pushed[&token];
                let [(_, ring)] = &traced.copied(organization, Some(token))[..] else { panic!("{n}") };
                let kept: Vec<_> = ring.of_token(token, &stamp).map(|it| it.path.unwrap()).collect();
                assert_eq!(kept, last[last.len().saturating_sub(OF_A_TOKEN)..]);
                assert_eq!(traced.find(n, organization, &stamp).map(|it| it.token), Some(Some(token)));
                assert_eq!(traced.find(n, Uuid::from_u128(2), &stamp), None, "another organization's");
            }
        }
        for (_, ring) in &traced.rings {
            assert!(ring.bytes.capacity() < 2 * OF_A_TOKEN * 300, "{} bytes for one token", ring.bytes.capacity());
        }
    }
}
