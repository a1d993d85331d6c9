//! The journal: a file beside the pepper in which a server notes what it has applied of the log, so that what was taken away
//! stays so when a database comes back that does not know of it.
//!
//! A line is a checksum and one thing as JSON: the name of the log's first part, an event, or up to where what stands before
//! counts no more. What takes away is on the disk before anybody is told that it is done, and room for it is set aside before
//! it is done at all. A line that a crash has cut off at the end was never answered for; any other damage is an error.
//! A file that has become long is made shorter beside those who write it ([`shorter`]). Without a place for a file the last events are
//! remembered in memory.

mod lines;
mod shorter;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokenward_core::journal::Entry;
use tokenward_core::sync::lock;
use tokenward_core::time::DAY;
use tokenward_core::{Error, Result, Time, Uuid};

use self::lines::{JournalLine, WrittenLine};

/// Events that are remembered where there is no file, and that are kept of a file which is made shorter.
const RECENT: usize = 20_000;
/// How long what took away is kept.
const KEPT: i64 = 90 * DAY;
/// So much room is set aside, and so little may be left of it before more is.
const ROOM: u64 = 2 << 20;
const LEAST_ROOM: u64 = 512 << 10;
/// How often a file is opened that somebody else puts another one in the place of.
const TRIES: usize = 10;

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
    /// Was there a file with nothing in it? One that was begun never is so.
    emptied: bool,
    state: Mutex<JournalState>,
    /// Bytes that are set aside for what is to be written. Beside the state, whose lock is held while the disk is waited for.
    room: AtomicU64,
    /// Bytes of the file.
    length: AtomicU64,
    /// From how many on it is made shorter.
    long: AtomicU64,
    /// Does somebody make it shorter?
    shortens: AtomicBool,
    /// Is nobody to do that any more?
    stops: AtomicBool,
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
    /// The event there, where it is known without reading the file.
    newest: Option<Entry>,
    length: u64,
    /// Is it sure that the file is found by its name, whatever happens to the machine?
    is_placed: bool,
}

/// What is known of a file that was read once.
#[derive(Default)]
struct Found {
    root: Option<Uuid>,
    ahead: Vec<Entry>,
    last: Option<i64>,
    newest: Option<Entry>,
    /// The time of the newest event, whether it counts or not.
    time: Option<Time>,
}

impl Found {
    fn learn(&mut self, line: JournalLine) {
        match line {
            JournalLine::Root(root) => self.root = Some(root),
            JournalLine::Event(entry) => {
                if !self.ahead.is_empty() {
                    self.ahead.retain(|it| !it.is_same(&entry));
                }
                (self.last, self.time) = (Some(entry.position), Some(entry.time));
                self.newest = Some(entry);
            }
            JournalLine::Ahead(entry) => {
                if !self.ahead.iter().any(|it| it.is_same(&entry)) {
                    self.ahead.push(entry);
                }
            }
            JournalLine::Until(common) => {
                self.ahead.clear();
                if self.last.is_some_and(|last| last > common) {
                    (self.last, self.newest) = ((common > 0).then_some(common), None);
                }
            }
        }
    }
}

impl Journal {
    /// One without a file.
    pub(crate) fn in_memory() -> Self {
        Self::with(None, JournalState::default(), u64::MAX)
    }

