//! `tokenward account second-factor`.

use std::io::{self, IsTerminal};

use clap::Subcommand;
use tokenward_api::second_factor::{
    AuthenticatorConfirmation, AuthenticatorOn, AuthenticatorSetUp, RecoveryCodes, SecondFactor,
};

use super::super::answer::ApiAnswer;
use super::super::output::{self, Failure, Result, clean, fields, moment};
use super::super::{Context, prompt};
use super::qr;
use crate::note::{note, say};

const PATH: &str = "/account/secondFactor";
const AUTHENTICATOR: &str = "/account/secondFactor/authenticator";
const RECOVERY_CODES: &str = "/account/secondFactor/recoveryCodes";
/// How often a first code may be typed wrongly before all of it is begun again.
const TRIES: usize = 3;

/// What can be done with your second factor.
#[derive(Subcommand, Debug)]
pub enum SecondFactorCommand {
    /// Show your authenticator, and how many recovery codes are left
    Show,
    /// Set an authenticator up: its seed is shown, and it is on once a code of it was right
    ///
    /// At a terminal its picture is shown, too. A pipe brings the first code in a line. The ten recovery codes are printed, once.
    Add,
    /// Remove the authenticator and the recovery codes, by a fresh proof, which takes a code; your other sessions end
    #[command(visible_alias = "rm")]
    Remove {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Print ten other recovery codes, by a fresh proof; those until now are none any more
    RecoveryCodes,
}

pub async fn run(command: SecondFactorCommand, context: &Context<'_>) -> Result {
    match command {
        SecondFactorCommand::Show => show(context).await,
        SecondFactorCommand::Add => add(context).await,
        SecondFactorCommand::Remove { yes } => {
            let question = "Remove the authenticator and its recovery codes? Your other sessions are signed out.";
            prompt::confirm(question, yes)?;
            context.client.delete(AUTHENTICATOR).await?;
            note("Your authenticator and its recovery codes are removed. Your other sessions are signed out.");
            Ok(())
        }
        SecondFactorCommand::RecoveryCodes => {
            let made: ApiAnswer<RecoveryCodes> = context.client.post_nothing(RECOVERY_CODES).await?;
            print_codes(&made.recovery_codes, &made.raw, context)
        }
    }
}

/// Since when there is an authenticator, and when one of its codes was last taken.
pub fn authenticator(state: &SecondFactor) -> String {
    match &state.authenticator {
        None => "none".to_owned(),
        Some(it) => match it.last_used_at {
            Some(used) => format!("since {}, last used {}", moment(it.created_at), moment(used)),
            None => format!("since {}, never used", moment(it.created_at)),
        },
    }
}

/// How many recovery codes there are; nothing where there is no authenticator in whose place they could stand.
pub fn codes_left(state: &SecondFactor) -> String {
    match state.authenticator {
        Some(_) => format!("{} left", state.recovery_codes_left),
        None => String::new(),
    }
}

async fn show(context: &Context<'_>) -> Result {
    let state: ApiAnswer<SecondFactor> = context.client.get(PATH).await?;
    if context.global.json {
        return output::json(&state.raw);
    }
    fields(&[("Authenticator", authenticator(&state)), ("Recovery codes", codes_left(&state))])
}

async fn add(context: &Context<'_>) -> Result {
    let state: ApiAnswer<SecondFactor> = context.client.get(PATH).await?;
    if state.authenticator.is_some() {
        return Err(Failure::error("Your account has an authenticator already.")
            .hint("Remove it first, with `tokenward account second-factor remove`."));
    }
    let begun: ApiAnswer<AuthenticatorSetUp> = context.client.post_nothing(AUTHENTICATOR).await?;
    // Also where nothing is to be said: without it nobody has the code that is asked for.
    let picture = qr::for_terminal(&begun.otpauth);
    say(match picture {
        Some(_) => "Read this picture with an authenticator, or type the seed into it:\n",
        None => "Type this seed into an authenticator:\n",
    });
    if let Some(picture) = picture {
        say(picture);
    }
    say(format!("  Seed     {}", clean(&in_groups(&begun.seed))));
    say(format!("  Address  {}\n", clean(&begun.otpauth)));
    let on = turn_on(&begun.set_up, context).await?;
    let mut shown = on.raw.clone();
    if let (true, Some(answer)) = (context.client.is_signed_in(), shown.as_object_mut()) {
        // It is kept where that of `login` is, and is for nobody else.
        answer.remove("token");
    }
    // Each of the two is done also where the other one fails: neither is ever told again.
    let kept = context.client.renew(&on.token);
    note("The authenticator is on.");
    let printed = print_codes(&on.recovery_codes, &shown, context);
    kept.and(printed)
}

/// Asks for the first code, and for another one where somebody has mistyped it: the seed stays the same.
async fn turn_on(set_up: &str, context: &Context<'_>) -> Result<ApiAnswer<AuthenticatorOn>> {
    let mut tries = 1;
    loop {
        let code = prompt::secret("Code that it shows now: ")?;
        let first = AuthenticatorConfirmation { set_up: set_up.to_owned(), otp: code.to_string() };
        match context.client.put(AUTHENTICATOR, &first, None).await {
            Err(Failure { wrong_fields, lines, .. })
                if wrong_fields == ["otp"] && tries < TRIES && io::stdin().is_terminal() =>
            {
                lines.iter().for_each(|line| say(clean(line)));
                tries += 1;
            }
            answered => return answered,
        }
    }
}

/// Prints recovery codes, a line each.
fn print_codes(codes: &[String], answer: &serde_json::Value, context: &Context<'_>) -> Result {
    let lost = "The recovery codes are lost: make others with `tokenward account second-factor recovery-codes`.";
    note("Keep these recovery codes. Each stands for a code once, and they are shown only now:");
    output::once(&codes.join("\n"), answer, context.global.json, lost)
}

/// A seed as people read it over: with a blank after each fourth letter.
fn in_groups(seed: &str) -> String {
    let letters: Vec<char> = seed.chars().collect();
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_in_groups() {
        assert_eq!(in_groups("GEZDGNBVGY"), "GEZD GNBV GY");
        assert_eq!(in_groups(""), "");
    }
}
