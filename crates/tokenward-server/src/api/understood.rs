//! What an endpoint understands of a request's query and headers. What it does not is refused by its name: a misspelt
//! filter would otherwise list everything, and a key that is not honoured would make a thing twice.

use axum::http::{HeaderMap, Method, header};
use serde_json::{Value, json};
use tokenward_core::error::Faults;
use tokenward_core::nearest::known_words;
use tokenward_core::{Error, Result, Uuid};

use super::{at_least, idempotency, prefer};
use crate::limits::QUERY;

/// Unknown parameters that are told at once: a query can hold thousands.
const TOLD: usize = 10;

/// What is wrong with a moment that [`tokenward_core::Time::parse_query`] cannot read.
pub(super) const NO_MOMENT: &str =
    "is neither RFC 3339 nor a Unix time in seconds, milliseconds, microseconds or nanoseconds";

/// What the value of a parameter can be, where it is not any text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum QueryKind {
    /// `true` or `false`.
    Flag,
    /// A whole number, in digits alone.
    Number,
    /// A UUID.
    Id,
    /// One of these words, in the case in which they are written here.
    OneOf(&'static [&'static str]),
}

impl QueryKind {
    /// The error completes the sentence that begins with the parameter's name.
    fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Flag if !["true", "false"].contains(&value) => Err("is neither `true` nor `false`".to_owned()),
            Self::Number if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err("is not a whole number, such as 25".to_owned())
            }
            Self::Id if Uuid::try_parse(value).is_err() => Err("is not a UUID".to_owned()),
            // Clients send what was not filled in.
            Self::OneOf(words) if !value.is_empty() && !words.contains(&value) => {
                Err(format!("has a value that it cannot have; {}", known_words(value, words.iter().copied())))
            }
            _ => Ok(()),
        }
    }

    /// Its schema in the OpenAPI document.
    pub(super) fn schema(self) -> Value {
        match self {
            Self::Flag => json!({ "type": "boolean" }),
            Self::Number => json!({ "type": "integer", "minimum": 0 }),
            Self::Id => json!({ "type": "string", "format": "uuid" }),
            Self::OneOf(words) => json!({ "type": "string", "enum": words }),
        }
    }
}

/// Parameters of a query: the names, with their meanings, and the kinds of those that are not any text.
#[derive(Clone, Copy, Default)]
pub(super) struct QueryTable {
    pub names: &'static [(&'static str, &'static str)],
    pub kinds: &'static [(&'static str, QueryKind)],
}

impl QueryTable {
    /// What the value of this parameter can be.
    pub(super) fn kind(&self, name: &str) -> Option<QueryKind> {
        self.kinds.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

/// What one endpoint understands.
#[derive(Clone, Copy)]
pub(super) struct Understood {
    query: QueryTable,
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
    pub(super) fn new(method: &Method, query: QueryTable, idempotent: bool, conditional: bool) -> Self {
        Self { query, idempotent, conditional, repeats: *method == Method::POST, changes: *method != Method::GET }
    }

    /// Refuses what is unknown, there twice, too long, or not what its parameter can be: all of it at once.
    pub(super) fn check_query(&self, query: Option<&str>) -> Result<()> {
        let mut faults = Faults::default();
        let (mut seen, mut told) = (Vec::new(), 0);
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let names = self.query.names.iter().map(|(known, _)| *known);
            let Some(known) = names.clone().find(|known| *known == name) else {
                let problem = format!("is no parameter of this address; {}", known_words(&name, names));
                faults.push(QUERY.shown(&name), problem);
                told += 1;
                if told == TOLD {
                    break;
                }
                continue;
            };
            match seen.iter_mut().find(|(name, _)| *name == known) {
                None => seen.push((known, false)),
                Some((_, twice)) => {
                    if !std::mem::replace(twice, true) {
                        faults.push(known, "is there twice");
                    }
                    continue;
                }
            }
            let fits = QUERY.check_text(&value);
            if let Err(problem) = fits.and_then(|()| self.query.kind(known).map_or(Ok(()), |kind| kind.check(&value))) {
                faults.push(known, problem);
            }
        }
        faults.finish()
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
            } else if CONDITIONS.contains(&name) {
                if !self.changes {
                    continue;
                }
                "is not looked at: the change would be made in any case. Send the ETag that you read as `if-match`, where \
                 the endpoint has one"
                    .to_owned()
            } else if name == header::CONTENT_ENCODING.as_str() {
                if headers.get_all(name).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity")) {
                    continue;
                }
                "is not understood: send the body as it is".to_owned()
            } else if name == at_least::HEADER.as_str() {
                // It was looked at before.
                continue;
            } else if is_ours(name) {
                format!("is no header of ours; {}", known_words(&name.replace('_', "-"), HEADERS.into_iter()))
            } else {
                continue;
            };
            return Err(Error::invalid(QUERY.shown(name), problem));
        }
        Ok(())
    }
}

