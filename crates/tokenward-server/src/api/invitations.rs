//! Invitations (contract §1.3).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use tokenward_api::invitations::{AcceptRequest, InviteMember, InviteMemberList, InviteMemberRequest};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;
use tokenward_core::role::BuiltIn;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::invitations::Invitation;
use zeroize::Zeroizing;

use super::endpoint::{Endpoint, delete, get, post};
use super::error::ApiError;
use super::extract::{Body, Params, Path, client, credential, id, written, written_empty};
use super::json;
use super::members::deprecated_role;
use super::paging::{Paging, cut};
use super::right::PathResource;
use crate::limits::{EMAIL, LINK_SECRET, NAME, PASSWORD};
use crate::service::acceptance::{self, Accepting};
use crate::service::{App, invitations, roles};

fn invite(app: &App, link: Option<&str>, row: Invitation) -> InviteMember {
    InviteMember {
        invitation_link: link.map_or_else(|| invitations::plain_link(app, row.id), str::to_owned),
        id: row.id,
        created_at: row.created_at,
        updated_at: row.updated_at,
        email: row.email,
        role: deprecated_role(row.role_kind).into(),
        invitation_status: if app.now() < row.expires_at { "PENDING" } else { "EXPIRED" }.into(),
        inviter: row.inviter,
        inviter_kind: row.inviter_kind,
        inviter_id: row.inviter_id,
        organization_name: row.organization_name,
        logo_url: None,
        role_id: row.role_id,
        role_name: row.role_name,
        expires_at: row.expires_at,
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/organization/{organizationId}/inviteMember";
    const ONE: &str = "/organization/{organizationId}/inviteMember/{inviteId}";
    vec![
        get(ALL, list).needs(Management::MemberRead, PathResource::Organization)
            .about("Members", "The invitations, expired ones among them.").in_pages().answers::<InviteMemberList>(200),
        post(ALL, create).needs(Management::MemberManage, PathResource::Organization).idempotent()
            .about("Members", "Invite somebody. The link is shown once.")
            .takes::<InviteMemberRequest>().answers::<InviteMember>(201).errors(&[409]),
        get(ONE, show).needs(Management::MemberRead, PathResource::Organization)
            .about("Members", "One invitation.").answers::<InviteMember>(200).errors(&[400]),
        post(ONE, accept).public()
            .about("Members", "Accept an invitation: with the secret of its link, and the session or the password of its address's account, or a password for a new one.")
            .takes::<AcceptRequest>().answers::<InviteMember>(201).errors(&[401, 403, 404, 409, 429, 503]),
        delete(ONE, remove).needs(Management::MemberManage, PathResource::Organization)
            .about("Members", "Take an invitation back.").answers_empty(204).errors(&[400]),
        post("/organization/{organizationId}/inviteMember/{inviteId}/resend", resend).needs(Management::MemberManage, PathResource::Organization)
            .about("Members", "Make new links for an invitation; the old ones are dead.").answers::<InviteMember>(200).errors(&[400]),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(paging): Params<Paging>,
) -> Result<Response, ApiError> {
    let organization = grant.organization();
    let page = paging.of("inviteMember", organization)?;
    let (rows, next_cursor) = cut(page.as_ref(), invitations::list(&app, &grant).await?, |row| row.id);
    let count = rows.len();
    let list = move || {
        let results = rows.into_iter().map(|row| invite(&app, None, row)).collect();
        InviteMemberList { results, next_cursor }
    };
    Ok(json::listed(organization, count, list).await?)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(new): Body<InviteMemberRequest>,
) -> Result<Response, ApiError> {
    let mut faults = Faults::default();
    faults.check("email", EMAIL.check_text(&new.email));
    let role = match (new.role_id, new.role.as_deref()) {
        (Some(role), _) => Ok(role),
        (None, Some(word)) => {
            let built_in = match word {
                "ADMIN" => BuiltIn::Admin,
                "DEVELOPER" => BuiltIn::DevOps,
                "VIEWER" => BuiltIn::Viewer,
                "OWNER" => return Err(Error::invalid("role", "cannot be OWNER; ownership moves by a transfer").into()),
                _ => {
                    return Err(Error::invalid(
                        "role",
                        "is not one of ADMIN, DEVELOPER, VIEWER; better send `role_id`",
                    )
                    .into());
                }
            };
            roles::built_in(&app, &grant, built_in)
        }
        (None, None) => Err(Error::invalid("role_id", "is missing; send a role of availableRole")),
    };
    let role = faults.and(role)?;
    let created = invitations::create(&app, grant, new.email, role).await?;
    Ok(written(StatusCode::CREATED, created, |sent| invite(&app, Some(&sent.link), sent.invitation)))
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, invitation)): Path<(Uuid, String)>,
) -> Result<Json<InviteMember>, ApiError> {
    let row = invitations::get(&app, &grant, id("inviteId", &invitation)?).await?;
    Ok(Json(invite(&app, None, row)))
}

async fn resend(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, invitation)): Path<(Uuid, String)>,
) -> Result<Response, ApiError> {
    let sent = invitations::resend(&app, grant, id("inviteId", &invitation)?).await?;
    Ok(written(StatusCode::OK, sent, |sent| invite(&app, Some(&sent.link), sent.invitation)))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, invitation)): Path<(Uuid, String)>,
) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &invitations::delete(&app, grant, id("inviteId", &invitation)?).await?))
}

async fn accept(
    State(app): State<Arc<App>>,
    Path((organization, invitation)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let (organization, invitation) = (id("organizationId", &organization)?, id("inviteId", &invitation)?);
    let client = client(request.headers(), request.extensions(), &app.live().trusted_proxies);
    let caller = match request.headers().contains_key(header::AUTHORIZATION) {
        true => Some(app.verifier.authenticate(credential(request.headers())?, &client)?),
        false => None,
    };
    if let Some(caller) = &caller {
        caller.require_user()?;
    }
    // The published clients send no body here; without a secret nothing can be accepted.
    let Body(body) = <Body<AcceptRequest> as axum::extract::FromRequest<()>>::from_request(request, &()).await?;
    let secret = body.secret.unwrap_or_default();
    let mut faults = Faults::default();
    faults.check("secret", LINK_SECRET.check_text(&secret));
    faults.check("name", NAME.check_text(body.name.as_deref().unwrap_or_default()));
    faults.check("password", PASSWORD.check_text(body.password.as_deref().unwrap_or_default()));
    faults.finish()?;
    if secret.is_empty() {
        return Err(Error::invalid("secret", "is missing: it is the last part of the invitation's link").into());
    }
    let accepting = match (caller, body.password) {
        (Some(caller), _) => Accepting::SignedIn(caller),
        (None, Some(password)) => {
            Accepting::WithPassword { name: body.name.unwrap_or_default(), password: Zeroizing::new(password), client }
        }
        (None, None) => {
            let problem =
                "is missing: sign in with the account of this address, or send its password or that of a new one";
            return Err(Error::invalid("password", problem).into());
        }
    };
    let accepted = acceptance::accept(&app, Some(organization), invitation, &secret, accepting).await?;
    Ok(written(StatusCode::CREATED, accepted, |(row, _)| invite(&app, None, row)))
}
