//! The first start: the organization and its owner, from the link that the server printed.

use axum::Extension;
use tokenward_core::{Code, Error, password};
use zeroize::Zeroizing;

use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageResult, see_other};
use super::person::SignedOut;
use super::sessions::password_field;
use super::view::SetUpPage;
use crate::service::sessions::{self, Proof};
use crate::service::set_up;

/// `GET /set-up/{secret}`: shows the form and spends nothing.
pub(super) async fn form(Extension(visitor): Extension<SignedOut>, At(secret): At<String>) -> PageResult {
    form_page(&visitor, secret, &Pairs::default(), Problems::default()).await
}

async fn form_page(visitor: &SignedOut, secret: String, typed: &Pairs, mut problems: Problems) -> PageResult {
    if !set_up::accepts(&visitor.app.store, &secret).await? {
        return Err(visitor.dead_link(invalid_link()).into());
    }
    let form = SetUpPage {
        secret,
        csrf: visitor.csrf.clone(),
        organization: problems.field("organization", typed.line("organization")),
        name: problems.field("name", typed.line("name")),
        email: problems.field("email", typed.line("email")),
        password: password_field(&mut problems, "password"),
        password_rule: password::rule(),
        error: problems.rest(),
    };
    problems.page(&form)
}

fn invalid_link() -> Error {
    Error::new(
        Code::NotFound,
        "This set-up link is not valid: it lives for an hour, and only until the first organization exists. If there is none \
         yet, restart the server: it prints a new link.",
    )
}

/// `POST /set-up/{secret}`: makes both, and signs the owner in.
pub(super) async fn create(
    Extension(visitor): Extension<SignedOut>,
    At(secret): At<String>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let first = set_up::FirstOrganization {
        organization: typed.line("organization"),
        owner_email: typed.line("email"),
        owner_name: typed.line("name"),
    };
    let (email, password) = (first.owner_email.clone(), Zeroizing::new(typed.get("password").to_owned()));
    let by = set_up::visitor(&visitor.client);
    // Where passwords are off the owner has an hour to link an identity.
    let by_provider_alone = match set_up::from_link(&visitor.app, &secret, first, password.clone(), by).await {
        Ok(made) => Some(made.value).filter(|_| !visitor.app.sign_in.takes_passwords()),
        Err(error) if matches!(error.code, Code::InvalidRequest | Code::Unavailable) => {
            return form_page(&visitor, secret, &typed, Problems::of(error)?).await;
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(owner) = by_provider_alone {
        let owner = set_up::owner(&visitor.app, owner).await?;
        let begun = sessions::begin(&visitor.app, owner, Proof::break_glass(), visitor.client.clone(), true).await?;
        return visitor.signed_in(&begun.value, "/console/account", Some(Flashed::SetUp)).await;
    }
    let client = visitor.client.clone();
    let begun = match sessions::by_password(&visitor.app, &email, password, &client, None).await {
        Ok((account, proof)) => sessions::begin(&visitor.app, account, proof, client, true).await,
        Err(error) => Err(error),
    };
    match begun {
        Ok(begun) => visitor.signed_in(&begun.value, "/", Some(Flashed::SetUp)).await,
        // The organization exists; signing in can be tried again.
        Err(_) => see_other("/sign-in"),
    }
}