    fn with(path: Option<PathBuf>, state: JournalState, room: u64) -> Self {
        Self {
            path,
            emptied: false,
            room: AtomicU64::new(room),
            length: AtomicU64::new(state.length),
            long: AtomicU64::new(shorter::LONG),
            shortens: AtomicBool::new(false),
            stops: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Opens the file, or makes it. One that another process writes is left to it.
    pub(crate) fn open(path: &Path, now: Time) -> Result<Self, JournalError> {
        let failed = |cause| JournalError::Io { path: path.to_owned(), cause };
        let was_there = path.exists();
        let Some(mut file) = open_alone(path).map_err(failed)? else {
            tracing::warn!(
                journal = %path.display(),
                "another process writes this journal; this one remembers only in memory what was taken away: give each \
                 node a --data-dir of its own"
            );
            return Ok(Self::in_memory());
        };
        // A shorter one that nobody has finished.
        let _ = std::fs::remove_file(shorter::beside(path));
        let length = file.metadata().map_err(failed)?.len();
        let mut found = Found::default();
        let whole = lines::each(&file, path, length, |_, _, said| {
            found.learn(said);
            Ok(())
        })?;
        if whole < length {
            tracing::warn!(journal = %path.display(), "the last line was cut off by a crash, and is left out");
            file.set_len(whole).map_err(failed)?;
        }
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let Found { root, mut ahead, last, newest, time } = found;
        let count = ahead.len();
        // What nobody has compared in all the time for which anything is kept; a clock that is far ahead tells nothing of that.
        let then = time.map_or(now, |last| now.min(last.plus(KEPT)));
        ahead.retain(|entry| is_kept(entry, then));
        let is_less = ahead.len() < count;
        let state = JournalState { file: Some(file), root, ahead, last, newest, length, ..JournalState::default() };
        let mut journal = Self::with(Some(path.to_owned()), state, 0);
        journal.emptied = was_there && length == 0;
        if is_less {
            // Where that cannot be written, the next start leaves it out again.
            let _ = journal.write_ahead(&mut lock(&journal.state), i64::MAX);
        }
        Ok(journal)
    }

    /// Where one is about to begin, and whether a file was there that has lost all it had; none of one that is about a log already.
    pub(crate) fn begins(&self) -> Option<(&Path, bool)> {
        let path = self.path.as_deref().filter(|_| self.root().is_none())?;
        Some((path, self.emptied))
    }

    /// Is it a file, which the next start finds?
    pub(crate) fn is_kept(&self) -> bool {
        self.path.is_some()
    }

    /// The first name of the log that it is about; none in a new one.
    pub(crate) fn root(&self) -> Option<Uuid> {
        lock(&self.state).root
    }

    /// The position of the last event in it.
    pub(crate) fn last(&self) -> Option<i64> {
        lock(&self.state).last
    }

    /// The last event in it, where it is known without reading the file.
    pub(crate) fn newest(&self) -> Option<Entry> {
        lock(&self.state).newest.clone()
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
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
        let (file, end, owed) = {
            let state = lock(&self.state);
            let Some(file) = &state.file else { return Ok(state.recent.iter().cloned().collect()) };
            (file.try_clone().map_err(|cause| self.failed(cause))?, state.length, state.owed.clone())
        };
        let mut entries = Vec::new();
        let read = lines::each(&file, self.path.as_deref().unwrap_or(Path::new("journal")), end, |_, _, said| {
            match said {
                JournalLine::Event(entry) => entries.push(entry),
                JournalLine::Until(common) => entries.retain(|entry: &Entry| entry.position <= common),
                JournalLine::Root(_) | JournalLine::Ahead(_) => {}
            }
            Ok(())
        });
        read.map_err(|error| Error::unavailable(error.to_string()))?;
        // What could not be written is known all the same.
        entries.extend(owed);
        Ok(entries)
    }

    /// What stands behind this position is another log's. `compared` was noted ahead before: it stands in the log by now, or was
    /// brought back. What was brought back stands ahead until the log that has it is noted: that can be lost as well.
    pub(crate) fn cut(&self, common: i64, compared: &[Entry], brought: Vec<Entry>) -> Result<()> {
        let mut state = lock(&self.state);
        state.recent.retain(|entry| entry.position <= common);
        // What stands is still to be written.
        state.owed.retain(|entry| entry.position <= common);
        state.last = (common > 0).then_some(common);
        state.newest.take_if(|newest| newest.position > common);
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
        if let Some(newest) = entries.last() {
            (state.last, state.newest) = (Some(newest.position), Some(newest.clone()));
        }
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
        let JournalState { file, length, is_placed, .. } = state;
        let Some(file) = file else { return Ok(()) };
        let mut text = Vec::new();
        for line in lines {
            lines::put(&mut text, line).map_err(Error::internal)?;
        }
        let placed = if lasting { place(self.path.as_deref(), is_placed) } else { Ok(()) };
        let written = placed.and_then(|()| file.write_all(&text));
        match written.and_then(|()| if lasting { file.sync_data() } else { Ok(()) }) {
            Ok(()) => {
                *length += text.len() as u64;
                self.length.store(*length, Ordering::Relaxed);
                let left = self.room.load(Ordering::Relaxed).saturating_sub(text.len() as u64);
                self.room.store(left, Ordering::Relaxed);
                Ok(())
            }
            Err(cause) => {
                // Half a line in the middle would be damage.
                let _ = file.set_len(*length).and_then(|()| file.seek(SeekFrom::End(0)).map(|_| ()));
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

/// Opens the file by that name, or makes it, and keeps others from writing it. `None` where somebody else does.
fn open_alone(path: &Path) -> io::Result<Option<File>> {
    for _ in 0..TRIES {
        let how = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let file = how.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        let (own, there) = (file.metadata()?, std::fs::metadata(path)?);
        if (own.dev(), own.ino()) == (there.dev(), there.ino()) {
            return Ok(Some(file));
        }
        // Between the two somebody has put a shorter one in its place.
    }
    Err(io::Error::other("another file is put in its place again and again"))
}

/// Makes sure that the file is found by its name after whatever happens to the machine.
fn place(path: Option<&Path>, is_placed: &mut bool) -> io::Result<()> {
    if let Some(directory) = path.and_then(Path::parent).filter(|_| !*is_placed) {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        match File::open(directory)?.sync_all() {
            // A file system that has nothing of the kind.
            Err(cause) if matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {}
            done => done?,
        }
    }
    *is_placed = true;
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

fn is_kept(entry: &Entry, now: Time) -> bool {
    entry.time > now.plus(-KEPT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokenward_core::journal::{After, TokenBounds};

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
    fn one_that_begins_is_told_from_one_that_has_lost_everything() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let new = Journal::open(&path, Time(0)).unwrap();
        assert_eq!(new.begins(), Some((path.as_path(), false)));
        new.begin(Uuid::from_u128(1)).unwrap();
        assert_eq!(new.begins(), None);
        drop(new);
        assert_eq!(Journal::open(&path, Time(0)).unwrap().begins(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(Journal::open(&path, Time(0)).unwrap().begins(), Some((path.as_path(), true)));
        assert_eq!(Journal::in_memory().begins(), None, "that it forgets is told elsewhere");
    }

    #[test]
    fn on_a_full_disk_the_longer_one_stays_and_goes_on_and_is_made_shorter_once_there_is_room() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = begun(&path);
        // More than is written at once.
        let distinct = (4..400_i64).map(|position| bound(position, u128::from(position.unsigned_abs())));
        journal.keep(distinct.collect(), true).unwrap();
        journal.keep((400..500).map(|position| bound(position, 7)).collect(), true).unwrap();
        let before = std::fs::read(&path).unwrap();
        // Where the shorter one would be written there is no room for a byte.
        std::os::unix::fs::symlink("/dev/full", shorter::beside(&path)).unwrap();
        journal.shorten(Time(0));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(std::fs::symlink_metadata(shorter::beside(&path)).is_err(), "nothing of it is left");
        let long = journal.long.load(Ordering::Relaxed);
        assert!(long > journal.bytes(), "it is tried again when it is longer, and not at once");
        journal.make_room().unwrap();
        journal.keep(vec![entry(500)], true).unwrap();
        journal.keep_ahead(vec![entry(600)]).unwrap();
        journal.shorten(Time(0));
        assert!(journal.bytes() < before.len() as u64, "{} of {}", journal.bytes(), before.len());
        drop(journal);
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!((journal.last(), journal.ahead()), (Some(500), vec![entry(600)]));
        assert_eq!(journal.entries().unwrap().len(), 500);
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
        let unused = BTreeMap::new();
        let sessions =
            After::Sessions { living: living.clone(), proven, links: None, password: None, undoable: None, unused };
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
        let plain = Entry { after: None, ..entry(4) };
        journal.keep(std::iter::once(plain).chain((5..30_000).map(entry)).collect(), false).unwrap();
        journal.shorten(Time(KEPT));
        assert_eq!(journal.entries().unwrap().len(), 29_998, "all but the one that took nothing away");
        journal.shorten(Time(2 * KEPT));
        assert_eq!(journal.entries().unwrap().len(), 29_998, "a clock that is ahead makes nothing old");
        let late = Entry { time: Time(2 * KEPT), ..entry(30_000) };
        journal.keep(vec![late], false).unwrap();
        journal.shorten(Time(2 * KEPT));
        assert_eq!(journal.entries().unwrap().len(), RECENT);
        assert!(
            Journal::open(&path, Time(0)).unwrap().root().is_none(),
            "the new file is kept from others as the old one was"
        );
        drop(journal);
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!((journal.root(), journal.last()), (Some(Uuid::from_u128(1)), Some(30_000)));
    }

    /// A token that was bound to much.
    fn bound(position: i64, target: u128) -> Entry {
        let (used, networks) = (vec!["00ff".into()], Some("x".repeat(3_000)));
        let bounds = Some(Box::new(TokenBounds { networks, ..TokenBounds::default() }));
        let after = After::Token { revoked_at: None, disabled_at: None, ends: Vec::new(), used, bounds };
        Entry { kind: "token.updated".into(), target: Uuid::from_u128(target), after: Some(after), ..entry(position) }
    }

    /// Which of them say what a token was bound to, by their positions.
    fn binding(entries: &[Entry]) -> Vec<i64> {
        let binds = |it: &&Entry| matches!(it.after, Some(After::Token { bounds: Some(_), .. }));
        entries.iter().filter(binds).map(|it| it.position).collect()
    }

    #[test]
    fn a_shorter_one_has_the_last_state_of_each_thing_and_what_is_noted_ahead() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = begun(&path);
        journal.keep_ahead(vec![entry(20), entry(30)]).unwrap();
        journal.keep(vec![bound(4, 7), bound(5, 8), bound(6, 7), bound(7, 7)], true).unwrap();
        // What came behind 6 is another log's, so that 6 is what counts of the token 7.
        journal.cut(6, &[entry(20)], vec![entry(9)]).unwrap();
        let before = journal.bytes();
        journal.shorten(Time(0));
        let entries = journal.entries().unwrap();
        assert_eq!(entries.iter().map(|it| it.position).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(journal.ahead(), [entry(30), entry(9)]);
        journal.shorten(Time(0));
        assert_eq!(binding(&journal.entries().unwrap()), [5, 6], "4 has a later state for sure");
        journal.keep(vec![bound(7, 8)], true).unwrap();
        journal.shorten(Time(0));
        assert_eq!(binding(&journal.entries().unwrap()), [5, 6, 7], "7 may be cut off, and then 5 counts");
        assert!(journal.bytes() < before, "{} of {before}", journal.bytes());
        assert_eq!(journal.bytes(), std::fs::metadata(&path).unwrap().len());
        drop(journal);
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!((journal.ahead(), journal.last()), (vec![entry(30), entry(9)], Some(7)));
        assert_eq!((journal.newest(), binding(&journal.entries().unwrap())), (Some(bound(7, 8)), vec![5, 6, 7]));
    }

    #[test]
    fn what_is_noted_while_it_is_made_shorter_is_in_the_shorter_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = begun(&path);
        journal.keep((4..400).map(|position| bound(position, 7)).collect(), false).unwrap();
        let before = journal.bytes();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for position in 400..900 {
                    journal.keep(vec![bound(position, 8)], position % 100 == 0).unwrap();
                }
            });
            while !writer.is_finished() {
                journal.shorten(Time(0));
            }
        });
        journal.shorten(Time(0));
        assert!(journal.bytes() < before / 2, "{} of {before}", journal.bytes());
        drop(journal);
        let entries = Journal::open(&path, Time(0)).unwrap().entries().unwrap();
        assert_eq!(entries.iter().map(|it| it.position).collect::<Vec<_>>(), (1..900).collect::<Vec<_>>());
        assert_eq!(binding(&entries), [399, 898, 899], "the newest may be cut off");
    }

    #[test]
    fn one_that_cannot_be_made_shorter_stays_as_it_is_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = begun(&path);
        journal.keep(vec![bound(4, 7), bound(5, 7)], true).unwrap();
        let before = std::fs::read(&path).unwrap();
        // Where the shorter one would be written is something else.
        std::fs::create_dir(shorter::beside(&path)).unwrap();
        journal.shorten(Time(0));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        journal.stop();
        std::fs::remove_dir(shorter::beside(&path)).unwrap();
        journal.shorten(Time(0));
        assert_eq!(std::fs::read(&path).unwrap(), before, "a process that ends begins nothing");
        assert!(!shorter::beside(&path).exists());
        journal.keep(vec![entry(6)], true).unwrap();
        drop(journal);
        std::fs::write(shorter::beside(&path), "half").unwrap();
        let journal = Journal::open(&path, Time(0)).unwrap();
        assert_eq!(journal.entries().unwrap(), [entry(1), entry(2), entry(3), bound(4, 7), bound(5, 7), entry(6)]);
        assert!(!shorter::beside(&path).exists(), "what a crash has left");
    }

    #[tokio::test]
    async fn it_is_made_shorter_aside_once_it_is_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = std::sync::Arc::new(begun(&path));
        journal.keep((4..100).map(|position| bound(position, 7)).collect(), true).unwrap();
        let before = journal.bytes();
        journal.shorten_aside(Time(0));
        assert!(!journal.shortens.load(Ordering::Relaxed), "it is not long");
        journal.long.store(before / 2, Ordering::Relaxed);
        journal.shorten_aside(Time(0));
        for _ in 0..1_000 {
            if !journal.shortens.load(Ordering::Acquire) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(journal.bytes() < before / 2, "{} of {before}", journal.bytes());
        assert_eq!(journal.long.load(Ordering::Relaxed), shorter::LONG);
    }
}
