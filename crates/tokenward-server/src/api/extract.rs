//! What a request brings: its credential, its client, its body.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use axum::Json;
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokenward_api::objects::{self, Objects};
use tokenward_core::Time;
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::Position;
use tokenward_verify::credential::bearer;

use super::error::ApiError;
use crate::body::{self, Bounds, Unread};
use crate::heavy;
pub(crate) use crate::http::{client, peer};
use crate::limits::{BODY_BYTES, BODY_TIME, Unit};
use crate::service::{App, Effect, IfMatch, Written};

/// The credential of a request: exactly one `Authorization: Token …` or `Bearer …`.
pub(crate) fn credential(headers: &HeaderMap) -> Result<&str> {
    bearer(headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes))
}

/// A body that came with its head is there when it is asked for so often.
const AT_ONCE: usize = 2;

/// The right that was checked by the head of a request, to ask it again once its body is there.
#[derive(Clone)]
pub(super) struct CheckedRight {
    pub app: Arc<App>,
    pub grant: Grant,
}

/// The whole body of a request whose right still stands then: it may have been taken back while the body came. What writes is asked again
/// in its transaction as well; what only answers would be asked nowhere else. A body that came with its head came with the question.
async fn read_standing(request: Request) -> Result<Bytes> {
    let right = request.extensions().get::<CheckedRight>().cloned();
    let (body, late) = read_noting_late(request.into_body()).await?;
    if let Some(CheckedRight { app, grant }) = right.filter(|_| late) {
        drop(app.read_on(&grant, Some(())).await?);
    }
    Ok(body)
}

/// The whole body, and whether it came later than its head.
pub(super) async fn read_noting_late(body: impl HttpBody<Data = Bytes>) -> Result<(Bytes, bool)> {
    let mut reading = pin!(read(body));
    let mut asked = 0_usize;
    let body = poll_fn(|context| {
        asked = asked.saturating_add(1);
        reading.as_mut().poll(context)
    });
    let body = body.await?;
    Ok((body, asked > AT_ONCE))
}

/// A JSON body. Its errors name the field.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let lane = lane(request.extensions());
        let body = read_standing(request).await?;
        if body.len() <= heavy::BODY {
            return Ok(Self(parse(&body)?));
        }
        Ok(Self(heavy::aside(lane, move || parse(&body)).await??))
    }
}

/// In whose turn the large work of a request is done, as far as its right was checked: its organization's, or that of its
/// credential, or of its client.
pub(super) fn lane(of: &Extensions) -> heavy::Lane {
    match (of.get::<Grant>(), of.get::<Caller>()) {
        (Some(grant), _) => grant.organization().into(),
        (None, Some(caller)) => caller.token_organization().unwrap_or(caller.credential_id()).into(),
        (None, None) => heavy::Lane::client(peer(of)),
    }
}

/// A JSON body that may be left out.
pub(super) struct OptionalBody<T>(pub Option<T>);

impl<S: Send + Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let lane = lane(request.extensions());
        let body = read_standing(request).await?;
        // Some clients write `null` where they have nothing to say.
        if body.is_empty() || body.trim_ascii() == b"null" {
            return Ok(Self(None));
        }
        if body.len() <= heavy::BODY {
            return Ok(Self(Some(parse(&body)?)));
        }
        Ok(Self(Some(heavy::aside(lane, move || parse(&body)).await??)))
    }
}

/// The whole body, unless it is too large or too slow.
pub(super) async fn read(body: impl HttpBody<Data = Bytes>) -> Result<Bytes> {
    let bounds = Bounds { max: BODY_BYTES.size(), drain: 0, time: &BODY_TIME };
    let too_large =
        || BODY_BYTES.exceeded(Code::TooLarge, BODY_BYTES.default, "The body is larger than", "Send less at once.");
    read_within(body, bounds, too_large).await
}

/// The same with bounds of its own, for a body that may be larger than others.
pub(super) async fn read_within(
    body: impl HttpBody<Data = Bytes>,
    bounds: Bounds,
    too_large: impl FnOnce() -> Error,
) -> Result<Bytes> {
    body::read(body, bounds).await.map_err(|why| unread(why, too_large))
}

