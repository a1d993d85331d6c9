//! What was decided, for as long as memory lasts: the last decisions of tokens in use, and the last denials of each
//! organization. Bounded in every direction; nothing of it is ever written down.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokenward_core::decision::{Ask, Decision, Reason};
use tokenward_core::permission::Permission;
use tokenward_core::role::Target;
use tokenward_core::{Random, Time, Uuid};

use super::Question;

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
/// Longest path that is kept, in characters.
const PATH_MAX: usize = 256;
/// Longest name of an API that is kept, in characters.
const WORD_MAX: usize = 64;
/// Parts, so that threads seldom wait for each other.
const PARTS: usize = 16;

/// Below this many bits of a decision's number stands where it was counted.
pub(super) const PLACE_BITS: u32 = 7;
/// The places from here on count denials without a token.
const NO_TOKEN: u64 = 64;

/// Turns the number of a decision into its id and back. The numbers count up; the ids tell nobody how many there were,
/// and cannot be guessed.
pub(super) struct Stamp {
    key: RandomState,
    node: u32,
}

impl Stamp {
    pub(super) fn new(random: &dyn Random) -> Self {
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
pub(super) const ID_LENGTH: usize = 40;

/// The id of a decision: 40 hexadecimal digits, of which the first 8 name the node. Made only when it is written.
#[derive(Clone, Copy)]
pub struct DecisionId<'a> {
    pub(super) stamp: &'a Stamp,
    pub(super) number: u64,
}

impl fmt::Display for DecisionId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; ID_LENGTH]))
    }
}

impl DecisionId<'_> {
    /// Writes the id. Without the machinery of formatting: there is one in every answer.
    pub(super) fn encode<'b>(&self, text: &'b mut [u8; ID_LENGTH]) -> &'b str {
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

/// A decision that was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Time,
    /// For which organization.
    pub organization: Uuid,
    /// Of which token; `None` when the text was not a token or not known.
    pub token: Option<Uuid>,
    /// Why not; `None` for yes.
    pub denied: Option<Reason>,
    /// The permission that was missing.
    pub missing: Option<String>,
    /// The permission that was asked for by name.
    pub permission: Option<String>,
    /// The API whose routes counted.
    pub api: Option<String>,
    /// The method of the request.
    pub method: Option<String>,
    /// Its path, without the query, and at most 256 characters of it.
    pub path: Option<String>,
    /// With what.
    pub target: Target,
    /// From which address.
    pub address: Option<IpAddr>,
}

/// The same as it lies in memory. Its texts are used again by the decision that takes its place.
pub(super) struct Record {
    number: u64,
    at: Time,
    organization: Uuid,
    token: Option<Uuid>,
    denied: Option<Reason>,
    target: Target,
    address: Option<IpAddr>,
    /// One behind the other: the missing permission, that asked for by name, API, method, path.
    texts: String,
    /// Where each of them ends.
    ends: [u16; 5],
}

/// What is to be kept.
#[derive(Clone, Copy)]
pub(super) struct Fact<'a> {
    pub at: Time,
    pub organization: Uuid,
    pub token: Option<Uuid>,
    pub decision: Decision<'a>,
    pub target: Target,
    pub question: &'a Question<'a>,
}

impl Record {
    fn new() -> Self {
        Self {
            number: 0,
            at: Time(0),
            organization: Uuid::nil(),
            token: None,
            denied: None,
            target: Target::Organization,
            address: None,
            texts: String::new(),
            ends: [0; 5],
        }
    }

