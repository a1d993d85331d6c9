//! The journal: a file beside the pepper in which a server notes what it has applied of the log, so that what was taken away
//! stays so when a database comes back that does not know of it.
//!
//! A line is a checksum and one thing as JSON: the name of the log's first part, an event, or up to where what stands before
//! counts no more. What takes away is on the disk before anybody is told that it is done, and room for it is set aside before
//! it is done at all. A line that a crash has cut off at the end was never answered for; any other damage is an error.
//! Without a place for a file the last events are remembered in memory.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokenward_core::journal::{After, Entry};
use tokenward_core::sync::lock;
use tokenward_core::time::DAY;
use tokenward_core::{Error, Result, Time, Uuid};

/// Events that are remembered where there is no file, and that are kept of a file which is made shorter.
const RECENT: usize = 20_000;
/// How long what took away is kept.
const KEPT: i64 = 90 * DAY;
/// A file that is longer is made shorter at the next start.
const LONG: u64 = 64 << 20;
/// So much room is set aside, and so little may be left of it before more is.
const ROOM: u64 = 2 << 20;
const LEAST_ROOM: u64 = 512 << 10;

/// What is written in a line.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum WrittenLine<'e> {
    Root(Uuid),
    Event(&'e Entry),
    Ahead(&'e Entry),
    Until(i64),
}

/// What stands in a line.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum JournalLine {
    /// The first name of the log.
    Root(Uuid),
    /// An event.
    Event(Entry),
    /// An event that the node has committed and not learned from the log yet. It may stand before others of lower positions.
    Ahead(Entry),
    /// What stands before counts up to here.
    Until(i64),
}

/// Why a journal cannot be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// It cannot be read or written.
    #[error(
        "cannot use the journal {}: {cause}. It keeps what was taken away if the database is ever put back, and must be a file \
         that this user can write",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Somebody has changed it, or the disk has.
    #[error(
        "the journal {} is damaged in line {line}. Put it back as it was; or move it away, and this node begins another one \
         without knowing what was taken away before",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
}

/// A journal.
pub(crate) struct Journal {
    path: Option<PathBuf>,
    state: Mutex<JournalState>,
    /// Bytes that are set aside for what is to be written. Beside the state, whose lock is held while the disk is waited for.
    room: AtomicU64,
}

#[derive(Default)]
struct JournalState {
    file: Option<File>,
    root: Option<Uuid>,
    /// Where there is no file.
    recent: VecDeque<Entry>,
    /// What was noted ahead, and is not among the others.
    ahead: Vec<Entry>,
    /// What could not be written yet.
    owed: Vec<Entry>,
    last: Option<i64>,
    length: u64,
}

/// What was read of a file.
struct Contents {
    root: Option<Uuid>,
    entries: Vec<Entry>,
    ahead: Vec<Entry>,
    /// Up to where it is whole.
    whole: u64,
}

impl Journal {
    /// One without a file.
    pub(crate) fn in_memory() -> Self {
        Self { path: None, state: Mutex::default(), room: AtomicU64::new(u64::MAX) }
    }

    /// Opens the file, or makes it. One that another process writes is left to it.
    pub(crate) fn open(path: &Path, now: Time) -> Result<Self, JournalError> {
        let failed = |cause| JournalError::Io { path: path.to_owned(), cause };
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut file = open().map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                tracing::warn!(
                    journal = %path.display(),
                    "another process writes this journal; this one remembers only in memory what was taken away: give each \
                     node a --data-dir of its own"
                );
                return Ok(Self::in_memory());
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let mut contents = read(&mut file, path)?;
        let length = file.metadata().map_err(failed)?.len();
        if contents.whole < length {
            tracing::warn!(journal = %path.display(), "the last line was cut off by a crash, and is left out");
            file.set_len(contents.whole).map_err(failed)?;
        }
        let (count, is_long) = (contents.ahead.len(), contents.whole > LONG);
        // What nobody has compared in all the time for which anything is kept; a clock that is far ahead tells nothing of that.
        let then = contents.entries.last().map_or(now, |last| now.min(last.time.plus(KEPT)));
        contents.ahead.retain(|entry| is_kept(entry, then));
        if is_long {
            shorten(&mut contents, now);
        }
        if is_long || contents.ahead.len() < count {
            file = rewrite(path, &contents).map_err(failed)?;
        }
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let last = contents.entries.last().map(|entry| entry.position);
        let (root, ahead) = (contents.root, contents.ahead);
        let state = JournalState { file: Some(file), root, last, ahead, length, ..JournalState::default() };
        Ok(Self { path: Some(path.to_owned()), state: Mutex::new(state), room: AtomicU64::new(0) })
    }

