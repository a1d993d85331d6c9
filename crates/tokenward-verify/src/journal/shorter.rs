//! Making a journal shorter while it is written.
//!
//! What is worth keeping is written to a file beside it, without holding up whoever notes something. What was noted meanwhile is copied
//! behind it; only the last piece of that, and the change of names, is done while others wait. Until then the longer file is the
//! journal, and where anything fails it stays so.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokenward_core::Time;
use tokenward_core::journal::{After, Entry, Thing, outdate, thing};
use tokenward_core::sync::lock;

use super::lines::{self, AT_ONCE, FilePart, JournalLine, WrittenLine};
use super::{Journal, JournalError, RECENT, ROOM, is_kept, place, set_aside};

/// One that is longer is made shorter, and again when it is twice as long as it was then.
pub(super) const LONG: u64 = 64 << 20;
/// Where that has failed, it is tried again when it is so much longer.
const LATER: u64 = 8 << 20;
/// So much of what was noted meanwhile is copied while others wait.
const LAST_PIECE: u64 = 256 << 10;
/// How often to copy what was noted meanwhile before they do.
const ROUNDS: usize = 20;

/// So many states of things may be cut off again, by a failover or a copy that is put back: they outdate no earlier ones yet.
const YOUNG: usize = if cfg!(test) { 1 } else { RECENT };

/// What of a journal is worth keeping.
#[derive(Default)]
struct Worth {
    /// The line and position of the last state of each thing.
    last: HashMap<Thing, (usize, i64)>,
    /// Lines, and up to where what stands before them counts.
    cuts: Vec<(usize, i64)>,
    /// Positions of the newest events, the oldest first.
    recent: VecDeque<i64>,
    /// The newest states, the oldest first: line, position, of what, and whether it matters only behind a large one.
    young: VecDeque<(usize, i64, Thing, bool)>,
    /// When the newest event was: it is at least so late.
    newest: Option<Time>,
}

impl Worth {
    fn learn(&mut self, number: usize, line: &JournalLine) {
        match line {
            JournalLine::Event(entry) => {
                self.newest = self.newest.max(Some(entry.time));
                if let Some((thing, is_small)) = looked_at(entry) {
                    self.young.push_back((number, entry.position, thing, is_small));
                }
                if self.young.len() > YOUNG
                    && let Some((line, position, thing, is_small)) = self.young.pop_front()
                    && (!is_small || self.last.contains_key(&thing))
                {
                    self.last.insert(thing, (line, position));
                }
                self.recent.push_back(entry.position);
                if self.recent.len() > RECENT {
                    self.recent.pop_front();
                }
            }
            JournalLine::Until(common) => {
                while self.recent.back().is_some_and(|position| position > common) {
                    self.recent.pop_back();
                }
                while self.young.back().is_some_and(|(_, position, ..)| position > common) {
                    self.young.pop_back();
                }
                // An earlier state counts again: nothing later is known that would outdate it.
                self.last.retain(|_, (_, position)| *position <= *common);
                self.cuts.push((number, *common));
            }
            JournalLine::Root(_) | JournalLine::Ahead(_) => {}
        }
    }

    /// All is learned: of cuts the deepest behind each line counts.
    fn finish(&mut self) {
        let mut deepest = i64::MAX;
        for (_, common) in self.cuts.iter_mut().rev() {
            deepest = deepest.min(*common);
            *common = deepest;
        }
    }

    fn is_cut(&self, number: usize, position: i64) -> bool {
        let at = self.cuts.partition_point(|(line, _)| *line < number);
        self.cuts.get(at).is_some_and(|(_, common)| position > *common)
    }

    fn is_outdated(&self, number: usize, entry: &Entry) -> bool {
        let last = thing(entry).and_then(|thing| self.last.get(&thing));
        last.is_some_and(|(line, _)| *line > number)
    }

    /// From this position on everything is kept.
    fn recent_from(&self) -> i64 {
        self.recent.front().copied().unwrap_or(i64::MIN)
    }
}

/// The thing whose earlier states this one makes worthless, and whether it does so only to a larger one. Of tokens only those are
/// looked at that take much room: of each that was made and ended there are lines, and they are many.
fn looked_at(entry: &Entry) -> Option<(Thing, bool)> {
    let of = thing(entry)?;
    match &entry.after {
        Some(After::Gone | After::Invitation) => None,
        after => Some((of, matches!(after, Some(After::Token { bounds: None, .. })))),
    }
}

/// Says that nobody makes it shorter any more.
struct Ends<'j>(&'j AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The file beside a journal in which a shorter one is written.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_extension("part")
}

impl Journal {
    /// Has it made shorter on a thread that may wait for the disk, where it is long and nobody does that yet.
    pub(crate) fn shorten_aside(self: &Arc<Self>, now: Time) {
        let is_long = self.length.load(Ordering::Relaxed) > self.long.load(Ordering::Relaxed);
        if !is_long || self.stops.load(Ordering::Relaxed) || self.shortens.swap(true, Ordering::AcqRel) {
            return;
        }
        let journal = Arc::clone(self);
        drop(tokio::task::spawn_blocking(move || {
            let _ends = Ends(&journal.shortens);
            journal.shorten(now);
        }));
    }

