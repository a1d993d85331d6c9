//! `tokenward log`: whether the audit log is the one that was written, from the database itself. Needs no server, and works
//! beside one.

use std::io::{IsTerminal, Write};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use tokenward_server::config::Flags;
use tokenward_server::serve::open_store;
use tokenward_store::Store;
use tokenward_store::log::{self, Fault, Noted, Proof};

use super::{DataArgs, config, must_exist};
use crate::note::note;

/// What can be done with the log in the database.
#[derive(Subcommand, Clone, Debug)]
pub enum OfflineLog {
    /// Check that the log is dense, chained and what was written
    ///
    /// Prints where it ends: note that elsewhere, and give it with --head the next time. Without one, whoever can write the
    /// database could have written all of the log anew.
    Verify(VerifyArgs),
    /// Print where the log ends, as POSITION:HASH
    Head(HeadArgs),
}

/// `tokenward log verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// A place that was noted earlier; can be given several times
    #[arg(long, value_name = "POSITION:HASH", value_parser = noted)]
    pub head: Vec<Noted>,
    /// The first position to look at; what is before it is believed
    #[arg(long, value_name = "POSITION", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    pub from: i64,
}

/// `tokenward log head`.
#[derive(Args, Clone, Debug)]
pub struct HeadArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

fn noted(text: &str) -> Result<Noted, String> {
    text.parse().map_err(|problem| format!("it {problem}"))
}

/// `tokenward log`.
pub async fn run(command: OfflineLog) -> Result<()> {
    let data = match &command {
        OfflineLog::Verify(args) => &args.data,
        OfflineLog::Head(args) => &args.data,
    };
    let config = config(data, Flags::default())?;
    must_exist(&config)?;
    let store = open_store(&config).await?;
    let done = match &command {
        OfflineLog::Verify(args) => verify(&store, args).await,
        OfflineLog::Head(_) => head(&store).await.and_then(|head| print(&head)),
    };
    store.close().await;
    done
}

async fn head(store: &Store) -> Result<Noted> {
    let (at, hash) = log::end(store.read().await?.conn()).await?;
    Ok(Noted { position: at.number, hash })
}

fn print(head: &Noted) -> Result<()> {
    writeln!(std::io::stdout(), "{head}").context("cannot write to standard output")
}

async fn verify(store: &Store, args: &VerifyArgs) -> Result<()> {
    let end = head(store).await?.position;
    if args.from > end.max(1) {
        bail!("the log ends at {end}: there is nothing from {} on", args.from);
    }
    if let Some(before) = args.head.iter().find(|noted| noted.position < args.from) {
        bail!("--head {before} is before --from {}: begin there, or earlier", args.from);
    }
    let length = u64::try_from(end - args.from + 1).unwrap_or(0);
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(length) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {eta}")?);
    let seen = |position: i64| bar.set_position(u64::try_from(position - args.from + 1).unwrap_or(0));
    let proof = log::prove(store.read().await?.conn(), args.from, &args.head, seen).await;
    bar.finish_and_clear();
    match proof? {
        Proof::Holds { events, head } => {
            note(format!("The log is whole: {events} events, from {} on. It ends here; note it elsewhere:", args.from));
            print(&head)
        }
        Proof::Fails { position, fault } => bail!("the log does not hold at position {position}: {}", words(fault)),
    }
}

fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::Missing => "there is no event, or another one in its place",
        Fault::Changed => "the event is not the one that was written",
        Fault::Payload => "what the event says is not what was written",
        Fault::Cut => "the end of the log is missing from here on",
        Fault::Rewritten => "its hash is not the one that was noted; the log was written anew up to here",
    }
}
