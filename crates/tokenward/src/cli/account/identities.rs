//! `tokenward account identities`. One is linked in a browser, on the account page of the console.

use clap::Subcommand;
use tokenward_api::identities::Identity;

use super::super::answer::{ApiAnswer, List};
use super::super::find::Named as _;
use super::super::output::{self, Result, Table, clean, moment};
use super::super::{Context, prompt};
use super::one_of;
use crate::note::note;

const PATH: &str = "/account/identity";

/// What can be done with the identities that open your account.
#[derive(Subcommand, Debug)]
pub enum IdentitiesCommand {
    /// List the identities of providers that open your account
    #[command(visible_alias = "ls")]
    List,
    /// Unlink an identity, by a fresh proof; your other sessions that it proved end
    Unlink {
        /// The address that it gave, or who it is there where it gave none; or its id
        #[arg(value_name = "EMAIL|ID")]
        identity: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub async fn run(command: IdentitiesCommand, context: &Context<'_>) -> Result {
    let all: ApiAnswer<List<Identity>> = context.client.get(PATH).await?;
    match command {
        IdentitiesCommand::List => list(&all, context),
        IdentitiesCommand::Unlink { identity, yes } => {
            let identity = one_of(&all.results, &identity, "identity")?;
            let (name, issuer) = (identity.label(), &identity.issuer);
            prompt::confirm(&format!("Unlink {name} of {issuer}? It opens your account no more."), yes)?;
            context.client.delete(&format!("{PATH}/{}", identity.id)).await?;
            note(clean(&format!("Unlinked {name} of {issuer}. It opens your account no more.")));
            if context.global.json { output::json(&identity.raw) } else { Ok(()) }
        }
    }
}

fn list(all: &ApiAnswer<List<Identity>>, context: &Context<'_>) -> Result {
    if context.global.json {
        return output::json(&all.raw);
    }
    let mut table = Table::new(&["IDENTITY", "PROVIDER", "LINKED", "LAST USED", "ID"]);
    for identity in &all.results {
        table.row([
            identity.label().to_owned(),
            identity.issuer.clone(),
            moment(identity.created_at),
            moment(identity.last_used_at),
            identity.id.to_string(),
        ]);
    }
    let base = context.client.base();
    table.print(&format!(
        "No identity of a provider opens your account. One is linked in a browser: {base}/console/account"
    ))
}
