//! The second factor: typed at a sign-in, set up and removed on the account page.

use axum::Extension;
use axum::http::{HeaderMap, StatusCode};
use tokenward_core::second_factor::{OneTimeCode, SecondFactor};
use tokenward_core::{Error, Result};

use super::cookie;
use super::flash::Flashed;
use super::form::{OTP, Pairs, Problems, Query};
use super::page::{PageResult, own_path, page, see_other};
use super::person::{SignedIn, SignedOut};
use super::proof;
use super::view::{ConfirmPage, FormField, Nav, RecoveryCodesPage, SecondFactorPage, SecondFactorView, SignInCodePage};
use crate::limits::{CODE_CHARACTERS, SECOND_FACTOR_SET_UP_CHARACTERS};
use crate::service::{half_way, second_factor};

const ACCOUNT: &str = "/console/account";
const PAGE: &str = "/console/account/second-factor";

/// `GET /sign-in/code`.
pub(super) async fn code_form(
    Extension(visitor): Extension<SignedOut>,
    headers: HeaderMap,
    Query(query): Query,
) -> PageResult {
    match cookie::get(&headers, cookie::HALF_WAY) {
        Some(carried) if half_way::is_open(&visitor.app, carried) => {
            code_page(&visitor, !query.get("recovery").is_empty(), Problems::default())
        }
        _ => see_other("/sign-in"),
    }
}

fn code_page(visitor: &SignedOut, recovery: bool, mut problems: Problems) -> PageResult {
    let shown =
        SignInCodePage { csrf: visitor.csrf.clone(), recovery, otp: problems.field(OTP, ""), error: problems.rest() };
    problems.page(&shown)
}

/// `POST /sign-in/code`.
pub(super) async fn take_code(
    Extension(visitor): Extension<SignedOut>,
    headers: HeaderMap,
    Query(query): Query,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let carried = cookie::get(&headers, cookie::HALF_WAY).unwrap_or_default();
    let recovery = !query.get("recovery").is_empty();
    let came = match typed(&form) {
        Ok(given) => half_way::go_on(&visitor.app, carried, given, visitor.client.clone()).await,
        Err(error) => Err(error),
    };
    match came {
        Ok((begun, next)) => {
            let mut response = visitor.signed_in(&begun.value, own_path(&next).unwrap_or("/"), None).await?;
            cookie::clear(response.headers_mut(), cookie::HALF_WAY);
            Ok(response)
        }
        Err(error) => code_page(&visitor, recovery, Problems::of(error)?),
    }
}

fn typed(form: &Pairs) -> Result<SecondFactor> {
    proof::code(form)?.ok_or_else(|| Error::invalid(OTP, "is missing"))
}

/// The part of the account page.
pub(super) async fn part(person: &SignedIn) -> Result<SecondFactorView> {
    let state = second_factor::get(&person.app, &person.caller).await?;
    let used = state.authenticator.and_then(|(_, used)| used);
    Ok(SecondFactorView {
        since: state.authenticator.map(|(since, _)| person.moment(since)),
        used: used.map(|at| person.moment(at)),
        codes_left: state.recovery_codes,
    })
}

/// `GET /console/account/second-factor`.
pub(super) async fn ask(Extension(person): Extension<SignedIn>, Query(query): Query) -> PageResult {
    query.understood(&["next"])?;
    // Its form has one field for a code: the first of the new authenticator.
    if second_factor::is_asked(&person.app, &person.caller).await? {
        return see_other(ACCOUNT);
    }
    let begun = second_factor::begin(&person.app, &person.caller).await?;
    set_up_page(&person, begun, query.get("next"), Problems::default()).await
}

