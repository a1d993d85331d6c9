//! The page where a person proves anew who sits at a session.

use axum::Extension;
use tokenward_core::Error;

use super::form::{OTP, PASSWORD, Pairs, Problems, Query};
use super::page::{PageResult, next_to, own_path, see_other};
use super::person::SignedIn;
use super::proof;
use super::view::{Nav, ProofAskedPage};
use crate::issuer::Provider;
use crate::service::proof as service;

/// Its path.
pub(super) const PAGE: &str = "/console/account/proof";

/// The way there, and back to this path of ours.
pub(super) fn way_to(back: &str) -> String {
    format!("{PAGE}?{}", next_to(back))
}

async fn prove_page(person: &SignedIn, next: &str, mut problems: Problems) -> PageResult {
    let fields = proof::fields(person, &mut problems).await?;
    let by_passkey = service::takes_passkey(&person.app, &person.caller).await?;
    let is_something = fields.password.is_some() || fields.code.is_some() || by_passkey;
    let link = |it: &Provider| (it.name().to_owned(), format!("/console/account/prove/{}?{}", it.key, next_to(next)));
    let shown = ProofAskedPage {
        shell: person.shell(None, Nav::Account).await?,
        next: next.to_owned(),
        providers: person.app.providers.iter().map(link).collect(),
        proof: is_something.then_some(fields),
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `GET /console/account/proof`.
pub(super) async fn ask(Extension(person): Extension<SignedIn>, Query(query): Query) -> PageResult {
    query.understood(&["next"])?;
    prove_page(&person, own_path(query.get("next")).unwrap_or("/"), Problems::default()).await
}

/// `POST /console/account/proof`, with what is asked; or after a passkey, which a script has asked.
pub(super) async fn take(Extension(person): Extension<SignedIn>, Extension(form): Extension<Pairs>) -> PageResult {
    let next = own_path(form.get("next")).unwrap_or("/");
    let nothing = form.get(PASSWORD).is_empty() && form.get(OTP).is_empty();
    let given = if nothing && !service::is_fresh(&person.app, &person.caller).await? {
        Err(Error::conflict("Type what is asked for, or use a passkey."))
    } else {
        proof::given(&person, &form).await
    };
    match given {
        Ok(()) => see_other(next),
        Err(error) => prove_page(&person, next, Problems::of(error)?).await,
    }
}
