//! What people mean by paths and scopes, where a document does not say permissions in so many words.
//!
//! Nothing here guesses in silence: whatever is not taken as it stands is a [`Note`] of the import.

use serde::{Deserialize, Serialize};
use tokenward_core::permission::{Management, RequiredPermission};

use super::fault::short;

/// Something that an import did not take as it stands, once for all operations that it happened to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// What happened; how often, follows.
    pub what: String,
    /// To how many.
    pub count: usize,
    /// The first of them.
    pub examples: Vec<String>,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = if self.count > self.examples.len() { ", …" } else { "" };
        write!(f, "{}: {} ({}{more})", self.what, self.count, self.examples.join(", "))
    }
}

/// Most examples that a note has.
const EXAMPLES: usize = 3;

/// The notes of an import, in the order in which they came up.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Notes(pub Vec<Note>);

impl Notes {
    pub fn add(&mut self, what: &str, example: &str) {
        let note = match self.0.iter_mut().position(|note| note.what == what) {
            Some(at) => &mut self.0[at],
            None => {
                self.0.push(Note { what: what.to_owned(), count: 0, examples: Vec::new() });
                let last = self.0.len() - 1;
                &mut self.0[last]
            }
        };
        note.count += 1;
        if note.examples.len() < EXAMPLES {
            note.examples.push(short(example));
        }
    }
}

/// `<noun>:read` for GET and HEAD, `:write` for the others. The noun is the first segment of the path that is one: no
/// version, no `api`, no parameter; where there is none, the name of the API is.
pub(super) fn by_path(method: &str, path: &str, api: &str) -> String {
    let verb = if matches!(method, "GET" | "HEAD") { "read" } else { "write" };
    let nouns = path.split(['?', '#']).next().unwrap_or_default().split('/').filter(|segment| is_thing(segment));
    let noun = nouns.filter_map(noun_of).next().unwrap_or_else(|| name_of(api));
    // Ours would be ours to give away.
    let noun = if Management::reserves(&noun) { format!("{}-{noun}", name_of(api)) } else { noun };
    let permission = format!("{noun}:{verb}");
    match RequiredPermission::parse(&permission) {
        Ok(_) => permission,
        Err(_) => format!("{}:{verb}", name_of(api)),
    }
}

/// Does a segment name a thing? Versions and `api` stand before what a path is about, and a parameter is one of many.
fn is_thing(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase();
    !segment.is_empty() && !segment.starts_with('{') && !is_version(&segment) && !["api", "apis"].contains(&&*segment)
}

/// `v1`, `v2.1`, `v1beta1`, `2.0`, `2020-10-01`, `latest`.
fn is_version(segment: &str) -> bool {
    let digits = segment.strip_prefix('v').unwrap_or(segment);
    let begins = digits.starts_with(|c: char| c.is_ascii_digit());
    let is_word = |word: &str| ["", "alpha", "beta", "rc", "p"].contains(&word);
    begins && digits.split(|c: char| c.is_ascii_digit() || ".-_".contains(c)).all(is_word)
}

/// The noun that a segment is: what stands before a parameter, an action or an ending in it, in the letters of permissions.
fn noun_of(segment: &str) -> Option<String> {
    let word = segment.split(['{', ':', '.', '(', '*', '=']).next()?;
    let noun = letters(word);
    RequiredPermission::parse(&format!("{noun}:read")).is_ok().then_some(noun).or_else(|| {
        // One of ours is a noun all the same, and gets the API's name before it.
        Management::reserves(&letters(word)).then(|| letters(word))
    })
}

/// The name of an API in the letters of permissions, which begin with a letter of their own where it does not.
fn name_of(api: &str) -> String {
    let name = letters(api);
    let name = if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("api-{name}") };
    let name: String = name.chars().take(48).collect();
    // An API may be called as one of our nouns is.
    if Management::reserves(&name) { format!("{name}-api") } else { name }
}

fn letters(text: &str) -> String {
    let lower = text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    lower.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '-' }).collect()
}

/// What a scope of a document means as a permission.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// What it says.
    Permission(String),
    /// Something else than it says, and why.
    Taken(String, &'static str),
    /// A word, an address, or the name of a right that is no `noun:verb`.
    None,
}

