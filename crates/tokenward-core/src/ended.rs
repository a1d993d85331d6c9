//! Secrets that have ended, in memory: why and since when, in forty bytes each.
//!
//! They lie apart from the living ones and are asked after them, so that what has ended costs a hit nothing. A part is a
//! list in the order of the digests: they are keyed, so that nobody chooses where one lies, and a list has no free places.
//! An end is remembered for as long as [`Ended::keep_for`] says; afterwards nothing is known of the secret any more.
//!
//! The follower alone writes. Until [`Ended::is_whole`], what ended before this process began may be missing.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use crate::reason::Reason;
use crate::secret::Digest;
use crate::sync::{read, write};
use crate::time::{DAY, HOUR, Micros, Time};

/// How long it is told of what has ended that it has, unless somebody says otherwise.
pub const RETENTION: Micros = 90 * DAY;
/// The shortest time for which it is: a deletion can be undone within an hour, and nodes look once a minute.
pub const SHORTEST_RETENTION: Micros = 2 * HOUR;

/// At ten million secrets a part holds some two thousand, and putting one in moves fifty kilobytes.
const PART_BITS: u32 = 12;

/// Why a secret has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Its token was taken back.
    Revoked,
    /// The time of its token is over.
    Expired,
    /// A newer one has replaced it, and the time in which both were accepted is over.
    Replaced,
}

impl Why {
    /// The reason that an answer gives.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Revoked => Reason::Revoked,
            Self::Expired => Reason::Expired,
            Self::Replaced => Reason::Replaced,
        }
    }
}

/// A secret that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedSecret {
    /// Of which token.
    pub token: Uuid,
    /// Which of its secrets.
    pub version: u16,
    /// The number of the organization in the directory.
    pub organization: u32,
    /// Why.
    pub why: Why,
    /// When, in whole milliseconds.
    pub at: Time,
}

/// 96 bits of a digest: a guessed text is taken for one of ten million with a chance of 2^-72, and gets nothing by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key(u64, u32);

impl Key {
    fn of(digest: &Digest) -> Self {
        let (mut first, mut second) = ([0; 8], [0; 4]);
        first.copy_from_slice(&digest.0[..8]);
        second.copy_from_slice(&digest.0[8..12]);
        Self(u64::from_be_bytes(first), u32::from_be_bytes(second))
    }

    /// From the first 16 bytes of a digest, as two numbers that begin with their lowest byte.
    pub(crate) fn of_part(part: [u64; 2]) -> Self {
        let second = part[1].to_le_bytes();
        Self(part[0].swap_bytes(), u32::from_be_bytes([second[0], second[1], second[2], second[3]]))
    }
}

/// As it lies in memory.
struct EndedRecord {
    first: u64,
    /// Milliseconds since 1970 in 44 bits, which last until 2527; two bits of why; 16 of the version.
    end: u64,
    token: Uuid,
    second: u32,
    organization: u32,
}

const _: () = assert!(size_of::<EndedRecord>() == 40, "a record is forty bytes");

const WHY_BITS: u32 = 2;
const VERSION_BITS: u32 = 16;

impl EndedRecord {
    fn new(key: Key, ended: &EndedSecret) -> Self {
        let milliseconds = (ended.at.0 / 1_000).max(0).unsigned_abs();
        let end = (milliseconds << WHY_BITS | ended.why as u64) << VERSION_BITS | u64::from(ended.version);
        Self { first: key.0, second: key.1, end, token: ended.token, organization: ended.organization }
    }

    fn key(&self) -> Key {
        Key(self.first, self.second)
    }

    fn at(&self) -> Time {
        Time(i64::try_from(self.end >> (WHY_BITS + VERSION_BITS)).unwrap_or(i64::MAX).saturating_mul(1_000))
    }

    fn secret(&self) -> EndedSecret {
        let why = match self.end >> VERSION_BITS & 0b11 {
            0 => Why::Revoked,
            1 => Why::Expired,
            _ => Why::Replaced,
        };
        let version = (self.end & u64::from(u16::MAX)) as u16;
        EndedSecret { token: self.token, version, organization: self.organization, why, at: self.at() }
    }
}

