//! `tokenward log verify`.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokenward_core::checkpoint::Checkpoint;
use tokenward_server::config::Config;
use tokenward_server::service::checkpoints::{self, Forged, PublicKey};
use tokenward_store::Store;
use tokenward_store::checkpoints as kept;
use tokenward_store::log::{self, Evidence, Noted, Proof};

use super::{WhichLog, head, keys, place, print, public_key};
use crate::commands::print_answer;
use crate::note::note;

/// `tokenward log verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Which log.
    #[command(flatten)]
    pub log: WhichLog,
    /// A place that was noted earlier; can be given several times
    #[arg(long, value_name = "POSITION:HASH", value_parser = noted)]
    pub head: Vec<Noted>,
    /// The first position to look at; what is before it is believed
    #[arg(long, value_name = "POSITION", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    pub from: i64,
    /// A key that is believed, as `tokenward log key` prints it, instead of the one that lies here; can be given several times
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    pub public_key: Vec<PublicKey>,
    /// A file of checkpoints, as the setting checkpoint_file has it written; can be given several times
    #[arg(long, value_name = "FILE")]
    pub checkpoints: Vec<PathBuf>,
}

fn noted(text: &str) -> Result<Noted, String> {
    text.parse().map_err(|problem| format!("it {problem}"))
}

/// `tokenward log verify`.
pub(super) async fn run(config: &Config, store: &Store, args: &VerifyArgs, as_json: bool) -> Result<()> {
    let end = head(store).await?.position;
    if args.from > end.max(1) {
        bail!("the log ends at {end}: there is nothing from {} on", args.from);
    }
    if let Some(before) = args.head.iter().find(|noted| noted.position < args.from) {
        bail!("--head {before} is before --from {}: begin there, or earlier", args.from);
    }
    let signed = match signed(config, store, args).await? {
        Ok(signed) => signed,
        Err(failing) => return failing.report(as_json),
    };
    let evidence = Evidence {
        heads: args.head.clone(),
        checkpoints: signed.iter().map(|checkpoint| checkpoint.statement.clone()).collect(),
    };
    let length = u64::try_from(end - args.from + 1).unwrap_or(0);
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(length) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {eta}")?);
    let seen = |position: i64| bar.set_position(u64::try_from(position - args.from + 1).unwrap_or(0));
    let proof = log::prove(store.read().await?.conn(), args.from, &evidence, seen).await;
    bar.finish_and_clear();
    match proof? {
        Proof::Holds { events, erased, head } => {
            if as_json {
                return print_answer(&json!({
                    "holds": true, "events": events, "from": args.from, "erased": erased, "checkpoints": signed.len(),
                    "head": place(&head),
                }));
            }
            let erased = match erased {
                0 => String::new(),
                some => format!(", {some} of them without what they said, which was erased"),
            };
            let checked = match signed.len() {
                0 => "Nothing was signed of it yet".to_owned(),
                1 => "A signed checkpoint says the same".to_owned(),
                some => format!("{some} signed checkpoints say the same"),
            };
            note(format!(
                "The log is whole: {events} events, from {} on{erased}. {checked}. It ends here; note it elsewhere:",
                args.from
            ));
            print(&head)
        }
        Proof::Fails { position, fault } => {
            let place = format!("the log does not hold at position {position}");
            Failing { position, fault: fault.word(), place, detail: fault.to_string() }.report(as_json)
        }
    }
}

/// The first thing that does not hold, and how it is told.
struct Failing {
    position: i64,
    /// A word for programs.
    fault: &'static str,
    /// What does not hold, and why.
    place: String,
    detail: String,
}

impl Failing {
    fn report(self, as_json: bool) -> Result<()> {
        let Self { position, fault, place, detail } = self;
        if as_json {
            print_answer(&json!({ "holds": false, "position": position, "fault": fault, "detail": detail }))?;
        }
        bail!("{place}: {detail}")
    }
}

/// The checkpoints of the database and of the files, all of them signed by a key that is believed; else the first that is not.
async fn signed(
    config: &Config,
    store: &Store,
    args: &VerifyArgs,
) -> Result<std::result::Result<Vec<Checkpoint>, Failing>> {
    let mut found: Vec<(Checkpoint, String)> = Vec::new();
    for path in &args.checkpoints {
        let name = path.display().to_string();
        let (read, unread) = checkpoints::read_file(path).with_context(|| format!("cannot read {name}"))?;
        if unread > 0 {
            note(format!("{unread} lines of {name} are no checkpoints, and were passed over."));
        }
        found.extend(read.into_iter().map(|it| (it, name.clone())));
    }
    let kept = kept::all_after(store, args.from - 1).await?;
    found.extend(kept.into_iter().map(|it| (it, "the database".to_owned())));
    if found.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let believed = if args.public_key.is_empty() {
        match keys(config, store).await {
            Ok(keys) => keys,
            Err(error) if args.checkpoints.is_empty() => {
                note(format!(
                    "Signed checkpoints are not checked: there is no --public-key, and no pepper to derive one from ({error})."
                ));
                return Ok(Ok(Vec::new()));
            }
            Err(error) => return Err(error.context("no --public-key is named, and none can be derived")),
        }
    } else {
        args.public_key.clone()
    };
    for (checkpoint, place) in &found {
        if let Err(forged) = checkpoints::check(checkpoint, &believed) {
            let position = checkpoint.statement.position;
            let place = format!("the checkpoint at position {position} in {place} does not count");
            let fault = match forged {
                Forged::UnknownKey => "unknown_key",
                Forged::Signature => "forged",
            };
            return Ok(Err(Failing { position, fault, place, detail: forged.to_string() }));
        }
    }
    Ok(Ok(found.into_iter().map(|(checkpoint, _)| checkpoint).collect()))
}
