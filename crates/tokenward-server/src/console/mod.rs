//! The web console: pages rendered on the server, which work without JavaScript.
//!
//! [`view`] says what each page shows, as plain data; the templates say how. [`assets`] are the few files that
//! pages refer to. Neither knows the database or HTTP. The handlers, a file a resource, stand between them and the
//! service: the session gives a person, the person gives a grant for a permission, the service does the rest.
//! What every page has in common is in `guard`.

mod account_events;
mod account_links;
mod accounts;
mod apis;
pub mod assets;
mod clusters;
mod command_line;
mod confirm;
mod cookie;
mod decisions;
mod environments;
mod errors;
mod events;
mod fields;
mod flash;
mod form;
mod form_page;
mod guard;
mod guide_text;
mod guides;
mod home;
mod invitations;
mod live;
mod log_check;
mod member_tokens;
mod members;
mod nodes;
mod organization_sessions;
mod organization_sign_in;
mod organizations;
mod overview;
mod page;
mod paging;
mod passkeys;
mod person;
mod place;
mod policy_recipes;
mod policy_tokens;
mod projects;
mod proof;
mod proof_asked;
mod protect;
mod providers;
mod queries;
mod refused;
mod role_choices;
mod role_page;
mod role_trial;
mod roles;
mod second_factor;
mod sessions;
mod set_up;
mod sign_in_trial;
mod token_bulk;
mod token_changes;
mod token_cut;
mod token_effect;
mod token_filters;
mod token_import;
mod token_life;
mod token_link;
mod token_list;
mod token_policy;
mod token_refused;
mod token_typed;
mod tokens;
mod two_factors;
pub mod view;
mod way_back;
mod ways_out;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get};

pub use fields::{FormInput, form_inputs, form_paths};
pub use home::missing;

use crate::service::App;

/// The pages whose form carries a document, which may be larger than other forms.
const DOCUMENT_FORMS: [&str; 2] = ["/console/{organization}/apis/new", "/console/{organization}/apis/{name}"];

/// The router. Every page of it sets its headers, refuses foreign forms, and needs a session or says so here.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let for_visitors = Router::new()
        .route("/", get(home::start))
        .route("/set-up/{secret}", get(set_up::form).post(set_up::create))
        .route("/sign-in", get(sessions::sign_in_form).post(sessions::sign_in))
        .route("/sign-in/passkey", form_page::of_form(passkeys::sign_in))
        .route("/sign-in/passkey/begin", form_page::of_form(passkeys::begin_sign_in))
        .route("/sign-in/code", get(second_factor::code_form).post(second_factor::take_code))
        .route("/sign-in/identity", get(providers::identity).post(providers::take))
        .route(ways_out::SIGN_IN, get(providers::go))
        .route("/sign-in/with/{key}/callback", get(providers::back))
        .route(ways_out::INVITATION, get(providers::go_with_invitation))
        .route("/sign-in/forgot", get(account_links::forgot_form).post(account_links::forgot))
        .route("/sign-in/reset/{secret}", get(account_links::reset_form).post(account_links::reset))
        .route("/sign-in/email/{secret}", get(account_links::email_form).post(account_links::email))
        .route("/sign-in/{secret}", get(sessions::link_form).post(sessions::take_link))
        .route("/invitation/{id}/{secret}", get(invitations::open).post(invitations::accept))
        .layer(from_fn_with_state(Arc::clone(app), guard::visitor));
    let for_members = Router::new()
        .route("/sign-out", form_page::of_form(sessions::sign_out))
        .route("/console", get(home::console))
        .route("/console/new", get(organizations::new).post(organizations::create))
        .merge(account_routes())
        .route("/console/{organization}", get(home::organization))
        .route("/console/{organization}/tokens", get(token_list::list).post(tokens::create))
        .route("/console/{organization}/tokens/find", form_page::of_form(token_list::find))
        .route("/console/{organization}/tokens/import", get(token_import::new).post(token_import::import))
        .route("/console/{organization}/tokens/bulk", form_page::of_form(token_bulk::bulk))
        .route("/console/{organization}/tokens/revoke-all", get(token_cut::ask).post(token_cut::revoke))
        .route("/console/{organization}/tokens/new", get(tokens::new))
        .route("/console/{organization}/tokens/{token}", get(tokens::show))
        .route("/console/{organization}/tokens/{token}/edit", get(token_changes::edit).post(token_changes::save))
        .route(
            "/console/{organization}/tokens/{token}/rotate",
            get(token_changes::ask_rotate).post(token_changes::rotate),
        )
        .route(
            "/console/{organization}/tokens/{token}/disable",
            get(token_changes::ask_disable).post(token_changes::disable),
        )
        .route(
            "/console/{organization}/tokens/{token}/enable",
            get(token_changes::ask_enable).post(token_changes::enable),
        )
        .route("/console/{organization}/tokens/{token}/undo", get(token_changes::ask_undo).post(token_changes::undo))
        .route(
            "/console/{organization}/tokens/{token}/secrets/{version}/end",
            get(token_changes::ask_end_version).post(token_changes::end_version),
        )
        .route(
            "/console/{organization}/tokens/{token}/brownout",
            get(token_life::ask_brownout).post(token_life::brownout),
        )
        .route("/console/{organization}/tokens/{token}/attest", form_page::of_form(token_life::attest))
        .route("/console/{organization}/tokens/{token}/brownout/end", form_page::of_form(token_life::end_brownout))
        .route(
            "/console/{organization}/tokens/{token}/delete",
            get(token_changes::ask_delete).post(token_changes::delete),
        )
        .merge(identity_routes())
        .merge(passkey_routes())
        .merge(second_factor_routes())
        .route("/console/command-line", get(command_line::ask).post(command_line::give))
        .route("/console/guides", get(guides::list))
        .route("/console/guides/{name}", get(guides::show))
        .route("/console/device", get(command_line::type_code).post(command_line::decide))
        .merge(policy_token_routes())
        .merge(access_routes())
        .merge(api_routes())
        .merge(resource_routes())
        .route("/console/{organization}/overview", get(overview::show))
        .route("/console/{organization}/protect", get(protect::show))
        .route("/console/{organization}/decisions", get(decisions::list))
        .route("/console/{organization}/events", get(events::list))
        .route("/console/{organization}/events/export", get(log_check::export))
        .route("/console/{organization}/events/verify", get(log_check::show).post(log_check::check))
        .route("/console/{organization}/nodes", get(nodes::list))
        .route("/console/{organization}/settings", get(organizations::settings).post(organizations::save_settings))
        .route("/console/{organization}/settings/event-retention", form_page::of_form(organizations::save_retention))
        .route("/console/{organization}/settings/token-policy", get(token_policy::show).post(token_policy::save))
        .route("/console/{organization}/settings/token-policy/shorten", form_page::of_form(token_policy::shorten))
        .route(
            "/console/{organization}/settings/sign-in/only/{key}",
            get(organization_sign_in::ask_only).post(organization_sign_in::only),
        )
        .route(
            "/console/{organization}/settings/sign-in/sessions",
            get(organization_sessions::ask).post(organization_sessions::save),
        )
        .route("/console/{organization}/settings/sign-in/two-factors", get(two_factors::ask).post(two_factors::save))
        .route(ways_out::TRY, get(providers::go_to_try))
        .route(
            "/console/{organization}/settings/sign-in/any",
            get(organization_sign_in::ask_any).post(organization_sign_in::any),
        )
        .route(
            "/console/{organization}/settings/sign-in",
            get(organization_sign_in::show).post(organization_sign_in::save),
        )
        .route("/console/{organization}/settings/delete", get(organizations::ask_delete).post(organizations::delete))
        .route("/console/{organization}/{*rest}", any(home::not_found))
        .layer(from_fn_with_state(Arc::clone(app), guard::session));
    for_visitors
        .merge(for_members)
        .layer(from_fn_with_state(Arc::clone(app), guard::place))
        .layer(from_fn(guard::headers))
        .route("/assets/{name}", get(home::asset))
}