/// All of them. Cheap to read from any number of threads.
pub struct Ended {
    parts: Box<[RwLock<Vec<EndedRecord>>]>,
    whole: Arc<AtomicBool>,
    retention: AtomicI64,
}

impl Default for Ended {
    fn default() -> Self {
        Self {
            parts: (0..1 << PART_BITS).map(|_| RwLock::default()).collect(),
            whole: Arc::default(),
            retention: AtomicI64::new(RETENTION),
        }
    }
}

impl Ended {
    /// The secret with this digest, if it has ended and that is still told at `now`.
    #[must_use]
    pub fn find(&self, digest: &Digest, now: Time) -> Option<EndedSecret> {
        let key = Key::of(digest);
        let part = read(self.part(key));
        let found = part.binary_search_by_key(&key, EndedRecord::key).ok()?;
        let ended = part[found].secret();
        (now < ended.at.plus(self.retention())).then_some(ended)
    }

    /// The secret with this digest has ended.
    pub fn put(&self, digest: &Digest, ended: &EndedSecret) {
        self.put_key(Key::of(digest), ended);
    }

    pub(crate) fn put_key(&self, key: Key, ended: &EndedSecret) {
        let mut part = write(self.part(key));
        match part.binary_search_by_key(&key, EndedRecord::key) {
            Ok(at) => part[at] = EndedRecord::new(key, ended),
            Err(at) => insert(&mut part, at, EndedRecord::new(key, ended)),
        }
    }

    /// The same where nothing is known of it yet.
    pub fn put_unless_known(&self, digest: &Digest, ended: &EndedSecret) {
        let key = Key::of(digest);
        let mut part = write(self.part(key));
        if let Err(at) = part.binary_search_by_key(&key, EndedRecord::key) {
            insert(&mut part, at, EndedRecord::new(key, ended));
        }
    }

    /// A secret lives, whatever was known of it.
    pub fn remove(&self, digest: &Digest) {
        let key = Key::of(digest);
        let part = self.part(key);
        let known = |part: &[EndedRecord]| part.binary_search_by_key(&key, EndedRecord::key).ok();
        if known(&read(part)).is_none() {
            return;
        }
        let mut part = write(part);
        if let Some(at) = known(&part) {
            part.remove(at);
        }
    }

    /// Was it taken away? A time that is over may have been given a later end, in another log.
    pub(crate) fn was_taken_away(&self, key: Key) -> bool {
        let part = read(self.part(key));
        part.binary_search_by_key(&key, EndedRecord::key).is_ok_and(|at| part[at].secret().why != Why::Expired)
    }

    /// Puts these beside what there is.
    pub(crate) fn absorb(&self, others: Self) {
        for part in others.parts {
            for record in part.into_inner().unwrap_or_else(PoisonError::into_inner) {
                self.put_key(record.key(), &record.secret());
            }
        }
    }

    /// Forgets what ended too long ago, and what belongs to an organization that is gone.
    pub fn prune(&self, now: Time, is_there: impl Fn(u32) -> bool) {
        let before = now.plus(-self.retention());
        let keep = |record: &EndedRecord| record.at() > before && is_there(record.organization);
        for part in &self.parts {
            if read(part).iter().all(keep) {
                continue;
            }
            let mut part = write(part);
            part.retain(keep);
            part.shrink_to_fit();
        }
    }

    /// Since then all is here that has ended.
    pub fn complete(&self) {
        self.whole.store(true, Ordering::Release);
    }

    /// Is all here that has ended? Before that, of what is not known nobody can say that it never was.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    /// The same, for whoever asks later.
    #[must_use]
    pub fn whole(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.whole)
    }

    /// How long it is told of a secret that it has ended.
    pub fn keep_for(&self, retention: Micros) {
        self.retention.store(retention.max(SHORTEST_RETENTION), Ordering::Relaxed);
    }

    /// The same, as it is.
    #[must_use]
    pub fn retention(&self) -> Micros {
        self.retention.load(Ordering::Relaxed)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| read(part).len()).sum()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| read(part).is_empty())
    }

    /// Bytes that they take, what is reserved included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let part =
            |part: &RwLock<Vec<EndedRecord>>| size_of_val(part) + read(part).capacity() * size_of::<EndedRecord>();
        self.parts.iter().map(part).sum()
    }

    fn part(&self, key: Key) -> &RwLock<Vec<EndedRecord>> {
        &self.parts[(key.0 >> (64 - PART_BITS)) as usize]
    }
}

