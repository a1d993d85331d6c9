//! What a form or a query brings, and what is said of it when it cannot be taken.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use percent_encoding::percent_decode;
use tokenward_core::nearest::known_words;
use tokenward_core::reason::Reason;
use tokenward_core::{Code, Error, Result, Uuid};

use super::page::{PageError, PageResult};
use super::view::{FaultLine, FormField};
use super::words::quoted;
use crate::http;
use crate::limits::QUERY;

/// Key and value pairs, as `application/x-www-form-urlencoded` carries them. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Pairs(Arc<Inner>);

/// All keys and values behind one another: a form of thousands of fields is one text, and not thousands.
#[derive(Default)]
struct Inner {
    text: String,
    /// Where each key ends, and its value.
    ends: Vec<(usize, usize)>,
}

/// The key of a query that is the number of a page, wherever one has it.
const NUMBER: &str = "page";
/// The key of a query that keeps a page up to date.
pub(super) const LIVE: &str = "live";

impl Pairs {
    /// Reads them. Browsers send line breaks as `\r\n`; everything here is kept with `\n`.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut text = Vec::with_capacity(bytes.len());
        let mut ends = Vec::new();
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut sides = pair.splitn(2, |byte| *byte == b'=');
            let [key, value] = [(); 2].map(|()| {
                decode(sides.next().unwrap_or_default(), &mut text);
                text.len()
            });
            ends.push((key, value));
        }
        // Each of them was made to be UTF-8.
        Self(Arc::new(Inner { text: String::from_utf8(text).unwrap_or_default(), ends }))
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let Inner { text, ends } = &*self.0;
        let mut start = 0;
        ends.iter().map(move |(key, value)| {
            let pair = (&text[start..*key], &text[*key..*value]);
            start = *value;
            pair
        })
    }

    /// The first value; empty when there is none.
    pub(super) fn get(&self, key: &str) -> &str {
        self.all(key).next().unwrap_or_default()
    }

    /// A name or an address: without the spaces around it that nobody means.
    pub(super) fn line(&self, key: &str) -> String {
        self.get(key).trim().to_owned()
    }

    /// Was this name typed again? A page shows several spaces as one.
    pub(super) fn repeats(&self, key: &str, name: &str) -> bool {
        self.get(key).split_whitespace().eq(name.split_whitespace())
    }

    /// A text of several lines; `None` when there is nothing in it.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        Some(self.get(key).trim_end()).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// All values.
    pub(super) fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.pairs().filter(move |(own, _)| *own == key).map(|(_, value)| value)
    }

    /// The pairs whose key begins with `prefix`, without it.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value)))
    }

    /// Is the box ticked?
    pub(super) fn on(&self, key: &str) -> bool {
        self.get(key) == "on"
    }

    /// Refuses what a page does not understand of its query, by its name: a filter that was passed over would show more than
    /// somebody asked for.
    pub(super) fn understood(&self, known: &[&str]) -> Result<&Self> {
        let mut seen = Vec::new();
        for (key, value) in self.pairs() {
            if !known.contains(&key) {
                let known = known_words(key, known.iter().copied());
                return Err(Error::invalid(QUERY.shown(key), format!("is no part of this page's address; {known}")));
            }
            if seen.contains(&key) {
                return Err(Error::invalid(key, "is there twice"));
            }
            if key == NUMBER && !value.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Error::invalid(key, "is not the number of a page"));
            }
            // Besides, when it began: `live.rs`.
            if key == LIVE && (value.len() > 12 || !value.bytes().all(|byte| byte.is_ascii_digit())) {
                return Err(Error::invalid(key, "can only be `1`"));
            }
            seen.push(key);
        }
        Ok(self)
    }

    /// One of these words, or nothing.
    pub(super) fn one_of<'w>(&self, key: &'static str, words: impl Iterator<Item = &'w str> + Clone) -> Result<&str> {
        let value = self.get(key);
        if value.is_empty() || words.clone().any(|word| word == value) {
            return Ok(value);
        }
        let known = words.filter(|word| !word.is_empty());
        Err(Error::invalid(key, format!("has a value that it cannot have; {}", known_words(value, known))))
    }

    /// What `read` makes of the value; `None` when there is none.
    pub(super) fn read<T>(&self, key: &'static str, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        match self.get(key).trim() {
            "" => Ok(None),
            value => read(value).map(Some).ok_or_else(|| Error::invalid(key, format!("is not {what}"))),
        }
    }

    /// An id; `None` when it is none.
    pub(super) fn id(&self, key: &str) -> Option<Uuid> {
        Uuid::try_parse(self.get(key)).ok()
    }
}

