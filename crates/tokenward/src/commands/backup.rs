//! `tokenward backup`: a consistent copy of the database, also while the service runs. It is read back before it gets its
//! name: a copy that nobody can use is none.

use std::fs::{File, TryLockError};
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokenward_server::config::Flags;
use tokenward_server::serve::open_store;
use tokenward_store::Store;
use tokenward_store::log::{self, Chain};
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::server::random::OsRandom;

use super::{DataArgs, config, must_exist};
use crate::note::note;

/// `tokenward backup`.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The file to write, which must not exist yet; or a directory, in which it gets a name with the time and the position
    #[arg(value_name = "FILE|DIR")]
    pub place: PathBuf,
    /// In a directory: how many copies stay, this one among them; older ones are deleted
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward backup`.
pub async fn run(args: BackupArgs) -> Result<()> {
    let config = config(&args.data, Flags::default())?;
    must_exist(&config)?;
    let directory = args.place.is_dir();
    if args.keep.is_some() && !directory {
        bail!("--keep is for a directory, and {} is none: make it first (mkdir)", args.place.display());
    }
    // Held to the end of it.
    let _alone = directory.then(|| alone_in(&args.place)).transpose()?;
    let store = open_store(&config).await?;
    let copied = if directory { copy_into(&store, &args.place).await } else { copy(&store, &args.place).await };
    store.close().await;
    let (file, position) = copied?;
    note(format!("Copied to {}: whole, through position {position}.", file.display()));
    if let Some(keep) = args.keep {
        for old in beyond(&args.place, keep as usize)? {
            std::fs::remove_file(&old).with_context(|| format!("cannot delete {}", old.display()))?;
            note(format!("Deleted {}.", old.display()));
        }
    }
    match &config.pepper {
        Some(_) => {
            note("The pepper is not in it: it comes from TOKENWARD_PEPPER. Without it no token can be verified.")
        }
        None => note(format!(
            "The pepper is not in it: copy {} too, to another place. Without it no token can be verified.",
            config.data_dir.join("pepper").display()
        )),
    }
    Ok(())
}

/// What the names of copies in a directory begin and end with; the time stands between, and the position.
const NAME: (&str, &str) = ("tokenward-", ".db");

/// Copies to a file. Answers it, and the position at its end.
async fn copy(store: &Store, file: &Path) -> Result<(PathBuf, i64)> {
    // Written beside its place and renamed at the end: a broken copy never has the name of a good one.
    let part = file.with_extension("part");
    free(file)?;
    write(store, &part).await?;
    let position = check(&part).await?;
    rename(&part, file)?;
    Ok((file.to_owned(), position))
}

/// Copies to a new file in a directory.
async fn copy_into(store: &Store, directory: &Path) -> Result<(PathBuf, i64)> {
    let part = directory.join(".tokenward-backup.part");
    let time: String = store.now().to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let second = time.split('.').next().unwrap_or_default();
    write(store, &part).await?;
    let position = check(&part).await?;
    // Padded, so that names sort as their copies were made.
    let file = directory.join(format!("{}{second}Z-{position:012}{}", NAME.0, NAME.1));
    free(&file)?;
    rename(&part, &file)?;
    Ok((file, position))
}

/// Keeps other backups out of a directory: a timer's, and one that somebody makes by hand, would write into one file.
fn alone_in(directory: &Path) -> Result<File> {
    let opened = File::open(directory).with_context(|| format!("cannot open {}", directory.display()))?;
    match opened.try_lock() {
        Err(TryLockError::WouldBlock) => {
            bail!("another backup is being written into {}: try again when it has ended", directory.display())
        }
        // Some network file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(opened),
    }
}

/// The copies in a directory beyond the newest so many. Files of other names are nobody's to delete.
fn beyond(directory: &Path, keep: usize) -> Result<Vec<PathBuf>> {
    let mut copies = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let name = entry?.file_name();
        if is_copy(&name.to_string_lossy()) {
            copies.push(directory.join(name));
        }
    }
    copies.sort();
    copies.truncate(copies.len().saturating_sub(keep));
    Ok(copies)
}

/// `tokenward-20270131T120000Z-000000001234.db`
fn is_copy(name: &str) -> bool {
    let inner = name.strip_prefix(NAME.0).and_then(|rest| rest.strip_suffix(NAME.1));
    let Some((time, position)) = inner.and_then(|inner| inner.split_once("Z-")) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    position.len() >= 12
        && digits(position)
        && time.split_once('T').is_some_and(|(day, time)| digits(day) && digits(time))
}

fn free(file: &Path) -> Result<()> {
    if file.exists() {
        bail!("{} exists already; a backup never overwrites one", file.display());
    }
    Ok(())
}

/// Reads the copy back. Answers the position at its end.
async fn check(part: &Path) -> Result<i64> {
    let url = format!("sqlite:{}", part.display());
    let copy = Store::open_to_read(&url, Arc::new(SystemClock::default()), Arc::new(OsRandom)).await?;
    let checked = async {
        if let Some(fault) = copy.damage().await? {
            bail!("the copy {} is damaged: {fault}. It was not given its name", part.display());
        }
        match log::verify(copy.read().await?.conn()).await? {
            Chain::Intact { events } => Ok(events),
            Chain::Broken { position } => bail!(
                "the log is broken at position {position}, in the copy as in the database: `tokenward log verify` says more. \
                 The copy {} was not given its name",
                part.display()
            ),
        }
    };
    let checked = checked.await;
    copy.close().await;
    checked
}

fn rename(part: &Path, file: &Path) -> Result<()> {
    std::fs::rename(part, file).with_context(|| format!("cannot rename {} to {}", part.display(), file.display()))?;
    // The name must survive a crash too.
    let directory = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|it| it.sync_all()).with_context(|| format!("cannot write {}", directory.display()))
}

async fn write(store: &Store, part: &Path) -> Result<()> {
    if part.exists() {
        std::fs::remove_file(part)
            .with_context(|| format!("cannot remove the rest of an earlier try, {}", part.display()))?;
    }
    // Empty and closed to others from the first byte on: the copy holds password hashes and addresses.
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)
        .with_context(|| format!("cannot write {}", part.display()))?;
    let total = store.size().await?;
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}")?);
    let copying = store.backup(part);
    tokio::pin!(copying);
    loop {
        tokio::select! {
            done = &mut copying => break done.map_err(|error| {
                let cause = error.cause.as_ref().map_or_else(|| error.to_string(), ToString::to_string);
                anyhow::anyhow!("cannot write {}: {cause}", part.display())
            })?,
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                bar.set_position(std::fs::metadata(part).map_or(0, |meta| meta.len()));
            }
        }
    }
    bar.finish_and_clear();
    Ok(File::open(part)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_copies_are_deleted_and_the_oldest_first() {
        let directory = tempfile::tempdir().unwrap();
        let copies = [
            "tokenward-20270131T120000Z-000000000009.db",
            "tokenward-20270131T120001Z-000000000010.db",
            "tokenward-20270201T000000Z-000000000010.db",
        ];
        let others = [
            "tokenward.db",
            "tokenward-mine.db",
            "tokenward-20270131T120000Z-9.db",
            "tokenward-20270131T12Z-000000000009.db.gz",
        ];
        for name in copies.iter().chain(&others) {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let old = |keep| -> Vec<String> {
            let paths = beyond(directory.path(), keep).unwrap();
            paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(old(1), copies[..2]);
        assert_eq!(old(2), copies[..1]);
        assert_eq!(old(3), [""; 0]);
    }
}
