//! What a change of a token would take from it: shown before it is saved, which takes a second click then.

use sha2::{Digest, Sha256};
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::token::Token;
use tokenward_core::{Code, Result};

use super::form::Pairs;
use super::person::SignedIn;
use super::view::TokenEffect;
use super::words::count;
use crate::service::token_effect;
use crate::service::tokens::TokenChange;

/// The fields of a form that can take something from a token; the second one counts where the first says so.
const TAKING: [(&str, Option<(&str, &str)>); 8] = [
    ("role_id", None),
    ("expires", None),
    ("expires_on", Some(("expires", "date"))),
    ("begins", None),
    ("begins_on", Some(("begins", "date"))),
    ("networks", None),
    ("permissions", None),
    ("projects", None),
];

/// Stands for what was typed in them: what was shown once is not asked about again, and what was typed after it is.
fn mark(typed: &Pairs) -> String {
    let mut digest = Sha256::new();
    for (field, only) in TAKING {
        let counts = only.is_none_or(|(other, value)| typed.get(other) == value);
        let value = if counts { typed.get(field) } else { "" };
        digest.update(value.len().to_be_bytes());
        digest.update(value.as_bytes());
    }
    hex::encode(&digest.finalize()[..16])
}

/// What the change that was typed would take from the token, unless that was shown already.
pub(super) async fn effect_of(
    person: &SignedIn,
    grant: &Grant,
    token: &Token,
    typed: &Pairs,
    change: &TokenChange,
) -> Result<Option<TokenEffect>> {
    let sure = mark(typed);
    if typed.get("sure") == sure {
        return Ok(None);
    }
    // What was decided is not for everybody who may change tokens.
    let sees = person.can(token.organization_id, Management::TokenVerify);
    let effect = match token_effect::of_change(&person.app, grant, token, change, None, sees).await {
        Ok(effect) => effect,
        // The change itself tells all that is wrong with it.
        Err(error) if error.code == Code::InvalidRequest => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut times = Vec::new();
    if let Some(last) = effect.last_used_at.map(|at| person.moment(at).both()) {
        if let Some(begin) = effect.begins_later {
            let begin = person.moment(begin).full;
            times.push(format!("It would be refused until {begin}. It was last used {last}."));
        }
        if let Some(end) = effect.ends_sooner {
            let end = person.moment(end).full;
            let instead = token
                .expires_at
                .map(|before| format!(" instead of {}", person.moment(before).full))
                .unwrap_or_default();
            times.push(format!("It would end on {end}{instead}. It was last used {last}."));
        }
    }
    let with = match effect.fields.as_slice() {
        ["role_id"] => "this role",
        ["permissions"] => "these permissions",
        ["projects"] => "these projects",
        ["networks"] => "these networks",
        _ => "this change",
    };
    let sentence = format!(
        "With {with} {} of its last {} would be refused:",
        effect.refused_count,
        count(effect.looked_at, "allowed request")
    );
    let shown = TokenEffect { times, sentence, refused: effect.refused, sure };
    Ok((!shown.times.is_empty() || !shown.refused.is_empty()).then_some(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_since_is_asked_about_again() {
        let of = |form: &str| mark(&Pairs::parse(form.as_bytes()));
        let shown = of("role_id=1&expires=keep&networks=10.0.0.0/8");
        assert_eq!(shown, of("name=other&role_id=1&expires=keep&expires_on=2027-01-31&networks=10.0.0.0/8"));
        for other in [
            "role_id=2&expires=keep&networks=10.0.0.0/8",
            "role_id=1&expires=30d&networks=10.0.0.0/8",
            "role_id=1&expires=keep",
            "role_id=1&expires=keep&permissions=10.0.0.0/8",
            "role_id=1&expires=keep&networks=10.0.0.0/8&begins=now",
        ] {
            assert_ne!(shown, of(other), "{other}");
        }
        assert_ne!(of("expires=date&expires_on=2027-01-31"), of("expires=date&expires_on=2027-02-01"));
    }
}
