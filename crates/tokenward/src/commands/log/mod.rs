//! `tokenward log`: whether the audit log is the one that was written, and the log for others to read; from the database
//! itself. Needs no server, and works beside one. All but `checkpoint` change nothing, not even the schema of an older version.
//! Where a server is to be asked instead, `cli` carries it out.

mod export;
mod verify;

use std::io::Write;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokenward_server::config::{Config, Flags};
use tokenward_server::serve::{open_store, open_to_read};
use tokenward_server::service::checkpoints::{self, PublicKey, Signer};
use tokenward_store::Store;
use tokenward_store::log::{self, Noted};
use tokenward_verify::server::pepper;

use super::{DataArgs, config, must_exist, print_answer};
use crate::note::note;

pub use export::{ExportArgs, ExportBound, Out, WholeOutput};
pub use verify::VerifyArgs;

/// What can be done with the log in the database.
#[derive(Subcommand, Clone, Debug)]
pub enum OfflineLog {
    /// Check that the log is dense, chained and what was written, and what was signed of it
    ///
    /// Prints where it ends: note that elsewhere, and give it with --head the next time. Signed checkpoints are checked with
    /// the key that lies here, or with those that are named. Without a head, a checkpoint or a key from elsewhere, whoever can
    /// write the database and read the pepper could have written all of the log anew. Of a server (--online, --url) an organization's
    /// own events are checked, and the hashes of all others.
    Verify(VerifyArgs),
    /// Print where the log ends, as POSITION:HASH
    Head(HeadArgs),
    /// Write the log to standard output, an event a line
    Export(ExportArgs),
    /// Sign what the log is like now, and print it
    Checkpoint(KeyArgs),
    /// Print the public key with which checkpoints are checked: the newest first
    Key(KeyArgs),
}

/// `tokenward log head`.
#[derive(Args, Clone, Debug)]
pub struct HeadArgs {
    /// Which log.
    #[command(flatten)]
    pub log: WhichLog,
}

/// What needs nothing but the place of the data.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// Which log is meant: that of a database, or that of a server.
#[derive(Args, Clone, Debug)]
pub struct WhichLog {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// Ask the server that you are signed in to, and not the database of this machine; so does --url
    #[arg(long)]
    pub online: bool,
}

impl OfflineLog {
    /// Where the log is, for what can be asked of a server too.
    #[must_use]
    pub fn which(&self) -> Option<&WhichLog> {
        match self {
            Self::Verify(args) => Some(&args.log),
            Self::Export(args) => Some(&args.log),
            Self::Head(args) => Some(&args.log),
            Self::Checkpoint(_) | Self::Key(_) => None,
        }
    }
}

/// `tokenward log`.
pub async fn run(command: OfflineLog, as_json: bool) -> Result<()> {
    let data = match &command {
        OfflineLog::Verify(args) => &args.log.data,
        OfflineLog::Export(args) => &args.log.data,
        OfflineLog::Head(args) => &args.log.data,
        OfflineLog::Checkpoint(args) | OfflineLog::Key(args) => &args.data,
    };
    let config = config(data, Flags::default())?;
    must_exist(&config).map_err(|absent| match command.which() {
        // Never by itself: the check of a database shows more than that of a server.
        Some(_) => anyhow!("{absent}, or ask the server that you are signed in to with --online"),
        None => absent,
    })?;
    let store = match &command {
        OfflineLog::Checkpoint(_) => open_store(&config).await?,
        _ => open_to_read(&config).await?,
    };
    let done = match &command {
        OfflineLog::Verify(args) => verify::run(&config, &store, args, as_json).await,
        OfflineLog::Export(args) => export::run(&store, args).await,
        OfflineLog::Head(_) => match head(&store).await {
            Ok(head) if as_json => print_answer(&place(&head)),
            Ok(head) => print(head),
            Err(error) => Err(error),
        },
        OfflineLog::Checkpoint(_) => checkpoint(&config, &store).await,
        OfflineLog::Key(_) => keys(&config, &store).await.and_then(|keys| {
            if as_json {
                return print_answer(&json!({ "keys": keys.iter().map(PublicKey::to_string).collect::<Vec<_>>() }));
            }
            keys.iter().try_for_each(print)
        }),
    };
    store.close().await;
    done
}

/// A public key as clap reads it.
pub fn public_key(text: &str) -> Result<PublicKey, String> {
    text.parse().map_err(|problem| format!("it {problem}"))
}

async fn head(store: &Store) -> Result<Noted> {
    let (at, hash) = log::end(store.read().await?.conn()).await?;
    Ok(Noted { position: at.number, hash })
}

/// A place as programs are told of it.
pub fn place(head: &Noted) -> Value {
    let text = head.to_string();
    let hash = text.split_once(':').map_or("", |(_, hash)| hash);
    json!({ "position": head.position, "hash": hash })
}

fn print(line: impl std::fmt::Display) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}

/// The keys that have signed here: one of each pepper, that of the newest first.
async fn keys(config: &Config, store: &Store) -> Result<Vec<PublicKey>> {
    let peppers = pepper::find(store, &config.data_dir, config.pepper.as_deref()).await?;
    Ok(checkpoints::keys(&peppers)?)
}

async fn checkpoint(config: &Config, store: &Store) -> Result<()> {
    let peppers = pepper::find(store, &config.data_dir, config.pepper.as_deref()).await?;
    // `pepper::find` gives at least one or fails.
    let signer = Signer::new(&peppers[0])?;
    match checkpoints::make(store, &signer).await? {
        Some(made) => print(checkpoints::line(&made)?.trim_end()),
        None => match tokenward_store::checkpoints::last(store.read().await?.conn()).await? {
            Some(last) => {
                note("The log has not grown since the last checkpoint, which is this one.");
                print(checkpoints::line(&last)?.trim_end())
            }
            None => {
                note("The log is empty.");
                Ok(())
            }
        },
    }
}
