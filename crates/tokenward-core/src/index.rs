//! Everything that a verification needs, in memory.
//!
//! Tokens lie in shards: an open-addressing table of records, each of one cache line, so that a look-up costs about one
//! cache miss and a token about 115 bytes. Where a record lies follows from the last four characters of its text, which
//! are no secret (lists show them) and part of a checksum, so spread evenly. A look-up therefore knows the place before
//! it has hashed the text, and memory and hashing take their time together, not one after the other. *Which* record it
//! is, the digest alone says. A reader holds its shard's lock for one decision; only the follower writes. Sessions are
//! few and lie in an ordinary map; what the organizations consist of is the [`Directory`].
//!
//! A secret that somebody else made lies where its keyed digest says: what its text ends in could be chosen, and a million
//! that end alike would stand in one place. Who looks for a text looks there too, once there is one such secret.
//!
//! A record refers to its organization and role by number and copies neither, so that the change of a role is
//! one small write. It copies its token's name and state: a token seldom has more than two secrets, and
//! writing two records is cheaper than a further cache miss on every verification.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::{ArcSwap, Guard};
use prefetch_index::prefetch_index;
use uuid::Uuid;

use crate::decision::{Credential, Standing, Subject};
use crate::directory::Directory;
use crate::meter::Meter;
use crate::meters::Meters;
use crate::network::Networks;
use crate::reach::Reach;
use crate::role::{Role, Scope};
use crate::secret::{Digest, Kind};
use crate::sign_in::SessionProof;
use crate::sync::{read, write};
use crate::time::Time;
use crate::token::{Restrictions, State};

/// At ten million tokens a shard holds ten thousand, and growing one stays under a millisecond.
const SHARD_BITS: u32 = 10;
const SHARDS: usize = 1 << SHARD_BITS;

/// What the follower puts into the index for one secret of a token.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The last four characters of its text; `None` where we did not make it.
    pub last_four: Option<&'a str>,
    /// The stored digest of the secret.
    pub digest: Digest,
    /// The token's id.
    pub token: Uuid,
    /// API token or policy token.
    pub kind: Kind,
    /// The number of the organization in the directory.
    pub organization: u32,
    /// The number of the role in the organization.
    pub role: u32,
    /// The token's state.
    pub state: State,
    /// When the token or this secret ends, whichever is first.
    pub expires_at: Option<Time>,
    /// What else the token is bound to.
    pub restrictions: Option<&'a Arc<Restrictions>>,
    /// Is that the end of this secret, because a newer one replaces it?
    pub replaced: bool,
    /// Which secret of the token it is: 1 is its first.
    pub version: u16,
    /// The token's name.
    pub name: &'a str,
}

/// What a look-up finds.
#[derive(Clone, Copy, Debug)]
pub struct FoundRecord<'a> {
    /// The token's id.
    pub token: Uuid,
    /// API token or policy token.
    pub kind: Kind,
    /// The number of the organization in the directory.
    pub organization: u32,
    /// The number of the role in the organization.
    pub role: u32,
    /// The token's state.
    pub state: State,
    /// When it ends.
    pub expires_at: Option<Time>,
    /// Is that the end of this secret, because a newer one replaces it?
    pub replaced: bool,
    /// Which secret of the token it is: 1 is its first.
    pub version: u16,
    restrictions: Option<&'a Restrictions>,
    name: Name<'a>,
}

/// Where a name lies. Not read before somebody asks: most decisions need no name, and it is a cache miss away.
#[derive(Clone, Copy)]
struct Name<'a> {
    names: &'a str,
    start: u32,
    length: u16,
}

