//! For how long sessions count in an organization; and the page where a person proves anew who sits at one.

use axum::Extension;
use tokenward_core::permission::Management;
use tokenward_core::time::{Micros, length_text};
use tokenward_core::{Error, Result, Time, Uuid};

use super::done::Flashed;
use super::form::{OTP, PASSWORD, Pairs, Problems, Query};
use super::page::{At, PageResult, own_path, see_other};
use super::person::SignedIn;
use super::proof;
use super::view::{Nav, OrganizationSessionsPage, ProofAskedPage, SessionsState};
use crate::service::IfMatch;
use crate::service::session_limits::{Bounds, IDLE, LIFETIME, SessionLimits};
use crate::service::sign_in_policy::{self, Wanted};

/// Where a person proves anew who sits there.
const PAGE: &str = "/console/account/proof";

/// The way there, and back to this path of ours.
pub(super) fn way_to_prove(back: &str) -> String {
    format!("{PAGE}?{}", next_to(back))
}

fn next_to(path: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish()
}

fn servers(person: &SignedIn) -> (String, String) {
    let SessionLimits { lifetime, idle } = person.app.session_limits;
    (length_text(lifetime), length_text(idle))
}

/// The part of the page about sign-ins.
pub(super) fn state(person: &SignedIn, organization: Uuid) -> SessionsState {
    let directory = person.app.verifier.directory();
    let asked = directory.organization(organization).map(|it| it.sign_in().clone()).unwrap_or_default();
    SessionsState {
        lifetime: asked.session_lifetime.map(length_text),
        idle: asked.session_idle.map(length_text),
        servers: servers(person),
    }
}

fn typed(form: &Pairs, field: &'static str, bounds: &Bounds) -> Result<Option<Micros>> {
    let text = form.get(field).trim();
    if text.is_empty() {
        return Ok(None);
    }
    bounds.read(text).map(Some).map_err(|problem| Error::invalid(field, problem))
}

async fn limits_page(
    person: &SignedIn,
    organization: Uuid,
    form: Option<&Pairs>,
    mut problems: Problems,
) -> PageResult {
    let grant = person.may(organization, Management::OrganizationEdit)?;
    let before = sign_in_policy::get(&person.app, &grant).await?;
    let said = |field, asked: Option<Micros>| match form {
        Some(form) => form.get(field).to_owned(),
        None => asked.map(length_text).unwrap_or_default(),
    };
    let lifetime = said("session_lifetime", before.policy.session_lifetime);
    let idle = said("session_idle", before.policy.session_idle);
    let shown = OrganizationSessionsPage {
        shell: person.shell(Some(organization), Nav::Settings).await?,
        action: format!("/console/{organization}/settings/sign-in/sessions"),
        version: form.map_or_else(|| before.updated_at.0.to_string(), |form| form.get("version").to_owned()),
        lifetime: problems.field("session_lifetime", lifetime),
        idle: problems.field("session_idle", idle),
        servers: servers(person),
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `GET …/settings/sign-in/sessions`.
pub(super) async fn ask(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    limits_page(&person, organization, None, Problems::default()).await
}

/// `POST …/settings/sign-in/sessions`.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::OrganizationEdit)?;
    let version = IfMatch(Some(Time(form.get("version").parse().unwrap_or_default())));
    let asked = async {
        proof::given(&person, &form).await?;
        let before = sign_in_policy::get(&person.app, &grant).await?.policy;
        let session_lifetime = typed(&form, "session_lifetime", &LIFETIME)?;
        let session_idle = typed(&form, "session_idle", &IDLE)?;
        let wanted = Wanted { session_lifetime, session_idle, ..Wanted::of(&before) };
        sign_in_policy::set(&person.app, grant, wanted, version).await
    };
    match asked.await {
        Ok(saved) => {
            let back = format!("/console/{organization}/settings/sign-in");
            person.done_at(&back, Flashed::SignInSaved, saved.position)
        }
        Err(error) => limits_page(&person, organization, Some(&form), Problems::of(error)?).await,
    }
}

async fn prove_page(person: &SignedIn, next: &str, mut problems: Problems) -> PageResult {
    let fields = proof::fields(person, &mut problems).await?;
    let by_passkey = crate::service::proof::takes_passkey(&person.app, &person.caller).await?;
    let is_something = fields.password.is_some() || fields.code.is_some() || by_passkey;
    let link = |it: &crate::issuer::Provider| {
        (it.name().to_owned(), format!("/console/account/prove/{}?{}", it.key, next_to(next)))
    };
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
pub(super) async fn ask_proof(Extension(person): Extension<SignedIn>, Query(query): Query) -> PageResult {
    query.understood(&["next"])?;
    prove_page(&person, own_path(query.get("next")).unwrap_or("/"), Problems::default()).await
}

/// `POST /console/account/proof`, with what is asked; or after a passkey, which a script has asked.
pub(super) async fn take_proof(
    Extension(person): Extension<SignedIn>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let next = own_path(form.get("next")).unwrap_or("/");
    let nothing = form.get(PASSWORD).is_empty() && form.get(OTP).is_empty();
    let given = if nothing && !crate::service::proof::is_fresh(&person.app, &person.caller).await? {
        Err(Error::conflict("Type what is asked for, or use a passkey."))
    } else {
        proof::given(&person, &form).await
    };
    match given {
        Ok(()) => see_other(next),
        Err(error) => prove_page(&person, next, Problems::of(error)?).await,
    }
}
