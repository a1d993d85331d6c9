//! The code that a browser brings back to the command line on the same machine (RFC 8252), tied to it by PKCE (RFC 7636). All of it
//! is sealed in the code, so that nothing is written until it is used; then its digest is kept until it would have ended.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokenward_core::caller::Caller;
use tokenward_core::secret::random_text;
use tokenward_core::time::Micros;
use tokenward_core::{Result, Time, Uuid};
use tokenward_store::accounts;
use tokenward_store::identities::Carried;
use tokenward_verify::server::Client;

use super::super::handed::{Handed, unknown_code};
use super::super::links::link_digest;
use super::super::sessions::{self, Begun, Proof};
use super::super::{App, Written, seal};
use super::CommandLineTerms;
use crate::limits::COMMAND_LINE_CODE_TIME;

/// What its key is derived for.
const USE: &str = "command-line-code";
/// Characters of the challenge: SHA-256 in base64.
const CHALLENGE: usize = 43;

#[derive(Serialize, Deserialize)]
struct Sealed {
    account: Uuid,
    session: Uuid,
    organization: Option<Uuid>,
    life: Micros,
    challenge: String,
    begun: i64,
    /// Two are never the same.
    id: String,
}

/// Can this be the challenge of a verifier?
#[must_use]
pub fn is_challenge(text: &str) -> bool {
    text.len() == CHALLENGE && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn lifetime() -> Micros {
    COMMAND_LINE_CODE_TIME.time().as_secs().cast_signed() * tokenward_core::time::SECOND
}

/// A code for whoever holds the verifier of this challenge.
pub async fn give(app: &Arc<App>, caller: &Caller, challenge: &str, terms: CommandLineTerms) -> Result<String> {
    terms.check(app, caller).await?;
    let sealed = Sealed {
        account: caller.require_user()?,
        session: caller.credential_id(),
        organization: terms.organization,
        life: terms.life(),
        challenge: challenge.to_owned(),
        begun: app.now().0,
        id: random_text(128, app.store.random()).to_string(),
    };
    let plain = serde_json::to_vec(&sealed).map_err(tokenward_core::Error::internal)?;
    let key = app.verifier.pepper().derive(USE);
    Ok(URL_SAFE_NO_PAD.encode(seal::seal(&key, &plain, app.store.random())?))
}

fn open(app: &App, code: &str, verifier: &str) -> Option<Sealed> {
    let sealed = URL_SAFE_NO_PAD.decode(code).ok()?;
    // Begun under the pepper until now where another one came meanwhile.
    let plain = app.verifier.peppers().iter().find_map(|pepper| seal::open(&pepper.derive(USE), &sealed))?;
    let sealed: Sealed = serde_json::from_slice(&plain).ok()?;
    let (begun, now) = (Time(sealed.begun), app.now());
    let in_time = begun <= now.plus(lifetime()) && now < begun.plus(lifetime());
    let its_own = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == sealed.challenge;
    (in_time && its_own).then_some(sealed)
}

/// The session that a code makes, of whoever shows the verifier too. It works once.
pub async fn redeem(app: &Arc<App>, code: &str, verifier: &str, client: Client) -> Result<Written<Begun>> {
    let address = client.address;
    let dead = || app.dead_link(address, unknown_code());
    let sealed = open(app, code, verifier).ok_or_else(dead)?;
    let mut reader = app.store.read().await?;
    let account = accounts::get(reader.conn(), sealed.account).await?.ok_or_else(unknown_code)?;
    drop(reader);
    let Sealed { session, organization, life, begun, .. } = sealed;
    let begun = Time(begun);
    let carried = Carried { digest: link_digest(code), begun, ends_at: begun.plus(lifetime()) };
    let handed = Handed::Code { carried, session, organization, life };
    sessions::begin(app, account, Proof::handed(handed), client, false).await
}