/// What is done: the words that stand before the noun in many APIs' scopes.
const VERBS: [&str; 12] =
    ["read", "write", "create", "update", "delete", "list", "get", "view", "edit", "manage", "modify", "admin"];

/// Reads a scope of an operation on this path.
pub(super) fn scope(text: &str, path: &str, api: &str) -> Scope {
    let Some((noun, verb)) = text.split_once(':') else { return Scope::None };
    if Management::reserves(noun) {
        let own = format!("{}-{noun}:{verb}", name_of(api));
        return match RequiredPermission::parse(&own) {
            Ok(_) => Scope::Taken(own, "scopes whose noun is one of Tokenward's own; the API's name stands before it"),
            Err(_) => Scope::None,
        };
    }
    if RequiredPermission::parse(text).is_err() {
        return Scope::None;
    }
    let is_of_path = |word: &str| {
        let plain = |word: &str| letters(word).trim_end_matches('s').to_owned();
        path.split('/').any(|segment| !segment.starts_with('{') && !segment.is_empty() && plain(segment) == plain(word))
    };
    let turned = format!("{verb}:{noun}");
    if VERBS.contains(&noun) && !VERBS.contains(&verb) && is_of_path(verb) && RequiredPermission::parse(&turned).is_ok()
    {
        return Scope::Taken(turned, "scopes with the verb first, taken as noun:verb");
    }
    Scope::Permission(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_about_its_first_thing() {
        for (path, noun) in [
            ("/invoices", "invoices"),
            ("/invoices/{id}:cancel", "invoices"),
            ("/api/v1/pets", "pets"),
            ("/v2.1/{account}/envelopes", "envelopes"),
            ("/v1beta1/projects", "shop-projects"),
            ("/2020-10-01/functions", "functions"),
            ("/repos/{owner}/{repo}", "repos"),
            ("/Pets.json", "pets"),
            ("/pet_types", "pet_types"),
            ("/1Forge/quotes", "quotes"),
            ("/members", "shop-members"),
            ("/{id}", "shop"),
            ("/", "shop"),
            ("/v1", "shop"),
            ("/caf%C3%A9/tables", "caf-c3-a9"),
            ("/Entries(id='{x}')", "entries"),
        ] {
            // Nouns that are reserved one day must not turn the table.
            let expected = match noun.strip_prefix("shop-") {
                Some(own) if !Management::reserves(own) => own,
                _ => noun,
            };
            assert_eq!(by_path("GET", path, "shop"), format!("{expected}:read"), "{path}");
            assert!(RequiredPermission::parse(&by_path("POST", path, "shop")).is_ok());
        }
        assert_eq!(by_path("POST", "/token/x", "shop"), "shop-token:write");
        assert_eq!(by_path("GET", "/{id}", "9.Shop"), "api-9-shop:read");
        assert_eq!(by_path("GET", "/{id}", "token"), "token-api:read");
    }

    #[test]
    fn a_scope_is_taken_as_it_stands_or_told() {
        let told = |text| scope(text, "/v1/pets/{id}", "shop");
        assert_eq!(told("pets:read"), Scope::Permission("pets:read".into()));
        assert!(matches!(told("read:pets"), Scope::Taken(turned, _) if turned == "pets:read"));
        assert!(matches!(told("write:pet"), Scope::Taken(turned, _) if turned == "pet:write"));
        assert_eq!(told("read:owners"), Scope::Permission("read:owners".into()), "not about the path's noun");
        assert!(matches!(told("token:manage"), Scope::Taken(own, _) if own == "shop-token:manage"));
        for text in ["openid", "https://www.shop.example/auth/pets", "Pets:Read", "pets.read", ""] {
            assert_eq!(told(text), Scope::None, "{text}");
        }
    }

    #[test]
    fn notes_are_counted_and_show_the_first() {
        let mut notes = Notes::default();
        (0..5).for_each(|n| notes.add("are left out", &format!("GET /{n}")));
        notes.add("need more", "GET /x");
        assert_eq!(notes.0[0].count, 5);
        assert_eq!(notes.0[0].examples, ["GET /0", "GET /1", "GET /2"]);
        assert_eq!((notes.0.len(), notes.0[1].count), (2, 1));
    }
}
