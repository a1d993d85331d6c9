//! The password again, on forms for what a forgotten session must not do.

use tokenward_core::Result;
use zeroize::Zeroizing;

use super::form::{PASSWORD, Pairs, Problems};
use super::person::SignedIn;
use super::view::FormField;
use crate::service::proof;

/// Takes the password that came with a form, if one did. The error is about its field.
pub(super) async fn given(person: &SignedIn, form: &Pairs) -> Result<()> {
    let password = form.get(PASSWORD);
    if !password.is_empty() {
        proof::prove(&person.app, &person.caller, Zeroizing::new(password.to_owned())).await?;
    }
    Ok(())
}

/// The field, where the form needs it: without a fresh proof, or after what was typed was wrong.
pub(super) async fn field(person: &SignedIn, problems: &mut Problems) -> Result<Option<FormField>> {
    let field = problems.field(PASSWORD, "");
    let shown = field.error.is_some() || !proof::is_fresh(&person.app, &person.caller).await?;
    Ok(shown.then_some(field))
}

/// The field, where a form was refused without it.
pub(super) fn field_if_asked(problems: &mut Problems) -> Option<FormField> {
    Some(problems.field(PASSWORD, "")).filter(|field| field.error.is_some())
}