/// Conditions of a change that are not asked here (RFC 9110 §13.1). Whoever sends one means that it decides.
const CONDITIONS: [&str; 2] = ["if-none-match", "if-unmodified-since"];

/// The headers that we look at beside those of every server.
const HEADERS: [&str; 3] = ["idempotency-key", "if-match", "tokenward-at-least"];

/// Does a header claim to be one that only we understand? Some programs write `_` for `-`.
fn is_ours(name: &str) -> bool {
    let name = name.replace('_', "-");
    HEADERS.contains(&&*name)
        || ["tokenward", "x-tokenward", "idempoten", "x-idempoten"].iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const LIST: Understood = Understood {
        query: QueryTable {
            names: &[("name", ""), ("creatorName", ""), ("valid", ""), ("limit", ""), ("of", ""), ("state", "")],
            kinds: &[
                ("valid", QueryKind::Flag),
                ("limit", QueryKind::Number),
                ("of", QueryKind::Id),
                ("state", QueryKind::OneOf(&["active", "revoked"])),
            ],
        },
        idempotent: false,
        conditional: false,
        repeats: false,
        changes: false,
    };
    const CREATE: Understood = Understood {
        query: QueryTable { names: &[], kinds: &[] },
        idempotent: true,
        repeats: true,
        changes: true,
        ..LIST
    };
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
        let known = "known are `name`, `creatorName`, `valid`, `limit`, `of` and `state`";
        assert_eq!(said(LIST, "colour=1"), format!("colour is no parameter of this address; {known}"));
        assert_eq!(said(CREATE, "dryRun=true"), "dryRun is no parameter of this address; there is none");
        assert_eq!(said(LIST, "name=a&name=b"), "name is there twice");
    }

    #[test]
    fn a_value_that_its_parameter_cannot_have_is_refused_and_all_of_them_are_told() {
        let id = "of=0191f0a0-0000-7000-8000-000000000001";
        for right in ["valid=true", "valid=false", "limit=0", "limit=25", "state=active", "state=", id] {
            assert!(LIST.check_query(Some(right)).is_ok(), "{right}");
        }
        for (wrong, says) in [
            ("valid=TRUE", "valid is neither `true` nor `false`"),
            ("valid=1", "valid is neither `true` nor `false`"),
            ("valid=yes", "valid is neither `true` nor `false`"),
            ("valid", "valid is neither `true` nor `false`"),
            ("limit=1e2", "limit is not a whole number, such as 25"),
            ("limit=%2B5", "limit is not a whole number, such as 25"),
            ("limit=+5", "limit is not a whole number, such as 25"),
            ("limit=-5", "limit is not a whole number, such as 25"),
            ("limit=5.0", "limit is not a whole number, such as 25"),
            ("limit=", "limit is not a whole number, such as 25"),
            ("of=7", "of is not a UUID"),
            ("state=Active", "state has a value that it cannot have; did you mean `active`?"),
            ("state=gone", "state has a value that it cannot have; known are `active` and `revoked`"),
        ] {
            assert_eq!(fault(LIST.check_query(Some(wrong))), says, "{wrong}");
        }
        let all = LIST.check_query(Some("valid=x&limit=x&nam=x&name=a&name=b&of=x")).unwrap_err();
        let fields: Vec<&str> = all.faults.iter().map(|fault| &*fault.field).collect();
        assert_eq!(fields, ["valid", "limit", "nam", "name", "of"]);
        let many = LIST.check_query(Some(&"x&".repeat(10_000))).unwrap_err();
        assert_eq!(many.faults.len(), TOLD, "an answer stays short");
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
            (LIST, "if-none-match"),
            (LIST, "x-request-id"),
            (CREATE, "user-agent"),
        ] {
            assert_eq!(said(understood, name), "", "{name}");
        }
        assert!(said(ACTION, "idempotency-key").starts_with("idempotency-key is not honoured here"));
        assert!(said(CREATE, "if-match").starts_with("if-match is not looked at here"));
        assert!(said(CREATE, "if-none-match").starts_with("if-none-match is not looked at"));
        assert!(said(CHANGE, "if-unmodified-since").starts_with("if-unmodified-since is not looked at"));
        assert!(said(CHANGE, "content-encoding").starts_with("content-encoding is not understood"));
        let plain = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("Identity"))]);
        assert!(CREATE.check_headers(&plain).is_ok());
        assert!(said(CREATE, "x-idempotency-key").ends_with("did you mean `idempotency-key`?"));
        assert!(said(CHANGE, "if_match").ends_with("did you mean `if-match`?"));
        assert!(said(LIST, "tokenward_at_least").ends_with("did you mean `tokenward-at-least`?"));
        assert!(said(CREATE, "idempotency-token").ends_with("did you mean `idempotency-key`?"));
        assert!(said(LIST, "x-tokenward-organization").starts_with("x-tokenward-organization is no header of ours"));
    }
}
