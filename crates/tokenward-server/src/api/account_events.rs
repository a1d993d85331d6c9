//! What happened to accounts: for the person, and for those who manage the members of an organization.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde::Deserialize;
use tokenward_api::accounts::{AccountEvent, AccountEventList};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};

use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use super::extract::{Params, id};
use super::right::PathResource;
use crate::service::App;
use crate::service::security::{self, Happened};

#[derive(Deserialize)]
struct Query {
    before: Option<String>,
}

impl Query {
    fn read(self) -> Result<Option<Time>> {
        let Some(text) = self.before.filter(|text| !text.is_empty()) else { return Ok(None) };
        let at = Time::parse_query(&text).ok_or_else(|| {
            Error::invalid("before", "is neither RFC 3339 nor a Unix time, such as the `timestamp` of the last entry")
        })?;
        Ok(Some(at))
    }
}

fn list(all: Vec<Happened>) -> Json<AccountEventList> {
    let results = all.into_iter().map(|happened| {
        let Happened { at, what, count, actor, address, user_agent } = happened;
        let (actor_kind, actor_id, actor) = match actor {
            Some((kind, id, name)) => (Some(kind), id, Some(name)),
            None => (None, None, None),
        };
        AccountEvent {
            timestamp: at,
            kind: what.as_str().into(),
            count,
            address,
            user_agent,
            actor_kind,
            actor_id,
            actor,
        }
    });
    Json(AccountEventList { results: results.collect() })
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const QUERY: &[(&str, &str)] = &[("before", "Only what was before: RFC 3339, or a Unix time.")];
    vec![
        get("/account/events", own)
            .user()
            .about("Account", "What happened to your own account, and what was tried: sign-ins, links, passwords.")
            .query(QUERY)
            .answers::<AccountEventList>(200)
            .errors(&[400]),
        get("/organization/{organizationId}/member/{memberId}/events", of_member)
            .needs(Management::MemberManage, PathResource::Organization)
            .about("Members", "What happened to the account of a member, and what was tried.")
            .query(QUERY)
            .answers::<AccountEventList>(200)
            .errors(&[400, 404]),
    ]
}

async fn own(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<Query>,
) -> Result<Json<AccountEventList>, ApiError> {
    Ok(list(security::of_caller(&app, &caller, query.read()?).await?))
}

async fn of_member(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, member)): Path<(Uuid, String)>,
    Params(query): Params<Query>,
) -> Result<Json<AccountEventList>, ApiError> {
    Ok(list(security::of_member(&app, &grant, id("memberId", &member)?, query.read()?).await?))
}
