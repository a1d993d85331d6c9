//! A person's own account: name, password, sessions.

use axum::Extension;
use tokenward_core::{Uuid, password};
use zeroize::Zeroizing;

use super::account_events;
use super::done::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageResult};
use super::passkeys;
use super::person::SignedIn;
use super::sessions::password_field;
use super::view::{AccountPage, IdentityRow, Nav, ProviderLink, SessionRow};
use super::words::{agent, proven_how};
use crate::issuer::Provider;
use crate::service::sessions::Listed;
use crate::service::{accounts, identities, sessions};
use tokenward_store::identities::Identity;

/// Where the page is.
const ACCOUNT: &str = "/console/account";

/// `GET /console/account`.
pub(super) async fn show(Extension(person): Extension<SignedIn>) -> PageResult {
    account_page(&person, None, Problems::default()).await
}

async fn account_page(person: &SignedIn, typed: Option<&Pairs>, mut problems: Problems) -> PageResult {
    let account = accounts::get(&person.app, &person.caller).await?;
    let mut all = sessions::list(&person.app, &person.caller).await?;
    let current = person.caller.credential_id();
    // A stable sort: the current one first, the others stay in their order.
    all.sort_by_key(|it| it.session.id != current);
    let sessions = {
        let directory = person.app.verifier.directory();
        // Of a session for one organization alone: which.
        let alone = |id: Option<Uuid>| {
            let organization = directory.organization(id?)?;
            Some(format!(", for {} alone", organization.name))
        };
        let row = |Listed { session, last_use }: Listed| SessionRow {
            id: session.id.to_string(),
            client: agent(session.user_agent.as_deref()),
            last_seen: last_use.as_ref().map(|it| person.moment(it.used_at)),
            seen_from: last_use.and_then(|it| it.address).filter(|it| session.address.as_ref() != Some(it)),
            address: session.address,
            proven: proven_how(&session.methods) + &alone(session.organization_id).unwrap_or_default(),
            created: person.moment(session.created_at),
            expires: person.moment(session.expires_at),
            current: session.id == current,
        };
        all.into_iter().map(row).collect::<Vec<_>>()
    };
    let own_identities = identities::list(&person.app, &person.caller).await?;
    let named =
        |issuer: &str| person.app.providers.iter().find(|it| it.issuer() == issuer).map(|it| it.name().to_owned());
    let row = |identity: &Identity| IdentityRow {
        id: identity.id.to_string(),
        provider: named(&identity.issuer).unwrap_or_else(|| identity.issuer.clone()),
        name: identity.email.clone().unwrap_or_else(|| identity.subject.clone()),
        linked: person.moment(identity.created_at),
        used: identity.last_used_at.map(|at| person.moment(at)),
    };
    let providers = |to: &str| -> Vec<ProviderLink> {
        let link =
            |it: &Provider| ProviderLink { name: it.name().to_owned(), href: format!("{ACCOUNT}/{to}/{}", it.key) };
        person.app.providers.iter().map(link).collect()
    };
    let name = typed.map_or(account.name, |typed| typed.line("name"));
    let shown = AccountPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        name: problems.field("name", name),
        email_proven: account.email_proven_at.is_some(),
        email: account.email,
        has_password: person.app.sign_in.takes_passwords()
            && accounts::has_password(&person.app, &person.caller).await?,
        identities: own_identities.iter().map(row).collect(),
        passkeys: passkeys::section(person).await?,
        providers: providers("identities/with"),
        provers: providers("prove").into_iter().filter(|_| !own_identities.is_empty()).collect(),
        current_password: password_field(&mut problems, "present_password"),
        new_password: password_field(&mut problems, "password"),
        password_rule: password::rule(),
        sessions,
        events: account_events::own(person).await?,
    };
    let mut shown = shown;
    // What belongs to no field is said at the top.
    if let Some(text) = problems.rest() {
        shown.shell.flash = Some(super::view::Flash { kind: super::view::FlashKind::Bad, text });
    }
    problems.page(&shown)
}

/// `POST /console/account/name`.
pub(super) async fn save_name(Extension(person): Extension<SignedIn>, Extension(form): Extension<Pairs>) -> PageResult {
    match accounts::update(&person.app, &person.caller, Some(form.line("name")), None).await {
        Ok(_) => person.done(ACCOUNT, Flashed::NameSaved),
        Err(error) => account_page(&person, Some(&form), Problems::of(error)?).await,
    }
}

/// `POST /console/account/password`.
pub(super) async fn save_password(
    Extension(person): Extension<SignedIn>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let text = |key: &str| Zeroizing::new(form.get(key).to_owned());
    let (present, new) = (text("current_password"), text("new_password"));
    match accounts::change_password(&person.app, &person.caller, present, new).await {
        Ok(saved) => person.done_at(ACCOUNT, Flashed::PasswordSaved, saved.position),
        Err(error) => account_page(&person, None, Problems::of(error)?).await,
    }
}

/// `POST /console/account/sessions/{id}/end`.
pub(super) async fn end_session(Extension(person): Extension<SignedIn>, At(session): At<Uuid>) -> PageResult {
    let ended = sessions::end(&person.app, &person.caller, session).await?;
    person.done_at(ACCOUNT, Flashed::SessionEnded, ended.position)
}

/// `POST /console/account/sessions/end-others`.
pub(super) async fn end_others(Extension(person): Extension<SignedIn>) -> PageResult {
    match sessions::end_others(&person.app, &person.caller).await? {
        Some(ended) => person.done_at(ACCOUNT, Flashed::SessionsEnded, ended.position),
        None => person.done(ACCOUNT, Flashed::SessionsEnded),
    }
}
