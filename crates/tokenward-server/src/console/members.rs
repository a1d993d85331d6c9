//! Members: who belongs to the organization, as what, and who owns it.

use std::collections::HashMap;

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::token::RevokeReason;
use tokenward_core::token::Token;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::invitations::Invitation;
use tokenward_store::members::Member;

use super::done::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageResult, page};
use super::paging::paged;
use super::person::SignedIn;
use super::proof;
use super::role_choices::role_choices;
use super::tokens::{people, row as token_row};
use super::view::{
    Choice, FormField, Heirs, InvitationRow, MemberPage, MemberRemovePage, MemberRow, MemberToken, MembersPage, Nav,
    TransferCandidate, TransferPage,
};
use super::words::{count, role_tag};
use crate::service::members::{self, Sent};
use crate::service::token_hand_over::Owned;
use crate::service::{IfMatch, invitations, policy_tokens, receipts, tokens, usage};

/// The box that keeps the invitations of somebody who loses rights.
const KEEP: &str = "keep_invitations";

/// `GET …/members`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::MemberRead)?;
    query.understood(&["page", "invited"])?;
    let may_manage = person.can(organization, Management::MemberManage);
    let made = match person.may(organization, Management::TokenRead) {
        Ok(grant) => tokens::count_by_creator(&person.app, &grant).await?,
        Err(_) => HashMap::new(),
    };
    let rows = members::list(&person.app, &grant).await?;
    let mut rows: Vec<MemberRow> = rows
        .into_iter()
        .map(|member| {
            let made = made.get(&member.account_id).copied().unwrap_or_default();
            row(&person, &grant, member, made)
        })
        .collect();
    rows.sort_by_cached_key(|member| member.name.to_lowercase());
    let pending = if may_manage { pending(&person, organization).await? } else { Vec::new() };
    let shell = person.shell(Some(organization), Nav::Members).await?;
    let path = format!("{}/members", shell.base());
    let (rows, pager) = paged(rows, &path, &query, "page");
    let (pending, invitations_pager) = paged(pending, &path, &query, "invited");
    let shown = MembersPage {
        shell,
        members: rows,
        invitations: pending,
        pager,
        invitations_pager,
        may_manage,
        may_transfer: person.can(organization, Management::OrganizationTransfer),
    };
    page(StatusCode::OK, &shown)
}

/// The living tokens that a member has made, as far as the person may see them.
async fn made_by(person: &SignedIn, organization: Uuid, member: &Member) -> Result<Vec<Token>> {
    match person.may(organization, Management::TokenRead) {
        Ok(grant) => tokens::made_by(&person.app, &grant, member.account_id).await,
        Err(_) => Ok(Vec::new()),
    }
}

fn row(person: &SignedIn, grant: &Grant, member: Member, made: usize) -> MemberRow {
    let directory = person.app.verifier.directory();
    MemberRow {
        id: member.account_id.to_string(),
        role: role_tag(directory.organization(grant.organization()), member.role_id, &member.role_name),
        joined: person.moment(member.created_at),
        last_active: person.moment(member.last_activity_at),
        tokens: made,
        is_you: member.account_id == person.user,
        is_owner: member.is_owner,
        may_manage: person.can(grant.organization(), Management::MemberManage),
        email_proven: member.email_proven_at.is_some(),
        rule: member.rule_provider.zip(member.rule_value).map(|(provider, value)| format!("{provider}:{value}")),
        name: if member.name.is_empty() { member.email.clone() } else { member.name },
        email: member.email,
    }
}

async fn pending(person: &SignedIn, organization: Uuid) -> Result<Vec<InvitationRow>> {
    let grant = person.may(organization, Management::MemberManage)?;
    let all = invitations::list(&person.app, &grant).await?;
    Ok(invitation_rows(person, organization, all))
}

/// The pending invitations that the member has sent.
async fn sent(person: &SignedIn, grant: &Grant, member: &Member) -> Result<Vec<InvitationRow>> {
    let all = members::invitations_of(&person.app, grant, member.account_id).await?;
    Ok(invitation_rows(person, grant.organization(), all))
}

