//! The same done to many tokens of a kind at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokenward_api::tokens::{
    ApiTokenBulk, ApiTokenBulkMember, ApiTokenBulkRequest, ApiTokenRevokeAll, ApiTokenRevokeAllRequest,
};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::nearest::known_words;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::token::RevokeReason;
use tokenward_core::{Error, Result};
use tokenward_store::tokens::pages::Version;

use super::endpoint::{Endpoint, post};
use super::error::ApiError;
use super::extract::{Body, Params, written};
use super::right::PathResource;
use super::tokens::{FILTER_KINDS, FILTERS, ListQuery};
use crate::limits::{DESCRIPTION, TOKEN_BULK_IDS, WORD};
use crate::service::App;
use crate::service::token_bulk::{self, Action, Set};
use crate::service::token_cut::{self, CutPreview};
use crate::service::tokens::Why;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/organization/{organizationId}/apiToken/bulk", bulk)
            .needs(Management::TokenManage, PathResource::Organization)
            .about(
                "API tokens",
                "Delete, switch off or on, give an end or an owner to many tokens: those that the filters leave, as in their list. Look first, with \
                 `dry_run`; the call that does it repeats the `set` of that answer.",
            )
            .query(FILTERS)
            .query_kinds(FILTER_KINDS)
            .takes::<ApiTokenBulkRequest>()
            .answers::<ApiTokenBulk>(200)
            .errors(&[409]),
        post("/organization/{organizationId}/policyApiToken/bulk", bulk_of_policies)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "Delete, switch off or on, give an end or an owner to many policy tokens: those that the filters leave, as in their list. Look \
                 first, with `dry_run`; the call that does it repeats the `set` of that answer.",
            )
            .query(FILTERS)
            .query_kinds(FILTER_KINDS)
            .takes::<ApiTokenBulkRequest>()
            .answers::<ApiTokenBulk>(200)
            .errors(&[409]),
        post("/organization/{organizationId}/apiToken/revokeAll", revoke_all)
            .needs(Management::TokenManage, PathResource::Organization)
            .about(
                "API tokens",
                "Take back all tokens of the organization at once, policy tokens too, or those that were made before a moment. They \
                 are refused from the moment this answers, however many they are. It cannot be undone.",
            )
            .takes::<ApiTokenRevokeAllRequest>()
            .answers::<ApiTokenRevokeAll>(200)
            .errors(&[409]),
    ]
}

/// What is to be done; all faults at once.
fn action(sent: &ApiTokenBulkRequest) -> Result<Action> {
    let mut faults = Faults::default();
    let only = |faults: &mut Faults, field: &str, there: bool, action: &str| {
        if there && sent.action != action {
            faults.push(field, format!("belongs to the action `{action}`; leave it out"));
        }
    };
    only(&mut faults, "reason", sent.reason.is_some(), "delete");
    only(&mut faults, "note", sent.note.is_some(), "delete");
    only(&mut faults, "expires_at", sent.expires_at.is_some(), "set_end");
    only(&mut faults, "owner_id", sent.owner_id.is_some(), "hand_over");
    let reason = sent.reason.as_deref().and_then(|word| faults.read("reason", RevokeReason::parse(word)));
    faults.check("action", WORD.check_text(&sent.action));
    faults.check("set", WORD.check_text(sent.set.as_deref().unwrap_or_default()));
    faults.check("note", DESCRIPTION.check_text(sent.note.as_deref().unwrap_or_default()));
    if let Some(ids) = &sent.token_ids {
        faults.check("token_ids", TOKEN_BULK_IDS.check_list(ids));
    }
    match (sent.dry_run, &sent.set) {
        (true, Some(_)) => faults.push("set", "belongs to the call that does it; leave it out with `dry_run`"),
        (false, None) => faults.push("set", "is missing: look first with `dry_run`, and send the `set` of its answer"),
        _ => {}
    }
    let action = match sent.action.as_str() {
        "delete" => {
            let reason = reason.unwrap_or(RevokeReason::Unspecified);
            Some(Action::Delete(Why { reason, note: sent.note.clone() }))
        }
        "disable" => Some(Action::Disable),
        "enable" => Some(Action::Enable),
        "hand_over" if sent.owner_id.is_none() => {
            faults.push("owner_id", "is missing: say who is accountable for them, or null for nobody");
            None
        }
        "hand_over" => sent.owner_id.map(Action::HandOver),
        "set_end" if sent.expires_at.is_none() => {
            faults.push("expires_at", "is missing: say when they end, or null for never");
            None
        }
        "set_end" => sent.expires_at.map(Action::SetEnd),
        unknown => {
            let known = known_words(unknown, ["delete", "disable", "enable", "set_end", "hand_over"].into_iter());
            faults.push("action", format!("is not known; {known}"));
            None
        }
    };
    faults.finish()?;
    action.ok_or_else(|| Error::internal("an action without a fault"))
}

fn answer(set: &Set, mark: String, done: usize) -> ApiTokenBulk {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let member = |it: &Version| ApiTokenBulkMember { id: it.id, name: it.name.clone() };
    ApiTokenBulk {
        count: count(set.count()),
        set: mark,
        done: count(done),
        first: set.named().iter().map(member).collect(),
    }
}

async fn bulk(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ListQuery>,
    Body(sent): Body<ApiTokenBulkRequest>,
) -> std::result::Result<Response, ApiError> {
    Ok(bulk_of(&app, grant, Kind::Token, query, sent).await?)
}

async fn bulk_of_policies(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ListQuery>,
    Body(sent): Body<ApiTokenBulkRequest>,
) -> std::result::Result<Response, ApiError> {
    Ok(bulk_of(&app, grant, Kind::PolicyToken, query, sent).await?)
}

async fn bulk_of(
    app: &Arc<App>,
    grant: Grant,
    kind: Kind,
    query: ListQuery,
    sent: ApiTokenBulkRequest,
) -> Result<Response> {
    let (filter, _) = query.wanted(app, &grant, kind).await?;
    let action = action(&sent)?;
    let set = token_bulk::choose(app, &grant, &filter, sent.token_ids.as_deref()).await?;
    let mark = set.mark();
    let Some(asked) = sent.set else { return Ok(Json(answer(&set, mark, 0)).into_response()) };
    let shown = set.clone();
    let done = token_bulk::apply(app, grant, set, &asked, action).await?;
    Ok(written(StatusCode::OK, done, |done| answer(&shown, mark, done)))
}

async fn revoke_all(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(sent): Body<ApiTokenRevokeAllRequest>,
) -> std::result::Result<Response, ApiError> {
    let mut faults = Faults::default();
    let reason = sent.reason.as_deref().and_then(|word| faults.read("reason", RevokeReason::parse(word)));
    faults.check("note", DESCRIPTION.check_text(sent.note.as_deref().unwrap_or_default()));
    faults.finish()?;
    let answer = |it: CutPreview, done| ApiTokenRevokeAll { count: it.count, includes_caller: it.own, done };
    let found = token_cut::preview(&app, &grant, sent.created_before).await?;
    if sent.dry_run || found.count == 0 {
        return Ok(Json(answer(found, false)).into_response());
    }
    let why = Why { reason: reason.unwrap_or(RevokeReason::Unspecified), note: sent.note };
    let done = token_cut::apply(&app, grant, sent.created_before, why).await?;
    Ok(written(StatusCode::OK, done, |found| answer(found, true)))
}
