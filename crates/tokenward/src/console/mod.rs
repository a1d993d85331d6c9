//! The web console: pages rendered on the server, which work without JavaScript.
//!
//! [`view`] says what each page shows, as plain data; the templates say how. [`assets`] are the few files that
//! pages refer to. Neither knows the database or HTTP. The handlers, a file a resource, stand between them and the
//! service: the session gives a person, the person gives a grant for a permission, the service does the rest.
//! What every page has in common is in `guard`.

mod accounts;
pub mod assets;
mod cookie;
mod done;
mod events;
mod form;
mod guard;
mod home;
mod organizations;
mod page;
mod person;
mod place;
mod sessions;
mod set_up;
mod tokens;
pub mod view;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get, post};

pub use home::missing;

use crate::service::App;

/// The router. Every page of it sets its headers, refuses foreign forms, and needs a session or says so here.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let for_visitors = Router::new()
        .route("/", get(home::start))
        .route("/set-up/{secret}", get(set_up::form).post(set_up::found))
        .route("/sign-in", get(sessions::sign_in_form).post(sessions::sign_in))
        .route("/sign-in/{secret}", get(sessions::link_form).post(sessions::take_link))
        .layer(from_fn_with_state(Arc::clone(app), guard::visitor));
    let for_members = Router::new()
        .route("/sign-out", post(sessions::sign_out))
        .route("/console", get(home::console))
        .route("/console/new", get(organizations::new).post(organizations::create))
        .route("/console/account", get(accounts::show))
        .route("/console/account/name", post(accounts::save_name))
        .route("/console/account/password", post(accounts::save_password))
        .route("/console/account/sessions/{session}/end", post(accounts::end_session))
        .route("/console/account/sessions/end-others", post(accounts::end_others))
        .route("/console/{organization}", get(home::organization))
        .route("/console/{organization}/tokens", get(tokens::list).post(tokens::create))
        .route("/console/{organization}/tokens/new", get(tokens::new))
        .route("/console/{organization}/tokens/{token}", get(tokens::show))
        .route("/console/{organization}/tokens/{token}/delete", get(tokens::ask_delete).post(tokens::delete))
        .route("/console/{organization}/events", get(events::list))
        .route("/console/{organization}/settings", get(organizations::settings).post(organizations::save_settings))
        .route("/console/{organization}/settings/delete", get(organizations::ask_delete).post(organizations::delete))
        .route("/console/{organization}/{*rest}", any(home::nothing))
        .layer(from_fn_with_state(Arc::clone(app), guard::session));
    for_visitors
        .merge(for_members)
        .layer(from_fn_with_state(Arc::clone(app), guard::place))
        .layer(from_fn(guard::headers))
        .route("/assets/{name}", get(home::asset))
}
