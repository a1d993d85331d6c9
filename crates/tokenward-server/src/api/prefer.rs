//! `Prefer: wait=SECONDS` (RFC 7240 §4.3): how long a change may wait until it counts on every node, before it is answered.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use tokenward_core::{Error, Result};

use crate::coming::Budget;
use crate::limits::RECEIPT_WAIT_MOST;
use crate::service::{TERMS, WriteTerms};

const HEADER: HeaderName = HeaderName::from_static("prefer");

/// How long the client wants to wait, where it says so. Preferences that are not known are not looked at, and of several of
/// one name the first one counts (RFC 7240 §2).
pub(super) fn wait(headers: &HeaderMap) -> Result<Option<Duration>> {
    let lines = headers.get_all(HEADER).iter().filter_map(|value| value.to_str().ok());
    let mut wanted = lines.flat_map(|line| line.split(',')).filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=').unwrap_or((preference, ""));
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    });
    let Some(text) = wanted.next() else { return Ok(None) };
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let most = RECEIPT_WAIT_MOST.time();
    seconds.map(Duration::from_secs).filter(|wait| *wait <= most).map(Some).ok_or_else(|| {
        let (name, most) = (RECEIPT_WAIT_MOST.name, most.as_secs());
        Error::invalid("Prefer", format!("has a `wait` that is not from 0 to {most} seconds (limit `{name}`)"))
    })
}

/// What a request has of the memory for bodies it has until its changes are made, also where its client has hung up: else
/// whoever hangs up again and again would leave any number of them behind.
pub async fn hold_body(request: Request, next: Next) -> Response {
    match request.extensions().get::<Budget>().cloned() {
        Some(body) => TERMS.scope(WriteTerms { body: Some(body), ..WriteTerms::present() }, next.run(request)).await,
        None => next.run(request).await,
    }
}

/// Carries out a request, whose headers were looked at, as it prefers.
pub(super) async fn run(request: Request, next: Next) -> Response {
    match wait(request.headers()).ok().flatten() {
        Some(wait) => TERMS.scope(WriteTerms { wait: Some(wait), ..WriteTerms::present() }, next.run(request)).await,
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_wait_is_whole_seconds_within_the_limit_and_other_preferences_are_left_alone() {
        let read = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (HEADER, HeaderValue::from_static(line)));
            wait(&lines.fold(HeaderMap::new(), |mut all, (name, line)| {
                all.append(name, line);
                all
            }))
        };
        for (lines, seconds) in [
            (&["wait=10"][..], Some(10)),
            (&["wait=0"], Some(0)),
            (&["respond-async, WAIT = 30"], Some(30)),
            (&["return=minimal", "wait=\"5\"; foo=bar"], Some(5)),
            (&["wait=1, wait=nonsense"], Some(1)),
            (&["respond-async"], None),
            (&["waiting=9999"], None),
            (&[], None),
        ] {
            assert_eq!(read(lines).unwrap(), seconds.map(Duration::from_secs), "{lines:?}");
        }
        for bad in
            ["wait=-1", "wait=31", "wait=9999", "wait=1.5", "wait=", "wait", "wait=+1", "wait=99999999999999999999"]
        {
            let error = read(&[bad]).unwrap_err();
            assert_eq!(error.faults[0].field, "Prefer", "{bad}");
            assert!(error.detail.contains("receipt_wait_most_ms"), "{bad}");
        }
    }
}