/// A person's own account.
fn account_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/console/account", get(accounts::show))
        .route("/console/account/name", form_page::of_form(accounts::save_name))
        .route("/console/account/email", get(accounts::email_form).post(accounts::ask_email))
        .route("/console/account/password", form_page::of_form(accounts::save_password))
        .route("/console/account/password/set", get(accounts::first_password_form).post(accounts::set_password))
        .route("/console/account/password/remove", get(accounts::ask_remove_password).post(accounts::remove_password))
        .route("/console/account/sessions/{session}/end", form_page::of_form(accounts::end_session))
        .route("/console/account/sessions/end-others", form_page::of_form(accounts::end_others))
}

/// The identities that open a person's account.
fn identity_routes() -> Router<Arc<App>> {
    const ONE: &str = "/console/account/identities/{identity}/remove";
    Router::new()
        .route("/console/account/identities/link", get(providers::ask_link).post(providers::link))
        .route(ways_out::LINK, get(providers::go_to_link))
        .route(ways_out::PROVE, get(providers::go_to_prove))
        .route(ONE, get(providers::ask_remove).post(providers::remove))
}

/// A person's passkeys.
fn passkey_routes() -> Router<Arc<App>> {
    const ALL: &str = "/console/account/passkeys";
    Router::new()
        .route(ALL, form_page::of_form(passkeys::add))
        .route(&format!("{ALL}/new"), get(passkeys::new))
        .route(&format!("{ALL}/begin"), form_page::of_form(passkeys::begin_to_add))
        .route(&format!("{ALL}/prove"), get(passkeys::can_prove).post(passkeys::prove))
        .route(&format!("{ALL}/prove/begin"), form_page::of_form(passkeys::begin_proof))
        .route(&format!("{ALL}/{{passkey}}"), get(passkeys::show).post(passkeys::rename))
        .route(&format!("{ALL}/{{passkey}}/remove"), get(passkeys::ask_remove).post(passkeys::remove))
}