/// Appends what was written as a key or a value. What is no UTF-8 becomes U+FFFD.
fn decode(written: &[u8], to: &mut Vec<u8>) {
    let start = to.len();
    for (at, part) in written.split(|byte| *byte == b'+').enumerate() {
        if at > 0 {
            to.push(b' ');
        }
        for byte in percent_decode(part) {
            if byte == b'\n' && to[start..].last() == Some(&b'\r') {
                to.pop();
            }
            to.push(byte);
        }
    }
    if std::str::from_utf8(&to[start..]).is_err() {
        let readable = String::from_utf8_lossy(&to[start..]).into_owned();
        to.truncate(start);
        to.extend_from_slice(readable.as_bytes());
    }
}

/// Pairs as a form would send them, for the form that shows what is saved.
impl<'a> FromIterator<(&'a str, String)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (&'a str, String)>>(pairs: I) -> Self {
        let mut inner = Inner::default();
        for (key, value) in pairs {
            inner.text.push_str(key);
            let key = inner.text.len();
            inner.text.push_str(&value);
            inner.ends.push((key, inner.text.len()));
        }
        Self(Arc::new(inner))
    }
}

impl<const N: usize> From<[(&str, String); N]> for Pairs {
    fn from(pairs: [(&str, String); N]) -> Self {
        pairs.into_iter().collect()
    }
}

