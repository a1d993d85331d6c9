//! Labels: words by which people and programs group tokens, such as `team=shop`.

use std::collections::BTreeMap;

/// The longest key, in characters.
pub const KEY_MAX: usize = 64;
/// The longest value, in characters.
pub const VALUE_MAX: usize = 128;

/// Labels by their keys.
pub type Labels = BTreeMap<String, String>;

/// What is wrong with a key: it stands before a `:` or a `=` where labels are asked for, and is typed into shells.
pub fn check_key(key: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    if key.is_empty() || key.chars().count() > KEY_MAX || !key.chars().all(is_plain) {
        return Err(format!("is not 1 to {KEY_MAX} letters, digits and signs out of . _ / - of ASCII"));
    }
    Ok(())
}

/// What is wrong with a value. Where labels are asked for, a `,` stands between them.
pub fn check_value(value: &str) -> Result<(), String> {
    if value.chars().count() > VALUE_MAX {
        return Err(format!("is longer than {VALUE_MAX} characters"));
    }
    if value.chars().any(|c| c.is_control() || c == ',') || value.trim() != value {
        return Err("has a comma, a control character, or a space at an end".to_owned());
    }
    Ok(())
}

/// What is wrong with labels: of the first one that is.
pub fn check(labels: &Labels) -> Result<(), String> {
    for (key, value) in labels {
        // What is too long to be a key is too long to be repeated.
        let shown: String = key.chars().take(KEY_MAX).collect();
        check_key(key).map_err(|problem| format!("has the key `{shown}`, which {problem}"))?;
        check_value(value).map_err(|problem| format!("has a value of `{shown}` that {problem}"))?;
    }
    Ok(())
}

/// What labels are asked for: a key, and a value where that counts too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    key: String,
    value: Option<String>,
}

impl Wanted {
    /// Reads `team:shop,nightly`: all of them are wanted.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let one = |text: &str| {
            let (key, value) = text.split_once(':').map_or((text, None), |(key, value)| (key, Some(value)));
            check_key(key).map_err(|problem| format!("names a key that {problem}; write `key` or `key:value`"))?;
            Ok(Self { key: key.to_owned(), value: value.map(str::to_owned) })
        };
        text.split(',').map(one).collect()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, where one is wanted.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Is it among these?
    #[must_use]
    pub fn is_in(&self, labels: &Labels) -> bool {
        labels.get(&self.key).is_some_and(|value| self.value.as_ref().is_none_or(|wanted| wanted == value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(all: &[(&str, &str)]) -> Labels {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn keys_and_values_are_plain() {
        let long = "a".repeat(KEY_MAX);
        for good in
            [labels(&[]), labels(&[("team", "shop"), ("a.b/c_d-1", "")]), labels(&[(&long, "Zürich & Bern: 日本")])]
        {
            assert_eq!(check(&good), Ok(()), "{good:?}");
        }
        let (longer, much) = ("a".repeat(KEY_MAX + 1), "é".repeat(VALUE_MAX + 1));
        for (key, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:b", "x"),
            ("a=b", "x"),
            ("é", "x"),
            (&longer, "x"),
            ("a", "x,y"),
            ("a", "x\ny"),
            ("a", " x"),
            ("a", &much),
        ] {
            assert!(check(&labels(&[(key, value)])).is_err(), "{key:?} {value:?}");
        }
    }

    #[test]
    fn all_that_is_wanted_must_be_there() {
        let own = labels(&[("team", "shop"), ("url", "a:b")]);
        let fits = |text: &str| Wanted::parse_all(text).unwrap().iter().all(|it| it.is_in(&own));
        for text in ["team", "team:shop", "team:shop,url", "url:a:b"] {
            assert!(fits(text), "{text}");
        }
        for text in ["env", "team:Shop", "team:shop,env", "team:"] {
            assert!(!fits(text), "{text}");
        }
        assert!(Wanted::parse_all("").is_err() && Wanted::parse_all("team,").is_err());
    }
}