impl<'a> Name<'a> {
    fn text(self) -> &'a str {
        let start = self.start as usize;
        self.names.get(start..start + usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

impl<'a> FoundRecord<'a> {
    /// The token's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name.text()
    }

    /// The fact for a decision.
    #[must_use]
    pub fn credential(&self) -> Credential {
        Credential {
            id: self.token,
            subject: Subject::Token(self.version),
            state: self.state,
            not_before: self.restrictions.and_then(|it| it.not_before),
            expires_at: self.expires_at,
            replaced: self.replaced,
            brownout: self.restrictions.and_then(|it| it.brownout),
        }
    }

    /// The permissions of its role that the token is narrowed to.
    #[must_use]
    pub fn scope(&self) -> Option<&'a Scope> {
        self.restrictions?.scope.as_deref()
    }

    /// What counts its use, where the token has limits.
    #[must_use]
    pub fn meter(&self) -> Option<&'a Meter> {
        self.restrictions?.meter.as_deref()
    }

    /// As what it acts where it has this role.
    #[must_use]
    pub fn standing(&self, role: &'a Role) -> Standing<'a> {
        Standing::of(role, self.scope())
    }

    /// Is a question that comes from this address outside the networks that the token is bound to?
    #[must_use]
    pub fn excludes(&self, address: Option<IpAddr>) -> bool {
        self.restrictions.is_some_and(|it| it.exclude(address))
    }
}

/// A user's session, over HTTP or in the console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user: Uuid,
    /// The user's e-mail address.
    pub email: Box<str>,
    /// A session of the console (a cookie), which the API does not accept.
    pub console: bool,
    /// When it ends.
    pub expires_at: Time,
    /// What it proves. Where passwords do not count, one that was proven by nothing else does not.
    pub proof: Arc<SessionProof>,
    /// What it reaches of its user's organizations.
    pub reach: Reach,
}

impl Session {
    /// The fact for a decision. An ended session leaves the index, so what is found is active.
    #[must_use]
    pub fn credential(&self) -> Credential {
        Credential {
            id: self.id,
            subject: Subject::User(self.user),
            state: State::Active,
            not_before: None,
            expires_at: Some(self.expires_at),
            replaced: false,
            brownout: None,
        }
    }
}

/// The index. Cheap to read from any number of threads.
pub struct Index {
    shards: Box<[RwLock<Shard>]>,
    /// Has there ever been a secret that we did not make?
    has_registered: AtomicBool,
    sessions: RwLock<HashMap<Digest, Arc<Session>>>,
    directory: ArcSwap<Directory>,
    /// How much was used of the tokens that have limits.
    pub meters: Meters,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            has_registered: AtomicBool::default(),
            sessions: RwLock::default(),
            directory: ArcSwap::default(),
            meters: Meters::default(),
        }
    }
}

