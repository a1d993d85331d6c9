//! Between the first factor and the second: what was proved is carried by the browser, sealed, for five minutes. There is no
//! session yet, and what is carried begins one once.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokenward_core::second_factor::SecondFactor;
use tokenward_core::secret::random_text;
use tokenward_core::time::{Micros, SECOND};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::accounts::{self, Account};
use tokenward_store::identities::Carried;
use tokenward_verify::server::Client;

use super::links::link_digest;
use super::sessions::{self, Begun, Proof};
use super::{App, Written, seal};
use crate::limits::CODE_TIME;

/// What its key is derived for.
const USE: &str = "half-way";

/// What became of somebody who has proved the first factor.
pub enum Entered {
    /// A session began.
    In(Written<Begun>),
    /// The second factor is missing: what the browser carries meanwhile.
    HalfWay(String),
}

#[derive(Serialize, Deserialize)]
struct HalfWay {
    /// Two are never the same.
    id: String,
    account: Uuid,
    proof: Proof,
    /// Where to go on to afterwards: a path of ours.
    next: String,
    begun: i64,
}

fn lifetime() -> Micros {
    CODE_TIME.time().as_secs().cast_signed() * SECOND
}

/// Begins a session of the console, or carries what was proved where that is not all; `next` is where to go on to then.
pub async fn begin(app: &Arc<App>, account: Account, proof: Proof, next: &str, client: Client) -> Result<Entered> {
    let account_id = account.id;
    match sessions::begin(app, account, proof.clone(), client, true).await {
        Ok(begun) => Ok(Entered::In(begun)),
        Err(error) if error.code == Code::SecondFactorRequired => {
            let id = random_text(128, app.store.random()).to_string();
            let carried = HalfWay { id, account: account_id, proof, next: next.to_owned(), begun: app.now().0 };
            let plain = serde_json::to_vec(&carried).map_err(Error::internal)?;
            let key = app.verifier.pepper().derive(USE);
            Ok(Entered::HalfWay(URL_SAFE_NO_PAD.encode(seal::seal(&key, &plain, app.store.random())?)))
        }
        Err(error) => Err(error),
    }
}

fn open(app: &App, carried: &str) -> Option<HalfWay> {
    let sealed = URL_SAFE_NO_PAD.decode(carried).ok()?;
    // Begun under the pepper until now where another one came meanwhile.
    let plain = app.verifier.peppers().iter().find_map(|pepper| seal::open(&pepper.derive(USE), &sealed))?;
    let carried: HalfWay = serde_json::from_slice(&plain).ok()?;
    let (begun, now) = (Time(carried.begun), app.now());
    (begun <= now.plus(lifetime()) && now < begun.plus(lifetime())).then_some(carried)
}

/// Does the browser carry something that can still be gone on with? For what a page shows.
#[must_use]
pub fn is_open(app: &App, carried: &str) -> bool {
    open(app, carried).is_some()
}

/// Goes on by the second factor. Answers the session, and where to go on to.
pub async fn go_on(
    app: &Arc<App>,
    carried: &str,
    given: SecondFactor,
    client: Client,
) -> Result<(Written<Begun>, String)> {
    let HalfWay { id, account, proof, next, begun } = open(app, carried).ok_or_else(sessions::sign_in_over)?;
    let mut reader = app.store.read().await?;
    let account = accounts::get(reader.conn(), account).await?.ok_or_else(sessions::sign_in_over)?;
    drop(reader);
    let digest = link_digest(&format!("half-way {id}"));
    let spent_as = Carried { digest, begun: Time(begun), ends_at: Time(begun).plus(lifetime()) };
    let proof = proof.with(given).once(spent_as);
    Ok((sessions::begin(app, account, proof, client, true).await?, next))
}
