//! `tokenward account password`.

use std::io::{self, IsTerminal};

use clap::Subcommand;
use serde::de::IgnoredAny;
use tokenward_api::accounts::{Account, PasswordChange};

use super::super::answer::ApiAnswer;
use super::super::output::{Failure, Result};
use super::super::{Context, prompt};
use crate::note::note;

const PATH: &str = "/account/password";

/// What can be done with your password.
#[derive(Subcommand, Debug)]
pub enum PasswordCommand {
    /// Change your password, or set one where you have none; your other sessions end
    ///
    /// The present one and the new one are asked for, or read from standard input, a line each. Where you have none, it takes a
    /// fresh proof, and a pipe brings the new one alone.
    Set,
    /// Take your password away, by a fresh proof; your other sessions end. The last way to sign in stays
    Remove {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub async fn run(command: PasswordCommand, context: &Context<'_>) -> Result {
    match command {
        PasswordCommand::Set => set(context).await,
        PasswordCommand::Remove { yes } => {
            prompt::confirm("Take your password away? Your other sessions are signed out.", yes)?;
            context.client.delete(PATH).await?;
            note("Your password is taken away. Your other sessions are signed out.");
            Ok(())
        }
    }
}

async fn set(context: &Context<'_>) -> Result {
    let account: ApiAnswer<Account> = context.client.get("/account").await?;
    let present = match account.has_password {
        true => Some(prompt::secret("Present password: ")?),
        false => None,
    };
    let password = prompt::secret("New password: ")?;
    // Typed unseen, and wrong once, nobody would ever know it.
    if io::stdin().is_terminal() && *prompt::secret("Once more: ")? != *password {
        return Err(Failure::error("The two are not the same. Nothing was changed."));
    }
    let change =
        PasswordChange { present_password: present.map(|present| present.to_string()), password: password.to_string() };
    context.client.put::<IgnoredAny>(PATH, &change, None).await?;
    note("Your password is another one from now on. Your other sessions are signed out.");
    Ok(())
}
