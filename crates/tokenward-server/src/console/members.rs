//! Members: who belongs to the organization, as what, and who owns it.

use std::collections::HashMap;

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::invitations::Invitation;
use tokenward_store::members::Member;

use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::member_tokens;
use super::page::{At, PageResult, long_page, page};
use super::paging::{Column, Holds, List, ListPlace, SortKey};
use super::person::SignedIn;
use super::proof;
use super::role_choices::role_choices;
use super::view::{
    FormField, InvitationRow, MemberPage, MemberRemovePage, MemberRow, MembersPage, Nav, TransferCandidate,
    TransferPage,
};
use super::way_back::INVITED_KEYS;
use super::words::role_tag;
use crate::service::members::{self, InvitationFate};
use crate::service::{IfMatch, invitations, tokens};

/// The box that keeps the invitations of somebody who loses rights.
const KEEP: &str = "keep_invitations";

/// The members, in an order.
static MEMBERS: List = List {
    word: "members",
    keys: List::KEYS,
    columns: &[
        Column::new("name", "Name", Holds::Text),
        Column::new("role", "Role", Holds::Text),
        Column::new("joined", "Joined", Holds::Past).classed("opt roomy"),
        Column::new("active", "Last active", Holds::Past),
        Column::new("tokens", "Tokens made", Holds::Number),
    ],
};

/// Those who are invited, on the same page.
static INVITED: List = List {
    word: "invitations",
    keys: INVITED_KEYS,
    columns: &[
        Column::new("email", "E-mail", Holds::Text),
        Column::new("role", "Role", Holds::Text),
        Column::new("sent", "Invited", Holds::Past),
        Column::new("ends", "Link ends", Holds::Future),
    ],
};

/// What people call a member.
fn called(member: &Member) -> &str {
    if member.name.is_empty() { &member.email } else { &member.name }
}

/// `GET …/members`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::MemberRead)?;
    query.understood(&[MEMBERS.keys, INVITED.keys].concat())?;
    let (order, invited) = (MEMBERS.read(&query, organization)?, INVITED.read(&query, organization)?);
    let may_manage = person.can(organization, Management::MemberManage);
    let made = match person.may(organization, Management::TokenRead) {
        Ok(grant) => tokens::count_by_creator(&person.app, &grant).await?,
        Err(_) => HashMap::new(),
    };
    let all: Vec<(Member, usize)> = members::list(&person.app, &grant)
        .await?
        .into_iter()
        .map(|member| {
            let made = made.get(&member.account_id).copied().unwrap_or_default();
            (member, made)
        })
        .collect();
    let word = order.word();
    let place = move |(member, made): &(Member, usize)| ListPlace {
        key: match word {
            "role" => SortKey::texts(&member.role_name, called(member)),
            "joined" => SortKey::Number(member.created_at.0),
            "active" => SortKey::Number(member.last_activity_at.0),
            "tokens" => SortKey::count(*made),
            _ => SortKey::text(called(member)),
        },
        id: member.account_id,
    };
    let members = order.cut_aside(organization, all, place).await?;
    let pending = match person.may(organization, Management::MemberManage) {
        Ok(grant) => invitations::list(&person.app, &grant).await?,
        Err(_) => Vec::new(),
    };
    let word = invited.word();
    let place = move |it: &Invitation| ListPlace {
        key: match word {
            "role" => SortKey::texts(&it.role_name, &it.email),
            "sent" => SortKey::Number(it.updated_at.0),
            "ends" => SortKey::Number(it.expires_at.0),
            _ => SortKey::text(&it.email),
        },
        id: it.id,
    };
    let pending = invited.cut_aside(organization, pending, place).await?;
    let shell = person.shell(Some(organization), Nav::Members).await?;
    let path = format!("{}/members", shell.base());
    let shown = MembersPage {
        shell,
        list: order.frame(&path, &query, &members),
        invited: invited.frame(&path, &query, &pending),
        members: members.entries.into_iter().map(|(member, made)| row(&person, &grant, member, made)).collect(),
        invitations: invitation_rows(&person, organization, pending.entries),
        may_manage,
        may_transfer: person.can(organization, Management::OrganizationTransfer),
    };
    page(StatusCode::OK, &shown)
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
    let (tokens, heirs) = member_tokens::fields(person, grant, &member, typed, &mut problems).await?;
    let shown = MemberPage {
        shell: person.shell(Some(grant.organization()), Nav::Members).await?,
        sent: sent(person, grant, &member).await?,
        keep_invitations: typed.on(KEEP),
        member: row(person, grant, member, 0),
        roles: role_choices(person, grant, typed.get("role_id"), &mut problems).await?,
        tokens,
        heirs,
        error: problems.rest(),
    };
    long_page(grant.organization(), problems.status, shown).await
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
    let saved = match member_tokens::typed(&form) {
        Ok(owned) => {
            let done_with = (InvitationFate::keep(form.on(KEEP)), owned);
            members::set_role(&person.app, grant.clone(), user, role, done_with, IfMatch::default()).await
        }
        Err(error) => Err(error),
    };
    match saved {
        Ok(saved) => person.done_at(&format!("/console/{organization}/members"), Flashed::MemberSaved, saved.position),
        Err(error) => role_page(&person, &grant, member, &form, member_tokens::problems(error)?).await,
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
    let (tokens, heirs) = member_tokens::fields(person, grant, &member, typed, &mut problems).await?;
    let made = tokens.count;
    let shown = MemberRemovePage {
        shell: person.shell(Some(organization), Nav::Members).await?,
        tokens,
        sent: sent(person, grant, &member).await?,
        keep_invitations: typed.on(KEEP),
        member: row(person, grant, member, made),
        heirs,
        error: problems.rest(),
    };
    long_page(grant.organization(), problems.status, shown).await
}

/// `POST …/members/{user}/remove`.
pub(super) async fn remove(
    Extension(person): Extension<SignedIn>,
    At((organization, user)): At<(Uuid, Uuid)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let (grant, member) = managed(&person, organization, user).await?;
    let removed = match member_tokens::typed(&form) {
        Ok(owned) => {
            members::remove(&person.app, grant.clone(), user, (InvitationFate::keep(form.on(KEEP)), owned)).await
        }
        Err(error) => Err(error),
    };
    match removed {
        Ok(removed) => {
            let back = if user == person.user { "/".to_owned() } else { format!("/console/{organization}/members") };
            person.done_at(&back, Flashed::MemberRemoved, removed.position)
        }
        Err(error) => remove_page(&person, &grant, member, &form, member_tokens::problems(error)?).await,
    }
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
    long_page(grant.organization(), problems.status, shown).await
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
