//! Invitations: made by those who manage members, accepted by whoever holds the link.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::name::fold_email;
use tokenward_core::permission::Management;
use tokenward_core::{Code, Error, Uuid, password};
use zeroize::Zeroizing;

use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageResult, page};
use super::person::{SignedIn, SignedOut};
use super::role_choices::role_choices;
use super::sessions::password_field;
use super::view::{InvitationCreatedPage, InvitationPage, InvitationStep, InvitePage, Nav, ProviderLink};
use super::words::role_tag;
use crate::issuer::Provider;
use crate::service::App;
use crate::service::acceptance::{self, Accepting, InvitedAccount, Opened};
use crate::service::half_way;
use crate::service::invitations::{self, InvitationWithLinks};
use crate::service::sessions::Proof;

/// `GET …/members/invite`.
pub(super) async fn new(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    let grant = person.may(organization, Management::MemberManage)?;
    invite_page(&person, &grant, &Pairs::default(), Problems::default()).await
}

async fn invite_page(person: &SignedIn, grant: &Grant, typed: &Pairs, mut problems: Problems) -> PageResult {
    let shown = InvitePage {
        shell: person.shell(Some(grant.organization()), Nav::Members).await?,
        email: problems.field("email", typed.line("email")),
        roles: role_choices(person, grant, typed.get("role_id"), &mut problems).await?,
        sends_mail: person.app.live().mailer.is_some(),
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `POST …/members/invite`: shows the link in the answer, once.
pub(super) async fn create(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::MemberManage)?;
    let Some(role) = form.id("role_id") else {
        return invite_page(&person, &grant, &form, Problems::one("role_id", "Choose a role.")).await;
    };
    match invitations::create(&person.app, grant.clone(), form.line("email"), role).await {
        Ok(sent) => created_page(&person, sent.value).await,
        Err(error) => invite_page(&person, &grant, &form, Problems::of(error)?).await,
    }
}

async fn created_page(
    person: &SignedIn,
    InvitationWithLinks { invitation, link, .. }: InvitationWithLinks,
) -> PageResult {
    let organization = invitation.organization_id;
    let role = {
        let directory = person.app.verifier.directory();
        role_tag(directory.organization(organization), invitation.role_id, &invitation.role_name)
    };
    let shown = InvitationCreatedPage {
        shell: person.shell(Some(organization), Nav::Members).await?,
        email: invitation.email,
        role,
        link: link.to_string(),
        expires: person.moment(invitation.expires_at),
        mailed: person.app.live().mailer.is_some(),
    };
    page(StatusCode::CREATED, &shown)
}

/// `POST …/invitations/{id}/resend`: another link, shown once; the old one is dead.
pub(super) async fn resend(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::MemberManage)?;
    let sent = invitations::resend(&person.app, grant, id).await?;
    created_page(&person, sent.value).await
}

/// `POST …/invitations/{id}/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::MemberManage)?;
    invitations::delete(&person.app, grant, id).await?;
    person.done(&format!("/console/{organization}/members"), Flashed::InvitationDeleted)
}

/// `GET /invitation/{id}/{secret}`: shows the form and spends nothing.
pub(super) async fn open(Extension(visitor): Extension<SignedOut>, At((id, secret)): At<(Uuid, String)>) -> PageResult {
    open_page(&visitor, id, secret, &Pairs::default(), Problems::default()).await
}

/// What the link opens, or that it is dead.
async fn find(visitor: &SignedOut, id: Uuid, secret: &str) -> Result<Opened, Error> {
    acceptance::open(&visitor.app, id, secret).await?.ok_or_else(|| visitor.dead_link(acceptance::invalid_invitation()))
}

async fn open_page(visitor: &SignedOut, id: Uuid, secret: String, typed: &Pairs, mut problems: Problems) -> PageResult {
    let Opened { invitation, account } = find(visitor, id, &secret).await?;
    let signed_in_as = visitor.person.as_ref().map(|person| person.caller.by().actor.name().to_owned());
    let step = match (signed_in_as, account) {
        (Some(email), _) if fold_email(&email) == fold_email(&invitation.email) => {
            InvitationStep::Accept { signed_in_as: email }
        }
        (None, account) if account != Some(InvitedAccount::Proven) => InvitationStep::Password {
            takes_over: account == Some(InvitedAccount::NotProven),
            name: problems.field("name", typed.line("name")),
            password: password_field(&mut problems, "password"),
            password_rule: password::rule(),
        },
        (signed_in_as, _) => InvitationStep::SignInFirst { signed_in_as },
    };
    let (role, meaning) = {
        let directory = visitor.app.verifier.directory();
        let organization = directory.organization(invitation.organization_id);
        let meaning = organization.and_then(|organization| organization.role(invitation.role_id));
        let tag = role_tag(organization, invitation.role_id, &invitation.role_name);
        (tag.name, meaning.map(|role| role.meaning()).unwrap_or_default())
    };
    let link_secret = secret.clone();
    let shown = InvitationPage {
        id: id.to_string(),
        secret,
        csrf: visitor.csrf.clone(),
        organization: invitation.organization_name,
        inviter: invitation.inviter,
        email: invitation.email,
        role,
        meaning,
        step,
        passwords: visitor.app.sign_in.takes_passwords(),
        providers: providers(&visitor.app, id, &link_secret),
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// The providers with which somebody can go on who is not signed in.
fn providers(app: &App, id: Uuid, secret: &str) -> Vec<ProviderLink> {
    let link = |provider: &Provider| ProviderLink {
        name: provider.name().to_owned(),
        href: format!("/invitation/{id}/{secret}/with/{}", provider.key),
        icon: provider.icon().to_owned(),
    };
    app.providers.iter().map(link).collect()
}

/// `POST /invitation/{id}/{secret}`.
pub(super) async fn accept(
    Extension(visitor): Extension<SignedOut>,
    At((id, secret)): At<(Uuid, String)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let accepting = match &visitor.person {
        Some(person) => Accepting::SignedIn(person.caller.clone()),
        None => Accepting::WithPassword {
            name: form.line("name"),
            password: Zeroizing::new(form.get("password").to_owned()),
            client: visitor.client.clone(),
        },
    };
    let (invitation, account) = match acceptance::accept(&visitor.app, None, id, &secret, accepting).await {
        Ok(accepted) => accepted.value,
        // The link is dead, and counted; to look it up for the page would count it again.
        Err(error) if matches!(error.code, Code::NotFound | Code::Throttled) => return Err(error.into()),
        Err(error) => return open_page(&visitor, id, secret, &form, Problems::of(error)?).await,
    };
    let home = format!("/console/{}", invitation.organization_id);
    match &visitor.person {
        Some(person) => person.done(&home, Flashed::Joined),
        None => {
            let client = visitor.client.clone();
            let entered = half_way::begin(&visitor.app, account, Proof::invitation(), &home, client).await?;
            visitor.entered(&entered, &home, Some(Flashed::Joined)).await
        }
    }
}
