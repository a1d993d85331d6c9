//! What stands before every request that comes with a policy token: its policy, which sees the body, is asked before anything
//! else is, also on paths that match nothing.
//!
//! So the body is read first, within the limits of size and time that it has anyway, where the token is one that counts. Requests with another credential, or with
//! none, pass by.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokenward_core::Result;
use tokenward_core::secret::{Kind, Presented};
use tokenward_verify::Presenter;
use tokenward_verify::server::policy::RequestBody;
use tokenward_verify::server::{AskedRequest, PolicyPass};

use super::at_least;
use super::error::ApiError;
use super::extract::{credential, peer};
use crate::body::{self, Bounds};
use crate::heavy;
use crate::http::{address, agent};
use crate::limits::{BODY_TIME, POLICY_BODY};
use crate::service::App;

/// A policy token, where one is presented to our own API.
fn policy_token<'a>(app: &App, headers: &'a HeaderMap) -> Option<&'a str> {
    let text = credential(headers).ok()?;
    Presented::parse(text, app.verifier.prefixes()).filter(|it| it.kind == Kind::PolicyToken).map(|_| text)
}

/// Does a request come with a policy token? Then it takes the way through [`policy_gate`].
pub(super) fn presents_policy_token(app: &App, headers: &HeaderMap) -> bool {
    policy_token(app, headers).is_some()
}

/// Asks the policy. What it allows goes on with a [`PolicyPass`], what it does not ends here.
pub async fn policy_gate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // What a gateway asks about is not what it asks with: the credential there is that of the request which it holds.
    if request.uri().path() == "/forward-auth" {
        return next.run(request).await;
    }
    let Some(text) = policy_token(&app, request.headers()).map(str::to_owned) else { return next.run(request).await };
    // The token may be one that this node is to know of first.
    if let Err(error) = at_least::wait(&app, request.headers()).await {
        return ApiError(error).into_response();
    }
    // Whoever has none that counts is not listened to: what stands behind refuses it.
    if !app.verifier.asks_policy(&text, &presenter(&app, request.headers(), request.extensions())) {
        return next.run(request).await;
    }
    match ask(app, text, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => ApiError(error).into_response(),
    }
}

fn presenter<'a>(app: &App, headers: &'a HeaderMap, extensions: &Extensions) -> Presenter<'a> {
    Presenter { address: address(headers, peer(extensions), &app.live().trusted_proxies), agent: agent(headers) }
}

async fn ask(app: Arc<App>, text: String, request: Request) -> Result<Request> {
    let (parts, body) = request.into_parts();
    let read = body::read(body, Bounds { max: POLICY_BODY.size(), drain: 0, time: &BODY_TIME }).await;
    let (parts, bytes) = (Arc::new(parts), read.as_ref().ok().cloned().unwrap_or_default());
    let address = presenter(&app, &parts.headers, &parts.extensions).address;
    // Whose policy it is, where it has not been seen to be quick.
    let slow = app.verifier.takes_long(&text, address);
    let asks = {
        let (app, parts, bytes) = (Arc::clone(&app), Arc::clone(&parts), bytes.clone());
        move || {
            let from = presenter(&app, &parts.headers, &parts.extensions);
            let body = if read.is_ok() { RequestBody::Whole(&bytes) } else { RequestBody::Unreadable };
            let asked = AskedRequest { method: parts.method.as_str(), path: parts.uri.path(), body, of_ours: true };
            app.verifier.pass(&text, &from, &asked)
        }
    };
    let pass: Option<PolicyPass> = match (slow, bytes.len() > heavy::BODY) {
        (None, false) => asks()?,
        (Some(organization), _) => heavy::run(organization, asks).await??,
        (None, true) => heavy::run(heavy::Lane::client(address), asks).await??,
    };
    // Nobody else has them by now.
    let parts = Arc::try_unwrap(parts).unwrap_or_else(|shared| axum::http::request::Parts::clone(&shared));
    let mut request = Request::from_parts(parts, Body::from(bytes));
    if let Some(pass) = pass {
        request.extensions_mut().insert(pass);
    }
    Ok(request)
}