    /// The first name of the log that it is about; none in a new one.
    pub(crate) fn root(&self) -> Option<Uuid> {
        lock(&self.state).root
    }

    /// The position of the last event in it.
    pub(crate) fn last(&self) -> Option<i64> {
        lock(&self.state).last
    }

    /// It is about this log from now on.
    pub(crate) fn begin(&self, root: Uuid) -> Result<()> {
        let mut state = lock(&self.state);
        state.root = Some(root);
        self.write(&mut state, &[WrittenLine::Root(root)], true)
    }

    /// What was noted ahead, and is not among the others.
    pub(crate) fn ahead(&self) -> Vec<Entry> {
        lock(&self.state).ahead.clone()
    }

    /// All other events in it, the oldest first.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>> {
        let mut state = lock(&self.state);
        let JournalState { file, recent, owed, .. } = &mut *state;
        let Some(file) = file else { return Ok(recent.iter().cloned().collect()) };
        let read = read(file, self.path.as_deref().unwrap_or(Path::new("journal")));
        let end = file.seek(SeekFrom::End(0));
        end.map_err(|cause| self.failed(cause))?;
        // What could not be written is known all the same.
        let read = read.map(|contents| [contents.entries, owed.clone()].concat());
        read.map_err(|error| Error::unavailable(error.to_string()))
    }

    /// What stands behind this position is another log's. `compared` was noted ahead before: it stands in the log by now, or was
    /// brought back. What was brought back stands ahead until the log that has it is noted: that can be lost as well.
    pub(crate) fn cut(&self, common: i64, compared: &[Entry], brought: Vec<Entry>) -> Result<()> {
        let mut state = lock(&self.state);
        state.recent.retain(|entry| entry.position <= common);
        // What stands is still to be written.
        state.owed.retain(|entry| entry.position <= common);
        state.last = (common > 0).then_some(common);
        state.ahead.retain(|entry| !compared.iter().any(|it| it.is_same(entry)));
        state.ahead.extend(brought);
        self.write_ahead(&mut state, common)
    }

    /// All up to this position is noted: with it, that these are gone from what was noted ahead.
    pub(crate) fn settle(&self, until: i64, brought: &[Entry]) -> Result<()> {
        let mut state = lock(&self.state);
        state.ahead.retain(|entry| !brought.iter().any(|it| it.is_same(entry)));
        self.write_ahead(&mut state, until)
    }

    /// Writes up to where the events before count, and after it what is noted ahead.
    fn write_ahead(&self, state: &mut JournalState, until: i64) -> Result<()> {
        let ahead = state.ahead.clone();
        let ahead = ahead.iter().map(WrittenLine::Ahead);
        let lines: Vec<WrittenLine<'_>> = std::iter::once(WrittenLine::Until(until)).chain(ahead).collect();
        self.write(state, &lines, true)
    }

    /// Notes events ahead of others that come before them. They are on the disk when it returns without an error.
    pub(crate) fn keep_ahead(&self, entries: Vec<Entry>) -> Result<()> {
        let mut state = lock(&self.state);
        let lines: Vec<WrittenLine<'_>> = entries.iter().map(WrittenLine::Ahead).collect();
        let written = self.write(&mut state, &lines, true);
        state.ahead.extend(entries);
        written
    }

    /// These were passed by the follower, and stand there. What it had noted by itself before it was noted ahead need not stand
    /// there twice.
    pub(crate) fn forget_ahead(&self, passed: &[Entry]) {
        let mut state = lock(&self.state);
        let JournalState { ahead, owed, last, .. } = &mut *state;
        // What could not be written yet stands nowhere else.
        let is_noted = |entry: &Entry| owed.is_empty() && last.is_some_and(|last| entry.position <= last);
        ahead.retain(|entry| !(is_noted(entry) && passed.iter().any(|it| it.is_same(entry))));
    }

    /// Notes events. With `lasting`, they are on the disk when it returns without an error; what cannot be written is noted
    /// with the next ones.
    pub(crate) fn keep(&self, entries: Vec<Entry>, lasting: bool) -> Result<()> {
        let mut state = lock(&self.state);
        state.last = entries.last().map(|entry| entry.position).or(state.last);
        if !state.ahead.is_empty() {
            state.ahead.retain(|entry| !entries.iter().any(|it| it.is_same(entry)));
        }
        if state.file.is_none() {
            state.recent.extend(entries);
            while state.recent.len() > RECENT {
                state.recent.pop_front();
            }
            return Ok(());
        }
        let mut owed = std::mem::take(&mut state.owed);
        owed.extend(entries);
        let lines: Vec<WrittenLine<'_>> = owed.iter().map(WrittenLine::Event).collect();
        let written = self.write(&mut state, &lines, lasting);
        if written.is_err() {
            state.owed = owed;
        }
        written
    }

    /// Is there room for what is to be taken away? Waits for nobody.
    pub(crate) fn has_room(&self) -> bool {
        self.room.load(Ordering::Relaxed) >= LEAST_ROOM
    }

    /// Sets room aside for what is to be taken away; waits for the disk. An error is one before it was.
    pub(crate) fn make_room(&self) -> Result<()> {
        let state = lock(&self.state);
        let Some(file) = state.file.as_ref().filter(|_| !self.has_room()) else { return Ok(()) };
        set_aside(file, state.length).map_err(|cause| self.failed(cause))?;
        self.room.store(ROOM, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, state: &mut JournalState, lines: &[WrittenLine<'_>], lasting: bool) -> Result<()> {
        let Some(file) = &mut state.file else { return Ok(()) };
        let mut text = Vec::new();
        for line in lines {
            put(&mut text, line).map_err(Error::internal)?;
        }
        let length = state.length;
        let written = file.write_all(&text).and_then(|()| if lasting { file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => {
                state.length += text.len() as u64;
                let left = self.room.load(Ordering::Relaxed).saturating_sub(text.len() as u64);
                self.room.store(left, Ordering::Relaxed);
                Ok(())
            }
            Err(cause) => {
                // Half a line in the middle would be damage.
                let _ = file.set_len(length).and_then(|()| file.seek(SeekFrom::End(0)).map(|_| ()));
                self.room.store(0, Ordering::Relaxed);
                Err(self.failed(cause))
            }
        }
    }

    fn failed(&self, cause: io::Error) -> Error {
        let path = self.path.as_deref().unwrap_or(Path::new("journal")).display();
        let detail = format!(
            "The journal {path} cannot be written ({cause}). Nothing can be taken away until it can, since it must stay so: \
             make room on its disk, or make it writable."
        );
        Error { cause: Some(cause.into()), ..Error::unavailable(detail) }
    }
}

/// Puts a line behind a text: its checksum, and what it says.
fn put(text: &mut Vec<u8>, line: &WrittenLine<'_>) -> io::Result<()> {
    let begin = text.len();
    text.extend_from_slice(b"00000000 ");
    serde_json::to_writer(&mut *text, line)?;
    let (sum, json) = text[begin..].split_at_mut(9);
    write!(&mut sum[..8], "{:08x}", crc32fast::hash(json))?;
    text.push(b'\n');
    Ok(())
}

/// Does something with a journal on a thread that may wait for the disk.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|cause| Err(Error::internal(cause)))
}

#[cfg(target_os = "linux")]
fn set_aside(file: &File, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::KEEP_SIZE, length, ROOM) {
        // A file system without it: whether there is room is seen when it is used.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        done => done.map_err(Into::into),
    }
}

