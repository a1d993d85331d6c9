//! Signing in by a provider of identities: the way there, the way back, and what is done for somebody who is new here.

use axum::Extension;
use axum::http::HeaderMap;
use axum::response::Response;
use tokenward_core::permission::Management;
use tokenward_core::{Code, Error, Uuid};

use super::cookie;
use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{ANEW, At, PageResult, next_to, own_path, page, see_other, sign_in_with};
use super::person::{SignedIn, SignedOut};
use super::proof;
use super::sign_in_trial;
use super::view::{
    ConfirmPage, DetailLine, FormField, IdentityPage, IdentityStep, InvitedTo, LinkIdentityPage, Nav, ProviderLink,
};
use super::words::role_tag;
use crate::service::acceptance;
use crate::service::oidc::{self, Came, First, Pending, ProviderAnswer, Purpose};
use crate::service::{App, identities, sessions};

/// What the name of a cookie begins with that a browser carries while its person is at a provider.
const ATTEMPT: &str = "__Host-tokenward-at-";
/// What it carries of somebody whose identity opens no account.
const IDENTITY: &str = "__Host-tokenward-identity";
/// Where that is shown.
const IDENTITY_PAGE: &str = "/sign-in/identity";
/// Where it is linked.
const LINK_PAGE: &str = "/console/account/identities/link";
/// Where the identities of an account are shown.
const ACCOUNT: &str = "/console/account";
/// The longest path that is gone on to: it travels in a cookie.
const NEXT_MAX: usize = 1_000;

/// The ways to sign in besides a password.
pub(super) fn ways(app: &App, next: &str) -> Vec<ProviderLink> {
    let link = |provider: &crate::issuer::Provider| {
        let href = if next.is_empty() {
            format!("/sign-in/with/{}", provider.key)
        } else {
            sign_in_with(&provider.key, next, false)
        };
        ProviderLink { name: provider.name().to_owned(), href, icon: provider.icon().to_owned() }
    };
    app.providers.iter().map(link).collect()
}

/// Does a page of somebody else lead here? Then the person sees first where that is.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// `GET /sign-in/with/{key}`: a link and not a form, since browsers hold the redirects of a form against our policy.
pub(super) async fn go(
    Extension(visitor): Extension<SignedOut>,
    At(key): At<String>,
    Query(query): Query,
    headers: HeaderMap,
) -> PageResult {
    let next = own_path(query.get("next")).filter(|next| next.len() <= NEXT_MAX).unwrap_or("/").to_owned();
    if from_elsewhere(&headers) {
        let query = next_to(&next);
        return see_other(&format!("/sign-in?{query}"));
    }
    let purpose = if query.get(ANEW).is_empty() { Purpose::SignIn(next) } else { Purpose::SignInAnew(next) };
    sent(&visitor.app, &key, purpose, &headers).await
}

/// `GET /invitation/{id}/{secret}/with/{key}`.
pub(super) async fn go_with_invitation(
    Extension(visitor): Extension<SignedOut>,
    At((id, secret, key)): At<(Uuid, String, String)>,
    headers: HeaderMap,
) -> PageResult {
    if from_elsewhere(&headers) {
        return see_other(&format!("/invitation/{id}/{secret}"));
    }
    // A dead link leads nowhere, and is counted.
    if acceptance::open(&visitor.app, id, &secret).await?.is_none() {
        return Err(visitor.dead_link(acceptance::invalid_invitation()).into());
    }
    sent(&visitor.app, &key, Purpose::Invitation(id, secret), &headers).await
}

/// `GET /console/account/identities/with/{key}`: to link another one.
pub(super) async fn go_to_link(
    Extension(person): Extension<SignedIn>,
    At(key): At<String>,
    headers: HeaderMap,
) -> PageResult {
    if from_elsewhere(&headers) {
        return see_other(ACCOUNT);
    }
    sent(&person.app, &key, Purpose::Link, &headers).await
}

/// `GET /console/account/prove/{key}`: to prove anew who sits here, and go on to `next`.
pub(super) async fn go_to_prove(
    Extension(person): Extension<SignedIn>,
    At(key): At<String>,
    Query(query): Query,
    headers: HeaderMap,
) -> PageResult {
    if from_elsewhere(&headers) {
        return see_other(ACCOUNT);
    }
    let next = own_path(query.get("next")).filter(|next| next.len() <= NEXT_MAX).unwrap_or(ACCOUNT);
    let purpose = Purpose::Prove(person.caller.credential_id(), next.to_owned());
    sent(&person.app, &key, purpose, &headers).await
}

/// `GET …/settings/sign-in/try/{key}`: to see what the provider says; it begins nothing.
pub(super) async fn go_to_try(
    Extension(person): Extension<SignedIn>,
    At((organization, key)): At<(Uuid, String)>,
    headers: HeaderMap,
) -> PageResult {
    person.may(organization, Management::MemberManage)?;
    if from_elsewhere(&headers) {
        return see_other(&format!("/console/{organization}/settings/sign-in"));
    }
    sent(&person.app, &key, Purpose::Try(organization, person.caller.credential_id()), &headers).await
}

