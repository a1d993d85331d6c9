//! Signing a command line in from the browser: on the same machine by a code that comes back to it ([`code`]), on another one by a
//! code that is typed ([`device`]).

pub mod code;
pub mod device;

use std::sync::Arc;

use tokenward_core::caller::Caller;
use tokenward_core::time::{HOUR, Micros};
use tokenward_core::{Code, Error, Result, Uuid};

use super::{App, proof};

/// For how many hours a command line can be signed in.
pub const HOURS: [i64; 3] = [1, 4, 12];

/// What a command line shall get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommandLineTerms {
    /// The one organization that it reaches; none for all of the person's.
    pub organization: Option<Uuid>,
    /// For how many hours, one of [`HOURS`].
    pub hours: i64,
}

impl CommandLineTerms {
    fn life(self) -> Micros {
        self.hours * HOUR
    }

    /// Can this person give it, who must have proved a moment ago to be at the session?
    async fn check(self, app: &Arc<App>, caller: &Caller) -> Result<()> {
        caller.require_whole()?;
        if !HOURS.contains(&self.hours) {
            return Err(Error::invalid("hours", "is none of the lives that can be chosen"));
        }
        if let Some(organization) = self.organization {
            caller.organization(&app.verifier.directory(), organization)?;
        }
        if !proof::is_fresh(app, caller).await? {
            let detail = "Prove who sits here before you sign a command line in: it was too long ago.";
            return Err(Error::new(Code::ProofRequired, detail));
        }
        Ok(())
    }
}
