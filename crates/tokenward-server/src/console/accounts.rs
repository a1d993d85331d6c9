//! A person's own account: profile, ways to sign in, sessions.

use axum::Extension;
use tokenward_core::{Code, Error, Uuid, password};
use zeroize::Zeroizing;

use super::account_events;
use super::flash::Flashed;
use super::form::{OTP, Pairs, Problems};
use super::page::{At, PageResult};
use super::passkeys;
use super::person::SignedIn;
use super::proof;
use super::second_factor;
use super::sessions::password_field;
use super::view::{
    AccountPage, ConfirmPage, EmailChangePage, FirstPasswordPage, FormField, IdentityRow, Nav, ProviderLink, SessionRow,
};
use super::words::{agent, proven_how};
use crate::issuer::Provider;
use crate::service::sessions::ListedSession;
use crate::service::{IfMatch, accounts, email_changes, identities, own_passwords, sessions};
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
        let row = |ListedSession { session, last_use }: ListedSession| SessionRow {
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
        let link = |it: &Provider| ProviderLink {
            name: it.name().to_owned(),
            href: format!("{ACCOUNT}/{to}/{}", it.key),
            icon: it.icon().to_owned(),
        };
        person.app.providers.iter().map(link).collect()
    };
    let name = typed.map_or(account.name, |typed| typed.line("name"));
    let second_factor = second_factor::part(person).await?;
    let shown = AccountPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        name: problems.field("name", name),
        email_proven: account.email_proven_at.is_some(),
        email: account.email,
        may_change_email: person.app.live().mailer.is_some(),
        passwords: person.app.sign_in.takes_passwords(),
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
        code: second_factor.since.is_some().then(|| problems.field(OTP, "")),
        second_factor,
        events: account_events::recent(person).await?,
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
    match accounts::update(&person.app, &person.caller, Some(form.line("name")), None, IfMatch(None)).await {
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
    if let Err(error) = proof::code_given(&person, &form, "current_password").await {
        let mut problems = Problems::of(error)?;
        if let Some(text) = problems.take("password") {
            problems.add("present_password", text);
        }
        return account_page(&person, None, problems).await;
    }
    match own_passwords::change_password(&person.app, &person.caller, present, new).await {
        Ok(saved) => person.done_at(ACCOUNT, Flashed::PasswordSaved, saved.position),
        // The password was right: what the proof lacks is the code, or the passkey.
        Err(error) if error.code == Code::ProofRequired => {
            let problems = if crate::service::second_factor::is_asked(&person.app, &person.caller).await? {
                Problems::of(Error::second_factor_required())?
            } else {
                let text = "Use your passkey first, then type your passwords: a password alone is not enough beside a passkey.";
                Problems::whole(&Error::conflict(text))
            };
            account_page(&person, None, problems).await
        }
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

/// `GET /console/account/email`.
pub(super) async fn email_form(Extension(person): Extension<SignedIn>) -> PageResult {
    email_page(&person, String::new(), Problems::default()).await
}

async fn email_page(person: &SignedIn, typed: String, mut problems: Problems) -> PageResult {
    let shown = EmailChangePage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        present: accounts::get(&person.app, &person.caller).await?.email,
        email: problems.field("email", typed),
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `POST /console/account/email`: mails a link to the new address.
pub(super) async fn ask_email(Extension(person): Extension<SignedIn>, Extension(form): Extension<Pairs>) -> PageResult {
    let email = form.line("email");
    let asked = match proof::given(&person, &form).await {
        Ok(()) => email_changes::ask(&person.app, &person.caller, &email).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(_) => person.done(ACCOUNT, Flashed::EmailAsked),
        Err(error) => email_page(&person, email, Problems::of(error)?).await,
    }
}

/// `GET /console/account/password/set`.
pub(super) async fn first_password_form(Extension(person): Extension<SignedIn>) -> PageResult {
    first_password_page(&person, Problems::default()).await
}

async fn first_password_page(person: &SignedIn, mut problems: Problems) -> PageResult {
    // Of the two, the field of the new password is told by the same name as that of the proof.
    let new_password = problems.take("new_password");
    let shown = FirstPasswordPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        email: accounts::get(&person.app, &person.caller).await?.email,
        new_password: FormField { error: new_password, ..FormField::default() },
        password_rule: password::rule(),
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `POST /console/account/password/set`.
pub(super) async fn set_password(
    Extension(person): Extension<SignedIn>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let new = Zeroizing::new(form.get("new_password").to_owned());
    match own_passwords::set_first_password(&person.app, &person.caller, new).await {
        Ok(saved) => person.done_at(ACCOUNT, Flashed::PasswordSaved, saved.position),
        Err(error) => {
            let refused = error.code == Code::InvalidRequest;
            let mut problems = Problems::of(error)?;
            if refused && let Some(text) = problems.take("password") {
                problems.add("new_password", text);
            }
            first_password_page(&person, problems).await
        }
    }
}

/// `GET /console/account/password/remove`.
pub(super) async fn ask_remove_password(Extension(person): Extension<SignedIn>) -> PageResult {
    remove_password_page(&person, Problems::default()).await
}

async fn remove_password_page(person: &SignedIn, mut problems: Problems) -> PageResult {
    let asked = ConfirmPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        from: "Account".to_owned(),
        back: ACCOUNT.to_owned(),
        question: "Take the password away?".to_owned(),
        consequences: vec![
            "It opens this account no more, and nobody can choose a new one by mail.".to_owned(),
            "Your other sessions are signed out.".to_owned(),
        ],
        facts: Vec::new(),
        action: format!("{ACCOUNT}/password/remove"),
        button: "Take it away".to_owned(),
        type_to_confirm: None,
        password: proof::field(person, &mut problems).await?,
        typed: FormField::default(),
        roles: None,
        error: problems.rest(),
    };
    problems.page(&asked)
}

/// `POST /console/account/password/remove`.
pub(super) async fn remove_password(
    Extension(person): Extension<SignedIn>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let removed = match proof::given(&person, &form).await {
        Ok(()) => own_passwords::remove_password(&person.app, &person.caller).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(removed) => person.done_at(ACCOUNT, Flashed::PasswordRemoved, removed.position),
        Err(error) => remove_password_page(&person, Problems::of(error)?).await,
    }
}
