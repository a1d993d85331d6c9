//! What a browser carries for us while somebody is at a provider: sealed under a key of the pepper, so that a visitor writes
//! nothing here and any node can go on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokenward_core::method::{Method, Methods};
use tokenward_core::time::Micros;
use tokenward_core::{Error, Result, Time, Uuid};

use super::super::sessions::ProviderSignIn;
use super::super::{App, seal};
use crate::limits::SIGN_IN_ATTEMPT_TIME;

/// How many characters of a state name its cookie.
const NAME: usize = 12;

/// What somebody wants who goes to a provider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Purpose {
    /// To sign in, and go on to this path of ours.
    SignIn(String),
    /// The same, where the provider is to ask who somebody is, though it knows.
    SignInAnew(String),
    /// To accept an invitation whose link is open.
    Invitation(Uuid, String),
    /// To link the identity to the account that is signed in.
    Link,
    /// To see what it says and what the rules of this organization would give, in this session; it begins nothing.
    Try(Uuid, Uuid),
    /// To prove anew who sits at this session, and go on to this path of ours.
    Prove(Uuid, String),
}

/// A sign-in that is under way.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    /// At which provider.
    pub key: String,
    /// Ties the answer to the browser.
    pub state: String,
    /// Ties the token to the question.
    pub nonce: String,
    /// Ties the code to us.
    pub verifier: String,
    /// What for.
    pub purpose: Purpose,
    /// When it began.
    pub begun: i64,
}

/// Somebody whom a provider knows, and whose account here is not known yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// Which provider, by its key.
    pub key: String,
    /// Its issuer.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// The address that it gives.
    pub email: Option<String>,
    /// Is that proven?
    pub email_proven: bool,
    /// What the person is called.
    pub name: Option<String>,
    /// What the provider calls its session.
    pub session: Option<String>,
    /// When it asked the person, in seconds, where it says so.
    #[serde(default)]
    pub auth_time: Option<i64>,
    /// Did it ask two factors?
    #[serde(default)]
    pub two_factors: bool,
    /// When it was proven here.
    pub begun: i64,
}

impl Pending {
    /// By what that proves who somebody is.
    pub(super) fn methods(&self) -> Methods {
        let by = Method::Oidc(self.key.as_str().into());
        Methods::of([by].into_iter().chain(self.two_factors.then_some(Method::Mfa)))
    }

    /// What the provider says of the sign-in, which proves who somebody is by these.
    pub(super) fn said<'a>(&'a self, methods: &'a Methods) -> ProviderSignIn<'a> {
        let Self { key, session, auth_time, begun, .. } = self;
        ProviderSignIn { key, session: session.as_deref(), auth_time: *auth_time, came_at: Time(*begun), methods }
    }
}

/// What both have: a time from which on they are good, for as long.
pub(super) trait Expiring: Serialize + DeserializeOwned {
    /// What its key is derived for.
    const USE: &'static str;
    fn begun(&self) -> Time;
}

impl Expiring for Attempt {
    const USE: &'static str = "oidc-attempt";
    fn begun(&self) -> Time {
        Time(self.begun)
    }
}

impl Expiring for Pending {
    const USE: &'static str = "oidc-identity";
    fn begun(&self) -> Time {
        Time(self.begun)
    }
}

/// How long both are good.
pub(super) fn lifetime() -> Micros {
    SIGN_IN_ATTEMPT_TIME.time().as_secs().cast_signed() * tokenward_core::time::SECOND
}

/// Seals it, as a cookie can hold it.
pub(super) fn close(app: &App, what: &impl Expiring) -> Result<String> {
    let plain = serde_json::to_vec(what).map_err(Error::internal)?;
    let sealed = seal::seal(&key_of(app, what), &plain, app.store.random())?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

fn key_of<T: Expiring>(app: &App, _: &T) -> [u8; 32] {
    app.verifier.pepper().derive(T::USE)
}

/// Opens it, while it is good.
pub(super) fn open<T: Expiring>(app: &App, cookie: &str) -> Option<T> {
    let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
    // Begun under the pepper until now where another one came meanwhile.
    let plain = app.verifier.peppers().iter().find_map(|pepper| seal::open(&pepper.derive(T::USE), &sealed))?;
    let what: T = serde_json::from_slice(&plain).ok()?;
    let now = app.now();
    (what.begun() <= now.plus(lifetime()) && now < what.begun().plus(lifetime())).then_some(what)
}

/// The part of a state by which its cookie is called.
#[must_use]
pub fn short(state: &str) -> Option<&str> {
    let plain = state.bytes().all(|byte| byte.is_ascii_alphanumeric());
    state.get(..NAME).filter(|_| plain)
}
