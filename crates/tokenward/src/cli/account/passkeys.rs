//! `tokenward account passkeys`. One is made by a browser, on the account page of the console.

use clap::Subcommand;
use tokenward_api::passkeys::{Passkey, PasskeyEdit};

use super::super::answer::{ApiAnswer, List};
use super::super::output::{self, Result, Table, clean, moment};
use super::super::{Context, prompt};
use super::one_of;
use crate::note::note;

const PATH: &str = "/account/passkey";

/// What can be done with your passkeys.
#[derive(Subcommand, Debug)]
pub enum PasskeysCommand {
    /// List your passkeys: since when, when last used, and whether they work at this address
    #[command(visible_alias = "ls")]
    List,
    /// Call a passkey something else
    Rename {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        passkey: String,
        /// What it is to be called
        #[arg(value_name = "NEW_NAME")]
        name: String,
    },
    /// Remove a passkey, by a fresh proof; your other sessions end
    #[command(visible_alias = "rm")]
    Remove {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        passkey: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub async fn run(command: PasskeysCommand, context: &Context<'_>) -> Result {
    let all: ApiAnswer<List<Passkey>> = context.client.get(PATH).await?;
    match command {
        PasskeysCommand::List => list(&all, context),
        PasskeysCommand::Rename { passkey, name } => {
            let passkey = one_of(&all.results, &passkey, "passkey")?;
            let (path, edit) = (format!("{PATH}/{}", passkey.id), PasskeyEdit { name });
            let renamed: ApiAnswer<Passkey> = context.client.put(&path, &edit, None).await?;
            note(clean(&format!("The passkey `{}` is called `{}` from now on.", passkey.name, renamed.name)));
            if context.global.json { output::json(&renamed.raw) } else { Ok(()) }
        }
        PasskeysCommand::Remove { passkey, yes } => {
            let passkey = one_of(&all.results, &passkey, "passkey")?;
            let question = format!("Remove the passkey `{}`? Your other sessions are signed out.", passkey.name);
            prompt::confirm(&question, yes)?;
            context.client.delete(&format!("{PATH}/{}", passkey.id)).await?;
            note(clean(&format!("Removed the passkey `{}`. Your other sessions are signed out.", passkey.name)));
            if context.global.json { output::json(&passkey.raw) } else { Ok(()) }
        }
    }
}

fn list(all: &ApiAnswer<List<Passkey>>, context: &Context<'_>) -> Result {
    if context.global.json {
        return output::json(&all.raw);
    }
    let mut table = Table::new(&["NAME", "STATE", "MADE FOR", "ADDED", "LAST USED", "ID"]);
    for passkey in &all.results {
        table.row([
            passkey.name.clone(),
            if passkey.works { "works" } else { "works no more" }.to_owned(),
            passkey.rp_id.clone(),
            moment(passkey.created_at),
            moment(passkey.last_used_at),
            passkey.id.to_string(),
        ]);
    }
    let base = context.client.base();
    table.print(&format!("You have no passkey. A browser makes one: {base}/console/account/passkeys/new"))
}