impl Index {
    /// Where the secret is, if it is known, whose text ends in these four characters. To be asked for before the text is
    /// hashed: the memory is on its way from then on.
    #[must_use]
    pub fn place(&self, last_four: &str) -> Slot<'_> {
        self.slot(locator(last_four))
    }

    /// Where the secret with this digest is if we did not make it. Not to be asked while another [`Slot`] is held.
    #[must_use]
    pub fn place_of_registered(&self, digest: &Digest) -> Slot<'_> {
        self.slot(keyed_locator(digest))
    }

    /// May there be secrets that we did not make?
    #[must_use]
    pub fn has_registered(&self) -> bool {
        self.has_registered.load(Ordering::Acquire)
    }

    fn slot(&self, locator: u32) -> Slot<'_> {
        let shard = read(self.shard(locator));
        let home = shard.fetch(locator);
        Slot { shard, locator, home }
    }

    /// Makes room for so many secrets at once, before they are added one by one.
    pub fn reserve(&self, secrets: usize) {
        for shard in &self.shards {
            write(shard).reserve(secrets / SHARDS);
        }
    }

    /// Adds a secret of a token, or replaces what is known of it.
    pub fn put_token(&self, entry: &Entry<'_>) {
        if entry.last_four.is_none() {
            self.has_registered.store(true, Ordering::Release);
        }
        write(self.shard(entry.locator())).put(entry);
    }

    /// Puts what was loaded anew in the place of everything, while nothing is decided by it; what is known to have ended
    /// stays ended, whatever an older copy says of it. The directory of `fresh` must have the numbers of the present one.
    pub fn replace(&self, fresh: Self) {
        self.directory.store(fresh.directory.load_full());
        // What has ended stays, and may be such a secret.
        self.has_registered.fetch_or(fresh.has_registered(), Ordering::AcqRel);
        for (own, new) in self.shards.iter().zip(fresh.shards) {
            let mut own = write(own);
            let old = std::mem::replace(&mut *own, new.into_inner().unwrap_or_else(PoisonError::into_inner));
            old.ended().for_each(|(record, name)| own.put_ended(record, name));
        }
        self.meters.replace(fresh.meters);
        *write(&self.sessions) = fresh.sessions.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    /// Forgets the tombstones of tokens revoked before `before`, one by one or all at once, and the tokens of organizations that are gone.
    pub fn prune(&self, before: Time) {
        let directory = self.directory();
        self.meters.prune();
        for shard in &self.shards {
            write(shard).retain(|record| {
                let Some(organization) = directory.numbered(record.organization) else { return false };
                let cut_off = organization.cut.is_some_and(|cut| record.token <= cut.through && cut.at < before);
                !(cut_off || record.flags & STATE == REVOKED && record.end < before.0)
            });
        }
    }

    /// How many secrets of tokens are known, tombstones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).taken).sum()
    }

    /// Is no token known?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the tokens take, what is reserved included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).bytes()).sum()
    }

    /// The session with this digest.
    #[must_use]
    pub fn session(&self, digest: &Digest) -> Option<Arc<Session>> {
        read(&self.sessions).get(digest).cloned()
    }

    /// How many sessions are known.
    #[must_use]
    pub fn session_count(&self) -> usize {
        read(&self.sessions).len()
    }

    /// Replaces the sessions of `users` by `sessions`.
    pub fn put_sessions(&self, users: &[Uuid], sessions: Vec<(Digest, Session)>) {
        let mut all = write(&self.sessions);
        all.retain(|_, session| !users.contains(&session.user));
        all.extend(sessions.into_iter().map(|(digest, session)| (digest, Arc::new(session))));
    }

    /// What the organizations consist of now.
    #[must_use]
    pub fn directory(&self) -> Guard<Arc<Directory>> {
        self.directory.load()
    }

    /// Puts a changed directory in the place of the present one.
    pub fn set_directory(&self, directory: Directory) {
        self.directory.store(Arc::new(directory));
    }

    fn shard(&self, locator: u32) -> &RwLock<Shard> {
        &self.shards[(spread(locator) >> (64 - SHARD_BITS)) as usize]
    }
}

/// The part of the index where a secret is, if it is known. Holds a lock: to be dropped soon.
pub struct Slot<'a> {
    shard: RwLockReadGuard<'a, Shard>,
    locator: u32,
    home: usize,
}

impl Slot<'_> {
    /// The secret with this digest.
    #[must_use]
    pub fn find(&self, digest: &Digest) -> Option<FoundRecord<'_>> {
        self.shard.find(self.home, &part(digest)).map(|at| self.shard.record_at(at))
    }

    /// This secret of a token, under whichever digest: memory may know an older one than the database for a while.
    #[must_use]
    pub fn find_secret(&self, token: Uuid, version: u16) -> Option<FoundRecord<'_>> {
        self.shard.find_secret(self.locator, token, version).map(|at| self.shard.record_at(at))
    }
}

/// Four characters as a number.
fn locator(last_four: &str) -> u32 {
    last_four.bytes().fold(0, |all, byte| all << 8 | u32::from(byte))
}

/// The same for a secret that we did not make. These bytes are none of those that a record keeps, and the key is ours: nobody
/// can choose them.
fn keyed_locator(digest: &Digest) -> u32 {
    u32::from_le_bytes([digest.0[16], digest.0[17], digest.0[18], digest.0[19]])
}

impl Entry<'_> {
    fn locator(&self) -> u32 {
        self.last_four.map_or_else(|| keyed_locator(&self.digest), locator)
    }
}

