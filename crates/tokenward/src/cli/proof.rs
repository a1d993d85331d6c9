//! The password again, where a server asks for it before what outlives a session or takes much with it.

use std::io::{self, IsTerminal};

use tokenward_api::sessions::Proof;
use tokenward_core::second_factor::SecondFactor;

use super::output::{Failure, Result};
use super::prompt;
use crate::note::note;

/// Asks for the password. `refusal` is what the server said; without a terminal nobody can be asked.
pub fn ask(refusal: Failure) -> Result<Proof> {
    if !io::stdin().is_terminal() {
        return Err(refusal.hint("Run it at a terminal, or sign in anew with `tokenward login`, and try again."));
    }
    note(
        "The server wants to know that it is you: it was a while ago that you proved it. Who has no password signs in anew by `tokenward login`.",
    );
    Ok(Proof { password: Some(prompt::secret("Password: ")?.to_string()), ..Proof::default() })
}

/// Asks for a code, too, of either kind.
pub fn ask_code(proof: &mut Proof) -> Result {
    let code = prompt::secret("Code of your authenticator, or a recovery code: ")?;
    match SecondFactor::parse(&code) {
        Ok(SecondFactor::Recovery(_)) => proof.recovery_code = Some(code.to_string()),
        _ => proof.otp = Some(code.to_string()),
    }
    Ok(())
}
