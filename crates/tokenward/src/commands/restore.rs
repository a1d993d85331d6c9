//! `tokenward restore`: puts a copy of the database in place, and what was revoked since stays revoked.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use tokenward_core::right::Keeper;
use tokenward_server::config::{Config, Flags};
use tokenward_server::serve::open_store;
use tokenward_store::address::DatabaseAddress;
use tokenward_store::log::{self, Chain};
use tokenward_store::{Store, rewind};
use tokenward_verify::server::{journal, pepper};

use super::{DataArgs, config};
use crate::note::note;

/// What lies beside an SQLite file and belongs to it.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

/// `tokenward restore`.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The copy, as `tokenward backup` made it. Not for PostgreSQL: run this after pg_restore
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// Take the copy as it is: what was revoked after it was made is accepted again
    #[arg(long)]
    pub without_journal: bool,
}

/// `tokenward restore`.
pub async fn run(args: RestoreArgs) -> Result<()> {
    let config = config(&args.data, Flags::default())?;
    match (DatabaseAddress::parse(&config.database)?, &args.file) {
        (DatabaseAddress::File(place), Some(file)) => put_in_place(&config, file, &place).await?,
        (DatabaseAddress::File(_), None) => bail!("name the copy to put in place: tokenward restore FILE"),
        (DatabaseAddress::Server(_), Some(_)) => {
            bail!(
                "this database is PostgreSQL: restore the dump with pg_restore, then run `tokenward restore` without a file"
            )
        }
        (DatabaseAddress::Server(_), None) => {}
    }
    let store = open_store(&config).await?;
    let done = settle(&config, &store, args.without_journal).await;
    store.close().await;
    done
}

/// Checks what is in place, and decides what becomes of what the journal knows.
async fn settle(config: &Config, store: &Store, without_journal: bool) -> Result<()> {
    check(config, store).await?;
    if without_journal {
        rewind::accept(store, &Keeper::new(&config.node_name)).await?;
        note(
            "The state is taken as it is. What was revoked since it was saved is accepted again; the log says that this was wanted.",
        );
        return Ok(());
    }
    let path = config.data_dir.join("journal");
    let length = std::fs::metadata(&path).ok().map(|it| it.len());
    let brought = journal::bring_back(store, &path, &config.node_name).await?;
    match (length, brought.lost) {
        (Some(0), _) => note(
            "The journal is empty: somebody has cut it off, or its disk has lost it. What was revoked after the copy was made is \
             accepted again. Look at the list of tokens.",
        ),
        (None, _) => note(
            "There is no journal here: what was revoked after the copy was made is accepted again. Look at the list of tokens.",
        ),
        (Some(_), 0) => note("The journal knows of nothing that is not in it."),
        (Some(_), lost) => {
            let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
            note(format!(
                "{} came after the copy. What was taken away then stays so ({}); what was made then is gone.",
                counted(lost, "event"),
                counted(brought.repaired, "change")
            ));
        }
    }
    Ok(())
}

/// The chain of the log must be whole, and the pepper that of the tokens.
async fn check(config: &Config, store: &Store) -> Result<()> {
    if let Some(fault) = store.damage().await? {
        bail!("the database is damaged: {fault}. Nothing was put in its place; take another copy");
    }
    if let Chain::Broken { position } = log::verify(store.read().await?.conn()).await? {
        bail!("the log in it is broken at position {position}: somebody has changed it. Take another copy");
    }
    pepper::find(store, &config.data_dir, config.pepper.as_deref()).await?;
    Ok(())
}

/// Puts the copy where the database is, which is moved aside, once it is known to be good.
async fn put_in_place(config: &Config, file: &Path, place: &Path) -> Result<()> {
    if !file.is_file() {
        bail!("there is no file {}", file.display());
    }
    if file.canonicalize().ok() == place.canonicalize().ok() {
        bail!("{} is the database itself; name a copy of it", file.display());
    }
    if beside(file, "-wal").exists() {
        bail!(
            "{} is no whole copy: a part of it stands in {}. Make copies with `tokenward backup`",
            file.display(),
            beside(file, "-wal").display()
        );
    }
    if place.exists() && Store::is_served(place) {
        bail!("a tokenward serves from {}: stop it first", place.display());
    }
    let part = beside(place, ".restoring");
    for suffix in BESIDE {
        let _ = std::fs::remove_file(beside(&part, suffix));
    }
    let checked = async {
        copy(file, &part)?;
        let store = open_store(&Config { database: format!("sqlite:{}", part.display()), ..config.clone() }).await?;
        let checked = check(config, &store).await;
        store.close().await;
        checked
    };
    if let Err(error) = checked.await {
        for suffix in BESIDE {
            let _ = std::fs::remove_file(beside(&part, suffix));
        }
        return Err(error.context(format!("{} was not put in place, and nothing was changed", file.display())));
    }
    let aside = free_name(place);
    for suffix in BESIDE {
        let old = beside(place, suffix);
        if old.exists() {
            let new = beside(&aside, suffix);
            std::fs::rename(&old, &new).with_context(|| format!("cannot move {} aside", old.display()))?;
            note(format!("{} is {} now.", old.display(), new.display()));
        }
    }
    std::fs::rename(&part, place)
        .with_context(|| format!("cannot rename {} to {}", part.display(), place.display()))?;
    if let Some(directory) = place.parent() {
        std::fs::File::open(directory).and_then(|it| it.sync_all())?;
    }
    note(format!("{} is in place.", file.display()));
    Ok(())
}

/// For nobody else to read: it holds password hashes and addresses.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let cannot = || format!("cannot copy {} to {}", from.display(), to.display());
    let mut read = std::fs::File::open(from).with_context(cannot)?;
    let mut write = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).with_context(cannot)?;
    std::io::copy(&mut read, &mut write).and_then(|_| write.sync_all()).with_context(cannot)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A name that nothing has yet.
fn free_name(place: &Path) -> PathBuf {
    let names = (1..).map(|n| beside(place, &format!(".before-restore-{n}")));
    let mut free = names.filter(|name| BESIDE.iter().all(|suffix| !beside(name, suffix).exists()));
    free.next().unwrap_or_else(|| beside(place, ".before-restore"))
}
