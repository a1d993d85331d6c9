//! Which parts of a document can say something about routes. The rest (schemas, examples, descriptions: nearly all of a
//! real document) is passed over while it is read, so that it takes no memory.

/// Where a reader is in a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
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

impl Place {
    /// Where the value of this key is.
    pub(super) fn below(self, key: &str) -> Self {
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
            (Self::Root, key)
                if key.starts_with("x-") && !["x-permission", "x-unknown-route", "x-allow-paths"].contains(&key) =>
            {
                Self::Nothing
            }
            (Self::Root, _) => Self::Whole,
            (Self::Components, _) => Self::Nothing,
            (Self::Paths, key) if key.starts_with("x-") => Self::Nothing,
            (Self::Paths, _) => Self::Item,
            (Self::Item, "additionalOperations") => Self::Operations,
            (Self::Item, key) if METHODS.contains(&key) => Self::Operation,
            (Self::Item, "$ref" | "servers" | "x-permission") => Self::Whole,
            (Self::Item, _) => Self::Nothing,
            (Self::Operations, _) => Self::Operation,
            (Self::Operation, "security" | "servers" | "x-permission") => Self::Whole,
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
        let at = |path: &[&str]| path.iter().fold(Place::Root, |place, key| place.below(key));
        for kept in [
            &["openapi"][..],
            &["security"],
            &["servers", "url"],
            &["routes", "method"],
            &["paths", "/a", "get", "security"],
            &["paths", "/a", "additionalOperations", "COPY", "x-permission"],
            &["components", "pathItems", "A", "$ref"],
        ] {
            assert_eq!(at(kept), Place::Whole, "{kept:?}");
        }
        for passed in [
            &["info", "title"][..],
            &["components", "schemas", "paths"],
            &["paths", "/a", "get", "responses", "security"],
            &["paths", "/a", "parameters"],
            &["x-logo"],
        ] {
            assert_eq!(at(passed), Place::Nothing, "{passed:?}");
        }
    }
}
