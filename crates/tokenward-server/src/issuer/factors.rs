//! Does an ID token say that two factors were asked? By `amr` (RFC 8176) or by an `acr` that the operator names; nothing is guessed.

use super::claims::Claims;

/// What somebody knows.
const KNOWN: [&str; 3] = ["pwd", "pin", "kba"];
/// What somebody has.
const HELD: [&str; 6] = ["otp", "sms", "tel", "hwk", "swk", "sc"];
/// What somebody is.
const INHERENT: [&str; 5] = ["face", "fpt", "iris", "retina", "vbm"];

/// Does it? `acr` are the values that mean so at this provider.
pub(super) fn two(claims: &Claims, acr: &[String]) -> bool {
    if claims.text("acr").is_some_and(|said| acr.iter().any(|value| value == said)) {
        return true;
    }
    let Some(said) = claims.array("amr") else { return false };
    let any_of = |kind: &[&str]| said.iter().any(|word| kind.contains(word));
    let kinds = [any_of(&KNOWN), any_of(&HELD), any_of(&INHERENT)];
    said.contains(&"mfa") || kinds.into_iter().filter(|is_there| *is_there).count() >= 2
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(claims: &Value) -> bool {
        two(&Claims(claims.as_object().unwrap().clone()), &["phrh".to_owned(), "urn:acme:two".to_owned()])
    }

    #[test]
    fn two_factors_are_two_kinds_or_a_word_for_it() {
        for amr in [
            json!(["mfa"]),
            json!(["pwd", "mfa"]),
            json!(["pwd", "otp"]),
            json!(["otp", "pwd", "rba"]),
            json!(["hwk", "pin"]),
            json!(["hwk", "fpt"]),
            json!(["kba", "sms"]),
            json!(["pwd", "face"]),
        ] {
            assert!(said(&json!({ "amr": amr })), "{amr}");
        }
        for amr in [
            json!([]),
            json!(["pwd"]),
            json!(["otp"]),
            json!(["hwk"]),
            json!(["fpt"]),
            // One kind twice, and what is no factor.
            json!(["pwd", "pin"]),
            json!(["otp", "sms"]),
            json!(["face", "fpt"]),
            json!(["pwd", "rba", "geo", "user", "mca", "wia"]),
            // Nothing is read into other types, or into words that are nearly one.
            json!("mfa"),
            json!("pwd otp"),
            json!({ "mfa": true }),
            json!(["MFA"]),
            json!(["mfa "]),
            json!(["mfa", 1]),
            json!([["mfa"]]),
            json!(true),
            json!(null),
        ] {
            assert!(!said(&json!({ "amr": amr })), "{amr}");
        }
        for acr in ["phrh", "urn:acme:two"] {
            assert!(said(&json!({ "acr": acr, "amr": ["pwd"] })), "{acr}");
        }
        for acr in
            [json!("phr"), json!("0"), json!(""), json!("PHRH"), json!(["phrh"]), json!(2), json!("urn:acme:two ")]
        {
            assert!(!said(&json!({ "acr": acr })), "{acr}");
        }
        assert!(!two(&Claims(json!({ "acr": "" }).as_object().unwrap().clone()), &[]));
    }
}
