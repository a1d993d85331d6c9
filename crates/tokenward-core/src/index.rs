//! Everything that a verification needs, in memory.
//!
//! Only what lives is here; what has ended goes to [`Ended`], and is asked for after it.
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
use crate::ended::{Ended, EndedSecret, Key, Why};
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
    /// The secrets that have ended.
    pub ended: Ended,
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
            ended: Ended::default(),
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

    /// Adds a secret of a token, or replaces what is known of it. One that was taken back has ended.
    pub fn put_token(&self, entry: &Entry<'_>) {
        if let State::Revoked(at) = entry.state {
            self.end_token(entry, Why::Revoked, at);
            return;
        }
        self.note_registered(entry.last_four.is_none());
        write(self.shard(entry.locator())).put(entry);
        // Afterwards, so that at no moment neither knows of it.
        self.ended.remove(&entry.digest);
    }

    /// A secret of a token has ended: it leaves the living ones.
    pub fn end_token(&self, entry: &Entry<'_>, why: Why, at: Time) {
        let &Entry { token, version, organization, .. } = entry;
        self.note_registered(entry.last_four.is_none());
        self.ended.put(&entry.digest, &EndedSecret { token, version, organization, why, at });
        let shard = self.shard(entry.locator());
        let present = |shard: &Shard| shard.present(entry.locator(), &part(&entry.digest), (token, version));
        if present(&read(shard)).is_none() {
            return;
        }
        let mut shard = write(shard);
        if let Some(at) = present(&shard) {
            shard.remove(at);
            shard.tidy();
        }
    }

    /// There is, or was, a secret that we did not make.
    pub fn note_registered(&self, registered: bool) {
        if registered {
            self.has_registered.store(true, Ordering::Release);
        }
    }

    /// Moves what has ended by `now` to where it belongs: what is over, and, with `cuts`, what was taken back all at once.
    /// Answers which tokens are over by that.
    pub fn sweep(&self, now: Time, cuts: bool) -> Vec<Uuid> {
        let directory = self.directory();
        let mut tokens = Vec::new();
        for shard in &self.shards {
            let due = {
                let shard = read(shard);
                if !cuts && now.0 < shard.earliest { Vec::new() } else { shard.due(&directory, now) }
            };
            if due.is_empty() {
                continue;
            }
            // First there, then gone here: whoever looks finds it in one of the two.
            due.iter().for_each(|(digest, _, ended)| self.ended.put_key(Key::of_part(*digest), ended));
            let mut shard = write(shard);
            for (digest, locator, ended) in due {
                if let Some(at) = shard.present(locator, &digest, (ended.token, ended.version)) {
                    shard.remove(at);
                }
                if ended.why != Why::Replaced {
                    tokens.push(ended.token);
                }
            }
            shard.tidy();
            shard.earliest = shard.records.iter().map(|record| record.end).min().unwrap_or(NEVER);
        }
        tokens
    }

    /// Puts what was loaded anew in the place of everything, while nothing is decided by it; what is known to have been taken
    /// away stays so, whatever an older copy says of it. The directory of `fresh` must have the numbers of the present one.
    pub fn replace(&self, fresh: Self) {
        self.directory.store(fresh.directory.load_full());
        // What has ended stays, and may be such a secret.
        self.has_registered.fetch_or(fresh.has_registered(), Ordering::AcqRel);
        self.ended.absorb(fresh.ended);
        for (own, new) in self.shards.iter().zip(fresh.shards) {
            let mut own = write(own);
            *own = new.into_inner().unwrap_or_else(PoisonError::into_inner);
            own.retain(|record| !self.ended.was_taken_away(Key::of_part(record.digest)));
        }
        self.meters.replace(fresh.meters);
        *write(&self.sessions) = fresh.sessions.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    /// Forgets the tokens of organizations that are gone, and what has ended too long before `now`.
    pub fn prune(&self, now: Time) {
        let directory = self.directory();
        self.meters.prune();
        let is_there = |number| directory.numbered(number).is_some();
        for shard in &self.shards {
            write(shard).retain(|record| is_there(record.organization));
        }
        self.ended.prune(now, is_there);
    }

    /// How many secrets of tokens live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).taken).sum()
    }

    /// Does none?
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

// The flags of a record: the first bit that it is switched off, the third its kind; the fourth says that there is one, the fifth
// that a newer secret replaces it, the sixth that the token has restrictions.
const DISABLED: u8 = 1;
const POLICY: u8 = 0b100;
const TAKEN: u8 = 0b1000;
const REPLACED: u8 = 0b1_0000;
const RESTRICTED: u8 = 0b10_0000;

/// `end` of a token that does not expire.
const NEVER: i64 = i64::MAX;