#[cfg(not(target_os = "linux"))]
fn set_aside(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

fn read(file: &mut File, path: &Path) -> Result<Contents, JournalError> {
    let failed = |cause| JournalError::Io { path: path.to_owned(), cause };
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut text)).map_err(failed)?;
    let mut contents = Contents { root: None, entries: Vec::new(), ahead: Vec::new(), whole: 0 };
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let Some(whole) = line.strip_suffix(b"\n") else { break };
        match parse(whole) {
            Some(JournalLine::Root(root)) if number == 0 => contents.root = Some(root),
            Some(JournalLine::Event(entry)) if number > 0 => {
                contents.ahead.retain(|it| !it.is_same(&entry));
                contents.entries.push(entry);
            }
            Some(JournalLine::Ahead(entry)) if number > 0 => contents.ahead.push(entry),
            Some(JournalLine::Until(common)) if number > 0 => {
                contents.entries.retain(|entry| entry.position <= common);
                contents.ahead.clear();
            }
            _ => return Err(JournalError::Damaged { path: path.to_owned(), line: number + 1 }),
        }
        contents.whole += line.len() as u64;
    }
    Ok(contents)
}

fn parse(line: &[u8]) -> Option<JournalLine> {
    let text = std::str::from_utf8(line).ok()?;
    let (sum, json) = text.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    if sum == crc32fast::hash(json.as_bytes()) { serde_json::from_str(json).ok() } else { None }
}

