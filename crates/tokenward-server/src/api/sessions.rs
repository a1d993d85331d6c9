//! Sessions of users over HTTP: an e-mail address and a password for a bearer token.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokenward_api::sessions::{NewSession, OwnSession, OwnSessionList, Proof, Proven, Session};
use tokenward_core::caller::Caller;
use tokenward_core::error::Faults;
use zeroize::Zeroizing;

use super::endpoint::{Endpoint, delete, get, post};
use super::error::ApiError;
use super::extract::{Body, client, id, written, written_empty};
use super::second_factor::given;
use crate::limits::{EMAIL, PASSWORD};
use crate::service::sessions::ListedSession;
use crate::service::{App, proof, sessions};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/session", create)
            .public()
            .about("Sessions", "Sign in with e-mail address and password; and with a code, where the account has a second factor (401 \
                 `second_factor_required` says so once the password is right).")
            .takes::<NewSession>()
            .answers::<Session>(201)
            .errors(&[401, 429, 503]),
        delete("/session", delete_session)
            .user_at_all()
            .about("Sessions", "Sign out: ends the session that is used.")
            .answers_empty(204),
        post("/session/proof", prove)
            .user_at_all()
            .about(
                "Sessions",
                "Prove by the password, and by a code where the account has a second factor, who sits at the session: for what answers \
                 401 `proof_required` without it. The session has another token from then on, and the one that was sent ends.",
            )
            .takes::<Proof>()
            .answers::<Proven>(200)
            .errors(&[429, 503]),
        get("/account/session", list)
            .user()
            .about("Sessions", "Your own sessions: since when, from which address, with which client.")
            .answers::<OwnSessionList>(200),
        delete("/account/session", end_others)
            .user()
            .about("Sessions", "End all of your sessions but the one that asks.")
            .answers_empty(204),
        delete("/account/session/{sessionId}", end)
            .user()
            .about("Sessions", "End one of your own sessions.")
            .answers_empty(204)
            .errors(&[400, 404]),
    ]
}

async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let client = client(request.headers(), request.extensions(), &app.live().trusted_proxies);
    let Body(new) = <Body<NewSession> as axum::extract::FromRequest<()>>::from_request(request, &()).await?;
    let mut faults = Faults::default();
    faults.check("email", EMAIL.check_text(&new.email));
    faults.check("password", PASSWORD.check_text(&new.password));
    let second = given(new.otp.as_deref(), new.recovery_code.as_deref(), &mut faults);
    faults.finish()?;
    let password = Zeroizing::new(new.password);
    let (account, proof) = sessions::by_password(&app, &new.email, password, &client, None).await?;
    let proof = match second {
        Some(second) => proof.with(second),
        None => proof,
    };
    let begun = sessions::begin(&app, account, proof, client, false).await?;
    Ok(written(StatusCode::CREATED, begun, |begun| Session {
        token: begun.text.expose().to_owned(),
        expires_at: begun.expires_at,
    }))
}

async fn delete_session(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let ended = sessions::end(&app, &caller, caller.credential_id()).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &ended))
}

async fn prove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<Proof>,
) -> Result<Response, ApiError> {
    let mut faults = Faults::default();
    if let Some(password) = &body.password {
        faults.check("password", PASSWORD.check_text(password));
    }
    let second = given(body.otp.as_deref(), body.recovery_code.as_deref(), &mut faults);
    faults.finish()?;
    let given = proof::ProofInput { password: body.password.map(Zeroizing::new), second };
    let proven = proof::prove(&app, &caller, given).await?;
    Ok(written(StatusCode::OK, proven, |renewed| Proven {
        proven_until: renewed.proven_until,
        token: renewed.text.expose().to_owned(),
        expires_at: renewed.expires_at,
    }))
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<OwnSessionList>, ApiError> {
    let results =
        sessions::list(&app, &caller).await?.into_iter().map(|ListedSession { session, last_use }| OwnSession {
            current: session.id == caller.credential_id(),
            last_used_at: last_use.as_ref().map(|it| it.used_at),
            last_used_from: last_use.as_ref().and_then(|it| it.address.clone()),
            last_used_agent: last_use.and_then(|it| it.user_agent),
            id: session.id,
            created_at: session.created_at,
            expires_at: session.expires_at,
            console: session.console,
            address: session.address,
            user_agent: session.user_agent,
            methods: session.methods.words(),
            proven_at: session.proven_at,
            organization_id: session.organization_id,
        });
    Ok(Json(OwnSessionList { results: results.collect() }))
}

async fn end(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(session): Path<String>,
) -> Result<Response, ApiError> {
    let ended = sessions::end(&app, &caller, id("sessionId", &session)?).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &ended))
}

async fn end_others(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    match sessions::end_others(&app, &caller).await? {
        Some(ended) => Ok(written_empty(StatusCode::NO_CONTENT, &ended)),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}