/// The same spread over 64 bits, of which the highest are the best (Fibonacci hashing, Knuth vol. 3 §6.4).
fn spread(locator: u32) -> u64 {
    u64::from(locator).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

// The flags of a record: its state in the low two bits, its kind in the third; the fourth says that there is one, the fifth
// that a newer secret replaces it, the sixth that the token has restrictions.
const STATE: u8 = 0b011;
const ACTIVE: u8 = 0;
const DISABLED: u8 = 1;
const REVOKED: u8 = 2;
const POLICY: u8 = 0b100;
const TAKEN: u8 = 0b1000;
const REPLACED: u8 = 0b1_0000;
const RESTRICTED: u8 = 0b10_0000;

/// `end` of a token that does not expire.
const NEVER: i64 = i64::MAX;

/// Exactly one cache line.
#[repr(align(64))]
struct Record {
    digest: DigestPart,
    token: Uuid,
    /// When it expires; when it was revoked, where the flags say so.
    end: i64,
    locator: u32,
    organization: u32,
    role: u32,
    name_start: u32,
    name_length: u16,
    version: u16,
    flags: u8,
}

const _: () = assert!(size_of::<Record>() == 64, "a record is one cache line");

/// What a record keeps of a digest: 128 bits. A guessed text hits one of ten million with a chance of 2^-104, and each
/// guess takes a request. Words, which are compared without a call.
type DigestPart = [u64; 2];

fn part(digest: &Digest) -> DigestPart {
    let half = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.0[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    [half(0), half(8)]
}

impl Record {
    /// A free place.
    const FREE: Self = Self {
        digest: [0; 2],
        token: Uuid::nil(),
        end: NEVER,
        locator: 0,
        organization: 0,
        role: 0,
        name_start: 0,
        name_length: 0,
        version: 0,
        flags: 0,
    };

    fn is_free(&self) -> bool {
        self.flags & TAKEN == 0
    }
}

/// One part of the tokens.
#[derive(Default)]
struct Shard {
    /// The table: records and free places.
    records: Vec<Record>,
    /// How many are taken.
    taken: usize,
    /// The names, one behind the other. A renamed token leaves its old name behind until the next `retain`.
    names: String,
    /// What the tokens are bound to whose flags say so.
    restrictions: HashMap<Uuid, Arc<Restrictions>>,
}

impl Shard {
    /// The place where the search for a secret begins: its locator as a fraction of the table (Lemire 2019), so that the
    /// table can have any size and grow in small steps.
    fn home(&self, locator: u32) -> usize {
        // Behind the bits that chose the shard.
        let bits = (spread(locator) << SHARD_BITS) >> 32;
        ((bits * self.records.len() as u64) >> 32) as usize
    }

    /// The home of a secret, whose memory is fetched from now on, and that of the next places: a search looks at two or
    /// three. Nothing waits for it.
    fn fetch(&self, locator: u32) -> usize {
        let home = self.home(locator);
        for at in home..home + 3 {
            prefetch_index(&self.records, at);
        }
        home
    }

    /// The place of a digest, or the free one where it would be put.
    fn search(&self, home: usize, digest: &DigestPart) -> usize {
        let mut at = home;
        // Ends at a free place; `put` keeps a quarter of them free.
        // What is compared is a keyed digest: its timing tells nothing about a text.
        while !self.records[at].is_free() && self.records[at].digest != *digest {
            at = if at + 1 == self.records.len() { 0 } else { at + 1 };
        }
        at
    }

    fn find(&self, home: usize, digest: &DigestPart) -> Option<usize> {
        if self.records.is_empty() {
            return None;
        }
        let at = self.search(home, digest);
        (!self.records[at].is_free()).then_some(at)
    }

    fn record_at(&self, at: usize) -> FoundRecord<'_> {
        let record = &self.records[at];
        let is_restricted = record.flags & RESTRICTED != 0;
        let restrictions = if is_restricted { self.restrictions.get(&record.token).map(|it| &**it) } else { None };
        let state = match record.flags & STATE {
            // What is bound to something that nobody knows is not usable.
            ACTIVE if is_restricted == restrictions.is_some() => State::Active,
            REVOKED => State::Revoked(Time(record.end)),
            // Whatever else it may be: not usable.
            _ => State::Disabled,
        };
        FoundRecord {
            token: record.token,
            kind: if record.flags & POLICY == 0 { Kind::Token } else { Kind::PolicyToken },
            organization: record.organization,
            role: record.role,
            state,
            // The end of a revoked token no longer matters.
            expires_at: (record.end != NEVER && record.flags & STATE != REVOKED).then_some(Time(record.end)),
            replaced: record.flags & REPLACED != 0,
            version: record.version,
            restrictions,
            name: Name { names: &self.names, start: record.name_start, length: record.name_length },
        }
    }

    fn put(&mut self, entry: &Entry<'_>) {
        let end = entry.expires_at.map_or(NEVER, |at| at.0);
        let (state, end) = match entry.state {
            State::Active => (ACTIVE, end),
            State::Disabled => (DISABLED, end),
            State::Revoked(at) => (REVOKED, at.0),
        };
        let record = Record {
            digest: part(&entry.digest),
            token: entry.token,
            end,
            locator: entry.locator(),
            organization: entry.organization,
            role: entry.role,
            version: entry.version,
            flags: TAKEN
                | state
                | if entry.kind == Kind::PolicyToken { POLICY } else { 0 }
                | if entry.replaced { REPLACED } else { 0 }
                | if entry.restrictions.is_some() { RESTRICTED } else { 0 },
            ..Record::FREE
        };
        match entry.restrictions {
            Some(restrictions) => {
                self.restrictions.insert(entry.token, Arc::clone(restrictions));
            }
            // One with restrictions is in the minority; most shards have none.
            None if self.restrictions.is_empty() => {}
            None => {
                self.restrictions.remove(&entry.token);
            }
        }
        self.put_record(record, entry.name);
    }

    /// The records of tokens that have ended, with their names.
    fn ended(&self) -> impl Iterator<Item = (&Record, &str)> {
        let ended = self.records.iter().enumerate().filter(|(_, it)| !it.is_free() && it.flags & STATE == REVOKED);
        ended.map(|(at, record)| (record, self.record_at(at).name()))
    }

    /// Makes sure that a token has ended which is known to have.
    fn put_ended(&mut self, ended: &Record, name: &str) {
        let present = self.find(self.home(ended.locator), &ended.digest);
        if present.is_none_or(|at| self.records[at].flags & STATE != REVOKED) {
            self.put_record(Record { ..*ended }, name);
        }
    }

    /// The place of a secret that is known under another digest: it was digested anew, with a newer pepper. It lies on the way
    /// from the same home, since its text ends in the same characters.
    fn find_secret(&self, locator: u32, token: Uuid, version: u16) -> Option<usize> {
        if self.records.is_empty() {
            return None;
        }
        let mut at = self.home(locator);
        while !self.records[at].is_free() {
            let it = &self.records[at];
            if it.token == token && it.version == version && it.locator == locator {
                return Some(at);
            }
            at = if at + 1 == self.records.len() { 0 } else { at + 1 };
        }
        None
    }

    fn put_record(&mut self, record: Record, name: &str) {
        let present = self
            .find(self.home(record.locator), &record.digest)
            .or_else(|| self.find_secret(record.locator, record.token, record.version));
        let same_name = present.filter(|at| self.record_at(*at).name() == name).map(|at| self.records[at].name_start);
        let name_start = same_name.unwrap_or_else(|| {
            reserve(self.names.len(), self.names.capacity(), name.len(), |more| self.names.reserve_exact(more));
            let start = self.names.len() as u32;
            self.names.push_str(name);
            start
        });
        // A name has at most 128 characters of at most four bytes.
        let record = Record { name_start, name_length: name.len() as u16, ..record };
        if let Some(at) = present {
            self.records[at] = record;
            return;
        }
        if (self.taken + 1) * 4 > self.records.len() * 3 {
            // An eighth more before the next time.
            let (records, size) = (std::mem::take(&mut self.records), self.taken * 3 / 2);
            self.rebuild(records, size);
        }
        let at = self.search(self.home(record.locator), &record.digest);
        self.records[at] = record;
        self.taken += 1;
    }

    /// Makes room for so many records, and for what a shard gets more than the average.
    fn reserve(&mut self, count: usize) {
        let size = count * 7 / 5;
        if size > self.records.len() {
            let records = std::mem::take(&mut self.records);
            self.rebuild(records, size);
        }
    }

    /// Makes a table of this size from these records.
    fn rebuild(&mut self, records: Vec<Record>, size: usize) {
        let taken = records.iter().filter(|record| !record.is_free()).count();
        let size = size.max(8);
        self.records = Vec::with_capacity(size);
        self.records.resize_with(size, || Record::FREE);
        self.taken = taken;
        for record in records.into_iter().filter(|record| !record.is_free()) {
            let at = self.search(self.home(record.locator), &record.digest);
            self.records[at] = record;
        }
    }

    fn retain(&mut self, keep: impl Fn(&Record) -> bool) {
        let all = || self.records.iter().filter(|record| !record.is_free());
        let live: usize = all().map(|record| usize::from(record.name_length)).sum();
        if all().all(&keep) && live == self.names.len() {
            return;
        }
        let old = std::mem::take(&mut self.names);
        let mut names = String::with_capacity(live);
        let mut records = std::mem::take(&mut self.records);
        records.retain_mut(|record| {
            let kept = !record.is_free() && keep(record);
            if kept {
                let start = record.name_start as usize;
                record.name_start = names.len() as u32;
                names.push_str(old.get(start..start + usize::from(record.name_length)).unwrap_or_default());
            }
            kept
        });
        self.names = names;
        let bound: HashSet<Uuid> =
            records.iter().filter(|record| record.flags & RESTRICTED != 0).map(|record| record.token).collect();
        self.restrictions.retain(|token, _| bound.contains(token));
        let size = records.len() * 3 / 2;
        self.rebuild(records, size);
    }

    fn bytes(&self) -> usize {
        let restricted = self.restrictions.capacity() * (size_of::<(Uuid, Arc<Restrictions>)>() + 1);
        let bytes = |it: &Arc<Restrictions>| {
            let scope = it.scope.as_ref().map_or(0, |scope| scope.bytes());
            let meter = it.meter.as_ref().map_or(0, |_| size_of::<Meter>() + 16);
            size_of::<Restrictions>() + meter + it.networks.as_ref().map_or(0, Networks::bytes) + scope
        };
        size_of::<RwLock<Self>>()
            + self.records.capacity() * size_of::<Record>()
            + self.names.capacity()
            + restricted
            + self.restrictions.values().map(bytes).sum::<usize>()
    }
}

/// Grows by an eighth where `Vec` would double: at ten million tokens the difference is a gigabyte.
fn reserve(length: usize, capacity: usize, more: usize, grow: impl FnOnce(usize)) {
    if length + more > capacity {
        grow(more.max(length / 8).max(4));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn digest(n: u64) -> Digest {
        Digest(Sha256::digest(n.to_be_bytes()).into())
    }

    /// Four characters that spread as a checksum does; some secrets share theirs.
    fn last_four(n: u64) -> &'static str {
        static ALL: LazyLock<Vec<String>> =
            LazyLock::new(|| (0..40_000).map(|n| format!("{n:04x}")[..4].to_owned()).collect());
        &ALL[(n % 40_000) as usize]
    }

    fn with<R>(index: &Index, n: u64, read: impl FnOnce(Option<FoundRecord<'_>>) -> R) -> R {
        read(index.place(last_four(n)).find(&digest(n)))
    }

    fn entry(n: u64, name: &str) -> Entry<'_> {
        Entry {
            last_four: Some(last_four(n)),
            digest: digest(n),
            token: Uuid::from_u128(n.into()),
            kind: Kind::Token,
            organization: 0,
            role: (n % 7) as u32,
            state: State::Active,
            expires_at: n.is_multiple_of(3).then_some(Time(n as i64)),
            restrictions: None,
            replaced: n.is_multiple_of(2),
            version: n as u16,
            name,
        }
    }

    #[test]
    fn a_secret_that_was_digested_anew_takes_the_place_of_its_older_digest() {
        let index = Index::default();
        for n in 0..5_000 {
            index.put_token(&entry(n, "t"));
        }
        for n in (0..5_000).step_by(7) {
            let ended = Entry { digest: digest(1_000_000 + n), state: State::Revoked(Time(1)), ..entry(n, "t") };
            index.put_token(&ended);
        }
        assert_eq!(index.len(), 5_000);
        for n in 0..5_000u64 {
            let rekeyed = n.is_multiple_of(7);
            with(&index, n, |found| assert_eq!(found.is_none(), rekeyed, "{n}"));
            let newer = index.place(last_four(n)).find(&digest(1_000_000 + n)).map(|found| found.state);
            assert_eq!(newer, rekeyed.then_some(State::Revoked(Time(1))), "{n}");
        }
    }

    #[test]
    fn every_token_is_found_again_and_no_other() {
        let index = Index::default();
        for n in 0..50_000 {
            index.put_token(&entry(n, &format!("token-{n}")));
        }
        assert_eq!(index.len(), 50_000);
        for n in 0..50_000u64 {
            with(&index, n, |found| {
                let found = found.unwrap_or_else(|| panic!("{n} is missing"));
                assert_eq!((found.token, found.role), (Uuid::from_u128(n.into()), (n % 7) as u32));
                assert_eq!(found.name(), format!("token-{n}"));
                assert_eq!(found.expires_at, n.is_multiple_of(3).then_some(Time(n as i64)));
                assert_eq!((found.replaced, found.version), (n.is_multiple_of(2), n as u16));
            });
        }
        for n in 50_000..100_000 {
            with(&index, n, |found| assert!(found.is_none(), "{n}"));
        }
    }

    #[test]
    fn the_ends_of_real_texts_are_spread_evenly() {
        // Checksums are as good as random: here by steps through all that four characters can say.
        const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let index = Index::default();
        let all = 62usize.pow(4);
        for n in 0..1_000_000usize {
            let mut rest = n * 7_777_777 % all;
            let last_four: String = (0..4)
                .map(|_| {
                    let digit = DIGITS[rest % 62];
                    rest /= 62;
                    char::from(digit)
                })
                .collect();
            index.put_token(&Entry { last_four: Some(&last_four), ..entry(n as u64, "x") });
        }
        assert_spread(&index);
    }

    #[test]
    fn a_million_texts_of_others_that_end_alike_are_spread_as_evenly() {
        let index = Index::default();
        assert!(!index.has_registered());
        for n in 0..1_000_000u64 {
            index.put_token(&Entry { last_four: None, ..entry(n, "x") });
        }
        assert!(index.has_registered());
        assert_spread(&index);
        let found = |n: u64| index.place_of_registered(&digest(n)).find(&digest(n)).map(|found| found.token);
        assert_eq!(found(999_999), Some(Uuid::from_u128(999_999)));
        assert_eq!(found(1_000_000), None);
        with(&index, 5, |found| assert!(found.is_none(), "not by what its text ends in"));
    }

    fn assert_spread(index: &Index) {
        let shards: Vec<_> = index.shards.iter().map(|shard| shard.read().unwrap()).collect();
        let fullest = shards.iter().map(|shard| shard.taken).max().unwrap();
        assert!(fullest < 2 * 1_000_000 / SHARDS, "{fullest}");
        // How far from home: one place on average where three quarters are taken (Knuth vol. 3 §6.4: 1.5).
        let away = |shard: &Shard| -> usize {
            let size = shard.records.len();
            let taken = shard.records.iter().enumerate().filter(|(_, record)| !record.is_free());
            taken.map(|(at, record)| (at + size - shard.home(record.locator)) % size).sum()
        };
        let average = shards.iter().map(|shard| away(shard)).sum::<usize>() as f64 / 1e6;
        assert!(average < 2.0, "{average}");
    }

    #[test]
    fn a_token_takes_at_most_128_bytes_with_a_name_of_20() {
        let index = Index::default();
        for n in 0..300_000 {
            index.put_token(&entry(n, &format!("a-name-of-twenty-{n:03}")[..20]));
        }
        let each = index.bytes() as f64 / index.len() as f64;
        assert!(each <= 128.0, "{each}");
    }

    #[test]
    fn room_that_was_made_before_holds_what_comes_and_more() {
        let index = Index::default();
        index.reserve(20_000);
        let reserved = index.bytes();
        for n in 0..60_000 {
            index.put_token(&entry(n, ""));
            if n == 5_000 {
                assert_eq!(index.bytes(), reserved, "it was enough");
                index.reserve(5_000);
                assert_eq!(index.bytes(), reserved, "less than there is");
            }
        }
        (0..60_000).for_each(|n| with(&index, n, |found| assert!(found.is_some(), "{n}")));
    }

    #[test]
    fn a_change_replaces_and_pruning_forgets() {
        let index = Index::default();
        let mut directory = Directory::default();
        directory.put_organization(Uuid::nil(), "Acme");
        index.set_directory(directory);
        for n in 0..5_000 {
            index.put_token(&entry(n, "first"));
        }
        for n in (0..5_000).step_by(2) {
            index.put_token(&Entry { state: State::Revoked(Time(n as i64)), ..entry(n, "a longer second name") });
        }
        assert_eq!(index.len(), 5_000);
        with(&index, 10, |f| assert_eq!(f.map(|f| f.state), Some(State::Revoked(Time(10)))));
        index.prune(Time(2_500));
        assert_eq!(index.len(), 5_000 - 1_250);
        with(&index, 10, |found| assert!(found.is_none()));
        with(&index, 2_600, |f| assert_eq!(f.map(|f| f.name()), Some("a longer second name")));
        with(&index, 11, |f| assert_eq!(f.map(|f| f.name()), Some("first")));
    }

    #[test]
    fn what_is_loaded_anew_takes_the_place_of_all_but_the_ends() {
        let index = Index::default();
        for n in 0..1_000 {
            let state = if n % 10 == 0 { State::Revoked(Time(n as i64)) } else { State::Active };
            index.put_token(&Entry { state, ..entry(n, &format!("old-{n}")) });
        }
        // A copy from before: without the last hundred, and without the ends.
        let fresh = Index::default();
        for n in 0..900 {
            fresh.put_token(&entry(n, &format!("new-{n}")));
        }
        index.replace(fresh);
        assert_eq!(index.len(), 900 + 10);
        with(&index, 7, |f| assert_eq!(f.map(|f| (f.state, f.name())), Some((State::Active, "new-7"))));
        with(&index, 10, |f| assert_eq!(f.map(|f| f.state), Some(State::Revoked(Time(10)))));
        with(&index, 950, |f| assert_eq!(f.map(|f| (f.state, f.name())), Some((State::Revoked(Time(950)), "old-950"))));
        with(&index, 951, |found| assert!(found.is_none(), "a ghost"));
    }

    #[test]
    fn tokens_of_a_removed_organization_are_forgotten() {
        let index = Index::default();
        let mut directory = Directory::default();
        directory.put_organization(Uuid::nil(), "Acme");
        index.set_directory(directory.clone());
        index.put_token(&entry(1, "one"));
        directory.remove_organization(Uuid::nil());
        index.set_directory(directory);
        index.prune(Time(0));
        assert!(index.is_empty());
    }
}
