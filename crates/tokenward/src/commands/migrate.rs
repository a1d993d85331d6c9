//! `tokenward migrate`: brings the schema up to date, by a user who may change it. Servers then need no such right.

use anyhow::Result;
use clap::Args;
use tokenward_server::config::Flags;
use tokenward_server::serve::open_store;

use super::{DataArgs, config};
use crate::note::note;

/// `tokenward migrate`.
#[derive(Args, Clone, Debug)]
pub struct MigrateArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward migrate`.
pub async fn run(args: MigrateArgs) -> Result<()> {
    let config = config(&args.data, Flags::default())?;
    let store = open_store(&config).await?;
    store.close().await;
    note(format!("The schema of {} is that of this version.", config.shown_database()));
    Ok(())
}
