//! The commands that need no server, only the machine: they open the database themselves. A file a command, with its
//! arguments.
//!
//! The arguments are flags and nothing else. The file, the environment and the defaults lie below them, and all mistakes
//! are told at once: that is the configuration's work, so no argument has a default or is checked here. The help names
//! the variables all the same.

pub mod backup;
pub mod bootstrap;
pub mod new_organization;
pub mod serve;
pub mod sign_in_link;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use tokenward_server::config::{Config, Flags};
use tokenward_store::address::DatabaseAddress;

/// Where the data is.
#[derive(Args, Clone, Default, Debug)]
pub struct DataArgs {
    /// The directory of the database and the pepper [env: TOKENWARD_DATA_DIR] [default: ./tokenward-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Another database: postgres://… or sqlite:… [env: TOKENWARD_DATABASE, which also keeps its password
    /// out of the process list] [default: a file in the data directory]
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// A configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The configuration of a command's arguments.
fn config(data: &DataArgs, rest: Flags) -> Result<Config> {
    let flags = rest.with("data_dir", data.data_dir.as_deref()).with("database", data.database.as_deref());
    let environment: Vec<_> = std::env::vars_os().collect();
    Ok(Config::load(data.config.as_deref(), &environment, &flags)?)
}

/// The address that a link names, when no server is asked.
fn public_url(config: &Config) -> String {
    config.public_url.clone().unwrap_or_else(|| {
        let scheme = if config.tls().is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", config.listen.port())
    })
}

/// Prints what nobody can see again. That it was not heard must be known: it was made all the same.
fn print_once(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context(
        "it was made, but could not be printed and cannot be shown again: use `tokenward sign-in-link EMAIL` to get in",
    )
}

/// An SQLite file that is not there must not be made by a command that only reads it.
fn must_exist(config: &Config) -> Result<()> {
    if let DatabaseAddress::File(path) = DatabaseAddress::parse(&config.database)?
        && !path.exists()
    {
        bail!("there is no database at {}: name the right --data-dir or --database", path.display());
    }
    Ok(())
}