/// Below this many bytes nothing is tidied up, in a shard.
const LEAST_DEAD: usize = 4_096;
/// A table of so many places is not made smaller.
const LEAST_PLACES: usize = 16;
/// About what a token takes with restrictions.
const RESTRICTED_BYTES: usize = 256;

/// Exactly one cache line.
#[repr(align(64))]
struct Record {
    digest: DigestPart,
    token: Uuid,
    /// When it ends.
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
struct Shard {
    /// The table: records and free places.
    records: Vec<Record>,
    /// How many are taken.
    taken: usize,
    /// The names, one behind the other. A renamed token leaves its old name behind until the next `retain`.
    names: String,
    /// About how many bytes are kept for records that were taken out.
    dead: usize,
    /// None of them ends before.
    earliest: i64,
    /// What the tokens are bound to whose flags say so.
    restrictions: HashMap<Uuid, Arc<Restrictions>>,
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            taken: 0,
            names: String::new(),
            dead: 0,
            earliest: NEVER,
            restrictions: HashMap::new(),
        }
    }
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
        // What is bound to something that nobody knows is not usable.
        let is_usable = record.flags & DISABLED == 0 && is_restricted == restrictions.is_some();
        let state = if is_usable { State::Active } else { State::Disabled };
        FoundRecord {
            token: record.token,
            kind: if record.flags & POLICY == 0 { Kind::Token } else { Kind::PolicyToken },
            organization: record.organization,
            role: record.role,
            state,
            expires_at: (record.end != NEVER).then_some(Time(record.end)),
            replaced: record.flags & REPLACED != 0,
            version: record.version,
            restrictions,
            name: Name { names: &self.names, start: record.name_start, length: record.name_length },
        }
    }

    fn put(&mut self, entry: &Entry<'_>) {
        let end = entry.expires_at.map_or(NEVER, |at| at.0);
        self.earliest = self.earliest.min(end);
        let record = Record {
            digest: part(&entry.digest),
            token: entry.token,
            end,
            locator: entry.locator(),
            organization: entry.organization,
            role: entry.role,
            version: entry.version,
            flags: TAKEN
                | if entry.state == State::Active { 0 } else { DISABLED }
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

    /// What has ended by `now`, or was taken back with all others of its organization; with where it lies.
    fn due(&self, directory: &Directory, now: Time) -> Vec<(DigestPart, u32, EndedSecret)> {
        let ended = |record: &Record| {
            let cut = directory.numbered(record.organization).and_then(|organization| organization.cut);
            let (why, at) = match cut {
                Some(cut) if record.token <= cut.through => (Why::Revoked, cut.at),
                _ if now.0 < record.end => return None,
                _ if record.flags & REPLACED != 0 => (Why::Replaced, Time(record.end)),
                _ => (Why::Expired, Time(record.end)),
            };
            let &Record { digest, locator, token, version, organization, .. } = record;
            Some((digest, locator, EndedSecret { token, version, organization, why, at }))
        };
        self.records.iter().filter(|record| !record.is_free()).filter_map(ended).collect()
    }

    /// The place of a secret, under this digest or another one.
    fn present(&self, locator: u32, digest: &DigestPart, (token, version): (Uuid, u16)) -> Option<usize> {
        self.find(self.home(locator), digest).or_else(|| self.find_secret(locator, token, version))
    }

    /// Takes a record out. Those behind it that were put there because it stood in their way move up (Knuth vol. 3 §6.4,
    /// algorithm R).
    fn remove(&mut self, at: usize) {
        let size = self.records.len();
        let away = |from: usize, to: usize| (to + size - from) % size;
        let gone = &self.records[at];
        // What it was bound to may be that of another secret of its token, and goes when all is tidied up.
        self.dead += usize::from(gone.name_length) + if gone.flags & RESTRICTED == 0 { 0 } else { RESTRICTED_BYTES };
        let (mut hole, mut next) = (at, at);
        loop {
            next = if next + 1 == size { 0 } else { next + 1 };
            if self.records[next].is_free() {
                break;
            }
            if away(self.home(self.records[next].locator), next) >= away(hole, next) {
                self.records.swap(hole, next);
                hole = next;
            }
        }
        self.records[hole] = Record::FREE;
        self.taken -= 1;
    }

    /// Gives memory back where much of it is kept for what is gone.
    fn tidy(&mut self) {
        let is_sparse = self.records.len() > LEAST_PLACES && self.taken * 4 < self.records.len();
        if is_sparse || self.dead > LEAST_DEAD.max(self.names.len() / 2) {
            self.dead = 0;
            self.retain(|_| true);
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
        let present = self.present(record.locator, &record.digest, (record.token, record.version));
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
        if all().all(&keep) && live == self.names.len() && self.taken * 4 >= self.records.len() {
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
mod tests;
