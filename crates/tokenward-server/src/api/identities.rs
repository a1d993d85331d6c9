//! The identities of providers that open the signed-in person's own account.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::identities::{Identity, IdentityList};
use tokenward_core::caller::Caller;

use super::endpoint::{Endpoint, delete, get};
use super::error::ApiError;
use super::extract::{id, written_empty};
use crate::service::{App, identities};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/account/identity", list)
            .user()
            .about("Account", "The identities of providers that open your account.")
            .answers::<IdentityList>(200),
        delete("/account/identity/{identityId}", remove)
            .user()
            .about(
                "Account",
                "Unlink an identity, by a fresh proof; your other sessions that it proved end. The last way to sign in stays.",
            )
            .answers_empty(204)
            .errors(&[400, 403, 404, 409]),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<IdentityList>, ApiError> {
    let all = identities::list(&app, &caller).await?.into_iter().map(|it| Identity {
        id: it.id,
        issuer: it.issuer,
        subject: it.subject,
        email: it.email,
        created_at: it.created_at,
        last_used_at: it.last_used_at,
    });
    Ok(Json(IdentityList { results: all.collect() }))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(identity): Path<String>,
) -> Result<Response, ApiError> {
    let removed = identities::remove(&app, &caller, id("identityId", &identity)?).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &removed))
}
