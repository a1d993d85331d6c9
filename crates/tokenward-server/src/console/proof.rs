//! The password again, and a code where the account has a second factor, on forms for what a forgotten session must not do.

use tokenward_core::second_factor::SecondFactor;
use tokenward_core::{Error, Result};
use zeroize::Zeroizing;

use super::form::{OTP, PASSWORD, Pairs, Problems};
use super::person::SignedIn;
use super::view::{FormField, ProofFields};
use crate::limits::CODE_CHARACTERS;
use crate::service::{accounts, proof, second_factor};

/// What was typed in the place of a second factor, of either kind; `None` where nothing was.
pub(super) fn code(form: &Pairs) -> Result<Option<SecondFactor>> {
    let typed = form.get(OTP);
    if typed.is_empty() {
        return Ok(None);
    }
    let read = CODE_CHARACTERS.check_text(typed).and_then(|()| SecondFactor::parse(typed));
    read.map(Some).map_err(|problem| Error::invalid(OTP, problem))
}

/// Takes the password that came with a form, if one did, where its code is another thing.
pub(super) async fn password_given(person: &SignedIn, form: &Pairs) -> Result<()> {
    prove(person, form.get(PASSWORD), None).await
}

/// Takes the proof that came with a form, if one did. The error is about its fields.
pub(super) async fn given(person: &SignedIn, form: &Pairs) -> Result<()> {
    prove(person, form.get(PASSWORD), code(form)?).await
}

/// Takes the code that came with a form, if one did, beside the password in this field of it.
pub(super) async fn code_given(person: &SignedIn, form: &Pairs, password: &str) -> Result<()> {
    match code(form)? {
        Some(second) => prove(person, form.get(password), Some(second)).await,
        None => Ok(()),
    }
}

async fn prove(person: &SignedIn, password: &str, second: Option<SecondFactor>) -> Result<()> {
    if !password.is_empty() || second.is_some() {
        let password = Some(password).filter(|it| !it.is_empty()).map(|it| Zeroizing::new(it.to_owned()));
        let proven = proof::prove(&person.app, &person.caller, proof::ProofInput { password, second }).await?;
        person.renew(&proven.value);
    }
    Ok(())
}

/// The fields, where the form needs them: without a fresh proof, or after what was typed was wrong.
pub(super) async fn field(person: &SignedIn, problems: &mut Problems) -> Result<Option<ProofFields>> {
    let fresh = proof::is_fresh(&person.app, &person.caller).await?;
    let mut fields = fields(person, problems).await?;
    let bare = fields.password.is_none() && fields.code.is_none();
    if !fresh && bare && !proof::takes_passkey(&person.app, &person.caller).await? {
        let text = "You have no password here. Prove who sits here with a passkey, or on your account page with your provider, \
             and try again.";
        fields.password = Some(FormField { value: String::new(), error: Some(text.into()) });
    }
    Ok(Some(fields).filter(|it| !fresh || it.is_wrong()))
}

/// Those of what the account has.
pub(super) async fn fields(person: &SignedIn, problems: &mut Problems) -> Result<ProofFields> {
    let takes_passwords = person.app.sign_in.takes_passwords();
    let has_password = takes_passwords && accounts::has_password(&person.app, &person.caller).await?;
    let has_second = second_factor::is_asked(&person.app, &person.caller).await?;
    if !has_second && proof::takes_passkey(&person.app, &person.caller).await? {
        // A password is not enough beside a passkey: it is not asked.
        if problems.take(PASSWORD).is_some() {
            problems.add_general(
                "For this, use your passkey first: a password alone is not enough, as your account has one.",
            );
        }
        return Ok(ProofFields { password: None, code: None });
    }
    // Nobody is told to type what they do not have.
    if !has_password && problems.take(PASSWORD).is_some() && has_second {
        problems.add(OTP, "For this, type the code of your authenticator: it was longer ago than a few minutes.");
    }
    let (password, code) = (problems.field(PASSWORD, ""), problems.field(OTP, ""));
    Ok(ProofFields {
        password: Some(password).filter(|field| has_password || field.error.is_some()),
        code: Some(code).filter(|field| has_second || field.error.is_some()),
    })
}

/// The fields, where a form was refused without them.
pub(super) async fn field_if_asked(person: &SignedIn, problems: &mut Problems) -> Result<Option<ProofFields>> {
    if problems.concern(PASSWORD) || problems.concern(OTP) { field(person, problems).await } else { Ok(None) }
}
