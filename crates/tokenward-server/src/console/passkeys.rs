//! Passkeys: signing in with one, proving who sits here, and what a person does with the own ones. A script hands what we ask to
//! the browser, and the answer back; it gets JSON where it asks, and what it brings is a form like any other.

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use tokenward_core::{Code, Error, Result, Uuid};

use super::cookie;
use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageError, PageResult, own_path};
use super::person::{SignedIn, SignedOut};
use super::proof;
use super::sessions::refused_sign_in;
use super::view::{ConfirmPage, DetailLine, FormField, Nav, PasskeyNewPage, PasskeyPage, PasskeyRow, PasskeysSection};
use crate::http;
use crate::limits::{PASSKEY_BYTES, PASSKEY_TIME};
use crate::service::passkeys::{self, Challenge};

/// Where a person's passkeys are shown.
const ACCOUNT: &str = "/console/account";
/// What a form calls what an authenticator has answered.
const CREDENTIAL: &str = "credential";

/// What a script is told. `csrf` is for the forms on its page, when the session has another text.
fn challenge_answer(asked: Result<Challenge>, csrf: String) -> PageResult {
    let Challenge { options, state } = match asked {
        Ok(asked) => asked,
        Err(error) => return Ok(refused(error, csrf)),
    };
    let mut response = Json(json!({ "options": options, "csrf": csrf })).into_response();
    let seconds = PASSKEY_TIME.time().as_secs().cast_signed();
    cookie::set(response.headers_mut(), cookie::PASSKEY, &state, Some(seconds))?;
    Ok(response)
}

/// An error for a script, in the words that a page would say.
fn refused(error: Error, csrf: String) -> Response {
    let status = http::status(error.code);
    let text = match Problems::of(error) {
        Ok(mut problems) => problems.take("password").or_else(|| problems.rest()).unwrap_or_default(),
        Err(PageError(error)) => error.detail.into(),
    };
    (status, Json(json!({ "error": text, "csrf": csrf }))).into_response()
}

/// What the browser carries of the question, and what a form brings as its answer.
fn answered<'h>(headers: &'h HeaderMap, form: &Pairs) -> Result<(&'h str, Value)> {
    let answer = form.get(CREDENTIAL);
    if answer.is_empty() {
        let detail =
            "Your browser did not ask for a passkey. That needs JavaScript, and a browser that knows passkeys.";
        return Err(Error::conflict(detail));
    }
    if answer.len() > PASSKEY_BYTES.size() {
        let (what, advice) = ("What the authenticator answered is larger than", "Nothing was changed.");
        return Err(PASSKEY_BYTES.exceeded(Code::TooLarge, PASSKEY_BYTES.default, what, advice));
    }
    let answer = serde_json::from_str(answer).map_err(|_| Error::invalid(CREDENTIAL, "is not JSON"))?;
    // Without the cookie it was begun elsewhere, which is what the service says of a state that is none.
    Ok((cookie::get(headers, cookie::PASSKEY).unwrap_or_default(), answer))
}

/// `POST /sign-in/passkey/begin`.
pub(super) async fn begin_sign_in(Extension(visitor): Extension<SignedOut>) -> PageResult {
    challenge_answer(passkeys::begin_sign_in(&visitor.app), visitor.csrf.clone())
}

/// `POST /sign-in/passkey`.
pub(super) async fn sign_in(
    Extension(visitor): Extension<SignedOut>,
    headers: HeaderMap,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let next = own_path(form.get("next")).unwrap_or_default();
    let begun = match answered(&headers, &form) {
        Ok((state, answer)) => passkeys::sign_in(&visitor.app, state, answer, visitor.client.clone(), true).await,
        Err(error) => Err(error),
    };
    let mut response = match begun {
        Ok(begun) => visitor.signed_in(&begun.value, if next.is_empty() { "/" } else { next }, None).await?,
        Err(error) => refused_sign_in(&visitor, next, error)?,
    };
    cookie::clear(response.headers_mut(), cookie::PASSKEY);
    Ok(response)
}

/// `GET /console/account/passkeys/prove`: is there one to prove it with? A page offers that only then.
pub(super) async fn can_prove(Extension(person): Extension<SignedIn>) -> PageResult {
    let all = passkeys::list(&person.app, &person.caller).await?;
    let working = all.iter().filter(|it| passkeys::works(&person.app, it)).count();
    Ok(Json(json!({ "passkeys": working })).into_response())
}

/// `POST /console/account/passkeys/prove/begin`.
pub(super) async fn begin_proof(Extension(person): Extension<SignedIn>) -> PageResult {
    challenge_answer(passkeys::begin_proof(&person.app, &person.caller).await, person.form_token())
}

/// `POST /console/account/passkeys/prove`: the page stays, with what was typed there; its forms go with the session's new text.
pub(super) async fn prove(
    Extension(person): Extension<SignedIn>,
    headers: HeaderMap,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let proven = match answered(&headers, &form) {
        Ok((state, answer)) => passkeys::prove(&person.app, &person.caller, state, answer).await,
        Err(error) => Err(error),
    };
    let mut response = match proven {
        Ok(proven) => {
            person.renew(&proven.value);
            Json(json!({ "csrf": person.form_token() })).into_response()
        }
        Err(error) => refused(error, person.form_token()),
    };
    cookie::clear(response.headers_mut(), cookie::PASSKEY);
    Ok(response)
}