/// Forgets what is old: all that took nothing away but the last, and the rest after its time. Of the rights of one thing the last
/// ones count.
fn shorten(contents: &mut Contents, now: Time) {
    let last: HashMap<(Uuid, u8), usize> =
        contents.entries.iter().enumerate().filter_map(|(at, it)| Some((rights(it)?, at))).collect();
    for (at, entry) in contents.entries.iter_mut().enumerate() {
        if rights(entry).is_some_and(|of| last.get(&of) != Some(&at)) {
            match &mut entry.after {
                Some(After::Token { bounds, .. }) => *bounds = None,
                after => *after = None,
            }
        }
    }
    let recent = contents.entries.len().saturating_sub(RECENT);
    let mut at = 0;
    contents.entries.retain(|entry| {
        at += 1;
        at > recent || (entry.after.is_some() && is_kept(entry, now))
    });
}

/// Whose rights it holds, of what kind: what can be long.
fn rights(entry: &Entry) -> Option<(Uuid, u8)> {
    match entry.after.as_ref()? {
        After::Token { bounds: Some(_), .. } => Some((entry.target, 0)),
        After::Role { .. } => Some((entry.target, 1)),
        After::Api { .. } => Some((entry.target, 2)),
        _ => None,
    }
}

fn is_kept(entry: &Entry, now: Time) -> bool {
    entry.time > now.plus(-KEPT)
}

