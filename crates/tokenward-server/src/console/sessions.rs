//! Signing in and out.

use axum::Extension;
use tokenward_core::{Code, Error, password};
use zeroize::Zeroizing;

use super::cookie;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageResult, own_path, see_other};
use super::person::{SignedIn, SignedOut};
use super::providers;
use super::view::{FormField, ProviderLink, SignInLinkPage, SignInPage};
use crate::limits::EMAIL;
use crate::service::sessions::Proof;
use crate::service::{accounts, half_way, passkeys, password_resets, sessions, set_up};

/// `GET /sign-in`.
pub(super) async fn sign_in_form(Extension(visitor): Extension<SignedOut>, Query(query): Query) -> PageResult {
    let notice = match (query.get("notice"), &visitor.person) {
        ("ended", _) => Some("Your session had ended, so nothing was changed. Sign in and try again.".to_owned()),
        ("out", None) => Some("You are signed out.".to_owned()),
        ("reset", _) => Some("Your password is set. Sign in with it.".to_owned()),
        ("address", _) => Some("Your account has its new address. You sign in with it from now on.".to_owned()),
        ("address-back", _) => Some("Your account has this address again. Everybody was signed out.".to_owned()),
        (_, Some(person)) => {
            Some(format!("You are signed in as {}. Signing in again replaces that.", person.caller.by().actor.name()))
        }
        _ => None,
    };
    let next = own_path(query.get("next")).unwrap_or_default();
    let way_out = match (query.get("notice"), &visitor.person) {
        ("out", None) if !query.get("at").is_empty() => providers::way_out(&visitor.app, query.get("at")).await,
        _ => None,
    };
    sign_in_page(&visitor, next, String::new(), notice, way_out, Problems::default())
}

fn sign_in_page(
    visitor: &SignedOut,
    next: &str,
    email: String,
    notice: Option<String>,
    way_out: Option<ProviderLink>,
    mut problems: Problems,
) -> PageResult {
    let email = problems.field("email", email);
    let form = SignInPage {
        csrf: visitor.csrf.clone(),
        email,
        next: next.to_owned(),
        providers: providers::ways(&visitor.app, next),
        way_out,
        passwords: visitor.app.sign_in.takes_passwords(),
        passkeys: passkeys::relying_party(&visitor.app).ok().map(|_| visitor.app.public_url.clone()),
        forgot: password_resets::are_offered(&visitor.app),
        error: problems.take("credential").or_else(|| problems.rest()),
        notice,
    };
    problems.page(&form)
}

/// The page again, after a passkey was refused.
pub(super) fn refused_sign_in(visitor: &SignedOut, next: &str, error: Error) -> PageResult {
    sign_in_page(visitor, next, String::new(), None, None, Problems::of(error)?)
}

/// `POST /sign-in`.
pub(super) async fn sign_in(Extension(visitor): Extension<SignedOut>, Extension(form): Extension<Pairs>) -> PageResult {
    let email = form.line("email");
    let next = own_path(form.get("next")).unwrap_or_default();
    let password = Zeroizing::new(form.get("password").to_owned());
    let (client, device) = (visitor.client.clone(), visitor.device.as_deref());
    let to = if next.is_empty() { "/" } else { next };
    let entered = async {
        EMAIL.check_text(&email).map_err(|problem| Error::invalid("email", problem))?;
        let (account, proof) = sessions::by_password(&visitor.app, &email, password, &client, device).await?;
        half_way::begin(&visitor.app, account, proof, to, client.clone()).await
    };
    match entered.await {
        Ok(entered) => visitor.entered(&entered, to, None).await,
        Err(error) => sign_in_page(&visitor, next, email, None, None, Problems::of(error)?),
    }
}

/// `POST /sign-out`.
pub(super) async fn sign_out(Extension(person): Extension<SignedIn>) -> PageResult {
    let provider = providers::of_session(&person).await?;
    match sessions::end(&person.app, &person.caller, person.caller.credential_id()).await {
        Ok(_) => {}
        // Two windows signed out at once.
        Err(error) if error.code == Code::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let at = provider.map(|key| format!("&at={key}")).unwrap_or_default();
    let mut response = see_other(&format!("/sign-in?notice=out{at}"))?;
    cookie::clear(response.headers_mut(), cookie::SESSION);
    Ok(response)
}

/// `GET /sign-in/{secret}`: shows the form and spends nothing.
pub(super) async fn link_form(Extension(visitor): Extension<SignedOut>, At(secret): At<String>) -> PageResult {
    link_page(&visitor, secret, Problems::default()).await
}

async fn link_page(visitor: &SignedOut, secret: String, mut problems: Problems) -> PageResult {
    let account = accounts::link_owner(&visitor.app, &secret).await?.ok_or_else(|| {
        visitor.dead_link(Error::new(
            Code::NotFound,
            "This sign-in link is not valid: it was used, has expired, or is not complete. Ask whoever runs the server for a \
             new one (tokenward sign-in-link).",
        ))
    })?;
    let link = SignInLinkPage {
        secret,
        csrf: visitor.csrf.clone(),
        passwords: visitor.app.sign_in.takes_passwords(),
        asks_whether_mine: account.email_proven_at.is_none(),
        email: account.email,
        password: problems.field("password", ""),
        password_rule: password::rule(),
        error: problems.rest(),
    };
    problems.page(&link)
}

/// `POST /sign-in/{secret}`: sets the password and signs in.
pub(super) async fn take_link(
    Extension(visitor): Extension<SignedOut>,
    At(secret): At<String>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let password = Zeroizing::new(form.get("password").to_owned());
    let taking = accounts::Taking { password, was_not_me: form.on("was_not_me") };
    let by = set_up::visitor(&visitor.client);
    match accounts::take_link(&visitor.app, &secret, taking, by).await {
        Ok(taken) => {
            // For an hour, whatever the server takes: an organization that asks for its provider lets this in.
            let by = Proof::break_glass();
            let entered = half_way::begin(&visitor.app, taken.value, by, "/", visitor.client.clone()).await?;
            visitor.entered(&entered, "/", None).await
        }
        Err(error) if matches!(error.code, Code::InvalidRequest | Code::Unavailable) => {
            link_page(&visitor, secret, Problems::of(error)?).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A password field never holds what was typed.
pub(super) fn password_field(problems: &mut Problems, field: &str) -> FormField {
    problems.field(field, "")
}