/// Sends somebody to a provider.
async fn sent(app: &App, key: &str, purpose: Purpose, headers: &HeaderMap) -> PageResult {
    let going = oidc::begin(app, key, purpose).await?;
    let mut response = see_other(&going.url)?;
    for name in oidc::too_many(app, cookie::all(headers).filter(|(name, _)| name.starts_with(ATTEMPT))) {
        cookie::clear(response.headers_mut(), name);
    }
    let name = attempt_cookie(&going.state).ok_or_else(|| Error::internal("a state that names no cookie"))?;
    let seconds = crate::limits::SIGN_IN_ATTEMPT_TIME.time().as_secs().cast_signed();
    cookie::set(response.headers_mut(), &name, &going.cookie, Some(seconds))?;
    Ok(response)
}

fn attempt_cookie(state: &str) -> Option<String> {
    oidc::short(state).map(|short| format!("{ATTEMPT}{short}"))
}

/// `GET /sign-in/with/{key}/callback`: the way back.
pub(super) async fn back(
    Extension(visitor): Extension<SignedOut>,
    At(key): At<String>,
    Query(query): Query,
    headers: HeaderMap,
) -> PageResult {
    let given = |name: &str| query.all(name).next();
    let state = query.get("state");
    let name = attempt_cookie(state);
    let carried = name.as_deref().and_then(|name| cookie::get(&headers, name));
    let answer = ProviderAnswer { state, code: query.get("code"), iss: given("iss"), error: given("error") };
    let caller = visitor.person.as_ref().map(|person| &person.caller);
    let came = oidc::finish(&visitor.app, &key, &answer, carried, &visitor.client, caller).await?;
    let mut response = match came {
        Came::SignedIn(entered, next) => visitor.entered(&entered, &next, None).await?,
        Came::Joined(entered, organization) => {
            visitor.entered(&entered, &format!("/console/{organization}"), Some(Flashed::Joined)).await?
        }
        Came::ProvenAnew(next, renewed) => match &visitor.person {
            Some(person) => {
                person.renew(&renewed);
                let mut response = person.done(&next, Flashed::Proven)?;
                person.tell_renewed(response.headers_mut())?;
                response
            }
            None => see_other("/sign-in")?,
        },
        Came::Unknown(carried) => carrying(see_other(IDENTITY_PAGE)?, &carried)?,
        Came::Tried(trial) => match &visitor.person {
            Some(person) => sign_in_trial::shown(person, *trial).await?,
            None => see_other("/sign-in")?,
        },
        Came::ToLink(carried) => carrying(see_other(LINK_PAGE)?, &carried)?,
    };
    if let Some(name) = name {
        cookie::clear(response.headers_mut(), &name);
    }
    Ok(response)
}

fn carrying(mut response: Response, carried: &str) -> PageResult {
    let seconds = crate::limits::SIGN_IN_ATTEMPT_TIME.time().as_secs().cast_signed();
    cookie::set(response.headers_mut(), IDENTITY, carried, Some(seconds))?;
    Ok(response)
}

fn pending(app: &App, headers: &HeaderMap) -> Result<Pending, Error> {
    oidc::pending(app, cookie::get(headers, IDENTITY)).ok_or_else(|| {
        let detail =
            "That sign-in is over: it waits for ten minutes, in the browser in which it began. Begin it again.";
        Error::new(Code::Conflict, detail)
    })
}

/// `GET /sign-in/identity`.
pub(super) async fn identity(Extension(visitor): Extension<SignedOut>, headers: HeaderMap) -> PageResult {
    let pending = pending(&visitor.app, &headers)?;
    identity_page(&visitor, &pending, Problems::default()).await
}

async fn identity_page(visitor: &SignedOut, pending: &Pending, mut problems: Problems) -> PageResult {
    let app = &visitor.app;
    let step = match oidc::first(app, pending).await? {
        First::Linked => return see_other("/"),
        First::HasAccount => IdentityStep::HasAccount { signed_in: visitor.person.is_some() },
        First::Unproven => IdentityStep::Unproven,
        First::Stranger => IdentityStep::Stranger { signed_in: visitor.person.is_some() },
        First::Invited(all) => {
            let directory = app.verifier.directory();
            let shown = all.into_iter().map(|it| InvitedTo {
                role: role_tag(directory.organization(it.organization_id), it.role_id, &it.role_name).name,
                id: it.id.to_string(),
                organization: it.organization_name,
                inviter: it.inviter,
            });
            IdentityStep::Invited(shown.collect())
        }
    };
    let shown = IdentityPage {
        csrf: visitor.csrf.clone(),
        provider: provider_name(app, &pending.key),
        email: pending.email.clone(),
        email_proven: pending.email_proven,
        passwords: app.sign_in.takes_passwords(),
        step,
        error: problems.rest(),
    };
    problems.page(&shown)
}

fn provider_name(app: &App, key: &str) -> String {
    app.providers.get(key).map_or_else(|_| key.to_owned(), |provider| provider.name().to_owned())
}