/// Why a body could not be read, for its client.
pub(super) fn unread(why: Unread, too_large: impl FnOnce() -> Error) -> Error {
    match why {
        Unread::TooLarge => too_large(),
        Unread::Broken | Unread::Refused => Error::invalid("body", "could not be read to its end"),
        Unread::TooSlow(limit) => {
            let (name, value) = (limit.name, limit.default);
            Error::invalid(
                "body",
                match limit.unit {
                    Unit::Milliseconds => {
                        format!("did not arrive within the limit `{name}` ({value} ms); send it again")
                    }
                    unit => format!("came slower than the limit `{name}` ({value} {}); send it again", unit.as_str()),
                },
            )
        }
    }
}

/// Reads JSON; the first thing that does not fit is the fault.
pub(super) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    if bytes.is_empty() {
        return Err(Error::invalid("body", "is missing; send JSON"));
    }
    // Most bodies are right, and are read without keeping track of where one would be wrong.
    if let Ok(value) = objects::read_json(bytes) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(Objects(&mut deserializer)).map_err(|error| {
        let text = in_words(&error.inner().to_string());
        // serde names an unknown or missing field in its text, not in the path.
        let named = ["unknown field `", "missing field `", "duplicate field `"].iter().find_map(|start| {
            let rest = text.strip_prefix(start)?;
            Some((start.trim_end_matches(" `"), rest.split('`').next()?.to_owned()))
        });
        let path = error.path().to_string();
        let inside = |field: &str| {
            let ends_there = path == field || path.ends_with(&format!(".{field}"));
            match path.as_str() {
                "." => field.to_owned(),
                _ if ends_there => path.clone(),
                _ => format!("{path}.{field}"),
            }
        };
        match named {
            Some(("unknown field", field)) => {
                let known =
                    text.split_once(", expected ").map_or("none", |(_, rest)| rest.trim_start_matches("one of "));
                let known = known.split(" at line").next().unwrap_or(known).replace(" or ", ", ");
                Error::invalid(inside(&field), format!("is not known here; known are {known}"))
            }
            Some(("missing field", field)) => Error::invalid(inside(&field), "is missing"),
            Some((_, field)) => Error::invalid(inside(&field), "is there twice"),
            // In a text that is no JSON, the path is only how far the reader came.
            None if path == "." || !error.inner().is_data() => {
                Error::invalid("body", format!("cannot be read: {text}"))
            }
            // People give the name of a role, since that is what they see.
            None if path.ends_with("role_id") && text.contains("UUID") => {
                Error::invalid(&path, "is not the id of a role; availableRole lists the roles with their ids")
            }
            None if text.contains("UUID parsing failed") => Error::invalid(&path, "is not a UUID"),
            None => Error::invalid(&path, format!("cannot be read: {text}")),
        }
    })?;
    deserializer.end().map_err(|_| Error::invalid("body", "goes on after its JSON value"))?;
    Ok(value)
}

/// What serde says, without what was sent (it may be a secret in the wrong field), and without the names that our types
/// have among us.
fn in_words(text: &str) -> String {
    let mut text = text.to_owned();
    let wrong = ["invalid type: ", "invalid value: "].iter().find_map(|start| Some((start, text.strip_prefix(start)?)));
    if let Some((start, rest)) = wrong
        && let Some((sent, expected)) = rest.rsplit_once(", expected ")
    {
        // The kind of thing comes first, the thing itself in quotes.
        let kind = sent.split(['`', '"']).next().unwrap_or_default().trim();
        text = format!("{start}{kind}, expected {expected}");
    }
    // What JSON calls them.
    for (ours, theirs) in [("type: map,", "type: object,"), ("type: sequence,", "type: array,")] {
        text = text.replacen(ours, theirs, 1);
    }
    for (ours, theirs) in [("expected a map", "expected an object"), ("expected a sequence", "expected an array")] {
        text = text.replacen(ours, theirs, 1);
    }
    if let Some((before, rest)) = text.split_once("expected struct ") {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        text = format!("{before}expected an object{after}");
    }
    text
}

