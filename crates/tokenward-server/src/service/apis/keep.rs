//! Which parts of a document can say something about routes. The rest (schemas, examples, descriptions: nearly all of a
//! real document) is passed over while it is read, so that it takes no memory.

use tokenward_core::nearest::distance;

/// Where a reader is in a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DocumentPlace {
    /// The document itself.
    Root,
    /// `components`.
    Components,
    /// `paths`, or `components/pathItems`: a key each is a path.
    Paths,
    /// One path.
    Item,
    /// `additionalOperations`: a key each is a method.
    Operations,
    /// One operation.
    Operation,
    /// Something of which all counts.
    Whole,
    /// Something of which nothing does.
    Nothing,
}

/// The operations of a path in OpenAPI.
pub(super) const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

/// Our extensions of OpenAPI, and where each stands.
const OF_DOCUMENT: [&str; 2] = ["x-unknown-route", "x-allow-paths"];
const PERMISSION: &str = "x-permission";

/// What somebody will have meant by a key that says nothing of routes where it stands, though it looks as if: an extension of
/// ours that is misspelt or stands elsewhere, or a word of OpenAPI on which the need of a route depends. Passed over, the
/// routes would be others than were meant. The words complete the sentence "the key … ".
pub(super) fn meant(place: DocumentPlace, key: &str) -> Option<String> {
    // Longer than any of them by far.
    if key.len() > 32 {
        return None;
    }
    let folded = key.to_ascii_lowercase().replace('_', "-");
    let of_openapi = match place {
        DocumentPlace::Root => &["paths", "security", "servers"][..],
        DocumentPlace::Item if METHODS.contains(&folded.as_str()) => &[],
        DocumentPlace::Item => {
            &["servers", "get", "put", "post", "delete", "options", "head", "patch", "trace", "query"]
        }
        DocumentPlace::Operation => &["security", "servers"],
        _ => return None,
    };
    if place == DocumentPlace::Item && folded != key && METHODS.contains(&folded.as_str()) {
        return Some(format!("is not known; did you mean `{folded}`?"));
    }
    // A letter too many, too few, or two swapped: `schemes` and `servers` are further from each other.
    if let Some(word) = of_openapi.iter().find(|word| **word != key && distance(&folded, word) <= 1) {
        return Some(format!("is not known; did you mean `{word}`?"));
    }
    let extension = folded.strip_prefix("x-").or(folded.strip_prefix('x')).unwrap_or(&folded);
    // Ours have no name before them, and nobody else has this one.
    let after_us = extension.strip_prefix("tokenward").map(|rest| rest.trim_start_matches('-'));
    let extension = after_us.unwrap_or(extension);
    let near = |word: &str, most| distance(&folded, word) <= most || distance(&format!("x-{extension}"), word) <= most;
    let Some(own) = OF_DOCUMENT.into_iter().chain([PERMISSION]).find(|word| near(word, 2)) else {
        let known = "`x-permission` in a path or an operation, `x-unknown-route` and `x-allow-paths` beside `paths`";
        return after_us.map(|_| format!("is not known; known are {known}"));
    };
    let here = match place {
        DocumentPlace::Root => OF_DOCUMENT.contains(&own),
        DocumentPlace::Item | DocumentPlace::Operation => own == PERMISSION,
        _ => return None,
    };
    match (here, key == own) {
        (true, true) => None,
        (true, false) => Some(format!("is not known; did you mean `{own}`?")),
        (false, _) if own == PERMISSION => Some("is not known here; it stands in a path or an operation".to_owned()),
        (false, _) => Some("is not known here; it stands beside `paths`".to_owned()),
    }
}

impl DocumentPlace {
    /// Where the value of this key is.
    pub(super) fn below(self, key: &str) -> Self {
        // It is kept, so that it can be told.
        if matches!(self, Self::Root | Self::Item | Self::Operation) && meant(self, key).is_some() {
            return Self::Whole;
        }
        match (self, key) {
            (Self::Whole, _) => Self::Whole,
            (Self::Nothing, _) => Self::Nothing,
            (Self::Root, "paths") | (Self::Components, "pathItems") => Self::Paths,
            (Self::Root, "components") => Self::Components,
            // What OpenAPI has besides says nothing of routes; what the short form does not have is refused by name.
            (
                Self::Root,
                "info" | "tags" | "definitions" | "responses" | "parameters" | "webhooks" | "externalDocs",
            ) => Self::Nothing,
            (Self::Root, "securityDefinitions" | "consumes" | "produces") => Self::Nothing,
            (Self::Root, key) if key.starts_with("x-") && key != PERMISSION && !OF_DOCUMENT.contains(&key) => {
                Self::Nothing
            }
            (Self::Root, _) => Self::Whole,
            (Self::Components, _) => Self::Nothing,
            (Self::Paths, key) if key.starts_with("x-") => Self::Nothing,
            (Self::Paths, _) => Self::Item,
            (Self::Item, "additionalOperations") => Self::Operations,
            (Self::Item, key) if METHODS.contains(&key) => Self::Operation,
            (Self::Item, "$ref" | "servers" | PERMISSION) => Self::Whole,
            (Self::Item, _) => Self::Nothing,
            (Self::Operations, _) => Self::Operation,
            (Self::Operation, "security" | "servers" | PERMISSION) => Self::Whole,
            (Self::Operation, _) => Self::Nothing,
        }
    }