fn invitation_rows(person: &SignedIn, organization: Uuid, all: Vec<Invitation>) -> Vec<InvitationRow> {
    let directory = person.app.verifier.directory();
    let now = person.app.now();
    let row = |i: Invitation| InvitationRow {
        id: i.id.to_string(),
        role: role_tag(directory.organization(organization), i.role_id, &i.role_name),
        email: i.email,
        inviter: i.inviter,
        sent: person.moment(i.updated_at),
        expires: person.moment(i.expires_at),
        expired: i.expires_at <= now,
    };
    all.into_iter().map(row).collect()
}

/// The member that a path names, for somebody who manages members.
async fn managed(person: &SignedIn, organization: Uuid, user: Uuid) -> Result<(Grant, Member)> {
    let grant = person.may(organization, Management::MemberManage)?;
    let member = members::get(&person.app, &grant, user).await?;
    Ok((grant, member))
}

fn refuse_owner(member: &Member) -> Result<()> {
    if member.is_owner {
        return Err(Error::conflict("The owner stays the owner, until the organization is handed over."));
    }
    Ok(())
}

/// `GET …/members/{user}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At((organization, user)): At<(Uuid, Uuid)>,
) -> PageResult {
    let (grant, member) = managed(&person, organization, user).await?;
    refuse_owner(&member)?;
    let typed = Pairs::from([("role_id", member.role_id.to_string())]);
    role_page(&person, &grant, member, &typed, Problems::default()).await
}

