//! What a provider says of a person. Any claim can be of any type: what is not of the type that is needed is not there.

use serde_json::{Map, Value};
use tokenward_core::email;
use tokenward_core::name::{check_email, fold_email};

use crate::limits::CLAIM_VALUES;

/// The claim that names an address, and the one that says whether it is the person's.
const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";

/// The claims of a token, and of UserInfo where the token lacks them.
#[derive(Clone, Default, Debug)]
pub struct Claims(pub(super) Map<String, Value>);

impl Claims {
    /// Is it there, whatever it is?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.at(name).is_some()
    }

    /// Is it not there, or nothing?
    pub(super) fn lacks(&self, name: &str) -> bool {
        self.at(name).is_none_or(Value::is_null)
    }

    /// The address that they give, in the form in which addresses are kept; `None` where it is none.
    pub(super) fn address(&self) -> Option<String> {
        let address = self.text(EMAIL).map(|it| email::ascii(it.trim()).into_owned());
        address.filter(|it| check_email(it).is_ok())
    }

    /// All of them, as a person reads JSON; of very much the beginning.
    #[must_use]
    pub fn shown(&self) -> String {
        const MOST: usize = 20_000;
        let mut text = serde_json::to_string_pretty(&self.0).unwrap_or_default();
        if text.len() > MOST {
            text.truncate(text.floor_char_boundary(MOST));
            text.push('…');
        }
        text
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A time, in seconds. Some providers write fractions.
    #[must_use]
    pub fn seconds(&self, name: &str) -> Option<i64> {
        let value = self.0.get(name)?;
        // A number of seconds is far below what a float loses.
        value.as_i64().or_else(|| value.as_f64().filter(|it| it.is_finite() && it.abs() < 1e15).map(|it| it as i64))
    }

    /// Is it said to be so? Some providers write `"true"`.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(it)) => *it,
            Some(Value::String(it)) => it == "true",
            _ => false,
        }
    }

    /// A claim by its name, or by a path with dots: `realm_access.roles`. A name with dots in it goes first.
    fn at(&self, name: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(name) {
            return Some(value);
        }
        let mut parts = name.split('.');
        let first = self.0.get(parts.next()?)?;
        let found = parts.try_fold(first, |value, part| value.as_object()?.get(part))?;
        Some(found)
    }

    /// The texts of a claim: of a text it alone, of a list its texts, of an object its keys. `None` where it is not there or
    /// is something else, and where it is longer than anybody means.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        let list: Vec<String> = match self.at(name)? {
            Value::String(text) => vec![text.clone()],
            Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Value::Object(all) => all.keys().cloned().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => return None,
        };
        (list.len() <= CLAIM_VALUES.size()).then_some(list)
    }

    /// The texts of a list, where it is one and of nothing else.
    pub(super) fn array(&self, name: &str) -> Option<Vec<&str>> {
        let all = self.0.get(name)?.as_array()?;
        if all.len() > CLAIM_VALUES.size() {
            return None;
        }
        all.iter().map(Value::as_str).collect()
    }

    /// Does Entra say that there are more groups than it writes into a token? Then those that stand there are not all.
    #[must_use]
    pub fn is_overage(&self, name: &str) -> bool {
        let elsewhere = self.0.get("_claim_names").and_then(Value::as_object);
        elsewhere.is_some_and(|names| names.contains_key(name)) || self.is_true("hasgroups")
    }

    /// Does it hold this value? Of a list any of them.
    #[must_use]
    pub fn holds(&self, name: &str, value: &str) -> bool {
        match self.at(name) {
            Some(Value::Bool(it)) => it.to_string() == value,
            Some(Value::Number(it)) => it.to_string() == value,
            _ => self.list(name).is_some_and(|all| all.iter().any(|it| it == value)),
        }
    }

    /// With what another source says besides. Each proves the address alone that it names itself: one that says "verified" of another
    /// address, or of none, has said nothing of this one.
    pub(super) fn completed_by(&mut self, mut other: Self) {
        let folded = |claims: &Self| claims.address().map(|it| fold_email(&it));
        if self.lacks(EMAIL) {
            self.0.remove(EMAIL_VERIFIED);
        } else if folded(self).is_none_or(|own| folded(&other) != Some(own)) {
            other.0.remove(EMAIL_VERIFIED);
        }
        for (name, value) in other.0 {
            if self.0.get(&name).is_none_or(Value::is_null) {
                self.0.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_of_any_type_is_read_or_is_not_there() {
        let claims = json!({
            "text": "a", "list": ["a", 1, "b", null], "object": { "a": {}, "b": 1 }, "number": 7, "no": false,
            "realm_access": { "roles": ["a"] }, "https://acme.example/groups": ["x"], "word": "true", "half": 1.5,
            "many": vec!["g"; CLAIM_VALUES.size() + 1],
        });
        let claims = Claims(claims.as_object().unwrap().clone());
        let list = |name| claims.list(name).map(|it| it.join(" "));
        assert_eq!(list("text").as_deref(), Some("a"));
        assert_eq!(list("list").as_deref(), Some("a b"));
        assert_eq!(list("object").as_deref(), Some("a b"));
        assert_eq!(list("realm_access.roles").as_deref(), Some("a"));
        assert_eq!(list("https://acme.example/groups").as_deref(), Some("x"));
        for absent in ["number", "no", "absent", "many", "text.a", "realm_access.roles.x", ""] {
            assert_eq!(list(absent), None, "{absent}");
        }
        assert!(claims.holds("number", "7") && claims.holds("no", "false") && claims.holds("list", "b"));
        assert!(claims.is_true("word") && !claims.is_true("no") && !claims.is_true("number"));
        assert_eq!((claims.seconds("half"), claims.seconds("text")), (Some(1), None));
    }

    #[test]
    fn an_address_is_proven_by_the_source_that_names_it() {
        let own = json!("ada@acme.example");
        for (token, other, proven) in [
            (json!({ "email": own }), json!({ "email": own, "email_verified": true }), true),
            (json!({ "email": own }), json!({ "email": " ADA@Acme.example", "email_verified": "true" }), true),
            (
                json!({ "email": "ada@bücher.example" }),
                json!({ "email": "ada@XN--BCHER-KVA.example", "email_verified": true }),
                true,
            ),
            (json!({ "email": own, "email_verified": null }), json!({ "email": own, "email_verified": true }), true),
            (json!({}), json!({ "email": own, "email_verified": true }), true),
            (json!({ "email": null }), json!({ "email": own, "email_verified": true }), true),
            (json!({ "email": own, "email_verified": true }), json!({ "email": "eve@acme.example" }), true),
            // Of another address, of none, and of what is none.
            (json!({ "email": own }), json!({ "email": "eve@acme.example", "email_verified": true }), false),
            (json!({ "email": own }), json!({ "email_verified": true }), false),
            (json!({ "email": own }), json!({ "email": null, "email_verified": true }), false),
            (json!({ "email": "ada" }), json!({ "email": "ada", "email_verified": true }), false),
            (json!({ "email_verified": true }), json!({ "email": own }), false),
            // What the token says of its own stays.
            (json!({ "email": own, "email_verified": false }), json!({ "email": own, "email_verified": true }), false),
        ] {
            let [mut claims, more] = [&token, &other].map(|it| Claims(it.as_object().unwrap().clone()));
            claims.completed_by(more);
            assert_eq!(claims.is_true("email_verified"), proven, "{token} {other}");
        }
    }

    #[test]
    fn what_is_there_stays_and_what_is_nothing_does_not() {
        let mut claims = Claims(json!({ "name": "Ada", "groups": null, "hd": 7 }).as_object().unwrap().clone());
        assert!(claims.lacks("groups") && claims.lacks("email") && !claims.lacks("hd"));
        let more = json!({ "name": "Eve", "groups": ["staff"], "hd": "acme.example", "locale": "en" });
        claims.completed_by(Claims(more.as_object().unwrap().clone()));
        let all = json!({ "name": "Ada", "groups": ["staff"], "hd": 7, "locale": "en" });
        assert_eq!(Value::Object(claims.0), all);
    }
}