/// The query of a page.
pub(super) struct Query(pub Pairs);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Pairs::parse(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

/// The field in which a form asks for the password again.
pub(super) const PASSWORD: &str = "password";
/// The field of a code of the second factor.
pub(super) const OTP: &str = "otp";

/// What is wrong with what was typed, as the form shows it. The default is that nothing is.
pub(super) struct Problems {
    /// The status of the page that shows them.
    pub status: StatusCode,
    /// Seconds to wait, for those who tried too often.
    pub retry_after: Option<u32>,
    whole: Option<String>,
    fields: Vec<(String, String)>,
}

impl Default for Problems {
    fn default() -> Self {
        Self { status: StatusCode::OK, retry_after: None, whole: None, fields: Vec::new() }
    }
}

impl Problems {
    /// One problem with one field; `problem` is a sentence.
    pub(super) fn one(field: &str, problem: impl Into<String>) -> Self {
        let fields = vec![(field.to_owned(), problem.into())];
        Self { status: StatusCode::BAD_REQUEST, fields, ..Self::default() }
    }

    /// An error with the whole.
    pub(super) fn whole(error: &Error) -> Self {
        Self { status: http::status(error.code), whole: Some(quoted(&error.detail)), ..Self::default() }
    }

    /// What the form can show of an error. Other errors are pages of their own.
    pub(super) fn of(mut error: Error) -> Result<Self, PageError> {
        let mut problems = Self { status: http::status(error.code), retry_after: error.retry_after, ..Self::default() };
        error.detail = quoted(&error.detail).into();
        if let Some(field) = error.field {
            problems.fields.push((field.into(), error.detail.into()));
            return Ok(problems);
        }
        match error.code {
            Code::InvalidRequest => {
                // A fault completes the sentence that begins with its field.
                let sentence = |problem: String| format!("It {}.", quoted(&problem));
                problems.fields = error.faults.into_iter().map(|f| (f.field, sentence(f.problem))).collect();
            }
            // No password gives what another way to sign in is asked for.
            Code::ProofRequired if !error.providers().is_empty() || error.asks_two_factors() => {
                return Err(PageError(error));
            }
            Code::SecondFactorRequired => {
                let text = "Type the code of your authenticator, too, or a recovery code.";
                problems.fields.push((OTP.into(), text.into()));
            }
            Code::ProofRequired => {
                let text = "For this, type your password again: it was longer ago than a few minutes.";
                problems.fields.push((PASSWORD.into(), text.into()));
            }
            // The form was reached, so what is lacking is not the right to use it, but something that was typed into it.
            Code::Denied(Reason::PermissionDenied) => problems.whole = Some(error.detail.into()),
            Code::PreconditionFailed => {
                let text =
                    "Somebody else changed this since you opened it. Open it again in another window, and compare.";
                problems.whole = Some(text.into());
            }
            Code::Conflict
            | Code::SignInFailed
            | Code::Throttled
            | Code::Unavailable
            | Code::Stale
            | Code::Behind
            | Code::UserRequired
            | Code::OrganizationCreationDenied => {
                problems.whole = Some(error.detail.into());
            }
            _ => return Err(PageError(error)),
        }
        Ok(problems)
    }

    /// All that is to be put right, for a box at the top of the page. A field is told by its id and its label.
    pub(super) fn lines(&self, labels: &[(&str, &str)]) -> Vec<FaultLine> {
        let line = |field: &str, text: &String| {
            let label = labels.iter().find(|(known, _)| *known == field).map_or(field, |(_, label)| *label);
            FaultLine { field: field.to_owned(), label: label.to_owned(), text: text.clone() }
        };
        let whole = self.whole.iter().map(|text| line("", text));
        whole.chain(self.fields.iter().map(|(field, text)| line(field, text))).collect()
    }

    /// The page that shows them, which must have told them all.
    pub(super) fn page(&self, page: &impl Template) -> PageResult {
        let mut response = super::page::page(self.status, page)?;
        http::retry_after(response.headers_mut(), self.retry_after);
        Ok(response)
    }

    /// Adds a problem with one field.
    pub(super) fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.fields.push((field.to_owned(), problem.into()));
    }

    /// They are why a form is not taken.
    pub(super) fn refused(mut self) -> Self {
        if self.status == StatusCode::OK {
            self.status = StatusCode::BAD_REQUEST;
        }
        self
    }

    /// What was read, or what is wrong with it, beside what is wrong with other fields.
    pub(super) fn read<T>(&mut self, read: Result<T>) -> Result<Option<T>, PageError> {
        let error = match read {
            Ok(read) => return Ok(Some(read)),
            Err(error) => error,
        };
        let more = Self::of(error)?;
        self.status = self.status.max(more.status);
        self.retry_after = self.retry_after.max(more.retry_after);
        self.whole = self.whole.take().or(more.whole);
        self.fields.extend(more.fields);
        Ok(None)
    }

    /// Is nothing wrong?
    pub(super) fn are_none(&self) -> bool {
        self.whole.is_none() && self.fields.is_empty()
    }

    /// Is there a problem with this field?
    pub(super) fn concern(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == field)
    }

    /// The problem with a field, which is then told.
    pub(super) fn take(&mut self, field: &str) -> Option<String> {
        let mut texts = Vec::new();
        self.fields.retain(|(name, text)| {
            let other = name != field;
            if !other {
                texts.push(text.clone());
            }
            other
        });
        (!texts.is_empty()).then(|| texts.join(" "))
    }

    /// The field with what was typed and its problem.
    pub(super) fn field(&mut self, field: &str, value: impl Into<String>) -> FormField {
        FormField { value: value.into(), error: self.take(field) }
    }

    /// Says something about the whole.
    pub(super) fn add_general(&mut self, text: &str) {
        self.whole = Some(text.to_owned());
    }

    /// Whatever no field has told.
    pub(super) fn rest(&mut self) -> Option<String> {
        let fields = std::mem::take(&mut self.fields).into_iter().map(|(field, text)| format!("{field}: {text}"));
        let all: Vec<String> = self.whole.take().into_iter().chain(fields).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_repeat_and_line_breaks_are_plain() {
        let pairs = Pairs::parse(b"revoke=1&revoke=2&d=a%0D%0Ab+&project.7.admin=on&name=+x+");
        assert_eq!(pairs.all("revoke").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(pairs.text("d").as_deref(), Some("a\nb"));
        assert_eq!(pairs.below("project.").collect::<Vec<_>>(), [("7.admin", "on")]);
        assert_eq!(pairs.line("name"), "x");
        assert_eq!((pairs.get("absent"), pairs.text("absent")), ("", None));
    }

    #[test]
    fn what_is_written_oddly_is_read_as_browsers_mean_it() {
        let pairs = Pairs::parse("&&a=1%2B1=2&b&=c&%E4%F6=%C3%A4&d=%\u{e4}%4&e=\r\n&f=%0D&g=%0A".as_bytes());
        let all: Vec<_> = pairs.pairs().collect();
        let expected = [
            ("a", "1+1=2"),
            ("b", ""),
            ("", "c"),
            ("\u{fffd}\u{fffd}", "\u{e4}"),
            ("d", "%\u{e4}%4"),
            ("e", "\n"),
            ("f", "\r"),
            ("g", "\n"),
        ];
        assert_eq!(all, expected);
        let from = Pairs::from([("a", "1".to_owned()), ("b", String::new())]);
        assert_eq!(from.pairs().collect::<Vec<_>>(), [("a", "1"), ("b", "")]);
    }

    #[test]
    fn each_problem_is_told_once() {
        let mut faults = tokenward_core::error::Faults::default();
        faults.push("name", "must not be empty");
        faults.push("odd", "is odd");
        let Ok(mut problems) = Problems::of(faults.finish().unwrap_err()) else { panic!() };
        assert_eq!(problems.field("name", "v").error.as_deref(), Some("It must not be empty."));
        assert_eq!(problems.rest().as_deref(), Some("odd: It is odd."));
        assert_eq!(problems.rest(), None);
        assert!(Problems::of(Error::not_found("token")).is_err());
    }
}
