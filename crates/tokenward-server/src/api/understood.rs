//! What an endpoint understands of a request's query and headers. What it does not is refused by its name: a misspelt
//! filter would otherwise list everything, and a key that is not honoured would make a thing twice.

use axum::http::{HeaderMap, Method, header};
use tokenward_core::nearest::known_words;
use tokenward_core::{Error, Result};

use super::{at_least, idempotency, prefer};
use crate::limits::QUERY;

/// What one endpoint understands.
#[derive(Clone, Copy)]
pub(super) struct Understood {
    query: &'static [(&'static str, &'static str)],
    /// `Idempotency-Key` is honoured.
    idempotent: bool,
    /// `If-Match` is looked at.
    conditional: bool,
    /// The request makes or does something that a repetition would do once more.
    repeats: bool,
    changes: bool,
}

impl Understood {
    /// Of an endpoint with this method and these parameters.
    pub(super) fn new(
        method: &Method,
        query: &'static [(&'static str, &'static str)],
        idempotent: bool,
        conditional: bool,
    ) -> Self {
        Self { query, idempotent, conditional, repeats: *method == Method::POST, changes: *method != Method::GET }
    }

    /// Refuses the first parameter that is unknown, there twice, or too long.
    pub(super) fn check_query(&self, query: Option<&str>) -> Result<()> {
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let names = self.query.iter().map(|(known, _)| *known);
            let Some(known) = names.clone().find(|known| *known == name) else {
                let problem = format!("is no parameter of this address; {}", known_words(&name, names));
                return Err(Error::invalid(QUERY.shown(&name), problem));
            };
            QUERY.check_text(&value).map_err(|problem| Error::invalid(known, problem))?;
            if seen.contains(&known) {
                return Err(Error::invalid(known, "is there twice"));
            }
            seen.push(known);
        }
        Ok(())
    }

    /// Refuses a header that is meant for us and that this endpoint does not look at.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<()> {
        if self.changes {
            prefer::wait(headers)?;
        }
        for name in headers.keys().map(axum::http::HeaderName::as_str) {
            let problem = if name == idempotency::HEADER.as_str() {
                if self.idempotent || !self.repeats {
                    continue;
                }
                "is not honoured here: a repetition would count once more. Leave it out".to_owned()
            } else if name == header::IF_MATCH.as_str() {
                if self.conditional || !self.changes {
                    continue;
                }
                "is not looked at here: the change would be made in any case. Leave it out".to_owned()
            } else if name == at_least::HEADER.as_str() {
                // It was looked at before.
                continue;
            } else if is_ours(name) {
                let known = ["idempotency-key", "if-match", "tokenward-at-least"];
                format!("is no header of ours; {}", known_words(name, known.into_iter()))
            } else {
                continue;
            };
            return Err(Error::invalid(QUERY.shown(name), problem));
        }
        Ok(())
    }
}

/// Does a header claim to be one that only we understand?
fn is_ours(name: &str) -> bool {
    ["tokenward-", "x-tokenward-", "idempoten", "x-idempoten"].iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const LIST: Understood = Understood {
        query: &[("name", ""), ("creatorName", "")],
        idempotent: false,
        conditional: false,
        repeats: false,
        changes: false,
    };
    const CREATE: Understood = Understood { query: &[], idempotent: true, repeats: true, changes: true, ..LIST };
    const ACTION: Understood = Understood { idempotent: false, ..CREATE };
    const CHANGE: Understood = Understood { idempotent: false, repeats: false, conditional: true, ..CREATE };

    fn fault(checked: Result<()>) -> String {
        checked.err().map_or_else(String::new, |error| format!("{} {}", error.faults[0].field, error.faults[0].problem))
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_nearest_one() {
        let said = |understood: Understood, query| fault(understood.check_query(Some(query)));
        assert_eq!(said(LIST, "name=ci&creatorName=ada"), "");
        assert_eq!(said(LIST, ""), "");
        assert_eq!(said(LIST, "nam=ci"), "nam is no parameter of this address; did you mean `name`?");
        assert_eq!(
            said(LIST, "creator_name=x"),
            "creator_name is no parameter of this address; did you mean `creatorName`?"
        );
        assert_eq!(said(LIST, "limit=1"), "limit is no parameter of this address; known are `name` and `creatorName`");
        assert_eq!(said(CREATE, "dryRun=true"), "dryRun is no parameter of this address; there is none");
        assert_eq!(said(LIST, "name=a&name=b"), "name is there twice");
    }

    #[test]
    fn a_header_of_ours_is_honoured_or_refused() {
        let said = |understood: Understood, name: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static("x"))]);
            fault(understood.check_headers(&headers))
        };
        for (understood, name) in [
            (CREATE, "idempotency-key"),
            (LIST, "idempotency-key"),
            (CHANGE, "if-match"),
            (LIST, "if-match"),
            (LIST, "x-request-id"),
            (CREATE, "user-agent"),
        ] {
            assert_eq!(said(understood, name), "", "{name}");
        }
        assert!(said(ACTION, "idempotency-key").starts_with("idempotency-key is not honoured here"));
        assert!(said(CREATE, "if-match").starts_with("if-match is not looked at here"));
        assert!(said(CREATE, "x-idempotency-key").ends_with("did you mean `idempotency-key`?"));
        assert!(said(CREATE, "idempotency-token").ends_with("did you mean `idempotency-key`?"));
        assert!(said(LIST, "x-tokenward-organization").starts_with("x-tokenward-organization is no header of ours"));
    }
}
