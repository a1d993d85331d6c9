//! Secrets on their way to whoever asked for them: made here, where the server is told the digest alone, or made by the server.

use tokenward_core::secret::{Kind, PlainText, Prefixes};
use tokenward_verify::server::random::OsRandom;

use super::Context;
use super::answer::ApiAnswer;
use super::output::{self, Exit, Failure, Result};

/// A secret that is made here. The server is told what it cannot be computed from.
pub struct OwnSecret(PlainText);

impl OwnSecret {
    pub fn new(kind: Kind, prefixes: &Prefixes) -> Self {
        Self(PlainText::generate(kind, prefixes, &OsRandom))
    }

    pub fn sha256(&self) -> String {
        hex::encode(self.0.inner_digest().to_bytes())
    }

    pub fn last_four(&self) -> String {
        self.0.last_four().to_owned()
    }
}

/// Prints a new secret alone, or all of the answer as JSON: `own` where it was made here, and otherwise `minted`; `lost` is what to
/// do when that fails.
pub fn print_secret<T>(
    created: &ApiAnswer<T>,
    minted: Option<&str>,
    own: Option<&OwnSecret>,
    lost: &str,
    context: &Context<'_>,
) -> Result {
    let text = own.map(|own| own.0.expose()).or(minted);
    let Some(text) = text else {
        return Err(Failure::new(Exit::Error, "The server answered without a secret.").hint(lost.to_owned()));
    };
    let mut raw = created.raw.clone();
    raw["token"] = text.into();
    output::once(text, &raw, context.global.json, lost)
}
