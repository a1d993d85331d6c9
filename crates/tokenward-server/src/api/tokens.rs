//! API tokens (contract §1.1), and ours: one token, an expiry, who made it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokenward_api::tokens::{ApiToken, ApiTokenCreate, ApiTokenEditRequest, ApiTokenList, ApiTokenRequest};
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;
use tokenward_core::token::Token;

use super::endpoint::{Endpoint, delete, get, patch, post};
use super::error::ApiError;
use super::extract::{Body, Params, Precondition, id, tagged, written, written_empty};
use super::pieces::{self, Piece};
use super::right::On;
use crate::service::usage::Usage;
use crate::service::{App, tokens, usage};

fn api_token(token: Token, usage: Usage) -> ApiToken {
    ApiToken {
        id: token.id,
        created_at: token.created_at,
        updated_at: token.updated_at,
        name: token.name,
        description: token.description,
        role_name: token.role_name,
        role_id: token.role_id,
        creator_name: token.creator_name,
        creator_kind: token.creator_kind,
        creator_id: token.creator_id,
        expires_at: token.expires_at,
        last_four: token.last_four,
        last_used_at: usage.last_used_at,
        allowed_count: usage.allowed,
        denied_count: usage.denied_count(),
        last_used_from: usage.last_used_from,
        last_used_agent: usage.last_used_agent,
        denied_reasons: usage.denied.into_iter().collect(),
    }
}

/// Tokens that are looked at for a piece of the list.
const PIECE: usize = 500;

#[derive(Deserialize)]
struct ListQuery {
    name: Option<String>,
    #[serde(rename = "creatorName")]
    creator_name: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/apiToken", list)
            .needs(Management::TokenRead, On::Organization)
            .about("API tokens", "The organization's living tokens.")
            .query(&[
                ("name", "A part of the name, in any case."),
                ("creatorName", "A part of the creator's name, in any case."),
            ])
            .answers::<ApiTokenList>(200),
        post("/organization/{organizationId}/apiToken", create)
            .needs(Management::TokenManage, On::Organization)
            .idempotent()
            .about("API tokens", "Make a token. Its text is shown once.")
            .takes::<ApiTokenRequest>()
            .answers::<ApiTokenCreate>(201)
            .errors(&[409]),
        get("/organization/{organizationId}/apiToken/{apiTokenId}", show)
            .needs(Management::TokenRead, On::Organization)
            .about("API tokens", "One living token.")
            .answers::<ApiToken>(200)
            .errors(&[400]),
        patch("/organization/{organizationId}/apiToken/{apiTokenId}", update)
            .needs(Management::TokenManage, On::Organization)
            .about("API tokens", "Change name, description, role or end of a token; its text stays the same.")
            .takes::<ApiTokenEditRequest>()
            .written_in(&["application/json", "application/merge-patch+json"])
            .answers::<ApiToken>(200)
            .errors(&[400, 409, 412]),
        delete("/organization/{organizationId}/apiToken/{apiTokenId}", remove)
            .needs(Management::TokenManage, On::Organization)
            .about("API tokens", "Take a token back. It is refused from the moment this answers.")
            .answers_empty(204)
            .errors(&[400]),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let filter = Arc::new(tokens::Filter { name: query.name, creator_name: query.creator_name });
    let piece = move |after| {
        let (app, grant, filter) = (Arc::clone(&app), grant.clone(), Arc::clone(&filter));
        async move {
            let (all, last) = tokens::part(&app, &grant, &filter, after, PIECE).await?;
            let mut used = usage::of(&app, &grant, &all).await?;
            let entry = |token: Token| {
                let usage = used.remove(&token.id).unwrap_or_default();
                api_token(token, usage)
            };
            Ok(Piece { entries: all.into_iter().map(entry).collect(), last })
        }
    };
    Ok(pieces::results(piece).await?)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(new): Body<ApiTokenRequest>,
) -> Result<Response, ApiError> {
    let (role_id, fault) = match (new.role_id, new.scope.as_deref()) {
        (_, Some(scope)) if scope != "ADMIN" => {
            (None, Some(("scope", "is deprecated and can only be `ADMIN` or null; use `role_id`")))
        }
        (Some(role_id), _) => (role_id, None),
        (None, Some(_)) => (None, None),
        // A misspelt field must not make an admin (contract §8.2).
        (None, None) => (None, Some(("role_id", "is missing; send a role of availableRole, or null for admin"))),
    };
    let new = tokens::NewToken { name: new.name, description: new.description, role_id, expires_at: new.expires_at };
    if let Some((field, problem)) = fault {
        let mut faults = tokens::check(&new, app.now());
        faults.push(field, problem);
        faults.finish()?;
    }
    let created = tokens::create(&app, grant, new).await?;
    Ok(written(StatusCode::CREATED, created, |created| ApiTokenCreate {
        token: created.text.expose().to_owned(),
        token_without_text: api_token(created.token, Usage::default()),
    }))
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
) -> Result<Response, ApiError> {
    let token = tokens::get(&app, &grant, id("apiTokenId", &token)?).await?;
    let usage = used(&app, &grant, &token).await?;
    Ok(tagged(token.updated_at, Json(api_token(token, usage))))
}

/// A field that was sent and must not be null.
fn given<T>(field: &'static str, sent: Option<Option<T>>, faults: &mut Faults) -> Option<T> {
    if matches!(sent, Some(None)) {
        faults.push(field, "cannot be null; leave it out to keep it as it is");
    }
    sent.flatten()
}

async fn update(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
    Body(edit): Body<ApiTokenEditRequest>,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let mut faults = Faults::default();
    let change = tokens::TokenChange {
        name: given("name", edit.name, &mut faults),
        description: edit.description,
        role_id: given("role_id", edit.role_id, &mut faults),
        expires_at: edit.expires_at,
    };
    faults.finish()?;
    let changed = tokens::update(&app, grant.clone(), token, change, if_match).await?;
    let (version, usage) = (changed.value.updated_at, used(&app, &grant, &changed.value).await?);
    Ok(tagged(version, written(StatusCode::OK, changed, |token| api_token(token, usage))))
}

/// How one token was used.
async fn used(app: &Arc<App>, grant: &Grant, token: &Token) -> tokenward_core::Result<Usage> {
    Ok(usage::of(app, grant, std::slice::from_ref(token)).await?.remove(&token.id).unwrap_or_default())
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
) -> Result<Response, ApiError> {
    let deleted = tokens::delete(&app, grant, id("apiTokenId", &token)?).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &deleted))
}
