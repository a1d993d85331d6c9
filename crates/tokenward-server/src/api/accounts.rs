//! The signed-in person's own account (contract §1.4). Tokens have none.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokenward_core::caller::Caller;
use tokenward_core::{Time, Uuid};
use tokenward_store::accounts::Account as Row;
use utoipa::ToSchema;

use super::endpoint::{Endpoint, get, put};
use super::error::ApiError;
use super::extract::{Body, present, written};
use crate::service::{App, accounts};

/// An account.
#[derive(Serialize, ToSchema)]
struct Account {
    id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    nickname: String,
    first_name: String,
    last_name: String,
    profile_picture_url: Option<String>,
    /// Where mail goes.
    communication_email: String,
    /// Ours: the address that signs in.
    email: String,
}

impl From<Row> for Account {
    fn from(row: Row) -> Self {
        let (first, last) = row.name.rsplit_once(' ').unwrap_or((&row.name, ""));
        Self {
            id: row.id,
            created_at: Time(row.created_at),
            nickname: if row.name.is_empty() { row.email.clone() } else { row.name.clone() },
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            profile_picture_url: None,
            communication_email: row.communication_email.unwrap_or_else(|| row.email.clone()),
            email: row.email,
        }
    }
}

/// A change of the account; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountEdit {
    /// Where mail goes; null for the address that signs in.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    communication_email: Option<Option<String>>,
    /// Ours: the person's name.
    name: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/account", show).user().about("Account", "Your own account.").answers::<Account>(200),
        put("/account", edit)
            .user()
            .about("Account", "Change your own account.")
            .takes::<AccountEdit>()
            .answers::<Account>(200),
    ]
}

async fn show(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Json<Account>, ApiError> {
    Ok(Json(accounts::get(&app, &caller).await?.into()))
}

async fn edit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(change): Body<AccountEdit>,
) -> Result<Response, ApiError> {
    let changed = accounts::update(&app, &caller, change.name, change.communication_email).await?;
    Ok(written(StatusCode::OK, changed, Account::from))
}