/// The second factor of a person's account.
fn second_factor_routes() -> Router<Arc<App>> {
    const PAGE: &str = "/console/account/second-factor";
    Router::new()
        .route(PAGE, get(second_factor::ask).post(second_factor::turn_on))
        .route(&format!("{PAGE}/codes"), get(second_factor::ask_codes).post(second_factor::new_codes))
        .route(&format!("{PAGE}/remove"), get(second_factor::ask_remove).post(second_factor::remove))
        .route(proof_asked::PAGE, get(proof_asked::ask).post(proof_asked::take))
        .route(two_factors::PAGE, get(two_factors::ask_proof).post(two_factors::take_proof))
}

/// Policy tokens.
fn policy_token_routes() -> Router<Arc<App>> {
    const ONE: &str = "/console/{organization}/policy-tokens/{token}";
    Router::new()
        .route("/console/{organization}/policy-tokens", get(policy_tokens::list).post(policy_tokens::create))
        .route("/console/{organization}/policy-tokens/new", get(policy_tokens::new))
        .route("/console/{organization}/policy-tokens/find", form_page::of_form(policy_tokens::find))
        .route("/console/{organization}/policy-tokens/bulk", form_page::of_form(policy_tokens::bulk))
        .route(ONE, get(policy_tokens::show))
        .route(&format!("{ONE}/edit"), get(policy_tokens::edit).post(policy_tokens::save))
        .route(&format!("{ONE}/rotate"), get(policy_tokens::ask_rotate).post(policy_tokens::rotate))
        .route(&format!("{ONE}/disable"), get(policy_tokens::ask_disable).post(policy_tokens::disable))
        .route(&format!("{ONE}/enable"), get(policy_tokens::ask_enable).post(policy_tokens::enable))
        .route(&format!("{ONE}/undo"), get(policy_tokens::ask_undo).post(policy_tokens::undo))
        .route(
            &format!("{ONE}/secrets/{{version}}/end"),
            get(policy_tokens::ask_end_version).post(policy_tokens::end_version),
        )
        .route(&format!("{ONE}/attest"), get(policy_tokens::ask_attest).post(policy_tokens::attest))
        .route(&format!("{ONE}/brownout"), get(policy_tokens::ask_brownout).post(policy_tokens::brownout))
        .route(&format!("{ONE}/brownout/end"), form_page::of_form(policy_tokens::end_brownout))
        .route(&format!("{ONE}/delete"), get(policy_tokens::ask_delete).post(policy_tokens::delete))
}

/// Members, invitations and roles.
fn access_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/console/{organization}/members", get(members::list))
        .route("/console/{organization}/members/invite", get(invitations::new).post(invitations::create))
        .route("/console/{organization}/members/transfer", get(members::ask_transfer).post(members::transfer))
        .route("/console/{organization}/members/{user}", get(members::show).post(members::save_role))
        .route("/console/{organization}/members/{user}/detach", form_page::of_form(members::detach))
        .route("/console/{organization}/members/{user}/events", get(account_events::of_member))
        .route("/console/{organization}/members/{user}/remove", get(members::ask_remove).post(members::remove))
        .route("/console/{organization}/invitations/{invitation}/resend", form_page::of_form(invitations::resend))
        .route("/console/{organization}/invitations/{invitation}/delete", form_page::of_form(invitations::delete))
        .route("/console/{organization}/roles", get(roles::list))
        .route("/console/{organization}/roles/new", get(roles::new).post(roles::create))
        .route("/console/{organization}/roles/{role}", get(roles::show).post(roles::save))
        .route("/console/{organization}/roles/{role}/edit", get(roles::edit))
        .route("/console/{organization}/roles/{role}/delete", get(roles::ask_delete).post(roles::delete))
}

/// The routes of the organization's own API.
fn api_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/console/{organization}/apis", get(apis::list))
        .route(DOCUMENT_FORMS[0], get(apis::new).post(apis::create))
        .route(DOCUMENT_FORMS[1], get(apis::show).post(apis::save))
        .route("/console/{organization}/apis/{name}/delete", get(apis::ask_delete).post(apis::delete))
}

/// Projects, their environments, and clusters.
fn resource_routes() -> Router<Arc<App>> {
    const ENVIRONMENT: &str = "/console/{organization}/projects/{project}/environments";
    Router::new()
        .route("/console/{organization}/projects", get(projects::list))
        .route("/console/{organization}/projects/new", get(projects::new).post(projects::create))
        .route("/console/{organization}/projects/{project}", get(projects::show).post(projects::save))
        .route("/console/{organization}/projects/{project}/delete", get(projects::ask_delete).post(projects::delete))
        .route(&format!("{ENVIRONMENT}/new"), get(environments::new).post(environments::create))
        .route(&format!("{ENVIRONMENT}/{{id}}"), get(environments::show).post(environments::save))
        .route(&format!("{ENVIRONMENT}/{{id}}/delete"), get(environments::ask_delete).post(environments::delete))
        .route("/console/{organization}/clusters", get(clusters::list))
        .route("/console/{organization}/clusters/new", get(clusters::new).post(clusters::create))
        .route("/console/{organization}/clusters/{cluster}", get(clusters::show).post(clusters::save))
        .route("/console/{organization}/clusters/{cluster}/delete", get(clusters::ask_delete).post(clusters::delete))
}
