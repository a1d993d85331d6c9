//! `tokenward backup`: a consistent copy of the database, also while the service runs.

use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokenward_server::config::Flags;
use tokenward_server::serve::open_store;
use tokenward_store::Store;

use super::{DataArgs, config, must_exist};
use crate::note::note;

/// `tokenward backup`.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The file to write; must not exist yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward backup`.
pub async fn run(args: BackupArgs) -> Result<()> {
    let config = config(&args.data, Flags::default())?;
    must_exist(&config)?;
    let store = open_store(&config).await?;
    let copied = copy(&store, &args.file).await;
    store.close().await;
    copied?;
    note(format!("Copied to {}.", args.file.display()));
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

async fn copy(store: &Store, file: &Path) -> Result<()> {
    if file.exists() {
        bail!("{} exists already; a backup never overwrites one", file.display());
    }
    // Written beside its place and renamed at the end: a broken copy never has the name of a good one.
    let part = file.with_extension("part");
    if part.exists() {
        std::fs::remove_file(&part)
            .with_context(|| format!("cannot remove the rest of an earlier try, {}", part.display()))?;
    }
    // Empty and closed to others from the first byte on: the copy holds password hashes and addresses.
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .with_context(|| format!("cannot write {}", part.display()))?;
    let total = store.size().await?;
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}")?);
    let copying = store.backup(&part);
    tokio::pin!(copying);
    loop {
        tokio::select! {
            done = &mut copying => break done.map_err(|error| {
                let cause = error.cause.as_ref().map_or_else(|| error.to_string(), ToString::to_string);
                anyhow::anyhow!("cannot write {}: {cause}", part.display())
            })?,
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                bar.set_position(std::fs::metadata(&part).map_or(0, |meta| meta.len()));
            }
        }
    }
    bar.finish_and_clear();
    std::fs::File::open(&part)?.sync_all()?;
    std::fs::rename(&part, file).with_context(|| format!("cannot rename {} to {}", part.display(), file.display()))
}