/// Writes the file anew, beside its place first.
fn rewrite(path: &Path, contents: &Contents) -> io::Result<File> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    let root = contents.root.map(WrittenLine::Root);
    let ahead = contents.ahead.iter().map(WrittenLine::Ahead);
    let lines = root.into_iter().chain(contents.entries.iter().map(WrittenLine::Event)).chain(ahead);
    let mut text = io::BufWriter::new(&mut file);
    let mut one = Vec::new();
    for line in lines {
        one.clear();
        put(&mut one, &line)?;
        text.write_all(&one)?;
    }
    text.flush()?;
    drop(text);
    file.sync_all()?;
    file.try_lock().map_err(io::Error::from)?;
    std::fs::rename(&part, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokenward_core::journal::After;

    use super::*;

    fn entry(position: i64) -> Entry {
        Entry {
            log: Uuid::from_u128(1),
            position,
            hash: vec![7; 32],
            time: Time(position),
            kind: "token.deleted".into(),
            organization: Some(Uuid::from_u128(2)),
            target: Uuid::from_u128(3),
            after: Some(After::Token {
                revoked_at: Some(Time(9)),
                disabled_at: None,
                ends: vec![(1, Time(8))],
                used: vec!["00ff".into()],
                bounds: None,
            }),
        }
    }

    fn begun(path: &Path) -> Journal {
        let journal = Journal::open(path, Time(0)).unwrap();
        journal.begin(Uuid::from_u128(1)).unwrap();
        journal.keep((1..=3).map(entry).collect(), true).unwrap();
        journal
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_a_line_that_a_crash_cut_off_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = begun(&path);
        journal.make_room().unwrap();
        assert_eq!(journal.entries().unwrap(), [entry(1), entry(2), entry(3)]);
        journal.cut(2, &[], Vec::new()).unwrap();
        journal.keep(vec![entry(3), entry(4)], false).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!((journal.root(), journal.last()), (Some(Uuid::from_u128(1)), Some(3)));
        journal.keep(vec![entry(5)], true).unwrap();
        drop(journal);
        let again = Journal::open(&path, Time(0)).unwrap().entries().unwrap();
        assert_eq!(again.iter().map(|it| it.position).collect::<Vec<_>>(), [1, 2, 3, 5]);
    }

    #[test]
    fn what_was_noted_ahead_stays_until_it_stands_among_the_others_or_was_brought_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = begun(&path);
        journal.keep_ahead(vec![entry(5), entry(7), entry(9)]).unwrap();
        journal.keep(vec![entry(4), entry(5)], false).unwrap();
        let other = Entry { hash: vec![9; 32], ..entry(7) };
        journal.keep(vec![entry(6), other], false).unwrap();
        assert_eq!(journal.ahead(), [entry(7), entry(9)], "what stands at 7 is something else");
        assert_eq!(journal.last(), Some(7));
        drop(journal);
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!(journal.ahead(), [entry(7), entry(9)]);
        journal.cut(5, &[entry(7)], vec![entry(6)]).unwrap();
        assert_eq!(journal.ahead(), [entry(9), entry(6)], "one came meanwhile, one was brought back");
        drop(journal);
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!((journal.ahead(), journal.last()), (vec![entry(9), entry(6)], Some(5)));
        journal.keep(vec![Entry { hash: vec![8; 32], ..entry(6) }], true).unwrap();
        journal.settle(6, &[entry(6)]).unwrap();
        drop(journal);
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!((journal.ahead(), journal.last()), (vec![entry(9)], Some(6)));
    }

    #[test]
    fn what_was_noted_ahead_too_late_is_not_kept_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = begun(&path);
        // The follower was faster.
        journal.keep(vec![entry(4), entry(5)], true).unwrap();
        journal.keep_ahead(vec![entry(5), entry(7)]).unwrap();
        journal.forget_ahead(&[entry(5), entry(7)]);
        assert_eq!(journal.ahead(), [entry(7)], "nobody has noted that yet");
        drop(journal);
        // It still stands in the file, where it is found once that is compared.
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!(journal.ahead(), [entry(5), entry(7)]);
        journal.settle(5, &[entry(5)]).unwrap();
        drop(journal);
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!((journal.ahead(), journal.last()), (vec![entry(7)], Some(5)));
        assert_eq!(journal.entries().unwrap().len(), 5);
    }

    #[test]
    fn what_was_noted_ahead_is_kept_no_longer_than_anything_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = begun(&path);
        let [old, new] = [(5, 1), (7, 100)].map(|(position, time)| Entry { time: Time(time), ..entry(position) });
        journal.keep_ahead(vec![old, new.clone()]).unwrap();
        drop(journal);
        assert_eq!(Journal::open(&path, Time(KEPT)).unwrap().ahead().len(), 2);
        assert_eq!(Journal::open(&path, Time(KEPT + 1)).unwrap().ahead(), std::slice::from_ref(&new));
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!(journal.ahead(), [new], "it is gone from the file");
        assert_eq!((journal.root(), journal.entries().unwrap().len()), (Some(Uuid::from_u128(1)), 3));
    }

    #[test]
    fn an_entry_of_an_older_version_says_less() {
        let read = |text: &str| serde_json::from_str::<After>(text).unwrap();
        let (living, proven, issuers) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let sessions = After::Sessions { living: living.clone(), proven, links: None, password: None, undoable: None };
        assert_eq!(read(r#"{"sessions":{"living":[]}}"#), sessions);
        assert_eq!(read(r#"{"identities":{"living":[]}}"#), After::Identities { living, issuers });
        let token = read(r#"{"token":{"revoked_at":null,"disabled_at":null,"ends":[]}}"#);
        assert!(matches!(token, After::Token { bounds: None, .. }));
    }

    #[test]
    fn a_damaged_journal_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        drop(begun(&path));
        let mut text = std::fs::read(&path).unwrap();
        let third = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
        text[third + 30] ^= 1;
        std::fs::write(&path, &text).unwrap();
        let error = Journal::open(&path, Time(0)).err().unwrap().to_string();
        assert!(error.contains("is damaged in line 3"), "{error}");
        std::fs::write(&path, "something else\n").unwrap();
        assert!(Journal::open(&path, Time(0)).err().unwrap().to_string().contains("line 1"));
    }

    #[test]
    fn two_processes_never_write_one_journal_and_a_long_one_becomes_short() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = begun(&path);
        let second = Journal::open(&path, Time(0)).unwrap();
        second.keep(vec![entry(9)], true).unwrap();
        assert_eq!(second.entries().unwrap(), [entry(9)]);
        assert_eq!(journal.entries().unwrap().len(), 3);
        let mut contents = Contents { root: Some(Uuid::nil()), entries: Vec::new(), ahead: Vec::new(), whole: 0 };
        contents.entries.extend((1..30_000).map(entry));
        contents.entries[0].after = None;
        shorten(&mut contents, Time(KEPT));
        assert_eq!(contents.entries.len(), 29_998, "all but the one that took nothing away");
        shorten(&mut contents, Time(2 * KEPT));
        assert_eq!(contents.entries.len(), RECENT);
    }
}
