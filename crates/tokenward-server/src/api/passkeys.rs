//! Passkeys of the signed-in person's own account, and what browsers are asked and answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenward_api::passkeys::{NewPasskey, Passkey, PasskeyAssertion, PasskeyChallenge, PasskeyEdit, PasskeyList};
use tokenward_api::sessions::{Proven, Session};
use tokenward_core::caller::Caller;
use tokenward_core::error::Faults;
use tokenward_core::{Code, Error, Result};
use tokenward_store::passkeys::Passkey as Row;

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, client, id, lane, parse, read_within, written, written_empty};
use crate::body::Bounds;
use crate::heavy;
use crate::limits::{BODY_BYTES, BODY_TIME, NAME, PASSKEY_BYTES, PASSKEY_STATE};
use crate::service::App;
use crate::service::passkeys::{self, Challenge};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/account/passkey", list)
            .user()
            .about("Account", "The passkeys that open your account.")
            .answers::<PasskeyList>(200),
        post("/account/passkey/challenge", begin_to_add)
            .user()
            .about("Account", "Begin to add a passkey, by a fresh proof: what an authenticator is asked to make.")
            .answers::<PasskeyChallenge>(200)
            .errors(&[409]),
        post("/account/passkey", add)
            .user()
            .about("Account", "Add the passkey that an authenticator has made, by a fresh proof.")
            .takes::<NewPasskey>()
            .answers::<Passkey>(201)
            .errors(&[409, 413]),
        put("/account/passkey/{passkeyId}", rename)
            .user()
            .about("Account", "Call a passkey something else.")
            .takes::<PasskeyEdit>()
            .answers::<Passkey>(200)
            .errors(&[400, 404]),
        delete("/account/passkey/{passkeyId}", remove)
            .user()
            .about("Account", "Remove a passkey, by a fresh proof; your other sessions end. The last way to sign in stays.")
            .answers_empty(204)
            .errors(&[400, 403, 404, 409]),
        post("/session/passkey/challenge", begin_sign_in)
            .public()
            .about("Sessions", "Begin to sign in with a passkey: what an authenticator is asked.")
            .answers::<PasskeyChallenge>(200)
            .errors(&[401, 409]),
        post("/session/passkey", sign_in)
            .public()
            .about("Sessions", "Sign in by what a passkey has signed.")
            .takes::<PasskeyAssertion>()
            .answers::<Session>(201)
            .errors(&[401, 409, 413, 429]),
        post("/session/proof/passkey/challenge", begin_proof)
            .user_at_all()
            .about("Sessions", "Begin to prove with a passkey who sits at the session: what an authenticator is asked.")
            .answers::<PasskeyChallenge>(200)
            .errors(&[409]),
        post("/session/proof/passkey", prove)
            .user_at_all()
            .about(
                "Sessions",
                "Prove by what a passkey has signed who sits at the session. It has another token from then on, and the one that \
                 was sent ends.",
            )
            .takes::<PasskeyAssertion>()
            .answers::<Proven>(200)
            .errors(&[409, 413]),
    ]
}

fn passkey(app: &App, row: Row) -> Passkey {
    Passkey {
        works: passkeys::works(app, &row),
        id: row.id,
        name: row.name,
        rp_id: row.rp_id,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
    }
}

fn challenge(Challenge { options, state }: Challenge) -> Json<PasskeyChallenge> {
    Json(PasskeyChallenge { options, state })
}

/// A body with what an authenticator says. One that is too large is received to its end, so that its client hears so.
async fn body<T: DeserializeOwned + Send + 'static>(request: Request) -> Result<T> {
    let bounds = Bounds { max: PASSKEY_BYTES.size(), drain: BODY_BYTES.size(), time: &BODY_TIME };
    let too_large = || {
        let advice = "No authenticator says so much.";
        PASSKEY_BYTES.exceeded(Code::TooLarge, PASSKEY_BYTES.default, "The body is larger than", advice)
    };
    let lane = lane(request.extensions());
    let bytes = read_within(request.into_body(), bounds, too_large).await?;
    if bytes.len() <= heavy::BODY {
        return parse(&bytes);
    }
    heavy::aside(lane, move || parse(&bytes)).await?
}

/// What a passkey has signed.
async fn assertion(request: Request) -> Result<(String, Value)> {
    let PasskeyAssertion { state, credential } = body(request).await?;
    PASSKEY_STATE.check_text(&state).map_err(|problem| Error::invalid("state", problem))?;
    Ok((state, credential))
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<PasskeyList>, ApiError> {
    let all = passkeys::list(&app, &caller).await?.into_iter().map(|row| passkey(&app, row));
    Ok(Json(PasskeyList { results: all.collect() }))
}

async fn begin_to_add(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<PasskeyChallenge>, ApiError> {
    Ok(challenge(passkeys::begin_to_add(&app, &caller).await?))
}

async fn add(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    let NewPasskey { name, state, credential } = body(request).await?;
    let mut faults = Faults::default();
    faults.check("name", NAME.check_text(&name));
    faults.check("state", PASSKEY_STATE.check_text(&state));
    faults.finish()?;
    let added = passkeys::add(&app, &caller, &state, name, credential).await?;
    Ok(written(StatusCode::CREATED, added, |row| passkey(&app, row)))
}

async fn rename(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(own): Path<String>,
    Body(edit): Body<PasskeyEdit>,
) -> Result<Response, ApiError> {
    let renamed = passkeys::rename(&app, &caller, id("passkeyId", &own)?, edit.name).await?;
    Ok(written(StatusCode::OK, renamed, |row| passkey(&app, row)))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(own): Path<String>,
) -> Result<Response, ApiError> {
    let removed = passkeys::remove(&app, &caller, id("passkeyId", &own)?).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &removed))
}

async fn begin_sign_in(State(app): State<Arc<App>>) -> Result<Json<PasskeyChallenge>, ApiError> {
    Ok(challenge(passkeys::begin_sign_in(&app)?))
}

async fn sign_in(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let client = client(request.headers(), request.extensions(), &app.live().trusted_proxies);
    let (state, credential) = assertion(request).await?;
    let begun = passkeys::sign_in(&app, &state, credential, client, false).await?;
    Ok(written(StatusCode::CREATED, begun, |begun| Session {
        token: begun.text.expose().to_owned(),
        expires_at: begun.expires_at,
    }))
}

async fn begin_proof(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<PasskeyChallenge>, ApiError> {
    Ok(challenge(passkeys::begin_proof(&app, &caller).await?))
}

async fn prove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    let (state, credential) = assertion(request).await?;
    let proven = passkeys::prove(&app, &caller, &state, credential).await?;
    Ok(written(StatusCode::OK, proven, |renewed| Proven {
        proven_until: renewed.proven_until,
        token: renewed.text.expose().to_owned(),
        expires_at: renewed.expires_at,
    }))
}
