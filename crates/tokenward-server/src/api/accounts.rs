//! The signed-in person's own account (contract §1.4). Tokens have none.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::accounts::{Account, AccountEdit};
use tokenward_core::caller::Caller;
use tokenward_store::accounts::Account as Row;

use super::endpoint::{Endpoint, get, put};
use super::error::ApiError;
use super::extract::{Body, Precondition, tagged, written};
use crate::service::{App, accounts};

fn account(row: Row, has_password: bool) -> Account {
    let (first, last) = row.name.rsplit_once(' ').unwrap_or((&row.name, ""));
    Account {
        id: row.id,
        created_at: row.created_at,
        nickname: if row.name.is_empty() { row.email.clone() } else { row.name.clone() },
        first_name: first.to_owned(),
        last_name: last.to_owned(),
        profile_picture_url: None,
        communication_email: row.communication_email.unwrap_or_else(|| row.email.clone()),
        email_proven: row.email_proven_at.is_some(),
        has_password,
        email: row.email,
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/account", show).user_at_all().about("Account", "Your own account.").answers::<Account>(200),
        put("/account", edit)
            .user()
            .about("Account", "Change your own account.")
            .takes::<AccountEdit>()
            .answers::<Account>(200)
            .errors(&[412]),
    ]
}

async fn show(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    let row = accounts::get(&app, &caller).await?;
    let has_password = opens_by_password(&app, &caller).await?;
    Ok(tagged(row.updated_at, Json(account(row, has_password))))
}

/// Has the account a password that counts here?
async fn opens_by_password(app: &Arc<App>, caller: &Caller) -> Result<bool, ApiError> {
    Ok(app.sign_in.takes_passwords() && accounts::has_password(app, caller).await?)
}

async fn edit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Precondition(if_match): Precondition,
    Body(change): Body<AccountEdit>,
) -> Result<Response, ApiError> {
    let changed = accounts::update(&app, &caller, change.name, change.communication_email, if_match).await?;
    let version = changed.value.updated_at;
    let has_password = opens_by_password(&app, &caller).await?;
    Ok(tagged(version, written(StatusCode::OK, changed, |row| account(row, has_password))))
}
