//! For how long sessions count in an organization.

use axum::Extension;
use tokenward_core::permission::Management;
use tokenward_core::time::{Micros, length_text};
use tokenward_core::{Error, Result, Time, Uuid};

use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageResult};
use super::person::SignedIn;
use super::proof;
use super::view::{Nav, OrganizationSessionsPage, SessionsState};
use crate::service::IfMatch;
use crate::service::session_limits::{Bounds, IDLE, LIFETIME, SessionLimits};
use crate::service::sign_in_policy::{self, SignInPolicyChange};

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
        let wanted = SignInPolicyChange { session_lifetime, session_idle, ..SignInPolicyChange::of(&before) };
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