/// Grows by a sixteenth, where `Vec` would double.
fn insert(part: &mut Vec<EndedRecord>, at: usize, record: EndedRecord) {
    if part.len() == part.capacity() {
        part.reserve_exact((part.len() / 16).max(4));
    }
    part.insert(at, record);
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn digest(n: u64) -> Digest {
        Digest(Sha256::digest(n.to_be_bytes()).into())
    }

    fn ended(n: u64) -> EndedSecret {
        EndedSecret {
            token: Uuid::from_u128(n.into()),
            version: n as u16,
            organization: (n % 5) as u32,
            why: [Why::Revoked, Why::Expired, Why::Replaced][(n % 3) as usize],
            at: Time(1_795_562_400_000_000 + n as i64 * 1_000),
        }
    }

    #[test]
    fn every_secret_is_found_again_as_it_ended_and_no_other() {
        let all = Ended::default();
        let now = ended(0).at;
        (0..100_000).for_each(|n| all.put(&digest(n), &ended(n)));
        assert_eq!(all.len(), 100_000);
        for n in 0..100_000 {
            assert_eq!(all.find(&digest(n), now), Some(ended(n)), "{n}");
        }
        for n in 100_000..200_000 {
            assert_eq!(all.find(&digest(n), now), None, "{n}");
        }
        let later = EndedSecret { why: Why::Revoked, ..ended(8) };
        all.put_unless_known(&digest(8), &later);
        assert_eq!(all.find(&digest(8), now), Some(ended(8)), "what is known is never overridden by what is read");
        all.put(&digest(8), &later);
        assert_eq!(all.find(&digest(8), now), Some(later));
        all.remove(&digest(8));
        assert_eq!((all.find(&digest(8), now), all.len()), (None, 99_999));
        all.remove(&digest(8));
    }

    #[test]
    fn an_end_is_told_for_as_long_as_is_said_and_forgotten_afterwards() {
        let all = Ended::default();
        (0..1_000).for_each(|n| all.put(&digest(n), &ended(n)));
        let last = ended(7).at.plus(RETENTION - 1);
        assert_eq!(all.find(&digest(7), last), Some(ended(7)));
        assert_eq!(all.find(&digest(7), last.plus(1)), None);
        all.keep_for(RETENTION + DAY);
        assert_eq!(all.find(&digest(7), last.plus(1)), Some(ended(7)), "nothing was forgotten yet");
        all.keep_for(0);
        assert_eq!(all.retention(), SHORTEST_RETENTION);
        assert_eq!(all.find(&digest(7), ended(7).at.plus(SHORTEST_RETENTION)), None);
        all.prune(ended(500).at.plus(SHORTEST_RETENTION), |organization| organization != 4);
        assert_eq!(all.len(), 499 - 499_usize.div_ceil(5));
        assert!(all.find(&digest(501), ended(501).at).is_some() && all.find(&digest(504), ended(504).at).is_none());
    }

    #[test]
    fn a_million_take_less_than_forty_eight_bytes_each() {
        let all = Ended::default();
        (0..1_000_000).for_each(|n| all.put(&digest(n), &ended(n)));
        let each = all.bytes() as f64 / 1e6;
        println!("{each:.1} bytes a secret that has ended");
        assert!(each <= 44.0, "{each}");
    }

    #[test]
    fn a_part_of_a_digest_is_the_same_key() {
        let digest = digest(1);
        let half = |at: usize| u64::from_le_bytes(digest.0[at..at + 8].try_into().unwrap());
        assert_eq!(Key::of_part([half(0), half(8)]), Key::of(&digest));
    }
}
