//! What tokens are called that a mail is about, and where the console lists them.

use tokenward_core::Uuid;
use tokenward_core::secret::Kind;

/// Each kind with the path of its list below the organization, and its name.
const LISTS: [(Kind, &str, &str); 2] =
    [(Kind::Token, "tokens", "API tokens"), (Kind::PolicyToken, "policy-tokens", "policy tokens")];

/// What tokens of these kinds are called, and the lists that have them, one on a line: those that this filter leaves.
pub(super) fn called(url: &str, organization: Uuid, filter: &str, kinds: &[Kind]) -> (&'static str, String) {
    let there = LISTS.iter().filter(|(kind, ..)| kinds.contains(kind));
    let (names, lists): (Vec<&'static str>, Vec<String>) =
        there.map(|(_, path, name)| (*name, format!("{url}/console/{organization}/{path}?filter={filter}"))).unzip();
    let what = match names[..] {
        [one] => one,
        _ => "tokens",
    };
    (what, lists.join("\n"))
}

/// The same at the beginning of a sentence.
pub(super) fn at_the_beginning(what: &str) -> String {
    let mut letters = what.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kinds_that_are_there_are_named() {
        let of = |kinds: &[Kind]| called("http://x", Uuid::nil(), "soon", kinds);
        let list = |path: &str| format!("http://x/console/{}/{path}?filter=soon", Uuid::nil());
        assert_eq!(of(&[Kind::Token, Kind::Token]), ("API tokens", list("tokens")));
        assert_eq!(of(&[Kind::PolicyToken]), ("policy tokens", list("policy-tokens")));
        let both = format!("{}\n{}", list("tokens"), list("policy-tokens"));
        assert_eq!(of(&[Kind::PolicyToken, Kind::Token]), ("tokens", both));
        assert_eq!(["API tokens", "policy tokens"].map(at_the_beginning), ["API tokens", "Policy tokens"]);
    }
}
