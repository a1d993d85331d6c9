//! Links that are mailed to the person of an account: a new password, a new address, and the way back from one.

use axum::Extension;
use tokenward_core::{Code, Error, password};
use zeroize::Zeroizing;

use super::form::{Pairs, Problems};
use super::page::{At, PageResult, see_other};
use super::person::SignedOut;
use super::view::{EmailLinkPage, ForgotPage, PasswordResetPage};
use crate::service::accounts::Taking;
use crate::service::email_changes::{self, Linked};
use crate::service::{password_resets, set_up};

/// `GET /sign-in/forgot`.
pub(super) async fn forgot_form(Extension(visitor): Extension<SignedOut>) -> PageResult {
    forgot_page(&visitor, String::new(), false, Problems::default())
}

fn forgot_page(visitor: &SignedOut, email: String, sent: bool, mut problems: Problems) -> PageResult {
    let shown = ForgotPage {
        csrf: visitor.csrf.clone(),
        offered: password_resets::are_offered(&visitor.app),
        email: problems.field("email", email),
        sent,
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `POST /sign-in/forgot`: says the same of every address.
pub(super) async fn forgot(Extension(visitor): Extension<SignedOut>, Extension(form): Extension<Pairs>) -> PageResult {
    let email = form.line("email");
    match password_resets::ask(&visitor.app, &email, visitor.client.clone()) {
        Ok(()) => forgot_page(&visitor, email, true, Problems::default()),
        Err(error) => forgot_page(&visitor, email, false, Problems::of(error)?),
    }
}

/// `GET /sign-in/reset/{secret}`: shows the form and spends nothing.
pub(super) async fn reset_form(Extension(visitor): Extension<SignedOut>, At(secret): At<String>) -> PageResult {
    reset_page(&visitor, secret, Problems::default()).await
}

async fn reset_page(visitor: &SignedOut, secret: String, mut problems: Problems) -> PageResult {
    let account = password_resets::owner(&visitor.app, &secret).await?.ok_or_else(|| {
        visitor.dead_link(Error::new(
            Code::NotFound,
            "This link is not valid: it was used, has expired, or is not complete. Ask for a new one on the sign-in page.",
        ))
    })?;
    let shown = PasswordResetPage {
        secret,
        csrf: visitor.csrf.clone(),
        asks_whether_mine: account.email_proven_at.is_none(),
        email: account.email,
        password: problems.field("password", ""),
        password_rule: password::rule(),
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `POST /sign-in/reset/{secret}`: sets the password, and signs nobody in.
pub(super) async fn reset(
    Extension(visitor): Extension<SignedOut>,
    At(secret): At<String>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let password = Zeroizing::new(form.get("password").to_owned());
    let taking = Taking { password, was_not_me: form.on("was_not_me") };
    match password_resets::take(&visitor.app, &secret, taking, set_up::visitor(&visitor.client)).await {
        Ok(_) => see_other("/sign-in?notice=reset"),
        Err(error) if matches!(error.code, Code::InvalidRequest | Code::Unavailable) => {
            reset_page(&visitor, secret, Problems::of(error)?).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /sign-in/email/{secret}`: shows what the link does, and spends nothing.
pub(super) async fn email_form(Extension(visitor): Extension<SignedOut>, At(secret): At<String>) -> PageResult {
    email_page(&visitor, secret, Problems::default()).await
}

async fn email_page(visitor: &SignedOut, secret: String, mut problems: Problems) -> PageResult {
    let found = email_changes::find(&visitor.app, &secret).await?.ok_or_else(|| {
        let detail = "This link is not valid: it was used, has expired, or is not complete.";
        visitor.dead_link(Error::new(Code::NotFound, detail))
    })?;
    let (undoes, change) = match found {
        Linked::Confirms(change) => (false, change),
        Linked::Undoes(change) => (true, change),
    };
    let shown = EmailLinkPage {
        secret,
        csrf: visitor.csrf.clone(),
        undoes,
        old_email: change.old_email,
        new_email: change.new_email,
        error: problems.rest(),
    };
    problems.page(&shown)
}

/// `POST /sign-in/email/{secret}`: does it.
pub(super) async fn email(Extension(visitor): Extension<SignedOut>, At(secret): At<String>) -> PageResult {
    let (app, by) = (&visitor.app, set_up::visitor(&visitor.client));
    let undoes = matches!(email_changes::find(app, &secret).await?, Some(Linked::Undoes(_)));
    let done = if undoes {
        email_changes::undo(app, &secret, by).await.map(|undone| match undone.value.reset {
            Some(reset) => format!("/sign-in/reset/{}", *reset),
            None => "/sign-in?notice=address-back".to_owned(),
        })
    } else {
        email_changes::confirm(app, &secret, by).await.map(|_| "/sign-in?notice=address".to_owned())
    };
    match done {
        Ok(to) => see_other(&to),
        // The page is shown once more while its link is good; a dead one says so.
        Err(error) if matches!(error.code, Code::Conflict | Code::Throttled | Code::Unavailable) => {
            email_page(&visitor, secret, Problems::of(error)?).await
        }
        Err(error) => Err(error.into()),
    }
}
