//! `tokenward identity`: which identities of providers open which accounts, seen and changed by whoever runs the server.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use tokenward_core::Uuid;
use tokenward_core::right::Operator;
use tokenward_server::service::set_up;

use super::identity_tables::{self, ExportArgs, ImportArgs, MoveArgs};
use super::{DataArgs, offline_store as store, print_answer};
use crate::note::note;

/// What can be done with identities.
#[derive(Subcommand, Clone, Debug)]
pub enum IdentityCommand {
    /// List the identities of all accounts, or of one
    List(ListArgs),
    /// Let an identity open an account
    Link(LinkArgs),
    /// Take an identity from its account, and end the account's sessions
    Remove(RemoveArgs),
    /// Move all identities of an issuer to another one: a provider has another address
    Move(MoveArgs),
    /// Print all of them as a table (CSV)
    Export(ExportArgs),
    /// Link those of a table, all or none
    Import(ImportArgs),
}

/// `tokenward identity list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Only those of the account with this e-mail address
    #[arg(value_name = "EMAIL")]
    pub email: Option<String>,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward identity link`.
#[derive(Args, Clone, Debug)]
pub struct LinkArgs {
    /// The e-mail address of the account
    #[arg(value_name = "EMAIL")]
    pub email: String,
    /// The issuer, byte for byte as in the settings
    #[arg(long, value_name = "URL")]
    pub issuer: String,
    /// Who it is there: `sub`, of Entra `oid`
    #[arg(long, value_name = "TEXT")]
    pub subject: String,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward identity remove`.
#[derive(Args, Clone, Debug)]
pub struct RemoveArgs {
    /// The id, as `list` shows it
    #[arg(value_name = "ID")]
    pub id: Uuid,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward identity`.
pub async fn run(command: IdentityCommand, as_json: bool) -> Result<()> {
    match command {
        IdentityCommand::List(args) => list(args, as_json).await,
        IdentityCommand::Move(args) => identity_tables::move_issuer(args).await,
        IdentityCommand::Export(args) => identity_tables::export(args).await,
        IdentityCommand::Import(args) => identity_tables::import(args).await,
        IdentityCommand::Link(args) => {
            let store = store(&args.data).await?;
            let operator = Operator::at_this_machine();
            let linked = set_up::link_identity(&store, &operator, &args.email, &args.issuer, &args.subject).await;
            store.close().await;
            if !linked? {
                bail!("nobody has the address {}", args.email);
            }
            note(format!("Linked. Whoever signs in there as {} opens the account of {}.", args.subject, args.email));
            Ok(())
        }
        IdentityCommand::Remove(args) => {
            let store = store(&args.data).await?;
            let removed = set_up::remove_identity(&store, &Operator::at_this_machine(), args.id).await;
            store.close().await;
            if !removed? {
                bail!("there is no identity {}: `tokenward identity list` shows all of them", args.id);
            }
            note("Removed. It opens the account no more, and the sessions of the account have ended.");
            Ok(())
        }
    }
}

async fn list(args: ListArgs, as_json: bool) -> Result<()> {
    let store = store(&args.data).await?;
    let all = set_up::all_identities(&store, args.email.as_deref()).await;
    store.close().await;
    let all = all?;
    if as_json {
        let shown = all.iter().map(|(it, account)| {
            json!({
                "id": it.id, "account": account, "issuer": it.issuer, "subject": it.subject, "email": it.email,
                "created_at": it.created_at, "last_used_at": it.last_used_at,
            })
        });
        return print_answer(&json!({ "results": shown.collect::<Vec<_>>() }));
    }
    if all.is_empty() {
        note("There is no identity.");
    }
    for (it, account) in all {
        println!("{}  {account}  {}  {}", it.id, it.issuer, it.subject.escape_debug());
    }
    Ok(())
}
