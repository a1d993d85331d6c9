//! Members and ownership (contract §1.3).

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokenward_api::members::{
    Member, MemberList, MemberReference, MemberRemoval, MemberRest, MemberRoleUpdate, MemberRule, MemberToken,
};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::nearest::known_words;
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, RoleKind};
use tokenward_core::time::length;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::members::Member as Row;

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Params, Precondition, tagged, written_empty};
use super::json;
use super::paging::{Paging, cut};
use super::right::PathResource;
use crate::limits::{MEMBER_TOKENS, WORD};
use crate::service::App;
use crate::service::members::{self, InvitationFate};
use crate::service::token_hand_over::{Owned, TokenFate};

/// The word of the old vocabulary for a role: connectors still read it.
pub(super) fn deprecated_role(kind: RoleKind) -> &'static str {
    match kind {
        RoleKind::BuiltIn(BuiltIn::Owner) => "OWNER",
        RoleKind::BuiltIn(BuiltIn::Admin) => "ADMIN",
        RoleKind::BuiltIn(BuiltIn::Billing | BuiltIn::Viewer | BuiltIn::Verifier) => "VIEWER",
        RoleKind::BuiltIn(BuiltIn::DevOps) | RoleKind::Custom => "DEVELOPER",
    }
}

fn member(row: Row) -> Member {
    let name = if row.name.is_empty() { row.email.clone() } else { row.name };
    Member {
        id: row.account_id,
        created_at: row.created_at,
        updated_at: row.updated_at,
        nickname: name.clone(),
        name,
        email: row.email,
        profile_picture_url: None,
        last_activity_at: row.last_activity_at,
        role: deprecated_role(row.role_kind).into(),
        role_name: row.role_name,
        role_id: row.role_id,
        email_proven: row.email_proven_at.is_some(),
        rule: row.rule_provider.zip(row.rule_value).map(|(provider, value)| MemberRule { provider, value }),
    }
}

/// The contract types it as a text; ours are UUIDs, so any other text names nobody.
fn user(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::invalid("user_id", "is not a member of this organization"))
}

/// What becomes of the tokens of the member; all faults at once.
fn owned(to: Option<&str>, each: &[MemberToken], rest: Option<&MemberRest>) -> Result<Owned> {
    let mut faults = Faults::default();
    let not_one = "is not a member of this organization";
    let id = |text| Uuid::try_parse(text).map_err(|_| not_one);
    let to = to.and_then(|text| faults.read("hand_over_to", id(text)));
    let each = match MEMBER_TOKENS.check_list(each) {
        Ok(()) => {
            let fates = each.iter().enumerate();
            fates.filter_map(|(at, it)| Some((it.token_id, fate(at, it, &mut faults)?))).collect()
        }
        Err(problem) => {
            faults.push("tokens", problem);
            Vec::new()
        }
    };
    let rest = rest.and_then(|it| of_rest(it, &mut faults));
    faults.finish()?;
    Ok(Owned { to, each, rest })
}

/// What becomes of one of them.
fn fate(at: usize, sent: &MemberToken, faults: &mut Faults) -> Option<TokenFate> {
    let field = |name: &str| format!("tokens[{at}].{name}");
    faults.check(&field("action"), WORD.check_text(&sent.action));
    faults.check(&field("overlap"), WORD.check_text(sent.overlap.as_deref().unwrap_or_default()));
    if sent.to.is_some() && sent.action != "hand_over" {
        faults.push(field("to"), "belongs to the action `hand_over`; leave it out");
    }
    if sent.overlap.is_some() && sent.action != "end" {
        faults.push(field("overlap"), "belongs to the action `end`; leave it out");
    }
    match sent.action.as_str() {
        "keep" => Some(TokenFate::Keep),
        "delete" => Some(TokenFate::Delete),
        "hand_over" => {
            if sent.to.is_none() {
                faults.push(field("to"), "is missing: say who is accountable for it from then on");
            }
            sent.to.map(TokenFate::HandOver)
        }
        "end" => {
            let overlap = sent.overlap.as_deref().and_then(length);
            if overlap.is_none() {
                faults.push(field("overlap"), "is no length of time; write one such as 24h, 30m or 7d");
            }
            overlap.map(TokenFate::End)
        }
        unknown => {
            let known = known_words(unknown, ["keep", "hand_over", "end", "delete"].into_iter());
            faults.push(field("action"), format!("is not known; {known}"));
            None
        }
    }
}

