//! The password again, or a code, where a server asks who sits there before what outlives a session or takes much with it.

use std::io::{self, IsTerminal};

use tokenward_api::sessions::Proof;
use tokenward_core::second_factor::SecondFactor;

use super::output::{Failure, Result, Typed};
use super::prompt;
use crate::note::note;

/// Asks for what can be typed. `refusal` is what the server said; without a terminal nobody can be asked.
pub fn ask(refusal: Failure) -> Result<Proof> {
    if !io::stdin().is_terminal() {
        return Err(refusal.hint("Run it at a terminal, or sign in anew with `tokenward login`, and try again."));
    }
    note("The server wants to know that it is you: it was a while ago that you proved it.");
    let mut proof = Proof::default();
    if refusal.asks_for_proof == Some(Typed::Code) {
        ask_code(&mut proof)?;
    } else {
        proof.password = Some(prompt::secret("Password: ")?.to_string());
    }
    Ok(proof)
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