/// `POST /sign-in/identity`: accepts an invitation, or takes an account over that nobody has proved to be theirs.
pub(super) async fn take(
    Extension(visitor): Extension<SignedOut>,
    headers: HeaderMap,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let pending = pending(&visitor.app, &headers)?;
    let (app, client) = (&visitor.app, &visitor.client);
    let taken = match form.id("invitation") {
        Some(id) => {
            oidc::accept(app, &pending, id, client).await.map(|(entered, to)| (entered, format!("/console/{to}")))
        }
        None if form.on("take_over") => oidc::take_over(app, &pending, client).await.map(|it| (it, "/".to_owned())),
        None => Err(Error::conflict("Choose what is to be done.")),
    };
    match taken {
        Ok((entered, to)) => {
            let mut response = visitor.entered(&entered, &to, Some(Flashed::Joined)).await?;
            cookie::clear(response.headers_mut(), IDENTITY);
            Ok(response)
        }
        Err(error) => identity_page(&visitor, &pending, Problems::of(error)?).await,
    }
}

/// `GET /console/account/identities/link`.
pub(super) async fn ask_link(Extension(person): Extension<SignedIn>, headers: HeaderMap) -> PageResult {
    let pending = pending(&person.app, &headers)?;
    link_page(&person, &pending, Problems::default()).await
}

async fn link_page(person: &SignedIn, pending: &Pending, mut problems: Problems) -> PageResult {
    let shown = LinkIdentityPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        provider: provider_name(&person.app, &pending.key),
        identity: pending.email.clone().unwrap_or_else(|| pending.subject.clone()),
        account: person.caller.by().actor.name().to_owned(),
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `POST /console/account/identities/link`.
pub(super) async fn link(
    Extension(person): Extension<SignedIn>,
    headers: HeaderMap,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let pending = pending(&person.app, &headers)?;
    let linked = match proof::given(&person, &form).await {
        Ok(()) => identities::link(&person.app, &person.caller, oidc::by(&pending), &pending.key).await,
        Err(error) => Err(error),
    };
    match linked {
        Ok(_) => {
            let mut response = person.done(ACCOUNT, Flashed::IdentityLinked)?;
            cookie::clear(response.headers_mut(), IDENTITY);
            Ok(response)
        }
        Err(error) => link_page(&person, &pending, Problems::of(error)?).await,
    }
}

/// `GET /console/account/identities/{identity}/remove`.
pub(super) async fn ask_remove(Extension(person): Extension<SignedIn>, At(identity): At<Uuid>) -> PageResult {
    remove_page(&person, identity, Problems::default()).await
}

async fn remove_page(person: &SignedIn, id: Uuid, mut problems: Problems) -> PageResult {
    let all = identities::list(&person.app, &person.caller).await?;
    let identity = all.into_iter().find(|it| it.id == id).ok_or_else(|| Error::not_found("identity"))?;
    let fact = |name: &str, value: String, mono| DetailLine { name: name.to_owned(), value, mono };
    let asked = ConfirmPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        from: "Account".to_owned(),
        back: ACCOUNT.to_owned(),
        question: "Unlink this identity?".to_owned(),
        consequences: vec![
            "It opens this account no more. Your other sessions that it proved are signed out.".to_owned(),
            "What you made stays.".to_owned(),
        ],
        facts: vec![fact("Issuer", identity.issuer, true), fact("Subject", identity.subject, true)],
        action: format!("{ACCOUNT}/identities/{id}/remove"),
        button: "Unlink".to_owned(),
        type_to_confirm: None,
        password: proof::field(person, &mut problems).await?,
        typed: FormField::default(),
        roles: None,
        error: problems.rest(),
    };
    page(problems.status, &asked)
}

/// `POST /console/account/identities/{identity}/remove`.
pub(super) async fn remove(
    Extension(person): Extension<SignedIn>,
    At(identity): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let removed = match proof::given(&person, &form).await {
        Ok(()) => identities::remove(&person.app, &person.caller, identity).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(removed) => person.done_at(ACCOUNT, Flashed::IdentityRemoved, removed.position),
        Err(error) => remove_page(&person, identity, Problems::of(error)?).await,
    }
}

/// The provider that proved a session, where one did: for the way out that it offers itself.
pub(super) async fn of_session(person: &SignedIn) -> Result<Option<String>, Error> {
    let own = person.caller.credential_id();
    let all = sessions::list(&person.app, &person.caller).await?;
    let session = all.into_iter().map(|it| it.session).find(|session| session.id == own);
    let key = session.and_then(|it| it.methods.provider().map(str::to_owned));
    Ok(key.filter(|key| person.app.providers.get(key).is_ok()))
}

/// Where somebody signs out at a provider too, where it says so. Nobody is sent there: it is a link.
pub(super) async fn way_out(app: &App, key: &str) -> Option<ProviderLink> {
    let provider = app.providers.get(key).ok()?;
    let metadata = app.providers.ask(provider, provider.metadata(app.now())).await.ok()?;
    let href = metadata
        .end_session_endpoint
        .clone()
        .filter(|url| url.starts_with("https://") || url.starts_with("http://"))?;
    Some(ProviderLink { name: provider.name().to_owned(), href, icon: String::new() })
}