    /// It is not made shorter any more: the process ends, and does not wait for that.
    pub(crate) fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    /// Makes it shorter. Where that fails it stays as it is.
    pub(super) fn shorten(&self, now: Time) {
        let Some(path) = &self.path else { return };
        let before = self.bytes();
        match self.make_shorter(path, now) {
            Ok(()) => {
                let bytes = self.bytes();
                self.long.store(LONG.max(bytes.saturating_mul(2)), Ordering::Relaxed);
                tracing::info!(journal = %path.display(), before, bytes, "the journal was made shorter");
            }
            Err(error) => {
                // Nothing counts on it.
                let _ = std::fs::remove_file(beside(path));
                self.long.store(before.saturating_add(LATER), Ordering::Relaxed);
                if !self.stops.load(Ordering::Relaxed) {
                    tracing::warn!(%error, "the journal cannot be made shorter now, and stays as long as it is");
                }
            }
        }
    }

    fn make_shorter(&self, path: &Path, now: Time) -> Result<(), JournalError> {
        let failed = |cause| JournalError::Io { path: path.to_owned(), cause };
        let (old, end) = {
            let state = lock(&self.state);
            let Some(file) = &state.file else { return Ok(()) };
            // What is taken away meanwhile has its room, whatever this takes.
            set_aside(file, state.length).map_err(failed)?;
            self.room.store(ROOM, Ordering::Relaxed);
            (file.try_clone().map_err(failed)?, state.length)
        };
        let mut worth = Worth::default();
        lines::each(&old, path, end, |number, _, said| {
            self.goes_on()?;
            worth.learn(number, &said);
            Ok(())
        })?;
        worth.finish();
        // A clock that is ahead makes nothing old.
        let now = worth.newest.map_or(now, |newest| now.min(newest));
        let how = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).clone();
        let new = how.open(beside(path)).map_err(failed)?;
        let mut to = BufWriter::with_capacity(AT_ONCE, &new);
        self.copy_worth((&old, path, end), &worth, now, &mut to)?;
        to.flush().map_err(failed)?;
        drop(to);
        drop(worth);
        let mut at = end;
        for _ in 0..ROUNDS {
            let written = lock(&self.state).length;
            if written.saturating_sub(at) <= LAST_PIECE {
                break;
            }
            copy(&old, (at, written), &new).map_err(failed)?;
            at = written;
        }
        new.sync_all().map_err(failed)?;
        self.take_over(path, (&old, at), new).map_err(failed)
    }

    fn copy_worth(
        &self,
        (old, path, end): (&File, &Path, u64),
        worth: &Worth,
        now: Time,
        to: &mut impl Write,
    ) -> Result<(), JournalError> {
        let recent_from = worth.recent_from();
        let mut other = Vec::new();
        let copied = lines::each(old, path, end, |number, line, said| {
            self.goes_on()?;
            let mut entry = match said {
                JournalLine::Root(_) => return to.write_all(line),
                JournalLine::Event(entry) if !worth.is_cut(number, entry.position) => entry,
                // What is noted ahead is written last, and nothing is left that is cut off.
                _ => return Ok(()),
            };
            let is_other = worth.is_outdated(number, &entry) && outdate(&mut entry);
            if entry.position < recent_from && (entry.after.is_none() || !is_kept(&entry, now)) {
                return Ok(());
            }
            if !is_other {
                return to.write_all(line);
            }
            other.clear();
            lines::put(&mut other, &WrittenLine::Event(&entry))?;
            to.write_all(&other)
        });
        copied.map(|_| ())
    }

    /// Puts the shorter file in the place of the longer one, of which all before `at` is in it.
    fn take_over(&self, path: &Path, (old, at): (&File, u64), new: File) -> io::Result<()> {
        let mut state = lock(&self.state);
        copy(old, (at, state.length), &new)?;
        let mut text = Vec::new();
        lines::put(&mut text, &WrittenLine::Until(i64::MAX))?;
        for entry in &state.ahead {
            lines::put(&mut text, &WrittenLine::Ahead(entry))?;
        }
        (&new).write_all(&text)?;
        new.sync_all()?;
        let length = new.metadata()?.len();
        set_aside(&new, length)?;
        new.try_lock().map_err(io::Error::from)?;
        std::fs::rename(beside(path), path)?;
        (state.file, state.length, state.is_placed) = (Some(new), length, false);
        self.length.store(length, Ordering::Relaxed);
        self.room.store(ROOM, Ordering::Relaxed);
        // Where its name cannot be made to last now, whatever is to last waits for that.
        let _ = place(Some(path), &mut state.is_placed);
        Ok(())
    }

    fn goes_on(&self) -> io::Result<()> {
        if self.stops.load(Ordering::Relaxed) { Err(io::Error::other("the process ends")) } else { Ok(()) }
    }
}

fn copy(from: &File, (at, end): (u64, u64), to: &File) -> io::Result<()> {
    let mut from = FilePart { file: from, at, end };
    let mut to = to;
    let copied = io::copy(&mut from, &mut to)?;
    if at.saturating_add(copied) == end { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
