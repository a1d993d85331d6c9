//! JSON without a detour, for the answers that every request to a protected API waits for.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;
use tokenward_core::{Error, Result, Uuid};

use crate::heavy;

/// An answer with more entries than these is made on a thread that may take its time.
const FEW: usize = 100;

/// A JSON body with the status 200.
pub(super) fn response(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The JSON that `make` makes of so many entries, with the status 200. Of many that takes milliseconds, which a thread of the
/// runtime has not got; `organization` says in whose turn.
pub(super) async fn listed<T: Serialize + 'static>(
    organization: Uuid,
    entries: usize,
    make: impl FnOnce() -> T + Send + 'static,
) -> Result<Response> {
    let written = move || serde_json::to_vec(&make());
    let body = if entries <= FEW { written() } else { heavy::aside(organization, written).await? };
    Ok(response(body.map_err(Error::internal)?))
}

/// The same of what was done: that is never answered as if it were not, because others of its organization have much to do.
pub(super) async fn done<T: Serialize + 'static>(
    entries: usize,
    make: impl FnOnce() -> T + Send + 'static,
) -> Result<Response> {
    let written = move || serde_json::to_vec(&make());
    let body = if entries <= FEW { written() } else { heavy::inside(written).await? };
    Ok(response(body.map_err(Error::internal)?))
}

/// Writes a text in quotes.
pub(super) fn string(to: &mut Vec<u8>, text: &str) -> Result<()> {
    // Without a way out in the middle the compiler looks at many bytes at once. RFC 8259 §7: only these need an escape.
    let escapes = text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    if escapes {
        return serde_json::to_writer(to, text).map_err(Error::internal);
    }
    to.push(b'"');
    to.extend_from_slice(text.as_bytes());
    to.push(b'"');
    Ok(())
}

/// Writes an id in quotes.
pub(super) fn uuid(to: &mut Vec<u8>, id: Uuid) {
    to.push(b'"');
    to.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    to.push(b'"');
}