async fn role_page(
    person: &SignedIn,
    grant: &Grant,
    member: Member,
    typed: &Pairs,
    mut problems: Problems,
) -> PageResult {
    let user = member.account_id;
    let owned = owned_by(person, grant.organization(), user).await?.len();
    let shown = MemberPage {
        shell: person.shell(Some(grant.organization()), Nav::Members).await?,
        sent: sent(person, grant, &member).await?,
        keep_invitations: typed.on(KEEP),
        member: row(person, grant, member, 0),
        roles: role_choices(person, grant, typed.get("role_id"), &mut problems).await?,
        heirs: heirs(person, grant, (user, owned), typed, &mut problems).await?,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// Who can take over the tokens that a member owns, where there are any and the person may say so.
async fn heirs(
    person: &SignedIn,
    grant: &Grant,
    (user, owned): (Uuid, usize),
    typed: &Pairs,
    problems: &mut Problems,
) -> Result<Heirs> {
    let hint = format!("Who is accountable from then on for the {} that this member owns.", count(owned, "token"));
    if owned == 0 || !person.can(grant.organization(), Management::TokenManage) {
        // Without its field, what is wrong with it is told at the top.
        return Ok(Heirs { owned, hint, choices: Vec::new(), error: None });
    }
    let error = problems.take("hand_over_to");
    let chosen = typed.get("hand_over_to");
    let all = people(person, grant.organization()).await?.into_iter().filter(|(id, _)| *id != user.to_string());
    let nobody = (String::new(), "Leave them as they are".to_owned());
    let choice = |(value, label): (String, String)| Choice { chosen: value == chosen, value, label };
    Ok(Heirs { owned, hint, choices: std::iter::once(nobody).chain(all).map(choice).collect(), error })
}

/// What becomes of the tokens that the member owns.
fn owned(form: &Pairs) -> Result<Owned> {
    form.read("hand_over_to", "a member of this organization", |text| Uuid::try_parse(text).ok()).map(Owned::to)
}

/// The living tokens that a member owns, as far as the person may see them.
async fn owned_by(person: &SignedIn, organization: Uuid, user: Uuid) -> Result<Vec<Token>> {
    match person.may(organization, Management::TokenRead) {
        Ok(grant) => tokens::owned_by(&person.app, &grant, user).await,
        Err(_) => Ok(Vec::new()),
    }
}

/// `POST …/members/{user}`.
pub(super) async fn save_role(
    Extension(person): Extension<SignedIn>,
    At((organization, user)): At<(Uuid, Uuid)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let (grant, member) = managed(&person, organization, user).await?;
    let Some(role) = form.id("role_id") else {
        return role_page(&person, &grant, member, &form, Problems::one("role_id", "Choose a role.")).await;
    };
    let saved = match owned(&form) {
        Ok(owned) => {
            let done_with = (Sent::keep(form.on(KEEP)), owned);
            members::set_role(&person.app, grant.clone(), user, role, done_with, IfMatch::default()).await
        }
        Err(error) => Err(error),
    };
    match saved {
        Ok(saved) => person.done_at(&format!("/console/{organization}/members"), Flashed::MemberSaved, saved.position),
        Err(error) => role_page(&person, &grant, member, &form, Problems::of(error)?).await,
    }
}

/// `POST …/members/{user}/detach`.
pub(super) async fn detach(
    Extension(person): Extension<SignedIn>,
    At((organization, user)): At<(Uuid, Uuid)>,
) -> PageResult {
    let (grant, member) = managed(&person, organization, user).await?;
    match members::detach(&person.app, grant.clone(), user).await {
        Ok(done) => {
            let back = format!("/console/{organization}/members/{user}");
            person.done_at(&back, Flashed::MemberDetached, done.position)
        }
        Err(error) => {
            let typed = Pairs::from([("role_id", member.role_id.to_string())]);
            role_page(&person, &grant, member, &typed, Problems::of(error)?).await
        }
    }
}

/// `GET …/members/{user}/remove`: asks, and lists the tokens that the member made.
pub(super) async fn ask_remove(
    Extension(person): Extension<SignedIn>,
    At((organization, user)): At<(Uuid, Uuid)>,
) -> PageResult {
    let (grant, member) = managed(&person, organization, user).await?;
    refuse_owner(&member)?;
    remove_page(&person, &grant, member, &Pairs::default(), Problems::default()).await
}

async fn remove_page(
    person: &SignedIn,
    grant: &Grant,
    member: Member,
    typed: &Pairs,
    mut problems: Problems,
) -> PageResult {
    let organization = grant.organization();
    let user = member.account_id;
    let mut all = made_by(person, organization, &member).await?;
    let owned = owned_by(person, organization, user).await?;
    let heirs = heirs(person, grant, (user, owned.len()), typed, &mut problems).await?;
    let made: Vec<Uuid> = all.iter().map(|token| token.id).collect();
    all.extend(owned.into_iter().filter(|token| !made.contains(&token.id)));
    let used = usage::of(&person.app, grant, &all).await?;
    // What cannot be read was refused before.
    let chosen: Vec<Uuid> = revoked(typed).unwrap_or_default();
    let made = all.iter().map(|token| {
        let row = token_row(&person.app, token, used.get(&token.id));
        let revoke = chosen.contains(&token.id);
        MemberToken {
            id: row.id,
            name: row.name,
            hint: row.hint,
            role: row.role,
            last_used: row.last_used.map(|used| used.at),
            made: token.creator_id == Some(user),
            owned: token.owner_id == Some(user),
            revoke,
        }
    });
    let shown = MemberRemovePage {
        shell: person.shell(Some(organization), Nav::Members).await?,
        tokens: made.collect(),
        sent: sent(person, grant, &member).await?,
        keep_invitations: typed.on(KEEP),
        member: row(person, grant, member, all.len()),
        may_revoke: person.can(organization, Management::TokenManage),
        heirs,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// The tokens that are to go with the member.
fn revoked(form: &Pairs) -> Result<Vec<Uuid>> {
    let id = |text| Uuid::try_parse(text).map_err(|_| Error::invalid("revoke", "is not the id of a token"));
    form.all("revoke").map(id).collect()
}

/// `POST …/members/{user}/remove`.
pub(super) async fn remove(
    Extension(person): Extension<SignedIn>,
    At((organization, user)): At<(Uuid, Uuid)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let (grant, member) = managed(&person, organization, user).await?;
    let (chosen, owned) = match revoked(&form).and_then(|chosen| Ok((chosen, owned(&form)?))) {
        Ok(read) => read,
        Err(error) => return remove_page(&person, &grant, member, &form, Problems::of(error)?).await,
    };
    // Before the removal: whoever leaves has no rights afterwards.
    let revoking = if chosen.is_empty() { None } else { Some(person.may(organization, Management::TokenManage)?) };
    let mut made = made_by(&person, organization, &member).await?;
    for token in owned_by(&person, organization, user).await? {
        if made.iter().all(|it| it.id != token.id) {
            made.push(token);
        }
    }
    made.retain(|token| chosen.contains(&token.id));
    let by_policy = match made.iter().any(|token| token.kind == Kind::PolicyToken) {
        true => Some(person.may(organization, Management::PolicyManage)?),
        false => None,
    };
    let removing = members::remove(&person.app, grant.clone(), user, (Sent::keep(form.on(KEEP)), owned));
    let mut last = match receipts::without_waiting(removing).await {
        Ok(removed) => removed.position,
        Err(error) => return remove_page(&person, &grant, member, &form, Problems::of(error)?).await,
    };
    let note = format!("Removed with {}.", member.email);
    let why = tokens::Why { reason: RevokeReason::PrivilegeWithdrawn, note: Some(note) };
    let mut all_gone = true;
    for (token, revoking) in made.into_iter().zip(revoking.iter().cycle()) {
        let deleting = async {
            match by_policy.clone().filter(|_| token.kind == Kind::PolicyToken) {
                Some(grant) => {
                    let gone = policy_tokens::delete(&person.app, grant, token.id, why.clone()).await;
                    gone.map(|gone| gone.position)
                }
                None => {
                    let gone = tokens::delete(&person.app, revoking.clone(), token.id, why.clone()).await;
                    gone.map(|gone| gone.position)
                }
            }
        };
        match receipts::without_waiting(deleting).await {
            Ok(position) => last = position,
            Err(error) if error.code == Code::NotFound => {}
            Err(error) => {
                tracing::error!(%error, cause = ?error.cause, "a token of a removed member was not deleted");
                all_gone = false;
            }
        }
    }
    let done = if all_gone { Flashed::MemberRemoved } else { Flashed::MemberRemovedSomeTokens };
    let back = if user == person.user { "/".to_owned() } else { format!("/console/{organization}/members") };
    receipts::wait_for_all(&person.app, last).await;
    person.done_at(&back, done, last)
}

/// `GET …/members/transfer`.
pub(super) async fn ask_transfer(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    let grant = person.may(organization, Management::OrganizationTransfer)?;
    transfer_page(&person, &grant, &Pairs::default(), Problems::default()).await
}

async fn transfer_page(person: &SignedIn, grant: &Grant, typed: &Pairs, mut problems: Problems) -> PageResult {
    let all = members::list(&person.app, grant).await?;
    let candidates = all.into_iter().filter(|member| !member.is_owner).map(|member| row(person, grant, member, 0));
    let candidate =
        |row: MemberRow| TransferCandidate { id: row.id, name: row.name, email: row.email, role: row.role.name };
    let chosen = problems.take("user_id");
    let typed_name = problems.take("confirm");
    let shown = TransferPage {
        shell: person.shell(Some(grant.organization()), Nav::Settings).await?,
        candidates: candidates.map(candidate).collect(),
        chosen: typed.get("user_id").to_owned(),
        typed: FormField { value: typed.get("confirm").to_owned(), error: typed_name },
        password: proof::field(person, &mut problems).await?,
        error: chosen.or_else(|| problems.rest()),
    };
    page(problems.status, &shown)
}

/// `POST …/members/transfer`.
pub(super) async fn transfer(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::OrganizationTransfer)?;
    let name = {
        let directory = person.app.verifier.directory();
        directory.organization(organization).map(|organization| organization.name.to_string()).unwrap_or_default()
    };
    if !form.repeats("confirm", &name) {
        let problems = Problems::one("confirm", format!("This is not the name. Type {name}."));
        return transfer_page(&person, &grant, &form, problems).await;
    }
    let Some(user) = form.id("user_id") else {
        return transfer_page(&person, &grant, &form, Problems::one("user_id", "Choose the new owner.")).await;
    };
    let done = match proof::given(&person, &form).await {
        Ok(()) => members::transfer(&person.app, grant.clone(), user).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(moved) => person.done_at(&format!("/console/{organization}/members"), Flashed::Transferred, moved.position),
        Err(error) => transfer_page(&person, &grant, &form, Problems::of(error)?).await,
    }
}