/// The part of the account page.
pub(super) async fn section(person: &SignedIn) -> Result<PasskeysSection> {
    let app = &person.app;
    let rows: Vec<PasskeyRow> = passkeys::list(app, &person.caller)
        .await?
        .into_iter()
        .map(|it| PasskeyRow {
            works: passkeys::works(app, &it),
            id: it.id.to_string(),
            name: it.name,
            rp_id: it.rp_id,
            added: person.moment(it.created_at),
            used: it.last_used_at.map(|at| person.moment(at)),
        })
        .collect();
    let why_not = passkeys::relying_party(app).err().map(|error| error.detail.into());
    Ok(PasskeysSection { stopped: rows.iter().filter(|row| !row.works).count(), rows, why_not })
}

/// `GET /console/account/passkeys/new`.
pub(super) async fn new(Extension(person): Extension<SignedIn>) -> PageResult {
    new_page(&person, "My device".to_owned(), Problems::default()).await
}

async fn new_page(person: &SignedIn, name: String, mut problems: Problems) -> PageResult {
    let shown = PasskeyNewPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        name: problems.field("name", name),
        password: proof::field(person, &mut problems).await?,
        address: person.app.public_url.clone(),
        error: problems.take(CREDENTIAL).or_else(|| problems.rest()),
    };
    problems.page(&shown)
}

/// `POST /console/account/passkeys/begin`, with the password where it is asked for.
pub(super) async fn begin_to_add(
    Extension(person): Extension<SignedIn>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let asked = match proof::given(&person, &form).await {
        Ok(()) => passkeys::begin_to_add(&person.app, &person.caller).await,
        Err(error) => Err(error),
    };
    challenge_answer(asked, person.form_token())
}

/// `POST /console/account/passkeys`.
pub(super) async fn add(
    Extension(person): Extension<SignedIn>,
    headers: HeaderMap,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let name = form.line("name");
    let added = match answered(&headers, &form) {
        Ok((state, answer)) => passkeys::add(&person.app, &person.caller, state, name.clone(), answer).await,
        Err(error) => Err(error),
    };
    let mut response = match added {
        Ok(_) => person.done(ACCOUNT, Flashed::PasskeyAdded)?,
        Err(error) => new_page(&person, name, Problems::of(error)?).await?,
    };
    cookie::clear(response.headers_mut(), cookie::PASSKEY);
    Ok(response)
}

/// `GET /console/account/passkeys/{passkey}`.
pub(super) async fn show(Extension(person): Extension<SignedIn>, At(passkey): At<Uuid>) -> PageResult {
    let name = passkeys::get(&person.app, &person.caller, passkey).await?.name;
    rename_page(&person, passkey, name, Problems::default()).await
}

async fn rename_page(person: &SignedIn, id: Uuid, name: String, mut problems: Problems) -> PageResult {
    let shown = PasskeyPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        id: id.to_string(),
        name: problems.field("name", name),
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `POST /console/account/passkeys/{passkey}`.
pub(super) async fn rename(
    Extension(person): Extension<SignedIn>,
    At(passkey): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let name = form.line("name");
    match passkeys::rename(&person.app, &person.caller, passkey, name.clone()).await {
        Ok(_) => person.done(ACCOUNT, Flashed::PasskeyRenamed),
        Err(error) => rename_page(&person, passkey, name, Problems::of(error)?).await,
    }
}

/// `GET /console/account/passkeys/{passkey}/remove`.
pub(super) async fn ask_remove(Extension(person): Extension<SignedIn>, At(passkey): At<Uuid>) -> PageResult {
    remove_page(&person, passkey, Problems::default()).await
}

async fn remove_page(person: &SignedIn, id: Uuid, mut problems: Problems) -> PageResult {
    let passkey = passkeys::get(&person.app, &person.caller, id).await?;
    let fact = |name: &str, value: String, mono| DetailLine { name: name.to_owned(), value, mono };
    let asked = ConfirmPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        from: "Account".to_owned(),
        back: ACCOUNT.to_owned(),
        question: "Remove this passkey?".to_owned(),
        consequences: vec![
            "It opens this account no more. Your other sessions are signed out.".to_owned(),
            "The device keeps it until you delete it there.".to_owned(),
        ],
        facts: vec![fact("Name", passkey.name, false), fact("Made for", passkey.rp_id, true)],
        action: format!("{ACCOUNT}/passkeys/{id}/remove"),
        button: "Remove".to_owned(),
        type_to_confirm: None,
        password: proof::field(person, &mut problems).await?,
        typed: FormField::default(),
        roles: None,
        error: problems.rest(),
    };
    problems.page(&asked)
}

/// `POST /console/account/passkeys/{passkey}/remove`.
pub(super) async fn remove(
    Extension(person): Extension<SignedIn>,
    At(passkey): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let removed = match proof::given(&person, &form).await {
        Ok(()) => passkeys::remove(&person.app, &person.caller, passkey).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(removed) => person.done_at(ACCOUNT, Flashed::PasskeyRemoved, removed.position),
        Err(error) => remove_page(&person, passkey, Problems::of(error)?).await,
    }
}
