//! The password again, on forms for what a forgotten session must not do.

use tokenward_core::Result;
use zeroize::Zeroizing;

use super::form::{PASSWORD, Pairs, Problems};
use super::person::SignedIn;
use super::view::FormField;
use crate::service::{accounts, proof};

/// Takes the password that came with a form, if one did. The error is about its field.
pub(super) async fn given(person: &SignedIn, form: &Pairs) -> Result<()> {
    let password = form.get(PASSWORD);
    if !password.is_empty() {
        let proven = proof::prove(&person.app, &person.caller, Zeroizing::new(password.to_owned())).await?;
        person.renew(&proven.value);
    }
    Ok(())
}

/// The field, where the form needs it: without a fresh proof, or after what was typed was wrong.
pub(super) async fn field(person: &SignedIn, problems: &mut Problems) -> Result<Option<FormField>> {
    let mut field = problems.field(PASSWORD, "");
    let fresh = proof::is_fresh(&person.app, &person.caller).await?;
    let takes_passwords = person.app.sign_in.takes_passwords();
    let has_password = takes_passwords && accounts::has_password(&person.app, &person.caller).await?;
    if !fresh && !has_password {
        field.error = Some(
            "You have no password here. Prove who sits here with a passkey, or on your account page with your provider, \
             and try again."
                .into(),
        );
    }
    let shown = field.error.is_some() || !fresh;
    Ok(shown.then_some(field))
}

/// The field, where a form was refused without it.
pub(super) fn field_if_asked(problems: &mut Problems) -> Option<FormField> {
    Some(problems.field(PASSWORD, "")).filter(|field| field.error.is_some())
}