    /// Where the elements of a list are. Where an object belongs, what is no object is kept, so that it can be told.
    pub(super) fn element(self) -> Self {
        if self == Self::Nothing { Self::Nothing } else { Self::Whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_something_of_routes_is_kept() {
        let at = |path: &[&str]| path.iter().fold(DocumentPlace::Root, |place, key| place.below(key));
        for kept in [
            &["openapi"][..],
            &["security"],
            &["servers", "url"],
            &["routes", "method"],
            &["paths", "/a", "get", "security"],
            &["paths", "/a", "additionalOperations", "COPY", "x-permission"],
            &["components", "pathItems", "A", "$ref"],
        ] {
            assert_eq!(at(kept), DocumentPlace::Whole, "{kept:?}");
        }
        for passed in [
            &["info", "title"][..],
            &["components", "schemas", "paths"],
            &["paths", "/a", "get", "responses", "security"],
            &["paths", "/a", "parameters"],
            &["x-logo"],
            &["paths", "/a", "get", "x-permission-model"],
        ] {
            assert_eq!(at(passed), DocumentPlace::Nothing, "{passed:?}");
        }
    }

    #[test]
    fn an_extension_of_ours_is_known_where_it_stands_and_otherwise_told() {
        use DocumentPlace::{Item, Operation, Root};
        for (place, key) in [
            (Root, "x-unknown-route"),
            (Root, "x-allow-paths"),
            (Item, "x-permission"),
            (Operation, "x-permission"),
            (Root, "x-logo"),
            (Operation, "x-mission"),
            (Operation, "permissions-x"),
            (Operation, "parameters"),
            (Operation, "security"),
            (Item, "get"),
            (Root, "schemes"),
            (Operation, "x-stream-permissions"),
            (DocumentPlace::Whole, "x-permissions"),
        ] {
            assert_eq!(meant(place, key), None, "{key}");
        }
        for (place, key, says) in [
            (Root, "x-unknown-routes", "did you mean `x-unknown-route`?"),
            (Root, "x-unkown-route", "did you mean `x-unknown-route`?"),
            (Root, "X-Unknown-Route", "did you mean `x-unknown-route`?"),
            (Root, "x_unknown_route", "did you mean `x-unknown-route`?"),
            (Root, "x-allow-path", "did you mean `x-allow-paths`?"),
            (Root, "unknown_route", "did you mean `x-unknown-route`?"),
            (Operation, "x-permissions", "did you mean `x-permission`?"),
            (Item, "x-permision", "did you mean `x-permission`?"),
            (Operation, "X-Permission", "did you mean `x-permission`?"),
            (Operation, "xpermission", "did you mean `x-permission`?"),
            (Operation, "permission", "did you mean `x-permission`?"),
            (Operation, "x-tokenward-permission", "did you mean `x-permission`?"),
            (Root, "x-tokenward-unknown-route", "did you mean `x-unknown-route`?"),
            (Root, "X-Tokenward-Permission", "it stands in a path or an operation"),
            (Item, "x-tokenward-public", "`x-allow-paths` beside `paths`"),
            (Root, "x-tokenward", "`x-allow-paths` beside `paths`"),
            (Item, "GET", "did you mean `get`?"),
            (Item, "gett", "did you mean `get`?"),
            (Item, "delet", "did you mean `delete`?"),
            (Item, "Patch", "did you mean `patch`?"),
            (Operation, "securtiy", "did you mean `security`?"),
            (Operation, "Security", "did you mean `security`?"),
            (Item, "server", "did you mean `servers`?"),
            (Root, "path", "did you mean `paths`?"),
            (Operation, "x-unknown-route", "it stands beside `paths`"),
            (Root, "x-permission", "it stands in a path or an operation"),
        ] {
            assert!(meant(place, key).is_some_and(|told| told.ends_with(says)), "{key}: {:?}", meant(place, key));
            assert_eq!(place.below(key), DocumentPlace::Whole, "{key}");
        }
    }
}