    fn set(&mut self, number: u64, fact: &Fact<'_>) {
        let (denied, missing) = match fact.decision {
            Decision::Allow => (None, None),
            Decision::Deny { reason, missing } => (Some(reason), missing),
        };
        self.number = number;
        self.at = fact.at;
        self.organization = fact.organization;
        self.token = fact.token;
        self.denied = denied;
        self.target = fact.target;
        self.address = fact.question.from.address;
        self.texts.clear();
        if let Some(missing) = missing {
            put(&mut self.texts, missing);
        }
        let end = self.texts.len();
        if let Ask::Permission(permission) = fact.question.ask {
            put(&mut self.texts, permission);
        }
        let ends = [end, self.texts.len()];
        let Some(request) = fact.question.request else {
            let [missing, permission] = ends.map(|end| end as u16);
            self.ends = [missing, permission, permission, permission, permission];
            return;
        };
        let path = request.path.split('?').next().unwrap_or_default();
        let [api, method, path] =
            [first(request.api.unwrap_or_default(), WORD_MAX), first(request.method, WORD_MAX), first(path, PATH_MAX)]
                .map(|text| {
                    self.texts.push_str(text);
                    self.texts.len()
                });
        // Each text has a bound, and the sum of the bounds is far below 2^16.
        self.ends = [ends[0], ends[1], api, method, path].map(|end| end as u16);
    }

