//! The commands that need no server, only the machine: they open the database themselves. A file a command, with its
//! arguments.
//!
//! The arguments are flags and nothing else. The file, the environment and the defaults lie below them, and all mistakes
//! are told at once: that is the configuration's work, so no argument has a default or is checked here. The help names
//! the variables all the same.

pub mod backup;
pub mod bootstrap;
pub mod identity;
mod identity_tables;
pub mod log;
pub mod migrate;
pub mod new_organization;
pub mod oidc;
pub mod pepper;
pub mod policy;
pub mod restore;
pub mod serve;
pub mod sign_in_link;
pub mod size;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use tokenward_server::config::{Config, ConfigError, Flags};
use tokenward_server::service::set_up::FirstOrganization;
use tokenward_store::Store;
use tokenward_store::address::DatabaseAddress;

use crate::pick::{Unshown, shown, shown_in_a_line};

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

impl DataArgs {
    /// Was any of them said?
    pub fn is_given(&self) -> bool {
        self.data_dir.is_some() || self.database.is_some() || self.config.is_some()
    }
}

/// An organization that is to be made, and where its data is.
#[derive(Args, Clone, Debug)]
pub struct OrganizationArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// The name of the organization to create
    // Named like the option that chooses an organization on a server, and therefore instead of it.
    #[arg(long, value_name = "NAME")]
    pub organization: String,
    /// The e-mail address of its owner
    #[arg(long, value_name = "EMAIL")]
    pub owner_email: String,
    /// How browsers reach the service; the sign-in link is made from it [env: TOKENWARD_PUBLIC_URL]
    /// [default: where the server is that was started last, else http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
}

impl OrganizationArgs {
    /// The configuration, and what is to be made.
    fn read(self) -> Result<(Config, FirstOrganization)> {
        let config = config(&self.data, Flags::default().with("public_url", self.public_url))?;
        let Self { organization, owner_email, .. } = self;
        Ok((config, FirstOrganization { organization, owner_email, owner_name: String::new() }))
    }
}

/// The configuration of a command's arguments.
fn config(data: &DataArgs, rest: Flags) -> Result<Config> {
    Ok(load(data, rest)?)
}

fn load(data: &DataArgs, rest: Flags) -> Result<Config, ConfigError> {
    let flags = rest.with("data_dir", data.data_dir.as_deref()).with("database", data.database.as_deref());
    let environment: Vec<_> = std::env::vars_os().collect();
    Config::load(data.config.as_deref(), &environment, &flags)
}

/// The address that a link names: as configured, else that of the server that was started last, else the one that a
/// server will have.
async fn public_url(config: &Config, store: &Store) -> Result<String> {
    if let Some(configured) = &config.public_url {
        return Ok(configured.clone());
    }
    let kept = tokenward_store::public_url::find(store.read().await?.conn()).await?;
    Ok(kept.unwrap_or_else(|| {
        let scheme = if config.tls().is_some() { "https" } else { "http" };
        let port = config.listen.iter().find_map(|place| place.address()).map_or(8080, |address| address.port());
        format!("{scheme}://127.0.0.1:{port}")
    }))
}

/// Prints an answer for programs, in a line; or what of it was asked for.
fn print_answer(answer: &Value) -> Result<()> {
    print_chosen(shown_in_a_line(answer))
}

/// The same with a line for each of its values.
fn print_indented_answer(answer: &Value) -> Result<()> {
    print_chosen(shown(answer))
}

fn print_chosen(chosen: std::result::Result<Option<String>, Unshown>) -> Result<()> {
    match chosen {
        Ok(Some(text)) => writeln!(std::io::stdout(), "{text}").context("cannot write to standard output"),
        Ok(None) => Ok(()),
        Err(failure) => bail!("{}", failure.lines.join(" ")),
    }
}

/// The same with what nobody can see again: all of it, where it cannot be shown as somebody wants it.
fn print_answer_once(answer: &Value) -> Result<()> {
    match shown_in_a_line(answer) {
        Ok(Some(text)) => print_once(&text),
        Ok(None) => Ok(()),
        Err(failure) => {
            print_once(&answer.to_string())?;
            bail!("{}", failure.lines.join(" "))
        }
    }
}

/// Prints what nobody can see again. That it was not heard must be known: it was made all the same.
fn print_once(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context(
        "it was made, but could not be printed and cannot be shown again: use `tokenward sign-in-link EMAIL` to get in",
    )
}

/// The database of a command that changes or reads it without a server.
async fn offline_store(data: &DataArgs) -> Result<Store> {
    let config = config(data, Flags::default())?;
    must_exist(&config)?;
    tokenward_server::serve::open_store(&config).await
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
