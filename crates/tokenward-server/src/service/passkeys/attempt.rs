//! What a client carries for us while somebody is at an authenticator: sealed under a key of the pepper, so that a visitor writes
//! nothing here and any node can go on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokenward_core::secret::random_text;
use tokenward_core::time::{Micros, SECOND};
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::identities::Carried;
use webauthn_rs::prelude::{DiscoverableAuthentication, PasskeyRegistration};

use super::super::links::link_digest;
use super::super::{App, seal};
use crate::limits::PASSKEY_TIME;

/// What its key is derived for.
const USE: &str = "passkey-attempt";

/// What somebody is at the authenticator for.
#[derive(Serialize, Deserialize)]
pub(super) enum Purpose {
    /// To make a passkey for the account of this session, which authenticators know by this handle.
    Add(Uuid, Uuid, PasskeyRegistration),
    /// To sign in, as whoever the passkey says.
    SignIn(DiscoverableAuthentication),
    /// To prove anew who sits at this session.
    Prove(Uuid, DiscoverableAuthentication),
}

/// A question to an authenticator that is not answered yet.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    /// By which it is known that it was answered.
    id: String,
    /// When it began.
    begun: i64,
    /// What for.
    pub purpose: Purpose,
}

/// How long it is good.
fn lifetime() -> Micros {
    PASSKEY_TIME.time().as_secs().cast_signed() * SECOND
}

/// Begins one, sealed as a cookie can hold it.
pub(super) fn begin(app: &App, purpose: Purpose) -> Result<String> {
    let id = random_text(128, app.store.random()).to_string();
    let plain = serde_json::to_vec(&Attempt { id, begun: app.now().0, purpose }).map_err(Error::internal)?;
    let sealed = seal::seal(&app.verifier.pepper().derive(USE), &plain, app.store.random())?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

/// Opens it, while it is good.
pub(super) fn open(app: &App, sealed: &str) -> Option<Attempt> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    // Begun under the pepper until now where another one came meanwhile.
    let plain = app.verifier.peppers().iter().find_map(|pepper| seal::open(&pepper.derive(USE), &sealed))?;
    let attempt: Attempt = serde_json::from_slice(&plain).ok()?;
    let (begun, now) = (Time(attempt.begun), app.now());
    (begun <= now.plus(lifetime()) && now < begun.plus(lifetime())).then_some(attempt)
}

impl Attempt {
    /// By what it is remembered that it was answered, and until when.
    pub(super) fn spent_as(&self) -> Carried {
        let begun = Time(self.begun);
        Carried { digest: link_digest(&self.id), begun, ends_at: begun.plus(lifetime()) }
    }
}
