//! `tokenward pepper`: another pepper in the place of one that may have been seen. Needs no server, and works beside one.

use std::io::Write;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_server::config::Flags;
use tokenward_server::serve::{open_store, open_to_read};
use tokenward_server::service::pepper_rotation::{self, PepperStatus};
use tokenward_store::Store;
use tokenward_verify::server::pepper;

use super::{DataArgs, config, must_exist, print_indented_answer};
use crate::note::{clean, note};

/// What can be done with peppers.
#[derive(Subcommand, Clone, Debug)]
pub enum PepperCommand {
    /// Make a further pepper, with which servers digest from their next start on
    ///
    /// What was digested with the older one is accepted as before, and comes under the newest when it is presented. With several
    /// nodes nothing is digested with it before all of them hold it: give it to each, and start one after the other.
    Add(PepperArgs),
    /// Say which peppers there are, how many tokens each is needed for, and which: the longest unused first
    Status(PepperArgs),
    /// End an older pepper that nothing needs any more
    Retire(RetireArgs),
}

/// Where the data is.
#[derive(Args, Clone, Debug)]
pub struct PepperArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward pepper retire`.
#[derive(Args, Clone, Debug)]
pub struct RetireArgs {
    /// The version that ends
    #[arg(value_name = "VERSION", value_parser = clap::value_parser!(i32).range(1..))]
    version: i32,
    /// Take back the tokens that were not presented since the newest came
    #[arg(long)]
    revoke_remaining: bool,
    /// Where the data is.
    #[command(flatten)]
    data: DataArgs,
}

/// `tokenward pepper`.
pub async fn run(command: PepperCommand, as_json: bool) -> Result<()> {
    let data = match &command {
        PepperCommand::Add(args) | PepperCommand::Status(args) => &args.data,
        PepperCommand::Retire(args) => &args.data,
    };
    let config = config(data, Flags::default())?;
    must_exist(&config)?;
    // Who only looks needs no right to write, and leaves an older schema as it is.
    let store = match &command {
        PepperCommand::Status(_) => open_to_read(&config).await?,
        PepperCommand::Add(_) | PepperCommand::Retire(_) => open_store(&config).await?,
    };
    let configured = config.pepper.as_deref();
    let done = match &command {
        PepperCommand::Add(_) => match pepper::add(&store, &config.data_dir, configured).await {
            Ok((added, true)) => {
                let file = config.data_dir.join("pepper");
                note(format!(
                    "Pepper {} stands in {}: keep a copy of that apart from the backups. Servers use it from their next start on; \
                     with several nodes, give it to each first.",
                    added.version,
                    file.display()
                ));
                Ok(())
            }
            Ok((added, false)) => {
                note(
                    "Put this line into TOKENWARD_PEPPER of every node, behind the present one with a comma between, and start one \
                     after the other anew. It is not shown again:",
                );
                writeln!(std::io::stdout(), "{}", *pepper::line(&added)).context("cannot write to standard output")
            }
            Err(error) => Err(error.into()),
        },
        PepperCommand::Status(_) => status(&store, as_json).await,
        PepperCommand::Retire(args) => async {
            let held = pepper::find(&store, &config.data_dir, configured).await?;
            let operator = Operator::at_this_machine();
            let retired =
                pepper_rotation::retire(&store, &operator, &held, args.version, args.revoke_remaining).await?;
            let in_file = pepper::remove(&config.data_dir, configured, args.version)?;
            note(format!(
                "Pepper {} has retired: {} tokens were taken back, {} values sealed anew, and {} sessions end with the next start of \
                 the servers.",
                args.version, retired.revoked, retired.sealed, retired.sessions
            ));
            if !in_file {
                note("Take it out of TOKENWARD_PEPPER of every node.");
            }
            Ok(())
        }
        .await,
    };
    store.close().await;
    done
}

async fn status(store: &Store, as_json: bool) -> Result<()> {
    let all = pepper_rotation::status(store).await?;
    let newest = all.iter().find(|it| it.retired_at.is_none()).map(|it| it.version);
    let word = |it: &PepperStatus| match it.retired_at {
        Some(_) => "retired",
        None if Some(it.version) == newest => "newest",
        None => "older",
    };
    let mut left = Vec::new();
    for older in all.iter().filter(|it| word(it) == "older") {
        let tokens = pepper_rotation::left(store, older.version).await?;
        left.extend(tokens.into_iter().map(|token| (older.version, token)));
    }
    if as_json {
        let peppers: Vec<_> = all
            .iter()
            .map(|it| {
                json!({
                    "version": it.version, "state": word(it), "since": it.since, "retired_at": it.retired_at,
                    "tokens": it.tokens, "sessions": it.sessions, "second_factors": it.second_factors,
                })
            })
            .collect();
        let left: Vec<_> = left
            .iter()
            .map(|(version, it)| {
                json!({
                    "pepper": version, "id": it.id, "name": it.name, "organization": it.organization,
                    "created_at": it.created_at, "last_used_at": it.last_used_at,
                })
            })
            .collect();
        let all = json!({ "peppers": peppers, "left": left });
        return print_indented_answer(&all);
    }
    for it in &all {
        let (version, tokens, sessions) = (it.version, it.tokens, it.sessions);
        let second = it.second_factors;
        print(&match it.retired_at {
            Some(at) => format!("pepper {version}: retired at {at}"),
            None => format!(
                "pepper {version}: {}, since {}, {tokens} tokens, {sessions} sessions, {second} seeds and recovery codes",
                word(it),
                it.since
            ),
        })?;
    }
    for (version, it) in &left {
        let used = it.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
        print(&format!("  left under pepper {version}: {} of {} ({}), {used}", it.name, it.organization, it.id))?;
    }
    for older in all.iter().filter(|it| word(it) == "older") {
        let listed = left.iter().filter(|(version, _)| *version == older.version).count();
        if let Some(more) = unlisted(older, listed) {
            print(&more)?;
        }
    }
    if all.is_empty() {
        bail!("no server has been started on this database: there is no pepper yet");
    }
    Ok(())
}

/// What is said where there are more than were listed.
fn unlisted(older: &PepperStatus, listed: usize) -> Option<String> {
    let more = older.tokens.saturating_sub(listed as u64);
    let version = older.version;
    (more > 0).then(|| format!("  left under pepper {version}: {more} more, which are not listed"))
}

fn print(line: &str) -> Result<()> {
    // Names are those that somebody chose.
    writeln!(std::io::stdout(), "{}", clean(line)).context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use tokenward_core::Time;

    use super::*;

    #[test]
    fn tokens_that_are_not_listed_are_told_of() {
        let of = |tokens| PepperStatus {
            version: 1,
            since: Time(0),
            retired_at: None,
            tokens,
            sessions: 0,
            second_factors: 0,
        };
        assert_eq!(unlisted(&of(1_000), 1_000), None);
        // One that was presented meanwhile.
        assert_eq!(unlisted(&of(3), 4), None);
        let told = unlisted(&of(1_250), 1_000).unwrap();
        assert!(told.contains("pepper 1: 250 more"), "{told}");
    }
}