/// What becomes of all others.
fn of_rest(sent: &MemberRest, faults: &mut Faults) -> Option<TokenFate> {
    faults.check("rest.action", WORD.check_text(&sent.action));
    faults.check("rest.overlap", WORD.check_text(sent.overlap.as_deref().unwrap_or_default()));
    match sent.action.as_str() {
        "delete" if sent.overlap.is_some() => {
            faults.push("rest.overlap", "belongs to the action `end`; leave it out");
            None
        }
        "delete" => Some(TokenFate::Delete),
        "end" => {
            let overlap = sent.overlap.as_deref().and_then(length);
            if overlap.is_none() {
                faults.push("rest.overlap", "is no length of time; write one such as 24h, 30m or 7d");
            }
            overlap.map(TokenFate::End)
        }
        unknown => {
            let known = known_words(unknown, ["end", "delete"].into_iter());
            faults.push("rest.action", format!("is not known; {known}"));
            None
        }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/organization/{organizationId}/member";
    let mut transfer = post("/organization/{organizationId}/transferOwnership", transfer)
        .needs(Management::OrganizationTransfer, PathResource::Organization)
        .about(
            "Members",
            "Hand the organization over to another member. Needs the password of a moment ago (`/session/proof`).",
        )
        .takes::<MemberReference>()
        .answers_empty(204)
        .errors(&[409]);
    transfer.user_only = true;
    vec![
        get(ALL, list)
            .needs(Management::MemberRead, PathResource::Organization)
            .about("Members", "The members.")
            .in_pages()
            .answers::<MemberList>(200),
        put(ALL, set_role)
            .needs(Management::MemberManage, PathResource::Organization)
            .about(
                "Members",
                "Give a member another role. With a smaller one, the invitations that the member has sent end. The tokens that the \
                 member owns can be handed over, and single ones that the member owns or has made be ended after a while, or deleted.",
            )
            .takes::<MemberRoleUpdate>()
            .answers_empty(200)
            .errors(&[409, 412]),
        delete(ALL, remove)
            .needs(Management::MemberManage, PathResource::Organization)
            .about(
                "Members",
                "Remove a member. The invitations that the member has sent end; tokens that the member made stay. Those that the \
                 member owns go to whom the request names, or to their successors. Single ones are handed over to somebody else, end \
                 after a while or are deleted.",
            )
            .takes::<MemberRemoval>()
            .answers_empty(204)
            .errors(&[409]),
        transfer,
        post("/organization/{organizationId}/member/detach", detach)
            .needs(Management::MemberManage, PathResource::Organization)
            .about(
                "Members",
                "Make a membership that a rule made one that was made by hand: it follows no provider any more.",
            )
            .takes::<MemberReference>()
            .answers_empty(204)
            .errors(&[409]),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(paging): Params<Paging>,
) -> Result<Response, ApiError> {
    let page = paging.of("member", grant.organization())?;
    let rows = members::list(&app, &grant).await?;
    let list = move |rows| {
        let (rows, next_cursor) = cut(page.as_ref(), rows, |row: &Row| row.account_id);
        MemberList { results: rows.into_iter().map(member).collect(), next_cursor }
    };
    Ok(json::listed(grant.organization(), rows.len(), move || list(rows)).await?)
}

async fn set_role(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Precondition(if_match): Precondition,
    Body(change): Body<MemberRoleUpdate>,
) -> Result<Response, ApiError> {
    let sent = InvitationFate::keep(change.keep_invitations);
    let owned = owned(change.hand_over_to.as_deref(), &change.tokens, change.rest.as_ref())?;
    let member = user(&change.user_id)?;
    let changed = members::set_role(&app, grant, member, change.role_id, (sent, owned), if_match).await?;
    Ok(tagged(changed.value, written_empty(StatusCode::OK, &changed)))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(member): Body<MemberRemoval>,
) -> Result<Response, ApiError> {
    let owned = owned(member.hand_over_to.as_deref(), &member.tokens, member.rest.as_ref())?;
    let done_with = (InvitationFate::keep(member.keep_invitations), owned);
    Ok(written_empty(StatusCode::NO_CONTENT, &members::remove(&app, grant, user(&member.user_id)?, done_with).await?))
}

async fn detach(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(member): Body<MemberReference>,
) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &members::detach(&app, grant, user(&member.user_id)?).await?))
}

async fn transfer(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(member): Body<MemberReference>,
) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &members::transfer(&app, grant, user(&member.user_id)?).await?))
}
