//! Two factors that an organization asks of sessions: whom it would refuse and from when, turning it on and taking it back; and the
//! page where a person shows the second one.

use axum::Extension;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};

use super::flash::Flashed;
use super::form::{OTP, PASSWORD, Pairs, Problems, Query};
use super::page::{At, PageResult, next_to, own_path, see_other};
use super::person::SignedIn;
use super::proof;
use super::view::{AskTwoFactorsPage, Nav, RefusedRow, SecondFactorAskedPage, TwoFactorsState};
use super::words::role_tag;
use crate::limits::GRACE_DAYS;
use crate::service::sign_in_policy::{self, SignInPolicyChange};
use crate::service::{IfMatch, passkeys, second_factor};

/// Where a person shows the second factor.
pub(super) const PAGE: &str = "/console/account/two-factors";

/// The way there, and back to this path of ours.
pub(super) fn way_to_prove(back: &str) -> String {
    format!("{PAGE}?{}", next_to(back))
}

/// The part of the page about sign-ins.
pub(super) fn state(person: &SignedIn, organization: Uuid) -> TwoFactorsState {
    let directory = person.app.verifier.directory();
    let asked = directory.organization(organization).and_then(|it| it.sign_in().two_factors);
    TwoFactorsState { refused_from: asked.map(|it| person.moment(it.refused_from())) }
}

/// What a form asks for: two factors with so many days, or none.
fn wanted_days(form: &Pairs) -> Result<u8> {
    let typed = form.get("grace_days").trim();
    let days = if typed.is_empty() { Some(0) } else { typed.parse::<u8>().ok() };
    let days = days.filter(|days| u64::from(*days) <= GRACE_DAYS.default);
    days.ok_or_else(|| Error::invalid("grace_days", format!("is no number of days from 0 to {}", GRACE_DAYS.default)))
}

async fn ask_page(person: &SignedIn, organization: Uuid, days: Option<String>, mut problems: Problems) -> PageResult {
    let grant = person.may(organization, Management::OrganizationEdit)?;
    let before = sign_in_policy::get(&person.app, &grant).await?;
    let asked = before.policy.two_factors;
    let days = days.unwrap_or_else(|| asked.map_or(0, |it| it.grace_days).to_string());
    let read = days.trim().parse::<u8>().ok().filter(|days| u64::from(*days) <= GRACE_DAYS.default).unwrap_or(0);
    let wanted = SignInPolicyChange { grace_days: Some(read), ..SignInPolicyChange::of(&before.policy) };
    let kept_out = sign_in_policy::kept_out(&person.app, &grant, &wanted).await?;
    let directory = person.app.verifier.directory();
    let row = |it: sign_in_policy::KeptOut| RefusedRow {
        role: role_tag(directory.organization(organization), it.member.role_id, &it.member.role_name).name,
        is_you: it.member.account_id == person.user,
        email: it.member.email,
        from: person.moment(it.from),
    };
    let rows: Vec<RefusedRow> = kept_out.into_iter().filter(|it| it.lacks_factor).map(row).collect();
    let path = format!("/console/{organization}/settings/sign-in/two-factors");
    let shown = AskTwoFactorsPage {
        shell: person.shell(Some(organization), Nav::Settings).await?,
        asked: asked.is_some(),
        prove: (!person.caller.is_strong()).then(|| way_to_prove(&path)),
        action: path,
        version: before.updated_at.0.to_string(),
        kept_out: rows,
        grace_days: problems.field("grace_days", days),
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `GET …/settings/sign-in/two-factors`, with `grace_days` to see who would be refused from when.
pub(super) async fn ask(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    query.understood(&["grace_days"])?;
    let days = Some(query.get("grace_days").to_owned()).filter(|days| !days.is_empty());
    ask_page(&person, organization, days, Problems::default()).await
}

/// `POST …/settings/sign-in/two-factors`: asks for them, or for other days; with `one_factor` no more.
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
        let grace_days = if form.get("one_factor").is_empty() { Some(wanted_days(&form)?) } else { None };
        let wanted = SignInPolicyChange { grace_days, ..SignInPolicyChange::of(&before) };
        sign_in_policy::set(&person.app, grant, wanted, version).await
    };
    match asked.await {
        Ok(saved) => {
            let back = format!("/console/{organization}/settings/sign-in");
            person.done_at(&back, Flashed::SignInSaved, saved.position)
        }
        Err(error) => {
            let days = Some(form.get("grace_days").to_owned());
            // The page leads to the second factor.
            let problems = if error.asks_two_factors() { Problems::whole(&error) } else { Problems::of(error)? };
            ask_page(&person, organization, days, problems).await
        }
    }
}

async fn prove_page(person: &SignedIn, next: &str, mut problems: Problems) -> PageResult {
    let app = &person.app;
    let mut fields = proof::fields(person, &mut problems).await?;
    let has_code = second_factor::get(app, &person.caller).await?.authenticator.is_some();
    // A password alone is no second factor: it is asked beside a code only.
    if !has_code {
        fields.password = None;
    }
    let all = passkeys::list(app, &person.caller).await?;
    let shown = SecondFactorAskedPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        next: next.to_owned(),
        set_up: format!("/console/account/second-factor?{}", next_to(next)),
        has_code,
        has_passkey: all.iter().any(|it| passkeys::works(app, it)),
        takes_passkeys: passkeys::relying_party(app).is_ok(),
        proof: Some(fields),
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `GET /console/account/two-factors`.
pub(super) async fn ask_proof(Extension(person): Extension<SignedIn>, Query(query): Query) -> PageResult {
    query.understood(&["next"])?;
    let next = own_path(query.get("next")).unwrap_or("/");
    if person.caller.is_strong() {
        return see_other(next);
    }
    prove_page(&person, next, Problems::default()).await
}

/// `POST /console/account/two-factors`, with a code; or after a passkey, which a script has asked.
pub(super) async fn take_proof(
    Extension(person): Extension<SignedIn>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let next = own_path(form.get("next")).unwrap_or("/");
    if person.caller.is_strong() {
        return see_other(next);
    }
    let given = match proof::code(&form) {
        Ok(Some(_)) => proof::given(&person, &form).await,
        Ok(None) if form.get(PASSWORD).is_empty() => Err(Error::conflict("Use a passkey, or type a code.")),
        Ok(None) => Err(Error::invalid(OTP, "is missing")),
        Err(error) => Err(error),
    };
    match given {
        Ok(()) => see_other(next),
        Err(error) => prove_page(&person, next, Problems::of(error)?).await,
    }
}