    /// One of the texts; `None` when it is empty.
    fn text(&self, at: usize) -> Option<String> {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        let text = self.texts.get(usize::from(start)..usize::from(self.ends[at])).unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn kept(&self, stamp: &Stamp) -> Kept {
        Kept {
            id: DecisionId { stamp, number: self.number }.to_string(),
            at: self.at,
            organization: self.organization,
            token: self.token,
            denied: self.denied,
            missing: self.text(0),
            permission: self.text(1),
            api: self.text(2),
            method: self.text(3),
            path: self.text(4),
            target: self.target,
            address: self.address,
        }
    }
}

/// Writes a permission without the machinery of formatting: this runs on every verification.
fn put(text: &mut String, permission: Permission<'_>) {
    match permission {
        Permission::Own(own) => text.push_str(own.as_str()),
        Permission::Api { noun, verb } => {
            text.push_str(noun);
            text.push(':');
            text.push_str(verb);
        }
    }
}

/// The first characters of a text.
fn first(text: &str, characters: usize) -> &str {
    if text.len() <= characters {
        return text;
    }
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// The last decisions, the oldest of which makes room.
#[derive(Default)]
pub(super) struct Ring {
    records: Vec<Record>,
    next: usize,
}

impl Ring {
    pub(super) fn push(&mut self, most: usize, number: u64, fact: &Fact<'_>) {
        if self.records.len() < most {
            self.records.push(Record::new());
        }
        self.records[self.next].set(number, fact);
        self.next = if self.next + 1 == most { 0 } else { self.next + 1 };
    }

    /// When the newest was decided.
    fn newest(&self) -> Time {
        // The one before the next; at the beginning of a full ring, its end.
        let at = self.next.checked_sub(1).unwrap_or(self.records.len().saturating_sub(1));
        self.records.get(at).map_or(Time(0), |it| it.at)
    }

    pub(super) fn of(&self, organization: Uuid, stamp: &Stamp) -> impl Iterator<Item = Kept> {
        self.records.iter().filter(move |it| it.organization == organization).map(move |it| it.kept(stamp))
    }

    pub(super) fn find(&self, number: u64, organization: Uuid, stamp: &Stamp) -> Option<Kept> {
        let found = self.records.iter().find(|it| it.number == number && it.organization == organization);
        found.map(|it| it.kept(stamp))
    }
}

/// The last decisions of the tokens that were used last.
#[derive(Default)]
pub(super) struct Traced {
    rings: Vec<(Uuid, Ring)>,
    /// Where each token's ring is.
    places: HashMap<Uuid, usize, BuildHasherDefault<ById>>,
    /// The place that was pushed to last: often the next one too.
    latest: usize,
    /// Until then no token will have been quiet for long enough to give up its place.
    busy_until: i64,
}

impl Traced {
    /// Keeps a decision, if there is a place for its token.
    pub(super) fn push(&mut self, token: Uuid, number: u64, fact: &Fact<'_>) {
        if self.rings.get(self.latest).is_none_or(|(id, _)| *id != token) {
            let known = self.places.get(&token).copied();
            let Some(place) = known.or_else(|| self.make_room(token, fact.at)) else { return };
            self.latest = place;
        }
        self.rings[self.latest].1.push(OF_A_TOKEN, number, fact);
    }

    /// A place for another token.
    fn make_room(&mut self, token: Uuid, now: Time) -> Option<usize> {
        if self.rings.len() < TOKENS {
            self.rings.push((token, Ring::default()));
            self.places.insert(token, self.rings.len() - 1);
            return Some(self.rings.len() - 1);
        }
        if now.0 < self.busy_until {
            return None;
        }
        let newest = self.rings.iter().map(|(_, ring)| ring.newest());
        let (place, since) = newest.enumerate().min_by_key(|(_, at)| *at)?;
        self.busy_until = since.0.saturating_add(QUIET);
        if now.0 < self.busy_until {
            return None;
        }
        let (quiet, _) = std::mem::replace(&mut self.rings[place], (token, Ring::default()));
        self.places.remove(&quiet);
        self.places.insert(token, place);
        Some(place)
    }

    pub(super) fn ring(&self, token: Uuid) -> Option<&Ring> {
        self.places.get(&token).map(|place| &self.rings[*place].1)
    }

    pub(super) fn rings(&self) -> impl Iterator<Item = &Ring> {
        self.rings.iter().map(|(_, ring)| ring)
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

    pub(super) fn push(&self, number: u64, fact: &Fact<'_>) {
        let mut part = self.part(fact.organization).lock().unwrap_or_else(PoisonError::into_inner);
        if part.len() >= ORGANIZATIONS && !part.contains_key(&fact.organization) {
            // The one that has been quiet for the longest time makes room.
            let quiet = part.iter().min_by_key(|(_, ring)| ring.newest()).map(|(id, _)| *id);
            quiet.map(|id| part.remove(&id));
        }
        part.entry(fact.organization).or_default().push(OF_AN_ORGANIZATION, number, fact);
    }

    pub(super) fn of(&self, organization: Uuid, stamp: &Stamp) -> Vec<Kept> {
        let part = self.part(organization).lock().unwrap_or_else(PoisonError::into_inner);
        part.get(&organization).map(|ring| ring.of(organization, stamp).collect()).unwrap_or_default()
    }

    pub(super) fn find(&self, number: u64, organization: Uuid, stamp: &Stamp) -> Option<Kept> {
        let part = self.part(organization).lock().unwrap_or_else(PoisonError::into_inner);
        part.get(&organization)?.find(number, organization, stamp)
    }

    fn part(&self, organization: Uuid) -> &Mutex<HashMap<Uuid, Ring>> {
        // The last byte of a UUIDv7 is random.
        &self.parts[usize::from(organization.as_bytes()[15]) % PARTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;
    use crate::verify::Request;

    fn fact<'a>(organization: u128, question: &'a Question<'a>) -> Fact<'a> {
        Fact {
            at: Time(7),
            organization: Uuid::from_u128(organization),
            token: None,
            decision: Decision::Deny { reason: Reason::Unknown, missing: None },
            target: Target::Organization,
            question,
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
        let question = Question::default();
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
        let question = Question::default();
        for organization in 0..5_000 {
            denials.push(denials.number(), &fact(organization, &question));
        }
        let kept: usize = denials.parts.iter().map(|part| part.lock().unwrap().len()).sum();
        assert_eq!(kept, ORGANIZATIONS * PARTS);
    }

    #[test]
    fn a_quiet_token_makes_room_and_a_busy_one_does_not() {
        let (mut traced, question) = (Traced::default(), Question::default());
        let mut use_at = |token: usize, at: i64| {
            let fact = Fact { at: Time(at), ..fact(1, &question) };
            traced.push(Uuid::from_u128(token as u128), 0, &fact);
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
    fn a_path_is_kept_without_its_query_and_not_at_any_length() {
        let (mut ring, stamp) = (Ring::default(), Stamp::new(&OsRandom));
        let path = format!("/é{}?key=secret", "a".repeat(1_000));
        for path in [path.as_str(), "/short?key=secret"] {
            let request = Some(Request { api: Some("shop"), method: "GET", path });
            ring.push(2, 0, &fact(1, &Question { request, ..Question::default() }));
        }
        let kept: Vec<_> = ring.of(Uuid::from_u128(1), &stamp).map(|it| it.path.unwrap()).collect();
        assert_eq!(kept[0].chars().count(), PATH_MAX);
        assert_eq!(kept[1], "/short");
    }
}