async fn set_up_page(person: &SignedIn, begun: second_factor::SetUp, next: &str, mut problems: Problems) -> PageResult {
    // In groups, as people read it over.
    let groups: Vec<&str> = begun.seed.as_bytes().chunks(4).filter_map(|four| std::str::from_utf8(four).ok()).collect();
    // The first code has this name, too: the account has no second factor yet, and no other is asked.
    let otp = problems.field(OTP, "");
    let shown = SecondFactorPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        seed: groups.join(" "),
        otpauth: begun.otpauth.to_string(),
        qr: begun.qr,
        set_up: begun.sealed,
        next: own_path(next).unwrap_or_default().to_owned(),
        otp,
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `POST /console/account/second-factor`: turns it on, and shows the recovery codes.
pub(super) async fn turn_on(Extension(person): Extension<SignedIn>, Extension(form): Extension<Pairs>) -> PageResult {
    let sealed = form.get("set_up");
    SECOND_FACTOR_SET_UP_CHARACTERS.check_text(sealed).map_err(|problem| Error::invalid("set_up", problem))?;
    let (app, caller, next) = (&person.app, &person.caller, form.get("next"));
    let typed = form.get(OTP);
    let read = CODE_CHARACTERS.check_text(typed).and_then(|()| OneTimeCode::parse(typed));
    let on = match (proof::password_given(&person, &form).await, read) {
        (Ok(()), Ok(code)) => second_factor::turn_on(app, caller, sealed, code).await,
        (Ok(()), Err(problem)) => Err(Error::invalid(OTP, problem)),
        (Err(error), _) => Err(error),
    };
    match on {
        Ok(on) => {
            person.renew(&on.value.renewed);
            codes_page(&person, &on.value.codes, true, own_path(next).unwrap_or(ACCOUNT)).await
        }
        Err(error) => {
            // The seed is the same: it may be in the authenticator already.
            let begun = match second_factor::reopen(app, caller, sealed).await? {
                Some(begun) => begun,
                None => second_factor::begin(app, caller).await?,
            };
            set_up_page(&person, begun, next, Problems::of(error)?).await
        }
    }
}

async fn codes_page(person: &SignedIn, codes: &second_factor::Codes, first: bool, next: &str) -> PageResult {
    let shown = RecoveryCodesPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        codes: codes.iter().map(|code| code.to_string()).collect(),
        first,
        next: next.to_owned(),
    };
    page(StatusCode::CREATED, &shown)
}

/// What is asked before recovery codes are replaced, or all of it is removed.
struct ProofQuestion {
    question: &'static str,
    consequences: &'static [&'static str],
    path: &'static str,
    button: &'static str,
}

static NEW_CODES: ProofQuestion = ProofQuestion {
    question: "Make new recovery codes?",
    consequences: &["Those that you have work no more.", "The new ones are shown once."],
    path: "codes",
    button: "Make new codes",
};
static REMOVE: ProofQuestion = ProofQuestion {
    question: "Remove the second factor?",
    consequences: &[
        "Signing in asks for no code any more, and the recovery codes are gone.",
        "Your other sessions are signed out.",
        "Organizations that ask for two factors keep you from removing the last one.",
    ],
    path: "remove",
    button: "Remove",
};

async fn asked(person: &SignedIn, question: &ProofQuestion, mut problems: Problems) -> PageResult {
    let shown = ConfirmPage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        from: "Account".to_owned(),
        back: ACCOUNT.to_owned(),
        question: question.question.to_owned(),
        consequences: question.consequences.iter().map(|it| (*it).to_owned()).collect(),
        facts: Vec::new(),
        action: format!("{PAGE}/{}", question.path),
        button: question.button.to_owned(),
        type_to_confirm: None,
        password: proof::field(person, &mut problems).await?,
        typed: FormField::default(),
        roles: None,
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `GET /console/account/second-factor/codes`.
pub(super) async fn ask_codes(Extension(person): Extension<SignedIn>) -> PageResult {
    asked(&person, &NEW_CODES, Problems::default()).await
}

/// `POST /console/account/second-factor/codes`.
pub(super) async fn new_codes(Extension(person): Extension<SignedIn>, Extension(form): Extension<Pairs>) -> PageResult {
    let made = match proof::given(&person, &form).await {
        Ok(()) => second_factor::new_codes(&person.app, &person.caller).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(made) => codes_page(&person, &made.value, false, ACCOUNT).await,
        Err(error) => asked(&person, &NEW_CODES, Problems::of(error)?).await,
    }
}

/// `GET /console/account/second-factor/remove`.
pub(super) async fn ask_remove(Extension(person): Extension<SignedIn>) -> PageResult {
    asked(&person, &REMOVE, Problems::default()).await
}

/// `POST /console/account/second-factor/remove`.
pub(super) async fn remove(Extension(person): Extension<SignedIn>, Extension(form): Extension<Pairs>) -> PageResult {
    let removed = match proof::given(&person, &form).await {
        Ok(()) => second_factor::remove(&person.app, &person.caller).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(removed) => person.done_at(ACCOUNT, Flashed::SecondFactorRemoved, removed.position),
        Err(error) => asked(&person, &REMOVE, Problems::of(error)?).await,
    }
}
