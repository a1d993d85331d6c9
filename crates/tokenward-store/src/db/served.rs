//! Who serves from an SQLite file: one process at most, by whatever name it knows the file.
//!
//! The lock is on the file of the database itself: neither another name (a hard link, a mount) nor the removal of a file
//! beside it lets a second server in. It is `flock`'s, which on Linux knows nothing of `fcntl`'s locks, which SQLite takes.
//!
//! When a process closes any descriptor of a file, it loses all locks of `fcntl` that it holds on it, and another process
//! could take SQLite's database from under it (sqlite.org/howtocorrupt.html, §2.2). So what is opened here is never closed:
//! there is one descriptor for each file, kept to the end of the process and used again.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tokenward_core::sync::lock;

/// The files that were opened, by device and inode.
static OPENED: Mutex<BTreeMap<(u64, u64), &'static Lockable>> = Mutex::new(BTreeMap::new());

struct Lockable {
    file: File,
    /// Does this process serve from it? `flock` cannot tell: the descriptor is the same.
    held: Mutex<bool>,
}

/// The right to serve from a file, until it is dropped or given back.
pub(crate) struct Serving(&'static Lockable);

impl Serving {
    /// Gives it back; the file stays open.
    pub(crate) fn release(&self) -> io::Result<()> {
        let mut held = lock(&self.0.held);
        if std::mem::take(&mut *held) { self.0.file.unlock() } else { Ok(()) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Nobody is left to be told; the end of the process gives it back too.
        let _ = self.release();
    }
}

/// Begins to serve from the database at `path`; `None` when somebody does already.
pub(super) fn begin(path: &Path) -> io::Result<Option<Serving>> {
    let lockable = open(path)?;
    let mut held = lock(&lockable.held);
    if *held {
        return Ok(None);
    }
    match lockable.file.try_lock() {
        Ok(()) => {
            *held = true;
            Ok(Some(Serving(lockable)))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(cause),
    }
}

/// Does anybody serve from the database at `path`?
pub(super) fn is_served(path: &Path) -> bool {
    // What goes wrong here goes wrong again, and is told, where one begins to serve.
    let Ok(lockable) = open(path) else { return false };
    if *lock(&lockable.held) {
        return true;
    }
    match lockable.file.try_lock_shared() {
        Ok(()) => lockable.file.unlock().is_err(),
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}

fn open(path: &Path) -> io::Result<&'static Lockable> {
    let path = lockable_path(path)?;
    let mut opened = lock(&OPENED);
    // Looked up before anything is opened: one descriptor too many would have to be closed.
    let meta = std::fs::metadata(&path)?;
    if let Some(lockable) = opened.get(&(meta.dev(), meta.ino())) {
        return Ok(lockable);
    }
    let file = File::open(&path)?;
    let meta = file.metadata()?;
    let lockable: &'static Lockable = Box::leak(Box::new(Lockable { file, held: Mutex::new(false) }));
    Ok(opened.entry((meta.dev(), meta.ino())).or_insert(lockable))
}

/// What is locked: the database. Elsewhere than on Linux `flock` and `fcntl` know of each other, so that the lock would
/// keep SQLite out; there it is a file beside it.
fn lockable_path(path: &Path) -> io::Result<PathBuf> {
    let path = path.canonicalize()?;
    if cfg!(target_os = "linux") {
        return Ok(path);
    }
    let mut beside = path.into_os_string();
    beside.push(".lock");
    File::options().create(true).truncate(false).write(true).open(&beside)?;
    Ok(beside.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_serves_by_whatever_name() {
        let directory = tempfile::tempdir().unwrap();
        let [path, hard, soft] = ["a.db", "b.db", "c.db"].map(|name| directory.path().join(name));
        std::fs::write(&path, "").unwrap();
        std::fs::hard_link(&path, &hard).unwrap();
        std::os::unix::fs::symlink(&path, &soft).unwrap();
        assert!(!is_served(&path));
        let serving = begin(&path).unwrap().unwrap();
        for name in [&path, &hard, &soft] {
            assert!(is_served(name) && begin(name).unwrap().is_none(), "{}", name.display());
        }
        let other = File::open(&hard).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)), "another process sees it too");
        serving.release().unwrap();
        serving.release().unwrap();
        assert!(!is_served(&hard));
        other.lock().unwrap();
        assert!(is_served(&path) && begin(&path).unwrap().is_none(), "and is seen");
        drop(serving);
        other.unlock().unwrap();
        assert!(begin(&soft).unwrap().is_some());
        std::fs::write(directory.path().join("d.db"), "").unwrap();
        assert!(begin(&directory.path().join("d.db")).unwrap().is_some(), "another file is another database");
    }
}