/// The query of a request. Its errors name the parameter.
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                // What axum says before the cause.
                let text = text.rsplit("query string: ").next().unwrap_or_default();
                let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
                Err(match (missing, text.split_once(": ")) {
                    (Some(name), _) => Error::invalid(name, "is missing from the query").into(),
                    (None, Some((name, problem))) => Error::invalid(name, format!("cannot be read: {problem}")).into(),
                    (None, None) => Error::invalid("query", format!("cannot be read: {text}")).into(),
                })
            }
        }
    }
}

/// What the path names, for endpoints without a right to check: where there is one, its check has read the path.
pub(super) struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Error::invalid("path", "is not valid UTF-8").into())
    }
}

/// A UUID in the path that is not checked by the right of the endpoint.
pub(super) fn id(name: &str, text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::invalid(name, "in the path is not a UUID"))
}

/// The answer with the version of what it shows, as a strong `ETag`.
pub(super) fn tagged(version: Time, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", version.0)) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// `If-Match`: the version that a change is meant for. Optional on every endpoint of the contract. Of what lists alone tell it is
/// the `updated_at` there, which is the same moment.
pub(super) struct Precondition(pub IfMatch);

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(IfMatch(None))) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(IfMatch(None)));
        }
        let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let version = tag.and_then(|tag| tag.parse().ok().map(Time).or_else(|| Time::parse(tag)));
        // A tag that we never gave, or a weak one, matches nothing (RFC 9110 §13.1.1).
        Ok(Self(IfMatch(Some(version.unwrap_or(Time(-1))))))
    }
}

/// The answer to a write: its body, its place in the log, and where it counts.
pub(super) fn written<T, B: Serialize>(status: StatusCode, written: Written<T>, body: impl FnOnce(T) -> B) -> Response {
    let Written { value, position, effect } = written;
    at(position, &effect, (status, Json(body(value))).into_response())
}

/// The answer to a write that has no body.
pub(super) fn written_empty<T>(status: StatusCode, written: &Written<T>) -> Response {
    at(written.position, &written.effect, status.into_response())
}

/// Names in a header at most.
const NAMED: usize = 20;

/// The value of `Tokenward-Effective`.
fn effective(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Here => None,
        Effect::Everywhere { nodes } => Some(format!("everywhere; nodes={nodes}")),
        Effect::Pending { by, missing } => {
            let mut names = missing.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            if let Some(more) = missing.len().checked_sub(NAMED).filter(|more| *more > 0) {
                let _ = write!(names, " and {more} more");
            }
            // A quoted string of RFC 8941 is of visible ASCII; a name may be of anything.
            let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
            let names = names.chars().map(plain).collect::<String>().replace('\\', "\\\\").replace('"', "\\\"");
            Some(format!("pending; by=\"{by}\"; missing=\"{names}\""))
        }
    }
}

/// The answer with the place of a write in the log, and where it counts.
pub(super) fn at(position: Position, effect: &Effect, mut response: Response) -> Response {
    // A UUID, a slash and digits are always a header value.
    if let Ok(value) = HeaderValue::from_str(&position.to_string()) {
        response.headers_mut().insert("tokenward-position", value);
    }
    let effective = effective(effect).and_then(|text| HeaderValue::from_str(&text).ok());
    if let Some(value) = effective {
        response.headers_mut().insert("tokenward-effective", value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_field() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "what is read counts, not what is in it")]
        struct Sample {
            name: String,
            n: Option<u8>,
        }
        let fault = |text: &str| parse::<Sample>(text.as_bytes()).unwrap_err().faults[0].field.clone();
        assert_eq!(fault(r#"{"n":1}"#), "name");
        assert_eq!(fault(r#"{"name":1}"#), "name");
        assert_eq!(fault(r#"{"name":"a","m":1}"#), "m");
        assert_eq!(fault(r#"{"name":"a""#), "body");
        assert_eq!(fault(r#"{"name":"a"} x"#), "body");
        let problem = |text: &str| parse::<Sample>(text.as_bytes()).unwrap_err().faults[0].problem.clone();
        assert!(problem(r#"{"name":[]}"#).starts_with("cannot be read: invalid type: array, expected a string"));
        assert!(problem(r#"{"name":{}}"#).starts_with("cannot be read: invalid type: object, expected a string"));
        assert_eq!(fault(""), "body");
    }
}
