//! The HTTP API: the published contract, and beside it what we add.
//!
//! [`endpoints`] is the one table: path, right, body, answer. The router, the enforcement of rights and the
//! OpenAPI document are made from it, so that none of them can say something else than the others.

mod account_events;
mod account_links;
mod accounts;
mod apis;
mod at_least;
mod batch;
mod clusters;
mod command_line;
mod decisions;
mod direct;
mod docs;
mod endpoint;
mod environments;
mod error;
mod event_words;
mod events;
mod ext_authz;
mod extract;
mod form;
mod forward_auth;
mod gateway_answer;
mod health;
mod idempotency;
mod identities;
mod invitations;
mod json;
mod limits;
mod log;
mod members;
mod nodes;
mod oauth;
mod once;
mod openapi;
mod organizations;
mod paging;
mod passkeys;
mod pieces;
mod policy_decision;
mod policy_gate;
mod policy_token_life;
mod policy_tokens;
mod prefer;
mod projects;
mod receipts;
mod right;
mod roles;
mod second_factor;
mod sessions;
mod sign_in_policy;
mod sign_in_rules;
mod status;
mod token_bulk;
mod token_csv;
mod token_decision;
mod token_effect;
mod token_import;
mod token_life;
mod token_policy;
mod tokens;
mod understood;
mod unrouted;
mod usage;
mod variables;
mod verify;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;

pub use direct::Front;
pub use endpoint::Endpoint;
pub use error::ApiError;
pub use openapi::fields_beside;
pub use policy_gate::policy_gate;
pub use prefer::hold_body;
pub use right::{EndpointRight, PathResource};
pub use unrouted::{not_served, unknown_method, unknown_path};

use crate::service::App;

/// Every endpoint of the API.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    [
        health::endpoints(),
        docs::endpoints(),
        limits::endpoints(),
        second_factor::endpoints(),
        sessions::endpoints(),
        command_line::endpoints(),
        accounts::endpoints(),
        account_events::endpoints(),
        account_links::endpoints(),
        identities::endpoints(),
        passkeys::endpoints(),
        organizations::endpoints(),
        roles::endpoints(),
        tokens::endpoints(),
        token_effect::endpoints(),
        token_life::endpoints(),
        token_policy::endpoints(),
        policy_tokens::endpoints(),
        policy_token_life::endpoints(),
        policy_decision::endpoints(),
        token_bulk::endpoints(),
        token_import::endpoints(),
        token_decision::endpoints(),
        usage::endpoints(),
        verify::endpoints(),
        decisions::endpoints(),
        apis::endpoints(),
        oauth::endpoints(),
        forward_auth::endpoints(),
        ext_authz::endpoints(),
        members::endpoints(),
        sign_in_policy::endpoints(),
        sign_in_rules::endpoints(),
        invitations::endpoints(),
        projects::endpoints(),
        environments::endpoints(),
        clusters::endpoints(),
        variables::endpoints(),
        events::endpoints(),
        receipts::endpoints(),
        nodes::endpoints(),
        status::endpoints(),
        log::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The router, from the table.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let mut router = Router::new();
    for endpoint in endpoints() {
        router = router.route(endpoint.path, endpoint.guarded(app));
    }
    router.merge(unrouted::routes()).layer(map_response(not_kept))
}

/// What stands in front of the whole service's `router`: the endpoints that are answered before it is asked.
#[must_use]
pub fn front(app: &Arc<App>, router: Router) -> Front {
    Front::new(endpoints().iter().filter_map(|endpoint| endpoint.direct(app)).collect(), router)
}

/// No answer may be kept on its way: neither what a caller sees of its organization, nor yesterday's permission.
async fn not_kept(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
